//! The work on one host: connect, bring its files home.
//!
//! Must not know other hosts, flags or terminals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::Outcome;
use fleet_core::select::SelectedHost;
use fleet_ssh::{CommandLimits, Connector, Sudo};
use fleet_tool::reporter::{Remarks, Reporter};
use fleet_transfer::throttle::Throttle;
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
    pub(crate) throttle: Throttle,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
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
        let reporter = Reporter::new(&host, self.remarks);
        let session = match reporter.connected(&self.connector, &target.host).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        let folder = &self.folders[host.index()];
        let on_host = OnHost {
            session: &session,
            limits: &self.limits,
            sudo: self.sudo.as_ref(),
            host: &host,
            pace: self.throttle.pace(),
            announced: AtomicBool::new(false),
        };
        let staging = self.gathering.merger.is_some().then(|| Staging::new(folder.clone()));
        let folder = staging.as_ref().map_or(folder.as_path(), Staging::path);
        let name = target.host.to_string();
        let gathered = match self.gathering.gather(&on_host, folder, &name).await {
            // In a box: few hosts need it, and every one would pay for its room.
            Err(outcome) if !on_host.announced.load(Ordering::Relaxed) => {
                Box::pin(self.gathering.instead(outcome, &on_host, &reporter, (folder, &name))).await
            }
            gathered => gathered,
        };
        let outcome = gathered.err().unwrap_or(Outcome::Exited(0));
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        outcome
    }
}
