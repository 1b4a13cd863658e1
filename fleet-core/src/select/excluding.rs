//! What `-x` leaves out.
//!
//! Must not know how hosts were chosen.

use super::SelectError;
use crate::host::Host;
use crate::hostset::{Term, Universe};
use crate::inventory::{Inventory, Meaning, Patterns, Reading, States};

/// A value of `-x` that leaves out nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleExclude {
    /// As typed.
    pub value: String,
    /// How the group of this name would be excluded, if there is one.
    pub group: Option<String>,
}

/// The chosen hosts, as the words of `-x` mean them.
pub(super) struct Excluding<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) chosen: &'a [Host],
}

impl Universe for Excluding<'_> {
    type Item = Host;
    type Error = SelectError;

    fn resolve(&mut self, term: &Term) -> Result<Vec<Host>, SelectError> {
        let refused = |problem| SelectError::Term { flag: "-x", problem: Box::new(problem) };
        if let Term::Names(word) | Term::Pattern(word) = term {
            let patterns = Patterns::parse([word.to_string().as_str()]).map_err(|error| refused(error.into()))?;
            return Ok(self.chosen.iter().filter(|host| patterns.matches(host)).cloned().collect());
        }
        let reading = Reading { meaning: Meaning::Host, states: States::Any, home: None, among: None };
        let meant = self.inventory.meant(term, reading).map_err(refused)?;
        Ok(meant.into_iter().map(|meant| meant.host).collect())
    }
}
