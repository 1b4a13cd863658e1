//! The harness of the end-to-end tests: an isolated world per test, real SSH servers in it, and the tools run on them.
//!
//! A [`TestEnv`] has its own home, keys, `known_hosts` and loopback network. [`Sshd`], [`Dropbear`] and [`Asyncssh`]
//! start real servers and enter their hosts into it; [`TestEnv::psh`] runs the tool there. Everything waits for an
//! event with a deadline, and whatever is missing on the machine is a failure with a hint.
//!
//! Must not know how the tools work inside: it sees command lines, bytes, exit codes and processes.

pub mod accounts;
mod agent;
mod asyncssh;
mod captured;
mod dropbear;
mod env;
mod finished;
mod fleet;
mod listener;
pub mod processes;
mod run;
mod server;
mod sshd;
mod tools;

use std::time::Duration;

pub use agent::{Agent, AgentDouble, Manner};
pub use asyncssh::Asyncssh;
pub use dropbear::Dropbear;
pub use env::TestEnv;
pub use finished::Finished;
pub use fleet::{Fleet, MEASURED, peak_kib};
pub use listener::Welcome;
pub use run::{Run, Running};
pub use rustix::process::Signal;
pub use server::Server;
pub use sshd::Sshd;
pub use tools::{program, python, require_fleet_ec2, run_to_end};

/// How long anything may take, on however busy a machine: what takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(300);
