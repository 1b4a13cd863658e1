//! Hash tables of hosts and of their numbers.
//!
//! The hash of std's own tables is a third of what a choice among 10,000 hosts costs. This one is seeded for each process as
//! well. Must not know what is counted or looked up.

use std::collections::{HashMap, HashSet};

pub(crate) use foldhash::fast::RandomState;

/// A map that is quick to look up and to fill.
pub(crate) type QuickMap<K, V> = HashMap<K, V, RandomState>;
/// A set that is quick to look up and to fill.
pub(crate) type QuickSet<T> = HashSet<T, RandomState>;
