//! How many hosts at once, as a person writes it: `auto`, or a number.
//!
//! Must not know how the number follows from `auto`.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// How many hosts are worked on at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallel {
    /// As many as go well.
    #[default]
    Auto,
    /// So many, no more and no less.
    Exactly(NonZeroUsize),
}

/// Why a text is no number of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; expected {expected}", expected = Parallel::EXPECTED)]
pub struct ParallelError {
    /// As written.
    pub found: String,
}

impl Parallel {
    /// What is taken, in words.
    pub(super) const EXPECTED: &str = "the number of hosts to work on at once, 1 or more, or \"auto\"";
}

impl From<NonZeroUsize> for Parallel {
    fn from(hosts: NonZeroUsize) -> Self {
        Self::Exactly(hosts)
    }
}

impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(hosts) => hosts.fmt(f),
        }
    }
}

impl FromStr for Parallel {
    type Err = ParallelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Exactly).map_err(|_| ParallelError { found: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_hosts_or_auto_is_taken_and_shown_as_written() {
        for text in ["auto", "1", "500"] {
            assert_eq!(text.parse::<Parallel>().unwrap().to_string(), text);
        }
        for text in ["0", "-1", "many", "", "1.5", "Auto"] {
            let expected =
                format!("found {text:?}; expected the number of hosts to work on at once, 1 or more, or \"auto\"");
            assert_eq!(text.parse::<Parallel>().unwrap_err().to_string(), expected);
        }
    }
}
