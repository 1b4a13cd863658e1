//! The flags that choose hosts.
//!
//! Must not contact any host.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::asking::{self, Asked};
use super::{CloudHosts, Failure, SourceArgs, StdinUse, recalling};
use fleet_core::inventory::{self, Discovered, FileSource, HostFile, Inventory, Partition, Places};
use fleet_core::select::{FormerHosts, OwnMachine, ParsedSelection, SelectError, Selected, Selection};
use fleet_core::settings::{Environment, Layer, Settings, StaticSource};
use fleet_ssh::config::SshConfig;

/// From how many hosts on it pays to free them on another thread.
const MANY_HOSTS: usize = 1000;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    #[command(flatten)]
    named: NamedArgs,

    /// Print the chosen hosts and where each comes from (with --json as objects), and stop
    #[arg(long)]
    pub(super) list: bool,

    #[command(flatten)]
    sources: SourceArgs,
}

/// The flags that name hosts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub(super) struct NamedArgs {
    /// Run on HOST: [user@]host[:port], ranges web[01-20], comma lists; repeatable
    #[arg(short = 'H', long = "host", value_name = "HOST", allow_hyphen_values = true)]
    hosts: Vec<String>,

    /// Run on the hosts of FILE (- is standard input), or with -g on its groups; repeatable
    #[arg(short = 'h', long = "hosts", value_name = "FILE")]
    host_files: Vec<PathBuf>,

    /// Run on the group NAME, or on the known hosts that match a pattern; repeatable
    #[arg(short = 'g', long = "group", value_name = "NAME", visible_alias = "host-glob")]
    groups: Vec<String>,

    /// Leave out hosts, patterns or @groups; repeatable
    #[arg(short = 'x', long, value_name = "HOSTS", allow_hyphen_values = true)]
    exclude: Vec<String>,

    /// Take only the first N hosts
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Which hosts are meant where none is named, nor a default is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// None: whoever acts on hosts has to be told of them.
    Nobody,
    /// All known ones.
    Everybody,
}

impl SelectionArgs {
    /// Whether any host was asked for.
    pub(super) fn chooses(&self) -> bool {
        self.named.names_hosts() || !self.named.exclude.is_empty() || self.sources.filters()
    }

    /// What the flags set, over `layer`.
    pub(super) fn layer(&self, layer: Layer) -> Layer {
        self.sources.layer(layer)
    }

    /// The hosts that the flags choose out of the known ones, or out of those of a former run. Without either, the
    /// default ones, which is said. With those of them that providers told of.
    pub(super) fn select(
        &self,
        program: &str,
        settings: &Settings,
        stdin: StdinUse,
        former: Option<FormerHosts>,
    ) -> Result<Chosen, Failure> {
        let (chosen, inventory) = self.named.select(program, settings, stdin, former, Unnamed::Nobody)?;
        free_aside(inventory);
        Ok(chosen)
    }
}

impl NamedArgs {
    /// The same with more values of `-H`.
    pub(super) fn with_hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Whether any host is named that others are left out of.
    fn names_hosts(&self) -> bool {
        !(self.hosts.is_empty() && self.host_files.is_empty() && self.groups.is_empty())
    }

    /// As [`SelectionArgs::select`], with all that is known.
    pub(super) fn select(
        &self,
        program: &str,
        settings: &Settings,
        stdin: StdinUse,
        former: Option<FormerHosts>,
        unnamed: Unnamed,
    ) -> Result<(Chosen, Inventory), Failure> {
        let names_none = !self.names_hosts() && former.is_none();
        let by_filter = names_none && !settings.asking.filters.is_empty();
        let names_none = names_none && !by_filter;
        let default = settings.default.value.as_ref().filter(|_| names_none);
        if let Some(expression) = default {
            let place = settings.default.origin.place();
            let _ = writeln!(io::stderr(), "{program}: no hosts named: taking default = {expression:?} ({place})");
        }
        let groups = match default {
            Some(expression) => vec![expression.clone()],
            None if names_none && unnamed == Unnamed::Everybody => vec!["@*".to_owned()],
            None => self.groups.clone(),
        };
        let files = self.read_files(stdin)?;
        let selection = Selection {
            hosts: self.hosts.clone(),
            files: files.clone(),
            groups,
            exclude: self.exclude.clone(),
            limit: self.limit,
            filters: settings.asking.filters.clone(),
            filtered: if by_filter { asking::filtering(settings)? } else { Vec::new() },
            own_machine: if settings.include_self.value { OwnMachine::Included } else { OwnMachine::LeftOut },
            former: former.clone(),
        };
        let selection = selection.parse()?;
        let mut inventory = inventory(program, settings, files)?;
        inventory.remarks().iter().for_each(|remark| tracing::info!("{remark}"));
        let chosen = choose(program, settings, &selection, former.as_ref(), &mut inventory)?;
        Ok((chosen, inventory))
    }

    /// The host files that are named.
    pub(super) fn read_files(&self, stdin: StdinUse) -> Result<Vec<HostFile>, Failure> {
        self.host_files.iter().map(|path| read_host_file(path, stdin)).collect()
    }
}

/// To free what is known of thousands of hosts takes as long as to choose among them: nobody is to wait for it.
pub(super) fn free_aside(inventory: Inventory) {
    if inventory.hosts().len() > MANY_HOSTS {
        std::thread::spawn(move || drop(inventory));
    }
}

/// The chosen hosts, and what was read to choose them.
pub(super) struct Chosen {
    pub(super) selected: Selected,
    pub(super) cloud_hosts: CloudHosts,
    pub(super) ssh_config: Option<SshConfig>,
    /// The last partition.
    pub(super) partition: Option<Arc<Partition>>,
}

fn choose(
    program: &str,
    settings: &Settings,
    selection: &ParsedSelection,
    former: Option<&FormerHosts>,
    inventory: &mut Inventory,
) -> Result<Chosen, Failure> {
    let recalled = former.map(|former| recalling::recall(program, settings, former, inventory)).transpose()?;
    let Asked { told, ssh_config } = asking::ask(program, settings, &selection.wanted(inventory), inventory)?;
    if let Some(former) = former {
        recalling::reach(program, settings, former, inventory);
    }
    inventory.apply_user_rules(settings.user_rules.iter().map(|rule| &rule.value));
    let selected =
        selection.select(inventory).map_err(|error| better(error, program, settings, selection, inventory))?;
    let told = recalled.into_iter().flatten().chain(told).collect();
    let partition = inventory.partition().cloned();
    Ok(Chosen { cloud_hosts: CloudHosts::new(told, &selected.hosts, settings), selected, ssh_config, partition })
}

/// The error in the words of somebody who knows all hosts of all providers.
fn better(
    error: SelectError,
    program: &str,
    settings: &Settings,
    selection: &ParsedSelection,
    inventory: &mut Inventory,
) -> SelectError {
    if error.is_unanswered() && !selection.wanted(inventory).is_empty() {
        asking::look_around(program, settings, inventory);
    }
    let better = selection.select(inventory).err().filter(SelectError::is_unanswered).unwrap_or(error);
    if better.is_unknown_group() {
        // What was left out may be what is missing.
        say(program, inventory.remarks());
    }
    better
}

/// What files tell: the host files that were typed, or those of the settings, and those of other tools. Says which hosts of
/// host files are left out.
pub(super) fn inventory(program: &str, settings: &Settings, typed: Vec<HostFile>) -> Result<Inventory, Failure> {
    let mut files = typed;
    if files.is_empty() && settings.sources.value.contains(&StaticSource::Hosts) {
        for path in &settings.hosts.value {
            files.push(inventory::file::read(path)?);
        }
    }
    say(program, files.iter().flat_map(|file| &file.remarks));
    let found = discover(settings)?;
    let mut inventory = Inventory::merge(&files, &found.sources, &settings.groups)?;
    if let Some(partition) = last_partition()? {
        inventory.add_partition(partition)?;
    }
    Ok(inventory.with_remarks(found.remarks).with_group_tags(settings.group_tags.value.clone()))
}

/// What `fleet partition` made last; `None` when nothing is kept.
fn last_partition() -> Result<Option<Partition>, Failure> {
    let environment: Environment = std::env::vars_os().collect();
    let path = environment.roles_file();
    let read = path.map_or(Ok(None), |path| Partition::read(&path));
    read.map_err(|error| Failure::usage(&error).hint("fleet partition --clear removes the file"))
}

/// The groups in files of other tools.
fn discover(settings: &Settings) -> Result<Discovered, Failure> {
    let kind = |source: &StaticSource| match source {
        StaticSource::Hosts => None,
        StaticSource::ClusterShell => Some(FileSource::ClusterShell),
        StaticSource::Genders => Some(FileSource::Genders),
    };
    let wanted: Vec<FileSource> = settings.sources.value.iter().filter_map(kind).collect();
    let found = inventory::discover(&wanted, &Places::of(|name| std::env::var_os(name)));
    found.map_err(|error| Failure::from(error).hint("FLEET_SOURCES=hosts leaves the groups of other tools unread"))
}

fn say<'a>(program: &str, remarks: impl IntoIterator<Item = &'a String>) {
    for remark in remarks {
        let _ = writeln!(io::stderr(), "{program}: {remark}");
    }
}

fn read_host_file(path: &Path, stdin: StdinUse) -> Result<HostFile, Failure> {
    if path.as_os_str() != "-" {
        return Ok(inventory::file::read(path)?);
    }
    if let StdinUse::Taken(flag) = stdin {
        return Err(Failure::usage_text(format!("-h - and {flag} both want standard input"))
            .hint("write the host list to a file"));
    }
    let mut bytes = Vec::new();
    if io::stdin().is_terminal() {
        tracing::warn!("reading the host list from the terminal: end it with Ctrl-D");
    }
    io::stdin().read_to_end(&mut bytes).map_err(|error| Failure::usage(&error))?;
    Ok(inventory::file::parse(&bytes, Path::new("standard input"))?)
}
