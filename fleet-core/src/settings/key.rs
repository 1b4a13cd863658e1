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
    /// The hosts of a tool that is told of none.
    Default,
    /// Which host and group files are read.
    Sources,
    /// Tags whose values are groups.
    GroupTags,
    /// Which address of a host to take.
    Address,
    /// The tag that says a host's address.
    AddressTag,
    /// The tag that says a host's port.
    PortTag,
    /// Whether this machine is one of the hosts.
    IncludeSelf,
    /// How long answers of providers are kept.
    CacheTtl,
    /// Groups of hosts.
    Groups,
    /// Programs that know hosts.
    Provider,
}

impl Key {
    /// Every key, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::Hosts,
        Self::Default,
        Self::Sources,
        Self::GroupTags,
        Self::Address,
        Self::AddressTag,
        Self::PortTag,
        Self::IncludeSelf,
        Self::CacheTtl,
        Self::Parallel,
        Self::Timeout,
        Self::ConnectTimeout,
        Self::Stall,
        Self::Grace,
        Self::SshConfig,
        Self::SshOptions,
        Self::Identity,
        Self::HostKey,
        Self::Record,
        Self::Groups,
        Self::Provider,
        Self::User,
    ];

    /// The name in `fleet.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// The flag, where there is one.
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        self.names().1
    }

    /// The environment variable, where there is one.
    #[must_use]
    pub fn variable(self) -> Option<&'static str> {
        self.names().2
    }

    fn names(self) -> (&'static str, Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Hosts => ("hosts", Some("--hosts"), Some("FLEET_HOSTS")),
            Self::Default => ("default", None, Some("FLEET_DEFAULT")),
            Self::Sources => ("sources", None, Some("FLEET_SOURCES")),
            Self::GroupTags => ("group_tags", None, Some("FLEET_GROUP_TAGS")),
            Self::Address => ("address", Some("--address"), Some("FLEET_ADDRESS")),
            Self::AddressTag => ("address_tag", None, None),
            Self::PortTag => ("port_tag", None, None),
            Self::IncludeSelf => ("include_self", Some("--include-self"), Some("FLEET_INCLUDE_SELF")),
            Self::CacheTtl => ("cache_ttl", Some("--cache-ttl"), Some("FLEET_CACHE_TTL")),
            Self::Parallel => ("parallel", Some("--parallel"), Some("FLEET_PARALLEL")),
            Self::Timeout => ("timeout", Some("--timeout"), Some("FLEET_TIMEOUT")),
            Self::ConnectTimeout => ("connect_timeout", Some("--connect-timeout"), Some("FLEET_CONNECT_TIMEOUT")),
            Self::Stall => ("stall", Some("--stall"), Some("FLEET_STALL")),
            Self::Grace => ("grace", Some("--grace"), Some("FLEET_GRACE")),
            Self::SshConfig => ("ssh_config", Some("-F"), Some("FLEET_SSH_CONFIG")),
            Self::SshOptions => ("ssh_options", Some("-O"), None),
            Self::Identity => ("identity", Some("--identity"), None),
            Self::HostKey => ("host_key", Some("--host-key"), Some("FLEET_HOST_KEY")),
            Self::Record => ("record", Some("--no-record"), Some("FLEET_RECORD")),
            Self::Groups => ("groups", None, None),
            Self::Provider => ("provider", None, None),
            Self::User => ("user", Some("--user"), Some("FLEET_USER")),
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

impl Origin {
    /// The flag, the variable or the file alone, without the key: `--parallel`, `FLEET_PARALLEL`, `fleet.toml`,
    /// `default`.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Layer(LayerSource::File(path), _) => path.display().to_string(),
            Self::Layer(..) | Self::Default => self.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |key: &Key| key.flag().unwrap_or(key.name());
        match self {
            Self::Layer(LayerSource::Flags, key) => f.write_str(flag(key)),
            Self::Layer(LayerSource::Environment, key) => f.write_str(key.variable().unwrap_or(key.name())),
            Self::Layer(LayerSource::Run(id), key) => write!(f, "run {id}: {}", flag(key)),
            Self::Layer(LayerSource::File(path), key) => write!(f, "{}: {}", path.display(), key.name()),
            Self::Default => f.write_str("default"),
        }
    }
}
