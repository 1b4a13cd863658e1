//! What `psh` prints and writes: byte-exact, on the right stream, by the right host.

use std::fs;
use std::os::unix::fs::symlink;

use fleet_tests::{Finished, Running, Server, Signal, Sshd, TestEnv, accounts, program, run_to_end};
use serde_json::{Value, json};

fn world(hosts: usize) -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", hosts).start();
    (env, server)
}

/// Every byte value in an order that makes lines of all kinds, without a newline at the end.
fn every_byte() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    bytes.extend_from_slice(b"\r\n\n\n\xff\xfe\x00last");
    bytes
}

#[test]
fn stdout_and_stderr_of_the_hosts_go_to_ours() {
    let (env, _server) = world(3);
    let run = env.psh(["-H", "web[01-03]", "echo out; echo err >&2"]).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("out").count(), 3, "{run}");
    assert_eq!(run.stderr_text().matches(": err").count(), 3, "{run}");
    assert!(!run.stdout_text().contains("err") && !run.stderr_text().contains("out\n"), "{run}");
}

#[test]
fn every_byte_of_one_host_arrives_unchanged() {
    let (env, _server) = world(1);
    for (name, bytes) in
        [("every", every_byte()), ("long", [every_byte(), vec![b'x'; 5_000_000]].concat()), ("no", vec![])]
    {
        let file = env.write(name, &bytes);
        let cat = format!("cat {}", file.display());
        let run = env.psh(["--no-prefix", "-H", "web01", &cat]).finish().expect_code(0);
        assert!(run.stdout == bytes, "{name}: {} of {} bytes on stdout, or others", run.stdout.len(), bytes.len());
    }
}

#[test]
fn every_byte_arrives_unchanged_in_the_files_of_each_host() {
    let (env, server) = world(3);
    let bytes = every_byte();
    let file = env.write("every", &bytes);
    let command = format!("cat {file}; cat {file} {file} >&2", file = file.display());
    env.psh(["-o", "out/deep", "-e", "err", "-H", "web[01-03]", &command]).finish().expect_code(0);
    for name in server.names() {
        assert!(fs::read(env.work().join("out/deep").join(name)).unwrap() == bytes, "stdout of {name}");
        assert!(fs::read(env.work().join("err").join(name)).unwrap() == bytes.repeat(2), "stderr of {name}");
    }
}

#[test]
fn files_are_named_as_pssh_names_them() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let full = format!("{}@{}:{}", accounts::plain(), server.address(), server.port());
    env.psh(["-o", "out", "-H", &full, "-H", "server", "echo x"]).finish().expect_code(0);
    let mut names: Vec<_> = fs::read_dir(env.work().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = [full, "server".to_owned()];
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_last_line_without_newline_stays_a_line_of_its_own() {
    let (env, _server) = world(3);
    let run = env.psh(["-H", "web[01-03]", "printf 'one\\ntwo'"]).finish().expect_code(0);
    let lines = run.sorted_lines();
    assert_eq!(lines.len(), 6, "{run}");
    assert!(
        lines.iter().all(|line| line.starts_with("web0") && (line.ends_with("one") || line.ends_with("two"))),
        "{run}"
    );
}

#[test]
fn lines_appear_while_the_command_runs() {
    let (env, _server) = world(2);
    let run = env.psh(["-I", "-H", "web[01-02]", "echo first; read x; echo second"]).open_stdin().start();
    run.wait_for_stdout("web01: first");
    run.wait_for_stdout("web02: first");
    let mut run = run;
    run.write(b"go\n");
    run.close_stdin();
    run.finish().expect_code(0).expect_stdout("web01: second");
}

#[test]
fn inline_shows_each_host_as_one_block() {
    let (env, _server) = world(4);
    let run = env.psh(["-i", "-H", "web[01-04]", "for i in 1 2 3; do echo $FLEET_HOST-$i; sleep 0.1; done"]);
    let run = run.finish().expect_code(0);
    let stdout = run.stdout_text();
    for host in ["web01", "web02", "web03", "web04"] {
        assert!(stdout.contains(&format!("{host}-1\n{host}-2\n{host}-3\n")), "{host} is not a block: {run}");
    }
}

#[test]
fn json_tells_everything_in_one_object_a_line() {
    let (env, server) = world(3);
    env.closed_host("gone");
    let command = "printf 'a\\377b\\nlast'; echo err >&2; exit $FLEET_INDEX";
    let run = env.psh(["--json", "-H", "web[01-03],gone", command]).finish().expect_code(4);
    let events: Vec<Value> = run.stdout_text().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(events.iter().all(|event| event["v"] == 1), "{run}");
    assert_eq!(
        events[0],
        json!({
            "v": 1, "event": "run", "program": "psh", "run": events[0]["run"],
            "hosts": ["web01", "web02", "web03", "gone"],
        })
    );

    let of = |host: &str, kind: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["host"] == host && event["event"] == kind).collect()
    };
    for (index, name) in server.names().iter().enumerate() {
        let (out, err): (Vec<_>, Vec<_>) =
            of(name, "output").into_iter().partition(|event| event["stream"] == "stdout");
        assert_eq!((&out[0]["base64"], &out[1]["text"]), (&json!("Yf9iCg=="), &json!("last")), "{run}");
        assert_eq!(err[0]["text"], "err\n", "{run}");
        assert_eq!(of(name, "finished")[0]["exit_code"], index, "{run}");
    }
    let gone = of("gone", "finished")[0];
    assert_eq!((&gone["class"], &gone["stage"]), (&json!("refused"), &json!("connect")), "{run}");
    let last = events.last().expect("a summary");
    assert_eq!(
        (&last["event"], &last["hosts"], &last["exit_status"]),
        (&json!("summary"), &json!(4), &json!(4)),
        "{run}"
    );
}

#[test]
fn quiet_prints_only_what_went_wrong() {
    let (env, _server) = world(2);
    let run = env.psh(["-q", "-H", "web[01-02]", "echo x"]).finish().expect_code(0);
    assert!(run.stdout.is_empty() && run.stderr.is_empty(), "{run}");
    let run = env.psh(["-q", "-H", "web[01-02]", "exit 3"]).finish().expect_code(5);
    assert!(run.stdout.is_empty(), "{run}");
    run.expect_stderr("web[01-02]").expect_stderr("exit code 3");
}

#[test]
fn the_summary_folds_hosts_by_reason() {
    let (env, _server) = world(8);
    env.closed_host("gone");
    let command = "[ $FLEET_INDEX -ge 2 ] && [ $FLEET_INDEX -le 6 ] && exit 7; exit 0";
    env.psh(["-H", "web[01-08],gone", command])
        .finish()
        .expect_code(4)
        .expect_stderr("web[03-07] (5): exit code 7")
        .expect_stderr("gone (1): connect: connection refused");
}

#[test]
fn escape_sequences_are_harmless_on_a_terminal_and_exact_in_a_pipe() {
    let (env, _server) = world(1);
    let attack = "\x1b]0;owned\x07\x1b[2Jred\x1b[31m\u{9b}31m";
    let file = env.write("attack", format!("{attack}\n"));
    let cat = format!("cat {}", file.display());
    let piped = env.psh(["-H", "web01", "--no-prefix", &cat]).finish().expect_code(0);
    assert_eq!(piped.stdout_text(), format!("{attack}\n"));
    for layout in ["--no-prefix", "--inline", "--env=A=B"] {
        let shown = env.psh(["-H", "web01", layout, &cat]).on_terminal().finish().expect_code(0).expect_stdout("owned");
        for sequence in ["\x1b]0", "\x07", "\x1b[2J", "\u{9b}"] {
            assert!(!shown.stdout_text().contains(sequence), "{layout}: {sequence:?} reached the terminal");
        }
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let (env, _server) = world(1);
    let run = env.psh(["-H", "web01", "echo x"]);
    assert!(!run.finish().stdout_text().contains('\x1b'), "a pipe gets no colours");
    let run = env.psh(["-H", "web01", "echo x"]).on_terminal().finish();
    assert!(run.stdout_text().contains("\x1b["), "{run}");
    for value in ["1", "0", "yes"] {
        let run = env.psh(["-H", "web01", "echo x; exit 3"]).env("NO_COLOR", value).on_terminal().finish();
        let sequences = run.stdout_text().into_owned();
        let mut ends =
            sequences.split("\x1b[").skip(1).filter_map(|rest| rest.find(char::is_alphabetic).map(|at| &rest[at..]));
        assert!(!ends.any(|end| end.starts_with('m')), "NO_COLOR={value}: {run}");
    }
    let run = env.psh(["-H", "web01", "echo x"]).env("NO_COLOR", "").on_terminal().finish();
    assert!(run.stdout_text().contains("\x1b[3"), "an empty NO_COLOR is none: {run}");
}

#[test]
fn what_v_says_has_no_colours_in_a_pipe() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let run = env.psh(["-v", "-H", "server", "true"]).finish().expect_code(0).expect_stderr("host key accepted");
    assert!(!run.stderr_text().contains('\x1b'), "{run}");
}

#[test]
fn a_dumb_terminal_gets_no_escape_sequence_at_all() {
    let (env, _server) = world(1);
    let command = "printf 'x\\n\\33[1m'; echo y >&2; exit 3";
    let run = env.psh(["-H", "web01", command]).env("TERM", "dumb").on_terminal().finish().expect_code(5);
    run.expect_nowhere("\x1b");
}

/// Runs psh in a shell on a terminal, with a host that ends at once and one that waits for `release`.
fn on_a_shell_with_a_waiting_host(env: &TestEnv, redirection: &str, until: impl FnOnce(&Running)) -> Finished {
    let gate = env.shared().join("gate");
    run_to_end(std::process::Command::new(program("mkfifo")).args(["-m", "666"]).arg(&gate));
    let command = format!("echo out; [ $FLEET_HOST = web01 ] || read x < {}", gate.display());
    let script = format!("{} -H 'web[01-02]' '{command}' {redirection}", env.psh_path());
    let run = env.run(&program("sh"), ["-c", &script]).on_terminal().start();
    until(&run);
    fs::write(&gate, "\n").expect("the gate of this test");
    let run = run.finish().expect_code(0);
    fs::remove_file(&gate).expect("the gate of this test");
    run
}

#[test]
fn the_progress_line_is_on_a_terminal_that_nothing_else_writes_to() {
    let (env, _server) = world(2);
    let progress = "1/2 done, 1 running";
    for redirection in ["", "> out.txt", "> /dev/null"] {
        let wait = |run: &Running| run.wait_for_stdout(progress);
        let run = on_a_shell_with_a_waiting_host(&env, redirection, wait);
        let lines = screen(&run.stdout);
        let expected = match redirection {
            "" => &["web01: out", "web02: out", "2 hosts: 2 ok"][..],
            _ => &["2 hosts: 2 ok"],
        };
        assert_eq!(lines.len(), expected.len(), "{redirection}: {lines:?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{redirection}: {lines:?}");
        }
    }
    // The reader of a pipe may write to the same terminal.
    let wait = |run: &Running| run.wait_for_stdout("web01: out");
    let run = on_a_shell_with_a_waiting_host(&env, "| cat", wait);
    run.expect_nowhere(" running");
}

/// The lines that a terminal shows in the end, without colours, sorted but for the last.
fn screen(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let shown = |line: &str| {
        // What is cleared (`\x1b[2K`) is not seen any more.
        let left = line.rsplit("\x1b[2K").next().unwrap_or_default();
        let mut plain = String::new();
        let mut parts = left.split("\x1b[");
        plain.push_str(parts.next().unwrap_or_default());
        plain.extend(parts.filter_map(|part| Some(part.split_once('m')?.1)));
        plain.trim().to_owned()
    };
    let mut lines: Vec<String> = text.lines().map(shown).collect();
    if let Some((_, before)) = lines.split_last_mut() {
        before.sort();
    }
    lines
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let (env, _server) = world(2);
    let command = "[ $FLEET_HOST = web02 ] && exec sleep 1000; true";
    let run = env.psh(["-H", "web[01-02]", command]).on_terminal().start();
    run.wait_for_stdout("web02");
    run.signal(Signal::INT);
    let _ = run.finish().expect_code(3);
}

#[test]
fn output_that_never_ends_can_be_interrupted() {
    let (env, _server) = world(3);
    let run = env.psh(["-H", "web[01-03]", "echo start $FLEET_HOST; yes"]).start();
    for name in ["web01", "web02", "web03"] {
        run.wait_for_stdout(&format!("start {name}"));
    }
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_stderr("web[01-03]");
}

#[test]
fn a_reader_who_does_not_read_stops_the_hosts_and_not_the_memory() {
    let (env, _server) = world(1);
    let script =
        format!("{} -H web01 --no-prefix 'yes | head -c 200000000' | (read x; sleep 2; cat) | wc -c", env.psh_path());
    let limited = ["--data=400000000", "sh", "-c", &script];
    let run = env.run(&program("prlimit"), limited).finish().expect_code(0);
    // The shell's `read` takes the first line, byte by byte.
    assert_eq!(run.stdout_text().trim(), "199999998", "{run}");
}

#[test]
fn long_lines_of_many_hosts_take_time_in_proportion() {
    let (env, _server) = world(10);
    let command = "head -c 1000000 /dev/zero | tr '\\0' x; echo";
    for layout in ["--inline", "--env=A=B"] {
        let run = env.psh(["-H", "web[01-10]", layout, command]).finish().expect_code(0);
        let xs = run.stdout.iter().filter(|&&byte| byte == b'x').count();
        assert_eq!(xs, 10_000_000, "{layout}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_our_failure() {
    let (env, _server) = world(1);
    for arguments in ["-H web01 echo x", "-H web01 -i echo x", "-H web01 --json echo x", "-H web01 --list"] {
        let script = format!("{} {arguments} > /dev/full", env.psh_path());
        let run = env.run(&program("sh"), ["-c", &script]).finish().expect_code(1);
        run.expect_stderr("cannot write to standard output").expect_stderr("No space left on device");
    }
    let script = format!("{} -H web01 'echo x >&2' 2> /dev/full", env.psh_path());
    let _ = env.run(&program("sh"), ["-c", &script]).finish().expect_code(1);
}

#[test]
fn a_closed_standard_error_costs_neither_output_nor_exit_code() {
    let (env, _server) = world(2);
    let script = format!("{} -H 'web[01-02]' 'echo out; echo err >&2; exit 3' 2>&-", env.psh_path());
    let run = env.run(&program("sh"), ["-c", &script]).finish().expect_code(5);
    assert_eq!(run.sorted_lines(), ["web01: out", "web02: out"]);
}

#[test]
fn a_full_disk_is_our_failure_and_says_which_file() {
    let (env, _server) = world(2);
    fs::create_dir(env.work().join("out")).unwrap();
    symlink("/dev/full", env.work().join("out/web01")).unwrap();
    env.psh(["-o", "out", "-H", "web[01-02]", "echo fine"])
        .finish()
        .expect_code(1)
        .expect_stderr("out/web01")
        .expect_stderr("No space left on device");
    assert_eq!(fs::read_to_string(env.work().join("out/web02")).unwrap(), "fine\n");
}

#[test]
fn a_disk_that_fills_up_while_hosts_run_is_our_failure() {
    accounts::require_root("mounting a small disk");
    let (env, _server) = world(2);
    let disk = SmallDisk::mount(&env);
    env.psh(["-o", &disk.path, "-H", "web[01-02]", "head -c 3000000 /dev/zero"])
        .finish()
        .expect_code(1)
        .expect_stderr("No space left on device");
}

/// A disk of 1 MB, unmounted when dropped.
struct SmallDisk {
    path: String,
}

impl SmallDisk {
    fn mount(env: &TestEnv) -> Self {
        let path = env.shared().join("disk");
        fs::create_dir(&path).expect("make the mount point");
        let path = path.display().to_string();
        let mut mount = std::process::Command::new(program("mount"));
        run_to_end(mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &path]));
        Self { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new(program("umount")).arg("-l").arg(&self.path).output();
    }
}
