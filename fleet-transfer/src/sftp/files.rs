//! What can be asked of a server about files. Paths are bytes, relative to the folder of the login unless they begin with
//! `/`.
//!
//! Must not know why it is asked.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::answer::{Answer, Name, Status};
use super::attributes::{FileAttributes, FileKind};
use super::client::{Client, MAX_ASKED, SftpError};
use super::packet::{FSYNC, Fields, HARDLINK, LSETSTAT, Opening, POSIX_RENAME, Request, STATVFS};

/// The most names of a folder that are listened to.
const MOST_NAMES: usize = 1_000_000;

/// An open file on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle(Bytes);

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What the user may still fill, in KiB.
    pub free_kib: u64,
    /// Which file system it is.
    pub file_system: u64,
    /// Whether nobody may write to it.
    pub read_only: bool,
}

impl SftpError {
    /// Why the server refused, if it did.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Gone | Self::Nonsense(_) => None,
        }
    }
}

/// `None` in place of what is not there.
pub(super) fn if_there<T>(result: Result<T, SftpError>) -> Result<Option<T>, SftpError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status() == Some(Status::NoSuchFile) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `folder` and `name` as one path.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder.last() {
        None => name.to_vec(),
        Some(b'/') => [folder, name].concat(),
        Some(_) => [folder, b"/", name].concat(),
    }
}

/// All of these fail when the connection is gone, or when the server refuses, for instance as there is no such file.
impl Client {
    /// Opens a file; where that makes it, with the mode `0600`.
    ///
    /// # Errors
    /// As all of them.
    pub async fn open(&self, path: &[u8], opening: Opening) -> Result<Handle, SftpError> {
        self.handle(Request::Open { path, opening, mode: 0o600 }).await
    }

    /// Closes a file.
    ///
    /// # Errors
    /// As all of them: some file systems tell only here that there was no room.
    pub async fn close(&self, handle: Handle) -> Result<(), SftpError> {
        self.done(Request::Close { handle: &handle.0 }).await
    }

    /// At most `len` bytes from `offset` on; `None` at the end of the file.
    ///
    /// # Errors
    /// As all of them.
    pub async fn read(&self, handle: &Handle, offset: u64, len: u32) -> Result<Option<Bytes>, SftpError> {
        match self.ask(Request::Read { handle: &handle.0, offset, len }).await {
            Ok(Answer::Data(data)) => Ok(Some(data)),
            Ok(_) => Err(SftpError::Nonsense("no data")),
            Err(error) if error.status() == Some(Status::End) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes at most [`Self::piece_len`] bytes at `offset`.
    ///
    /// # Errors
    /// As all of them.
    pub async fn write(&self, handle: &Handle, offset: u64, data: &[u8]) -> Result<(), SftpError> {
        self.done(Request::Write { handle: &handle.0, offset, data }).await
    }

    /// Writes what was written to the disk, where the server can.
    ///
    /// # Errors
    /// As all of them.
    pub async fn sync(&self, handle: &Handle) -> Result<(), SftpError> {
        if self.has(FSYNC) { self.done(Request::Fsync { handle: &handle.0 }).await } else { Ok(()) }
    }

    /// What is known of what a path leads to.
    ///
    /// # Errors
    /// As all of them.
    pub async fn stat(&self, path: &[u8]) -> Result<FileAttributes, SftpError> {
        self.attributes(Request::Stat { path }).await
    }

    /// As [`Self::stat`], but of a symlink itself.
    ///
    /// # Errors
    /// As all of them.
    pub async fn lstat(&self, path: &[u8]) -> Result<FileAttributes, SftpError> {
        self.attributes(Request::Lstat { path }).await
    }

    /// As [`Self::stat`], of an open file.
    ///
    /// # Errors
    /// As all of them.
    pub async fn fstat(&self, handle: &Handle) -> Result<FileAttributes, SftpError> {
        self.attributes(Request::Fstat { handle: &handle.0 }).await
    }

    /// Changes what is given of `attributes`.
    ///
    /// # Errors
    /// As all of them.
    pub async fn set(&self, path: &[u8], attributes: FileAttributes) -> Result<(), SftpError> {
        self.done(Request::Setstat { path, attributes }).await
    }

    /// As [`Self::set`], of an open file.
    ///
    /// # Errors
    /// As all of them.
    pub async fn set_open(&self, handle: &Handle, attributes: FileAttributes) -> Result<(), SftpError> {
        self.done(Request::Fsetstat { handle: &handle.0, attributes }).await
    }

    /// As [`Self::set`], of a symlink itself, where the server can.
    ///
    /// # Errors
    /// As all of them.
    pub async fn set_symlink(&self, path: &[u8], attributes: FileAttributes) -> Result<(), SftpError> {
        if self.has(LSETSTAT) { self.done(Request::Lsetstat { path, attributes }).await } else { Ok(()) }
    }

    /// The names in a folder but for `.` and `..`, in the server's order.
    ///
    /// # Errors
    /// As all of them, and when there is a name that no folder can have, or more than a million.
    pub async fn list(&self, path: &[u8]) -> Result<Vec<Name>, SftpError> {
        let handle = self.handle(Request::OpenFolder { path }).await?;
        let mut all: Vec<Name> = Vec::new();
        loop {
            match self.ask(Request::ReadFolder { handle: &handle.0 }).await {
                Ok(Answer::Names(names)) if names.is_empty() => break,
                Ok(Answer::Names(names)) => all.extend(names.into_iter().filter(|name| !is_dots(&name.name))),
                Ok(_) => return Err(SftpError::Nonsense("no names")),
                Err(error) if error.status() == Some(Status::End) => break,
                Err(error) => return Err(error),
            }
            if all.len() > MOST_NAMES {
                return Err(SftpError::Nonsense("more than a million names in one folder"));
            }
        }
        self.close(handle).await?;
        let impossible = |name: &Name| name.name.is_empty() || name.name.iter().any(|b| matches!(b, b'/' | b'\0'));
        if all.iter().any(impossible) {
            return Err(SftpError::Nonsense("a name that no file in a folder can have"));
        }
        Ok(all)
    }

    /// Removes a file or symlink.
    ///
    /// # Errors
    /// As all of them.
    pub async fn remove(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(Request::Remove { path }).await
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As all of them; when it is there already, that is a [`Status::Failure`].
    pub async fn make_folder(&self, path: &[u8], mode: u32) -> Result<(), SftpError> {
        self.done(Request::MakeFolder { path, mode }).await
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As all of them.
    pub async fn remove_folder(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(Request::RemoveFolder { path }).await
    }

    /// Removes a folder with all that is in it. Follows no symlink.
    ///
    /// # Errors
    /// As all of them.
    pub async fn remove_tree(&self, path: &[u8]) -> Result<(), SftpError> {
        let mut folders = vec![path.to_vec()];
        let mut at = 0;
        while let Some(folder) = folders.get(at).cloned() {
            at += 1;
            let mut files = Vec::new();
            for name in self.list(&folder).await? {
                let path = join(&folder, &name.name);
                let kind = match name.attributes.kind() {
                    FileKind::Unknown => self.lstat(&path).await?.kind(),
                    known => known,
                };
                if kind == FileKind::Folder { folders.push(path) } else { files.push(path) }
            }
            let removals = files.into_iter().map(|file: Vec<u8>| async move { self.remove(&file).await });
            stream::iter(removals).buffer_unordered(MAX_ASKED).try_collect::<()>().await?;
            if folders.len() > MOST_NAMES {
                return Err(SftpError::Nonsense("more than a million folders"));
            }
        }
        for folder in folders.iter().rev() {
            self.remove_folder(folder).await?;
        }
        Ok(())
    }

    /// What a symlink names.
    ///
    /// # Errors
    /// As all of them.
    pub async fn read_link(&self, path: &[u8]) -> Result<Bytes, SftpError> {
        match self.ask(Request::ReadLink { path }).await? {
            Answer::Names(names) if names.len() == 1 => Ok(names[0].name.clone()),
            _ => Err(SftpError::Nonsense("other than one name")),
        }
    }

    /// Makes a symlink at `path`.
    ///
    /// # Errors
    /// As all of them.
    pub async fn symlink(&self, path: &[u8], target: &[u8]) -> Result<(), SftpError> {
        self.done(Request::Symlink { path, target }).await
    }

    /// Gives a file another name, which must be free.
    ///
    /// # Errors
    /// As all of them.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        self.done(Request::Rename { from, to }).await
    }

    /// Whether [`Self::replace`] can be used.
    #[must_use]
    pub fn can_replace(&self) -> bool {
        self.has(POSIX_RENAME)
    }

    /// Gives a file another name, in place of what has that by now.
    ///
    /// # Errors
    /// As all of them.
    pub async fn replace(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        self.done(Request::PosixRename { from, to }).await
    }

    /// Whether [`Self::link`] can be used.
    #[must_use]
    pub fn can_link(&self) -> bool {
        self.has(HARDLINK)
    }

    /// Gives a file a further name, which must be free.
    ///
    /// # Errors
    /// As all of them.
    pub async fn link(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        self.done(Request::Hardlink { from, to }).await
    }

    /// The room where `path` is; `None` where the server does not tell.
    ///
    /// # Errors
    /// As all of them.
    pub async fn room(&self, path: &[u8]) -> Result<Option<Room>, SftpError> {
        const READ_ONLY: u64 = 1;
        if !self.has(STATVFS) {
            return Ok(None);
        }
        let Answer::Extended(reply) = self.ask(Request::StatVfs { path }).await? else {
            return Err(SftpError::Nonsense("no reply"));
        };
        let mut fields = Fields(reply);
        let mut numbers = [0; 10];
        for number in &mut numbers {
            *number = fields.u64().ok_or(SftpError::Nonsense("too few numbers of a file system"))?;
        }
        // PROTOCOL of OpenSSH, section 4.4.
        let [_, block_len, _, _, free_blocks, _, _, _, file_system, flags] = numbers;
        let free_kib = (u128::from(block_len) * u128::from(free_blocks) / 1024).min(u128::from(u64::MAX));
        let free_kib = u64::try_from(free_kib).unwrap_or(u64::MAX);
        Ok(Some(Room { free_kib, file_system, read_only: flags & READ_ONLY != 0 }))
    }

    async fn done(&self, request: Request<'_>) -> Result<(), SftpError> {
        self.ask(request).await.map(drop)
    }

    async fn handle(&self, request: Request<'_>) -> Result<Handle, SftpError> {
        match self.ask(request).await? {
            Answer::Handle(handle) => Ok(Handle(handle)),
            _ => Err(SftpError::Nonsense("no handle")),
        }
    }

    async fn attributes(&self, request: Request<'_>) -> Result<FileAttributes, SftpError> {
        match self.ask(request).await? {
            Answer::Attributes(attributes) => Ok(attributes),
            _ => Err(SftpError::Nonsense("no attributes")),
        }
    }
}

fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}
