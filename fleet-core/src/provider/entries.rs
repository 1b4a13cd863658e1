//! The tags and facts of a record: a map with few entries, of which there are many.
//!
//! Must not know what keys mean.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map from texts, in the order of its keys. The records of one answer have theirs in one `Table`: so a record costs
/// no allocation for its entries, and an answer that is kept is read without looking at each of them.
pub struct Entries<V> {
    table: Arc<Table<V>>,
    at: Range<u32>,
}

/// The entries of many maps, one map behind the other.
pub(super) struct Table<V> {
    keys: Arc<[Arc<str>]>,
    values: Arc<[V]>,
    /// Places of keys and of values, within each map in the order of the keys.
    entries: Box<[(u32, u32)]>,
}

impl<V> Table<V> {
    /// `None` when an entry names a key or a value that there is not.
    pub(super) fn new(keys: Arc<[Arc<str>]>, values: Arc<[V]>, entries: Box<[(u32, u32)]>) -> Option<Arc<Self>> {
        let is_there = |place: u32, count: usize| usize::try_from(place).is_ok_and(|place| place < count);
        let are_there = entries.iter().all(|(key, value)| is_there(*key, keys.len()) && is_there(*value, values.len()));
        are_there.then(|| Arc::new(Self { keys, values, entries }))
    }
}

impl<V> Entries<V> {
    /// Those `at` these places of `table`, which are in the order of their keys; `None` when it ends before.
    pub(super) fn of(table: &Arc<Table<V>>, at: Range<u32>) -> Option<Self> {
        places(&at).is_some_and(|at| table.entries.get(at).is_some()).then(|| Self { table: Arc::clone(table), at })
    }

    /// The value at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        let (entries, keys) = (self.entries(), &self.table.keys);
        let place = entries.binary_search_by(|(other, _)| (*keys[*other as usize]).cmp(key)).ok()?;
        Some(&self.table.values[entries[place].1 as usize])
    }

    /// Whether there is a value at `key`.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The entries by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> + Clone {
        let Table { keys, values, .. } = &*self.table;
        self.entries().iter().map(|(key, value)| (&keys[*key as usize], &values[*value as usize]))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    fn entries(&self) -> &[(u32, u32)] {
        places(&self.at).and_then(|at| self.table.entries.get(at)).unwrap_or_default()
    }
}

fn places(at: &Range<u32>) -> Option<Range<usize>> {
    Some(usize::try_from(at.start).ok()?..usize::try_from(at.end).ok()?)
}

impl<V> Clone for Entries<V> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), at: self.at.clone() }
    }
}

impl<V: Debug> Debug for Entries<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: PartialEq> PartialEq for Entries<V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<V: Eq> Eq for Entries<V> {}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// Of several entries with one key the last counts.
impl<V> From<Vec<(Arc<str>, V)>> for Entries<V> {
    fn from(entries: Vec<(Arc<str>, V)>) -> Self {
        let (keys, values): (Vec<_>, Vec<_>) = BTreeMap::from_iter(entries).into_iter().unzip();
        let (keys, values): (Arc<[_]>, Arc<[_]>) = (keys.into(), values.into());
        // What has more than 4 billion keys has been too long for anything else before.
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let entries = (0..count).map(|place| (place, place)).collect();
        Self { table: Arc::new(Table { keys, values, entries }), at: 0..count }
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
