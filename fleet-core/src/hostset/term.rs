//! The terms of an expression: what somebody who knows hosts is asked for.
//!
//! Must not know operators, nor which hosts there are.

use std::fmt;

use super::HostSetError;
use super::expand::{Piece, combined, count, fixed_prefix, range_piece};
use super::scan::{Letter, letters, quoted};

/// What a query may ask for by `FACT:VALUE`, besides `tag:KEY=VALUE`.
pub const FACTS: [&str; 12] =
    ["sg", "asg", "vpc", "subnet", "az", "type", "image", "id", "name", "cluster", "state", "role"];

/// A word with ranges: it stands for all combinations of the numbers in its brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    written: String,
    pieces: Vec<Piece>,
    pattern: bool,
}

/// What hosts are asked for by.
///
/// Displays as it is written in an expression, and parses back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// `rack[1-4]-node[01-16/2]`, `me@web[1-3]:22`: names. Whether of hosts or of groups is the flag's to say.
    Names(Word),
    /// `web*.prod`, `web[ab]?`: patterns, which keep their wildcards when expanded.
    Pattern(Word),
    /// `@web`, `@ec2:web`; the name may have wildcards, and `*` means all hosts.
    Group {
        /// Where the group is defined; any place when missing.
        source: Option<String>,
        /// Its name.
        name: String,
    },
    /// `tag:KEY`, `tag:KEY=VALUE`; the value may have the wildcards `*` and `?`.
    Tag {
        /// The key.
        key: String,
        /// The value; any when missing.
        value: Option<String>,
    },
    /// `asg:workers`, `az:eu-west-1*`: one of [`FACTS`]; the value may have the wildcards `*` and `?`.
    Fact {
        /// Which fact.
        name: &'static str,
        /// The value, never empty.
        value: String,
    },
}

/// What may stand at the head of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordKind {
    /// A user or an IPv6 address in brackets, neither of which is a range.
    Host,
    /// Nothing special.
    Value,
}

impl Word {
    /// Reads a word whose quotes and brackets are known to match.
    ///
    /// # Errors
    /// When a bracket holds nothing but the characters of a range, and is none.
    pub(super) fn parse(written: &str, kind: WordKind) -> Result<Self, HostSetError> {
        let fixed = match kind {
            WordKind::Host => fixed_prefix(written),
            WordKind::Value => 0,
        };
        let mut word = Self { written: written.to_owned(), pieces: Vec::new(), pattern: false };
        let mut text = String::new();
        let mut letters = letters(written);
        while let Some(letter) = letters.next() {
            if !letter.is('[') || letter.at < fixed {
                word.pattern |= matches!(letter.character, '*' | '?');
                text.push(letter.character);
                continue;
            }
            let inside: String =
                letters.by_ref().take_while(|letter| !letter.is(']')).map(|letter| letter.character).collect();
            if inside.contains(|c: char| !(c.is_ascii_digit() || c.is_whitespace() || "-,/".contains(c))) {
                word.pattern = true;
                text = format!("{text}[{inside}]");
            } else {
                word.pieces.push(Piece::Text(std::mem::take(&mut text)));
                word.pieces.push(range_piece(&inside, written)?);
            }
        }
        word.pieces.push(Piece::Text(text));
        Ok(word)
    }

    /// All that it stands for, in order: the last range runs fastest.
    #[must_use]
    pub fn expand(&self) -> Vec<String> {
        combined(&self.pieces)
    }

    /// How many names or patterns it stands for.
    #[must_use]
    pub fn count(&self) -> u64 {
        count(&self.pieces)
    }

    /// Whether it has a wildcard: `*`, `?` or a class such as `[ab]`.
    pub(super) fn is_pattern(&self) -> bool {
        self.pattern
    }
}

impl Letter {
    fn is(self, special: char) -> bool {
        self.character == special && !self.quoted
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(word) | Self::Pattern(word) => write!(f, "{word}"),
            Self::Group { source: None, name } => write!(f, "@{}", plain_or_quoted(name)),
            Self::Group { source: Some(source), name } => {
                write!(f, "@{}:{}", plain_or_quoted(source), plain_or_quoted(name))
            }
            Self::Tag { key, value: None } => write!(f, "tag:{}", plain_or_quoted(key)),
            Self::Tag { key, value: Some(value) } => {
                write!(f, "tag:{}={}", plain_or_quoted(key), plain_or_quoted(value))
            }
            Self::Fact { name, value } => write!(f, "{name}:{}", plain_or_quoted(value)),
        }
    }
}

/// Quotes what would mean something else as it stands.
fn plain_or_quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.*?/+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}
