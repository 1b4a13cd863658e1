//! How carefully a run goes on: its waves, and the rules that end it early. Pure counting.
//!
//! Must not know which hosts run, nor what time it is.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::retry::RetrySettings;
use crate::event::{HostIndex, Wave, WaveKind};
use crate::outcome::{Outcome, Report, SkipCause};
use crate::settings::Share;

/// What the user decides about the course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutSettings {
    /// Hosts that go before all others.
    pub canary: Option<Canary>,
    /// The size of a wave; without one the hosts behind the canaries are one wave.
    pub batch: Option<Share>,
    /// More hosts than these that are not fine end the run; without it a canary that is not fine does.
    pub max_fail: Option<Share>,
    /// The run counts as a success when so many hosts are fine, and ends when they can no longer be.
    pub quorum: Option<Share>,
    /// What becomes of running commands when one of these rules ends the run.
    pub at_early_end: AtEarlyEnd,
    /// Between two waves.
    pub delay: Duration,
    /// Each host starts after a random part of this, counted from the start of its wave.
    pub splay: Duration,
    /// How often a host is tried again.
    pub retry: RetrySettings,
    /// How far a command may fall behind, in percent of the median; without it, as far as it likes.
    pub straggler_percent: Option<u32>,
}

/// Hosts that go before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// How many.
    pub hosts: NonZeroUsize,
    /// Who decides about the others.
    pub consent: Consent,
}

/// Who decides whether a run goes on after its canaries, where no rule ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// A person.
    Asked,
    /// Nobody: it was given beforehand (`--yes`).
    Given,
}

/// What becomes of running commands when a rule ends the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEarlyEnd {
    /// They go on to their end.
    #[default]
    Wait,
    /// They are stopped (`--kill`).
    Stop,
}

/// What a person is told before a decision about the other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryReport {
    /// How many canaries there were.
    pub canaries: usize,
    /// Those that are not fine, with the reason.
    pub failed: Vec<(HostIndex, String)>,
    /// How many hosts wait.
    pub waiting: usize,
}

/// What a person says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The other hosts are to have their turn.
    GoOn,
    /// They are not, or nobody answers.
    Stop,
}

/// Asks a person whether to go on after the canaries.
pub trait Confirm: Send + Sync {
    /// Shows what happened and waits for the answer. Blocks. What was said before is written once the question has taken
    /// the [`Floor`](super::Floor).
    fn go_on(&self, canaries: &CanaryReport) -> Answer;

    /// Takes back the question that is open, as the run was told to stop.
    fn withdraw(&self);
}

/// What follows a wave that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterWave {
    /// The next one.
    Next,
    /// The next one, if a person says so.
    Ask,
    /// Nothing: it was the last.
    End,
}

/// The counts of a run against its settings.
#[derive(Debug)]
pub(super) struct Rollout {
    settings: RolloutSettings,
    hosts: usize,
    waves: Vec<Wave>,
    /// How many waves have begun.
    begun: usize,
    /// Hosts of the present wave without outcome.
    left_in_wave: usize,
    failed: usize,
}

impl Rollout {
    pub(super) fn new(settings: RolloutSettings, hosts: usize) -> Self {
        let waves = waves(&settings, hosts);
        Self { settings, hosts, waves, begun: 0, left_in_wave: 0, failed: 0 }
    }

    /// Begins the next wave, if there is one.
    pub(super) fn begin_wave(&mut self) -> Option<Wave> {
        let wave = self.waves.get(self.begun)?.clone();
        self.begun += 1;
        self.left_in_wave = wave.hosts.len();
        Some(wave)
    }

    /// A host of the present wave has its outcome.
    pub(super) fn ended(&mut self, outcome: &Outcome) {
        self.left_in_wave -= 1;
        self.failed += usize::from(!outcome.is_success());
    }

    /// The rule that ends the run now, if one does.
    pub(super) fn broken_rule(&self) -> Option<SkipCause> {
        let in_canary = self.present().is_some_and(|wave| wave.kind == WaveKind::Canary);
        let most = self.settings.max_fail.map(|share| share.rounded_down(self.hosts));
        match (most, in_canary) {
            (Some(most), _) if self.failed > most => return Some(SkipCause::MaxFail),
            (None, true) if self.failed > 0 => return Some(SkipCause::CanaryFailed),
            _ => {}
        }
        let needed = self.settings.quorum.map(|share| share.rounded_up(self.hosts));
        needed.filter(|needed| self.hosts - self.failed < *needed).map(|_| SkipCause::Quorum)
    }

    /// Whether the present wave has ended.
    pub(super) fn is_wave_over(&self) -> bool {
        self.left_in_wave == 0
    }

    /// What comes after the present wave.
    pub(super) fn after_wave(&self) -> AfterWave {
        let asked = self.settings.canary.is_some_and(|canary| canary.consent == Consent::Asked);
        match self.present() {
            _ if self.begun == self.waves.len() => AfterWave::End,
            Some(Wave { kind: WaveKind::Canary, .. }) if asked => AfterWave::Ask,
            _ => AfterWave::Next,
        }
    }

    pub(super) fn settings(&self) -> &RolloutSettings {
        &self.settings
    }

    fn present(&self) -> Option<&Wave> {
        self.waves.get(self.begun.checked_sub(1)?)
    }
}

impl RolloutSettings {
    /// Whether enough hosts are fine for success although some are not.
    pub(super) fn has_quorum(&self, report: &Report) -> bool {
        let needed = self.quorum.map(|share| share.rounded_up(report.outcomes().len()));
        needed.is_some_and(|needed| report.fine() >= needed)
    }
}

fn waves(settings: &RolloutSettings, hosts: usize) -> Vec<Wave> {
    let canaries = settings.canary.map_or(0, |canary| canary.hosts.get().min(hosts));
    let batch = settings.batch.map_or(hosts, |share| share.rounded_up(hosts)).max(1);
    let mut parts = Vec::new();
    if canaries > 0 {
        parts.push((WaveKind::Canary, 0..canaries));
    }
    let starts = (canaries..hosts).step_by(batch);
    parts.extend(starts.map(|start| (WaveKind::Batch, start..hosts.min(start.saturating_add(batch)))));
    let of = parts.len();
    let number = |(before, (kind, hosts))| Wave { number: before + 1, of, kind, hosts };
    parts.into_iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(hosts: usize, consent: Consent) -> Option<Canary> {
        Some(Canary { hosts: NonZeroUsize::new(hosts).unwrap(), consent })
    }

    #[test]
    fn canaries_go_first_and_the_rest_in_batches() {
        let none = RolloutSettings::default;
        let batch = |share| RolloutSettings { batch: Some(share), ..none() };
        for (settings, hosts, sizes) in [
            (none(), 0, &[][..]),
            (none(), 7, &[7]),
            (batch(Share::Count(3)), 7, &[3, 3, 1]),
            (batch(Share::Count(9)), 7, &[7]),
            (batch(Share::Percent(10)), 25, &[3, 3, 3, 3, 3, 3, 3, 3, 1]),
            (batch(Share::Percent(1)), 3, &[1, 1, 1]),
            (RolloutSettings { canary: canary(2, Consent::Given), ..none() }, 7, &[2, 5]),
            (RolloutSettings { canary: canary(2, Consent::Given), ..batch(Share::Count(4)) }, 7, &[2, 4, 1]),
            (RolloutSettings { canary: canary(20, Consent::Given), ..none() }, 7, &[7]),
        ] {
            let waves = waves(&settings, hosts);
            assert_eq!(waves.iter().map(|wave| wave.hosts.len()).collect::<Vec<_>>(), sizes, "{settings:?}");
            let all: Vec<_> = waves.iter().flat_map(|wave| wave.hosts.clone()).collect();
            assert_eq!(all, (0..hosts).collect::<Vec<_>>());
            let is_canary = waves.first().is_some_and(|wave| wave.kind == WaveKind::Canary);
            assert_eq!(is_canary, settings.canary.is_some());
            assert!(waves.iter().skip(1).all(|wave| wave.kind == WaveKind::Batch && wave.of == sizes.len()));
        }
    }

    #[test]
    fn a_rule_ends_the_run_at_the_first_host_too_many() {
        let none = RolloutSettings::default;
        let max_fail = |share| RolloutSettings { max_fail: Some(share), ..none() };
        let quorum = |share| RolloutSettings { quorum: Some(share), ..none() };
        for (settings, failures, cause) in [
            (none(), 20, None),
            (max_fail(Share::Count(0)), 0, Some(SkipCause::MaxFail)),
            (max_fail(Share::Count(2)), 2, Some(SkipCause::MaxFail)),
            (max_fail(Share::Percent(14)), 2, Some(SkipCause::MaxFail)),
            (quorum(Share::Percent(90)), 2, Some(SkipCause::Quorum)),
            (quorum(Share::Percent(100)), 0, Some(SkipCause::Quorum)),
            (quorum(Share::Count(3)), 17, Some(SkipCause::Quorum)),
            (RolloutSettings { canary: canary(5, Consent::Given), ..none() }, 0, Some(SkipCause::CanaryFailed)),
            (
                RolloutSettings { canary: canary(5, Consent::Given), ..max_fail(Share::Count(1)) },
                1,
                Some(SkipCause::MaxFail),
            ),
        ] {
            let mut rollout = Rollout::new(settings.clone(), 20);
            rollout.begin_wave();
            for failure in 0..failures {
                rollout.ended(&Outcome::Exited(1));
                assert_eq!(rollout.broken_rule(), None, "{settings:?} at {failure}");
            }
            if cause.is_some() {
                rollout.ended(&Outcome::Exited(1));
            }
            assert_eq!(rollout.broken_rule(), cause, "{settings:?}");
        }
    }

    #[test]
    fn only_canaries_with_hosts_behind_them_are_asked_about() {
        for (consent, hosts, expected) in [
            (Consent::Asked, 5, AfterWave::Ask),
            (Consent::Given, 5, AfterWave::Next),
            (Consent::Asked, 2, AfterWave::End),
        ] {
            let settings = RolloutSettings { canary: canary(2, consent), ..RolloutSettings::default() };
            let mut rollout = Rollout::new(settings, hosts);
            rollout.begin_wave();
            assert_eq!(rollout.after_wave(), expected, "{consent:?} {hosts}");
            if expected != AfterWave::End {
                rollout.begin_wave();
                assert_eq!(rollout.after_wave(), AfterWave::End);
            }
        }
    }

    #[test]
    fn a_quorum_is_rounded_up() {
        let quorum = |percent| RolloutSettings { quorum: Some(Share::Percent(percent)), ..RolloutSettings::default() };
        let report = |fine, hosts| {
            let outcome = |index| Outcome::Exited(u32::from(index >= fine));
            Report::new((0..hosts).map(outcome).collect())
        };
        assert!(quorum(90).has_quorum(&report(18, 20)));
        assert!(!quorum(90).has_quorum(&report(17, 20)));
        assert!(!quorum(90).has_quorum(&report(13, 15)), "13.5 hosts are 14");
        assert!(!RolloutSettings::default().has_quorum(&report(20, 20)));
    }
}
