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
    /// Count the round trips of each tool to a host that is far away
    Link(LinkArgs),
    /// Run one program and write what it used to a file
    #[command(hide = true)]
    Measure(MeasureArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Numbers of hosts of the workload "commands", on real OpenSSH servers
    #[arg(short = 'n', long, value_delimiter = ',', default_value = "10,100,500", value_parser = host_count())]
    pub(crate) hosts: Vec<u16>,

    /// Hosts worked on at once, by every tool
    #[arg(short, long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: u16,

    /// Numbers of hosts of the workload "simulated"
    #[arg(long, value_delimiter = ',', default_value = "1000,10000", value_parser = host_count())]
    pub(crate) simulated_hosts: Vec<u16>,

    /// Simulated hosts worked on at once, by every tool
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) simulated_parallel: u16,

    /// Runs of each tool in a workload; odd, so that the median is one of them
    #[arg(long, default_value_t = 3, value_parser = odd)]
    pub(crate) rounds: u16,

    /// Only this workload; repeatable
    #[arg(long, value_enum)]
    pub(crate) only: Vec<WorkloadName>,

    /// Numbers of hosts of the workload "copy"; all of them at once
    #[arg(long, value_delimiter = ',', default_value = "1,4,16", value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(crate) copy_hosts: Vec<u16>,

    /// Size of the large file of the workload "copy", in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) copy_mib: u32,

    /// Number of the small files of the workload "copy", of 4 KiB each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) copy_files: u32,

    /// Numbers of hosts of the workload "sync"; all of them at once
    #[arg(long, value_delimiter = ',', default_value = "1,4,16", value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(crate) sync_hosts: Vec<u16>,

    /// Number of the small files of the workload "sync", of which a tenth has changed
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) sync_files: u32,

    /// Size of each large file of the workload "sync", in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub(crate) sync_mib: u32,

    /// Cipher of the workloads "copy" and "sync": the only one that the servers take, as clients differ in what they like best
    #[arg(long, default_value = "aes256-gcm@openssh.com", value_parser = cipher)]
    pub(crate) cipher: String,

    /// In the workloads "copy" and "sync", run each tool once more under strace, and count what it reads of the source files
    #[arg(long)]
    pub(crate) count_reads: bool,

    /// Only with this key exchange, where a workload is run with more than one
    #[arg(long, value_enum)]
    pub(crate) key_exchange: Option<KeyExchange>,

    /// Seconds after which a run is stopped and its tool left out of the workload
    #[arg(long, default_value_t = 180)]
    pub(crate) limit_secs: u64,

    /// Write a table and a plot of each workload into this folder
    #[arg(long)]
    pub(crate) results: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) programs: ProgramArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// Milliseconds from here to the host and back
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=1000))]
    pub(crate) rtt_ms: u64,

    /// Runs of each tool; odd, so that the median is one of them
    #[arg(long, default_value_t = 5, value_parser = odd)]
    pub(crate) rounds: u16,

    /// Write the table into this folder
    #[arg(long)]
    pub(crate) results: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) programs: ProgramArgs,
}

/// Where the programs are that are not looked up in PATH.
#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// The psh to measure; by default the one beside this program, of the same profile
    #[arg(long)]
    pub(crate) psh: Option<PathBuf>,

    /// The fleet that simulates hosts; by default the one beside this program
    #[arg(long)]
    pub(crate) fleet: Option<PathBuf>,

    /// The folder into which peers/install.sh installed; by default bench-peers in the target folder of this program
    #[arg(long, env = "FLEET_BENCH_PEERS")]
    pub(crate) peers: Option<PathBuf>,
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
    /// A short command on very many hosts that are simulated by one process
    Simulated,
    /// 100 MB of lines from one host
    Bulk,
    /// A line of 1 MB from each of 100 hosts
    Wide,
    /// A large file, and many small ones, to and from some hosts; only when asked for, as it needs much room and time
    Copy,
    /// Trees and large files that hosts have in an older form; only when asked for, as copies are
    Sync,
}

/// Key exchange offered by the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyExchange {
    /// Each client's own first choice: a post-quantum hybrid where it and the server have one.
    Default,
    /// The same for all.
    Curve25519,
}

impl KeyExchange {
    /// As in the headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default key exchange",
            Self::Curve25519 => "curve25519 for all",
        }
    }

    /// As in the names of files.
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Curve25519 => "curve25519",
        }
    }

    /// The only one to offer, as it is called on the wire (RFC 8731), if it is not the client's own choice.
    pub(crate) fn only(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Curve25519 => Some("curve25519-sha256"),
        }
    }
}

/// It goes into the servers' configuration.
fn cipher(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.@".contains(&byte);
    let is_name = !text.is_empty() && text.bytes().all(is_part);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a cipher, as `ssh -Q cipher` has it".to_owned())
    }
}

fn host_count() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=10_000)
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
    fn cipher_is_one_word_of_the_configuration() {
        assert!(cipher("aes256-gcm@openssh.com").is_ok());
        for refused in ["", "a b", "a\nPermitRootLogin yes", "a,b"] {
            assert!(cipher(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn only_odd_numbers_of_rounds_are_accepted() {
        assert_eq!(odd("5"), Ok(5));
        for refused in ["4", "0", "-1", "", "five"] {
            assert!(odd(refused).is_err(), "{refused:?}");
        }
    }
}
