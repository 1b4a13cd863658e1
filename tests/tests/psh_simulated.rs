//! Simulated hosts against real ones: `psh` cannot tell them apart.

use fleet_tests::{Finished, Fleet, Signal};

const HOSTS: &str = "3";

fn fleets() -> [Fleet; 2] {
    [Fleet::start(&["-n", HOSTS]), Fleet::start(&["-n", HOSTS, "--simulate"])]
}

/// All that a run says, hosts in any order, but for the time it took and a simulated host's remarks.
fn said(run: &Finished) -> (Option<i32>, Vec<String>, Vec<String>) {
    let stderr = run.stderr_text();
    let summary = format!("{HOSTS} hosts: ");
    let plain = |line: &str| {
        let marks: &[&str] =
            if line.starts_with(&summary) { &[" in ", "; interrupted after "] } else { &[" (a simulated host"] };
        let end = marks.iter().find_map(|mark| line.find(mark)).unwrap_or(line.len());
        line[..end].to_owned()
    };
    let mut lines: Vec<String> = stderr.lines().map(plain).collect();
    lines.sort();
    (run.code, run.sorted_lines(), lines)
}

#[test]
fn the_same_commands_say_and_end_the_same() {
    let [real, simulated] = fleets();
    for (arguments, input) in [
        (&["echo I am $FLEET_HOST, $FLEET_INDEX of $FLEET_COUNT"][..], ""),
        (&["echo \"$FLEET_HOST\" >&2; echo '$FLEET_HOST'"], ""),
        (&["true && echo yes || echo no; false && echo yes || echo no"], ""),
        (&["exit $FLEET_INDEX"], ""),
        (&["false"], ""),
        (&["nonsense"], ""),
        (&["sleep 0; seq 1000"], ""),
        (&["-i", "-p", "1", "head -c 1000 /dev/zero"], ""),
        (&["cat"], ""),
        (&["-I", "cat; echo end"], "a line\nand the rest"),
        (&["-I", "true"], "unread"),
        (&["--raw", "echo raw; exit 3"], ""),
        (&["--env", "A=it's  two", "echo \"$A\" $A"], ""),
        (&["echo 'a\nb'"], ""),
        (&["-t", "1", "echo before; sleep 1000"], ""),
        (&["-t", "1", "--raw", "sleep 1000"], ""),
        (&["-t", "1", "-I", "sleep 1000"], "unread"),
        (&["--stall", "1", "sleep 1000"], ""),
    ] {
        let run = |fleet: &Fleet| {
            let arguments = [&["-g", "*"], arguments].concat();
            said(&fleet.psh(&arguments).stdin(input).finish())
        };
        assert_eq!(run(&simulated), run(&real), "{arguments:?}");
    }
}

#[test]
fn ctrl_c_stops_the_commands_for_certain() {
    let [real, simulated] = fleets();
    let run = |fleet: &Fleet| {
        let running = fleet.psh(&["-g", "*", "-p", "1", "echo go; sleep 1000"]).start();
        running.wait_for_stdout("go");
        running.signal(Signal::INT);
        let finished = running.finish().expect_code(3).expect_nowhere("may still run");
        said(&finished)
    };
    assert_eq!(run(&simulated), run(&real));
}
