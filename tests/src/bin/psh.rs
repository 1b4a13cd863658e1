//! The `psh` of this tree, built for the end-to-end tests.

use std::process::ExitCode;

/// As in the program that users run: its memory is tested too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    psh::main()
}
