//! The work on one host: connect, hold the conversation with its rsync, run what comes after.
//!
//! Must not know other hosts, flags or terminals.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use fleet_core::event::{Event, Stream};
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::{Outcome, SkipCause, StopCause};
use fleet_ssh::remote::{RemoteCommand, StdinMode, sh_quote};
use fleet_ssh::{CommandLimits, CommandRun, Session, Wrapping, run_command};
use fleet_transfer::sync::{Changed, Conversation, Pass, Sync, SyncEnd, Tar};
use tracing::Instrument as _;

use crate::ending::{NoSync, Unable, judged};
use crate::engine::Engine;
use crate::exchange::{Exchange, Feed};
use crate::on_host::Access;
use crate::question::Question;
use crate::release::{self, Target};
use crate::safety::MostDeleted;
use crate::switch::Beginning;
use crate::tally;

/// Brings every host of a run to the state of the sources.
pub(crate) struct Bring {
    pub(crate) access: Access,
    pub(crate) sync: Arc<Sync>,
    /// For hosts that are synced by tar.
    pub(crate) tar: Arc<Tar>,
    pub(crate) engine: Engine,
    /// Where to, on each host, but for releases.
    pub(crate) destinations: Vec<Vec<u8>>,
    /// What is started there: words of its shell.
    pub(crate) program: Vec<u8>,
    pub(crate) purpose: Purpose,
    /// What share of a destination may be deleted; hosts are asked before.
    pub(crate) most_deleted: Option<MostDeleted>,
    /// Who is asked where more would be deleted.
    pub(crate) question: Option<Question>,
    /// `--atomic`
    pub(crate) beginning: Option<Arc<Beginning>>,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Change,
    DryRun,
}

impl Task for Bring {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.access.hosts[host.index()].host);
        let outcome = self.run_on(&host).instrument(span).await.unwrap_or_else(|outcome| outcome);
        if let Some(beginning) = &self.beginning {
            beginning.ended(&host, &outcome);
        }
        outcome
    }
}

impl Bring {
    async fn run_on(&self, host: &HostContext) -> Result<Outcome, Outcome> {
        let session = self.access.connected(host).await?;
        let outcome = match &self.beginning {
            Some(beginning) => Box::pin(self.release(beginning, &session, host)).await,
            None => self.work(&Target::plain(&self.destinations[host.index()]), &session, host).await,
        };
        let outcome = outcome.unwrap_or_else(|outcome| outcome);
        tracing::info!(outcome = outcome.name(), "ended");
        session.disconnect().await;
        Ok(outcome)
    }

    /// A folder for the release, and what is done for it; it is gone again if that fails.
    async fn release(&self, beginning: &Beginning, session: &Session, host: &HostContext) -> Result<Outcome, Outcome> {
        let (release, root) = (&beginning.release, &beginning.roots[host.index()]);
        if self.purpose == Purpose::DryRun {
            let said = self.access.run_script(release::look(root), session, host).await?;
            return self.work(&release.compared(root, &said), session, host).await;
        }
        let said = self.access.run_script(release.begin(root), session, host).await?;
        let worked = self.work(&release.target(root, &said), session, host).await;
        if worked.is_err() {
            // What is left there is removed by a later release.
            let _ = self.access.run_script(release.abandon(root), session, host).await;
        }
        worked
    }

    /// All that is done on a host; an error is what ended it early.
    async fn work(&self, target: &Target, session: &Session, host: &HostContext) -> Result<Outcome, Outcome> {
        // In a box: few hosts need it, and every one would pay for its room.
        let (end, engine) = match self.engine {
            Engine::Tar => (Box::pin(self.by_tar(target, session, host)).await?, Engine::Tar),
            Engine::Auto | Engine::Native | Engine::Rsync => match self.by_server(target, session, host).await {
                Ok(end) => (end, Engine::Native),
                Err(NoSync::Unable(Unable { reason, .. })) if self.engine == Engine::Auto => {
                    self.access.reporter(host).remark(format!("{reason}: engine=tar")).await;
                    (Box::pin(self.by_tar(target, session, host)).await?, Engine::Tar)
                }
                Err(NoSync::Unable(Unable { outcome, .. }) | NoSync::Ended(outcome)) => return Err(outcome),
            },
        };
        host.emit(Event::Result(tally::brought(&end, self.purpose, engine))).await;
        Ok(self.access.run_after(session, host).await)
    }

    /// The host's own rsync receives.
    async fn by_server(&self, target: &Target, session: &Session, host: &HostContext) -> Result<SyncEnd, NoSync> {
        if let Some(most) = self.most_deleted {
            let (outcome, end) = self.converse(Pass::Rehearsal, target, session, host).await;
            judged(outcome, &end)?;
            self.may_delete(most, &end, host).await?;
        }
        let (outcome, end) = self.converse(Pass::Plan, target, session, host).await;
        self.tell_changes(&end, host).await;
        judged(outcome, &end)?;
        Ok(end)
    }

    /// Looks at what a rehearsal would have deleted. Where it is too much, somebody is asked, if there is somebody.
    pub(crate) async fn may_delete(&self, most: MostDeleted, end: &SyncEnd, host: &HostContext) -> Result<(), Outcome> {
        let Err(excess) = most.check(end, self.sync.summary().entries) else { return Ok(()) };
        let refused = || Outcome::Failed(excess.refused(most));
        let question = self.question.as_ref().ok_or_else(refused)?;
        let is_allowed = tokio::select! {
            is_allowed = question.is_allowed(self.access.hosts[host.index()].host.name(), excess) => is_allowed,
            () = host.cancel().cancelled() => return Err(Outcome::Skipped(SkipCause::Interrupted)),
        };
        if is_allowed { Ok(()) } else { Err(refused()) }
    }

    /// The lines of `-i` are the host's output, so that hosts with equal ones are shown together.
    pub(crate) async fn tell_changes(&self, end: &SyncEnd, host: &HostContext) {
        let changes = in_order(&end.changes);
        for some in changes.chunks(256) {
            let mut lines = Vec::new();
            for changed in some {
                lines.extend(escaped(&self.sync.line(changed)));
                lines.push(b'\n');
            }
            host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from(lines) }).await;
        }
    }

    async fn converse(&self, pass: Pass, target: &Target, session: &Session, host: &HostContext) -> (Outcome, SyncEnd) {
        let conversation = Conversation::new(&self.sync, pass);
        let command = RemoteCommand {
            command: self.command(target, pass),
            env: Vec::new(),
            stdin: StdinMode::Passed,
            grace: self.access.limits.grace,
        };
        let (cancel, exchange) = (host.cancel().child_token(), Exchange::new(&conversation, host));
        // It may have nothing to say while it takes what it is sent.
        let limits = CommandLimits { stall: None, ..self.access.limits };
        let run = CommandRun {
            command: &command,
            // Bare, so that keys that are restricted to rsync work; it ends by itself when its input does.
            wrapping: if self.access.sudo.is_some() { Wrapping::Shell } else { Wrapping::Raw },
            limits: &limits,
            cancel: &cancel,
            stdin: Some(Feed(&exchange)),
            sudo: self.access.sudo.as_ref(),
            terminal: None,
        };
        let stalling = async {
            match self.access.limits.stall {
                Some(limit) => exchange.stalled(limit).await,
                None => std::future::pending().await,
            }
            cancel.cancel();
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = run_command(session, run, &exchange) => outcome,
            never = stalling => match never {},
        };
        let outcome = match (outcome, self.access.limits.stall) {
            (Outcome::Stopped { cause: StopCause::Cancelled, stop, output }, Some(limit))
                if !host.cancel().is_cancelled() =>
            {
                Outcome::Stopped { cause: StopCause::Untaken(limit), stop, output }
            }
            (outcome, _) => outcome,
        };
        (outcome, conversation.finish())
    }

    fn command(&self, target: &Target, pass: Pass) -> Vec<u8> {
        let (mut command, mut words) = (self.program.clone(), self.sync.words(&target.folder, pass));
        // Options come before the last two words, which are paths.
        let end = words.len().saturating_sub(2);
        words.splice(end..end, target.link.clone());
        for word in words {
            command.push(b' ');
            command.extend(sh_quote(&word));
        }
        command
    }
}

/// In an order that does not depend on when a server told what: what is deleted first, from the bottom up.
fn in_order(changes: &[Changed]) -> Vec<&Changed> {
    let mut changes: Vec<&Changed> = changes.iter().collect();
    changes.sort_by(|one, other| match (one, other) {
        (Changed::Deleted { path, .. }, Changed::Deleted { path: other, .. }) => other.cmp(path),
        (Changed::Entry { index, .. }, Changed::Entry { index: other, .. }) => index.cmp(other),
        (Changed::Deleted { .. }, Changed::Entry { .. }) => Ordering::Less,
        (Changed::Entry { .. }, Changed::Deleted { .. }) => Ordering::Greater,
    });
    changes
}

/// A line with names in it: control characters as rsync writes them, `\#012`, so that it stays one line.
fn escaped(line: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(line.len());
    for &byte in line {
        if byte < 0x20 || byte == 0x7f {
            escaped.extend_from_slice(format!("\\#{byte:03o}").as_bytes());
        } else {
            escaped.push(byte);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_end_is_one_line() {
        assert_eq!(escaped(b"<f+++++++++ a\nb\t\xff\x7f"), b"<f+++++++++ a\\#012b\\#011\xff\\#177");
    }
}
