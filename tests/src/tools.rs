//! The programs of the machine that the harness needs: where they are, and what to do when they are not.
//!
//! Must not know what they are used for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The path of a program, looked up in `PATH` and in the folders of system programs.
///
/// # Panics
/// When it is not installed, with the hint to run `./test.sh`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; ./test.sh installs what the end-to-end tests need"))
}

/// Runs a short command of the machine to its end, and returns what it wrote to stdout.
///
/// # Panics
/// When it cannot be started or fails, with what it printed.
pub fn run_to_end(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}): {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Python with the libraries that the tests need.
///
/// # Panics
/// When `./test.sh` has not installed them.
#[must_use]
pub fn python() -> PathBuf {
    let beside_target = || {
        let test = std::env::current_exe().expect("the running test has a path");
        let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        target.map_or_else(|| PathBuf::from("target"), Path::to_owned).join("venv")
    };
    let venv = std::env::var_os("FLEET_TEST_VENV").map_or_else(beside_target, PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.is_file(), "{} is missing; ./test.sh makes the virtual environment", python.display());
    python
}
