//! The control tool of the suite: `fleet SUBCOMMAND`, one module per subcommand.
//!
//! Must not know how the subcommands' work is done: that is in the crates below.

mod cli;
mod sandbox;

use std::process::ExitCode;

/// Runs `fleet` with the arguments, the environment and the terminal of this process.
pub fn main() -> ExitCode {
    cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr())
}
