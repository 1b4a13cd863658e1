//! The last step of releases: a symlink on each host, when all hosts have what it is to lead to.
//!
//! Must not know what was brought.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use fleet_core::event::Event;
use fleet_core::fanout::{HostContext, Task};
use fleet_core::outcome::Outcome;
use fleet_core::record::Places;
use fleet_ssh::remote::SudoUser;
use tracing::Instrument as _;

use crate::on_host::Access;
use crate::release::Release;

/// A release on its way to all hosts.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) release: Release,
    /// The destination of each host.
    pub(crate) roots: Vec<Vec<u8>>,
    /// Who receives.
    pub(crate) sudo: Option<SudoUser>,
    /// What is run when it is in use.
    pub(crate) then: Option<Vec<u8>>,
    /// Those of the run that this one goes on with.
    pub(crate) places: Option<Places>,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    ended: BTreeSet<usize>,
    whole: BTreeSet<usize>,
}

/// What became of a release.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// The run was over before it had come to all hosts.
    Interrupted,
    /// It is whole on these hosts, by their number.
    To(Vec<usize>),
}

impl Beginning {
    pub(crate) fn new(release: Release, roots: Vec<Vec<u8>>) -> Self {
        Self { release, roots, sudo: None, then: None, places: None, progress: Mutex::default() }
    }

    /// The places of those hosts in the run in which it was brought.
    pub(crate) fn places_of(&self, hosts: &[usize]) -> Places {
        let number = |host| Places::number(self.places.as_ref(), host, self.roots.len());
        Places { indices: hosts.iter().map(|host| number(*host).0).collect(), count: number(0).1 }
    }

    /// Keeps how it ended on a host.
    pub(crate) fn ended(&self, host: &HostContext, outcome: &Outcome) {
        if !host.cancel().is_cancelled() {
            self.note(host.index(), outcome);
        }
    }

    fn note(&self, host: usize, outcome: &Outcome) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.ended.insert(host);
        if *outcome == Outcome::Exited(0) {
            progress.whole.insert(host);
        }
    }

    /// Where it is whole, when the run is over.
    pub(crate) fn brought(&self) -> Brought {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.ended.len() < self.roots.len() {
            return Brought::Interrupted;
        }
        Brought::To(progress.whole.iter().copied().collect())
    }
}

/// Runs a script of releases on every host, and what comes after.
pub(crate) struct Switch {
    pub(crate) access: Access,
    /// That of each host; each says in a line what is in use.
    pub(crate) scripts: Vec<Vec<u8>>,
}

impl Task for Switch {
    async fn run(&self, host: HostContext) -> Outcome {
        let span = tracing::info_span!("host", name = %self.access.hosts[host.index()].host);
        self.run_on(&host).instrument(span).await.unwrap_or_else(|outcome| outcome)
    }
}

impl Switch {
    async fn run_on(&self, host: &HostContext) -> Result<Outcome, Outcome> {
        let session = self.access.connected(host).await?;
        let said = self.access.run_script(self.scripts[host.index()].clone(), &session, host).await;
        let outcome = match said {
            Ok(said) => {
                host.emit(Event::Result(said)).await;
                self.access.run_after(&session, host).await
            }
            Err(outcome) => outcome,
        };
        session.disconnect().await;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use fleet_core::outcome::SkipCause;

    use super::*;

    #[test]
    fn a_release_is_switched_to_only_when_every_host_has_had_its_turn() {
        let release = Release { id: "20261122-0900-0001".parse().unwrap(), keep: std::num::NonZeroU32::MIN };
        let beginning = Beginning::new(release, vec![Vec::new(); 3]);
        beginning.note(2, &Outcome::Exited(0));
        beginning.note(0, &Outcome::Exited(23));
        assert_eq!(beginning.brought(), Brought::Interrupted);
        beginning.note(1, &Outcome::Skipped(SkipCause::MaxFail));
        assert_eq!(beginning.brought(), Brought::To(vec![2]));
        // Another attempt.
        beginning.note(0, &Outcome::Exited(0));
        assert_eq!(beginning.brought(), Brought::To(vec![0, 2]));
        assert_eq!(beginning.places_of(&[0, 2]), Places { indices: vec![0, 2], count: 3 });
    }
}
