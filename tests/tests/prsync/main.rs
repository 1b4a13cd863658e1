//! `prsync` on real SSH servers with the machine's own rsync: what is where afterwards, and what is told of it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

#[path = "../pcp/world.rs"]
#[expect(dead_code, reason = "shared with the tests of pcp, which need more of it")]
mod world;

mod again;
mod engines;
mod failures;
mod hosts;
mod local;
mod question;
mod releases;
mod runs;
mod sources;
mod ways;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use fleet_tests::{Finished, Run, Sshd};
use world::World;

/// The rsync of this machine, which the accounts' own `PATH` may lack.
fn rsync() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("rsync")).find(|program| program.is_file());
    found.expect("rsync is installed: ./test.sh installs it")
}

/// As `command=` of a key: the server runs what was asked for only if it is rsync's server.
fn restricted_to_rsync(sshd: Sshd<'_>) -> Sshd<'_> {
    let check = format!(
        "case \"$SSH_ORIGINAL_COMMAND\" in \"{} --server -\"*) exec $SSH_ORIGINAL_COMMAND ;; *) exit 9 ;; esac",
        rsync().display()
    );
    sshd.option("ForceCommand", &check)
}

impl World {
    /// `prsync` to all hosts.
    fn prsync<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        let program = format!("--rsync-path={}", rsync().display());
        self.env.prsync(["-H", &self.servers[0].names().join(","), &program]).args(arguments)
    }

    /// `prsync` that succeeds.
    fn synced<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        self.prsync(arguments).finish().expect_code(0)
    }

    /// What rsync itself finds different on a host; nothing if all was right. Owners are left out: the accounts are not
    /// root's.
    fn differences(&self, source: &str, host: &str, path: &str) -> String {
        let output = Command::new(rsync())
            .args(["-rlptnic", "--delete"])
            .args([self.env.work().join(source).join(""), self.on(host).join(path).join("")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A source with some files.
    fn dist(&self) {
        self.file("dist/app.js", "application ".repeat(10_000));
        self.file("dist/lib/empty", "");
        self.file("dist/lib/name with\nline end", "odd");
        self.link("dist/current", "app.js");
    }
}
