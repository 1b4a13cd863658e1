//! From a host set to its names.
//!
//! Does not check that the names are names of hosts: that is for whoever knows what they are used for.

use super::HostSetError;
use super::number::Number;

/// The most names that one text may expand to.
pub const EXPANSION_LIMIT: usize = 1_000_000;

/// The names that `text` stands for, in the order written, repeated where they are written twice.
///
/// Items are separated by commas or blanks; within brackets, both belong to the range. A range is a list of numbers,
/// `first-last` or `first-last/step`, padded as its first number is; an item may hold several, the last of which
/// runs fastest. An address in brackets (`[::1]:22`) is no range.
///
/// # Errors
/// When the text is blank, a range is malformed, an item names a `@group`, or there would be more than
/// [`EXPANSION_LIMIT`] names.
pub fn expand(text: &str) -> Result<Vec<String>, HostSetError> {
    let mut names = Vec::new();
    for item in items(text)? {
        if item.starts_with('@') {
            return Err(HostSetError::Group { item: item.to_owned() });
        }
        let pieces = pieces(item)?;
        if count(&pieces).saturating_add(names.len() as u64) > EXPANSION_LIMIT as u64 {
            return Err(HostSetError::TooMany { item: item.to_owned() });
        }
        names.append(&mut combined(&pieces));
    }
    Ok(names)
}

/// Splits `text` at the commas and blanks outside brackets, and expands nothing.
///
/// # Errors
/// When the text is blank, a name is missing next to a comma, or brackets do not match.
pub fn items(text: &str) -> Result<Vec<&str>, HostSetError> {
    if text.trim().is_empty() {
        return Err(HostSetError::Empty);
    }
    let mut items = Vec::new();
    for segment in split_outside_brackets(text, |c| c == ',')? {
        let words = words(segment)?;
        if words.is_empty() {
            return Err(HostSetError::MissingName { text: text.trim().to_owned() });
        }
        items.extend(words);
    }
    Ok(items)
}

/// Splits `text` at the blanks outside brackets.
fn words(text: &str) -> Result<Vec<&str>, HostSetError> {
    let words = split_outside_brackets(text, char::is_whitespace)?;
    Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
}

fn split_outside_brackets(text: &str, separates: impl Fn(char) -> bool) -> Result<Vec<&str>, HostSetError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut opened = None;
    for (at, c) in text.char_indices() {
        match c {
            '[' if opened.is_none() => opened = Some(at),
            ']' if opened.is_some() => opened = None,
            '[' | ']' => return Err(unmatched_bracket(text, at)),
            _ if opened.is_none() && separates(c) => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if let Some(at) = opened {
        return Err(unmatched_bracket(text, at));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// Quotes the word around the bracket only: the text may be long.
fn unmatched_bracket(text: &str, at: usize) -> HostSetError {
    let ends_word = |c: char| c == ',' || c.is_whitespace();
    let start = text[..at].rfind(ends_word).map_or(0, |separator| separator + 1);
    let word = text[start..].trim_start().split(ends_word).next().unwrap_or_default();
    HostSetError::Brackets { item: word.to_owned() }
}

/// A part of an item: fixed text, or one of several numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Range(Vec<Span>),
}

/// `first`, `first-last` or `first-last/step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    first: Number,
    last: u64,
    step: u64,
}

/// How many names the pieces of an item make.
pub(super) fn count(pieces: &[Piece]) -> u64 {
    pieces.iter().map(Piece::count).fold(1, u64::saturating_mul)
}

/// The names that the pieces of an item make.
pub(super) fn combined(pieces: &[Piece]) -> Vec<String> {
    pieces.iter().fold(vec![String::new()], |names, piece| piece.appended_to(names))
}

impl Piece {
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Range(spans) => {
                spans.iter().map(|span| (span.last - span.first.value) / span.step + 1).fold(0, u64::saturating_add)
            }
        }
    }

    fn appended_to(&self, mut names: Vec<String>) -> Vec<String> {
        match self {
            Self::Text(text) => {
                names.iter_mut().for_each(|name| name.push_str(text));
                names
            }
            Self::Range(spans) => {
                names.iter().flat_map(|name| numbers(spans).map(move |number| format!("{name}{number}"))).collect()
            }
        }
    }
}

fn numbers(spans: &[Span]) -> impl Iterator<Item = Number> {
    spans.iter().flat_map(|span| {
        let count = (span.last - span.first.value) / span.step;
        (0..=count).map(move |i| Number { value: span.first.value + i * span.step, width: span.first.width })
    })
}

/// Cuts an item, whose brackets are known to match, into text and ranges.
fn pieces(item: &str) -> Result<Vec<Piece>, HostSetError> {
    let fixed = fixed_prefix(item);
    let mut pieces = vec![Piece::Text(item[..fixed].to_owned())];
    let mut rest = &item[fixed..];
    while let Some((text, (range, tail))) =
        rest.split_once('[').and_then(|(text, tail)| Some((text, tail.split_once(']')?)))
    {
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(range_piece(range, item)?);
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The piece that stands in the brackets of `item` as `range`.
pub(super) fn range_piece(range: &str, item: &str) -> Result<Piece, HostSetError> {
    range.split(',').map(|part| parse_span(part.trim(), item)).collect::<Result<_, _>>().map(Piece::Range)
}

/// The bytes at the head of a host that hold no range: its user, and an IPv6 address in brackets.
pub(super) fn fixed_prefix(host: &str) -> usize {
    let name = host.rfind('@').map_or(0, |at| at + 1);
    match host[name..].strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, _)) if address.contains(':') => name + address.len() + 2,
        _ => name,
    }
}

fn parse_span(part: &str, item: &str) -> Result<Span, HostSetError> {
    let words = || (part.to_owned(), item.to_owned());
    let not_a_range = || {
        let (part, item) = words();
        HostSetError::NotARange { part, item }
    };
    let Some((first, rest)) = part.split_once('-') else {
        let first = Number::parse(part).ok_or_else(not_a_range)?;
        return Ok(Span { first, last: first.value, step: 1 });
    };
    let (last, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let first = Number::parse(first.trim()).ok_or_else(not_a_range)?;
    let last = Number::parse(last.trim()).ok_or_else(not_a_range)?;
    let step = Number::parse(step.trim()).ok_or_else(not_a_range)?.value;
    let (part, item) = words();
    if (first.width != 0 || last.width != 0) && first.digits() != last.digits() {
        return Err(HostSetError::Padding { part, item });
    }
    if last.value < first.value {
        return Err(HostSetError::Backwards { part, item });
    }
    if step == 0 {
        return Err(HostSetError::ZeroStep { part, item });
    }
    Ok(Span { first, last: last.value, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_lists_ranges_and_dimensions() {
        for (text, names) in [
            ("web1", "web1"),
            ("web1,db1", "web1 db1"),
            (" web1  db1 ,\tdb2\n", "web1 db1 db2"),
            ("web[1-3]", "web1 web2 web3"),
            ("web[01-03,10]", "web01 web02 web03 web10"),
            ("web[01-07/2,9]", "web01 web03 web05 web07 web9"),
            ("web[08-11]", "web08 web09 web10 web11"),
            ("web[098-101]", "web098 web099 web100 web101"),
            ("web[5]", "web5"),
            ("web[1, 3]", "web1 web3"),
            ("r[1-2]-n[1-2]", "r1-n1 r1-n2 r2-n1 r2-n2"),
            ("[1-2].example.com", "1.example.com 2.example.com"),
            ("me@web[1-2]:22", "me@web1:22 me@web2:22"),
            ("localhost:[2201-2202]", "localhost:2201 localhost:2202"),
            ("[::1]", "[::1]"),
            ("[::1]:22,u@[fe80::1%eth0]:22", "[::1]:22 u@[fe80::1%eth0]:22"),
            ("[::1]:[22-23]", "[::1]:22 [::1]:23"),
            ("web1,web1", "web1 web1"),
        ] {
            assert_eq!(expand(text).map(|names| names.join(" ")), Ok(names.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_host_set_and_says_what_was_expected() {
        for (text, message) in [
            ("", "no host name is given"),
            (" \n", "no host name is given"),
            ("a,,b", "missing next to a comma in \"a,,b\""),
            (",a", "missing next to a comma"),
            ("a,", "missing next to a comma"),
            ("b web[1-3", "brackets in \"web[1-3\" do not match"),
            ("web1-3]", "brackets"),
            ("web[1-[2]]", "brackets"),
            ("web[]", "\"\" in \"web[]\" is no range"),
            ("web[a-c]", "\"a-c\" in \"web[a-c]\" is no range"),
            ("web[1-]", "no range"),
            ("web[1-2-3]", "no range"),
            ("web[1,]", "no range"),
            ("web[1/2]", "no range"),
            ("web[+1-2]", "no range"),
            ("web[0-1000000000000000000]", "no range"),
            ("web[3-1]", "\"3-1\" in \"web[3-1]\" goes down"),
            ("web[1-05]", "padded differently"),
            ("web[01-005]", "padded differently"),
            ("web[01-100]", "padded differently; expected as many digits in both"),
            ("web[1-5/0]", "step of \"1-5/0\""),
            ("@web", "\"@web\" names a group"),
        ] {
            let error = expand(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn the_limit_counts_all_items_and_dimensions() {
        assert_eq!(expand("a[1-1000000]").map(|names| names.len()), Ok(EXPANSION_LIMIT));
        for text in
            ["a[0-1000000]", "b,a[1-1000000]", "a[1-1001]-[1-1000]", "a[0-999999999999999999][0-999999999999999999]"]
        {
            assert!(matches!(expand(text), Err(HostSetError::TooMany { .. })), "{text}");
        }
        let huge = vec!["0-999999999999999999"; 20].join(",");
        assert!(matches!(expand(&format!("a[{huge}]")), Err(HostSetError::TooMany { .. })));
    }
}
