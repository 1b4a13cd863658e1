//! The workload of trees and large files of which the hosts have an older form, or nothing.
//!
//! Must not know how servers are started or resources are counted.

mod states;
mod tools;

use std::path::Path;
use std::process::Command;

use crate::bench::{conditions_of, find_strace, print};
use crate::cli::{KeyExchange, RunArgs};
use crate::error::BenchError;
use crate::session_home;
use crate::site::{Site, SiteFiles};
use crate::sync::states::{Change, States};
use crate::sync::tools::{InstalledSyncTool, SyncJob, SyncTool};
use crate::tools::Programs;
use crate::transfer::{Runs, Transfer, all_at_once};
use crate::transfer_table::{Amount, Unit};
use crate::workload::HostKind;
use crate::world::World;

/// Runs all of them and prints a table for each.
pub(crate) async fn run(args: &RunArgs, programs: &Programs) -> Result<(), BenchError> {
    let most = args.sync_hosts.iter().copied().max().unwrap_or(1);
    let strace = find_strace(args)?;
    let changes = Change::all(args.sync_files, args.sync_mib);
    let mut world = World::new()?;
    session_home::check_room(world.folder(), Change::room_bytes(&changes, usize::from(most)))?;
    let more = session_home::configuration(world.folder(), &args.cipher)?;
    world.start_real(most, &more).await?;
    let site = world.site(HostKind::Real).expect("they have just been started");
    let tools: Vec<InstalledSyncTool> =
        SyncTool::ALL.iter().filter_map(|tool| InstalledSyncTool::find(*tool, programs)).collect();
    let conditions = conditions(&tools, programs, args);
    print(&format!("\n{conditions}"))?;
    for change in changes {
        let states = States::make(change, world.folder(), site)?;
        for hosts in args.sync_hosts.iter().map(|hosts| usize::from(*hosts)) {
            let files = site.write(world.folder(), hosts, KeyExchange::Curve25519)?;
            let transfer = &Syncs { site, states: &states, folder: world.folder(), hosts, files };
            let runs = Runs { transfer, world: &world, args, strace: strace.as_deref() };
            runs.run(&tools.iter().collect::<Vec<_>>(), &conditions).await?;
        }
        states.remove()?;
    }
    Ok(())
}

/// What a reader must know to judge the figures.
fn conditions(tools: &[InstalledSyncTool], programs: &Programs, args: &RunArgs) -> String {
    let versions: Vec<String> = tools.iter().filter_map(InstalledSyncTool::version).collect();
    let is_missing = |tool: &SyncTool| !tools.iter().any(|found| found.tool == *tool);
    let missing: Vec<&str> = SyncTool::ALL.into_iter().filter(is_missing).map(SyncTool::name).collect();
    conditions_of(&versions, &missing, &programs.psh)
        + &format!(
            "- cipher: {}; sources and hosts on one disk\n\
             - read: from disk as `read_bytes`, in all as `rchar` of `/proc/PID/io`, of the client and all its processes\n",
            args.cipher,
        )
}

/// One workload: the same state to be reached by every tool.
struct Syncs<'a> {
    site: &'a Site,
    states: &'a States,
    folder: &'a Path,
    hosts: usize,
    files: SiteFiles,
}

impl Transfer for Syncs<'_> {
    type Tool = InstalledSyncTool;

    fn name(&self) -> String {
        format!("sync-{}-{}", self.states.change().name(), self.hosts)
    }

    fn title(&self) -> String {
        format!("{}, {}", self.states.change().title(), all_at_once(self.hosts))
    }

    fn tool_name(&self, tool: &InstalledSyncTool) -> &'static str {
        tool.tool.name()
    }

    fn ours(&self) -> &'static str {
        SyncTool::Prsync.name()
    }

    fn command(&self, tool: &InstalledSyncTool) -> Command {
        tool.command(&SyncJob {
            site: self.site,
            files: &self.files,
            source: self.states.source(),
            destination: self.states.change().name(),
            compression: self.states.change().compression(),
            folder: self.folder,
        })
    }

    fn amount(&self) -> Amount {
        let change = self.states.change();
        Amount { files: change.files(), bytes: change.bytes(), hosts: self.hosts, unit: Unit::Host }
    }

    fn source(&self) -> Option<&Path> {
        Some(self.states.source())
    }

    fn prepare(&self) -> Result<(), BenchError> {
        self.states.forget()
    }

    fn count_right(&self) -> usize {
        self.states.count_right(self.hosts)
    }

    fn clear(&self) -> Result<(), BenchError> {
        self.states.restore(self.hosts)
    }
}
