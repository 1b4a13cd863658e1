//! What is written down of a gathering so that it can be done again, and what it takes to do so.
//!
//! Must not know how it is done.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use fleet_core::record::{FormerRun, Places};
use fleet_core::select::SelectedHost;
use fleet_tool::cli::{Again, Failure, SudoRequest};
use fleet_transfer::filter::Pattern;
use serde::{Deserialize, Serialize};

const GIVE_IT: &str = "give what to fetch: pslurp --failed REMOTE... LOCAL, pslurp --resume RUN REMOTE... LOCAL";

/// A gathering and the flags that shape it. A record with a field that is not known here was written by a version that
/// can do more: such a gathering is not done by half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Recipe {
    /// What is fetched; empty when it is not text, and cannot be written down.
    pub(crate) remotes: Vec<String>,
    /// The folder in which a relative place here is.
    pub(crate) folder: String,
    /// Where it goes.
    pub(crate) local: String,
    /// `--exclude` and `--include`, in their order.
    pub(crate) filters: Vec<Pattern>,
    /// `-L`
    pub(crate) follow: bool,
    /// `--parents`
    pub(crate) parents: bool,
    /// `--since`, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<i64>,
    /// `--tail`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<u64>,
    /// `--max-size`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_size: Option<u64>,
    /// `--max-total`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_total: Option<u64>,
    /// `--max-files`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_files: Option<usize>,
    /// `--merge`
    pub(crate) merge: bool,
    /// `-C`
    pub(crate) compress: bool,
    /// `--checksum`
    pub(crate) checksum: bool,
    /// `--dry-run`
    pub(crate) dry_run: bool,
    /// `--delete-after`
    pub(crate) delete_after: bool,
    /// `--sudo`: the user that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sudo: Option<String>,
    /// `--ask-sudo`: the password is a secret.
    pub(crate) ask_sudo: bool,
    /// The places that the hosts have in folders here, where these are not those of their run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<Places>,
    /// Whether it goes on with another run. Never recorded as such.
    #[serde(skip)]
    pub(crate) continued: bool,
}

impl Recipe {
    /// Puts down the words of the command line.
    pub(crate) fn set_paths(&mut self, remotes: &[OsString], local: &OsStr, here: &Path) {
        let text = |word: &OsStr| word.to_str().map(str::to_owned);
        let (folder, local) = (text(here.as_os_str()), text(local));
        let remotes: Option<Vec<String>> = remotes.iter().map(|remote| text(remote)).collect();
        if let (Some(folder), Some(remotes), Some(local)) = (folder, remotes, local) {
            (self.folder, self.remotes, self.local) = (folder, remotes, local);
        }
    }

    /// The place here, relative ones where they were.
    pub(crate) fn local_path(&self) -> PathBuf {
        Path::new(&self.folder).join(&self.local)
    }

    /// Whose work it is on the hosts.
    pub(crate) fn sudo_request(&self) -> SudoRequest<'_> {
        SudoRequest { user: self.sudo.as_deref(), asks: self.ask_sudo }
    }

    /// The gathering of `run` for some of its hosts, with what is given anew: what no record has must be among it.
    ///
    /// # Errors
    /// When neither the record nor what is given has all of it.
    pub(crate) fn completed_from(self, run: &FormerRun, hosts: &[SelectedHost]) -> Result<Self, Failure> {
        let again = Again { program: crate::PROGRAM, run, give_it: GIVE_IT };
        let recorded: Self = again.recipe()?;
        if recorded.remotes.is_empty() {
            return Err(again.incomplete());
        }
        again.check_sudo(recorded.sudo_request(), self.sudo_request())?;
        Ok(Self {
            remotes: recorded.remotes,
            folder: recorded.folder,
            local: recorded.local,
            filters: [self.filters, recorded.filters].concat(),
            follow: self.follow || recorded.follow,
            parents: recorded.parents,
            since: self.since.or(recorded.since),
            tail: self.tail.or(recorded.tail),
            max_size: self.max_size.or(recorded.max_size),
            max_total: self.max_total.or(recorded.max_total),
            max_files: self.max_files.or(recorded.max_files),
            merge: recorded.merge,
            compress: self.compress || recorded.compress,
            checksum: self.checksum || recorded.checksum,
            dry_run: self.dry_run,
            delete_after: self.delete_after || recorded.delete_after,
            sudo: self.sudo.or(recorded.sudo),
            ask_sudo: self.ask_sudo,
            places: Some(Places::of(hosts, run, recorded.places.as_ref())),
            continued: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::time::SystemTime;

    use fleet_core::record::{Header, RunId, RunState};

    use super::*;

    fn run_of(recipe: &Recipe, tool: &str) -> FormerRun {
        let again = serde_json::to_value(recipe).unwrap();
        FormerRun {
            id: RunId::of(SystemTime::UNIX_EPOCH),
            header: Header { tool: tool.to_owned(), again, ..Header::default() },
            hosts: Vec::new(),
            state: RunState::Died,
            broken: Vec::new(),
        }
    }

    fn recorded(more: impl FnOnce(&mut Recipe)) -> Recipe {
        let mut recipe = Recipe::default();
        recipe.set_paths(&["/var/log/*".into(), "x".into()], OsStr::new("out"), Path::new("/home/me"));
        more(&mut recipe);
        recipe
    }

    #[test]
    fn every_flag_that_shapes_a_gathering_holds_when_it_is_done_again() {
        let all = recorded(|recipe| {
            recipe.filters = vec![Pattern::Exclude("*.gz".into())];
            (recipe.follow, recipe.parents, recipe.merge) = (true, true, true);
            (recipe.compress, recipe.checksum, recipe.delete_after) = (true, true, true);
            (recipe.since, recipe.tail, recipe.max_files) = (Some(1), Some(2), Some(3));
            (recipe.max_size, recipe.max_total, recipe.sudo) = (Some(4), Some(5), Some("log".into()));
        });
        let again = Recipe::default().completed_from(&run_of(&all, "pslurp"), &[]).unwrap();
        assert_eq!(again, Recipe { continued: true, places: Some(Places::default()), ..all });
        assert_eq!(again.local_path(), Path::new("/home/me/out"));
    }

    #[test]
    fn what_no_record_has_must_be_given_again() {
        let unwritable = {
            let mut recipe = Recipe::default();
            recipe.set_paths(&[OsStr::from_bytes(b"\xff").to_owned()], OsStr::new("out"), Path::new("/"));
            recipe
        };
        let asked = recorded(|recipe| recipe.ask_sudo = true);
        let mut newer = run_of(&recorded(|_| ()), "pslurp");
        newer.header.again["nice"] = 19.into();
        for (run, reason) in [
            (run_of(&unwritable, "pslurp"), "its record does not have all of it"),
            (run_of(&asked, "pslurp"), "it had --ask-sudo"),
            (run_of(&recorded(|_| ()), "pcp"), "another tool ran it"),
            (newer, "its record does not have all of it"),
        ] {
            let refused = Recipe::default().completed_from(&run, &[]).unwrap_err();
            assert!(format!("{refused:?}").contains(reason), "{refused:?}");
        }
    }
}
