//! What is written down of a command so that it can be run again, and what it takes to do so.
//!
//! Must not know how it is run.

use std::ffi::OsString;

use fleet_core::record::{FormerRun, Places};
use fleet_core::select::SelectedHost;
use fleet_tool::cli::{Again, Failure, SudoRequest};
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
    /// `--sudo`: the user that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sudo: Option<String>,
    /// `--ask-sudo`: the password is a secret.
    pub(crate) ask_sudo: bool,
    /// `--pty`
    pub(crate) pty: bool,
    /// The names given by `--env`; their values are secrets.
    pub(crate) env: Vec<String>,
    /// `-I`: what it read is gone.
    pub(crate) input: bool,
    /// The places that the hosts are told, where these are not those of their run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<Places>,
}

impl Recipe {
    /// The words as arguments.
    pub(crate) fn words(&self) -> Vec<OsString> {
        self.words.iter().map(OsString::from).collect()
    }

    /// Whose work it is on the hosts.
    pub(crate) fn sudo_request(&self) -> SudoRequest<'_> {
        SudoRequest { user: self.sudo.as_deref(), asks: self.ask_sudo }
    }

    /// The command of `run` for some of its hosts, with what is given anew: what no record has must be among it.
    ///
    /// # Errors
    /// When neither the record nor what is given has all of it.
    pub(crate) fn completed_from(self, run: &FormerRun, hosts: &[SelectedHost]) -> Result<Self, Failure> {
        let again = Again { program: "psh", run, give_it: GIVE_IT };
        let recorded: Self = again.recipe()?;
        if let Some(script) = &recorded.script {
            let reason = format!("it was the script {script}, and what scripts hold is not recorded");
            let remedy = "give it again, as --script FILE ARGUMENTS, with all its other flags";
            return Err(again.refused_unless(&reason, remedy));
        }
        if recorded.words.is_empty() {
            return Err(again.incomplete());
        }
        for (flag, given, recorded) in
            [("--argv", self.argv, recorded.argv), ("--template", self.template, recorded.template)]
        {
            if given && !recorded {
                return Err(again.refused(&format!("it had no {flag}")));
            }
        }
        let missing: Vec<&str> =
            recorded.env.iter().filter(|name| !self.env.contains(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            let reason = format!("it had --env {}, and values are not recorded", missing.join(", --env "));
            return Err(again.refused_unless(&reason, "add them again, as --env NAME=VALUE"));
        }
        if recorded.input && !self.input {
            return Err(again.refused_unless("it read our standard input", "give that again with -I"));
        }
        again.check_sudo(recorded.sudo_request(), self.sudo_request())?;
        let places = Places::of(hosts, run, recorded.places.as_ref());
        let completed = Self {
            words: recorded.words,
            argv: recorded.argv,
            raw: recorded.raw || self.raw,
            template: recorded.template,
            background: recorded.background || self.background,
            sudo: self.sudo.clone().or(recorded.sudo),
            pty: recorded.pty || self.pty,
            places: Some(places),
            ..self
        };
        match completed.contradiction() {
            Some((one, other)) => Err(again.refused(&format!("{one} and {other} do not go together"))),
            None => Ok(completed),
        }
    }

    /// Two flags that cannot hold at once, where one is recorded and one given: clap sees only what is given.
    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let pairs = [
            (self.raw && self.sudo_request().is_made(), ("--raw", "--sudo")),
            (self.raw && self.background, ("--raw", "--background")),
            (self.pty && self.background, ("--pty", "--background")),
        ];
        pairs.into_iter().find_map(|(both, flags)| both.then_some(flags))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use fleet_core::record::{Header, RunId, RunState};

    use super::*;

    fn run_of(recipe: &Recipe) -> FormerRun {
        let again = serde_json::to_value(recipe).unwrap();
        FormerRun {
            id: RunId::of(SystemTime::UNIX_EPOCH),
            header: Header { tool: "psh".to_owned(), again, ..Header::default() },
            hosts: Vec::new(),
            state: RunState::Died,
            broken: Vec::new(),
        }
    }

    /// `true` with more.
    fn command(more: impl FnOnce(&mut Recipe)) -> Recipe {
        let mut recipe = Recipe { words: vec!["true".to_owned()], ..Recipe::default() };
        more(&mut recipe);
        recipe
    }

    fn given(more: impl FnOnce(&mut Recipe)) -> Recipe {
        let mut recipe = Recipe::default();
        more(&mut recipe);
        recipe
    }

    #[test]
    fn every_flag_that_shapes_a_command_holds_when_it_runs_again() {
        let user = || Some("db".to_owned());
        for recorded in [
            command(|recipe| recipe.argv = true),
            command(|recipe| recipe.raw = true),
            command(|recipe| recipe.template = true),
            command(|recipe| recipe.background = true),
            command(|recipe| (recipe.sudo, recipe.background) = (user(), true)),
            command(|recipe| (recipe.sudo, recipe.pty) = (user(), true)),
        ] {
            let again = Recipe::default().completed_from(&run_of(&recorded), &[]).unwrap();
            let none = Some(Places::default());
            assert_eq!(again, Recipe { places: none, ..recorded });
        }
    }

    #[test]
    fn what_no_record_has_must_be_given_again() {
        let script = |words: &[&str]| Recipe {
            script: Some("deploy.sh".to_owned()),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            ..Recipe::default()
        };
        for (recorded, reason) in [
            (script(&[]), "it was the script deploy.sh"),
            (script(&["now"]), "it was the script deploy.sh"),
            (command(|recipe| recipe.ask_sudo = true), "it had --ask-sudo"),
            (command(|recipe| recipe.env = vec!["A".to_owned()]), "it had --env A"),
            (command(|recipe| recipe.input = true), "it read our standard input"),
            (Recipe::default(), "its record does not have all of it"),
        ] {
            let refused = Recipe::default().completed_from(&run_of(&recorded), &[]).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
        let secrets = |recipe: &mut Recipe| {
            (recipe.ask_sudo, recipe.input, recipe.env) = (true, true, vec!["A".to_owned(), "B".to_owned()]);
        };
        let mut recorded = command(secrets);
        recorded.sudo = Some("db".to_owned());
        let again = given(secrets).completed_from(&run_of(&recorded), &[]).unwrap();
        assert_eq!(again, Recipe { places: Some(Places::default()), ..recorded });
    }

    #[test]
    fn what_is_given_anew_takes_the_place_of_what_is_recorded() {
        let user = |name: &str| Some(name.to_owned());
        let recorded = command(|recipe| (recipe.sudo, recipe.argv, recipe.template) = (user("db"), true, true));
        let given = given(|recipe| (recipe.sudo, recipe.argv, recipe.template) = (user("root"), true, true));
        let again = given.completed_from(&run_of(&recorded), &[]).unwrap();
        assert_eq!(again, Recipe { places: Some(Places::default()), sudo: user("root"), ..recorded });
    }

    #[test]
    fn a_record_that_is_not_understood_is_not_run_by_half() {
        let understood = run_of(&command(|_| ()));
        assert!(Recipe::default().completed_from(&understood, &[]).is_ok());
        let mut newer = run_of(&command(|_| ()));
        newer.header.again["nice"] = 19.into();
        let mut other = run_of(&command(|_| ()));
        other.header.tool = "pcp".to_owned();
        for (run, reason) in [(newer, "its record does not have all of it"), (other, "another tool ran it")] {
            let refused = Recipe::default().completed_from(&run, &[]).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
    }

    #[test]
    fn what_is_given_anew_must_fit_what_is_recorded() {
        let sudo = |recipe: &mut Recipe| recipe.sudo = Some("root".to_owned());
        for (recorded, given, reason) in [
            (command(sudo), given(|recipe| recipe.raw = true), "--raw and --sudo"),
            (command(|recipe| recipe.raw = true), given(|recipe| recipe.ask_sudo = true), "--raw and --sudo"),
            (command(|recipe| recipe.raw = true), given(|recipe| recipe.background = true), "--raw and --background"),
            (command(|recipe| recipe.background = true), given(|recipe| recipe.pty = true), "--pty and --background"),
            (command(|_| ()), given(|recipe| recipe.argv = true), "it had no --argv"),
            (command(|_| ()), given(|recipe| recipe.template = true), "it had no --template"),
        ] {
            let refused = given.completed_from(&run_of(&recorded), &[]).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
        let again = given(sudo).completed_from(&run_of(&command(|recipe| recipe.pty = true)), &[]).unwrap();
        assert!(again.pty && again.sudo_request().is_made());
    }
}
