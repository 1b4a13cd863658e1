//! Numbers and process ids in text.
//!
//! Must not know what they count.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::scan::Found;

/// `pid 1234`, `PID: 1234`, `pid=1234`, `"pid":1234`
static PID: LazyLock<Regex> = LazyLock::new(|| fixed(r#"(?-u)^(?i:pid)"?(?:=|:\x20?|\x20)(\d{1,10})\b"#));

/// `[1234]`
static BRACKETED_PID: LazyLock<Regex> = LazyLock::new(|| fixed(r"(?-u)^\[(\d{1,10})\]"));

/// UUIDs (RFC 9562), hardware addresses, hexadecimal with and without 0x, decimal.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    fixed(
        r"(?x-u)^(?:
            [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
          | [0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b
          | 0[xX][0-9a-fA-F]+\b
          | [0-9a-fA-F]{7,}\b
          | \d+(?:\.\d+)*(?:[eE][+-]?\d+\b)?
        )",
    )
});

/// A process id at the start of `rest`, behind the word `pid`.
pub(super) fn pid(rest: &[u8]) -> Option<Found> {
    rest.first().filter(|first| first.eq_ignore_ascii_case(&b'p'))?;
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
    let text = NUMBER.find(rest)?.as_bytes();
    text.iter().any(u8::is_ascii_digit).then_some(Found::whole(text.len()))
}

fn captured(pattern: &Regex, rest: &[u8]) -> Option<Found> {
    let digits = pattern.captures(rest)?.get(1)?;
    Some(Found { lead: digits.start(), bytes: digits.len() })
}

fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is fixed, and a test compiles it")
}
