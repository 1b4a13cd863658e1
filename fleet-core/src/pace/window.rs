//! The window: what follows for the limit from how attempts end.
//!
//! It counts in rounds, as it has no clock: a round is over when about as many attempts have ended as may go on at
//! once, which is what a round trip is to TCP. Must not know what the time is.

use std::fmt;
use std::time::Duration;

/// What is added to the limit after a good round, once doubling is over; a quarter of a limit that is small.
const STEP: usize = 16;
/// A round has at least so many ends, or there would be too few to judge by, ...
const SHORTEST_ROUND: usize = 8;
/// ... and at most so many, or a large window would be slow to notice anything.
const LONGEST_ROUND: usize = 256;
/// One dropped connection in so many is bad luck, and the host's own; more are pressure.
const TOLERATED_DROPS: usize = 16;
/// So many drops in a round are the least that is believed to be pressure: a server that drops everything, or two, are
/// a matter of their own.
const FEWEST_DROPS: usize = 3;
/// Handshakes are quick when they take at most so many times the best, ...
const QUICK_FACTOR: u32 = 2;
/// ... or this much longer: on a network without delay every queue is many times as long as nothing.
const QUICK_SLACK: Duration = Duration::from_millis(25);
/// Handshakes are slow when they take more than so many times the best and `SLOW_SLACK`. In between, the limit stays.
const SLOW_FACTOR: u32 = 5;
const SLOW_SLACK: Duration = Duration::from_millis(100);
/// Between what the limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// It is never below this, at least 1.
    pub least: usize,
    /// It begins here.
    pub start: usize,
    /// It is never above this.
    pub most: usize,
}

impl Bounds {
    fn hold(self, limit: usize) -> usize {
        limit.min(self.most).max(self.least).max(1)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Well, after this time.
    Done(Duration),
    /// It was begun, then dropped or no longer answered: what a server does, or a box before it, that has too many.
    Dropped,
    /// Nothing answered at all: the host is down, as a rule, and only if most are is it the network.
    Unanswered,
    /// This process had no file descriptor left for it.
    OutOfDescriptors,
    /// In a way that has nothing to do with how many there are: refused, unknown, not let in, given up.
    Unrelated,
}

/// A new limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// How many may go on at once now.
    pub limit: usize,
    /// Why.
    pub reason: Reason,
}

/// Why the limit is another; displays as `handshakes take 40ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They are quick: half of them take at most so long.
    Quick(Duration),
    /// They have become slow.
    Slow {
        /// Half of them take at least so long.
        took: Duration,
        /// What was usual before.
        best: Duration,
    },
    /// So many connections were dropped.
    Dropped(usize),
    /// So many hosts, most of those that were tried, did not answer.
    Unanswered(usize),
    /// We had no file descriptor left.
    OutOfDescriptors,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quick(took) => write!(f, "handshakes take {}", Millis(*took)),
            Self::Slow { took, best } => write!(f, "handshakes take {} instead of {}", Millis(*took), Millis(*best)),
            Self::Dropped(1) => f.write_str("a connection was dropped before login"),
            Self::Dropped(count) => write!(f, "{count} connections were dropped before login"),
            Self::Unanswered(count) => write!(f, "{count} hosts did not answer, most of those tried"),
            Self::OutOfDescriptors => f.write_str("this machine's limit of open files is reached (ulimit -n)"),
        }
    }
}

/// A duration as people say it: `40ms`, `1.2s`.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("1ms"),
            millis @ ..1000 => write!(f, "{millis}ms"),
            _ => write!(f, "{:.1}s", self.0.as_secs_f64()),
        }
    }
}

/// How many may go on at once, and what has been seen.
#[derive(Debug)]
pub(super) struct Window {
    bounds: Bounds,
    limit: usize,
    growth: Growth,
    round: Round,
    /// The time in which half of the handshakes were done in the best round.
    best: Option<Duration>,
    /// The same in a round that was too slow, until the limit that followed has been tried.
    slow: Option<Duration>,
    /// Attempts still to end that were begun before the last cut, and say nothing of the limit since.
    stale: usize,
}

/// How the limit grows after a good round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// Until the first sign that it is enough ("slow start").
    Doubling,
    /// From then on ("congestion avoidance").
    Adding,
}

/// What was seen in this round.
#[derive(Debug, Default)]
struct Round {
    ended: usize,
    took: Vec<Duration>,
    dropped: usize,
    unanswered: usize,
    /// Whether the limit was made use of: one that nobody reached is not known to be good.
    full: bool,
}

impl Window {
    pub(super) fn new(bounds: Bounds) -> Self {
        let limit = bounds.hold(bounds.start);
        Self { bounds, limit, growth: Growth::Doubling, round: Round::default(), best: None, slow: None, stale: 0 }
    }

    /// How many may go on at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of the end of one of `in_progress` attempts, itself counted. Returns what changes.
    pub(super) fn note(&mut self, end: End, in_progress: usize) -> Option<Change> {
        if self.stale > 0 {
            self.stale -= 1;
            return None;
        }
        self.round.take(end, in_progress * 4 >= self.limit * 3);
        let before = self.limit;
        let reason = match end {
            End::OutOfDescriptors => Some(self.cut(Reason::OutOfDescriptors, self.bounds.least, in_progress)),
            _ if self.is_dropping() => {
                Some(self.cut(Reason::Dropped(self.round.dropped), self.bounds.least, in_progress))
            }
            _ if self.round.ended < self.limit.clamp(SHORTEST_ROUND, LONGEST_ROUND) => None,
            _ if self.round.unanswered * 2 > self.round.ended => {
                // No further than where it began: hosts that are down cost time, and more so the fewer are tried.
                Some(self.cut(Reason::Unanswered(self.round.unanswered), self.bounds.start, in_progress))
            }
            _ => self.end_round(in_progress),
        };
        reason.filter(|_| self.limit != before).map(|reason| Change { limit: self.limit, reason })
    }

    /// A window whose limit is elsewhere by now.
    #[cfg(test)]
    pub(super) fn starting_at(bounds: Bounds, limit: usize) -> Self {
        Self { limit, ..Self::new(bounds) }
    }

    fn is_dropping(&self) -> bool {
        self.round.dropped >= FEWEST_DROPS.max(self.limit / TOLERATED_DROPS)
    }

    /// Halves the limit, but not below `floor`. What is on its way now was begun under the old one.
    fn cut(&mut self, reason: Reason, floor: usize, in_progress: usize) -> Reason {
        self.limit = self.bounds.hold((self.limit / 2).max(floor.min(self.limit)));
        self.begin_round(in_progress);
        reason
    }

    /// Judges a round without trouble by how long its handshakes took.
    fn end_round(&mut self, in_progress: usize) -> Option<Reason> {
        let mut round = std::mem::take(&mut self.round);
        let took = round.median()?;
        let best = self.usual(took);
        if took > best * SLOW_FACTOR + SLOW_SLACK {
            self.slow = Some(took);
            return Some(self.cut(Reason::Slow { took, best }, self.bounds.least, in_progress));
        }
        if took > best * QUICK_FACTOR + QUICK_SLACK {
            self.growth = Growth::Adding;
            return None;
        }
        let more = match self.growth {
            _ if !round.full => 0,
            Growth::Doubling => self.limit,
            Growth::Adding => (self.limit / 4).clamp(1, STEP),
        };
        self.limit = self.bounds.hold(self.limit + more);
        Some(Reason::Quick(took))
    }

    /// What `took` is to be compared with: the best, unless half as many handshakes as before are as slow. Then it is
    /// not us who are too many, but these hosts are farther away.
    fn usual(&mut self, took: Duration) -> Duration {
        let in_vain = self.slow.take().is_some_and(|slow| took * 4 > slow * 3);
        let usual = self.best.filter(|_| !in_vain).map_or(took, |best| best.min(took));
        self.best = Some(usual);
        usual
    }

    fn begin_round(&mut self, in_progress: usize) {
        self.growth = Growth::Adding;
        self.round = Round::default();
        self.stale = in_progress.saturating_sub(1);
    }
}

impl Round {
    fn take(&mut self, end: End, full: bool) {
        self.ended += 1;
        self.full |= full;
        match end {
            End::Done(took) => self.took.push(took),
            End::Dropped => self.dropped += 1,
            End::Unanswered => self.unanswered += 1,
            End::OutOfDescriptors | End::Unrelated => {}
        }
    }

    /// The time in which half of the handshakes were done; none where there were hardly any.
    fn median(&mut self) -> Option<Duration> {
        if self.took.len() * 4 < self.ended {
            return None;
        }
        let middle = self.took.len() / 2;
        self.took.select_nth_unstable(middle);
        Some(self.took[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least: 2, start: 32, most: 1024 };

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Ends `count` attempts, as many being in progress as may.
    fn note(window: &mut Window, end: End, count: usize) -> Vec<Change> {
        (0..count).filter_map(|_| window.note(end, window.limit())).collect()
    }

    fn changes(window: &mut Window, end: End, count: usize) -> Vec<String> {
        note(window, end, count).iter().map(|change| format!("{} {}", change.limit, change.reason)).collect()
    }

    #[test]
    fn quick_handshakes_double_the_limit_up_to_the_most() {
        let mut window = Window::new(Bounds { most: 200, ..BOUNDS });
        let expected = ["64 handshakes take 40ms", "128 handshakes take 40ms", "200 handshakes take 40ms"];
        assert_eq!(changes(&mut window, End::Done(millis(40)), 1000), expected);
    }

    #[test]
    fn drops_halve_the_limit_once_for_all_that_was_on_its_way() {
        let mut window = Window::new(BOUNDS);
        assert_eq!(changes(&mut window, End::Dropped, 34), ["16 3 connections were dropped before login"]);
        assert_eq!(changes(&mut window, End::Dropped, 3), ["8 3 connections were dropped before login"]);
    }

    #[test]
    fn the_limit_grows_by_steps_after_trouble() {
        let mut window = Window::starting_at(BOUNDS, 256);
        note(&mut window, End::Dropped, 16);
        assert_eq!(window.limit(), 128);
        let limits: Vec<_> = note(&mut window, End::Done(millis(1)), 255 + 128 + 144).iter().map(|c| c.limit).collect();
        assert_eq!(limits, [144, 160]);
    }

    #[test]
    fn a_server_that_always_drops_is_a_matter_of_its_own() {
        let mut window = Window::new(BOUNDS);
        for _ in 0..16 {
            note(&mut window, End::Dropped, 2);
            let limit = window.limit();
            note(&mut window, End::Done(millis(1)), limit);
        }
        assert_eq!(window.limit(), 1024);
    }

    #[test]
    fn failures_that_have_other_reasons_change_nothing() {
        let mut window = Window::new(BOUNDS);
        assert_eq!(changes(&mut window, End::Unrelated, 1000), [""; 0]);
    }

    #[test]
    fn hosts_that_are_down_do_not_slow_the_others() {
        let mut window = Window::new(BOUNDS);
        for _ in 0..300 {
            note(&mut window, End::Unanswered, 1);
            note(&mut window, End::Done(millis(5)), 2);
        }
        assert!(window.limit() >= 256, "{window:?}");
    }

    #[test]
    fn a_network_that_answers_nobody_brings_the_limit_back_to_its_start() {
        let mut window = Window::starting_at(BOUNDS, 128);
        let expected =
            ["64 128 hosts did not answer, most of those tried", "32 64 hosts did not answer, most of those tried"];
        assert_eq!(changes(&mut window, End::Unanswered, 10_000), expected);
        assert_eq!(
            changes(&mut window, End::Dropped, 10_000).last().unwrap(),
            "2 3 connections were dropped before login"
        );
    }

    #[test]
    fn a_lack_of_descriptors_halves_at_once() {
        let mut window = Window::new(BOUNDS);
        let expected = ["16 this machine's limit of open files is reached (ulimit -n)"];
        assert_eq!(changes(&mut window, End::OutOfDescriptors, 32), expected);
    }

    #[test]
    fn slow_handshakes_hold_the_limit_and_very_slow_ones_lower_it() {
        let mut window = Window::starting_at(BOUNDS, 64);
        assert_eq!(changes(&mut window, End::Done(millis(50)), 64), ["128 handshakes take 50ms"]);
        assert_eq!(changes(&mut window, End::Done(millis(200)), 128), [""; 0]);
        assert_eq!(changes(&mut window, End::Done(millis(2000)), 128), ["64 handshakes take 2.0s instead of 50ms"]);
        let changed = changes(&mut window, End::Done(millis(1900)), 127 + 64 + 64);
        assert_eq!(changed, ["80 handshakes take 1.9s"; 1], "half as many took as long: that is what they take");
    }

    #[test]
    fn a_limit_that_nobody_reaches_does_not_grow() {
        let mut window = Window::new(BOUNDS);
        assert!((0..1000).all(|_| window.note(End::Done(millis(1)), 20).is_none()));
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        for (bounds, limit) in [
            (Bounds { least: 0, start: 0, most: 0 }, 1),
            (Bounds { least: 2, start: 32, most: 5 }, 5),
            (Bounds { least: 4, start: 1, most: 9 }, 4),
        ] {
            let mut window = Window::new(bounds);
            assert_eq!(window.limit(), limit, "{bounds:?}");
            note(&mut window, End::Dropped, 1000);
            note(&mut window, End::Unanswered, 1000);
            assert_eq!(window.limit(), bounds.least.max(1), "{bounds:?}");
        }
    }
}
