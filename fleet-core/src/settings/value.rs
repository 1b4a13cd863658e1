//! Values of settings that are words or paths.
//!
//! Must not know which source they come from.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::host::Host;

/// What to do about host keys that are not known. A changed or revoked key is refused by all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HostKeyPolicy {
    /// Refuse them.
    #[default]
    Strict,
    /// Accept them and add them to the first known_hosts file of the user.
    AcceptNew,
    /// Accept them, for this time only.
    Off,
}

impl HostKeyPolicy {
    /// Every policy, the safest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::AcceptNew, Self::Off];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::AcceptNew => "accept-new",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for HostKeyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is none of those a setting takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; expected {expected}")]
pub struct UnknownWord {
    /// As written.
    pub found: String,
    /// The words taken.
    pub expected: &'static str,
}

impl FromStr for HostKeyPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownWord { found: text.to_owned(), expected: "strict, accept-new or off" };
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(unknown)
    }
}

/// Which OpenSSH configuration to read instead of ssh's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshConfigFile {
    /// Nothing at all; written `none`, as for `ssh -F`.
    None,
    /// This file only.
    Path(PathBuf),
}

impl From<PathBuf> for SshConfigFile {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("none") { Self::None } else { Self::Path(path) }
    }
}

/// Which host and group files are read besides those that flags name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaticSource {
    /// The host files of `hosts`.
    Hosts,
    /// The group sources of ClusterShell.
    ClusterShell,
    /// The genders file.
    Genders,
}

impl StaticSource {
    /// Every source, in the order in which they are read.
    pub const ALL: [Self; 3] = [Self::Hosts, Self::ClusterShell, Self::Genders];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::ClusterShell => "clustershell",
            Self::Genders => "genders",
        }
    }
}

impl FromStr for StaticSource {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownWord { found: text.to_owned(), expected: "hosts, clustershell or genders" };
        Self::ALL.into_iter().find(|source| source.name() == text).ok_or_else(unknown)
    }
}

/// Whether a host may be named with this user.
pub(super) fn is_user_name(name: &str) -> bool {
    format!("{name}@host").parse::<Host>().is_ok()
}

/// `written`, with `~/` at its head replaced by the home folder and, if it is relative, below `folder`.
///
/// `None` when there is no home folder.
pub(super) fn locate(written: &Path, folder: &Path, home: Option<&OsStr>) -> Option<PathBuf> {
    match written.strip_prefix("~") {
        Ok(rest) => home.map(|home| Path::new(home).join(rest)),
        Err(_) => Some(folder.join(written)),
    }
}
