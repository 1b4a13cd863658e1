//! Hosts without an rsync that we can talk to: what they have is listed, and what differs goes there as one stream of files,
//! which all hosts share that need the same.
//!
//! | module | what |
//! | --- | --- |
//! | `there` | what a host says that it has |
//! | `compare` | what differs, and what is to be done about it; pure. In it `letters` (those of `rsync -i`) and `surplus` (what is deleted) |
//! | `settle` | what no stream can do: removing, attributes |
//! | `unkept` | what a host is refused for |
//!
//! A tool does, for each host: [`Tar::unkept`]; run [`Tar::list`]; [`Tar::planned`] with the answer; and if there is to be
//! anything done, [`Tar::settle`] with what is done before, [`Tar::push`] to send the share, `settle` with the rest.
//!
//! Must not know how scripts are run, nor which hosts come here.

mod compare;
mod settle;
mod there;
mod unkept;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fleet_core::sanitize::sanitized_line;
use fleet_rsync::filter::Rules;
use fleet_rsync::flist::{IoErrors, Kind, Names as _};
use fleet_rsync::wire::greeting::Compression;
use fleet_ssh::remote::{
    Attributes, CopyIn, Landing, MissingFolder, MissingParents, Packing as Received, Replaced, Token, Verify,
    WrapError, copy_name, tree_list, tree_settle,
};
use thiserror::Error;
use tokio::sync::OnceCell;

use self::compare::{Deletion, Difference, InTheWay, Wanted, compare};
use self::settle::Step;
use self::there::{Ids, ListingError, Tree};
use self::unkept::Contents;
use super::names::SystemNames;
use super::{Sync, SyncEnd};
use crate::manifest::{Entry, EntryKind, Manifest, Selection};
use crate::push::{Push, PushSettings, Share};
use crate::source_cache::Packing;

/// What all hosts share that are synced so.
#[derive(Debug)]
pub struct Tar {
    sync: Arc<Sync>,
    read: OnceLock<Read>,
    push: OnceCell<Push>,
    hosts: AtomicU64,
}

/// What is found in the list for all hosts.
#[derive(Debug, Default)]
struct Read {
    ids: Ids,
    contents: Contents,
    /// Whether the destination itself is in it: no stream has that.
    has_root: bool,
}

/// What is to be done on one host.
#[derive(Debug, Clone)]
pub struct TarPlan {
    /// What would be told of it if it was done: also its lines, where they are wanted.
    pub end: SyncEnd,
    /// What it is sent; `None` where nothing is.
    pub share: Option<Share>,
    /// What is to be settled before that.
    pub before: Option<Settling>,
    /// What is to be settled behind it.
    pub after: Option<Settling>,
}

/// What no stream can do.
#[derive(Debug, Clone)]
pub struct Settling(Vec<u8>);

/// What was done for all hosts together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TarStats {
    /// Hosts that were compared.
    pub hosts: u64,
    /// Bytes of source files that were read.
    pub source_bytes: u64,
    /// Bytes of streams that were sent, before compression.
    pub delivered_bytes: u64,
}

/// Why a host is not synced.
#[derive(Debug, Error)]
pub enum TarError {
    /// Its answer is none.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// Something that is not replaced.
    #[error("in the way: {0}")]
    InTheWay(String),
    /// `--max-delete`
    #[error("would delete {deleted}, more than --max-delete {most}: nothing is changed")]
    TooManyDeleted {
        /// How many would be.
        deleted: u64,
        /// How many may be.
        most: u64,
    },
    /// One file that would have another name there.
    #[error("expected a folder at the destination: without rsync a single file goes into one, so write a / behind it")]
    NoFolder,
    /// Something of this machine.
    #[error("{0}")]
    Local(String),
}

impl From<InTheWay> for TarError {
    fn from(error: InTheWay) -> Self {
        Self::InTheWay(sanitized_line(&error.to_string()))
    }
}

impl Tar {
    /// For the hosts of a run.
    #[must_use]
    pub fn new(sync: &Arc<Sync>) -> Self {
        Self { sync: Arc::clone(sync), read: OnceLock::new(), push: OnceCell::new(), hosts: AtomicU64::new(0) }
    }

    /// What was asked for and cannot be had so, by its flags; none where all is kept.
    #[must_use]
    pub fn unkept(&self) -> Vec<String> {
        unkept::unkept(&self.sync.plan, self.read().contents)
    }

    /// A script that lists what a host has at the destination.
    ///
    /// # Errors
    /// When a NUL is in the name of the destination.
    pub fn list(&self, destination: &[u8], mark: &Token) -> Result<Vec<u8>, WrapError> {
        let parents = if self.is_forwarded(b"--mkpath") { MissingParents::Made } else { MissingParents::Refused };
        let mut text = tree_list(destination, parents, mark)?;
        let ids = &self.read().ids;
        for (call, asked) in [(&b"user "[..], &ids.users), (b"group ", &ids.groups)] {
            for (_, name) in asked {
                text.extend([call, &copy_name(name)[..], b"\n"].concat());
            }
        }
        text.extend_from_slice(b"tree\n");
        Ok(text)
    }

    /// What is to be done on a host that has answered [`list`](Self::list) so.
    ///
    /// # Errors
    /// When nothing may be done there.
    pub async fn planned(
        self: &Arc<Self>,
        destination: Vec<u8>,
        answer: Vec<u8>,
        mark: Token,
    ) -> Result<TarPlan, TarError> {
        let tar = Arc::clone(self);
        let planned = tokio::task::spawn_blocking(move || tar.plan(&destination, &answer, &mark)).await;
        planned.map_err(|error| TarError::Local(error.to_string()))?
    }

    /// A script that settles something there.
    ///
    /// # Errors
    /// When a NUL is in the name of the destination.
    pub fn settle(&self, destination: &[u8], what: &Settling, mark: &Token) -> Result<Vec<u8>, WrapError> {
        Ok([&tree_settle(destination, mark)?[..], &what.0].concat())
    }

    /// How a host receives its share.
    #[must_use]
    pub fn copy_in<'a>(&self, destination: &'a [u8]) -> CopyIn<'a> {
        CopyIn {
            landing: Landing::Folder(destination),
            missing: MissingFolder::Make,
            needed_kib: None,
            packing: if self.compresses() { Received::Gzip } else { Received::Plain },
            verify: Verify::Cksum,
            attributes: Attributes::All,
            owner: None,
            replaced: Replaced::Gone,
        }
    }

    /// What sends it: what is verified together is cut along the share of the host that comes first, as the others' are
    /// likely the same.
    ///
    /// # Errors
    /// Of this machine.
    pub async fn push(self: &Arc<Self>, share: &Share) -> Result<&Push, TarError> {
        let make = async || {
            let (tar, first) = (Arc::clone(self), share.selection.clone());
            let made = tokio::task::spawn_blocking(move || tar.make_push(&[first])).await;
            made.map_err(|error| TarError::Local(error.to_string()))
        };
        self.push.get_or_try_init(make).await
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> TarStats {
        let counters = self.push.get().map(Push::counters).unwrap_or_default();
        TarStats {
            hosts: self.hosts.load(Ordering::Relaxed),
            source_bytes: counters.read_bytes,
            delivered_bytes: counters.delivered_bytes,
        }
    }

    fn compresses(&self) -> bool {
        self.sync.plan.compression != Compression::Off
    }

    fn is_forwarded(&self, flag: &[u8]) -> bool {
        self.sync.plan.forwarded.iter().any(|word| word == flag)
    }

    fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let fields = self.sync.plan.fields;
            let (mut read, mut users, mut groups) = (Read::default(), BTreeSet::new(), BTreeSet::new());
            let Ok(()) = self.sync.source.base().for_each(|entry| {
                users.insert(entry.owner);
                groups.insert(entry.group);
                read.has_root |= entry.path == b".";
                read.contents.hard_links |= entry.link.is_some();
                read.contents.devices |= matches!(entry.kind, Kind::Device { .. } | Kind::Fifo | Kind::Socket);
                Ok::<(), std::convert::Infallible>(())
            });
            if fields.owner && !fields.numeric_ids {
                read.ids.users = users.into_iter().filter_map(|id| Some((id, SystemNames.user(id)?))).collect();
            }
            if fields.group && !fields.numeric_ids {
                read.ids.groups = groups.into_iter().filter_map(|id| Some((id, SystemNames.group(id)?))).collect();
            }
            read
        })
    }

    fn plan(&self, destination: &[u8], answer: &[u8], mark: &Token) -> Result<TarPlan, TarError> {
        let (plan, list) = (&self.sync.plan, self.sync.source.base());
        let tree = Tree::read(answer, mark, &self.read().ids)?;
        let has_folder = list.get(0).is_none_or(|first| !first.is_file()) || list.count() > 1;
        if !tree.exists && !has_folder && !destination.ends_with(b"/") {
            return Err(TarError::NoFolder);
        }
        let is_all_read = list.errors().number() & IoErrors::UNREADABLE.number() == 0;
        let deletion = match plan.delete {
            Some(_) if is_all_read => Deletion::Surplus,
            _ if self.is_forwarded(b"--force") => Deletion::InTheWay,
            _ => Deletion::Nothing,
        };
        let rules = plan.rules.of_receiver(plan.excluded).unwrap_or_else(Rules::new);
        let kept = rules.scope(if destination.starts_with(b"/") { destination } else { b"" });
        let difference = compare(&Wanted { list, fields: plan.fields, kept: &kept, deletion }, &tree)?;
        self.check_deleted(difference.deleted)?;
        self.hosts.fetch_add(1, Ordering::Relaxed);
        Ok(self.described(difference, tree.exists))
    }

    fn check_deleted(&self, deleted: u64) -> Result<(), TarError> {
        let most = self.sync.plan.forwarded.iter().find_map(|word| word.strip_prefix(b"--max-delete="));
        let most = most.and_then(|most| std::str::from_utf8(most).ok()?.parse::<u64>().ok());
        match most.filter(|most| deleted > *most) {
            Some(most) => Err(TarError::TooManyDeleted { deleted, most }),
            None => Ok(()),
        }
    }

    fn described(&self, difference: Difference, exists: bool) -> TarPlan {
        let Difference { changes, changed, created, deleted, sent, files, bytes, before, after } = difference;
        let first = usize::from(self.read().has_root);
        let entries = sent.into_iter().filter_map(|index| (index as usize).checked_sub(first));
        let selection = Selection::of(entries.map(|at| at..at + 1));
        let settling = |steps: &[Step]| (!steps.is_empty()).then(|| Settling(settle::calls(steps)));
        let end = SyncEnd {
            complete: true,
            changes: if self.sync.plan.itemize { changes } else { Vec::new() },
            changed,
            created,
            deleted,
            files_sent: files,
            literal_bytes: bytes,
            ..SyncEnd::default()
        };
        // A destination that is missing is made by what receives.
        let is_sent = !selection.is_empty() || !exists;
        TarPlan {
            end,
            share: is_sent.then(|| Share { selection, ..Share::default() }),
            before: settling(&before).filter(|_| exists),
            after: settling(&after),
        }
    }

    /// Of the whole list, but for the destination itself: what is at an index there is at the one before here.
    fn make_push(&self, hosts: &[Selection]) -> Push {
        let (list, mut entries, mut index) = (self.sync.source.base(), Vec::new(), 0);
        let Ok(()) = list.for_each(|entry| {
            let source = self.sync.source.file(index);
            index += 1;
            if entry.path != b"." {
                entries.push(manifest_entry(&entry, source));
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Push::new(PushSettings {
            manifest: Arc::new(Manifest { entries, problems: Vec::new() }),
            hosts,
            attributes: Attributes::All,
            packing: if self.compresses() { Packing::Gzip } else { Packing::Plain },
            verify: Verify::Cksum,
            memory_bytes: self.sync.plan.memory_bytes,
            throttle: Arc::clone(&self.sync.throttle),
        })
    }
}

fn manifest_entry(entry: &fleet_rsync::flist::Entry<'_>, source: PathBuf) -> Entry {
    let kind = match entry.kind {
        Kind::File { size, .. } => EntryKind::File { len: size },
        Kind::Symlink { target } => EntryKind::Symlink { target: OsStr::from_bytes(target).into() },
        // Of the others there are none: see `unkept`.
        Kind::Directory(_) | Kind::Device { .. } | Kind::Fifo | Kind::Socket => EntryKind::Folder,
    };
    Entry {
        path: OsStr::from_bytes(entry.path).into(),
        source,
        kind,
        mode: entry.permissions,
        mtime: entry.modified.secs,
        uid: entry.owner,
        gid: entry.group,
    }
}
