//! Waves, canaries, the rules that end a run, further attempts, stragglers: on an embedded fleet in this process.

use std::fs;
use std::path::PathBuf;

use fleet_sandbox::{Fault, Sandbox};
use fleet_tests::{Finished, Run, Signal, TestEnv, processes};
use serde_json::Value;
use tokio::runtime::Runtime;

/// An embedded fleet `web01`, `web02`, ..., gone with this value.
struct Fleet {
    env: TestEnv,
    runtime: Runtime,
    sandbox: Option<Sandbox>,
}

impl Fleet {
    fn new(hosts: usize) -> Self {
        let env = TestEnv::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let roles = format!("web={hosts}").parse().expect("good roles");
        let starting = Sandbox::builder(env.path().join("fleet")).roles(roles).start();
        let sandbox = runtime.block_on(starting).expect("the sandbox starts");
        Self { env, runtime, sandbox: Some(sandbox) }
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("it is there until dropped")
    }

    fn set_faults(&self, host: &str, faults: &[Fault]) {
        self.runtime.block_on(self.sandbox().set_faults(host, faults.iter().copied())).expect("a host");
    }

    fn connections(&self) -> Vec<u64> {
        let hosts = self.sandbox().hosts();
        let count = |name: &str| self.sandbox().stats(name).expect("a host").connections;
        hosts.iter().map(|host| count(&host.name)).collect()
    }

    /// `psh` on all hosts, with options and a command.
    fn psh(&self, arguments: &[&str]) -> Run {
        let config = self.sandbox().fleet_toml_path();
        self.env.psh(["-g", "web"]).args(arguments).env("FLEET_CONFIG", config)
    }

    /// A file that remote commands may use.
    fn file(&self, name: &str) -> PathBuf {
        self.env.shared().join(name)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
    }
}

/// The objects of this kind that `--json` printed.
fn objects(run: &Finished, event: &str) -> Vec<Value> {
    let text = run.stdout_text();
    let objects = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    objects.filter(|object| object["event"] == event).collect()
}

#[test]
fn a_wave_begins_when_every_host_of_the_one_before_has_ended() {
    let fleet = Fleet::new(5);
    let log = fleet.file("log");
    let command = format!("echo $FLEET_INDEX begins >> {0}; sleep 0.05; echo $FLEET_INDEX ends >> {0}", log.display());
    let run = fleet.psh(&["-v", "--batch", "40%", &command]).finish().expect_code(0);
    let lines: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    let at = |text: String| lines.iter().position(|line| *line == text).unwrap();
    for (before, after) in [(0, 2), (1, 2), (0, 3), (1, 3), (2, 4), (3, 4)] {
        assert!(at(format!("{before} ends")) < at(format!("{after} begins")), "{lines:?}");
    }
    run.expect_stderr("wave 1 of 3: web[01-02]").expect_stderr("wave 3 of 3: web05");
}

#[test]
fn waves_are_objects_in_json_and_unsaid_in_a_pipe() {
    let fleet = Fleet::new(3);
    let run = fleet.psh(&["--json", "--canary", "1", "--yes", "true"]).finish().expect_code(0);
    let waves: Vec<_> = objects(&run, "wave")
        .iter()
        .map(|wave| {
            format!("{}/{} {} {}+{}", wave["number"], wave["of"], wave["kind"], wave["first_index"], wave["hosts"])
        })
        .collect();
    assert_eq!(waves, ["1/2 \"canary\" 0+1", "2/2 \"batch\" 1+2"]);
    fleet.psh(&["--batch", "1", "true"]).finish().expect_code(0).expect_nowhere("wave");
}

#[test]
fn the_question_after_the_canaries_decides_about_the_rest() {
    for (answer, code, ran) in [("y\n", 0, 4), ("n\n", 3, 2), ("\n", 3, 2), ("\x04", 3, 2)] {
        let fleet = Fleet::new(4);
        let mut run = fleet.psh(&["--canary", "2", "echo did $FLEET_HOST"]).on_terminal().start();
        run.wait_for_stdout("canary: 2 of 2 hosts fine; go on with 2 hosts? [y/N] ");
        assert_eq!(fleet.connections(), [1, 1, 0, 0], "nobody else is contacted before the answer");
        run.write(answer.as_bytes());
        let run = run.finish().expect_code(code);
        assert_eq!(run.stdout_text().matches("did web").count(), ran, "{answer:?}: {run}");
        assert_eq!(run.stdout_text().contains("nobody said to go on"), ran == 2, "{answer:?}: {run}");
        let question = run.stdout_text().find("go on with").unwrap();
        assert!(
            run.stdout_text().rfind("did web02").unwrap() < question || ran == 4,
            "output before the question: {run}"
        );
    }
}

#[test]
fn ctrl_c_at_the_question_ends_the_run_with_its_summary() {
    let fleet = Fleet::new(3);
    let mut run = fleet.psh(&["--canary", "1", "true"]).on_terminal().start();
    run.wait_for_stdout("[y/N] ");
    run.write(b"\x03");
    let run = run.finish().expect_code(3).expect_stdout("not started: the run was interrupted");
    let text = run.stdout_text();
    let after = text.split("[y/N] ").nth(1).expect("a question");
    assert!(after.trim_start_matches("^C").starts_with("\r\n"), "the summary has lines of its own: {run}");
    assert_eq!(fleet.connections(), [1, 0, 0]);
}

#[test]
fn sigterm_at_the_question_ends_the_run() {
    let fleet = Fleet::new(3);
    let run = fleet.psh(&["--canary", "1", "true"]).on_terminal().start();
    run.wait_for_stdout("[y/N] ");
    run.signal(Signal::TERM);
    let _ = run.finish().expect_code(3).expect_stdout("not started");
}

#[test]
fn a_canary_that_is_not_fine_ends_the_run_and_max_fail_puts_it_to_the_question() {
    let fleet = Fleet::new(4);
    let command = "[ $FLEET_INDEX != 1 ]";
    let run = fleet.psh(&["--canary", "2", "--yes", command]).finish().expect_code(3);
    run.expect_stderr("web[03-04] (2): not started: a canary is not fine")
        .expect_stderr("hint: --resume last goes on with these hosts");
    assert_eq!(fleet.connections(), [1, 1, 0, 0]);
    let mut run = fleet.psh(&["--canary", "2", "--max-fail", "1", command]).on_terminal().start();
    run.wait_for_stdout("canary: 1 of 2 hosts fine (web02: exit code 1); go on with 2 hosts? [y/N] ");
    run.write(b"yes\n");
    let _ = run.finish().expect_code(5);
    assert_eq!(fleet.connections(), [2, 2, 1, 1]);
}

#[test]
fn without_a_terminal_to_ask_at_nothing_is_contacted() {
    let fleet = Fleet::new(2);
    let run = fleet.psh(&["--canary", "1", "true"]).finish().expect_code(2);
    run.expect_stderr("there is no terminal to ask at").expect_stderr("--yes");
    assert_eq!(fleet.connections(), [0, 0]);
    fleet.psh(&["--canary", "9", "true"]).finish().expect_code(0).expect_stderr("all 2 hosts are canaries");
}

#[test]
fn impossible_wishes_are_usage_errors() {
    let fleet = Fleet::new(2);
    for (arguments, words) in [
        (&["--batch", "0", "true"][..], "--batch 0"),
        (&["--max-fail", "120%", "true"], "120%"),
        (&["--quorum", "3", "true"], "2 hosts are chosen"),
        (&["--kill", "true"], "--max-fail"),
        (&["--delay", "1s", "true"], "--batch"),
        (&["-t", "100%", "true"], "more than 100%"),
    ] {
        let _ = fleet.psh(arguments).finish().expect_code(2).expect_stderr(words);
    }
    assert_eq!(fleet.connections(), [0, 0]);
}

#[test]
fn after_too_many_failures_no_host_starts_and_those_that_run_go_on() {
    let fleet = Fleet::new(6);
    let (ready, go) = (fleet.file("ready"), fleet.file("go"));
    let command = format!(
        "if [ $FLEET_INDEX = 0 ]; then touch {ready}; until [ -e {go} ]; do sleep 0.05; done; echo through
         else until [ -e {ready} ]; do sleep 0.05; done; exit 1; fi",
        ready = ready.display(),
        go = go.display(),
    );
    let run = fleet.psh(&["-p", "2", "--max-fail", "1", &command]).start();
    run.wait_for_stderr("more hosts are not fine than --max-fail allows: no more are started; waiting for 1 host");
    fs::write(go, "").unwrap();
    let run = run.finish().expect_code(3).expect_stdout("web01: through");
    run.expect_stderr("web[02-03] (2): exit code 1").expect_stderr("web[04-06] (3): not started: more hosts are not");
    assert_eq!(fleet.connections(), [1, 1, 1, 0, 0, 0]);
}

#[test]
fn kill_stops_what_runs_when_too_many_have_failed() {
    let fleet = Fleet::new(4);
    let marker = processes::unique_sleep();
    let ready = fleet.file("ready");
    let command = format!(
        "if [ $FLEET_INDEX = 0 ]; then touch {ready}; sleep {marker} & sleep {marker}
         else until [ -e {ready} ]; do sleep 0.05; done; exit 1; fi",
        ready = ready.display(),
    );
    let run = fleet.psh(&["-p", "2", "--max-fail", "0", "--kill", &command]).finish().expect_code(3);
    processes::assert_gone(&marker);
    run.expect_stderr("stopping what runs on 1 host;")
        .expect_stderr("web01 (1): cancelled, stopped")
        .expect_stderr("web[03-04] (2): not started");
}

#[test]
fn a_quorum_makes_a_run_with_failures_a_success_and_lists_them() {
    let fleet = Fleet::new(5);
    let command = "[ $FLEET_INDEX != 2 ]";
    fleet.psh(&["--quorum", "80%", command]).finish().expect_code(0).expect_stderr("web03 (1): exit code 1");
    let run = fleet.psh(&["-p", "1", "--quorum", "81%", command]).finish().expect_code(3);
    run.expect_stderr("web[04-05] (2): not started: too many hosts are not fine to reach --quorum");
}

#[test]
fn a_refused_connection_is_tried_again_and_a_refused_login_is_not() {
    let fleet = Fleet::new(3);
    fleet.set_faults("web02", &[Fault::Refuse]);
    fleet.set_faults("web03", &[Fault::AuthRefused]);
    let run = fleet.psh(&["-v", "--retry", "9", "echo fine"]).start();
    run.wait_for_stderr("psh: web02: connect: connection refused; attempt 2 in ");
    fleet.set_faults("web02", &[]);
    let run = run.finish().expect_code(4).expect_stdout("web02: fine").expect_stderr("web03 (1): authentication");
    assert!(run.stderr_text().contains("web02 (1): ok ("), "{run}");
    assert_eq!(fleet.connections(), [1, 1, 1]);
}

#[test]
fn retries_come_to_an_end_and_are_counted() {
    let fleet = Fleet::new(2);
    fleet.set_faults("web01", &[Fault::Refuse]);
    let run = fleet.psh(&["--retry", "1", "true"]).finish().expect_code(4);
    run.expect_stderr("web01 (1): connect: connection refused (2 attempts)");
}

/// Fails the first time on each host, after saying so.
fn fails_once(fleet: &Fleet) -> String {
    let file = fleet.file("tried").display().to_string();
    format!("if mkdir {file}$FLEET_INDEX 2>/dev/null; then printf first; exit 3; else echo second; fi")
}

#[test]
fn a_command_that_fails_is_run_again_only_when_asked_and_its_outputs_are_told_apart() {
    let fleet = Fleet::new(1);
    let run = fleet.psh(&["--retry", "3", &fails_once(&fleet)]).finish().expect_code(5).expect_stdout("web01: first\n");
    run.expect_nowhere("second");
    fs::remove_dir(fleet.file("tried0")).unwrap();
    let run = fleet.psh(&["--retry-command", "3", &fails_once(&fleet)]).finish().expect_code(0);
    assert_eq!(run.stdout_text(), "web01: first\nweb01 (attempt 2): second\n");
    run.expect_stderr("web01 (1): ok (2 attempts)");
    fs::remove_dir(fleet.file("tried0")).unwrap();
    let run = fleet.psh(&["-i", "--retry-command", "3", &fails_once(&fleet)]).finish().expect_code(0);
    assert_eq!(run.stdout_text(), "[1] web01 (attempt 1) exit code 3\nfirst\n[2] web01 (attempt 2) ok\nsecond\n");
}

#[test]
fn each_attempt_has_its_own_objects_and_files() {
    let fleet = Fleet::new(1);
    let command = fails_once(&fleet);
    let run = fleet.psh(&["--json", "-o", "out", "--retry-command", "1", &command]).finish().expect_code(0);
    let outputs: Vec<_> = objects(&run, "output").iter().map(|o| (o["text"].clone(), o["attempt"].clone())).collect();
    assert_eq!(outputs, [("first".into(), Value::Null), ("second\n".into(), 2.into())]);
    let retries = objects(&run, "retry");
    assert_eq!((&retries[0]["attempt"], &retries[0]["reason"]), (&2.into(), &"exit code 3".into()));
    assert_eq!(objects(&run, "finished")[0]["attempts"], 2);
    assert_eq!(objects(&run, "started").len(), 1);
    let read = |name: &str| fs::read_to_string(fleet.env.work().join("out").join(name)).unwrap();
    assert_eq!((read("web01"), read("web01.attempt1")), ("second\n".to_owned(), "first".to_owned()));
}

#[test]
fn a_straggler_alone_is_stopped_and_the_reason_has_the_numbers() {
    let fleet = Fleet::new(4);
    let marker = processes::unique_sleep();
    let command = format!("[ $FLEET_INDEX != 3 ] || sleep {marker}; echo done");
    let run = fleet.psh(&["--timeout", "300%", &command]).finish().expect_code(3);
    processes::assert_gone(&marker);
    assert_eq!(run.stdout_text().matches("done").count(), 3, "{run}");
    run.expect_stderr("web04 (1): timed out after ").expect_stderr("(300% of the median ").expect_stderr("), stopped");
}
