//! The question after the canaries.
//!
//! Must not know how the canaries were run.

use std::sync::Arc;

use super::TerminalPrompt;
use fleet_core::fanout::{Answer, CanaryReport, Confirm};
use fleet_core::hostset;
use fleet_core::render::HostLabel;

/// How many reasons the question names.
const MAX_REASONS: usize = 3;
/// How long the list of hosts for a reason may be.
const MAX_NAMES_CHARS: usize = 60;

/// Asks at the terminal whether to go on.
#[derive(Debug)]
pub struct CanaryQuestion {
    /// Where it asks.
    pub prompt: Arc<TerminalPrompt>,
    /// The hosts of the run.
    pub hosts: Vec<HostLabel>,
}

impl Confirm for CanaryQuestion {
    fn go_on(&self, canaries: &CanaryReport) -> Answer {
        let answer = self.prompt.line(&question(canaries, &self.hosts));
        let is_yes = |answer: String| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        if answer.is_ok_and(is_yes) { Answer::GoOn } else { Answer::Stop }
    }

    fn withdraw(&self) {
        self.prompt.withdraw();
    }
}

/// `canary: 2 of 3 hosts fine (web02: exit code 1); go on with 197 hosts? [y/N] `
fn question(canaries: &CanaryReport, hosts: &[HostLabel]) -> String {
    let CanaryReport { canaries, failed, waiting } = canaries;
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (index, reason) in failed {
        let name = hosts[*index].name.as_str();
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let said = reasons.iter().take(MAX_REASONS);
    let said = said.map(|(reason, names)| format!("{}: {reason}", hostset::fold_limited(names, MAX_NAMES_CHARS)));
    let mut said: Vec<String> = said.collect();
    if reasons.len() > MAX_REASONS {
        said.push(format!("{} more reasons", reasons.len() - MAX_REASONS));
    }
    let failures = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
    let fine = canaries - failed.len();
    format!("canary: {fine} of {} fine{failures}; go on with {}? [y/N] ", in_words(*canaries), in_words(*waiting))
}

fn in_words(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_what_failed() {
        let hosts: Vec<_> = (0..9).map(|index| HostLabel { name: format!("web{index}") }).collect();
        let failed = |indices: &[usize], reason: &str| -> Vec<_> {
            indices.iter().map(|index| (*index, reason.to_owned())).collect()
        };
        for (failed, expected) in [
            (vec![], "canary: 4 of 4 hosts fine; go on with 5 hosts? [y/N] "),
            (
                [failed(&[0, 1], "exit code 1"), failed(&[3], "lost")].concat(),
                "canary: 1 of 4 hosts fine (web[0-1]: exit code 1; web3: lost); go on with 5 hosts? [y/N] ",
            ),
            (
                (0..4).flat_map(|index| failed(&[index], &format!("r{index}"))).collect(),
                "canary: 0 of 4 hosts fine (web0: r0; web1: r1; web2: r2; 1 more reasons); go on with 5 hosts? [y/N] ",
            ),
        ] {
            assert_eq!(question(&CanaryReport { canaries: 4, failed, waiting: 5 }, &hosts), expected);
        }
    }
}
