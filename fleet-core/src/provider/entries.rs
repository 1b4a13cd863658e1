//! The tags and facts of a record: a map with few entries, of which there are many.
//!
//! Must not know what keys mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map from texts, in the order of its keys: one allocation, where a `BTreeMap` of ten entries has several times the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<V>(Box<[(Arc<str>, V)]>);

impl<V> Entries<V> {
    /// The value at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        let place = self.0.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
        Some(&self.0[place].1)
    }

    /// Whether there is a value at `key`.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The entries by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

/// Of several entries with one key the last counts.
impl<V> From<Vec<(Arc<str>, V)>> for Entries<V> {
    fn from(entries: Vec<(Arc<str>, V)>) -> Self {
        match entries.is_sorted_by(|(one, _), (next, _)| one < next) {
            true => Self(entries.into()),
            false => Self(BTreeMap::from_iter(entries).into_iter().collect()),
        }
    }
}

impl<V, const N: usize> From<[(Arc<str>, V); N]> for Entries<V> {
    fn from(entries: [(Arc<str>, V); N]) -> Self {
        Vec::from(entries).into()
    }
}

impl<V> FromIterator<(Arc<str>, V)> for Entries<V> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, V)>>(entries: I) -> Self {
        Vec::from_iter(entries).into()
    }
}

impl<V: Serialize> Serialize for Entries<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Entries<usize> {
        text.split_whitespace().enumerate().map(|(place, key)| (key.into(), place)).collect()
    }

    #[test]
    fn entries_are_found_in_order_and_the_last_of_a_key_counts() {
        for (given, expected) in [
            ("", r#"{}"#),
            ("a b c", r#"{"a":0,"b":1,"c":2}"#),
            ("c a b", r#"{"a":1,"b":2,"c":0}"#),
            ("b a b B", r#"{"B":3,"a":1,"b":2}"#),
        ] {
            let entries = entries(given);
            assert_eq!(serde_json::to_string(&entries).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Entries<usize>>(expected).unwrap(), entries);
            assert!(entries.iter().all(|(key, value)| entries.get(key) == Some(value)), "{given}");
            assert!(!entries.contains_key("x"));
        }
    }
}
