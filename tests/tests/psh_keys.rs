//! What a person can do while `psh` runs: keys at the terminal, SIGUSR1, stopping and going on.

use std::path::PathBuf;
use std::time::Duration;

use fleet_tests::{Running, Server, Signal, Sshd, TestEnv, program};

/// Hosts `web01`, ... whose command ends when the test says so.
struct World {
    env: TestEnv,
    _server: Server,
    end: PathBuf,
}

impl World {
    fn new(hosts: usize) -> Self {
        let env = TestEnv::new();
        let server = Sshd::new(&env).hosts("web", hosts).start();
        let end = env.shared().join("end");
        Self { env, _server: server, end }
    }

    /// Says `up` and its name, and ends when [`Self::end`] is called.
    fn command(&self) -> String {
        format!("echo up $FLEET_HOST; until [ -e {} ]; do sleep 0.05; done", self.end.display())
    }

    fn end(&self) {
        std::fs::write(&self.end, "").expect("the shared folder can be written");
    }

    fn on_terminal(&self, arguments: &[&str]) -> Running {
        self.env.psh(arguments).arg(self.command()).on_terminal().start()
    }
}

#[test]
fn enter_names_the_slow_hosts_and_the_terminal_is_given_back() {
    let world = World::new(2);
    let script = format!("{} -H 'web[01-02]' '{}'; stty -a", world.env.psh_path(), world.command());
    let mut run = world.env.run(&program("sh"), ["-c", &script]).on_terminal().start();
    ["up web01", "up web02"].iter().for_each(|text| run.wait_for_stdout(text));
    run.wait_for_keys();
    run.write(b"x\n");
    run.wait_for_stdout("psh: 0/2 done, 2 running after ");
    run.wait_for_stdout("s: web[01-02] (2)");
    world.end();
    let run = run.finish().expect_code(0);
    let modes = run.stdout_text();
    assert!(modes.contains(" icanon") && modes.contains(" echo ") && modes.contains("quit = ^\\"), "{run}");
}

#[test]
fn plus_and_minus_change_how_many_hosts_run_at_once() {
    let world = World::new(4);
    let mut run = world.on_terminal(&["-p", "2", "-H", "web[01-04]"]);
    ["up web01", "up web02"].iter().for_each(|text| run.wait_for_stdout(text));
    run.wait_for_keys();
    run.write(b"+");
    run.wait_for_stdout("psh: fan-out: 3 at once");
    run.wait_for_stdout("up web03");
    run.write(b"-");
    run.wait_for_stdout("psh: fan-out: 2 at once; 3 still run");
    world.end();
    run.finish().expect_code(0).expect_stdout("up web04");
}

#[test]
fn a_signal_names_the_slow_hosts_in_every_layout() {
    let world = World::new(1);
    for (layout, sign) in [("--no-prefix", "up"), ("--json", "\"up")] {
        let run = world.env.psh(["-H", "web01", layout]).arg(world.command()).start();
        run.wait_for_stdout(sign);
        run.signal(Signal::USR1);
        run.wait_for_stderr("psh: 0/1 done, 1 running after ");
        run.wait_for_stderr("s: web01 (1)");
        run.signal(Signal::INT);
        let _ = run.finish().expect_code(3);
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_it_goes_on() {
    let world = World::new(1);
    let mut run = world.on_terminal(&["-H", "web01"]);
    run.wait_for_stdout("up web01");
    run.wait_for_keys();
    run.signal(Signal::TSTP);
    run.wait_for_lines();
    run.signal(Signal::CONT);
    run.wait_for_keys();
    run.write(b"\n");
    run.wait_for_stdout("s: web01 (1)");
    world.end();
    let _ = run.finish().expect_code(0);
}

#[test]
fn it_runs_in_the_background_of_a_terminal() {
    let world = World::new(1);
    world.end();
    let script =
        format!("set -m; {} -H web01 '{}' & wait $!; echo code $?; stty -a", world.env.psh_path(), world.command());
    let run = world.env.run(&program("sh"), ["-c", &script]).on_terminal().patience(Duration::from_secs(30));
    run.finish().expect_code(0).expect_stdout("code 0").expect_stdout(" icanon");
}

#[test]
fn what_is_typed_is_the_commands_when_it_asks_for_input() {
    let world = World::new(1);
    let mut run = world.env.psh(["-I", "-H", "web01", "read line; echo got $line"]).on_terminal().start();
    run.write(b"+word\n");
    run.wait_for_stdout("got +word");
    run.write(b"\x04");
    let _ = run.finish().expect_code(0);
}

#[test]
fn the_fan_out_grows_with_quick_handshakes_and_says_so_when_asked_for_more() {
    let world = World::new(40);
    world.end();
    let run = world.env.psh(["-v", "-H", "web[01-40]", "echo fine"]).finish().expect_code(0);
    run.expect_stderr("psh: fan-out 40: handshakes take ");
}

#[test]
fn few_descriptors_mean_fewer_hosts_at_once_and_no_failure() {
    let world = World::new(60);
    world.end();
    let limited = ["--nofile=48:48", &world.env.psh_path(), "-H", "web[01-60]", "echo fine"];
    let run = world.env.run(&program("prlimit"), limited).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 60, "{run}");
    run.expect_nowhere("open files");
}
