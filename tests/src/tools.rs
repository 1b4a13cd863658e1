//! The programs of the machine that the harness needs: where they are, and what to do when they are not.
//!
//! Must not know what they are used for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

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

/// Asserts that the provider for EC2 of this tree is built: beside the tools under test, which find it there.
///
/// # Panics
/// When it is not, or was built from older sources, with the hint to build it.
pub fn require_fleet_ec2() {
    let test = std::env::current_exe().expect("the running test has a path");
    let program = test.ancestors().nth(2).expect("tests are in the folder deps").join("fleet-ec2");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace").join("fleet-ec2");
    let built = fs::metadata(&program).and_then(|metadata| metadata.modified());
    let is_current = built.is_ok_and(|built| built >= last_changed(&sources.join("src")));
    assert!(is_current, "{} is missing or older than its sources: cargo build -p fleet-ec2", program.display());
}

/// When a file of a folder was changed last.
fn last_changed(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let times = entries.map(|entry| {
        let entry = entry.expect("a folder can be listed");
        let metadata = entry.metadata().expect("a file has times");
        if metadata.is_dir() { last_changed(&entry.path()) } else { metadata.modified().expect("a file has times") }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
