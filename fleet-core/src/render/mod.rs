//! Shows a run to its user: the hosts' output, a progress line, the summary; as text, as JSON, as files.
//!
//! Renderers run on a thread of their own, so they may block on a slow terminal. They have no clock: every event says
//! when it happened. Must not know SSH, nor how the work is scheduled.

mod answers;
mod assemble;
mod blocks;
mod chunks;
mod console;
mod contents;
mod difference;
mod display;
mod files;
mod groups;
mod held;
mod json;
mod lines;
mod listed;
mod normalize;
mod notes;
mod outflow;
mod paint;
mod progress;
mod settings;
mod slowest;
mod spill;
mod summary;
mod terminal;
#[cfg(test)]
mod testing;
mod transfers;
mod upload;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::event::{HostEvent, Wave};
use crate::outcome::{ExitStatus, Report};
use crate::pace::Change;
use crate::sanitize;

pub use display::build;
pub use files::file_names;
pub use listed::{excluded, known_groups, listed};
pub use outflow::Outflow;
pub use sanitize::{copy_sanitized, sanitized_line};
pub use settings::{
    BlockOrder, Color, Destination, Detail, GroupOrder, GroupSettings, HostLabel, Ignored, Layout, Limits, Majority,
    Others, OutputFolders, Prefix, ProgressLine, RenderSettings, Varying,
};
pub use terminal::{destination, progress_line, stderr_columns};
pub use upload::{UploadDisplay, UploadStep};

/// Shows what happens, in the order in which it is told. One that shows less leaves the defaults, which do nothing.
pub trait Renderer: Send {
    /// Shows one event. Nothing is sure to be visible before [`Renderer::flush`].
    ///
    /// # Errors
    /// When something cannot be written. After [`RenderError::File`] the renderer may be used further: only the file
    /// named is given up, each file fails once, and the summary names the hosts whose files are incomplete. After any
    /// other error only [`Renderer::finish`] makes sense.
    fn event(&mut self, event: &HostEvent) -> Result<(), RenderError>;

    /// Counts what gets out, so that others see whether anybody takes it.
    fn outflow(&self) -> Outflow {
        Outflow::default()
    }

    /// Says something about the run as a whole, at once.
    ///
    /// # Errors
    /// When standard error cannot be written.
    fn notice(&mut self, _: &str) -> Result<(), RenderError> {
        Ok(())
    }

    /// Says that a wave begins, `at` this time since the start of the run.
    ///
    /// # Errors
    /// When standard output or standard error cannot be written.
    fn wave(&mut self, _: &Wave, _: Duration) -> Result<(), RenderError> {
        Ok(())
    }

    /// Says that another number of hosts may log in at once, `at` this time since the start of the run.
    ///
    /// # Errors
    /// When standard output or standard error cannot be written.
    fn limit(&mut self, _: Change, _: Duration) -> Result<(), RenderError> {
        Ok(())
    }

    /// Names the hosts that have run longest, with their stages, at this time since the start of the run.
    ///
    /// # Errors
    /// When standard error cannot be written.
    fn slowest(&mut self, _: Occasion, _: Duration) -> Result<(), RenderError> {
        Ok(())
    }

    /// Writes out what is held back and takes the progress line away until the next call: another writes there now.
    ///
    /// # Errors
    /// As [`Renderer::flush`].
    fn make_room(&mut self) -> Result<(), RenderError> {
        Ok(())
    }

    /// Redraws the progress line; to be called some times a second with the time since the start of the run.
    ///
    /// # Errors
    /// As [`Renderer::flush`].
    fn tick(&mut self, _: Duration) -> Result<(), RenderError> {
        Ok(())
    }

    /// Writes what is held back for the sake of fewer writes; to be called whenever no event is waiting.
    ///
    /// # Errors
    /// When standard output or standard error cannot be written.
    fn flush(&mut self) -> Result<(), RenderError> {
        Ok(())
    }

    /// Shows what is still held of hosts that never finished, then the summary.
    ///
    /// # Errors
    /// When standard output or standard error cannot be written.
    fn finish(&mut self, report: &Report, ending: &Ending) -> Result<(), RenderError>;
}

/// Why the slowest hosts are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A person asked.
    Asked,
    /// Nothing was heard from any host for so long.
    Silence(Duration),
}

/// How the run as a whole ended: what the summary says beside the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// From the start of the run to its end.
    pub elapsed: Duration,
    /// The exit status that the tool will return.
    pub status: ExitStatus,
    /// Whether it ran to its end.
    pub completion: Completion,
}

/// Whether a run came to its end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Every host had its turn.
    Complete,
    /// A signal or a rule of the run ended it; every command was waited for.
    Interrupted,
    /// It was left at once, without waiting for the commands that were running.
    Abandoned,
}

impl Completion {
    /// The name in `--json` and in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Why the end of what was to be shown is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutCause {
    /// Nobody took any of it for so long.
    Stuck(Duration),
    /// A signal asked to leave at once.
    Signal,
}

impl fmt::Display for CutCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck(limit) => write!(f, "nobody took any of it for {}", humantime::format_duration(*limit)),
            Self::Signal => f.write_str("a signal came before all of it was written"),
        }
    }
}

/// Why something could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Nobody reads standard output or standard error any more. Ends the run without a word.
    #[error("nobody reads {to} any more")]
    BrokenPipe {
        /// Standard output or standard error.
        to: &'static str,
    },
    /// What was still to be shown, the summary with it, was given up.
    #[error("output cut: {0}")]
    Cut(CutCause),
    /// Standard output or standard error cannot be written.
    #[error("cannot write to {to}")]
    Write {
        /// Standard output or standard error.
        to: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A host's output file cannot be created or written; it holds less than the host sent.
    #[error("cannot write {path}, so the output of {host} is incomplete", path = .path.display())]
    File {
        /// Whose output it is.
        host: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the output files cannot be made.
    #[error("cannot create the folder {path} for output files", path = .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Both outputs of a host would be written to the same file.
    #[error("standard output and standard error cannot both be kept in {path}", path = .path.display())]
    SameFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Output that is kept until its host is done does not fit in memory, nor in a temporary file.
    #[error("cannot keep the output of running hosts in a temporary file (in {folder})", folder = .folder.display())]
    Spill {
        /// Where temporary files are.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
