//! What is part of a transfer: the rules of `--filter`, `--exclude`, `--include` and merge files, as rsync understands
//! them.
//!
//! [`Rules`] are read once from what the user gave. [`Rules::scope`] is where a scan begins; each folder on its way has a
//! [`Scope`] of its own ([`Scope::enter`]), since merge files in folders add rules for what is below. [`Scope::verdict`]
//! says for an entry whether it is sent; what is below an excluded folder is not asked about, it is never reached.
//! [`Rules::on_the_wire`] is what the server has to know to delete nothing that is excluded.
//!
//! The first rule that matches decides, and without one an entry is included. Rules of folders stand where their
//! `dir-merge` rule stands, those of the innermost folder first.
//!
//! | rule | short | what |
//! | --- | --- | --- |
//! | `exclude PATTERN` | `-` | is not sent, and not deleted over there |
//! | `include PATTERN` | `+` | is sent |
//! | `hide PATTERN`, `show PATTERN` | `H`, `S` | the same for the sender alone |
//! | `protect PATTERN`, `risk PATTERN` | `P`, `R` | the same for the receiver alone |
//! | `merge FILE` | `.` | the rules in the file stand here |
//! | `dir-merge NAME` | `:` | the rules in the file of that name in each folder |
//! | `clear` | `!` | forgets all rules so far; in a file of a folder, those of this `dir-merge` |
//!
//! Behind the sign, or behind a comma, come modifiers, then one space or underscore, then the rest as it is.
//!
//! | modifier | of | what |
//! | --- | --- | --- |
//! | `/` | patterns, files | matched against the absolute path |
//! | `!` | patterns | matches what the pattern does not |
//! | `s`, `r` | `-` `+`, files | for the sender, for the receiver alone |
//! | `p` | patterns, files | does not keep a folder that is to be deleted |
//! | `x` | patterns, files | for names of extended attributes alone: matches no entry |
//! | `C` | `-` `+` | what CVS ignores, instead of a pattern |
//! | `-`, `+` | files | each line is a pattern of that sign |
//! | `C` | files | as CVS reads `.cvsignore`: `-`, `n` and `w`, and `!` clears |
//! | `e` | files | the file itself is not sent |
//! | `n` | files | not for the folders below |
//! | `w` | files | rules end at white space, and there are no comments |
//!
//! Not supported, and refused: paths as names of `dir-merge` files (of which only the last name is looked for in folders), and
//! `merge` in the file of a folder (whose name is relative to one folder if it has a slash, and to another one if not).
//!
//! Source: the manual page rsync(1), and where it is silent, what rsync 3.5.0 does; `tests/filters.rs` compares with it.
//!
//! Must not know how a scan is made: contents of merge files come from the caller.

mod parse;
mod pattern;
mod rule;
mod scope;
mod wildcard;

pub use scope::{EntryKind, Scope, Verdict};

use crate::filter::rule::{Item, Sides};
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// How deep merge files may name others.
const MAX_MERGE_DEPTH: usize = 16;

/// Why rules cannot be followed.
#[derive(Debug, Error)]
pub enum FilterError {
    /// No rule.
    #[error("expected a filter rule such as '- PATTERN', got '{rule}'")]
    Unknown {
        /// What was there instead.
        rule: String,
    },
    /// A rule without what it is about.
    #[error("expected a pattern or a file behind the filter rule '{rule}'")]
    Empty {
        /// The rule.
        rule: String,
    },
    /// A letter that means nothing there.
    #[error("expected a modifier of the rule, got '{modifier}' in '{rule}'")]
    Modifier {
        /// What was there.
        modifier: char,
        /// The whole rule.
        rule: String,
    },
    /// Something behind a rule that stands alone.
    #[error("expected nothing behind '!' in a filter rule, got '{rule}'")]
    Trailing {
        /// The whole rule.
        rule: String,
    },
    /// Two contradicting sides.
    #[error("expected rules for both sides in a merge file for one side, got '{rule}'")]
    Side {
        /// The rule in the file.
        rule: String,
    },
    /// What only rsync itself does.
    #[error("{what} is not supported, in the filter rule '{rule}'")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// The rule.
        rule: String,
    },
    /// A merge file that cannot be read.
    #[error("cannot read the merge file {file}")]
    File {
        /// As it was named in the rule, below its folder.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A wrong rule in a merge file.
    #[error("the merge file {file} is wrong")]
    Within {
        /// As it was named in the rule, below its folder.
        file: String,
        /// What is wrong.
        #[source]
        source: Box<FilterError>,
    },
}

/// Reads the file that a `merge` rule names; `-` is standard input.
pub type ReadFile<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<Vec<u8>>;

/// Reads the file of that name in a folder, if there is one.
pub type ReadFolderFile<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>;

/// Whether excluded entries are deleted over there: `--delete-excluded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// They stay.
    Kept,
    /// They are deleted: rules without a side are the sender's alone.
    Deleted,
}

/// All rules that the user gave, in their order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    items: Vec<Item>,
    /// What the user has CVS ignore.
    cvs: Arc<[u8]>,
}

impl Rules {
    /// No rules: all is included.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the rule `-C` has beside CVS's own names: the words of `~/.cvsignore` and of the variable `CVSIGNORE`. To be said
    /// before that rule is added.
    pub fn cvs_words(&mut self, home: &[u8], variable: &[u8]) {
        self.cvs = [home, b" ", variable].concat().into();
    }

    /// Adds a rule of `--filter`. `-F` is `: /.rsync-filter`, and when given again `- .rsync-filter`.
    pub fn filter(&mut self, rule: &[u8], read: ReadFile<'_>) -> Result<(), FilterError> {
        parse::Parser::new(&mut self.items, read, &self.cvs).filter(rule)
    }

    /// Adds what the option `-C` stands for. It comes behind all other options, wherever it was given.
    pub fn cvs_exclude(&mut self) -> Result<(), FilterError> {
        [b":C", b"-C"].into_iter().try_for_each(|rule| self.filter(rule, &mut |_| Err(io::ErrorKind::NotFound.into())))
    }

    /// Adds a pattern of `--exclude`, or of a file of `--exclude-from`, which is read as any [list](crate::sources::listed).
    pub fn exclude(&mut self, pattern: &[u8]) -> Result<(), FilterError> {
        parse::bare(&mut self.items, rule::Action::Exclude, pattern)
    }

    /// Adds a pattern of `--include`, or of a file of `--include-from`.
    pub fn include(&mut self, pattern: &[u8]) -> Result<(), FilterError> {
        parse::bare(&mut self.items, rule::Action::Include, pattern)
    }

    /// The rules in force above a transfer whose names are relative to `root`: its absolute path, which only rules with
    /// the modifier `/` and merge files of folders above need.
    pub fn scope(&self, root: &[u8]) -> Scope {
        Scope::new(&self.items, root, self.cvs.clone())
    }

    /// The texts of the rules that the server is sent if it is to delete, in their order.
    pub fn on_the_wire(&self, excluded: Excluded) -> Vec<Vec<u8>> {
        self.items.iter().filter(|item| is_for_receiver(item, excluded)).map(Item::text).collect()
    }

    /// The rules by which a receiver keeps what it would delete, as rules of a sender, for who deletes in a server's stead.
    /// `None` where files of folders have rules: those at the destination count then. Rules that are ignored in folders
    /// that are deleted are not.
    pub fn of_receiver(&self, excluded: Excluded) -> Option<Self> {
        let mut items = Vec::new();
        for item in self.items.iter().filter(|item| is_for_receiver(item, excluded)) {
            let Item::Rule(rule) = item else { return None };
            let mut rule = rule.clone();
            rule.traits.sides = Sides::Both;
            items.push(Item::Rule(rule));
        }
        Some(Self { items, cvs: Arc::clone(&self.cvs) })
    }
}

/// Whether the receiver is told of it.
fn is_for_receiver(item: &Item, excluded: Excluded) -> bool {
    match (item, excluded) {
        (Item::Rule(rule), Excluded::Kept) => rule.traits.sides.receiver(),
        (Item::Rule(rule), Excluded::Deleted) => rule.traits.sides.receiver() && rule.traits.sides != Sides::Unsaid,
        (Item::DirMerge(merge), _) => merge.file.traits.sides.receiver(),
    }
}

/// A rule in words: bytes of others, for messages.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests;
