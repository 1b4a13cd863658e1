//! `psh --pty` on real OpenSSH servers: commands on a terminal of their own, how they are fed, and how they are stopped.

use std::fs;

use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Running, Server, Signal, Sshd, TestEnv, processes};

fn world() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    (env, server)
}

#[test]
fn the_command_is_on_a_terminal_of_24_rows_when_we_are_on_none() {
    let (env, _server) = world();
    env.psh(["--pty", "--no-prefix", "-H", "server", "test -t 0 -a -t 1 -a -t 2 && stty size; echo $TERM >&2; exit 3"])
        .finish()
        .expect_code(5)
        .expect_stdout("24 80\r\ndumb\r\n")
        .expect_stderr("exit code 3");
}

#[test]
fn what_cannot_be_on_a_terminal_is_refused() {
    let (env, server) = world();
    for other in [&["--background", "true"][..], &["--script", "-"], &["--jobs"], &["--stop", "x"]] {
        env.psh(["--pty", "-H", "server"]).args(other).finish().expect_code(2).expect_stderr("cannot be used with");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_terminal_is_like_ours() {
    let (env, _server) = world();
    let run = env.psh(["--pty", "-H", "server", "stty size; echo $TERM"]).on_terminal().finish().expect_code(0);
    run.expect_stdout("24 100").expect_stdout("xterm-256color");
}

#[test]
fn without_input_a_program_that_reads_lines_finds_the_end_of_input() {
    let (env, _server) = world();
    env.psh(["--pty", "-H", "server", "cat; echo end"]).finish().expect_code(0).expect_stdout("end\r\n");
}

#[test]
fn our_input_is_typed_with_ctrl_d_at_its_end() {
    let (env, _server) = world();
    for (input, shown) in
        [("one\ntwo\n", "one\r\ntwo\r\none\r\ntwo\r\nend"), ("half a line", "half a linehalf a lineend"), ("", "end")]
    {
        let run = env
            .psh(["--pty", "-I", "-o", "out", "-H", "server", "sleep 1; cat; echo end"])
            .stdin(input)
            .finish()
            .expect_code(0);
        let text = fs::read_to_string(env.work().join("out/server")).unwrap();
        assert_eq!(text.replace("^D\u{8}\u{8}", ""), format!("{shown}\r\n"), "{run}");
    }
}

#[test]
fn output_is_exact_in_every_byte_that_the_terminal_leaves_alone() {
    let (env, _server) = world();
    let command =
        "stty -opost; i=0; while [ $i -lt 2000 ]; do printf '\\1\\036fleet \\377 line %s\\n' $i; i=$((i+1)); done";
    let _run = env.psh(["--pty", "-o", "out", "-H", "server", command]).finish().expect_code(0);
    let expected: Vec<u8> =
        (0..2000).flat_map(|i| [b"\x01\x1efleet \xff line ", i.to_string().as_bytes(), b"\n"].concat()).collect();
    assert!(fs::read(env.work().join("out/server")).unwrap() == expected);
}

#[test]
fn a_server_that_gives_no_terminal_runs_nothing() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("PermitTTY", "no").start();
    let file = env.shared().join("ran");
    env.psh(["--pty", "-H", "server", &format!("touch {}", file.display())])
        .finish()
        .expect_code(4)
        .expect_stderr("channel: the server gave no terminal")
        .expect_stderr("--pty");
    assert!(!file.exists());
}

/// Remote commands that are hard to stop; `{}` is a `sleep` that is unique on the machine.
const STUBBORN: [&str; 4] = [
    "echo go; {}",
    "trap '' TERM INT HUP; echo go; {}; {}",
    "(trap '' TERM HUP; {}) & echo go; {}",
    "(trap '' TERM HUP; setsid {} >/dev/null 2>&1) & echo go; {}",
];

struct Sleeping {
    run: Running,
    marker: String,
}

impl Sleeping {
    fn start(env: &TestEnv, options: &[&str], command: &str) -> Self {
        let marker = processes::unique_sleep();
        let command = command.replace("{}", &format!("sleep {marker}"));
        let grace = if options.contains(&"--grace") { &[][..] } else { &["--grace", "1s"] };
        let run = env.psh(["--pty", "-H", "server"]).args(grace).args(options).arg(&command).start();
        run.wait_for_stdout("go");
        processes::wait_for_command(&format!("sleep {marker}"));
        Self { run, marker }
    }
}

#[test]
fn ctrl_c_stops_what_runs_on_a_terminal() {
    let (env, _server) = world();
    let sleeping: Vec<_> = STUBBORN.iter().map(|command| Sleeping::start(&env, &[], command)).collect();
    sleeping.iter().for_each(|one| one.run.signal(Signal::INT));
    for Sleeping { run, marker } in sleeping {
        run.finish().expect_code(3).expect_nowhere("may still run");
        processes::assert_gone(&marker);
    }
}

#[test]
fn the_death_of_psh_stops_what_runs_on_a_terminal_and_is_deaf_to_its_hang_up() {
    let (env, _server) = world();
    let sleeping: Vec<_> = STUBBORN.iter().map(|command| Sleeping::start(&env, &["-vv"], command)).collect();
    sleeping.iter().for_each(|one| one.run.wait_for_stderr("a keeper watches"));
    sleeping.iter().for_each(|one| one.run.signal(Signal::KILL));
    for one in &sleeping {
        processes::assert_gone(&one.marker);
    }
}

#[test]
fn a_background_process_that_leaves_the_terminal_is_left_alone_when_the_command_ends() {
    let (env, _server) = world();
    for pause in ["", "; sleep 1"] {
        let marker = processes::unique_sleep();
        let command = format!("trap '' HUP; setsid sleep {marker} >/dev/null 2>&1 </dev/null & echo started{pause}");
        env.psh(["--pty", "-H", "server", &command]).finish().expect_code(0).expect_stdout("started");
        processes::wait_for_command(&format!("sleep {marker}"));
    }
}

const PASSWORD: &str = "open sesame!";

/// An account of which sudo has these rules, on a server of its own.
fn world_of(sudoers: &str) -> (TestEnv, Server, Throwaway) {
    accounts::require_root("sudo");
    let account = Throwaway::with_password(PASSWORD);
    account.sudoers(sudoers);
    let env = TestEnv::new();
    let server = Sshd::new(&env).user(account.name()).start();
    (env, server, account)
}

/// Those with which the terminal matters to sudo.
const SUDOERS: [&str; 3] = [
    "Defaults:USER requiretty, lecture=always\nUSER ALL=(ALL) ALL",
    "Defaults:USER use_pty\nUSER ALL=(ALL) ALL",
    "Defaults:USER requiretty, use_pty\nUSER ALL=(ALL) NOPASSWD: ALL",
];

#[test]
fn sudo_that_wants_a_terminal_has_one_and_the_password_is_not_shown() {
    for sudoers in SUDOERS {
        let (env, _server, _account) = world_of(sudoers);
        let command = "id -un; test -t 0 && stty -a | grep -o ' -*icanon.* echo '; cat; echo end";
        let long = "x".repeat(3000);
        let mut run = env
            .psh([
                "--pty",
                "--ask-sudo",
                "--env",
                &format!("LONG={long}"),
                "--no-prefix",
                "-o",
                "out",
                "-H",
                "server",
                &format!("{command}; echo ${{#LONG}}"),
            ])
            .on_terminal()
            .start();
        run.wait_for_stdout("Password of sudo: ");
        run.type_secret(PASSWORD);
        run.finish().expect_code(0).expect_nowhere(PASSWORD).expect_nowhere("FLEET").expect_nowhere("[fleet");
        let text = fs::read_to_string(env.work().join("out/server")).unwrap();
        assert!(
            text.contains("root\r\n") && text.contains(" icanon") && text.ends_with("end\r\n3000\r\n"),
            "{sudoers}: {text:?}"
        );
    }
}

#[test]
fn what_sudo_runs_on_a_terminal_is_stopped_too() {
    // With and without a terminal of sudo's own between ours and the command's.
    let requires = "Defaults:USER requiretty, !use_pty\nUSER ALL=(ALL) NOPASSWD: ALL";
    let keeps = "Defaults:USER use_pty\nUSER ALL=(ALL) NOPASSWD: ALL";
    for sudoers in [SUDOERS[2], requires, keeps] {
        // sudo may kill what it runs two seconds after a hang-up: the keeper has to be there for longer.
        for (signal, grace) in [(Signal::INT, "1s"), (Signal::KILL, "4s")] {
            let (env, _server, _account) = world_of(sudoers);
            let sleeping: Vec<_> = STUBBORN
                .iter()
                .map(|command| Sleeping::start(&env, &["--sudo", "-vv", "--grace", grace], command))
                .collect();
            sleeping.iter().for_each(|one| one.run.wait_for_stderr("a keeper watches"));
            sleeping.iter().for_each(|one| one.run.signal(signal));
            for (one, command) in sleeping.iter().zip(STUBBORN) {
                println!("{signal:?} {sudoers} {command}");
                processes::assert_gone(&one.marker);
            }
            for Sleeping { run, .. } in sleeping.into_iter().filter(|_| signal == Signal::INT) {
                run.finish().expect_code(3).expect_nowhere("may still run");
            }
        }
    }
}
