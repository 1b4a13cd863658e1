//! File descriptors: how many sessions this process can hold at once.
//!
//! Must not know what a session is; it has a price.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A socket, and a temporary file for output that nobody takes yet.
const PER_SESSION: u64 = 2;
/// Standard streams, runtime, name lookups, the agent's sockets, output files, known_hosts. All but the first few make
/// do with less.
const RESERVED: u64 = 96;

/// How many of `wanted` sessions fit. Raises the soft limit as far as needed and allowed.
#[must_use]
pub(crate) fn sessions_allowed(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = RESERVED + PER_SESSION * wanted as u64;
    let current = match current {
        Some(current) if current < needed => {
            let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
            match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
                Ok(()) => Some(raised),
                Err(_) => Some(current),
            }
        }
        enough => enough,
    };
    match current {
        Some(current) if current < needed => sessions_within(current).min(wanted),
        _ => wanted,
    }
}

/// At least one: with less than the reserve it may still go well.
fn sessions_within(descriptors: u64) -> usize {
    let reserved = RESERVED.min(descriptors / 2);
    usize::try_from((descriptors - reserved) / PER_SESSION).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_leaves_room_for_fewer_sessions_but_always_one() {
        for (descriptors, sessions) in [(256, 80), (1024, 464), (64, 16), (10, 2), (1, 1)] {
            assert_eq!(sessions_within(descriptors), sessions, "{descriptors}");
        }
    }
}
