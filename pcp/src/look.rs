//! What a host has already: asked in one go before anything is sent, for `--checksum` and `--dry-run`.
//!
//! Must not know how files are sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fleet_core::event::{Event, Stream};
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_ssh::remote::{RemoteCommand, Script, StdinMode, Token, copy_look};
use fleet_ssh::{CommandRun, ExecStdin, OutputSink, Session, StdinFeed, Wrapping, run_command};
use fleet_transfer::digest::Digest;
use fleet_transfer::manifest::{EntryKind, Manifest, Selection};
use fleet_transfer::push::{Findings, Look, Share, There, digests};
use tokio::sync::OnceCell;

use crate::refusal::{self, Ended};
use crate::tally;
use crate::task::{Copy, Reporter};

/// What an answer may have, beside what each entry may take in it: the longest name (`PATH_MAX`) twice over, as escaped.
const ANSWER_BYTES: usize = 1 << 20;
const ENTRY_BYTES: usize = 2 * 4096;
/// Bytes of a script that are sent at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// The digests of the files here, made when the first host needs them.
#[derive(Debug, Default)]
pub(crate) struct Digests(OnceCell<Arc<HashMap<usize, Digest>>>);

impl Digests {
    async fn get(&self, manifest: &Arc<Manifest>) -> Result<&HashMap<usize, Digest>, HostError> {
        let make = async || {
            let manifest = Arc::clone(manifest);
            let made = tokio::task::spawn_blocking(move || Arc::new(digests(&manifest))).await;
            made.map_err(|error| HostError::local(error.to_string()))
        };
        self.0.get_or_try_init(make).await.map(AsRef::as_ref)
    }
}

impl Copy {
    /// What a host has of its share.
    pub(crate) async fn look(
        &self,
        share: &Share,
        session: &Session,
        reporter: &Reporter<'_>,
    ) -> Result<Findings, Outcome> {
        let manifest = self.push.manifest();
        let (look, mark) = (Look { manifest, selection: &share.selection }, Token::random());
        let failed = |error: String| Outcome::Failed(HostError::local(error));
        let landing = self.destinations.landing(reporter.host.index());
        let mut text = copy_look(&landing, self.receiving.missing, &mark).map_err(|error| failed(error.to_string()))?;
        text.extend(look.calls());
        let script = Script::parse(&text).map_err(|error| failed(error.to_string()))?;
        let command = script.command(&[], &mark).map_err(|error| failed(error.to_string()))?;
        let command = RemoteCommand { command, env: Vec::new(), stdin: StdinMode::Passed, grace: self.limits.grace };
        let answer = Answer::new(reporter, ANSWER_BYTES + ENTRY_BYTES * share.selection.iter().count());
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: &self.limits,
            cancel: reporter.host.cancel(),
            stdin: Some(Text(text.into())),
            sudo: self.sudo.as_ref(),
            terminal: None,
        };
        let outcome = run_command(session, run, &answer).await;
        let (said, stderr) = answer.into_parts();
        if outcome != Outcome::Exited(0) {
            return Err(match refusal::ended(outcome, &[said, stderr].concat(), &mark) {
                Ended::Failed(outcome) | Ended::NoDigest(outcome) => outcome,
                Ended::NotRun(error) => Outcome::Failed(error),
                Ended::Done => failed("the host says that it is done with what it was not asked for".to_owned()),
            });
        }
        let digests = self.digests.get(manifest).await.map_err(Outcome::Failed)?;
        look.read(&said, &mark, digests)
            .map_err(|error| Outcome::Failed(HostError::new(Stage::Command, FailureClass::Copy, error.to_string())))
    }

    /// Says what would be done on a host.
    pub(crate) async fn tell(&self, share: &Share, findings: &Findings, reporter: &Reporter<'_>) -> Outcome {
        let manifest = self.push.manifest();
        let mut entries = findings.entries.clone();
        entries.sort_unstable_by_key(|(at, _)| *at);
        let mut lines = Vec::new();
        for (at, there) in &entries {
            let entry = &manifest.entries[*at];
            let word = match (there, &entry.kind) {
                (There::Same, _) => continue,
                (There::Nothing, _) => "new",
                (There::Other, _) => "replaced",
                (There::InTheWay, _) => "in the way",
            };
            let name = self.destinations.final_path(reporter.host.index(), &entry.path, findings.destination);
            lines.extend_from_slice(format!("{word}: ").as_bytes());
            lines.extend_from_slice(name.as_os_str().as_encoded_bytes());
            lines.push(b'\n');
        }
        if !lines.is_empty() {
            reporter.host.emit(Event::Output { stream: Stream::Stdout, bytes: lines.into() }).await;
        }
        let result = tally::would_copy(manifest, &without_same(manifest, share, findings), findings);
        reporter.host.emit(Event::Result(result)).await;
        match entries.iter().find(|(_, there)| *there == There::InTheWay) {
            None => Outcome::Exited(0),
            Some((at, _)) => {
                let name = manifest.entries[*at].path.display();
                let message = format!("in the way: {name} is there, and cannot be replaced by what is copied");
                Outcome::Failed(HostError::new(Stage::Command, FailureClass::Copy, message))
            }
        }
    }
}

/// What is left of a share when nothing is sent that is there already. Folders are, as what is in them needs them.
pub(crate) fn without_same(manifest: &Manifest, share: &Share, findings: &Findings) -> Share {
    let is_same =
        |(at, there): &&(usize, There)| *there == There::Same && manifest.entries[*at].kind != EntryKind::Folder;
    let same: Vec<usize> = findings.entries.iter().filter(is_same).map(|(at, _)| *at).collect();
    Share {
        selection: share.selection.without(same.iter().copied()),
        same: Selection::of(same.into_iter().map(|at| at..at + 1)),
    }
}

/// The text of a script, as a command's input.
#[derive(Debug)]
struct Text(Bytes);

impl StdinFeed for Text {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut text = self.0.clone();
        while !text.is_empty() {
            if !stdin.send(text.split_to(text.len().min(CHUNK_BYTES))).await {
                return Ok(());
            }
        }
        stdin.close().await;
        Ok(())
    }
}

/// Keeps what a host answers, and goes no further than `limit`: a host may send for ever.
struct Answer<'a, S> {
    beside: &'a S,
    limit: usize,
    outputs: Mutex<(Vec<u8>, Vec<u8>)>,
}

impl<'a, S> Answer<'a, S> {
    fn new(beside: &'a S, limit: usize) -> Self {
        Self { beside, limit, outputs: Mutex::default() }
    }

    fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        self.outputs.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: OutputSink> OutputSink for Answer<'_, S> {
    fn announced(&self) {
        self.beside.announced();
    }

    async fn started(&self) {
        self.beside.started().await;
    }

    async fn output(&self, stream: Stream, bytes: Bytes) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = if stream == Stream::Stdout { &mut outputs.0 } else { &mut outputs.1 };
        let room = self.limit.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    async fn note(&self, text: String) {
        self.beside.note(text).await;
    }
}

#[cfg(test)]
mod tests {
    use fleet_transfer::destination::Found;
    use fleet_transfer::manifest::Entry;

    use super::*;

    #[test]
    fn what_is_the_same_is_not_sent_but_folders_are() {
        let entry = |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0, mtime: 0, uid: 0, gid: 0 };
        let file = || entry(EntryKind::File { len: 0 });
        let entries = vec![entry(EntryKind::Folder), file(), file(), entry(EntryKind::Symlink { target: "y".into() })];
        let manifest = Manifest { entries, problems: Vec::new() };
        let share = Share { selection: manifest.all(), ..Share::default() };
        let findings = Findings {
            destination: Found::Folder,
            entries: vec![(2, There::Same), (1, There::Other), (0, There::Same), (3, There::Same)],
        };
        let left = without_same(&manifest, &share, &findings);
        assert_eq!(left, Share { selection: Selection::from(0..2), same: Selection::from(2..4) });
    }
}
