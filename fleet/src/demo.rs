//! `fleet demo`: shows the suite at work on an embedded fleet, with nothing installed and nothing left behind.
//!
//! Every command shown is run as shown. Must not know how commands are run on hosts.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use fleet_sandbox::{Roles, Sandbox};

/// The exit code of a demonstration that did not go as it should.
const FAILED: u8 = 1;
const HOSTS: usize = 20;
const ROLES: &str = "server=1,web=5,loadgen=rest";

/// One command of the demonstration.
struct Step {
    says: &'static str,
    /// As a person would type it, for `/bin/sh`.
    command: &'static str,
    /// The exit code that it must have.
    code: i32,
}

const STEPS: [Step; 7] = [
    Step {
        says: "Which hosts would it be? Nothing is contacted.",
        command: "psh -g loadgen --limit 3 --list",
        code: 0,
    },
    Step {
        says: "Run a command on a group; every host knows who it is.",
        command: "psh -g loadgen 'echo \"I am $FLEET_HOST, $FLEET_INDEX of $FLEET_COUNT\"'",
        code: 0,
    },
    Step { says: "A block for each host, when it is done.", command: "psh -g server -i 'uname -sm; pwd'", code: 0 },
    Step {
        says: "Send standard input to all of them: read once, byte for byte.",
        command: "seq 100000 | psh -g web -I cksum",
        code: 0,
    },
    Step {
        says: "Some fail: the summary folds them, and the exit code says so (5).",
        command: "psh -g loadgen 'test $FLEET_INDEX -lt 11'",
        code: 5,
    },
    Step {
        says: "A command that hangs is stopped on the hosts, children and all (3).",
        command: "psh -g web -t 1 'sleep 600 & sleep 600'",
        code: 3,
    },
    Step {
        says: "For scripts: one JSON object for each event.",
        command: "psh -H web01 --json 'echo hello' | tail -n 3",
        code: 0,
    },
];

/// Runs the demonstration. Succeeds when every step ended as it should.
pub(crate) fn run(stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    match demonstrate(stdout) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        Err(error) => {
            let _ = writeln!(stderr, "fleet: error: the demonstration cannot go on: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn demonstrate(stdout: &mut dyn Write) -> io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let programs = programs(folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    writeln!(stdout, "# {HOSTS} SSH hosts on this machine, in roles. They are gone when this ends.")?;
    writeln!(stdout, "$ fleet sandbox start -n {HOSTS} --roles {ROLES}")?;
    let roles: Roles = ROLES.parse().map_err(io::Error::other)?;
    let builder = Sandbox::builder(folder.path().join("sandbox")).hosts(HOSTS).roles(roles);
    let sandbox = runtime.block_on(builder.start()).map_err(io::Error::other)?;
    let mut as_expected = true;
    for step in &STEPS {
        as_expected &= show(step, &programs, &sandbox.fleet_toml_path(), stdout)?;
    }
    runtime.block_on(sandbox.stop());
    writeln!(stdout, "\n# Your turn, with a sandbox that stays until you stop it:")?;
    writeln!(stdout, "#   eval \"$(fleet sandbox start -n {HOSTS} --roles {ROLES})\"")?;
    writeln!(stdout, "#   psh -g loadgen uptime")?;
    writeln!(stdout, "#   fleet sandbox stop")?;
    Ok(as_expected)
}

/// A folder in which `psh` and `fleet` are this program: it acts by the name it is called.
fn programs(folder: &Path) -> io::Result<PathBuf> {
    let programs = folder.join("bin");
    std::fs::create_dir(&programs)?;
    for name in ["psh", "fleet"] {
        symlink(std::env::current_exe()?, programs.join(name))?;
    }
    Ok(programs)
}

fn show(step: &Step, programs: &Path, fleet_toml: &Path, stdout: &mut dyn Write) -> io::Result<bool> {
    writeln!(stdout, "\n# {}\n$ {}", step.says, step.command)?;
    stdout.flush()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path)))
        .map_err(io::Error::other)?;
    let status = Command::new("/bin/sh")
        .args(["-c", step.command])
        .env("PATH", path)
        .env("FLEET_CONFIG", fleet_toml)
        // Its runs are no part of the user's history.
        .env("XDG_STATE_HOME", programs.with_file_name("state"))
        .stdin(Stdio::null())
        // One after the other, also in a pipe: what a terminal would show.
        .stderr(io::stdout().as_fd().try_clone_to_owned()?)
        .status()?;
    let code = status.code();
    if code != Some(0) {
        writeln!(stdout, "# exit code {}", code.map_or("none".to_owned(), |code| code.to_string()))?;
    }
    if code != Some(step.code) {
        writeln!(stdout, "# That was not meant to be: {} was expected.", step.code)?;
    }
    Ok(code == Some(step.code))
}
