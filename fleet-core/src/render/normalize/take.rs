//! Takes what is known of a form from the start of a text: each function gives the rest, or nothing if the text begins
//! otherwise.
//!
//! By hand, as a crate for regular expressions would be a tenth of what `psh` takes to compile, and of its size. Must not
//! know what the forms mean.

use std::ops::RangeInclusive;

use super::scan::is_word;

/// Just this.
pub(super) fn text<'a>(rest: &'a [u8], expected: &[u8]) -> Option<&'a [u8]> {
    rest.strip_prefix(expected)
}

/// One byte of these.
pub(super) fn one_of<'a>(rest: &'a [u8], bytes: &[u8]) -> Option<&'a [u8]> {
    rest.split_first().filter(|(first, _)| bytes.contains(first)).map(|(_, tail)| tail)
}

/// One of these words.
pub(super) fn any_text<'a>(rest: &'a [u8], words: &[&[u8]]) -> Option<&'a [u8]> {
    words.iter().find_map(|word| rest.strip_prefix(*word))
}

/// As many bytes as there are of a kind, but no more than the most, if these are not too few.
pub(super) fn some(rest: &[u8], count: RangeInclusive<usize>, is_kind: impl Fn(&u8) -> bool) -> Option<&[u8]> {
    let bytes = rest.iter().take(*count.end()).take_while(|byte| is_kind(byte)).count();
    count.contains(&bytes).then(|| &rest[bytes..])
}

/// Exactly so many digits, or more of them behind.
pub(super) fn digits(rest: &[u8], count: usize) -> Option<&[u8]> {
    some(rest, count..=count, u8::is_ascii_digit)
}

/// What may be there: it is taken unless that would cut a number or a name in two.
pub(super) fn maybe<'a>(rest: &'a [u8], part: impl Fn(&'a [u8]) -> Option<&'a [u8]>) -> &'a [u8] {
    let is_whole = |behind: &&[u8]| match (rest[..rest.len() - behind.len()].last(), behind.first()) {
        (Some(last), Some(next)) => {
            !(last.is_ascii_digit() && next.is_ascii_digit()
                || last.is_ascii_alphabetic() && next.is_ascii_alphabetic())
        }
        _ => true,
    };
    part(rest).filter(is_whole).unwrap_or(rest)
}

/// Whether no word goes on in `rest`.
pub(super) fn at_end(rest: &[u8]) -> bool {
    !rest.first().copied().is_some_and(is_word)
}
