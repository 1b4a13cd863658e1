//! The record of runs on disk: what ran, who ran it, on which hosts, how it ended.
//!
//! A run writes a journal, one line for each thing that happens, beginning before the first host is contacted, so that
//! nothing is forgotten when this process dies. What is read of it later feeds `--failed` and `fleet history`. The
//! format is described in `docs/journal.md`, which changes with it. Must not know how hosts are worked on, nor how a
//! run is shown; and never holds a secret.

mod fate;
mod former;
mod id;
mod journal;
mod line;
mod only;
mod places;
mod store;
mod typed;

use std::io;
use std::path::PathBuf;

pub use fate::Fate;
pub use former::{BrokenLine, FormerHost, FormerRun, RunState};
pub use id::{RunId, RunIdError};
pub use journal::{Journal, Recorder};
pub use line::{Connection, Header, HeaderHost};
pub use only::{Only, OnlyError};
pub use places::Places;
pub use store::{KEPT_RUNS, Output, Store};
pub use typed::redacted;

/// The version of the format. Grows when a field changes its meaning or goes; new fields and lines do not count.
pub const VERSION: u32 = 1;

/// What a tool does on the hosts, as it is written down.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// The command line as typed, word by word, without secrets.
    pub typed: Vec<String>,
    /// The work in one line for people: for a command, its text.
    pub text: String,
    /// What the tool needs to do it again; only the tool itself reads it.
    pub again: serde_json::Value,
}

/// What goes wrong with the record of a run.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nobody says where the user's state is.
    #[error("neither XDG_STATE_HOME nor HOME is set; expected one of them to say where records are kept")]
    NoFolder,
    /// The folder of the records cannot be made or read.
    #[error("cannot use the folder of records {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A journal cannot be written to its end.
    #[error("cannot write the record {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A journal is not written to its end, and nobody knows when it will be.
    #[error("the record {} is not written to its end: the disk takes nothing", path.display())]
    Stuck {
        /// The file.
        path: PathBuf,
    },
    /// A journal cannot be read.
    #[error("cannot read the record {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A journal does not begin with what a journal begins with.
    #[error("{}:1: {found}; expected the line with which the record of a run begins", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A journal of a format that is not known here.
    #[error("{} has the format {found}; expected {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: u32,
    },
    /// There is no run of that name.
    #[error("there is no run \"{text}\"; expected \"last\", or the id of a run, its start or its end")]
    UnknownRun {
        /// As typed.
        text: String,
    },
    /// Several runs have that name.
    #[error("\"{text}\" could be {}", candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    AmbiguousRun {
        /// As typed.
        text: String,
        /// The runs.
        candidates: Vec<RunId>,
    },
    /// Nothing was recorded yet.
    #[error("no run{} is recorded", tool.as_ref().map(|tool| format!(" of {tool}")).unwrap_or_default())]
    NoRun {
        /// The tool, if only its runs count.
        tool: Option<String>,
    },
}

impl RecordError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFolder => "set HOME, or --no-record to do without a record",
            Self::Folder { .. } | Self::Write { .. } | Self::Stuck { .. } => {
                "check the folder's owner and the space on its disk; --no-record does without a record"
            }
            Self::Version { .. } => "read it with the version of fleet that wrote it",
            Self::UnknownRun { .. } | Self::AmbiguousRun { .. } => "fleet history lists the runs",
            Self::NoRun { .. } => "each run is recorded from its start, unless --no-record says otherwise",
            Self::Read { .. } | Self::Header { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
