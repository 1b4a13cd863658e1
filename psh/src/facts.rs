//! What a host is asked about itself before the command of a template is made for it.
//!
//! Must not know templates, other hosts or flags.

use std::time::Duration;

use fleet_core::outcome::{FailureClass, HostError, Outcome, SkipCause, Stage, StopCause};
use fleet_ssh::remote::{Fact, Facts, facts_command};
use fleet_ssh::{CommandLimits, Wrapping};
use fleet_tool::on_host::{Answer, OnHost};

/// Longest time for the answer: `--timeout` is for the command.
const LIMIT: Duration = Duration::from_secs(30);

/// `limits` of a command, as they are for the question before it.
pub(crate) fn limits(limits: &CommandLimits) -> CommandLimits {
    CommandLimits { timeout: Some(LIMIT), stall: None, ..*limits }
}

/// What the host tells of `facts`. `Err` is the end of the work there: its command has not been started.
pub(crate) async fn ask(facts: &[Fact], on_host: &OnHost<'_>) -> Result<Facts, Outcome> {
    let answer = Answer::default();
    match on_host.run(facts_command(facts), Wrapping::Shell, &answer).await {
        Outcome::Exited(0) => Ok(Facts::find(&answer.bytes())),
        outcome @ (Outcome::Failed(_) | Outcome::Skipped(_)) => Err(outcome),
        Outcome::Stopped { cause: StopCause::Cancelled, .. } => Err(Outcome::Skipped(SkipCause::Interrupted)),
        outcome => {
            let reason = outcome.reason().unwrap_or_default();
            let text = format!("not started, as the host's facts cannot be told: {reason}");
            let error = HostError::new(Stage::Command, FailureClass::Channel, text);
            Err(Outcome::Failed(error.with_hint("uname and the like are run there by /bin/sh: see fleet doctor")))
        }
    }
}
