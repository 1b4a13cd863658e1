//! One `known_hosts` file: read once, followed while it grows, appended to.
//!
//! Must not know what a key is worth; it finds lines, and adds one when told to.
//!
//! # How a line is added
//! Other programs write to the file while we do: ssh(1) appends without any lock, other fleet tools append under
//! ours. So a line is added by one `write` in append mode, which the kernel puts at the end whoever else writes.
//! Writing a new file and renaming it into place would lose every line that ssh(1) adds between our reading and our
//! renaming, and would replace a symbolic link by a file. The advisory lock is only there so that two of our own
//! processes do not add the same line twice: under it, what others have added is read before deciding to write.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use russh::keys::ssh_key::public::KeyData;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::index::{IndexedLine, LineIndex};
use super::parse::{LineProblem, parse_line};

/// A file, and what was read of it.
#[derive(Debug)]
pub(super) struct KnownHostsFile {
    path: PathBuf,
    content: RwLock<Content>,
    /// Held while a line is added, so that the threads of this process take turns.
    turn: Mutex<()>,
}

/// What was read of a file so far.
#[derive(Debug, Default)]
struct Content {
    index: LineIndex,
    problems: Vec<(usize, LineProblem)>,
    /// Device and inode; a file that was replaced is read anew.
    identity: Option<(u64, u64)>,
    read_bytes: u64,
    lines: usize,
    ends_in_mid_line: bool,
}

/// The right to add lines to a file, held until dropped.
pub(super) struct Appender<'a> {
    file: &'a KnownHostsFile,
    /// Locked against other processes; `None` for what is no regular file and keeps nothing, as `/dev/null`.
    open: Option<File>,
    _turn: MutexGuard<'a, ()>,
}

impl KnownHostsFile {
    /// Reads the file at `path`; one that does not exist is empty.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut content = Content::default();
        match File::open(path) {
            Ok(mut open) => content.catch_up(&mut open)?,
            // No home folder at all (`/dev/null/.ssh/known_hosts`) is the second case.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { path: path.to_owned(), content: RwLock::new(content), turn: Mutex::new(()) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows `visit` the lines for `name`, in the order of the file.
    pub(super) fn matching<T>(&self, name: &str, visit: impl FnOnce(&mut dyn Iterator<Item = &IndexedLine>) -> T) -> T {
        visit(&mut self.content().index.matching(name))
    }

    /// The number of the first line that has `key` as a host's, under whatever name.
    pub(super) fn line_with(&self, key: &KeyData) -> Option<usize> {
        self.content().index.with_key(key).map(|line| line.number)
    }

    /// The skipped lines by number.
    pub(super) fn problems(&self) -> Vec<(usize, LineProblem)> {
        self.content().problems.clone()
    }

    /// Waits for the right to add lines, then reads what others have added.
    pub(super) fn appender(&self) -> io::Result<Appender<'_>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = open_locked(&self.path)?;
        if let Some(open) = &mut open {
            self.content_mut().catch_up(open)?;
        }
        Ok(Appender { file: self, open, _turn: turn })
    }

    fn content(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn content_mut(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Appender<'_> {
    /// Adds `line`, given without its line feed.
    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        let mut content = self.file.content_mut();
        let bytes = format!("{}{line}\n", if content.ends_in_mid_line { "\n" } else { "" });
        match &mut self.open {
            Some(open) => {
                open.write_all(bytes.as_bytes())?;
                content.catch_up(open)
            }
            None => {
                content.feed(bytes.as_bytes());
                Ok(())
            }
        }
    }
}

impl Content {
    /// Reads what was added to the file since the last time; all of it if it is another file now.
    fn catch_up(&mut self, open: &mut File) -> io::Result<()> {
        let metadata = open.metadata()?;
        let identity = Some((metadata.dev(), metadata.ino()));
        if self.identity != identity || metadata.len() < self.read_bytes {
            *self = Self { identity, ..Self::default() };
        }
        let mut added = Vec::new();
        open.seek(SeekFrom::Start(self.read_bytes))?;
        open.read_to_end(&mut added)?;
        if self.ends_in_mid_line && !matches!(added.first(), None | Some(b'\n')) {
            // The last line was read while it was being written, and read wrongly.
            *self = Self { identity, ..Self::default() };
            return self.catch_up(open);
        }
        self.feed(&added);
        Ok(())
    }

    /// Takes in the bytes that follow those read so far.
    fn feed(&mut self, bytes: &[u8]) {
        self.read_bytes += bytes.len() as u64;
        let ends_the_last_line = self.ends_in_mid_line && bytes.first() == Some(&b'\n');
        let bytes = &bytes[usize::from(ends_the_last_line)..];
        self.ends_in_mid_line &= !ends_the_last_line;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.lines += 1;
            self.ends_in_mid_line = !line.ends_with(b"\n");
            match parse_line(line.strip_suffix(b"\n").unwrap_or(line)) {
                Ok(Some(line)) => self.index.add(self.lines, line),
                Ok(None) => {}
                Err(problem) => self.problems.push((self.lines, problem)),
            }
        }
    }
}

/// Opens the file for appending, creating it and its folder for the user alone, and locks it against other
/// processes. `None` when it is no regular file.
fn open_locked(path: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    loop {
        let open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let metadata = open.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        lock(&open)?;
        // ssh(1) and ssh-keygen(1) replace the file when they remove lines: what was locked may be a file without name.
        match fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()) => return Ok(Some(open)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the lock, which the kernel takes back when the file is closed. A file system without locks is no
/// reason to fail: appending is safe without.
fn lock(open: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(open, FlockOperation::LockExclusive) {
            Ok(()) | Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS | Errno::INVAL) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
