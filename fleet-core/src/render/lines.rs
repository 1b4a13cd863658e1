//! The default layout: whole lines as they come, each under its host's name.
//!
//! Must not know where a line ends up, nor whether it is made harmless on the way.

use super::RenderError;
use super::assemble::{Assembler, Grouping, Piece, PieceEnd};
use super::console::Console;
use super::held::StreamKey;
use super::paint::{Paint, Style, host_style};
use super::settings::{HostLabel, Limits, Prefix};
use crate::event::{Event, HostEvent, HostIndex, Stream};

/// Names are aligned to the longest one that is not longer than this; longer ones stick out.
const MAX_ALIGNED_CHARS: usize = 30;

/// Lines with or without prefix.
pub(super) struct Lines {
    assembler: Assembler,
    /// What a line of each host starts with, on standard output and on standard error. Empty without prefixes.
    prefixes: Vec<[String; 2]>,
    names: Vec<String>,
    /// The hosts that sent something.
    spoke: Vec<bool>,
    newlines: Newlines,
    /// The hosts with lines that were shown in pieces.
    cut: Vec<bool>,
}

/// Whether a newline is added where the host sent none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Newlines {
    /// Yes, or the next line, of another host perhaps, would stick to it.
    Added,
    /// Never: there is only one host and nothing but its bytes is shown.
    AsSent,
}

impl Lines {
    pub(super) fn new(prefix: Prefix, hosts: &[HostLabel], limits: Limits, console: &Console) -> Self {
        let newlines = if prefix == Prefix::None && hosts.len() == 1 { Newlines::AsSent } else { Newlines::Added };
        Self {
            assembler: Assembler::new(Grouping::Single, hosts.len(), limits.line_bytes, limits.held_bytes),
            prefixes: match prefix {
                Prefix::Name => prefixes(hosts, console),
                Prefix::None => Vec::new(),
            },
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            spoke: vec![false; hosts.len()],
            newlines,
            cut: vec![false; hosts.len()],
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent, console: &mut Console) -> Result<(), RenderError> {
        match &event.event {
            Event::Output { stream, bytes } => self.output((event.index, *stream), bytes, console),
            Event::Finished(_) => self.end(event.index, console),
            Event::Retry(retry) => {
                self.end(event.index, console)?;
                self.name_attempt(event.index, retry.attempt, console);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a host sends twice is told apart by its prefix.
    fn name_attempt(&mut self, index: HostIndex, attempt: u32, console: &Console) {
        if self.spoke[index]
            && let Some(prefixes) = self.prefixes.get_mut(index)
        {
            let name = &self.names[index];
            let shown = format!("{name} (attempt {attempt})");
            *prefixes = [Stream::Stdout, Stream::Stderr].map(|stream| prefix(name, &shown, 0, stream, console));
        }
    }

    /// Shows the unfinished lines of a host.
    pub(super) fn end(&mut self, index: HostIndex, console: &mut Console) -> Result<(), RenderError> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Self { assembler, prefixes, newlines, cut, .. } = self;
            let mut show = |key, piece: Piece<'_>| show(prefixes, *newlines, cut, console, key, &piece);
            assembler.end((index, stream), &mut show)?;
        }
        Ok(())
    }

    /// The hosts with lines that were shown in pieces.
    pub(super) fn hosts_with_cut_lines(&self) -> Vec<HostIndex> {
        self.cut.iter().enumerate().filter(|(_, cut)| **cut).map(|(index, _)| index).collect()
    }

    fn output(&mut self, key: StreamKey, bytes: &[u8], console: &mut Console) -> Result<(), RenderError> {
        if self.newlines == Newlines::AsSent && !console.destination(key.1).is_terminal() {
            return console.write(key.1, bytes);
        }
        self.spoke[key.0] = true;
        let Self { assembler, prefixes, newlines, cut, .. } = self;
        let mut show = |key, piece: Piece<'_>| show(prefixes, *newlines, cut, console, key, &piece);
        assembler.push(key, bytes, &mut show)
    }
}

fn show(
    prefixes: &[[String; 2]],
    newlines: Newlines,
    cut: &mut [bool],
    console: &mut Console,
    (index, stream): StreamKey,
    piece: &Piece<'_>,
) -> Result<(), RenderError> {
    if let Some(both) = prefixes.get(index) {
        console.write(stream, both[usize::from(stream == Stream::Stderr)].as_bytes())?;
    }
    console.write_remote(stream, &piece.parts)?;
    if newlines == Newlines::AsSent || piece.end == PieceEnd::Newline {
        return Ok(());
    }
    cut[index] |= piece.end == PieceEnd::Cut;
    console.write(stream, b"\n")
}

fn prefixes(hosts: &[HostLabel], console: &Console) -> Vec<[String; 2]> {
    let chars = |host: &HostLabel| host.name.chars().count();
    let width = hosts.iter().map(chars).filter(|chars| *chars <= MAX_ALIGNED_CHARS).max().unwrap_or(0);
    let prefix = |host: &HostLabel, stream| prefix(&host.name, &host.name, width, stream, console);
    hosts.iter().map(|host| [prefix(host, Stream::Stdout), prefix(host, Stream::Stderr)]).collect()
}

/// What a line of the host `name` starts with: its name as `shown`, in the host's colour.
fn prefix(name: &str, shown: &str, width: usize, stream: Stream, console: &Console) -> String {
    let paint = console.paint(stream);
    let padding = match console.destination(stream).is_terminal() {
        true => " ".repeat(width.saturating_sub(shown.chars().count())),
        false => String::new(),
    };
    let colon = if stream == Stream::Stderr { paint.text(Style::RED, ":") } else { ":".to_owned() };
    let shown = match paint {
        Paint::On => paint.text(host_style(name), shown),
        Paint::Off => shown.to_owned(),
    };
    format!("{shown}{colon}{padding} ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::{Color, Layout, RenderSettings};
    use super::super::testing::{Shown, TERMINAL, finished_ok, output, retry, show, started};
    use super::*;

    const BOTH: [&str; 2] = ["web1", "database1"];

    fn settings(prefix: Prefix) -> RenderSettings {
        RenderSettings { layout: Layout::Lines(prefix), ..RenderSettings::new("psh") }
    }

    fn mixed() -> Vec<HostEvent> {
        vec![
            started(0),
            started(1),
            output(0, Stream::Stdout, b"one\ntw"),
            output(1, Stream::Stdout, b"eins\n"),
            output(0, Stream::Stderr, b"oops\n"),
            output(0, Stream::Stdout, b"o\nlast"),
            output(1, Stream::Stdout, b"\n\n"),
            finished_ok(0),
            finished_ok(1),
        ]
    }

    #[test]
    fn lines_are_whole_and_prefixed_and_the_last_one_gets_its_newline() {
        let shown = show(settings(Prefix::Name), &BOTH, &mixed());
        insta::assert_snapshot!(shown.stdout(), @r"
        web1: one
        database1: eins
        web1: two
        database1: 
        database1: 
        web1: last
        ");
        insta::assert_snapshot!(shown.stderr, @r"
        web1: oops
        2 hosts: 2 ok in 1.2s
        ");
    }

    #[test]
    fn names_are_aligned_on_a_terminal_but_for_very_long_ones() {
        let settings = RenderSettings { stdout: TERMINAL, ..settings(Prefix::Name) };
        let long = "x".repeat(MAX_ALIGNED_CHARS + 1);
        let mut events = mixed();
        events.insert(3, output(2, Stream::Stdout, b"long\n"));
        let shown = show(settings, &["web1", "database1", &long], &events);
        insta::assert_snapshot!(shown.stdout(), @r"
        web1:      one
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: long
        database1: eins
        web1:      two
        database1: 
        database1: 
        web1:      last
        ");
    }

    #[test]
    fn colours_mark_the_host_and_its_standard_error() {
        let settings = RenderSettings { color: Color::Always, ..settings(Prefix::Name) };
        let events = [output(0, Stream::Stdout, b"a\n"), output(0, Stream::Stderr, b"b\n"), finished_ok(0)];
        let shown = show(settings, &["web1"], &events);
        let name = Paint::On.text(host_style("web1"), "web1");
        assert_eq!(shown.stdout(), format!("{name}: a\n"));
        assert!(shown.stderr.starts_with(&format!("{name}\x1b[31m:\x1b[0m b\n")), "{:?}", shown.stderr);
    }

    #[test]
    fn without_prefix_a_single_host_is_passed_on_byte_for_byte() {
        for (hosts, expected) in [(1, &b"no newline \xff\r"[..]), (2, b"no newline \xff\r\n")] {
            let events =
                [output(0, Stream::Stdout, b"no newline"), output(0, Stream::Stdout, b" \xff\r"), finished_ok(0)];
            assert_eq!(show(settings(Prefix::None), &BOTH[..hosts], &events).stdout, expected);
        }
    }

    #[test]
    fn escapes_are_shown_on_a_terminal_and_passed_into_a_pipe() {
        let events = [
            output(0, Stream::Stdout, b"\x1b[2Jout \xe2\x82"),
            output(0, Stream::Stdout, b"\xac\r\n"),
            output(0, Stream::Stderr, b"\x9berr\n"),
            finished_ok(0),
        ];
        let terminal = RenderSettings { stderr: TERMINAL, ..settings(Prefix::Name) };
        let shown = show(terminal, &["web1"], &events);
        assert_eq!(shown.stdout(), "web1: \x1b[2Jout €\r\n");
        assert!(shown.stderr.starts_with("web1: \\x9berr\n"), "{:?}", shown.stderr);
        let terminal = RenderSettings { stdout: TERMINAL, ..settings(Prefix::None) };
        assert_eq!(show(terminal, &["web1"], &events[..2]).stdout(), "\\x1b[2Jout €\n");
    }

    #[test]
    fn a_line_beyond_the_limit_comes_in_pieces_and_the_summary_says_so_once() {
        let mut settings = settings(Prefix::Name);
        settings.limits.line_bytes = 10;
        let events = [output(0, Stream::Stdout, b"0123456789abcdefghijKLM\nshort\n"), finished_ok(0)];
        let shown = show(settings, &["web1"], &events);
        assert_eq!(shown.stdout(), "web1: 0123456789\nweb1: abcdefghij\nweb1: KLM\nweb1: short\n");
        assert_eq!(shown.stderr.matches("in pieces: web1").count(), 1, "{}", shown.stderr);
    }

    #[test]
    fn output_that_never_ends_is_shown_while_it_comes() {
        let mut settings = settings(Prefix::Name);
        settings.limits.line_bytes = 1 << 20;
        let events: Vec<HostEvent> = (0..300).map(|_| output(0, Stream::Stdout, &[b'x'; 32 << 10])).collect();
        let Shown { stdout, .. } = show(settings, &["web1"], &events);
        let sent = 300 * (32 << 10);
        assert_eq!(stdout.iter().filter(|byte| **byte == b'x').count(), sent);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines_and_the_exact_bytes(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..120),
            size in 1usize..40,
            prefix in prop_oneof![Just(Prefix::Name), Just(Prefix::None)],
        ) {
            let run = |chunks: Vec<&[u8]>| {
                let mut events: Vec<HostEvent> = chunks.iter().map(|chunk| output(0, Stream::Stdout, chunk)).collect();
                events.push(finished_ok(0));
                show(settings(prefix), &["h"], &events).stdout
            };
            let whole = run(vec![&bytes]);
            prop_assert_eq!(run(bytes.chunks(size).collect()), whole.clone());
            let mut expected = Vec::new();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                if prefix == Prefix::Name {
                    expected.extend_from_slice(b"h: ");
                }
                expected.extend_from_slice(line);
            }
            if prefix == Prefix::Name && bytes.last().is_some_and(|last| *last != b'\n') {
                expected.push(b'\n');
            }
            prop_assert_eq!(whole, expected);
        }
    }

    #[test]
    fn a_further_attempt_is_named_where_an_earlier_one_was_heard() {
        let events = [
            output(0, Stream::Stdout, b"half"),
            retry(0, 2),
            retry(1, 2),
            output(0, Stream::Stdout, b"again\n"),
            output(1, Stream::Stdout, b"at last\n"),
            finished_ok(0),
            finished_ok(1),
        ];
        let shown = show(settings(Prefix::Name), &BOTH, &events);
        assert_eq!(shown.stdout(), "web1: half\nweb1 (attempt 2): again\ndatabase1: at last\n");
    }
}
