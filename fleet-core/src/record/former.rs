//! A run as its journal tells it.
//!
//! Tolerant: unknown fields and lines are passed over, a torn last line is what a dying process leaves, and other broken
//! lines are named. Texts are as they stand in the file: make them harmless before a terminal sees them (problems are
//! harmless already). Must not know where journals are kept.

use std::collections::BTreeMap;
use std::path::Path;

use super::line::{FinishedLine, Line, StageLine, StartedLine};
use super::{Fate, Header, RecordError, RunId, VERSION};
use crate::endpoint::{Endpoint, Instance};
use crate::render::sanitized_line;

/// A run of which there is a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct FormerRun {
    /// Its id.
    pub id: RunId,
    /// What was known before it began.
    pub header: Header,
    /// What became of its hosts, in their order.
    pub hosts: Vec<FormerHost>,
    /// Whether and how it ended.
    pub state: RunState,
    /// The lines that say nothing that can be understood.
    pub broken: Vec<BrokenLine>,
}

/// A host of a former run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FormerHost {
    /// `[user@]name[:port]`, as it was chosen.
    pub host: String,
    /// The group it was chosen by.
    pub group: Option<String>,
    /// Where it was reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider calls it, if it has one.
    pub instance: Option<Instance>,
    /// What became of it.
    pub fate: Fate,
    /// How often it was started.
    pub attempts: u32,
    /// How long its last attempt took, in seconds.
    pub seconds: Option<f64>,
}

/// Whether and how a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It is going on.
    Running,
    /// Its process went without a last word: what it had started may still run.
    Died,
    /// It came to its end.
    Ended {
        /// What the tool returned.
        exit_status: u8,
        /// `complete`, `interrupted` or `abandoned`, as in `--json`.
        completion: String,
        /// How long it took, in seconds.
        seconds: f64,
    },
}

/// A line of a journal that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Whether the process that writes a journal is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Alive,
    Gone,
}

impl FormerRun {
    pub(super) fn parse(id: RunId, path: &Path, bytes: &[u8], writer: Writer) -> Result<Self, RecordError> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
        let header = header(path, lines.next().map_or(b"", |(_, line)| line))?;
        let hosts = header.hosts.iter().map(|known| FormerHost {
            host: known.host.clone(),
            group: known.group.clone(),
            endpoint: known.endpoint.clone(),
            instance: known.instance.clone(),
            ..FormerHost::default()
        });
        let state = match writer {
            Writer::Alive => RunState::Running,
            Writer::Gone => RunState::Died,
        };
        let mut run = Self { id, hosts: hosts.collect(), header, state, broken: Vec::new() };
        for (place, line) in lines {
            let told = serde_json::from_slice(line).map_err(|error| harmless(&error)).and_then(|line| run.take(line));
            // The last line of a process that died while it wrote.
            let is_torn = !line.ends_with(b"\n");
            if let Err(problem) = told
                && !is_torn
            {
                run.broken.push(BrokenLine { line: place + 1, problem });
            }
        }
        Ok(run)
    }

    /// The hosts that are not fine.
    pub fn not_fine(&self) -> impl Iterator<Item = &FormerHost> {
        self.hosts.iter().filter(|host| !host.fate.is_fine())
    }

    /// The name of a host's fate: while the run goes on, a host without an end is `running` or `waiting`.
    #[must_use]
    pub fn name_of<'a>(&self, host: &'a FormerHost) -> &'a str {
        match (&self.state, &host.fate) {
            (RunState::Running, Fate::Started { .. }) => "running",
            (RunState::Running, Fate::NotStarted) => "waiting",
            (_, fate) => fate.name(),
        }
    }

    /// The fate of a host in words, equal for hosts with an equal fate.
    #[must_use]
    pub fn words_of(&self, host: &FormerHost) -> String {
        match (&self.state, &host.fate) {
            (RunState::Running, Fate::Started { stage: Some(stage) }) => format!("running, last seen at: {stage}"),
            (RunState::Running, Fate::Started { .. } | Fate::NotStarted) => self.name_of(host).to_owned(),
            (_, fate) => fate.words(),
        }
    }

    /// How many hosts have which fate, by its name: those that are fine first, then the most frequent.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for host in &self.hosts {
            *counts.entry(self.name_of(host)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(name, count)| (*name != "ok", usize::MAX - count));
        counts
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Started(StartedLine { index, attempt, .. }) => {
                let host = self.host(index)?;
                host.attempts = attempt;
                host.fate = Fate::Started { stage: None };
            }
            Line::Stage(StageLine { index, stage, .. }) => {
                let host = self.host(index)?;
                if let Fate::Started { stage: last } = &mut host.fate {
                    *last = Some(stage);
                }
            }
            Line::Finished(line) => {
                let FinishedLine { index, seconds, .. } = *line;
                let host = self.host(index)?;
                host.seconds = seconds;
                host.fate = line.into_fate();
            }
            Line::Summary(summary) => {
                self.state = RunState::Ended {
                    exit_status: summary.exit_status,
                    completion: summary.completion,
                    seconds: summary.at,
                };
            }
            Line::Run(_) => return Err("a second first line".to_owned()),
            Line::Other => {}
        }
        Ok(())
    }

    fn host(&mut self, index: usize) -> Result<&mut FormerHost, String> {
        let hosts = self.hosts.len();
        self.hosts.get_mut(index).ok_or_else(|| format!("host {index} of {hosts} hosts"))
    }
}

/// What the parser says may repeat what stands in the file.
fn harmless(error: &serde_json::Error) -> String {
    sanitized_line(&error.to_string())
}

fn header(path: &Path, line: &[u8]) -> Result<Header, RecordError> {
    let refused = |found: String| RecordError::Header { path: path.to_owned(), found };
    match serde_json::from_slice(line) {
        Ok(Line::Run(header)) if header.v == VERSION => Ok(*header),
        Ok(Line::Run(header)) => Err(RecordError::Version { path: path.to_owned(), found: header.v }),
        Ok(_) => Err(refused("found another line".to_owned())),
        Err(error) => Err(refused(harmless(&error))),
    }
}
