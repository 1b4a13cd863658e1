//! `psh --sudo` and `--ask-sudo` with the machine's own sudo, on real OpenSSH servers.

use std::fs;
use std::process::Command;

use fleet_tests::accounts::{self, Throwaway};
use fleet_tests::{Running, Server, Signal, Sshd, TestEnv, processes, program, run_to_end};

const PASSWORD: &str = "open sesame!";
const WITHOUT_PASSWORD: &str = "USER ALL=(ALL) NOPASSWD: ALL";
const WITH_PASSWORD: &str = "USER ALL=(ALL) ALL";

/// Three hosts, `web01` to `web03`, with an account of which sudo has these rules.
struct World {
    env: TestEnv,
    account: Throwaway,
    server: Server,
}

impl World {
    fn new(sudoers: &str) -> Self {
        Self::with_server(sudoers, |server| server)
    }

    fn with_server(sudoers: &str, options: impl FnOnce(Sshd<'_>) -> Sshd<'_>) -> Self {
        let account = Throwaway::with_password(PASSWORD);
        account.sudoers(sudoers);
        let env = TestEnv::new();
        let server = options(Sshd::new(&env).hosts("web", 3).user(account.name())).start();
        Self { env, account, server }
    }

    /// `psh` at a terminal, where the password of sudo was asked for and `answer` was typed.
    fn answered(&self, answer: &str, arguments: &[&str]) -> Running {
        let mut run = self.env.psh(["--ask-sudo"]).args(arguments).on_terminal().start();
        run.wait_for_stdout("Password of sudo: ");
        run.type_secret(answer);
        run
    }
}

#[test]
fn the_command_runs_as_root_or_the_named_user_with_its_variables_and_in_a_shell() {
    let world = World::new(WITHOUT_PASSWORD);
    let other = accounts::plain();
    let name = world.account.name();
    let script =
        "id -un; echo $HOME | tr a-z A-Z; echo \"$A|$FLEET_HOST|$FLEET_INDEX|$0|${FLEET_PROGRAM-}${LANGUAGE-}\"; cat";
    for (flag, user, home) in [
        ("--sudo", "root", "/ROOT".to_owned()),
        (&format!("--sudo={other}"), other, format!("/HOME/{}", other.to_uppercase())),
    ] {
        world
            .env
            .psh([flag, "--env", "A=it's a \\ 'b'", "--no-prefix", "-H", "web02", script])
            .finish()
            .expect_code(0)
            .expect_stdout(&format!("{user}\n{home}\nit's a \\ 'b'|web02|0|sh|\n"));
    }
    world.env.psh(["--no-prefix", "-H", "web01", "id -un"]).finish().expect_stdout(&format!("{name}\n"));
}

#[test]
fn exit_codes_and_signals_are_those_of_the_command() {
    let world = World::new(WITHOUT_PASSWORD);
    for (command, code, said) in [
        ("exit 7", 5, "exit code 7"),
        ("kill -USR1 $$", 3, "killed by signal USR1"),
        ("no-such-command", 5, "exit code 127"),
    ] {
        world.env.psh(["--sudo", "-H", "web01", command]).finish().expect_code(code).expect_stderr(said);
    }
}

#[test]
fn a_refusal_is_folded_with_its_reason_and_a_hint_and_runs_nothing() {
    let cases = [
        (WITH_PASSWORD, "--sudo", "sudo needs a password", "--ask-sudo"),
        (WITHOUT_PASSWORD, "--sudo=no-such-user", "sudo does not know the user to run as", "--sudo=USER"),
        ("Defaults:USER !authenticate\nUSER ALL=(ALL) /bin/true", "--sudo", "sudo does not allow it", "/bin/sh"),
        ("Defaults:USER requiretty\nUSER ALL=(ALL) NOPASSWD: ALL", "--sudo", "sudo needs a terminal", "--pty"),
    ];
    for (sudoers, flag, reason, hint) in cases {
        let world = World::new(sudoers);
        let run = world.env.psh([flag, "-H", "web[01-03]", "echo ran"]).finish().expect_code(5);
        let run = run.expect_stderr(&format!("web[01-03] (3): command: {reason}")).expect_stderr(hint);
        assert!(run.stdout.is_empty() && !run.stderr_text().contains("sudo: "), "{run}");
    }
}

#[test]
fn sudo_that_is_not_there_is_said() {
    let path = tempfile::tempdir().unwrap();
    fs::set_permissions(path.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(program("env"), path.path().join("env")).unwrap();
    let variable = format!("PATH={}", path.path().display());
    let world = World::with_server(WITHOUT_PASSWORD, |server| server.option("SetEnv", &variable));
    world.env.psh(["--sudo", "-H", "web01", "true"]).finish().expect_code(5).expect_stderr("sudo is not installed");
}

#[test]
fn the_password_is_asked_for_once_and_answers_every_host_that_asks() {
    let world = World::new("Defaults:USER lecture=always\nUSER ALL=(ALL) ALL");
    let run = world
        .answered(PASSWORD, &["-v", "-v", "-H", "web[01-03]", "id -un; cat; echo $FLEET_HOST"])
        .finish()
        .expect_code(0);
    assert_eq!(run.stdout_text().matches("Password of sudo").count(), 1, "{run}");
    assert_eq!(run.stdout_text().lines().filter(|line| line.trim_end().ends_with("root")).count(), 3, "{run}");
    for host in ["web01", "web02", "web03"] {
        let lines = run.stdout_text().lines().filter(|line| line.trim_end().ends_with(host)).count();
        assert!(lines > 0, "{host}: {run}");
    }
    run.expect_nowhere(PASSWORD).expect_nowhere("[fleet ").expect_nowhere("asks%");
}

#[test]
fn the_input_of_the_command_is_ours_alone_whether_sudo_asks_or_not() {
    for sudoers in [WITH_PASSWORD, WITHOUT_PASSWORD] {
        let world = World::new(sudoers);
        let out = world.env.work().join("out");
        let command =
            format!("{} --ask-sudo -I -o {} -H 'web[01-03]' 'id -un; cat' <input", world.env.psh_path(), out.display());
        world.env.write("work/input", "first\nlast, without a line end");
        let mut run = world.env.run(&program("sh"), ["-c", &command]).on_terminal().start();
        run.wait_for_stdout("Password of sudo: ");
        run.type_secret(PASSWORD);
        run.finish().expect_code(0).expect_nowhere(PASSWORD);
        for host in ["web01", "web02", "web03"] {
            let text = fs::read_to_string(out.join(host)).unwrap();
            assert_eq!(text, "root\nfirst\nlast, without a line end", "{sudoers}: {host}");
        }
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_leaves_no_sudo_behind() {
    let world = World::new(WITH_PASSWORD);
    let log = world.env.path().join("log");
    world.account.sudoers(&format!("Defaults:USER logfile={}, passwd_tries=3\n{WITH_PASSWORD}", log.display()));
    // No other test runs anything as this user.
    let other = Throwaway::with_shell("/bin/sh");
    let sudo = format!("--sudo={}", other.name());
    let run = world.answered("wrong-one", &[&sudo, "-H", "web01", "echo ran"]).finish().expect_code(5);
    run.expect_stdout("command: sudo refused the password")
        .expect_stdout("tried once")
        .expect_nowhere("wrong-one")
        .expect_nowhere("Sorry, try again");
    processes::assert_gone(&format!("-H -u {}", other.name()));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("1 incorrect password attempt") && !log.contains("COMMAND=list"), "{log}");
}

#[test]
fn a_user_whom_sudo_does_not_know_is_told_so_after_the_password() {
    let world = World::new("root ALL=(ALL) ALL");
    world
        .answered(PASSWORD, &["-H", "web[01-03]", "echo ran"])
        .finish()
        .expect_code(5)
        .expect_stdout("(3): ")
        .expect_stdout("command: sudo does not allow it")
        .expect_nowhere("ran\r");
}

#[test]
fn without_a_terminal_to_ask_at_nothing_is_contacted() {
    let world = World::new(WITH_PASSWORD);
    world
        .env
        .psh(["--ask-sudo", "-H", "web01", "true"])
        .finish()
        .expect_code(2)
        .expect_stderr("--ask-sudo needs a password");
    world.answered("", &["-H", "web01", "true"]).finish().expect_code(2).expect_stdout("the answer is empty");
    for (arguments, words) in
        [(["--raw", "--sudo"], "cannot be used with"), (["--sudo=-x", "-q"], "is not the name of a user")]
    {
        world.env.psh(arguments).args(["-H", "web01", "true"]).finish().expect_code(2).expect_stderr(words);
    }
    assert_eq!(world.server.connections(), 0);
}

/// Remote commands that are hard to stop; `{}` is a `sleep` that is unique on the machine.
const STUBBORN: [&str; 4] = [
    "echo go; {}",
    "trap '' TERM INT HUP; echo go; {}; {}",
    "(trap '' TERM HUP; setsid {} >/dev/null 2>&1) & echo go; {}",
    "echo go; yes | (sleep 0.1; {})",
];

/// A `psh` whose remote command has said `go` and sleeps under a unique marker.
struct Sleeping {
    run: Running,
    marker: String,
}

impl Sleeping {
    fn start(world: &World, options: &[&str], command: &str) -> Self {
        let marker = processes::unique_sleep();
        let command = command.replace("{}", &format!("sleep {marker}"));
        let arguments = [options, &["--grace", "1s", "-H", "web01", &command]].concat();
        let run = if options.contains(&"--ask-sudo") {
            world.answered(PASSWORD, &arguments[1..])
        } else {
            world.env.psh(&arguments).open_stdin().start()
        };
        run.wait_for_stdout("go");
        processes::wait_for_command(&format!("sleep {marker}"));
        Self { run, marker }
    }
}

/// The ways through sudo that a stop has to go too.
const WAYS: [(&str, &[&str]); 5] = [
    (WITHOUT_PASSWORD, &["--sudo"]),
    (WITH_PASSWORD, &["--ask-sudo"]),
    (WITHOUT_PASSWORD, &["--sudo", "-I", "-vv"]),
    ("Defaults:USER use_pty\nUSER ALL=(ALL) NOPASSWD: ALL", &["--sudo"]),
    ("Defaults:USER use_pty\nUSER ALL=(ALL) ALL", &["--ask-sudo"]),
];

#[test]
fn ctrl_c_stops_what_runs_as_root() {
    for (sudoers, options) in WAYS {
        let world = World::new(sudoers);
        let sleeping: Vec<_> = STUBBORN.iter().map(|command| Sleeping::start(&world, options, command)).collect();
        sleeping.iter().for_each(|one| one.run.signal(Signal::INT));
        for Sleeping { run, marker } in sleeping {
            run.finish().expect_code(3).expect_nowhere("may still run").expect_nowhere(PASSWORD);
            processes::assert_gone(&marker);
        }
    }
}

#[test]
fn the_timeout_stops_what_runs_as_root() {
    let world = World::new(WITHOUT_PASSWORD);
    for command in STUBBORN {
        let Sleeping { run, marker } = Sleeping::start(&world, &["--sudo", "-t", "4s"], command);
        run.finish().expect_code(3).expect_stderr("timed out after 4s, stopped");
        processes::assert_gone(&marker);
    }
}

#[test]
fn the_death_of_psh_stops_what_runs_as_root() {
    for (sudoers, options) in WAYS {
        let world = World::new(sudoers);
        let sleeping: Vec<_> = STUBBORN.iter().map(|command| Sleeping::start(&world, options, command)).collect();
        if options.contains(&"-I") {
            sleeping.iter().for_each(|one| one.run.wait_for_stderr("a keeper watches"));
        }
        sleeping.iter().for_each(|one| one.run.signal(Signal::KILL));
        for one in &sleeping {
            println!("{sudoers} {options:?}");
            processes::assert_gone(&one.marker);
        }
    }
}

#[test]
fn ctrl_c_stops_what_runs_as_root_where_a_connection_has_one_session_only() {
    let world = World::with_server(WITH_PASSWORD, |server| server.option("MaxSessions", "1"));
    for command in STUBBORN {
        let Sleeping { run, marker } = Sleeping::start(&world, &["--ask-sudo"], command);
        run.signal(Signal::INT);
        run.finish().expect_code(3).expect_nowhere("may still run");
        processes::assert_gone(&marker);
    }
}

#[test]
fn the_password_is_in_no_process_while_the_command_runs() {
    let world = World::new(WITH_PASSWORD);
    let Sleeping { run, marker } =
        Sleeping::start(&world, &["--ask-sudo", "-v", "-v", "--env", "TOP=classified"], "echo go; {}");
    let (mut seen, mut running) = (Vec::new(), 0);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).replace('\0', " ");
            running += usize::from(file == "cmdline" && text.contains(&marker));
            if text.contains(PASSWORD)
                || (file == "cmdline"
                    && text.contains("sudo")
                    && text.contains("classified")
                    && !text.contains("psh-under-test"))
            {
                seen.push(text);
            }
        }
    }
    assert!(running > 0 && seen.is_empty(), "{running} {seen:?}");
    run.signal(Signal::INT);
    run.finish().expect_nowhere(PASSWORD).expect_nowhere("classified");
    processes::assert_gone(&marker);
}

#[test]
fn a_shell_that_shows_what_it_runs_gets_no_password() {
    let world = World::new(WITHOUT_PASSWORD);
    run_to_end(Command::new(program("usermod")).args(["--shell", "/bin/bash", world.account.name()]));
    fs::write(world.account.home().join(".bashrc"), "set -vx\n").unwrap();
    let run = world.answered(PASSWORD, &["-H", "web01", "id -un; cat; echo end"]).finish().expect_code(0);
    run.expect_stdout("root").expect_stdout("end").expect_nowhere(PASSWORD);
}

#[test]
fn a_script_runs_as_the_other_user_and_reads_our_input_behind_its_text() {
    let mut text =
        b"#!/usr/bin/env python3\nimport os, sys\nprint(os.getuid(), sys.argv[1:], sys.stdin.read())\n".to_vec();
    text.extend(b"# padding\n".repeat(100_000));
    for (sudoers, flag) in [(WITHOUT_PASSWORD, "--sudo"), (WITH_PASSWORD, "--ask-sudo")] {
        let world = World::new(sudoers);
        let file = world.env.write("work/deploy", &text).display().to_string();
        world.env.write("work/input", "first\nlast");
        let temporary = format!("TMPDIR={}", world.env.shared().display());
        let command = format!(
            "{} {flag} -I -H 'web[01-03]' -o out --env {temporary} --script {file} \"it's\" <input",
            world.env.psh_path()
        );
        let mut run = world.env.run(&program("sh"), ["-c", &command]).on_terminal().start();
        if flag == "--ask-sudo" {
            run.wait_for_stdout("Password of sudo: ");
            run.type_secret(PASSWORD);
        }
        run.finish().expect_code(0).expect_nowhere(PASSWORD);
        for host in ["web01", "web02", "web03"] {
            let text = fs::read_to_string(world.env.work().join("out").join(host)).unwrap();
            assert_eq!(text, "0 [\"it's\"] first\nlast\n", "{flag}: {host}");
        }
        assert_eq!(fs::read_dir(world.env.shared()).unwrap().count(), 0);
    }
}

#[test]
fn a_script_that_runs_as_root_is_stopped() {
    for (sudoers, options) in [(WITHOUT_PASSWORD, &["--sudo"][..]), (WITH_PASSWORD, &["--ask-sudo"])] {
        for signal in [Signal::INT, Signal::KILL] {
            let world = World::new(sudoers);
            let marker = processes::unique_sleep();
            let text = format!("trap '' TERM HUP\necho it-runs\nsleep {marker} & sleep {marker}\n");
            let file = world.env.write("work/deploy", text).display().to_string();
            let arguments = ["--grace", "1s", "-vv", "-H", "web01", "--script", &file];
            let run = if options == ["--sudo"] {
                world.env.psh(options).args(arguments).on_terminal().start()
            } else {
                world.answered(PASSWORD, &arguments)
            };
            run.wait_for_stdout("it-runs");
            run.wait_for_stdout("a keeper watches");
            run.signal(signal);
            run.finish().expect_nowhere("may still run");
            processes::assert_gone(&marker);
        }
    }
}

#[test]
fn a_job_of_another_user_without_a_shell_is_started_listed_collected_and_stopped_through_sudo() {
    let other = Throwaway::with_shell("/usr/sbin/nologin");
    let sudo = format!("--sudo={}", other.name());
    for sudoers in [WITHOUT_PASSWORD, WITH_PASSWORD] {
        let world = World::new(sudoers);
        let psh = |arguments: &[&str]| {
            let arguments = [&[sudo.as_str(), "--no-prefix", "-H", "web01"], arguments].concat();
            if sudoers == WITH_PASSWORD {
                world.answered(PASSWORD, &arguments).finish()
            } else {
                world.env.psh(arguments).on_terminal().finish()
            }
        };
        let start = |arguments: &[&str]| {
            let run = psh(&[&["--background"], arguments].concat()).expect_code(0);
            let text = run.stdout_text();
            let at = text.find("job 2").expect("the name of a job") + 4;
            text[at..at + 18].to_owned()
        };
        let script = world.env.write("work/job", "#!/bin/sh\nid -un\necho \"<$1>\"\nexit 8\n").display().to_string();
        let scripted = start(&["--script", &script, "it's"]);
        let wanted = format!("{}\r\n<it's>\r\n", other.name());
        psh(&["--collect", &scripted, "--wait"]).expect_code(5).expect_stdout(&wanted).expect_stdout("exit code 8");
        let ended = start(&["id -un; exit 7"]);
        let wanted = format!("{}\r\n", other.name());
        psh(&["--collect", &ended, "--wait"]).expect_code(5).expect_stdout(&wanted).expect_stdout("exit code 7");
        let marker = processes::unique_sleep();
        let running = start(&[&format!("trap '' TERM; sleep {marker}; sleep {marker}")]);
        processes::wait_for_command(&format!("sleep {marker}"));
        psh(&["--jobs"]).expect_code(0).expect_stdout(&format!("{running}  running"));
        psh(&["--collect", &running]).expect_code(3).expect_stdout("still running");
        psh(&["--grace", "1s", "--stop", &running]).expect_code(0);
        processes::assert_gone(&marker);
        psh(&["--collect", &ended, "--rm"]).expect_code(5);
        let gone = psh(&["--collect", &ended]).expect_code(4);
        gone.expect_stdout("no such job").expect_nowhere(PASSWORD);
        world.env.psh(["-H", "web01", "--collect", &running]).finish().expect_code(4).expect_stderr("no such job");
    }
}

#[test]
fn a_command_that_runs_again_does_so_as_the_same_user_on_a_terminal_or_not_at_all() {
    let other = accounts::plain();
    let world = World::new(WITHOUT_PASSWORD);
    let sudo = format!("--sudo={other}");
    let arguments = [&sudo, "--pty", "--no-prefix", "-H", "web01", "id -un; test -t 1 && exit 7"];
    let shown = format!("{other}\r\n");
    world.env.psh(arguments).finish().expect_code(5).expect_stdout(&shown);
    let again = world.env.psh(["--failed", "--no-prefix"]).finish().expect_code(5);
    again.expect_stdout(&shown).expect_stderr("exit code 7");

    let world = World::new(WITH_PASSWORD);
    world.answered(PASSWORD, &["-H", "web01", "id -un; exit 7"]).finish().expect_code(5).expect_stdout("root");
    let refused = world.env.psh(["--failed"]).finish().expect_code(2);
    refused.expect_stderr("it had --ask-sudo").expect_nowhere("root");
    world.answered(PASSWORD, &["--failed"]).finish().expect_code(5).expect_stdout("root").expect_nowhere(PASSWORD);
}

#[test]
fn a_refusal_of_sudo_is_not_tried_again() {
    let world = World::new(WITH_PASSWORD);
    let log = world.env.path().join("log");
    world.account.sudoers(&format!("Defaults:USER logfile={}\n{WITH_PASSWORD}", log.display()));
    // No other test runs anything as this user.
    let other = Throwaway::with_shell("/bin/sh");
    let sudo = format!("--sudo={}", other.name());
    let retry = [&sudo, "--retry", "2", "--retry-command", "2", "-H", "web01", "true"];
    world.answered("wrong-one", &retry).finish().expect_code(5).expect_stdout("sudo refused the password");
    processes::assert_gone(&format!("-H -u {}", other.name()));
    assert_eq!(fs::read_to_string(log).unwrap().matches("incorrect password").count(), 1);
}

#[test]
fn ctrl_c_while_sudo_asks_says_that_nothing_was_started() {
    let world = World::new(WITH_PASSWORD);
    // PAM makes those wait whose password is wrong: so there is a moment in which sudo is asked and says nothing.
    // No other test runs anything as this user.
    let other = Throwaway::with_shell("/bin/sh");
    let run = world.answered("wrong-one", &[&format!("--sudo={}", other.name()), "-H", "web01", "echo ran"]);
    processes::wait_for(&format!("-H -u {}", other.name()), 1);
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stdout("not started").expect_nowhere("ran\r");
}

#[test]
fn commands_by_sudo_and_jobs_are_told_their_role() {
    let world = World::new(WITHOUT_PASSWORD);
    let env = &world.env;
    env.fleet(["partition", "-H", "web[01-03]", "server=1", "load=rest"]).finish().expect_code(0);
    let told = "echo \"$(id -un) $FLEET_ROLE $FLEET_ROLE_INDEX/$FLEET_ROLE_SIZE ${FLEET_HOSTS_SERVER:+knows}\"";
    let script = env.write("work/told.sh", format!("{told}\n")).display().to_string();
    for words in [&[told][..], &["--script", &script]] {
        let run = env.psh(["--sudo", "--no-prefix", "-H", "web03"]).args(words).finish().expect_code(0);
        assert_eq!(run.stdout_text(), "root load 1/2 knows\n", "{words:?}");
    }
    let started = env.psh(["--sudo", "--no-prefix", "-H", "web03", "--background", told]).finish().expect_code(0);
    let job = started.stdout_text().trim().strip_prefix("job ").expect("the name of a job").to_owned();
    let collect = ["--sudo", "--no-prefix", "-H", "web03", "--wait", "--collect", &job, "--rm"];
    assert_eq!(env.psh(collect).finish().expect_code(0).stdout_text(), "root load 1/2 knows\n");
}
