//! What the program on a host reads, and what it says meanwhile.
//!
//! Must not know what is copied.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::{Stream, Transferred};
use fleet_core::outcome::HostError;
use fleet_ssh::remote::Verify;
use fleet_ssh::{ExecStdin, OutputSink, StdinFeed};
use tokio::time::Instant;

use super::{Push, Sent, Share, Uplink};

/// How often the progress of a host is told.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Bytes of what the program says that are kept: noise of the shell's start-up files in front, its last words behind.
const SAID_LIMIT: usize = 64 * 1024;

/// The stream to one host.
pub(super) struct Feed<'a, S> {
    pub(super) push: &'a Push,
    pub(super) share: &'a Share,
    pub(super) verify: Verify,
    pub(super) beside: &'a S,
    /// Bytes of contents in all.
    pub(super) content_bytes: u64,
    pub(super) state: &'a FeedState,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct FeedState {
    /// When the host last took something; `None` when it has all, or has nothing to take yet.
    moved: Mutex<Option<Instant>>,
    told: Mutex<Option<Instant>>,
    sent: Mutex<Option<Sent>>,
}

impl FeedState {
    pub(super) fn new() -> Self {
        Self { moved: Mutex::new(None), told: Mutex::new(None), sent: Mutex::new(None) }
    }

    /// What was sent, once that was all.
    pub(super) fn sent(&self) -> Option<Sent> {
        lock(&self.sent).clone()
    }

    /// Returns when the host has taken nothing for `limit` although there was something to take.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let idle = lock(&self.moved).map_or(Duration::ZERO, |moved| moved.elapsed());
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit - idle).await;
        }
    }
}

impl<S: OutputSink> StdinFeed for Feed<'_, S> {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        self.tell(0).await;
        let uplink = Channel { stdin, feed: self };
        let sent = self.push.send(self.share, self.verify, &uplink).await;
        *lock(&self.state.moved) = None;
        let Some(sent) = sent.map_err(|error| HostError::local(error.to_string()))? else { return Ok(()) };
        *lock(&self.state.sent) = Some(sent);
        uplink.stdin.close().await;
        self.tell(self.content_bytes).await;
        Ok(())
    }
}

impl<S: OutputSink> Feed<'_, S> {
    async fn tell(&self, bytes: u64) {
        *lock(&self.state.told) = Some(Instant::now());
        self.beside.progress(Transferred { bytes, of: Some(self.content_bytes) }).await;
    }
}

/// The input of the command.
struct Channel<'a, S> {
    stdin: ExecStdin,
    feed: &'a Feed<'a, S>,
}

impl<S: OutputSink> Uplink for Channel<'_, S> {
    async fn send(&self, bytes: Bytes) -> bool {
        // What takes long before this is our own doing: another host, or a limit.
        *lock(&self.feed.state.moved) = Some(Instant::now());
        let is_taken = self.stdin.send(bytes).await;
        *lock(&self.feed.state.moved) = None;
        is_taken
    }

    async fn progress(&self, content_bytes: u64) {
        let is_due = lock(&self.feed.state.told).is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_due {
            self.feed.tell(content_bytes).await;
        }
    }
}

/// Keeps what the program says on both outputs; all else goes on to another.
#[derive(Debug)]
pub struct Said<'a, S> {
    beside: &'a S,
    bytes: Mutex<Vec<u8>>,
}

impl<'a, S> Said<'a, S> {
    /// Nothing is said yet.
    pub fn new(beside: &'a S) -> Self {
        Self { beside, bytes: Mutex::default() }
    }

    /// What was said, but for what lies in the middle of very much.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }
}

impl<S: OutputSink> OutputSink for Said<'_, S> {
    fn announced(&self) {
        self.beside.announced();
    }

    async fn started(&self) {
        self.beside.started().await;
    }

    async fn output(&self, _: Stream, bytes: Bytes) {
        let mut kept = lock(&self.bytes);
        kept.extend_from_slice(&bytes);
        if kept.len() > SAID_LIMIT {
            let excess = kept.len() - SAID_LIMIT;
            kept.drain(..excess);
        }
    }

    async fn note(&self, text: String) {
        self.beside.note(text).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
