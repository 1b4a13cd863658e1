//! What became of a host of a former run, as far as its journal says.
//!
//! Values only. Must not know files.

/// What became of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fate {
    /// Its turn never came.
    #[default]
    NotStarted,
    /// Its turn came, and nothing says that it ended: while the run goes on it is being worked on; after that nobody
    /// knows, and its command may still run.
    Started {
        /// The last stage that is known of.
        stage: Option<String>,
    },
    /// It ended.
    Ended {
        /// The name of the outcome, as in `--json`.
        outcome: String,
        /// The exit code of its command.
        exit_code: Option<u32>,
        /// Where it failed.
        stage: Option<String>,
        /// Whether its command may still run.
        may_still_run: bool,
        /// Why it is not fine, in words.
        reason: Option<String>,
    },
}

/// The name of a host's fate that no outcome has: it was started, and how it ended is not known.
const UNKNOWN: &str = "unknown";
const NOT_STARTED: &str = "skipped";

impl Fate {
    /// The name in counts and in `--json`: that of the outcome, else `unknown` or `skipped`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NotStarted => NOT_STARTED,
            Self::Started { .. } => UNKNOWN,
            Self::Ended { outcome, .. } => outcome,
        }
    }

    /// Whether the host is fine.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Ended { outcome, .. } if outcome == "ok")
    }

    /// Whether its command may still run on the host, for all that is known.
    #[must_use]
    pub fn may_still_run(&self) -> bool {
        match self {
            Self::NotStarted => false,
            Self::Started { .. } => true,
            Self::Ended { may_still_run, .. } => *may_still_run,
        }
    }

    /// In words, equal for hosts with an equal fate; of a run that has ended.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NotStarted => "not started".to_owned(),
            Self::Started { stage: None } => "unknown (may still run)".to_owned(),
            Self::Started { stage: Some(stage) } => format!("unknown (may still run), last seen at: {stage}"),
            Self::Ended { reason: Some(reason), .. } => reason.clone(),
            Self::Ended { outcome, .. } => outcome.clone(),
        }
    }
}
