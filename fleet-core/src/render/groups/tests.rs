//! How groups of hosts look, in pipes and on terminals.

use super::super::Color;
use super::super::settings::{GroupOrder, Ignored, Layout, RenderSettings, Varying};
use super::super::testing::{Shown, TERMINAL, finished, finished_ok, outcome_refused, output, show, started};
use super::*;
use crate::event::HostEvent;

const PLAIN: GroupSettings = GroupSettings {
    order: GroupOrder::Size,
    ignored: Ignored::NOTHING,
    majority: Majority::Output,
    others: Others::Output,
};
const DIFF: GroupSettings = GroupSettings { others: Others::Difference, ..PLAIN };

fn settings(groups: GroupSettings) -> RenderSettings {
    RenderSettings { layout: Layout::Groups(groups), ..RenderSettings::new("psh") }
}

/// A run over `web1`, `web2`, ... of which each prints and ends as said.
fn shown(settings: RenderSettings, answers: &[(&str, &str, Outcome)]) -> Shown {
    let names: Vec<String> = (1..=answers.len()).map(|number| format!("web{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    show(settings, &names, &events(answers))
}

/// The last host ends first.
fn events(answers: &[(&str, &str, Outcome)]) -> Vec<HostEvent> {
    let of_host = |(index, (stdout, stderr, outcome)): (usize, &(&str, &str, Outcome))| {
        [
            started(index),
            output(index, Stream::Stdout, stdout.as_bytes()),
            output(index, Stream::Stderr, stderr.as_bytes()),
            finished(index, outcome.clone()),
        ]
    };
    answers.iter().enumerate().rev().flat_map(of_host).collect()
}

fn ok(stdout: &str) -> (&str, &str, Outcome) {
    (stdout, "", Outcome::Exited(0))
}

/// What stands on standard error before the summary.
fn errors(shown: &Shown) -> &str {
    let summary = shown.stderr.find(" hosts: ").unwrap();
    &shown.stderr[..shown.stderr[..summary].rfind('\n').map_or(0, |newline| newline + 1)]
}

#[test]
fn hosts_with_equal_answers_share_a_block_and_the_largest_group_comes_first() {
    let shown = shown(
        settings(PLAIN),
        &[
            ok("old\n"),
            ok("new\nmore"),
            ok("new\nmore"),
            ("new\nmore", "", Outcome::Exited(3)),
            ("new\nmore", "oops\n", Outcome::Exited(3)),
            ok("new\nmore"),
            ("", "", outcome_refused()),
            ok(""),
        ],
    );
    insta::assert_snapshot!(shown.stdout(), @r"
    [1] web[2-3,6] (3) ok
    new
    more
    [2] web1 (1) ok
    old
    [3] web4 (1) exit code 3
    new
    more
    [4] web5 (1) exit code 3
    new
    more
    [5] web7 (1) connect: connection refused
    [6] web8 (1) ok
    ");
    insta::assert_snapshot!(errors(&shown), @r"
    [4] web5 (1) stderr
    oops
    ");
}

#[test]
fn nothing_is_shown_before_the_end_and_what_there_is_when_the_run_is_left() {
    let events = [started(0), output(0, Stream::Stdout, b"half"), started(1), output(1, Stream::Stdout, b"half")];
    let shown = show(settings(PLAIN), &["web1", "web2", "web3"], &events);
    assert_eq!(shown.stdout(), "[1] web[1-2] (2) cancelled, may still run (it was left)\nhalf\n");
}

#[test]
fn groups_come_in_the_order_asked_for() {
    let answers = [
        ("a\n", "", Outcome::Exited(7)),
        ok("b\n"),
        ("c\n", "", Outcome::Signalled("TERM".into())),
        ok("d\n"),
        ok("d\n"),
        ("e\n", "", Outcome::Exited(7)),
        ("e\n", "", Outcome::Exited(7)),
        ("e\n", "", Outcome::Exited(7)),
    ];
    for (order, expected) in [(GroupOrder::Size, "edabc"), (GroupOrder::Host, "abcde"), (GroupOrder::Code, "dbeac")] {
        let shown = shown(settings(GroupSettings { order, ..PLAIN }), &answers);
        let letters: String = shown.stdout().lines().filter(|line| line.len() == 1).collect();
        assert_eq!(letters, expected, "{order:?}");
    }
}

#[test]
fn smaller_groups_are_shown_as_diffs_against_the_largest() {
    let shown = shown(
        settings(DIFF),
        &[
            ("", "", outcome_refused()),
            ok("one\ntwo\nthree\n"),
            ok("one\ntwo\nthree\n"),
            ok("one\n2\nthree\nfour"),
            ("one\ntwo\nthree\n", "", Outcome::Exited(1)),
            ("one\ntwo\nthree\n", "warning\n", Outcome::Exited(0)),
            ("", "", outcome_refused()),
            ("", "", outcome_refused()),
        ],
    );
    insta::assert_snapshot!(shown.stdout(), @r"
    [1] web[1,7-8] (3) connect: connection refused
    [2] web[2-3] (2) ok
    one
    two
    three
    [3] web4 (1) ok
    --- [2] stdout
    +++ [3] stdout
    @@ -1,3 +1,4 @@
     one
    -two
    +2
     three
    +four
    \ No newline at end of file
    [4] web5 (1) exit code 1
    same output as [2]
    [5] web6 (1) ok
    same standard output as [2]
    ");
    insta::assert_snapshot!(errors(&shown), @r"
    [5] web6 (1) stderr
    --- [2] stderr
    +++ [5] stderr
    @@ -0,0 +1 @@
    +warning
    ");
}

#[test]
fn equal_output_with_another_exit_code_is_another_group_and_the_largest_need_not_come_first() {
    let exited = |code| ("same\n", "", Outcome::Exited(code));
    let shown = shown(
        settings(GroupSettings { order: GroupOrder::Host, ..DIFF }),
        &[exited(3), exited(7), exited(7), exited(0)],
    );
    insta::assert_snapshot!(shown.stdout(), @r"
    [1] web1 (1) exit code 3
    same output as [2]
    [2] web[2-3] (2) exit code 7
    same
    [3] web4 (1) ok
    same output as [2]
    ");
}

#[test]
fn outputs_too_large_for_a_diff_say_where_they_part() {
    let mut settings = settings(DIFF);
    settings.limits.diff_bytes = 20;
    let shown = shown(settings, &[ok("one\ntwo\nthree\n"), ok("one\ntwo\nthree\n"), ok("one\ntwo\nthirty\n")]);
    insta::assert_snapshot!(shown.stdout(), @r"
    [1] web[1-2] (2) ok
    one
    two
    three
    [2] web3 (1) ok
    stdout differs from [1] first in line 3, at byte 11; too large for a diff, -o and -e keep it
    ");
}

#[test]
fn the_output_of_the_largest_group_can_be_left_out() {
    let groups = GroupSettings { majority: Majority::Header, ..PLAIN };
    let answers = [("same\n", "err\n", Outcome::Exited(0)), ("same\n", "err\n", Outcome::Exited(0)), ok("other\n")];
    let shown = shown(settings(groups), &answers);
    assert_eq!(shown.stdout(), "[1] web[1-2] (2) ok\n[2] web3 (1) ok\nother\n");
    assert_eq!(errors(&shown), "");
}

#[test]
fn what_is_ignored_is_folded_in_both_streams_and_shown_as_what_it_is() {
    let ignored = [Varying::Host, Varying::Ip, Varying::Number].into_iter().collect();
    let shown = shown(
        settings(GroupSettings { ignored, ..PLAIN }),
        &[("web1 at 10.0.0.1", "7\n", Outcome::Exited(0)), ("web2 at 10.0.0.2", "8\n", Outcome::Exited(0))],
    );
    assert_eq!(shown.stdout(), "[1] web[1-2] (2) ok\n<host> at <ip>\n");
    assert_eq!(errors(&shown), "[1] web[1-2] (2) stderr\n<number>\n");
}

#[test]
fn a_terminal_gets_colours_short_lists_and_no_escapes() {
    let terminal =
        |groups| RenderSettings { stdout: TERMINAL, stderr: TERMINAL, color: Color::Auto, ..settings(groups) };
    let shown = shown(terminal(DIFF), &[ok("a\r\n\x1b[2J\n"), ok("a\r\n\x1b[2J\n"), ok("a\n\x1b[2J\n")]);
    insta::assert_snapshot!(shown.stdout().replace('\x1b', "ESC"), @r"
    ESC[1m[1] web[1-2] (2)ESC[0m ESC[32mokESC[0m
    a
    \x1b[2J
    ESC[1m[2] web3 (1)ESC[0m ESC[32mokESC[0m
    ESC[1m--- [1] stdoutESC[0m
    ESC[1m+++ [2] stdoutESC[0m
    ESC[36m@@ -1,2 +1,2 @@ESC[0m
    ESC[31m-a\rESC[0m
    ESC[32m+aESC[0m
     \x1b[2J
    ");

    let names: Vec<String> = (0..400).map(|number| format!("ip-{}-{}", number * 7 % 401, number * 11 % 409)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let events: Vec<_> = (0..400).map(finished_ok).collect();
    let (short, long) = (show(terminal(PLAIN), &names, &events), show(settings(PLAIN), &names, &events));
    assert!(short.stdout().contains("more (400)") && short.stdout().len() < 400, "{}", short.stdout());
    assert!(long.stdout().len() > 2000, "{}", long.stdout());
}

#[test]
fn bytes_are_exact_in_a_pipe() {
    let every: Vec<u8> = (0..=255).chain([b'\n']).collect();
    let events = [output(0, Stream::Stdout, &every), finished_ok(0)];
    let shown = show(settings(PLAIN), &["web1"], &events);
    assert_eq!(shown.stdout, [b"[1] web1 (1) ok\n", &every[..]].concat());
}

#[test]
fn answers_beyond_the_limit_of_memory_are_still_whole() {
    let mut settings = settings(PLAIN);
    settings.limits.block_bytes = 1000;
    let names: Vec<String> = (0..30).map(|number| format!("web{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = |number: usize| format!("{} ", number % 3).repeat(1000) + "\n";
    let events: Vec<_> =
        (0..30).flat_map(|host| [output(host, Stream::Stdout, text(host).as_bytes()), finished_ok(host)]).collect();
    let shown = show(settings, &names, &events);
    for number in 0..3 {
        assert_eq!(shown.stdout().matches(&text(number)).count(), 1, "{number}");
    }
    assert_eq!(shown.stdout().matches("(10) ok").count(), 3);
}
