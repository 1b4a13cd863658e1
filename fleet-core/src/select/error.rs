//! Why there is nothing to run on, and what to do about it.
//!
//! Must not know how hosts are chosen.

use crate::hostset::ExpressionError;
use crate::inventory::{TermError, known_groups};

/// Why there is nothing to run on.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A flag is given something that is no expression.
    #[error("{flag}: {problem}")]
    Expression {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        problem: ExpressionError,
    },
    /// A term means nothing.
    #[error("{flag}: {problem}")]
    Term {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        problem: Box<TermError>,
    },
    /// `-x` is used as in pssh.
    #[error("-x: \"{value}\" is no host; expected hosts to exclude")]
    SshArguments {
        /// What was given.
        value: String,
    },
    /// `--limit 0`.
    #[error("--limit: found 0; expected the number of hosts to run on, 1 or more")]
    ZeroLimit,
    /// No host is left, or none was asked for.
    #[error("no hosts are selected{}", .0.reason())]
    Empty(Empty),
}

/// What is known about a selection without hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Empty {
    /// The selecting flags, as typed: `-g web`.
    pub asked: Vec<String>,
    /// How many hosts `-x` removed.
    pub excluded: usize,
    /// How many hosts are known.
    pub known: usize,
    /// The known groups.
    pub groups: Vec<String>,
    /// What there is that is like what was asked for, a line each.
    pub misses: Vec<String>,
}

impl Empty {
    fn reason(&self) -> String {
        match (self.asked.is_empty(), self.excluded) {
            (true, _) => String::new(),
            (false, 0) => format!(": {} names none", self.asked.join(" ")),
            (false, 1) => format!(": -x removes the only one of {}", self.asked.join(" ")),
            (false, excluded) => format!(": -x removes all {excluded} of {}", self.asked.join(" ")),
        }
    }

    fn hint(&self) -> String {
        let known = match self.known {
            0 => "no hosts are known from host files or fleet.toml".to_owned(),
            1 => "1 host is known".to_owned(),
            known => format!("{known} hosts are known, -g '*' chooses all"),
        };
        if !self.misses.is_empty() {
            return self.misses.join("; ");
        }
        format!("choose hosts by -H HOST, -h FILE or -g GROUP; {known}; {}", known_groups(&self.groups))
    }
}

impl SelectError {
    /// Whether something is asked for that no source has.
    #[must_use]
    pub fn is_unknown_group(&self) -> bool {
        matches!(self, Self::Term { problem, .. } if matches!(**problem, TermError::UnknownGroup { .. }))
    }

    /// Whether it may be said better by somebody who knows all hosts.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Term { problem, .. } => {
                matches!(**problem, TermError::UnknownGroup { .. } | TermError::NoMatch { .. })
            }
            Self::Empty(Empty { asked, excluded, .. }) => *excluded == 0 && !asked.is_empty(),
            Self::Expression { .. } | Self::SshArguments { .. } | Self::ZeroLimit => false,
        }
    }

    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Term { problem, .. } => problem.hint(),
            Self::SshArguments { .. } => {
                Some("-x excludes hosts here; ssh options are given by -O Key=Value".to_owned())
            }
            Self::Empty(empty) => Some(empty.hint()),
            Self::Expression { .. } | Self::ZeroLimit => None,
        }
    }
}
