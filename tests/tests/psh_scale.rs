//! Thousands of hosts, on the embedded fleet: what happens at the limits of this machine.
//!
//! Where commands are simulated, the connections are as real as ever: the memory and the work measured are psh's own.

use std::collections::HashMap;

use fleet_tests::{Fleet, MEASURED, peak_kib};

/// What psh may hold, in KiB: its code and the runtime's threads; for each host its name, groups, origins, configuration, key and outcome;
/// and for each session that is open at once. Far below a gigabyte for every fleet of these tests. A host itself takes less than
/// 2 KiB; what thousands of sessions leave between them in the heap differs from run to run: 130 to 144 MB in all for 10,000 hosts.
const BASE_KIB: usize = 40 << 10;
const HOST_KIB: usize = 7;
const SESSION_KIB: usize = 100;

/// Asserts that all that `hosts` simulated hosts said, each after `pause` seconds, has come, each line under its host's
/// name and in order, and that the peak of `psh` is no more than it may be with `parallel` sessions at once; returns that
/// peak, in KiB. How many really were open at once is not known: a machine that needs longer than the pause to log in
/// everywhere has fewer.
fn expect_every_byte(fleet: &Fleet, hosts: usize, parallel: usize, pause: usize) -> usize {
    const LINES: usize = 20;
    let command = format!("sleep {pause}; echo $FLEET_HOST; seq 2 {LINES}");
    let run = fleet.psh_under(&MEASURED, &["-g", "*", "-p", &parallel.to_string(), &command]).finish().expect_code(0);
    let run = run.expect_stderr(&format!("{hosts} ok")).expect_nowhere("instead of");

    let text = run.stdout_text();
    let mut said: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in text.lines() {
        let (name, line) = line.split_once(':').expect("a line under its name");
        said.entry(name).or_default().push(line.trim_start());
    }
    assert_eq!(said.len(), hosts);
    for (name, lines) in said {
        let rest = (2..=LINES).map(|number| number.to_string());
        let expected: Vec<String> = std::iter::once(name.to_owned()).chain(rest).collect();
        assert_eq!(lines, expected, "{name}");
    }
    let peak = peak_kib(&run);
    let most = BASE_KIB + HOST_KIB * hosts + SESSION_KIB * parallel;
    assert!(peak < most, "{peak} KiB for {hosts} hosts, {parallel} at once: at most {most}");
    peak
}

fn simulated(hosts: usize) -> Fleet {
    Fleet::start(&["--simulate", "-n", &hosts.to_string()])
}

#[test]
fn a_thousand_hosts_at_once_lose_no_byte_and_need_little_memory() {
    const FEW: usize = 10;
    let fleet = simulated(1000);
    let few_kib = expect_every_byte(&fleet, 1000, FEW, 0);
    let all_kib = expect_every_byte(&fleet, 1000, 1000, 15);
    let most = SESSION_KIB * (1000 - FEW);
    assert!(all_kib - few_kib <= most, "{all_kib} KiB with 1000 sessions, {few_kib} with {FEW}: {most} more at most");
}

#[test]
fn ten_thousand_hosts_500_at_once_lose_no_byte_and_need_little_memory() {
    expect_every_byte(&simulated(10_000), 10_000, 500, 0);
}

#[test]
fn two_thousand_hosts_all_succeed_within_256_open_files_and_the_lower_fan_out_is_said() {
    let fleet = simulated(2000);
    let arguments = ["-g", "*", "-p", "500", "echo $FLEET_INDEX"];
    let run = fleet.psh_under(&["prlimit", "--nofile=256:256"], &arguments).finish().expect_code(0);
    run.expect_stderr("instead of 500").expect_stderr("2000 ok");
}
