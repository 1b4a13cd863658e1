//! The whole stream to one host: what was read for all, at the pace that is allowed, and what commits it.
//!
//! Must not know what takes the bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use fleet_ssh::remote::{Attributes, Verify};

use super::commit::{Batch, Commit, batches_for, header};
use crate::archive::padding;
use crate::manifest::{Entry, Manifest, Selection};
use crate::source_cache::{
    Counters, Framing, Packing, SourceCache, SourceError, SourceReader, SourceSettings, compress,
};
use crate::throttle::{HostThrottle, Pace, Throttle};

/// How many ends of streams are kept: hosts that are sent the same have the same.
const MAX_ENDS: usize = 4;

/// Where the stream of one host goes.
pub trait Uplink: Send + Sync {
    /// Takes the next bytes, and waits until there is room for them. `false` when nobody takes any more.
    fn send(&self, bytes: Bytes) -> impl Future<Output = bool> + Send;

    /// So many bytes of the contents of files have been taken so far.
    fn progress(&self, content_bytes: u64) -> impl Future<Output = ()> + Send;
}

/// What is copied, and how.
#[derive(Debug)]
pub struct PushSettings<'a> {
    /// All that some host is sent.
    pub manifest: Arc<Manifest>,
    /// What each host is sent.
    pub hosts: &'a [Selection],
    /// What is kept beside names and contents.
    pub attributes: Attributes,
    /// In what form it is sent.
    pub packing: Packing,
    /// By which digest the hosts verify it.
    pub verify: Verify,
    /// What may be kept in memory, in bytes.
    pub memory_bytes: usize,
    /// The limits of the run.
    pub throttle: Arc<Throttle>,
}

/// Copies to many hosts: one for a run.
#[derive(Debug)]
pub struct Push {
    manifest: Arc<Manifest>,
    attributes: Attributes,
    settings: SourceSettings,
    source: SourceCache,
    /// The same, not compressed, for hosts that cannot unpack; made when the first of them comes.
    plain: OnceLock<SourceCache>,
    /// The same, with SHA-256, for hosts without `cksum`; made when the first of them comes.
    with_sha256: OnceLock<SourceCache>,
    throttle: Arc<Throttle>,
    ends: Mutex<VecDeque<(End, Bytes)>>,
}

/// What one host is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What is sent.
    pub selection: Selection,
    /// The files that are not, as the host has the same.
    pub same: Selection,
}

/// What one host was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The files that could not be read as they were, and are not copied.
    pub failures: BTreeMap<usize, Arc<SourceError>>,
}

/// What the end of a stream is made for.
#[derive(Debug, PartialEq, Eq)]
struct End {
    share: Share,
    verify: Verify,
    dropped: BTreeSet<usize>,
}

/// Entries as those of a tar archive.
#[derive(Debug)]
struct Tar(Attributes);

impl Framing for Tar {
    fn before(&self, entry: &Entry) -> Vec<u8> {
        header(entry, self.0)
    }

    fn after(&self, len: u64) -> usize {
        padding(len).len()
    }
}

impl Push {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(settings: PushSettings<'_>) -> Self {
        let PushSettings { manifest, hosts, attributes, packing, verify, memory_bytes, throttle } = settings;
        let settings = SourceSettings {
            manifest: Arc::clone(&manifest),
            framing: Arc::new(Tar(attributes)),
            packing,
            budget_bytes: memory_bytes,
            groups: batches_for(&manifest.entries, hosts),
            verify,
        };
        Self {
            manifest,
            attributes,
            source: SourceCache::new(settings.clone()),
            settings,
            plain: OnceLock::new(),
            with_sha256: OnceLock::new(),
            throttle,
            ends: Mutex::default(),
        }
    }

    /// What is read for all hosts, as pieces that are not compressed: where the others' are, all is read once more for those
    /// who need these.
    #[must_use]
    pub fn plain_source(&self) -> &SourceCache {
        if self.settings.packing == Packing::Plain {
            return &self.source;
        }
        let plain = || SourceSettings { packing: Packing::Plain, ..self.settings.clone() };
        self.plain.get_or_init(|| SourceCache::new(plain()))
    }

    /// What is read for the hosts that verify it so.
    fn source_for(&self, verify: Verify) -> &SourceCache {
        if self.settings.verify == verify {
            return &self.source;
        }
        let other = || SourceSettings { verify, ..self.settings.clone() };
        self.with_sha256.get_or_init(|| SourceCache::new(other()))
    }

    /// What reading has taken so far, in all forms.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let others = [&self.plain, &self.with_sha256].into_iter().filter_map(OnceLock::get).map(SourceCache::counters);
        others.fold(self.source.counters(), |sum, other| Counters {
            read_bytes: sum.read_bytes + other.read_bytes,
            delivered_bytes: sum.delivered_bytes + other.delivered_bytes,
            alone: sum.alone + other.alone,
            peak_bytes: sum.peak_bytes + other.peak_bytes,
            peak_alone_bytes: sum.peak_alone_bytes + other.peak_alone_bytes,
        })
    }

    /// The limits for a host that is not sent a stream.
    #[must_use]
    pub fn pace(&self) -> Pace<'_> {
        self.throttle.pace()
    }

    /// All that some host is sent.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// What is read for all hosts, and counts it.
    #[must_use]
    pub fn source(&self) -> &SourceCache {
        &self.source
    }

    /// Sends a host its share, which it verifies so; to be called when the host is ready to receive: others wait for it from then on. `None` when
    /// it took not all.
    ///
    /// # Errors
    /// When what was sent cannot be read a second time for its digest.
    pub async fn send(
        &self,
        share: &Share,
        verify: Verify,
        uplink: &impl Uplink,
    ) -> Result<Option<Sent>, Arc<SourceError>> {
        let mut throttle = self.throttle.host();
        let mut reader = self.source_for(verify).reader(share.selection.clone());
        let mut content_bytes = 0;
        while let Some(piece) = reader.next().await {
            content_bytes += piece.content_bytes();
            if !send(&mut throttle, uplink, piece.bytes).await {
                return Ok(None);
            }
            uplink.progress(content_bytes).await;
        }
        let end = self.end(share, &reader).await?;
        let is_taken = send(&mut throttle, uplink, end).await;
        Ok(is_taken.then(|| Sent { failures: reader.failures().clone() }))
    }

    /// What verifies and commits all that was read.
    async fn end(&self, share: &Share, reader: &SourceReader) -> Result<Bytes, Arc<SourceError>> {
        let end =
            End { share: share.clone(), verify: reader.verify(), dropped: reader.failures().keys().copied().collect() };
        let known =
            |ends: &VecDeque<(End, Bytes)>| ends.iter().find(|(known, _)| *known == end).map(|(_, b)| b.clone());
        if let Some(bytes) = known(&self.ends.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(bytes);
        }
        let digests = reader.digests().await?;
        let batches: Vec<Batch> =
            digests.into_iter().map(|group| Batch { entries: group.entries, digest: group.digest }).collect();
        let commit = Commit {
            entries: &self.manifest.entries,
            selection: &share.selection,
            batches: &batches,
            dropped: &end.dropped,
            same: &share.same,
            attributes: self.attributes,
            verify: end.verify,
        };
        let plain = commit.to_bytes();
        let bytes = Bytes::from(match self.settings.packing {
            Packing::Plain => plain,
            Packing::Gzip => compress(&plain),
        });
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() == MAX_ENDS {
            ends.pop_front();
        }
        ends.push_back((end, bytes.clone()));
        Ok(bytes)
    }
}

async fn send(throttle: &mut HostThrottle<'_>, uplink: &impl Uplink, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        let step = throttle.next(&mut bytes).await;
        if !uplink.send(step).await {
            return false;
        }
    }
    true
}
