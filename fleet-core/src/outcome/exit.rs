//! From the outcomes of a run to its exit status.
//!
//! Must not exit.

use super::Outcome;

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
    /// How many attempts each host took; empty where nobody counted.
    attempts: Vec<u32>,
}

impl Report {
    /// A report of `outcomes`, one for each host in the run's order.
    #[must_use]
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, attempts: Vec::new() }
    }

    /// The same report with how many attempts each host took, in the run's order; 0 where it had no turn.
    #[must_use]
    pub fn with_attempts(self, attempts: Vec<u32>) -> Self {
        Self { attempts, ..self }
    }

    /// How many attempts the host with this place in the run took; 1 unless counted.
    #[must_use]
    pub fn attempts(&self, index: usize) -> u32 {
        self.attempts.get(index).copied().unwrap_or(1)
    }

    /// How many hosts are fine.
    #[must_use]
    pub fn fine(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_success()).count()
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
