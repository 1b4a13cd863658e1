//! Lines that have no effect, to be named once for a run.
//!
//! Must not know how they are shown.

use std::collections::HashSet;
use std::fmt;

use super::error::Place;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// The user's file or one that it includes.
    User,
    /// The system's file or one that it includes.
    System,
}

/// Why a line has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// OpenSSH knows the keyword; the text says why it does nothing here.
    Unsupported(&'static str),
    /// OpenSSH does not know the keyword either.
    Unknown,
    /// Some of the algorithms named by the line are not supported, and not offered. The text has them.
    UnknownAlgorithms(String),
    /// A `Match` with a condition that cannot be judged here: its block applies to no host.
    UnsupportedMatch,
}

/// A line that applies to some host of the run and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The keyword as written; for [`NoticeKind::UnsupportedMatch`] the condition.
    pub keyword: String,
    /// Why it has none.
    pub kind: NoticeKind,
    /// The line, where the keyword was met first.
    pub place: Place,
    /// Whose line it is.
    pub origin: Origin,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyword, place, .. } = self;
        match &self.kind {
            NoticeKind::Unsupported(reason) => write!(f, "{place}: {keyword} has no effect: {reason}"),
            NoticeKind::Unknown => write!(f, "{place}: {keyword} has no effect: it is not an ssh_config option"),
            NoticeKind::UnknownAlgorithms(names) => write!(f, "{place}: {keyword} leaves out {names}: not supported"),
            NoticeKind::UnsupportedMatch => {
                write!(f, "{place}: the block applies to no host: Match {keyword} is not supported")
            }
        }
    }
}

/// The notices of a run, each keyword once.
#[derive(Debug, Default)]
pub(super) struct Notices {
    seen: HashSet<String>,
    fresh: Vec<Notice>,
}

impl Notices {
    /// Notes that a line had no effect.
    pub(super) fn add(&mut self, notice: &Notice) {
        let kind = match notice.kind {
            NoticeKind::UnsupportedMatch => "match ",
            _ => "",
        };
        if self.seen.insert(format!("{kind}{}", notice.keyword.to_ascii_lowercase())) {
            self.fresh.push(notice.clone());
        }
    }

    /// Those that were not taken yet, in the order in which they were met.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.fresh)
    }
}
