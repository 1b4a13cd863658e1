//! The sources as they are on this machine: named ones to entries, in an order that is always the same.
//!
//! A source is a file, a folder, or with a trailing slash what is in a folder. Names are ordered by their bytes, a
//! folder before what is in it. Must not know hosts beyond their number, nor where the entries go.

mod gather;
mod walk;
mod wildcard;

use std::io;
use std::path::{Path, PathBuf};

pub use self::gather::{Gathered, HostSources, Source, gather};
use super::destination::last_name;
use super::filter::Filter;
use super::manifest::{Entry, Problem};

/// What becomes of symlinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They are copied as symlinks.
    #[default]
    Kept,
    /// What they lead to is copied in their place.
    Followed,
}

/// How sources are read.
#[derive(Clone, Debug, Default)]
pub struct ScanSettings {
    /// What becomes of symlinks.
    pub links: Links,
    /// What is left out.
    pub filter: Filter,
}

/// What one source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// What it holds.
    pub entries: Vec<Entry>,
    /// What could not be taken.
    pub problems: Vec<Problem>,
    /// What it is.
    pub shape: Shape,
}

/// What a source is, as far as it decides where its entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One file or symlink.
    File,
    /// A folder with its name.
    Folder,
    /// What is in a folder.
    Contents,
    /// Whatever a pattern matches, be it one or many.
    Matches,
}

/// Why sources cannot be copied at all.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is none of that name.
    #[error("cannot copy {}", source_path.display())]
    Unusable {
        /// As typed, filled for the host.
        source_path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has a trailing slash and is no folder.
    #[error("cannot copy {}: expected a folder where a name ends in a slash", source_path.display())]
    NoFolder {
        /// As typed, filled for the host.
        source_path: PathBuf,
    },
    /// Nothing is so named.
    #[error("nothing matches {}", pattern.display())]
    NoMatch {
        /// As typed, filled for the host.
        pattern: PathBuf,
    },
    /// It cannot be matched.
    #[error("{problem} in the pattern \"{}\"; expected *, ? or [a-c]", pattern.display())]
    Pattern {
        /// As typed, filled for the host.
        pattern: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Two things would have one name on the hosts.
    #[error("{} and {} would both become {}", first.display(), second.display(), path.display())]
    Collision {
        /// That name, relative to the destination.
        path: PathBuf,
        /// Where the one is.
        first: PathBuf,
        /// Where the other is.
        second: PathBuf,
    },
}

/// Reads one source. It is a pattern when it has `*`, `?` or `[` in it and nothing has that very name.
///
/// # Errors
/// When there is no such thing, or nothing matches. What is wrong below a source is a [`Problem`] instead.
pub fn scan(source: &Path, settings: &ScanSettings) -> Result<Scanned, ScanError> {
    let (named, matches) = match wildcard::expand(source)? {
        Some(matches) => (matches, Some(Shape::Matches)),
        None => (vec![source.to_owned()], None),
    };
    let mut walk = walk::Walk::new(settings);
    let mut shape = Shape::Matches;
    for source in named {
        let found = walk.source(&source).map_err(|reason| match reason.kind() {
            io::ErrorKind::NotADirectory if last_is_slash(&source) => {
                ScanError::NoFolder { source_path: source.clone() }
            }
            _ => ScanError::Unusable { source_path: source.clone(), source: reason },
        })?;
        shape = matches.unwrap_or(found);
    }
    Ok(Scanned { entries: walk.entries, problems: walk.problems, shape })
}

/// The name that a source has at the destination; what is in it goes there when it has none, as of `.`, `..`, `/` and
/// whatever ends in a slash.
fn destination_name(source: &Path) -> Option<PathBuf> {
    if last_is_slash(source) {
        return None;
    }
    last_name(source.as_os_str().as_encoded_bytes()).map(PathBuf::from)
}

fn last_is_slash(source: &Path) -> bool {
    source.as_os_str().as_encoded_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests;
