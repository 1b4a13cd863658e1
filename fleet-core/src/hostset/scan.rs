//! From the text of an expression to its words and operators.
//!
//! Must not know what a word means.

use super::HostSetError;
use super::expression::{ExpressionError, Operator};

/// A part of an expression, with the byte at which it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    Operator(Operator),
    /// As written, with quotes.
    Word(&'a str),
}

/// A character of a word, and whether it stands for itself only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) at: usize,
    pub(super) character: char,
    pub(super) quoted: bool,
}

/// Cuts `text` at operators and blanks; those within quotes or brackets belong to a word.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (kind, length) = match Operator::of(first) {
            Some(operator) => (TokenKind::Operator(operator), first.len_utf8()),
            None => {
                let length = word_length(text, at)?;
                (TokenKind::Word(&rest[..length]), length)
            }
        };
        tokens.push(Token { at, kind });
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The bytes of the word that starts at `start`.
fn word_length(text: &str, start: usize) -> Result<usize, ExpressionError> {
    let word = &text[start..];
    let mut quote = None;
    let mut bracket = None;
    for (at, c) in word.char_indices() {
        match (c, quote) {
            (_, Some((_, open))) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some((at, c)),
            ('[', None) if bracket.is_none() => bracket = Some(at),
            (']', None) if bracket.is_some() => bracket = None,
            ('[' | ']', None) => return Err(unmatched_bracket(word)),
            _ if bracket.is_none() && ends_word(c) => return Ok(at),
            _ => {}
        }
    }
    match quote {
        Some((at, quote)) => Err(ExpressionError::Quote { quote, at: character_number(text, start + at) }),
        None if bracket.is_some() => Err(unmatched_bracket(word)),
        None => Ok(word.len()),
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || Operator::of(c).is_some()
}

/// Quotes no more than a word: the text may be long.
fn unmatched_bracket(word: &str) -> ExpressionError {
    let item = word.split(ends_word).next().unwrap_or_default().to_owned();
    HostSetError::Brackets { item }.into()
}

/// The number of the character that starts at byte `at`, from 1.
pub(super) fn character_number(text: &str, at: usize) -> usize {
    text[..at].chars().count() + 1
}

/// The characters of a word, without its quotes.
pub(super) fn letters(word: &str) -> impl Iterator<Item = Letter> {
    let mut quote = None;
    word.char_indices().filter_map(move |(at, character)| {
        match quote {
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => return Some(Letter { at, character, quoted: quote.is_some() }),
        }
        None
    })
}

/// `text` so written that a word made of it has these characters and no others.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('"') && text.contains('\'') {
        let parts = text.split('"').map(|part| if part.is_empty() { String::new() } else { quoted(part) });
        return parts.collect::<Vec<_>>().join("'\"'");
    }
    let quote = if text.contains('"') { '\'' } else { '"' };
    format!("{quote}{text}{quote}")
}
