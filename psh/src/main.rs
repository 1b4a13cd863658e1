//! The `psh` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    psh::main()
}
