//! The keys of `fleet.toml` that choose hosts and say how they are reached.
//!
//! Must not know which hosts there are.

use toml::de::DeValue;

use super::super::{SettingsError, StaticSource, UnknownWord};
use super::{Entry, File};
use crate::endpoint::AddressChoice;

/// What `default` takes, in words.
pub(super) const DEFAULT: &str = "a host set such as \"@web\" or \"@web & az:eu-west-1a\"";
/// What a tag is, in words.
const TAG: &str = "the name of a tag";

impl File<'_> {
    pub(super) fn sources(&self, entry: Entry<'_>) -> Result<Vec<StaticSource>, SettingsError> {
        self.each(entry, |one| {
            let word: Result<_, UnknownWord> = one.value.get_ref().as_str().unwrap_or_default().parse();
            word.map_err(|error| self.refused(one, error.expected))
        })
    }

    /// At least one.
    pub(super) fn address(&self, entry: Entry<'_>) -> Result<Vec<AddressChoice>, SettingsError> {
        let choices = self.each(entry, |one| {
            let choice = one.value.get_ref().as_str().and_then(|text| text.parse().ok());
            choice.ok_or_else(|| self.refused(one, AddressChoice::EXPECTED))
        })?;
        if choices.is_empty() { Err(self.refused(entry, AddressChoice::EXPECTED)) } else { Ok(choices) }
    }

    pub(super) fn tags(&self, entry: Entry<'_>) -> Result<Vec<String>, SettingsError> {
        self.each(entry, |one| self.tag(one))
    }

    pub(super) fn tag(&self, entry: Entry<'_>) -> Result<String, SettingsError> {
        match self.string(entry, TAG)? {
            "" => Err(self.refused(entry, TAG)),
            tag => Ok(tag.to_owned()),
        }
    }

    /// One value, or a list of them.
    fn each<'e, T>(
        &self,
        entry: Entry<'e>,
        read: impl Fn(Entry<'e>) -> Result<T, SettingsError>,
    ) -> Result<Vec<T>, SettingsError> {
        match entry.value.get_ref() {
            DeValue::Array(values) => values.iter().map(|value| read(Entry { value, ..entry })).collect(),
            _ => read(entry).map(|one| vec![one]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::super::{Layer, LayerSource};
    use super::*;

    #[test]
    fn every_key_about_the_choice_of_hosts_is_read() {
        let text = r#"
            default = "@web & az:eu-west-1a"
            sources = ["genders", "hosts"]
            group_tags = "Role"
            address = ["tag:fleet:ip", "private"]
            address_tag = "ip"
            port_tag = "port"
            include_self = true
            cache_ttl = "5m"
        "#;
        let expected = Layer {
            source: LayerSource::File("fleet.toml".into()),
            default: Some("@web & az:eu-west-1a".to_owned()),
            sources: Some(vec![StaticSource::Genders, StaticSource::Hosts]),
            group_tags: Some(vec!["Role".to_owned()]),
            address: Some(vec![AddressChoice::Tag("fleet:ip".to_owned()), AddressChoice::Private]),
            address_tag: Some("ip".to_owned()),
            port_tag: Some("port".to_owned()),
            include_self: Some(true),
            cache_ttl: Some(Duration::from_secs(300)),
            ..Layer::default()
        };
        assert_eq!(super::super::parse(text, Path::new("fleet.toml"), None).unwrap(), expected);
    }
}
