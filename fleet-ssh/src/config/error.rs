//! What can be wrong with the configuration, and where.
//!
//! Must not know how it is shown.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand::ExpandError;

/// Where a directive is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Given on the command line; the text as typed.
    Option(Arc<str>),
    /// A line of a file, counted from 1.
    Line {
        /// The file as it was opened.
        file: Arc<Path>,
        /// The number of the line.
        line: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(text) => write!(f, "option \"{text}\""),
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// Why the configuration of a host cannot be told. ssh(1) refuses to go on in the same cases.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The user that runs the program has neither an entry in the password file nor a name in the environment.
    #[error("uid {uid} has no name: expected an entry in /etc/passwd, or LOGNAME and HOME in the environment")]
    NoUser {
        /// The user's number.
        uid: u32,
    },
    /// A file is there, or was asked for by name, and cannot be read.
    #[error("cannot read the ssh configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could have written the file.
    #[error(
        "bad owner or permissions on {}: expected a file of yours or of root that only its owner can write",
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// A line that cannot be understood.
    #[error("{place}: {keyword}: expected {expected}, found {}", or_nothing(.found))]
    Syntax {
        /// The line.
        place: Place,
        /// The keyword of the line as written.
        keyword: String,
        /// What would have been right.
        expected: &'static str,
        /// What stands there; empty when nothing does.
        found: String,
    },
    /// Algorithms that we do not know, asked for on the command line.
    #[error("{place}: {unknown} is not supported; expected names out of {known}")]
    Algorithm {
        /// The line.
        place: Place,
        /// The names, with commas.
        unknown: String,
        /// The names there are, with commas.
        known: String,
    },
    /// A line without words to make sense of: a quote that never ends, bytes that are no text.
    #[error("{place}: {problem}")]
    Line {
        /// The line.
        place: Place,
        /// What is wrong with it, and what was expected.
        problem: &'static str,
    },
    /// Files that include each other, or a chain of them longer than ssh(1) allows.
    #[error("{place}: files are included more than {limit} deep: expected no file that includes itself")]
    IncludeDepth {
        /// The `Include` line.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// A `%` token or `${VARIABLE}` has no value here.
    #[error("{place}: {problem} (in \"{text}\")")]
    Expand {
        /// The line of the value.
        place: Place,
        /// The value before expansion.
        text: String,
        /// Which one, and what was expected.
        problem: ExpandError,
    },
    /// The command of a `Match exec` could not be run to its end.
    #[error("{place}: Match exec \"{command}\": {problem}")]
    MatchExec {
        /// The `Match` line.
        place: Place,
        /// The command after expansion.
        command: String,
        /// What happened to it.
        problem: String,
    },
    /// A `RefuseConnection` line applies to the host.
    #[error("{place}: the configuration refuses the connection: {reason}")]
    Refused {
        /// The line.
        place: Place,
        /// The words of the line.
        reason: String,
    },
    /// A jump host that can only be reached through itself.
    #[error("{place}: jump host loop via {host}: expected \"ProxyJump none\" for the jump host itself")]
    JumpLoop {
        /// The line that names the jump host.
        place: Place,
        /// The jump host.
        host: String,
    },
}

fn or_nothing(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("\"{text}\"") }
}
