//! The walk through one source.
//!
//! Costs one `lstat` for each thing that it meets, relative to the open folder, one pass through each folder, and an
//! `access` only for files whose mode does not already tell that we may read them. Must not know patterns of sources.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::vec;

use rustix::fs::Access;

use super::{Links, ScanSettings, Shape, destination_name, last_is_slash};
use crate::filter::{Action, Named};
use crate::manifest::{Entry, EntryKind, Problem, ProblemKind};
use crate::reason;

/// Permission to read, for the owner.
const OWNER_READS: u32 = 0o400;

pub(super) struct Walk<'a> {
    settings: &'a ScanSettings,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    us: u32,
}

/// Something in a folder.
struct Child {
    /// Its name on the host.
    path: PathBuf,
    source: PathBuf,
    metadata: Metadata,
}

/// A folder that the walk is in.
struct Level {
    children: vec::IntoIter<Child>,
    source: PathBuf,
    identity: (u64, u64),
}

impl<'a> Walk<'a> {
    pub(super) fn new(settings: &'a ScanSettings) -> Self {
        let us = rustix::process::geteuid().as_raw();
        Self { settings, entries: Vec::new(), problems: Vec::new(), us }
    }

    /// Adds what `source` names, and says what it is.
    ///
    /// # Errors
    /// When it cannot even be looked at, or is no folder and its name says so.
    pub(super) fn source(&mut self, source: &Path) -> io::Result<Shape> {
        let metadata = fs::symlink_metadata(source)?;
        let Some(path) = destination_name(source) else {
            let metadata = if metadata.is_symlink() { fs::metadata(source)? } else { metadata };
            if !metadata.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let level = self.enter(Child { path: PathBuf::new(), source: without_slashes(source), metadata })?;
            self.descend(level);
            return Ok(Shape::Contents);
        };
        let followed = metadata.is_symlink() && self.settings.links == Links::Followed;
        let is_folder = if followed { fs::metadata(source)?.is_dir() } else { metadata.is_dir() };
        if let Some(level) = self.visit(Child { path, source: source.to_owned(), metadata }, &[]) {
            self.descend(level);
        }
        Ok(if is_folder { Shape::Folder } else { Shape::File })
    }

    fn descend(&mut self, top: Level) {
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            match level.children.next() {
                Some(child) => levels.extend(self.visit(child, &levels)),
                None => drop(levels.pop()),
            }
        }
    }

    /// Adds one thing; a folder is returned, to be walked next.
    fn visit(&mut self, mut child: Child, above: &[Level]) -> Option<Level> {
        if child.metadata.is_symlink() && self.settings.links == Links::Followed {
            match fs::metadata(&child.source) {
                Ok(metadata) => child.metadata = metadata,
                Err(error) => {
                    self.unreadable(child.source, &error);
                    return None;
                }
            }
        }
        let named = if child.metadata.is_dir() { Named::Folder } else { Named::Other };
        if self.settings.filter.verdict(&child.path, named) == Action::Exclude {
            return None;
        }
        if named == Named::Other {
            self.add_leaf(child);
            return None;
        }
        if let Some(to) = above.iter().find(|level| level.identity == identity(&child.metadata)) {
            let kind = ProblemKind::Loop { to: to.source.clone() };
            self.problems.push(Problem { path: child.source, kind });
            return None;
        }
        let (source, entry) = (child.source.clone(), entry(&child, EntryKind::Folder));
        match self.enter(child) {
            Ok(level) => {
                self.entries.push(entry);
                Some(level)
            }
            Err(error) => {
                self.unreadable(source, &error);
                None
            }
        }
    }

    /// Reads a folder.
    fn enter(&mut self, folder: Child) -> io::Result<Level> {
        let mut children = Vec::new();
        for found in fs::read_dir(&folder.source)? {
            let found = found?;
            let (name, source) = (found.file_name(), folder.source.join(found.file_name()));
            match found.metadata() {
                Ok(metadata) => children.push(Child { path: folder.path.join(name), source, metadata }),
                Err(error) => self.unreadable(source, &error),
            }
        }
        children.sort_unstable_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
        let identity = identity(&folder.metadata);
        Ok(Level { children: children.into_iter(), source: folder.source, identity })
    }

    /// Adds what is no folder.
    fn add_leaf(&mut self, child: Child) {
        let kind = child.metadata.file_type();
        let kind = if kind.is_file() {
            self.may_read(&child).map(|()| EntryKind::File { len: child.metadata.len() })
        } else if kind.is_symlink() {
            fs::read_link(&child.source).map(|target| EntryKind::Symlink { target })
        } else {
            let what = match kind {
                kind if kind.is_socket() => "socket",
                kind if kind.is_fifo() => "fifo",
                _ => "device",
            };
            self.problems.push(Problem { path: child.source, kind: ProblemKind::Special { what } });
            return;
        };
        match kind {
            Ok(kind) => self.entries.push(entry(&child, kind)),
            Err(error) => self.unreadable(child.source, &error),
        }
    }

    /// The mode tells for sure only where we are the owner: elsewhere there may be access lists.
    fn may_read(&self, file: &Child) -> io::Result<()> {
        if file.metadata.uid() == self.us && file.metadata.mode() & OWNER_READS != 0 {
            return Ok(());
        }
        Ok(rustix::fs::access(&file.source, Access::READ_OK)?)
    }

    fn unreadable(&mut self, path: PathBuf, error: &io::Error) {
        self.problems.push(Problem { path, kind: ProblemKind::Unreadable { reason: reason(error) } });
    }
}

/// What tells a folder from all others.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn entry(child: &Child, kind: EntryKind) -> Entry {
    let metadata = &child.metadata;
    Entry {
        path: child.path.clone(),
        source: child.source.clone(),
        kind,
        mode: metadata.mode() & 0o7777,
        mtime: metadata.mtime(),
        uid: metadata.uid(),
        gid: metadata.gid(),
    }
}

/// `conf//` is `conf`, so that names below it have one slash; `/` stays.
fn without_slashes(source: &Path) -> PathBuf {
    if last_is_slash(source) { source.components().collect() } else { source.to_owned() }
}
