//! Settings: `fleet.toml`, `FLEET_*` variables and flags, brought together; each value knows where it comes from.
//!
//! Reads files and nothing else: the environment is given as a value, flags as a [`Layer`]. Must not know what the
//! settings are used for.

mod discover;
mod duration;
mod environment;
mod error;
mod file;
mod key;
mod resolve;
mod share;
mod value;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use discover::discover;
pub use duration::{CommandTimeout, CommandTimeoutError, DurationError, Limit, parse_duration};
pub use environment::{Environment, from_environment, mistyped_variables};
pub use error::SettingsError;
pub use key::{Key, LayerSource, Origin};
pub use share::{Share, ShareError};
pub use value::{HostKeyPolicy, SshConfigFile, UnknownWord};

use crate::inventory::GroupDefinition;

/// What one source sets; `None` where it sets nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Where all of it comes from.
    pub source: LayerSource,
    /// Host files, ready to be opened.
    pub hosts: Option<Vec<PathBuf>>,
    /// Hosts at once; 0 is refused by [`Settings::resolve`].
    pub parallel: Option<usize>,
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
    /// Groups; of several with one name the nearest counts.
    pub groups: Vec<GroupDefinition>,
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
    pub parallel: Setting<NonZeroUsize>,
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
    /// Groups, each name once.
    pub groups: Vec<GroupDefinition>,
}
