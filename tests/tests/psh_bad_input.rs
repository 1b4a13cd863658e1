//! What `psh` says when something given to it, or found on the way, is wrong: never a hang, never a success.

use std::net::Ipv4Addr;

use fleet_tests::{Sshd, TestEnv};

#[test]
fn usage_errors_say_what_was_wrong_and_contact_nobody() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    env.write("work/broken", "web01\n# fine\nweb01:notaport\n");
    env.write("work/grouped", "[loadgen]\nweb01\n[webservers]\nweb02\n");
    env.write("work/latin", b"web01\nweb\xff02\n");
    for (arguments, words) in [
        (&["-p", "0", "-H", "web01", "true"][..], &["-p", "0"][..]),
        (&["--limit", "0", "-H", "web01", "true"], &["--limit"]),
        (&["-p", "many", "-H", "web01", "true"], &["many"]),
        (&["-t", "soon", "-H", "web01", "true"], &["soon"]),
        (&["-h", "broken", "true"], &["broken:3", "notaport"]),
        (&["-h", "latin", "true"], &["latin:2"]),
        (&["-h", "no-such-file", "true"], &["no-such-file"]),
        (&["-h", "grouped", "-g", "loadgn", "true"], &["loadgn", "loadgen"]),
        (&["-h", "grouped", "-g", "webserver", "true"], &["webserver", "webservers"]),
        (&["-H", "web[01-", "true"], &["web[01-"]),
        (&["-H", "web;reboot", "true"], &["web;reboot"]),
        (&["-H", "-oProxyCommand=x", "true"], &["-oProxyCommand=x"]),
        (&["-H", "web01"], &["no command"]),
        (&["-H", "web01", "--no-such-flag", "true"], &["--no-such-flag"]),
        (&["-H", "web01", "--env", "NOVALUE", "true"], &["NOVALUE"]),
        (&["-H", "web01", "--host-key", "maybe", "true"], &["maybe", "accept-new"]),
        (&["-H", "web01", "-F", "no-such-config", "true"], &["no-such-config"]),
        (&["-H", "web01", "-O", "NoEqualsSign", "true"], &["NoEqualsSign"]),
    ] {
        let run = env.psh(arguments).finish();
        assert_eq!(run.code, Some(2), "{run}");
        for word in words {
            assert!(run.stderr_text().contains(word), "{word} is not named: {run}");
        }
        assert!(run.stdout.is_empty(), "{run}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_broken_line_of_ssh_config_is_named() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    for (line, word) in
        [("Port notanumber", "notanumber"), ("Host", "Host"), ("StrictHostKeyChecking perhaps", "perhaps")]
    {
        env.write("broken", format!("# one\n# two\n{line}\n"));
        let file = env.path().join("broken").display().to_string();
        let run = env.psh(["-F", &file, "-H", "server", "true"]).finish();
        assert_ne!(run.code, Some(0), "{line}: {run}");
        let stderr = run.stderr_text();
        assert!(stderr.contains(&format!("{file}:3")) && stderr.contains(word), "{line}: {run}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_broken_fleet_toml_is_named() {
    let env = TestEnv::new();
    env.write("work/fleet.toml", "[groups]\nweb = [\"web01\"\n");
    env.psh(["-g", "web", "true"]).finish().expect_code(2).expect_stderr("fleet.toml");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_said() {
    let env = TestEnv::new();
    let run = env.psh(["-H", "server", "true"]).env("FLEET_LOG", "russh=loud").finish().expect_code(2);
    run.expect_stderr("FLEET_LOG=russh=loud").expect_stderr("fleet_core=debug");
    env.psh(["-H", "server", "--list"]).env("FLEET_LOG", "russh=debug,info").finish().expect_code(0);
}

#[test]
fn a_mistyped_variable_is_remarked_on_once_and_changes_nothing() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let run = env.psh(["-H", "server", "echo fine"]).env("FLEET_PARALEL", "1").env("FLEET_URL", "x").finish();
    let run = run.expect_code(0).expect_stdout("fine");
    assert_eq!(
        run.stderr_text().matches("FLEET_PARALEL sets nothing: did you mean FLEET_PARALLEL?").count(),
        1,
        "{run}"
    );
    assert!(!run.stderr_text().contains("FLEET_URL"), "{run}");
}

#[test]
fn the_variables_of_a_remote_command_are_no_mistakes_of_a_tool_that_it_runs() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let inner = format!("{} -H h --list", env.psh_path());
    let run = env.psh(["-H", "server", "--env", "FLEET_ROLE=web", &inner]).finish().expect_code(0);
    run.expect_stdout("-H").expect_nowhere("sets nothing");
}

#[test]
fn a_host_that_cannot_be_reached_says_why_and_the_others_go_on() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).named("good").start();
    env.closed_host("closed");
    // A multicast address: Linux makes no TCP connection to one, whatever the routes.
    env.enter_host("nowhere", Ipv4Addr::new(224, 0, 0, 1), 22, "nobody");
    for (host, words) in [
        ("no-such-host.invalid", "resolve: "),
        ("closed", "connect: connection refused"),
        ("nowhere", "connect: network is unreachable"),
    ] {
        let run = env.psh(["--connect-timeout", "2s", "-H", &format!("good,{host}"), "echo fine"]).finish();
        run.expect_code(4).expect_stdout("fine").expect_stderr(host).expect_stderr(words).expect_stderr("hint:");
    }
}

#[test]
fn a_known_hosts_file_that_cannot_be_read_is_an_error() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    std::fs::remove_file(env.known_hosts()).unwrap();
    std::fs::create_dir(env.known_hosts()).unwrap();
    let run = env.psh(["--host-key", "accept-new", "-H", "server", "echo fine"]).finish();
    assert_eq!(run.code, Some(2), "{run}");
    let place = env.known_hosts().display().to_string();
    run.expect_stderr(&place).expect_nowhere("fine");
    drop(server);
}

#[test]
fn a_command_that_is_too_long_for_a_server_is_not_sent_and_another_way_is_named() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let long = "x".repeat(90_000);
    for (arguments, words) in [
        (&["echo", &long, &long][..], "when quoted for the remote shell, and at most 131071 can be sent"),
        (
            &["--raw", "echo", &long, &long, &long],
            "the command is too long: 270007 bytes, and at most 261888 can be sent",
        ),
    ] {
        let run = env.psh(["-H", "server"]).args(arguments).finish().expect_code(1).expect_stderr(words);
        run.expect_stderr("hint: send a long script as input instead: -I 'sh -s' < SCRIPT").expect_nowhere("xxx");
    }
    env.psh(["-H", "server", "-I", "sh -s"]).stdin(format!("echo {long}")).finish().expect_code(0).expect_stdout(&long);
}

#[test]
fn a_login_without_a_shell_is_a_failed_command() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "/bin/false").start();
    let run = env.psh(["-H", "server", "echo fine"]).finish();
    assert_ne!(run.code, Some(0), "{run}");
    run.expect_nowhere("fine");
}

#[test]
fn a_server_that_allows_no_session_is_reported_at_the_channel() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("MaxSessions", "0").start();
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("channel: ");
}

#[test]
fn help_and_version_are_printed_and_name_the_exit_codes() {
    let env = TestEnv::new();
    env.psh(["--help"]).finish().expect_code(0).expect_stdout("--exit-max").expect_stdout("timed out");
    env.psh(["--version"]).finish().expect_code(0).expect_stdout("psh ");
}
