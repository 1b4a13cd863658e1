//! The flags about connections.
//!
//! Must not know which hosts are chosen.

use std::path::PathBuf;

use clap::Args;

use super::Password;
use fleet_core::settings::{HostKeyPolicy, Layer, Limit, SshConfigFile};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// Log in as USER, unless the host is named with a user
    #[arg(short = 'l', long, value_name = "USER")]
    user: Option<String>,

    /// Read this OpenSSH configuration instead of ssh's own; "none" for none
    #[arg(short = 'F', long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,

    /// Set an option of ssh_config(5), as Key=Value; repeatable
    #[arg(short = 'O', long = "option", value_name = "OPTION")]
    options: Vec<String>,

    /// Offer this private key and no other; repeatable
    #[arg(long, value_name = "KEY")]
    identity: Vec<PathBuf>,

    /// Ask once for a password to log in with
    #[arg(short = 'A', long)]
    askpass: bool,

    /// What to do about unknown host keys: strict, accept-new or off
    #[arg(long, value_name = "POLICY")]
    host_key: Option<HostKeyPolicy>,

    /// Longest time for each stage of connecting [default: 10s]
    #[arg(long, value_name = "TIME")]
    connect_timeout: Option<Limit>,
}

impl ConnectionArgs {
    /// What the flags set, over `layer`.
    pub(super) fn layer(&self, layer: Layer) -> Layer {
        let Self { user, ssh_config, options, identity, askpass: _, host_key, connect_timeout } = self.clone();
        Layer {
            user,
            ssh_config: ssh_config.map(SshConfigFile::from),
            ssh_options: options,
            identity: (!identity.is_empty()).then_some(identity),
            host_key,
            connect_timeout,
            ..layer
        }
    }

    pub(super) fn password(&self) -> Password {
        if self.askpass { Password::Ask } else { Password::None }
    }
}
