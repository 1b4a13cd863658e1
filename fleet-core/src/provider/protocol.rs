//! The JSON that providers are asked in and answer in, version 1.
//!
//! Must not know how a provider is run, nor whether it says the truth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// What a provider is asked: one object on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// [`VERSION`].
    pub protocol: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub action: Action,
    /// The provider's name in the settings.
    pub provider: String,
    /// The provider's own settings, as `fleet.toml` and flags have them.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Which hosts there are.
    Describe {
        /// Hosts that match any of these; none means all.
        queries: Vec<Query>,
        /// Filters in the provider's own words, to be obeyed or refused.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        native_filters: Vec<NativeFilter>,
    },
    /// What these hosts printed on their consoles.
    Console {
        /// Ids of hosts.
        ids: Vec<String>,
    },
    /// Whether it could answer.
    Check,
}

/// Filters that must all match.
pub type Query = Vec<Filter>;

/// One property and the values it may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Filter {
    /// `tag:KEY`, `tag-key`, `name`, `id`, `state`, `sg`, `asg`, `vpc`, `subnet`, `az`, `type`, `image`, `cluster`, `group`.
    pub filter: String,
    /// Any of these; `*` and `?` are wildcards.
    pub values: Vec<String>,
}

/// A filter in the provider's own words: `--filter Name=..,Values=..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NativeFilter {
    /// As the provider calls it.
    pub name: String,
    /// Any of these.
    pub values: Vec<String>,
}

/// One host, as its provider tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What tells it from all others, for ever: `i-0abc1234`.
    pub id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `pending`, `running`, `stopping`, `stopped`, `terminated`, ...; none is taken for `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where it is reached.
    #[serde(default)]
    pub addresses: Addresses,
    /// The port of its SSH server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Groups it belongs to besides what tags say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether it is the machine that asks.
    #[serde(default, rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub is_self: bool,
    /// Its host keys as in known_hosts, without a name before them: `ssh-ed25519 AAAA...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<String>,
    /// Whatever else is known: `az`, `vpc`, `type`, `sg`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Fact>,
}

/// The ways to reach a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// IPv4 within its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// IPv4 from everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// Name that resolves within its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_dns: Option<String>,
    /// Name that resolves everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_dns: Option<String>,
}

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}
