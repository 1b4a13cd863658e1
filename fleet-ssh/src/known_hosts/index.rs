//! The lines of one file, found by name: a table for plain names, a list for patterns, a list for hashed names.
//!
//! Must not know where the lines come from, nor what they are worth.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use russh::keys::ssh_key::public::KeyData;

use super::matching::{HashedName, Names};
use super::parse::{Line, Marker};
use crate::pattern::PatternList;

/// A line that can be found.
#[derive(Clone, Debug)]
pub(super) struct IndexedLine {
    /// Counted from 1, as editors and ssh(1) do.
    pub(super) number: usize,
    pub(super) marker: Marker,
    pub(super) key: KeyData,
}

/// Position of a line in [`LineIndex::lines`].
type Slot = usize;

#[derive(Debug, Default)]
pub(super) struct LineIndex {
    lines: Vec<IndexedLine>,
    plain: HashMap<String, Vec<Slot>>,
    patterns: Vec<(Slot, PatternList)>,
    /// Behind a lock, because a lookup learns which name a line hides. The hashing is done under it: done side by
    /// side, it would be done twice.
    hashed: Mutex<HashedLines>,
}

/// Each hashed line has its own salt, so a name must be tried on all of them; but on each only once, and on none whose
/// name is found, for it hides no other.
#[derive(Debug, Default)]
struct HashedLines {
    unsolved: Vec<(Slot, HashedName)>,
    solved: HashMap<String, Solved>,
}

/// The lines that hide a name.
#[derive(Debug, Default)]
struct Solved {
    slots: Vec<Slot>,
    /// The name was tried on the lines before this one.
    tried: Slot,
}

impl LineIndex {
    pub(super) fn add(&mut self, number: usize, line: Line) {
        let slot = self.lines.len();
        self.lines.push(IndexedLine { number, marker: line.marker, key: line.key });
        match line.names {
            Names::Plain(names) => names.into_iter().for_each(|name| self.plain.entry(name).or_default().push(slot)),
            Names::Patterns(list) => self.patterns.push((slot, list)),
            Names::Hashed(hashed) => self.hashed().unsolved.push((slot, hashed)),
        }
    }

    /// The lines for `name`, which must be in lower case, in the order of the file.
    pub(super) fn matching(&self, name: &str) -> impl Iterator<Item = &IndexedLine> {
        let mut slots = self.plain.get(name).cloned().unwrap_or_default();
        slots.extend(self.patterns.iter().filter(|(_, list)| list.matches(name)).map(|(slot, _)| slot));
        slots.extend(self.hashed().matching(name, self.lines.len()));
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().map(|slot| &self.lines[slot])
    }

    /// The first line that has `key` as a host's, under whatever name.
    pub(super) fn with_key(&self, key: &KeyData) -> Option<&IndexedLine> {
        self.lines.iter().find(|line| line.marker == Marker::HostKey && line.key == *key)
    }

    fn hashed(&self) -> MutexGuard<'_, HashedLines> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HashedLines {
    /// The lines that hide `name`; `end` is the slot after the last line.
    fn matching(&mut self, name: &str, end: Slot) -> Vec<Slot> {
        if self.unsolved.is_empty() && self.solved.is_empty() {
            return Vec::new();
        }
        let found = self.solved.entry(name.to_owned()).or_default();
        if found.tried < end {
            self.unsolved.retain(|(slot, hashed)| {
                let hides_name = *slot >= found.tried && hashed.matches(name);
                if hides_name {
                    found.slots.push(*slot);
                }
                !hides_name
            });
            found.tried = end;
        }
        found.slots.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ED25519, hashed};
    use super::super::parse::parse_line;
    use super::*;

    fn index(names: &[&str]) -> LineIndex {
        let mut index = LineIndex::default();
        for (number, names) in (1..).zip(names) {
            index.add(number, parse_line(format!("{names} {ED25519}").as_bytes()).unwrap().unwrap());
        }
        index
    }

    fn numbers(index: &LineIndex, name: &str) -> Vec<usize> {
        index.matching(name).map(|line| line.number).collect()
    }

    #[test]
    fn lines_of_every_kind_come_in_the_order_of_the_file() {
        let index = index(&[&hashed("web"), "*", "db,web,web", "w?b,!x", &hashed("db"), "web"]);
        assert_eq!(numbers(&index, "web"), [1, 2, 3, 4, 6]);
        assert_eq!(numbers(&index, "db"), [2, 3, 5]);
        assert_eq!(numbers(&index, "x"), [2]);
    }

    #[test]
    fn a_hashed_line_whose_name_is_found_is_not_tried_again() {
        let mut index = index(&[&hashed("web"), &hashed("db"), &hashed("web")]);
        let unsolved = |index: &LineIndex| index.hashed().unsolved.len();
        assert_eq!((numbers(&index, "web"), unsolved(&index)), (vec![1, 3], 1));
        assert_eq!((numbers(&index, "web"), unsolved(&index)), (vec![1, 3], 1));
        index.add(4, parse_line(format!("{} {ED25519}", hashed("web")).as_bytes()).unwrap().unwrap());
        assert_eq!((numbers(&index, "db"), unsolved(&index)), (vec![2], 1));
        assert_eq!((numbers(&index, "web"), unsolved(&index)), (vec![1, 3, 4], 0));
        assert_eq!(numbers(&index, "x"), Vec::<usize>::new());
    }
}
