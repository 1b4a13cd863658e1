//! `fleet history`: the runs that are recorded; one of them in full; what is different between two.
//!
//! What stands in a record was said by hosts and typed by anyone: it never reaches a terminal as it is. Must not know
//! how records are kept.

mod diff;
mod json;
mod show;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use fleet_core::record::{FormerRun, RecordError, RunState, Store};
use fleet_core::settings::Environment;
use fleet_tool::cli::Failure;

use crate::cli::{HistoryArgs, HistoryCommand};

/// Why history cannot be told.
#[derive(Debug)]
enum Trouble {
    Record(RecordError),
    /// The reader has gone, or the disk is full.
    Write(io::Error),
    SameRun(String),
    /// The run did not keep what its hosts said.
    NoOutput(String),
}

impl From<RecordError> for Trouble {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Runs `fleet history` and tells of its failure.
pub(crate) fn run(args: &HistoryArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let environment: Environment = std::env::vars_os().collect();
    let told = Store::of(&environment).map_err(Trouble::from).and_then(|store| tell(args, &store, stdout, stderr));
    let failure = match told.and_then(|()| Ok(stdout.flush()?)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Trouble::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Trouble::Write(error)) => Failure::ours(&error),
        Err(Trouble::SameRun(id)) => Failure::usage_text(format!("both are run {id}; expected two runs to compare"))
            .hint("fleet history lists the runs"),
        Err(Trouble::NoOutput(id)) => Failure::usage_text(format!("the output of run {id} was not kept"))
            .hint("--record-output keeps that of the next run"),
        Err(Trouble::Record(error)) => match error.hint() {
            Some(hint) => Failure::usage(&error).hint(hint),
            None => Failure::usage(&error),
        },
    };
    failure.print("fleet", stderr);
    ExitCode::from(failure.status().code())
}

fn tell(args: &HistoryArgs, store: &Store, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<(), Trouble> {
    match &args.command {
        None => list(args.json, store, stdout, stderr),
        Some(HistoryCommand::Show { run, output }) => {
            let run = store.read(&store.find(run)?)?;
            match (args.json, output) {
                (true, _) => json::show(&run, store, stdout)?,
                (false, true) if !run.header.output => return Err(Trouble::NoOutput(run.id.to_string())),
                (false, true) => show::output(&run, store, stdout)?,
                (false, false) => show::run(&run, store, stdout)?,
            }
            Ok(())
        }
        Some(HistoryCommand::Diff { before, after }) => {
            let (before, after) = (store.find(before)?, store.find(after)?);
            if before == after {
                return Err(Trouble::SameRun(before.to_string()));
            }
            let (before, after) = (store.read(&before)?, store.read(&after)?);
            let difference = diff::Difference::of(&before, &after, store);
            if args.json {
                json::diff(&difference, stdout)?
            } else {
                difference.write(stdout)?
            }
            Ok(())
        }
    }
}

/// All runs, the oldest first. One that cannot be read is named and does not hide the others.
fn list(as_json: bool, store: &Store, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<(), Trouble> {
    let mut runs = Vec::new();
    for id in store.runs()? {
        match store.read(&id) {
            Ok(run) => runs.push(run),
            Err(error) => Failure::ours(&error).print("fleet", &mut *stderr),
        }
    }
    if as_json {
        runs.iter().try_for_each(|run| json::list(run, stdout))?;
    } else {
        table::write(&runs, stdout)?;
    }
    Ok(())
}

/// How a run ended, in a word: its exit code, `running` or `died`.
fn ending(run: &FormerRun) -> String {
    match &run.state {
        RunState::Running => "running".to_owned(),
        RunState::Died => "died".to_owned(),
        RunState::Ended { exit_status, .. } => exit_status.to_string(),
    }
}

/// `18 ok, 2 failed`
fn outcomes(run: &FormerRun) -> String {
    let counts: Vec<String> = run.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
    counts.join(", ")
}

/// `1 host`, `2 hosts`
fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}
