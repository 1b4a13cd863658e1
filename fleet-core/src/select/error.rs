//! Why there is nothing to run on, and what to do about it.
//!
//! Must not know how hosts are chosen.

use crate::host::HostSyntaxError;
use crate::hostset::HostSetError;
use crate::inventory::{Ambiguous, PatternError, did_you_mean};

/// How many group names a hint lists.
const LISTED_GROUPS: usize = 20;

/// Why there is nothing to run on.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// `-H` is given something that is no host set.
    #[error("-H: {0}")]
    HostSet(HostSetError),
    /// `-H` is given something that is no host.
    #[error("-H: {0}")]
    Host(HostSyntaxError),
    /// `-H` names a host that is known with several users or ports.
    #[error("-H: {0}")]
    Ambiguous(Ambiguous),
    /// `-g` or `-x` is given a malformed pattern.
    #[error("{flag}: {problem}")]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        problem: PatternError,
    },
    /// Nobody defines the group.
    #[error("{flag}: there is no group \"{name}\"")]
    UnknownGroup {
        /// The flag.
        flag: &'static str,
        /// The name.
        name: String,
        /// Known groups with similar names.
        nearest: Vec<String>,
        /// All known groups.
        known: Vec<String>,
    },
    /// A pattern matches no known host.
    #[error("-g: no known host matches \"{pattern}\"")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// How many hosts it was tried on.
        tried: usize,
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
        format!("choose hosts by -H HOST, -h FILE or -g GROUP; {known}; {}", known_groups(&self.groups))
    }
}

fn known_groups(groups: &[String]) -> String {
    let listed = groups[..groups.len().min(LISTED_GROUPS)].join(", ");
    match groups.len() {
        0 => "no groups are known".to_owned(),
        count if count > LISTED_GROUPS => format!("known groups: {listed} and {} more", count - LISTED_GROUPS),
        _ => format!("known groups: {listed}"),
    }
}

impl SelectError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::HostSet(HostSetError::Group { item }) => Some(format!("-g {} chooses a group", &item[1..])),
            Self::HostSet(HostSetError::NotARange { .. })
            | Self::Host(HostSyntaxError::Character { character: '*' | '?', .. }) => {
                Some("-g takes a pattern over the names of known hosts".to_owned())
            }
            Self::Ambiguous(_) => Some("type the host with its user or port".to_owned()),
            Self::UnknownGroup { nearest, known, .. } => {
                let known = known_groups(known);
                Some(did_you_mean(nearest).map_or(known.clone(), |question| format!("{question} {known}")))
            }
            Self::NoMatch { tried: 0, .. } => {
                Some("no hosts are known: name a host file by -h, or in fleet.toml".to_owned())
            }
            Self::NoMatch { tried, .. } => Some(format!("{tried} hosts are known; -g '*' --list shows them")),
            Self::SshArguments { .. } => {
                Some("-x excludes hosts here; ssh options are given by -O Key=Value".to_owned())
            }
            Self::Empty(empty) => Some(empty.hint()),
            Self::HostSet(_) | Self::Host(_) | Self::Pattern { .. } | Self::ZeroLimit => None,
        }
    }
}
