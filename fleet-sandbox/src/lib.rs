//! An embedded fleet: SSH servers on loopback in this process, one home folder per host, which run real commands - or, by
//! the thousand, only simulate a few - and misbehave on purpose.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fleet_sandbox::{Fault, Sandbox};
//!
//! let sandbox = Sandbox::builder("/tmp/fleet")
//!     .hosts(20)
//!     .roles("server=1,web=5,loadgen=rest".parse()?)
//!     .fault("web01", Fault::Refuse)
//!     .start()
//!     .await?;
//! println!("ssh -F {} web02", sandbox.ssh_config_path().display());
//! sandbox.set_faults("web01", None).await?;
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever has the sandbox's user key may run commands as the user who runs the sandbox: the key is in a folder that only
//! its owner reads, and nothing but loopback is listened on.
//!
//! Must not know the tools that use it.

mod address;
mod channel;
mod command;
mod connection;
mod fault;
mod fleet;
mod folder;
mod forward;
mod handler;
mod host;
mod leftovers;
mod process;
mod pty;
mod roles;
mod running;
mod sandbox;
mod sftp;
mod simulation;
mod spool;
mod stats;
mod stream;

pub use fault::{Fault, FaultError};
pub use folder::{FolderError, FolderState, Record, RecordedHost, clean, inspect};
pub use roles::{DEFAULT_ROLE, PlannedHost, Roles, RolesError};
pub use sandbox::{Builder, Sandbox, SandboxError, SandboxHost};
pub use simulation::COMMANDS as SIMULATED_COMMANDS;
pub use stats::HostStats;
