//! Numbers and process ids in text.
//!
//! Must not know what they count.

use super::scan::{Found, continues};
use super::take::{at_end, one_of, some, text};

/// The shortest word of hexadecimal digits that is taken for a number: commits are abbreviated to as many.
const MIN_HEXADECIMAL: usize = 7;

/// The most digits that a process id has.
const MAX_PID_DIGITS: usize = 10;

/// A process id at the start of `rest`, behind the word `pid`: `pid 1234`, `PID: 1234`, `pid=1234`, `"pid":1234`.
pub(super) fn pid(rest: &[u8]) -> Option<Found> {
    let (_, word) = rest.split_at_checked(3).filter(|(word, _)| word.eq_ignore_ascii_case(b"pid"))?;
    let name = word.strip_prefix(b"\"").unwrap_or(word);
    let id = match one_of(name, b"=: ")? {
        [b' ', id @ ..] if name.first() == Some(&b':') => id,
        id => id,
    };
    pid_digits(id, rest).filter(|found| at_end(&rest[found.lead + found.bytes..]))
}

/// A process id in brackets at the start of `rest`: `[1234]`.
pub(super) fn bracketed_pid(rest: &[u8]) -> Option<Found> {
    let found = pid_digits(text(rest, b"[")?, rest)?;
    (rest.get(found.lead + found.bytes) == Some(&b']')).then_some(found)
}

/// The process id at the start of `id`, with which `whole` ends.
fn pid_digits(id: &[u8], whole: &[u8]) -> Option<Found> {
    let behind = some(id, 1..=MAX_PID_DIGITS, u8::is_ascii_digit)?;
    Some(Found { lead: whole.len() - id.len(), bytes: id.len() - behind.len() })
}

/// A number at the start of `rest`. Words that begin with a letter are none: `eth0`, `v1.2.3`.
pub(super) fn find(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if before == Some(b'.') || !rest.first()?.is_ascii_hexdigit() {
        return None;
    }
    identifier(rest).or_else(|| hexadecimal(rest)).or_else(|| decimal(rest)).map(Found::whole)
}

/// A UUID (RFC 9562 section 4) or a hardware address.
fn identifier(rest: &[u8]) -> Option<usize> {
    let hexadecimal = |rest, digits| some(rest, digits..=digits, u8::is_ascii_hexdigit);
    let joined = |first, between: &[u8], others: &[usize]| {
        others.iter().try_fold(hexadecimal(rest, first)?, |rest, digits| hexadecimal(text(rest, between)?, *digits))
    };
    let behind = joined(8, b"-", &[4, 4, 4, 12]).or_else(|| joined(2, b":", &[2; 5]))?;
    at_end(behind).then_some(rest.len() - behind.len())
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
