//! Where the sources are: the folders that their names are relative to, and the rules that are in force there.
//!
//! Must not know what is in them.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fleet_rsync::filter::{EntryKind, FilterError, Scope, Verdict};
use fleet_rsync::flist::IoErrors;
use fleet_rsync::sources::{Content, Named};

use super::SyncPlan;
use super::source::{Problem, SyncError};
use crate::reason;

/// All sources that are brought.
#[derive(Debug)]
pub(super) struct Roots {
    /// The folders that names are relative to, each once.
    pub(super) bases: Vec<PathBuf>,
    pub(super) sources: Vec<Root>,
}

/// A source.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) named: Named,
    /// Its place in [`Roots::bases`].
    pub(super) base: usize,
    /// The rules for names below the base.
    pub(super) scope: Scope,
    pub(super) device: u64,
}

impl Roots {
    /// Looks at all sources. Of a list some may be missing: these are problems.
    pub(super) fn of(plan: &SyncPlan, problems: &mut Vec<Problem>) -> Result<Self, SyncError> {
        let mut roots = Self { bases: Vec::new(), sources: Vec::new() };
        let mut bases = Bases::default();
        for named in &plan.sources {
            let base = bases.number(&named.base, &mut roots.bases);
            let at = below(&roots.bases[base], &named.path);
            let metadata = match looked_at(plan, named, &at) {
                Ok(metadata) => metadata,
                Err(error) if plan.sources_are_listed => {
                    problems.push(Problem { path: at, reason: reason(&error), errors: IoErrors::UNREADABLE });
                    continue;
                }
                Err(error) => return Err(SyncError::Source { path: at, error }),
            };
            let scope = bases.scope(plan, base, &roots.bases[base], named)?;
            let kind = if metadata.is_dir() { EntryKind::Directory } else { EntryKind::Other };
            if scope.verdict(&named.path, kind) == Verdict::Included {
                roots.sources.push(Root { named: named.clone(), base, scope, device: metadata.dev() });
            }
        }
        Ok(roots)
    }
}

/// Where something of the list is on this machine, if it is of a source with this base.
pub(super) fn below(base: &Path, path: &[u8]) -> PathBuf {
    if matches!(path, b"" | b".") { base.to_owned() } else { base.join(std::ffi::OsStr::from_bytes(path)) }
}

fn looked_at(plan: &SyncPlan, named: &Named, at: &Path) -> io::Result<fs::Metadata> {
    // With a slash behind it, a symlink is what it points to.
    let is_within = named.content == Content::Within;
    let metadata = if plan.copy_links || is_within { fs::metadata(at) } else { fs::symlink_metadata(at) }?;
    if is_within && !metadata.is_dir() { Err(io::ErrorKind::NotADirectory.into()) } else { Ok(metadata) }
}

/// What is known of bases while sources are looked at, of which a list may have very many.
#[derive(Default)]
struct Bases {
    numbers: std::collections::HashMap<Vec<u8>, usize>,
    /// The rules where a base is a source itself, and those for sources in it.
    scopes: Vec<[Option<Scope>; 2]>,
}

impl Bases {
    fn number(&mut self, base: &[u8], bases: &mut Vec<PathBuf>) -> usize {
        *self.numbers.entry(base.to_vec()).or_insert_with(|| {
            let base = if base.is_empty() { b"." } else { base };
            bases.push(PathBuf::from(std::ffi::OsStr::from_bytes(base)));
            self.scopes.push([None, None]);
            bases.len() - 1
        })
    }

    fn scope(&mut self, plan: &SyncPlan, number: usize, base: &Path, named: &Named) -> Result<Scope, SyncError> {
        let known = &mut self.scopes[number][usize::from(named.path.is_empty())];
        if let Some(scope) = known {
            return Ok(scope.clone());
        }
        let absolute = std::path::absolute(base).map_err(|error| SyncError::Source { path: base.to_owned(), error })?;
        let mut scope = plan.rules.scope(absolute.as_os_str().as_bytes());
        if scope.wants_files() {
            let above: Vec<&Path> = absolute.ancestors().skip(usize::from(named.path.is_empty())).collect();
            for folder in above.into_iter().rev() {
                scope = scope.enter_above(folder.as_os_str().as_bytes(), &mut |name| merge_file(folder, name))?;
            }
        }
        Ok(known.insert(scope).clone())
    }
}

/// The rules in a folder whose path in the list is `path`.
pub(super) fn entered(scope: &Scope, path: &[u8], at: &Path) -> Result<Scope, FilterError> {
    scope.enter(path, &mut |name| merge_file(at, name))
}

/// What a merge file of this name in a folder holds, if there is one.
fn merge_file(folder: &Path, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(std::ffi::OsStr::from_bytes(name))) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
