//! The sources, read once: the list that each kind of server gets, and where files are.
//!
//! Must not know hosts, nor what they have.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use fleet_rsync::checksum::{ChecksumKind, Digest};
use fleet_rsync::filter::FilterError;
use fleet_rsync::flist::{Encoder, Entry, Fields, FileList, Folder, IoErrors, Item, ItemKind, Kind, ListError};
use fleet_rsync::wire::greeting::WireClass;
use thiserror::Error;
use tokio::sync::OnceCell;

use super::SyncPlan;
use super::content::Contents;
use super::names::SystemNames;
use super::roots::{Roots, below};
use super::walk::{Walked, walk};

/// Problems that are named; more are counted.
const MOST_PROBLEMS: usize = 1000;

/// Why the sources cannot be read at all.
#[derive(Debug, Error)]
pub enum SyncError {
    /// A source that is not there, or cannot be looked at.
    #[error("cannot read {}: {}", .path.display(), crate::reason(.error))]
    Source {
        /// As it was given.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A merge file in a folder.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The list for another kind of server.
    #[error(transparent)]
    List(#[from] ListError),
    /// Something of this machine.
    #[error("{0}")]
    Local(String),
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is, on this machine.
    pub path: PathBuf,
    /// In words, without the path.
    pub reason: String,
    /// Whether it was only gone meanwhile, which keeps nothing from being deleted.
    pub errors: IoErrors,
}

/// What the sources have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanSummary {
    /// Entries in all.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Folders, with those that were named as sources.
    pub folders: u64,
    /// Entries but for folders that were named as sources, or are on the way to one.
    pub content: u64,
    /// Bytes of the regular files.
    pub bytes: u64,
    /// What could not be read, or was gone.
    pub problems: u64,
    /// What the list takes of memory, in bytes.
    pub list_bytes: u64,
}

/// What a list is made for.
type ListKey = (WireClass, Option<ChecksumKind>);

/// What was read.
#[derive(Debug)]
pub(super) struct Source {
    /// The folders that names in the list are relative to.
    bases: Vec<PathBuf>,
    /// The base of each entry, where there are several.
    origins: Vec<u32>,
    /// What all lists are made of.
    base: Arc<FileList>,
    lists: Mutex<HashMap<ListKey, Arc<OnceCell<Arc<FileList>>>>>,
    made: AtomicU64,
    summary: ScanSummary,
    problems: Vec<Problem>,
}

impl Source {
    /// Reads all sources. Waits for the disk.
    pub(super) fn scan(plan: &SyncPlan) -> Result<Self, SyncError> {
        let mut problems = Vec::new();
        let roots = Roots::of(plan, &mut problems)?;
        let mut summary = ScanSummary::default();
        let mut encoder = Encoder::new(WireClass::A, Fields { digest: None, ..plan.fields });
        let mut push = |entry: &Entry<'_>| {
            encoder.push(entry).map_err(|error| error.to_string())?;
            count(&mut summary, entry);
            Ok(())
        };
        let Walked { problems: met, origins } = walk(plan, &roots, &mut push)?;
        problems.extend(met);
        let errors = problems.iter().fold(IoErrors::NONE, |errors, problem| errors.and(problem.errors));
        let base = Arc::new(encoder.finish(&SystemNames, errors));
        summary.problems = problems.len() as u64;
        summary.list_bytes = base.memory_bytes() as u64;
        problems.truncate(MOST_PROBLEMS);
        let (lists, made) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { bases: roots.bases, origins, base, lists, made, summary, problems })
    }

    pub(super) fn summary(&self) -> ScanSummary {
        self.summary
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.clone()
    }

    /// How many lists were made.
    pub(super) fn lists(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// What all lists are made of.
    pub(super) fn base(&self) -> &FileList {
        &self.base
    }

    /// An entry of all lists.
    pub(super) fn item(&self, index: u32) -> Option<Item> {
        self.base.get(index)
    }

    /// Where an entry is on this machine.
    pub(super) fn file(&self, index: u32) -> PathBuf {
        let base = self.origins.get(index as usize).map_or(0, |origin| *origin as usize);
        let path = self.item(index).map(|item| item.path).unwrap_or_default();
        below(&self.bases[base], &path)
    }

    /// The list for servers of a class, with digests if they are asked for. One host makes it, the others wait.
    pub(super) async fn list(
        source: &Arc<Self>,
        class: WireClass,
        digest: Option<ChecksumKind>,
        contents: &Arc<Contents>,
    ) -> Result<Arc<FileList>, SyncError> {
        let cell = {
            let mut lists = source.lists.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lists.entry((class, digest)).or_default())
        };
        let make = async || {
            let (maker, contents) = (Arc::clone(source), Arc::clone(contents));
            let made = tokio::task::spawn_blocking(move || maker.made(class, digest, &contents)).await;
            let list = made.map_err(|error| SyncError::Local(error.to_string()))??;
            source.made.fetch_add(1, Ordering::Relaxed);
            Ok::<_, SyncError>(list)
        };
        cell.get_or_try_init(make).await.cloned()
    }

    fn made(
        &self,
        class: WireClass,
        digest: Option<ChecksumKind>,
        contents: &Contents,
    ) -> Result<Arc<FileList>, SyncError> {
        let Some(kind) = digest else {
            if class == WireClass::A {
                return Ok(Arc::clone(&self.base));
            }
            return Ok(Arc::new(self.base.recoded(class, &SystemNames)?));
        };
        let (digests, unreadable) = self.digests(kind, contents);
        let mut encoder = Encoder::new(class, Fields { digest, ..self.base.fields() });
        let mut index = 0;
        self.base.for_each(|mut entry| {
            if let Kind::File { digest, .. } = &mut entry.kind {
                *digest = Some(digests.get(&index).copied().unwrap_or_default());
            }
            index += 1;
            encoder.push(&entry).map(drop)
        })?;
        Ok(Arc::new(encoder.finish(&SystemNames, self.base.errors().and(unreadable))))
    }

    /// The digests of all files by their index, made on all cores, and whether some could not be.
    fn digests(&self, kind: ChecksumKind, contents: &Contents) -> (HashMap<u32, Digest>, IoErrors) {
        let next = AtomicU32::new(0);
        let some = || {
            let (mut digests, mut errors) = (Vec::new(), IoErrors::NONE);
            while let Some(item) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < self.base.count()) {
                if !matches!(self.item(item), Some(Item { kind: ItemKind::File { .. }, .. })) {
                    continue;
                }
                match contents.digest(&self.file(item), kind) {
                    Ok(digest) => digests.push((item, digest)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => errors = errors.and(IoErrors::VANISHED),
                    Err(_) => errors = errors.and(IoErrors::UNREADABLE),
                }
            }
            (digests, errors)
        };
        thread::scope(|scope| {
            let cores = available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
            let (mut all, mut errors) = (HashMap::new(), IoErrors::NONE);
            for worker in workers {
                match worker.join() {
                    Ok((digests, some)) => {
                        all.extend(digests);
                        errors = errors.and(some);
                    }
                    Err(_) => errors = errors.and(IoErrors::UNREADABLE),
                }
            }
            (all, errors)
        })
    }
}

fn count(summary: &mut ScanSummary, entry: &Entry<'_>) {
    summary.entries += 1;
    let is_content = !matches!(entry.kind, Kind::Directory(Folder::Source | Folder::Alone));
    summary.content += u64::from(is_content);
    match entry.kind {
        Kind::File { size, .. } => {
            summary.files += 1;
            summary.bytes += size;
        }
        Kind::Directory(_) => summary.folders += 1,
        _ => {}
    }
}
