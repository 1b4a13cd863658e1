//! The record of runs, on the embedded fleet: what is known after the death of `psh`, and running again on some hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_tests::{Run, Signal, TestEnv, program};
use serde_json::Value;

/// An embedded fleet in a process of its own, gone with this value.
struct Fleet {
    env: TestEnv,
    dir: String,
}

impl Fleet {
    /// Hosts `web01` and so on, with these faults.
    fn start(hosts: usize, faults: &[&str]) -> Self {
        let env = TestEnv::new();
        let dir = env.path().join("fleet").display().to_string();
        let roles = format!("web={hosts}");
        let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
        env.fleet(["sandbox", "start", "--dir", &dir, "--roles", &roles]).args(faults).finish().expect_code(0);
        Self { env, dir }
    }

    fn psh(&self, arguments: &[&str]) -> Run {
        self.env.psh(arguments).env("FLEET_CONFIG", format!("{}/fleet.toml", self.dir))
    }

    fn history(&self, arguments: &[&str]) -> Run {
        self.env.fleet([&["history"], arguments].concat())
    }

    /// Waits until the table of runs holds `text`: another process writes what it is made of.
    fn wait_for_history(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let table = self.history(&[]).finish().expect_code(0);
            if table.stdout_text().contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no \"{text}\" in {table}");
        }
    }

    fn state(&self) -> PathBuf {
        self.env.home().join(".local/state")
    }

    /// The journals, the oldest first.
    fn journals(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state().join("fleet/runs")).expect("runs are recorded");
        let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
        let mut journals: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).collect();
        journals.sort();
        journals
    }

    /// Where the hosts that a command line chooses are from, as `--list` shows them.
    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let run = self.psh(arguments).arg("--list").finish().expect_code(0);
        run.stdout_text().lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.env.fleet(["sandbox", "stop", "--dir", &self.dir]).finish();
    }
}

fn id_of(journal: &Path) -> String {
    journal.file_stem().expect("a journal has a name").to_string_lossy().into_owned()
}

/// Whether a folder holds `text` anywhere: in a file or in a name.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("a folder can be listed").any(|entry| {
        let path = entry.expect("a folder can be listed").path();
        let inside = || {
            let bytes = fs::read(&path).expect("a file can be read");
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        };
        path.to_string_lossy().contains(text) || if path.is_dir() { holds(&path, text) } else { inside() }
    })
}

#[test]
fn after_the_death_of_psh_its_journal_tells_who_finished_and_who_may_still_run() {
    let fleet = Fleet::start(4, &["web02:refuse"]);
    let command = "[ $FLEET_INDEX = 0 ] && exit 0; echo go; exec sleep 600";
    let run = fleet.psh(&["-g", "web", "-p", "2", command]).start();
    // Two at once: the last is started when the first has ended.
    run.wait_for_stdout("web03: go");
    run.wait_for_stdout("web04: go");
    fleet.wait_for_history("2 running");
    fleet.psh(&["--failed"]).finish().expect_code(2).expect_stderr("is still going on");
    run.signal(Signal::KILL);
    let _ = run.finish();
    let shown = fleet.history(&["show"]).finish().expect_code(0);
    let shown = shown.expect_stdout("4 hosts: 1 ok, 2 unknown, 1 unreachable").expect_stdout("web01 (1): ok");
    let shown = shown.expect_stdout("web02 (1): connect: connection refused");
    shown.expect_stdout("web[03-04] (2): unknown (may still run)").expect_stdout("without a last word");
    fleet.history(&[]).finish().expect_stdout("died");
    let resumed = fleet.psh(&["--resume", "last", "echo again"]).finish().expect_code(4);
    resumed.expect_stderr("3 of 4 hosts; on 2 of them its command may still run").expect_stdout("web03: again");
}

#[test]
fn failed_runs_the_same_command_on_the_hosts_that_were_not_fine() {
    let fleet = Fleet::start(5, &["web05:refuse"]);
    let command = "echo $FLEET_INDEX of $FLEET_COUNT; test -e here || test $FLEET_INDEX -gt 1";
    fleet.psh(&["-g", "web", command]).finish().expect_code(4);
    fleet.psh(&["-H", "web02", "--no-record", "touch here"]).finish().expect_code(0);
    let again = fleet.psh(&["--failed"]).finish().expect_code(4);
    assert_eq!(again.sorted_lines(), ["web01: 0 of 5", "web02: 1 of 5"], "a share is taken by the same numbers");
    again.expect_stderr("3 of 5 hosts; again: echo $FLEET_INDEX").expect_stderr("1 ok, 1 failed, 1 unreachable");
    let again = fleet.psh(&["--failed", "-x", "web05"]).finish().expect_code(5);
    assert_eq!(again.sorted_lines(), ["web01: 0 of 5"]);
    let other = fleet.psh(&["--failed", "echo", "$FLEET_INDEX of $FLEET_COUNT"]).finish().expect_code(0);
    assert_eq!(other.sorted_lines(), ["web01: 0 of 1"], "another command counts its own hosts");
    fleet.psh(&["--failed"]).finish().expect_code(2).expect_stderr("the only host of run").expect_stderr("was fine");
}

#[test]
fn a_former_run_is_chosen_by_its_id_and_its_hosts_by_their_fate() {
    let fleet = Fleet::start(5, &["web05:refuse"]);
    fleet.psh(&["-g", "web", "exit $((FLEET_INDEX == 1 ? 7 : FLEET_INDEX == 2 ? 9 : 0))"]).finish().expect_code(4);
    let first = id_of(&fleet.journals()[0]);
    fleet.psh(&["-H", "web01", "true"]).finish().expect_code(0);
    let part = first.rsplit('-').next().expect("an id has parts");
    for (arguments, hosts) in [
        (vec!["--resume", part], vec!["web02", "web03", "web05"]),
        (vec!["--resume", &first, "--only", "exit=7"], vec!["web02"]),
        (vec!["--resume", part, "--only", "exit=9,unreachable"], vec!["web03", "web05"]),
        (vec!["--resume", part, "--only", "stage=connect"], vec!["web05"]),
        (vec!["--resume", part, "-H", "web01,web02"], vec!["web02"]),
        (vec!["--resume", part, "--limit", "2"], vec!["web02", "web03"]),
        (vec!["--only", "ok"], vec!["web01"]),
    ] {
        assert_eq!(fleet.listed(&arguments), hosts, "{arguments:?}");
    }
    for (arguments, message) in [
        (vec!["--failed"], "the only host of run"),
        (vec!["--resume", part, "--only", "timed-out"], "is meant by --only timed-out"),
        (vec!["--resume", part, "--only", "ok"], "is meant by --only ok"),
        (vec!["--resume", part, "-H", "web01"], "no hosts are selected: run"),
        (vec!["--resume", "ffff"], "there is no run \"ffff\""),
        (vec!["--only", "fine"], "expected exit=CODE"),
    ] {
        fleet.psh(&arguments).finish().expect_code(2).expect_stderr(message);
    }
    assert_eq!(fleet.journals().len(), 2, "what did not run is not recorded");
}

#[test]
fn no_host_to_run_on_is_never_a_success() {
    let fleet = Fleet::start(2, &[]);
    fleet.psh(&["--failed", "true"]).finish().expect_code(2).expect_stderr("no run of psh is recorded");
    fleet.psh(&["-g", "web", "true"]).finish().expect_code(0);
    fleet.psh(&["--failed", "true"]).finish().expect_code(2).expect_stderr("all 2 hosts of run");
}

#[test]
fn secrets_are_not_recorded_and_have_to_be_given_again() {
    let fleet = Fleet::start(1, &[]);
    let arguments =
        ["-H", "web01", "--env", "TOKEN=hunter2", "--env=PIN=hunter2", "--record-output", "test \"$PIN\" = 1"];
    fleet.psh(&arguments).finish().expect_code(5);
    assert!(!holds(&fleet.state(), "hunter2"));
    fleet.history(&["show"]).finish().expect_stdout("--env TOKEN=… --env=PIN=…").expect_nowhere("hunter2");
    let refused = fleet.psh(&["--failed", "--env", "PIN=1"]).finish().expect_code(2);
    refused.expect_stderr("it had --env TOKEN, and values are not recorded");
    fleet.psh(&["--failed", "--env", "PIN=1", "--env", "TOKEN=x"]).finish().expect_code(0);
}

#[test]
fn what_was_read_from_standard_input_has_to_be_given_again() {
    let fleet = Fleet::start(1, &[]);
    fleet.psh(&["-H", "web01", "-I", "grep -q yes"]).stdin("no\n").finish().expect_code(5);
    fleet.psh(&["--failed"]).finish().expect_code(2).expect_stderr("it read our standard input");
    fleet.psh(&["--failed", "-I"]).stdin("yes\n").finish().expect_code(0);
}

#[test]
fn the_flags_that_shape_the_command_and_the_login_hold_again() {
    let fleet = Fleet::start(1, &[]);
    let arguments = ["-H", "web01", "-l", "nobody", "--argv", "sh", "-c", "echo \"<$0>\"; exit 3", "a  b"];
    fleet.psh(&arguments).finish().expect_code(5).expect_stdout("<a  b>");
    fleet.psh(&["--failed"]).finish().expect_code(5).expect_stdout("<a  b>");
    fleet.history(&["show", "last", "--json"]).finish().expect_stdout("\"from\"");
    let journals = fleet.journals();
    let line = |journal: &PathBuf| fs::read_to_string(journal).expect("a journal").lines().next().map(str::to_owned);
    let user = "\"connection\":{\"user\":\"nobody\"}";
    for journal in &journals {
        assert!(line(journal).is_some_and(|line| line.contains(user) && line.contains("\"argv\":true")));
    }
    assert_eq!(journals.len(), 2);
}

#[test]
fn scripts_have_to_be_given_again_and_placeholders_are_filled_again() {
    let fleet = Fleet::start(2, &[]);
    fleet.env.write("work/deploy", "echo \"<$1>\"; exit 3\n");
    fleet.psh(&["-H", "web01", "--script", "deploy", "a  b"]).finish().expect_code(5).expect_stdout("<a  b>");
    fleet.history(&["show"]).finish().expect_stdout("--script deploy 'a  b'");
    let refused = fleet.psh(&["--failed"]).finish().expect_code(2);
    refused.expect_stderr("it was the script deploy").expect_nowhere("<a  b>");
    let again = fleet.psh(&["--failed", "--script", "deploy", "c"]).finish().expect_code(5);
    again.expect_stderr("1 of 1 hosts").expect_stdout("<c>");
    fleet.psh(&["-g", "web", "--template", "echo {host}; exit {index}"]).finish().expect_code(5);
    let again = fleet.psh(&["--failed"]).finish().expect_code(5);
    assert_eq!(again.sorted_lines(), ["web02: web02"], "{again}");
}

#[test]
fn a_job_is_started_again_as_one_and_looking_after_it_is_no_command() {
    let fleet = Fleet::start(1, &[]);
    let state = format!("XDG_STATE_HOME={}", fleet.env.path().join("jobs").display());
    let arguments = ["-H", "web01", "--background", "--env", &state, "echo done"];
    fleet.psh(&arguments).finish().expect_code(0).expect_stdout("job ");
    let again = fleet.psh(&["--only", "ok", "--env", &state]).finish().expect_code(0);
    again.expect_stdout("job ").expect_nowhere("web01: done");
    fleet.psh(&["-H", "web01", "--collect", "20261122-0401-ab12"]).finish().expect_code(4);
    fleet.history(&["show"]).finish().expect_stdout("--collect 20261122-0401-ab12");
    fleet.psh(&["--failed"]).finish().expect_code(2).expect_stderr("its record does not have all of it");
    let jobs = fleet.psh(&["--failed", "--jobs"]).finish().expect_code(0);
    jobs.expect_stderr("1 of 1 hosts");
}

#[test]
fn two_runs_at_once_have_a_record_each() {
    let fleet = Fleet::start(2, &[]);
    let runs: Vec<_> = (0..4).map(|_| fleet.psh(&["-g", "web", "exit 3"]).start()).collect();
    runs.into_iter().for_each(|run| drop(run.finish().expect_code(5)));
    let journals = fleet.journals();
    assert_eq!(journals.len(), 4);
    for journal in journals {
        let shown = fleet.history(&["show", &id_of(&journal)]).finish().expect_code(0);
        shown.expect_stdout("web[01-02] (2): exit code 3");
    }
}

#[test]
fn a_record_that_cannot_be_kept_is_said_and_the_run_goes_on() {
    let fleet = Fleet::start(1, &[]);
    let file = fleet.env.write("file", "");
    let state = file.join("state").display().to_string();
    let unrecorded = |arguments: &[&str]| fleet.psh(arguments).env("XDG_STATE_HOME", &state).finish();
    let run = unrecorded(&["-H", "web01", "echo done"]).expect_code(0).expect_stdout("web01: done");
    let text =
        run.expect_stderr("psh: this run is not recorded: cannot use the folder of records").stderr_text().into_owned();
    assert!(text.ends_with("psh: this run is not recorded\n"), "also below the summary: {text}");
    unrecorded(&["-H", "web01", "--no-record", "true"]).expect_code(0).expect_nowhere("record");
    let asked = unrecorded(&["-H", "web01", "--record-output", "echo done"]).expect_code(1);
    asked.expect_stderr("cannot use the folder of records").expect_nowhere("web01: done");
}

#[test]
fn the_settings_can_keep_runs_from_being_recorded() {
    let fleet = Fleet::start(1, &[]);
    fleet.psh(&["-H", "web01", "true"]).env("FLEET_RECORD", "false").finish().expect_code(0);
    assert!(!fleet.state().exists());
    let run = fleet.psh(&["-H", "web01", "--record-output", "true"]).env("FLEET_RECORD", "false").finish();
    let _ = run.expect_code(0);
    assert_eq!(fleet.journals().len(), 1, "the nearest word counts");
}

#[test]
fn fifty_runs_are_kept() {
    let fleet = Fleet::start(1, &[]);
    for _ in 0..51 {
        fleet.psh(&["-H", "web01", "-q", "true"]).finish().expect_code(0);
    }
    assert_eq!(fleet.journals().len(), 50);
}

#[test]
fn history_tells_two_runs_apart_by_outcome_and_by_output() {
    let fleet = Fleet::start(3, &[]);
    let run = |command: &str| {
        let _ = fleet.psh(&["-g", "web", "--record-output", command]).finish();
        id_of(fleet.journals().last().expect("it is recorded"))
    };
    let before = run("echo same; test $FLEET_INDEX != 0 || exit 7");
    let after = run("test $FLEET_INDEX = 2 && echo other || echo same; test $FLEET_INDEX != 1");
    let diff = fleet.history(&["diff", &before]).finish().expect_code(0);
    let diff = diff.expect_stdout("web01 (1): exit code 7 -> ok").expect_stdout("web02 (1): ok -> exit code 1");
    diff.expect_stdout("web03 (1): other output").expect_stdout("1 of 3 hosts in both ended as before");
    let diff = fleet.history(&["diff", &before, &after, "--json"]).finish().expect_code(0);
    diff.expect_stdout("\"other_output\":[\"web03\"]").expect_stdout("\"host\":\"web01\"");
    let shown = fleet.history(&["show", &after, "--output"]).finish().expect_code(0);
    assert_eq!(shown.stdout_text(), "[1] web01 ok\nsame\n[2] web02 exit code 1\nsame\n[3] web03 ok\nother\n");
    fleet.history(&["diff", &before, &before]).finish().expect_code(2).expect_stderr("both are run");
    fleet.psh(&["-g", "web", "echo same"]).finish().expect_code(0);
    fleet.history(&["show", "--output"]).finish().expect_code(2).expect_stderr("was not kept");
    fleet.history(&["diff", &before, "--json"]).finish().expect_code(0).expect_nowhere("other_output");
}

#[test]
fn what_stands_in_a_record_does_not_reach_a_terminal_as_it_is() {
    let fleet = Fleet::start(1, &[]);
    fleet.psh(&["-H", "web01", "--record-output", "printf 'a\\033[2Jb'; : \u{1b}[31m"]).finish().expect_code(0);
    for arguments in [&[][..], &["show"], &["show", "--output"], &["show", "--json"], &["diff", "last"]] {
        fleet.history(arguments).on_terminal().finish().expect_nowhere("\u{1b}");
    }
    fleet.history(&["show", "--output"]).finish().expect_stdout("a\u{1b}[2Jb");
}

#[test]
fn json_names_the_record_of_the_run() {
    let fleet = Fleet::start(2, &[]);
    let first = |arguments: &[&str]| -> Value {
        let run = fleet.psh(arguments).finish();
        serde_json::from_str(run.stdout_text().lines().next().expect("a first line")).expect("JSON")
    };
    let run = first(&["-g", "web", "--json", "exit $FLEET_INDEX"]);
    let id = run["run"].as_str().expect("the name of the record");
    assert_eq!(fleet.listed(&["--resume", id]), ["web02"]);
    assert!(first(&["-g", "web", "--json", "--no-record", "true"]).get("run").is_none());
}

#[test]
fn output_that_is_cut_is_said_and_the_record_has_the_rest() {
    let fleet = Fleet::start(1, &[]);
    let shell = |script: &str| fleet.env.run(&program("sh"), ["-c", script]);
    shell("mkfifo shown").finish().expect_code(0);
    // Nothing is written before the end; then it is more than a pipe holds, and nobody takes it.
    let psh = shell("exec 3<>shown; exec \"$0\" \"$@\" >shown").arg(fleet.env.psh_path());
    let psh = psh.args(["-g", "web", "-d", "head -c 1000000 /dev/zero"]);
    let run = psh.env("FLEET_CONFIG", format!("{}/fleet.toml", fleet.dir)).start();
    shell("head -c 1 shown").finish().expect_code(0);
    run.signal(Signal::INT);
    let run = run.finish().expect_code(3);
    run.expect_stderr("psh: error: output cut: a signal came before all of it was written")
        .expect_stderr(&format!("`fleet history show {}` says how each host ended", id_of(&fleet.journals()[0])));
    fleet.history(&["show"]).finish().expect_code(0).expect_stdout("1 host: 1 ok");
}
