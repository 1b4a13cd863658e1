//! What follows from what happened: a pure state machine over the hosts of a run.
//!
//! Time is given to it, counted from the start of the run. Must not wait, spawn or print.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::places::Places;
use super::retry::Retries;
use super::rollout::{AfterWave, Answer, AtEarlyEnd, CanaryReport, Rollout, RolloutSettings};
use super::signal::Signal;
use super::step::{Input, Step};
use super::straggler::Stragglers;
use crate::event::{HostIndex, Retry};
use crate::outcome::{LastOutput, Outcome, Report, SkipCause, Stage, Stop, StopCause};
use crate::render::Completion;

/// Which hosts wait, run and are done.
#[derive(Debug)]
pub(super) struct RunState {
    hosts: Vec<HostState>,
    /// Hosts to be started, with the time from which they may be. Those of later waves are not in it.
    queue: BTreeSet<(Duration, HostIndex)>,
    places: Places,
    done: usize,
    rollout: Rollout,
    stragglers: Stragglers,
    rng: StdRng,
    gate: Gate,
    phase: Phase,
    /// Why hosts that have no turn have none.
    skip_cause: SkipCause,
}

/// One host's part of the run.
#[derive(Debug, Default)]
struct HostState {
    turn: Turn,
    retries: Retries,
    /// Whether it had a turn.
    tried: bool,
    /// How the attempt before ended.
    last: Option<Outcome>,
}

#[derive(Debug, Default)]
enum Turn {
    #[default]
    Waiting,
    Running(Attempt),
    Done(Outcome),
}

/// A task that runs.
#[derive(Debug, Default)]
struct Attempt {
    /// Whether it is logged in.
    has_arrived: bool,
    /// When the host was sent its command.
    command_at: Option<Duration>,
    /// Why this host alone was told to stop.
    stopped_for: Option<StopCause>,
}

/// What the next wave waits for; until then the queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// The end of this one.
    Open,
    /// The answer to a question.
    Asking,
    /// This time.
    Until(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// A rule ended the run: no host starts any more, those that run are waited for.
    Draining,
    Cancelling,
    Aborted,
}

impl RunState {
    /// A run over so many hosts, in so many places. What is left to chance follows from `seed`.
    pub(super) fn new(hosts: usize, places: Places, settings: RolloutSettings, seed: u64) -> Self {
        Self {
            hosts: (0..hosts).map(|_| HostState::default()).collect(),
            queue: BTreeSet::new(),
            places,
            done: 0,
            stragglers: Stragglers::new(settings.straggler_percent),
            rollout: Rollout::new(settings, hosts),
            rng: StdRng::seed_from_u64(seed),
            gate: Gate::Open,
            phase: Phase::Running,
            skip_cause: SkipCause::Interrupted,
        }
    }

    /// Takes note of `input`, which happened at `now`, and says what is to be done, in order.
    pub(super) fn step(&mut self, input: Input, now: Duration) -> Vec<Step> {
        match input {
            Input::Begin => self.begin_wave(now),
            Input::Stage(index, stage) => self.stage(index, stage, now),
            Input::Handshakes(handshakes) => {
                self.places.allow_handshakes(handshakes);
                self.start_more(now)
            }
            Input::More => self.resize(Places::grow, now),
            Input::Fewer => self.resize(Places::shrink, now),
            Input::Ended(index, outcome) => self.ended(index, outcome, now),
            Input::Woken => self.woken(now),
            Input::Answered(answer) => self.answered(answer, now),
            Input::Signal(_) | Input::RenderFailed if self.is_running() => self.cancel(),
            Input::Signal(Signal::Interrupt | Signal::Terminate) | Input::Stuck => self.abort(),
            Input::RenderFailed => Vec::new(),
        }
    }

    /// When [`Input::Woken`] is wanted next; may be over already.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let start_at = match self.gate {
            _ if self.phase != Phase::Running => None,
            Gate::Until(at) => Some(at),
            Gate::Open | Gate::Asking if self.places.has_free() => self.queue.first().map(|(at, _)| *at),
            Gate::Open | Gate::Asking => None,
        };
        let stop_at = if self.is_running() { self.stragglers.deadline() } else { None };
        start_at.into_iter().chain(stop_at).min()
    }

    /// Whether every host has its outcome.
    pub(super) fn is_over(&self) -> bool {
        self.done == self.hosts.len()
    }

    /// How many hosts are being worked on.
    pub(super) fn running(&self) -> usize {
        self.places.running()
    }

    /// Whether nobody told it to stop what runs.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Draining)
    }

    pub(super) fn completion(&self) -> Completion {
        match self.phase {
            Phase::Running => Completion::Complete,
            Phase::Draining | Phase::Cancelling => Completion::Interrupted,
            Phase::Aborted => Completion::Abandoned,
        }
    }

    pub(super) fn into_report(self) -> Report {
        let attempts = self.hosts.iter().map(|host| if host.tried { host.retries.attempt() } else { 0 }).collect();
        let outcome = |host: HostState| match host.turn {
            Turn::Done(outcome) => outcome,
            Turn::Waiting | Turn::Running(_) => Outcome::Skipped(self.skip_cause),
        };
        Report::new(self.hosts.into_iter().map(outcome).collect()).with_attempts(attempts)
    }

    /// Begins the next wave; the first of several, and all further ones, are announced.
    fn begin_wave(&mut self, now: Duration) -> Vec<Step> {
        self.gate = Gate::Open;
        let Some(wave) = self.rollout.begin_wave() else { return Vec::new() };
        let splay = self.rollout.settings().splay;
        for index in wave.hosts.clone() {
            let pause = if splay.is_zero() { splay } else { splay.mul_f64(self.rng.random_range(0.0..1.0)) };
            self.queue.insert((now + pause, index));
        }
        let mut steps: Vec<Step> = (wave.of > 1).then_some(Step::Wave(wave)).into_iter().collect();
        steps.extend(self.start_more(now));
        steps
    }

    fn start_more(&mut self, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.phase == Phase::Running && self.places.has_free() {
            let Some((_, index)) = self.queue.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.queue.pop_first();
            self.places.take();
            let host = &mut self.hosts[index];
            host.turn = Turn::Running(Attempt::default());
            if !std::mem::replace(&mut host.tried, true) {
                self.stragglers.host_started();
            }
            steps.push(Step::Start(index, host.retries.attempt()));
        }
        steps
    }

    fn stage(&mut self, index: HostIndex, stage: Stage, now: Duration) -> Vec<Step> {
        let Turn::Running(attempt) = &mut self.hosts[index].turn else { return Vec::new() };
        if stage == Stage::Command && attempt.command_at.is_none() {
            attempt.command_at = Some(now);
            self.stragglers.command_started(index, now);
        }
        if stage < Stage::Channel || std::mem::replace(&mut attempt.has_arrived, true) {
            return Vec::new();
        }
        self.places.arrived();
        self.start_more(now)
    }

    fn resize(&mut self, resize: fn(&mut Places) -> usize, now: Duration) -> Vec<Step> {
        let hosts = resize(&mut self.places);
        let still = Some(self.running()).filter(|running| *running > hosts);
        let still = still.map_or_else(String::new, |running| format!("; {running} still run"));
        let notice = Step::Notice(format!("fan-out: {hosts} at once{still}"));
        std::iter::once(notice).chain(self.start_more(now)).collect()
    }

    fn ended(&mut self, index: HostIndex, outcome: Outcome, now: Duration) -> Vec<Step> {
        let host = &mut self.hosts[index];
        let Turn::Running(attempt) = std::mem::take(&mut host.turn) else {
            // Said a second time: what is done stays done.
            return Vec::new();
        };
        if !attempt.has_arrived {
            self.places.arrived();
        }
        self.places.leave();
        match (attempt.command_at, &outcome) {
            (Some(at), Outcome::Exited(_) | Outcome::Signalled(_)) => self.stragglers.command_ended(index, at, now),
            (Some(at), _) => self.stragglers.command_gone(index, at),
            (None, _) => {}
        }
        let outcome = explained(outcome, &attempt, host.last.take().unwrap_or(Outcome::Skipped(self.skip_cause)));
        if let Some(retry) = self.retry(index, &outcome, now) {
            return std::iter::once(retry).chain(self.start_more(now)).collect();
        }
        let mut steps = vec![self.finish(index, outcome)];
        if self.phase == Phase::Running {
            steps.extend(self.judge());
            steps.extend(if self.rollout.is_wave_over() { self.end_wave(now) } else { self.start_more(now) });
        }
        steps
    }

    /// Puts a host back into the queue if its failure is worth another attempt.
    fn retry(&mut self, index: HostIndex, outcome: &Outcome, now: Duration) -> Option<Step> {
        if self.phase != Phase::Running {
            return None;
        }
        let host = &mut self.hosts[index];
        let pause = host.retries.next(self.rollout.settings().retry, outcome, now, &mut self.rng)?;
        self.queue.insert((now + pause, index));
        host.last = Some(outcome.clone());
        let reason = outcome.reason().unwrap_or_default();
        Some(Step::Retry(index, Retry { attempt: host.retries.attempt(), reason, pause }))
    }

    fn finish(&mut self, index: HostIndex, outcome: Outcome) -> Step {
        self.hosts[index].turn = Turn::Done(outcome.clone());
        self.done += 1;
        if self.hosts[index].tried {
            self.stragglers.host_ended();
        }
        if self.phase == Phase::Running {
            self.rollout.ended(&outcome);
        }
        Step::Finished(index, outcome)
    }

    /// Ends the run if one of its rules says so, unless nothing would come of it.
    fn judge(&mut self) -> Vec<Step> {
        let Some(cause) = self.rollout.broken_rule() else { return Vec::new() };
        let waiting = self.hosts.len() - self.done - self.running();
        let stops = self.rollout.settings().at_early_end == AtEarlyEnd::Stop && self.running() > 0;
        if waiting == 0 && !stops {
            return Vec::new();
        }
        let rest = match (stops, self.running()) {
            (_, 0) => "no more are started".to_owned(),
            (true, running) => format!("stopping what runs on {}; Ctrl-C leaves at once", in_words(running)),
            (false, running) => format!("no more are started; waiting for {}", in_words(running)),
        };
        let mut steps = vec![Step::Notice(format!("{}: {rest}", cause.words()))];
        steps.extend(stops.then_some(Step::Cancel));
        steps.extend(self.start_no_more(if stops { Phase::Cancelling } else { Phase::Draining }, cause));
        steps
    }

    fn end_wave(&mut self, now: Duration) -> Vec<Step> {
        match self.rollout.after_wave() {
            _ if self.phase != Phase::Running => Vec::new(),
            AfterWave::End => Vec::new(),
            AfterWave::Next => self.next_wave(now),
            AfterWave::Ask => {
                self.gate = Gate::Asking;
                vec![Step::Ask(self.canary_report())]
            }
        }
    }

    fn next_wave(&mut self, now: Duration) -> Vec<Step> {
        let delay = self.rollout.settings().delay;
        if delay.is_zero() {
            return self.begin_wave(now);
        }
        self.gate = Gate::Until(now + delay);
        Vec::new()
    }

    fn canary_report(&self) -> CanaryReport {
        let failed = self.hosts.iter().enumerate().filter_map(|(index, host)| match &host.turn {
            Turn::Done(outcome) => Some((index, outcome.reason()?)),
            Turn::Waiting | Turn::Running(_) => None,
        });
        CanaryReport { canaries: self.done, failed: failed.collect(), waiting: self.hosts.len() - self.done }
    }

    fn answered(&mut self, answer: Answer, now: Duration) -> Vec<Step> {
        match answer {
            _ if self.phase != Phase::Running || self.gate != Gate::Asking => Vec::new(),
            Answer::GoOn => self.next_wave(now),
            Answer::Stop => self.start_no_more(Phase::Draining, SkipCause::CanaryRefused),
        }
    }

    fn woken(&mut self, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some((index, cause)) = self.stragglers.next_late(now).filter(|_| self.is_running()) {
            if let Turn::Running(attempt) = &mut self.hosts[index].turn {
                attempt.stopped_for = Some(cause);
                steps.push(Step::Stop(index));
            }
        }
        let is_due = matches!(self.gate, Gate::Until(at) if at <= now);
        steps.extend(if is_due && self.phase == Phase::Running { self.begin_wave(now) } else { self.start_more(now) });
        steps
    }

    fn cancel(&mut self) -> Vec<Step> {
        let mut steps = vec![Step::Cancel];
        steps.extend(self.start_no_more(Phase::Cancelling, SkipCause::Interrupted));
        steps
    }

    /// Gives every host that waits its outcome: that of its last attempt, if it had one.
    fn start_no_more(&mut self, phase: Phase, cause: SkipCause) -> Vec<Step> {
        self.phase = phase;
        self.skip_cause = cause;
        self.queue.clear();
        let waiting: Vec<_> =
            (0..self.hosts.len()).filter(|index| matches!(self.hosts[*index].turn, Turn::Waiting)).collect();
        let skip = |index: HostIndex| {
            let outcome = self.hosts[index].last.take().unwrap_or(Outcome::Skipped(cause));
            self.finish(index, outcome)
        };
        waiting.into_iter().map(skip).collect()
    }

    fn abort(&mut self) -> Vec<Step> {
        self.phase = Phase::Aborted;
        let left_at_once = Outcome::Stopped {
            cause: StopCause::Cancelled,
            stop: Stop::Unconfirmed("we left without waiting for its answer".to_owned()),
            output: LastOutput::Cut,
        };
        let mut steps = vec![Step::Abort];
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            let Turn::Running(attempt) = &host.turn else { continue };
            let outcome = match attempt.command_at {
                Some(_) => left_at_once.clone(),
                None => host.last.take().unwrap_or(Outcome::Skipped(self.skip_cause)),
            };
            steps.push(self.finish(index, outcome));
        }
        self.places.clear();
        steps
    }
}

/// What a task says knows nothing of why it was stopped, nor what is said of a host whose command was not sent: how
/// its attempt before ended, or why it had no turn.
fn explained(outcome: Outcome, attempt: &Attempt, not_sent: Outcome) -> Outcome {
    match (outcome, attempt.stopped_for) {
        (Outcome::Stopped { cause: StopCause::Cancelled, stop, output }, Some(cause)) => {
            Outcome::Stopped { cause, stop, output }
        }
        (Outcome::Skipped(_), _) => not_sent,
        (outcome, _) => outcome,
    }
}

fn in_words(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

#[cfg(test)]
mod tests;
