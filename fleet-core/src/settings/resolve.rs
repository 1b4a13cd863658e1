//! From layers to the settings in force.
//!
//! Must not know how the layers were read.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Key, Layer, Limit, Origin, Setting, Settings, SettingsError};
use crate::host::Host;
use crate::inventory::GroupDefinition;

/// How many hosts at once, unless set.
const DEFAULT_PARALLEL: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");
/// How long each stage before the command may take, unless set.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command may take to end after TERM, unless set.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

impl Settings {
    /// Takes each value from the first of `layers` that sets it; the nearest layer comes first.
    ///
    /// # Errors
    /// When a value in force is impossible: no host at once, a user that is no user, an option without value.
    pub fn resolve(layers: &[Layer]) -> Result<Self, SettingsError> {
        let limit = |limit: Limit| limit.duration();
        Ok(Self {
            hosts: pick(layers, Key::Hosts, |layer| layer.hosts.clone()).unwrap_or_default(),
            parallel: parallel(layers)?,
            timeout: pick(layers, Key::Timeout, |layer| layer.timeout).unwrap_or_default(),
            connect_timeout: pick(layers, Key::ConnectTimeout, |layer| layer.connect_timeout.map(limit))
                .unwrap_or_else(|| Setting::default_of(Some(DEFAULT_CONNECT_TIMEOUT))),
            stall: pick(layers, Key::Stall, |layer| layer.stall.map(limit)).unwrap_or_default(),
            grace: pick(layers, Key::Grace, |layer| layer.grace).unwrap_or_else(|| Setting::default_of(DEFAULT_GRACE)),
            user: user(layers)?,
            ssh_config: pick(layers, Key::SshConfig, |layer| layer.ssh_config.clone().map(Some)).unwrap_or_default(),
            ssh_options: ssh_options(layers)?,
            identity: pick(layers, Key::Identity, |layer| layer.identity.clone().map(Some)).unwrap_or_default(),
            host_key: pick(layers, Key::HostKey, |layer| layer.host_key.map(Some)).unwrap_or_default(),
            record: pick(layers, Key::Record, |layer| layer.record).unwrap_or_else(|| Setting::default_of(true)),
            groups: groups(layers),
        })
    }
}

impl<T> Setting<T> {
    fn default_of(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}

impl<T: Default> Default for Setting<T> {
    fn default() -> Self {
        Self::default_of(T::default())
    }
}

fn pick<T>(layers: &[Layer], key: Key, get: impl Fn(&Layer) -> Option<T>) -> Option<Setting<T>> {
    layers.iter().find_map(|layer| {
        let value = get(layer)?;
        Some(Setting { value, origin: Origin::Layer(layer.source.clone(), key) })
    })
}

fn parallel(layers: &[Layer]) -> Result<Setting<NonZeroUsize>, SettingsError> {
    let Some(Setting { value, origin }) = pick(layers, Key::Parallel, |layer| layer.parallel) else {
        return Ok(Setting::default_of(DEFAULT_PARALLEL));
    };
    match NonZeroUsize::new(value) {
        Some(value) => Ok(Setting { value, origin }),
        None => Err(refused(&origin, "0", "the number of hosts to work on at once, 1 or more")),
    }
}

fn user(layers: &[Layer]) -> Result<Setting<Option<String>>, SettingsError> {
    let user = pick(layers, Key::User, |layer| layer.user.clone().map(Some)).unwrap_or_default();
    match &user.value {
        Some(name) if format!("{name}@host").parse::<Host>().is_err() => {
            Err(refused(&user.origin, &format!("{name:?}"), "a user name"))
        }
        _ => Ok(user),
    }
}

fn ssh_options(layers: &[Layer]) -> Result<Vec<Setting<String>>, SettingsError> {
    let mut options = Vec::new();
    for layer in layers {
        for option in &layer.ssh_options {
            let origin = Origin::Layer(layer.source.clone(), Key::SshOptions);
            let parts = option.trim().split_once(['=', ' ', '\t']);
            let complete = parts.is_some_and(|(key, value)| {
                key.trim().chars().all(|c| c.is_ascii_alphanumeric())
                    && !key.trim().is_empty()
                    && !value.trim().is_empty()
            });
            if !complete {
                return Err(refused(&origin, &format!("{option:?}"), "Key=Value, as in ServerAliveInterval=5"));
            }
            options.push(Setting { value: option.clone(), origin });
        }
    }
    Ok(options)
}

fn groups(layers: &[Layer]) -> Vec<GroupDefinition> {
    let mut groups: Vec<GroupDefinition> = Vec::new();
    for group in layers.iter().flat_map(|layer| &layer.groups) {
        if !groups.iter().any(|nearer| nearer.name == group.name) {
            groups.push(group.clone());
        }
    }
    groups
}

fn refused(origin: &Origin, found: &str, expected: &str) -> SettingsError {
    SettingsError::Value { place: origin.to_string(), found: found.to_owned(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{CommandTimeout, LayerSource};
    use super::*;

    fn file(name: &str) -> Layer {
        Layer { source: LayerSource::File(PathBuf::from(name)), ..Layer::default() }
    }

    fn variables() -> Layer {
        Layer { source: LayerSource::Environment, ..Layer::default() }
    }

    #[test]
    fn defaults_hold_where_nobody_sets_anything() {
        let settings = Settings::resolve(&[Layer::default(), variables(), file("fleet.toml")]).unwrap();
        assert_eq!(settings.parallel.value.get(), 64);
        assert_eq!(settings.parallel.origin.to_string(), "default");
        assert!(settings.record.value);
        assert_eq!(settings.timeout.value, CommandTimeout::None);
        assert_eq!(settings.connect_timeout.value, Some(Duration::from_secs(10)));
        assert_eq!(settings.stall.value, None);
        assert_eq!(settings.grace.value, Duration::from_secs(5));
        assert_eq!((settings.user.value, settings.host_key.value, settings.identity.value), (None, None, None));
        assert_eq!((settings.hosts.value, settings.ssh_options, settings.groups), (vec![], vec![], vec![]));
    }

    #[test]
    fn the_nearest_layer_that_sets_a_value_wins_and_is_named() {
        let set = |layer: Layer, parallel| Layer { parallel: Some(parallel), ..layer };
        let flags = Layer::default;
        for (layers, parallel, origin) in [
            (vec![set(flags(), 1), set(variables(), 2), set(file("fleet.toml"), 3)], 1, "--parallel"),
            (vec![flags(), set(variables(), 2), set(file("fleet.toml"), 3)], 2, "FLEET_PARALLEL"),
            (vec![flags(), variables(), set(file("a/fleet.toml"), 3), set(file("b"), 4)], 3, "a/fleet.toml: parallel"),
            (vec![flags(), variables(), file("a"), set(file("b"), 4)], 4, "b: parallel"),
        ] {
            let settings = Settings::resolve(&layers).unwrap();
            assert_eq!(settings.parallel.value.get(), parallel);
            assert_eq!(settings.parallel.origin.to_string(), origin);
        }
    }

    #[test]
    fn no_limit_in_a_nearer_layer_hides_a_limit() {
        let flags =
            Layer { connect_timeout: Some(Limit::None), timeout: Some(CommandTimeout::None), ..Layer::default() };
        let lower = Layer { timeout: Some(CommandTimeout::After(Duration::from_secs(1))), ..file("fleet.toml") };
        let settings = Settings::resolve(&[flags, lower]).unwrap();
        assert_eq!(settings.timeout.value, CommandTimeout::None);
        assert_eq!(settings.connect_timeout.value, None);
        assert_eq!(settings.connect_timeout.origin.to_string(), "--connect-timeout");
    }

    #[test]
    fn ssh_options_of_all_layers_count_and_the_nearest_come_first() {
        let options = |layer: Layer, option: &str| Layer { ssh_options: vec![option.to_owned()], ..layer };
        let settings = Settings::resolve(&[options(Layer::default(), "A=1"), options(file("f"), "A=2")]).unwrap();
        let shown: Vec<_> = settings.ssh_options.iter().map(|set| format!("{} {}", set.origin, set.value)).collect();
        assert_eq!(shown, ["-O A=1", "f: ssh_options A=2"]);
    }

    #[test]
    fn the_nearest_definition_of_a_group_hides_the_others() {
        let group = |name: &str, hosts: &str, origin: &str| GroupDefinition {
            name: name.to_owned(),
            expressions: vec![hosts.to_owned()],
            origin: origin.to_owned(),
        };
        let near = Layer { groups: vec![group("web", "a", "near")], ..file("near") };
        let far = Layer { groups: vec![group("db", "b", "far"), group("web", "c", "far")], ..file("far") };
        let settings = Settings::resolve(&[near, far]).unwrap();
        assert_eq!(settings.groups, [group("web", "a", "near"), group("db", "b", "far")]);
    }

    #[test]
    fn impossible_values_are_refused_by_their_origin() {
        let flags = Layer::default;
        for (layer, message) in [
            (Layer { parallel: Some(0), ..flags() }, "--parallel: found 0; expected the number of hosts"),
            (Layer { parallel: Some(0), ..variables() }, "FLEET_PARALLEL: found 0"),
            (Layer { parallel: Some(0), ..file("fleet.toml") }, "fleet.toml: parallel: found 0"),
            (Layer { user: Some("a b".into()), ..flags() }, "--user: found \"a b\"; expected a user name"),
            (Layer { user: Some(String::new()), ..flags() }, "--user: found \"\""),
            (
                Layer { ssh_options: vec!["Compression".into()], ..flags() },
                "-O: found \"Compression\"; expected Key=Value",
            ),
            (Layer { ssh_options: vec!["=yes".into()], ..flags() }, "-O: found \"=yes\""),
            (Layer { ssh_options: vec!["User=".into()], ..file("f") }, "f: ssh_options: found \"User=\""),
        ] {
            let error = Settings::resolve(&[layer]).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
