//! `fleet.toml`: its keys, and what each takes.
//!
//! Must not know how the file was found, nor which other files there are.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::locate;
use super::{Key, Layer, LayerSource, Limit, SettingsError, SshConfigFile, UnknownWord, parse_duration};
use crate::inventory::{GroupDefinition, nearest};

/// What a duration is, in words.
pub(super) const DURATION: &str = "a duration such as 5, 90s, 1m30s or 500ms";
/// What a choice between two is, in words.
pub(super) const TRUTH: &str = "true or false";
/// What a limit is, in words.
pub(super) const LIMIT: &str = "a duration such as 5, 90s, 1m30s or 500ms, or \"none\"";

/// What the limit for a command is, in words.
pub(super) const TIMEOUT: &str =
    "a duration such as 5, 90s, 1m30s or 500ms, \"none\", or more than 100% of the median, such as \"300%\"";

/// Reads the settings file at `path`.
///
/// # Errors
/// When it cannot be read, or [`parse`] refuses it.
pub(super) fn read(path: &Path, home: Option<&OsStr>) -> Result<Layer, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    parse(&text, path, home)
}

/// Parses the text of a settings file. Paths in it are relative to the folder of `path`.
///
/// # Errors
/// When the text is not TOML, has an unknown key, or a value that its key does not take.
fn parse(text: &str, path: &Path, home: Option<&OsStr>) -> Result<Layer, SettingsError> {
    let file = File { text, path, home };
    let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        path: path.to_owned(),
        line: file.line(error.span().unwrap_or_default()),
        message: error.message().lines().collect::<Vec<_>>().join("; "),
    })?;
    let mut layer = Layer { source: LayerSource::File(path.to_owned()), ..Layer::default() };
    for (name, value) in in_order(table.get_ref()) {
        let key = Key::ALL.into_iter().find(|key| key.name() == name.get_ref()).ok_or_else(|| file.unknown(name))?;
        file.set(&mut layer, Entry { name: key.name(), value }, key)?;
    }
    Ok(layer)
}

type Name<'t, 's> = &'t Spanned<std::borrow::Cow<'s, str>>;
type Value<'t, 's> = &'t Spanned<DeValue<'s>>;

/// The entries of a table as they are written, so that the first broken one is reported first.
fn in_order<'t, 's>(table: &'t DeTable<'s>) -> Vec<(Name<'t, 's>, Value<'t, 's>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A value and the key it was written for.
#[derive(Clone, Copy)]
struct Entry<'a> {
    name: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

struct File<'a> {
    text: &'a str,
    path: &'a Path,
    home: Option<&'a OsStr>,
}

impl File<'_> {
    fn set(&self, layer: &mut Layer, entry: Entry<'_>, key: Key) -> Result<(), SettingsError> {
        match key {
            Key::Hosts => layer.hosts = Some(self.paths(entry)?),
            Key::Parallel => layer.parallel = Some(self.count(entry)?),
            Key::Timeout => {
                let timeout = plain(entry.value).and_then(|text| text.parse().ok());
                layer.timeout = Some(timeout.ok_or_else(|| self.refused(entry, TIMEOUT))?);
            }
            Key::ConnectTimeout => layer.connect_timeout = Some(self.limit(entry)?),
            Key::Stall => layer.stall = Some(self.limit(entry)?),
            Key::Grace => {
                let duration = plain(entry.value).and_then(|text| parse_duration(text).ok());
                layer.grace = Some(duration.ok_or_else(|| self.refused(entry, DURATION))?);
            }
            Key::User => layer.user = Some(self.string(entry, "a user name")?.to_owned()),
            Key::SshConfig => layer.ssh_config = Some(self.ssh_config(entry)?),
            Key::SshOptions => layer.ssh_options = self.strings(entry, "a list of \"Key=Value\"")?,
            Key::Identity => layer.identity = Some(self.paths(entry)?),
            Key::HostKey => {
                let word: Result<_, UnknownWord> = plain(entry.value).unwrap_or_default().parse();
                layer.host_key = Some(word.map_err(|error| self.refused(entry, error.expected))?);
            }
            Key::Record => {
                let choice = entry.value.get_ref().as_bool();
                layer.record = Some(choice.ok_or_else(|| self.refused(entry, TRUTH))?);
            }
            Key::Groups => layer.groups = self.groups(entry)?,
        }
        Ok(())
    }

    fn count(&self, entry: Entry<'_>) -> Result<usize, SettingsError> {
        let count = match entry.value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        count.ok_or_else(|| self.refused(entry, "a whole number"))
    }

    fn limit(&self, entry: Entry<'_>) -> Result<Limit, SettingsError> {
        plain(entry.value).and_then(|text| text.parse().ok()).ok_or_else(|| self.refused(entry, LIMIT))
    }

    fn string<'e>(&self, entry: Entry<'e>, expected: &str) -> Result<&'e str, SettingsError> {
        entry.value.get_ref().as_str().ok_or_else(|| self.refused(entry, expected))
    }

    /// One string, or a list of them.
    fn strings(&self, entry: Entry<'_>, expected: &str) -> Result<Vec<String>, SettingsError> {
        let one = |value| self.string(Entry { value, ..entry }, expected).map(str::to_owned);
        match entry.value.get_ref() {
            DeValue::Array(values) => values.iter().map(one).collect(),
            _ => one(entry.value).map(|string| vec![string]),
        }
    }

    fn paths(&self, entry: Entry<'_>) -> Result<Vec<PathBuf>, SettingsError> {
        let written = self.strings(entry, "a path or a list of paths")?;
        written.iter().map(|path| self.locate(entry, path)).collect()
    }

    fn ssh_config(&self, entry: Entry<'_>) -> Result<SshConfigFile, SettingsError> {
        match self.string(entry, "a path or \"none\"")? {
            "none" => Ok(SshConfigFile::None),
            path => self.locate(entry, path).map(SshConfigFile::Path),
        }
    }

    fn locate(&self, entry: Entry<'_>, written: &str) -> Result<PathBuf, SettingsError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let located = Some(written).filter(|path| !path.is_empty());
        located
            .and_then(|path| locate(Path::new(path), folder, self.home))
            .ok_or_else(|| self.refused(entry, "a path, without \"~\" where HOME is not set"))
    }

    fn groups(&self, entry: Entry<'_>) -> Result<Vec<GroupDefinition>, SettingsError> {
        let expected = "a table of groups, each a host set such as \"web[01-20]\" or a list of them";
        let DeValue::Table(table) = entry.value.get_ref() else {
            return Err(self.refused(entry, expected));
        };
        let define = |(name, value): (Name<'_, '_>, _)| {
            let group = Entry { name: name.get_ref(), value };
            Ok(GroupDefinition {
                name: group.name.to_owned(),
                expressions: self.strings(group, "a host set such as \"web[01-20]\" or a list of them")?,
                origin: format!("{} [groups] {}", self.path.display(), group.name),
            })
        };
        in_order(table).into_iter().map(define).collect()
    }

    fn unknown(&self, name: Name<'_, '_>) -> SettingsError {
        SettingsError::UnknownKey {
            path: self.path.to_owned(),
            line: self.line(name.span()),
            key: name.get_ref().to_string(),
            nearest: nearest(name.get_ref(), Key::ALL.map(Key::name)),
        }
    }

    fn refused(&self, entry: Entry<'_>, expected: &str) -> SettingsError {
        let written = self.text.get(entry.value.span()).and_then(|text| text.lines().next()).unwrap_or_default();
        SettingsError::Value {
            place: format!("{}:{}: {}", self.path.display(), self.line(entry.value.span()), entry.name),
            found: written.to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// A string, or a decimal number as it is written.
fn plain<'e>(value: &'e Spanned<DeValue<'_>>) -> Option<&'e str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{CommandTimeout, HostKeyPolicy};
    use super::*;

    fn parsed(text: &str) -> Result<Layer, SettingsError> {
        parse(text, Path::new("/p/fleet.toml"), Some(OsStr::new("/home/me")))
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            hosts = ["hosts.txt", "~/all", "/etc/hosts.fleet"]
            parallel = 1_000
            timeout = "none"
            connect_timeout = 3
            stall = "1m30s"
            grace = "500ms"
            user = "ec2-user"
            ssh_config = "ssh/config"
            ssh_options = ["Compression=yes", "ServerAliveInterval=5"]
            identity = "~/.ssh/id"
            host_key = "accept-new"
            record = false
            [groups]
            web = "web[01-20]"
            all = ["@web", "db1"]
        "#;
        let group = |name: &str, expressions: &[&str]| GroupDefinition {
            name: name.to_owned(),
            expressions: expressions.iter().map(|&text| text.to_owned()).collect(),
            origin: format!("/p/fleet.toml [groups] {name}"),
        };
        let expected = Layer {
            source: LayerSource::File("/p/fleet.toml".into()),
            hosts: Some(vec!["/p/hosts.txt".into(), "/home/me/all".into(), "/etc/hosts.fleet".into()]),
            parallel: Some(1000),
            timeout: Some(CommandTimeout::None),
            connect_timeout: Some(Limit::After(Duration::from_secs(3))),
            stall: Some(Limit::After(Duration::from_secs(90))),
            grace: Some(Duration::from_millis(500)),
            user: Some("ec2-user".to_owned()),
            ssh_config: Some(SshConfigFile::Path("/p/ssh/config".into())),
            ssh_options: vec!["Compression=yes".to_owned(), "ServerAliveInterval=5".to_owned()],
            identity: Some(vec!["/home/me/.ssh/id".into()]),
            host_key: Some(HostKeyPolicy::AcceptNew),
            record: Some(false),
            groups: vec![group("web", &["web[01-20]"]), group("all", &["@web", "db1"])],
        };
        assert_eq!(parsed(text).unwrap(), expected);
    }

    #[test]
    fn none_zero_and_empty_lists_are_values() {
        let layer = parsed("ssh_config = 'none'\ntimeout = 0\nhosts = []\n[groups]\n").unwrap();
        assert_eq!((layer.ssh_config, layer.timeout), (Some(SshConfigFile::None), Some(CommandTimeout::None)));
        assert_eq!((layer.hosts, layer.groups), (Some(vec![]), vec![]));
    }

    #[test]
    fn what_is_broken_is_named_with_its_line() {
        for (text, message) in [
            ("user = 'me'\nuser 'you'", "/p/fleet.toml:2: "),
            ("user = 'me'\nuser = 'you'", "/p/fleet.toml:2: duplicate key"),
            ("\nparalel = 3", "/p/fleet.toml:2: unknown key \"paralel\""),
            ("connect-timeout = 3", "/p/fleet.toml:1: unknown key \"connect-timeout\""),
            ("[psh]\nparallel = 3", "/p/fleet.toml:1: unknown key \"psh\""),
            ("parallel = 'many'", "/p/fleet.toml:1: parallel: found 'many'; expected a whole number"),
            ("parallel = -1", "/p/fleet.toml:1: parallel: found -1; expected a whole number"),
            ("stall = 1.5", "/p/fleet.toml:1: stall: found 1.5; expected a duration such as 5, 90s"),
            ("timeout = '5 parsecs'", "/p/fleet.toml:1: timeout: found '5 parsecs'; expected a duration"),
            ("grace = 'none'", "/p/fleet.toml:1: grace: found 'none'; expected a duration"),
            ("host_key = 'no'", "/p/fleet.toml:1: host_key: found 'no'; expected strict, accept-new or off"),
            ("record = 'no'", "/p/fleet.toml:1: record: found 'no'; expected true or false"),
            ("user = 3", "/p/fleet.toml:1: user: found 3; expected a user name"),
            ("hosts = ''", "/p/fleet.toml:1: hosts: found ''; expected a path"),
            ("identity = [\n'a',\n3\n]", "/p/fleet.toml:3: identity: found 3; expected a path or a list of paths"),
            ("groups = 'web'", "/p/fleet.toml:1: groups: found 'web'; expected a table of groups"),
            ("[groups]\nweb = 1", "/p/fleet.toml:2: web: found 1; expected a host set"),
            ("[groups.web]\nhosts = 'a'", "/p/fleet.toml:1: web: found "),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
        let error = parse("hosts = '~/hosts'", Path::new("fleet.toml"), None).unwrap_err().to_string();
        assert!(error.contains("where HOME is not set"), "{error}");
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_known_ones_as_a_hint() {
        for (text, hint) in [
            ("paralel = 3", "did you mean parallel?"),
            ("connect-timeout = 3", "did you mean connect_timeout?"),
            ("xyzzy = 3", "the keys are hosts, parallel, "),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.hint().unwrap().starts_with(hint), "{:?}", error.hint());
        }
    }
}
