//! The control tool of the suite: `fleet SUBCOMMAND`, one module per subcommand.
//!
//! Must not know how the subcommands' work is done: that is in the crates below.

mod classify;
mod cli;
mod config;
mod demo;
mod doctor;
mod history;
mod hosts;
mod init;
mod partition;
mod provider;
mod sandbox;
mod svc;
mod template;
mod trust;
mod wait;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs `fleet` with the arguments, the environment and the terminal of this process. Called by the name of a tool of
/// the suite (through a link), it is that tool.
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from);
    if name.as_deref().and_then(Path::file_name).is_some_and(|name| name == "psh") {
        return psh::main();
    }
    cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr())
}
