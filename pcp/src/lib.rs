//! `pcp`: copies files and folders to many hosts at once over SSH, whole or not at all.

mod cli;
mod destination;
mod fetch;
mod look;
mod owner;
mod places;
mod receiving;
mod recipe;
mod sftp;
mod sources;
mod tally;
mod task;
mod unpack;
mod via;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use fleet_core::outcome::ExitStatus;
use fleet_core::record::{Places, Work};
use fleet_ssh::Connector;
use fleet_tool::cli::{Failure, Prepared};
use fleet_tool::run::{list, run};

pub use crate::cli::PlacingArgs;
use crate::cli::{CopySettings, Spoken};
use crate::destination::{Form, Target};
use crate::recipe::Recipe;
use crate::sources::Given;
pub use crate::sources::Made;
use crate::task::Copy;

const PROGRAM: &str = "pcp";

/// Runs the tool with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let status = match try_main() {
        Ok(status) => status,
        Err(failure) => {
            failure.print(PROGRAM, io::stderr());
            failure.status()
        }
    };
    ExitCode::from(status.code())
}

fn try_main() -> Result<ExitStatus, Failure> {
    let (prepared, work, settings) = cli::parse()?;
    let Some(settings) = settings else { return list(&prepared) };
    copy(prepared, work, |connector, prepared| settings.into_task(connector, prepared))
}

/// How a file that is made for each host gets there.
#[derive(Debug)]
pub struct Put<'a> {
    /// The flags.
    pub placing: &'a PlacingArgs,
    /// Where to, as `pcp` takes it.
    pub destination: &'a OsStr,
    /// The places of the hosts, where these are those of a former run.
    pub places: Option<Places>,
}

/// Puts a file on each host, as `pcp` would a single source. It is made by `make`, before any host is contacted.
///
/// # Errors
/// Whatever keeps the run from starting, that of `make` included.
pub fn put(
    mut prepared: Prepared,
    work: Work,
    put: Put<'_>,
    make: impl FnOnce(&Connector, &Prepared) -> Result<Made, Failure>,
) -> Result<ExitStatus, Failure> {
    let recipe = Recipe { places: put.places, ..put.placing.recipe() };
    prepared.sudo_password = recipe.sudo_request().password();
    let target = Target::read(put.destination, Form::Any)?;
    copy(prepared, work, |connector, prepared| {
        let given = Given::Made(make(&connector, prepared)?);
        CopySettings::new(recipe, given, target)?.into_task(connector, prepared)
    })
}

fn copy(
    prepared: Prepared,
    work: Work,
    make_task: impl FnOnce(Arc<Connector>, &Prepared) -> Result<(Copy, Spoken), Failure>,
) -> Result<ExitStatus, Failure> {
    let (program, verbosity) = (prepared.program, prepared.verbosity);
    let (mut incomplete, mut push, mut via) = (ExitStatus::Success, None, None);
    let status = run(prepared, work, |connector, prepared| {
        let (task, spoken) = make_task(connector, prepared)?;
        spoken.texts.iter().for_each(|text| say(program, text));
        (incomplete, push, via) = (spoken.status, Some(Arc::clone(&task.push)), task.via.clone());
        Ok(task)
    });
    // However the run has ended.
    let removed = via.map_or(ExitStatus::Success, |via| via.end());
    let status = status?.worse(removed);
    if let Some(push) = push.filter(|_| verbosity > 0) {
        say(program, &tally::read(&push.counters()));
    }
    Ok(status.worse(incomplete))
}

/// Our own words before the run starts; afterwards the renderer has the terminal.
fn say(program: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{program}: {}", fleet_core::render::sanitized_line(text));
}
