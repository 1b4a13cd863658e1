//! What differs between the list and what there is at a destination, and what is to be done about it. Pure.
//!
//! As rsync has it: a file is sent when its size or its second of change differs. Source: rsync(1).
//! Must not know how any of it is done.

mod letters;
mod surplus;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fleet_rsync::filter::Scope;
use fleet_rsync::flist::{Entry, Fields, FileList, Folder, Kind};
use thiserror::Error;

use self::letters::Letters;
use self::surplus::Doomed;
use super::settle::Step;
use super::there::{Receiver, There, ThereKind, Tree};
use crate::sync::Changed;

/// What is wanted at all destinations.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) list: &'a FileList,
    pub(super) fields: Fields,
    /// By which rules something is kept that would be deleted.
    pub(super) kept: &'a Scope,
    pub(super) deletion: Deletion,
}

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// What is not in the list.
    Surplus,
    /// What is in a folder in whose place there is to be something else: `--force`.
    InTheWay,
    /// Nothing but an empty folder that is in the way.
    Nothing,
}

/// What is to be done on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// The lines of `-i`: first what is deleted.
    pub(super) changes: Vec<Changed>,
    /// How many entries of the list differ.
    pub(super) changed: u64,
    /// How many of them are new.
    pub(super) created: u64,
    /// How many entries are deleted.
    pub(super) deleted: u64,
    /// The indices of what is sent, with the folders above it.
    pub(super) sent: BTreeSet<u32>,
    /// How many files are sent.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// What is done before anything is sent.
    pub(super) before: Vec<Step>,
    /// What is done behind it.
    pub(super) after: Vec<Step>,
}

/// Something that nothing may replace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is a folder that is not empty on the host, and something else would take its place", String::from_utf8_lossy(.0))]
pub(super) struct InTheWay(pub(super) Vec<u8>);

/// Compares all.
pub(super) fn compare(wanted: &Wanted<'_>, tree: &Tree) -> Result<Difference, InTheWay> {
    let mut comparison = Comparison {
        wanted,
        tree,
        found: Difference::default(),
        folders: HashMap::new(),
        others: HashSet::new(),
        touched: HashSet::new(),
        doomed: BTreeMap::new(),
        owners: Vec::new(),
        modes: Vec::new(),
        stamps: Vec::new(),
    };
    let mut index = 0;
    let Ok(()) = wanted.list.for_each(|entry| {
        comparison.entry(index, &entry);
        index += 1;
        Ok::<(), std::convert::Infallible>(())
    });
    comparison.surplus()?;
    Ok(comparison.finish())
}

struct Comparison<'a> {
    wanted: &'a Wanted<'a>,
    tree: &'a Tree,
    found: Difference,
    /// Those of the list, with their indices, and whether all that is in them is in the list.
    folders: HashMap<Vec<u8>, (u32, Folder)>,
    /// All else in it.
    others: HashSet<Vec<u8>>,
    /// Folders in which something is done.
    touched: HashSet<Vec<u8>>,
    /// What is deleted.
    doomed: BTreeMap<Vec<u8>, Doomed>,
    owners: Vec<Step>,
    /// From the top down, as the folders of the list are.
    modes: Vec<Step>,
    /// Of folders that differ or not: those that are touched have another time in the end.
    stamps: Vec<(Vec<u8>, i64, Differs)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Differs {
    Yes,
    No,
}

impl Comparison<'_> {
    fn entry(&mut self, index: u32, entry: &Entry<'_>) {
        let there = self.tree.entries.get(entry.path);
        match entry.kind {
            Kind::Directory(folder) => {
                self.folders.insert(entry.path.to_vec(), (index, folder));
                self.folder(index, entry, there);
            }
            Kind::File { size, .. } => {
                self.others.insert(entry.path.to_vec());
                self.file(index, entry, size, there);
            }
            Kind::Symlink { target } => {
                self.others.insert(entry.path.to_vec());
                self.symlink(index, entry, target, there);
            }
            // No stream has them: hosts are refused before.
            Kind::Device { .. } | Kind::Fifo | Kind::Socket => {}
        }
    }

    fn folder(&mut self, index: u32, entry: &Entry<'_>, there: Option<&There>) {
        let same = there.filter(|there| there.kind == ThereKind::Folder);
        let Some(there) = same else {
            if there.is_some() {
                self.found.before.push(Step::Gone(entry.path.to_vec()));
            }
            self.created(index, entry, *b"cd+++++++++");
            self.stamps.push((entry.path.to_vec(), entry.modified.secs, Differs::Yes));
            return;
        };
        let letters = self.attributes(entry, there);
        self.differs(index, letters, b'.', b'd');
        self.settle(entry, there, letters);
        let differs = if letters.time { Differs::Yes } else { Differs::No };
        self.stamps.push((entry.path.to_vec(), entry.modified.secs, differs));
    }

    fn file(&mut self, index: u32, entry: &Entry<'_>, size: u64, there: Option<&There>) {
        let old = match there.map(|there| (&there.kind, there)) {
            Some((ThereKind::File(old), there)) => Some((*old, there)),
            _ => None,
        };
        let Some((old, there)) = old else {
            self.make_room(entry.path, there);
            self.created(index, entry, *b"<f+++++++++");
            self.count_file(size);
            return;
        };
        let letters = Letters { size: old != size, ..self.attributes(entry, there) };
        if !letters.size && !letters.time {
            self.differs(index, letters, b'.', b'f');
            return self.settle(entry, there, letters);
        }
        self.differs(index, letters, b'<', b'f');
        self.send(index, entry, Some(there));
        self.count_file(size);
    }

    fn symlink(&mut self, index: u32, entry: &Entry<'_>, target: &[u8], there: Option<&There>) {
        let old = match there.map(|there| (&there.kind, there)) {
            Some((ThereKind::Symlink(old), there)) => Some((old, there)),
            _ => None,
        };
        let Some((old, there)) = old else {
            self.make_room(entry.path, there);
            return self.created(index, entry, *b"cL+++++++++");
        };
        let attributes = Letters { permissions: false, ..self.attributes(entry, there) };
        let letters = Letters { content: old != target, ..attributes };
        self.differs(index, letters, if letters.content { b'c' } else { b'.' }, b'L');
        if letters.any() {
            // A symlink is made anew rather than changed.
            self.send(index, entry, Some(there));
        }
    }

    /// A folder that is in the way is deleted before. All else is just replaced.
    fn make_room(&mut self, path: &[u8], there: Option<&There>) {
        if there.is_some_and(|there| there.kind == ThereKind::Folder) {
            self.doomed.insert(path.to_vec(), Doomed { is_folder: true, is_in_the_way: true });
        }
    }

    fn count_file(&mut self, size: u64) {
        self.found.files += 1;
        self.found.bytes += size;
    }

    fn created(&mut self, index: u32, entry: &Entry<'_>, letters: [u8; 11]) {
        self.found.created += 1;
        self.found.changed += 1;
        self.found.changes.push(Changed::Entry { index, letters, link: None });
        self.send(index, entry, None);
        if entry.path == b"." {
            // No stream has it.
            self.modes.push(Step::Mode(entry.permissions, entry.path.to_vec()));
        }
    }

    fn differs(&mut self, index: u32, letters: Letters, done: u8, kind: u8) {
        if letters.any() {
            self.found.changed += 1;
            self.found.changes.push(Changed::Entry { index, letters: letters.line(done, kind), link: None });
        }
    }

    /// What of the attributes differs.
    fn attributes(&self, entry: &Entry<'_>, there: &There) -> Letters {
        let receiver = &self.tree.receiver;
        Letters {
            time: entry.modified.secs != there.secs,
            permissions: entry.permissions != there.permissions,
            owner: receiver.owner_of(entry, self.wanted.fields).is_some_and(|owner| owner != there.owner),
            group: receiver.group_of(entry, self.wanted.fields).is_some_and(|group| group != there.group),
            ..Letters::default()
        }
    }

    /// Sets attributes of what is not sent.
    fn settle(&mut self, entry: &Entry<'_>, there: &There, letters: Letters) {
        if letters.owner || letters.group {
            self.own(entry, Some(there));
        }
        if letters.permissions || (letters.owner && entry.permissions & 0o6000 != 0) {
            self.modes.push(Step::Mode(entry.permissions, entry.path.to_vec()));
        }
    }

    /// Has an entry sent, and the folders above it; `old` is what it replaces.
    fn send(&mut self, index: u32, entry: &Entry<'_>, old: Option<&There>) {
        self.found.sent.insert(index);
        let mut path = entry.path;
        self.touched.extend(parent(path).map(<[u8]>::to_vec));
        while let Some(above) = parent(path) {
            let Some((folder, _)) = self.folders.get(above) else { break };
            if !self.found.sent.insert(*folder) {
                break;
            }
            path = above;
        }
        if self.arrives_with_other_owner(entry, old) {
            self.own(entry, old);
            if entry.permissions & 0o6000 != 0 && !matches!(entry.kind, Kind::Symlink { .. }) {
                self.modes.push(Step::Mode(entry.permissions, entry.path.to_vec()));
            }
        }
    }

    /// Root's tar takes the numbers of the stream, others' give all to themselves.
    fn arrives_with_other_owner(&self, entry: &Entry<'_>, old: Option<&There>) -> bool {
        let receiver = &self.tree.receiver;
        let (owner, group) = self.owners(entry, old);
        if receiver.user == 0 {
            return entry.path == b"." || (owner, group) != (Some(entry.owner), Some(entry.group));
        }
        group.is_some_and(|group| group != receiver.group)
    }

    /// Whose it is to be: as is said, or as it was, or the receiver's.
    fn owners(&self, entry: &Entry<'_>, old: Option<&There>) -> (Option<u32>, Option<u32>) {
        let (receiver, fields) = (&self.tree.receiver, self.wanted.fields);
        let (mut owner, mut group) = (receiver.owner_of(entry, fields), receiver.group_of(entry, fields));
        if receiver.user == 0 {
            owner = owner.or(old.map(|old| old.owner)).or(Some(0));
            group = group.or(old.map(|old| old.group)).or(Some(receiver.group));
        }
        (owner, group)
    }

    fn own(&mut self, entry: &Entry<'_>, old: Option<&There>) {
        let (owner, group) = self.owners(entry, old);
        let number = |id: Option<u32>| id.map(|id| id.to_string()).unwrap_or_default();
        let whose = match group {
            Some(_) => format!("{}:{}", number(owner), number(group)),
            None => number(owner),
        };
        if !whose.is_empty() {
            self.owners.push(Step::Owner(whose, entry.path.to_vec()));
        }
    }

    fn finish(mut self) -> Difference {
        let (mut gone, mut emptied) = (Vec::new(), Vec::new());
        let mut lines = Vec::new();
        // What is in a folder comes before it.
        for (path, doomed) in self.doomed.iter().rev() {
            let steps = match (doomed.is_in_the_way, doomed.is_folder) {
                (true, _) => &mut self.found.before,
                (false, true) => &mut emptied,
                (false, false) => &mut gone,
            };
            steps.push(if doomed.is_folder { Step::Emptied(path.clone()) } else { Step::Gone(path.clone()) });
            self.touched.extend(parent(path).map(<[u8]>::to_vec));
            if !self.others.contains(path) {
                lines.push(Changed::Deleted { path: path.clone().into(), folder: doomed.is_folder });
            }
        }
        self.found.deleted = lines.len() as u64;
        lines.append(&mut self.found.changes);
        self.found.changes = lines;
        let stamps = self
            .stamps
            .into_iter()
            .filter(|(path, _, differs)| *differs == Differs::Yes || self.touched.contains(path));
        let stamps = stamps.map(|(path, secs, _)| Step::Stamp(secs, path));
        let after = &mut self.found.after;
        after.extend(gone);
        after.extend(emptied);
        after.extend(self.owners);
        after.extend(stamps);
        // A folder may be closed by its mode: what is in it comes before.
        after.extend(self.modes.into_iter().rev());
        self.found
    }
}

impl Receiver {
    /// The owner that is wanted, where one can be given.
    fn owner_of(&self, entry: &Entry<'_>, fields: Fields) -> Option<u32> {
        let owner = self.users_there.get(&entry.owner).copied().unwrap_or(entry.owner);
        (fields.owner && self.user == 0).then_some(owner)
    }

    /// The group that is wanted, where it can be given.
    fn group_of(&self, entry: &Entry<'_>, fields: Fields) -> Option<u32> {
        let group = self.groups_there.get(&entry.group).copied().unwrap_or(entry.group);
        (fields.group && (self.user == 0 || self.groups.contains(&group))).then_some(group)
    }
}

/// The folder that something is in; `None` for the destination itself.
fn parent(path: &[u8]) -> Option<&[u8]> {
    if path == b"." {
        return None;
    }
    Some(path.iter().rposition(|byte| *byte == b'/').map_or(b".", |at| &path[..at]))
}
