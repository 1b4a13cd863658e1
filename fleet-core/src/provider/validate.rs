//! What is believed of a record: what can do no harm as a host's name, address, port, user or key.
//!
//! A record that cannot be told from others spoils the whole answer. Any other field that is not what it should be is
//! left out with a warning. Tags, names, groups, states and facts may hold any text, also control characters: they are kept
//! as they are, and made harmless where they are shown. Must not know how an answer is come by.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::entries::Entries;
use super::error::Problem;
use super::protocol::{Addresses, Fact, Record};
use crate::host::Host;
use crate::sanitize::sanitized_line;

/// How many hosts an answer may have.
pub(super) const HOST_LIMIT: usize = 1_000_000;
/// How long an id and a user's name may be, in bytes.
const NAME_LIMIT: usize = 255;
/// How long the text of a tag or of any other field may be, in bytes.
const TEXT_LIMIT: usize = 16 << 10;
/// How much of a wrong value is shown, in characters.
const SHOWN: usize = 60;

const ID: &str = "a text that could be a host name, of at most 255 bytes";
const TEXT: &str = "a text of at most 16 KiB";
const TEXTS: &str = "a list of texts";
const FACT: &str = "a text or a list of texts";
const ADDRESS: &str = "an IP address or a host name";
const IPV6: &str = "an IPv6 address";
const PORT: &str = "a number from 1 to 65535";
const USER: &str = "a user name";
const TRUTH: &str = "true or false";
const KEY: &str = "a public key as in known_hosts, without a name: ssh-ed25519 AAAA...";
const OBJECT: &str = "an object";

/// Reads the records of one answer, one after the other.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: Vec<Record>,
    ids: HashSet<String>,
    warnings: Warnings,
}

/// What was left out, equal things once: by field and what was expected there.
#[derive(Debug, Default)]
struct Warnings(BTreeMap<(String, &'static str), Case>);

/// The hosts with the same thing wrong.
#[derive(Debug)]
struct Case {
    first_id: String,
    first_found: String,
    count: usize,
}

impl Records {
    /// Takes the next record.
    ///
    /// # Errors
    /// When it spoils the answer: [`Problem::Id`], [`Problem::RepeatedId`] and [`Problem::TooManyHosts`].
    pub(super) fn push(&mut self, value: Value) -> Result<(), Problem> {
        let number = self.records.len() + 1;
        if number > HOST_LIMIT {
            return Err(Problem::TooManyHosts);
        }
        let Value::Object(mut fields) = value else {
            return Err(Problem::Shape(format!("host {number} is {}; expected an object", shown(&value))));
        };
        let id = match fields.remove("id") {
            Some(Value::String(id)) if is_id(&id) => id,
            other => {
                let found = other.map_or("nothing".to_owned(), |value| shown(&value));
                return Err(Problem::Id { number, found, expected: ID });
            }
        };
        if !self.ids.insert(id.clone()) {
            return Err(Problem::RepeatedId(id));
        }
        self.records.push(Fields { id: &id, fields, warnings: &mut self.warnings }.read());
        Ok(())
    }

    /// The records, and in a line each what was left out of them.
    pub(super) fn finish(self) -> (Vec<Record>, Vec<String>) {
        let warnings = self.warnings.0.into_iter().map(|((field, expected), case)| {
            let hosts = match case.count {
                1 => case.first_id,
                count => format!("{} and {} more", case.first_id, count - 1),
            };
            format!("{hosts}: {field} is left out: found {}; expected {expected}", case.first_found)
        });
        (self.records, warnings.collect())
    }
}

impl Warnings {
    fn add(&mut self, id: &str, field: &str, found: &Value, expected: &'static str) {
        let first = || Case { first_id: id.to_owned(), first_found: shown(found), count: 0 };
        self.0.entry((field.to_owned(), expected)).or_insert_with(first).count += 1;
    }
}

/// The fields of one record that are not read yet.
struct Fields<'a> {
    id: &'a str,
    fields: Map<String, Value>,
    warnings: &'a mut Warnings,
}

impl Fields<'_> {
    fn read(mut self) -> Record {
        Record {
            id: self.id.into(),
            name: self.take("name", TEXT, text).filter(|name| !name.is_empty()),
            state: self.take("state", TEXT, text),
            addresses: self.addresses(),
            port: self.take("port", PORT, port),
            user: self.take("user", USER, user),
            tags: self.entries("tags", TEXT, text),
            groups: self.list("groups", text, TEXT),
            is_self: self.take("self", TRUTH, |value| value.as_bool()).unwrap_or_default(),
            host_keys: self.list("host_keys", host_key, KEY),
            facts: self.entries("facts", FACT, fact),
        }
    }

    /// A field, if it is there and not null.
    fn take<T>(&mut self, name: &str, expected: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        let field = read(&value);
        if field.is_none() {
            self.warnings.add(self.id, name, &value, expected);
        }
        field
    }

    fn addresses(&mut self) -> Addresses {
        let Some(fields) = self.object("addresses") else { return Addresses::default() };
        let mut nested = Fields { id: self.id, fields, warnings: self.warnings };
        Addresses {
            private: nested.take("private", ADDRESS, address),
            public: nested.take("public", ADDRESS, address),
            ipv6: nested.take("ipv6", IPV6, ipv6),
            private_dns: nested.take("private_dns", ADDRESS, address),
            public_dns: nested.take("public_dns", ADDRESS, address),
        }
    }

    /// The entries of an object; those that cannot be used are warned of under the object's name, as keys may be anything.
    fn entries<T>(&mut self, name: &str, expected: &'static str, read: impl Fn(&Value) -> Option<T>) -> Entries<T> {
        let mut entries = Vec::new();
        for (key, value) in self.object(name).unwrap_or_default() {
            match read(&value).filter(|_| key.len() <= TEXT_LIMIT) {
                Some(entry) => entries.push((key.into(), entry)),
                None if value.is_null() => {}
                None => self.warnings.add(self.id, &format!("an entry of {name}"), &value, expected),
            }
        }
        entries.into()
    }

    /// The items of a list that can be used.
    fn list(&mut self, name: &str, read: impl Fn(&Value) -> Option<Arc<str>>, expected: &'static str) -> Vec<Arc<str>> {
        let items = self.take(name, TEXTS, |value| value.as_array().cloned()).unwrap_or_default();
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match read(&item) {
                Some(item) => list.push(item),
                None => self.warnings.add(self.id, &format!("an entry of {name}"), &item, expected),
            }
        }
        list
    }

    fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.fields.remove(name)? {
            Value::Object(object) => Some(object),
            Value::Null => None,
            other => {
                self.warnings.add(self.id, name, &other, OBJECT);
                None
            }
        }
    }
}

/// An id becomes the name of a host, and the name its key is kept under.
fn is_id(id: &str) -> bool {
    id.len() <= NAME_LIMIT && Host::new(id).is_ok()
}

fn text(value: &Value) -> Option<Arc<str>> {
    value.as_str().filter(|text| text.len() <= TEXT_LIMIT).map(Arc::from)
}

fn fact(value: &Value) -> Option<Fact> {
    match value {
        Value::Array(values) => values.iter().map(text).collect::<Option<_>>().map(Fact::Many),
        one => text(one).map(Fact::One),
    }
}

fn port(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok().filter(|port| *port > 0)
}

/// As in `user@host`, and never an option.
fn user(value: &Value) -> Option<Arc<str>> {
    let user = value.as_str().filter(|user| user.len() <= NAME_LIMIT && !user.starts_with('-'))?;
    let host: Host = format!("{user}@host").parse().ok()?;
    (host.user() == Some(user) && host.name() == "host").then(|| user.into())
}

fn address(value: &Value) -> Option<Arc<str>> {
    let text = value.as_str()?;
    match text.parse::<IpAddr>() {
        Ok(address) => (!address.is_unspecified() && !address.is_multicast()).then(|| address.to_string().into()),
        Err(_) => is_dns_name(text).then(|| text.into()),
    }
}

fn ipv6(value: &Value) -> Option<Arc<str>> {
    address(value).filter(|address| address.contains(':'))
}

/// Letters, digits, hyphens and underscores between dots (RFC 1123, with the underscores that people do use). The last part
/// is no number: resolvers would read `10.1` and `2130706433` as addresses.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_number = last.starts_with(|c: char| c.is_ascii_digit())
        && last.trim_start_matches("0x").chars().all(|c| c.is_ascii_hexdigit())
        && (last.starts_with("0x") || last.chars().all(|c| c.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

/// The two words of a public key, without what may stand behind them. Its algorithm is named in the key too (RFC 4253,
/// section 6.6): whether it can be used is seen when it is.
fn host_key(value: &Value) -> Option<Arc<str>> {
    let text = value.as_str().filter(|text| text.len() <= TEXT_LIMIT && !text.contains(char::is_control))?;
    let mut words = text.split(' ');
    let (algorithm, encoded) = (words.next()?, words.next()?);
    let blob = STANDARD.decode(encoded).ok()?;
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let named = rest.get(..length)?;
    (!algorithm.is_empty() && named == algorithm.as_bytes()).then(|| format!("{algorithm} {encoded}").into())
}

/// A value in a message: one harmless, short piece.
pub(super) fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

/// The start of a text, harmless.
pub(super) fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    sanitized_line(&start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHNiCVyWjSMl+0A1Or1FZ3bA2hK8fd0cGOPZvWS9uz1";

    fn read(hosts: Vec<Value>) -> Result<(Vec<Record>, Vec<String>), Problem> {
        let mut records = Records::default();
        hosts.into_iter().try_for_each(|host| records.push(host))?;
        Ok(records.finish())
    }

    #[test]
    fn a_full_record_is_read_whole() {
        let host = json!({
            "id": "i-0abc", "name": "web-1", "state": "running",
            "addresses": {"private": "10.0.0.1", "public": "3.4.5.6", "ipv6": "2001:db8::1",
                          "private_dns": "ip-10-0-0-1.internal", "public_dns": "ec2-3-4-5-6.example.com."},
            "port": 2222, "user": "ubuntu", "tags": {"Role": "web"}, "groups": ["web"], "self": true,
            "host_keys": [ED25519], "facts": {"az": "eu-west-1a", "sg": ["sg-1", "web-sg"]},
        });
        let (records, warnings) = read(vec![host.clone()]).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(serde_json::to_value(&records[0]).unwrap(), host);
    }

    #[test]
    fn unknown_fields_and_null_are_passed_over() {
        let host = json!({"id": "a", "name": null, "port": null, "addresses": null, "tags": null, "rack": 7});
        let (records, warnings) = read(vec![host]).unwrap();
        assert_eq!((records, warnings), (vec![Record { id: "a".into(), ..Record::default() }], vec![]));
    }

    #[test]
    fn a_record_without_a_usable_id_spoils_the_answer() {
        let long = "x".repeat(NAME_LIMIT + 1);
        for id in
            ["", "-oProxyCommand=x", "a b", "a\n", "a\u{1b}[0m", "a;b", "a/b", "*", "a,b", "@a", "[a]", "$(a)", &long]
        {
            let error = read(vec![json!({"id": "a"}), json!({"id": id})]).unwrap_err();
            assert!(matches!(error, Problem::Id { number: 2, .. }), "{id}: {error}");
            assert!(!error.to_string().contains(char::is_control) && error.to_string().len() < 250, "{error:?}");
        }
        for host in [json!({}), json!({"id": 7}), json!({"id": null}), json!("web"), json!([])] {
            assert!(read(vec![host.clone()]).is_err(), "{host}");
        }
        let error = read(vec![json!({"id": "a"}), json!({"id": "b"}), json!({"id": "a"})]).unwrap_err();
        assert_eq!(error.to_string(), "two records of the answer have the id a; expected each id once");
    }

    /// Reads the field of one record; `None` when it was left out, which must be said.
    fn field(path: &str, value: &Value) -> Option<Value> {
        let host = match path.split_once('/') {
            Some((outer, inner)) => json!({"id": "i-1", outer: {inner: value}}),
            None => json!({"id": "i-1", path: value}),
        };
        let (records, warnings) = read(vec![host]).unwrap();
        let record = serde_json::to_value(&records[0]).unwrap();
        let kept = record.pointer(&format!("/{path}")).cloned();
        let said = warnings.iter().any(|warning| warning.starts_with("i-1: ") && warning.contains("expected"));
        assert_eq!(kept.is_none(), said, "{path} {value}: {warnings:?}");
        assert!(!warnings.concat().contains(char::is_control), "{warnings:?}");
        kept
    }

    const NO_ADDRESSES: [&str; 19] = [
        "-oProxyCommand=reboot",
        "a b",
        "a;b",
        "$(x)",
        "",
        ".",
        "a..b",
        "a.-b",
        "10.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "224.0.0.1",
        "::",
        "10.0.0.1:22",
        "[::1]",
        "user@host",
        "b\u{fc}cher.de",
        "a\u{1b}[31m",
    ];

    #[test]
    fn a_broken_field_is_left_out_with_a_warning() {
        let long = "x".repeat(TEXT_LIMIT + 1);
        for (path, good, bad) in [
            (
                "addresses/private",
                vec![
                    json!("10.0.0.1"),
                    json!("2001:db8::5"),
                    json!("web-1.example.com"),
                    json!("a_b"),
                    json!("3com.net"),
                ],
                NO_ADDRESSES.map(Value::from).to_vec(),
            ),
            (
                "addresses/ipv6",
                vec![json!("2001:db8::1")],
                vec![json!("10.0.0.1"), json!("web"), json!("fe80::1%eth0")],
            ),
            ("port", vec![json!(1), json!(65535)], vec![json!(0), json!(65536), json!(-1), json!("22"), json!(22.5)]),
            (
                "user",
                vec![json!("ubuntu"), json!("a@b"), json!("DOM-user.1")],
                vec![
                    json!(""),
                    json!("-l"),
                    json!("a b"),
                    json!("a;b"),
                    json!("$(x)"),
                    json!("a\n"),
                    json!(7),
                    json!("a:b"),
                ],
            ),
            ("self", vec![json!(true)], vec![json!("yes"), json!(1)]),
            ("state", vec![json!("running"), json!("any\u{1b}thing")], vec![json!(7), json!(long)]),
            ("tags/Role", vec![json!("a b,=\u{1b}\u{fc}"), json!("")], vec![json!(7), json!(["x"]), json!(long)]),
            ("facts/sg", vec![json!("a"), json!(["a", "b"])], vec![json!(7), json!([7]), json!({})]),
        ] {
            for value in good {
                assert_eq!(field(path, &value), Some(value), "{path}");
            }
            for value in bad {
                assert_eq!(field(path, &value), None, "{path} {value}");
            }
        }
    }

    #[test]
    fn only_the_words_of_a_host_key_are_kept() {
        let with_comment = format!("{ED25519} root@web\u{fc}");
        for (key, kept) in [
            (ED25519, Some(ED25519)),
            (&with_comment, Some(ED25519)),
            ("ssh-ed25519", None),
            ("ssh-ed25519 AAAA", None),
            ("ssh-ed25519 not-base64", None),
            (&ED25519.replace("ssh-ed25519", "ssh-rsa"), None),
            (&format!("web {ED25519}"), None),
            (&format!("{ED25519}\n@cert-authority * {ED25519}"), None),
            (&format!("{ED25519} \u{1b}"), None),
        ] {
            let (records, warnings) = read(vec![json!({"id": "a", "host_keys": [key]})]).unwrap();
            assert_eq!(records[0].host_keys, Vec::from_iter(kept.map(Arc::from)), "{key}");
            assert_eq!(warnings.len(), usize::from(kept.is_none()), "{key}");
        }
    }

    #[test]
    fn of_a_list_the_good_items_stay() {
        let hosts = vec![json!({"id": "a", "groups": ["web", 7, "db"], "host_keys": "x"})];
        let (records, warnings) = read(hosts).unwrap();
        assert_eq!(records[0].groups, ["web", "db"].map(Arc::from));
        assert_eq!(
            warnings,
            [
                "a: an entry of groups is left out: found 7; expected a text of at most 16 KiB",
                "a: host_keys is left out: found \"x\"; expected a list of texts"
            ]
        );
    }

    #[test]
    fn equal_warnings_are_one() {
        let hosts = (1..=1000).map(|number| json!({"id": format!("i-{number}"), "port": "22"})).collect();
        let (records, warnings) = read(hosts).unwrap();
        assert_eq!(records.len(), 1000);
        assert_eq!(warnings, ["i-1 and 999 more: port is left out: found \"22\"; expected a number from 1 to 65535"]);
    }
}
