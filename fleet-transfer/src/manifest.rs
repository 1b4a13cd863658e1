//! What is to be copied: entries in the order in which they are sent.
//!
//! Must not know where the entries come from, nor where they go.

use std::iter;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A file, folder or symlink that is to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name on the host, relative to the destination: no `..`, no `.`, not empty. The folders above it are entries
    /// that come before it, but for the destination itself.
    pub path: PathBuf,
    /// Where it is on this machine.
    pub source: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits and special bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// When its content was last changed, in seconds since 1970.
    pub mtime: i64,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its length in bytes.
        len: u64,
    },
    /// A folder.
    Folder,
    /// A symlink.
    Symlink {
        /// What it names, verbatim.
        target: PathBuf,
    },
}

/// All that some host is sent, in the order in which it is sent.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// What is copied. A folder stands before what is in it.
    pub entries: Vec<Entry>,
    /// What is not, and why.
    pub problems: Vec<Problem>,
}

/// How much there is to copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the content of files.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// How many folders.
    pub folders: u64,
    /// How many symlinks.
    pub symlinks: u64,
}

/// Something that is not copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct Problem {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// What is the matter with it.
    pub kind: ProblemKind,
}

/// Why something is not copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The system does not let us.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// As the system puts it.
        reason: String,
    },
    /// It is neither file nor folder nor symlink.
    #[error("left out: it is a {what}; expected a file, folder or symlink")]
    Special {
        /// `socket`, `fifo` or `device`.
        what: &'static str,
    },
    /// A symlink that is followed, and leads to a folder that it is in.
    #[error("left out: this symlink leads back to {}", to.display())]
    Loop {
        /// That folder.
        to: PathBuf,
    },
}

impl ProblemKind {
    /// Whether something is missing on the hosts that was asked for: what no copy can hold is only mentioned.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Special { .. })
    }
}

impl Manifest {
    /// How much the entries of `selection` are.
    #[must_use]
    pub fn totals(&self, selection: &Selection) -> Totals {
        let mut totals = Totals::default();
        for entry in self.selected(selection) {
            match entry.kind {
                EntryKind::File { len } => {
                    totals.bytes += len;
                    totals.files += 1;
                }
                EntryKind::Folder => totals.folders += 1,
                EntryKind::Symlink { .. } => totals.symlinks += 1,
            }
        }
        totals
    }

    /// The entries of `selection`, in order.
    pub fn selected<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = &'a Entry> {
        selection.ranges().iter().flat_map(|range| &self.entries[range.clone()])
    }

    /// All entries.
    #[must_use]
    pub fn all(&self) -> Selection {
        Selection::of(iter::once(0..self.entries.len()))
    }
}

/// The entries of a [`Manifest`] that one host is sent, by their indices. Clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Arc<[Range<usize>]>);

impl Selection {
    /// The entries in any of `ranges`.
    #[must_use]
    pub fn of(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut sorted: Vec<Range<usize>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined.into())
    }

    /// The same without some entries, given in any order.
    #[must_use]
    pub fn without(&self, left_out: impl IntoIterator<Item = usize>) -> Self {
        let mut left_out: Vec<usize> = left_out.into_iter().collect();
        left_out.sort_unstable();
        let mut left_out = left_out.into_iter().peekable();
        let mut kept = Vec::new();
        for range in self.0.iter() {
            let mut start = range.start;
            while let Some(entry) = left_out.next_if(|entry| *entry < range.end) {
                kept.push(start..entry.max(start));
                start = start.max(entry + 1);
            }
            kept.push(start..range.end);
        }
        Self::of(kept)
    }

    /// Whether any entry of `range` is among them.
    #[must_use]
    pub fn meets(&self, range: &Range<usize>) -> bool {
        let first = self.0.partition_point(|own| own.end <= range.start);
        !range.is_empty() && self.0.get(first).is_some_and(|own| own.start < range.end)
    }

    /// Whether all entries of `range` are among them.
    #[must_use]
    pub fn covers(&self, range: &Range<usize>) -> bool {
        let first = self.0.partition_point(|own| own.end <= range.start);
        range.is_empty() || self.0.get(first).is_some_and(|own| own.start <= range.start && range.end <= own.end)
    }

    /// Whether the entry is among them.
    #[must_use]
    pub fn has(&self, entry: usize) -> bool {
        self.covers(&(entry..entry + 1))
    }

    /// The first of them that is `entry` or comes behind it.
    #[must_use]
    pub fn next_from(&self, entry: usize) -> Option<usize> {
        let first = self.0.partition_point(|own| own.end <= entry);
        self.0.get(first).map(|own| own.start.max(entry))
    }

    /// Their indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().cloned().flatten()
    }

    /// The same as ranges: in order, apart from each other, none empty.
    #[must_use]
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_a_set_of_indices() {
        for (ranges, without, expected) in [
            (vec![0..2, 2..3], vec![], vec![0, 1, 2]),
            (vec![4..6, 0..2, 1..3, 9..9], vec![], vec![0, 1, 2, 4, 5]),
            (vec![0..1, 0..5], vec![4, 0, 2], vec![1, 3]),
            (vec![0..2, 4..6], vec![3, 1, 1, 4, 7], vec![0, 5]),
            (vec![], vec![1], vec![]),
        ] {
            let selection = Selection::of(ranges).without(without);
            assert_eq!(selection.iter().collect::<Vec<_>>(), expected);
            for entry in 0..8 {
                assert_eq!(selection.has(entry), expected.contains(&entry), "{selection:?} {entry}");
                let next = expected.iter().find(|other| **other >= entry).copied();
                assert_eq!(selection.next_from(entry), next, "{selection:?} {entry}");
                for end in entry..8 {
                    let range = entry..end;
                    let (any, all) =
                        (range.clone().any(|i| expected.contains(&i)), range.clone().all(|i| expected.contains(&i)));
                    assert_eq!(
                        (selection.meets(&range), selection.covers(&range)),
                        (any, all),
                        "{selection:?} {range:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn totals_are_those_of_the_selected() {
        let entry = |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0o644, mtime: 0, uid: 0, gid: 0 };
        let manifest = Manifest {
            entries: vec![
                entry(EntryKind::Folder),
                entry(EntryKind::File { len: 5 }),
                entry(EntryKind::Symlink { target: "y".into() }),
                entry(EntryKind::File { len: 1 << 33 }),
            ],
            problems: Vec::new(),
        };
        let totals = Totals { bytes: (1 << 33) + 5, files: 2, folders: 1, symlinks: 1 };
        assert_eq!(manifest.totals(&manifest.all()), totals);
        assert_eq!(
            manifest.totals(&Selection::of(iter::once(1..3))),
            Totals { bytes: 5, files: 1, folders: 0, symlinks: 1 }
        );
    }
}
