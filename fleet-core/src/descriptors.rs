//! File descriptors: how many sessions this process can hold at once, and whether none is left.
//!
//! Must not know what a session is; it has a price.

use std::cmp::Reverse;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Standard streams, runtime, name lookups, the agent's sockets, output files, known_hosts. All but the first few make
/// do with less.
const RESERVED: u64 = 96;

/// How many of `wanted` sessions fit, whichever of those with these `prices`, in descriptors, run at once. Raises the
/// soft limit as far as needed and allowed.
#[must_use]
pub fn sessions_allowed(wanted: usize, prices: &[u64]) -> usize {
    let mut prices = prices.to_vec();
    prices.sort_unstable_by_key(|&price| Reverse(price));
    prices.truncate(wanted);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = RESERVED + prices.iter().sum::<u64>();
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
        Some(current) if current < needed => sessions_within(current, &prices),
        _ => wanted,
    }
}

/// What the limit of open files allows, when nothing is changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// The limit in force; `None` is no limit.
    pub soft: Option<u64>,
    /// What a run may raise it to by itself; `None` is no limit.
    pub hard: Option<u64>,
    /// How many sessions a run may hold at once, the limit raised as far as that goes.
    pub sessions: usize,
}

/// How many of `wanted` sessions with these `prices`, in descriptors, a run could hold. Raises nothing.
#[must_use]
pub fn headroom(wanted: usize, mut prices: Vec<u64>) -> Headroom {
    prices.sort_unstable_by_key(|&price| Reverse(price));
    prices.truncate(wanted);
    let Rlimit { current: soft, maximum: hard } = getrlimit(Resource::Nofile);
    let needed = RESERVED + prices.iter().sum::<u64>();
    let sessions = match hard {
        Some(hard) if hard < needed => sessions_within(hard, &prices),
        _ => wanted,
    };
    Headroom { soft, hard, sessions }
}

/// How many sessions, paid for in this order, fit. At least one: with less than the reserve it may still go well.
fn sessions_within(descriptors: u64, prices: &[u64]) -> usize {
    let mut left = descriptors - RESERVED.min(descriptors / 2);
    let pay = |price: &&u64| match left.checked_sub(**price) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    prices.iter().take_while(pay).count().max(1)
}

/// Whether an operation failed because this process, or this machine, has no file descriptor left.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_leaves_room_for_fewer_sessions_but_always_one() {
        for (descriptors, price, sessions) in
            [(256, 2, 80), (1024, 2, 464), (64, 2, 16), (10, 2, 2), (1, 2, 1), (256, 5, 32), (256, 1, 160)]
        {
            assert_eq!(sessions_within(descriptors, &[price; 1000]), sessions, "{descriptors}, {price}");
        }
        assert_eq!(sessions_within(256, &[[5; 20].as_slice(), &[2; 100]].concat()), 20 + 30);
        assert_eq!(sessions_within(256, &[2; 3]), 3);
        assert_eq!(sessions_within(16, &[5, 5, 2]), 1);
    }

    #[test]
    fn a_shortage_of_descriptors_is_told_from_other_errors() {
        for (errno, is_shortage) in [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::ACCESS, false)] {
            assert_eq!(is_out_of_descriptors(&errno.into()), is_shortage, "{errno}");
        }
        assert!(!is_out_of_descriptors(&io::ErrorKind::NotFound.into()));
    }
}
