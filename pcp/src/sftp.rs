//! A host that runs no commands: its share is copied by SFTP.
//!
//! Must not know the protocol.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleet_core::event::{Event, Transferred};
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_ssh::Session;
use fleet_ssh::remote::Token;
use fleet_transfer::push::{Share, incomplete, needed_kib, refused};
use fleet_transfer::sftp::push::{Flow, LeftOut, Owner, Push, Verified, look, push};
use fleet_transfer::sftp::{Connection, Watch, instead_of_command};
use fleet_transfer::throttle::Pace;
use tokio_util::sync::CancellationToken;

use fleet_tool::reporter::Reporter;

use crate::fetch::not_via;
use crate::tally;
use crate::task::{Copy, Knowledge, Purpose};

/// How often the progress of a host is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

impl Copy {
    /// Copies to a host on which nothing of ours has run, if it offers SFTP; `outcome` is what there is to tell otherwise.
    pub(crate) async fn instead(
        &self,
        outcome: Outcome,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<Outcome, Outcome> {
        let Some(connection) = instead_of_command(session, &outcome, self.limits.channel, reporter).await else {
            return Err(outcome);
        };
        if self.knowledge == Knowledge::Asked(Purpose::DryRun) {
            return self.tell_by_sftp(connection, session, reporter).await;
        }
        if self.then.is_some() {
            let error = failed("the host runs no commands, so --then cannot follow").with_hint("copy without --then");
            return Err(Outcome::Failed(error));
        }
        self.copy_by_sftp(connection, session, reporter).await
    }

    /// Says what would be done.
    async fn tell_by_sftp(
        &self,
        connection: Connection,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<Outcome, Outcome> {
        let (host, stop) = (reporter.host, CancellationToken::new());
        let (share, client) = (&self.shares[host.index()], connection.client().clone());
        let watch = Watch { session, limits: &self.limits, cancel: host.cancel(), stop: &stop };
        let landing = self.destinations.landing(host.index());
        let look = look(&client, self.push.manifest(), &share.selection, landing, self.receiving.missing);
        let work = async {
            tokio::select! {
                findings = look => Some(findings),
                () = stop.cancelled() => None,
            }
        };
        let findings = connection.work(&watch, work).await?.map_err(|refusal| Outcome::Failed(refused(&refusal)))?;
        Ok(self.tell(share, &findings, reporter).await)
    }

    async fn copy_by_sftp(
        &self,
        connection: Connection,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<Outcome, Outcome> {
        let (host, mark) = (reporter.host, mark(reporter.host.index()));
        let share = &self.shares[host.index()];
        let (wanted, of) = (self.by_sftp(host.index(), &mark)?, self.push.manifest().totals(&share.selection).bytes);
        let (client, stop) = (connection.client().clone(), CancellationToken::new());
        let progress = Progress { pace: self.push.pace(), bytes: AtomicU64::new(0) };
        let watch = Watch { session, limits: &self.limits, cancel: host.cancel(), stop: &stop };
        let telling = async {
            loop {
                let bytes = progress.bytes.load(Ordering::Relaxed);
                host.emit(Event::Progress(Transferred { bytes, of: Some(of) })).await;
                tokio::time::sleep(TELL_EVERY).await;
            }
        };
        let copied = tokio::select! {
            copied = connection.work(&watch, push(&client, &wanted, &progress, &stop)) => copied?,
            never = telling => never,
        };
        let left_out = copied.map_err(|refusal| Outcome::Failed(refused(&refusal)))?;
        host.emit(Event::Progress(Transferred { bytes: of, of: Some(of) })).await;
        if left_out.is_empty() {
            host.emit(Event::Result(self.told_by_sftp(share))).await;
            return Ok(Outcome::Exited(0));
        }
        Err(Outcome::Failed(self.incomplete_by(&left_out, host.index())))
    }

    /// What is asked of the engine.
    fn by_sftp<'a>(&'a self, host: usize, mark: &'a Token) -> Result<Push<'a>, Outcome> {
        let (share, manifest) = (&self.shares[host], self.push.manifest());
        let owner = self.receiving.owner.as_deref().map(str::parse::<Owner>).transpose();
        Ok(Push {
            manifest,
            selection: &share.selection,
            source: self.push.plain_source(),
            landing: self.destinations.landing(host),
            missing: self.receiving.missing,
            needed_kib: Some(needed_kib(manifest.selected(&share.selection))),
            attributes: self.receiving.attributes,
            owner: owner.map_err(|error| Outcome::Failed(failed(format!("--owner: {error}"))))?,
            replaced: self.receiving.replaced,
            verified: match self.knowledge {
                Knowledge::None => Verified::ByLength,
                Knowledge::Asked(_) => Verified::ByReading,
            },
            mark,
        })
    }

    fn told_by_sftp(&self, share: &Share) -> String {
        let told = tally::copied(self.push.manifest(), share);
        match self.object_for(share) {
            Some(_) => format!("{told}; {}", not_via("the host offers only SFTP")),
            None => told,
        }
    }

    fn incomplete_by(&self, left_out: &LeftOut, host: usize) -> HostError {
        let totals = self.push.manifest().totals(&self.shares[host].selection);
        let kept = (totals.files + totals.symlinks).saturating_sub(left_out.len() as u64);
        incomplete(left_out, kept)
    }
}

/// Marks the copy to a host: the same for each attempt of this run, so that one removes what the one before has left.
fn mark(host: usize) -> Token {
    static RUN: LazyLock<u64> = LazyLock::new(rand::random);
    Token::new(RUN.wrapping_add(host as u64))
}

fn failed(text: impl Into<String>) -> HostError {
    HostError::new(Stage::Command, FailureClass::Copy, text)
}

/// Keeps to the limits, and counts.
struct Progress<'a> {
    pace: Pace<'a>,
    bytes: AtomicU64,
}

impl Flow for Progress<'_> {
    async fn before(&self, bytes: u64) {
        self.pace.wait(bytes).await;
    }

    fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
