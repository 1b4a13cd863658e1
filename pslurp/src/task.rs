//! The work on one host: connect, bring its files home.
//!
//! Must not know other hosts, flags or terminals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fleet_core::event::{Event, Stream};
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{Outcome, SkipCause, Stage};
use fleet_core::select::SelectedHost;
use fleet_ssh::{CommandLimits, ConnectObserver, Connector, OutputSink, Sudo};
use tracing::Instrument as _;

use crate::gather::{Gathering, Staging};
use crate::program::OnHost;

/// Brings files from every host of a run.
pub(crate) struct Slurp {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    /// Where the files of each host go.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) gathering: Gathering,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
}

/// Whether remarks on single hosts, such as another try, reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remarks {
    Shown,
    Hidden,
}

impl Task for Slurp {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.hosts[host.index()].host);
        self.run_on(host).instrument(span).await
    }
}

impl Slurp {
    async fn run_on(&self, host: HostContext) -> Outcome {
        let target = &self.hosts[host.index()];
        let observer = Observer { host: &host, remarks: self.remarks };
        let connected = tokio::select! {
            connected = self.connector.connect(&target.host, &observer) => connected,
            () = host.cancel().cancelled() => return Outcome::Skipped(SkipCause::Interrupted),
        };
        let session = match connected {
            Ok(session) => session,
            Err(error) => return Outcome::Failed(error),
        };
        host.emit(Event::Stage(Stage::Channel)).await;
        let folder = &self.folders[host.index()];
        let on_host = OnHost {
            session: &session,
            limits: &self.limits,
            sudo: self.sudo.as_ref(),
            host: &host,
            announced: AtomicBool::new(false),
        };
        let staging = self.gathering.merger.is_some().then(|| Staging::new(folder.clone()));
        let folder = staging.as_ref().map_or(folder.as_path(), Staging::path);
        let name = target.host.to_string();
        let gathered = match self.gathering.gather(&on_host, folder, &name).await {
            // In a box: few hosts need it, and every one would pay for its room.
            Err(outcome) if !on_host.announced.load(Ordering::Relaxed) => {
                Box::pin(self.gathering.instead(outcome, &on_host, &observer, (folder, &name))).await
            }
            gathered => gathered,
        };
        let outcome = gathered.err().unwrap_or(Outcome::Exited(0));
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        outcome
    }
}

/// Passes what happens on the way to a host to the run.
pub(crate) struct Observer<'a> {
    host: &'a HostContext,
    remarks: Remarks,
}

impl ConnectObserver for Observer<'_> {
    async fn stage(&self, stage: Stage) {
        self.host.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, text: String) {
        if self.remarks == Remarks::Shown {
            self.host.emit(Event::Note(text)).await;
        }
    }
}

impl OutputSink for Observer<'_> {
    async fn output(&self, _: Stream, _: Bytes) {}

    async fn note(&self, text: String) {
        if self.remarks == Remarks::Shown {
            self.host.emit(Event::Note(text)).await;
        }
    }
}
