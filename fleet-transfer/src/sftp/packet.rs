//! What a client of SFTP version 3 sends (draft-ietf-secsh-filexfer-02), and the extensions of OpenSSH that we use
//! (its file PROTOCOL, section 4). Names are bytes.
//!
//! Must not know what was asked before, nor how bytes travel.

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::FileAttributes;

/// The version that we speak, and every server does.
pub(super) const VERSION: u32 = 3;

/// `rename(2)`: it replaces what is there, in one step.
pub(super) const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// `statvfs(2)`: the room on a file system.
pub(super) const STATVFS: &str = "statvfs@openssh.com";
/// `link(2)`.
pub(super) const HARDLINK: &str = "hardlink@openssh.com";
/// `fsync(2)` of an open file.
pub(super) const FSYNC: &str = "fsync@openssh.com";
/// Attributes of a symlink itself.
pub(super) const LSETSTAT: &str = "lsetstat@openssh.com";
/// How long packets, reads and writes may be.
pub(super) const LIMITS: &str = "limits@openssh.com";

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// To be read.
    Read,
    /// To be written; it must not be there yet.
    New,
    /// To be written, whether it is there or not; what is there stays.
    Write,
}

impl Opening {
    fn flags(self) -> u32 {
        const READ: u32 = 1;
        const WRITE: u32 = 2;
        const CREATE: u32 = 8;
        const EXCLUSIVE: u32 = 32;
        match self {
            Self::Read => READ,
            Self::New => WRITE | CREATE | EXCLUSIVE,
            Self::Write => WRITE | CREATE,
        }
    }
}

/// A question to the server. Paths are relative to the folder of the login unless they begin with `/`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request<'a> {
    Open {
        path: &'a [u8],
        opening: Opening,
        mode: u32,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        len: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Lstat {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    Fstat {
        handle: &'a [u8],
    },
    Setstat {
        path: &'a [u8],
        attributes: FileAttributes,
    },
    Fsetstat {
        handle: &'a [u8],
        attributes: FileAttributes,
    },
    OpenFolder {
        path: &'a [u8],
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder {
        path: &'a [u8],
        mode: u32,
    },
    RemoveFolder {
        path: &'a [u8],
    },
    /// Fails when there is something at `to`.
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    ReadLink {
        path: &'a [u8],
    },
    Symlink {
        path: &'a [u8],
        target: &'a [u8],
    },
    PosixRename {
        from: &'a [u8],
        to: &'a [u8],
    },
    Hardlink {
        from: &'a [u8],
        to: &'a [u8],
    },
    Fsync {
        handle: &'a [u8],
    },
    StatVfs {
        path: &'a [u8],
    },
    Lsetstat {
        path: &'a [u8],
        attributes: FileAttributes,
    },
    Limits,
}

/// What a server may answer to a request beside a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Handle,
    /// At most so many bytes.
    Data(u32),
    Names,
    Attributes,
    Extended,
}

impl Request<'_> {
    /// What answers it.
    pub(super) fn expected(&self) -> Expected {
        match self {
            Self::Open { .. } | Self::OpenFolder { .. } => Expected::Handle,
            Self::Read { len, .. } => Expected::Data(*len),
            Self::Lstat { .. } | Self::Stat { .. } | Self::Fstat { .. } => Expected::Attributes,
            Self::ReadFolder { .. } | Self::ReadLink { .. } => Expected::Names,
            Self::StatVfs { .. } | Self::Limits => Expected::Extended,
            _ => Expected::Done,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Open { .. } => 3,
            Self::Close { .. } => 4,
            Self::Read { .. } => 5,
            Self::Write { .. } => 6,
            Self::Lstat { .. } => 7,
            Self::Fstat { .. } => 8,
            Self::Setstat { .. } => 9,
            Self::Fsetstat { .. } => 10,
            Self::OpenFolder { .. } => 11,
            Self::ReadFolder { .. } => 12,
            Self::Remove { .. } => 13,
            Self::MakeFolder { .. } => 14,
            Self::RemoveFolder { .. } => 15,
            Self::Stat { .. } => 17,
            Self::Rename { .. } => 18,
            Self::ReadLink { .. } => 19,
            Self::Symlink { .. } => 20,
            Self::PosixRename { .. }
            | Self::Hardlink { .. }
            | Self::Fsync { .. }
            | Self::StatVfs { .. }
            | Self::Lsetstat { .. }
            | Self::Limits => 200,
        }
    }

    /// The packet, with its length before it.
    pub(super) fn to_bytes(self, id: u32) -> Bytes {
        let mut bytes = BytesMut::with_capacity(match self {
            Self::Write { data, .. } => data.len() + 300,
            _ => 300,
        });
        bytes.put_u32(0);
        bytes.put_u8(self.code());
        bytes.put_u32(id);
        self.put_fields(&mut bytes);
        finish(bytes)
    }

    fn put_fields(self, bytes: &mut BytesMut) {
        match self {
            Self::Open { path, opening, mode } => {
                put(bytes, path);
                bytes.put_u32(opening.flags());
                FileAttributes::of_mode(mode).put(bytes);
            }
            Self::Read { handle, offset, len } => {
                put(bytes, handle);
                bytes.put_u64(offset);
                bytes.put_u32(len);
            }
            Self::Write { handle, offset, data } => {
                put(bytes, handle);
                bytes.put_u64(offset);
                put(bytes, data);
            }
            Self::Setstat { path: name, attributes } | Self::Fsetstat { handle: name, attributes } => {
                put(bytes, name);
                attributes.put(bytes);
            }
            Self::MakeFolder { path, mode } => {
                put(bytes, path);
                FileAttributes::of_mode(mode).put(bytes);
            }
            Self::Rename { from, to } => put_all(bytes, [from, to]),
            // OpenSSH has the two the other way round than the draft, and everybody follows it.
            Self::Symlink { path, target } => put_all(bytes, [target, path]),
            Self::PosixRename { from, to } => put_all(bytes, [POSIX_RENAME.as_bytes(), from, to]),
            Self::Hardlink { from, to } => put_all(bytes, [HARDLINK.as_bytes(), from, to]),
            Self::Fsync { handle } => put_all(bytes, [FSYNC.as_bytes(), handle]),
            Self::StatVfs { path } => put_all(bytes, [STATVFS.as_bytes(), path]),
            Self::Lsetstat { path, attributes } => {
                put_all(bytes, [LSETSTAT.as_bytes(), path]);
                attributes.put(bytes);
            }
            Self::Limits => put(bytes, LIMITS.as_bytes()),
            Self::Close { handle: name }
            | Self::Fstat { handle: name }
            | Self::ReadFolder { handle: name }
            | Self::Lstat { path: name }
            | Self::Stat { path: name }
            | Self::OpenFolder { path: name }
            | Self::Remove { path: name }
            | Self::RemoveFolder { path: name }
            | Self::ReadLink { path: name } => put(bytes, name),
        }
    }
}

/// The first packet.
pub(super) fn hello() -> Bytes {
    let mut bytes = BytesMut::with_capacity(9);
    bytes.put_u32(0);
    bytes.put_u8(1);
    bytes.put_u32(VERSION);
    finish(bytes)
}

/// Writes the length into its place.
fn finish(mut bytes: BytesMut) -> Bytes {
    let len = u32::try_from(bytes.len() - 4).expect("names and pieces of files are far shorter than 4 GiB");
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes.freeze()
}

fn put(bytes: &mut BytesMut, string: &[u8]) {
    bytes.put_u32(u32::try_from(string.len()).expect("names and pieces of files are far shorter than 4 GiB"));
    bytes.put_slice(string);
}

fn put_all<const N: usize>(bytes: &mut BytesMut, strings: [&[u8]; N]) {
    for string in strings {
        put(bytes, string);
    }
}

/// Reads the fields of a packet; each is `None` when the packet ends before it does.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let bytes = self.bytes(8)?;
        bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(super) fn string(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.u32()?).ok()?;
        self.bytes(len)
    }

    fn bytes(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }
}
