//! Why a benchmark ends without a result.
//!
//! Must not know of tools that fail: that is a result.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum BenchError {
    #[error("cannot prepare for signals and child processes")]
    Runtime(#[source] io::Error),

    #[error("interrupted; everything is stopped and removed")]
    Interrupted,

    #[error("there is no psh at {}; build it with the same profile (cargo build --profile dist -p psh) or name it with --psh", .0.display())]
    NoPsh(PathBuf),

    #[error("no simulated hosts came up (is this a fleet with `sandbox start --simulate`?); its log: {log}")]
    NoSimulation { log: String },

    #[error("{0} is not installed; the benchmark needs OpenSSH's server and client")]
    MissingProgram(&'static str),

    #[error("cannot run {program}")]
    Spawn { program: String, source: io::Error },

    #[error("{program} failed ({status}): {stderr}")]
    Failed { program: String, status: std::process::ExitStatus, stderr: String },

    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },

    #[error("cannot find a free port on {address}")]
    Port { address: std::net::Ipv4Addr, source: io::Error },

    #[error("no SSH server answered on {address} within {waited:?}; its log: {log}")]
    ServerSilent { address: std::net::SocketAddrV4, waited: Duration, log: String },

    #[error("cannot read what {program} used from {text:?}")]
    Usage { program: String, text: String, source: serde_json::Error },

    #[error("there is too little room in {}: {needed_mib} MiB are needed, {free_mib} MiB are free; set TMPDIR to a folder on a larger disk, or make the copies smaller (--copy-mib, --copy-files, --copy-hosts, and the same of --sync)", path.display())]
    NoRoom { path: PathBuf, needed_mib: u64, free_mib: u64 },

    #[error("cannot write the result")]
    Print(#[source] io::Error),
}

impl BenchError {
    /// For `map_err` where a file cannot be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
