//! What a host has already: asked in one go before anything is sent, for `--checksum` and `--dry-run`.
//!
//! Must not know how files are sent.

use std::collections::HashMap;
use std::sync::Arc;

use fleet_core::event::{Event, Stream};
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_ssh::Session;
use fleet_ssh::remote::{Token, copy_look};
use fleet_transfer::digest::Digest;
use fleet_transfer::manifest::{EntryKind, Manifest, Selection};
use fleet_transfer::push::{Answer, Ask, Ended, Findings, Look, Share, There, digests, ended};
use tokio::sync::OnceCell;

use fleet_tool::reporter::Reporter;

use crate::tally;
use crate::task::Copy;

/// What an answer may have, beside what each entry may take in it: the longest name (`PATH_MAX`) twice over, as escaped.
const ANSWER_BYTES: usize = 1 << 20;
const ENTRY_BYTES: usize = 2 * 4096;

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
        let ask = Ask {
            text,
            limit: ANSWER_BYTES + ENTRY_BYTES * share.selection.iter().count(),
            session,
            cancel: reporter.host.cancel(),
            limits: &self.limits,
            sudo: self.sudo.as_ref(),
            beside: reporter,
        };
        let Answer { outcome, stdout, stderr } = ask.run(&mark).await.map_err(Outcome::Failed)?;
        if outcome != Outcome::Exited(0) {
            return Err(match ended(outcome, &[stdout, stderr].concat(), &mark) {
                Ended::Failed(outcome) | Ended::NoDigest(outcome) => outcome,
                Ended::NotRun(error) => Outcome::Failed(error),
                Ended::Done => failed("the host says that it is done with what it was not asked for".to_owned()),
            });
        }
        let digests = self.digests.get(manifest).await.map_err(Outcome::Failed)?;
        look.read(&stdout, &mark, digests)
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
