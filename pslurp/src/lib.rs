//! `pslurp`: brings files and folders home from many hosts at once over SSH, a folder for each host.

mod cli;
mod gather;
mod landing;
mod program;
mod recipe;
mod tally;
mod task;

use std::io;
use std::process::ExitCode;

use fleet_core::outcome::ExitStatus;
use fleet_tool::cli::Failure;
use fleet_tool::run::{list, run};

const PROGRAM: &str = "pslurp";

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
    run(prepared, work, |connector, prepared| settings.into_task(connector, prepared))
}
