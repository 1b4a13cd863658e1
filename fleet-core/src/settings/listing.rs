//! Settings as a list of keys and values, each written as in `fleet.toml`.
//!
//! Must not know where the list is shown.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{CommandTimeout, Key, Origin, ProviderTable, Setting, Settings, SshConfigFile};
use crate::endpoint::UserRule;
use crate::inventory::GroupDefinition;

/// What stands for a value that may be secret.
const HIDDEN: &str = "(hidden)";
/// Parts of the names of values that may be secret.
const SECRET: [&str; 6] = ["secret", "token", "passw", "passphrase", "credential", "key"];

/// One value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key: `parallel`, `groups.web`, `provider.ec2`.
    pub key: String,
    /// What `fleet.toml` would say for it; `null` where nothing is set.
    pub value: Value,
    /// The file, the variable or the flag that says it, or `default`.
    pub origin: String,
}

impl Listed {
    /// The value as `fleet.toml` would have it, in one line; `-` where nothing is set.
    #[must_use]
    pub fn toml(&self) -> String {
        toml(&self.value)
    }
}

impl Settings {
    /// Every value in force, in the order of [`Key::ALL`]. A key of which several values count is there for each.
    /// What a provider is told under a name that may be a secret's is not shown.
    #[must_use]
    pub fn listing(&self) -> Vec<Listed> {
        Key::ALL.into_iter().flat_map(|key| self.listed(key)).collect()
    }

    fn listed(&self, key: Key) -> Vec<Listed> {
        match key {
            Key::Hosts => one(key, &self.hosts, |files| paths(files)),
            Key::Default => one(key, &self.default, |default| json!(default)),
            Key::Sources => one(key, &self.sources, |sources| sources.iter().map(|source| source.name()).collect()),
            Key::GroupTags => one(key, &self.group_tags, |tags| json!(tags)),
            Key::Address => one(key, &self.address, |choices| choices.iter().map(ToString::to_string).collect()),
            Key::AddressTag => one(key, &self.address_tag, |tag| json!(tag)),
            Key::PortTag => one(key, &self.port_tag, |tag| json!(tag)),
            Key::IncludeSelf => one(key, &self.include_self, |choice| json!(choice)),
            Key::CacheTtl => one(key, &self.cache_ttl, |ttl| duration(*ttl)),
            Key::Parallel => one(key, &self.parallel, |parallel| number_or_word(&parallel.to_string())),
            Key::Timeout => one(key, &self.timeout, |timeout| match timeout {
                CommandTimeout::None => json!("none"),
                CommandTimeout::After(limit) => duration(*limit),
                CommandTimeout::OfMedian(percent) => json!(format!("{percent}%")),
            }),
            Key::ConnectTimeout => one(key, &self.connect_timeout, |time| limit(*time)),
            Key::Stall => one(key, &self.stall, |time| limit(*time)),
            Key::Grace => one(key, &self.grace, |grace| duration(*grace)),
            Key::SshConfig => one(key, &self.ssh_config, |file| match file {
                None => Value::Null,
                Some(SshConfigFile::None) => json!("none"),
                Some(SshConfigFile::Path(path)) => json!(path.to_string_lossy()),
            }),
            Key::SshOptions => each(key, &self.ssh_options, |option| json!(option)),
            Key::Identity => one(key, &self.identity, |files| files.as_deref().map_or(Value::Null, paths)),
            Key::HostKey => one(key, &self.host_key, |policy| json!(policy.map(|policy| policy.name()))),
            Key::Record => one(key, &self.record, |choice| json!(choice)),
            Key::Groups => self.groups.iter().map(group).collect(),
            Key::Provider => self.providers.iter().map(provider).collect(),
            Key::User => self.users(),
        }
    }

    /// The rules, then the user of all other hosts.
    fn users(&self) -> Vec<Listed> {
        let rule = |UserRule { pattern, user }: &UserRule| json!({"match": pattern, "user": user});
        let mut users: Vec<Listed> = self.user_rules.iter().flat_map(|set| one(Key::User, set, rule)).collect();
        if users.is_empty() || self.user.value.is_some() {
            users.extend(one(Key::User, &self.user, |user| json!(user)));
        }
        users
    }
}

fn one<T>(key: Key, setting: &Setting<T>, show: impl Fn(&T) -> Value) -> Vec<Listed> {
    vec![Listed { key: key.name().to_owned(), value: show(&setting.value), origin: setting.origin.place() }]
}

/// One for each value, and one for none.
fn each<T>(key: Key, settings: &[Setting<T>], show: impl Fn(&T) -> Value) -> Vec<Listed> {
    if settings.is_empty() {
        let origin = Origin::Default.place();
        return vec![Listed { key: key.name().to_owned(), value: Value::Null, origin }];
    }
    settings.iter().flat_map(|setting| one(key, setting, &show)).collect()
}

fn group(group: &GroupDefinition) -> Listed {
    let value = match &group.expressions[..] {
        [one] => json!(one),
        several => json!(several),
    };
    // The origin of a group names the group too.
    let origin = group.origin.strip_suffix(&format!(" [groups] {}", group.name)).unwrap_or(&group.origin);
    Listed { key: format!("groups.{}", toml_key(&group.name)), value, origin: origin.to_owned() }
}

fn provider(setting: &Setting<ProviderTable>) -> Listed {
    let ProviderTable { settings, enabled } = &setting.value;
    let mut table = Map::new();
    if let Some(command) = &settings.command {
        table.insert("command".to_owned(), json!(command));
    }
    table.insert("timeout".to_owned(), duration(settings.timeout));
    table.insert("enabled".to_owned(), json!(enabled));
    table.extend(settings.settings.iter().map(|(name, value)| (name.clone(), without_secrets(name, value))));
    let key = format!("provider.{}", toml_key(&settings.name));
    Listed { key, value: Value::Object(table), origin: setting.origin.place() }
}

/// The value of `name`, unless that may be a secret.
fn without_secrets(name: &str, value: &Value) -> Value {
    let name = name.to_lowercase();
    match value {
        Value::Object(inner) => {
            inner.iter().map(|(name, value)| (name.clone(), without_secrets(name, value))).collect()
        }
        _ if SECRET.iter().any(|part| name.contains(part)) => json!(HIDDEN),
        Value::Array(values) => values.iter().map(|value| without_secrets(&name, value)).collect(),
        Value::String(text) if has_user_information(text) => json!(HIDDEN),
        _ => value.clone(),
    }
}

/// Whether it is an address like `https://user:password@host` (RFC 3986, section 3.2.1).
fn has_user_information(text: &str) -> bool {
    let behind_scheme = text.split_once("://").map(|(_, rest)| rest);
    behind_scheme.and_then(|rest| rest.split(['/', '?', '#']).next()).is_some_and(|authority| authority.contains('@'))
}

/// A value of TOML in one line. Texts are basic strings, which have the escapes of JSON (TOML 1.0, "String").
fn toml(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pairs = table.iter().map(|(name, value)| format!("{} = {}", toml_key(name), toml(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// A key of TOML: bare where that is possible, else in quotes.
fn toml_key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if bare { name.to_owned() } else { json!(name).to_string() }
}

fn paths(paths: &[PathBuf]) -> Value {
    paths.iter().map(|path| path.to_string_lossy()).collect()
}

fn number_or_word(text: &str) -> Value {
    text.parse::<usize>().map_or_else(|_| json!(text), |number| json!(number))
}

fn limit(limit: Option<Duration>) -> Value {
    limit.map_or_else(|| json!("none"), duration)
}

/// `90s`, or with what is left of a second: `1s 500ms`.
fn duration(duration: Duration) -> Value {
    match duration.subsec_nanos() {
        0 => json!(format!("{}s", duration.as_secs())),
        _ => json!(humantime::format_duration(duration).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::super::{Environment, Layer, file, from_environment};
    use super::*;

    fn listing(text: &str, variables: &[(&str, &str)]) -> Vec<Listed> {
        let variables = from_environment(&variables.iter().copied().collect::<Environment>()).unwrap();
        let file = file::parse(text, Path::new("/p/fleet.toml"), Some(OsStr::new("/home/me"))).unwrap();
        Settings::resolve(&[Layer::default(), variables, file]).unwrap().listing()
    }

    fn shown(listing: &[Listed], key: &str) -> Vec<String> {
        let of_key = listing.iter().filter(|listed| listed.key == key);
        of_key.map(|listed| format!("{} {}", listed.value, listed.origin)).collect()
    }

    #[test]
    fn every_key_has_its_value_and_its_origin() {
        let text = "grace = '1500ms'\nparallel = 7\nssh_config = 'x'\naddress = 'dns'\nssh_options = ['A=1', 'B=2']\n\
                    [groups]\nweb = 'tag:a=b'\n'a.b' = ['x', 'y']\n[provider.lab]\ncommand = 'lab'\nrack = 3";
        let listing = listing(text, &[("FLEET_TIMEOUT", "300%"), ("FLEET_STALL", "90")]);
        for (key, expected) in [
            ("grace", &["\"1s 500ms\" /p/fleet.toml"][..]),
            ("parallel", &["7 /p/fleet.toml"]),
            ("ssh_config", &["\"/p/x\" /p/fleet.toml"]),
            ("address", &["[\"dns\"] /p/fleet.toml"]),
            ("ssh_options", &["\"A=1\" /p/fleet.toml", "\"B=2\" /p/fleet.toml"]),
            ("identity", &["null default"]),
            ("user", &["null default"]),
            ("default", &["null default"]),
            ("timeout", &["\"300%\" FLEET_TIMEOUT"]),
            ("stall", &["\"90s\" FLEET_STALL"]),
            ("groups.web", &["\"tag:a=b\" /p/fleet.toml"]),
            ("groups.\"a.b\"", &["[\"x\",\"y\"] /p/fleet.toml"]),
            (
                "provider.lab",
                &["{\"command\":[\"lab\"],\"enabled\":true,\"rack\":3,\"timeout\":\"60s\"} /p/fleet.toml"],
            ),
        ] {
            assert_eq!(shown(&listing, key), expected, "{key}");
        }
        let plain = Key::ALL.into_iter().filter(|key| !matches!(key, Key::Groups | Key::Provider));
        for key in plain {
            assert_ne!(shown(&listing, key.name()), Vec::<String>::new(), "{key:?}");
        }
    }

    #[test]
    fn rules_for_users_come_before_the_user_of_all_others() {
        let text = "[[user]]\nmatch = 'a*'\nuser = 'x'";
        let rule = "{\"match\":\"a*\",\"user\":\"x\"} /p/fleet.toml";
        assert_eq!(shown(&listing(text, &[]), "user"), [rule]);
        assert_eq!(shown(&listing(text, &[("FLEET_USER", "me")]), "user"), ["\"me\" FLEET_USER"]);
    }

    #[test]
    fn what_may_be_secret_of_a_provider_is_hidden() {
        let text = "[provider.lab]\nAPI_Token = 'xyzzy'\nurl = 'https://me:xyzzy@host/'\nport = 'http://host/a@b'\n\
                    secrets = ['xyzzy']\n[provider.lab.login]\npassword = 'xyzzy'\nname = 'me'";
        let listed = shown(&listing(text, &[]), "provider.lab").concat();
        assert!(!listed.contains("xyzzy"), "{listed}");
        assert!(listed.contains("\"me\"") && listed.contains("http://host/a@b"), "{listed}");
        assert_eq!(listed.matches(HIDDEN).count(), 4, "{listed}");
    }

    #[test]
    fn a_value_is_shown_in_one_line_as_a_file_would_have_it() {
        for (value, shown) in [
            (json!("a\nb\"c"), r#""a\nb\"c""#),
            (json!(["x", "y"]), r#"["x", "y"]"#),
            (json!({"match": "a*", "a b": {"deep": [1, true]}}), r#"{ "a b" = { deep = [1, true] }, match = "a*" }"#),
            (json!([]), "[]"),
            (json!(7), "7"),
            (Value::Null, "-"),
        ] {
            let listed = Listed { key: String::new(), value, origin: String::new() };
            assert_eq!(listed.toml(), shown);
        }
    }
}
