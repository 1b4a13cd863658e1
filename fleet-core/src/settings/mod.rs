//! Settings: `fleet.toml`, `FLEET_*` variables and flags, brought together; each value knows where it comes from.
//!
//! Reads files and nothing else: the environment is given as a value, flags as a [`Layer`]. Must not know what the
//! settings are used for.

mod asking;
mod discover;
mod duration;
mod environment;
mod error;
mod file;
mod key;
mod listing;
mod manual;
mod parallel;
mod resolve;
mod share;
mod value;

use std::path::PathBuf;
use std::time::Duration;

pub use asking::{Asking, NativeFilterError, parse_native_filter};
pub use discover::{Discovered, FileState, SettingsFile, discover};
pub use duration::{CommandTimeout, CommandTimeoutError, DurationError, Limit, parse_duration};
pub use environment::{Environment, from_environment, mistyped_variables};
pub use error::SettingsError;
pub use key::{Key, LayerSource, Origin};
pub use listing::Listed;
pub use manual::{Sample, template};
pub use parallel::{Parallel, ParallelError};
pub use share::{Share, ShareError};
pub use value::{HostKeyPolicy, SshConfigFile, StaticSource, UnknownWord};

use crate::endpoint::{AddressChoice, UserRule};
use crate::inventory::GroupDefinition;
use crate::provider::ProviderSettings;

/// What one source sets; `None` where it sets nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Where all of it comes from.
    pub source: LayerSource,
    /// Host files, ready to be opened.
    pub hosts: Option<Vec<PathBuf>>,
    /// Hosts at once.
    pub parallel: Option<Parallel>,
    /// Limit for the command.
    pub timeout: Option<CommandTimeout>,
    /// Limit for each stage before the command.
    pub connect_timeout: Option<Limit>,
    /// Limit for silence.
    pub stall: Option<Limit>,
    /// Time between TERM and KILL.
    pub grace: Option<Duration>,
    /// User to log in as.
    pub user: Option<String>,
    /// Users of some hosts; the first that matches counts.
    pub user_rules: Vec<UserRule>,
    /// OpenSSH configuration file.
    pub ssh_config: Option<SshConfigFile>,
    /// OpenSSH options as `Key=Value`; those of all layers count, the nearest first.
    pub ssh_options: Vec<String>,
    /// Private keys.
    pub identity: Option<Vec<PathBuf>>,
    /// What to do about host keys.
    pub host_key: Option<HostKeyPolicy>,
    /// Whether runs are recorded.
    pub record: Option<bool>,
    /// The hosts of a tool that is told of none, as for `-g`; an empty text is no hosts.
    pub default: Option<String>,
    /// Which host and group files are read.
    pub sources: Option<Vec<StaticSource>>,
    /// Tags whose values are groups.
    pub group_tags: Option<Vec<String>>,
    /// Which address of a host to take, the best first.
    pub address: Option<Vec<AddressChoice>>,
    /// The tag that says a host's address.
    pub address_tag: Option<String>,
    /// The tag that says a host's port.
    pub port_tag: Option<String>,
    /// Whether this machine is one of the hosts.
    pub include_self: Option<bool>,
    /// How long answers of providers are kept.
    pub cache_ttl: Option<Duration>,
    /// Groups; of several with one name the nearest counts.
    pub groups: Vec<GroupDefinition>,
    /// Providers; of several with one name the nearest counts, whole.
    pub providers: Vec<ProviderTable>,
    /// How providers are asked this time, which only flags say.
    pub asking: Asking,
}

/// A `[provider.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderTable {
    /// What is set about it.
    pub settings: ProviderSettings,
    /// Whether it may be asked; otherwise it is not, however it is found.
    pub enabled: bool,
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub origin: Origin,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Host files; none unless set.
    pub hosts: Setting<Vec<PathBuf>>,
    /// Hosts at once.
    pub parallel: Setting<Parallel>,
    /// Limit for the command.
    pub timeout: Setting<CommandTimeout>,
    /// Limit for each stage before the command; `None` is no limit.
    pub connect_timeout: Setting<Option<Duration>>,
    /// Limit for silence; `None` is no limit.
    pub stall: Setting<Option<Duration>>,
    /// Time between TERM and KILL.
    pub grace: Setting<Duration>,
    /// User to log in as; `None` leaves it to the host and to the OpenSSH configuration.
    pub user: Setting<Option<String>>,
    /// Users of some hosts, which come before `user`; the first that matches counts.
    pub user_rules: Vec<Setting<UserRule>>,
    /// OpenSSH configuration file; `None` is ssh's own.
    pub ssh_config: Setting<Option<SshConfigFile>>,
    /// OpenSSH options as `Key=Value`, the nearest first: as in OpenSSH, the first value of a key counts.
    pub ssh_options: Vec<Setting<String>>,
    /// Private keys; `None` leaves them to the OpenSSH configuration.
    pub identity: Setting<Option<Vec<PathBuf>>>,
    /// What to do about host keys; `None` leaves it to the OpenSSH configuration, else strict.
    pub host_key: Setting<Option<HostKeyPolicy>>,
    /// Whether runs are recorded.
    pub record: Setting<bool>,
    /// The hosts of a tool that is told of none, as for `-g`.
    pub default: Setting<Option<String>>,
    /// Which host and group files are read.
    pub sources: Setting<Vec<StaticSource>>,
    /// Tags whose values are groups, the first that a host has.
    pub group_tags: Setting<Vec<String>>,
    /// Which address of a host to take, the best first; never empty.
    pub address: Setting<Vec<AddressChoice>>,
    /// The tag that says a host's address.
    pub address_tag: Setting<String>,
    /// The tag that says a host's port.
    pub port_tag: Setting<String>,
    /// Whether this machine is one of the hosts.
    pub include_self: Setting<bool>,
    /// How long answers of providers are kept; zero is not at all.
    pub cache_ttl: Setting<Duration>,
    /// Groups, each name once.
    pub groups: Vec<GroupDefinition>,
    /// Providers, each name once, with what flags say laid over.
    pub providers: Vec<Setting<ProviderTable>>,
    /// How providers are asked this time.
    pub asking: Asking,
}
