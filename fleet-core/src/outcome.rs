//! What happened on a host, and on all of them: `Outcome`, `HostError`, `Report`.
//!
//! Pure values. Must not know how the work was done, nor how it is shown.

use std::fmt;
use std::time::Duration;

/// The step of a session that a host is in. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Looking up the name.
    Resolve,
    /// Opening the TCP connection, or the channel through a jump host, or starting the `ProxyCommand`.
    Connect,
    /// Waiting for the server's identification line (RFC 4253 section 4.2).
    Banner,
    /// Key exchange and the check of the host key.
    KeyExchange,
    /// Proving who we are.
    Authenticate,
    /// Opening the channel and requesting the command.
    Channel,
    /// The command (or transfer) itself.
    Command,
}

impl Stage {
    /// The name used in messages, in `--json` and in the reasons of the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::KeyExchange => "key exchange",
            Self::Authenticate => "authentication",
            Self::Channel => "channel",
            Self::Command => "command",
        }
    }
}

impl Stage {
    fn timeout_hint(self) -> &'static str {
        match self {
            Self::Resolve => "the name server does not answer: check DNS on this machine",
            Self::Connect => {
                "the host is down, or a firewall (security group) drops packets to this port; else raise --connect-timeout"
            }
            Self::Banner => {
                "the port is open but silent: the host is overloaded, or something else than sshd listens there"
            }
            Self::KeyExchange => {
                "the host is overloaded, or the path drops large packets (MTU); else raise --connect-timeout"
            }
            Self::Authenticate => {
                "the server is slow to decide: often DNS or directory look-ups (UseDNS, PAM, LDAP) on the host"
            }
            Self::Channel => "the login worked but nothing starts: check load, memory and process limits on the host",
            Self::Command => "raise --timeout if it needs longer",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
            Self::Banner => "banner",
            Self::KeyExchange => "key-exchange",
            Self::HostKey => "host-key",
            Self::Auth => "auth",
            Self::Channel => "channel",
            Self::Lost => "lost",
            Self::Local => "local",
        }
    }

    /// What to do next about a failure of this class at `stage`.
    #[must_use]
    pub fn hint(self, stage: Stage) -> &'static str {
        match self {
            Self::Resolve => "check the spelling, or give the address with HostName in ssh_config",
            Self::Refused => "check that sshd runs there and listens on this port",
            Self::Unreachable => "check the address, and the network or VPN between here and there",
            Self::Timeout => stage.timeout_hint(),
            Self::Banner => {
                "check that the port is that of sshd; if only some hosts fail, sshd may drop logins (MaxStartups): lower --parallel"
            }
            Self::KeyExchange => {
                "the server may offer only old algorithms: allow one with -O KexAlgorithms=+NAME (or Ciphers, MACs, HostKeyAlgorithms)"
            }
            Self::HostKey => {
                "compare the key with one you trust; for hosts never seen before, --host-key accept-new stores it"
            }
            Self::Auth => "check the user (-l) and the key (--identity, ssh-add -l)",
            Self::Channel => "the login worked: check MaxSessions, ForceCommand and the user's shell on the server",
            Self::Lost => {
                "the host may have restarted, or the network failed: the command may have run, or may still run"
            }
            Self::Local => "the cause is on this machine: put it right and run again for these hosts",
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
    },
    /// It was never reached, or was lost.
    Failed(HostError),
    /// It was not started: the run ended before its turn.
    Skipped,
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
            Self::Failed(error) => match error.class {
                FailureClass::Lost => "lost",
                FailureClass::Local => "local-error",
                _ => "unreachable",
            },
            Self::Skipped => "skipped",
        }
    }

    /// Why the host is not fine, as a fragment that is equal for hosts with an equal fate; `None` on success.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Exited(0) => None,
            Self::Exited(code) => Some(format!("exit code {code}")),
            Self::Signalled(signal) => Some(format!("killed by signal {signal}")),
            Self::Stopped { cause, stop } => Some(format!("{}, {}", cause.words(), stop.words())),
            Self::Failed(error) => Some(error.to_string()),
            Self::Skipped => Some("not started".to_owned()),
        }
    }

    /// What to do next, for hosts with this outcome; `None` on success.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Exited(0) => return None,
            Self::Exited(code) => exit_code_hint(*code),
            Self::Signalled(signal) if signal == "KILL" => {
                "often the kernel for lack of memory: look for \"Out of memory\" in dmesg on the host"
            }
            Self::Signalled(_) => "something on the host sent the signal, or the program crashed: look in its log",
            Self::Stopped { stop: Stop::Unconfirmed(_), .. } => {
                "look for what is left on the host, with ps -ef, before running it again"
            }
            Self::Stopped { cause: StopCause::Timeout(_), .. } => "raise --timeout if the command needs longer",
            Self::Stopped { cause: StopCause::Stall(_), .. } => "raise --stall if the command may be silent for longer",
            Self::Stopped { cause: StopCause::Cancelled, .. } => {
                "what the command did until then stays: check, then run it again"
            }
            Self::Failed(error) => {
                return Some(error.hint.clone().unwrap_or_else(|| error.class.hint(error.stage).into()));
            }
            Self::Skipped => "run it again for these hosts",
        };
        Some(hint.to_owned())
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
            Self::Signalled(_) | Self::Stopped { .. } | Self::Skipped => ExitStatus::Killed,
            Self::Failed(error) if error.class == FailureClass::Local => ExitStatus::OurFailure,
            Self::Failed(_) => ExitStatus::NotReached,
        }
    }
}

impl StopCause {
    fn words(self) -> String {
        match self {
            Self::Timeout(limit) => format!("timed out after {}", humantime::format_duration(limit)),
            Self::Stall(limit) => format!("no output for {}", humantime::format_duration(limit)),
            Self::Cancelled => "cancelled".to_owned(),
        }
    }
}

impl Stop {
    fn words(&self) -> String {
        match self {
            Self::Confirmed => "stopped".to_owned(),
            Self::Unconfirmed(known) => format!("may still run ({known})"),
        }
    }
}

/// The meaning that POSIX shells give to exit codes (POSIX.1-2024, Shell Command Language, 2.8.2).
fn exit_code_hint(code: u32) -> &'static str {
    match code {
        126 => "the command is there but cannot be executed: check its mode and its interpreter",
        127 => "command not found: install it, or give its full path (PATH is that of a non-interactive shell)",
        129..=192 => "a process within the command was ended by signal (code - 128); 137 is often lack of memory",
        _ => "the command itself failed: its output says why",
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

/// The exit status of every tool: pssh's numbers, so that scripts carry over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// All hosts are fine.
    Success,
    /// Our own failure.
    OurFailure,
    /// Usage, settings or inventory; nothing was contacted.
    Usage,
    /// Some host was killed, timed out or cancelled.
    Killed,
    /// Some host was never reached or was lost.
    NotReached,
    /// Some command or transfer failed.
    CommandFailed,
    /// `--exit-max`: the largest remote exit code.
    Remote(u8),
}

impl ExitStatus {
    /// The number given to the operating system.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::OurFailure => 1,
            Self::Usage => 2,
            Self::Killed => 3,
            Self::NotReached => 4,
            Self::CommandFailed => 5,
            Self::Remote(code) => code,
        }
    }

    /// Which of two statuses stands for both: 1, then 3 before 4 before 5, then 0.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |status: Self| match status.code() {
            0 => u8::MAX,
            code => code,
        };
        if rank(other) < rank(self) { other } else { self }
    }
}

/// The outcomes of a run, in the order of its hosts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    /// A report of `outcomes`, one for each host in the run's order.
    #[must_use]
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// One outcome for each host, in the run's order.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The exit status of the run by `rule`.
    #[must_use]
    pub fn exit_status(&self, rule: ExitRule) -> ExitStatus {
        let worst = self.outcomes.iter().map(Outcome::exit_status).fold(ExitStatus::Success, ExitStatus::worse);
        match (rule, self.outcomes.iter().filter_map(Outcome::remote_code).max()) {
            (ExitRule::LargestRemote, Some(code)) if code > 0 => {
                ExitStatus::Remote(u8::try_from(code).unwrap_or(u8::MAX))
            }
            _ => worst,
        }
    }
}

/// How the exit status of a run follows from its outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExitRule {
    /// The class of the worst outcome: 1, then 3 before 4 before 5.
    #[default]
    WorstClass,
    /// `--exit-max`: the largest remote exit code, or the worst class when no command failed.
    LargestRemote,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Outcome {
        Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "connection refused"))
    }

    fn timed_out() -> Outcome {
        Outcome::Stopped { cause: StopCause::Timeout(Duration::from_secs(5)), stop: Stop::Confirmed }
    }

    #[test]
    fn killed_comes_before_unreached_before_failed() {
        for (outcomes, code) in [
            (vec![Outcome::Exited(0)], 0),
            (vec![Outcome::Exited(0), Outcome::Exited(9)], 5),
            (vec![Outcome::Exited(9), unreachable()], 4),
            (vec![unreachable(), Outcome::Exited(9), timed_out()], 3),
            (vec![Outcome::Signalled("KILL".into())], 3),
            (vec![Outcome::Skipped, Outcome::Exited(0)], 3),
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
            Class::Banner,
            Class::KeyExchange,
            Class::HostKey,
            Class::Auth,
            Class::Channel,
            Class::Lost,
            Class::Local,
        ];
        let stages = [
            Stage::Resolve,
            Stage::Connect,
            Stage::Banner,
            Stage::KeyExchange,
            Stage::Authenticate,
            Stage::Channel,
            Stage::Command,
        ];
        let failures = classes.into_iter().flat_map(|class| stages.map(|stage| (class, stage)));
        let failures = failures.map(|(class, stage)| Outcome::Failed(HostError::new(stage, class, "x")));
        let unconfirmed = Outcome::Stopped { cause: StopCause::Cancelled, stop: Stop::Unconfirmed("x".into()) };
        let others = [
            Outcome::Exited(1),
            Outcome::Exited(127),
            Outcome::Signalled("KILL".into()),
            timed_out(),
            unconfirmed,
            Outcome::Skipped,
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
        assert_eq!(Outcome::Exited(0).reason(), None);
    }
}
