//! Wildcards in the names of hosts, groups and files: `*` is any text, `?` any character, `[a-c]` one of these and `[!a-c]`
//! none of them; what stands behind a backslash is itself.
//!
//! Must not know what is named. The patterns of ssh_config(5) have no sets and no backslash: they are those of `fleet-ssh`.

use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::str::Chars;

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any text.
    Any,
    /// Any character.
    One,
    /// This character.
    Literal(char),
    /// A character that is in any of the ranges, or in none.
    Set { ranges: Vec<RangeInclusive<char>>, negated: bool },
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WildcardError {
    /// A bracket is not closed.
    #[error("a bracket is not closed")]
    Unclosed,
    /// A range goes down.
    #[error("invalid range {from}-{to}")]
    Down {
        /// Where it begins.
        from: char,
        /// Where it ends.
        to: char,
    },
}

impl Wildcard {
    /// Reads `pattern`.
    ///
    /// # Errors
    /// When a set is malformed.
    pub fn parse(pattern: &str) -> Result<Self, WildcardError> {
        let mut characters = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::Any,
                '?' => Token::One,
                '[' => set(&mut characters)?,
                '\\' => Token::Literal(characters.next().unwrap_or('\\')),
                plain => Token::Literal(plain),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether the whole of `text` is what the pattern describes; upper and lower case differ. Linear in the text for
    /// each `*`: after a mismatch only the last one can take a character more.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut tokens, mut rest) = (&self.0[..], text);
        let mut retry: Option<(&[Token], &str)> = None;
        loop {
            match tokens.split_first() {
                Some((Token::Any, behind)) => {
                    retry = Some((behind, rest));
                    tokens = behind;
                    continue;
                }
                Some((token, behind)) => {
                    let mut left = rest.chars();
                    if left.next().is_some_and(|character| token.fits(character)) {
                        (tokens, rest) = (behind, left.as_str());
                        continue;
                    }
                }
                None if rest.is_empty() => return true,
                None => {}
            }
            let Some((behind, from)) = retry else { return false };
            let mut shorter = from.chars();
            if shorter.next().is_none() {
                return false;
            }
            retry = Some((behind, shorter.as_str()));
            (tokens, rest) = (behind, shorter.as_str());
        }
    }
}

impl Token {
    fn fits(&self, character: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Literal(literal) => *literal == character,
            Self::Set { ranges, negated } => ranges.iter().any(|range| range.contains(&character)) != *negated,
        }
    }
}

/// The set behind its `[`. A closing bracket that comes first is one of the set, and so is a hyphen at either end.
fn set(characters: &mut Peekable<Chars<'_>>) -> Result<Token, WildcardError> {
    let negated = characters.next_if(|first| matches!(first, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match characters.next().ok_or(WildcardError::Unclosed)? {
            ']' if !ranges.is_empty() => return Ok(Token::Set { ranges, negated }),
            from => from,
        };
        let mut ahead = characters.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *characters = ahead;
                to
            }
            _ => from,
        };
        if to < from {
            return Err(WildcardError::Down { from, to });
        }
        ranges.push(from..=to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, alike, others) in [
            ("web*", &["web", "web1", "web*"][..], &["we", "aweb"][..]),
            ("w?b", &["web", "wöb", "w?b"], &["wb", "weeb"]),
            ("*-prod-*", &["a-prod-b", "-prod-", "-prod-prod-"], &["-prod", "a-prodb"]),
            ("a*b*c", &["abc", "aXbYbc", "abcbc"], &["acb", "abcd", "ab"]),
            ("*.conf", &["10-a.conf"], &["10-a.conf~"]),
            ("[0-9][0-9]-*", &["10-a.conf"], &["x0-a.conf"]),
            ("[!a]", &["b"], &["a", "", "bc"]),
            ("[^a]", &["b"], &["a"]),
            ("[]]", &["]"], &["["]),
            ("[!]a]", &["b"], &["]", "a"]),
            ("[a-]", &["-", "a"], &["b"]),
            ("[-a]", &["-", "a"], &["b"]),
            ("[a-cx-z]9", &["b9", "y9"], &["d9", "-9"]),
            (r"a\*", &["a*"], &["ab"]),
            (r"a\", &[r"a\"], &["a"]),
            ("", &[""], &["a"]),
            ("{a,b}", &["{a,b}"], &["a"]),
        ] {
            let wildcard = Wildcard::parse(pattern).unwrap();
            for text in alike {
                assert!(wildcard.matches(text), "{pattern} {text}");
            }
            for text in others {
                assert!(!wildcard.matches(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_malformed_set_is_refused() {
        for (pattern, error) in [
            ("web[", WildcardError::Unclosed),
            ("web[a-", WildcardError::Unclosed),
            ("[]", WildcardError::Unclosed),
            ("web[z-a]", WildcardError::Down { from: 'z', to: 'a' }),
        ] {
            assert_eq!(Wildcard::parse(pattern), Err(error), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_agrees_with_its_regular_expression(pattern in "([ab*?]|\\[!?[ab](-[bc])?\\]){0,6}", text in "[abcé]{0,10}") {
            let expression = pattern.replace('*', ".*").replace('?', ".").replace('!', "^");
            let expected = regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&text);
            prop_assert_eq!(Wildcard::parse(&pattern).unwrap().matches(&text), expected);
        }
    }
}
