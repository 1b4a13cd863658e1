//! Commands run by `psh` on real OpenSSH servers: what they get, how they end, and what the exit code says.

use std::collections::BTreeMap;
use std::fs;

use fleet_tests::{Running, Sshd, TestEnv, Welcome, accounts, program};

/// Each host's lines, taken from prefixed output; panics at a line that no host is the prefix of.
fn by_host<'a>(stdout: &'a str, hosts: &[String]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut lines = BTreeMap::<_, Vec<_>>::new();
    for line in stdout.lines() {
        let (host, rest) = line.split_once(':').unwrap_or_else(|| panic!("no prefix: {line}"));
        let host = host.trim_end();
        assert!(hosts.iter().any(|known| known == host), "no host of the run: {line}");
        lines.entry(host).or_default().push(rest.trim_start());
    }
    lines
}

/// Deterministic bytes that hold every value and do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn every_host_answers_once_under_its_own_name() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 20).start();
    let command = "set -- $SSH_CONNECTION; echo \"$3 $FLEET_HOST\"";

    let run = env.psh(["-H", "web[01-20]", command]).finish().expect_code(0);

    let stdout = run.stdout_text();
    let answers = by_host(&stdout, server.names());
    assert_eq!(answers.len(), 20, "{run}");
    for (name, address) in server.names().iter().zip(server.addresses()) {
        assert_eq!(answers[name.as_str()], [format!("{address} {name}")], "{run}");
    }
    assert_eq!(server.connections(), 20);
}

#[test]
fn many_lines_of_many_hosts_stay_whole_and_in_order() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 8).start();
    let command = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo \"$FLEET_HOST $i\"; done";

    let run = env.psh(["-H", "web[01-08]", command]).finish().expect_code(0);

    let stdout = run.stdout_text();
    for (host, lines) in by_host(&stdout, server.names()) {
        let expected: Vec<_> = (1..=500).map(|number| format!("{host} {number}")).collect();
        assert_eq!(lines, expected);
    }
}

#[test]
fn the_exit_code_tells_the_worst_that_happened() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    env.closed_host("gone");
    for (hosts, command, code) in [
        ("web[01-03]", "true", 0),
        ("web[01-03]", "[ $FLEET_HOST != web02 ] || exit 9", 5),
        ("web01", "exit 255", 5),
        ("web01", "kill -KILL $$", 3),
        ("gone", "true", 4),
        ("web01,gone", "exit 9", 4),
        ("web[01-02],gone", "[ $FLEET_HOST != web02 ] || kill -KILL $$; exit 9", 3),
    ] {
        let run = env.psh(["-H", hosts, command]).finish();
        assert_eq!(run.code, Some(code), "{hosts} {command}: {run}");
    }
}

#[test]
fn exit_max_is_the_largest_remote_code() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    for (command, code) in [("exit $((FLEET_INDEX * 20))", 40), ("true", 0), ("exit 1", 1)] {
        let run = env.psh(["--exit-max", "-H", "web[01-03]", command]).finish();
        assert_eq!(run.code, Some(code), "{command}: {run}");
    }
}

#[test]
fn one_argument_is_a_shell_command_and_several_are_joined() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    for (arguments, stdout) in [
        (&["echo 'a  b' | tr a-z A-Z"][..], "A  B\n"),
        (&["echo", "'a  b'", "c  d"], "a  b c d\n"),
        (&["--", "echo", "-n", "x"], "x"),
        (&["echo one\necho two"], "one\ntwo\n"),
        (&["echo comment # not run"], "comment\n"),
        (&["cat <<end\nhere\nend"], "here\n"),
        (
            &["--argv", "--", "printf", "[%s]", "a  b", "$HOME", "it's", "*", "", "\\", "\n"],
            "[a  b][$HOME][it's][*][][\\][\n]",
        ),
    ] {
        let run = env.psh(["-H", "server", "--no-prefix"]).args(arguments).finish().expect_code(0);
        assert_eq!(run.stdout_text().trim_end(), stdout.trim_end(), "{arguments:?}: {run}");
    }
}

#[test]
fn remote_stdin_is_closed_at_once() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).start();
    let run = env.psh(["-H", "web[01-02]", "cat; echo end"]).open_stdin().start();
    let run = run.finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("end").count(), 2, "{run}");
}

#[test]
fn a_while_loop_around_psh_keeps_its_stdin() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let script = format!("while read host; do {} --no-prefix -H $host 'cat; echo $FLEET_HOST'; done", env.psh_path());
    let run = env.run(&program("sh"), ["-c", &script]).stdin("web01\nweb02\nweb03\n").finish().expect_code(0);
    assert_eq!(run.stdout_text(), "web01\nweb02\nweb03\n");
}

#[test]
fn send_input_gives_every_host_the_same_bytes() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 5).start();
    let bytes = noise(3_000_000);
    env.psh(["-I", "-H", "web[01-05]", "-o", "out", "cat"]).stdin(bytes.clone()).finish().expect_code(0);
    for name in server.names() {
        let got = fs::read(env.work().join("out").join(name)).unwrap();
        assert!(got == bytes, "{name} sent back {} of {} bytes, or others", got.len(), bytes.len());
    }
}

#[test]
fn send_input_goes_on_when_one_host_does_not_read() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let command = "[ $FLEET_HOST = web02 ] && exit 0; cksum";
    let bytes = noise(8_000_000);
    let run = env.psh(["-I", "--no-prefix", "-H", "web[01-03]", command]).stdin(bytes).finish().expect_code(0);
    let lines = run.sorted_lines();
    assert_eq!(lines.len(), 2, "{run}");
    assert_eq!(lines[0], lines[1]);
    assert!(lines[0].ends_with(" 8000000"), "{run}");
}

#[test]
fn the_command_sees_who_it_is_and_what_was_asked_for() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).start();
    env.write("work/hosts", "[front]\nweb01\nweb02\n");
    let nasty = "a  b'c\"d$e\\f`g`*";
    let command = "echo \"$FLEET_HOST $FLEET_INDEX $FLEET_COUNT $FLEET_GROUP $PSSH_NODENUM $PSSH_HOST $PSSH_NUMNODES\"; \
                   printf '%s\\n' \"$WORDS\"";
    let words = format!("WORDS={nasty}");
    let run = env.psh(["-h", "hosts", "-g", "front", "--no-prefix", "--env", &words, command]).finish().expect_code(0);
    let lines = run.sorted_lines();
    assert_eq!(lines, [nasty, nasty, "web01 0 2 front 0 web01 2", "web02 1 2 front 1 web02 2"]);
}

#[test]
fn no_more_hosts_than_asked_run_at_once() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 5).start();
    let lock = env.shared().join("lock").display().to_string();
    let command = format!("mkdir {lock} && sleep 0.2 && rmdir {lock}");
    env.psh(["-p", "1", "-H", "web[01-05]", &command]).finish().expect_code(0);
}

#[test]
fn a_host_that_hangs_before_the_login_is_given_up_at_its_stage() {
    for (welcome, stage) in
        [(Welcome::Silence, "banner"), (Welcome::SayAndHang(b"SSH-2.0-OpenSSH_9.2\r\n"), "key exchange")]
    {
        let env = TestEnv::new();
        let _hanging = Sshd::new(&env).named("hanging").welcome(move |_| welcome).start();
        let _good = Sshd::new(&env).named("good").start();
        env.psh(["--connect-timeout", "2s", "-H", "hanging,good", "echo fine"])
            .finish()
            .expect_code(4)
            .expect_stdout("fine")
            .expect_stderr("hanging")
            .expect_stderr(&format!("{stage}: timed out"));
    }
}

#[test]
fn a_command_that_takes_too_long_or_says_nothing_is_stopped() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).start();
    for (option, words) in [("--timeout", "timed out after 2s"), ("--stall", "no output for 2s")] {
        let command = "[ $FLEET_HOST = web01 ] || sleep 100; echo done";
        env.psh([option, "2s", "-H", "web[01-02]", command])
            .finish()
            .expect_code(3)
            .expect_stdout("done")
            .expect_stderr(words)
            .expect_stderr("web02");
    }
}

#[test]
fn a_command_that_keeps_talking_does_not_stall() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let command = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done";
    env.psh(["--stall", "2s", "-H", "server", command]).finish().expect_code(0).expect_stdout("6");
}

#[test]
fn connections_dropped_before_the_login_are_tried_again() {
    let env = TestEnv::new();
    let server = Sshd::new(&env)
        .hosts("web", 6)
        .welcome(|number| if number < 4 { Welcome::Drop } else { Welcome::Serve })
        .start();
    let run = env.psh(["-H", "web[01-06]", "echo fine"]).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 6, "{run}");
    assert_eq!(server.connections(), 10);
}

#[test]
fn a_host_that_always_drops_us_is_reported_in_the_end() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).welcome(|_| Welcome::Drop).start();
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("server");
    assert!((2..20).contains(&server.connections()), "{} connections", server.connections());
}

#[test]
fn what_does_not_speak_ssh_is_reported_as_such() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).welcome(|_| Welcome::SayAndClose(b"HTTP/1.1 400 Bad Request\r\n\r\n")).start();
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("banner: ");
}

#[test]
fn output_is_intact_across_key_renewals() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("RekeyLimit", "1M").start();
    let bytes = noise(20_000_000);
    let file = env.write("data", &bytes);
    let command = format!("cat {}", file.display());
    env.psh(["-H", "server", "-o", "out", &command]).finish().expect_code(0);
    assert!(fs::read(env.work().join("out/server")).unwrap() == bytes);
}

/// A command that has said `go` and will never end.
fn start_endless(env: &TestEnv, arguments: &[&str]) -> Running {
    let run = env.psh(arguments).args(["-H", "server", "echo go; sleep 1000"]).start();
    run.wait_for_stdout("go");
    run
}

#[test]
fn a_server_that_dies_in_mid_command_is_lost() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let run = start_endless(&env, &[]);
    server.cut(0);
    run.finish().expect_code(4).expect_stderr("server").expect_stderr("command: ");
}

#[test]
fn a_server_that_stops_answering_is_lost_after_the_keepalives() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let run = start_endless(&env, &["-O", "ServerAliveInterval=1", "-O", "ServerAliveCountMax=2"]);
    server.freeze(0);
    run.finish().expect_code(4).expect_stderr("server");
}

#[test]
fn keepalives_do_not_end_a_command_that_is_merely_silent() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    env.psh(["-O", "ServerAliveInterval=1", "-O", "ServerAliveCountMax=1", "-H", "server", "sleep 4; echo woke"])
        .finish()
        .expect_code(0)
        .expect_stdout("woke");
}

#[test]
fn many_hosts_fit_under_a_hard_limit_of_open_files() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 150).start();
    let limited = ["--nofile=64:64", &env.psh_path(), "-p", "150", "-H", "web[001-150]", "echo fine"];
    let run = env.run(&program("prlimit"), limited).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 150, "{run}");
    run.expect_stderr("instead of 150").expect_stderr("open files");
}

#[test]
fn a_soft_limit_of_open_files_is_raised() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 60).start();
    let limited = ["--nofile=48:4096", &env.psh_path(), "-p", "60", "-H", "web[01-60]", "echo fine"];
    let run = env.run(&program("prlimit"), limited).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 60, "{run}");
}

#[test]
fn a_reader_that_leaves_early_ends_it_quietly() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let script = format!("{} -H 'web[01-03]' 'yes' | head -1", env.psh_path());
    let run = env.run(&program("sh"), ["-c", &script]).finish().expect_code(0);
    assert_eq!(run.stdout_text().lines().count(), 1, "{run}");
    run.expect_nowhere("panicked").expect_nowhere("roken pipe");
}

#[test]
fn the_shell_start_up_files_of_root_do_not_get_in_the_way() {
    accounts::require_root("logging in as root");
    let env = TestEnv::new();
    let _server = Sshd::new(&env).user("root").start();
    let run = env.psh(["-H", "server", "--no-prefix", "id -un; echo $0 >&2; exit 7"]).finish().expect_code(5);
    assert_eq!(run.stdout_text(), "root\n");
}

#[test]
fn a_variable_of_ssh_config_reaches_a_server_that_accepts_it() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("AcceptEnv", "FLAVOUR LC_*").start();
    env.configure("Host *\n  SetEnv FLAVOUR=sweet\n  SendEnv LC_*\n");
    env.psh(["-H", "server", "--no-prefix", "echo $FLAVOUR $LC_TEST"])
        .env("LC_TEST", "sent")
        .finish()
        .expect_code(0)
        .expect_stdout("sweet sent\n");
}

#[test]
fn compression_and_chosen_algorithms_are_used() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("Ciphers", "aes256-ctr").option("MACs", "hmac-sha2-256").start();
    for options in [&["-O", "Compression=yes"][..], &["-O", "Ciphers=aes256-ctr"], &["-O", "MACs=hmac-sha2-256"]] {
        env.psh(options).args(["-H", "server", "echo fine"]).finish().expect_code(0).expect_stdout("fine");
    }
    env.psh(["-O", "Ciphers=aes128-gcm@openssh.com", "-H", "server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("key exchange: ");
}

#[test]
fn an_unsupported_option_of_ssh_config_is_named_once() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 4).start();
    env.configure("Host *\n  ForwardX11 yes\n");
    let run = env.psh(["-H", "web[01-04]", "echo fine"]).finish().expect_code(0);
    assert_eq!(run.stderr_text().to_lowercase().matches("forwardx11").count(), 1, "{run}");
}
