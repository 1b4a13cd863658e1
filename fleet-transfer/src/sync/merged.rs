//! Several sources in one list: all entries sorted together, of those with one path the first source's.
//!
//! Must not know how a source is walked through.

use std::collections::HashSet;

use fleet_rsync::flist::order::{Place, compare};
use fleet_rsync::flist::{Entry, IoErrors, Kind};

use super::SyncPlan;
use super::source::{Problem, SyncError};
use super::walk::{Root, Take, Walk};

/// An entry that is kept until all are there.
struct Kept {
    path: Vec<u8>,
    target: Vec<u8>,
    /// Without what it would borrow.
    entry: Entry<'static>,
    origin: u16,
}

/// Gives the entries of all sources to `take`; what could not be read, and which source each entry is of.
pub(super) fn walk(plan: &SyncPlan, roots: &[Root], take: Take<'_>) -> Result<(Vec<Problem>, Vec<u16>), SyncError> {
    let (mut problems, mut kept) = (Vec::new(), Vec::new());
    for (root, origin) in roots.iter().zip(0..) {
        let mut keep = |entry: &Entry<'_>| {
            kept.push(Kept::of(entry, origin));
            Ok(())
        };
        problems.extend(Walk::source(plan, root, &mut keep)?);
    }
    kept.sort_by(|one, other| compare(one.place(), other.place()));
    // Of a folder and something else of the same path the folder stays, as it may have contents.
    let folders: HashSet<Vec<u8>> = kept.iter().filter(|kept| kept.is_folder()).map(|kept| kept.path.clone()).collect();
    kept.retain(|kept| kept.is_folder() || !folders.contains(&kept.path));
    kept.dedup_by(|second, first| second.path == first.path);
    let mut origins = Vec::with_capacity(kept.len());
    for kept in kept {
        kept.with(&mut *take, |taken| match taken {
            Ok(()) => origins.push(kept.origin),
            Err(reason) => problems.push(Problem {
                path: roots[usize::from(kept.origin)].path(&kept.path),
                reason,
                errors: IoErrors::UNREADABLE,
            }),
        });
    }
    Ok((problems, origins))
}

impl Kept {
    fn of(entry: &Entry<'_>, origin: u16) -> Self {
        let (kind, target) = match entry.kind {
            Kind::Symlink { target } => (Kind::Symlink { target: b"" }, target.to_vec()),
            Kind::File { size, digest } => (Kind::File { size, digest }, Vec::new()),
            Kind::Directory(folder) => (Kind::Directory(folder), Vec::new()),
            Kind::Device { form, major, minor } => (Kind::Device { form, major, minor }, Vec::new()),
            Kind::Fifo => (Kind::Fifo, Vec::new()),
            Kind::Socket => (Kind::Socket, Vec::new()),
        };
        let Entry { permissions, modified, owner, group, link, .. } = *entry;
        let bare = Entry { path: b"", kind, permissions, modified, owner, group, link };
        Self { path: entry.path.to_vec(), target, entry: bare, origin }
    }

    fn is_folder(&self) -> bool {
        matches!(self.entry.kind, Kind::Directory(_))
    }

    fn place(&self) -> Place<'_> {
        Place { path: &self.path, directory: self.is_folder() }
    }

    fn with(&self, take: Take<'_>, then: impl FnOnce(Result<(), String>)) {
        let kind = match self.entry.kind {
            Kind::Symlink { .. } => Kind::Symlink { target: &self.target },
            kind => kind,
        };
        let Entry { permissions, modified, owner, group, link, .. } = self.entry;
        then(take(&Entry { path: &self.path, kind, permissions, modified, owner, group, link }));
    }
}
