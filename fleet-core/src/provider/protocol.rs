//! The JSON that providers are asked in and answer in, version 1.
//!
//! Must not know how a provider is run, nor whether it says the truth.

use std::fmt;
use std::slice;
use std::sync::Arc;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::entries::Entries;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// What a provider is asked: one object on its standard input, in one line without blanks, with the members in this order,
/// so that a shell script can tell `{"protocol":1,"action":"describe",` from everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Which hosts there are.
    Describe {
        /// Hosts that match any of these; none means all.
        queries: Vec<Query>,
        /// Filters in the provider's own words, to be obeyed or refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        native_filters: Vec<NativeFilter>,
    },
    /// What these hosts printed on their consoles.
    Console {
        /// Ids of hosts.
        ids: Vec<String>,
    },
    /// Whether it could answer.
    Check,
    /// To keep a file as an object that whoever has its URL can fetch.
    Upload {
        /// Where to keep it.
        bucket: String,
        /// The name of the object.
        key: String,
        /// The file, on this machine.
        path: String,
        /// The SHA-256 of what is in it, in hexadecimal.
        sha256: String,
        /// For how long the URL is to hold.
        expires_seconds: u64,
    },
    /// To remove objects, and what there is of those whose upload was ended in the middle.
    Discard {
        /// Where they are.
        bucket: String,
        /// Their names.
        keys: Vec<String>,
    },
}

/// What a provider answers: one object on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// [`VERSION`].
    pub protocol: u32,
    /// What was asked for, or why not.
    #[serde(flatten)]
    pub reply: Reply,
}

/// One answer for each [`Action`], and one for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To [`Action::Describe`].
    Hosts {
        /// In any order.
        hosts: Vec<Record>,
        /// What people should know although there is an answer.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// Names of the environment variables that the answer depends on, with `*` and `?`: under other values of theirs a
        /// cached answer is not used.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        environment: Vec<String>,
    },
    /// To [`Action::Console`].
    Consoles {
        /// Of the hosts that have printed something.
        consoles: Vec<Console>,
    },
    /// To [`Action::Check`].
    Ok {
        /// One line about who and where: `account 123, eu-west-1`.
        ok: String,
        /// The actions that it can do; empty where it does not say.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        actions: Vec<String>,
    },
    /// To [`Action::Upload`].
    Uploaded {
        /// The object.
        uploaded: Uploaded,
    },
    /// To [`Action::Discard`].
    Discarded {
        /// The names of the objects that are not there any more.
        discarded: Vec<String>,
        /// What may be left of uploads that were ended in the middle.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// To any action.
    Error {
        /// What is wrong.
        error: ErrorReply,
    },
}

/// What a host printed on its console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The host's id.
    pub id: String,
    /// Its text, with whatever it holds.
    pub text: String,
}

/// A file that is kept as an object.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Whoever has it can fetch the object: a secret.
    pub url: String,
    /// The name of the object.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

impl fmt::Debug for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, key, size } = self;
        f.debug_struct("Uploaded").field("key", key).field("size", size).finish_non_exhaustive()
    }
}

/// Why a provider does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// One of [`ERROR_CODES`].
    pub code: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What can be wrong.
pub const ERROR_CODES: [&str; 10] = [
    "no-credentials",
    "no-region",
    "expired",
    "clock-skew",
    "unauthorized",
    "throttled",
    "unreachable",
    "bad-request",
    "unsupported",
    "internal",
];

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { protocol: VERSION, reply }
    }
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

impl fmt::Display for NativeFilter {
    /// As it may be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed =
            |value: &String| match value.is_empty() || value.contains([',', '"', '\'', '[']) || value.ends_with(' ') {
                true => format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"")),
                false => value.clone(),
            };
        write!(f, "Name={},Values={}", self.name, self.values.iter().map(typed).collect::<Vec<_>>().join(","))
    }
}

/// One host, as its provider tells of it. Its texts are shared, as those of many hosts are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What tells it from all others, for ever: `i-0abc1234`.
    pub id: Arc<str>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// `pending`, `running`, `stopping`, `stopped`, `terminated`, ...; none is taken for `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
    /// Where it is reached.
    #[serde(default)]
    pub addresses: Addresses,
    /// The port of its SSH server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Entries::is_empty")]
    pub tags: Entries<Arc<str>>,
    /// Groups it belongs to besides what tags say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Arc<str>>,
    /// Whether it is the machine that asks.
    #[serde(default, rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub is_self: bool,
    /// Its host keys as in known_hosts, without a name before them: `ssh-ed25519 AAAA...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<Arc<str>>,
    /// Whatever else is known: `az`, `vpc`, `type`, `sg`, ...
    #[serde(default, skip_serializing_if = "Entries::is_empty")]
    pub facts: Entries<Fact>,
}

/// The ways to reach a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// IPv4 within its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Arc<str>>,
    /// IPv4 from everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Arc<str>>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Arc<str>>,
    /// Name that resolves within its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_dns: Option<Arc<str>>,
    /// Name that resolves everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_dns: Option<Arc<str>>,
}

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// One.
    One(Arc<str>),
    /// Several.
    Many(Vec<Arc<str>>),
}

impl Fact {
    /// The value, or each of the values.
    #[must_use]
    pub fn texts(&self) -> &[Arc<str>] {
        match self {
            Self::One(value) => slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// By hand, as a derived one reads each value twice.
impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FactVisitor)
    }
}

struct FactVisitor;

impl<'de> Visitor<'de> for FactVisitor {
    type Value = Fact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Fact, E> {
        Ok(Fact::One(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Fact, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(values)).map(Fact::Many)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_begins_with_protocol_and_action_and_has_no_blanks() {
        let filter = Filter { filter: "tag:Role".to_owned(), values: vec!["web".to_owned()] };
        let native = NativeFilter { name: "n".to_owned(), values: vec!["v".to_owned()] };
        for (action, expected) in [
            (
                Action::Describe { queries: vec![vec![filter]], native_filters: vec![] },
                r#"{"protocol":1,"action":"describe","queries":[[{"filter":"tag:Role","values":["web"]}]],"provider":"ec2","settings":{"a":1}}"#,
            ),
            (
                Action::Describe { queries: vec![], native_filters: vec![native] },
                r#"{"protocol":1,"action":"describe","queries":[],"native_filters":[{"name":"n","values":["v"]}],"provider":"ec2","settings":{"a":1}}"#,
            ),
            (
                Action::Console { ids: vec!["i-1".to_owned()] },
                r#"{"protocol":1,"action":"console","ids":["i-1"],"provider":"ec2","settings":{"a":1}}"#,
            ),
            (Action::Check, r#"{"protocol":1,"action":"check","provider":"ec2","settings":{"a":1}}"#),
            (
                Action::Upload {
                    bucket: "b".to_owned(),
                    key: "k".to_owned(),
                    path: "/f".to_owned(),
                    sha256: "00".to_owned(),
                    expires_seconds: 60,
                },
                r#"{"protocol":1,"action":"upload","bucket":"b","key":"k","path":"/f","sha256":"00","expires_seconds":60,"provider":"ec2","settings":{"a":1}}"#,
            ),
            (
                Action::Discard { bucket: "b".to_owned(), keys: vec!["k".to_owned()] },
                r#"{"protocol":1,"action":"discard","bucket":"b","keys":["k"],"provider":"ec2","settings":{"a":1}}"#,
            ),
        ] {
            let settings = json!({"a": 1}).as_object().cloned().unwrap_or_default();
            let request = Request { protocol: VERSION, action, provider: "ec2".to_owned(), settings };
            assert_eq!(serde_json::to_string(&request).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Request>(expected).unwrap(), request);
        }
    }

    #[test]
    fn a_fact_is_a_text_or_a_list_of_texts() {
        for (text, fact) in [
            (r#""a\u001bb""#, Some(Fact::One("a\u{1b}b".into()))),
            (r#"["a","b"]"#, Some(Fact::Many(vec!["a".into(), "b".into()]))),
            ("[]", Some(Fact::Many(Vec::new()))),
            ("7", None),
            ("[7]", None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str(text).ok(), fact, "{text}");
        }
    }

    #[test]
    fn a_url_that_lets_in_whoever_has_it_is_not_printed() {
        let uploaded = Uploaded { url: "https://b/k?signature".to_owned(), key: "k".to_owned(), size: 1 };
        assert!(!format!("{uploaded:?}").contains("signature"));
    }

    #[test]
    fn each_reply_is_told_by_its_member() {
        let error = ErrorReply { code: "expired".to_owned(), message: "m".to_owned(), hint: None };
        for (reply, expected) in [
            (Reply::Hosts { hosts: vec![], warnings: vec![], environment: vec![] }, r#"{"protocol":1,"hosts":[]}"#),
            (Reply::Consoles { consoles: vec![] }, r#"{"protocol":1,"consoles":[]}"#),
            (Reply::Ok { ok: "fine".to_owned(), actions: vec![] }, r#"{"protocol":1,"ok":"fine"}"#),
            (
                Reply::Uploaded { uploaded: Uploaded { url: "u".to_owned(), key: "k".to_owned(), size: 1 } },
                r#"{"protocol":1,"uploaded":{"url":"u","key":"k","size":1}}"#,
            ),
            (Reply::Discarded { discarded: vec![], warnings: vec![] }, r#"{"protocol":1,"discarded":[]}"#),
            (Reply::Error { error }, r#"{"protocol":1,"error":{"code":"expired","message":"m"}}"#),
        ] {
            assert_eq!(serde_json::to_string(&Answer::from(reply)).unwrap(), expected);
        }
    }
}
