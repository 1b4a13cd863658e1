//! Thousands of hosts, on the embedded fleet: what happens at the limits of this machine.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_tests::{Finished, TestEnv, program};

/// An embedded fleet in a process of its own, gone with this value.
struct Fleet {
    env: TestEnv,
    dir: String,
}

impl Fleet {
    fn start(hosts: usize) -> Self {
        let env = TestEnv::new();
        let dir = env.path().join("fleet").display().to_string();
        env.fleet(["sandbox", "start", "--dir", &dir, "-n", &hosts.to_string()]).finish().expect_code(0);
        Self { env, dir }
    }

    /// Runs `psh` on all hosts, with at most 256 open files.
    fn psh(&self, arguments: &[&str]) -> Finished {
        let psh = self.env.psh_path();
        let limited = [["--nofile=256:256", psh.as_str(), "-g", "*"].as_slice(), arguments].concat();
        let run = self.env.run(&program("prlimit"), limited).env("FLEET_CONFIG", format!("{}/fleet.toml", self.dir));
        run.patience(Duration::from_secs(300)).finish()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.env.fleet(["sandbox", "stop", "--dir", &self.dir]).finish();
    }
}

#[test]
fn two_thousand_hosts_all_succeed_within_256_open_files_and_the_lower_fan_out_is_said() {
    let run = Fleet::start(2000).psh(&["-p", "500", "echo $FLEET_INDEX"]).expect_code(0);
    run.expect_stderr("instead of 500").expect_stderr("2000 ok");
}

#[test]
fn every_line_of_two_thousand_hosts_is_under_its_own_name() {
    let run = Fleet::start(2000).psh(&["-p", "64", "echo $FLEET_HOST"]).expect_code(0);
    let text = run.stdout_text().into_owned();
    let names: BTreeSet<&str> = text
        .lines()
        .map(|line| line.split_once(':').filter(|(name, said)| *name == said.trim()).expect("a line under its name").0)
        .collect();
    assert_eq!(names.len(), 2000);
    assert!(!run.stderr_text().contains("instead of"), "64 at once fit: {run}");
}
