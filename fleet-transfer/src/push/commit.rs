//! The end of the stream: how a host verifies what it has received, and renames it over its targets.
//!
//! The same for all hosts: where the files go, and what becomes of the ones that they replace, a host knows from its
//! command line. The shell that reads this is `ssh/remote/copy_commit.sh`. Must not know how files are read or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, UNIX_EPOCH};

use crate::archive::{END, Header, HeaderKind, padding};
use crate::digest::{Digest, SEPARATOR};
use crate::manifest::{Entry, EntryKind, Selection};
use fleet_ssh::remote::{Attributes, Verify, copy_commit, copy_name};

/// The most that a program on a host is given as arguments, in bytes with their pointers: POSIX grants 4 KiB, the smallest
/// limit among systems in use is 128 KiB with the environment (`ARG_MAX`).
const MAX_ARGUMENTS_LEN: usize = 96 * 1024;

/// The most names in a command of the list: shells take time in the square of it.
const MAX_NAMES: usize = 1000;

/// The blocks of the host's file system, as far as the room that a file takes is concerned.
const DISK_BLOCK_KIB: u64 = 4;

/// The bits of a folder's mode without which its owner cannot work in it.
const OWNER_BITS: u32 = 0o700;

/// Files that are verified together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The files are those among these entries of the manifest.
    pub entries: Range<usize>,
    /// Of the files one after the other, each begun by `Digester::start_file`.
    pub digest: Digest,
}

/// The entries of a manifest in parts whose files are verified together. All of the entries are in one, in their order.
#[must_use]
pub fn batches(entries: &[Entry]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut len) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        let more = if is_file(entry) { argument_len(&word(entry)) + argument_len(b"../s") } else { 0 };
        if len + more > MAX_ARGUMENTS_LEN {
            batches.push(start..at);
            (start, len) = (at, 0);
        }
        len += more;
    }
    if start < entries.len() {
        batches.push(start..entries.len());
    }
    batches
}

/// The same, such that each host in `hosts` is sent batches whole or not at all: what is read for all has its digest then.
#[must_use]
pub fn batches_for(entries: &[Entry], hosts: &[Selection]) -> Vec<Range<usize>> {
    let ends = hosts.iter().flat_map(|host| host.ranges()).flat_map(|range| [range.start, range.end]);
    let cuts: BTreeSet<usize> = ends.chain([0, entries.len()]).collect();
    let parts = cuts.iter().zip(cuts.iter().skip(1));
    parts
        .flat_map(|(&start, &end)| {
            batches(&entries[start..end]).into_iter().map(move |range| range.start + start..range.end + start)
        })
        .collect()
}

/// The room that entries take on a host.
#[must_use]
pub fn needed_kib<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> u64 {
    let kib = |entry: &Entry| match entry.kind {
        EntryKind::File { len } => (len.div_ceil(1024 * DISK_BLOCK_KIB) + 1) * DISK_BLOCK_KIB,
        EntryKind::Folder | EntryKind::Symlink { .. } => DISK_BLOCK_KIB,
    };
    entries.into_iter().map(kib).sum()
}

/// What stands before the content of an entry in the stream.
#[must_use]
pub fn header(entry: &Entry, attributes: Attributes) -> Vec<u8> {
    let (kind, always) = match &entry.kind {
        EntryKind::File { len } => (HeaderKind::File { len: *len }, 0),
        // On the host, files are renamed out of it.
        EntryKind::Folder => (HeaderKind::Folder, OWNER_BITS),
        EntryKind::Symlink { target } => (HeaderKind::Symlink { target: target.as_os_str().as_bytes() }, 0),
    };
    let (uid, gid) = match attributes {
        Attributes::Permissions => (0, 0),
        Attributes::All => (entry.uid, entry.gid),
    };
    let name = [b"d/", entry.path.as_os_str().as_bytes()].concat();
    Header { name: &name, kind, mode: entry.mode & mode_bits(attributes) | always, mtime: entry.mtime, uid, gid }
        .to_bytes()
}

/// What a host does once it has received all entries.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The entries of the manifest.
    pub entries: &'a [Entry],
    /// Those that were sent, in their order.
    pub selection: &'a Selection,
    /// The digests of the files that were sent and are to be kept, by [`batches`].
    pub batches: &'a [Batch],
    /// The entries that were sent but are not to be kept, such as files that changed while they were read.
    pub dropped: &'a BTreeSet<usize>,
    /// The files that were not sent, as the host has the same: they get their modes.
    pub same: &'a Selection,
    /// What is kept of modes.
    pub attributes: Attributes,
    /// By which digests all of it is verified.
    pub verify: Verify,
}

impl Commit<'_> {
    /// The stream's last bytes: what comes after the entries, to the end of the archive.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (sums, list, commit) = (self.sums(), self.list(), copy_commit().as_bytes());
        let digest = Digest::of(&[&sums, &list, commit].concat(), self.verify);
        let end = format!("{}\n", digest_words(&digest));
        let mut bytes = Vec::new();
        for (name, content) in
            [("s", SEPARATOR), ("sums", &sums), ("list", &list), ("commit", commit), ("end", end.as_bytes())]
        {
            let (name, len) = (name.as_bytes(), content.len() as u64);
            let header = Header { name, kind: HeaderKind::File { len }, mode: 0o600, mtime: 0, uid: 0, gid: 0 };
            for part in [&header.to_bytes(), content, padding(len)] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(&END);
        bytes
    }

    fn sums(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for batch in self.batches {
            let is_sent = |at: &usize| self.selection.has(*at) && !self.dropped.contains(at);
            let sent = batch.entries.clone().filter(is_sent).map(|at| &self.entries[at]);
            let mut files = sent.filter(|entry| is_file(entry)).peekable();
            if files.peek().is_none() {
                continue;
            }
            text.extend_from_slice(format!("batch {} ", digest_words(&batch.digest)).as_bytes());
            let words: Vec<Vec<u8>> = files.map(word).collect();
            text.extend(words.join(&b" $s "[..]));
            text.push(b'\n');
        }
        text
    }

    fn list(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let dropped = self.dropped.iter().map(|at| word(&self.entries[*at]));
        push_calls(&mut text, b"drop", dropped);
        for (parent, children) in self.by_parent() {
            let prefix = if parent.is_empty() { Vec::new() } else { [parent, b"/"].concat() };
            let prefix = copy_name(&prefix);
            push_calls(&mut text, &[b"folders ", &prefix[..]].concat(), children.folders.into_iter());
            push_calls(&mut text, &[b"files ", &prefix[..]].concat(), children.files.into_iter());
        }
        self.push_same(&mut text);
        self.push_restrictions(&mut text);
        text
    }

    fn by_parent(&self) -> BTreeMap<&[u8], Children> {
        let mut parents: BTreeMap<&[u8], Children> = BTreeMap::new();
        for at in self.selection.iter().filter(|at| !self.dropped.contains(at)) {
            let entry = &self.entries[at];
            let parent = entry.path.parent().map_or(&b""[..], |parent| parent.as_os_str().as_bytes());
            let children = parents.entry(parent).or_default();
            match entry.kind {
                EntryKind::Folder => children.folders.push(word(entry)),
                EntryKind::File { .. } | EntryKind::Symlink { .. } => children.files.push(word(entry)),
            }
        }
        parents
    }

    fn push_same(&self, text: &mut Vec<u8>) {
        let mut alike: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for entry in self.same.iter().map(|at| &self.entries[at]).filter(|entry| is_file(entry)) {
            let beside = match self.attributes {
                Attributes::Permissions => "- -".to_owned(),
                Attributes::All => format!("{} {}:{}", touch_time(entry.mtime), entry.uid, entry.gid),
            };
            let call = format!("keep {:o} {beside}", entry.mode & mode_bits(self.attributes));
            alike.entry(call).or_default().push(word(entry));
        }
        for (call, words) in alike {
            push_calls(text, call.as_bytes(), words.into_iter());
        }
    }

    /// The real modes of folders that [`header`] has given more: what is in one cannot be reached then.
    fn push_restrictions(&self, text: &mut Vec<u8>) {
        let bits = mode_bits(self.attributes);
        let closed = |entry: &&Entry| entry.kind == EntryKind::Folder && entry.mode & OWNER_BITS != OWNER_BITS;
        let mut closed: Vec<&Entry> = self.selection.iter().map(|at| &self.entries[at]).filter(closed).collect();
        closed.sort_by_key(|entry| std::cmp::Reverse(entry.path.components().count()));
        for (number, entry) in closed.into_iter().enumerate() {
            text.extend_from_slice(format!("restrict {number} {:o} ", entry.mode & bits).as_bytes());
            text.extend(word(entry));
            text.push(b'\n');
        }
    }
}

/// A time, in seconds since 1970, as `touch -t` takes it: `CCYYMMDDhhmm.SS` (POSIX). What it cannot say becomes the nearest
/// that it can.
pub(crate) fn touch_time(seconds: i64) -> String {
    /// The last second of the year 9999.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST);
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (minutes, seconds) = digits.split_at(digits.len() - 2);
    format!("{minutes}.{seconds}")
}

/// The bits of a mode that are kept.
fn mode_bits(attributes: Attributes) -> u32 {
    match attributes {
        Attributes::Permissions => 0o777,
        Attributes::All => 0o7777,
    }
}

/// What is in a folder, as words of the shell.
#[derive(Default)]
struct Children {
    folders: Vec<Vec<u8>>,
    files: Vec<Vec<u8>>,
}

pub(super) fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::File { .. })
}

/// As the shell's `same` takes it.
fn digest_words(digest: &Digest) -> String {
    format!("{} {} {}", digest.sha256_hex().as_deref().unwrap_or("-"), digest.cksum, digest.len)
}

/// The name of an entry as a word of the shell.
pub(super) fn word(entry: &Entry) -> Vec<u8> {
    copy_name(entry.path.as_os_str().as_bytes())
}

/// What an argument takes of the room for all of them: never less than it will, as quotes count too.
fn argument_len(word: &[u8]) -> usize {
    word.len() + 1 + size_of::<usize>()
}

/// Lines that call `command` with all `words`, as many in one as a program can be given.
pub(crate) fn push_calls(text: &mut Vec<u8>, command: &[u8], words: impl Iterator<Item = Vec<u8>>) {
    let (mut names, mut len) = (0, 0);
    for word in words {
        if names == MAX_NAMES || len + argument_len(&word) > MAX_ARGUMENTS_LEN {
            text.push(b'\n');
            (names, len) = (0, 0);
        }
        if names == 0 {
            text.extend_from_slice(command);
        }
        names += 1;
        len += argument_len(&word);
        text.push(b' ');
        text.extend(word);
    }
    if names > 0 {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.into(), source: PathBuf::new(), kind, mode: 0o755, mtime: 0, uid: 0, gid: 0 }
    }

    fn files(count: usize, name: &str) -> Vec<Entry> {
        (0..count).map(|number| entry(&format!("{name}{number:05}"), EntryKind::File { len: 1 })).collect()
    }

    fn list(entries: &[Entry], dropped: &[usize]) -> String {
        list_of(entries, &all(entries), dropped, &Selection::default())
    }

    fn list_of(entries: &[Entry], selection: &Selection, dropped: &[usize], same: &Selection) -> String {
        let (dropped, attributes) = (&dropped.iter().copied().collect(), Attributes::Permissions);
        let commit = Commit { entries, selection, batches: &[], dropped, same, attributes, verify: Verify::Cksum };
        String::from_utf8(commit.list()).unwrap()
    }

    fn sums(entries: &[Entry], selection: &Selection, batches: &[Batch], dropped: &[usize]) -> String {
        let (dropped, attributes) = (&dropped.iter().copied().collect(), Attributes::All);
        let commit = Commit {
            entries,
            selection,
            batches,
            dropped,
            same: &Selection::default(),
            attributes,
            verify: Verify::Cksum,
        };
        String::from_utf8(commit.sums()).unwrap()
    }

    fn all(entries: &[Entry]) -> Selection {
        Selection::from(0..entries.len())
    }

    #[test]
    fn every_entry_is_in_one_batch_and_no_batch_is_too_long_for_a_program() {
        let mut entries = files(10_000, "it's a name ");
        entries.insert(0, entry("folder", EntryKind::Folder));
        let batches = batches(&entries);
        assert!((5..15).contains(&batches.len()), "{batches:?}");
        assert_eq!(batches.iter().cloned().flatten().collect::<Vec<_>>(), (0..entries.len()).collect::<Vec<_>>());
        let batches: Vec<Batch> =
            batches.into_iter().map(|entries| Batch { entries, digest: Digest::of(b"", Verify::Sha256) }).collect();
        for line in sums(&entries, &all(&entries), &batches, &[]).lines() {
            assert!(line.len() <= MAX_ARGUMENTS_LEN, "{}", line.len());
        }
    }

    #[test]
    fn a_batch_without_files_is_not_verified() {
        let entries = [entry("folder", EntryKind::Folder)];
        let batches = [Batch { entries: 0..1, digest: Digest::of(b"", Verify::Sha256) }];
        assert_eq!(sums(&entries, &all(&entries), &batches, &[]), "");
        assert!(super::batches(&[]).is_empty());
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let file = EntryKind::File { len: 0 };
        let entries = [
            entry("b", EntryKind::Folder),
            entry("b/c", EntryKind::Folder),
            entry("b/c/-x", file.clone()),
            entry("b c", file.clone()),
            entry("-a", EntryKind::Folder),
            entry("-a/it's", EntryKind::Symlink { target: "x".into() }),
            entry("gone", file),
        ];
        let expected = "drop gone\nfolders '' b ./-a\nfiles '' 'b c'\nfiles ./-a/ './-a/it'\\''s'\nfolders b/ b/c\nfiles b/c/ b/c/-x\n";
        assert_eq!(list(&entries, &[6]), expected);
    }

    #[test]
    fn only_what_was_sent_and_is_kept_is_verified_and_renamed() {
        let mut entries = files(5, "f");
        entries[4].mode = 0o600;
        let batches = [0..3, 3..5].map(|entries| Batch { entries, digest: Digest::of(b"", Verify::Sha256) });
        let selection = Selection::of([0..2, 3..4]);
        let sums = sums(&entries, &selection, &batches, &[1]);
        let names: Vec<_> = sums.lines().map(|line| line.split_whitespace().skip(4).collect::<Vec<_>>()).collect();
        assert_eq!(names, [["f00000"], ["f00003"]]);
        let list = list_of(&entries, &selection, &[1], &Selection::of([2..3, 4..5]));
        assert_eq!(list, "drop f00001\nfiles '' f00000 f00003\nkeep 600 - - f00004\nkeep 755 - - f00002\n");
    }

    #[test]
    fn files_of_some_hosts_only_are_in_batches_of_their_own() {
        let entries = files(6, "f");
        let hosts = [Selection::of([0..2, 2..3]), Selection::of([0..2, 3..5])];
        assert_eq!(batches_for(&entries, &hosts), [0..2, 2..3, 3..5, 5..6]);
        assert_eq!(batches_for(&entries, &[Selection::of([0..1, 4..5]), all(&entries)]), [0..1, 1..4, 4..5, 5..6]);
        assert_eq!(batches_for(&[], &[Selection::default()]), Vec::<Range<usize>>::new());
    }

    #[test]
    fn no_command_of_the_list_has_too_many_names() {
        let list = list(&files(2500, "x"), &[]);
        let names: Vec<usize> = list.lines().map(|line| line.split(' ').count() - 2).collect();
        assert_eq!(names, [1000, 1000, 500]);
        let long = "y".repeat(200);
        let list = self::list(&files(1000, &long), &[]);
        assert!(list.lines().count() == 3 && list.lines().all(|line| line.len() <= MAX_ARGUMENTS_LEN));
    }

    #[test]
    fn closed_folders_get_their_mode_last_and_the_deepest_first() {
        let mut entries = ["a", "a/b", "c"].map(|path| entry(path, EntryKind::Folder));
        (entries[0].mode, entries[1].mode) = (0o1555, 0o070);
        assert_eq!(list(&entries, &[]), "folders '' a c\nfolders a/ a/b\nrestrict 0 70 a/b\nrestrict 1 555 a\n");
        for entry in &entries {
            let header = header(entry, Attributes::Permissions);
            assert!(header[100..108].starts_with(b"00007"), "{}", header[100..108].escape_ascii());
        }
    }

    #[test]
    fn special_bits_and_owners_go_only_when_all_is_kept() {
        let entry = Entry { mode: 0o6755, uid: 7, gid: 8, ..entry("f", EntryKind::File { len: 0 }) };
        for (attributes, expected) in [
            (Attributes::Permissions, "0000755\\x000000000\\x000000000\\x00"),
            (Attributes::All, "0006755\\x000000007\\x000000010\\x00"),
        ] {
            assert_eq!(header(&entry, attributes)[100..124].escape_ascii().to_string(), expected);
        }
    }

    #[test]
    fn room_is_needed_in_whole_blocks() {
        for (len, kib) in [(0, 4), (1, 8), (4096, 8), (4097, 12)] {
            assert_eq!(needed_kib(&[entry("f", EntryKind::File { len })]), kib, "{len}");
        }
    }
}
