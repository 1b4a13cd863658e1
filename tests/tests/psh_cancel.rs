//! Ctrl-C, SIGTERM, timeouts and death of `psh`: the remote processes are gone, as `/proc` shows.

use fleet_tests::{Running, Server, Signal, Sshd, TestEnv, accounts, processes};

/// Remote commands that are hard to stop; `{}` is a `sleep` that is unique on the machine.
const STUBBORN: [&str; 6] = [
    "echo go; {}",
    "echo go; {} & {} & wait",
    "trap '' TERM INT HUP; echo go; {}; {}",
    "(trap '' TERM HUP; {}) & echo go; {}",
    "echo go; sh -c 'sh -c \"{}; true\"; true'; true",
    "echo go; yes | (sleep 0.1; {})",
];

/// The same with another user's processes below the login.
const WITH_SUDO: [&str; 3] =
    ["echo go; sudo {}", "echo go; sudo -u fleettest {}", "echo go; sudo sh -c '{} & {}; wait'"];

/// A `psh` whose remote command has said `go` and sleeps under a unique marker.
struct Sleeping {
    run: Running,
    marker: String,
    command: &'static str,
}

impl Sleeping {
    fn start(env: &TestEnv, options: &[&str], command: &'static str) -> Self {
        let marker = processes::unique_sleep();
        let run = env.psh(options).args(["-H", "server", &command.replace("{}", &format!("sleep {marker}"))]).start();
        run.wait_for_stdout("go");
        processes::wait_for_command(&format!("sleep {marker}"));
        Self { run, marker, command }
    }

    /// Asserts that `psh` ends with 3, names the host, and leaves no process.
    fn expect_stopped(self) {
        let Self { run, marker, command } = self;
        let run = run.finish();
        assert_eq!(run.code, Some(3), "{command}: {run}");
        assert!(run.stderr_text().contains("server"), "{command}: {run}");
        assert!(!run.stderr_text().contains("may still run"), "{command}: {run}");
        processes::assert_gone(&marker);
    }
}

fn world(user: &str) -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).user(user).start();
    (env, server)
}

/// Starts all commands, does the same to each `psh`, and asserts that each has ended and left nothing.
fn stop_all(user: &str, options: &[&str], commands: &[&'static str], stop: impl Fn(&Running)) {
    let (env, _server) = world(user);
    stop_all_in(&env, options, commands, stop);
}

fn stop_all_in(env: &TestEnv, options: &[&str], commands: &[&'static str], stop: impl Fn(&Running)) {
    let sleeping: Vec<_> = commands.iter().map(|command| Sleeping::start(env, options, command)).collect();
    sleeping.iter().for_each(|one| stop(&one.run));
    sleeping.into_iter().for_each(Sleeping::expect_stopped);
}

#[test]
fn ctrl_c_stops_what_a_user_runs() {
    stop_all(accounts::plain(), &[], &STUBBORN, |run| run.signal(Signal::INT));
}

#[test]
fn ctrl_c_stops_what_root_runs() {
    accounts::require_root("logging in as root");
    stop_all("root", &[], &STUBBORN, |run| run.signal(Signal::INT));
}

#[test]
fn ctrl_c_stops_what_sudo_runs() {
    accounts::require_root("sudo without a password");
    let _ = accounts::plain();
    stop_all("root", &[], &WITH_SUDO, |run| run.signal(Signal::INT));
}

#[test]
fn sigterm_stops_like_ctrl_c() {
    stop_all(accounts::plain(), &[], &STUBBORN[..3], |run| run.signal(Signal::TERM));
}

#[test]
fn the_timeout_stops_what_a_user_runs() {
    stop_all(accounts::plain(), &["-t", "10s"], &STUBBORN, |_| ());
}

#[test]
fn the_timeout_stops_what_root_runs() {
    accounts::require_root("logging in as root");
    stop_all("root", &["-t", "10s"], &STUBBORN, |_| ());
}

#[test]
fn a_stall_stops_what_a_user_runs() {
    stop_all(accounts::plain(), &["--stall", "10s"], &STUBBORN, |_| ());
}

#[test]
fn ctrl_c_stops_what_runs_where_a_connection_has_one_session_only() {
    accounts::require_root("logging in as root");
    for user in [accounts::plain(), "root"] {
        let env = TestEnv::new();
        let _server = Sshd::new(&env).user(user).option("MaxSessions", "1").start();
        stop_all_in(&env, &[], &STUBBORN, |run| run.signal(Signal::INT));
    }
}

#[test]
fn a_command_with_our_input_and_no_second_session_is_remarked_on_and_stopped() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).user(accounts::plain()).option("MaxSessions", "1").start();
    stop_all_in(&env, &["-I", "-v"], &STUBBORN, |run| {
        run.wait_for_stderr("nobody watches over the command: if we die, it may run on (no session: ");
        run.signal(Signal::INT);
    });
}

#[test]
fn ctrl_c_stops_what_reads_our_input() {
    let (env, _server) = world(accounts::plain());
    let marker = processes::unique_sleep();
    let command = format!("echo go; sh -c 'cat; sleep {marker}'");
    let run = env.psh(["-I", "-H", "server", &command]).open_stdin().start();
    run.wait_for_stdout("go");
    processes::wait_for(&marker, 1);
    run.signal(Signal::INT);
    let _ = run.finish().expect_code(3);
    processes::assert_gone(&marker);
}

#[test]
fn the_death_of_psh_stops_the_remote_command() {
    for user in [accounts::plain(), "root"] {
        let (env, _server) = world(user);
        let sleeping: Vec<_> = STUBBORN.iter().map(|command| Sleeping::start(&env, &[], command)).collect();
        for one in &sleeping {
            one.run.signal(Signal::KILL);
        }
        for one in &sleeping {
            println!("as {user}: {}", one.command);
            processes::assert_gone(&one.marker);
        }
    }
}

#[test]
fn the_death_of_the_server_process_stops_the_remote_command() {
    let (env, server) = world(accounts::plain());
    let sleeping = Sleeping::start(&env, &[], STUBBORN[0]);
    server.cut(0);
    processes::assert_gone(&sleeping.marker);
    let _ = sleeping.run.finish().expect_code(4);
}

#[test]
fn the_first_ctrl_c_lets_the_finished_count_and_starts_no_more() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 5).start();
    let marker = processes::unique_sleep();
    let command = format!("[ $FLEET_INDEX = 0 ] && exit 0; echo go $FLEET_HOST; sleep {marker}");
    let run = env.psh(["-p", "2", "-H", "web[01-05]", &command]).start();
    run.wait_for_stdout("go web02");
    run.wait_for_stdout("go web03");
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("web[02-03]").expect_stderr("web[04-05]");
    assert_eq!(server.connections(), 3);
    processes::assert_gone(&marker);
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_says_what_may_still_run() {
    let (env, server) = world(accounts::plain());
    let sleeping = Sleeping::start(&env, &[], STUBBORN[0]);
    // Nobody answers any more, so only the second signal can end it soon.
    server.freeze(0);
    sleeping.run.signal(Signal::INT);
    sleeping.run.wait_for_stderr("server");
    sleeping.run.signal(Signal::INT);
    sleeping.run.finish().expect_code(3).expect_stderr("may still run");
}

#[test]
fn a_host_that_cannot_confirm_is_reported_as_such() {
    let (env, server) = world(accounts::plain());
    let sleeping = Sleeping::start(&env, &[], STUBBORN[0]);
    server.freeze(0);
    sleeping.run.signal(Signal::INT);
    sleeping.run.finish().expect_code(3).expect_stderr("may still run");
}

#[test]
fn ctrl_c_typed_on_a_terminal_stops_the_remote_command() {
    let (env, _server) = world(accounts::plain());
    let marker = processes::unique_sleep();
    let mut run = env.psh(["-H", "server", &format!("echo go; sleep {marker}")]).on_terminal().start();
    run.wait_for_stdout("go");
    processes::wait_for_command(&format!("sleep {marker}"));
    run.write(b"\x03");
    let _ = run.finish().expect_code(3);
    processes::assert_gone(&marker);
}

#[test]
fn ctrl_c_before_the_login_ends_it() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).welcome(|_| fleet_tests::Welcome::Silence).start();
    let run = env.psh(["-H", "server", "true"]).start();
    server.wait_for_connections(1);
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("server");
}

#[test]
fn a_background_process_that_lets_go_of_the_output_is_left_alone_when_the_command_ends() {
    let (env, _server) = world(accounts::plain());
    let marker = processes::unique_sleep();
    let command = format!("nohup setsid sleep {marker} >/dev/null 2>&1 </dev/null & echo started");
    env.psh(["-H", "server", &command]).finish().expect_code(0).expect_stdout("started");
    processes::wait_for_command(&format!("sleep {marker}"));
}
