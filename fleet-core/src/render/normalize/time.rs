//! Dates and times of day in text.
//!
//! Must not know the date.

use super::scan::{Found, continues};
use super::take::{any_text, at_end, digits, maybe, one_of, some, text};

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Gives what stands behind a date or time of one form.
type Form = fn(&[u8]) -> Option<&[u8]>;

/// The forms that are known. The first that fits is taken: a longer one stands before those that it begins with.
const FORMS: [Form; 8] = [iso, iso_basic, nginx, common_log, ctime, syslog, mail, clock_and_offset];

/// A date or time at the start of `rest`.
pub(super) fn find(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if matches!(before, Some(b':' | b'.')) || !may_begin(rest) {
        return None;
    }
    let behind = FORMS.iter().find_map(|form| form(rest).filter(|behind| at_end(behind)))?;
    // Numbers with more colons, such as hardware addresses, are no times.
    let is_longer = matches!(behind, [b':', tail @ ..] if continues(tail)) || continues(behind);
    (!is_longer).then_some(Found::whole(rest.len() - behind.len()))
}

/// A cheap look at the first bytes, which most words do not pass.
fn may_begin(rest: &[u8]) -> bool {
    match rest.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(0) => any_text(rest, &MONTHS).or_else(|| any_text(rest, &WEEKDAYS)).is_some(),
        // The hour, the day or the year, a date without hyphens
        Some(digits @ (1 | 2 | 4 | 8)) => b":/- T".contains(&rest[digits]),
        _ => false,
    }
}

/// RFC 3339 and ISO 8601, also with a blank: `2026-11-22T03:24:30.5+01:00`
fn iso(rest: &[u8]) -> Option<&[u8]> {
    let date = year_month_day(rest, b"-")?;
    Some(maybe(date, |rest| clock_and_offset(one_of(rest, b"T _")?)))
}

/// ISO 8601, basic format: `20261122T032430Z`
fn iso_basic(rest: &[u8]) -> Option<&[u8]> {
    let time = digits(text(digits(rest, 8)?, b"T")?, 6)?;
    Some(maybe(time, |rest| text(rest, b"Z")))
}

/// The error log of nginx: `2026/11/22 03:24:30`
fn nginx(rest: &[u8]) -> Option<&[u8]> {
    Some(maybe(year_month_day(rest, b"/")?, |rest| clock(text(rest, b" ")?)))
}

/// The common log format of web servers: `22/Nov/2026:03:24:30 +0000`
fn common_log(rest: &[u8]) -> Option<&[u8]> {
    let month = any_text(text(day(rest)?, b"/")?, &MONTHS)?;
    let date = digits(text(month, b"/")?, 4)?;
    Some(maybe(date, |rest| {
        let clock = clock(text(rest, b":")?)?;
        Some(maybe(clock, |rest| digits(one_of(text(rest, b" ")?, b"+-")?, 4)))
    }))
}

/// date(1) and ctime(3), with a named zone only before the year: `Sun Nov 22 03:24:30 UTC 2026`
fn ctime(rest: &[u8]) -> Option<&[u8]> {
    let clock = clock(text(month_and_day(weekday(rest))?, b" ")?)?;
    let zone = maybe(clock, |rest| some(text(rest, b" ")?, 2..=5, u8::is_ascii_uppercase));
    digits(text(zone, b" ")?, 4)
}

/// syslog (RFC 3164 section 4.1.2) and ls(1): `Nov 22 03:24:30`, `Nov 22  2026`
fn syslog(rest: &[u8]) -> Option<&[u8]> {
    let date = month_and_day(weekday(rest))?;
    let with_clock = maybe(date, clock_and_zone);
    Some(if with_clock.len() < date.len() { with_clock } else { maybe(date, |rest| digits(blanks(rest)?, 4)) })
}

/// mail (RFC 5322 section 3.3), and date(1) in some languages: `Sun, 22 Nov 2026 03:24:30 +0000`
fn mail(rest: &[u8]) -> Option<&[u8]> {
    let month = any_text(text(day(weekday(rest))?, b" ")?, &MONTHS)?;
    Some(maybe(digits(text(month, b" ")?, 4)?, clock_and_zone))
}

/// `03:24:30Z`, `3:24 PM`, `03:24:30 +0100`
fn clock_and_offset(rest: &[u8]) -> Option<&[u8]> {
    Some(maybe(clock(rest)?, |rest| {
        text(rest, b"Z").or_else(|| {
            let hours = digits(one_of(rest.strip_prefix(b" ").unwrap_or(rest), b"+-")?, 2)?;
            digits(hours.strip_prefix(b":").unwrap_or(hours), 2)
        })
    }))
}

/// ` 03:24:30 UTC`
fn clock_and_zone(rest: &[u8]) -> Option<&[u8]> {
    Some(maybe(clock(text(rest, b" ")?)?, |rest| {
        let zone = text(rest, b" ")?;
        any_text(zone, &[b"UTC", b"GMT"]).or_else(|| digits(one_of(zone, b"+-")?, 4))
    }))
}

/// `3:24`, `03:24:30,123`, `03:24:30 PM`
fn clock(rest: &[u8]) -> Option<&[u8]> {
    let minutes = sixty(text(hours(rest)?, b":")?)?;
    let seconds = maybe(minutes, |rest| {
        let seconds = text(rest, b":")?;
        let whole = sixty(seconds).or_else(|| text(seconds, b"60"))?;
        Some(maybe(whole, |rest| some(one_of(rest, b".,")?, 1..=9, u8::is_ascii_digit)))
    });
    Some(maybe(seconds, |rest| text(one_of(text(rest, b" ")?, b"AP")?, b"M")))
}

fn hours(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [b'0' | b'1', b'0'..=b'9', tail @ ..] | [b'2', b'0'..=b'3', tail @ ..] | [b'0'..=b'9', tail @ ..] => Some(tail),
        _ => None,
    }
}

/// From `00` to `59`.
fn sixty(rest: &[u8]) -> Option<&[u8]> {
    digits(one_of(rest, b"012345")?, 1)
}

fn year_month_day<'a>(rest: &'a [u8], between: &[u8]) -> Option<&'a [u8]> {
    digits(text(digits(text(digits(rest, 4)?, between)?, 2)?, between)?, 2)
}

fn day(rest: &[u8]) -> Option<&[u8]> {
    some(rest, 1..=2, u8::is_ascii_digit)
}

/// Behind the day of the week, if there is one.
fn weekday(rest: &[u8]) -> &[u8] {
    let behind = |rest| {
        let name = any_text(rest, &WEEKDAYS)?;
        blanks(name.strip_prefix(b",").unwrap_or(name))
    };
    behind(rest).unwrap_or(rest)
}

/// `Nov 22`, `Nov  2`
fn month_and_day(rest: &[u8]) -> Option<&[u8]> {
    day(blanks(any_text(rest, &MONTHS)?)?)
}

fn blanks(rest: &[u8]) -> Option<&[u8]> {
    some(rest, 1..=2, |byte| *byte == b' ')
}
