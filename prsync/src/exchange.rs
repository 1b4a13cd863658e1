//! A conversation with a host's `rsync --server`, as the input and the outputs of a command.
//!
//! Must not know what is said.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::fanout::HostContext;
use fleet_core::outcome::{HostError, Stage};
use fleet_ssh::{ExecStdin, OutputSink, StdinFeed};
use fleet_transfer::push::Uplink;
use fleet_transfer::sync::Conversation;
use tokio::time::Instant;

/// How often the progress of a host is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// One host's conversation, and how far it is.
pub(crate) struct Exchange<'a> {
    conversation: &'a Conversation,
    host: &'a HostContext,
    /// When something last went in either direction, or was on our side to be done.
    moved: Mutex<Instant>,
    told: Mutex<Option<Instant>>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(conversation: &'a Conversation, host: &'a HostContext) -> Self {
        Self { conversation, host, moved: Mutex::new(Instant::now()), told: Mutex::default() }
    }

    /// Returns when nothing has gone in either direction for `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let idle = lock(&self.moved).elapsed();
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit - idle).await;
        }
    }

    fn moves(&self) {
        *lock(&self.moved) = Instant::now();
    }
}

/// The input of the command.
pub(crate) struct Feed<'a>(pub(crate) &'a Exchange<'a>);

impl StdinFeed for Feed<'_> {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let channel = Channel { stdin, exchange: self.0 };
        self.0.conversation.run(&channel).await;
        channel.stdin.close().await;
        Ok(())
    }
}

struct Channel<'a> {
    stdin: ExecStdin,
    exchange: &'a Exchange<'a>,
}

impl Uplink for Channel<'_> {
    async fn send(&self, bytes: Bytes) -> bool {
        let is_taken = self.stdin.send(bytes).await;
        self.exchange.moves();
        is_taken
    }

    async fn progress(&self, bytes: u64) {
        let is_due = lock(&self.exchange.told).is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_due {
            *lock(&self.exchange.told) = Some(Instant::now());
            self.exchange.host.emit(Event::Progress(Transferred { bytes, of: None })).await;
        }
    }
}

impl OutputSink for Exchange<'_> {
    async fn started(&self) {
        self.host.emit(Event::Stage(Stage::Command)).await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        self.moves();
        match stream {
            Stream::Stdout => self.conversation.received(bytes).await,
            Stream::Stderr => self.conversation.heard(&bytes),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
