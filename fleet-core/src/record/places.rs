//! The places of hosts in their run, for runs over a part of the hosts of another.
//!
//! Must not know what the places are used for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::FormerRun;
use crate::select::SelectedHost;

/// The `FLEET_INDEX` and `FLEET_COUNT` of hosts that are a part of another run's: a command that takes its share by
/// them takes the same one when it is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The place of each host.
    pub indices: Vec<usize>,
    /// How many hosts there were.
    pub count: usize,
}

impl Places {
    /// The places that `hosts` had in `run`, which was told those of `before` if it was a part itself.
    #[must_use]
    pub fn of(hosts: &[SelectedHost], run: &FormerRun, before: Option<&Self>) -> Self {
        let places: HashMap<&str, usize> =
            run.hosts.iter().enumerate().map(|(place, former)| (former.host.as_str(), place)).collect();
        let place_of = |host: &SelectedHost| {
            let place = places.get(host.host.to_string().as_str()).copied().unwrap_or_default();
            before.and_then(|before| before.indices.get(place)).copied().unwrap_or(place)
        };
        let count = before.map_or(run.hosts.len(), |before| before.count);
        Self { indices: hosts.iter().map(place_of).collect(), count }
    }

    /// The number that the host at `index` is told, and how many hosts there are, of a run over `count` hosts.
    #[must_use]
    pub fn number(former: Option<&Self>, index: usize, count: usize) -> (usize, usize) {
        match former {
            Some(places) => (places.indices.get(index).copied().unwrap_or(index), places.count),
            None => (index, count),
        }
    }
}
