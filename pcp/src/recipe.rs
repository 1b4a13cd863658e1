//! What is written down of a copy so that it can be done again, and what it takes to do so.
//!
//! Must not know how it is done.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use fleet_core::record::{FormerRun, Places};
use fleet_core::select::SelectedHost;
use fleet_tool::cli::{Again, Failure, SudoRequest};
use fleet_transfer::filter::Pattern;
use serde::{Deserialize, Serialize};

const GIVE_IT: &str = "give what to copy: pcp --failed SOURCE... DEST, pcp --resume RUN SOURCE... DEST";

/// A copy and the flags that shape it. A record with a field that is not known here was written by a version that can do
/// more: such a copy is not done by half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Recipe {
    /// The folder in which relative sources are.
    pub(crate) folder: String,
    /// The sources; empty when they are not text, and cannot be written down.
    pub(crate) sources: Vec<String>,
    /// Where they go.
    pub(crate) destination: String,
    /// `--exclude` and `--include`, in their order.
    pub(crate) filters: Vec<Pattern>,
    /// `-L`
    pub(crate) follow: bool,
    /// `--preserve`
    pub(crate) preserve: bool,
    /// `--mode`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
    /// `--owner`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// `--sudo`: the user that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sudo: Option<String>,
    /// `--ask-sudo`: the password is a secret.
    pub(crate) ask_sudo: bool,
    /// `--mkdirs`
    pub(crate) mkdirs: bool,
    /// `--unpack`
    pub(crate) unpack: bool,
    /// `--backup`
    pub(crate) backup: bool,
    /// `--checksum`
    pub(crate) checksum: bool,
    /// `--dry-run`
    pub(crate) dry_run: bool,
    /// `-C`
    pub(crate) compress: bool,
    /// `--then`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) then: Option<String>,
    /// `--via`: where the object is kept, of which no URL is written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) via: Option<String>,
    /// The places that the hosts are told, where these are not those of their run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<Places>,
}

impl Recipe {
    /// Puts down the words of the command line.
    pub(crate) fn set_paths(&mut self, sources: &[OsString], destination: &OsStr, here: &Path) {
        let text = |word: &OsStr| word.to_str().map(str::to_owned);
        let (folder, destination) = (text(here.as_os_str()), text(destination));
        let sources: Option<Vec<String>> = sources.iter().map(|source| text(source)).collect();
        if let (Some(folder), Some(sources), Some(destination)) = (folder, sources, destination) {
            (self.folder, self.sources, self.destination) = (folder, sources, destination);
        }
    }

    /// The sources as arguments, relative ones where they were.
    pub(crate) fn source_paths(&self) -> Vec<PathBuf> {
        let folder = Path::new(&self.folder);
        self.sources.iter().map(|source| folder.join(source)).collect()
    }

    /// Whose work it is on the hosts.
    pub(crate) fn sudo_request(&self) -> SudoRequest<'_> {
        SudoRequest { user: self.sudo.as_deref(), asks: self.ask_sudo }
    }

    /// The copy of `run` for some of its hosts, with what is given anew: what no record has must be among it. What is there
    /// already is not sent again, since some hosts may have it all and only could not say so.
    ///
    /// # Errors
    /// When neither the record nor what is given has all of it.
    pub(crate) fn completed_from(self, run: &FormerRun, hosts: &[SelectedHost]) -> Result<Self, Failure> {
        let again = Again { program: "pcp", run, give_it: GIVE_IT };
        let recorded: Self = again.recipe()?;
        if recorded.sources.is_empty() {
            return Err(again.incomplete());
        }
        if recorded.sources.iter().any(|source| source == "-") {
            return Err(again.refused("it read our standard input"));
        }
        again.check_sudo(recorded.sudo_request(), self.sudo_request())?;
        let filters = [self.filters, recorded.filters].concat();
        Ok(Self {
            folder: recorded.folder,
            sources: recorded.sources,
            destination: recorded.destination,
            filters,
            follow: self.follow || recorded.follow,
            preserve: self.preserve || recorded.preserve,
            mode: self.mode.or(recorded.mode),
            owner: self.owner.or(recorded.owner),
            sudo: self.sudo.or(recorded.sudo),
            ask_sudo: self.ask_sudo,
            mkdirs: self.mkdirs || recorded.mkdirs,
            unpack: self.unpack || recorded.unpack,
            backup: self.backup || recorded.backup,
            checksum: true,
            dry_run: self.dry_run || recorded.dry_run,
            compress: self.compress || recorded.compress,
            then: self.then.or(recorded.then),
            via: self.via.or(recorded.via),
            places: Some(Places::of(hosts, run, recorded.places.as_ref())),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::time::SystemTime;

    use fleet_core::record::{Header, RunId, RunState};

    use super::*;

    fn run_of(recipe: &Recipe) -> FormerRun {
        let again = serde_json::to_value(recipe).unwrap();
        FormerRun {
            id: RunId::of(SystemTime::UNIX_EPOCH),
            header: Header { tool: "pcp".to_owned(), again, ..Header::default() },
            hosts: Vec::new(),
            state: RunState::Died,
            broken: Vec::new(),
        }
    }

    fn copy(sources: &[&str]) -> Recipe {
        let mut recipe = Recipe::default();
        let sources: Vec<OsString> = sources.iter().map(OsString::from).collect();
        recipe.set_paths(&sources, OsStr::new("/opt/"), Path::new("/home/me"));
        recipe
    }

    #[test]
    fn a_copy_is_done_again_as_it_was_but_for_what_is_there_already() {
        let recorded = Recipe {
            filters: vec![Pattern::Exclude("*.tmp".into())],
            mode: Some("644".into()),
            sudo: Some("app".into()),
            mkdirs: true,
            then: Some("true".into()),
            via: Some("s3://bucket/x".into()),
            ..copy(&["conf/", "/etc/x"])
        };
        let again = Recipe::default().completed_from(&run_of(&recorded), &[]).unwrap();
        assert_eq!(again, Recipe { checksum: true, places: Some(Places::default()), ..recorded });
        assert_eq!(again.source_paths(), ["/home/me/conf/", "/etc/x"].map(PathBuf::from));
        let given = Recipe { mode: Some("600".into()), backup: true, ..Recipe::default() };
        let again = given.completed_from(&run_of(&again), &[]).unwrap();
        assert_eq!((again.mode.as_deref(), again.backup, again.mkdirs), (Some("600"), true, true));
    }

    #[test]
    fn what_no_record_has_must_be_given_again() {
        let not_text = OsStr::from_bytes(b"\xff").to_owned();
        let mut unwritable = Recipe::default();
        unwritable.set_paths(&[not_text], OsStr::new("/opt"), Path::new("/"));
        for (recorded, reason) in [
            (copy(&["-"]), "it read our standard input"),
            (unwritable, "its record does not have all of it"),
            (Recipe { ask_sudo: true, ..copy(&["a"]) }, "it had --ask-sudo"),
        ] {
            let refused = Recipe::default().completed_from(&run_of(&recorded), &[]).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
        let mut other = run_of(&copy(&["a"]));
        other.header.tool = "psh".to_owned();
        assert!(Recipe::default().completed_from(&other, &[]).is_err());
        let mut newer = run_of(&copy(&["a"]));
        newer.header.again["sparse"] = true.into();
        assert!(Recipe::default().completed_from(&newer, &[]).is_err());
    }
}
