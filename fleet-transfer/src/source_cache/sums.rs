//! The digests of files that a host verifies together, made while the files are read for other reasons.
//!
//! Whoever reads bytes for the first time feeds them in; readers go through a group in its order, so nothing is fed with
//! a gap before it. What was fed already is passed over. Must not know who reads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use fleet_ssh::remote::Verify;

use super::plan::{Span, content_len};
use crate::digest::{Digest, Digester};
use crate::manifest::{EntryKind, Manifest};

/// The groups of a manifest: entries one behind the other, each in one group.
#[derive(Debug)]
pub(super) struct Sums {
    groups: Vec<Range<usize>>,
    sums: Vec<Mutex<Sum>>,
}

/// A group's digest, as far as it has got.
#[derive(Debug)]
enum Sum {
    Running(Box<Running>),
    Done(GroupSum),
}

/// The digest of the files of a group but for those that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupSum {
    pub(super) digest: Digest,
    pub(super) without: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Running {
    digester: Digester,
    /// What it was before the file that is being read: should that fail, it is as if it were not there.
    before_file: Digester,
    without: Vec<usize>,
    /// The file that comes next or is being read, and how far.
    entry: usize,
    offset: u64,
}

impl Sums {
    pub(super) fn new(manifest: &Manifest, groups: Vec<Range<usize>>, verify: Verify) -> Self {
        let start = |group: &Range<usize>| Running::new(manifest, group, verify).settled(group);
        let sums = groups.iter().map(|group| Mutex::new(start(group))).collect();
        Self { groups, sums }
    }

    pub(super) fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    /// The bytes of a part of a file, as they are in it.
    pub(super) fn feed(&self, manifest: &Manifest, span: &Span, bytes: &[u8]) {
        self.change(span.entry, |running, group| {
            if running.entry == span.entry && span.offset <= running.offset {
                let known = usize::try_from(running.offset - span.offset).unwrap_or(usize::MAX);
                if let Some(new) = bytes.get(known..) {
                    if running.offset == 0 {
                        running.digester.start_file();
                    }
                    running.digester.update(new);
                    running.offset += new.len() as u64;
                    if running.offset == content_len(&manifest.entries[span.entry]) {
                        running.go_on_behind(manifest, group);
                    }
                }
            }
        });
    }

    /// A file cannot be read to its end: the group goes without it, unless it was read before.
    pub(super) fn fail(&self, manifest: &Manifest, entry: usize) {
        self.change(entry, |running, group| {
            if running.entry == entry {
                running.digester = running.before_file.clone();
                running.without.push(entry);
                running.go_on_behind(manifest, group);
            }
        });
    }

    /// The group's digest, when all of it was read.
    pub(super) fn done(&self, group: usize) -> Option<GroupSum> {
        match &*self.sums[group].lock().unwrap_or_else(PoisonError::into_inner) {
            Sum::Done(sum) => Some(sum.clone()),
            Sum::Running(_) => None,
        }
    }

    fn change(&self, entry: usize, change: impl FnOnce(&mut Running, &Range<usize>)) {
        let group = self.groups.partition_point(|group| group.end <= entry);
        let Some(range) = self.groups.get(group).filter(|group| group.contains(&entry)) else { return };
        let mut sum = self.sums[group].lock().unwrap_or_else(PoisonError::into_inner);
        if let Sum::Running(running) = &mut *sum {
            change(running, range);
            if running.entry >= range.end {
                *sum = running.clone().settled(range);
            }
        }
    }
}

impl Running {
    fn new(manifest: &Manifest, group: &Range<usize>, verify: Verify) -> Box<Self> {
        let digester = Digester::new(verify);
        let entry = next_file(manifest, group.clone());
        Box::new(Self { before_file: digester.clone(), digester, without: Vec::new(), entry, offset: 0 })
    }

    fn go_on_behind(&mut self, manifest: &Manifest, group: &Range<usize>) {
        self.entry = next_file(manifest, self.entry + 1..group.end);
        self.offset = 0;
        self.before_file = self.digester.clone();
    }

    fn settled(self: Box<Self>, group: &Range<usize>) -> Sum {
        if self.entry < group.end {
            return Sum::Running(self);
        }
        Sum::Done(GroupSum { digest: self.digester.finish(), without: self.without })
    }
}

/// The first file of a range, or its end.
fn next_file(manifest: &Manifest, mut range: Range<usize>) -> usize {
    let end = range.end;
    range.find(|entry| matches!(manifest.entries[*entry].kind, EntryKind::File { .. })).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Entry;

    fn manifest() -> Manifest {
        let entry = |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0, mtime: 0, uid: 0, gid: 0 };
        let kinds = [EntryKind::File { len: 10 }, EntryKind::Folder, EntryKind::File { len: 4 }];
        Manifest { entries: kinds.map(entry).into(), problems: Vec::new() }
    }

    fn feed(sums: &Sums, entry: usize, offset: u64, bytes: &[u8]) {
        sums.feed(&manifest(), &Span { entry, offset, len: bytes.len(), ends: false }, bytes);
    }

    fn of(files: &[&[u8]]) -> Digest {
        let mut digester = Digester::new(Verify::Cksum);
        for file in files {
            digester.start_file();
            digester.update(file);
        }
        digester.finish()
    }

    #[test]
    fn bytes_count_once_however_often_and_in_whatever_pieces_they_come() {
        let sums = Sums::new(&manifest(), vec![0..1, 1..3], Verify::Cksum);
        for (offset, bytes) in [(0, &b"0123"[..]), (0, b"0123"), (8, b"89"), (2, b"2345"), (0, b"012"), (6, b"6789")] {
            assert_eq!(sums.done(0), None);
            feed(&sums, 0, offset, bytes);
        }
        assert_eq!(sums.done(0), Some(GroupSum { digest: of(&[b"0123456789"]), without: vec![] }));
        feed(&sums, 0, 0, b"again");
        assert_eq!((sums.done(0).unwrap().digest, sums.done(1)), (of(&[b"0123456789"]), None));
    }

    #[test]
    fn a_file_that_fails_is_as_if_it_were_not_there() {
        let sums = Sums::new(&manifest(), vec![0..2, 2..3], Verify::Cksum);
        feed(&sums, 0, 0, b"012");
        sums.fail(&manifest(), 2);
        sums.fail(&manifest(), 0);
        feed(&sums, 0, 3, b"3456789");
        assert_eq!(sums.done(0), Some(GroupSum { digest: of(&[]), without: vec![0] }));
        assert_eq!(sums.done(1), Some(GroupSum { digest: of(&[]), without: vec![2] }));
        let whole = Sums::new(&manifest(), Vec::from_iter(std::iter::once(0..3)), Verify::Cksum);
        feed(&whole, 0, 0, b"0123456789");
        whole.fail(&manifest(), 0);
        feed(&whole, 2, 0, b"abcd");
        assert_eq!(whole.done(0).unwrap(), GroupSum { digest: of(&[b"0123456789", b"abcd"]), without: vec![] });
    }
}
