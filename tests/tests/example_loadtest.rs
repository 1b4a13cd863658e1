//! The load test of `examples/`, with real nginx and wrk: its results, and what is left of it whatever goes wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_tests::accounts::Throwaway;
use fleet_tests::{Finished, PATIENCE, Run, Running, Server, Signal, Sshd, TestEnv, processes, program};
use rustix::process::{Pid, kill_process_group};

/// Where the example runs, with the tools in its `PATH`.
struct World {
    env: TestEnv,
    /// The folders below which hosts have their homes.
    homes: Vec<PathBuf>,
}

impl World {
    fn new() -> Self {
        for needed in ["nginx", "wrk"] {
            let _ = program(needed);
        }
        let env = TestEnv::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("examples/loadtest");
        copy(&example, &env.path().join("example"));
        let homes = vec![env.home()];
        Self { env, homes }
    }

    /// `run.sh` with these words.
    fn run(&self, words: &[&str]) -> Run {
        self.with_tools(self.env.run(&self.env.path().join("example/run.sh"), words))
    }

    fn with_tools(&self, run: Run) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        run.env("PATH", format!("{}:{path}", self.env.tools().display()))
    }

    fn fleet(&self, words: &[&str]) -> Finished {
        self.with_tools(self.env.fleet(words)).finish()
    }

    /// The results of the only run, by host.
    fn results(&self) -> Vec<String> {
        let runs = fs::read_dir(self.env.work().join("results")).expect("results").flatten();
        let hosts = runs.flat_map(|run| fs::read_dir(run.path()).expect("results of a run").flatten());
        let said = hosts.filter(|host| {
            fs::read_to_string(host.path().join("wrk.txt")).is_ok_and(|text| text.contains("\nresult "))
        });
        let mut hosts: Vec<String> = said.map(|host| host.file_name().to_string_lossy().into_owned()).collect();
        hosts.sort();
        hosts
    }

    /// Asserts that nothing runs on any host, now or soon.
    fn assert_nothing_is_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        // The kernel tells nobody of an end that is not a child's.
        while let left @ [_, ..] = &self.left()[..] {
            assert!(Instant::now() < deadline, "still there: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The nginx and wrk whose folder is in the home of a host.
    fn left(&self) -> Vec<String> {
        let ours = |pid: i32| {
            let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            self.homes.iter().any(|home| folder.starts_with(home))
        };
        let all = ["nginx", "wrk "].into_iter().flat_map(processes::find);
        all.filter(|process| ours(process.pid)).map(|process| process.command).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self
            .env
            .fleet(["sandbox", "exec", "--", &self.env.fleet_path(), "svc", "stop", "--all", "-g", "all"])
            .finish();
        let _ = self.env.fleet(["sandbox", "stop"]).finish();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder in the test's own");
    for entry in fs::read_dir(from).expect("the example").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy a file of the example");
        }
    }
}

/// Four hosts, each with an account and a server of its own.
struct Machines {
    world: World,
    servers: Vec<Server>,
    /// They last as long as this.
    #[cfg_attr(not(feature = "ec2"), expect(dead_code, reason = "only instances of EC2 are told who logs in"))]
    accounts: Vec<Throwaway>,
}

impl Machines {
    /// That the user's ssh_config knows.
    fn new() -> Self {
        Self::with_servers(|server| server)
    }

    fn with_servers(options: impl Fn(Sshd<'_>) -> Sshd<'_>) -> Self {
        let mut world = World::new();
        let accounts: Vec<Throwaway> = (0..4).map(|_| Throwaway::with_shell("/bin/dash")).collect();
        let start = |(number, account): (usize, &Throwaway)| {
            options(Sshd::new(&world.env).named(&format!("w{}", number + 1)).user(account.name())).start()
        };
        let servers = accounts.iter().enumerate().map(start).collect();
        world.homes = accounts.iter().map(|account| account.home().clone()).collect();
        world.env.write("work/workers.txt", "w1\nw2\nw3\nw4\n");
        Self { world, servers, accounts }
    }

    /// `run.sh` on them: w1 is the server, w2 the web host, w3 and w4 drive load.
    fn run(&self, seconds: &str) -> Run {
        self.world.run(&["--hosts", "workers.txt", "-d", seconds])
    }

    /// The wrk of w3 and that of w4, when both run.
    fn generators(&self) -> [Pid; 2] {
        let page = format!("http://{}:8080/", self.servers[1].address());
        let is_wrk = |process: &processes::Process| process.command.starts_with("wrk ");
        let running = processes::wait_for(&format!("loadtest/report.lua {page}"), 2).into_iter().filter(is_wrk);
        let pids = running.map(|process| Pid::from_raw(process.pid).expect("a process id")).collect::<Vec<_>>();
        ["w3", "w4"].map(|host| {
            let told = format!("FLEET_HOST={host}");
            let is_there = |pid: &&Pid| {
                let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
                environment.split(|&byte| byte == 0).any(|variable| variable == told.as_bytes())
            };
            *pids.iter().find(is_there).unwrap_or_else(|| panic!("no generator on {host}"))
        })
    }
}

/// Has a wrk end long before its time, and tell what it has measured, as it does at SIGINT once it is at work.
fn end_load(generator: Pid) {
    // The mask of signals with a handler (proc_pid_status(5)); that of SIGINT, 2, is the second from the right.
    let handles_int = || {
        let status = fs::read_to_string(format!("/proc/{}/status", generator.as_raw_nonzero())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
        mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
    };
    let deadline = Instant::now() + PATIENCE;
    while !handles_int() {
        assert!(Instant::now() < deadline, "wrk does not get to work");
        std::thread::sleep(Duration::from_millis(10));
    }
    rustix::process::kill_process(generator, Signal::INT).expect("the generator runs");
}

/// Ctrl-C as a terminal does it: for the script and the tool that it waits for.
fn interrupt(run: &Running) {
    let group = Pid::from_raw(i32::try_from(run.pid()).expect("a process id is an i32")).expect("a process id");
    kill_process_group(group, Signal::INT).expect("the run is the leader of its group");
}

#[test]
fn it_runs_on_the_sandbox() {
    let world = World::new();
    let run = world.run(&["-n", "6", "-d", "1"]).finish().expect_code(0).expect_stdout("all 4 of 4 ");
    assert_eq!(world.results(), ["host03", "host04", "host05", "host06"], "{run}");
    run.expect_stderr("host[01-02] (2): stopped nginx").expect_stderr("stopped the sandbox");
    world.assert_nothing_is_left();
    world.fleet(&["partition", "--show"]).expect_code(2).expect_stderr("there is no partition");
}

#[test]
fn it_runs_on_machines() {
    let machines = Machines::new();
    let run = machines.run("1").finish().expect_code(0).expect_stdout("all 2 of 2 ");
    assert_eq!(machines.world.results(), ["w3", "w4"], "{run}");
    machines.world.assert_nothing_is_left();
}

#[cfg(feature = "ec2")]
#[test]
fn it_runs_on_instances_of_ec2() {
    fleet_tests::require_fleet_ec2();
    let machines = Machines::with_servers(|server| server.unknown());
    let (env, ec2) = (&machines.world.env, ec2_doubles::FakeEc2::start());
    let mut users = "HashKnownHosts no\n".to_owned();
    // The order is that of their launch, not that in which EC2 lists them.
    for (number, server) in machines.servers.iter().enumerate() {
        let (id, name) = (format!("i-{}", 9 - number), format!("w{}", number + 1));
        env.trust(&format!("{id} {}\n", server.host_key()));
        users += &format!("Host {name}\n  User {}\n", machines.accounts[number].name());
        let instance = ec2_doubles::Instance::new(&id).named(&name).with("tag:Role", "workers");
        let instance = instance.with("launch-index", number.to_string());
        let address = server.address().to_string();
        ec2.add([instance.with("private-ip-address", address).with("tag:fleet:port", server.port().to_string())]);
    }
    env.write("home/.ssh/config", users);
    let run = machines.world.run(&["-g", "workers", "-d", "1"]);
    let run = ec2.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value)).finish();
    let run = run.expect_code(0).expect_stdout("server   1  w1\n").expect_stdout("all 2 of 2 ");
    assert_eq!(machines.world.results(), ["w3", "w4"], "{run}");
    machines.world.assert_nothing_is_left();
}

#[test]
fn a_check_that_never_holds_ends_it_with_code_3() {
    let world = World::new();
    fs::remove_file(world.env.path().join("example/site/index.html")).expect("a file of the example");
    let run = world.run(&["-n", "4"]).env("READY", "2s").finish().expect_code(3);
    let run = run.expect_stderr("host01 (1): not ready: http://{addr}:8081/: status 403");
    run.expect_stderr("stopped nginx").expect_nowhere("start web");
    world.assert_nothing_is_left();
}

#[test]
fn a_generator_that_dies_is_told_and_the_results_of_the_others_are_home() {
    let machines = Machines::new();
    let run = machines.run("300").start();
    let [other, victim] = machines.generators();
    assert!(machines.world.left().len() > 2, "{:?}", machines.world.left());
    rustix::process::kill_process(victim, Signal::KILL).expect("the generator runs");
    end_load(other);
    let ended = run.finish().expect_code(3).expect_stderr("killed by signal KILL").expect_stdout("all 1 of 2 ");
    assert_eq!(machines.world.results(), ["w3"], "{ended}");
    machines.world.assert_nothing_is_left();
}

#[test]
fn a_host_that_is_lost_is_told_and_the_results_of_the_others_are_home() {
    let machines = Machines::new();
    let run = machines.run("300").start();
    let [other, _] = machines.generators();
    let lost = &machines.servers[3];
    lost.cut(lost.connections() - 1);
    end_load(other);
    let ended = run.finish().expect_code(4).expect_stderr("w4 (1): ").expect_stdout("all 1 of 2 ");
    assert_eq!(machines.world.results(), ["w3"], "{ended}");
    machines.world.assert_nothing_is_left();
}

#[test]
fn ctrl_c_leaves_nothing_in_any_phase() {
    for phase in ["roles", "push", "start server", "start web", "load", "gather"] {
        let world = World::new();
        // Nothing comes behind this phase that could still be interrupted.
        world.env.write("example/table.awk", "BEGIN { system(\"sleep 100\") }");
        let run = world.run(&["-n", "4", "-d", "2"]).start();
        run.wait_for_stderr(&format!("== {phase}"));
        interrupt(&run);
        run.finish().expect_code(130).expect_stderr("== stop").expect_stderr("stopped the sandbox");
        world.assert_nothing_is_left();
    }
}

#[test]
fn another_ctrl_c_does_not_keep_it_from_stopping() {
    let world = World::new();
    let run = world.run(&["-n", "3", "-d", "1"]).start();
    run.wait_for_stderr("== stop");
    interrupt(&run);
    run.finish().expect_code(0).expect_stderr("stopped nginx").expect_stderr("stopped the sandbox");
    world.assert_nothing_is_left();
}

#[test]
fn who_kills_the_script_by_force_can_stop_all_by_hand() {
    let world = World::new();
    let run = world.run(&["-n", "4", "-d", "2"]).start();
    run.wait_for_stderr("== load");
    run.signal(Signal::KILL);
    let ended = run.finish();
    assert_eq!(ended.signal, Some(Signal::KILL.as_raw()), "{ended}");
    assert!(world.left().iter().any(|command| command.starts_with("nginx")), "{:?}", world.left());
    let fleet = world.env.fleet_path();
    let stopped = world.fleet(&["sandbox", "exec", "--", &fleet, "svc", "stop", "--all", "-g", "all"]).expect_code(0);
    stopped.expect_stderr("host[01-02] (2): stopped nginx");
    world.assert_nothing_is_left();
}

#[test]
fn what_it_does_not_understand_is_refused_before_anything_starts() {
    let world = World::new();
    for words in [&["-x", "1"][..], &["-n"], &["20"], &["-d", "abc"], &["-d", "0"]] {
        world
            .run(words)
            .finish()
            .expect_code(2)
            .expect_stderr("expected -n HOSTS, --hosts FILE, -g GROUP or -d SECONDS");
    }
    world.fleet(&["partition", "-H", "a", "mine=1"]).expect_code(0);
    world.run(&["-n", "2"]).finish().expect_code(2).expect_stderr("stopped the sandbox");
    // A sandbox and roles that were there before are not the script's.
    world.fleet(&["sandbox", "start", "-n", "1"]).expect_code(0);
    world.run(&["-n", "4"]).finish().expect_code(1).expect_stderr("a sandbox is already running");
    world.fleet(&["sandbox", "status"]).expect_code(0);
    world.fleet(&["partition", "--show"]).expect_code(0).expect_stdout("mine  1  a");
}
