//! Patterns: which paths one of them is about.
//!
//! | pattern | matched against |
//! | --- | --- |
//! | no `/` and no `**` in it | the name alone |
//! | `/` at its begin | the whole path |
//! | `/` in it | the end of the path, beginning at a name: with wildcards as many names as it has itself |
//! | `**` in it | any end of the path, beginning at a name; if it begins with it, the path may have a `/` before it |
//! | `/` at its end | the same, but folders alone |
//! | `***` at its end | folders are matched as if they had a `/` behind them: `x/***` is the folder and all below it |
//!
//! Paths are those below the root of the transfer. A pattern in the file of a folder that begins with `/` gets the path of
//! that folder before it; rsync takes wildcards in that path for the pattern's own, so the file of a folder called `a[b]`
//! has no such patterns that match, here as there.
//!
//! Without any of `*`, `?` and `[`, all bytes are meant as they are, `\` too.
//!
//! Knows neither signs nor modifiers.

use super::scope::EntryKind;
use super::wildcard::Wildcard;

/// A pattern, read.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Text,
    place: Place,
    kinds: Kinds,
    /// How the path of a directory is looked at.
    directory: Slash,
}

#[derive(Clone, Debug)]
enum Text {
    Literal(Box<[u8]>),
    Wildcard(Wildcard),
}

/// Which part of a path is looked at.
#[derive(Clone, Copy, Debug)]
enum Place {
    Whole,
    /// So many names at its end.
    Names(usize),
    /// From any name on.
    AnyEnd(Slash),
}

/// Whether a path is looked at as if it had a `/` more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slash {
    None,
    /// Before it, if it does not match without.
    Before,
    /// Behind it.
    Behind,
}

/// What may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    All,
    Directories,
}

impl Pattern {
    /// Reads a pattern of a file in `folder`, whose path from the transfer's root has a `/` at its end, or is empty.
    pub(super) fn new(pattern: &[u8], folder: &[u8]) -> Self {
        let (pattern, kinds) = match pattern.strip_suffix(b"/") {
            Some(rest) => (rest, Kinds::Directories),
            None => (pattern, Kinds::All),
        };
        let directory = if pattern.ends_with(b"***") { Slash::Behind } else { Slash::None };
        let anchored = pattern.strip_prefix(b"/").map(|rest| [folder, rest].concat());
        let text = anchored.as_deref().unwrap_or(pattern);
        let names = 1 + text.iter().filter(|&&byte| byte == b'/').count();
        let slash = if text.starts_with(b"**") { Slash::Before } else { Slash::None };
        let place = match anchored {
            Some(_) => Place::Whole,
            None if text.windows(2).any(|two| two == b"**") => Place::AnyEnd(slash),
            None => Place::Names(names),
        };
        let has_wildcard = text.iter().any(|byte| b"*?[".contains(byte));
        let text = if has_wildcard { Text::Wildcard(Wildcard::new(text)) } else { Text::Literal(text.into()) };
        Self { text, place, kinds, directory }
    }

    /// Whether it begins with a `/`.
    pub(super) fn is_anchored(&self) -> bool {
        matches!(self.place, Place::Whole)
    }

    /// Whether the entry at `path` matches.
    pub(super) fn matches(&self, path: &[u8], kind: EntryKind) -> bool {
        match (kind, self.kinds, self.directory) {
            (EntryKind::Other, Kinds::Directories, _) => false,
            (EntryKind::Directory, _, Slash::Behind) => self.matches_at(&[path, b"/"].concat(), path.len()),
            _ => self.matches_at(path, path.len()),
        }
    }

    /// Whether `path`, whose names end at `end`, matches at the right place.
    fn matches_at(&self, path: &[u8], end: usize) -> bool {
        match self.place {
            Place::Whole => self.text.matches(path),
            Place::Names(count) => {
                let mut starts = starts(&path[..end]).rev();
                starts.nth(count - 1).is_some_and(|start| self.text.matches(&path[start..]))
            }
            Place::AnyEnd(slash) => {
                starts(&path[..end]).any(|start| self.text.matches(&path[start..]))
                    || slash == Slash::Before && self.text.matches(&[b"/", path].concat())
            }
        }
    }
}

impl Text {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Literal(own) => **own == *text,
            Self::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

/// Where the names of a path begin.
fn starts(path: &[u8]) -> impl DoubleEndedIterator<Item = usize> {
    let behind_slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind_slashes)
}
