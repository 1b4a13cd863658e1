//! What is known of a file (draft-ietf-secsh-filexfer-02, section 5): length, owners, mode and times.
//!
//! Must not know which packet it stands in.

use bytes::{BufMut, BytesMut};

use super::packet::Fields;

const SIZE: u32 = 1;
const OWNERS: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 1 << 31;

/// The bits of a mode that say what a file is (`S_IFMT` of POSIX, which all servers send).
const KIND_BITS: u32 = 0o170_000;

/// What is known of a file, or is to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileAttributes {
    /// Its length in bytes.
    pub len: Option<u64>,
    /// The numbers of its owner and its group.
    pub owners: Option<(u32, u32)>,
    /// Its mode: permission bits, and in answers what it is.
    pub mode: Option<u32>,
    /// When it was last read and changed, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// What a file on a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symlink.
    Symlink,
    /// A device, a fifo or a socket.
    Special,
    /// The server does not say.
    Unknown,
}

impl FileAttributes {
    /// Only this mode.
    #[must_use]
    pub fn of_mode(mode: u32) -> Self {
        Self { mode: Some(mode), ..Self::default() }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.mode.map(|mode| mode & KIND_BITS) {
            Some(0o100_000) => FileKind::File,
            Some(0o040_000) => FileKind::Folder,
            Some(0o120_000) => FileKind::Symlink,
            None | Some(0) => FileKind::Unknown,
            Some(_) => FileKind::Special,
        }
    }

    pub(super) fn put(&self, bytes: &mut BytesMut) {
        let flag = |wanted: bool, flag: u32| if wanted { flag } else { 0 };
        let flags = flag(self.len.is_some(), SIZE)
            | flag(self.owners.is_some(), OWNERS)
            | flag(self.mode.is_some(), PERMISSIONS)
            | flag(self.times.is_some(), TIMES);
        bytes.put_u32(flags);
        if let Some(len) = self.len {
            bytes.put_u64(len);
        }
        if let Some((first, second)) = self.owners {
            bytes.put_u32(first);
            bytes.put_u32(second);
        }
        if let Some(mode) = self.mode {
            bytes.put_u32(mode);
        }
        if let Some((read, changed)) = self.times {
            bytes.put_u32(read);
            bytes.put_u32(changed);
        }
    }

    /// Reads what an answer says; `None` when it ends too early.
    pub(super) fn take(fields: &mut Fields) -> Option<Self> {
        let flags = fields.u32()?;
        let mut known = Self::default();
        if flags & SIZE != 0 {
            known.len = Some(fields.u64()?);
        }
        if flags & OWNERS != 0 {
            known.owners = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            known.mode = Some(fields.u32()?);
        }
        if flags & TIMES != 0 {
            known.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..fields.u32()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Some(known)
    }
}
