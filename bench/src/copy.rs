//! The workload of copies: a large file, and many small ones, to some hosts and back from them.
//!
//! Must not know how servers are started or resources are counted.

mod homes;
mod payload;
mod tools;

use std::io;
use std::path::Path;
use std::process::Command;

use crate::bench::{conditions_of, find_strace, print};
use crate::cli::{KeyExchange, RunArgs};
use crate::copy::homes::{Homes, room_bytes};
use crate::copy::payload::{Kind, Payload};
use crate::copy::tools::{CopyJob, CopyTool, Direction, InstalledCopyTool};
use crate::error::BenchError;
use crate::session_home;
use crate::site::{Site, SiteFiles};
use crate::tools::Programs;
use crate::transfer::{Runs, Transfer, all_at_once};
use crate::transfer_table::{Amount, Unit};
use crate::workload::HostKind;
use crate::world::World;

/// Runs the copies and prints a table for each.
pub(crate) async fn run(args: &RunArgs, programs: &Programs) -> Result<(), BenchError> {
    let most = args.copy_hosts.iter().copied().max().unwrap_or(1);
    let kinds = [Kind::File { mib: args.copy_mib }, Kind::Tree { files: args.copy_files }];
    let strace = find_strace(args)?;
    let mut world = World::new()?;
    session_home::check_room(world.folder(), room_bytes(&kinds, usize::from(most)))?;
    let source = world.folder().join("source");
    let payloads: Result<Vec<Payload>, io::Error> = kinds.iter().map(|kind| Payload::write(*kind, &source)).collect();
    let payloads = payloads.map_err(BenchError::file(&source))?;
    let more = session_home::configuration(world.folder(), &args.cipher)?;
    world.start_real(most, &more).await?;
    let site = world.site(HostKind::Real).expect("they have just been started");
    let homes = Homes::make(world.folder(), &site.addresses, &payloads)?;
    for direction in [Direction::To, Direction::Back] {
        let found = |tool: &CopyTool| InstalledCopyTool::find(*tool, direction, programs);
        let tools: Vec<InstalledCopyTool> = CopyTool::ALL.iter().filter_map(found).collect();
        let conditions = conditions(&tools, direction, programs, args);
        print(&format!("\n{conditions}"))?;
        for payload in &payloads {
            let tools: Vec<&InstalledCopyTool> = tools.iter().filter(|found| found.tool.copies(payload.kind)).collect();
            for hosts in args.copy_hosts.iter().map(|hosts| usize::from(*hosts)) {
                let files = site.write(world.folder(), hosts, KeyExchange::Curve25519)?;
                let folder = world.folder();
                let transfer = &Copies { site, homes: &homes, folder, payload, direction, hosts, files };
                let strace = strace.as_deref();
                Runs { transfer, world: &world, args, strace }.run(&tools, &conditions).await?;
            }
        }
    }
    Ok(())
}

/// What a reader must know to judge the figures.
fn conditions(tools: &[InstalledCopyTool], direction: Direction, programs: &Programs, args: &RunArgs) -> String {
    let versions: Vec<String> = tools.iter().filter_map(|tool| tool.version(direction)).collect();
    let is_missing = |tool: &CopyTool| !tools.iter().any(|found| found.tool == *tool);
    let missing: Vec<&str> = CopyTool::ALL.into_iter().filter(is_missing).map(|tool| tool.name(direction)).collect();
    conditions_of(&versions, &missing, &programs.psh)
        + &format!(
            "- cipher: {}; sources and copies on one disk; the source is in no cache when a run to the hosts begins\n\
             - read: from disk as `read_bytes`, in all as `rchar` of `/proc/PID/io`, of the client and all its processes\n",
            args.cipher,
        )
}

/// One workload: the same copy by every tool.
struct Copies<'a> {
    site: &'a Site,
    homes: &'a Homes,
    folder: &'a Path,
    payload: &'a Payload,
    direction: Direction,
    hosts: usize,
    files: SiteFiles,
}

impl Transfer for Copies<'_> {
    type Tool = InstalledCopyTool;

    fn name(&self) -> String {
        let direction = if self.direction == Direction::To { "to" } else { "back" };
        format!("copy-{}-{direction}-{}", self.payload.kind.name(), self.hosts)
    }

    fn title(&self) -> String {
        let direction = if self.direction == Direction::To { "to" } else { "back from" };
        format!("{} {direction} {}", self.payload.kind.title(), all_at_once(self.hosts))
    }

    fn tool_name(&self, tool: &InstalledCopyTool) -> &'static str {
        tool.tool.name(self.direction)
    }

    fn ours(&self) -> &'static str {
        CopyTool::Ours.name(self.direction)
    }

    fn command(&self, tool: &InstalledCopyTool) -> Command {
        tool.command(&CopyJob {
            site: self.site,
            files: &self.files,
            direction: self.direction,
            source: &self.payload.path,
            back: self.homes.back(),
            folder: self.folder,
        })
    }

    fn amount(&self) -> Amount {
        let kind = self.payload.kind;
        Amount { files: kind.files(), bytes: kind.bytes(), hosts: self.hosts, unit: Unit::HostAndGibibyte }
    }

    fn source(&self) -> Option<&Path> {
        (self.direction == Direction::To).then_some(self.payload.path.as_path())
    }

    fn prepare(&self) -> Result<(), BenchError> {
        if self.direction == Direction::Back {
            return Ok(());
        }
        self.payload.forget().map_err(BenchError::file(&self.payload.path))
    }

    fn count_right(&self) -> usize {
        self.homes.count_right(self.payload, self.direction, self.hosts)
    }

    fn clear(&self) -> Result<(), BenchError> {
        self.homes.clear()
    }
}
