//! Each key in one line, with its default or an example, and the `fleet.toml` that is made of them.
//!
//! Must not know what is set.

use super::Key;

/// What may be written in `fleet.toml` for a key, as TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The default.
    Default(&'static str),
    /// An example: there is no default.
    Example(&'static str),
}

impl Sample {
    /// The lines, whatever they are.
    #[must_use]
    pub fn toml(self) -> &'static str {
        match self {
            Self::Default(toml) | Self::Example(toml) => toml,
        }
    }

    /// Whether it is a table, and so has to stand behind all keys that are none.
    fn is_table(self) -> bool {
        self.toml().starts_with('[')
    }
}

/// What stands at the top of the file that [`template`] makes.
const HEAD: &str = "\
# Settings of psh, fleet and the other tools of the suite.
#
# A \"#\" with a space behind it starts a comment. A \"#\" without one hides a setting: its default, or an example where
# there is no default. Take the \"#\" away to set it. \"fleet config\" shows what is in force, and why.
#
# The nearest fleet.toml from the current folder upward comes first, then the user's own, then that of the machine.
# FLEET_* variables come before files, and flags before all.
";

/// A `fleet.toml` with every key in comments, which sets nothing.
#[must_use]
pub fn template() -> String {
    let (tables, plain): (Vec<Key>, Vec<Key>) = Key::ALL.into_iter().partition(|key| key.sample().is_table());
    plain.into_iter().chain(tables).fold(HEAD.to_owned(), |text, key| {
        let example = match key.sample() {
            Sample::Default(_) => "",
            Sample::Example(_) => " Example:",
        };
        let lines: String = key.sample().toml().lines().map(|line| format!("#{line}\n")).collect();
        text + &format!("\n# {}{}.{example}\n{lines}", key.explanation(), names(key))
    })
}

/// ` (--parallel, FLEET_PARALLEL)`
fn names(key: Key) -> String {
    let names: Vec<&str> = key.flag().into_iter().chain(key.variable()).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

impl Key {
    /// What it is for, in one line without a full stop.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Hosts => "Host files, relative to the folder of the settings file",
            Self::Default => "The hosts of a tool that is told of none, as -g takes them; each use is named on stderr",
            Self::Sources => "Which host and group files are read, where they exist",
            Self::GroupTags => "Tags whose values are groups, the first that a host has",
            Self::Address => "Addresses of cloud hosts, the best first: auto, private, public, ipv6, dns or tag:KEY",
            Self::AddressTag => "The tag that says where a host is reached",
            Self::PortTag => "The tag that says the port of a host's SSH server",
            Self::IncludeSelf => "Whether this machine is chosen where it is one of the hosts",
            Self::CacheTtl => "How long the answers of providers are kept; 0 is not at all",
            Self::Parallel => "How many hosts to work on at once, or \"auto\" for as many as go well",
            Self::Timeout => "Longest time for the command: 90s, \"none\", or \"300%\" of the median",
            Self::ConnectTimeout => "Longest time for each stage of connecting, or \"none\"",
            Self::Stall => "Longest time without a byte of output, or \"none\"",
            Self::Grace => "Time between TERM and KILL when a command is stopped",
            Self::SshConfig => "OpenSSH configuration to read instead of ssh's own, or \"none\"",
            Self::SshOptions => "Options of ssh_config(5)",
            Self::Identity => "Private keys to offer, and no others",
            Self::HostKey => "Unknown host keys: strict, accept-new or off; unset leaves it to ssh_config",
            Self::Record => "Whether runs are recorded",
            Self::Groups => "Groups: host sets of names, ranges, @groups and queries",
            Self::Provider => {
                "Programs that know hosts: command, timeout and enabled are ours, the rest is for the program"
            }
            Self::User => "Who logs in, by rules, the first that matches; or user = \"NAME\" for all hosts",
        }
    }

    /// Its default, or an example.
    #[must_use]
    pub fn sample(self) -> Sample {
        match self {
            Self::Hosts => Sample::Example("hosts = [\"hosts.txt\"]"),
            Self::Default => Sample::Example("default = \"@loadgen\""),
            Self::Sources => Sample::Default("sources = [\"hosts\", \"clustershell\", \"genders\"]"),
            Self::GroupTags => Sample::Default("group_tags = [\"fleet:role\", \"Role\"]"),
            Self::Address => Sample::Default("address = [\"auto\"]"),
            Self::AddressTag => Sample::Default("address_tag = \"fleet:address\""),
            Self::PortTag => Sample::Default("port_tag = \"fleet:port\""),
            Self::IncludeSelf => Sample::Default("include_self = false"),
            Self::CacheTtl => Sample::Default("cache_ttl = \"60s\""),
            Self::Parallel => Sample::Default("parallel = \"auto\""),
            Self::Timeout => Sample::Default("timeout = \"none\""),
            Self::ConnectTimeout => Sample::Default("connect_timeout = \"10s\""),
            Self::Stall => Sample::Default("stall = \"none\""),
            Self::Grace => Sample::Default("grace = \"5s\""),
            Self::SshConfig => Sample::Example("ssh_config = \"ssh_config\""),
            Self::SshOptions => Sample::Example("ssh_options = [\"ServerAliveInterval=5\"]"),
            Self::Identity => Sample::Example("identity = [\"~/.ssh/id_ed25519\"]"),
            Self::HostKey => Sample::Example("host_key = \"accept-new\""),
            Self::Record => Sample::Default("record = true"),
            Self::Groups => Sample::Example(
                "[groups]\nweb = \"web[01-20]\"\nloadgen = \"tag:Role=loadgen & az:eu-west-1a\"\nfront = [\"@web\", \"lb01\"]",
            ),
            Self::Provider => Sample::Example(
                "[provider.ec2]\ncommand = \"fleet-ec2\"\ntimeout = \"60s\"\nenabled = true\nprofile = \"default\"\nregions = [\"eu-west-1\"]",
            ),
            Self::User => Sample::Example("[[user]]\nmatch = \"tag:os=ubuntu\"\nuser = \"ubuntu\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::{HostKeyPolicy, Layer, Settings, StaticSource, file};
    use super::*;

    const SCHEMA: &str = include_str!("../../../docs/fleet.schema.json");
    const TABLE: &str = include_str!("../../../docs/settings.md");

    fn parsed(text: &str) -> Layer {
        file::parse(text, Path::new("/p/fleet.toml"), Some(OsStr::new("/home/me"))).unwrap()
    }

    /// The values of `key` that a file with `text` leads to.
    fn values(text: &str, key: Key) -> Vec<Value> {
        let settings = Settings::resolve(&[parsed(text)]).unwrap();
        let of_key = |name: &str| name == key.name() || name.starts_with(&format!("{}.", key.name()));
        settings.listing().into_iter().filter(|listed| of_key(&listed.key)).map(|listed| listed.value).collect()
    }

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    #[test]
    fn the_template_sets_nothing_and_everything_once_its_settings_are_shown() {
        let template = template();
        assert_eq!(parsed(&template), Layer { source: parsed("").source, ..Layer::default() });
        let hidden = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
        let shown: Vec<&str> = template.lines().map(|line| if hidden(line) { &line[1..] } else { line }).collect();
        let layer = parsed(&shown.join("\n"));
        for key in Key::ALL {
            assert_ne!(values(&shown.join("\n"), key), Vec::<Value>::new(), "{key:?}");
            assert!(template.contains(&format!("# {}", key.explanation())), "{key:?}");
        }
        assert_eq!((layer.groups.len(), layer.providers.len(), layer.user_rules.len()), (3, 1, 1));
        assert_eq!(template.lines().find(|line| line.len() > 120), None);
    }

    #[test]
    fn a_sample_is_the_default_exactly_where_it_is_said_to_be() {
        for key in Key::ALL {
            let (by_default, by_sample) = (values("", key), values(key.sample().toml(), key));
            match key.sample() {
                Sample::Default(_) => assert_eq!(by_sample, by_default, "{key:?}"),
                Sample::Example(_) => assert_ne!(by_sample, by_default, "{key:?}"),
            }
        }
    }

    #[test]
    fn the_schema_has_every_key_with_its_explanation_and_default() {
        let schema = schema();
        let properties = schema["properties"].as_object().unwrap();
        let documented: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(documented, BTreeSet::from(Key::ALL.map(Key::name)));
        assert_eq!(schema["additionalProperties"], false);
        for key in Key::ALL {
            let property = &properties[key.name()];
            assert_eq!(property["description"], key.explanation(), "{key:?}");
            match key.sample() {
                Sample::Default(_) => assert_eq!(property["default"], values("", key)[0], "{key:?}"),
                Sample::Example(_) => assert_eq!(property["default"], Value::Null, "{key:?}"),
            }
        }
    }

    #[test]
    fn the_schema_knows_the_words_and_keys_that_are_taken() {
        let schema = schema();
        let definitions = &schema["$defs"];
        assert_eq!(definitions["source"]["enum"], json!(StaticSource::ALL.map(StaticSource::name)));
        assert_eq!(schema["properties"]["host_key"]["enum"], json!(HostKeyPolicy::ALL.map(HostKeyPolicy::name)));
        let rule = &definitions["user_rule"];
        assert_eq!((&rule["required"], &rule["additionalProperties"]), (&json!(["match", "user"]), &json!(false)));
        let ours = definitions["provider"]["properties"].as_object().unwrap().keys();
        assert_eq!(ours.collect::<Vec<_>>(), ["command", "enabled", "timeout"]);
        assert_ne!(definitions["provider"]["additionalProperties"], false);
    }

    #[test]
    fn the_table_of_settings_has_a_row_for_every_key() {
        let code = |text: Option<&str>| text.map_or_else(String::new, |text| format!("`{text}`"));
        for key in Key::ALL {
            let default = match key.sample() {
                Sample::Default(toml) => toml.split_once(" = ").map(|(_, value)| value),
                Sample::Example(_) => None,
            };
            let cells = [code(Some(key.name())), code(default), code(key.flag()), code(key.variable())];
            let row = format!("| {} | {} |", cells.join(" | "), key.explanation());
            assert!(TABLE.lines().any(|line| line == row), "docs/settings.md lacks this line:\n{row}");
        }
    }
}
