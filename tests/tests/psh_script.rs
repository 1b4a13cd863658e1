//! `psh --script`: scripts run on hosts that never hold them as files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use fleet_tests::{Dropbear, Server, Signal, Sshd, TestEnv, processes, program};

fn world() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    (env, server)
}

/// The script's path, as an argument.
fn script(env: &TestEnv, text: impl AsRef<[u8]>) -> String {
    env.write("work/deploy", text).display().to_string()
}

/// The variable that puts the file of a script into a folder of the test, for the moment that it has a name.
fn temporary(env: &TestEnv) -> String {
    format!("TMPDIR={}", env.shared().display())
}

/// What is there.
fn leftovers(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.shared()).expect("the folder can be listed").flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn the_interpreter_line_is_honoured_and_arguments_are_exact() {
    let (env, _server) = world();
    let arguments = ["two  words", "it's", "$HOME \\ !", "", "--flag", "*", "{host}"];
    let printed = "two  words|it's|$HOME \\ !||--flag|*|{host}|";
    for text in [
        "printf '%s|' \"$@\"",
        "#!/bin/sh -e\nfalse || printf '%s|' \"$@\"; false; echo not reached",
        "#! /bin/bash -u\nlist=(\"$@\"); printf '%s|' \"${list[@]}\"; [[ $0 == \"${BASH_SOURCE[0]}\" ]] && exit 1",
        "#!/usr/bin/env python3\nimport sys\nprint(end=''.join(a + '|' for a in sys.argv[1:]))\nsys.exit(__name__ == '__main__')",
        "#!/usr/bin/env -S perl -w\nprint map { \"$_|\" } @ARGV; exit 1",
        "#!/usr/bin/awk -f\nBEGIN { for (i = 1; i < ARGC; i++) printf \"%s|\", ARGV[i]; exit 1 }",
    ] {
        let file = script(&env, text);
        let run = env.psh(["--no-prefix", "-H", "server", "--script", &file, "--"]).args(arguments).finish();
        let code = if text.starts_with("printf") { 0 } else { 5 };
        assert_eq!((run.stdout_text().as_ref(), run.code), (printed, Some(code)), "{text}\n{run}");
    }
}

#[test]
fn a_script_from_our_input_knows_where_it_runs_and_can_read_itself() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let text = "echo $FLEET_HOST $FLEET_SCRIPT $MORE $1; sed -n 's/^## //p' \"$0\"; cat; exit 7\n## usage: so\n";
    let run = env.psh(["-H", "web[01-03]", "--env", "MORE=more", "--script", "-", "one"]).stdin(text).finish();
    let lines: Vec<String> =
        (1..=3).flat_map(|n| [format!("web0{n}: usage: so"), format!("web0{n}: web0{n} - more one")]).collect();
    assert_eq!(run.sorted_lines(), lines, "{run}");
    run.expect_code(5).expect_stderr("exit code 7");
}

#[test]
fn our_input_reaches_a_script_behind_its_text() {
    let (env, _server) = world();
    let input: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let mut text = b"#!/bin/sh\ncat; exit\n".to_vec();
    text.extend((0..=255).cycle().take(2_500_000));
    let file = script(&env, &text);
    let temporary = temporary(&env);
    env.psh(["-I", "-o", "out", "-H", "server", "--env", &temporary, "--script", &file])
        .stdin(input.clone())
        .finish()
        .expect_code(0);
    assert!(fs::read(env.work().join("out/server")).expect("the output file") == input);
    assert_eq!(leftovers(&env), [""; 0]);
}

#[test]
fn what_is_no_script_is_refused_before_anything_is_contacted() {
    let (env, server) = world();
    for (text, message) in [
        ("", "the script is empty"),
        ("#!/usr/bin/env python3\r\nprint()\r\n", "ends with a carriage return"),
        ("\x7fELF\x02\x01\x01\0", "binary program"),
    ] {
        let file = script(&env, text);
        env.psh(["-H", "server", "--script", &file]).finish().expect_code(2).expect_stderr(message);
    }
    env.psh(["-H", "server", "--script", "nowhere"]).finish().expect_code(2).expect_stderr("nowhere cannot be read");
    env.psh(["-I", "-H", "server", "--script", "-"]).finish().expect_code(2).expect_stderr("both read standard input");
    env.psh(["-h", "-", "--script", "-"]).finish().expect_code(2);
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_interpreter_that_is_missing_is_named() {
    let (env, _server) = world();
    let file = script(&env, "#!/opt/no/such -x\n");
    env.psh(["-H", "server", "--script", &file]).finish().expect_code(5).expect_stderr("/opt/no/such");
}

#[test]
fn a_script_is_stopped_as_any_command_and_leaves_no_file() {
    let (env, _server) = world();
    for signal in [Signal::INT, Signal::KILL] {
        let marker = processes::unique_sleep();
        let file = script(&env, format!("trap '' TERM HUP\necho go\nsleep {marker} & sleep {marker}\n"));
        let run = env.psh(["-H", "server", "--env", &temporary(&env), "--script", &file]).start();
        run.wait_for_stdout("go");
        run.signal(signal);
        let run = run.finish();
        assert!(!run.stderr_text().contains("may still run"), "{run}");
        processes::assert_gone(&marker);
        assert_eq!(leftovers(&env), [""; 0]);
    }
}

#[test]
fn a_script_whose_text_is_cut_off_does_not_run_and_leaves_no_file() {
    let (env, server) = world();
    let shared = env.shared().display().to_string();
    let mut text = format!("touch {shared}/ran\n").into_bytes();
    text.extend(b"#".repeat(30_000_000));
    let file = script(&env, &text);
    // The host takes the first part of it, and goes on when we are gone.
    let gone = env.path().join("slow/gone");
    let waiting = format!("until [ -e {} ]", gone.display());
    let dd = format!("#!/bin/sh\n{} \"$@\" && exec sh -c '{waiting}; do sleep 0.1; done'\n", program("dd").display());
    let dd = env.write("slow/dd", dd);
    fs::set_permissions(&dd, Permissions::from_mode(0o755)).expect("the mode can be set");
    let path = format!("PATH={}:/usr/bin:/bin", env.path().join("slow").display());
    let run = env.psh(["-H", "server", "--env", &temporary(&env), "--env", &path, "--script", &file]).start();
    processes::wait_for(&waiting, 1);
    server.cut(0);
    env.write("slow/gone", "");
    run.finish().expect_code(4);
    assert!(!env.shared().join("ran").exists());
    assert_eq!(leftovers(&env), [""; 0]);
}

#[test]
fn scripts_run_on_dropbear() {
    let env = TestEnv::new();
    let _server = Dropbear::new(&env).start();
    let mut text = b"#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:], sys.stdin.read())\n".to_vec();
    text.extend(b"# padding\n".repeat(30_000));
    let file = script(&env, &text);
    let run = env.psh(["--no-prefix", "-I", "-H", "server", "--script", &file, "it's", "2"]).stdin("in").finish();
    assert_eq!(run.stdout_text(), "[\"it's\", '2'] in\n", "{run}");
    let _ = run.expect_code(0);
}
