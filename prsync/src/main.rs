//! The `prsync` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    prsync::main()
}
