//! What is said of hosts while a run goes on: once for all hosts of which the same is said at about the same time.
//!
//! Text only, no clock of its own. Must not know where it is written.

use std::time::Duration;

use super::sanitize::sanitized;
use super::settings::HostLabel;
use crate::event::HostIndex;
use crate::hostset;

/// How long a note may wait for others: too short for a person to notice.
const PATIENCE: Duration = Duration::from_millis(300);

/// Notes that wait to be shown.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Texts in the order in which they were first heard, each with its hosts.
    held: Vec<(String, Vec<HostIndex>)>,
    /// When the first of them was heard, from the start of the run.
    since: Duration,
}

impl Notes {
    /// Keeps a note of a host until others had time to say the same.
    pub(super) fn add(&mut self, index: HostIndex, text: &str, at: Duration) {
        if self.held.is_empty() {
            self.since = at;
        }
        match self.held.iter_mut().find(|(held, _)| held == text) {
            Some((_, hosts)) => hosts.push(index),
            None => self.held.push((text.to_owned(), vec![index])),
        }
    }

    /// Whether something of the host waits, which has to be shown before anything else that it says.
    pub(super) fn has(&self, index: HostIndex) -> bool {
        self.held.iter().any(|(_, hosts)| hosts.contains(&index))
    }

    /// Whether they have waited long enough.
    pub(super) fn are_due(&self, now: Duration) -> bool {
        !self.held.is_empty() && now.saturating_sub(self.since) >= PATIENCE
    }

    /// The lines of all that wait: `web[01-40] (40): connection refused`. No host is left out, as nothing else may tell it.
    pub(super) fn take(&mut self, hosts: &[HostLabel]) -> Vec<String> {
        let mut lines = Vec::new();
        for (text, mut indices) in self.held.drain(..) {
            indices.sort_unstable();
            indices.dedup();
            let who = match &indices[..] {
                [one] => hosts[*one].name.clone(),
                several => {
                    let names: Vec<&str> = several.iter().map(|index| hosts[*index].name.as_str()).collect();
                    format!("{} ({})", hostset::fold(&names), several.len())
                }
            };
            lines.extend(sanitized(&text).lines().map(|line| format!("{who}: {line}")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(notes: &mut Notes) -> Vec<String> {
        let hosts = ["web1", "web2", "web3"].map(|name| HostLabel { name: name.into() });
        notes.take(&hosts)
    }

    #[test]
    fn hosts_of_which_the_same_is_said_are_one() {
        let mut notes = Notes::default();
        for (index, text) in [(2, "same"), (1, "other\nline"), (0, "same"), (2, "same")] {
            notes.add(index, text, Duration::from_secs(1));
        }
        assert!(notes.has(1));
        assert_eq!(lines(&mut notes), ["web[1,3] (2): same", "web2: other", "web2: line"]);
        assert!(!notes.has(1) && lines(&mut notes).is_empty());
    }

    #[test]
    fn they_wait_for_others_from_the_first_on() {
        let (mut notes, start) = (Notes::default(), Duration::from_secs(1));
        assert!(!notes.are_due(start));
        notes.add(0, "same", start);
        notes.add(1, "same", start + PATIENCE / 2);
        assert!(!notes.are_due(start + PATIENCE / 2) && notes.are_due(start + PATIENCE));
    }
}
