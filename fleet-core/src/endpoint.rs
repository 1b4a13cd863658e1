//! Where a host is reached, when its name does not say it: what an inventory or a provider knows.
//!
//! Must not know who knew it, nor how a connection is made.

mod address;
mod whereabouts;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::address::{AddressChoice, AddressChoiceError};
pub use self::whereabouts::{Finding, Whereabouts};
use crate::host::Host;

/// What stands behind a host's name.
///
/// Flags, and what is typed with the host, come before it; the OpenSSH configuration comes behind it, but for its
/// `HostKeyAlias`. Patterns of `Host` match the name or the address. It is written into journals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Name or address to connect to; `None` is the host's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Arc<str>>,
    /// Port; `None` is that of SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// User to log in as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The name its key is kept under, where addresses are reused: the id of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_key_alias: Option<Arc<str>>,
}

/// What tells a host of a provider from all others, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The id that it has there.
    pub id: Arc<str>,
}

/// Who logs in on the hosts that match: a `[[user]]` of `fleet.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRule {
    /// A query or a glob, as it was written: `tag:os=ubuntu`, `web*`.
    pub pattern: String,
    /// The user.
    pub user: String,
}

/// The endpoints of a run's hosts; a host without one is reached by its name.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(HashMap<Host, Endpoint>);

impl Endpoints {
    /// What is known of `host`.
    #[must_use]
    pub fn get(&self, host: &Host) -> Option<&Endpoint> {
        self.0.get(host)
    }

    /// What is known of a jump host: of exactly this one, else of the one whose name it is.
    #[must_use]
    pub fn of_jump_host(&self, host: &Host) -> Option<&Endpoint> {
        self.get(host).or_else(|| self.0.get(&host.clone().with_user(None).with_port(None)))
    }
}

impl FromIterator<(Host, Endpoint)> for Endpoints {
    fn from_iter<I: IntoIterator<Item = (Host, Endpoint)>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().collect())
    }
}
