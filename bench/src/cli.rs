//! The command line.
//!
//! Must not know how anything is measured.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Compare psh with its peers on OpenSSH servers on loopback
#[derive(Debug, Parser)]
#[command(name = "fleet-bench", version)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start the servers, run every tool in turn, print the tables, remove everything
    Run(RunArgs),
    /// Run one program and write what it used to a file
    #[command(hide = true)]
    Measure(MeasureArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Number of hosts of the workload "commands"
    #[arg(short = 'n', long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) hosts: u16,

    /// Hosts worked on at once, by every tool
    #[arg(short, long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: u16,

    /// Runs of each tool in the workload "commands"; odd, so that the median is one of them
    #[arg(long, default_value_t = 5, value_parser = odd)]
    pub(crate) rounds: u16,

    /// Runs of each tool in the workloads with much output; odd
    #[arg(long, default_value_t = 3, value_parser = odd)]
    pub(crate) bulk_rounds: u16,

    /// Only this workload; repeatable
    #[arg(long, value_enum)]
    pub(crate) only: Vec<WorkloadName>,

    /// Seconds after which a run is stopped and its tool left out of the workload
    #[arg(long, default_value_t = 180)]
    pub(crate) limit_secs: u64,

    /// The psh to measure; by default the one beside this program, of the same profile
    #[arg(long)]
    pub(crate) psh: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Where to write what was used, as JSON
    #[arg(long)]
    pub(crate) report: PathBuf,

    /// The program and its arguments
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkloadName {
    /// A short command on many hosts
    Commands,
    /// 100 MB of lines from one host
    Bulk,
    /// A line of 1 MB from each of 50 hosts
    Wide,
}

fn odd(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(number) if number % 2 == 1 => Ok(number),
        _ => Err("expected an odd number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        BenchArgs::command().debug_assert();
    }

    #[test]
    fn only_odd_numbers_of_rounds_are_accepted() {
        assert_eq!(odd("5"), Ok(5));
        for refused in ["4", "0", "-1", "", "five"] {
            assert!(odd(refused).is_err(), "{refused:?}");
        }
    }
}
