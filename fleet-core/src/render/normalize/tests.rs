//! What is replaced, what is not, and that neither depends on how the bytes come.

use proptest::prelude::*;

use super::super::settings::{Ignored, Varying};
use super::*;

const ALL: [Varying; 5] = [Varying::Host, Varying::Ip, Varying::Time, Varying::Pid, Varying::Number];

fn normalized(ignored: impl IntoIterator<Item = Varying>, host: &str, text: &[u8]) -> Vec<u8> {
    in_chunks(ignored.into_iter().collect(), host, text, text.len().max(1), PIECE_BYTES)
}

fn in_chunks(ignored: Ignored, host: &str, text: &[u8], chunk_bytes: usize, piece_bytes: usize) -> Vec<u8> {
    let mut normalizer = Normalizer { piece_bytes, ..Normalizer::new(ignored, host) };
    let mut out = Vec::new();
    for chunk in text.chunks(chunk_bytes) {
        out.extend_from_slice(normalizer.push(chunk));
    }
    out.extend(normalizer.finish());
    out
}

fn check(ignored: &[Varying], host: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let shown = normalized(ignored.iter().copied(), host, text.as_bytes());
        assert_eq!(String::from_utf8(shown).unwrap(), *expected, "{text}");
    }
}

#[test]
fn a_host_is_found_by_every_form_of_its_name() {
    check(
        &[Varying::Host],
        "me@web01.example.com:2222",
        &[
            ("me@web01.example.com:2222 up", "<host> up"),
            ("to me@web01.example.com.", "to <host>."),
            ("web01.example.com:80", "<host>:80"),
            ("[WEB01] web01: Web01.Example.Com", "[<host>] <host>: <host>"),
            ("root@web01:~#", "root@<host>:~#"),
            ("web010 aweb01 web01-vg _web01 my-web01 web02", "web010 aweb01 web01-vg _web01 my-web01 web02"),
            ("example.com", "example.com"),
        ],
    );
    check(&[Varying::Host], "10.0.0.5:22", &[("10.0.0.5 10.0.0.55 10", "<host> 10.0.0.55 10")]);
    check(&[Varying::Host], "[fe80::1]:22", &[("fe80::1, [fe80::1]:22", "<host>, <host>")]);
    check(&[Varying::Host], "host", &[("host <host> <ip>", "<host> <host> <ip>")]);
}

#[test]
fn addresses_are_told_from_versions_and_times() {
    check(
        &[Varying::Ip],
        "web01",
        &[
            ("10.0.0.1", "<ip>"),
            ("10.0.0.1:8080 10.0.0.0/24 (10.0.0.9)", "<ip>:8080 <ip>/24 (<ip>)"),
            ("from 192.168.1.20. Next", "from <ip>. Next"),
            ("fe80::1%eth0/64 ::1 [2001:db8::5]:22", "<ip>%eth0/64 <ip> [<ip>]:22"),
            ("::ffff:10.0.0.1 1:2:3:4:5:6:7:8", "<ip> <ip>"),
            ("fe80::1: no route, fe80::, fe80::2.", "<ip>: no route, <ip>, <ip>."),
            ("1.2.3 1.2.3.4.5 v1.2.3.4 256.1.1.1 01.2.3.4", "1.2.3 1.2.3.4.5 v1.2.3.4 256.1.1.1 01.2.3.4"),
            ("4.3.2.1.in-addr.arpa", "4.3.2.1.in-addr.arpa"),
            ("12:34:56 52:54:00:12:34:56 std::vector a: b.", "12:34:56 52:54:00:12:34:56 std::vector a: b."),
        ],
    );
}

#[test]
fn times_are_found_in_the_usual_forms() {
    let times = "2026-11-22T03:24:30Z|2026-11-22T03:24:30.123456+01:00|2026-11-22 03:24:30,123|2026-11-22 03:24:30 +0000|\
        2026-11-22|20261122T032430Z|2026/11/22 03:24:30|22/Nov/2026:03:24:30 +0000|Sun Nov 22 03:24:30 UTC 2026|\
        Sun Nov  2 03:24:30 2026|Nov 22 03:24:30|Nov  2 03:24|Nov  2  2025|Sun, 22 Nov 2026 03:24:30 +0000|\
        Sun 22 Nov 2026 03:24:30 AM UTC|03:24:30|3:04|23:59:60|03:24:30.5";
    for time in times.split('|') {
        for (before, after) in [("", ""), ("[", "]"), ("at ", " web"), ("x=", ": up"), ("(", ").")] {
            let text = format!("{before}{time}{after}");
            let expected = format!("{before}<time>{after}");
            check(&[Varying::Time], "web01", &[(&text, &expected)]);
        }
    }
    let others =
        "52:54:00:12:34:56|1.2.3|12345|10.0.0.1:8080|25:00|12:60|1:2:3|May|Mars 5|Nov|03:24:30x|a03:24:30|fe80::12:34";
    for other in others.split('|') {
        check(&[Varying::Time], "web01", &[(other, other)]);
    }
    check(&[Varying::Time], "web01", &[("Nov 22 03:24:30 ERROR x", "<time> ERROR x")]);
}

#[test]
fn process_ids_are_found_where_they_are_marked() {
    check(
        &[Varying::Pid],
        "web01",
        &[
            ("sshd[1234]: done [5] 17", "sshd[<pid>]: done [<pid>] 17"),
            ("pid 12, PID: 13, pid=14, Pid:15", "pid <pid>, PID: <pid>, pid=<pid>, Pid:<pid>"),
            (r#"{"pid":99,"n":7}"#, r#"{"pid":<pid>,"n":7}"#),
            ("rapid 12 pids 3 pid x1 [1a] a[i]", "rapid 12 pids 3 pid x1 [1a] a[i]"),
        ],
    );
}

#[test]
fn numbers_are_words_that_begin_with_a_digit_or_are_hexadecimal() {
    check(
        &[Varying::Number],
        "web01",
        &[
            (
                "1 22 -3 4.5 1e9 12ms 45% 1,000",
                "<number> <number> -<number> <number> <number> <number>ms <number>% <number>,<number>",
            ),
            ("0x1F 3f2a9c01 deadbeef 1234567abcdef", "<number> <number> deadbeef <number>"),
            (
                "0x 0xg 1e 2e+ 3.x 4.5e-6. 7ex",
                "<number>x <number>xg <number>e <number>e+ <number>.x <number>. <number>ex",
            ),
            ("550e8400-e29b-41d4-a716-446655440000 52:54:00:ab:34:56", "<number> <number>"),
            ("eth0 sda1 x86_64 v1.2.3 _7 <number>", "eth0 sda1 x86_64 v1.2.3 _7 <number>"),
        ],
    );
}

#[test]
fn what_says_more_goes_before_its_parts() {
    check(
        &ALL,
        "web01",
        &[
            (
                "Nov 22 03:24:30 web01 sshd[812]: Accepted publickey for root from 10.0.0.7 port 50022",
                "<time> <host> sshd[<pid>]: Accepted publickey for root from <ip> port <number>",
            ),
            (
                " 03:24:30 up 10 days,  3:04,  2 users,  load average: 0.08, 0.03, 0.01",
                " <time> up <number> days, <time>, <number> users,  load average: <number>, <number>, <number>",
            ),
        ],
    );
}

#[test]
fn padding_of_what_is_replaced_does_not_count() {
    let expected = "<number> used\n<number> free\n <number> x\n";
    for text in ["12 used\n7   free\n    5 x\n", "1200 used\n70 free\n 55555 x\n"] {
        check(&[Varying::Number], "web01", &[(text, expected)]);
    }
    check(&[Varying::Number], "web01", &[("a  b   c\n  d", "a  b   c\n  d")]);
}

#[test]
fn long_lines_are_cut_between_words_and_longer_words_stay() {
    let ignored: Ignored = [Varying::Number].into_iter().collect();
    let number = "1234567890123 ".repeat(10);
    assert_eq!(in_chunks(ignored, "h", number.as_bytes(), 7, 16), b"<number> ".repeat(10));
    let word = "x".repeat(29) + &"5".repeat(100);
    let text = format!("12 {word} 56\n78");
    let expected = format!("<number> {word} <number>\n<number>");
    assert_eq!(in_chunks(ignored, "h", text.as_bytes(), 9, 16), expected.as_bytes());
}

/// Text that is made of what the rules are about.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[0-9a-fx:.,\\[\\] <>pid=_-]{1,6}",
        "(web01|WEB01|me@web01|2026-11-22|T03:24:30|Nov  2 |10\\.0\\.0\\.1|fe80::1|pid |<host>|<number>|\\[12\\]|\n|  |::)",
        "[a-zé\\x{ff} ]{1,4}",
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_normalized_stays_as_it_is(text in text(), ignored in proptest::sample::subsequence(&ALL[..], 0..=5)) {
        let once = normalized(ignored.clone(), "me@web01", &text);
        let twice = normalized(ignored, "me@web01", &once);
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come(text in text(), chunk in 1usize..9, piece in 4usize..40) {
        let ignored: Ignored = ALL.into_iter().collect();
        let whole = in_chunks(ignored, "web01", &text, text.len().max(1), piece);
        prop_assert_eq!(in_chunks(ignored, "web01", &text, chunk, piece), whole);
    }

    #[test]
    fn text_without_such_things_is_unchanged(text in "[g-zG-Z_ \t\n!#$%&'()*+/;=?@^`{|}~é-]{0,80}") {
        prop_assert_eq!(normalized(ALL, "web01", text.as_bytes()), text.as_bytes());
    }

    #[test]
    fn any_bytes_pass_where_nothing_is_ignored(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(normalized([], "web01", &bytes), bytes);
    }
}
