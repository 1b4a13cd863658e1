//! The keys that hosts offer, each asked over a connection that ends with the key exchange.
//!
//! Must not judge them.

use std::sync::{Arc, Mutex, PoisonError};

use fleet_core::event::Event;
use fleet_core::fanout::{Floor, HostContext, Task};
use fleet_core::outcome::{HostError, Outcome, SkipCause, Stage};
use fleet_core::render::{Completion, HostLabel};
use fleet_core::settings::Parallel;
use fleet_ssh::config::HostConfig;
use fleet_ssh::known_hosts::PublicKey;
use fleet_ssh::{ConnectObserver, Connector};
use fleet_tool::cli::Failure;
use fleet_tool::run;

/// A host to be asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its place among all hosts.
    pub(super) place: usize,
    pub(super) name: String,
    /// The servers on the way, itself last.
    pub(super) route: Vec<HostConfig>,
}

/// What a host has offered, or why nothing; by its place.
pub(super) type Offer = (usize, Result<PublicKey, HostError>);

struct Rounds {
    connector: Arc<Connector>,
    targets: Vec<Target>,
    offers: Arc<Mutex<Vec<Offer>>>,
}

struct Stages<'a>(&'a HostContext);

/// Asks all `targets`; those that are left out when the user wants no more have no offer.
pub(super) async fn take(
    connector: &Arc<Connector>,
    targets: Vec<Target>,
    parallel: Parallel,
    floor: Floor,
) -> Result<Vec<Offer>, Failure> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let limit = match parallel {
        Parallel::Exactly(parallel) => parallel.get(),
        Parallel::Auto => run::FIRST_LOGINS,
    };
    let hosts = targets.iter().map(|target| HostLabel { name: target.name.clone() }).collect();
    let prices = targets.iter().map(|target| Connector::price(&target.route)).collect();
    let offers = Arc::default();
    let rounds = Rounds { connector: Arc::clone(connector), targets, offers: Arc::clone(&offers) };
    let survey = run::Survey { program: super::PROGRAM, hosts, limit, prices, floor };
    let finished = survey.run(rounds).await?;
    if finished.completion != Completion::Abandoned {
        connector.disconnect().await;
    }
    Ok(std::mem::take(&mut *offers.lock().unwrap_or_else(PoisonError::into_inner)))
}

impl Task for Rounds {
    /// What is offered stands in the offer: for the fan-out a host that was asked is a success.
    async fn run(&self, host: HostContext) -> Outcome {
        let Target { place, route, .. } = &self.targets[host.index()];
        let stages = Stages(&host);
        let offered = tokio::select! {
            offered = self.connector.offered_host_key(route, &stages) => offered,
            () = host.cancel().cancelled() => return Outcome::Skipped(SkipCause::Interrupted),
        };
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).push((*place, offered));
        Outcome::Exited(0)
    }
}

impl ConnectObserver for Stages<'_> {
    async fn stage(&self, stage: Stage) {
        self.0.emit(Event::Stage(stage)).await;
    }

    async fn note(&self, _: String) {}
}
