//! One host's way through what is read.
//!
//! Must not know how chunks are read or kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use fleet_ssh::remote::Verify;
use tokio::task;
use tokio::time::{Instant, timeout_at};

use super::memory::Reservation;
use super::plan::{Cursor, spans};
use super::pool::{Answer, Claimant, ReaderId, Room};
use super::read::{compress, moved};
use super::{Chunk, Claim, GroupDigest, PIECE_LEN, Packing, Part, Shared, SourceError, joined};
use crate::manifest::{EntryKind, Selection};

/// Gives one host what it is sent, in order. Dropping it at any time harms no other.
#[derive(Debug)]
pub struct SourceReader {
    shared: Arc<Shared>,
    id: ReaderId,
    selection: Selection,
    /// The chunk that comes next.
    chunk: usize,
    /// What is left of it, when it is read alone.
    alone: Option<Range<Cursor>>,
    /// The entry that could not be read from its start, and so is not sent at all.
    left_out: Option<usize>,
    failures: BTreeMap<usize, Arc<SourceError>>,
}

/// The next bytes to be sent.
#[derive(Clone, Debug)]
pub struct Piece {
    /// They, compressed if so asked for. Of a file that failed when its beginning was already sent, there are zeros.
    pub bytes: Bytes,
    /// What they are.
    pub parts: Arc<[Part]>,
}

impl Piece {
    /// How many bytes of the contents of files these are.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.content.len() as u64).sum()
    }

    fn plain_len(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }
}

impl SourceReader {
    pub(super) fn new(shared: Arc<Shared>, selection: Selection) -> Self {
        let id = shared.pool().join(selection.clone());
        let failures = BTreeMap::new();
        Self { shared, id, selection, chunk: 0, alone: None, left_out: None, failures }
    }

    /// The next piece; `None` behind the last. When the future is dropped before its end, so must the reader be.
    pub async fn next(&mut self) -> Option<Piece> {
        loop {
            let chunk = match self.alone.take() {
                Some(way) => self.step(way).await,
                None => {
                    let number = self.next_chunk()?;
                    match self.take(number).await {
                        Some(chunk) => {
                            self.chunk = number + 1;
                            self.read_ahead();
                            chunk
                        }
                        None => {
                            self.chunk = number;
                            self.alone = Some(self.shared.plan.cursors(number));
                            continue;
                        }
                    }
                }
            };
            if let Some(piece) = self.piece(&chunk).await {
                self.shared.delivered_bytes.fetch_add(piece.plain_len(), Ordering::Relaxed);
                return Some(piece);
            }
        }
    }

    /// The entries that could not be read, so far, and why.
    #[must_use]
    pub fn failures(&self) -> &BTreeMap<usize, Arc<SourceError>> {
        &self.failures
    }

    /// The digest that [`Self::digests`] makes.
    #[must_use]
    pub fn verify(&self) -> Verify {
        self.shared.files.verify
    }

    /// The digests of all that was read, to be asked for at the end: of each group of which a file was sent whole.
    ///
    /// # Errors
    /// When files were sent in a company that no other host has, had to be read again for it, and could not be.
    pub async fn digests(&self) -> Result<Vec<GroupDigest>, Arc<SourceError>> {
        let shared = &self.shared;
        let mut digests = Vec::new();
        for (number, group) in shared.files.sums.groups().iter().enumerate() {
            let is_file = |entry: &usize| matches!(shared.manifest.entries[*entry].kind, EntryKind::File { .. });
            let is_sent = |entry: &usize| self.selection.has(*entry) && !self.failures.contains_key(entry);
            let sent: Vec<usize> = group.clone().filter(is_file).filter(is_sent).collect();
            if sent.is_empty() {
                continue;
            }
            let failed: Vec<usize> = self.failures.range(group.clone()).map(|(entry, _)| *entry).collect();
            let common = shared.files.sums.done(number);
            let common = common.filter(|sum| self.selection.covers(group) && sum.without == failed);
            let digest = match common {
                Some(sum) => sum.digest,
                None => shared.uncommon_digest(sent).await?,
            };
            digests.push(GroupDigest { entries: group.clone(), digest });
        }
        Ok(digests)
    }

    /// The number of the next chunk of which something is wanted.
    fn next_chunk(&self) -> Option<usize> {
        let plan = &self.shared.plan;
        if self.chunk == plan.count() {
            return None;
        }
        let entry = self.selection.next_from(plan.entries(self.chunk).start)?;
        Some(plan.first_with(entry).max(self.chunk)).filter(|chunk| *chunk < plan.count())
    }

    /// A chunk that is read for all; `None` when this reader is to read it alone.
    async fn take(&self, number: usize) -> Option<Arc<Chunk>> {
        let shared = &self.shared;
        loop {
            let mut arrived = std::pin::pin!(shared.arrived.notified());
            arrived.as_mut().enable();
            let answer = shared.pool().ask(&shared.plan, self.id, number);
            match answer {
                Answer::Taken(chunk) => return Some(chunk),
                Answer::Alone => return None,
                Answer::Coming => arrived.await,
                Answer::Claimed => {
                    let claim = Claim { shared: Arc::clone(shared), chunk: number };
                    let room = self.room(number).await?;
                    let permit = shared.read_permit().await;
                    joined(Shared::read_for_all(claim, room, permit).await).await;
                }
            }
        }
    }

    /// Room for a chunk; `None` when there is none, and this reader is to read it alone.
    async fn room(&self, number: usize) -> Option<Reservation> {
        let shared = &self.shared;
        let claim = Claimant { id: self.id, chunk: number, bytes: shared.room_for_chunk(number) };
        let mut asked = None;
        loop {
            let mut freed = std::pin::pin!(shared.memory.room.notified());
            freed.as_mut().enable();
            let now = Instant::now();
            let answer = shared.pool().room(&shared.plan, &claim, asked.replace(now), now);
            match answer {
                Room::Yes(room) => return Some(room),
                Room::Alone => return None,
                Room::Full(until) => drop(timeout_at(until, freed).await),
            }
        }
    }

    /// Has the next chunk read while this one is sent, if that takes room from nobody.
    fn read_ahead(&self) {
        let shared = &self.shared;
        let Some(number) = self.next_chunk() else { return };
        let Ok(permit) = Arc::clone(&shared.reads).try_acquire_owned() else { return };
        let claim = Claimant { id: self.id, chunk: number, bytes: shared.room_for_chunk(number) };
        let room = shared.pool().claim_ahead(&shared.plan, &claim);
        if let Some(room) = room {
            let claim = Claim { shared: Arc::clone(shared), chunk: number };
            drop(Shared::read_for_all(claim, room, permit));
        }
    }

    /// Reads a small piece of a chunk alone.
    async fn step(&mut self, way: Range<Cursor>) -> Arc<Chunk> {
        let shared = &self.shared;
        let mut wanted = Vec::new();
        let (len, at) = spans(&shared.manifest, shared.framing.as_ref(), way.clone(), PIECE_LEN, |span| {
            if self.selection.has(span.entry) && self.left_out != Some(span.entry) {
                wanted.push(span);
            }
        });
        let chunk = shared.read_for_one(wanted, len).await;
        if at < way.end {
            self.alone = Some(at..way.end);
        } else {
            shared.pool().took(self.id, self.chunk, shared.plan.len(self.chunk));
            self.chunk += 1;
        }
        Arc::new(chunk)
    }

    /// What of a chunk is to be sent.
    async fn piece(&mut self, chunk: &Chunk) -> Option<Piece> {
        let wanted: Vec<&Part> = chunk.parts.iter().filter(|part| self.takes(part)).collect();
        if chunk.plain.is_empty() || wanted.is_empty() {
            return None;
        }
        if wanted.len() == chunk.parts.len() {
            let bytes = chunk.gzip.as_ref().unwrap_or(&chunk.plain).clone();
            return Some(Piece { bytes, parts: Arc::clone(&chunk.parts) });
        }
        let (plain, parts) = joined_parts(chunk, &wanted);
        if plain.is_empty() {
            return None;
        }
        let bytes = match self.shared.packing {
            Packing::Plain => plain,
            Packing::Gzip => joined(task::spawn_blocking(move || Bytes::from(compress(&plain))).await).await,
        };
        Some(Piece { bytes, parts })
    }

    /// Whether a part is sent; keeps in mind what it is not.
    fn takes(&mut self, part: &Part) -> bool {
        if !self.selection.has(part.entry) || self.left_out == Some(part.entry) {
            return false;
        }
        if let Some(failure) = &part.failure {
            self.failures.entry(part.entry).or_insert_with(|| Arc::clone(failure));
            if part.offset == 0 {
                self.left_out = Some(part.entry);
            }
        }
        true
    }
}

/// Some parts of a chunk, put together.
fn joined_parts(chunk: &Chunk, wanted: &[&Part]) -> (Bytes, Arc<[Part]>) {
    let mut plain = BytesMut::new();
    let parts = wanted.iter().map(|part| {
        let moved = moved(part, plain.len());
        plain.extend_from_slice(&chunk.plain[part.bytes.clone()]);
        moved
    });
    let parts = parts.collect();
    (plain.freeze(), parts)
}

impl Drop for SourceReader {
    fn drop(&mut self) {
        self.shared.pool().leave(self.id);
        self.shared.memory.room.notify_waiters();
    }
}
