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
    /// How much is said about what goes on.
    pub detail: Detail,
    /// How much may be held at once.
    pub limits: Limits,
    /// With [`Layout::Json`]: the name of the run's record, if it has one.
    pub run: Option<String>,
    /// With [`Layout::Json`]: whether it is also said which hosts gave equal answers, and what does not count for that.
    pub json_groups: Option<Ignored>,
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
            detail: Detail::Normal,
            limits: Limits::default(),
            run: None,
            json_groups: None,
        }
    }
}

/// How much is said about what goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// To a person only: the waves.
    Normal,
    /// Waves and further attempts, also into files (`-v`).
    Verbose,
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
    /// All of a host's output at once, under a header (`--inline`).
    Blocks(BlockOrder),
    /// Each different answer once, under the hosts that gave it, at the end of the run (`--dedup`).
    Groups(GroupSettings),
    /// One JSON object a line for each event (`--json`).
    Json,
    /// None of it, and a summary only when some host is not fine (`--quiet`).
    Quiet,
}

/// The order of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOrder {
    /// As the hosts end.
    Ended,
    /// As the hosts were chosen, at the end of the run.
    Host,
    /// By exit code and other outcomes, the fine hosts first, at the end of the run.
    Code,
}

/// How equal answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// The order of the groups.
    pub order: GroupOrder,
    /// What may differ between answers that count as equal.
    pub ignored: Ignored,
    /// What is shown of the largest group.
    pub majority: Majority,
    /// What is shown of the other groups.
    pub others: Others,
}

/// The order of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// The largest first.
    #[default]
    Size,
    /// By the first host of each, as the hosts were chosen.
    Host,
    /// By exit code and other outcomes, the fine hosts first.
    Code,
}

/// What is shown of the largest group of hosts that answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Majority {
    /// Its output.
    #[default]
    Output,
    /// Only its header (`--only-different`).
    Header,
}

/// What is shown of the groups that are not the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// Their output.
    #[default]
    Output,
    /// How it differs from that of the largest (`--diff`).
    Difference,
}

/// Something in which the answers of hosts differ although they say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varying {
    /// The host's own name.
    Host,
    /// IPv4 and IPv6 addresses.
    Ip,
    /// Dates and times of day.
    Time,
    /// Process ids that are marked as such.
    Pid,
    /// All other numbers.
    Number,
}

/// A set of [`Varying`] things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored(u8);

impl Ignored {
    /// The empty set.
    pub const NOTHING: Self = Self(0);

    /// Whether nothing is ignored.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `varying` is ignored.
    #[must_use]
    pub fn has(self, varying: Varying) -> bool {
        self.0 & (1 << varying as u8) != 0
    }
}

impl FromIterator<Varying> for Ignored {
    fn from_iter<I: IntoIterator<Item = Varying>>(varying: I) -> Self {
        Self(varying.into_iter().fold(0, |set, varying| set | (1 << varying as u8)))
    }
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
    /// With [`Layout::Blocks`] and [`Layout::Groups`]: the output kept in memory; beyond it a temporary file is used.
    pub block_bytes: usize,
    /// The largest two outputs together that are compared line by line.
    pub diff_bytes: u64,
    /// How many output files are open at once.
    pub open_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 8 << 20,
            held_bytes: 256 << 20,
            block_bytes: 64 << 20,
            diff_bytes: 32 << 20,
            open_files: 128,
        }
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
