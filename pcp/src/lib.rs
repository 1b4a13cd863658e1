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

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use fleet_core::outcome::ExitStatus;
use fleet_tool::cli::Failure;
use fleet_tool::run::{list, run};

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
    let verbosity = prepared.verbosity;
    let (mut incomplete, mut push, mut via) = (ExitStatus::Success, None, None);
    let status = run(prepared, work, |connector, prepared| {
        let (task, spoken) = settings.into_task(connector, prepared)?;
        spoken.texts.iter().for_each(|text| say(text));
        (incomplete, push, via) = (spoken.status, Some(Arc::clone(&task.push)), task.via.clone());
        Ok(task)
    });
    // However the run has ended.
    let removed = via.map_or(ExitStatus::Success, |via| via.end());
    let status = status?.worse(removed);
    if let Some(push) = push.filter(|_| verbosity > 0) {
        say(&tally::read(&push.counters()));
    }
    Ok(status.worse(incomplete))
}

/// Our own words before the run starts; afterwards the renderer has the terminal.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{PROGRAM}: {}", fleet_core::render::sanitized_line(text));
}
