//! From text to an [`Expression`].
//!
//! Must not know which groups and hosts there are.

use super::HostSetError;
use super::expand::EXPANSION_LIMIT;
use super::expression::{Expression, ExpressionError, Operand, Operator};
use super::scan::{Letter, Token, TokenKind, character_number, letters, tokens};
use super::slice::{Slice, WrittenSlice, parse_attachable, parse_slice};
use super::term::{FACTS, Term, Word, WordKind};

/// What may stand where a term may.
const OPERAND: &str = "a host, a @group or a query such as tag:KEY=VALUE";

impl Expression {
    /// Reads an expression. For each random slice without a seed, one is taken from `draw_seed`.
    ///
    /// # Errors
    /// Says what was found, where, and what was expected. Ranges may not make more than [`EXPANSION_LIMIT`] names.
    pub fn parse(text: &str, draw_seed: &mut dyn FnMut() -> u64) -> Result<Self, ExpressionError> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err(HostSetError::Empty.into());
        }
        let mut parser = Parser { text, tokens: &tokens, draw_seed, drawn: Vec::new(), names: 0 };
        let first = parser.operand(None)?;
        let mut rest = Vec::new();
        while let Some(next) = parser.tokens.first() {
            let operator = match next.kind {
                TokenKind::Operator(operator) => {
                    parser.tokens = &parser.tokens[1..];
                    operator
                }
                TokenKind::Word(_) => Operator::Union,
            };
            rest.push((operator, parser.operand(Some(operator))?));
        }
        Ok(Self { first, rest, drawn: parser.drawn })
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Those not read yet.
    tokens: &'a [Token<'a>],
    draw_seed: &'a mut dyn FnMut() -> u64,
    drawn: Vec<Slice>,
    /// How many names all words so far stand for.
    names: u64,
}

impl Parser<'_> {
    /// The operand behind `operator`, or the first.
    fn operand(&mut self, operator: Option<Operator>) -> Result<Operand, ExpressionError> {
        let side = || match (operator, self.tokens.first()) {
            (Some(operator), _) => format!("{OPERAND} behind \"{operator}\""),
            (None, Some(Token { kind: TokenKind::Operator(operator), .. })) => {
                format!("{OPERAND} before \"{operator}\"")
            }
            (None, _) => OPERAND.to_owned(),
        };
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(self.unexpected("the end".to_owned(), self.text.trim_end().len(), side()));
        };
        let TokenKind::Word(word) = token.kind else {
            return Err(self.unexpected(found(&self.text[token.at..=token.at]), token.at, side()));
        };
        if letters(word).next().is_none() {
            return Err(self.unexpected(found(word), token.at, side()));
        }
        self.tokens = rest;
        match parse_slice(word) {
            Some(slice) if may_be_sliced(operator) => self.slice(slice, word, token.at).map(Operand::Slice),
            Some(_) if word != "first" => {
                let expected = "a slice only right of !, & or ^ (and what is to be taken literally in quotes)";
                Err(self.unexpected(found(word), token.at, expected.to_owned()))
            }
            _ => self.terms(word, token.at),
        }
    }

    fn slice(
        &mut self,
        slice: Result<WrittenSlice, &'static str>,
        word: &str,
        at: usize,
    ) -> Result<Slice, ExpressionError> {
        match slice {
            Err(expected) => Err(self.unexpected(found(word), at, expected.to_owned())),
            Ok(WrittenSlice::Whole(slice)) => Ok(slice),
            Ok(WrittenSlice::Seedless { count }) => {
                let slice = Slice::Random { count, seed: (self.draw_seed)() };
                self.drawn.push(slice.clone());
                Ok(slice)
            }
        }
    }

    fn terms(&mut self, word: &str, at: usize) -> Result<Operand, ExpressionError> {
        let percent_slices = is_asked_for(word);
        let slices_at = letters(word).find(|letter| starts_slice(word, *letter, percent_slices));
        let (written, mut rest) = word.split_at(slices_at.map_or(word.len(), |letter| letter.at));
        let mut slices = Vec::new();
        while !rest.is_empty() {
            let end = rest[1..].find(['[', '%']).map_or(rest.len(), |next| next + 1);
            let slice_at = at + word.len() - rest.len();
            let slice = parse_attachable(&rest[..end])
                .unwrap_or(Err("nothing but an operator or another slice behind a slice"))
                .map_err(|expected| self.unexpected(found(&rest[..end]), slice_at, expected.to_owned()))?;
            slices.push(slice);
            rest = &rest[end..];
        }
        let terms = self.terms_of(written, at)?;
        Ok(Operand::Terms { written: written.to_owned(), terms, slices })
    }

    /// The terms that a word without slices is.
    fn terms_of(&mut self, word: &str, at: usize) -> Result<Vec<Term>, ExpressionError> {
        if let Some(group) = word.strip_prefix('@') {
            return self.groups(group, word, at);
        }
        match split_unquoted(word, ':') {
            Some(("tag", tag)) => self.tags(tag, word, at),
            Some((fact, value)) => match FACTS.into_iter().find(|known| *known == fact) {
                Some(name) => {
                    let values = self.values(value, word, at, "a value behind the colon")?;
                    Ok(values.into_iter().map(|value| Term::Fact { name, value }).collect())
                }
                None => self.names(word),
            },
            None => self.names(word),
        }
    }

    fn groups(&mut self, group: &str, word: &str, at: usize) -> Result<Vec<Term>, ExpressionError> {
        const EXPECTED: &str = "@group or @source:group";
        let (source, names) = match split_unquoted(group, ':') {
            Some((source, names)) => (Some(self.literal(source, word, at, EXPECTED)?), names),
            None => (None, group),
        };
        let names = self.values(names, word, at, EXPECTED)?;
        Ok(names.into_iter().map(|name| Term::Group { source: source.clone(), name }).collect())
    }

    fn tags(&mut self, tag: &str, word: &str, at: usize) -> Result<Vec<Term>, ExpressionError> {
        const EXPECTED: &str = "tag:KEY or tag:KEY=VALUE";
        let (key, value) = split_unquoted(tag, '=').map_or((tag, None), |(key, value)| (key, Some(value)));
        let key = self.literal(key, word, at, EXPECTED)?;
        let Some(value) = value else { return Ok(vec![Term::Tag { key, value: None }]) };
        let values = if value.is_empty() { vec![String::new()] } else { self.expanded(value)? };
        Ok(values.into_iter().map(|value| Term::Tag { key: key.clone(), value: Some(value) }).collect())
    }

    fn names(&mut self, word: &str) -> Result<Vec<Term>, ExpressionError> {
        let names = Word::parse(word, WordKind::Host)?;
        self.count(&names)?;
        Ok(vec![if names.is_pattern() { Term::Pattern(names) } else { Term::Names(names) }])
    }

    /// What `part` of `word` stands for, which may not be nothing.
    fn values(
        &mut self,
        part: &str,
        word: &str,
        at: usize,
        expected: &'static str,
    ) -> Result<Vec<String>, ExpressionError> {
        self.literal(part, word, at, expected)?;
        self.expanded(part)
    }

    fn expanded(&mut self, part: &str) -> Result<Vec<String>, ExpressionError> {
        let values = Word::parse(part, WordKind::Value)?;
        self.count(&values)?;
        Ok(values.expand())
    }

    /// The characters of `part` of `word`, which may not be none.
    fn literal(&self, part: &str, word: &str, at: usize, expected: &'static str) -> Result<String, ExpressionError> {
        let literal: String = letters(part).map(|letter| letter.character).collect();
        if literal.is_empty() {
            return Err(self.unexpected(found(word), at, expected.to_owned()));
        }
        Ok(literal)
    }

    fn count(&mut self, word: &Word) -> Result<(), HostSetError> {
        self.names = self.names.saturating_add(word.count());
        if self.names > EXPANSION_LIMIT as u64 {
            return Err(HostSetError::TooMany { item: word.to_string() });
        }
        Ok(())
    }

    fn unexpected(&self, found: String, at: usize, expected: String) -> ExpressionError {
        ExpressionError::Unexpected { found, at: character_number(self.text, at), expected }
    }
}

fn found(text: &str) -> String {
    format!("\"{text}\"")
}

/// Whether a slice behind `operator` means a part of what stands left: behind a union it would change nothing.
fn may_be_sliced(operator: Option<Operator>) -> bool {
    !matches!(operator, None | Some(Operator::Union))
}

/// Whether `word` is a group or a query, in which `%` is no part of an IPv6 address.
fn is_asked_for(word: &str) -> bool {
    let query = |(fact, _): (&str, &str)| fact == "tag" || FACTS.contains(&fact);
    word.starts_with('@') || split_unquoted(word, ':').is_some_and(query)
}

/// Whether the slices attached to `word` start at `letter`.
fn starts_slice(word: &str, letter: Letter, percent_slices: bool) -> bool {
    let tail = &word[letter.at..];
    match letter {
        Letter { quoted: true, .. } => false,
        Letter { character: '[', .. } => {
            let inside = tail[1..].split(']').next().unwrap_or_default();
            inside.contains("..") && inside.chars().all(|c| c.is_ascii_digit() || c == '.' || c.is_whitespace())
        }
        Letter { character: '%', .. } => {
            let number = tail[1..].trim_start_matches(|c: char| c.is_ascii_digit());
            percent_slices && number.len() + 1 < tail.len() && (number.is_empty() || number.starts_with(['[', '%']))
        }
        _ => false,
    }
}

/// The parts before and behind the first `separator` outside quotes.
fn split_unquoted(word: &str, separator: char) -> Option<(&str, &str)> {
    let letter = letters(word).find(|letter| letter.character == separator && !letter.quoted)?;
    Some((&word[..letter.at], &word[letter.at + separator.len_utf8()..]))
}
