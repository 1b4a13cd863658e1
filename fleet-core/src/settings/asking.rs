//! How providers are asked in one run: what flags say over all settings files.
//!
//! Must not know which providers there are.

use serde_json::Value;

use crate::provider::protocol::NativeFilter;
use crate::provider::{CacheUse, ProviderSettings};

/// How providers are asked this time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Regions instead of those of a provider's table; none leaves them to it.
    pub regions: Vec<String>,
    /// Profile instead of that of a provider's table.
    pub profile: Option<String>,
    /// Filters in the provider's own words; all must match.
    pub filters: Vec<NativeFilter>,
    /// Whether what they said a moment ago is enough.
    pub cache: CacheUse,
}

impl Asking {
    /// What is set about a provider, with our regions and profile in place of its own.
    #[must_use]
    pub fn laid_over(&self, mut provider: ProviderSettings) -> ProviderSettings {
        if !self.regions.is_empty() {
            provider.settings.insert("regions".to_owned(), self.regions.clone().into());
        }
        if let Some(profile) = &self.profile {
            provider.settings.insert("profile".to_owned(), Value::String(profile.clone()));
        }
        provider
    }
}

/// Why a text is no filter in a provider's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no filter; expected Name=NAME,Values=VALUE[,VALUE...], a value with commas in quotes")]
pub struct NativeFilterError(String);

/// Reads `Name=instance-type,Values=c5.large,c5.xlarge` as the command line of EC2 takes it (shorthand syntax of the AWS
/// CLI). A value may stand in single or double quotes.
///
/// # Errors
/// When the text is anything else.
pub fn parse_native_filter(text: &str) -> Result<NativeFilter, NativeFilterError> {
    let parts = text.strip_prefix("Name=").and_then(|rest| rest.split_once(",Values="));
    let filter = parts.filter(|(name, _)| !name.is_empty()).and_then(|(name, written)| {
        let values = values(written)?;
        Some(NativeFilter { name: name.to_owned(), values })
    });
    filter.ok_or_else(|| NativeFilterError(text.to_owned()))
}

/// The values of a list with commas; `None` where one is empty or has quotes in wrong places.
fn values(written: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = written;
    loop {
        let quote = rest.chars().next().filter(|c| "\"'".contains(*c));
        let (value, behind) = match quote {
            Some(quote) => rest[1..].split_once(quote)?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if value.is_empty() {
            return None;
        }
        values.push(value.to_owned());
        if behind.is_empty() {
            return Some(values);
        }
        rest = behind.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_is_a_name_and_values() {
        for (text, name, values) in [
            ("Name=instance-type,Values=c5.large", "instance-type", &["c5.large"][..]),
            ("Name=instance-lifecycle,Values=spot,scheduled", "instance-lifecycle", &["spot", "scheduled"]),
            ("Name=tag:Name,Values=\"a,b\",c d,'e\"f'", "tag:Name", &["a,b", "c d", "e\"f"]),
            ("Name=tag:x=y,Values=a=b", "tag:x=y", &["a=b"]),
        ] {
            let filter = parse_native_filter(text).unwrap();
            assert_eq!((filter.name.as_str(), filter.values), (name, values.iter().map(|v| (*v).to_owned()).collect()));
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_accepted_form() {
        for text in [
            "",
            "spot",
            "Name=,Values=a",
            "Name=a",
            "Name=a,Values=",
            "Name=a,Values=b,",
            "Name=a,Values=,b",
            "Name=a,Values=\"b",
            "Name=a,Values=\"b\"c",
            "Values=b,Name=a",
        ] {
            let error = parse_native_filter(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is no filter; expected Name=NAME,Values=")), "{error}");
        }
    }

    #[test]
    fn flags_replace_regions_and_profile_and_nothing_else() {
        let mut provider = ProviderSettings::named("ec2");
        provider.settings = json!({"regions": ["a"], "profile": "p", "endpoint": "e"}).as_object().unwrap().clone();
        assert_eq!(Asking::default().laid_over(provider.clone()), provider);
        let asking = Asking { regions: vec!["b".into(), "c".into()], profile: Some("q".into()), ..Asking::default() };
        let settings = serde_json::Value::Object(asking.laid_over(provider).settings);
        assert_eq!(settings, json!({"regions": ["b", "c"], "profile": "q", "endpoint": "e"}));
    }
}
