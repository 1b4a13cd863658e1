//! The work on all hosts: a session to each, and what its services are told there.
//!
//! Must not know what is done on a host.

use std::sync::Arc;

use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::Outcome;
use fleet_core::select::SelectedHost;
use fleet_ssh::{CommandLimits, Connector, Sudo};
use fleet_tool::cli::Failure;
use fleet_tool::on_host::OnHost;
use fleet_tool::places::HostPlaces;
use fleet_tool::reporter::{Remarks, Reporter};

use super::on_host::{ServicesOn, Work};

/// Looks after the services of every host of a run.
pub(crate) struct LookAfter {
    pub(super) connector: Arc<Connector>,
    pub(super) hosts: Vec<SelectedHost>,
    pub(super) places: HostPlaces,
    pub(super) work: Work,
    pub(super) sudo: Option<Sudo>,
    pub(super) limits: CommandLimits,
    pub(super) remarks: Remarks,
}

impl Task for LookAfter {
    async fn run(&self, host: HostContext) -> Outcome {
        let reporter = Reporter::new(&host, self.remarks);
        let session = match reporter.connected(&self.connector, &self.hosts[host.index()].host).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        let on_host = OnHost { session: &session, limits: &self.limits, sudo: self.sudo.as_ref(), host: &host };
        let services = ServicesOn { on_host, reporter: &reporter, variables: self.places.variables(host.index()) };
        let outcome = services.work(&self.work).await;
        session.disconnect().await;
        outcome
    }
}

impl LookAfter {
    /// Finds out before any host is contacted what cannot be sent.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.work.check().map_err(|error| Failure::usage(&error))
    }
}
