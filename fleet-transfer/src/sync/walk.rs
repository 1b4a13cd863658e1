//! The walk through the sources, in the order of a list: one source after the other.
//!
//! What cannot be read is a [`Problem`], and the walk goes on. Must not know how a list is written, nor who gets it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::vec;

use fleet_rsync::filter::{EntryKind, FilterError, Scope, Verdict};
use fleet_rsync::flist::{DeviceForm, Entry, Folder, IoErrors, Kind, Modified};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::source::{Problem, SyncError};
use super::{Chmod, SyncPlan};
use crate::reason;

/// May be read by everybody.
const ALL_READ: u32 = 0o444;

/// What of a source is known without a look at the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// The folder that paths of the list are below.
    pub(super) base: PathBuf,
    /// The source itself in the list: `.` where its contents are meant.
    name: Vec<u8>,
}

impl Root {
    /// As rsync takes a source: `a/`, `a/.`, `.` and `..` are contents, all else has its own name.
    pub(super) fn of(source: &Path) -> Self {
        let bytes = source.as_os_str().as_bytes();
        let last = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if matches!(last, b"" | b"." | b"..") {
            return Self { base: source.to_owned(), name: b".".to_vec() };
        }
        let above = &bytes[..bytes.len() - last.len()];
        let base = if above.is_empty() { Path::new(".") } else { Path::new(std::ffi::OsStr::from_bytes(above)) };
        Self { base: base.to_owned(), name: last.to_vec() }
    }

    /// Where something of the list is on this machine.
    pub(super) fn path(&self, path: &[u8]) -> PathBuf {
        if path == b"." { self.base.clone() } else { self.base.join(std::ffi::OsStr::from_bytes(path)) }
    }
}

/// Takes what is found; says why it will not.
pub(super) type Take<'a> = &'a mut dyn FnMut(&Entry<'_>) -> Result<(), String>;

/// One walk.
pub(super) struct Walk<'a> {
    plan: &'a SyncPlan,
    problems: Vec<Problem>,
    take: Take<'a>,
}

/// Something in a folder.
struct Child {
    /// In the list.
    path: Vec<u8>,
    /// On this machine.
    at: PathBuf,
    metadata: Metadata,
}

/// A folder that the walk is in.
struct Level {
    children: vec::IntoIter<Child>,
    scope: Scope,
    identity: (u64, u64),
}

impl<'a> Walk<'a> {
    /// Gives all of a source to `take`, and what could not be read.
    pub(super) fn source(plan: &'a SyncPlan, root: &Root, take: Take<'a>) -> Result<Vec<Problem>, SyncError> {
        let mut walk = Self { plan, problems: Vec::new(), take };
        let at = root.path(&root.name);
        let failed = |source| SyncError::Source { path: at.clone(), source };
        // With a slash behind it, a symlink is what it points to.
        let followed = plan.copy_links || root.name == b".";
        let metadata = if followed { fs::metadata(&at) } else { fs::symlink_metadata(&at) }.map_err(failed)?;
        if root.name == b"." && !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let above = std::path::absolute(&root.base).map_err(failed)?;
        let scope = plan.rules.scope(above.as_os_str().as_bytes());
        let device = metadata.dev();
        let child = Child { path: root.name.clone(), at, metadata };
        let mut levels = Vec::new();
        if walk.visit(&child, Depth::Top) {
            levels.push(walk.enter(child, &scope)?);
        }
        while let Some(level) = levels.last_mut() {
            let Some(child) = level.children.next() else {
                levels.pop();
                continue;
            };
            if !walk.visit(&child, Depth::Below) || (plan.one_file_system && child.metadata.dev() != device) {
                continue;
            }
            let scope = level.scope.clone();
            if levels.iter().any(|level| level.identity == identity(&child.metadata)) {
                walk.problem(child.at, "a symlink to a folder that it is in", IoErrors::UNREADABLE);
                continue;
            }
            levels.push(walk.enter(child, &scope)?);
        }
        Ok(walk.problems)
    }

    /// Gives an entry away; whether it is a folder that was taken.
    fn visit(&mut self, child: &Child, depth: Depth) -> bool {
        let Child { path, at, metadata } = child;
        let fields = self.plan.fields;
        let target = if metadata.is_symlink() {
            match fs::read_link(at) {
                Ok(target) => Some(target.into_os_string().into_vec()),
                Err(error) => return self.failed(at, &error),
            }
        } else {
            None
        };
        let kind = kind(metadata, target.as_deref(), depth);
        let is_kept = match kind {
            Kind::File { .. } | Kind::Directory(_) => true,
            Kind::Symlink { .. } => fields.symlinks,
            Kind::Device { .. } | Kind::Fifo | Kind::Socket => fields.devices,
        };
        if !is_kept {
            return false;
        }
        let mut permissions = metadata.mode() & 0o7777;
        if let (Some(chmod), false) = (&self.plan.chmod, metadata.is_symlink()) {
            permissions = Chmod::applied(chmod, permissions, metadata.is_dir());
        }
        let entry = Entry {
            path,
            kind,
            permissions,
            modified: Modified { secs: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0) },
            owner: metadata.uid(),
            group: metadata.gid(),
            link: (metadata.nlink() > 1 && !metadata.is_dir()).then(|| (metadata.dev(), metadata.ino())),
        };
        if let Err(reason) = (self.take)(&entry) {
            self.problem(at.clone(), &reason, IoErrors::UNREADABLE);
            return false;
        }
        self.look_whether_it_can_be_read(at, metadata);
        metadata.is_dir()
    }

    /// Servers that delete have to know before they do that a file is not going to come.
    fn look_whether_it_can_be_read(&mut self, at: &Path, metadata: &Metadata) {
        let is_asked = self.plan.delete.is_some() && metadata.is_file() && metadata.mode() & ALL_READ != ALL_READ;
        if is_asked && let Err(error) = accessat(CWD, at, Access::READ_OK, AtFlags::EACCESS) {
            self.failed(at, &error.into());
        }
    }

    fn enter(&mut self, folder: Child, scope: &Scope) -> Result<Level, FilterError> {
        let mut read = |name: &[u8]| match fs::read(folder.at.join(std::ffi::OsStr::from_bytes(name))) {
            Ok(content) => Ok(Some(content)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
            Err(error) => Err(error),
        };
        let scope = scope.enter(&folder.path, &mut read)?;
        let mut children = self.children(&folder, &scope);
        children.sort_by(|one, other| {
            (one.metadata.is_dir().cmp(&other.metadata.is_dir())).then_with(|| {
                if one.metadata.is_dir() {
                    slashed(&one.path).cmp(slashed(&other.path))
                } else {
                    one.path.cmp(&other.path)
                }
            })
        });
        Ok(Level { children: children.into_iter(), scope, identity: identity(&folder.metadata) })
    }

    /// What the rules leave in a folder.
    fn children(&mut self, folder: &Child, scope: &Scope) -> Vec<Child> {
        let names = match fs::read_dir(&folder.at) {
            Ok(names) => names,
            Err(error) => {
                self.failed(&folder.at, &error);
                return Vec::new();
            }
        };
        let below = if folder.path == b"." { Vec::new() } else { [&folder.path[..], b"/"].concat() };
        let mut children = Vec::new();
        for entry in names {
            let found = match &entry {
                Ok(entry) if self.plan.copy_links => fs::metadata(entry.path()),
                Ok(entry) => entry.metadata(),
                Err(error) => {
                    self.failed(&folder.at, error);
                    continue;
                }
            };
            let Ok(entry) = entry else { continue };
            let path = [&below[..], entry.file_name().as_bytes()].concat();
            // What cannot be looked at is left out by its name, as far as that goes.
            let is_dir = found.as_ref().is_ok_and(Metadata::is_dir);
            let kind = if is_dir { EntryKind::Directory } else { EntryKind::Other };
            if scope.verdict(&path, kind) == Verdict::Excluded {
                continue;
            }
            match found {
                Ok(metadata) => children.push(Child { path, at: entry.path(), metadata }),
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.plan.copy_links => {
                    self.problem(entry.path(), "a symlink to nothing", IoErrors::UNREADABLE);
                }
                Err(error) => drop(self.failed(&entry.path(), &error)),
            }
        }
        children
    }

    /// Keeps that something could not be read: it is no folder to be entered.
    fn failed(&mut self, at: &Path, error: &io::Error) -> bool {
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        let errors = if is_gone { IoErrors::VANISHED } else { IoErrors::UNREADABLE };
        self.problem(at.to_owned(), &reason(error), errors);
        false
    }

    fn problem(&mut self, path: PathBuf, reason: &str, errors: IoErrors) {
        self.problems.push(Problem { path, reason: reason.to_owned(), errors });
    }
}

/// Whether something was named as a source.
#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Top,
    Below,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn slashed(path: &[u8]) -> impl Iterator<Item = u8> {
    path.iter().copied().chain([b'/'])
}

fn kind<'a>(metadata: &Metadata, target: Option<&'a [u8]>, depth: Depth) -> Kind<'a> {
    let file_type = metadata.file_type();
    let number = metadata.rdev();
    let device = |form| Kind::Device { form, major: rustix::fs::major(number), minor: rustix::fs::minor(number) };
    match target {
        Some(target) => Kind::Symlink { target },
        None if file_type.is_dir() => Kind::Directory(if depth == Depth::Top { Folder::Source } else { Folder::Below }),
        None if file_type.is_fifo() => Kind::Fifo,
        None if file_type.is_socket() => Kind::Socket,
        None if file_type.is_block_device() => device(DeviceForm::Block),
        None if file_type.is_char_device() => device(DeviceForm::Character),
        None => Kind::File { size: metadata.len(), digest: None },
    }
}
