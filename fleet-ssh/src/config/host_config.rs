//! What a configuration means for one host: typed, complete, with tokens expanded.
//!
//! Must not know how the lines were found, nor what a connection does with them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use fleet_core::host::Host;

use super::algorithms::AlgorithmList;
use super::value::{AddressFamily, StrictHostKey};
use crate::pattern::matches;

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// By TCP.
    Direct,
    /// Through these hosts, the first one first. Never empty.
    Jump(Vec<Host>),
    /// Over the input and output of this command, which is for the user's shell (ssh(1) puts `exec` before it).
    Command(String),
}

/// Where the private keys to try come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityFiles {
    /// The configuration names them. May be empty: `IdentityFile none`.
    Named(Vec<PathBuf>),
    /// It does not: the usual places, where a missing file is no mistake.
    Default(Vec<PathBuf>),
}

impl IdentityFiles {
    /// The files in the order in which they are tried.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Named(paths) | Self::Default(paths) => paths,
        }
    }
}

/// Whether the server may use our agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardAgent {
    /// It may not.
    No,
    /// The agent that we use ourselves.
    Same,
    /// The agent at this socket; `None` when the variable that should name it is not set.
    Socket(Option<PathBuf>),
}

/// The settings of ssh_config(5) for one host, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The name that the configuration was asked for.
    pub original: String,
    /// The name or address to connect to: `HostName`, in lower case.
    pub host_name: String,
    /// The user to log in as.
    pub user: String,
    /// The port to connect to.
    pub port: u16,
    /// Which addresses of the name are used.
    pub address_family: AddressFamily,
    /// The local address to connect from.
    pub bind_address: Option<String>,
    /// How the server is reached.
    pub proxy: Proxy,
    /// How long connecting may take. Zero asks for no limit, `None` is no word about it.
    pub connect_timeout: Option<Duration>,
    /// How often to try to connect, at least once.
    pub connection_attempts: u32,
    /// Whether TCP looks for dead peers.
    pub tcp_keep_alive: bool,
    /// How long the server may be silent before we ask whether it is there; zero for never, `None` is no word about it.
    pub server_alive_interval: Option<Duration>,
    /// How many of these questions may stay without answer.
    pub server_alive_count_max: u32,
    /// Whether the connection is compressed.
    pub compression: bool,
    /// `Ciphers`; here and below `None` leaves the default list as it is.
    pub ciphers: Option<AlgorithmList>,
    /// `MACs`
    pub macs: Option<AlgorithmList>,
    /// `KexAlgorithms`
    pub kex_algorithms: Option<AlgorithmList>,
    /// `HostKeyAlgorithms`
    pub host_key_algorithms: Option<AlgorithmList>,
    /// `PubkeyAcceptedAlgorithms`
    pub pubkey_accepted_algorithms: Option<AlgorithmList>,
    /// The name to look for in known_hosts instead of the host's own, in lower case.
    pub host_key_alias: Option<String>,
    /// What to do with an unknown host key.
    pub host_key_policy: StrictHostKey,
    /// Whether names are hashed when a key is added to known_hosts.
    pub hash_known_hosts: bool,
    /// The user's known_hosts files; new keys go to the first one. Empty for `none`.
    pub user_known_hosts: Vec<PathBuf>,
    /// The system's known_hosts files. Empty for `none`.
    pub global_known_hosts: Vec<PathBuf>,
    /// A file of host keys that are refused; `None` for none.
    pub revoked_host_keys: Option<PathBuf>,
    /// The private keys to try.
    pub identity_files: IdentityFiles,
    /// Certificates for these keys.
    pub certificate_files: Vec<PathBuf>,
    /// Whether keys that only the agent knows stay unused.
    pub identities_only: bool,
    /// The socket of the agent; `None` when there is none or it shall not be used.
    pub agent: Option<PathBuf>,
    /// Whether the server may use our agent.
    pub forward_agent: ForwardAgent,
    /// The order of authentication methods, by their names on the wire (RFC 4252); `None` for the usual one.
    pub preferred_authentications: Option<Vec<String>>,
    /// Whether keys may be tried.
    pub pubkey_authentication: bool,
    /// Whether a password may be tried.
    pub password_authentication: bool,
    /// Whether questions of the server may be answered.
    pub kbd_interactive_authentication: bool,
    /// Whether nobody may be asked anything.
    pub batch_mode: bool,
    /// Patterns of the names of local variables to send.
    pub send_env: Vec<String>,
    /// Variables to send with their values.
    pub set_env: Vec<(String, String)>,
}

impl HostConfig {
    /// The variables to send, by name, when `local` is our environment. `SetEnv` comes before `SendEnv`.
    #[must_use]
    pub fn environment(&self, local: &HashMap<String, String>) -> Vec<(String, String)> {
        let sent = |name: &str| self.send_env.iter().any(|pattern| matches(name, pattern));
        let set = |name: &str| self.set_env.iter().any(|(set, _)| set == name);
        let variables = local.iter().filter(|(name, _)| sent(name) && !set(name));
        let mut variables: Vec<_> = variables.map(|(name, value)| (name.clone(), value.clone())).collect();
        variables.extend(self.set_env.iter().cloned());
        variables.sort();
        variables
    }
}
