//! `fleet svc`: services start, are looked after and stop on real servers, and nothing of them is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Instant;

use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Dropbear, Finished, Fleet, PATIENCE, Run, Running, Server, Signal, Sshd, TestEnv, processes};
use rustix::process::{Pid, kill_process};

/// A unit is a file; what its processes have in common is a variable, where systemd has a control group.
const SYSTEMD_RUN: &str = r#"#!/bin/sh
whose=system
while :; do
  case $1 in
    --user) whose=user ;;
    --quiet) ;;
    --unit=*) unit=${1#--unit=}.service ;;
    *) break ;;
  esac
  shift
done
[ -e "UNITS/$unit" ] && { echo "Unit $unit was already loaded." >&2; exit 1; }
echo "$whose $unit" >>UNITS/log
: >"UNITS/$unit"
cd /
umask 022
env -i PATH="$PATH" setsid sh -c '
  unit=$1
  shift
  env -i PATH=/usr/bin:/bin STAND_IN="$unit" "$@"
  PROGRAMS/systemctl stop --no-block "$unit"
  while PROGRAMS/systemctl has "$unit"; do sleep 0.1; done
  rm "UNITS/$unit"' sh "$unit" "$@" </dev/null >/dev/null 2>&1 &
"#;
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" = --user ] && shift
verb=$1
shift
case $1 in --*) shift ;; esac
processes() { grep -lsF "STAND_IN=$1" /proc/[0-9]*/environ | cut -d/ -f3; }
case $verb in
  is-system-running) cat UNITS/state ;;
  is-active) if [ -e "UNITS/$1" ]; then echo active; else echo inactive; fi ;;
  stop) kill -TERM $(processes "$1") ;;
  kill) kill -KILL $(processes "$1") ;;
  has) [ "$(processes "$1")" ] ;;
  reset-failed) ;;
  *) exit 1 ;;
esac 2>/dev/null
"#;
const LOGINCTL: &str = "#!/bin/sh\necho Linger=$(cat UNITS/linger)\n";

/// A host, `web01`, whose services are in a folder of the test.
struct World {
    env: TestEnv,
    server: Server,
}

impl World {
    fn new() -> Self {
        Self::in_env(TestEnv::new(), accounts::plain(), "")
    }

    /// With stand-ins for the programs of systemd, for the account `user`. In this machine none can run.
    fn with_systemd(user: &str) -> Self {
        let env = TestEnv::new();
        let units = env.shared().join("units");
        fs::create_dir(&units).expect("a folder in the test's own");
        fs::set_permissions(&units, fs::Permissions::from_mode(0o777)).expect("a folder for all");
        let programs = env.path().join("systemd");
        for (name, text) in [("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)] {
            let text = text.replace("UNITS", &units.display().to_string());
            let text = text.replace("PROGRAMS", &programs.display().to_string());
            let path = env.write(&format!("systemd/{name}"), text);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program of the test");
        }
        let variables = format!("PATH={}:/usr/bin:/bin", programs.display());
        let world = Self::in_env(env, user, &variables);
        world.set_systemd("running", "yes");
        world
    }

    fn in_env(env: TestEnv, user: &str, variables: &str) -> Self {
        let variables = format!("XDG_STATE_HOME={}/state {variables}", env.shared().display());
        let server = Sshd::new(&env).named("web01").user(user).option("SetEnv", &variables).start();
        Self { env, server }
    }

    /// What systemd says of itself, and whether the user lingers.
    fn set_systemd(&self, state: &str, linger: &str) {
        for (name, value) in [("state", state), ("linger", linger)] {
            fs::write(self.env.shared().join("units").join(name), value).expect("write a file of the test");
        }
    }

    /// `fleet svc` with these words, on that host.
    fn run(&self, words: &[&str]) -> Run {
        let (verb, words) = words.split_first().expect("a subcommand");
        self.env.fleet(["svc", verb, "-H", "web01"]).args(words)
    }

    fn svc(&self, words: &[&str]) -> Finished {
        self.run(words).finish()
    }

    fn file(&self, service: &str, name: &str) -> String {
        fs::read_to_string(self.folder(service).join(name)).unwrap_or_default()
    }

    fn folder(&self, service: &str) -> PathBuf {
        self.env.shared().join("state/fleet/services").join(service)
    }

    /// The process that watches over a service.
    fn watcher(&self, service: &str) -> Pid {
        let process = self.file(service, "process");
        let number = process.split(' ').next().and_then(|number| number.parse().ok());
        number.and_then(Pid::from_raw).expect("the number of a process")
    }

    /// The mark of all processes of a service.
    fn mark(&self, service: &str) -> String {
        self.file(service, "process").split(' ').nth(2).expect("the mark of a service").to_owned()
    }

    fn wait_for_file(&self, service: &str, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.file(service, name).is_empty() {
            assert!(Instant::now() < deadline, "{service} has no {name}");
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.svc(&["stop", "--all"]);
    }
}

/// Whether a process has the mark in its environment.
fn is_marked(mark: &str) -> bool {
    let mark = format!("FLEET_JOB={mark}");
    let environments = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let environments = environments.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
    environments.into_iter().any(|text| text.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()))
}

#[test]
fn a_service_outlives_us_and_is_looked_after_by_its_name() {
    let world = World::new();
    let marker = processes::unique_sleep();
    let line = format!("echo one $FLEET_HOST $A; echo two >&2; echo three; exec sleep {marker}");
    world.svc(&["start", "web", "--env", "A=it's", "--", &line]).expect_code(0).expect_stderr("web started, by=setsid");
    processes::wait_for_command(&format!("sleep {marker}"));
    let watcher = world.watcher("web");
    assert_eq!(rustix::process::getsid(Some(watcher)).ok(), Some(watcher), "it leads a session of its own");

    let pid = world.file("web", "pid");
    let status = world.svc(&["status", "web"]).expect_code(0);
    assert!(status.stdout_text().starts_with(&format!("web01: running pid={} since=2", pid.trim())), "{status}");
    world.svc(&["ls"]).expect_code(0).expect_stdout("web01: web  running pid=").expect_stdout("  echo one $FLEET_HOST");
    let logs = world.svc(&["logs", "web", "--no-prefix"]).expect_code(0);
    assert_eq!(logs.stdout_text(), "one web01 it's\ntwo\nthree\n", "in their order: {logs}");
    assert_eq!(world.svc(&["logs", "web", "-n", "1", "--no-prefix"]).stdout_text(), "three\n");

    world.svc(&["rm", "web"]).expect_code(5).expect_stderr("it runs");
    world.svc(&["stop", "web"]).expect_code(0).expect_stderr("stopped web");
    assert!(processes::find(&marker).is_empty());
    world.svc(&["status", "web"]).expect_code(5).expect_stderr("it does not run: stopped (signal TERM)");
    world.svc(&["logs", "web"]).expect_code(0).expect_stdout("web01: three");
    world.svc(&["stop", "web"]).expect_code(0).expect_stderr("nothing ran");
    world.svc(&["rm", "web"]).expect_code(0);
    for verb in ["status", "logs", "stop", "rm"] {
        world.svc(&[verb, "web"]).expect_code(5).expect_stderr("no such service").expect_stderr("fleet svc ls");
    }
    assert_eq!(world.svc(&["ls"]).expect_code(0).stdout_text(), "");
}

#[test]
fn a_service_that_ends_at_once_is_a_failure_with_its_last_words() {
    let world = World::new();
    let line = "for n in $(seq 30); do echo line $n; done; echo 'no such file' >&2; exit 7";
    let run = world.svc(&["start", "web", "--settle", "60s", "--", line]).expect_code(5);
    let run = run.expect_stderr("it has ended within 1m: exited 7").expect_stderr("web01: no such file");
    run.expect_stderr("line 12").expect_nowhere("line 11\n");
    world.svc(&["status", "web"]).expect_code(5).expect_stderr("exited 7");

    world.svc(&["start", "web", "--settle", "60s", "--", "kill -TERM $$"]).expect_stderr("stopped (signal TERM)");
    // What goes to the background by itself, and ends, has left something that nobody looks after.
    let marker = processes::unique_sleep();
    for environment in ["", "env -i"] {
        let daemon = format!("{environment} setsid sleep {marker} & exit 0");
        let run = world.svc(&["start", "web", "--settle", "60s", "--", &daemon]).expect_code(5);
        run.expect_stderr("exited 0").expect_stderr("stays in the foreground");
        assert!(processes::find(&marker).is_empty(), "{environment}");
    }
    // Nobody waits, nobody knows.
    world.svc(&["start", "other", "--settle", "0", "--", "exit 7"]).expect_code(0);
    world.wait_for_file("other", "status");
    world.svc(&["status", "other"]).expect_code(5).expect_stderr("exited 7");
}

#[test]
fn a_second_start_is_refused_unless_it_replaces_the_first() {
    let world = World::new();
    let [first, second] = [(); 2].map(|()| processes::unique_sleep());
    let start = |more: &[&str], marker: &str| {
        world.svc(&[&["start", "web"], more, &["--", &format!("echo {marker}; exec sleep {marker}")]].concat())
    };
    start(&[], &first).expect_code(0);
    let pid = world.file("web", "pid");
    let refused = start(&[], &second).expect_code(5).expect_stderr("it runs already").expect_stderr("--replace");
    refused.expect_stderr(&format!("running pid={} since=2", pid.trim()));
    assert!(processes::find(&second).is_empty());

    start(&["--replace"], &second).expect_code(0);
    assert!(processes::find(&first).is_empty());
    let logs = world.svc(&["logs", "web", "--no-prefix"]);
    assert_eq!(logs.stdout_text(), format!("{second}\n"), "the log is that of the second: {logs}");
    kill_process(world.watcher("web"), Signal::KILL).expect("what watches over it can be killed");
    // Nobody watches over it any more, but it runs: it is not started twice.
    let third = processes::unique_sleep();
    start(&[], &third).expect_code(0);
    assert!(processes::find(&second).is_empty());
    processes::wait_for_command(&format!("sleep {third}"));
    let left: Vec<_> = fs::read_dir(world.folder("")).expect("the services").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn of_starts_at_the_same_time_one_is_first_and_the_others_are_refused() {
    let world = World::new();
    let marker = processes::unique_sleep();
    let line = format!("exec sleep {marker}");
    let runs: Vec<_> = (0..6).map(|_| world.run(&["start", "web", "--", &line]).start()).collect();
    let runs: Vec<_> = runs.into_iter().map(Running::finish).collect();
    let (first, others): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.stderr_text().contains("web started"));
    assert_eq!(first.len(), 1, "{others:?}");
    for other in others {
        let other = other.expect_code(5);
        let text = other.stderr_text();
        assert!(text.contains("it runs already") || text.contains("somebody else starts one"), "{other}");
    }
    assert_eq!(
        processes::find(&format!("sleep {marker}"))
            .iter()
            .filter(|one| one.command == format!("sleep {marker}"))
            .count(),
        1
    );
}

#[test]
fn whatever_starts_and_stops_at_the_same_time_all_that_runs_is_known() {
    let world = World::new();
    let marker = processes::unique_sleep();
    let line = format!("exec sleep {marker}");
    for replace in ["--replace", "--json"] {
        let starts = (0..4).map(|_| world.run(&["start", "web", replace, "--settle", "0", "--", &line]).start());
        let mut runs: Vec<Running> = starts.collect();
        runs.push(world.run(&["stop", "--all"]).start());
        runs.into_iter().for_each(|run| drop(run.finish()));
        world.svc(&["stop", "--all"]).expect_code(0);
        let left = processes::find(&format!("sleep {marker}"));
        assert!(left.iter().all(|one| one.command != format!("sleep {marker}")), "{replace}");
        assert_eq!(
            fs::read_dir(world.folder("web").parent().expect("of all services")).expect("the folder").count(),
            1,
            "{replace}"
        );
    }
}

#[test]
fn what_a_service_is_told_hides_it_from_nobody() {
    let world = World::new();
    let marker = processes::unique_sleep();
    let elsewhere = world.env.shared().display().to_string();
    let line = format!("echo \"$HOME $XDG_STATE_HOME $PATH\"; exec /bin/sleep {marker}");
    let told = [format!("HOME={elsewhere}"), format!("XDG_STATE_HOME={elsewhere}/x"), "PATH=/nowhere".to_owned()];
    let told: Vec<&str> = told.iter().flat_map(|one| ["--env", one]).collect();
    world.svc(&[&["start", "web"][..], &told, &["--", &line]].concat()).expect_code(0);
    world.svc(&["logs", "web"]).expect_stdout(&format!("{elsewhere} {elsewhere}/x /nowhere\n"));
    world.svc(&["ls"]).expect_code(0).expect_stdout("web  running");
    world.svc(&["stop", "--all"]).expect_code(0).expect_stderr("stopped web");
}

#[test]
fn a_process_of_an_earlier_start_of_the_system_is_not_taken_for_a_service() {
    let world = World::new();
    let marker = processes::unique_sleep();
    world.svc(&["start", "web", "--", &format!("exec sleep {marker}")]).expect_code(0);
    let process = world.file("web", "process");
    let (words, _) = process.trim().rsplit_once(' ').expect("the id of the system's start is the last word");
    fs::write(world.folder("web").join("process"), format!("{words} another\n")).expect("change it");
    world.svc(&["status", "web"]).expect_code(5).expect_stderr("died without a word");
    world.svc(&["stop", "--all"]).expect_code(0).expect_stderr("nothing ran");
    processes::wait_for_command(&format!("sleep {marker}"));
    fs::write(world.folder("web").join("process"), process).expect("change it back");
    world.svc(&["stop", "--all"]).expect_code(0).expect_stderr("stopped web");
}

#[test]
fn stop_all_leaves_nothing_of_ours_on_the_host() {
    let world = World::new();
    let marker = processes::unique_sleep();
    let stubborn =
        format!("trap '' TERM HUP; setsid sleep {marker} & (sleep {marker} &) ; sleep {marker}; sleep {marker}");
    let runaway = format!("setsid sleep {marker} & exit 3");
    let plain = format!("exec sleep {marker}");
    for (name, line) in [("stubborn", &stubborn), ("runaway", &runaway), ("plain", &plain), ("orphan", &stubborn)] {
        world.svc(&["start", name, "--settle", "0", "--", line]).expect_code(0);
    }
    world.wait_for_file("runaway", "status");
    processes::wait_for(&format!("sleep {marker}"), 8);
    kill_process(world.watcher("orphan"), Signal::KILL).expect("what watches over it can be killed");
    world.svc(&["status", "orphan"]).expect_code(5).expect_stderr("died without a word");
    let marks = ["stubborn", "runaway", "plain", "orphan"].map(|name| world.mark(name));
    assert!(marks.iter().all(|mark| is_marked(mark)));

    world
        .svc(&["stop", "--all", "--grace", "1s"])
        .expect_code(0)
        .expect_stderr("stopped ")
        .expect_stderr("stubborn")
        .expect_stderr("runaway")
        .expect_stderr("orphan");
    assert!(processes::find(&marker).is_empty());
    assert!(!marks.iter().any(|mark| is_marked(mark)));
    world.svc(&["status", "stubborn"]).expect_stderr("stopped (signal KILL)");
    world.svc(&["stop", "--all"]).expect_code(0).expect_stderr("nothing ran");
}

#[test]
fn a_start_that_is_cut_off_leaves_nothing_running() {
    let world = World::new();
    for end in [Signal::INT, Signal::KILL] {
        let marker = processes::unique_sleep();
        let run = world.run(&["start", "web", "--settle", "1h", "--", &format!("exec sleep {marker}")]).start();
        processes::wait_for_command(&format!("sleep {marker}"));
        run.signal(end);
        let run = run.finish();
        if end == Signal::INT {
            run.expect_code(3).expect_stderr("cancelled, stopped");
        }
        processes::assert_gone(&marker);
        world.svc(&["ls"]).expect_stdout("web  ").expect_nowhere("running");
        world.svc(&["rm", "web"]).expect_code(0);
    }
    let marker = processes::unique_sleep();
    let connections = world.server.connections();
    let run = world.run(&["start", "web", "--settle", "1h", "--", &format!("exec sleep {marker}")]).start();
    processes::wait_for_command(&format!("sleep {marker}"));
    world.server.cut(connections);
    run.finish().expect_code(4);
    processes::assert_gone(&marker);
    world.svc(&["ls"]).expect_stdout("web  ").expect_nowhere("running");
}

#[test]
fn a_service_runs_in_the_folder_that_is_named_or_nowhere() {
    let world = World::new();
    let folder = world.env.shared().join("it's a folder");
    fs::create_dir(&folder).expect("a folder in the test's own");
    let folder = folder.display().to_string();
    world.svc(&["start", "web", "--settle", "0", "--cwd", &folder, "--", "pwd"]).expect_code(0);
    world.wait_for_file("web", "log");
    assert_eq!(world.file("web", "log"), format!("{folder}\n"));
    let missing = format!("{folder}/missing");
    world
        .svc(&["start", "x", "--cwd", &missing, "--", "pwd"])
        .expect_code(5)
        .expect_stderr(&format!("there is no folder {missing} that can be entered"));
    assert!(!world.folder("x").exists());
}

#[test]
fn a_log_is_followed_until_ctrl_c() {
    let world = World::new();
    let go = world.env.shared().join("go");
    let line =
        format!("echo before; while [ ! -e {} ]; do sleep 0.05; done; echo after; exec sleep 1000", go.display());
    world.svc(&["start", "web", "--", &line]).expect_code(0);
    let run = world.run(&["logs", "web", "-f"]).start();
    run.wait_for_stdout("web01: before");
    fs::write(&go, "").expect("let the service go on");
    run.wait_for_stdout("web01: after");
    run.signal(Signal::INT);
    run.finish().expect_code(3);
    world.svc(&["status", "web"]).expect_code(0);
}

#[test]
fn equal_answers_are_grouped_and_every_event_is_json() {
    let env = TestEnv::new();
    let servers: Vec<_> = ["a1", "a2"]
        .map(|name| {
            let state = format!("XDG_STATE_HOME={}/{name}", env.shared().display());
            Sshd::new(&env).named(name).option("SetEnv", &state).start()
        })
        .into();
    let svc = |words: &[&str]| env.fleet(["svc"]).args(words).args(["-H", "a[1-2]"]).finish();
    env.fleet(["svc", "start", "web", "-H", "a[1-2]", "--", "exec sleep 1000"]).finish().expect_code(0);
    let status = svc(&["status", "web", "-d", "--dedup-ignore", "pid,time"]).expect_code(0);
    assert_eq!(status.stdout_text().matches("running").count(), 1, "{status}");
    svc(&["ls", "--json"]).expect_code(0).expect_stdout("\"event\":\"output\"").expect_stdout("web  running");
    env.fleet(["svc", "stop", "web", "-H", "a2"]).finish().expect_code(0);
    svc(&["status", "web", "--json"]).expect_code(5).expect_stdout("\"class\":\"service\"");
    svc(&["stop", "--all"]).expect_code(0).expect_stderr("a1 (1): stopped web").expect_stderr("a2 (1): nothing ran");
    drop(servers);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_contacted() {
    let world = World::new();
    for name in ["../x", "", ".x", "a b", "$(id)", &"x".repeat(65)] {
        world.svc(&["start", name, "--", "true"]).expect_code(2).expect_stderr("cannot be the name of a service");
        world.svc(&["status", name]).expect_code(2);
    }
    for words in [
        &["start", "web"][..],
        &["start", "web", "--", ""],
        &["start", "web", "--env", "1A=x", "--", "true"],
        &["start", "web", "--settle", "soon", "--", "true"],
        &["stop"],
        &["stop", "web", "--all"],
        &["logs", "web", "-n", "many"],
        &["status", "web", "--sudo=-u"],
    ] {
        let _ = world.svc(words).expect_code(2);
    }
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn services_of_another_user_are_looked_after_by_sudo() {
    let account = Throwaway::with_shell("/bin/dash");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let other = Throwaway::with_shell("/bin/false");
    let env = TestEnv::new();
    let _server = Sshd::new(&env).user(account.name()).start();
    let sudo = format!("--sudo={}", other.name());
    let svc = |words: &[&str]| env.fleet(["svc", words[0], "-H", "server", &sudo]).args(&words[1..]).finish();
    let marker = processes::unique_sleep();
    svc(&["start", "web", "--", &format!("id -un; trap '' TERM; sleep {marker}; sleep {marker}")]).expect_code(0);
    assert!(other.home().join(".local/state/fleet/services/web").exists());
    svc(&["logs", "web"]).expect_code(0).expect_stdout(other.name());
    svc(&["status", "web"]).expect_code(0).expect_stdout("running");
    env.fleet(["svc", "status", "web", "-H", "server"]).finish().expect_code(5).expect_stderr("no such service");
    svc(&["stop", "--all", "--grace", "1s"]).expect_code(0).expect_stderr("stopped web");
    assert!(processes::find(&marker).is_empty());
}

#[test]
fn services_live_on_dropbear() {
    let env = TestEnv::new();
    let _server = Dropbear::new(&env).start();
    let marker = processes::unique_sleep();
    let svc = |words: &[&str]| env.fleet(["svc", words[0], "-H", "server"]).args(&words[1..]).finish();
    let line = format!("echo it\\'s \"$FLEET_HOST\"; sleep {marker}");
    svc(&["start", "web", "--", &line]).expect_code(0);
    svc(&["start", "web", "--replace", "--", &line]).expect_code(0);
    svc(&["logs", "web"]).expect_code(0).expect_stdout("server: it's server\n");
    svc(&["status", "web"]).expect_code(0);
    svc(&["stop", "--all"]).expect_code(0);
    assert!(processes::find(&format!("sleep {marker}")).is_empty());
    svc(&["rm", "web"]).expect_code(0);
}

#[test]
fn every_host_of_a_sandbox_has_services_of_its_own() {
    let sandbox = Fleet::start(&["-n", "3", "--roles", "web=3"]);
    let marker = processes::unique_sleep();
    sandbox.fleet(&["partition", "-g", "web", "front=1", "back=rest"]).finish().expect_code(0);
    let line = format!("echo on $FLEET_HOST, $FLEET_ROLE $FLEET_ROLE_INDEX of $FLEET_ROLE_SIZE; exec sleep {marker}");
    let svc = |words: &[&str]| sandbox.fleet(&["svc", words[0], "-g", "web"]).args(&words[1..]).finish();
    svc(&["start", "web", "--", &line]).expect_code(0).expect_stderr("web[01-03] (3): web started");
    svc(&["logs", "web"]).expect_code(0).expect_stdout("web03: on web03, back 1 of 2\n");
    svc(&["stop", "--all"]).expect_code(0).expect_stderr("web[01-03] (3): stopped web");
    processes::assert_gone(&marker);
    // Who is cut off while it watches stops what it has started, here too.
    let line = format!("exec sleep {marker}");
    let run = sandbox.fleet(&["svc", "start", "-H", "web01", "cut", "--settle", "1h", "--", &line]).start();
    processes::wait_for_command(&format!("sleep {marker}"));
    run.signal(Signal::KILL);
    let _ = run.finish();
    processes::assert_gone(&marker);
    // With its hosts all ends that runs on them, as with machines.
    svc(&["start", "last", "--", &line]).expect_code(0);
    processes::wait_for(&format!("sleep {marker}"), 3);
    sandbox.stop().expect_code(0);
    assert!(processes::find(&marker).is_empty());
}

#[test]
fn a_login_shell_of_any_kind_has_its_commands_run() {
    for shell in ["/usr/bin/fish", "/bin/tcsh", "/usr/bin/zsh", "/bin/mksh"] {
        let account = Throwaway::with_shell(shell);
        let env = TestEnv::new();
        let _server = Sshd::new(&env).user(account.name()).start();
        let svc = |words: &[&str]| env.fleet(["svc", words[0], "-H", "server"]).args(&words[1..]).finish();
        let marker = processes::unique_sleep();
        svc(&["start", "web", "--", &format!("echo \"in $SHELL\"; exec sleep {marker}")]).expect_code(0);
        svc(&["logs", "web"]).expect_code(0).expect_stdout(&format!("in {shell}"));
        svc(&["stop", "web"]).expect_code(0);
        assert!(processes::find(&marker).is_empty(), "{shell}");
    }
}

#[test]
fn a_unit_of_systemd_is_a_service_like_any_other_and_leaves_nothing() {
    for (user, whose) in [(accounts::plain(), "user"), ("root", "system")] {
        let world = World::with_systemd(user);
        let marker = processes::unique_sleep();
        let folder = world.env.shared().join("a $HOME {folder}");
        fs::create_dir(&folder).expect("a folder in the test's own");
        let folder = folder.display().to_string();
        // It leaves its session, its parent and our mark, and is deaf: only its control group tells of it.
        let line = format!(
            "echo \"$A|$(pwd)|$(umask)|$FLEET_HOST|${{FLEET_PROGRAM-}}\"; echo err >&2; \
             (env -u FLEET_JOB setsid sh -c \"trap '' TERM; sleep {marker}; sleep {marker}\" &); exec sleep {marker}"
        );
        let value = "A=it's\n100% $HOME ${X} \\ \"";
        let start = ["start", "web", "--env", value, "--cwd", &folder];
        let start = |more: &[&str]| world.svc(&[&start, more, &["--", &format!("umask 027; {line}")]].concat());
        start(&[]).expect_code(0).expect_stderr("web started, by=systemd");
        assert_eq!(
            fs::read_to_string(world.env.shared().join("units/log")).ok(),
            Some(format!("{whose} fleet-web.service\n"))
        );
        processes::wait_for(&format!("sleep {marker}"), 3);
        let expected = format!("it's\n100% $HOME ${{X}} \\ \"|{folder}|0027|web01|\nerr\n");
        assert_eq!(world.svc(&["logs", "web", "--no-prefix"]).stdout_text(), expected);
        world.svc(&["status", "web"]).expect_code(0).expect_stdout("by=systemd");
        assert!(!world.folder("web").join("environment").exists(), "it held the values of variables");
        start(&[]).expect_code(5).expect_stderr("it runs already");
        start(&["--replace", "--grace", "1s"]).expect_code(0);
        processes::wait_for(&format!("sleep {marker}"), 3);

        kill_process(world.watcher("web"), Signal::KILL).expect("what watches over it can be killed");
        world.svc(&["stop", "--all", "--grace", "1s"]).expect_code(0).expect_stderr("stopped web");
        assert!(processes::find(&marker).is_empty(), "{user}");
        world
            .svc(&["start", "x", "--settle", "60s", "--", "echo last; exit 7"])
            .expect_code(5)
            .expect_stderr("exited 7");
        world.svc(&["stop", "--all"]).expect_code(0).expect_stderr("nothing ran");
        let ended = |name: &str| !world.env.shared().join("units").join(name).exists();
        assert!(ended("fleet-web.service") && ended("fleet-x.service"));
    }
}

#[test]
fn a_systemd_that_cannot_be_used_is_not_used() {
    let world = World::with_systemd(accounts::plain());
    for (state, linger) in [("offline", "yes"), ("running", "no"), ("", "yes")] {
        world.set_systemd(state, linger);
        let refused = world.svc(&["start", "web", "--by", "systemd", "--", "exec sleep 1000"]).expect_code(5);
        refused.expect_stderr("there is no systemd here that can be used");
        assert!(!world.folder("web").exists());
        world.svc(&["start", "web", "--", "exec sleep 1000"]).expect_code(0).expect_stderr("by=setsid");
        world.svc(&["stop", "web"]).expect_code(0);
        world.svc(&["rm", "web"]).expect_code(0);
    }
    world.set_systemd("running", "yes");
    world.svc(&["start", "web", "--by", "setsid", "--", "exec sleep 1000"]).expect_code(0).expect_stderr("by=setsid");
    assert!(!world.env.shared().join("units/log").exists());
    // Somebody else has a unit of that name.
    fs::write(world.env.shared().join("units/fleet-other.service"), "").expect("write a file of the test");
    let refused = world.svc(&["start", "other", "--", "true"]).expect_code(5).expect_stderr("already loaded");
    refused.expect_stderr("the service cannot be started");
    assert!(!world.folder("other").exists());
}
