//! Dates and times of day in text.
//!
//! Must not know the date.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::scan::{Found, continues};

/// The forms of dates and times that are known, from the start of a text.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    let second = r"(?::[0-5]\d|:60)(?:[.,]\d{1,9})?";
    let clock = format!(r"(?:[01]?\d|2[0-3]):[0-5]\d(?:{second})?(?:\x20[AP]M\b)?");
    let offset = r"(?:Z|\x20?[+-]\d{2}:?\d{2})";
    let month = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    let weekday = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\x20{1,2})?";
    let zone = r"(?:UTC|GMT|[+-]\d{4})";
    let forms = [
        // RFC 3339 and ISO 8601, also with a blank
        format!(r"\d{{4}}-\d{{2}}-\d{{2}}(?:[T\x20_]{clock}{offset}?)?"),
        // ISO 8601, basic format
        r"\d{8}T\d{6}Z?".to_owned(),
        // the error log of nginx
        format!(r"\d{{4}}/\d{{2}}/\d{{2}}(?:\x20{clock})?"),
        // the common log format of web servers
        format!(r"\d{{1,2}}/{month}/\d{{4}}(?::{clock}(?:\x20[+-]\d{{4}})?)?"),
        // date(1) and ctime(3), with a named zone only before the year
        format!(r"{weekday}{month}\x20{{1,2}}\d{{1,2}}\x20{clock}(?:\x20[A-Z]{{2,5}})?\x20\d{{4}}"),
        // syslog (RFC 3164 section 4.1.2) and ls(1)
        format!(r"{weekday}{month}\x20{{1,2}}\d{{1,2}}(?:\x20{clock}(?:\x20{zone})?|\x20{{1,2}}\d{{4}})?"),
        // mail (RFC 5322 section 3.3), and date(1) in some languages
        format!(r"{weekday}\d{{1,2}}\x20{month}\x20\d{{4}}(?:\x20{clock}(?:\x20{zone})?)?"),
        format!("{clock}{offset}?"),
    ];
    let pattern = format!(r"(?-u)^(?:{})\b", forms.join("|"));
    Regex::new(&pattern).expect("the pattern is fixed, and a test compiles it")
});

/// How months and days of the week begin a date.
const WORDS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";

/// A date or time at the start of `rest`.
pub(super) fn find(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if matches!(before, Some(b':' | b'.')) || !may_begin(rest) {
        return None;
    }
    let end = TIME.find(rest)?.end();
    // Numbers with more colons, such as hardware addresses, are no times.
    let is_longer = matches!(&rest[end..], [b':', tail @ ..] if continues(tail)) || continues(&rest[end..]);
    (!is_longer).then_some(Found::whole(end))
}

/// A cheap look at the first bytes, which most words do not pass.
fn may_begin(rest: &[u8]) -> bool {
    match rest.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(0) => rest.get(..3).is_some_and(|word| WORDS.chunks(3).any(|known| known == word)),
        // The hour, the day or the year, a date without hyphens
        Some(digits @ (1 | 2 | 4 | 8)) => b":/- T".contains(&rest[digits]),
        _ => false,
    }
}
