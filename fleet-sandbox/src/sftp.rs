//! The SFTP subsystem (version 3) over a host's real file system: relative paths start in the host's home, and absolute
//! ones mean what they mean to the host's commands.
//!
//! Must not know channels beyond the two streams it is given.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, FileTimes, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use crate::channel::{Exit, Output, Stream};
use crate::spool::Spool;

const PIPE_BYTES: usize = 256 << 10;
/// The most that one read returns, as in OpenSSH.
const LARGEST_READ_BYTES: u32 = 255 << 10;
/// Names in one answer to a directory read.
const ENTRIES_PER_READ: usize = 128;
const PERMISSION_BITS: u32 = 0o7777;
const DEFAULT_FILE_MODE: u32 = 0o666;

const POSIX_RENAME: &str = "posix-rename@openssh.com";
const HARDLINK: &str = "hardlink@openssh.com";

/// Serves files until the client ends its side or the channel is closed.
pub(crate) async fn serve(input: Arc<Spool>, output: Output, home: PathBuf) {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    russh_sftp::server::run(far, Files { home, open: HashMap::new(), opened: 0 }).await;
    let (answers, mut requests) = tokio::io::split(near);
    let forward_requests = async {
        while let Ok(Some(data)) = input.pop().await {
            if requests.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = requests.shutdown().await;
    };
    let serving = async {
        let ((), held) = tokio::join!(forward_requests, output.copy(answers, Stream::Stdout));
        output.finish(Exit::Code(0), held).await;
    };
    tokio::select! {
        () = serving => {}
        () = output.closed() => {}
    }
}

/// The files that one client has open.
struct Files {
    home: PathBuf,
    open: HashMap<String, Open>,
    /// Handles given out so far.
    opened: u64,
}

enum Open {
    File(Arc<fs::File>),
    Directory(VecDeque<Entry>),
}

impl Files {
    fn path(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }

    fn insert(&mut self, id: u32, open: Open) -> Handle {
        self.opened += 1;
        let handle = self.opened.to_string();
        self.open.insert(handle.clone(), open);
        Handle { id, handle }
    }

    fn file(&self, handle: &str) -> Result<Arc<fs::File>, StatusReply> {
        match self.open.get(handle) {
            Some(Open::File(file)) => Ok(file.clone()),
            _ => Err(StatusCode::Failure.with_message("not the handle of an open file")),
        }
    }
}

impl Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        for extension in [POSIX_RENAME, HARDLINK] {
            version.extensions.insert(extension.to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        name: String,
        flags: OpenFlags,
        attributes: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let path = self.path(&name);
        let mode = attributes.permissions.map_or(DEFAULT_FILE_MODE, |mode| mode & PERMISSION_BITS);
        let file = blocking(move || OpenOptions::from(flags).mode(mode).open(path)).await?;
        Ok(self.insert(id, Open::File(Arc::new(file))))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        self.open.remove(&handle).map(|_| done(id)).ok_or_else(|| StatusCode::Failure.with_message("no such handle"))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, length: u32) -> Result<Data, StatusReply> {
        let file = self.file(&handle)?;
        let data = blocking(move || {
            let mut data = vec![0; length.min(LARGEST_READ_BYTES) as usize];
            let read = file.read_at(&mut data, offset)?;
            data.truncate(read);
            Ok(data)
        });
        let data = data.await?;
        if data.is_empty() && length > 0 { Err(StatusCode::Eof.into()) } else { Ok(Data { id, data }) }
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        blocking(move || file.write_all_at(&data, offset)).await?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let path = self.path(&path);
        let metadata = blocking(move || fs::symlink_metadata(path)).await?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let path = self.path(&path);
        let metadata = blocking(move || fs::metadata(path)).await?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let file = self.file(&handle)?;
        let metadata = blocking(move || file.metadata()).await?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn setstat(&mut self, id: u32, path: String, attributes: FileAttributes) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        blocking(move || {
            if let Some(bytes) = attributes.size {
                OpenOptions::new().write(true).open(&path)?.set_len(bytes)?;
            }
            if let (Some(uid), Some(gid)) = (attributes.uid, attributes.gid) {
                chown(&path, Some(uid), Some(gid))?;
            }
            // Times first: without read permission the file could not be opened for them.
            if let Some(times) = times(&attributes) {
                fs::File::open(&path)?.set_times(times)?;
            }
            match attributes.permissions {
                Some(mode) => fs::set_permissions(&path, Permissions::from_mode(mode & PERMISSION_BITS)),
                None => Ok(()),
            }
        })
        .await?;
        Ok(done(id))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attributes: FileAttributes) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        blocking(move || {
            if let Some(bytes) = attributes.size {
                file.set_len(bytes)?;
            }
            if let (Some(uid), Some(gid)) = (attributes.uid, attributes.gid) {
                std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            }
            if let Some(times) = times(&attributes) {
                file.set_times(times)?;
            }
            match attributes.permissions {
                Some(mode) => file.set_permissions(Permissions::from_mode(mode & PERMISSION_BITS)),
                None => Ok(()),
            }
        })
        .await?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        let path = self.path(&path);
        let entries = blocking(move || list(&path)).await?;
        Ok(self.insert(id, Open::Directory(entries)))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let Some(Open::Directory(entries)) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("not the handle of an open directory"));
        };
        if entries.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let files = entries.drain(..entries.len().min(ENTRIES_PER_READ)).collect();
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        blocking(move || fs::remove_file(path)).await?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, attributes: FileAttributes) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        blocking(move || {
            fs::create_dir(&path)?;
            match attributes.permissions {
                Some(mode) => fs::set_permissions(&path, Permissions::from_mode(mode & PERMISSION_BITS)),
                None => Ok(()),
            }
        })
        .await?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        blocking(move || fs::remove_dir(path)).await?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = self.path(&path);
        let real = blocking(move || real_path(&path)).await?;
        Ok(Name { id, files: vec![Entry::dummy(real.to_string_lossy())] })
    }

    /// Fails when the new name is taken, as version 3 has it.
    async fn rename(&mut self, id: u32, old: String, new: String) -> Result<Status, StatusReply> {
        let (old, new) = (self.path(&old), self.path(&new));
        blocking(move || match fs::symlink_metadata(&new) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(old, new),
        })
        .await?;
        Ok(done(id))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = self.path(&path);
        let target = blocking(move || fs::read_link(path)).await?;
        Ok(Name { id, files: vec![Entry::dummy(target.to_string_lossy())] })
    }

    /// The arguments are in OpenSSH's order, target first, and not in the draft's: see its PROTOCOL, section 4.1.
    async fn symlink(&mut self, id: u32, target: String, link: String) -> Result<Status, StatusReply> {
        let link = self.path(&link);
        blocking(move || symlink(target, link)).await?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusReply> {
        let Some((old, new)) = two_strings(&data) else {
            return Err(StatusCode::OpUnsupported.into());
        };
        let (old, new) = (self.path(&old), self.path(&new));
        match request.as_str() {
            POSIX_RENAME => blocking(move || fs::rename(old, new)).await?,
            HARDLINK => blocking(move || fs::hard_link(old, new)).await?,
            _ => return Err(StatusCode::OpUnsupported.into()),
        }
        Ok(Packet::Status(done(id)))
    }
}

/// Runs a file operation where it may wait for the disk.
async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StatusReply> {
    let result = spawn_blocking(operation).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    result.map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotFound => StatusCode::NoSuchFile,
            ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
            _ => StatusCode::Failure,
        };
        code.with_message(error.to_string())
    })
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Ok".to_owned(), language_tag: "en-US".to_owned() }
}

fn attributes(metadata: &Metadata) -> FileAttributes {
    FileAttributes {
        size: Some(metadata.size()),
        uid: Some(metadata.uid()),
        gid: Some(metadata.gid()),
        permissions: Some(metadata.mode()),
        atime: u32::try_from(metadata.atime()).ok(),
        mtime: u32::try_from(metadata.mtime()).ok(),
        ..FileAttributes::default()
    }
}

fn times(attributes: &FileAttributes) -> Option<FileTimes> {
    let at = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(seconds));
    let (accessed, modified) = (attributes.atime?, attributes.mtime?);
    Some(FileTimes::new().set_accessed(at(accessed)).set_modified(at(modified)))
}

fn list(path: &Path) -> io::Result<VecDeque<Entry>> {
    let mut entries = VecDeque::new();
    for name in [".", ".."] {
        entries.push_back(Entry::new(name, attributes(&fs::metadata(path.join(name))?)));
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Gone since: not an entry any more.
        if let Ok(metadata) = entry.metadata() {
            entries.push_back(Entry::new(entry.file_name().to_string_lossy(), attributes(&metadata)));
        }
    }
    Ok(entries)
}

/// The last part need not exist.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == ErrorKind::NotFound => {
            Ok(fs::canonicalize(parent)?.join(name))
        }
        (result, ..) => result,
    }
}

/// Two strings, each with its length in four bytes before it, and nothing after.
fn two_strings(data: &[u8]) -> Option<(String, String)> {
    let (first, rest) = one_string(data)?;
    let (second, rest) = one_string(rest)?;
    rest.is_empty().then_some((first, second))
}

fn one_string(data: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_strings_are_read_and_nothing_else() {
        assert_eq!(two_strings(b"\0\0\0\x01a\0\0\0\x02bc"), Some(("a".into(), "bc".into())));
        for wrong in [&b""[..], b"\0\0\0\x01a", b"\0\0\0\x09a", b"\0\0\0\x01a\0\0\0\x01b!"] {
            assert_eq!(two_strings(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_real_path_of_a_new_file_is_in_its_real_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("link")).unwrap();
        assert_eq!(real_path(&root.join("link/new")).unwrap(), root.join("real/new"));
        assert_eq!(real_path(&root.join("link/..")).unwrap(), root);
        assert!(real_path(&root.join("none/new")).is_err());
    }
}
