//! What happened on a host, and on all of them: `Outcome`, `HostError`, `Report`.
//!
//! Pure values. Must not know how the work was done, nor how it is shown.

mod causes;
mod exit;
mod hint;
mod stage;

use std::fmt;
use std::time::Duration;

pub use causes::{causes, in_one_line};
pub use exit::{ExitRule, ExitStatus, Report};
pub use stage::Stage;

/// The kind of a host's failure. Decides the exit code, the hint and the name in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The name has no address.
    Resolve,
    /// Nothing listens there.
    Refused,
    /// No route, or the network is down.
    Unreachable,
    /// A stage before the command took longer than allowed.
    Timeout,
    /// Its provider has it no longer.
    Gone,
    /// Its provider has it at another address than the one that was tried.
    Moved,
    /// What answered does not speak SSH, or closed at once.
    Banner,
    /// The key exchange failed (no common algorithm, protocol error).
    KeyExchange,
    /// The host key is unknown, changed or revoked.
    HostKey,
    /// No method or key was accepted.
    Auth,
    /// The server refused the session or the command.
    Channel,
    /// `sudo` on the host did not run the command.
    Sudo,
    /// The host did not take the files.
    Copy,
    /// A service on the host is not as it was asked for.
    Service,
    /// Some files could not be read, or not be kept here; the others are copied.
    Incomplete,
    /// The connection ended before the command's exit status was known.
    Lost,
    /// The failure is on this machine: configuration, files, disk.
    Local,
}

impl FailureClass {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Moved => "moved",
            Self::Banner => "banner",
            Self::KeyExchange => "key-exchange",
            Self::HostKey => "host-key",
            Self::Auth => "auth",
            Self::Channel => "channel",
            Self::Sudo => "sudo",
            Self::Copy => "copy",
            Self::Service => "service",
            Self::Incomplete => "incomplete",
            Self::Lost => "lost",
            Self::Local => "local",
        }
    }
}

/// Why the work on one host could not be done. A result, never the end of the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {message}")]
pub struct HostError {
    /// Where it happened.
    pub stage: Stage,
    /// What kind it is.
    pub class: FailureClass,
    /// A lower-case fragment that does not name the host, so that equal failures of many hosts fold into one line.
    pub message: String,
    /// What to do next; replaces the hint of the class when given.
    pub hint: Option<String>,
}

impl HostError {
    /// A failure of `class` at `stage`.
    pub fn new(stage: Stage, class: FailureClass, message: impl Into<String>) -> Self {
        Self { stage, class, message: message.into(), hint: None }
    }

    /// The same failure with a hint of its own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `stage` took longer than `limit`.
    #[must_use]
    pub fn timeout(stage: Stage, limit: Duration) -> Self {
        let limit = humantime::format_duration(limit);
        Self::new(stage, FailureClass::Timeout, format!("timed out after {limit}"))
    }

    /// A failure on this machine.
    pub fn local(message: impl Into<String>) -> Self {
        Self::new(Stage::Command, FailureClass::Local, message)
    }
}

/// Why we stopped a command that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// It ran longer than `--timeout`.
    Timeout(Duration),
    /// It sent no byte for `--stall`.
    Stall(Duration),
    /// It took nothing of what it was sent for `--stall`.
    Untaken(Duration),
    /// It ran much longer than on the other hosts: `--timeout` as a percentage.
    Straggler {
        /// The longest time it had.
        limit: Duration,
        /// The percentage that makes the limit.
        percent: u32,
        /// The median time on the hosts that were done.
        median: Duration,
    },
    /// A signal to us, or a rule of the run, ended it.
    Cancelled,
}

/// What is known of the remote processes after we stopped a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The host said that none of them is left.
    Confirmed,
    /// Some may still run; the text says what is known.
    Unconfirmed(String),
}

/// Whether all that a stopped command had sent was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastOutput {
    /// It was.
    #[default]
    Complete,
    /// Whoever takes it was too slow: the end of it is missing.
    Cut,
}

/// Why a host had no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipCause {
    /// The run was told to stop, or its output could not be written.
    Interrupted,
    /// More hosts were not fine than `--max-fail` allows.
    MaxFail,
    /// A canary was not fine.
    CanaryFailed,
    /// Nobody said to go on after the canaries.
    CanaryRefused,
    /// Too few hosts were left to reach `--quorum`.
    Quorum,
}

impl SkipCause {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::MaxFail => "max-fail",
            Self::CanaryFailed => "canary-failed",
            Self::CanaryRefused => "canary-refused",
            Self::Quorum => "quorum",
        }
    }

    /// What happened, as a lower-case fragment.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Interrupted => "the run was interrupted",
            Self::MaxFail => "more hosts are not fine than --max-fail allows",
            Self::CanaryFailed => "a canary is not fine",
            Self::CanaryRefused => "nobody said to go on after the canaries",
            Self::Quorum => "too many hosts are not fine to reach --quorum or --count",
        }
    }
}

/// How the work on one host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended by itself with this exit code; 0 is success.
    Exited(u32),
    /// The command was ended by a signal that is not ours; the name has no `SIG` (RFC 4254 section 6.10).
    Signalled(String),
    /// We stopped it.
    Stopped {
        /// Why.
        cause: StopCause,
        /// Whether it is known to be gone.
        stop: Stop,
        /// Whether its output is complete.
        output: LastOutput,
    },
    /// What was asked after has not ended yet.
    Running,
    /// It was reached, and what was waited for has not come: what, and what was seen of it last.
    NotReady(String),
    /// It was never reached, or was lost, or could not run the command as asked.
    Failed(HostError),
    /// It was not started: the run ended before its turn, for this reason.
    Skipped(SkipCause),
}

impl Outcome {
    /// Whether the host is fine.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The name of the outcome's kind in `--json` and in the counts of the summary.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(0) => "ok",
            Self::Exited(_) => "failed",
            Self::Signalled(_) => "killed",
            Self::Stopped { cause: StopCause::Cancelled, .. } => "cancelled",
            Self::Stopped { .. } => "timed-out",
            Self::Running => "running",
            Self::NotReady(_) => "not-ready",
            Self::Failed(error) => match error.class {
                FailureClass::Lost => "lost",
                FailureClass::Local => "local-error",
                FailureClass::Sudo | FailureClass::Copy | FailureClass::Service | FailureClass::Incomplete => "failed",
                _ => "unreachable",
            },
            Self::Skipped(_) => "skipped",
        }
    }

    /// Why the host is not fine, as a fragment that is equal for hosts with an equal fate; `None` on success.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Exited(0) => None,
            Self::Exited(code) => Some(format!("exit code {code}")),
            Self::Signalled(signal) => Some(format!("killed by signal {signal}")),
            Self::Stopped { cause, stop, output } => Some(format!("{}, {}{}", cause.words(), stop, output.words())),
            Self::Running => Some("still running".to_owned()),
            Self::NotReady(last) => Some(format!("not ready: {last}")),
            Self::Failed(error) => Some(error.to_string()),
            Self::Skipped(cause) => Some(format!("not started: {}", cause.words())),
        }
    }

    /// The exit code a shell would give for the command: the code itself, or 128 plus the signal's number.
    #[must_use]
    pub fn remote_code(&self) -> Option<u32> {
        match self {
            Self::Exited(code) => Some(*code),
            Self::Signalled(signal) => Some(128 + signal_number(signal).unwrap_or(0)),
            _ => None,
        }
    }

    /// What the outcome adds to the exit status of the run.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Exited(0) => ExitStatus::Success,
            Self::Exited(_) => ExitStatus::CommandFailed,
            Self::Signalled(_) | Self::Stopped { .. } | Self::Running | Self::NotReady(_) | Self::Skipped(_) => {
                ExitStatus::Killed
            }
            Self::Failed(error) if matches!(error.class, FailureClass::Local | FailureClass::Incomplete) => {
                ExitStatus::OurFailure
            }
            Self::Failed(error)
                if matches!(error.class, FailureClass::Sudo | FailureClass::Copy | FailureClass::Service) =>
            {
                ExitStatus::CommandFailed
            }
            Self::Failed(_) => ExitStatus::NotReached,
        }
    }
}

impl StopCause {
    fn words(self) -> String {
        match self {
            Self::Timeout(limit) => format!("timed out after {}", humantime::format_duration(limit)),
            Self::Stall(limit) => format!("no output for {}", humantime::format_duration(limit)),
            Self::Untaken(limit) => format!("took nothing for {}", humantime::format_duration(limit)),
            Self::Straggler { limit, percent, median } => {
                let (limit, median) = (humantime::format_duration(limit), humantime::format_duration(median));
                format!("timed out after {limit} ({percent}% of the median {median})")
            }
            Self::Cancelled => "cancelled".to_owned(),
        }
    }
}

impl LastOutput {
    fn words(self) -> &'static str {
        match self {
            Self::Complete => "",
            Self::Cut => "; the end of its output is missing",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("stopped"),
            Self::Unconfirmed(known) => write!(f, "may still run ({known})"),
        }
    }
}

/// The numbers that POSIX and Linux agree on for the signals RFC 4254 names.
fn signal_number(name: &str) -> Option<u32> {
    Some(match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Outcome {
        Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "connection refused"))
    }

    fn timed_out() -> Outcome {
        Outcome::Stopped {
            cause: StopCause::Timeout(Duration::from_secs(5)),
            stop: Stop::Confirmed,
            output: LastOutput::Complete,
        }
    }

    fn straggler() -> Outcome {
        let (limit, median) = (Duration::from_secs(12), Duration::from_secs(4));
        let cause = StopCause::Straggler { limit, percent: 300, median };
        Outcome::Stopped { cause, stop: Stop::Confirmed, output: LastOutput::Complete }
    }

    #[test]
    fn killed_comes_before_unreached_before_failed() {
        for (outcomes, code) in [
            (vec![Outcome::Exited(0)], 0),
            (vec![Outcome::Exited(0), Outcome::Exited(9)], 5),
            (vec![Outcome::Exited(9), unreachable()], 4),
            (vec![unreachable(), Outcome::Exited(9), timed_out()], 3),
            (vec![Outcome::Signalled("KILL".into())], 3),
            (vec![Outcome::Running, unreachable()], 3),
            (vec![Outcome::NotReady("tcp:80: connection refused".to_owned()), Outcome::Exited(0)], 3),
            (vec![Outcome::Skipped(SkipCause::MaxFail), Outcome::Exited(0)], 3),
            (vec![timed_out(), Outcome::Failed(HostError::local("disk full"))], 1),
        ] {
            assert_eq!(Report::new(outcomes.clone()).exit_status(ExitRule::WorstClass).code(), code, "{outcomes:?}");
        }
    }

    #[test]
    fn exit_max_is_the_largest_remote_code() {
        for (outcomes, code) in [
            (vec![Outcome::Exited(3), Outcome::Exited(70), unreachable()], 70),
            (vec![Outcome::Exited(0), unreachable()], 4),
            (vec![Outcome::Signalled("TERM".into())], 143),
            (vec![Outcome::Exited(100_000)], 255),
            (vec![Outcome::Exited(0)], 0),
        ] {
            assert_eq!(Report::new(outcomes.clone()).exit_status(ExitRule::LargestRemote).code(), code, "{outcomes:?}");
        }
    }

    #[test]
    fn every_fate_but_success_has_a_hint() {
        use FailureClass as Class;
        let classes = [
            Class::Resolve,
            Class::Refused,
            Class::Unreachable,
            Class::Timeout,
            Class::Gone,
            Class::Moved,
            Class::Banner,
            Class::KeyExchange,
            Class::HostKey,
            Class::Auth,
            Class::Channel,
            Class::Sudo,
            Class::Lost,
            Class::Local,
        ];
        let failures = classes.into_iter().flat_map(|class| Stage::ALL.map(|stage| (class, stage)));
        let failures = failures.map(|(class, stage)| Outcome::Failed(HostError::new(stage, class, "x")));
        let unconfirmed = Outcome::Stopped {
            cause: StopCause::Cancelled,
            stop: Stop::Unconfirmed("x".into()),
            output: LastOutput::Cut,
        };
        let others = [
            Outcome::Exited(1),
            Outcome::Exited(127),
            Outcome::Signalled("KILL".into()),
            timed_out(),
            unconfirmed,
            Outcome::Running,
            straggler(),
            Outcome::Skipped(SkipCause::Interrupted),
            Outcome::Skipped(SkipCause::Quorum),
        ];
        for outcome in failures.chain(others) {
            let hint = outcome.hint().unwrap();
            assert!(hint.len() > 10 && !hint.ends_with('.'), "{outcome:?}: {hint}");
        }
        assert_eq!(Outcome::Exited(0).hint(), None);
    }

    #[test]
    fn a_hint_of_its_own_replaces_that_of_the_class() {
        let error = HostError::new(Stage::KeyExchange, FailureClass::HostKey, "changed").with_hint("known_hosts:3");
        assert_eq!(Outcome::Failed(error).hint().unwrap(), "known_hosts:3");
    }

    #[test]
    fn reasons_name_the_stage_and_never_the_host() {
        assert_eq!(unreachable().reason().unwrap(), "connect: connection refused");
        assert_eq!(timed_out().reason().unwrap(), "timed out after 5s, stopped");
        assert_eq!(straggler().reason().unwrap(), "timed out after 12s (300% of the median 4s), stopped");
        let skipped = Outcome::Skipped(SkipCause::CanaryFailed);
        assert_eq!(skipped.reason().unwrap(), "not started: a canary is not fine");
        assert_eq!(Outcome::Exited(0).reason(), None);
    }
}
