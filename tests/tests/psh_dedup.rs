//! `-d` and what goes with it: equal answers once, differences as diffs, the rest in order.

use std::fs;

use fleet_tests::{Server, Signal, Sshd, TestEnv, processes, program};
use serde_json::Value;

/// Of `web01` to `web50`: 1 to 8 say "old", 9 and 10 fail, the others say "new". All end on their own time.
const THREE_ANSWERS: &str = "echo checking; case $FLEET_HOST in \
    web0[1-8]) echo old;; \
    web09|web10) echo new; echo 'no such unit' >&2; exit 3;; \
    *) echo new;; esac";

fn world(hosts: usize) -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", hosts).start();
    (env, server)
}

#[test]
fn fifty_hosts_with_three_answers_are_three_blocks() {
    let (env, _server) = world(50);
    let run = env.psh(["-d", "-p", "20", "-H", "web[01-50]", THREE_ANSWERS]).finish().expect_code(5);
    let expected = "[1] web[11-50] (40) ok\nchecking\nnew\n\
        [2] web[01-08] (8) ok\nchecking\nold\n\
        [3] web[09-10] (2) exit code 3\nchecking\nnew\n";
    assert_eq!(run.stdout_text(), expected, "{run}");
    run.expect_stderr("[3] web[09-10] (2) stderr\nno such unit\n").expect_stderr("50 hosts: 48 ok, 2 failed");
}

#[test]
fn smaller_groups_can_be_diffs_and_the_largest_can_be_left_out() {
    let (env, _server) = world(12);
    let run = env.psh(["--diff", "--only-different", "-H", "web[01-12]"]).arg(
        "seq 1 20 | sed \"s/^10$/$([ $FLEET_INDEX = 3 ] && echo ten || echo 10)/\"; [ $FLEET_INDEX != 5 ] || exit 1",
    );
    let run = run.finish().expect_code(5);
    let expected = "[1] web[01-03,05,07-12] (10) ok\n\
        [2] web04 (1) ok\n--- [1] stdout\n+++ [2] stdout\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n\
        [3] web06 (1) exit code 1\nsame output as [1]\n";
    assert_eq!(run.stdout_text(), expected, "{run}");
}

#[test]
fn a_diff_is_that_of_diff() {
    let (env, _server) = world(3);
    let text = |changed: u32| -> String {
        let line = |n: u32| if n % 37 == changed { format!("changed {n}\n") } else { format!("{n}\n") };
        (1..=200).map(line).collect()
    };
    for (name, changed) in [("web01", 0), ("web02", 0), ("web03", 2)] {
        env.write(&format!("work/{name}"), text(changed));
    }
    let run = env.psh(["--diff", "-H", "web[01-03]", &format!("cat {}/$FLEET_HOST", env.work().display())]);
    let run = run.finish().expect_code(0);
    let diff = env.run(&program("diff"), ["-u", "web01", "web03"]).finish().expect_code(1);
    let hunks =
        |text: &str| text.lines().skip_while(|line| !line.starts_with("@@")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(hunks(&run.stdout_text()), hunks(&diff.stdout_text()), "{run}");
}

#[test]
fn answers_that_differ_in_names_numbers_and_times_can_be_one() {
    let (env, _server) = world(4);
    let command = "echo \"$(date) $FLEET_HOST sshd[$$]: from ${SSH_CONNECTION%% *} after $FLEET_INDEX s\"";
    let run = env.psh(["--dedup-ignore", "host,ip,time,pid,number", "-H", "web[01-04]", command]).finish();
    let run = run.expect_code(0);
    assert_eq!(
        run.stdout_text(),
        "[1] web[01-04] (4) ok\n<time> <host> sshd[<pid>]: from <ip> after <number> s\n",
        "{run}"
    );
    let run = env.psh(["-d", "-H", "web[01-04]", command]).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("(1) ok").count(), 4, "{run}");
}

#[test]
fn ctrl_c_shows_what_there_is_and_files_are_written_as_ever() {
    let (env, _server) = world(4);
    let marker = processes::unique_sleep();
    let command = format!("echo part; [ $FLEET_INDEX -lt 2 ] || exec sleep {marker}$FLEET_INDEX");
    let run = env.psh(["-d", "-p", "2", "-o", "out", "-H", "web[01-04]", &command]).start();
    for index in [2, 3] {
        processes::wait_for_command(&format!("sleep {marker}{index}"));
    }
    run.signal(Signal::INT);
    let run = run.finish().expect_code(3);
    let expected = "[1] web[01-02] (2) ok\npart\n[2] web[03-04] (2) cancelled, stopped\npart\n";
    assert_eq!(run.stdout_text(), expected, "{run}");
    assert_eq!(fs::read_to_string(env.work().join("out/web01")).unwrap(), "part\n");
}

#[test]
fn every_byte_of_a_group_arrives_unchanged_beyond_what_memory_holds() {
    let (env, _server) = world(6);
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = env.write("bytes", &bytes);
    let run = env.psh(["-d", "-H", "web[01-06]", &format!("cat {}", file.display())]).finish().expect_code(0);
    let shown = run.stdout.strip_prefix(b"[1] web[01-06] (6) ok\n").unwrap_or_else(|| panic!("no header: {run}"));
    assert!(shown == bytes || shown.strip_suffix(b"\n") == Some(&bytes), "{} of {} bytes", shown.len(), bytes.len());
}

#[test]
fn objects_tell_of_groups_before_the_summary() {
    let (env, _server) = world(5);
    let command = "[ $FLEET_INDEX != 3 ] || exit 4; echo same";
    let run = env.psh(["--json", "-d", "-H", "web[01-05]", command]).finish().expect_code(5);
    let events: Vec<Value> = run.stdout_text().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let groups: Vec<&Value> = events.iter().filter(|event| event["event"] == "group").collect();
    let folded: Vec<_> = groups.iter().map(|group| (group["folded"].as_str(), group["exit_code"].as_u64())).collect();
    assert_eq!(folded, [(Some("web[01-03,05]"), Some(0)), (Some("web04"), Some(4))], "{run}");
    assert_eq!(events.last().expect("a summary")["event"], "summary", "{run}");
}

#[test]
fn a_terminal_shows_progress_first_and_harmless_coloured_groups_at_the_end() {
    let (env, _server) = world(3);
    let command = "printf 'a\\033[2J%s\\n' $((FLEET_INDEX / 2))";
    let run = env.psh(["--diff", "-H", "web[01-03]", command]).on_terminal().finish().expect_code(0);
    let run = run.expect_stdout("a\\x1b[2J0").expect_stdout("\x1b[31m-a\\x1b[2J0\x1b[0m");
    run.expect_stdout("\x1b[32m+a\\x1b[2J1\x1b[0m").expect_nowhere("\x1b[2J");
}

#[test]
fn an_order_without_blocks_is_refused_before_anyone_is_contacted() {
    let env = TestEnv::new();
    let run = env.psh(["--sort", "host", "-H", "nobody", "true"]).finish().expect_code(2);
    run.expect_stderr("--sort needs blocks of output").expect_stderr("-d or -i");
}
