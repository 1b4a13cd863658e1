//! From layers to the settings in force.
//!
//! Must not know how the layers were read.

use std::time::Duration;

use super::value::is_user_name;
use super::{Asking, Key, Layer, Limit, Origin, ProviderTable, Setting, Settings, SettingsError, StaticSource};
use crate::endpoint::{AddressChoice, UserRule};
use crate::inventory::GroupDefinition;
use crate::provider::{self, ProviderSettings};

/// How long each stage before the command may take, unless set.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command may take to end after TERM, unless set.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// Which tags say a host's groups, unless set.
const DEFAULT_GROUP_TAGS: [&str; 2] = ["fleet:role", "Role"];
/// Which tag says a host's address, unless set.
const DEFAULT_ADDRESS_TAG: &str = "fleet:address";
/// Which tag says a host's port, unless set.
const DEFAULT_PORT_TAG: &str = "fleet:port";

impl Settings {
    /// Takes each value from the first of `layers` that sets it; the nearest layer comes first.
    ///
    /// # Errors
    /// When a value in force is impossible: a user that is no user, an option without value.
    pub fn resolve(layers: &[Layer]) -> Result<Self, SettingsError> {
        let limit = |limit: Limit| limit.duration();
        let asking = Asking::of(layers);
        Ok(Self {
            hosts: pick(layers, Key::Hosts, |layer| layer.hosts.clone()).unwrap_or_default(),
            parallel: pick(layers, Key::Parallel, |layer| layer.parallel).unwrap_or_default(),
            timeout: pick(layers, Key::Timeout, |layer| layer.timeout).unwrap_or_default(),
            connect_timeout: pick_or(
                layers,
                Key::ConnectTimeout,
                |layer| layer.connect_timeout.map(limit),
                || Some(DEFAULT_CONNECT_TIMEOUT),
            ),
            stall: pick(layers, Key::Stall, |layer| layer.stall.map(limit)).unwrap_or_default(),
            grace: pick_or(layers, Key::Grace, |layer| layer.grace, || DEFAULT_GRACE),
            user: user(layers)?,
            ssh_config: pick(layers, Key::SshConfig, |layer| layer.ssh_config.clone().map(Some)).unwrap_or_default(),
            ssh_options: ssh_options(layers)?,
            identity: pick(layers, Key::Identity, |layer| layer.identity.clone().map(Some)).unwrap_or_default(),
            host_key: pick(layers, Key::HostKey, |layer| layer.host_key.map(Some)).unwrap_or_default(),
            record: pick_or(layers, Key::Record, |layer| layer.record, || true),
            default: default_hosts(layers),
            sources: pick_or(layers, Key::Sources, |layer| layer.sources.clone(), || StaticSource::ALL.to_vec()),
            group_tags: pick_or(
                layers,
                Key::GroupTags,
                |layer| layer.group_tags.clone(),
                || DEFAULT_GROUP_TAGS.map(str::to_owned).to_vec(),
            ),
            address: pick_or(layers, Key::Address, |layer| layer.address.clone(), || vec![AddressChoice::Auto]),
            address_tag: pick_or(
                layers,
                Key::AddressTag,
                |layer| layer.address_tag.clone(),
                || DEFAULT_ADDRESS_TAG.to_owned(),
            ),
            port_tag: pick_or(layers, Key::PortTag, |layer| layer.port_tag.clone(), || DEFAULT_PORT_TAG.to_owned()),
            include_self: pick(layers, Key::IncludeSelf, |layer| layer.include_self).unwrap_or_default(),
            cache_ttl: pick_or(layers, Key::CacheTtl, |layer| layer.cache_ttl, || provider::TTL),
            groups: groups(layers),
            providers: providers(layers, &asking),
            user_rules: user_rules(layers),
            asking,
        })
    }

    /// What is set about the provider `name`: its table, else nothing but what flags say. `None` where it is not to be
    /// asked.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<ProviderSettings> {
        match self.providers.iter().find(|table| table.value.settings.name == name) {
            Some(table) => table.value.enabled.then(|| table.value.settings.clone()),
            None => Some(self.asking.laid_over(ProviderSettings::named(name))),
        }
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

fn pick_or<T>(
    layers: &[Layer],
    key: Key,
    get: impl Fn(&Layer) -> Option<T>,
    default: impl FnOnce() -> T,
) -> Setting<T> {
    pick(layers, key, get).unwrap_or_else(|| Setting::default_of(default()))
}

fn user(layers: &[Layer]) -> Result<Setting<Option<String>>, SettingsError> {
    let user = pick(layers, Key::User, |layer| layer.user.clone().map(Some)).unwrap_or_default();
    match &user.value {
        Some(name) if !is_user_name(name) => Err(refused(&user.origin, &format!("{name:?}"), "a user name")),
        _ => Ok(user),
    }
}

/// The rules of the layers up to the first that names one user for all hosts.
fn user_rules(layers: &[Layer]) -> Vec<Setting<UserRule>> {
    let nearer = layers.iter().take_while(|layer| layer.user.is_none());
    let rules = nearer.flat_map(|layer| {
        let origin = Origin::Layer(layer.source.clone(), Key::User);
        layer.user_rules.iter().map(move |rule| Setting { value: rule.clone(), origin: origin.clone() })
    });
    rules.collect()
}

/// The nearest layer that says anything; an empty text takes back what a farther one says.
fn default_hosts(layers: &[Layer]) -> Setting<Option<String>> {
    let said = |layer: &Layer| layer.default.clone().map(|text| Some(text).filter(|text| !text.trim().is_empty()));
    pick(layers, Key::Default, said).unwrap_or_default()
}

fn providers(layers: &[Layer], asking: &Asking) -> Vec<Setting<ProviderTable>> {
    let mut providers: Vec<Setting<ProviderTable>> = Vec::new();
    for layer in layers {
        for table in &layer.providers {
            if providers.iter().any(|nearer| nearer.value.settings.name == table.settings.name) {
                continue;
            }
            let settings = asking.laid_over(table.settings.clone());
            let origin = Origin::Layer(layer.source.clone(), Key::Provider);
            providers.push(Setting { value: ProviderTable { settings, ..table.clone() }, origin });
        }
    }
    providers
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
    use std::num::NonZeroUsize;
    use std::path::PathBuf;

    use super::super::{CommandTimeout, LayerSource, Parallel};
    use super::*;

    fn file(name: &str) -> Layer {
        Layer { source: LayerSource::File(PathBuf::from(name)), ..Layer::default() }
    }

    fn exactly(hosts: usize) -> Parallel {
        Parallel::Exactly(NonZeroUsize::new(hosts).unwrap())
    }

    fn variables() -> Layer {
        Layer { source: LayerSource::Environment, ..Layer::default() }
    }

    #[test]
    fn defaults_hold_where_nobody_sets_anything() {
        let settings = Settings::resolve(&[Layer::default(), variables(), file("fleet.toml")]).unwrap();
        assert_eq!(settings.parallel.value, Parallel::Auto);
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
        let set = |layer: Layer, parallel| Layer { parallel: Some(exactly(parallel)), ..layer };
        let flags = Layer::default;
        for (layers, parallel, origin) in [
            (vec![set(flags(), 1), set(variables(), 2), set(file("fleet.toml"), 3)], 1, "--parallel"),
            (vec![flags(), set(variables(), 2), set(file("fleet.toml"), 3)], 2, "FLEET_PARALLEL"),
            (vec![flags(), variables(), set(file("a/fleet.toml"), 3), set(file("b"), 4)], 3, "a/fleet.toml: parallel"),
            (vec![flags(), variables(), file("a"), set(file("b"), 4)], 4, "b: parallel"),
        ] {
            let settings = Settings::resolve(&layers).unwrap();
            assert_eq!(settings.parallel.value, exactly(parallel));
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

    #[test]
    fn what_is_not_set_about_the_choice_of_hosts_has_its_default() {
        let settings = Settings::resolve(&[]).unwrap();
        assert_eq!(settings.default.value, None);
        assert_eq!(settings.sources.value, StaticSource::ALL);
        assert_eq!(settings.group_tags.value, ["fleet:role", "Role"]);
        assert_eq!(settings.address.value, [AddressChoice::Auto]);
        assert_eq!(
            (settings.address_tag.value.as_str(), settings.port_tag.value.as_str()),
            ("fleet:address", "fleet:port")
        );
        assert!(!settings.include_self.value);
        assert_eq!(settings.cache_ttl.value, Duration::from_secs(60));
        assert_eq!((settings.user_rules, settings.providers), (vec![], vec![]));
        assert_eq!(settings.asking, Asking::default());
    }

    #[test]
    fn an_empty_default_takes_back_that_of_a_farther_layer() {
        let default = |layer: Layer, text: &str| Layer { default: Some(text.to_owned()), ..layer };
        let far = default(file("far"), "@web");
        for (near, value, origin) in [
            (file("near"), Some("@web"), "far: default"),
            (default(file("near"), "@db"), Some("@db"), "near: default"),
            (default(file("near"), ""), None, "near: default"),
            (default(variables(), "@db"), Some("@db"), "FLEET_DEFAULT"),
        ] {
            let settings = Settings::resolve(&[near, far.clone()]).unwrap();
            assert_eq!(settings.default.value.as_deref(), value);
            assert_eq!(settings.default.origin.to_string(), origin);
        }
    }

    #[test]
    fn a_user_for_all_hosts_hides_the_rules_of_farther_layers() {
        let rule = |user: &str| UserRule { pattern: "tag:os=x".to_owned(), user: user.to_owned() };
        let rules = |name: &str, users: &[&str]| Layer {
            user_rules: users.iter().map(|user| rule(user)).collect(),
            ..file(name)
        };
        let user = |layer: Layer| Layer { user: Some("me".to_owned()), ..layer };
        for (layers, users, of_all) in [
            (vec![rules("a", &["x", "y"]), rules("b", &["z"])], "x y z", None),
            (vec![rules("a", &["x"]), user(file("b")), rules("c", &["z"])], "x", Some("me")),
            (vec![user(Layer::default()), rules("a", &["x"])], "", Some("me")),
        ] {
            let settings = Settings::resolve(&layers).unwrap();
            let named: Vec<_> = settings.user_rules.iter().map(|set| set.value.user.as_str()).collect();
            assert_eq!((named.join(" ").as_str(), settings.user.value.as_deref()), (users, of_all));
        }
    }

    #[test]
    fn the_nearest_table_of_a_provider_counts_whole_and_flags_are_laid_over() {
        let provider = |name: &str, key: &str, enabled| {
            let mut settings = ProviderSettings { configured: true, ..ProviderSettings::named(name) };
            settings.settings.insert(key.to_owned(), key.into());
            ProviderTable { settings, enabled }
        };
        let near = Layer { providers: vec![provider("ec2", "profile", true)], ..file("near") };
        let far = Layer { providers: vec![provider("lab", "b", false), provider("ec2", "c", true)], ..file("far") };
        let asking = Asking { regions: vec!["r".to_owned()], ..Asking::default() };
        let settings = Settings::resolve(&[Layer { asking, ..Layer::default() }, near, far]).unwrap();
        let shown: Vec<String> = settings
            .providers
            .iter()
            .map(|set| format!("{} {} {:?}", set.origin, set.value.settings.name, set.value.settings.settings))
            .collect();
        assert_eq!(shown.len(), 2);
        assert!(
            shown[0].starts_with("near: provider ec2") && shown[0].contains("regions") && !shown[0].contains("\"c\""),
            "{}",
            shown[0]
        );
        assert!(shown[1].starts_with("far: provider lab"), "{}", shown[1]);
        for (name, configured) in [("ec2", Some(true)), ("lab", None), ("other", Some(false))] {
            let provider = settings.provider(name);
            assert_eq!(provider.as_ref().map(|provider| provider.configured), configured, "{name}");
            assert!(provider.is_none_or(|provider| provider.settings["regions"] == serde_json::json!(["r"])), "{name}");
        }
    }
}
