//! The flags for other ways to run than a command in the foreground: scripts, templates, jobs.
//!
//! Must not contact any host.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use fleet_ssh::remote::{JobName, JobWait, Script, ScriptError};
use fleet_tool::cli::Failure;

use crate::jobs::{Afterwards, JobWork};
use crate::payload::ScriptText;

/// What only says something about a command, and there is none where jobs are looked after.
const ABOUT_A_COMMAND: [&str; 9] =
    ["command", "script", "background", "template", "argv", "raw", "pty", "send_input", "variables"];

/// The longest script that is read: more is data, for which a copy tool is better.
const MAX_SCRIPT_BYTES: u64 = 64 << 20;

#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub(super) struct WaysArgs {
    /// Run the script FILE (- is standard input) with the words as its arguments; it leaves no file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["argv", "raw", "pty"])]
    pub(super) script: Option<PathBuf>,

    /// Replace {host}, {addr}, {user}, {port}, {group}, {role}, {index}, {count}, and what the host tells of itself - {os}, {arch},
    /// {kernel}, {hostname}, {cpus}, {memory_mib} - in the words and in --env for each host; {{ and }} are braces
    #[arg(long)]
    pub(super) template: bool,

    #[command(flatten)]
    pub(super) jobs: JobArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Jobs")]
pub(super) struct JobArgs {
    /// Start the command as a job that goes on without us, and print the job's name
    #[arg(long, conflicts_with_all = ["raw", "pty"])]
    pub(super) background: bool,

    /// List the jobs on the hosts
    #[arg(long, conflicts_with_all = ABOUT_A_COMMAND)]
    jobs: bool,

    /// Print the output of JOB and take over its exit code; 3 while it runs
    #[arg(long, value_name = "JOB", conflicts_with_all = ABOUT_A_COMMAND, conflicts_with = "jobs")]
    collect: Option<String>,

    /// With --collect: wait until the job has ended
    #[arg(long, requires = "collect")]
    wait: bool,

    /// With --collect: forget the job on the hosts where it has ended
    #[arg(long, requires = "collect")]
    rm: bool,

    /// Stop JOB and all its processes
    #[arg(long, value_name = "JOB", conflicts_with_all = ABOUT_A_COMMAND, conflicts_with_all = ["collect", "jobs"])]
    stop: Option<String>,
}

impl JobArgs {
    /// What is to be done with jobs that were started before, and how that is written down.
    pub(super) fn work(&self) -> Result<Option<(JobWork, String)>, Failure> {
        let name = |text: &str| {
            JobName::parse(text).map_err(|error| Failure::usage(&error).hint("psh -g GROUP --jobs lists the jobs"))
        };
        if let Some(job) = &self.stop {
            return Ok(Some((JobWork::Stop(name(job)?), format!("--stop {job}"))));
        }
        if let Some(job) = &self.collect {
            let wait = if self.wait { JobWait::Ended } else { JobWait::Now };
            let after = if self.rm { Afterwards::Forgotten } else { Afterwards::Kept };
            return Ok(Some((JobWork::Collect { job: name(job)?, wait, after }, format!("--collect {job}"))));
        }
        Ok(self.jobs.then(|| (JobWork::List, "--jobs".to_owned())))
    }
}

/// Reads the script of `--script`.
pub(super) fn read_script(path: &Path) -> Result<ScriptText, Failure> {
    let shown = if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
    let unreadable = |error: io::Error| {
        Failure::usage_text(format!("the script {shown} cannot be read: {error}")).hint("--script takes a file, or -")
    };
    let mut text = Vec::new();
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path).map_err(unreadable)?),
    };
    input.take(MAX_SCRIPT_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_SCRIPT_BYTES {
        return Err(Failure::usage_text(format!("the script {shown} is longer than {} MiB", MAX_SCRIPT_BYTES >> 20)));
    }
    let script = Script::parse(&text).map_err(|error: ScriptError| {
        let failure = Failure::usage_text(format!("{shown}: {error}"));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    Ok(ScriptText::new(script, text, path))
}
