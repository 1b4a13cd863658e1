//! The walk through all sources at once, folder by folder, in the order of a list.
//!
//! What several sources have in a folder is [`union`]'s to say. What cannot be read is a [`Problem`], and the walk goes on.
//! Must not know how a list is written, nor who gets it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{iter, vec};

use fleet_rsync::filter::{EntryKind, FilterError, Scope, Verdict};
use fleet_rsync::flist::{DeviceForm, Entry, Folder, IoErrors, Kind, Modified};
use fleet_rsync::sources::{Child, Content, United, Way, union};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::roots::{Roots, below, entered};
use super::source::{Problem, SyncError};
use super::{Chmod, SyncPlan};
use crate::reason;

/// May be read by everybody.
const ALL_READ: u32 = 0o444;

/// Takes what is found; says why it will not.
pub(super) type Take<'a> = &'a mut dyn FnMut(&Entry<'_>) -> Result<(), String>;

/// What a walk has found beside the entries.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) problems: Vec<Problem>,
    /// The base of each entry, where there are several bases.
    pub(super) origins: Vec<u32>,
}

/// One walk.
struct Walk<'a> {
    plan: &'a SyncPlan,
    roots: &'a Roots,
    walked: Walked,
    take: Take<'a>,
}

/// What is wanted of a folder of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What the source's path leads to behind so many bytes.
    Way(usize),
    /// What is in it, and nothing below that.
    Entries,
    All,
}

/// A folder of one source.
struct Part {
    source: usize,
    /// On this machine.
    at: PathBuf,
    /// The rules for what is in it.
    scope: Scope,
    wanted: Wanted,
    /// Device and inode, but of folders on the way.
    identity: Option<(u64, u64)>,
}

/// Something in a folder of one source.
struct Found {
    /// Its place among the [`Level::parts`].
    part: usize,
    /// Of a folder on the way only when it is needed.
    metadata: Option<Metadata>,
    /// Of what is in it; `None` if nothing is.
    wanted: Option<Wanted>,
}

/// A folder that the walk is in.
struct Level {
    /// In the list; empty for the destination itself.
    path: Vec<u8>,
    parts: Vec<Part>,
    children: vec::IntoIter<United<Found>>,
    /// What the parts are, by their sources.
    identities: Vec<(usize, (u64, u64))>,
}

/// Gives all of the sources to `take`.
pub(super) fn walk(plan: &SyncPlan, roots: &Roots, take: Take<'_>) -> Result<Walked, SyncError> {
    let walked = Walked { problems: Vec::new(), origins: Vec::new() };
    let mut walk = Walk { plan, roots, walked, take };
    let mut levels: Vec<Level> = walk.begin()?.into_iter().collect();
    while let Some(level) = levels.last_mut() {
        let Some(next) = level.children.next() else {
            levels.pop();
            continue;
        };
        if let Some((path, parts)) = walk.visit_united(next, &levels) {
            levels.push(walk.enter(path, parts)?);
        }
    }
    Ok(walk.walked)
}

impl Walk<'_> {
    /// The destination itself.
    fn begin(&mut self) -> Result<Option<Level>, SyncError> {
        let roots = self.roots;
        let is_source = |path: &[u8]| path.is_empty();
        let first = roots.sources.iter().find(|root| is_source(&root.named.path) || root.named.way == Way::PathAndRoot);
        if let Some(first) = first {
            let all = roots.sources.iter().any(|root| is_source(&root.named.path));
            let at = &roots.bases[first.base];
            let metadata = fs::metadata(at).map_err(|error| SyncError::Source { path: at.clone(), error })?;
            let folder = if all { Folder::Source } else { Folder::Alone };
            if !self.visit(b".", at, &metadata, folder, first.base) {
                return Ok(None);
            }
        }
        let parts = roots.sources.iter().enumerate().map(|(source, root)| {
            let wanted = match (root.named.path.is_empty(), self.plan.recursive) {
                (false, _) => Wanted::Way(0),
                (true, true) => Wanted::All,
                (true, false) => Wanted::Entries,
            };
            let at = roots.bases[root.base].clone();
            Part { source, at, scope: root.scope.clone(), wanted, identity: None }
        });
        let parts = parts.collect();
        Ok(Some(self.enter(Vec::new(), parts)?))
    }

    /// What is wanted of a folder that was named.
    fn wanted_of(&self, content: Content) -> Option<Wanted> {
        match (self.plan.recursive, content) {
            (true, _) => Some(Wanted::All),
            (false, Content::Within) => Some(Wanted::Entries),
            (false, Content::Itself) => None,
        }
    }

    /// Gives what is in a folder away; if it is a folder itself, where to go on.
    fn visit_united(&mut self, united: United<Found>, levels: &[Level]) -> Option<(Vec<u8>, Vec<Part>)> {
        let level = levels.last()?;
        let United { name, folder, first, others } = united;
        let path = if level.path.is_empty() { name.clone() } else { [&level.path[..], b"/", &name].concat() };
        let Part { source, at, .. } = &level.parts[first.part];
        let (at, base) = (at.join(std::ffi::OsStr::from_bytes(&name)), self.roots.sources[*source].base);
        let metadata = match &first.metadata {
            Some(metadata) => metadata,
            // A folder on the way, which is one also where it is a symlink.
            None => &match fs::metadata(&at) {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.failed(&at, &error);
                    return None;
                }
            },
        };
        if !self.visit(&path, &at, metadata, folder.unwrap_or(Folder::Below), base) {
            return None;
        }
        let parts: Vec<Part> =
            iter::once(first).chain(others).filter_map(|found| self.part(&name, found, levels)).collect();
        (!parts.is_empty()).then_some((path, parts))
    }

    /// A folder of one source, unless nothing is wanted of it. Its rules are still those of the folder that it is in.
    fn part(&mut self, name: &[u8], found: Found, levels: &[Level]) -> Option<Part> {
        let Part { source, at, scope, .. } = &levels.last()?.parts[found.part];
        let (wanted, at) = (found.wanted?, at.join(std::ffi::OsStr::from_bytes(name)));
        let identity = found.metadata.map(|metadata| (metadata.dev(), metadata.ino()));
        let is_above = |identity| levels.iter().any(|level| level.identities.contains(&(*source, identity)));
        if identity.is_some_and(is_above) {
            self.problem(at, "a symlink to a folder that it is in", IoErrors::UNREADABLE);
            return None;
        }
        Some(Part { source: *source, at, scope: scope.clone(), wanted, identity })
    }

    /// Gives an entry away; whether it is a folder that was taken.
    fn visit(&mut self, path: &[u8], at: &Path, metadata: &Metadata, folder: Folder, base: usize) -> bool {
        let fields = self.plan.fields;
        let target = if metadata.is_symlink() {
            match fs::read_link(at) {
                Ok(target) => Some(target.into_os_string().into_vec()),
                Err(error) => return self.failed(at, &error),
            }
        } else {
            None
        };
        let kind = kind(metadata, target.as_deref(), folder);
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
            self.problem(at.to_owned(), &reason, IoErrors::UNREADABLE);
            return false;
        }
        if self.roots.bases.len() > 1 {
            self.walked.origins.push(u32::try_from(base).unwrap_or(u32::MAX));
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

    fn enter(&mut self, path: Vec<u8>, mut parts: Vec<Part>) -> Result<Level, FilterError> {
        let mut found = Vec::new();
        for (number, part) in parts.iter_mut().enumerate() {
            // The destination itself is no folder of sources that only have their names there.
            if !(path.is_empty() && matches!(part.wanted, Wanted::Way(_))) {
                part.scope = entered(&part.scope, &path, &part.at)?;
            }
            match part.wanted {
                Wanted::Way(start) => found.extend(self.on_the_way(number, part.source, start)),
                Wanted::Entries | Wanted::All => self.children(number, part, &path, &mut found),
            }
        }
        let identities =
            parts.iter().filter_map(|part| part.identity.map(|identity| (part.source, identity))).collect();
        Ok(Level { path, parts, children: union(found).into_iter(), identities })
    }

    /// What a source's path leads to next.
    fn on_the_way(&mut self, part: usize, source: usize, start: usize) -> Option<Child<Found>> {
        let roots = self.roots;
        let root = &roots.sources[source];
        let (named, rest) = (&root.named, &root.named.path[start..]);
        if let Some(end) = rest.iter().position(|byte| *byte == b'/') {
            let found = Found { part, metadata: None, wanted: Some(Wanted::Way(start + end + 1)) };
            return Some(Child { name: rest[..end].to_vec(), folder: Some(Folder::Alone), of: found });
        }
        let at = below(&roots.bases[root.base], &named.path);
        let is_followed = self.plan.copy_links || named.content == Content::Within;
        let metadata = match if is_followed { fs::metadata(&at) } else { fs::symlink_metadata(&at) } {
            Ok(metadata) => metadata,
            Err(error) => {
                self.failed(&at, &error);
                return None;
            }
        };
        let wanted = self.wanted_of(named.content).filter(|_| metadata.is_dir());
        let folder = if wanted.is_some() { Folder::Source } else { Folder::Alone };
        let folder = metadata.is_dir().then_some(folder);
        Some(Child { name: rest.to_vec(), folder, of: Found { part, metadata: Some(metadata), wanted } })
    }

    /// What the rules leave in a folder of a source.
    fn children(&mut self, number: usize, part: &Part, path: &[u8], found: &mut Vec<Child<Found>>) {
        let names = match fs::read_dir(&part.at) {
            Ok(names) => names,
            Err(error) => {
                self.failed(&part.at, &error);
                return;
            }
        };
        let mut below = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let above = below.len();
        for entry in names {
            let metadata = match &entry {
                Ok(entry) if self.plan.copy_links => fs::metadata(entry.path()),
                Ok(entry) => entry.metadata(),
                Err(error) => {
                    self.failed(&part.at, error);
                    continue;
                }
            };
            let Ok(entry) = entry else { continue };
            let name = entry.file_name().into_vec();
            below.truncate(above);
            below.extend_from_slice(&name);
            // What cannot be looked at is left out by its name, as far as that goes.
            let is_dir = metadata.as_ref().is_ok_and(Metadata::is_dir);
            let kind = if is_dir { EntryKind::Directory } else { EntryKind::Other };
            if part.scope.verdict(&below, kind) == Verdict::Excluded {
                continue;
            }
            match metadata {
                Ok(metadata) => {
                    let is_elsewhere =
                        self.plan.one_file_system && metadata.dev() != self.roots.sources[part.source].device;
                    let wanted = (is_dir && !is_elsewhere && part.wanted == Wanted::All).then_some(Wanted::All);
                    let folder = if wanted.is_some() { Folder::Below } else { Folder::Alone };
                    let of = Found { part: number, metadata: Some(metadata), wanted };
                    found.push(Child { name, folder: is_dir.then_some(folder), of });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.plan.copy_links => {
                    self.problem(entry.path(), "a symlink to nothing", IoErrors::UNREADABLE);
                }
                Err(error) => _ = self.failed(&entry.path(), &error),
            }
        }
    }

    /// Keeps that something could not be read: it is no folder to be entered.
    fn failed(&mut self, at: &Path, error: &io::Error) -> bool {
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        let errors = if is_gone { IoErrors::VANISHED } else { IoErrors::UNREADABLE };
        self.problem(at.to_owned(), &reason(error), errors);
        false
    }

    fn problem(&mut self, path: PathBuf, reason: &str, errors: IoErrors) {
        self.walked.problems.push(Problem { path, reason: reason.to_owned(), errors });
    }
}

fn kind<'a>(metadata: &Metadata, target: Option<&'a [u8]>, folder: Folder) -> Kind<'a> {
    let file_type = metadata.file_type();
    let number = metadata.rdev();
    let device = |form| Kind::Device { form, major: rustix::fs::major(number), minor: rustix::fs::minor(number) };
    match target {
        Some(target) => Kind::Symlink { target },
        None if file_type.is_dir() => Kind::Directory(folder),
        None if file_type.is_fifo() => Kind::Fifo,
        None if file_type.is_socket() => Kind::Socket,
        None if file_type.is_block_device() => device(DeviceForm::Block),
        None if file_type.is_char_device() => device(DeviceForm::Character),
        None => Kind::File { size: metadata.len(), digest: None },
    }
}
