//! What there is to say about a choice of hosts.
//!
//! Must not know who says it, nor where.

use super::{IdleExclude, Selected};
use crate::hostset;

impl Selected {
    /// What was named twice, drawn by chance, left out unasked and excluded in vain: a line each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.duplicates.is_empty() {
            let names: Vec<String> = self.duplicates.iter().map(|duplicate| duplicate.host.to_string()).collect();
            remarks.push(format!("named more than once, runs once: {}", hostset::fold(&names)));
        }
        let by_chance = |slice| format!("chosen by chance: {slice} chooses the same hosts again");
        remarks.extend(self.drawn.iter().map(by_chance));
        if let Some(host) = &self.left_out {
            remarks.push(format!("{host} is this machine, and left out; --include-self takes it, too"));
        }
        for IdleExclude { value, group } in &self.idle_excludes {
            let hint = group.as_ref().map(|group| format!("; the group is excluded by -x {group}"));
            remarks.push(format!("-x {value} leaves out nobody{}", hint.unwrap_or_default()));
        }
        remarks
    }
}
