//! What the tools are told to do, and what must come out.
//!
//! Must not know the tools.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use crate::check::{Expected, SEQUENCE_LINE_BYTES, sequence_line};
use crate::cli::{RunArgs, WorkloadName};
use crate::error::BenchError;

const BULK_BYTES: usize = 100_000_000;
const WIDE_BYTES: usize = 1_000_000;
const WIDE_HOSTS: usize = 50;

/// Key exchange offered by the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyExchange {
    /// Each client's own first choice: a post-quantum hybrid where it has one.
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

    /// A line of `ssh_config`, if one is needed.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Curve25519 => "KexAlgorithms curve25519-sha256\n",
        }
    }
}

/// One command on some of the hosts.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) title: String,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) hosts: usize,
    pub(crate) rounds: u16,
    /// For the remote shell.
    pub(crate) command: String,
    pub(crate) expected: Expected,
}

/// The number of hosts that the chosen workloads need.
pub(crate) fn hosts_needed(args: &RunArgs) -> u16 {
    args.hosts.max(u16::try_from(WIDE_HOSTS).expect("50 hosts"))
}

/// The chosen workloads, on some of `addresses`. What the hosts print lies in files of `folder`, which are written here.
pub(crate) fn workloads(args: &RunArgs, addresses: &[Ipv4Addr], folder: &Path) -> Result<Vec<Workload>, BenchError> {
    let chosen = |name| args.only.is_empty() || args.only.contains(&name);
    let mut workloads = Vec::new();
    if chosen(WorkloadName::Commands) {
        for key_exchange in [KeyExchange::Curve25519, KeyExchange::Default] {
            workloads.push(commands(args, addresses, key_exchange));
        }
    }
    if chosen(WorkloadName::Bulk) {
        workloads.push(bulk(args, folder)?);
    }
    if chosen(WorkloadName::Wide) {
        workloads.push(wide(args, addresses, folder)?);
    }
    Ok(workloads)
}

/// The third word of `SSH_CONNECTION` is the server's address, see ssh(1): so every line says which host it is from.
fn commands(args: &RunArgs, addresses: &[Ipv4Addr], key_exchange: KeyExchange) -> Workload {
    let hosts = usize::from(args.hosts);
    Workload {
        title: format!("{hosts} hosts x `echo`, {} at once, {}", args.parallel, key_exchange.name()),
        key_exchange,
        hosts,
        rounds: args.rounds,
        command: "set -- $SSH_CONNECTION; echo hi $3".to_owned(),
        expected: Expected::LinePerHost { body: b"hi".to_vec(), addresses: addresses[..hosts].to_vec() },
    }
}

fn bulk(args: &RunArgs, folder: &Path) -> Result<Workload, BenchError> {
    let path = folder.join("bulk");
    let lines = BULK_BYTES / SEQUENCE_LINE_BYTES;
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(&path)?);
        (0..lines).try_for_each(|number| file.write_all(&sequence_line(number)))?;
        file.flush()
    };
    write().map_err(BenchError::file(&path))?;
    Ok(Workload {
        title: format!("1 host x 100 MB in lines of {SEQUENCE_LINE_BYTES} bytes, {}", KeyExchange::Curve25519.name()),
        key_exchange: KeyExchange::Curve25519,
        hosts: 1,
        rounds: args.bulk_rounds,
        command: format!("cat {}", path.display()),
        expected: Expected::Sequence { lines },
    })
}

fn wide(args: &RunArgs, addresses: &[Ipv4Addr], folder: &Path) -> Result<Workload, BenchError> {
    let path = folder.join("wide");
    let body = vec![b'x'; WIDE_BYTES];
    fs::write(&path, &body).map_err(BenchError::file(&path))?;
    Ok(Workload {
        title: format!("{WIDE_HOSTS} hosts x one line of 1 MB, {}", KeyExchange::Curve25519.name()),
        key_exchange: KeyExchange::Curve25519,
        hosts: WIDE_HOSTS,
        rounds: args.bulk_rounds,
        command: format!("set -- $SSH_CONNECTION; cat {}; echo \" $3\"", path.display()),
        expected: Expected::LinePerHost { body, addresses: addresses[..WIDE_HOSTS].to_vec() },
    })
}
