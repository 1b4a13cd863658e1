//! What is written down of a run so that it can be done again, and what it takes to do so.
//!
//! Must not know how it is done, nor what flags mean.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use fleet_core::record::{FormerRun, Places};
use fleet_core::select::SelectedHost;
use fleet_tool::cli::Failure;
use serde::{Deserialize, Serialize};

const GIVE_IT: &str = "give what to bring: prsync --failed SOURCE... DEST, prsync --resume RUN SOURCE... DEST";
/// The password is a secret.
const ASK_SUDO: &str = "--ask-sudo";

/// The words of a run. A record with a field that is not known here was written by a version that can do more: such a run is
/// not done by half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The folder in which it was run.
    pub(crate) folder: String,
    /// The flags about syncing.
    pub(crate) flags: Vec<String>,
    /// Sources and destination.
    pub(crate) paths: Vec<String>,
    /// The places that the hosts are told, where these are not those of their run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<Places>,
}

impl Recipe {
    /// Of the words of the command line, if all of them are text.
    pub(crate) fn of(folder: &Path, flags: &[OsString], paths: &[OsString]) -> Option<Self> {
        let texts = |words: &[OsString]| -> Option<Vec<String>> {
            words.iter().map(|word| word.to_str().map(str::to_owned)).collect()
        };
        let folder = folder.to_str()?.to_owned();
        Some(Self { folder, flags: texts(flags)?, paths: texts(paths)?, places: None })
    }

    /// That of `run` for some of its hosts, with flags that are given anew; `here` is where it is to be run.
    ///
    /// # Errors
    /// When the record does not have all of it.
    pub(crate) fn again(
        run: &FormerRun,
        hosts: &[SelectedHost],
        flags: &[OsString],
        here: &Path,
    ) -> Result<Self, Failure> {
        let refused = |reason: &str, hint: &str| {
            let text = format!("run {} cannot be done again as it was: {reason}", run.id);
            Err(Failure::usage_text(text).hint(hint))
        };
        if run.header.tool != "prsync" {
            return refused("another tool ran it", GIVE_IT);
        }
        let recorded = serde_json::from_value::<Self>(run.header.again.clone()).ok();
        let Some(mut recipe) = recorded.filter(|recorded| !recorded.paths.is_empty()) else {
            return refused("its record does not have all of it", GIVE_IT);
        };
        if recipe.flags.iter().any(|flag| flag.ends_with("-from=-")) {
            return refused("it read our standard input", GIVE_IT);
        }
        let asks = |flag: &OsString| flag == OsStr::new(ASK_SUDO);
        if recipe.flags.iter().any(|flag| flag == ASK_SUDO) && !flags.iter().any(asks) {
            let hint = "give it again with --ask-sudo, or give what to bring";
            return refused("it had --ask-sudo, and passwords are not recorded", hint);
        }
        if Path::new(&recipe.folder) != here {
            return refused(&format!("it was run in {}", recipe.folder), "change into that folder first");
        }
        let Some(given) = Self::of(here, flags, &[]) else {
            return refused("not all that is given is text", GIVE_IT);
        };
        recipe.flags.extend(given.flags);
        recipe.places = Some(Places::of(hosts, run, recipe.places.as_ref()));
        Ok(recipe)
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
            header: Header { tool: "prsync".to_owned(), again, ..Header::default() },
            hosts: Vec::new(),
            state: RunState::Died,
            broken: Vec::new(),
        }
    }

    fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
        words.map(OsString::from).into()
    }

    #[test]
    fn a_run_is_done_again_with_its_flags_and_those_given_anew() {
        let here = Path::new("/home/me");
        let recorded = Recipe::of(here, &words(["--compress"]), &words(["dist/", "/opt"])).unwrap();
        let again = Recipe::again(&run_of(&recorded), &[], &words(["--checksum"]), here).unwrap();
        let flags = vec!["--compress".to_owned(), "--checksum".to_owned()];
        assert_eq!(again, Recipe { flags, places: Some(Places::default()), ..recorded });
    }

    #[test]
    fn what_no_record_has_must_be_given_again() {
        let here = Path::new("/home/me");
        let of = |flag| Recipe::of(here, &words([flag]), &words(["dist/", "/opt"])).unwrap();
        for (recorded, reason) in [
            (of("--exclude-from=-"), "it read our standard input"),
            (of("--ask-sudo"), "it had --ask-sudo"),
            (Recipe { folder: "/srv".into(), ..of("-z") }, "it was run in /srv"),
            (Recipe::default(), "its record does not have all of it"),
        ] {
            let refused = Recipe::again(&run_of(&recorded), &[], &[], here).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
        assert!(Recipe::again(&run_of(&of("--ask-sudo")), &[], &words(["--ask-sudo"]), here).is_ok());
        let mut other = run_of(&of("-z"));
        other.header.tool = "pcp".to_owned();
        assert!(Recipe::again(&other, &[], &[], here).is_err());
    }
}
