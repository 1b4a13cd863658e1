//! The straggler rule: a command that runs much longer than on most other hosts is stopped there. Pure.
//!
//! Must not know why a host is slow.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::HostIndex;
use crate::outcome::StopCause;

/// Fewer commands than this have no median worth the name.
const LEAST_SAMPLES: usize = 3;
/// No command is stopped sooner, however quick the others were.
const LEAST_LIMIT: Duration = Duration::from_secs(1);

/// Compares the commands that run with those that are done.
#[derive(Debug)]
pub(super) struct Stragglers {
    /// The limit as a percentage of the median; without one nobody is stopped.
    percent: Option<u32>,
    /// Commands that run, the oldest first.
    running: BTreeSet<(Duration, HostIndex)>,
    /// How long the others took, in order.
    durations: Vec<Duration>,
    hosts_started: usize,
    hosts_ended: usize,
}

impl Stragglers {
    pub(super) fn new(percent: Option<u32>) -> Self {
        Self { percent, running: BTreeSet::new(), durations: Vec::new(), hosts_started: 0, hosts_ended: 0 }
    }

    /// A host has its turn.
    pub(super) fn host_started(&mut self) {
        self.hosts_started += 1;
    }

    /// A host has its outcome.
    pub(super) fn host_ended(&mut self) {
        self.hosts_ended += 1;
    }

    /// The command runs on a host.
    pub(super) fn command_started(&mut self, index: HostIndex, at: Duration) {
        if self.percent.is_some() {
            self.running.insert((at, index));
        }
    }

    /// The command that started `at` this time ended by itself.
    pub(super) fn command_ended(&mut self, index: HostIndex, at: Duration, now: Duration) {
        if self.running.remove(&(at, index)) {
            let took = now.saturating_sub(at);
            let place = self.durations.partition_point(|duration| *duration <= took);
            self.durations.insert(place, took);
        }
    }

    /// The command that started `at` this time is gone, but how long it would have taken is not known.
    pub(super) fn command_gone(&mut self, index: HostIndex, at: Duration) {
        self.running.remove(&(at, index));
    }

    /// When the next command is to be stopped, as things are.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let (limit, _) = self.limit()?;
        self.running.first().map(|(at, _)| *at + limit)
    }

    /// Takes out a command that is to be stopped by `now`.
    pub(super) fn next_late(&mut self, now: Duration) -> Option<(HostIndex, StopCause)> {
        let (limit, cause) = self.limit()?;
        let (at, index) = *self.running.first()?;
        (now >= at + limit).then(|| {
            self.running.remove(&(at, index));
            (index, cause)
        })
    }

    /// The rule needs half of the hosts that had their turn: with a bounded number at once, those that hang would
    /// otherwise keep the others from ever having theirs.
    fn limit(&self) -> Option<(Duration, StopCause)> {
        let percent = self.percent?;
        if self.durations.len() < LEAST_SAMPLES || self.hosts_ended * 2 < self.hosts_started {
            return None;
        }
        let median = rounded(self.durations[self.durations.len() / 2]);
        let limit = (median * percent / 100).max(LEAST_LIMIT);
        Some((limit, StopCause::Straggler { limit, percent, median }))
    }
}

/// Rounded up to what a person would say, so that hosts stopped at about the same time have the same reason.
fn rounded(duration: Duration) -> Duration {
    let step_millis = match duration.as_millis() {
        0..1_000 => 10,
        1_000..10_000 => 100,
        _ => 1_000,
    };
    let steps = u64::try_from(duration.as_millis().div_ceil(step_millis)).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(steps.saturating_mul(u64::try_from(step_millis).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Hosts whose commands started at once, and of which these ended after so many seconds.
    fn after(hosts: usize, percent: Option<u32>, ended_secs: &[u32]) -> Stragglers {
        let mut stragglers = Stragglers::new(percent);
        for index in 0..hosts {
            stragglers.host_started();
            stragglers.command_started(index, Duration::ZERO);
        }
        for (index, secs) in ended_secs.iter().enumerate() {
            stragglers.command_ended(index, Duration::ZERO, SECOND * *secs);
            stragglers.host_ended();
        }
        stragglers
    }

    #[test]
    fn the_limit_is_a_multiple_of_the_median_once_half_are_done() {
        for (hosts, percent, ended_secs, deadline_secs) in [
            (6, None, &[1, 1, 1, 1][..], None),
            (6, Some(300), &[3, 4], None),
            (6, Some(300), &[3, 4, 9], Some(12)),
            (6, Some(150), &[9, 4, 3], Some(6)),
            (5, Some(300), &[1, 4, 4, 4], Some(12)),
            (8, Some(300), &[4, 4, 4], None),
            (4, Some(300), &[0, 0, 0], Some(1)),
            (3, Some(300), &[1, 1, 1], None),
        ] {
            let stragglers = after(hosts, percent, ended_secs);
            assert_eq!(stragglers.deadline(), deadline_secs.map(Duration::from_secs), "{hosts} {ended_secs:?}");
        }
    }

    #[test]
    fn who_is_late_is_told_once_with_the_numbers() {
        let mut stragglers = after(6, Some(300), &[4, 4, 4]);
        assert_eq!(stragglers.next_late(SECOND * 11), None);
        let cause = StopCause::Straggler { limit: SECOND * 12, percent: 300, median: SECOND * 4 };
        let late = std::iter::from_fn(|| stragglers.next_late(SECOND * 12)).collect::<Vec<_>>();
        assert_eq!(late, [(3, cause), (4, cause), (5, cause)]);
        assert_eq!(stragglers.deadline(), None);
    }

    #[test]
    fn a_command_that_was_lost_says_nothing_about_how_long_it_takes() {
        let mut stragglers = after(4, Some(300), &[4, 4]);
        stragglers.command_gone(2, Duration::ZERO);
        stragglers.host_ended();
        assert_eq!(stragglers.deadline(), None);
    }

    #[test]
    fn the_median_is_told_in_round_numbers() {
        for (millis, rounded_millis) in [(0, 10), (3, 10), (4_001, 4_100), (12_345, 13_000), (500, 500)] {
            assert_eq!(rounded(Duration::from_millis(millis)), Duration::from_millis(rounded_millis));
        }
    }
}
