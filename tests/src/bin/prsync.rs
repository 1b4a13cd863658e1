//! The `prsync` of this tree, built for the end-to-end tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    prsync::main()
}
