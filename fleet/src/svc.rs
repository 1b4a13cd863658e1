//! `fleet svc`: commands with a name that go on without us on the chosen hosts, and are looked after from here.
//!
//! | module | what it is |
//! | --- | --- |
//! | `task` | the work on all hosts: connects to each |
//! | `on_host` | the work on one host |
//! | `words` | what a host tells of a service, for people |
//!
//! What runs on a host, and how it is found again there, is in `fleet_ssh::remote`. Must not know that.

mod on_host;
mod task;
mod words;

use std::io::Write;
use std::process::ExitCode;

use fleet_core::outcome::ExitStatus;
use fleet_core::record;
use fleet_tool::cli::{Failure, StdinUse, typed};

pub(crate) use self::on_host::{Replace, Start, Work};
use self::task::LookAfter;
use crate::cli::{SvcCommand, SvcSettings};

const PROGRAM: &str = "fleet";
/// The flags whose values `NAME=VALUE` are not written down.
const SECRET_FLAGS: [&str; 1] = ["--env"];

/// Does what is asked on the hosts, and tells of it.
pub(crate) fn run(command: SvcCommand, stderr: &mut dyn Write) -> ExitCode {
    let status = try_run(command).unwrap_or_else(|failure| {
        failure.print(PROGRAM, stderr);
        failure.status()
    });
    ExitCode::from(status.code())
}

fn try_run(command: SvcCommand) -> Result<ExitStatus, Failure> {
    let SvcSettings { fleet, sudo, sudo_password, work, text, command_words } = command.resolve()?;
    let mut prepared = fleet.prepare_after_any_tool(PROGRAM, StdinUse::Free)?;
    prepared.sudo_password = sudo_password;
    let recorded = record::Work { typed: typed(command_words, &SECRET_FLAGS), text, ..record::Work::default() };
    fleet_tool::run::run(prepared, recorded, |connector, prepared| {
        let task = LookAfter {
            connector,
            hosts: prepared.selected.hosts.clone(),
            places: prepared.places_for(None, work.texts())?,
            work,
            sudo: sudo.map(|user| prepared.sudo(user)),
            limits: prepared.command_limits(),
            remarks: prepared.remarks(),
        };
        task.check()?;
        Ok(task)
    })
}
