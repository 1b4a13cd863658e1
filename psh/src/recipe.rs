//! What is written down of a command so that it can be run again, and what it takes to do so.
//!
//! Must not know how it is run.

use std::collections::HashMap;

use fleet_core::cli::Failure;
use fleet_core::record::FormerRun;
use fleet_core::select::SelectedHost;
use serde::{Deserialize, Serialize};

const GIVE_IT: &str = "give the command: psh --failed COMMAND, psh --resume RUN COMMAND";

/// The command of a run, and the flags that shape it. A record with a field that is not known here was written by a
/// version that can do more: such a command is not run by half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Recipe {
    /// The words of the command.
    pub(crate) words: Vec<String>,
    /// `--argv`
    pub(crate) argv: bool,
    /// `--raw`
    pub(crate) raw: bool,
    /// `--script`: its name only, as what it holds is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
    /// `--template`
    pub(crate) template: bool,
    /// `--background`
    pub(crate) background: bool,
    /// The names given by `--env`; their values are secrets.
    pub(crate) env: Vec<String>,
    /// `-I`: what it read is gone.
    pub(crate) input: bool,
    /// The places that the hosts are told, where these are not those of their run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<Places>,
}

/// The `FLEET_INDEX` and `FLEET_COUNT` of hosts that are a part of another run's: a command that takes its share by
/// them takes the same one when it is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Places {
    /// The place of each host.
    pub(crate) indices: Vec<usize>,
    /// How many hosts there were.
    pub(crate) count: usize,
}

impl Places {
    /// The places that `hosts` had in `run`, which was told those of `before` if it was a part itself.
    fn of(hosts: &[SelectedHost], run: &FormerRun, before: Option<&Self>) -> Self {
        let places: HashMap<&str, usize> =
            run.hosts.iter().enumerate().map(|(place, former)| (former.host.as_str(), place)).collect();
        let place_of = |host: &SelectedHost| {
            let place = places.get(host.host.to_string().as_str()).copied().unwrap_or_default();
            before.and_then(|before| before.indices.get(place)).copied().unwrap_or(place)
        };
        let count = before.map_or(run.hosts.len(), |before| before.count);
        Self { indices: hosts.iter().map(place_of).collect(), count }
    }
}

impl Recipe {
    /// The command of `run` for some of its hosts, with what is given anew: what no record has must be among it.
    ///
    /// # Errors
    /// When neither the record nor what is given has all of it.
    pub(crate) fn completed_from(self, run: &FormerRun, hosts: &[SelectedHost]) -> Result<Self, Failure> {
        let refused = |reason: &str, hint: &str| {
            let text = format!("the command of run {} cannot be run again as it was: {reason}", run.id);
            Failure::usage_text(text).hint(hint)
        };
        if run.header.tool != "psh" {
            return Err(refused("another tool ran it", GIVE_IT));
        }
        let recorded = serde_json::from_value::<Self>(run.header.again.clone()).ok();
        if let Some(script) = recorded.as_ref().and_then(|recorded| recorded.script.as_ref()) {
            let reason = format!("it was the script {script}, and what scripts hold is not recorded");
            return Err(refused(&reason, "give it again, as --script FILE ARGUMENTS, with all its other flags"));
        }
        let recorded = recorded.filter(|recorded| !recorded.words.is_empty());
        let Some(recorded) = recorded else {
            return Err(refused("its record does not have all of it", GIVE_IT));
        };
        for (flag, given, recorded) in
            [("--argv", self.argv, recorded.argv), ("--template", self.template, recorded.template)]
        {
            if given && !recorded {
                return Err(refused(&format!("it had no {flag}"), GIVE_IT));
            }
        }
        let missing: Vec<&str> =
            recorded.env.iter().filter(|name| !self.env.contains(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            let reason = format!("it had --env {}, and values are not recorded", missing.join(", --env "));
            return Err(refused(&reason, "give them again, as --env NAME=VALUE, or give another command"));
        }
        if recorded.input && !self.input {
            return Err(refused("it read our standard input", "give it again with -I, or give another command"));
        }
        let places = Places::of(hosts, run, recorded.places.as_ref());
        Ok(Self {
            words: recorded.words,
            argv: recorded.argv,
            raw: recorded.raw || self.raw,
            template: recorded.template,
            background: recorded.background || self.background,
            places: Some(places),
            ..self
        })
    }
}
