//! A list that is whole: its bytes, shared by all servers of a class, and what is at an index.
//!
//! Must not know who asks.

use bytes::Bytes;

use super::decoder::{Decoded, Decoder};
use super::{Encoder, Entry, Fields, IoErrors, KEY_DISTANCE, Kind, ListError, Modified, Names, bit};
use crate::checksum::Digest;
use crate::wire::greeting::{CompatFlags, WireClass};
use crate::wire::ints::{put_short, put_varint};

/// A list for all servers of one class.
#[derive(Debug)]
pub struct FileList {
    pub(super) class: WireClass,
    pub(super) fields: Fields,
    pub(super) entries: Bytes,
    pub(super) ids: Bytes,
    /// Where each [`KEY_DISTANCE`]th entry begins.
    pub(super) keys: Vec<u64>,
    pub(super) count: u32,
    pub(super) errors: IoErrors,
}

impl FileList {
    /// The class of servers that it is for.
    #[must_use]
    pub fn class(&self) -> WireClass {
        self.class
    }

    /// What is in it.
    #[must_use]
    pub fn fields(&self) -> Fields {
        self.fields
    }

    /// How many entries it has: indexes are less.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What went wrong while the source was read.
    #[must_use]
    pub fn errors(&self) -> IoErrors {
        self.errors
    }

    /// What it takes of memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() + self.ids.len() + self.keys.len() * size_of::<u64>()
    }

    /// The bytes to be sent to a server of this class that has said `flags`.
    ///
    /// A server of class D without [`CompatFlags::SAFE_FILE_LIST`] has no place in the list for [`errors`](Self::errors):
    /// it is sent [`io_error`](crate::wire::mux::io_error) instead.
    #[must_use]
    pub fn stream(&self, flags: CompatFlags) -> [Bytes; 3] {
        let errors = self.errors.number();
        let mut end = Vec::new();
        if self.class.varint_flags() {
            end.push(0);
            put_varint(&mut end, errors);
        } else if errors != 0 && flags.has(CompatFlags::SAFE_FILE_LIST) {
            put_short(&mut end, bit::IO_ERROR_END | bit::TWO_BYTES);
            put_varint(&mut end, errors);
        } else {
            end.push(0);
        }
        [self.entries.clone(), end.into(), self.ids.clone()]
    }

    /// The entry with an index, if there is one.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Item> {
        self.with(index, |entry| Item::of(&entry))
    }

    /// Calls `use_entry` with the entry of an index, if there is one.
    fn with<T>(&self, index: u32, use_entry: impl FnOnce(Entry<'_>) -> T) -> Option<T> {
        let (path, found) = self.find(index)?;
        let link = match found {
            Decoded::Whole(content) => return Some(use_entry(content.at(&path, content.linked.then_some(index)))),
            Decoded::Link(first) => first,
        };
        // An encoder writes the first link as a whole, and before all others.
        let (_, found) = self.find(link).filter(|_| link < index)?;
        match found {
            Decoded::Whole(content) => Some(use_entry(content.at(&path, Some(link)))),
            Decoded::Link(_) => None,
        }
    }

    fn find(&self, index: u32) -> Option<(Vec<u8>, Decoded<'_>)> {
        if index >= self.count {
            return None;
        }
        let start = usize::try_from(*self.keys.get((index / KEY_DISTANCE) as usize)?).ok()?;
        let mut decoder = Decoder::new(self.class, self.fields, &self.entries[start..]);
        for _ in 0..index % KEY_DISTANCE {
            decoder.next_entry().ok()?;
        }
        let found = decoder.next_entry().ok()?;
        Some((decoder.path().to_vec(), found))
    }

    /// The same list for another class, so that the source need not be read again. Class D has no fractions of a second:
    /// what is made of its list has none either.
    ///
    /// # Errors
    /// None for lists of an encoder; but what these bytes say is checked as all entries are.
    pub fn recoded(&self, class: WireClass, names: &dyn Names) -> Result<Self, ListError> {
        let mut encoder = Encoder::new(class, self.fields);
        self.for_each(|entry| encoder.push(&entry).map(drop))?;
        Ok(encoder.finish(names, self.errors))
    }

    /// Calls `use_entry` with all entries in their order, until it fails. What is linked has the index of its first link for
    /// a number.
    ///
    /// # Errors
    /// Those of `use_entry`.
    pub fn for_each<E>(&self, mut use_entry: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut decoder = Decoder::new(self.class, self.fields, &self.entries);
        for index in 0..self.count {
            let found = decoder.next_entry().expect("a list is what an encoder wrote");
            if let Decoded::Whole(content) = found {
                use_entry(content.at(decoder.path(), content.linked.then_some(index)))?;
            } else {
                self.with(index, &mut use_entry).expect("a link is to an entry before it")?;
            }
        }
        Ok(())
    }
}

/// An entry that was found in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Below the destination.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: ItemKind,
    /// The lower 12 bits of its mode.
    pub permissions: u32,
    /// When its content was changed last; with version 30 without its fraction.
    pub modified: Modified,
    /// The index of the first of its hard links, which may be its own; with `-H`.
    pub link: Option<u32>,
}

/// What an entry is that was found in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A regular file.
    File {
        /// Its length in bytes when the list was made.
        size: u64,
        /// Of its content then, with `-c`.
        digest: Option<Digest>,
    },
    /// A folder.
    Directory,
    /// A symlink.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A device.
    Device,
    /// A fifo or a socket.
    Special,
}

impl Item {
    /// Whether it has content that can be asked for.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, ItemKind::File { .. })
    }

    /// The owned form of an entry that a list has decoded.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        let kind = match entry.kind {
            Kind::File { size, digest } => ItemKind::File { size, digest },
            Kind::Directory(_) => ItemKind::Directory,
            Kind::Symlink { target } => ItemKind::Symlink { target: target.to_vec() },
            Kind::Device { .. } => ItemKind::Device,
            Kind::Fifo | Kind::Socket => ItemKind::Special,
        };
        let link = entry.link.and_then(|(_, first)| u32::try_from(first).ok());
        Self { path: entry.path.to_vec(), kind, permissions: entry.permissions, modified: entry.modified, link }
    }
}
