//! `psh`: runs a command on many hosts at once over SSH, and says what happened on every one.

mod cli;
mod facts;
mod jobs;
mod payload;
mod quoting;
mod recipe;
mod task;

use std::io;
use std::process::ExitCode;

use fleet_core::outcome::ExitStatus;
use fleet_tool::cli::Failure;
use fleet_tool::run::run;

/// Runs the tool with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let status = match try_main() {
        Ok(status) => status,
        Err(failure) => {
            failure.print("psh", io::stderr());
            failure.status()
        }
    };
    ExitCode::from(status.code())
}

fn try_main() -> Result<ExitStatus, Failure> {
    let (prepared, work, command) = cli::parse()?;
    run(prepared, work, |connector, prepared| command.into_task(connector, prepared))
}
