//! What can be set, and where a value comes from.
//!
//! Must not know the values.

use std::fmt;
use std::path::PathBuf;

/// What can be set, with its three names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Host files.
    Hosts,
    /// Hosts at once.
    Parallel,
    /// Limit for the command.
    Timeout,
    /// Limit for each stage before the command.
    ConnectTimeout,
    /// Limit for silence.
    Stall,
    /// Time between TERM and KILL.
    Grace,
    /// User to log in as.
    User,
    /// OpenSSH configuration file.
    SshConfig,
    /// OpenSSH options.
    SshOptions,
    /// Private keys.
    Identity,
    /// What to do about host keys.
    HostKey,
    /// Whether runs are recorded.
    Record,
    /// Groups of hosts.
    Groups,
}

impl Key {
    /// Every key, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Hosts,
        Self::Parallel,
        Self::Timeout,
        Self::ConnectTimeout,
        Self::Stall,
        Self::Grace,
        Self::User,
        Self::SshConfig,
        Self::SshOptions,
        Self::Identity,
        Self::HostKey,
        Self::Record,
        Self::Groups,
    ];

    /// The name in `fleet.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// The flag.
    #[must_use]
    pub fn flag(self) -> &'static str {
        self.names().1
    }

    /// The environment variable, where there is one.
    #[must_use]
    pub fn variable(self) -> Option<&'static str> {
        self.names().2
    }

    fn names(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Hosts => ("hosts", "--hosts", Some("FLEET_HOSTS")),
            Self::Parallel => ("parallel", "--parallel", Some("FLEET_PARALLEL")),
            Self::Timeout => ("timeout", "--timeout", Some("FLEET_TIMEOUT")),
            Self::ConnectTimeout => ("connect_timeout", "--connect-timeout", Some("FLEET_CONNECT_TIMEOUT")),
            Self::Stall => ("stall", "--stall", Some("FLEET_STALL")),
            Self::Grace => ("grace", "--grace", Some("FLEET_GRACE")),
            Self::User => ("user", "--user", Some("FLEET_USER")),
            Self::SshConfig => ("ssh_config", "-F", Some("FLEET_SSH_CONFIG")),
            Self::SshOptions => ("ssh_options", "-O", None),
            Self::Identity => ("identity", "--identity", None),
            Self::HostKey => ("host_key", "--host-key", Some("FLEET_HOST_KEY")),
            Self::Record => ("record", "--no-record", Some("FLEET_RECORD")),
            Self::Groups => ("groups", "--group", None),
        }
    }
}

/// Where the values of a layer come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LayerSource {
    /// The command line.
    #[default]
    Flags,
    /// `FLEET_*` variables.
    Environment,
    /// The command line of a former run, named by its id.
    Run(String),
    /// A `fleet.toml`.
    File(PathBuf),
}

/// Where a value comes from; displays as `--parallel`, `FLEET_PARALLEL`, `fleet.toml: parallel` or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A layer, by this key.
    Layer(LayerSource, Key),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(LayerSource::Flags, key) => f.write_str(key.flag()),
            Self::Layer(LayerSource::Environment, key) => f.write_str(key.variable().unwrap_or(key.name())),
            Self::Layer(LayerSource::Run(id), key) => write!(f, "run {id}: {}", key.flag()),
            Self::Layer(LayerSource::File(path), key) => write!(f, "{}: {}", path.display(), key.name()),
            Self::Default => f.write_str("default"),
        }
    }
}
