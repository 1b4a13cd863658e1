//! Hundreds of megabytes, on the embedded fleet: every byte arrives, in every layout and in bounded memory.

use std::collections::BTreeMap;
use std::fs;

use fleet_tests::{Fleet, MEASURED, peak_kib, program};
use serde_json::Value;

/// Runs a command on all hosts, asserts that psh never held more than `most_mib` of memory, and returns what arrived of
/// each host's standard output.
fn received(fleet: &Fleet, layout: Layout, most_mib: usize, command: &str) -> BTreeMap<String, Vec<u8>> {
    let into_file = ["sh", "-c", "exec \"$0\" \"$@\" > shown"];
    let arguments = [&["-g", "*"], layout.flags(), &[command]].concat();
    let run = fleet.psh_under(&[MEASURED.as_slice(), &into_file].concat(), &arguments).finish().expect_code(0);
    let peak_mib = peak_kib(&run) >> 10;
    assert!(peak_mib <= most_mib, "{layout:?}: {peak_mib} MiB");
    let work = fleet.env().work();
    let shown = fs::read(work.join("shown")).expect("what psh printed");
    match layout {
        Layout::Lines => lines(&shown),
        Layout::Bytes => BTreeMap::from([("host01".to_owned(), shown)]),
        Layout::Blocks | Layout::Groups => blocks(&shown),
        Layout::Json => objects(&shown),
        Layout::Files => fs::read_dir(work.join("files"))
            .expect("the folder of the hosts' files")
            .map(|file| file.expect("a folder can be listed"))
            .map(|file| (text(file.file_name().as_encoded_bytes()), fs::read(file.path()).expect("a host's file")))
            .collect(),
    }
}

/// The ways in which output is shown or kept.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Lines,
    /// Of a single host, without prefix.
    Bytes,
    Blocks,
    Groups,
    Files,
    Json,
}

impl Layout {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Lines => &[],
            Self::Bytes => &["--no-prefix"],
            Self::Blocks => &["-i"],
            Self::Groups => &["-d"],
            Self::Files => &["-q", "-o", "files"],
            Self::Json => &["--json"],
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// By host: what `host: line` says.
fn lines(shown: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut received: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for line in shown.split_inclusive(|&byte| byte == b'\n') {
        let colon = line.iter().position(|&byte| byte == b':').expect("a host's name");
        received.entry(text(&line[..colon])).or_default().extend_from_slice(&line[colon + 2..]);
    }
    received
}

/// By host: what follows its header, `[1] host ok` or `[1] host (1) ok`.
fn blocks(shown: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut received = BTreeMap::new();
    let mut host = String::new();
    for line in shown.split_inclusive(|&byte| byte == b'\n') {
        if line[0] == b'[' {
            text(line).split(' ').nth(1).expect("a host's name").clone_into(&mut host);
            assert!(received.insert(host.clone(), Vec::new()).is_none(), "two blocks of {host}");
        } else {
            received.get_mut(&host).expect("a header before").extend_from_slice(line);
        }
    }
    received
}

/// By host: the text of its `output` objects.
fn objects(shown: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut received: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for line in shown.split_inclusive(|&byte| byte == b'\n') {
        let object: Value = serde_json::from_slice(line).expect("JSON");
        if object["event"] == "output" {
            let field = |name: &str| object[name].as_str().expect("a text").to_owned();
            received.entry(field("host")).or_default().extend_from_slice(field("text").as_bytes());
        }
    }
    received
}

#[test]
fn a_hundred_megabytes_of_one_host_arrive_unchanged_in_bounded_memory() {
    const MB: usize = 1_000_000;
    let fleet = Fleet::start(&["-n", "1"]);
    // Lines of a thousand bytes, no two alike.
    let numbered = r#"seq 1 12500000 | tr "\n" " " | fold -w 999 | tee sent; echo | tee -a sent"#;
    let sent = fleet.env().run(&program("sh"), ["-c", numbered]).finish().expect_code(0).stdout;
    assert!(sent.len() > 100 * MB);
    let file = fleet.env().work().join("sent").display().to_string();
    for layout in [Layout::Lines, Layout::Bytes, Layout::Files, Layout::Json, Layout::Blocks, Layout::Groups] {
        // What is shown at the end is kept, 64 MiB of it in memory: more is sent to see the end of that.
        let (times, most_mib) = match layout {
            Layout::Blocks | Layout::Groups => (4, 130),
            _ => (1, 50),
        };
        let received = received(&fleet, layout, most_mib, &format!("cat{}", format!(" {file}").repeat(times)));
        assert_eq!(received.len(), 1, "{layout:?}: {:?}", received.keys());
        assert!(received["host01"] == sent.repeat(times), "{layout:?}: {} bytes", received["host01"].len());
    }
}

#[test]
fn lines_of_a_megabyte_from_fifty_hosts_arrive_unchanged_in_bounded_memory() {
    let fleet = Fleet::start(&["-n", "50"]);
    let command = r#"yes "$FLEET_HOST-" | tr -d "\n" | head -c 1000000; echo; echo short"#;
    for layout in [Layout::Lines, Layout::Files, Layout::Json, Layout::Blocks, Layout::Groups] {
        // All unfinished lines may wait in memory at once: 50 MB.
        let received = received(&fleet, layout, 105, command);
        assert_eq!(received.len(), 50, "{layout:?}");
        for (host, bytes) in received {
            let mut expected = format!("{host}-").into_bytes().repeat(1_000_000 / (host.len() + 1) + 1);
            expected.truncate(1_000_000);
            expected.extend_from_slice(b"\nshort\n");
            assert!(bytes == expected, "{layout:?}: {} bytes of {host}", bytes.len());
        }
    }
}
