//! What there is on a host, as it says itself.
//!
//! Nothing of it is believed but that it was said: names are not yet names here. Bytes to values: must not know what is
//! wanted of it.

use std::collections::HashSet;

use super::records::{RecordError, RecordReader, decimal, signed, split_word};

/// The kinds in a mode (POSIX `S_IFMT`; the numbers are those of every Unix).
const KIND_MASK: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// What something on a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symlink.
    Symlink,
    /// A device, a pipe, a socket.
    Other,
}

/// What is known of a file on a host without having it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: ListedKind,
    /// Permission bits (`st_mode & 0o777`).
    pub mode: u32,
    /// Its length in bytes.
    pub len: u64,
    /// What it takes of the disk, in bytes.
    pub disk_bytes: u64,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
}

/// Something that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The number of the pattern that it was found by.
    pub pattern: usize,
    /// The place in [`Listing::folders`] of what its path is relative to.
    pub folder: usize,
    /// Its path: any bytes but NUL; empty for the folder itself.
    pub path: Box<[u8]>,
    /// What is known of it.
    pub seen: Seen,
}

/// All that was listed on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Absolute paths of folders, or `.` for that of the login.
    pub folders: Vec<Vec<u8>>,
    /// What is in them.
    pub entries: Vec<Listed>,
    /// What of it cannot be read: the place of the folder, and the path.
    pub unreadable: HashSet<(usize, Box<[u8]>)>,
    /// Paths, as asked for, at which there is nothing, or which cannot be entered.
    pub missing: Vec<Vec<u8>>,
}

impl Listing {
    /// The absolute path of an entry.
    #[must_use]
    pub fn path(&self, entry: &Listed) -> Vec<u8> {
        let folder =
            self.folders.get(entry.folder).map_or(&b""[..], |folder| folder.strip_suffix(b"/").unwrap_or(folder));
        if entry.path.is_empty() {
            return if folder.is_empty() { b"/".to_vec() } else { folder.to_vec() };
        }
        [folder, b"/", &entry.path].concat()
    }
}

/// Reads the answer of [`copy_out_list_command`](fleet_ssh::remote::copy_out_list_command).
#[derive(Debug)]
pub struct ListingReader {
    records: RecordReader,
    listing: Listing,
    pattern: usize,
    most: usize,
}

impl ListingReader {
    /// For records between these marks, of `most` names.
    #[must_use]
    pub fn new(start: Vec<u8>, end: Vec<u8>, most: usize) -> Self {
        Self { records: RecordReader::new(start, end), listing: Listing::default(), pattern: 0, most }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are no listing, or there are too many names in it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let Self { records, listing, pattern, most } = self;
        records.push(bytes, |record| take(listing, pattern, *most, record))
    }

    /// The listing; `None` when its end has not come.
    #[must_use]
    pub fn finish(self) -> Option<Listing> {
        self.records.has_ended().then_some(self.listing)
    }
}

fn take(listing: &mut Listing, pattern: &mut usize, most: usize, record: &[u8]) -> Result<(), RecordError> {
    if record.contains(&0) {
        return Err(RecordError::Damaged);
    }
    if listing.entries.len() + listing.folders.len() + listing.missing.len() + listing.unreadable.len() >= most {
        return Err(RecordError::TooMany { most });
    }
    let (first, rest) = record.split_first().ok_or(RecordError::Damaged)?;
    match first {
        b'/' => {
            let (number, folder) = split_word(rest)?;
            if !folder.starts_with(b"/") {
                return Err(RecordError::Damaged);
            }
            *pattern = usize::try_from(decimal(number)?).map_err(|_| RecordError::Damaged)?;
            listing.folders.push(folder.to_vec());
        }
        b'?' => listing.missing.push(split_word(rest)?.1.to_vec()),
        b'!' => {
            let folder = listing.folders.len().checked_sub(1).ok_or(RecordError::Damaged)?;
            listing.unreadable.insert((folder, relative(rest)?.into()));
        }
        _ => {
            let (seen, path) = described(record)?;
            let folder = listing.folders.len().checked_sub(1).ok_or(RecordError::Damaged)?;
            let path = relative(path)?.into();
            listing.entries.push(Listed { pattern: *pattern, folder, path, seen });
        }
    }
    Ok(())
}

/// Reads `MODE LENGTH BLOCKS TIME PATH`.
pub(super) fn described(record: &[u8]) -> Result<(Seen, &[u8]), RecordError> {
    let (mode, rest) = split_word(record)?;
    let (len, rest) = split_word(rest)?;
    let (blocks, rest) = split_word(rest)?;
    let (mtime, path) = split_word(rest)?;
    let mode = std::str::from_utf8(mode).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let mode = mode.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(RecordError::Damaged)?;
    let kind = match mode & KIND_MASK {
        FILE => ListedKind::File,
        FOLDER => ListedKind::Folder,
        SYMLINK => ListedKind::Symlink,
        _ => ListedKind::Other,
    };
    let disk_bytes = decimal(blocks)?.saturating_mul(512);
    Ok((Seen { kind, mode: mode & 0o777, len: decimal(len)?, disk_bytes, mtime: signed(mtime)? }, path))
}

/// The path as `find` tells it, `./NAME` or `.`, without that beginning.
fn relative(path: &[u8]) -> Result<&[u8], RecordError> {
    match path {
        b"." => Ok(b""),
        _ => path.strip_prefix(b"./").ok_or(RecordError::Damaged),
    }
}
