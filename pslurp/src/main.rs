//! The `pslurp` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    pslurp::main()
}
