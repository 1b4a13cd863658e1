//! Why there is no inventory, and what to do about it.
//!
//! Must not know how it is made.

use std::path::{Path, PathBuf};

use super::TermError;
use super::file::HOST_LINE;
use crate::host::Host;
use crate::hostset::ExpressionError;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A host file cannot be read.
    #[error("cannot read the host file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder of groups cannot be read.
    #[error("cannot read {}", path.display())]
    ReadSource {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a file is none of those it may be.
    #[error("{}:{line}: {found}; expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with what stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A group's definition is no expression.
    #[error("{origin}: {problem}")]
    Definition {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        problem: ExpressionError,
    },
    /// A term of a group's definition means nothing.
    #[error("{origin}: {problem}")]
    Term {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        problem: Box<TermError>,
    },
    /// A group's name cannot be written in a selection.
    #[error("{origin}: {found}; expected {expected}")]
    GroupName {
        /// Where the group is defined.
        origin: String,
        /// What is wrong.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A group's definition leads back to itself.
    #[error("{origin}: the group is part of itself: {}", chain.join(" -> "))]
    Cycle {
        /// Where the group is defined.
        origin: String,
        /// From the group, over the groups it names, back to it.
        chain: Vec<String>,
    },
}

impl InventoryError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the path; \"-\" reads the hosts from standard input".to_owned())
            }
            Self::Line { path, expected, .. } if *expected == HOST_LINE && is_yaml(path) => Some(format!(
                "host files are plain lists or INI; `ansible all -i {} --list-hosts` lists the hosts of an inventory in YAML",
                path.display()
            )),
            Self::Term { problem, .. } => problem.hint(),
            _ => None,
        }
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// A host typed without user or port that is known with several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{typed}\" could be {}", .known.iter().map(Host::to_string).collect::<Vec<_>>().join(" or "))]
pub struct Ambiguous {
    /// As typed.
    pub typed: Host,
    /// What it could mean.
    pub known: Vec<Host>,
}
