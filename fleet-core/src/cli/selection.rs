//! The flags that choose hosts.
//!
//! Must not contact any host.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::asking::{self, Asked};
use super::{CloudHosts, Failure, StdinUse, recalling};
use crate::endpoint::AddressChoice;
use crate::inventory::{self, Discovered, FileSource, HostFile, Inventory, Places};
use crate::provider::CacheUse;
use crate::provider::protocol::NativeFilter;
use crate::select::{FormerHosts, OwnMachine, ParsedSelection, SelectError, Selected, Selection};
use crate::settings::{self, Asking, Layer, Settings, StaticSource};
use crate::ssh::config::SshConfig;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// Run on HOST: [user@]host[:port], ranges web[01-20], comma lists; repeatable
    #[arg(short = 'H', long = "host", value_name = "HOST", allow_hyphen_values = true)]
    hosts: Vec<String>,

    /// Run on the hosts of FILE (- is standard input), or with -g on its groups; repeatable
    #[arg(short = 'h', long = "hosts", value_name = "FILE")]
    host_files: Vec<PathBuf>,

    /// Run on the group NAME, or on the known hosts that match a pattern; repeatable
    #[arg(short = 'g', long = "group", value_name = "NAME", visible_alias = "host-glob")]
    groups: Vec<String>,

    /// Leave out hosts, patterns or @groups; repeatable
    #[arg(short = 'x', long, value_name = "HOSTS", allow_hyphen_values = true)]
    exclude: Vec<String>,

    /// Take only the first N hosts
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Print the chosen hosts and where each comes from (with --json as objects), and stop
    #[arg(long)]
    pub(super) list: bool,

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

impl SelectionArgs {
    /// Whether any host was asked for.
    pub(super) fn chooses(&self) -> bool {
        self.names_hosts() || !self.exclude.is_empty() || !self.filter.is_empty()
    }

    /// Whether any host is named that others are left out of.
    fn names_hosts(&self) -> bool {
        !(self.hosts.is_empty() && self.host_files.is_empty() && self.groups.is_empty())
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

    /// The hosts that the flags choose out of the known ones, or out of those of a former run. Without either, the
    /// default ones, which is said. With those of them that providers told of.
    pub(super) fn select(
        &self,
        program: &str,
        settings: &Settings,
        stdin: StdinUse,
        former: Option<FormerHosts>,
    ) -> Result<Chosen, Failure> {
        let by_filter = !self.filter.is_empty() && !self.names_hosts() && former.is_none();
        let by_default = !by_filter && !self.names_hosts() && former.is_none();
        let default = settings.default.value.as_ref().filter(|_| by_default);
        if let Some(expression) = default {
            let place = settings.default.origin.place();
            let _ = writeln!(io::stderr(), "{program}: no hosts named: taking default = {expression:?} ({place})");
        }
        let files: Vec<HostFile> =
            self.host_files.iter().map(|path| read_host_file(path, stdin)).collect::<Result<_, _>>()?;
        let selection = Selection {
            hosts: self.hosts.clone(),
            files: files.clone(),
            groups: default.map_or_else(|| self.groups.clone(), |expression| vec![expression.clone()]),
            exclude: self.exclude.clone(),
            limit: self.limit,
            filters: settings.asking.filters.clone(),
            filtered: if by_filter { asking::filtering(settings)? } else { Vec::new() },
            own_machine: if settings.include_self.value { OwnMachine::Included } else { OwnMachine::LeftOut },
            former: former.clone(),
        };
        let selection = selection.parse()?;
        let mut inventory = inventory(program, settings, files)?;
        inventory.remarks().iter().for_each(|remark| tracing::info!("{remark}"));
        choose(program, settings, &selection, former.as_ref(), &mut inventory)
    }
}

/// The chosen hosts, and what was read to choose them.
pub(super) struct Chosen {
    pub(super) selected: Selected,
    pub(super) cloud_hosts: CloudHosts,
    pub(super) ssh_config: Option<SshConfig>,
}

fn choose(
    program: &str,
    settings: &Settings,
    selection: &ParsedSelection,
    former: Option<&FormerHosts>,
    inventory: &mut Inventory,
) -> Result<Chosen, Failure> {
    let recalled = former.map(|former| recalling::recall(program, settings, former, inventory)).transpose()?;
    let Asked { told, ssh_config } = asking::ask(program, settings, &selection.wanted(inventory), inventory)?;
    if let Some(former) = former {
        recalling::reach(program, settings, former, inventory);
    }
    inventory.apply_user_rules(settings.user_rules.iter().map(|rule| &rule.value));
    let selected =
        selection.select(inventory).map_err(|error| better(error, program, settings, selection, inventory))?;
    let told = recalled.into_iter().flatten().chain(told).collect();
    Ok(Chosen { cloud_hosts: CloudHosts::new(told, &selected.hosts, settings), selected, ssh_config })
}

/// The error in the words of somebody who knows all hosts of all providers.
fn better(
    error: SelectError,
    program: &str,
    settings: &Settings,
    selection: &ParsedSelection,
    inventory: &mut Inventory,
) -> SelectError {
    if error.is_unanswered() && !selection.wanted(inventory).is_empty() {
        asking::look_around(program, settings, inventory);
    }
    let better = selection.select(inventory).err().filter(SelectError::is_unanswered).unwrap_or(error);
    if better.is_unknown_group() {
        // What was left out may be what is missing.
        say(program, inventory.remarks());
    }
    better
}

/// What files tell: the host files that were typed, or those of the settings, and those of other tools. Says which hosts of
/// host files are left out.
fn inventory(program: &str, settings: &Settings, typed: Vec<HostFile>) -> Result<Inventory, Failure> {
    let mut files = typed;
    if files.is_empty() && settings.sources.value.contains(&StaticSource::Hosts) {
        for path in &settings.hosts.value {
            files.push(inventory::file::read(path)?);
        }
    }
    say(program, files.iter().flat_map(|file| &file.remarks));
    let found = discover(settings)?;
    let inventory = Inventory::merge(&files, &found.sources, &settings.groups)?;
    Ok(inventory.with_remarks(found.remarks).with_group_tags(settings.group_tags.value.clone()))
}

/// The groups in files of other tools.
fn discover(settings: &Settings) -> Result<Discovered, Failure> {
    let kind = |source: &StaticSource| match source {
        StaticSource::Hosts => None,
        StaticSource::ClusterShell => Some(FileSource::ClusterShell),
        StaticSource::Genders => Some(FileSource::Genders),
    };
    let wanted: Vec<FileSource> = settings.sources.value.iter().filter_map(kind).collect();
    let found = inventory::discover(&wanted, &Places::of(|name| std::env::var_os(name)));
    found.map_err(|error| Failure::from(error).hint("FLEET_SOURCES=hosts leaves the groups of other tools unread"))
}

fn say<'a>(program: &str, remarks: impl IntoIterator<Item = &'a String>) {
    for remark in remarks {
        let _ = writeln!(io::stderr(), "{program}: {remark}");
    }
}

fn read_host_file(path: &Path, stdin: StdinUse) -> Result<HostFile, Failure> {
    if path.as_os_str() != "-" {
        return Ok(inventory::file::read(path)?);
    }
    if let StdinUse::Taken(flag) = stdin {
        return Err(Failure::usage_text(format!("-h - and {flag} both want standard input"))
            .hint("write the host list to a file"));
    }
    let mut bytes = Vec::new();
    if io::stdin().is_terminal() {
        tracing::warn!("reading the host list from the terminal: end it with Ctrl-D");
    }
    io::stdin().read_to_end(&mut bytes).map_err(|error| Failure::usage(&error))?;
    Ok(inventory::file::parse(&bytes, Path::new("standard input"))?)
}
