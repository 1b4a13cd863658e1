//! The tables of `fleet.toml`: `[groups]`, `[provider.NAME]` and `[[user]]`.
//!
//! Must not know what groups consist of, nor what a provider makes of its settings.

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::super::value::is_user_name;
use super::super::{Layer, ProviderTable, SettingsError};
use super::{DURATION, Entry, File, KnownTable, Name, in_order};
use crate::endpoint::UserRule;
use crate::inventory::{GROUP_NAME, GroupDefinition, OUR_SOURCES, is_group_name};
use crate::provider::ProviderSettings;

/// What a group takes, in words.
const GROUP: &str = "a host set such as \"web[01-20]\" or a list of them";
/// What `user` takes, in words.
const USER: &str = "a user name, or [[user]] tables with match and user";
const USER_RULE: KnownTable = KnownTable { name: "[[user]]", keys: &["match", "user"] };

impl File<'_> {
    pub(super) fn groups(&self, entry: Entry<'_>) -> Result<Vec<GroupDefinition>, SettingsError> {
        let DeValue::Table(table) = entry.value.get_ref() else {
            return Err(self.refused(entry, &format!("a table of groups, each {GROUP}")));
        };
        let define = |(name, value): (Name<'_, '_>, _)| {
            let group = Entry { name: name.get_ref(), value };
            Ok(GroupDefinition {
                name: group.name.to_owned(),
                expressions: self.strings(group, GROUP)?,
                origin: format!("{} [groups] {}", self.path.display(), group.name),
            })
        };
        in_order(table).into_iter().map(define).collect()
    }

    /// One user for all hosts, or rules.
    pub(super) fn user(&self, layer: &mut Layer, entry: Entry<'_>) -> Result<(), SettingsError> {
        if let DeValue::Array(rules) = entry.value.get_ref() {
            let rules = rules.iter().map(|value| self.user_rule(Entry { value, ..entry }));
            layer.user_rules = rules.collect::<Result<_, _>>()?;
        } else {
            layer.user = Some(self.string(entry, USER)?.to_owned());
        }
        Ok(())
    }

    fn user_rule(&self, entry: Entry<'_>) -> Result<UserRule, SettingsError> {
        let DeValue::Table(table) = entry.value.get_ref() else {
            return Err(self.refused(entry, USER));
        };
        let (mut pattern, mut user) = (None, None);
        for (name, value) in in_order(table) {
            let entry = Entry { name: name.get_ref(), value };
            match entry.name {
                "match" => pattern = Some(self.pattern(entry)?),
                "user" => user = Some(self.user_name(entry)?),
                _ => return Err(self.unknown(name, Some(&USER_RULE))),
            }
        }
        match (pattern, user) {
            (Some(pattern), Some(user)) => Ok(UserRule { pattern, user }),
            (None, _) => Err(self.refused(entry, "\"match\" in [[user]], such as match = \"tag:os=ubuntu\"")),
            (_, None) => Err(self.refused(entry, "\"user\" in [[user]], such as user = \"ubuntu\"")),
        }
    }

    fn pattern(&self, entry: Entry<'_>) -> Result<String, SettingsError> {
        let expected = "hosts by a query or a pattern, such as \"tag:os=ubuntu\" or \"web*\"";
        match self.string(entry, expected)? {
            text if text.trim().is_empty() => Err(self.refused(entry, expected)),
            text => Ok(text.to_owned()),
        }
    }

    fn user_name(&self, entry: Entry<'_>) -> Result<String, SettingsError> {
        let expected = "a user name";
        match self.string(entry, expected)? {
            name if is_user_name(name) => Ok(name.to_owned()),
            _ => Err(self.refused(entry, expected)),
        }
    }

    pub(super) fn providers(&self, entry: Entry<'_>) -> Result<Vec<ProviderTable>, SettingsError> {
        let expected = "tables [provider.NAME]";
        let DeValue::Table(table) = entry.value.get_ref() else {
            return Err(self.refused(entry, expected));
        };
        in_order(table).into_iter().map(|(name, value)| self.provider(Entry { name: name.get_ref(), value })).collect()
    }

    fn provider(&self, entry: Entry<'_>) -> Result<ProviderTable, SettingsError> {
        let place = format!("provider.{}", entry.name);
        let DeValue::Table(table) = entry.value.get_ref() else {
            return Err(self.refused(Entry { name: &place, ..entry }, "a table [provider.NAME]"));
        };
        if !is_group_name(entry.name) {
            return Err(self.refused(Entry { name: &place, ..entry }, &format!("as NAME {GROUP_NAME}")));
        }
        // Behind these names `@NAME:group` would not find a provider.
        if OUR_SOURCES.contains(&entry.name) {
            let expected = format!("another NAME: {} are sources of their own", OUR_SOURCES.join(", "));
            return Err(self.refused(Entry { name: &place, ..entry }, &expected));
        }
        let mut provider = ProviderSettings { configured: true, ..ProviderSettings::named(entry.name) };
        let mut enabled = true;
        for (name, value) in in_order(table) {
            let key = format!("{place}.{}", name.get_ref());
            let entry = Entry { name: &key, value };
            match name.get_ref().as_ref() {
                "command" => provider.command = Some(self.command(entry)?),
                "timeout" => match self.duration(entry)? {
                    timeout if timeout.is_zero() => return Err(self.refused(entry, DURATION)),
                    timeout => provider.timeout = timeout,
                },
                "enabled" => enabled = self.truth(entry)?,
                own => {
                    provider.settings.insert(own.to_owned(), self.json(entry)?);
                }
            }
        }
        Ok(ProviderTable { settings: provider, enabled })
    }

    /// A program and its arguments. One with a `/` is a path; another is looked for.
    fn command(&self, entry: Entry<'_>) -> Result<Vec<String>, SettingsError> {
        let expected = "a program, or a list of it and its arguments";
        let mut words = self.strings(entry, expected)?;
        let program = words.first_mut().filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| self.refused(entry, expected))?;
        if program.contains('/') {
            let path = std::path::absolute(self.locate(entry, program)?).ok();
            let path = path.and_then(|path| path.into_os_string().into_string().ok());
            *program = path.ok_or_else(|| self.refused(entry, "a path in UTF-8"))?;
        }
        Ok(words)
    }

    /// A value as it is told to a provider. Dates and times are texts.
    fn json(&self, entry: Entry<'_>) -> Result<Value, SettingsError> {
        Ok(match entry.value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                number.ok_or_else(|| self.refused(entry, "a whole number of at most 64 bits"))?.into()
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(Number::from_f64);
                Value::Number(number.ok_or_else(|| self.refused(entry, "a finite number"))?)
            }
            DeValue::Boolean(choice) => Value::Bool(*choice),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(values) => {
                Value::Array(values.iter().map(|value| self.json(Entry { value, ..entry })).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let inner = |(name, value): (Name<'_, '_>, _)| {
                    Ok((name.get_ref().to_string(), self.json(Entry { value, ..entry })?))
                };
                Value::Object(in_order(table).into_iter().map(inner).collect::<Result<Map<_, _>, _>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Result<Layer, SettingsError> {
        super::super::parse(text, Path::new("/p/fleet.toml"), Some(OsStr::new("/home/me")))
    }

    #[test]
    fn what_a_provider_alone_knows_passes_through_as_it_is() {
        let text = r#"
            [provider.ec2]
            regions = ["eu-west-1", "us-east-1"]
            hex = 0x1f
            price = 0.25
            since = 2026-01-02T03:04:05Z
            spot = true
            [provider.ec2.retry]
            times = 1_000
            enabled = "as ever"
        "#;
        let table = &parsed(text).unwrap().providers[0];
        let told = json!({
            "regions": ["eu-west-1", "us-east-1"], "hex": 31, "price": 0.25, "since": "2026-01-02T03:04:05Z",
            "spot": true, "retry": {"times": 1000, "enabled": "as ever"},
        });
        assert_eq!(Value::Object(table.settings.settings.clone()), told);
        assert!(table.enabled && table.settings.configured);
    }

    #[test]
    fn providers_are_named_as_groups_and_their_programs_located_from_the_file() {
        let text = "[provider.b]\ncommand = 'bin/b'\n[provider.a-1]\ncommand = ['~/a', 'x/y']\nenabled = false\n\
                    [provider.c]\ncommand = 'fleet-c'\ntimeout = 3";
        let providers = parsed(text).unwrap().providers;
        let shown: Vec<_> = providers
            .iter()
            .map(|ProviderTable { settings, enabled }| {
                (
                    settings.name.as_str(),
                    settings.command.as_ref().unwrap().join(" "),
                    settings.timeout.as_secs(),
                    *enabled,
                )
            })
            .collect();
        let expected = [
            ("b", "/p/bin/b".to_owned(), 60, true),
            ("a-1", "/home/me/a x/y".to_owned(), 60, false),
            ("c", "fleet-c".to_owned(), 3, true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(providers[0].settings.timeout, Duration::from_secs(60));
    }

    #[test]
    fn user_rules_are_kept_in_order() {
        let rule = |pattern: &str, user: &str| UserRule { pattern: pattern.to_owned(), user: user.to_owned() };
        let text = "[[user]]\nmatch = 'tag:os=ubuntu'\nuser = 'ubuntu'\n[[user]]\nuser = 'admin'\nmatch = 'deb*'";
        let layer = parsed(text).unwrap();
        assert_eq!(layer.user_rules, [rule("tag:os=ubuntu", "ubuntu"), rule("deb*", "admin")]);
        assert_eq!(layer.user, None);
    }

    #[test]
    fn what_is_broken_in_a_table_is_named_with_its_line() {
        for (text, message) in [
            ("[provider]\nec2 = 3", "/p/fleet.toml:2: provider.ec2: found 3; expected a table [provider.NAME]"),
            ("provider = 'ec2'", "/p/fleet.toml:1: provider: found 'ec2'; expected tables [provider.NAME]"),
            (
                "[provider.'a b']",
                "/p/fleet.toml:1: provider.a b: found [provider.'a b']; expected as NAME a group name",
            ),
            ("[provider.ssh]", "/p/fleet.toml:1: provider.ssh: found [provider.ssh]; expected another NAME: hosts, "),
            ("[provider.x]\ncommand = []", "/p/fleet.toml:2: provider.x.command: found []; expected a program"),
            ("[provider.x]\ncommand = ''", "/p/fleet.toml:2: provider.x.command: found ''; expected a program"),
            ("[provider.x]\ntimeout = 0", "/p/fleet.toml:2: provider.x.timeout: found 0; expected a duration"),
            ("[provider.x]\nenabled = 'no'", "/p/fleet.toml:2: provider.x.enabled: found 'no'; expected true or false"),
            ("[provider.x]\na = [nan]", "/p/fleet.toml:2: provider.x.a: found nan; expected a finite number"),
            ("[[user]]\nmatch = 'a'", "/p/fleet.toml:1: user: found [[user]]; expected \"user\" in [[user]]"),
            ("[[user]]\nuser = 'a'", "/p/fleet.toml:1: user: found [[user]]; expected \"match\" in [[user]]"),
            ("[[user]]\nmatch = ' '", "/p/fleet.toml:2: match: found ' '; expected hosts by a query"),
            ("[[user]]\nuser = 'a b'", "/p/fleet.toml:2: user: found 'a b'; expected a user name"),
            ("[[user]]\nmatch = 'a'\nusr = 'b'", "/p/fleet.toml:3: unknown key \"usr\" in [[user]]"),
            ("[user]\nname = 'a'", "/p/fleet.toml:1: user: found [user]; expected a user name, or [[user]] tables"),
            ("user = ['a']", "/p/fleet.toml:1: user: found 'a'; expected a user name, or [[user]] tables"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
