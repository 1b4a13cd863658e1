//! The work of a former run, to be done again: what was recorded of it, and how the rest is asked for.
//!
//! Must not know what the work is.

use fleet_core::record::FormerRun;
use serde::de::DeserializeOwned;

use super::{Failure, SudoRequest};

/// A former run whose work a tool is to do again.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    /// The tool.
    pub program: &'static str,
    /// The run.
    pub run: &'a FormerRun,
    /// How the work is given anew, where the record does not do.
    pub give_it: &'static str,
}

impl Again<'_> {
    /// What the tool has recorded of the work. A recipe with a field that is not known must not be read: it was written by a
    /// version that can do more, and would be followed by half.
    ///
    /// # Errors
    /// When another tool ran it, or its record cannot be read.
    pub fn recipe<R: DeserializeOwned>(&self) -> Result<R, Failure> {
        if self.run.header.tool != self.program {
            return Err(self.refused("another tool ran it"));
        }
        serde_json::from_value(self.run.header.again.clone()).map_err(|_| self.incomplete())
    }

    /// Sees that a password is asked for again, where one was.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_sudo(&self, recorded: SudoRequest<'_>, given: SudoRequest<'_>) -> Result<(), Failure> {
        match recorded.asks && !given.asks {
            true => {
                Err(self.refused_unless("it had --ask-sudo, and passwords are not recorded", "add --ask-sudo again"))
            }
            false => Ok(()),
        }
    }

    /// The failure of a record in which something is missing.
    #[must_use]
    pub fn incomplete(&self) -> Failure {
        self.refused("its record does not have all of it")
    }

    /// The failure of a run that cannot be done again, for a reason about "it".
    #[must_use]
    pub fn refused(&self, reason: &str) -> Failure {
        self.failure(reason).hint(self.give_it)
    }

    /// As [`Again::refused`], where what is missing can be given.
    #[must_use]
    pub fn refused_unless(&self, reason: &str, remedy: &str) -> Failure {
        self.failure(reason).hint(format!("{remedy}, or {}", self.give_it))
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::usage_text(format!("run {} cannot be done again as it was: {reason}", self.run.id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use fleet_core::record::{Header, RunId, RunState};

    use super::*;

    #[test]
    fn what_cannot_be_done_again_says_why_and_what_to_give() {
        let again = serde_json::json!({ "word": "x" });
        let run = FormerRun {
            id: RunId::of(SystemTime::UNIX_EPOCH),
            header: Header { tool: "pcp".to_owned(), again, ..Header::default() },
            hosts: Vec::new(),
            state: RunState::Died,
            broken: Vec::new(),
        };
        let of = |program| Again { program, run: &run, give_it: "give it: pcp WORD" };
        let [asks, asks_not] = [true, false].map(|asks| SudoRequest { user: None, asks });
        assert!(of("pcp").recipe::<std::collections::BTreeMap<String, String>>().is_ok());
        assert!(of("pcp").check_sudo(asks, asks).is_ok());
        assert!(of("pcp").check_sudo(asks_not, asks_not).is_ok());
        for (failure, reason, hint) in [
            (of("psh").recipe::<serde_json::Value>().unwrap_err(), "another tool ran it", "give it: pcp WORD"),
            (of("pcp").recipe::<u8>().unwrap_err(), "its record does not have all of it", "give it: pcp WORD"),
            (
                of("pcp").check_sudo(asks, asks_not).unwrap_err(),
                "it had --ask-sudo, and passwords are not recorded",
                "add --ask-sudo again, or give it: pcp WORD",
            ),
        ] {
            assert_eq!(failure.text(), format!("run {} cannot be done again as it was: {reason}", run.id));
            assert_eq!(failure.advice(), Some(hint));
        }
    }
}
