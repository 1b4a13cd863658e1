//! What `FLEET_*` variables set.
//!
//! Must not read the process's environment: it is given. Variables that are none of ours, and those we set ourselves
//! for remote commands, set nothing; one that looks like a mistyped name of ours is remarked on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::value::locate;
use super::{Key, Layer, LayerSource, Parallel, SettingsError, SshConfigFile, parse_duration};
use crate::endpoint::AddressChoice;
use crate::inventory::nearest;

/// What the names of our variables begin with.
const PREFIX: &str = "FLEET_";

/// Variables of ours that hold no setting, without their prefix: how settings are found and what is logged, and what
/// remote commands are told, as a tool may itself be such a command.
const OTHER_NAMES: [&str; 10] = ["CONFIG", "LOG", "HOST", "INDEX", "COUNT", "GROUP", "JOB", "ROLE", "ROLES", "RUN"];

/// What the names of variables begin with, without their prefix, of which remote commands may be told several.
const OTHER_FAMILIES: [&str; 2] = ["HOSTS_", "ROLE_"];

/// The environment of a process, as `std::env::vars_os` gives it.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Environment {
    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(super) fn home(&self) -> Option<&OsStr> {
        self.get("HOME")
    }

    /// The folder of what programs remember (XDG Base Directory Specification): `$XDG_STATE_HOME` or `~/.local/state`. `None`
    /// when the environment names neither; relative paths are ignored.
    #[must_use]
    pub fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |name| self.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
    }

    /// The file of the last partition; `None` as in [`state_folder`](Self::state_folder).
    #[must_use]
    pub fn roles_file(&self) -> Option<PathBuf> {
        Some(self.state_folder()?.join("fleet/roles.json"))
    }

    /// The folder of the user's own settings (XDG Base Directory Specification: a relative path is ignored).
    pub(super) fn config_folder(&self) -> Option<PathBuf> {
        let configured = self.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        configured.or_else(|| Some(Path::new(self.home()?).join(".config")))
    }
}

/// The layer that the `FLEET_*` variables make.
///
/// # Errors
/// [`SettingsError::Value`] when a variable does not hold what its key takes.
pub fn from_environment(environment: &Environment) -> Result<Layer, SettingsError> {
    selection(environment, Layer { source: LayerSource::Environment, ..running(environment)? })
}

/// What variables say about runs.
fn running(environment: &Environment) -> Result<Layer, SettingsError> {
    Ok(Layer {
        hosts: host_files(environment)?,
        parallel: parse(environment, Key::Parallel, |text| {
            text.parse().map_err(|_| refused(Key::Parallel, text, Parallel::EXPECTED))
        })?,
        timeout: parse(environment, Key::Timeout, |text| {
            text.parse().map_err(|_| refused(Key::Timeout, text, super::file::TIMEOUT))
        })?,
        connect_timeout: limit(environment, Key::ConnectTimeout)?,
        stall: limit(environment, Key::Stall)?,
        grace: duration(environment, Key::Grace)?,
        user: parse(environment, Key::User, |text| Ok(text.to_owned()))?,
        ssh_config: variable(environment, Key::SshConfig)
            .map(|value| locate_here(value, environment, Key::SshConfig).map(SshConfigFile::from))
            .transpose()?,
        host_key: parse(environment, Key::HostKey, |text| {
            text.parse().map_err(|error: super::UnknownWord| refused(Key::HostKey, text, error.expected))
        })?,
        record: truth(environment, Key::Record)?,
        ..Layer::default()
    })
}

/// What variables say about the choice of hosts, over `layer`.
fn selection(environment: &Environment, layer: Layer) -> Result<Layer, SettingsError> {
    Ok(Layer {
        default: parse(environment, Key::Default, |text| Ok(text.to_owned()))?,
        sources: list(environment, Key::Sources, |word| {
            word.parse().map_err(|error: super::UnknownWord| refused(Key::Sources, word, error.expected))
        })?,
        group_tags: list(environment, Key::GroupTags, |word| Ok(word.to_owned()))?,
        address: list(environment, Key::Address, |word| {
            word.parse().map_err(|_| refused(Key::Address, word, AddressChoice::EXPECTED))
        })?,
        include_self: truth(environment, Key::IncludeSelf)?,
        cache_ttl: duration(environment, Key::CacheTtl)?,
        ..layer
    })
}

/// Remarks on variables that look like settings of ours and are none: mistyped, or of a key that has no variable.
/// Other programs have `FLEET_` variables too, so what is not similar to one of ours passes in silence.
#[must_use]
pub fn mistyped_variables(environment: &Environment) -> Vec<String> {
    environment.0.keys().filter_map(|name| remark(name.to_str()?)).collect()
}

fn remark(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(PREFIX)?;
    let settings = || Key::ALL.into_iter().filter_map(|key| key.variable()?.strip_prefix(PREFIX));
    let ours = settings().chain(OTHER_NAMES).any(|known| known == name);
    if ours || OTHER_FAMILIES.iter().any(|family| name.starts_with(family)) {
        return None;
    }
    if let Some(key) = Key::ALL.into_iter().find(|key| key.name().to_uppercase() == name) {
        let flag = key.flag().map(|flag| format!("use {flag}, or ")).unwrap_or_default();
        return Some(format!("{variable} sets nothing: {flag}set {} in fleet.toml", key.name()));
    }
    // Without the prefix, which would make all names similar.
    let meant = nearest(name, settings()).into_iter().next()?;
    Some(format!("{variable} sets nothing: did you mean {PREFIX}{meant}?"))
}

fn variable(environment: &Environment, key: Key) -> Option<&OsStr> {
    environment.get(key.variable()?)
}

fn parse<T>(
    environment: &Environment,
    key: Key,
    read: impl Fn(&str) -> Result<T, SettingsError>,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = variable(environment, key) else {
        return Ok(None);
    };
    let text = value.to_str().ok_or_else(|| refused(key, &value.to_string_lossy(), "text in UTF-8"))?;
    read(text).map(Some)
}

fn truth(environment: &Environment, key: Key) -> Result<Option<bool>, SettingsError> {
    parse(environment, key, |text| text.parse().map_err(|_| refused(key, text, super::file::TRUTH)))
}

fn duration(environment: &Environment, key: Key) -> Result<Option<Duration>, SettingsError> {
    parse(environment, key, |text| parse_duration(text).map_err(|_| refused(key, text, super::file::DURATION)))
}

/// Words separated by commas, at least one.
fn list<T>(
    environment: &Environment,
    key: Key,
    read: impl Fn(&str) -> Result<T, SettingsError>,
) -> Result<Option<Vec<T>>, SettingsError> {
    parse(environment, key, |text| {
        text.split(',')
            .map(str::trim)
            .map(|word| match word {
                "" => Err(refused(key, text, "words separated by commas")),
                word => read(word),
            })
            .collect()
    })
}

fn limit(environment: &Environment, key: Key) -> Result<Option<super::Limit>, SettingsError> {
    parse(environment, key, |text| text.parse().map_err(|_| refused(key, text, super::file::LIMIT)))
}

/// Files separated by colons, as in `PATH`; relative ones are looked for in the current folder.
fn host_files(environment: &Environment) -> Result<Option<Vec<PathBuf>>, SettingsError> {
    let Some(value) = variable(environment, Key::Hosts) else {
        return Ok(None);
    };
    let files = std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty());
    files.map(|path| locate_here(path.as_os_str(), environment, Key::Hosts)).collect::<Result<_, _>>().map(Some)
}

fn locate_here(path: &OsStr, environment: &Environment, key: Key) -> Result<PathBuf, SettingsError> {
    locate(Path::new(path), Path::new(""), environment.home())
        .ok_or_else(|| refused(key, &path.to_string_lossy(), "a path without \"~\", for HOME is not set"))
}

fn refused(key: Key, found: &str, expected: &str) -> SettingsError {
    SettingsError::Value {
        place: key.variable().unwrap_or(key.name()).to_owned(),
        found: format!("{found:?}"),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CommandTimeout, HostKeyPolicy, Limit, StaticSource};
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    #[test]
    fn every_variable_is_read() {
        let environment = Environment::from_iter([
            ("FLEET_HOSTS", "a.txt::~/b.txt:/c"),
            ("FLEET_PARALLEL", "7"),
            ("FLEET_TIMEOUT", "300%"),
            ("FLEET_CONNECT_TIMEOUT", "3"),
            ("FLEET_STALL", "1m"),
            ("FLEET_GRACE", "500ms"),
            ("FLEET_USER", "me"),
            ("FLEET_SSH_CONFIG", "none"),
            ("FLEET_HOST_KEY", "accept-new"),
            ("FLEET_RECORD", "false"),
            ("FLEET_DEFAULT", "@loadgen & az:a"),
            ("FLEET_SOURCES", "genders,hosts"),
            ("FLEET_GROUP_TAGS", "Role, fleet:role"),
            ("FLEET_ADDRESS", "tag:ip,public"),
            ("FLEET_INCLUDE_SELF", "true"),
            ("FLEET_CACHE_TTL", "5m"),
            ("HOME", "/home/me"),
        ]);
        let expected = Layer {
            source: LayerSource::Environment,
            hosts: Some(vec!["a.txt".into(), "/home/me/b.txt".into(), "/c".into()]),
            parallel: Some("7".parse().unwrap()),
            timeout: Some(CommandTimeout::OfMedian(300)),
            connect_timeout: Some(Limit::After(Duration::from_secs(3))),
            stall: Some(Limit::After(Duration::from_secs(60))),
            grace: Some(Duration::from_millis(500)),
            user: Some("me".to_owned()),
            ssh_config: Some(SshConfigFile::None),
            host_key: Some(HostKeyPolicy::AcceptNew),
            record: Some(false),
            default: Some("@loadgen & az:a".to_owned()),
            sources: Some(vec![StaticSource::Genders, StaticSource::Hosts]),
            group_tags: Some(vec!["Role".to_owned(), "fleet:role".to_owned()]),
            address: Some(vec![AddressChoice::Tag("ip".to_owned()), AddressChoice::Public]),
            include_self: Some(true),
            cache_ttl: Some(Duration::from_secs(300)),
            ..Layer::default()
        };
        assert_eq!(from_environment(&environment).unwrap(), expected);
    }

    #[test]
    fn empty_and_foreign_variables_set_nothing() {
        let environment = Environment::from_iter([
            ("FLEET_PARALLEL", ""),
            ("FLEET_HOST", "web1"),
            ("FLEET_INDEX", "x"),
            ("FLEET_WHATEVER", "x"),
            ("PSSH_PAR", "9"),
        ]);
        let expected = Layer { source: LayerSource::Environment, ..Layer::default() };
        assert_eq!(from_environment(&environment).unwrap(), expected);
    }

    #[test]
    fn a_variable_that_looks_mistyped_is_remarked_on() {
        for (name, remark) in [
            ("FLEET_PARALEL", Some("FLEET_PARALEL sets nothing: did you mean FLEET_PARALLEL?")),
            ("FLEET_CONECT_TIMEOUT", Some("FLEET_CONECT_TIMEOUT sets nothing: did you mean FLEET_CONNECT_TIMEOUT?")),
            ("FLEET_HOSTKEY", Some("FLEET_HOSTKEY sets nothing: did you mean FLEET_HOST_KEY?")),
            ("FLEET_timeout", Some("FLEET_timeout sets nothing: did you mean FLEET_TIMEOUT?")),
            ("FLEET_IDENTITY", Some("FLEET_IDENTITY sets nothing: use --identity, or set identity in fleet.toml")),
            ("FLEET_PORT_TAG", Some("FLEET_PORT_TAG sets nothing: set port_tag in fleet.toml")),
            ("FLEET_SERVER_ENABLE", None),
            ("FLEET_URL", None),
            ("FLEETPARALLEL", None),
            ("PARALEL", None),
        ] {
            let environment = Environment::from_iter([(name, "x")]);
            assert_eq!(mistyped_variables(&environment), Vec::from_iter(remark), "{name}");
        }
    }

    #[test]
    fn variables_that_are_ours_are_not_remarked_on() {
        let settings = Key::ALL.into_iter().filter_map(Key::variable);
        let set_for_commands =
            ["FLEET_HOST", "FLEET_INDEX", "FLEET_COUNT", "FLEET_GROUP", "FLEET_JOB", "FLEET_ROLE", "FLEET_ROLE_INDEX"];
        let others = ["FLEET_CONFIG", "FLEET_LOG", "FLEET_HOSTS_SERVER"];
        let environment: Environment = settings.chain(set_for_commands).chain(others).map(|name| (name, "x")).collect();
        assert_eq!(mistyped_variables(&environment), Vec::<String>::new());
    }

    #[test]
    fn a_broken_value_names_its_variable() {
        for (name, value, message) in [
            ("FLEET_PARALLEL", "many", "FLEET_PARALLEL: found \"many\"; expected the number of hosts"),
            ("FLEET_PARALLEL", "-1", "FLEET_PARALLEL: found \"-1\""),
            ("FLEET_TIMEOUT", "soon", "FLEET_TIMEOUT: found \"soon\"; expected a duration such as"),
            ("FLEET_GRACE", "none", "FLEET_GRACE: found \"none\"; expected a duration such as"),
            ("FLEET_HOST_KEY", "yes", "FLEET_HOST_KEY: found \"yes\"; expected strict, accept-new or off"),
            ("FLEET_SOURCES", "hosts,nis", "FLEET_SOURCES: found \"nis\"; expected hosts, clustershell or genders"),
            ("FLEET_ADDRESS", "tag:", "FLEET_ADDRESS: found \"tag:\"; expected auto, private,"),
            ("FLEET_GROUP_TAGS", "a,,b", "FLEET_GROUP_TAGS: found \"a,,b\"; expected words separated by commas"),
            ("FLEET_INCLUDE_SELF", "yes", "FLEET_INCLUDE_SELF: found \"yes\"; expected true or false"),
            ("FLEET_CACHE_TTL", "none", "FLEET_CACHE_TTL: found \"none\"; expected a duration such as"),
            ("FLEET_HOSTS", "~/hosts", "FLEET_HOSTS: found \"~/hosts\"; expected a path without"),
        ] {
            let error = from_environment(&Environment::from_iter([(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let environment = Environment::from_iter([("FLEET_USER", OsString::from_vec(vec![0xff]))]);
        assert!(from_environment(&environment).unwrap_err().to_string().contains("UTF-8"));
    }
}
