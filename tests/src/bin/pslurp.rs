//! The `pslurp` of this tree, built for the end-to-end tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    pslurp::main()
}
