//! What the tools are told to do, and what must come out.
//!
//! Must not know the tools.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use crate::check::{Expected, SEQUENCE_LINE_BYTES, sequence_line};
use crate::cli::{KeyExchange, RunArgs, WorkloadName};
use crate::error::BenchError;

const BULK_BYTES: usize = 100_000_000;
const WIDE_BYTES: usize = 1_000_000;
const WIDE_HOSTS: u16 = 100;

/// Who the hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKind {
    /// OpenSSH servers.
    Real,
    /// One process that answers for all hosts, so that thousands fit on one machine.
    Simulated,
}

/// One command on some of the hosts.
#[derive(Debug)]
pub(crate) struct Workload {
    /// For file names.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) kind: HostKind,
    pub(crate) hosts: usize,
    /// Hosts worked on at once.
    pub(crate) parallel: u16,
    /// For the remote shell.
    pub(crate) command: String,
    pub(crate) output: OutputSize,
    pub(crate) expected: Expected,
}

/// Whether a tool's ways to show output matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputSize {
    /// Short lines: what is measured is the connections.
    Short,
    /// Much: what is measured is the output.
    Much,
}

/// The number of hosts of a kind that the chosen workloads need.
pub(crate) fn hosts_needed(args: &RunArgs, kind: HostKind) -> u16 {
    let of = |name, hosts: &[u16]| if is_chosen(args, name) { hosts.iter().copied().max().unwrap_or(0) } else { 0 };
    match kind {
        HostKind::Real => of(WorkloadName::Commands, &args.hosts)
            .max(of(WorkloadName::Bulk, &[1]))
            .max(of(WorkloadName::Wide, &[WIDE_HOSTS])),
        HostKind::Simulated => of(WorkloadName::Simulated, &args.simulated_hosts),
    }
}

/// The chosen workloads. `addresses` are the hosts of each kind. What the hosts print lies in files of `folder`, which
/// are written here.
pub(crate) fn workloads<'a>(
    args: &RunArgs,
    addresses: impl Fn(HostKind) -> &'a [Ipv4Addr],
    folder: &Path,
) -> Result<Vec<Workload>, BenchError> {
    let mut workloads = Vec::new();
    let exchanges = [KeyExchange::Curve25519, KeyExchange::Default];
    for key_exchange in exchanges.into_iter().filter(|exchange| args.key_exchange.is_none_or(|only| only == *exchange))
    {
        let chosen = |name, hosts: &[u16]| if is_chosen(args, name) { hosts.to_vec() } else { Vec::new() };
        let commands = |kind, parallel| {
            let addresses = addresses(kind);
            move |hosts: u16| commands(kind, &addresses[..usize::from(hosts)], parallel, key_exchange)
        };
        let real = chosen(WorkloadName::Commands, &args.hosts);
        workloads.extend(real.into_iter().map(commands(HostKind::Real, args.parallel)));
        let simulated = chosen(WorkloadName::Simulated, &args.simulated_hosts);
        // What differs between the key exchanges is seen with real hosts.
        let simulated = simulated.into_iter().filter(|_| key_exchange == KeyExchange::Curve25519);
        workloads.extend(simulated.map(commands(HostKind::Simulated, args.simulated_parallel)));
    }
    if is_chosen(args, WorkloadName::Bulk) {
        workloads.push(bulk(args.parallel, folder)?);
    }
    if is_chosen(args, WorkloadName::Wide) {
        workloads.push(wide(args.parallel, addresses(HostKind::Real), folder)?);
    }
    Ok(workloads)
}

fn is_chosen(args: &RunArgs, name: WorkloadName) -> bool {
    args.only.is_empty() || args.only.contains(&name)
}

fn commands(kind: HostKind, addresses: &[Ipv4Addr], parallel: u16, key_exchange: KeyExchange) -> Workload {
    let hosts = addresses.len();
    let (name, simulated) = match kind {
        HostKind::Real => ("commands", ""),
        HostKind::Simulated => ("simulated", "simulated "),
    };
    Workload {
        name: format!("{name}-{hosts}-{}", key_exchange.short_name()),
        title: format!("{hosts} {simulated}hosts x `echo`, {parallel} at once, {}", key_exchange.name()),
        key_exchange,
        kind,
        hosts,
        parallel,
        command: "echo hi $SSH_CONNECTION".to_owned(),
        output: OutputSize::Short,
        expected: Expected::LinePerHost { body: b"hi".to_vec(), addresses: addresses.to_vec() },
    }
}

fn bulk(parallel: u16, folder: &Path) -> Result<Workload, BenchError> {
    let path = folder.join("bulk");
    let lines = BULK_BYTES / SEQUENCE_LINE_BYTES;
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(&path)?);
        (0..lines).try_for_each(|number| file.write_all(&sequence_line(number)))?;
        file.flush()
    };
    write().map_err(BenchError::file(&path))?;
    Ok(Workload {
        name: "bulk".to_owned(),
        title: format!("1 host x 100 MB in lines of {SEQUENCE_LINE_BYTES} bytes, {}", KeyExchange::Curve25519.name()),
        key_exchange: KeyExchange::Curve25519,
        kind: HostKind::Real,
        hosts: 1,
        parallel,
        command: format!("cat {}", path.display()),
        output: OutputSize::Much,
        expected: Expected::Sequence { lines },
    })
}

fn wide(parallel: u16, addresses: &[Ipv4Addr], folder: &Path) -> Result<Workload, BenchError> {
    let path = folder.join("wide");
    let body = vec![b'x'; WIDE_BYTES];
    fs::write(&path, &body).map_err(BenchError::file(&path))?;
    let addresses = addresses[..usize::from(WIDE_HOSTS)].to_vec();
    Ok(Workload {
        name: "wide".to_owned(),
        title: format!("{WIDE_HOSTS} hosts x one line of 1 MB, {}", KeyExchange::Curve25519.name()),
        key_exchange: KeyExchange::Curve25519,
        kind: HostKind::Real,
        hosts: addresses.len(),
        parallel,
        command: format!("cat {}; echo \" $SSH_CONNECTION\"", path.display()),
        output: OutputSize::Much,
        expected: Expected::LinePerHost { body, addresses },
    })
}
