//! Which failures are worth another attempt, and how long it is put off: pure.
//!
//! Must not know other hosts, nor when there is room for the attempt.

use std::time::Duration;

use rand::RngExt;

use crate::outcome::{FailureClass, HostError, Outcome, Stage};

/// The pause before the first further attempt; doubled for each after it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often a host is followed to another address: its provider is asked once in a run.
const MOVES: u32 = 1;

/// How often a host is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// After a failure before the command was sent (`--retry`).
    pub connections: u32,
    /// After a command that ended badly or was lost (`--retry-command`).
    pub commands: u32,
    /// The longest pause before an attempt.
    pub longest_pause: Duration,
    /// No pause goes beyond this time from the start of the run, as a deadline of the task's own has come then.
    pub deadline: Option<Duration>,
}

impl Default for RetrySettings {
    /// Nothing is tried again; for who sets the rest, pauses are of a minute at most.
    fn default() -> Self {
        Self { connections: 0, commands: 0, longest_pause: Duration::from_secs(60), deadline: None }
    }
}

/// The further attempts that a host has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retries {
    connections: u32,
    commands: u32,
    moves: u32,
}

/// What has to be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeatable {
    /// At another address, which nobody has to ask for.
    Move,
    Connection,
    Command,
}

impl Retries {
    /// The number of the attempt that they lead to, from 1.
    pub(super) fn attempt(self) -> u32 {
        1 + self.connections + self.commands + self.moves
    }

    /// How long the attempt after `outcome` is put off, `now` from the start of the run; `None` if there is to be none.
    /// Pauses are varied by half, so that hosts that failed together do not come back together.
    pub(super) fn next(
        &mut self,
        settings: RetrySettings,
        outcome: &Outcome,
        now: Duration,
        rng: &mut impl RngExt,
    ) -> Option<Duration> {
        let (used, allowed, first_pause) = match repeatable(outcome)? {
            Repeatable::Move => (&mut self.moves, MOVES, Duration::ZERO),
            Repeatable::Connection => (&mut self.connections, settings.connections, FIRST_PAUSE),
            Repeatable::Command => (&mut self.commands, settings.commands, FIRST_PAUSE),
        };
        if *used >= allowed {
            return None;
        }
        let pause = first_pause.saturating_mul(1 << (*used).min(16)).min(settings.longest_pause);
        *used += 1;
        let pause = pause.mul_f64(rng.random_range(0.5..1.5));
        Some(settings.deadline.map_or(pause, |deadline| pause.min(deadline.saturating_sub(now))))
    }
}

/// From [`Stage::Channel`] on the host may have got the command, which then must not be sent twice unasked.
fn repeatable(outcome: &Outcome) -> Option<Repeatable> {
    match outcome {
        Outcome::Failed(error) if error.class == FailureClass::Moved => Some(Repeatable::Move),
        Outcome::Failed(error) if error.stage < Stage::Channel => passes(error).then_some(Repeatable::Connection),
        Outcome::Failed(error)
            if matches!(error.class, FailureClass::Lost | FailureClass::Copy | FailureClass::Service) =>
        {
            Some(Repeatable::Command)
        }
        Outcome::Exited(0) => None,
        Outcome::Exited(_) | Outcome::Signalled(_) => Some(Repeatable::Command),
        Outcome::Failed(_)
        | Outcome::Stopped { .. }
        | Outcome::Running
        | Outcome::NotReady(_)
        | Outcome::Skipped(_) => None,
    }
}

/// Whether a failure to connect may pass by itself. A refused login does not: each further one may lock the account.
fn passes(error: &HostError) -> bool {
    use FailureClass as Class;
    match error.class {
        Class::Resolve
        | Class::Refused
        | Class::Unreachable
        | Class::Timeout
        | Class::Banner
        | Class::KeyExchange
        | Class::Lost => true,
        Class::Gone
        | Class::Moved
        | Class::HostKey
        | Class::Auth
        | Class::Channel
        | Class::Sudo
        | Class::Copy
        | Class::Service
        | Class::Incomplete
        | Class::Local => false,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::outcome::{LastOutput, SkipCause, Stop, StopCause};

    const BOTH: RetrySettings =
        RetrySettings { connections: 2, commands: 1, longest_pause: Duration::from_secs(60), deadline: None };

    fn failed(stage: Stage, class: FailureClass) -> Outcome {
        Outcome::Failed(HostError::new(stage, class, "x"))
    }

    #[test]
    fn no_pause_goes_beyond_the_deadline() {
        let mut rng = rand::rng();
        let deadline = Duration::from_millis(2100);
        let settings = RetrySettings { connections: 9, deadline: Some(deadline), ..RetrySettings::default() };
        let refused = Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "refused"));
        for (now, most) in [(2000, 100), (2100, 0), (9000, 0)] {
            let now = Duration::from_millis(now);
            let pause = Retries::default().next(settings, &refused, now, &mut rng);
            assert_eq!(pause, Some(Duration::from_millis(most)));
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_commands_only_when_asked() {
        use FailureClass as Class;
        use Repeatable::{Command, Connection, Move};
        let stopped = Outcome::Stopped {
            cause: StopCause::Timeout(Duration::from_secs(1)),
            stop: Stop::Confirmed,
            output: LastOutput::Complete,
        };
        for (outcome, expected) in [
            (failed(Stage::Resolve, Class::Resolve), Some(Connection)),
            (failed(Stage::Connect, Class::Refused), Some(Connection)),
            (failed(Stage::Connect, Class::Unreachable), Some(Connection)),
            (failed(Stage::Banner, Class::Timeout), Some(Connection)),
            (failed(Stage::Connect, Class::Moved), Some(Move)),
            (failed(Stage::KeyExchange, Class::Moved), Some(Move)),
            (failed(Stage::Connect, Class::Gone), None),
            (failed(Stage::Banner, Class::Banner), Some(Connection)),
            (failed(Stage::KeyExchange, Class::KeyExchange), Some(Connection)),
            (failed(Stage::Authenticate, Class::Lost), Some(Connection)),
            (failed(Stage::Authenticate, Class::Auth), None),
            (failed(Stage::KeyExchange, Class::HostKey), None),
            (failed(Stage::Resolve, Class::Local), None),
            (failed(Stage::Command, Class::Sudo), None),
            (failed(Stage::Command, Class::Copy), Some(Repeatable::Command)),
            (failed(Stage::Command, Class::Local), None),
            (failed(Stage::Channel, Class::Channel), None),
            (failed(Stage::Channel, Class::Timeout), None),
            (failed(Stage::Channel, Class::Lost), Some(Command)),
            (failed(Stage::Command, Class::Lost), Some(Command)),
            (Outcome::Exited(1), Some(Command)),
            (Outcome::Signalled("KILL".into()), Some(Command)),
            (Outcome::Exited(0), None),
            (stopped, None),
            (Outcome::Skipped(SkipCause::Interrupted), None),
        ] {
            assert_eq!(repeatable(&outcome), expected, "{outcome:?}");
            let none = RetrySettings::default();
            let mut rng = StdRng::seed_from_u64(1);
            let unasked = Retries::default().next(none, &outcome, Duration::ZERO, &mut rng);
            assert_eq!(unasked, (expected == Some(Move)).then_some(Duration::ZERO), "{outcome:?}");
        }
    }

    #[test]
    fn each_kind_of_failure_has_its_own_number_of_attempts() {
        let (refused, exited) = (failed(Stage::Connect, FailureClass::Refused), Outcome::Exited(1));
        let mut rng = StdRng::seed_from_u64(1);
        let mut retries = Retries::default();
        let again = [&refused, &exited, &refused, &refused, &exited]
            .map(|outcome| retries.next(BOTH, outcome, Duration::ZERO, &mut rng).is_some());
        assert_eq!(again, [true, true, true, false, false]);
        assert_eq!(retries.attempt(), 4);
    }

    #[test]
    fn a_host_that_has_moved_is_followed_once_unasked_and_at_once() {
        let moved = failed(Stage::Connect, FailureClass::Moved);
        let mut rng = StdRng::seed_from_u64(1);
        let mut retries = Retries::default();
        let pauses = [(); 2].map(|()| retries.next(RetrySettings::default(), &moved, Duration::ZERO, &mut rng));
        assert_eq!(pauses, [Some(Duration::ZERO), None]);
        assert_eq!(retries.attempt(), 2);
    }

    #[test]
    fn pauses_grow_to_a_minute_and_differ_between_hosts() {
        let settings = RetrySettings { connections: 40, commands: 0, ..RetrySettings::default() };
        let refused = failed(Stage::Connect, FailureClass::Refused);
        let pauses = |seed| {
            let (mut rng, mut retries) = (StdRng::seed_from_u64(seed), Retries::default());
            [(); 40].map(|()| retries.next(settings, &refused, Duration::ZERO, &mut rng).unwrap())
        };
        for (number, pause) in pauses(1).into_iter().enumerate() {
            let middle = 2f64.powi(i32::try_from(number).unwrap()).min(60.0);
            assert!(pause.as_secs_f64() >= middle * 0.5 && pause.as_secs_f64() < middle * 1.5, "{number}: {pause:?}");
        }
        assert_ne!(pauses(1), pauses(2));
        assert_eq!(pauses(3), pauses(3));
    }
}
