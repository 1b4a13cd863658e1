//! What is to be copied: entries in the order in which they are sent.
//!
//! Must not know where the entries come from, nor where they go.

use std::path::PathBuf;

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
