//! The file list: what there is at the source, in the one order that both sides must see alike.
//!
//! A list is rows of entries, an end, and the names of owners. From then on files are known by their index, the position
//! in the list *after the receiver has sorted it*. So the list is sent sorted ([`order`]), and the encoder takes nothing
//! that is out of order: a wrong index would write a file's content into another one.
//!
//! # An entry
//! | field | form | there if |
//! | --- | --- | --- |
//! | flags | class A and B: varint, 0 written as `04`. C and D: a byte, or a short with bit 2 if a higher bit is set; 0 written as `01`, of a folder as the short `0004` | |
//! | prefix | byte: how many bytes of the path before are kept | bit 5 |
//! | length of the rest | byte, with bit 6 varint | |
//! | rest of the path | bytes | |
//! | first link | varint: the index of the file that this is a hard link to. **The entry ends here** | bit 9 without 12 |
//! | size | varlong 3; of symlinks the target's, of folders, devices, fifos and sockets 0 | |
//! | time | varlong 4: seconds of the last change since 1970 | not bit 7 |
//! | nanoseconds | varint | bit 13 |
//! | mode | int: type and permissions, as Linux numbers them | not bit 1 |
//! | owner | varint | `-o`, not bit 3 |
//! | group | varint | `-g`, not bit 4 |
//! | device, major | varint | a device, with version 30 also a fifo or socket; not bit 8 |
//! | device, minor | varint | as the major |
//! | target | varint of its length, bytes | a symlink |
//! | digest | 16 bytes | a regular file, `-c` |
//!
//! | bit | meaning |
//! | --- | --- |
//! | 0 | a folder that was named as a source |
//! | 1, 3, 4, 7, 8 | the same mode, owner, group, second of change, major number as in the entry before (8 of devices alone) |
//! | 2 | the flags have a second byte |
//! | 5, 6 | see prefix and length |
//! | 8 of folders | what is in it is not in the list |
//! | 9, 12 | a file with hard links; the first one of them |
//! | 13 | the time has a fraction: version 31 |
//!
//! "Same" need not be said where it is true. So each [`KEY_DISTANCE`]th entry is written without reference to those before
//! it, which makes it a place from where reading can begin: the bytes that are sent are all that is kept of a list
//! ([`FileList::get`]), about 18 for each entry.
//!
//! # The end
//! Class A and B: two varints, 0 and flags that say what went wrong while the source was read. C and D: a byte 0, or the short
//! `1004` and the varint of these flags. With [`IoErrors::UNREADABLE`] among them the receiver deletes nothing.
//!
//! # Names of owners
//! Without `--numeric-ids`: users if `-o`, then groups if `-g`, each as rows of (varint id, byte length, name) and a varint
//! 0. Class A has then the length and name of id 0, whose number no row can have.
//!
//! Must not know how a source is read, nor where the bytes go.

mod decoder;
mod encoder;
mod list;
pub mod order;

pub use encoder::{Encoder, ListError, Names, NoNames};
pub use list::{FileList, Item, ItemKind};

use crate::checksum::{ChecksumKind, Digest};

/// How many entries are from one place to the next where reading can begin.
pub const KEY_DISTANCE: u32 = 64;

/// The longest path or symlink target that all receivers take, in bytes.
pub const LONGEST_PATH: usize = 4095;

/// What went wrong while the source was read: the flags at the end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IoErrors(i32);

impl IoErrors {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Something could not be read, so that nobody knows what is there: the receiver deletes nothing, and exits with 23.
    pub const UNREADABLE: Self = Self(1);
    /// Something was there and then was not: the receiver deletes it as all that is not there, and exits with 24.
    pub const VANISHED: Self = Self(2);

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

/// What options of the server's arguments change in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fields {
    /// `-o`
    pub owner: bool,
    /// `-g`
    pub group: bool,
    /// `-D`: devices, fifos and sockets.
    pub devices: bool,
    /// `-l`
    pub symlinks: bool,
    /// `-H`
    pub hard_links: bool,
    /// `--numeric-ids`
    pub numeric_ids: bool,
    /// `-c`, and what is agreed on for it.
    pub digest: Option<ChecksumKind>,
}

impl Fields {
    /// Those of `-a`.
    pub const ARCHIVE: Self = Self {
        owner: true,
        group: true,
        devices: true,
        symlinks: true,
        hard_links: false,
        numeric_ids: false,
        digest: None,
    };
}

/// Something at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Below the destination, without `/` at either end; `.` is the destination itself.
    pub path: &'a [u8],
    /// What it is.
    pub kind: Kind<'a>,
    /// The lower 12 bits of its mode.
    pub permissions: u32,
    /// When its content was changed last.
    pub modified: Modified,
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// What all hard links to one file have in common and no other file has: device and inode. `None` if there is one
    /// name only. Not for folders.
    pub link: Option<(u64, u64)>,
}

/// A time of the source's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modified {
    /// Seconds since 1970.
    pub secs: i64,
    /// Below a second.
    pub nanos: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Of its content, with `-c`.
        digest: Option<Digest>,
    },
    /// A folder, and how much of it is in the list.
    Directory(Folder),
    /// A symlink.
    Symlink {
        /// Where it points.
        target: &'a [u8],
    },
    /// A device.
    Device {
        /// Of which kind.
        form: DeviceForm,
        /// Which driver.
        major: u32,
        /// Which device of it.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// How much of a folder is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It was named as a source, and all that is in it is in the list.
    Source,
    /// It was found below one, and all that is in it is in the list.
    Below,
    /// Only itself, as the way to something below it that was named (`-R`): nothing is deleted in it.
    Alone,
}

/// Of which kind a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceForm {
    /// A block device.
    Block,
    /// A character device.
    Character,
}

/// The part of a mode that is the type.
const TYPE_MASK: u32 = 0o17_0000;

impl Kind<'_> {
    fn type_bits(&self) -> u32 {
        match self {
            Kind::File { .. } => 0o10_0000,
            Kind::Directory(_) => 0o04_0000,
            Kind::Symlink { .. } => 0o12_0000,
            Kind::Device { form: DeviceForm::Block, .. } => 0o06_0000,
            Kind::Device { form: DeviceForm::Character, .. } => 0o02_0000,
            Kind::Fifo => 0o01_0000,
            Kind::Socket => 0o14_0000,
        }
    }

    fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory(_))
    }
}

/// The bits of an entry's flags.
mod bit {
    pub(super) const TOP_DIR: u16 = 1 << 0;
    pub(super) const SAME_MODE: u16 = 1 << 1;
    pub(super) const TWO_BYTES: u16 = 1 << 2;
    pub(super) const SAME_OWNER: u16 = 1 << 3;
    pub(super) const SAME_GROUP: u16 = 1 << 4;
    pub(super) const PREFIX: u16 = 1 << 5;
    pub(super) const LONG_NAME: u16 = 1 << 6;
    pub(super) const SAME_TIME: u16 = 1 << 7;
    pub(super) const SAME_MAJOR: u16 = 1 << 8;
    pub(super) const ALONE: u16 = 1 << 8;
    pub(super) const LINKED: u16 = 1 << 9;
    pub(super) const FIRST_LINK: u16 = 1 << 12;
    pub(super) const IO_ERROR_END: u16 = 1 << 12;
    pub(super) const NANOS: u16 = 1 << 13;
}

/// What the next entry may be said to have the same of.
#[derive(Debug, Clone, Copy)]
struct Before {
    mode: u32,
    secs: i64,
    owner: u32,
    group: u32,
    major: u32,
}

#[cfg(test)]
mod tests;
