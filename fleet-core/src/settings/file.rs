//! `fleet.toml`: its keys, and what each takes.
//!
//! Must not know how the file was found, nor which other files there are.

mod selection;
mod tables;

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::locate;
use super::{Key, Layer, LayerSource, Limit, Parallel, SettingsError, SshConfigFile, UnknownWord, parse_duration};
use crate::inventory::nearest;

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
pub(super) fn parse(text: &str, path: &Path, home: Option<&OsStr>) -> Result<Layer, SettingsError> {
    let file = File { text, path, home };
    let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        path: path.to_owned(),
        line: file.line(error.span().unwrap_or_default()),
        message: error.message().lines().collect::<Vec<_>>().join("; "),
    })?;
    let mut layer = Layer { source: LayerSource::File(path.to_owned()), ..Layer::default() };
    for (name, value) in in_order(table.get_ref()) {
        let key =
            Key::ALL.into_iter().find(|key| key.name() == name.get_ref()).ok_or_else(|| file.unknown(name, None))?;
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

/// A table whose keys are all known.
struct KnownTable {
    /// As it is written: `[[user]]`.
    name: &'static str,
    keys: &'static [&'static str],
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
            Key::Parallel => layer.parallel = Some(self.parallel(entry)?),
            Key::Timeout => {
                let timeout = plain(entry.value).and_then(|text| text.parse().ok());
                layer.timeout = Some(timeout.ok_or_else(|| self.refused(entry, TIMEOUT))?);
            }
            Key::ConnectTimeout => layer.connect_timeout = Some(self.limit(entry)?),
            Key::Stall => layer.stall = Some(self.limit(entry)?),
            Key::Grace => layer.grace = Some(self.duration(entry)?),
            Key::User => self.user(layer, entry)?,
            Key::SshConfig => layer.ssh_config = Some(self.ssh_config(entry)?),
            Key::SshOptions => layer.ssh_options = self.strings(entry, "a list of \"Key=Value\"")?,
            Key::Identity => layer.identity = Some(self.paths(entry)?),
            Key::HostKey => {
                let word: Result<_, UnknownWord> = plain(entry.value).unwrap_or_default().parse();
                layer.host_key = Some(word.map_err(|error| self.refused(entry, error.expected))?);
            }
            Key::Record => layer.record = Some(self.truth(entry)?),
            Key::Default => layer.default = Some(self.string(entry, selection::DEFAULT)?.to_owned()),
            Key::Sources => layer.sources = Some(self.sources(entry)?),
            Key::GroupTags => layer.group_tags = Some(self.tags(entry)?),
            Key::Address => layer.address = Some(self.address(entry)?),
            Key::AddressTag => layer.address_tag = Some(self.tag(entry)?),
            Key::PortTag => layer.port_tag = Some(self.tag(entry)?),
            Key::IncludeSelf => layer.include_self = Some(self.truth(entry)?),
            Key::CacheTtl => layer.cache_ttl = Some(self.duration(entry)?),
            Key::Groups => layer.groups = self.groups(entry)?,
            Key::Provider => layer.providers = self.providers(entry)?,
        }
        Ok(())
    }

    fn parallel(&self, entry: Entry<'_>) -> Result<Parallel, SettingsError> {
        let parallel = match entry.value.get_ref() {
            DeValue::Integer(number) => {
                let hosts = usize::from_str_radix(number.as_str(), number.radix()).ok();
                hosts.and_then(NonZeroUsize::new).map(Parallel::Exactly)
            }
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        parallel.ok_or_else(|| self.refused(entry, Parallel::EXPECTED))
    }

    fn limit(&self, entry: Entry<'_>) -> Result<Limit, SettingsError> {
        plain(entry.value).and_then(|text| text.parse().ok()).ok_or_else(|| self.refused(entry, LIMIT))
    }

    fn duration(&self, entry: Entry<'_>) -> Result<Duration, SettingsError> {
        let duration = plain(entry.value).and_then(|text| parse_duration(text).ok());
        duration.ok_or_else(|| self.refused(entry, DURATION))
    }

    fn truth(&self, entry: Entry<'_>) -> Result<bool, SettingsError> {
        entry.value.get_ref().as_bool().ok_or_else(|| self.refused(entry, TRUTH))
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

    /// A key that means nothing: in `table`, else at the top.
    fn unknown(&self, name: Name<'_, '_>, table: Option<&'static KnownTable>) -> SettingsError {
        let known = table.map_or_else(|| Key::ALL.map(Key::name).to_vec(), |table| table.keys.to_vec());
        SettingsError::UnknownKey {
            path: self.path.to_owned(),
            line: self.line(name.span()),
            key: name.get_ref().to_string(),
            table: table.map(|table| table.name),
            nearest: nearest(name.get_ref(), known.iter().copied()),
            known,
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
    use super::super::{CommandTimeout, HostKeyPolicy};
    use super::*;
    use crate::inventory::GroupDefinition;

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
            cloud = "tag:Role=web & az:eu-west-1a"
        "#;
        let group = |name: &str, expressions: &[&str]| GroupDefinition {
            name: name.to_owned(),
            expressions: expressions.iter().map(|&text| text.to_owned()).collect(),
            origin: format!("/p/fleet.toml [groups] {name}"),
        };
        let expected = Layer {
            source: LayerSource::File("/p/fleet.toml".into()),
            hosts: Some(vec!["/p/hosts.txt".into(), "/home/me/all".into(), "/etc/hosts.fleet".into()]),
            parallel: Some("1000".parse().unwrap()),
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
            groups: vec![
                group("web", &["web[01-20]"]),
                group("all", &["@web", "db1"]),
                group("cloud", &["tag:Role=web & az:eu-west-1a"]),
            ],
            ..Layer::default()
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
            ("parallel = 'many'", "/p/fleet.toml:1: parallel: found 'many'; expected the number of hosts"),
            ("parallel = 0", "/p/fleet.toml:1: parallel: found 0; expected the number of hosts"),
            ("parallel = -1", "/p/fleet.toml:1: parallel: found -1; expected the number of hosts"),
            ("stall = 1.5", "/p/fleet.toml:1: stall: found 1.5; expected a duration such as 5, 90s"),
            ("timeout = '5 parsecs'", "/p/fleet.toml:1: timeout: found '5 parsecs'; expected a duration"),
            ("grace = 'none'", "/p/fleet.toml:1: grace: found 'none'; expected a duration"),
            ("host_key = 'no'", "/p/fleet.toml:1: host_key: found 'no'; expected strict, accept-new or off"),
            ("record = 'no'", "/p/fleet.toml:1: record: found 'no'; expected true or false"),
            ("user = 3", "/p/fleet.toml:1: user: found 3; expected a user name"),
            ("hosts = ''", "/p/fleet.toml:1: hosts: found ''; expected a path"),
            ("identity = [\n'a',\n3\n]", "/p/fleet.toml:3: identity: found 3; expected a path or a list of paths"),
            ("groups = 'web'", "/p/fleet.toml:1: groups: found 'web'; expected a table of groups"),
            ("default = ['a']", "/p/fleet.toml:1: default: found ['a']; expected a host set such as \"@web\""),
            ("sources = 'nis'", "/p/fleet.toml:1: sources: found 'nis'; expected hosts, clustershell or genders"),
            ("group_tags = ['a', '']", "/p/fleet.toml:1: group_tags: found ''; expected the name of a tag"),
            ("address = 'tag:'", "/p/fleet.toml:1: address: found 'tag:'; expected auto, private, public,"),
            ("address = []", "/p/fleet.toml:1: address: found []; expected auto, private, public,"),
            ("port_tag = 22", "/p/fleet.toml:1: port_tag: found 22; expected the name of a tag"),
            ("include_self = 1", "/p/fleet.toml:1: include_self: found 1; expected true or false"),
            ("cache_ttl = 'none'", "/p/fleet.toml:1: cache_ttl: found 'none'; expected a duration"),
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
            ("xyzzy = 3", "the keys are hosts, default, "),
            ("[group]\nweb = 'a'", "did you mean groups or group_tags?"),
            ("[providers.ec2]", "did you mean provider?"),
            ("[[users]]\nmatch = 'a'", "did you mean user?"),
            ("[[user]]\nmatches = 'a'", "did you mean match?"),
            ("[[user]]\nxyzzy = 'a'", "the keys are match, user"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.hint().unwrap().starts_with(hint), "{:?}", error.hint());
        }
    }
}
