//! `--via` on one host: it fetches what it would be sent, or is sent it after all.
//!
//! Must not know who keeps the object.

use fleet_core::event::{Event, Transferred};
use fleet_core::outcome::{HostError, Outcome};
use fleet_ssh::remote::{
    CopyIn, CopyRefusal, FetchFailure, RefusalKind, RemoteCommand, StdinMode, Token, copy_fetch_command, fetch_input,
};
use fleet_ssh::{CommandLimits, CommandRun, ExecStdin, Secret, Session, StdinFeed, Wrapping, run_command};
use fleet_transfer::push::{Ended, Said, Share, ended, needed_kib};

use fleet_tool::reporter::Reporter;

use crate::task::Copy;
use crate::via::Via;

/// What came of having a host fetch.
#[derive(Debug, PartialEq, Eq)]
enum Fetched {
    /// All is in place.
    Done,
    /// Nothing was changed there, and it would be the same with another way to copy.
    Failed(Outcome),
    /// Nothing was changed there, as the object did not get there; why.
    NotThere(String),
    /// Our program did not run; what the host did instead.
    NotRun(HostError),
}

impl Copy {
    /// Has a host get its share, by way of the object where there is one. Returns what is to be told of it.
    pub(crate) async fn deliver(
        &self,
        share: &Share,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<String, Outcome> {
        let Some(via) = self.object_for(share) else {
            return self.copy(share, session, reporter).await;
        };
        // In a box: without --via no host is to pay for its room.
        let reason = match Box::pin(self.fetch(via, session, reporter)).await {
            Fetched::Done => {
                let all = &self.shares[reporter.host.index()];
                return Ok(format!("{}; via S3", self.told(all, &via.sent().failures)?));
            }
            Fetched::Failed(outcome) => return Err(outcome),
            // It would not run the other program either.
            Fetched::NotRun(error) if !reporter.has_announced() => return Err(Outcome::Failed(error)),
            Fetched::NotRun(error) => error.message,
            Fetched::NotThere(reason) => reason,
        };
        let told = not_via(&reason);
        reporter.remark(told.clone()).await;
        Ok(format!("{}; {told}", self.copy(share, session, reporter).await?))
    }

    /// The object that a host is to fetch for its share, if it is to fetch one.
    pub(crate) fn object_for(&self, share: &Share) -> Option<&Via> {
        // It holds all: not for those that only lack a folder.
        self.via.as_deref().filter(|_| self.push.manifest().totals(&share.selection).files > 0)
    }

    async fn fetch(&self, via: &Via, session: &Session, reporter: &Reporter<'_>) -> Fetched {
        let host = reporter.host;
        let (manifest, share) = (self.push.manifest(), &self.shares[host.index()]);
        let mark = Token::random();
        let needed = needed_kib(manifest.selected(&share.selection));
        let copy = self.receiving.copy_in(self.destinations.landing(host.index()));
        let copy = CopyIn { needed_kib: Some(needed), ..copy };
        let command = match copy_fetch_command(&copy, &mark) {
            Ok(command) => command,
            Err(error) => return Fetched::Failed(Outcome::Failed(HostError::local(error.to_string()))),
        };
        let command = RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Passed, grace: self.limits.grace };
        let said = Said::new(reporter);
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: &CommandLimits { stall: None, ..self.limits },
            cancel: host.cancel(),
            stdin: Some(Url(via.url())),
            sudo: self.sudo.as_ref(),
            terminal: None,
        };
        let of = manifest.totals(&share.selection).bytes;
        host.emit(Event::Progress(Transferred { bytes: 0, of: Some(of) })).await;
        let outcome = run_command(session, run, &said).await;
        let fetched = read(outcome, &via.redacted(&said.bytes()), &mark);
        if fetched == Fetched::Done {
            host.emit(Event::Progress(Transferred { bytes: of, of: Some(of) })).await;
        }
        fetched
    }
}

/// What the command that was marked so came to, by its outcome and all that it said.
fn read(outcome: Outcome, said: &[u8], mark: &Token) -> Fetched {
    let refusal = CopyRefusal::find(said, mark);
    let failure = FetchFailure::find(said, mark).filter(|failure| !failure.is_of_receiver());
    let is_broken =
        matches!(&refusal, Some(refusal) if matches!(refusal.kind, RefusalKind::Cut | RefusalKind::Damaged));
    let is_failed = matches!(&refusal, Some(refusal) if refusal.kind == RefusalKind::Failed);
    if matches!(outcome, Outcome::Exited(_)) {
        match (failure, refusal) {
            (Some(failure), None) => return Fetched::NotThere(failure.to_string()),
            (Some(failure), Some(_)) if is_broken || is_failed => return Fetched::NotThere(failure.to_string()),
            (None, Some(refusal)) if is_broken => return Fetched::NotThere(refusal.to_string()),
            _ => {}
        }
    }
    match ended(outcome, said, mark) {
        Ended::Done => Fetched::Done,
        Ended::Failed(outcome) | Ended::NoDigest(outcome) => Fetched::Failed(outcome),
        Ended::NotRun(error) => Fetched::NotRun(error),
    }
}

/// What is told of a host that is sent what it was to fetch.
pub(crate) fn not_via(reason: &str) -> String {
    format!("not via S3: {reason}")
}

/// What lets the host fetch, on the input of what fetches and nowhere else.
struct Url<'a>(&'a Secret);

impl StdinFeed for Url<'_> {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        if stdin.send(fetch_input(self.0.expose()).into()).await {
            stdin.close().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fleet_core::outcome::{LastOutput, Stop, StopCause};

    use super::*;

    fn end(outcome: Outcome, words: &[&str]) -> Fetched {
        let said: String = words.iter().map(|words| format!("\x1efleet 00000000000000ab {words}\n")).collect();
        read(outcome, said.as_bytes(), &Token::new(0xab))
    }

    #[test]
    fn another_way_is_tried_only_where_the_object_did_not_get_there() {
        let not_there = |text: &str| Fetched::NotThere(text.to_owned());
        let forbidden = "fetch curl 22 curl: (22) The requested URL returned error: 403";
        for (code, words, expected) in [
            (0, &["done"][..], Some(Fetched::Done)),
            (1, &["fetch none 127"], Some(not_there("the host has neither curl nor GNU wget"))),
            (
                1,
                &[forbidden, "error cut the stream ended too early: x"],
                Some(not_there("curl: (22) The requested URL returned error: 403")),
            ),
            (
                1,
                &["error damaged a is not what was sent"],
                Some(not_there("damaged on the way: a is not what was sent")),
            ),
            (1, &["error no-folder /x is missing"], None),
            (1, &["error no-room 4 3", "fetch curl 23 curl: (23) Failed writing body"], None),
            (1, &["error no-room 4 3", forbidden], None),
            (
                1,
                &["error damaged x", "fetch curl 23 curl: (23) Failed writing body"],
                Some(not_there("damaged on the way: x")),
            ),
        ] {
            let found = end(Outcome::Exited(code), words);
            match expected {
                Some(expected) => assert_eq!(found, expected, "{words:?}"),
                None => assert!(matches!(found, Fetched::Failed(_)), "{words:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_was_stopped_is_not_tried_in_another_way() {
        let (cause, stop) = (StopCause::Cancelled, Stop::Confirmed);
        let stopped = Outcome::Stopped { cause, stop, output: LastOutput::Complete };
        let found = end(stopped.clone(), &["fetch curl 143", "error cut the copy was interrupted"]);
        assert_eq!(found, Fetched::Failed(stopped));
    }
}
