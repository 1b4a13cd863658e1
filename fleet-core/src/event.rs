//! What a running host says while it runs.
//!
//! Values only: made by tasks, read by the fan-out and the renderers.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::outcome::{Outcome, Stage};

/// The place of a host in the run: 0 for the first. What events are attributed by; a name may occur twice.
pub type HostIndex = usize;

/// Which of a command's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in `--json` and in diffs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Something that happened on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its turn has come.
    Started,
    /// It has entered a stage.
    Stage(Stage),
    /// It sent bytes: any number, split anywhere, never changed.
    Output {
        /// By which output.
        stream: Stream,
        /// What it sent.
        bytes: Bytes,
    },
    /// A remark of ours about this host, such as a second try.
    Note(String),
    /// How much of a copy is done so far. At most some times in a second.
    Progress(Transferred),
    /// What the work of this host came to, where its outcome alone does not say it: `12 files, 3.4 MB`. Equal for hosts
    /// with an equal result, as these are one group in the summary.
    Result(String),
    /// This attempt failed, and there will be another. What the host sends from now on belongs to that one.
    Retry(Retry),
    /// It has ended. The last event of a host.
    Finished(Outcome),
}

/// How much of a copy is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes of the contents of files so far, in this attempt.
    pub bytes: u64,
    /// How many there are in all, where that is known.
    pub of: Option<u64>,
}

/// Another attempt on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Its number; 2 is the first that is announced.
    pub attempt: u32,
    /// Why the attempt before failed: [`Outcome::reason`].
    pub reason: String,
    /// How long it is put off, at least.
    pub pause: Duration,
}

/// Hosts that are worked on before any later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// From 1.
    pub number: usize,
    /// How many waves the run has.
    pub of: usize,
    /// What it is for.
    pub kind: WaveKind,
    /// The hosts.
    pub hosts: Range<HostIndex>,
}

/// What a wave is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaveKind {
    /// `--canary`: the first hosts, which show whether it is safe to go on.
    Canary,
    /// `--batch`, or all the rest.
    Batch,
}

/// An event and the host it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEvent {
    /// Which host.
    pub index: HostIndex,
    /// When, counted from the start of the run. The only time that renderers know.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}
