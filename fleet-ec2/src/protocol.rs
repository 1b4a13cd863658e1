//! Version 1 of the provider protocol, as far as this provider speaks it; `docs/provider.md` describes it whole.
//!
//! Must not know AWS.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::settings::Settings;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// All that can be asked.
pub(crate) const ACTIONS: [&str; 5] = ["describe", "console", "check", "upload", "discard"];

/// What is read of a request before anything else of it is believed.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) protocol: u32,
    pub(crate) action: String,
}

/// Which hosts there are.
#[derive(Debug, Deserialize)]
pub(crate) struct Describe {
    #[serde(default)]
    pub(crate) settings: Settings,
    /// A union of conjunctions; none means all hosts that run.
    #[serde(default)]
    pub(crate) queries: Vec<Vec<Filter>>,
    /// EC2's own filters, which hold for every conjunction.
    #[serde(default)]
    pub(crate) native_filters: Vec<NativeFilter>,
}

/// What some hosts printed while they booted.
#[derive(Debug, Deserialize)]
pub(crate) struct Console {
    #[serde(default)]
    pub(crate) settings: Settings,
    pub(crate) ids: Vec<String>,
}

/// Whether credentials and regions work.
#[derive(Debug, Deserialize)]
pub(crate) struct Check {
    #[serde(default)]
    pub(crate) settings: Settings,
}

/// A file to be kept as an object.
#[derive(Debug, Deserialize)]
pub(crate) struct Upload {
    #[serde(default)]
    pub(crate) settings: Settings,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// On this machine.
    pub(crate) path: String,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// For how long the URL is to hold.
    pub(crate) expires_seconds: u64,
}

/// Objects to be removed.
#[derive(Debug, Deserialize)]
pub(crate) struct Discard {
    #[serde(default)]
    pub(crate) settings: Settings,
    pub(crate) bucket: String,
    pub(crate) keys: Vec<String>,
}

/// A condition in fleet's words: one of the values, in which `*` and `?` are wildcards.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Filter {
    pub(crate) filter: String,
    pub(crate) values: Vec<String>,
}

/// A filter of EC2, passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NativeFilter {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

/// The answer to a request, ready to be serialised.
#[derive(Debug, Serialize)]
pub struct Answer {
    protocol: u32,
    #[serde(flatten)]
    body: Body,
}

impl From<Body> for Answer {
    fn from(body: Body) -> Self {
        Self { protocol: VERSION, body }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Body {
    Hosts {
        hosts: Vec<Host>,
        warnings: Vec<String>,
        /// The variables, with wildcards, without whose values the answer must not be used again.
        environment: [&'static str; 2],
    },
    Consoles {
        consoles: Vec<ConsoleText>,
        warnings: Vec<String>,
    },
    Checked {
        ok: String,
        actions: [&'static str; 5],
    },
    Uploaded {
        uploaded: Uploaded,
    },
    Discarded {
        discarded: Vec<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    Error {
        error: Failure,
    },
}

/// One instance.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Host {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    pub(crate) addresses: Addresses,
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether this program runs on it.
    #[serde(rename = "self")]
    pub(crate) is_self: bool,
    pub(crate) facts: BTreeMap<&'static str, Fact>,
}

/// How an instance is reached.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_dns: Option<String>,
}

/// Something known about a host.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Fact {
    One(String),
    Many(Vec<String>),
}

/// An object and who may fetch it: whoever has the URL.
#[derive(Serialize)]
pub(crate) struct Uploaded {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) size: u64,
}

impl fmt::Debug for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, key, size } = self;
        f.debug_struct("Uploaded").field("key", key).field("size", size).finish_non_exhaustive()
    }
}

/// What one host printed.
#[derive(Debug, Serialize)]
pub(crate) struct ConsoleText {
    pub(crate) id: String,
    pub(crate) text: String,
}
