//! Numbers and process ids in text.
//!
//! Must not know what they count.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::scan::{Found, continues};

/// `pid 1234`, `PID: 1234`, `pid=1234`, `"pid":1234`
static PID: LazyLock<Regex> = LazyLock::new(|| fixed(r#"(?-u)^(?i:pid)"?(?:=|:\x20?|\x20)(\d{1,10})\b"#));

/// `[1234]`
static BRACKETED_PID: LazyLock<Regex> = LazyLock::new(|| fixed(r"(?-u)^\[(\d{1,10})\]"));

/// UUIDs (RFC 9562 section 4) and hardware addresses.
static IDENTIFIER: LazyLock<Regex> = LazyLock::new(|| {
    fixed(r"(?-u)^(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5})\b")
});

/// The shortest word of hexadecimal digits that is taken for a number: commits are abbreviated to as many.
const MIN_HEXADECIMAL: usize = 7;

/// A process id at the start of `rest`, behind the word `pid`.
pub(super) fn pid(rest: &[u8]) -> Option<Found> {
    rest.get(..3).filter(|word| word.eq_ignore_ascii_case(b"pid"))?;
    captured(&PID, rest)
}

/// A process id in brackets at the start of `rest`.
pub(super) fn bracketed_pid(rest: &[u8]) -> Option<Found> {
    rest.first().filter(|first| **first == b'[')?;
    captured(&BRACKETED_PID, rest)
}

/// A number at the start of `rest`. Words that begin with a letter are none: `eth0`, `v1.2.3`.
pub(super) fn find(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if before == Some(b'.') || !rest.first()?.is_ascii_hexdigit() {
        return None;
    }
    identifier(rest).or_else(|| hexadecimal(rest)).or_else(|| decimal(rest)).map(Found::whole)
}

fn identifier(rest: &[u8]) -> Option<usize> {
    let may_begin = rest.get(8) == Some(&b'-') || rest.get(2) == Some(&b':');
    if may_begin { IDENTIFIER.find(rest).map(|found| found.end()) } else { None }
}

/// With `0x`, or a long word of hexadecimal digits that is no word of letters.
fn hexadecimal(rest: &[u8]) -> Option<usize> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let bytes = match rest {
        [b'0', b'x' | b'X', tail @ ..] => 2 + Some(digits(tail)).filter(|digits| *digits > 0)?,
        _ => Some(digits(rest)).filter(|digits| *digits >= MIN_HEXADECIMAL)?,
    };
    let is_number = !continues(&rest[bytes..]) && rest[..bytes].iter().any(u8::is_ascii_digit);
    is_number.then_some(bytes)
}

/// `12`, `1.5`, `1.2.3`, `1e-9`
fn decimal(rest: &[u8]) -> Option<usize> {
    let digits = |at: usize| rest[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut bytes = Some(digits(0)).filter(|digits| *digits > 0)?;
    while rest.get(bytes) == Some(&b'.') && digits(bytes + 1) > 0 {
        bytes += 1 + digits(bytes + 1);
    }
    let exponent = match &rest[bytes..] {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return Some(bytes),
    };
    let end = bytes + exponent + digits(bytes + exponent);
    let is_exponent = end > bytes + exponent && !continues(&rest[end..]);
    Some(if is_exponent { end } else { bytes })
}

fn captured(pattern: &Regex, rest: &[u8]) -> Option<Found> {
    let digits = pattern.captures(rest)?.get(1)?;
    Some(Found { lead: digits.start(), bytes: digits.len() })
}

fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is fixed, and a test compiles it")
}
