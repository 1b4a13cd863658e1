//! The flags of `prsync` and what they resolve to.
//!
//! Must not contact any host.

mod destination;
mod flags;
mod local;
mod naming;
mod passed;
mod receiver;
mod releasing;
mod rules;
mod syncing;
mod unsupported;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};
use fleet_core::outcome::ExitStatus;
use fleet_core::record::{self, Places};
use fleet_core::render::{GroupOrder, GroupSettings, Ignored, Layout, Majority, Others};
use fleet_ssh::Connector;
use fleet_ssh::remote::{SudoUser, sh_quote};
use fleet_tool::cli::{EXIT_CODES_HELP, Failure, FleetArgs, Prepared, StdinUse, SudoPassword, typed, usage_failure};
use fleet_tool::places::HostPlaces;
use fleet_transfer::destination::PathTemplate;
use fleet_transfer::sync::{Sync, SyncPlan, Tar};

use self::flags::Flag;
use self::local::LocalSettings;
use self::passed::Read;
use self::syncing::SyncArgs;
use crate::engine::Engine;
use crate::on_host::Access;
use crate::question::Question;
use crate::recipe::Recipe;
use crate::release;
use crate::safety::{self, Deleting};
use crate::switch::{Beginning, Switch};
use crate::task::{Bring, Purpose};

/// Bring trees of files to the same state on many hosts at once, as one rsync sender for all of them
///
/// The hosts' own rsync receives. All of -a is the default. SOURCE goes to the hosts with its name, and with a slash behind
/// it only what is in it. Letters are rsync's, but for those that choose hosts: -H, -h, -g and -x.
#[derive(Parser, Debug)]
#[command(
    name = "prsync",
    version,
    disable_help_flag = true,
    after_help = EXIT_CODES_HELP,
    override_usage = "prsync [SELECTION] [OPTIONS] SOURCE... DEST"
)]
struct PrsyncArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    sync: SyncArgs,

    /// Files and folders here, then where they go on the hosts; in DEST stand {host}, {group}, {role}, {index}, {count},
    /// {addr}, {user} and {port} for what they are of each host
    #[arg(value_name = "SOURCE... DEST", action = ArgAction::Append)]
    paths: Vec<OsString>,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct Settings {
    args: SyncArgs,
    plan: SyncPlan,
    destination: PathTemplate,
    sudo: Option<SudoUser>,
    /// Those of the run that this one goes on with.
    places: Option<Places>,
}

/// What this process is asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The hosts, no more.
    List,
    /// To bring something.
    Sync(Box<Settings>),
    /// To have the rsync of this machine bring something.
    Rsync(Box<LocalSettings>),
    /// To take the release before into use: `--rollback`.
    Rollback(Rollback),
}

/// `--rollback` apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct Rollback {
    destination: PathTemplate,
    sudo: Option<SudoUser>,
    then: Option<Vec<u8>>,
}

/// What is to be said before the run, and what it means for the exit status.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) texts: Vec<String>,
    pub(crate) status: ExitStatus,
}

/// The flags. Letters are rsync's, but for those of the selection; `--exclude` and `--filter` are about files.
fn command() -> clap::Command {
    let shared = [
        "user",
        "ssh_config",
        "options",
        "askpass",
        "parallel",
        "timeout",
        "inline",
        "print",
        "outdir",
        "errdir",
        "extra_arg",
    ];
    let command = PrsyncArgs::command().mut_arg("exclude", |hosts| hosts.long(None));
    let command = command.mut_arg("filter", |hosts| hosts.long("host-filter")).args_override_self(true);
    shared.into_iter().fold(command, |command, name| command.mut_arg(name, |arg| arg.short(None)))
}

/// Reads the words of a command line, the name of the program first.
pub(crate) fn parse(words: Vec<OsString>) -> Result<(Prepared, record::Work, Asked), Failure> {
    let failed = |error: clap::Error| usage_failure("prsync", &error);
    let Read { matches, unknown } = passed::read(&command(), words)?;
    hosts_are_no_paths(&matches)?;
    let given = PrsyncArgs::from_arg_matches(&matches).map_err(failed)?;
    let lists_only = given.fleet.lists_only();
    let mut prepared = given.fleet.prepare("prsync", StdinUse::Free)?;
    let mut recorded = record::Work { typed: typed(0, &[]), ..record::Work::default() };
    if lists_only {
        return Ok((prepared, recorded, Asked::List));
    }
    let wanted = Wanted::of(&prepared, Read { matches, unknown }, given.sync, given.paths)?;
    let words: Vec<Vec<u8>> = wanted.paths.iter().map(|word| sh_quote(word.as_bytes())).collect();
    recorded.text = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    prepared.sudo_password = if wanted.args.ask_sudo { SudoPassword::Ask } else { SudoPassword::None };
    if wanted.args.releases.rollback {
        return Ok((prepared, recorded, Asked::Rollback(rollback(&wanted)?)));
    }
    recorded.again = serde_json::to_value(&wanted.recipe).unwrap_or_default();
    if wanted.args.itemize_changes && matches!(prepared.render.layout, Layout::Lines(_)) {
        prepared.render.layout = Layout::Groups(GroupSettings {
            order: GroupOrder::default(),
            ignored: Ignored::default(),
            majority: Majority::default(),
            others: Others::default(),
        });
    }
    if wanted.args.engine == Engine::Rsync {
        local::bound(&mut prepared);
        return Ok((prepared, recorded, Asked::Rsync(Box::new(wanted.local_settings()?))));
    }
    Ok((prepared, recorded, Asked::Sync(Box::new(wanted.settings()?))))
}

/// `-H` of somebody who means rsync's: `-aH dist/ /opt`, `-aHAX`.
fn hosts_are_no_paths(matches: &ArgMatches) -> Result<(), Failure> {
    let is_none = |word: &&OsStr| {
        let bytes = word.as_bytes();
        let is_path = bytes.starts_with(b"/") || bytes.starts_with(b".") || bytes.ends_with(b"/");
        is_path || bytes.iter().all(|letter| b"AXS".contains(letter))
    };
    let Some(word) = matches.get_raw("hosts").into_iter().flatten().find(is_none) else { return Ok(()) };
    let text = format!("-H chooses hosts here: expected [user@]host[:port] behind it, got {}", word.display());
    Err(Failure::usage_text(text).hint("--hard-links is what -H is to rsync"))
}

/// The words of a run: those of the command line, or with `--failed` and its like those of the former run.
struct Wanted {
    matches: ArgMatches,
    /// Flags of the local rsync that are not known here.
    unknown: Vec<OsString>,
    args: SyncArgs,
    paths: Vec<OsString>,
    /// `None` where they cannot be written down.
    recipe: Option<Recipe>,
}

impl Wanted {
    fn of(prepared: &Prepared, read: Read, args: SyncArgs, paths: Vec<OsString>) -> Result<Self, Failure> {
        let Read { matches, unknown } = read;
        let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
        let given = flags::given(&matches);
        let flags: Vec<OsString> = given.iter().map(Flag::word).chain(unknown.iter().cloned()).collect();
        match &prepared.former {
            Some(former) if paths.is_empty() => {
                Self::again(Recipe::again(former, &prepared.selected.hosts, &flags, &here)?)
            }
            _ => {
                let recipe = Recipe::of(&here, &flags, &paths);
                Ok(Self { matches, unknown, args, paths, recipe })
            }
        }
    }

    fn again(recipe: Recipe) -> Result<Self, Failure> {
        let failed = |error: clap::Error| usage_failure("prsync", &error);
        let flags = recipe.flags.iter().map(String::as_str);
        let paths = recipe.paths.iter().map(String::as_str);
        let words = ["prsync"].into_iter().chain(flags).chain(["--"]).chain(paths);
        let words = words.map(OsString::from).collect();
        let Read { matches, unknown } = passed::read(&command(), words)?;
        let PrsyncArgs { sync: args, paths, .. } = PrsyncArgs::from_arg_matches(&matches).map_err(failed)?;
        Ok(Self { matches, unknown, args, paths, recipe: Some(recipe) })
    }

    /// The sources, the destination, and it as it is typed.
    fn read_paths(&self) -> Result<(Vec<OsString>, PathTemplate, PathBuf), Failure> {
        let [sources @ .., destination] = &self.paths[..] else { return Err(no_paths()) };
        if sources.is_empty() {
            return Err(no_paths());
        }
        let (destination, path) = destination::read(destination)?;
        Ok((sources.to_vec(), destination, path))
    }

    fn settings(self) -> Result<Settings, Failure> {
        let (sources, destination, path) = self.read_paths()?;
        let Self { matches, args, recipe, .. } = self;
        let sources = args.naming.sources(&sources)?;
        let from: Vec<PathBuf> = sources.iter().map(naming::path).collect();
        safety::check_paths(&from, &path, args.deleting(), args.force())?;
        let rules = rules::rules(&matches, &args)?;
        let (plan, sudo) = (args.plan(sources, rules)?, args.sudo_user()?);
        Ok(Settings { args, plan, destination, sudo, places: recipe.and_then(|recipe| recipe.places) })
    }
}

fn rollback(wanted: &Wanted) -> Result<Rollback, Failure> {
    let [destination] = &wanted.paths[..] else {
        return Err(Failure::usage_text("expected the destination alone").hint("prsync -g GROUP --rollback /srv/app"));
    };
    let (sudo, then) = (wanted.args.sudo_user()?, wanted.args.then.clone().map(String::into_bytes));
    Ok(Rollback { destination: destination::read(destination)?.0, sudo, then })
}

fn no_paths() -> Failure {
    Failure::usage_text("expected what to bring, and where to on the hosts")
        .hint("prsync -g GROUP dist/ /opt/app brings what is in dist into /opt/app")
}

impl Settings {
    /// `--stats`
    pub(crate) fn wants_stats(&self) -> bool {
        self.args.stats
    }

    /// The task that does the work on the chosen hosts, with what is to be said about the sources.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<(Bring, Spoken), Failure> {
        let Self { args, plan, destination, sudo, places } = self;
        let told = prepared.places_for(places.as_ref(), args.then.as_deref().map(str::as_bytes))?;
        let roots = destination::fill(&destination, &connector, &prepared.selected.hosts, &told)?;
        let (most_deleted, mut then) = (args.most_deleted()?, args.then.clone().map(String::into_bytes));
        let purpose = if plan.dry_run { Purpose::DryRun } else { Purpose::Change };
        let (destinations, beginning) = match args.releases.release() {
            None => (roots, None),
            Some(new) => {
                let mut beginning = Beginning::new(new, roots);
                (beginning.sudo, beginning.then, beginning.places) = (sudo.clone(), then.take(), places);
                (Vec::new(), Some(Arc::new(beginning)))
            }
        };
        let sync = Sync::prepare(plan).map_err(|error| Failure::usage(&error))?;
        safety::check_sources(&sync.summary(), args.deleting(), args.force())?;
        let spoken = Spoken::about(&sync, args.deleting());
        // A new release has nothing to be deleted.
        let most_deleted = most_deleted.filter(|_| beginning.is_none());
        let asked = most_deleted.filter(|_| io::stdin().is_terminal());
        let task = Bring {
            access: access(connector, prepared, told, sudo, then),
            tar: Arc::new(Tar::new(&sync)),
            sync,
            engine: args.engine.with_program(&args.rsync_path),
            destinations,
            program: args.rsync_path.into_bytes(),
            purpose,
            most_deleted,
            question: asked.map(|most| {
                let prompt = Arc::clone(&prepared.prompt);
                Question::new(Arc::new(move |text| prompt.line(text)), most)
            }),
            beginning,
        };
        Ok((task, spoken))
    }
}

impl Rollback {
    /// The task that does it.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<Switch, Failure> {
        let places = prepared.places_for(None, self.then.as_deref())?;
        let roots = destination::fill(&self.destination, &connector, &prepared.selected.hosts, &places)?;
        let scripts = roots.iter().map(|root| release::rollback(root)).collect();
        Ok(Switch { access: access(connector, prepared, places, self.sudo, self.then), scripts })
    }
}

/// The task that takes a release into use, on the hosts of `prepared` that have it.
pub(crate) fn switch(
    beginning: &Beginning,
    whole: &[usize],
    connector: Arc<Connector>,
    prepared: &Prepared,
) -> Result<Switch, Failure> {
    let Beginning { release, roots, sudo, then, .. } = beginning;
    let scripts = whole.iter().map(|host| release.switch(&roots[*host])).collect();
    let places = prepared.places_for(Some(&beginning.places_of(whole)), then.as_deref())?;
    Ok(Switch { access: access(connector, prepared, places, sudo.clone(), then.clone()), scripts })
}

fn access(
    connector: Arc<Connector>,
    prepared: &Prepared,
    places: HostPlaces,
    sudo: Option<SudoUser>,
    then: Option<Vec<u8>>,
) -> Access {
    Access {
        connector,
        hosts: prepared.selected.hosts.clone(),
        places,
        then,
        sudo: sudo.map(|user| prepared.sudo(user)),
        limits: prepared.command_limits(),
        remarks: prepared.remarks(),
    }
}

impl Spoken {
    fn about(sync: &Sync, deleting: Deleting) -> Self {
        let (problems, count) = (sync.problems(), sync.summary().problems);
        let mut texts: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.path.display(), problem.reason)).collect();
        if count > problems.len() as u64 {
            texts.push(format!("and {} more that cannot be read", count - problems.len() as u64));
        }
        if count > 0 && deleting == Deleting::Yes {
            texts.push("not all of the source was read: nothing is deleted".to_owned());
        }
        Self { texts, status: if count > 0 { ExitStatus::OurFailure } else { ExitStatus::Success } }
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
