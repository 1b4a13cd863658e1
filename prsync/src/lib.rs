//! `prsync`: brings trees of files to the same state on many hosts at once, as one rsync sender for all of them.

mod by_rsync;
mod by_tar;
mod cli;
mod ending;
mod engine;
mod exchange;
mod on_host;
mod pipe;
mod question;
mod recipe;
mod release;
mod safety;
mod switch;
mod tally;
mod task;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use fleet_core::outcome::ExitStatus;
use fleet_core::record::Work;
use fleet_tool::cli::{Failure, Prepared};
use fleet_tool::run::{list, run};

use cli::{Asked, Settings};
use switch::{Beginning, Brought};
use task::Purpose;

const PROGRAM: &str = "prsync";

/// Runs the tool with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(command) = pipe::asked(&words) {
        return pipe::pass(command, io::stdout(), io::stderr());
    }
    let status = match try_main(words) {
        Ok(status) => status,
        Err(failure) => {
            failure.print(PROGRAM, io::stderr());
            failure.status()
        }
    };
    ExitCode::from(status.code())
}

fn try_main(words: Vec<OsString>) -> Result<ExitStatus, Failure> {
    let (prepared, work, asked) = cli::parse(words)?;
    match asked {
        Asked::List => list(&prepared),
        Asked::Sync(settings) => sync(prepared, work, *settings),
        Asked::Rsync(settings) => run(prepared, work, |connector, prepared| settings.into_task(connector, prepared)),
        Asked::Rollback(rollback) => run(prepared, work, |connector, prepared| rollback.into_task(connector, prepared)),
    }
}

fn sync(prepared: Prepared, work: Work, settings: Settings) -> Result<ExitStatus, Failure> {
    let (mut incomplete, mut engines, mut release) = (ExitStatus::Success, None, None);
    let wants_stats = settings.wants_stats();
    let mut status = run(prepared, work, |connector, prepared| {
        let (task, spoken) = settings.into_task(connector, prepared)?;
        spoken.texts.iter().for_each(|text| say(text));
        (incomplete, engines) = (spoken.status, Some((Arc::clone(&task.sync), Arc::clone(&task.tar))));
        let beginning = task.beginning.clone().filter(|_| task.purpose == Purpose::Change);
        release = beginning.map(|beginning| (beginning, prepared.once_more()));
        Ok(task)
    })?;
    if let Some((beginning, prepared)) = release {
        status = status.worse(take_into_use(&beginning, prepared)?);
    }
    if let Some((sync, tar)) = engines.filter(|_| wants_stats) {
        tally::stats(&sync.summary(), &sync.stats()).iter().for_each(|text| say(text));
        Some(tar.stats()).filter(|stats| stats.hosts > 0).iter().for_each(|stats| say(&tally::tar_stats(stats)));
    }
    Ok(status.worse(incomplete))
}

/// The second half of a release: a run of its own, so that no host has it in use before all have it.
fn take_into_use(beginning: &Beginning, mut prepared: Prepared) -> Result<ExitStatus, Failure> {
    let whole = match beginning.brought() {
        Brought::Interrupted => {
            say(&format!("release {} is not taken into use: the run was over too early", beginning.release.id));
            return Ok(ExitStatus::Success);
        }
        Brought::To(whole) => whole,
    };
    if whole.is_empty() {
        return Ok(ExitStatus::Success);
    }
    prepared.selected.hosts = whole.iter().map(|host| prepared.selected.hosts[*host].clone()).collect();
    run(prepared, Work::default(), |connector, prepared| cli::switch(beginning, &whole, connector, prepared))
}

/// Our own words before the run starts and behind its end; between them the renderer has the terminal.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{PROGRAM}: {}", fleet_core::render::sanitized_line(text));
}
