//! Entries written into the folders of ours: many at once, each verified and with its attributes.
//!
//! Must not know what is on the host already.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use bytes::Bytes;
use fleet_ssh::remote::{Attributes, CopyRefusal, RefusalKind};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::attributes::FileAttributes;
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::Handle;
use super::super::packet::Opening;
use super::explain::{refusal_in, shown};
use super::plan::Plan;
use super::read_back::read_back;
use super::{Flow, LeftOut, Push, Verified};
use crate::manifest::{Entry, EntryKind};
use crate::source_cache::SourceReader;

/// The bits of a folder's mode without which its owner cannot work in it.
pub(super) const OWNER_BITS: u32 = 0o700;

/// The bits of modes that are kept.
pub(super) fn mode_bits(attributes: Attributes) -> u32 {
    match attributes {
        Attributes::Permissions => 0o777,
        Attributes::All => 0o7777,
    }
}

/// All that is written to a host.
pub(super) struct Upload<'a, F> {
    pub(super) client: &'a Client,
    pub(super) push: &'a Push<'a>,
    pub(super) plan: &'a Plan,
    pub(super) flow: &'a F,
}

/// A file whose content comes.
struct Job {
    entry: usize,
    pieces: mpsc::UnboundedReceiver<Piece>,
    _slot: OwnedSemaphorePermit,
}

/// A part of a content that one question can hold.
struct Piece {
    offset: u64,
    bytes: Bytes,
    _slot: OwnedSemaphorePermit,
}

impl<F: Flow> Upload<'_, F> {
    /// Writes everything; returns what could not be read.
    pub(super) async fn run(&self) -> Result<LeftOut, CopyRefusal> {
        let folders = self.staged_by_depth();
        for folders in folders.values() {
            self.each(folders.iter().copied(), |entry, path| async move {
                let mode = entry.mode & mode_bits(self.push.attributes) & 0o777 | OWNER_BITS;
                self.client.make_folder(path, mode).await
            })
            .await?;
        }
        let symlinks = self.of_kind(|kind| matches!(kind, EntryKind::Symlink { .. }));
        self.each(symlinks, |entry, path| self.link(entry, path)).await?;
        let empty = self.of_kind(|kind| matches!(kind, EntryKind::File { len: 0 }));
        self.each(empty, |entry, path| async move {
            let handle = self.client.open(path, Opening::New).await?;
            self.finish(handle, entry).await.map(drop)
        })
        .await?;
        let left_out = self.contents().await?;
        for folders in folders.values().rev() {
            self.each(folders.iter().copied(), |entry, path| async move {
                let owners = self.owners(entry, || self.client.stat(path)).await?;
                if owners.is_some() {
                    self.client.set(path, FileAttributes { owners, ..FileAttributes::default() }).await?;
                }
                let known = self.attributes(entry);
                let mode = known.mode.map(|mode| mode | OWNER_BITS);
                self.client.set(path, FileAttributes { mode, ..known }).await
            })
            .await?;
        }
        Ok(left_out)
    }

    /// Does something with each of some entries, where it is written.
    async fn each<'s, D, W>(&'s self, entries: impl Iterator<Item = usize>, act: D) -> Result<(), CopyRefusal>
    where
        D: Fn(&'s Entry, &'s [u8]) -> W,
        W: Future<Output = Result<(), SftpError>>,
    {
        let acts = entries.filter_map(|entry| {
            let path = self.plan.staged.get(&entry)?;
            let acting = act(&self.push.manifest.entries[entry], path);
            Some(async move {
                match acting.await {
                    Ok(()) => Ok(()),
                    Err(error) => Err(self.refused(entry, &error).await),
                }
            })
        });
        stream::iter(acts).buffer_unordered(MAX_ASKED).try_collect().await
    }

    fn of_kind(&self, is_wanted: impl Fn(&EntryKind) -> bool) -> impl Iterator<Item = usize> {
        let entries = self.push.selection.iter();
        entries.filter(move |entry| is_wanted(&self.push.manifest.entries[*entry].kind))
    }

    /// The folders that are written, by how deep they are.
    fn staged_by_depth(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut depths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for entry in self.of_kind(|kind| *kind == EntryKind::Folder) {
            depths.entry(self.push.manifest.entries[entry].path.components().count()).or_default().push(entry);
        }
        depths
    }

    async fn refused(&self, entry: usize, error: &SftpError) -> CopyRefusal {
        let path = self.push.manifest.entries[entry].path.as_os_str().as_bytes();
        let areas = &self.plan.areas;
        let staged = self.plan.staged.get(&entry);
        let area = areas.iter().find(|area| staged.is_some_and(|staged| staged.starts_with(&area.staging.path)));
        let folder = area.map_or(&b"."[..], |area| &area.folder);
        refusal_in(self.client, folder, self.push.needed_kib, path, error).await
    }

    async fn link(&self, entry: &Entry, path: &[u8]) -> Result<(), SftpError> {
        let EntryKind::Symlink { target } = &entry.kind else { return Ok(()) };
        self.client.symlink(path, target.as_os_str().as_bytes()).await?;
        let owners = self.owners(entry, || self.client.lstat(path)).await?;
        let known = FileAttributes { mode: None, owners, ..self.attributes(entry) };
        if known == FileAttributes::default() { Ok(()) } else { self.client.set_symlink(path, known).await }
    }

    /// Writes the contents of files as they are read.
    async fn contents(&self) -> Result<LeftOut, CopyRefusal> {
        // From here on others wait for us.
        let mut reader = self.push.source.reader(self.push.selection.clone());
        let (sender, jobs) = mpsc::unbounded_channel();
        let reading = async {
            self.read(&mut reader, sender).await;
            Ok(())
        };
        let ((), wrong) = futures::try_join!(reading, self.write_all(jobs))?;
        let left_out = reader.failures().clone();
        if let Some(entry) = wrong.iter().find(|entry| !left_out.contains_key(entry)) {
            return Err(damaged(&self.push.manifest.entries[*entry]));
        }
        if self.push.verified == Verified::ByReading {
            read_back(self.client, self.push, self.plan, &reader).await?;
        }
        Ok(left_out)
    }

    /// Passes on what is read, as much as may be on its way.
    async fn read(&self, reader: &mut SourceReader, jobs: mpsc::UnboundedSender<Job>) {
        let (files, asked) = (Arc::new(Semaphore::new(MAX_ASKED)), Arc::new(Semaphore::new(MAX_ASKED)));
        let step = usize::try_from(self.client.piece_len()).unwrap_or(usize::MAX);
        let mut current: Option<(usize, mpsc::UnboundedSender<Piece>)> = None;
        while let Some(piece) = reader.next().await {
            self.flow.before(piece.content_bytes()).await;
            for part in piece.parts.iter().filter(|part| !part.content.is_empty()) {
                if current.as_ref().is_none_or(|(entry, _)| *entry != part.entry) {
                    // The file before has its end, and its place is given back.
                    drop(current.take());
                    let (sender, pieces) = mpsc::unbounded_channel();
                    let slot = slot(&files).await;
                    let _ = jobs.send(Job { entry: part.entry, pieces, _slot: slot });
                    current = Some((part.entry, sender));
                }
                let content = piece.bytes.slice(part.content.clone());
                for at in (0..content.len()).step_by(step) {
                    let bytes = content.slice(at..content.len().min(at + step));
                    let piece = Piece { offset: part.offset + at as u64, bytes, _slot: slot(&asked).await };
                    if let Some((_, sender)) = &current {
                        let _ = sender.send(piece);
                    }
                }
            }
        }
    }

    /// Writes files until no more come; returns those that have another length then than they should.
    async fn write_all(&self, mut jobs: mpsc::UnboundedReceiver<Job>) -> Result<Vec<usize>, CopyRefusal> {
        let mut files = FuturesUnordered::new();
        let mut wrong = Vec::new();
        let mut more = true;
        loop {
            tokio::select! {
                job = jobs.recv(), if more => match job {
                    Some(job) => files.push(self.write(job)),
                    None => more = false,
                },
                Some(written) = files.next(), if !files.is_empty() => wrong.extend(written?),
                else => return Ok(wrong),
            }
        }
    }

    /// Writes a file; returns its number when it has another length then than it should.
    async fn write(&self, mut job: Job) -> Result<Option<usize>, CopyRefusal> {
        let written = async {
            let Some(path) = self.plan.staged.get(&job.entry) else { return Ok(true) };
            let handle = self.client.open(path, Opening::New).await?;
            self.write_pieces(&handle, &mut job.pieces).await?;
            self.finish(handle, &self.push.manifest.entries[job.entry]).await
        };
        match written.await {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(job.entry)),
            Err(error) => Err(self.refused(job.entry, &error).await),
        }
    }

    async fn write_pieces(
        &self,
        handle: &Handle,
        pieces: &mut mpsc::UnboundedReceiver<Piece>,
    ) -> Result<(), SftpError> {
        let mut writes = FuturesUnordered::new();
        let mut more = true;
        loop {
            tokio::select! {
                piece = pieces.recv(), if more => match piece {
                    Some(piece) => writes.push(async move {
                        self.client.write(handle, piece.offset, &piece.bytes).await?;
                        self.flow.sent(piece.bytes.len() as u64);
                        Ok::<(), SftpError>(())
                    }),
                    None => more = false,
                },
                Some(written) = writes.next(), if !writes.is_empty() => written?,
                else => return Ok(()),
            }
        }
    }

    /// Sets the attributes of a file that was written, and closes it; whether it has the length that it should have.
    async fn finish(&self, handle: Handle, entry: &Entry) -> Result<bool, SftpError> {
        let known = self.client.fstat(&handle).await?;
        // By itself and first: it takes special bits of the mode away.
        let owners = self.owners(entry, || async { Ok(known) }).await?;
        if owners.is_some() {
            self.client.set_open(&handle, FileAttributes { owners, ..FileAttributes::default() }).await?;
        }
        self.client.set_open(&handle, self.attributes(entry)).await?;
        self.client.close(handle).await?;
        Ok(matches!(entry.kind, EntryKind::File { len } if known.len == Some(len)))
    }

    /// The owners that an entry gets, if any; where one number is missing it is the one that it has.
    async fn owners<K>(&self, entry: &Entry, known: impl FnOnce() -> K) -> Result<Option<(u32, u32)>, SftpError>
    where
        K: Future<Output = Result<FileAttributes, SftpError>>,
    {
        if let Some(owner) = self.push.owner {
            if let (Some(user), Some(group)) = (owner.user, owner.group) {
                return Ok(Some((user, group)));
            }
            let (user, group) = known().await?.owners.ok_or(SftpError::Nonsense("no owner of a file"))?;
            return Ok(Some((owner.user.unwrap_or(user), owner.group.unwrap_or(group))));
        }
        let is_root = self.plan.areas.iter().any(|area| matches!(area.staging.owners, Some((0, _))));
        Ok((is_root && self.push.attributes == Attributes::All).then_some((entry.uid, entry.gid)))
    }

    /// The mode and, where they are kept, the times. Times before 1970 and after 2106 are the first and last that SFTP has.
    fn attributes(&self, entry: &Entry) -> FileAttributes {
        let seconds = u32::try_from(entry.mtime.max(0)).unwrap_or(u32::MAX);
        let times = (self.push.attributes == Attributes::All).then_some((seconds, seconds));
        FileAttributes { times, ..FileAttributes::of_mode(entry.mode & mode_bits(self.push.attributes)) }
    }
}

pub(super) fn damaged(entry: &Entry) -> CopyRefusal {
    let path = shown(entry.path.as_os_str().as_bytes());
    CopyRefusal::new(RefusalKind::Damaged, format!("{path} is not what was sent"))
}

async fn slot(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_owned().await.expect("it is never closed")
}
