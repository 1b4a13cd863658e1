//! The flags that choose hosts.
//!
//! Must not contact any host.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, StdinUse};
use crate::inventory::{self, HostFile, Inventory};
use crate::select::{FormerHosts, OwnMachine, Selected, Selection};
use crate::settings::Settings;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
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

    /// Print the chosen hosts and where each comes from (with --json as objects), and stop
    #[arg(long)]
    pub(super) list: bool,
}

impl SelectionArgs {
    /// Whether any host was asked for.
    pub(super) fn chooses(&self) -> bool {
        !(self.hosts.is_empty() && self.host_files.is_empty() && self.groups.is_empty() && self.exclude.is_empty())
    }

    /// The hosts that the flags choose out of the known ones, or out of those of a former run.
    pub(super) fn select(
        &self,
        settings: &Settings,
        stdin: StdinUse,
        former: Option<FormerHosts>,
    ) -> Result<Selected, Failure> {
        let mut typed = Vec::new();
        for path in &self.host_files {
            typed.push(read_host_file(path, stdin)?);
        }
        let selection = Selection {
            hosts: self.hosts.clone(),
            files: typed.clone(),
            groups: self.groups.clone(),
            exclude: self.exclude.clone(),
            limit: self.limit,
            own_machine: OwnMachine::LeftOut,
            former,
        };
        let selection = selection.parse()?;
        let mut sources = typed;
        if self.host_files.is_empty() {
            for path in &settings.hosts.value {
                sources.push(inventory::file::read(path)?);
            }
        }
        let inventory = Inventory::merge(&sources, &[], &settings.groups)?;
        Ok(selection.select(&inventory)?)
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
