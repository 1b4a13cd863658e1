//! The flags of `pslurp` and what they resolve to.
//!
//! Must not contact any host.

mod fetching;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};
use fleet_core::record;
use fleet_ssh::Connector;
use fleet_ssh::remote::{Links, Packing, Part, SudoUser, sh_quote};
use fleet_tool::cli::{Failure, FleetArgs, Prepared, StdinUse, check_excluded, typed, usage_failure};
use fleet_transfer::filter::{Filter, Pattern};
use fleet_transfer::pull::{Before, Compared, Merger, PART_PREFIX, Paths};
use fleet_transfer::throttle::Throttle;

use self::fetching::FetchArgs;
use crate::gather::{Afterwards, Doing, Gathering};
use crate::landing::Landing;
use crate::recipe::Recipe;
use crate::task::Slurp;

/// More names than this no host is asked for unless the user says so.
const MOST_FILES: usize = 250_000;

const EXIT_CODES_HELP: &str = "\
Exit codes:
  0  all hosts are fine, or as many as --quorum asks for
  1  some file could not be read on its host or written here; the others are here
  2  usage, settings or inventory: nothing was contacted
  3  some host was killed, timed out or cancelled
  4  some host was never reached or was lost
  5  some host sent nothing, or not what it was asked for
Of several, 1 comes before 3 before 4 before 5.";

/// Bring files and folders from many hosts home over SSH, a folder for each host
///
/// A folder comes with its name, and with a slash behind it only what is in it. Wildcards in quotes are for the hosts. What
/// is here already and the same is not fetched again, and what is here in part is continued.
#[derive(Parser, Debug)]
#[command(
    name = "pslurp",
    version,
    disable_help_flag = true,
    after_help = EXIT_CODES_HELP,
    override_usage = "pslurp [SELECTION] [OPTIONS] REMOTE... LOCAL"
)]
struct PslurpArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    fetch: FetchArgs,

    /// Files, folders and wildcards on the hosts, then the folder here: in it stand {host}, {group}, {role}, {index},
    /// {count}, {addr}, {user} and {port} for what they are of each host [default: a folder {host} in it]
    #[arg(value_name = "REMOTE... LOCAL", action = ArgAction::Append)]
    paths: Vec<OsString>,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct FetchSettings {
    recipe: Recipe,
    remotes: Vec<(Vec<u8>, Part)>,
    local: PathBuf,
    landing: Landing,
    filter: Option<Filter>,
    sudo: Option<SudoUser>,
    throttle: Throttle,
}

/// The flags. `--exclude` is rsync's here: hosts are left out by `-x` alone.
fn command() -> clap::Command {
    PslurpArgs::command().mut_arg("exclude", |hosts| hosts.long(None))
}

/// Reads the arguments of this process. `None` where hosts are only listed, and nothing is fetched.
pub(crate) fn parse() -> Result<(Prepared, record::Work, Option<FetchSettings>), Failure> {
    let refused = |error: clap::Error| usage_failure(crate::PROGRAM, &error);
    let matches = command().try_get_matches().map_err(refused)?;
    let PslurpArgs { fleet, fetch, paths } = PslurpArgs::from_arg_matches(&matches).map_err(refused)?;
    let throttle = fetch.throttle()?;
    let mut given = fetch.recipe(fetching::patterns(&matches))?;
    let lists_only = fleet.lists_only();
    let mut prepared = fleet.prepare(crate::PROGRAM, StdinUse::Free)?;
    check_excluded(given.filters.iter().filter_map(Pattern::excluded), &prepared.selected.hosts)?;
    let mut recorded = record::Work { typed: typed(0, &[]), ..record::Work::default() };
    if lists_only {
        return Ok((prepared, recorded, None));
    }
    let (recipe, remotes, local) = match (&prepared.former, &paths[..]) {
        (Some(former), []) => {
            let recipe = given.completed_from(former, &prepared.selected.hosts)?;
            let (remotes, local) = (recipe.remotes.iter().map(OsString::from).collect(), recipe.local_path());
            (recipe, remotes, local)
        }
        (_, [remotes @ .., local]) if !remotes.is_empty() => {
            let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
            given.set_paths(remotes, local, &here);
            (given, remotes.to_vec(), PathBuf::from(local))
        }
        _ => {
            return Err(Failure::usage_text("expected what to fetch from the hosts, and where to here")
                .hint("pslurp -g GROUP /var/log/app/ results/ brings what is in /var/log/app into results/HOST"));
        }
    };
    let words = remotes.iter().map(|remote| remote.as_os_str()).chain([local.as_os_str()]);
    let words: Vec<Vec<u8>> = words.map(|word| sh_quote(word.as_bytes())).collect();
    recorded.text = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    recorded.again = serde_json::to_value(&recipe).unwrap_or_default();
    prepared.sudo_password = recipe.sudo_request().password();
    let settings = FetchSettings {
        remotes: remotes.iter().map(|remote| fetching::remote(remote.as_bytes())).collect::<Result<_, _>>()?,
        landing: if recipe.merge { merge_landing(&local)? } else { Landing::read(&local)? },
        filter: filter(&recipe)?,
        sudo: recipe.sudo_request().user()?,
        throttle,
        local,
        recipe,
    };
    Ok((prepared, recorded, Some(settings)))
}

/// Where the files of each host are kept until they are merged.
fn merge_landing(local: &std::path::Path) -> Result<Landing, Failure> {
    if Landing::is_made_for_each(local) {
        return Err(Failure::usage_text(
            "--merge makes one file of all hosts, and the place here differs from host to host",
        )
        .hint("leave out the braces, or --merge"));
    }
    let staging = format!("{}merge-{{index}}", String::from_utf8_lossy(PART_PREFIX));
    Landing::read(&local.join(staging))
}

fn filter(recipe: &Recipe) -> Result<Option<Filter>, Failure> {
    if recipe.filters.is_empty() {
        return Ok(None);
    }
    Filter::new(recipe.filters.iter().map(Pattern::rule)).map(Some).map_err(|error| Failure::usage(&error))
}

impl FetchSettings {
    /// The task that does the work on the chosen hosts.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<Slurp, Failure> {
        let Self { recipe, remotes, local, landing, filter, sudo, throttle } = self;
        let hosts = prepared.selected.hosts.clone();
        let folders = landing.folders(&connector, &hosts, &prepared.places(recipe.places.as_ref()))?;
        let merger =
            match (recipe.merge && !recipe.dry_run, recipe.continued) {
                (false, _) => None,
                (true, continued) => {
                    let before = if continued { Before::Continued } else { Before::Replaced };
                    Some(Merger::open(&local, before).map_err(|error| {
                        Failure::usage_text(format!("cannot write into {}: {error}", local.display()))
                    })?)
                }
            };
        // What is not written yet is left with the hosts: here it would be written to the disk twice.
        connector.hold_back(throttle.backlog_bytes().unwrap_or(u64::MAX));
        let gathering = Gathering {
            remotes,
            links: if recipe.follow { Links::Followed } else { Links::Kept },
            packing: if recipe.compress { Packing::Gzip } else { Packing::Plain },
            paths: if recipe.parents { Paths::Whole } else { Paths::Short },
            since: recipe.since,
            tail: recipe.tail,
            max_size: recipe.max_size,
            max_total: recipe.max_total,
            max_files: recipe.max_files.unwrap_or(MOST_FILES),
            filter: filter.map(Arc::new),
            compared: if recipe.checksum { Compared::Digests } else { Compared::Times },
            afterwards: if recipe.delete_after { Afterwards::Removed } else { Afterwards::Kept },
            doing: if recipe.dry_run { Doing::Say } else { Doing::Fetch },
            merger,
        };
        Ok(Slurp {
            connector,
            hosts,
            folders,
            gathering,
            throttle,
            sudo: sudo.map(|user| prepared.sudo(user)),
            limits: prepared.command_limits(),
            remarks: prepared.remarks(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_flags_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_is_complete() {
        insta::assert_snapshot!(command().term_width(100).render_help().to_string());
    }
}
