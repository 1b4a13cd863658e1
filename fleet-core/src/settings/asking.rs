//! How providers are asked in one run: what flags say over all settings files.
//!
//! Must not know which providers there are.

use serde_json::Value;

use super::Layer;
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
    /// What flags say, those of this run before those of a former one.
    #[must_use]
    pub fn of(layers: &[Layer]) -> Self {
        let said = || layers.iter().map(|layer| &layer.asking);
        let nearest = |is_said: fn(&Self) -> bool| said().find(|asking| is_said(asking));
        Self {
            regions: nearest(|asking| !asking.regions.is_empty())
                .map(|asking| asking.regions.clone())
                .unwrap_or_default(),
            profile: said().find_map(|asking| asking.profile.clone()),
            filters: nearest(|asking| !asking.filters.is_empty())
                .map(|asking| asking.filters.clone())
                .unwrap_or_default(),
            cache: said().map(|asking| asking.cache).find(|cache| *cache != CacheUse::Use).unwrap_or_default(),
        }
    }

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
#[error(
    "\"{0}\" is no filter; expected Name=NAME,Values=VALUE[,VALUE...], a value with commas in quotes or with \\, for each"
)]
pub struct NativeFilterError(String);

/// Reads `Name=instance-type,Values=c5.large,c5.xlarge` as the AWS CLI takes it (its shorthand syntax): a value may stand in
/// single or double quotes, a comma behind a backslash is part of its value, and the values may stand in brackets. Other
/// backslashes are left to the provider.
///
/// # Errors
/// When the text is anything else.
pub fn parse_native_filter(text: &str) -> Result<NativeFilter, NativeFilterError> {
    let parts = text.strip_prefix("Name=").and_then(|rest| rest.split_once(",Values="));
    let filter = parts.filter(|(name, _)| !name.is_empty()).and_then(|(name, written)| {
        let listed = written.strip_prefix('[').map_or(Some(written), |rest| rest.strip_suffix(']'))?;
        Some(NativeFilter { name: name.to_owned(), values: values(listed)? })
    });
    filter.ok_or_else(|| NativeFilterError(text.to_owned()))
}

/// The values of a list with commas; `None` where one is empty without quotes, or has quotes in wrong places.
fn values(written: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = written;
    loop {
        let (value, behind) = match rest.chars().next().filter(|c| "\"'".contains(*c)) {
            Some(quote) => quoted(&rest[1..], quote)?,
            None => unquoted(rest)?,
        };
        values.push(value);
        if behind.is_empty() {
            return Some(values);
        }
        rest = behind.strip_prefix(',')?;
    }
}

/// Up to `quote`; a backslash before it or before another one is taken away.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let next = characters.clone().next();
        match character {
            '\\' if next == Some(quote) || next == Some('\\') => value.extend(characters.next()),
            end if end == quote => return Some((value, characters.as_str())),
            plain => value.push(plain),
        }
    }
    None
}

/// Up to a comma; one behind a backslash is part of the value.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let is_end = |(place, _): &(usize, &str)| !text[..*place].ends_with('\\');
    let end = text.match_indices(',').find(is_end).map_or(text.len(), |(place, _)| place);
    let value = text[..end].trim_end().replace("\\,", ",");
    (!value.is_empty()).then_some((value, &text[end..]))
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
            (r"Name=tag:a,Values=b\,c,d\*e\?\\f", "tag:a", &["b,c", r"d\*e\?\\f"]),
            (r#"Name=tag:a,Values="b\"c\\d\*",'e\'f\"g'"#, "tag:a", &[r#"b"c\d\*"#, r#"e'f\"g"#]),
            ("Name=tag:a,Values=[b,\"c,d\"]", "tag:a", &["b", "c,d"]),
            ("Name=tag:a,Values=\"\"", "tag:a", &[""]),
            ("Name=tag:a,Values=b ,c", "tag:a", &["b", "c"]),
        ] {
            let filter = parse_native_filter(text).unwrap();
            assert_eq!(parse_native_filter(&filter.to_string()), Ok(filter.clone()), "as it is shown");
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
            "Name=a,Values=\"b\\\"",
            "Name=a,Values=[b",
            "Name=a,Values=[]",
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
