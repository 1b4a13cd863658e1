//! The lines of a journal, as they are written and read. Documented in `docs/journal.md`, which changes with them.
//!
//! Where `--json` says the same thing, the names are the same. Must not know files.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Fate;
use crate::endpoint::{Endpoint, Instance};
use crate::event::HostIndex;
use crate::outcome::{Outcome, Stop};
use crate::provider::protocol::NativeFilter;

/// A line. What a later version adds is read as [`Line::Other`], and its new fields are passed over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Line {
    Run(Box<Header>),
    Started(StartedLine),
    Stage(StageLine),
    Finished(Box<FinishedLine>),
    Summary(SummaryLine),
    #[serde(other)]
    Other,
}

/// The first line: all that is known before the first host is contacted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The version of the format.
    pub v: u32,
    /// The tool, such as `psh`.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// The command line as typed, word by word, without secrets.
    pub typed: Vec<String>,
    /// The work in one line for people.
    pub command: String,
    /// What the tool needs to do it again.
    pub again: serde_json::Value,
    /// What the flags said about how to connect.
    pub connection: Connection,
    /// `user@machine`.
    pub who: String,
    /// The folder it was started in.
    pub cwd: String,
    /// When, in RFC 3339 and UTC.
    pub start: String,
    /// The process.
    pub pid: u32,
    /// Whether the hosts' output is kept.
    pub output: bool,
    /// The run that the hosts were taken from, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The hosts in their order; the place is the index.
    pub hosts: Vec<HeaderHost>,
}

/// A host as it was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderHost {
    /// `[user@]name[:port]`.
    pub host: String,
    /// The group it was chosen by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it was reached, if its name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// What its provider calls it, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

/// The flags that decide whom we log in as, and where: without them the same hosts would not be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// `-l`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `-F`: `none`, or an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<String>,
    /// `-O`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_options: Vec<String>,
    /// `--identity`: absolute paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<String>,
    /// `--address`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
    /// `--region`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// `--profile`: only its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `--filter`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<NativeFilter>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartedLine {
    pub(super) at: f64,
    pub(super) index: HostIndex,
    #[serde(default = "first")]
    pub(super) attempt: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StageLine {
    pub(super) at: f64,
    pub(super) index: HostIndex,
    pub(super) stage: String,
}

/// How an attempt on a host ended. The fields are those of `finished` in `--json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FinishedLine {
    pub(super) at: f64,
    pub(super) index: HostIndex,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    pub(super) outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) may_still_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The last line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SummaryLine {
    pub(super) at: f64,
    pub(super) counts: BTreeMap<String, usize>,
    pub(super) exit_status: u8,
    pub(super) completion: String,
}

fn first() -> u32 {
    1
}

impl FinishedLine {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let mut line = Self { outcome: outcome.name().to_owned(), reason: outcome.reason(), ..FinishedLine::default() };
        match outcome {
            Outcome::Exited(code) => line.exit_code = Some(*code),
            Outcome::Signalled(signal) => line.signal = Some(signal.clone()),
            Outcome::Stopped { stop, .. } => line.may_still_run = Some(matches!(stop, Stop::Unconfirmed(_))),
            Outcome::Failed(error) => {
                line.stage = Some(error.stage.name().to_owned());
                line.class = Some(error.class.name().to_owned());
            }
            _ => {}
        }
        line
    }

    pub(super) fn into_fate(self) -> Fate {
        let Self { outcome, exit_code, stage, may_still_run, reason, .. } = self;
        Fate::Ended { outcome, exit_code, stage, may_still_run: may_still_run.unwrap_or_default(), reason }
    }
}

/// Seconds to the millisecond.
pub(super) fn secs(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A line with its newline.
pub(super) fn bytes_of(line: &Line) -> Vec<u8> {
    // To memory, and every map key is a string: there is nothing that could fail.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
