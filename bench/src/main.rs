//! Side-by-side benchmark of `psh` and its peers on real OpenSSH servers on loopback. See `README.md`.
//!
//! Must not know any crate of fleet: what is measured is the finished program, as it is with the peers.

mod account;
mod bench;
mod check;
mod cli;
mod copy;
mod error;
mod link;
mod measure;
mod output;
mod plot;
mod processes;
mod reads;
mod server;
mod session_home;
mod simulated;
mod site;
mod statistics;
mod sync;
mod table;
mod tools;
mod transfer;
mod transfer_table;
mod workload;
mod world;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Action, BenchArgs};
use crate::error::BenchError;

fn main() -> ExitCode {
    let result = match BenchArgs::parse().action {
        Action::Run(args) => run(bench::run(&args)),
        Action::Link(args) => run(link::run(&args)),
        Action::Measure(args) => measure::report(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark until it is done or a signal asks for its end; either way nothing of it is left.
fn run(benchmark: impl Future<Output = Result<(), BenchError>>) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BenchError::Runtime)?;
    runtime.block_on(async {
        tokio::select! {
            result = benchmark => result,
            interrupted = interrupted() => Err(interrupted),
        }
    })
}

/// Waits for the first signal that asks for the end.
async fn interrupted() -> BenchError {
    let signals = || -> std::io::Result<_> {
        Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?))
    };
    let (mut interrupt, mut terminate, mut hangup) = match signals() {
        Ok(signals) => signals,
        Err(error) => return BenchError::Runtime(error),
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    BenchError::Interrupted
}

fn report(error: &BenchError) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = writeln!(stderr, "  caused by: {error}");
        cause = error.source();
    }
}
