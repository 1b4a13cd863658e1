//! Has a host receive its share: starts the program there, feeds it, and stops it when it takes nothing for too long.
//!
//! Must not know how hosts are connected, nor what is told of them.

use std::convert::Infallible;

use fleet_core::outcome::{HostError, Outcome, StopCause};
use fleet_ssh::remote::{CopyIn, RemoteCommand, StdinMode, Token, Verify, copy_in_command};
use fleet_ssh::{CommandLimits, CommandRun, OutputSink, Session, Sudo, Wrapping, run_command};

use tokio_util::sync::CancellationToken;

use super::feed::{Feed, FeedState, Said};
use super::refusal::{Ended, ended};
use super::{Push, Sent, Share, needed_kib};

/// The way to one host.
pub struct Delivery<'a, S> {
    /// What is copied to all.
    pub push: &'a Push,
    /// Where it goes there, and how it is received; how much room it takes is found out here.
    pub copy: CopyIn<'a>,
    /// Connected to the host.
    pub session: &'a Session,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
    /// Those of its command.
    pub limits: &'a CommandLimits,
    /// As whom it is received, if not as the user who logs in.
    pub sudo: Option<&'a Sudo>,
    /// Hears of all but what the program says.
    pub beside: &'a S,
}

impl<S: OutputSink> Delivery<'_, S> {
    /// Sends a host its share. One without the program that verifies it is sent it once more, for SHA-256.
    pub async fn send(&self, share: &Share) -> (Ended, Sent) {
        let (ended, sent) = self.send_verified(share, self.copy.verify).await;
        if !matches!(ended, Ended::NoDigest(_)) || self.copy.verify == Verify::Sha256 {
            return (ended, sent);
        }
        let remark = "the host has no cksum: verified by SHA-256, for which the source is read once more";
        self.beside.note(remark.to_owned()).await;
        Box::pin(self.send_verified(share, Verify::Sha256)).await
    }

    async fn send_verified(&self, share: &Share, verify: Verify) -> (Ended, Sent) {
        let manifest = self.push.manifest();
        let (mark, needed) = (Token::random(), needed_kib(manifest.selected(&share.selection)));
        let copy = CopyIn { needed_kib: Some(needed), verify, ..self.copy };
        let command = match copy_in_command(&copy, &mark) {
            Ok(command) => command,
            Err(error) => {
                return (Ended::Failed(Outcome::Failed(HostError::local(error.to_string()))), Sent::default());
            }
        };
        let command = RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Passed, grace: self.limits.grace };
        let (state, said) = (FeedState::new(), Said::new(self.beside));
        let content_bytes = manifest.totals(&share.selection).bytes;
        let feed = Feed { push: self.push, share, verify, beside: self.beside, content_bytes, state: &state };
        let outcome = self.run(&command, feed, &said).await;
        (ended(outcome, &said.bytes(), &mark), state.sent().unwrap_or_default())
    }

    async fn run(&self, command: &RemoteCommand, feed: Feed<'_, S>, said: &Said<'_, S>) -> Outcome {
        let (cancel, state) = (self.cancel.child_token(), feed.state);
        // It has nothing to say before its end: what counts is whether it takes what it is sent.
        let limits = CommandLimits { stall: None, ..*self.limits };
        let run = CommandRun {
            command,
            wrapping: Wrapping::Shell,
            limits: &limits,
            cancel: &cancel,
            stdin: Some(feed),
            sudo: self.sudo,
            terminal: None,
        };
        let stalling = async {
            match self.limits.stall {
                Some(limit) => state.stalled(limit).await,
                None => std::future::pending().await,
            }
            cancel.cancel();
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = run_command(self.session, run, said) => outcome,
            never = stalling => match never {},
        };
        match (outcome, self.limits.stall) {
            (Outcome::Stopped { cause: StopCause::Cancelled, stop, output }, Some(limit))
                if !self.cancel.is_cancelled() =>
            {
                Outcome::Stopped { cause: StopCause::Untaken(limit), stop, output }
            }
            (outcome, _) => outcome,
        }
    }
}
