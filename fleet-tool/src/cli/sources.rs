//! The flags about those who know hosts: which address of theirs to take, how providers are asked.
//!
//! Must not know which hosts are chosen.

use std::time::Duration;

use clap::Args;

use fleet_core::endpoint::AddressChoice;
use fleet_core::provider::CacheUse;
use fleet_core::provider::protocol::NativeFilter;
use fleet_core::settings::{self, Asking, Layer};

/// The flags about those who know hosts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub struct SourceArgs {
    /// Take this address of cloud hosts: auto, private, public, ipv6, dns or tag:KEY; a list is in order [default: auto]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    address: Vec<AddressChoice>,

    /// Ask providers for the hosts of REGION; comma lists; repeatable
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    region: Vec<String>,

    /// Ask providers with the credentials of PROFILE
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Narrow the hosts of providers by a filter of their own, as Name=NAME,Values=VALUE[,VALUE...]; alone: take all that
    /// pass it; repeatable
    #[arg(long, value_name = "FILTER", value_parser = settings::parse_native_filter)]
    filter: Vec<NativeFilter>,

    /// Ask providers anew, whatever they have said before
    #[arg(long)]
    refresh: bool,

    /// Ask providers anew, and keep nothing of what they say
    #[arg(long, conflicts_with = "refresh")]
    no_cache: bool,

    /// Take what providers have said for so long [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    cache_ttl: Option<Duration>,

    /// Run on this machine too, where it is one of the hosts
    #[arg(long)]
    include_self: bool,
}

impl SourceArgs {
    /// Whether a filter narrows, or alone chooses, hosts.
    pub(super) fn filters(&self) -> bool {
        !self.filter.is_empty()
    }

    /// What the flags set, over `layer`.
    pub(super) fn layer(&self, layer: Layer) -> Layer {
        Layer {
            address: (!self.address.is_empty()).then(|| self.address.clone()),
            include_self: self.include_self.then_some(true),
            cache_ttl: self.cache_ttl,
            asking: Asking {
                regions: self.region.clone(),
                profile: self.profile.clone(),
                filters: self.filter.clone(),
                cache: match (self.no_cache, self.refresh) {
                    (true, _) => CacheUse::Off,
                    (false, true) => CacheUse::Refresh,
                    (false, false) => CacheUse::Use,
                },
            },
            ..layer
        }
    }
}
