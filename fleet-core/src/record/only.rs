//! `--only`: which of a former run's hosts are meant, by what became of them.
//!
//! Pure. Must not know which run.

use std::fmt;
use std::str::FromStr;

use super::Fate;
use crate::outcome::Stage;

/// The names of fates, as in `--json`.
const FATES: [&str; 12] = [
    "ok",
    "failed",
    "killed",
    "timed-out",
    "cancelled",
    "running",
    "not-ready",
    "unreachable",
    "lost",
    "local-error",
    "skipped",
    "unknown",
];

/// One kind of fate; displays as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// `exit=7`: the command ended with this exit code.
    Exit(u32),
    /// `stage=connect`: failed there, or was last seen there.
    Stage(Stage),
    /// The name of an outcome; `unknown` for hosts that were started and nothing says how they ended.
    Fate(&'static str),
}

/// A text that names no fate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected exit=CODE, stage=NAME ({stages}) or one of {fates}", stages = stage_names(), fates = FATES.join(", "))]
pub struct OnlyError;

impl Only {
    /// Whether a host with this fate is meant.
    #[must_use]
    pub fn matches(self, fate: &Fate) -> bool {
        match (self, fate) {
            (Self::Exit(wanted), Fate::Ended { exit_code, .. }) => *exit_code == Some(wanted),
            (Self::Stage(wanted), Fate::Started { stage } | Fate::Ended { stage, .. }) => {
                stage.as_deref() == Some(wanted.name())
            }
            (Self::Fate(name), fate) => fate.name() == name,
            _ => false,
        }
    }
}

impl FromStr for Only {
    type Err = OnlyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(code) = text.strip_prefix("exit=") {
            return code.parse().map(Self::Exit).map_err(|_| OnlyError);
        }
        if let Some(name) = text.strip_prefix("stage=") {
            return Stage::ALL.into_iter().find(|stage| typed(*stage) == name).map(Self::Stage).ok_or(OnlyError);
        }
        FATES.into_iter().find(|fate| *fate == text).map(Self::Fate).ok_or(OnlyError)
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit={code}"),
            Self::Stage(stage) => write!(f, "stage={}", typed(*stage)),
            Self::Fate(name) => f.write_str(name),
        }
    }
}

/// A stage as one word.
fn typed(stage: Stage) -> String {
    stage.name().replace(' ', "-")
}

fn stage_names() -> String {
    Stage::ALL.map(typed).join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::line::FinishedLine;
    use super::*;
    use crate::outcome::SkipCause;
    use crate::outcome::{FailureClass, HostError, LastOutput, Outcome, Stop, StopCause};

    fn fate(outcome: &Outcome) -> Fate {
        FinishedLine::of(outcome).into_fate()
    }

    fn outcomes() -> Vec<Outcome> {
        let stopped = |cause| Outcome::Stopped { cause, stop: Stop::Confirmed, output: LastOutput::Complete };
        let failed = |stage, class| Outcome::Failed(HostError::new(stage, class, "x"));
        vec![
            Outcome::Exited(0),
            Outcome::Exited(7),
            Outcome::Signalled("KILL".to_owned()),
            stopped(StopCause::Timeout(Duration::from_secs(1))),
            stopped(StopCause::Cancelled),
            Outcome::Running,
            Outcome::NotReady("x".to_owned()),
            failed(Stage::KeyExchange, FailureClass::HostKey),
            failed(Stage::Command, FailureClass::Lost),
            Outcome::Failed(HostError::local("x")),
            Outcome::Skipped(SkipCause::Interrupted),
        ]
    }

    #[test]
    fn every_outcome_can_be_named() {
        let mut named: Vec<&str> = outcomes().iter().map(Outcome::name).collect();
        named.push(Fate::Started { stage: None }.name());
        assert_eq!(named, FATES);
    }

    #[test]
    fn fates_are_chosen_by_exit_code_stage_and_name() {
        for (typed, chosen) in [
            ("exit=7", vec!["failed"]),
            ("exit=0", vec!["ok"]),
            ("exit=70", vec![]),
            ("stage=key-exchange", vec!["unreachable"]),
            ("stage=command", vec!["lost", "local-error"]),
            ("timed-out", vec!["timed-out"]),
            ("skipped", vec!["skipped"]),
        ] {
            let only: Only = typed.parse().unwrap();
            let matching: Vec<&str> =
                outcomes().iter().filter(|outcome| only.matches(&fate(outcome))).map(Outcome::name).collect();
            assert_eq!(matching, chosen, "{typed}");
            assert_eq!(only.to_string(), typed);
        }
    }

    #[test]
    fn a_host_without_an_end_is_found_by_its_last_stage_and_as_unknown() {
        let started = Fate::Started { stage: Some("connect".to_owned()) };
        for (typed, matches) in [("unknown", true), ("stage=connect", true), ("stage=banner", false), ("ok", false)] {
            assert_eq!(typed.parse::<Only>().unwrap().matches(&started), matches, "{typed}");
        }
        assert!("skipped".parse::<Only>().unwrap().matches(&Fate::NotStarted));
    }

    #[test]
    fn anything_else_is_refused_with_what_could_stand_there() {
        for typed in ["", "exit=", "exit=-1", "exit=x", "stage=", "stage=key exchange", "fine", "OK"] {
            let error = typed.parse::<Only>().unwrap_err().to_string();
            assert!(
                error.contains("exit=CODE") && error.contains("key-exchange") && error.contains("unknown"),
                "{error}"
            );
        }
    }
}
