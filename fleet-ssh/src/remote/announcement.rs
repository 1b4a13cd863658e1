//! The lines that our scripts print: read out of a stream that others write to as well.
//!
//! Must not know which stream or channel it is.

use bytes::{Bytes, BytesMut};

use super::Token;

/// Starts our lines: the ASCII record separator, which text does not hold.
const MARK: &str = "\x1efleet ";

/// The longest rest of an announcement: two process numbers and a birth. What is longer is not one.
const MAX_REST_LEN: usize = 100;

/// The main process of a command on a host, as it announced itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteProcess {
    pid: u32,
    birth: String,
    keeper: Option<u32>,
}

impl RemoteProcess {
    /// Its number; `$$` in a command that is run by a shell.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it was born, in the host's own words: never the same for two processes with one number.
    #[must_use]
    pub fn birth(&self) -> &str {
        &self.birth
    }

    /// The number of the keeper beside it, if there is one.
    #[must_use]
    pub fn keeper(&self) -> Option<u32> {
        self.keeper
    }

    /// Reads `PID BIRTH KEEPER`, with `-` for no keeper.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end_matches('\r').split(' ');
        let (pid, birth, keeper) = (words.next()?, words.next()?, words.next()?);
        let birth_is_plain = !birth.is_empty() && birth.bytes().all(|b| b.is_ascii_graphic());
        let keeper = if keeper == "-" { None } else { Some(keeper.parse().ok()?) };
        let process = Self { pid: pid.parse().ok()?, birth: birth.to_owned(), keeper };
        (birth_is_plain && process.pid > 1 && words.next().is_none()).then_some(process)
    }
}

/// Takes the announcement of a wrapped command out of the bytes of its standard error.
///
/// With a pty, which has one output, out of the bytes of that.
#[derive(Debug)]
pub struct Announcement {
    start: Vec<u8>,
    held: BytesMut,
    done: bool,
}

impl Announcement {
    /// The announcement that is marked with `token`.
    #[must_use]
    pub fn new(token: &Token) -> Self {
        let start = format!("{MARK}{} ", token.as_str()).into_bytes();
        Self { start, held: BytesMut::new(), done: false }
    }

    /// Takes the next bytes, split anywhere. Returns those to pass on, and the process once, when the line is complete.
    ///
    /// Only what may be the beginning of the line is held back; after the line, nothing.
    pub fn feed(&mut self, bytes: Bytes) -> (Bytes, Option<RemoteProcess>) {
        if self.done {
            return (bytes, None);
        }
        self.held.extend_from_slice(&bytes);
        let mut passed = BytesMut::new();
        loop {
            let candidate = first_candidate(&self.held, &self.start);
            passed.unsplit(self.held.split_to(candidate));
            let Some(rest) = self.held.strip_prefix(self.start.as_slice()) else {
                return (passed.freeze(), None);
            };
            let Some(rest_len) = rest.iter().position(|&b| b == b'\n') else {
                if rest.len() <= MAX_REST_LEN {
                    return (passed.freeze(), None);
                }
                passed.unsplit(self.held.split_to(1));
                continue;
            };
            if let Some(process) = std::str::from_utf8(&rest[..rest_len]).ok().and_then(RemoteProcess::parse) {
                let _line = self.held.split_to(self.start.len() + rest_len + 1);
                passed.unsplit(self.held.split());
                self.done = true;
                return (passed.freeze(), Some(process));
            }
            passed.unsplit(self.held.split_to(1));
        }
    }

    /// The bytes still held back, when the stream has ended without the whole line. The beginning of the line is ours and
    /// not the command's: it is not passed on.
    pub fn finish(&mut self) -> Bytes {
        self.done = true;
        let held = self.held.split().freeze();
        let is_ours = held.starts_with(&self.start) || self.start.starts_with(&held);
        if is_ours { Bytes::new() } else { held }
    }
}

/// Where in `bytes` `start` begins, or may begin if more bytes follow; the end when it does nowhere.
fn first_candidate(bytes: &[u8], start: &[u8]) -> usize {
    let begins = |at: &usize| {
        let tail = &bytes[*at..];
        tail.starts_with(start) || start.starts_with(tail)
    };
    (0..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// What the host said after a stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StopVerdict {
    /// It looked at all processes, and none of the command is left.
    Gone,
    /// These process numbers are left: ones that we may not signal, or that even KILL did not end in time.
    Left(Vec<u32>),
    /// It does not show its processes, or not those of other users, which the command may have started by sudo. What could be seen was stopped.
    Unknown,
}

impl StopVerdict {
    /// The verdict in `stdout`, all the output of [`stop_command`](super::stop_command) or
    /// [`keeper_command`](super::keeper_command); `None` when it did not come to one.
    #[must_use]
    pub fn find(stdout: &[u8], token: &Token) -> Option<Self> {
        let start = format!("{MARK}{} ", token.as_str()).into_bytes();
        let mut marks = stdout.windows(start.len()).enumerate().filter(|(_, window)| *window == start);
        marks.find_map(|(at, _)| Self::parse(&stdout[at + start.len()..]))
    }

    /// The verdict that `bytes`, behind the mark, begin with.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(&bytes[..bytes.iter().position(|&b| b == b'\n')?]).ok()?;
        let mut words = line.split_ascii_whitespace();
        match words.next()? {
            "gone" => Some(Self::Gone),
            "left" => words.map(|word| word.parse().ok()).collect::<Option<_>>().map(Self::Left),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "\x1efleet 00000000000000ab 4711 998877 4712\n";

    fn process(pid: u32, birth: &str, keeper: Option<u32>) -> RemoteProcess {
        RemoteProcess { pid, birth: birth.into(), keeper }
    }

    fn fed(chunks: &[&[u8]]) -> (Vec<u8>, Option<RemoteProcess>) {
        let mut announcement = Announcement::new(&Token::new(0xab));
        let (mut passed, mut found) = (Vec::new(), None);
        for chunk in chunks {
            let (bytes, process) = announcement.feed(Bytes::copy_from_slice(chunk));
            passed.extend_from_slice(&bytes);
            found = found.or(process);
        }
        passed.extend_from_slice(&announcement.finish());
        (passed, found)
    }

    #[test]
    fn the_line_is_taken_out_and_all_else_stays() {
        let expected = Some(process(4711, "998877", Some(4712)));
        for (before, after) in [("", ""), ("motd\n", "err\n"), ("no line end", ""), ("\x1e\x1efleet \x1efleet 0", LINE)]
        {
            let all = format!("{before}{LINE}{after}");
            assert_eq!(fed(&[all.as_bytes()]), (format!("{before}{after}").into_bytes(), expected.clone()), "{all:?}");
        }
    }

    #[test]
    fn what_is_no_announcement_passes() {
        for text in [
            "",
            "\x1efleet 00000000000000ac 4711 998877 4712\n",
            "\x1efleet 00000000000000ab 4711 998877\n",
            "\x1efleet 00000000000000ab 4711 998877 4712 1\n",
            "\x1efleet 00000000000000ab 1 998877 4712\n",
            "\x1efleet 00000000000000ab x 998877 4712\n",
            "\x1efleet 00000000000000ab 4711  4712\n",
        ] {
            assert_eq!(fed(&[text.as_bytes()]), (text.as_bytes().to_vec(), None), "{text:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_line_that_was_cut_off_is_not_taken_for_output() {
        let line = b"\x1efleet 00000000000000ab 4711 998877 4712";
        for cut in 1..=line.len() {
            let fed = fed(&[b"noise ", &line[..cut]]);
            assert_eq!(fed, (b"noise ".to_vec(), None), "{}", line[..cut].escape_ascii());
        }
    }

    #[test]
    fn reads_births_of_every_system_and_the_line_end_of_a_terminal() {
        for (rest, expected) in [
            ("7 Mon_Sep_1_12:00:00_2025 -\n", process(7, "Mon_Sep_1_12:00:00_2025", None)),
            ("7 - 8\r\n", process(7, "-", Some(8))),
        ] {
            assert_eq!(fed(&[b"\x1efleet 00000000000000ab ", rest.as_bytes()]).1, Some(expected), "{rest:?}");
        }
    }

    #[test]
    fn nothing_but_a_possible_beginning_is_held_back() {
        let mut announcement = Announcement::new(&Token::new(0xab));
        for (fed, passed) in
            [("abc", "abc"), ("x\x1efle", "x"), ("et\n", "\x1efleet\n"), (LINE, ""), ("\x1efle", "\x1efle")]
        {
            assert_eq!(announcement.feed(Bytes::from(fed)).0, passed, "{fed:?}");
        }
    }

    #[test]
    fn a_line_that_never_ends_is_let_go() {
        let start = "\x1efleet 00000000000000ab ";
        let mut announcement = Announcement::new(&Token::new(0xab));
        assert_eq!(announcement.feed(Bytes::from(start)).0, "");
        let digits = "1".repeat(MAX_REST_LEN + 1);
        assert_eq!(announcement.feed(Bytes::from(digits.clone())).0, format!("{start}{digits}"));
    }

    #[test]
    fn reads_verdicts_among_the_noise_of_a_login_shell() {
        for (stdout, expected) in [
            ("\x1efleet 00000000000000ab gone\n", Some(StopVerdict::Gone)),
            ("motd\x1efleet 00000000000000ab left 12 345\n", Some(StopVerdict::Left(vec![12, 345]))),
            ("motd\n\x1efleet 00000000000000ab unknown\r\n", Some(StopVerdict::Unknown)),
            ("\x1efleet 00000000000000ac gone\n", None),
            ("\x1efleet 00000000000000ab gone", None),
            ("\x1efleet 00000000000000ab left x\n", None),
            ("", None),
        ] {
            assert_eq!(StopVerdict::find(stdout.as_bytes(), &Token::new(0xab)), expected, "{stdout:?}");
        }
    }

    proptest! {
        #[test]
        fn found_however_it_is_split(
            before in "[a\n\x1e]{0,5}(\x1efleet 0{0,16})?",
            after in "[a\n\x1e]{0,9}",
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let all = format!("{before}{LINE}{after}").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).chain([0, all.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();
            prop_assert_eq!(fed(&chunks), (format!("{before}{after}").into_bytes(), Some(process(4711, "998877", Some(4712)))));
        }
    }
}
