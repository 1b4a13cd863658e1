//! The state machine under a clock of numbers: tables for each rule, and random runs for what must always hold.

use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::event::{Wave, WaveKind};
use crate::fanout::{Canary, Consent, FanoutLimit, RetrySettings};
use crate::outcome::{FailureClass, HostError};
use crate::settings::Share;

const OK: Outcome = Outcome::Exited(0);
const FAILED: Outcome = Outcome::Exited(1);
const INTERRUPT: Input = Input::Signal(Signal::Interrupt);
const SECOND: Duration = Duration::from_secs(1);

fn refused() -> Outcome {
    Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "connection refused"))
}

fn stopped() -> Outcome {
    Outcome::Stopped { cause: StopCause::Cancelled, stop: Stop::Confirmed, output: LastOutput::Complete }
}

fn skipped(cause: SkipCause) -> Outcome {
    Outcome::Skipped(cause)
}

fn canary(hosts: usize, consent: Consent) -> Option<Canary> {
    Some(Canary { hosts: NonZeroUsize::new(hosts).unwrap(), consent })
}

fn places(limit: usize) -> Places {
    Places::new(FanoutLimit::exactly(limit), None)
}

fn plain(hosts: usize, limit: usize) -> RunState {
    RunState::new(hosts, places(limit), RolloutSettings::default(), 1)
}

fn with(hosts: usize, limit: usize, settings: RolloutSettings) -> RunState {
    RunState::new(hosts, places(limit), settings, 1)
}

fn starts(steps: &[Step]) -> Vec<HostIndex> {
    steps.iter().filter_map(|step| if let Step::Start(index, _) = step { Some(*index) } else { None }).collect()
}

fn finished(steps: &[Step]) -> Vec<(HostIndex, Outcome)> {
    let finished = steps.iter().filter_map(|step| match step {
        Step::Finished(index, outcome) => Some((*index, outcome.clone())),
        _ => None,
    });
    finished.collect()
}

/// Ends these hosts at `now`, and returns all that follows.
fn end(
    state: &mut RunState,
    hosts: impl IntoIterator<Item = HostIndex>,
    outcome: &Outcome,
    now: Duration,
) -> Vec<Step> {
    hosts.into_iter().flat_map(|index| state.step(Input::Ended(index, outcome.clone()), now)).collect()
}

#[test]
fn a_free_place_is_taken_by_the_next_host() {
    let mut state = plain(4, 2);
    assert_eq!(starts(&state.step(Input::Begin, SECOND)), [0, 1]);
    assert_eq!(starts(&end(&mut state, [1], &OK, SECOND)), [2]);
    assert_eq!(starts(&end(&mut state, [0], &OK, SECOND)), [3]);
    assert!(!state.is_over());
    end(&mut state, [2], &OK, SECOND);
    end(&mut state, [3], &FAILED, SECOND);
    assert!(state.is_over());
    assert_eq!(state.completion(), Completion::Complete);
    assert_eq!(state.into_report().outcomes(), [OK, OK, OK, FAILED]);
}

#[test]
fn those_on_their_way_in_have_a_limit_of_their_own() {
    let paced = Places::new(FanoutLimit { hosts: 4, most: 4 }, Some(2));
    let mut state = RunState::new(9, paced, RolloutSettings::default(), 1);
    assert_eq!(starts(&state.step(Input::Begin, SECOND)), [0, 1]);
    assert_eq!(starts(&state.step(Input::Stage(0, Stage::Authenticate), SECOND)), [0; 0]);
    assert_eq!(starts(&state.step(Input::Stage(0, Stage::Channel), SECOND)), [2]);
    assert_eq!(starts(&state.step(Input::Stage(0, Stage::Command), SECOND)), [0; 0], "it is in already");
    assert_eq!(starts(&end(&mut state, [1], &refused(), SECOND)), [3]);
    assert_eq!(starts(&state.step(Input::Handshakes(9), SECOND)), [4], "four at once");
    assert_eq!(starts(&state.step(Input::Handshakes(1), SECOND)), [0; 0]);
    assert_eq!(starts(&end(&mut state, [0], &OK, SECOND)), [0; 0], "three are on their way");
    assert_eq!(starts(&end(&mut state, [2, 3, 4], &OK, SECOND)), [5]);
}

#[test]
fn another_attempt_is_on_its_way_in_again() {
    let settings = RolloutSettings {
        retry: RetrySettings { connections: 0, commands: 1, ..RetrySettings::default() },
        ..RolloutSettings::default()
    };
    let mut state = RunState::new(2, Places::new(FanoutLimit::exactly(2), Some(1)), settings, 1);
    state.step(Input::Begin, SECOND);
    assert_eq!(starts(&state.step(Input::Stage(0, Stage::Command), SECOND)), [1]);
    assert_eq!(starts(&end(&mut state, [0], &FAILED, SECOND)), [0; 0]);
    assert_eq!(starts(&state.step(Input::Woken, SECOND * 99)), [0; 0], "the other has not arrived");
    assert_eq!(starts(&state.step(Input::Stage(1, Stage::Command), SECOND * 99)), [0]);
}

#[test]
fn a_person_changes_the_number_of_hosts_at_once() {
    let mut state = plain(20, 8);
    state.step(Input::Begin, SECOND);
    let steps = state.step(Input::More, SECOND);
    assert_eq!(steps, [Step::Notice("fan-out: 10 at once".into()), Step::Start(8, 1), Step::Start(9, 1)]);
    assert_eq!(state.step(Input::Fewer, SECOND), [Step::Notice("fan-out: 8 at once; 10 still run".into())]);
    assert_eq!(starts(&end(&mut state, [0, 1], &OK, SECOND)), [0; 0]);
    assert_eq!(starts(&end(&mut state, [2], &OK, SECOND)), [10]);
}

#[test]
fn the_first_signal_starts_no_more_and_waits_for_the_running() {
    let mut state = plain(3, 1);
    state.step(Input::Begin, SECOND);
    let steps = state.step(INTERRUPT, SECOND);
    assert_eq!(steps[0], Step::Cancel);
    let interrupted = skipped(SkipCause::Interrupted);
    assert_eq!(finished(&steps), [(1, interrupted.clone()), (2, interrupted)]);
    assert!(!state.is_over());
    assert_eq!(starts(&end(&mut state, [0], &OK, SECOND)), [0; 0]);
    assert!(state.is_over());
    assert_eq!(state.completion(), Completion::Interrupted);
}

#[test]
fn the_second_signal_leaves_at_once_and_says_what_may_still_run() {
    let mut state = plain(3, 3);
    state.step(Input::Begin, SECOND);
    end(&mut state, [0], &OK, SECOND);
    state.step(Input::Stage(1, Stage::Command), SECOND);
    state.step(INTERRUPT, SECOND);
    let steps = state.step(INTERRUPT, SECOND);
    assert_eq!(steps[0], Step::Abort);
    assert!(state.is_over());
    let report = state.into_report();
    assert_eq!(report.outcomes()[0], OK);
    assert!(matches!(report.outcomes()[1], Outcome::Stopped { stop: Stop::Unconfirmed(_), .. }));
    assert_eq!(report.outcomes()[2], skipped(SkipCause::Interrupted));
}

#[test]
fn a_wave_starts_when_the_one_before_has_ended_wholly() {
    let mut state = with(5, 9, RolloutSettings { batch: Some(Share::Count(2)), ..RolloutSettings::default() });
    let wave = |number, hosts| Step::Wave(Wave { number, of: 3, kind: WaveKind::Batch, hosts });
    assert_eq!(state.step(Input::Begin, SECOND), [wave(1, 0..2), Step::Start(0, 1), Step::Start(1, 1)]);
    assert_eq!(starts(&end(&mut state, [1], &FAILED, SECOND)), [0; 0]);
    let steps = end(&mut state, [0], &OK, SECOND);
    assert_eq!(steps[1..], [wave(2, 2..4), Step::Start(2, 1), Step::Start(3, 1)]);
    assert_eq!(end(&mut state, [2, 3], &OK, SECOND)[2..], [wave(3, 4..5), Step::Start(4, 1)]);
    end(&mut state, [4], &OK, SECOND);
    assert!(state.is_over());
    assert_eq!(state.completion(), Completion::Complete);
}

#[test]
fn a_single_wave_is_not_announced() {
    assert_eq!(plain(1, 1).step(Input::Begin, SECOND), [Step::Start(0, 1)]);
}

#[test]
fn a_delay_puts_off_the_next_wave() {
    let settings = RolloutSettings {
        batch: Some(Share::Count(1)),
        delay: SECOND * 30,
        canary: canary(1, Consent::Asked),
        ..RolloutSettings::default()
    };
    let mut state = with(3, 9, settings);
    state.step(Input::Begin, SECOND);
    end(&mut state, [0], &OK, SECOND * 5);
    assert_eq!(state.wake_at(), None, "a question is open");
    assert_eq!(state.step(Input::Answered(Answer::GoOn), SECOND * 10), []);
    assert_eq!(state.wake_at(), Some(SECOND * 40));
    assert_eq!(state.step(Input::Woken, SECOND * 39), []);
    assert_eq!(starts(&state.step(Input::Woken, SECOND * 40)), [1]);
    end(&mut state, [1], &OK, SECOND * 50);
    assert_eq!(state.wake_at(), Some(SECOND * 80));
}

#[test]
fn canaries_that_are_fine_are_asked_about_once_and_the_rest_waits_for_the_answer() {
    for (answer, cause) in [(Answer::GoOn, None), (Answer::Stop, Some(SkipCause::CanaryRefused))] {
        let settings = RolloutSettings { canary: canary(2, Consent::Asked), ..RolloutSettings::default() };
        let mut state = with(4, 9, settings);
        assert_eq!(starts(&state.step(Input::Begin, SECOND)), [0, 1]);
        let steps = end(&mut state, [0, 1], &OK, SECOND);
        assert_eq!(steps[2..], [Step::Ask(CanaryReport { canaries: 2, failed: vec![], waiting: 2 })]);
        let steps = state.step(Input::Answered(answer), SECOND);
        match cause {
            None => assert_eq!(starts(&steps), [2, 3]),
            Some(cause) => assert_eq!(finished(&steps), [(2, skipped(cause)), (3, skipped(cause))]),
        }
        assert_eq!(state.step(Input::Answered(Answer::GoOn), SECOND), [], "there is no question");
        assert_eq!(state.is_over(), cause.is_some());
    }
}

#[test]
fn with_yes_nobody_is_asked() {
    let settings = RolloutSettings { canary: canary(1, Consent::Given), ..RolloutSettings::default() };
    let mut state = with(3, 9, settings);
    state.step(Input::Begin, SECOND);
    assert_eq!(starts(&end(&mut state, [0], &OK, SECOND)), [1, 2]);
}

#[test]
fn a_canary_that_is_not_fine_ends_the_run_unless_max_fail_allows_it() {
    let settings =
        |max_fail| RolloutSettings { canary: canary(3, Consent::Asked), max_fail, ..RolloutSettings::default() };
    let mut state = with(5, 1, settings(None));
    state.step(Input::Begin, SECOND);
    let steps = end(&mut state, [0], &FAILED, SECOND);
    let failed = skipped(SkipCause::CanaryFailed);
    assert_eq!(finished(&steps)[1..], [1, 2, 3, 4].map(|index| (index, failed.clone())));
    assert!(state.is_over());

    let mut state = with(5, 3, settings(Some(Share::Count(1))));
    state.step(Input::Begin, SECOND);
    end(&mut state, [0], &FAILED, SECOND);
    let steps = end(&mut state, [1, 2], &OK, SECOND);
    let report = CanaryReport { canaries: 3, failed: vec![(0, "exit code 1".to_owned())], waiting: 2 };
    assert_eq!(steps.last(), Some(&Step::Ask(report)));
}

#[test]
fn a_signal_at_the_question_ends_the_run() {
    let settings = RolloutSettings { canary: canary(1, Consent::Asked), ..RolloutSettings::default() };
    let mut state = with(3, 9, settings);
    state.step(Input::Begin, SECOND);
    end(&mut state, [0], &OK, SECOND);
    let steps = state.step(INTERRUPT, SECOND);
    assert_eq!(finished(&steps), [1, 2].map(|index| (index, skipped(SkipCause::Interrupted))));
    assert!(state.is_over());
    assert_eq!(state.step(Input::Answered(Answer::GoOn), SECOND), []);
}

#[test]
fn after_too_many_failures_nothing_starts_and_the_running_go_on_unless_killed() {
    for (at_early_end, stops) in [(AtEarlyEnd::Wait, false), (AtEarlyEnd::Stop, true)] {
        let max_fail = Some(Share::Count(1));
        let mut state = with(9, 4, RolloutSettings { max_fail, at_early_end, ..RolloutSettings::default() });
        state.step(Input::Begin, SECOND);
        assert_eq!(starts(&end(&mut state, [0], &FAILED, SECOND)), [4]);
        let steps = end(&mut state, [1], &FAILED, SECOND);
        assert!(matches!(&steps[1], Step::Notice(text) if text.contains("--max-fail") && text.contains('3')));
        assert_eq!(steps.contains(&Step::Cancel), stops);
        assert_eq!(finished(&steps)[1..], [5, 6, 7, 8].map(|index| (index, skipped(SkipCause::MaxFail))));
        assert_eq!(state.is_running(), !stops, "the next signal is the first to stop anything, or the second");
        assert_eq!(starts(&end(&mut state, [2, 3], &OK, SECOND)), [0; 0]);
        end(&mut state, [4], &skipped(SkipCause::Interrupted), SECOND);
        assert!(state.is_over());
        assert_eq!(state.completion(), Completion::Interrupted);
        assert_eq!(state.into_report().outcomes()[4], skipped(SkipCause::MaxFail), "its command was not sent");
    }
}

#[test]
fn a_broken_rule_that_would_change_nothing_is_not_mentioned() {
    for at_early_end in [AtEarlyEnd::Wait, AtEarlyEnd::Stop] {
        let max_fail = Some(Share::Count(0));
        let mut state = with(1, 4, RolloutSettings { max_fail, at_early_end, ..RolloutSettings::default() });
        state.step(Input::Begin, SECOND);
        assert_eq!(end(&mut state, [0], &FAILED, SECOND), [Step::Finished(0, FAILED)]);
        assert_eq!(state.completion(), Completion::Complete);
    }
}

#[test]
fn a_failed_connection_is_tried_again_later_without_keeping_a_place() {
    let retry = RetrySettings { connections: 1, commands: 0, ..RetrySettings::default() };
    let mut state = with(3, 1, RolloutSettings { retry, ..RolloutSettings::default() });
    state.step(Input::Begin, SECOND);
    let steps = end(&mut state, [0], &refused(), SECOND);
    let Step::Retry(0, Retry { attempt: 2, reason, pause }) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(reason, "connect: connection refused");
    assert_eq!(starts(&steps), [1], "its place is free");
    end(&mut state, [1, 2], &OK, SECOND);
    assert_eq!(state.wake_at(), Some(SECOND + *pause));
    assert_eq!(state.step(Input::Woken, SECOND), []);
    assert_eq!(state.step(Input::Woken, SECOND + *pause), [Step::Start(0, 2)]);
    assert_eq!(end(&mut state, [0], &refused(), SECOND * 9), [Step::Finished(0, refused())]);
    let report = state.into_report();
    assert_eq!((0..3).map(|index| report.attempts(index)).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn whoever_waits_for_a_retry_when_the_run_ends_has_the_outcome_of_the_last_attempt() {
    let retry = RetrySettings { connections: 5, commands: 0, ..RetrySettings::default() };
    let mut state = with(3, 3, RolloutSettings { retry, ..RolloutSettings::default() });
    state.step(Input::Begin, SECOND);
    end(&mut state, [0, 1], &refused(), SECOND);
    state.step(Input::Woken, SECOND * 3);
    let begun = state.running() - 1;
    assert_eq!(begun, 2, "both are at their second attempt");
    end(&mut state, [0], &refused(), SECOND * 3);
    assert_eq!(finished(&state.step(INTERRUPT, SECOND * 3)), [(0, refused())]);
    end(&mut state, [1], &skipped(SkipCause::Interrupted), SECOND * 3);
    end(&mut state, [2], &stopped(), SECOND * 3);
    assert_eq!(state.into_report().outcomes(), [refused(), refused(), stopped()]);
}

#[test]
fn a_retry_is_part_of_its_wave() {
    let retry = RetrySettings { connections: 0, commands: 1, ..RetrySettings::default() };
    let batch = Some(Share::Count(1));
    let mut state = with(2, 9, RolloutSettings { retry, batch, ..RolloutSettings::default() });
    state.step(Input::Begin, SECOND);
    assert_eq!(starts(&end(&mut state, [0], &FAILED, SECOND)), [0; 0]);
    assert_eq!(starts(&state.step(Input::Woken, SECOND * 9)), [0]);
    assert_eq!(starts(&end(&mut state, [0], &OK, SECOND * 9)), [1]);
}

#[test]
fn splay_spreads_the_starts_of_a_wave_by_the_seed() {
    let settings = || RolloutSettings { splay: SECOND * 100, ..RolloutSettings::default() };
    let order = |seed| {
        let mut state = RunState::new(20, places(20), settings(), seed);
        assert_eq!(starts(&state.step(Input::Begin, SECOND)), [0; 0]);
        let mut starts_at = Vec::new();
        while let Some(at) = state.wake_at() {
            assert!(at >= SECOND && at <= SECOND * 101, "{at:?}");
            starts_at.extend(starts(&state.step(Input::Woken, at)));
        }
        starts_at
    };
    assert_eq!(order(7), order(7));
    assert_ne!(order(7), order(8));
    assert_eq!(order(7).len(), 20);
}

#[test]
fn a_straggler_is_stopped_alone_and_says_why() {
    let mut state = with(4, 4, RolloutSettings { straggler_percent: Some(300), ..RolloutSettings::default() });
    state.step(Input::Begin, Duration::ZERO);
    for index in 0..4 {
        state.step(Input::Stage(index, Stage::Command), SECOND);
    }
    end(&mut state, [0, 1, 2], &OK, SECOND * 5);
    assert_eq!(state.wake_at(), Some(SECOND * 13));
    assert_eq!(state.step(Input::Woken, SECOND * 13), [Step::Stop(3)]);
    assert_eq!(state.wake_at(), None);
    let cause = StopCause::Straggler { limit: SECOND * 12, percent: 300, median: SECOND * 4 };
    let outcome = Outcome::Stopped { cause, stop: Stop::Confirmed, output: LastOutput::Complete };
    assert_eq!(end(&mut state, [3], &stopped(), SECOND * 14), [Step::Finished(3, outcome)]);
    assert_eq!(state.completion(), Completion::Complete);
}

#[test]
fn a_straggler_that_ended_by_itself_in_time_keeps_its_outcome() {
    let mut state = with(4, 4, RolloutSettings { straggler_percent: Some(300), ..RolloutSettings::default() });
    state.step(Input::Begin, Duration::ZERO);
    for index in 0..4 {
        state.step(Input::Stage(index, Stage::Command), Duration::ZERO);
    }
    end(&mut state, [0, 1, 2], &OK, SECOND);
    assert_eq!(state.step(Input::Woken, SECOND * 3), [Step::Stop(3)]);
    assert_eq!(end(&mut state, [3], &OK, SECOND * 3), [Step::Finished(3, OK)]);
}

/// One host's fate in a random run: how long each attempt takes and how it ends.
#[derive(Clone, Debug)]
struct Script {
    secs: u64,
    outcomes: Vec<Outcome>,
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    let outcome = prop_oneof![4 => Just(OK), 1 => Just(FAILED), 1 => Just(refused())];
    let script = (0u64..9, proptest::collection::vec(outcome, 7));
    let script = script.prop_map(|(secs, outcomes)| Script { secs, outcomes });
    proptest::collection::vec(script, 0..40)
}

fn share(most: usize) -> impl Strategy<Value = Share> {
    prop_oneof![(1..most).prop_map(Share::Count), (1u8..=100).prop_map(Share::Percent)]
}

prop_compose! {
    fn rollouts()(
        canary_hosts in proptest::option::of(1usize..6),
        asked: bool,
        batch in proptest::option::of(share(9)),
        max_fail in proptest::option::of(share(9)),
        quorum in proptest::option::of(share(30)),
        kill: bool,
        times in (0u64..4, 0u64..4),
        retries in (0u32..3, 0u32..3),
        straggler_percent in proptest::option::of(101u32..400),
    ) -> RolloutSettings {
        let consent = if asked { Consent::Asked } else { Consent::Given };
        RolloutSettings {
            canary: canary_hosts.and_then(|hosts| canary(hosts, consent)),
            batch,
            max_fail,
            quorum,
            at_early_end: if kill { AtEarlyEnd::Stop } else { AtEarlyEnd::Wait },
            delay: SECOND * u32::try_from(times.0).unwrap(),
            splay: SECOND * u32::try_from(times.1).unwrap(),
            retry: RetrySettings { connections: retries.0, commands: retries.1, ..RetrySettings::default() },
            straggler_percent,
        }
    }
}

/// Plays a run to its end, with a signal at a step of its own, and looks at every step.
struct Play {
    state: RunState,
    scripts: Vec<Script>,
    settings: RolloutSettings,
    limit: usize,
    now: Duration,
    /// When the task of a host that runs ends, and how.
    running: Vec<(Duration, HostIndex, Outcome)>,
    outcomes: Vec<Option<Outcome>>,
    attempts: Vec<u32>,
    wave: std::ops::Range<HostIndex>,
    question: bool,
    ended_early: bool,
}

impl Play {
    fn take(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            match step {
                Step::Wave(wave) => {
                    prop_assert!(self.outcomes[..wave.hosts.start].iter().all(Option::is_some), "the wave before runs");
                    prop_assert_eq!(wave.hosts.start, self.wave.end);
                    self.wave = wave.hosts;
                }
                Step::Start(index, attempt) => self.start(index, attempt)?,
                Step::Stop(index) => self.stop(|at| at == index),
                Step::Cancel => self.stop(|_| true),
                Step::Abort => self.running.clear(),
                Step::Ask(_) => self.question = true,
                Step::Retry(index, retry) => prop_assert_eq!(retry.attempt, self.attempts[index] + 1),
                Step::Notice(_) => {}
                Step::Finished(index, outcome) => {
                    self.ended_early |= matches!(outcome, Outcome::Skipped(_));
                    let before = self.outcomes[index].replace(outcome);
                    prop_assert_eq!(before, None, "host {} ended twice", index);
                }
            }
        }
        prop_assert!(self.running.len() <= self.limit);
        prop_assert_eq!(self.running.len(), self.state.running());
        Ok(())
    }

    fn start(&mut self, index: HostIndex, attempt: u32) -> Result<(), TestCaseError> {
        prop_assert!(!self.ended_early, "host {} starts after the end was decided", index);
        prop_assert!(!self.question, "host {} starts while a question is open", index);
        prop_assert!(self.wave.is_empty() || self.wave.contains(&index));
        prop_assert_eq!(attempt, self.attempts[index] + 1);
        self.attempts[index] = attempt;
        let retry = self.settings.retry;
        prop_assert!(attempt <= 1 + retry.connections + retry.commands);
        let Script { secs, outcomes } = &self.scripts[index];
        let outcome = outcomes[attempt as usize - 1].clone();
        self.running.push((self.now + SECOND * u32::try_from(*secs).unwrap(), index, outcome));
        Ok(())
    }

    fn stop(&mut self, whom: impl Fn(HostIndex) -> bool) {
        for (at, index, outcome) in &mut self.running {
            if whom(*index) {
                (*at, *outcome) = (self.now, stopped());
            }
        }
    }

    /// The next thing that happens, and when.
    fn next(&mut self) -> Option<Input> {
        if std::mem::take(&mut self.question) {
            return Some(Input::Answered(Answer::GoOn));
        }
        self.running.sort_by_key(|(at, index, _)| (*at, *index));
        let end = self.running.first().map(|(at, ..)| *at);
        match (end, self.state.wake_at()) {
            (end, Some(wake)) if end.is_none_or(|end| wake < end) => {
                self.now = self.now.max(wake);
                Some(Input::Woken)
            }
            (Some(end), _) => {
                self.now = self.now.max(end);
                let (_, index, outcome) = self.running.remove(0);
                Some(Input::Ended(index, outcome))
            }
            (None, _) => None,
        }
    }
}

fn play(
    scripts: Vec<Script>,
    settings: RolloutSettings,
    limit: usize,
    signal_at: usize,
) -> Result<Vec<Outcome>, TestCaseError> {
    let hosts = scripts.len();
    let mut play = Play {
        state: RunState::new(hosts, places(limit), settings.clone(), 5),
        scripts,
        settings,
        limit: limit.max(1),
        now: Duration::ZERO,
        running: Vec::new(),
        outcomes: vec![None; hosts],
        attempts: vec![0; hosts],
        wave: 0..0,
        question: false,
        ended_early: false,
    };
    let steps = play.state.step(Input::Begin, play.now);
    play.take(steps)?;
    for turn in 0.. {
        prop_assert!(turn < 2000, "it never ends");
        for index in play.running.iter().map(|(_, index, _)| *index).collect::<Vec<_>>() {
            play.state.step(Input::Stage(index, Stage::Command), play.now);
        }
        if turn == signal_at && !play.state.is_over() {
            play.question = false;
            let steps = play.state.step(INTERRUPT, play.now);
            play.ended_early = true;
            play.take(steps)?;
        }
        let Some(input) = play.next() else { break };
        let steps = play.state.step(input, play.now);
        play.take(steps)?;
    }
    prop_assert!(play.state.is_over());
    let outcomes: Option<Vec<Outcome>> = play.outcomes.into_iter().collect();
    let report = play.state.into_report();
    prop_assert_eq!(outcomes.as_deref(), Some(report.outcomes()), "every host ended");
    Ok(outcomes.unwrap_or_default())
}

proptest! {
    #[test]
    fn every_host_ends_once_within_the_limit_the_waves_and_the_attempts(
        scripts in scripts(),
        settings in rollouts(),
        limit in 0usize..9,
        signal_at in 0usize..200,
    ) {
        play(scripts, settings, limit, signal_at)?;
    }

    #[test]
    fn no_more_fail_than_allowed_and_those_that_ran_by_then(
        scripts in scripts(),
        most in 0usize..6,
        limit in 1usize..9,
    ) {
        let max_fail = Some(Share::Count(most));
        let outcomes = play(scripts, RolloutSettings { max_fail, ..RolloutSettings::default() }, limit, usize::MAX)?;
        let failed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Exited(1) | Outcome::Failed(_))).count();
        prop_assert!(failed <= most + limit, "{} of {} failed", failed, most);
        let skipped = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Skipped(_))).count();
        prop_assert!(skipped == 0 || failed > most);
    }
}
