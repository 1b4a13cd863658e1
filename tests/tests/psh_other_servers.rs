//! The basic journeys of `psh` on servers that are not OpenSSH: Dropbear, and asyncssh's.

use std::fs;

use fleet_tests::{Asyncssh, Dropbear, Signal, TestEnv, processes};

/// Every journey here, on the host `server` of `env`.
fn basic_journeys(env: &TestEnv) {
    both_outputs_and_the_code_arrive(env);
    every_byte_arrives_in_both_directions(env);
    the_command_sees_its_variables(env);
    ctrl_c_and_the_timeout_stop_the_command(env);
    a_login_with_another_key_is_refused(env);
}

fn both_outputs_and_the_code_arrive(env: &TestEnv) {
    let run = env.psh(["-H", "server", "--no-prefix", "echo out; echo err >&2; exit 9"]).finish().expect_code(5);
    assert_eq!(run.stdout_text(), "out\n", "{run}");
    run.expect_stderr("err").expect_stderr("exit code 9");
    let late = "echo out; exec >&-; sleep 0.2; echo late >&2";
    env.psh(["-H", "server", late]).finish().expect_code(0).expect_stdout("out").expect_stderr("late");
    env.psh(["-H", "server", "kill -KILL $$"]).finish().expect_code(3);
}

fn every_byte_arrives_in_both_directions(env: &TestEnv) {
    let bytes: Vec<u8> = (0..=255).cycle().take(2_000_000).collect();
    env.psh(["-I", "-o", "out", "-H", "server", "cat"]).stdin(bytes.clone()).finish().expect_code(0);
    assert!(fs::read(env.work().join("out/server")).expect("the output file") == bytes);
    let run = env.psh(["-H", "server", "--no-prefix", "cat; printf end"]).open_stdin().start().finish().expect_code(0);
    assert_eq!(run.stdout_text(), "end", "stdin is closed: {run}");
}

fn the_command_sees_its_variables(env: &TestEnv) {
    let command = "echo \"$FLEET_HOST $PSSH_NODENUM $WORDS\"";
    env.psh(["-H", "server", "--env", "WORDS=it's  $HOME", command])
        .finish()
        .expect_code(0)
        .expect_stdout("server 0 it's  $HOME");
}

fn ctrl_c_and_the_timeout_stop_the_command(env: &TestEnv) {
    for options in [&[][..], &["-t", "3s"]] {
        let marker = processes::unique_sleep();
        let command = format!("trap '' TERM; echo go; sleep {marker} & sleep {marker}; wait");
        let run = env.psh(options).args(["-H", "server", &command]).start();
        run.wait_for_stdout("go");
        processes::wait_for_command(&format!("sleep {marker}"));
        if options.is_empty() {
            run.signal(Signal::INT);
        }
        run.finish().expect_code(3).expect_stderr("server").expect_nowhere("may still run");
        processes::assert_gone(&marker);
    }
    let marker = processes::unique_sleep();
    let run = env.psh(["-H", "server", &format!("echo go; sleep {marker}")]).start();
    run.wait_for_stdout("go");
    run.signal(Signal::KILL);
    processes::assert_gone(&marker);
}

fn a_login_with_another_key_is_refused(env: &TestEnv) {
    let other = env.generate_key(&env.path().join("other"), "").display().to_string();
    env.psh(["--identity", &other, "-O", "IdentitiesOnly=yes", "-F", "/dev/null", "-H", &full_name(env), "true"])
        .finish()
        .expect_code(4);
}

/// The host `server` with user, address and port, so that no configuration is needed.
fn full_name(env: &TestEnv) -> String {
    let shown = env.ssh(["-G", "server"]).finish().expect_code(0);
    let text = shown.stdout_text();
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect("ssh -G shows it").to_owned();
    format!("{}@{}:{}", value("user "), value("hostname "), value("port "))
}

#[test]
fn the_basic_journeys_work_on_dropbear() {
    let env = TestEnv::new();
    let _server = Dropbear::new(&env).start();
    basic_journeys(&env);
}

#[test]
fn the_basic_journeys_work_on_asyncssh() {
    let env = TestEnv::new();
    let _server = Asyncssh::start(&env, "server");
    basic_journeys(&env);
}

#[test]
fn servers_of_all_kinds_work_in_one_run() {
    let env = TestEnv::new();
    let _dropbear = Dropbear::new(&env).named("dropbear").start();
    let _asyncssh = Asyncssh::start(&env, "asyncssh");
    let _openssh = fleet_tests::Sshd::new(&env).named("openssh").start();
    let run = env.psh(["-H", "dropbear,asyncssh,openssh", "echo $FLEET_HOST"]).finish().expect_code(0);
    let words: Vec<_> =
        run.sorted_lines().iter().map(|line| line.split_whitespace().last().unwrap_or("").to_owned()).collect();
    assert_eq!(words, ["asyncssh", "dropbear", "openssh"], "{run}");
}
