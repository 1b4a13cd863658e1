//! IPv4 and IPv6 addresses in text.
//!
//! Must not know which addresses the hosts have.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::scan::{Found, continues, is_word};

/// `255.255.255.255`
const MAX_IPV4_BYTES: usize = 15;
/// `0000:0000:0000:0000:0000:ffff:255.255.255.255`
const MAX_IPV6_BYTES: usize = 45;

/// An address at the start of `rest`, without port, zone or prefix length.
pub(super) fn find(before: Option<u8>, rest: &[u8]) -> Option<Found> {
    if matches!(before, Some(b':' | b'.')) {
        return None;
    }
    ipv6(rest).or_else(|| ipv4(rest)).map(Found::whole)
}

fn ipv4(rest: &[u8]) -> Option<usize> {
    let bytes = run(rest, MAX_IPV4_BYTES, |byte| byte.is_ascii_digit() || byte == b'.')?;
    // A full stop may follow.
    let bytes = bytes - usize::from(rest[..bytes].ends_with(b"."));
    parsed::<Ipv4Addr>(&rest[..bytes])?;
    let is_longer = matches!(&rest[bytes..], [b'.', tail @ ..] if continues(tail));
    (!is_longer && !continues(&rest[bytes..])).then_some(bytes)
}

fn ipv6(rest: &[u8]) -> Option<usize> {
    let mut bytes = run(rest, MAX_IPV6_BYTES + 1, |byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.')?;
    if continues(&rest[bytes..]) {
        return None;
    }
    // A colon or a full stop may follow, but `::` is also how an address ends.
    while parsed::<Ipv6Addr>(&rest[..bytes]).is_none() {
        bytes = bytes.checked_sub(1).filter(|&shorter| shorter > 0 && !is_word(rest[shorter]))?;
    }
    Some(bytes)
}

/// How many bytes of at most `max` at the start of `rest` are of an address; `None` if there are more, or too few.
fn run(rest: &[u8], max: usize, is_part: impl Fn(u8) -> bool) -> Option<usize> {
    let bytes = rest.iter().take(max + 2).take_while(|byte| is_part(**byte)).count();
    (2..=max + 1).contains(&bytes).then_some(bytes)
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
