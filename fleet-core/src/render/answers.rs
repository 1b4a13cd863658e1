//! Which hosts gave equal answers: the same outcome, the same standard output, the same standard error.
//!
//! Must not know how the groups are shown.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::RenderError;
use super::contents::{Contents, Digest};
use super::held::StreamKey;
use super::normalize::Normalizer;
use super::settings::{GroupOrder, HostLabel, Ignored};
use crate::event::{Event, HostEvent, HostIndex, Stream};
use crate::outcome::Outcome;

/// The answers of all hosts.
pub(super) struct Answers {
    names: Vec<String>,
    ignored: Ignored,
    /// For the running hosts, where something is ignored.
    normalizers: HashMap<StreamKey, Normalizer>,
    contents: Contents,
    groups: HashMap<AnswerKey, Group>,
}

/// What is equal for the hosts of a group.
#[derive(PartialEq, Eq, Hash)]
struct AnswerKey {
    outcome: &'static str,
    reason: Option<String>,
    stdout: Digest,
    stderr: Digest,
}

/// Hosts that gave the same answer.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// In the order of the run; never empty.
    pub(super) hosts: Vec<HostIndex>,
    /// That of the first host that ended; the reasons of the others are the same.
    pub(super) outcome: Outcome,
    pub(super) stdout: Digest,
    pub(super) stderr: Digest,
}

impl Answers {
    /// Compares the answers that `contents` takes.
    pub(super) fn new(hosts: &[HostLabel], ignored: Ignored, contents: Contents) -> Self {
        Self {
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            ignored,
            normalizers: HashMap::new(),
            contents,
            groups: HashMap::new(),
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        match &event.event {
            Event::Output { stream, bytes } => self.append((event.index, *stream), bytes),
            Event::Finished(outcome) => self.end(event.index, outcome),
            Event::Retry(_) => {
                self.forget(event.index);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The answer of a host is complete. One that was never asked gave none.
    pub(super) fn end(&mut self, index: HostIndex, outcome: &Outcome) -> Result<(), RenderError> {
        if matches!(outcome, Outcome::Skipped(_)) {
            return Ok(());
        }
        let key = AnswerKey {
            outcome: outcome.name(),
            reason: outcome.reason(),
            stdout: self.end_stream((index, Stream::Stdout))?,
            stderr: self.end_stream((index, Stream::Stderr))?,
        };
        let (stdout, stderr) = (key.stdout, key.stderr);
        let new = || Group { hosts: Vec::new(), outcome: outcome.clone(), stdout, stderr };
        self.groups.entry(key).or_insert_with(new).hosts.push(index);
        Ok(())
    }

    /// The groups so far.
    pub(super) fn groups(&self, order: GroupOrder) -> Vec<Group> {
        let mut groups: Vec<Group> = self.groups.values().cloned().collect();
        for group in &mut groups {
            group.hosts.sort_unstable();
        }
        groups.sort_by_key(|group| group.hosts[0]);
        match order {
            GroupOrder::Host => {}
            GroupOrder::Size => groups.sort_by_key(|group| Reverse(group.hosts.len())),
            GroupOrder::Code => {
                groups.sort_by_cached_key(|group| (by_code(&group.outcome), Reverse(group.hosts.len())));
            }
        }
        groups
    }

    /// What the hosts said, as far as it counts.
    pub(super) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The answer is that of the last attempt alone.
    fn forget(&mut self, index: HostIndex) {
        for key in [(index, Stream::Stdout), (index, Stream::Stderr)] {
            self.normalizers.remove(&key);
            self.contents.forget(key);
        }
    }

    fn append(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), RenderError> {
        if self.ignored.is_empty() {
            return self.contents.append(key, bytes);
        }
        let new = || Normalizer::new(self.ignored, &self.names[key.0]);
        let normalized = self.normalizers.entry(key).or_insert_with(new).push(bytes);
        self.contents.append(key, normalized)
    }

    fn end_stream(&mut self, key: StreamKey) -> Result<Digest, RenderError> {
        if let Some(normalizer) = self.normalizers.remove(&key) {
            self.contents.append(key, &normalizer.finish())?;
        }
        Ok(self.contents.end(key))
    }
}

impl Group {
    /// Whether the command of these hosts ran, so that there is an answer to compare.
    pub(super) fn has_run(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed(_) | Outcome::Skipped(_))
    }
}

/// What outcomes are ordered by: exit codes from 0 on, then signals, then what we stopped or what still runs, then failures.
pub(super) fn by_code(outcome: &Outcome) -> (u8, u32, Option<String>) {
    let (kind, code) = match outcome {
        Outcome::Exited(code) => (0, *code),
        Outcome::Signalled(_) => (1, 0),
        Outcome::Stopped { .. } => (2, 0),
        Outcome::Running | Outcome::NotReady(_) => (3, 0),
        Outcome::Failed(_) => (4, 0),
        Outcome::Skipped(_) => (5, 0),
    };
    (kind, code, outcome.reason())
}

/// The place of the group that the others are compared with: the largest whose command ran.
pub(super) fn majority(groups: &[Group]) -> Option<usize> {
    let ran = groups.iter().enumerate().filter(|(_, group)| group.has_run());
    ran.min_by_key(|(_, group)| (Reverse(group.hosts.len()), group.hosts[0])).map(|(place, _)| place)
}
