//! The flags of `pcp` and what they resolve to.
//!
//! Must not contact any host.

mod copying;
mod placing;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};
use fleet_core::outcome::ExitStatus;
use fleet_core::record;
use fleet_ssh::Connector;
use fleet_ssh::remote::{SudoUser, sh_quote};
use fleet_tool::cli::{EXIT_CODES_HELP, Failure, FleetArgs, Prepared, StdinUse, check_excluded, typed, usage_failure};
use fleet_transfer::filter::{Filter, Pattern};
use fleet_transfer::manifest::{Manifest, Selection};
use fleet_transfer::push::{Push, PushSettings, Share};
use fleet_transfer::scan::{Links, ScanSettings};
use fleet_transfer::source_cache::Packing;
use fleet_transfer::throttle::Throttle;

use self::copying::{CopyArgs, Limits};
pub use self::placing::PlacingArgs;
use crate::destination::{Form, Target};
use crate::look::Digests;
use crate::owner;
use crate::places;
use crate::receiving::{Receiving, attributes, verify};
use crate::recipe::Recipe;
use crate::sources::{Archives, Given, Sources};
use crate::task::{Copy, Knowledge};
use crate::unpack::Owners;
use crate::via::{Afterwards, PlaceError, Wanted};

/// The name of our standard input as a source.
const STDIN: &str = "-";

/// Copy files and folders to many hosts at once over SSH
///
/// A folder goes to the hosts with its name, and with a slash behind it only what is in it. DEST is a folder, or the new
/// name of a single file. On each host all of it arrives or nothing: what was there stays until all is verified.
#[derive(Parser, Debug)]
#[command(
    name = "pcp",
    version,
    disable_help_flag = true,
    after_help = EXIT_CODES_HELP,
    override_usage = "pcp [SELECTION] [OPTIONS] SOURCE... DEST"
)]
struct PcpArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    copy: CopyArgs,

    /// Files and folders here, or - for standard input, then where they go on the hosts; in both stand {host}, {group},
    /// {role}, {index}, {count}, {addr}, {user} and {port} for what they are of each host
    #[arg(value_name = "SOURCE... DEST", action = ArgAction::Append)]
    paths: Vec<OsString>,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct CopySettings {
    recipe: Recipe,
    given: Given,
    target: Target,
    limits: Limits,
    mode: Option<u32>,
    owner: Option<String>,
    sudo: Option<SudoUser>,
    scan: ScanSettings,
    via: Option<Wanted>,
}

/// What is to be said before the run, and what it means for the exit status.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) texts: Vec<String>,
    pub(crate) status: ExitStatus,
}

/// The flags. `--exclude` is rsync's here: hosts are left out by `-x` alone.
fn command() -> clap::Command {
    PcpArgs::command().mut_arg("exclude", |hosts| hosts.long(None))
}

/// Reads the arguments of this process. `None` where hosts are only listed, and nothing is to be copied.
pub(crate) fn parse() -> Result<(Prepared, record::Work, Option<CopySettings>), Failure> {
    let failed = |error: clap::Error| usage_failure("pcp", &error);
    let matches = command().try_get_matches().map_err(failed)?;
    let PcpArgs { fleet, copy, paths } = PcpArgs::from_arg_matches(&matches).map_err(failed)?;
    let (limits, afterwards) = (copy.limits()?, copy.afterwards());
    let mut given = copy.recipe(copying::patterns(&matches));
    let stdin = if paths.first().is_some_and(|path| path == STDIN) { StdinUse::Taken(STDIN) } else { StdinUse::Free };
    let lists_only = fleet.lists_only();
    let mut prepared = fleet.prepare("pcp", stdin)?;
    check_excluded(given.filters.iter().filter_map(Pattern::excluded), &prepared.selected.hosts)?;
    let mut recorded = record::Work { typed: typed(0, &[]), ..record::Work::default() };
    if lists_only {
        return Ok((prepared, recorded, None));
    }
    let (recipe, sources, destination) = match (&prepared.former, &paths[..]) {
        (Some(former), []) => {
            let recipe = given.completed_from(former, &prepared.selected.hosts)?;
            let (sources, destination) = (recipe.source_paths(), OsString::from(&recipe.destination));
            (recipe, sources, destination)
        }
        (_, [sources @ .., destination]) if !sources.is_empty() => {
            let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
            given.set_paths(sources, destination, &here);
            (given, sources.iter().map(PathBuf::from).collect(), destination.clone())
        }
        _ => {
            return Err(Failure::usage_text("expected what to copy, and where to on the hosts")
                .hint("pcp -g GROUP app.tar conf/ /opt/app copies app.tar and what is in conf into /opt/app"));
        }
    };
    let words = sources.iter().map(|source| source.as_os_str()).chain([destination.as_os_str()]);
    let words: Vec<Vec<u8>> = words.map(|word| sh_quote(word.as_bytes())).collect();
    recorded.text = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    recorded.again = serde_json::to_value(&recipe).unwrap_or_default();
    prepared.sudo_password = recipe.sudo_request().password();
    let form = match &sources[..] {
        [only] if only.as_os_str() == STDIN => Form::File,
        [_] if !recipe.unpack => Form::Any,
        _ => Form::Folder,
    };
    // The destination is looked at before standard input is read, which may take long.
    let target = Target::read(&destination, form)?;
    let via = via(&recipe, afterwards)?;
    let settings = CopySettings { via, limits, ..CopySettings::new(recipe, Given::read(&sources)?, target)? };
    Ok((prepared, recorded, Some(settings)))
}

fn scan_settings(recipe: &Recipe) -> Result<ScanSettings, Failure> {
    let filter = Filter::new(recipe.filters.iter().map(Pattern::rule)).map_err(|error| Failure::usage(&error))?;
    Ok(ScanSettings { links: if recipe.follow { Links::Followed } else { Links::Kept }, filter })
}

fn packing(recipe: &Recipe) -> Packing {
    if recipe.compress { Packing::Gzip } else { Packing::Plain }
}

fn via(recipe: &Recipe, afterwards: Afterwards) -> Result<Option<Wanted>, Failure> {
    let Some(place) = &recipe.via else { return Ok(None) };
    let place = place.parse().map_err(|error: PlaceError| Failure::usage(&error))?;
    // A dry run sends nothing.
    Ok((!recipe.dry_run).then(|| Wanted { place, afterwards, packing: packing(recipe) }))
}

fn archives(recipe: &Recipe) -> Archives {
    match (recipe.unpack, recipe.preserve) {
        (false, _) => Archives::AsTheyAre,
        (true, true) => Archives::Unpacked(Owners::Archived),
        (true, false) => Archives::Unpacked(Owners::Ours),
    }
}

impl CopySettings {
    /// A copy by SSH, without limits.
    ///
    /// # Errors
    /// When the recipe has what nobody can do.
    pub(crate) fn new(recipe: Recipe, given: Given, target: Target) -> Result<Self, Failure> {
        let mode = recipe.mode.as_deref().map(|text| owner::mode(text, attributes(&recipe)));
        Ok(Self {
            mode: mode.transpose().map_err(|error| Failure::usage(&error))?,
            owner: recipe.owner.as_deref().map(owner::owner).transpose().map_err(|error| Failure::usage(&error))?,
            sudo: recipe.sudo_request().user()?,
            scan: scan_settings(&recipe)?,
            via: None,
            limits: Limits::default(),
            given,
            target,
            recipe,
        })
    }

    /// The task that does the work on the chosen hosts, with what is to be said about what is copied.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<(Copy, Spoken), Failure> {
        let Self { recipe, given, target, limits, mode, owner, sudo, scan, via } = self;
        let hosts = &prepared.selected.hosts;
        let ends = match given.needs_address() || target.needs_address() {
            true => places::ends(&connector, hosts)?,
            false => Vec::new(),
        };
        let then = recipe.then.clone().map(String::into_bytes);
        let host_places = prepared.places_for(recipe.places.as_ref(), then.as_deref())?;
        let places = places::of_hosts(hosts, &ends, &host_places);
        let Sources { mut gathered, kept } = given.gather(&places, &scan, archives(&recipe))?;
        if let Some(mode) = mode {
            owner::set_mode(&mut gathered.manifest.entries, mode);
        }
        let destinations = target.fill(&places, &gathered.hosts)?;
        let spoken = Spoken::about(&gathered.manifest, &destinations.warnings);
        let selections: Vec<Selection> = gathered.hosts.into_iter().map(|host| host.selection).collect();
        let push = Push::new(PushSettings {
            manifest: Arc::new(gathered.manifest),
            hosts: &selections,
            attributes: attributes(&recipe),
            packing: packing(&recipe),
            verify: verify(&recipe),
            memory_bytes: limits.memory_bytes,
            throttle: Arc::new(Throttle::new(limits.total_rate, limits.host_rate)),
        });
        let shares: Vec<Share> =
            selections.into_iter().map(|selection| Share { selection, ..Share::default() }).collect();
        let via = via.map(|wanted| wanted.upload(&push, &shares, prepared)).transpose()?.map(Arc::new);
        let task = Copy {
            connector,
            hosts: hosts.clone(),
            push: Arc::new(push),
            _kept: kept,
            shares,
            via,
            destinations,
            receiving: Receiving::new(&recipe, owner),
            knowledge: Knowledge::wanted(&recipe),
            digests: Digests::default(),
            places: host_places,
            then,
            sudo: sudo.map(|user| prepared.sudo(user)),
            limits: prepared.command_limits(),
            remarks: prepared.remarks(),
        };
        Ok((task, spoken))
    }
}

impl Spoken {
    fn about(manifest: &Manifest, warnings: &[String]) -> Self {
        let problems = &manifest.problems;
        let texts = warnings.iter().cloned().chain(problems.iter().map(ToString::to_string)).collect();
        let is_incomplete = problems.iter().any(|problem| problem.kind.is_failure());
        Self { texts, status: if is_incomplete { ExitStatus::OurFailure } else { ExitStatus::Success } }
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
    fn patterns_keep_their_order_among_both_flags() {
        let words = ["pcp", "--include", "*/", "--exclude=*.a", "--include", "*.b", "--exclude", "*", "conf", "/opt"];
        let matches = command().try_get_matches_from(words).unwrap();
        let (exclude, include) =
            (|text: &str| Pattern::Exclude(text.into()), |text: &str| Pattern::Include(text.into()));
        assert_eq!(copying::patterns(&matches), [include("*/"), exclude("*.a"), include("*.b"), exclude("*")]);
    }

    #[test]
    fn help_is_complete() {
        insta::assert_snapshot!(command().term_width(100).render_help().to_string());
    }
}
