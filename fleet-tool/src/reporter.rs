//! What is heard of a host, passed to the run.
//!
//! Must not know what the work on a host is.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::fanout::HostContext;
use fleet_core::host::Host;
use fleet_core::outcome::{Outcome, SkipCause, Stage};
use fleet_ssh::{ConnectObserver, Connector, OutputSink, Session};

/// Whether remarks on single hosts, such as another try, reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remarks {
    /// They are shown.
    Shown,
    /// They are dropped.
    Hidden,
}

/// Passes the stages of a host, what its commands say and remarks on it to the run.
#[derive(Debug)]
pub struct Reporter<'a> {
    /// The host.
    pub host: &'a HostContext,
    remarks: Remarks,
    /// Whether the host runs our commands: one has announced itself.
    announced: AtomicBool,
}

impl<'a> Reporter<'a> {
    /// Nothing has been heard of the host yet.
    #[must_use]
    pub fn new(host: &'a HostContext, remarks: Remarks) -> Self {
        Self { host, remarks, announced: AtomicBool::new(false) }
    }

    /// A session to the host, which the run calls `name`.
    ///
    /// # Errors
    /// Why there is none, also when the run ends first.
    pub async fn connected(&self, connector: &Connector, name: &Host) -> Result<Session, Outcome> {
        let connected = tokio::select! {
            connected = connector.connect(name, self) => connected,
            () = self.host.cancel().cancelled() => return Err(Outcome::Skipped(SkipCause::Interrupted)),
        };
        let session = connected.map_err(Outcome::Failed)?;
        self.host.emit(Event::Stage(Stage::Channel)).await;
        Ok(session)
    }

    /// Whether a command of ours has announced itself.
    #[must_use]
    pub fn has_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// Tells a remark, if remarks are shown.
    pub async fn remark(&self, text: String) {
        if self.remarks == Remarks::Shown {
            self.host.emit(Event::Note(text)).await;
        }
    }
}

impl ConnectObserver for Reporter<'_> {
    async fn stage(&self, stage: Stage) {
        self.host.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, text: String) {
        self.remark(text).await;
    }
}

impl OutputSink for Reporter<'_> {
    fn announced(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    async fn started(&self) {
        self.host.emit(Event::Stage(Stage::Command)).await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        self.host.emit(Event::Output { stream, bytes }).await;
    }

    async fn progress(&self, so_far: Transferred) {
        self.host.emit(Event::Progress(so_far)).await;
    }

    async fn note(&self, text: String) {
        self.remark(text).await;
    }
}
