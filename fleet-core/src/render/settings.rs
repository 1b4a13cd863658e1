//! What the caller decides about rendering: layout, destinations, colours, limits.
//!
//! Values only. Must not read arguments, environment or terminals.

use std::path::PathBuf;

use crate::host::Host;

/// How a run is to be shown.
#[derive(Clone, Debug)]
pub struct RenderSettings {
    /// The name that starts our own lines, such as `psh`.
    pub program: String,
    /// How the hosts' output is laid out.
    pub layout: Layout,
    /// Where a file for each host's standard output is written as well.
    pub stdout_folder: Option<PathBuf>,
    /// Where a file for each host's standard error is written as well.
    pub stderr_folder: Option<PathBuf>,
    /// Where both are written as well, with the record of the run.
    pub recorded: Option<OutputFolders>,
    /// What standard output is.
    pub stdout: Destination,
    /// What standard error is.
    pub stderr: Destination,
    /// Where colours are used.
    pub color: Color,
    /// Whether a progress line is wanted, if standard error is a terminal.
    pub progress: ProgressLine,
    /// How much may be held at once.
    pub limits: Limits,
}

impl RenderSettings {
    /// Plain lines with prefixes into pipes: no folders, colours or progress line.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            layout: Layout::Lines(Prefix::Name),
            stdout_folder: None,
            stderr_folder: None,
            recorded: None,
            stdout: Destination::Stream,
            stderr: Destination::Stream,
            color: Color::Never,
            progress: ProgressLine::Hidden,
            limits: Limits::default(),
        }
    }
}

/// Where the output of hosts is kept with the record of their run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFolders {
    /// A file for each host's standard output.
    pub stdout: PathBuf,
    /// A file for each host's standard error.
    pub stderr: PathBuf,
}

/// How the hosts' output is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole lines as they come.
    Lines(Prefix),
    /// All of a host's output at once, under a header, when the host is done (`--inline`).
    Blocks,
    /// One JSON object a line for each event (`--json`).
    Json,
    /// None of it, and a summary only when some host is not fine (`--quiet`).
    Quiet,
}

/// What a line of a host's output starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The host's name.
    Name,
    /// Nothing. With a single host the bytes pass as they are, a missing last newline included.
    None,
}

/// What is at the other end of standard output or standard error.
#[derive(Clone, Copy, Debug)]
pub enum Destination {
    /// A person's screen: remote text is made harmless, lists are shortened.
    Terminal {
        /// Gives the present width in characters.
        columns: fn() -> u16,
    },
    /// A pipe or a file: bytes pass untouched, lists are complete.
    Stream,
}

impl Destination {
    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// The width in characters, where there is one.
    pub(super) fn columns(self) -> Option<usize> {
        match self {
            Self::Terminal { columns } => Some(usize::from(columns()).max(20)),
            Self::Stream => None,
        }
    }
}

/// Where colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Towards terminals.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere, as for `NO_COLOR`.
    Never,
}

/// Whether a progress line is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressLine {
    /// On standard error, if that is a terminal.
    Shown,
    /// Not at all: also the choice where standard output is a pipe, as its reader may write to the same terminal.
    Hidden,
}

/// How much may be held at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest line kept whole; a longer one is shown in pieces.
    pub line_bytes: usize,
    /// What all unfinished lines may hold together; beyond it the longest is shown in pieces.
    pub held_bytes: usize,
    /// With [`Layout::Blocks`]: the output kept in memory; beyond it a temporary file is used.
    pub block_bytes: usize,
    /// How many output files are open at once.
    pub open_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 8 << 20, held_bytes: 256 << 20, block_bytes: 64 << 20, open_files: 128 }
    }
}

/// One host as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLabel {
    /// What the user typed or the group says: `[user@]name[:port]`. Two hosts may have the same.
    pub name: String,
}

impl From<&Host> for HostLabel {
    fn from(host: &Host) -> Self {
        Self { name: host.to_string() }
    }
}
