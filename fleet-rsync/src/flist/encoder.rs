//! From entries to the bytes of a list, for one wire class.
//!
//! Must not know other classes' bytes: each list is encoded on its own.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use thiserror::Error;

use super::order::{Place, compare};
use super::{Before, Entry, Fields, FileList, Folder, IoErrors, KEY_DISTANCE, Kind, LONGEST_PATH, bit};
use crate::wire::greeting::WireClass;
use crate::wire::ints::{put_int, put_short, put_varint, put_varlong};

/// Why an entry cannot be in a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListError {
    /// A path that no receiver would take.
    #[error("expected a path of 1 to {LONGEST_PATH} bytes without empty parts, `.`, `..` and NUL, not {}", .0.escape_ascii())]
    Path(Vec<u8>),
    /// A symlink whose target no receiver would take.
    #[error("expected a symlink's target of 1 to {LONGEST_PATH} bytes without NUL at {}", .0.escape_ascii())]
    Target(Vec<u8>),
    /// It is not behind the entry before it.
    #[error("expected sorted entries, but {} comes behind {}", .path.escape_ascii(), .before.escape_ascii())]
    Order {
        /// Where the entry is.
        path: Vec<u8>,
        /// Where the one before it is.
        before: Vec<u8>,
    },
    /// The fields of the list have no room for this kind, or `-c` is asked for and there is no digest.
    #[error("expected an entry that the list has the fields for at {}", .0.escape_ascii())]
    Kind(Vec<u8>),
    /// A size that is no number of rsync's.
    #[error("expected a size of less than 2^63 bytes at {}", .0.escape_ascii())]
    Size(Vec<u8>),
    /// An index is 31 bits.
    #[error("expected at most {} entries", i32::MAX)]
    TooMany,
}

/// The names of owners on this machine.
pub trait Names {
    /// A user's name.
    fn user(&self, id: u32) -> Option<Vec<u8>>;
    /// A group's name.
    fn group(&self, id: u32) -> Option<Vec<u8>>;
}

/// No id has a name.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn user(&self, _: u32) -> Option<Vec<u8>> {
        None
    }
    fn group(&self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

/// Makes a list of entries that come in order.
#[derive(Debug)]
pub struct Encoder {
    class: WireClass,
    fields: Fields,
    out: Vec<u8>,
    keys: Vec<u64>,
    count: u32,
    path: Vec<u8>,
    directory: bool,
    before: Option<Before>,
    links: HashMap<(u64, u64), u32>,
    owners: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

impl Encoder {
    /// An empty list for servers of `class`.
    #[must_use]
    pub fn new(class: WireClass, fields: Fields) -> Self {
        Self {
            class,
            fields,
            out: Vec::new(),
            keys: Vec::new(),
            count: 0,
            path: Vec::new(),
            directory: false,
            before: None,
            links: HashMap::new(),
            owners: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Adds an entry, and gives its index.
    ///
    /// # Errors
    /// If the receiver would not take it, or not give it this index. The list is as it was before.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<u32, ListError> {
        self.check(entry)?;
        let index = self.count;
        let key = index.is_multiple_of(KEY_DISTANCE);
        if key {
            self.keys.push(self.out.len() as u64);
            self.before = None;
        }
        let link = entry.link.filter(|_| self.fields.hard_links && !entry.kind.is_directory());
        let first_link = link.map(|link| *self.links.entry(link).or_insert(index));
        let prefix = if key { 0 } else { common_prefix(&self.path, entry.path) };
        let flags = self.flags(entry, prefix, first_link.map(|first| first == index));
        self.put_flags(flags, entry.kind.is_directory());
        self.put_path(&entry.path[prefix..], prefix, flags);
        match first_link {
            Some(first) if first != index => {
                put_varint(&mut self.out, first.cast_signed());
                // The receiver goes on from what it knows of the first link, which is not looked up here.
                self.before = None;
            }
            _ => self.put_attributes(entry, flags),
        }
        self.path.clear();
        self.path.extend_from_slice(entry.path);
        self.directory = entry.kind.is_directory();
        self.owners.insert(entry.owner);
        self.groups.insert(entry.group);
        self.count += 1;
        Ok(index)
    }

    /// Ends the list.
    #[must_use]
    pub fn finish(mut self, names: &dyn Names, errors: IoErrors) -> FileList {
        let mut ids = Vec::new();
        if self.fields.owner && !self.fields.numeric_ids {
            self.put_names(&self.owners, |id| names.user(id), &mut ids);
        }
        if self.fields.group && !self.fields.numeric_ids {
            self.put_names(&self.groups, |id| names.group(id), &mut ids);
        }
        self.out.shrink_to_fit();
        self.keys.shrink_to_fit();
        FileList {
            class: self.class,
            fields: self.fields,
            entries: self.out.into(),
            ids: ids.into(),
            keys: self.keys,
            count: self.count,
            errors,
        }
    }

    fn check(&self, entry: &Entry<'_>) -> Result<(), ListError> {
        let path = || entry.path.to_vec();
        let odd = |part: &[u8]| part.is_empty() || part == b".." || part == b"." || part.contains(&0);
        if entry.path != b"." && (entry.path.split(|byte| *byte == b'/').any(odd) || entry.path.len() > LONGEST_PATH) {
            return Err(ListError::Path(path()));
        }
        let fits = match entry.kind {
            Kind::File { size, .. } if i64::try_from(size).is_err() => return Err(ListError::Size(path())),
            Kind::Symlink { target } if target.is_empty() || target.len() > LONGEST_PATH || target.contains(&0) => {
                return Err(ListError::Target(path()));
            }
            Kind::File { digest, .. } => self.fields.digest.is_none() || digest.is_some(),
            Kind::Directory(_) => true,
            Kind::Symlink { .. } => self.fields.symlinks,
            Kind::Device { .. } | Kind::Fifo | Kind::Socket => self.fields.devices,
        };
        if !fits {
            return Err(ListError::Kind(path()));
        }
        if self.count == i32::MAX.cast_unsigned() {
            return Err(ListError::TooMany);
        }
        let before = Place { path: &self.path, directory: self.directory };
        let place = Place { path: entry.path, directory: entry.kind.is_directory() };
        if self.count > 0 && compare(before, place) != Ordering::Less || entry.path == self.path {
            return Err(ListError::Order { path: path(), before: self.path.clone() });
        }
        Ok(())
    }

    /// The flags of an entry; `first_link` says of one with links whether it is the first.
    fn flags(&self, entry: &Entry<'_>, prefix: usize, first_link: Option<bool>) -> u16 {
        let mut flags = 0;
        let mut set = |bit, when| flags |= if when { bit } else { 0 };
        set(bit::TOP_DIR, entry.kind == Kind::Directory(Folder::Source));
        set(bit::ALONE, entry.kind == Kind::Directory(Folder::Alone));
        set(bit::PREFIX, prefix > 0);
        set(bit::LONG_NAME, entry.path.len() - prefix > 0xff);
        set(bit::LINKED, first_link.is_some());
        set(bit::FIRST_LINK, first_link == Some(true));
        if first_link == Some(false) {
            return flags;
        }
        set(bit::NANOS, self.class.version() > 30 && entry.modified.nanos != 0);
        if let Some(before) = self.before {
            set(bit::SAME_MODE, before.mode == mode(entry));
            set(bit::SAME_OWNER, self.fields.owner && before.owner == entry.owner);
            set(bit::SAME_GROUP, self.fields.group && before.group == entry.group);
            set(bit::SAME_TIME, before.secs == entry.modified.secs);
            let major = device(&entry.kind, self.class).map(|(major, _)| major);
            set(bit::SAME_MAJOR, major == Some(before.major));
        }
        flags
    }

    fn put_flags(&mut self, flags: u16, directory: bool) {
        match flags {
            _ if self.class.varint_flags() => {
                let flags = if flags == 0 { bit::TWO_BYTES } else { flags };
                put_varint(&mut self.out, flags.into());
            }
            0 if directory => put_short(&mut self.out, bit::TWO_BYTES),
            0 => self.out.push(bit::TOP_DIR.to_le_bytes()[0]),
            _ => match u8::try_from(flags) {
                Ok(flags) => self.out.push(flags),
                Err(_) => put_short(&mut self.out, flags | bit::TWO_BYTES),
            },
        }
    }

    fn put_path(&mut self, rest: &[u8], prefix: usize, flags: u16) {
        let byte = |length: usize| u8::try_from(length).expect("lengths of more than a byte have other flags");
        if flags & bit::PREFIX != 0 {
            self.out.push(byte(prefix));
        }
        if flags & bit::LONG_NAME != 0 {
            put_varint(&mut self.out, i32::try_from(rest.len()).expect("paths have at most 4095 bytes"));
        } else {
            self.out.push(byte(rest.len()));
        }
        self.out.extend_from_slice(rest);
    }

    fn put_attributes(&mut self, entry: &Entry<'_>, flags: u16) {
        let lacks = |bit| flags & bit == 0;
        let (mode, secs) = (mode(entry), entry.modified.secs);
        let out = &mut self.out;
        put_varlong(out, size(&entry.kind), 3);
        if lacks(bit::SAME_TIME) {
            put_varlong(out, secs, 4);
        }
        if !lacks(bit::NANOS) {
            put_varint(out, entry.modified.nanos.cast_signed());
        }
        if lacks(bit::SAME_MODE) {
            put_int(out, mode.cast_signed());
        }
        if self.fields.owner && lacks(bit::SAME_OWNER) {
            put_varint(out, entry.owner.cast_signed());
        }
        if self.fields.group && lacks(bit::SAME_GROUP) {
            put_varint(out, entry.group.cast_signed());
        }
        let device = device(&entry.kind, self.class);
        if let Some((major, minor)) = device {
            if lacks(bit::SAME_MAJOR) {
                put_varint(out, major.cast_signed());
            }
            put_varint(out, minor.cast_signed());
        }
        match entry.kind {
            Kind::Symlink { target } => {
                put_varint(out, i32::try_from(target.len()).expect("targets have at most 4095 bytes"));
                out.extend_from_slice(target);
            }
            Kind::File { digest: Some(digest), .. } if self.fields.digest.is_some() => out.extend_from_slice(&digest),
            _ => {}
        }
        let before = device.map(|(major, _)| major).or(self.before.map(|before| before.major));
        let (owner, group, major) = (entry.owner, entry.group, before.unwrap_or(UNKNOWN_MAJOR));
        self.before = Some(Before { mode, secs, owner, group, major });
    }

    fn put_names(&self, ids: &BTreeSet<u32>, name: impl Fn(u32) -> Option<Vec<u8>>, out: &mut Vec<u8>) {
        let length = |name: &Vec<u8>| u8::try_from(name.len()).ok().filter(|length| *length > 0);
        let mut put = |head: Option<u32>, name: Vec<u8>, length: u8| {
            head.into_iter().for_each(|id| put_varint(out, id.cast_signed()));
            out.push(length);
            out.extend_from_slice(&name);
        };
        for id in ids.iter().copied().filter(|id| *id != 0) {
            if let Some((name, length)) = name(id).and_then(|name| length(&name).map(|length| (name, length))) {
                put(Some(id), name, length);
            }
        }
        out.push(0);
        if self.class == WireClass::A {
            let name = name(0).unwrap_or_default();
            let length = length(&name).unwrap_or(0);
            out.push(length);
            out.extend_from_slice(&name[..length.into()]);
        }
    }
}

/// A major number that no device has, so that none is said to be the same.
const UNKNOWN_MAJOR: u32 = u32::MAX;

fn mode(entry: &Entry<'_>) -> u32 {
    entry.kind.type_bits() | entry.permissions & 0o7777
}

fn size(kind: &Kind<'_>) -> i64 {
    match kind {
        Kind::File { size, .. } => size.cast_signed(),
        Kind::Symlink { target } => target.len() as i64,
        Kind::Directory(_) | Kind::Device { .. } | Kind::Fifo | Kind::Socket => 0,
    }
}

/// Major and minor number, where the class has them.
fn device(kind: &Kind<'_>, class: WireClass) -> Option<(u32, u32)> {
    match kind {
        Kind::Device { major, minor, .. } => Some((*major, *minor)),
        Kind::Fifo | Kind::Socket if class == WireClass::D => Some((0, 0)),
        _ => None,
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take(0xff).take_while(|(one, other)| one == other).count()
}
