//! The work on one host: connect, have it receive its files, run what comes after.
//!
//! Must not know other hosts, flags or terminals.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_core::event::Event;
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::Outcome;
use fleet_core::select::SelectedHost;
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{CommandLimits, CommandRun, Connector, NoStdin, Session, Sudo, Wrapping, run_command};
use fleet_tool::places::HostPlaces;
use fleet_tool::reporter::{Remarks, Reporter};
use fleet_transfer::push::{Delivery, Ended, Push, Share, incomplete};
use fleet_transfer::source_cache::SourceError;
use tracing::Instrument as _;

use crate::destination::Destinations;
use crate::look::{Digests, without_same};
use crate::receiving::Receiving;
use crate::recipe::Recipe;
use crate::sources::Kept;
use crate::tally;
use crate::via::Via;

/// Copies to every host of a run.
pub(crate) struct Copy {
    pub(crate) connector: Arc<Connector>,
    pub(crate) hosts: Vec<SelectedHost>,
    pub(crate) places: HostPlaces,
    pub(crate) push: Arc<Push>,
    /// Sources that are ours.
    pub(crate) _kept: Kept,
    /// What each host is sent.
    pub(crate) shares: Vec<Share>,
    pub(crate) destinations: Destinations,
    pub(crate) receiving: Receiving,
    pub(crate) knowledge: Knowledge,
    pub(crate) digests: Digests,
    /// The command that is run after the copy.
    pub(crate) then: Option<Vec<u8>>,
    pub(crate) sudo: Option<Sudo>,
    pub(crate) limits: CommandLimits,
    pub(crate) remarks: Remarks,
    /// What all hosts are sent, where they are to fetch it.
    pub(crate) via: Option<Arc<Via>>,
}

/// What is asked of hosts before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Nothing.
    None,
    /// What they have already.
    Asked(Purpose),
}

impl Knowledge {
    /// What has to be known for a copy.
    pub(crate) fn wanted(recipe: &Recipe) -> Self {
        match (recipe.dry_run, recipe.checksum) {
            (true, _) => Self::Asked(Purpose::DryRun),
            (false, true) => Self::Asked(Purpose::Rest),
            (false, false) => Self::None,
        }
    }
}

/// Why hosts are asked what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To send only the rest.
    Rest,
    /// To say what would be done, and do nothing.
    DryRun,
}

impl Task for Copy {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.hosts[host.index()].host);
        self.run_on(host).instrument(span).await
    }
}

impl Copy {
    async fn run_on(&self, host: HostContext) -> Outcome {
        let target = &self.hosts[host.index()];
        let reporter = Reporter::new(&host, self.remarks);
        let session = match reporter.connected(&self.connector, &target.host).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        let worked = match self.work(&session, &reporter).await {
            // In a box: few hosts need it, and every one would pay for its room.
            Err(outcome) if !reporter.has_announced() => Box::pin(self.instead(outcome, &session, &reporter)).await,
            worked => worked,
        };
        let outcome = worked.unwrap_or_else(|outcome| outcome);
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        outcome
    }

    /// All that is done on a host; an error is what ended it early.
    async fn work(&self, session: &Session, reporter: &Reporter<'_>) -> Result<Outcome, Outcome> {
        let all = &self.shares[reporter.host.index()];
        let found = match self.knowledge {
            Knowledge::None => None,
            // In a box: few copies need it, and every host would pay for its room.
            Knowledge::Asked(_) => Some(Box::pin(self.look(all, session, reporter)).await?),
        };
        let share = match (&found, self.knowledge) {
            (Some(findings), Knowledge::Asked(Purpose::DryRun)) => {
                return Ok(self.tell(all, findings, reporter).await);
            }
            (Some(findings), _) => Cow::Owned(without_same(self.push.manifest(), all, findings)),
            (None, _) => Cow::Borrowed(all),
        };
        let told = self.deliver(&share, session, reporter).await?;
        reporter.host.emit(Event::Result(told)).await;
        Ok(match &self.then {
            Some(command) => self.run_after(command, session, reporter).await,
            None => Outcome::Exited(0),
        })
    }

    /// Has a host receive its share. Returns what is to be told of it.
    pub(crate) async fn copy(
        &self,
        share: &Share,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<String, Outcome> {
        let delivery = Delivery {
            push: &self.push,
            copy: self.receiving.copy_in(self.destinations.landing(reporter.host.index())),
            session,
            cancel: reporter.host.cancel(),
            limits: &self.limits,
            sudo: self.sudo.as_ref(),
            beside: reporter,
        };
        let (ended, sent) = delivery.send(share).await;
        match ended {
            Ended::Done => self.told(share, &sent.failures),
            Ended::Failed(outcome) | Ended::NoDigest(outcome) => Err(outcome),
            Ended::NotRun(error) => Err(Outcome::Failed(error)),
        }
    }

    /// What is to be told of a copy of which these files could not be read.
    pub(crate) fn told(&self, share: &Share, failures: &BTreeMap<usize, Arc<SourceError>>) -> Result<String, Outcome> {
        let manifest = self.push.manifest();
        if failures.is_empty() {
            return Ok(tally::copied(manifest, share));
        }
        let totals = manifest.totals(&share.selection);
        let kept = (totals.files + totals.symlinks).saturating_sub(failures.len() as u64);
        Err(Outcome::Failed(incomplete(failures, kept)))
    }

    /// Runs the command that comes after the copy, as `psh` would.
    async fn run_after(&self, command: &[u8], session: &Session, reporter: &Reporter<'_>) -> Outcome {
        let index = reporter.host.index();
        let command = RemoteCommand {
            command: command.to_vec(),
            env: self.places.variables(index),
            stdin: StdinMode::Closed,
            grace: self.limits.grace,
        };
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: &self.limits,
            cancel: reporter.host.cancel(),
            stdin: None::<NoStdin>,
            sudo: self.sudo.as_ref(),
            terminal: None,
        };
        run_command(session, run, reporter).await
    }
}
