//! How one output differs from another: as a unified diff, or, of large ones, where the difference begins.
//!
//! Bytes in, lines out. Must not know whose outputs they are, nor how a line is painted.

use std::io::{self, BufRead};
use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

use super::RenderError;

/// How many equal lines are shown before and after a difference.
const CONTEXT_LINES: u32 = 3;

/// What a line of a unified diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffLine {
    /// The place of the lines that follow: `@@ -1,3 +1,4 @@`.
    Place,
    /// In both outputs.
    Common,
    /// In the first output only.
    Removed,
    /// In the second output only.
    Added,
    /// Says that the line before has no newline at its end.
    Unfinished,
}

/// Takes the lines of a diff, each without its newline.
pub(super) type EmitLine<'a> = dyn FnMut(DiffLine, &[u8]) -> Result<(), RenderError> + 'a;

/// Emits what makes `after` out of `before`, in the unified format of diff(1) without its first two lines.
///
/// The time is about linear in the size of both, whatever they hold: the search for the shortest answer is given up
/// where it costs much.
pub(super) fn unified(before: &[u8], after: &[u8], emit: &mut EmitLine<'_>) -> Result<(), RenderError> {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let lines = Lines { input };
    let hunks: Vec<Hunk> = diff.hunks().collect();
    let near = |a: &Hunk, b: &Hunk| b.before.start - a.before.end <= 2 * CONTEXT_LINES;
    hunks.chunk_by(near).try_for_each(|hunks| lines.emit(hunks, emit))
}

/// Both outputs in lines.
struct Lines<'a> {
    input: InternedInput<&'a [u8]>,
}

impl Lines<'_> {
    /// Emits hunks that are so near to each other that they share their context.
    fn emit(&self, hunks: &[Hunk], emit: &mut EmitLine<'_>) -> Result<(), RenderError> {
        let (Some(first), Some(last)) = (hunks.first(), hunks.last()) else { return Ok(()) };
        let lead = first.before.start.min(CONTEXT_LINES);
        let tail = (line_count(&self.input.before) - last.before.end).min(CONTEXT_LINES);
        let before = first.before.start - lead..last.before.end + tail;
        let after = first.after.start - lead..last.after.end + tail;
        let place = format!("@@ -{} +{} @@", written(&before), written(&after));
        emit(DiffLine::Place, place.as_bytes())?;
        let mut at = before.start;
        for hunk in hunks {
            self.emit_lines(DiffLine::Common, at..hunk.before.start, emit)?;
            self.emit_lines(DiffLine::Removed, hunk.before.clone(), emit)?;
            self.emit_lines(DiffLine::Added, hunk.after.clone(), emit)?;
            at = hunk.before.end;
        }
        self.emit_lines(DiffLine::Common, at..before.end, emit)
    }

    fn emit_lines(&self, kind: DiffLine, range: Range<u32>, emit: &mut EmitLine<'_>) -> Result<(), RenderError> {
        let (sign, tokens) = match kind {
            DiffLine::Added => (b'+', &self.input.after),
            DiffLine::Removed => (b'-', &self.input.before),
            _ => (b' ', &self.input.before),
        };
        for token in &tokens[range.start as usize..range.end as usize] {
            let text = self.input.interner[*token];
            let line = text.strip_suffix(b"\n").unwrap_or(text);
            emit(kind, &[&[sign], line].concat())?;
            if !text.ends_with(b"\n") {
                emit(DiffLine::Unfinished, b"\\ No newline at end of file")?;
            }
        }
        Ok(())
    }
}

/// Lines as diff(1) writes them: the first, counted from 1, and how many; of none, the line before.
fn written(lines: &Range<u32>) -> String {
    match lines.end - lines.start {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}

fn line_count<T>(tokens: &[T]) -> u32 {
    // The caller compares no outputs that have more.
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}

/// A place in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) line: u64,
    /// Counted from 1, from the start of the output.
    pub(super) byte: u64,
}

/// The first place where two outputs differ, which may be the end of one.
pub(super) fn first_difference(one: &mut impl BufRead, other: &mut impl BufRead) -> io::Result<Place> {
    let mut place = Place { line: 1, byte: 1 };
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        place.line += a[..common].iter().filter(|byte| **byte == b'\n').count() as u64;
        place.byte += common as u64;
        let is_end = common < a.len().min(b.len()) || a.is_empty() || b.is_empty();
        one.consume(common);
        other.consume(common);
        if is_end {
            return Ok(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(before: &[u8], after: &[u8]) -> Vec<(DiffLine, Vec<u8>)> {
        let mut lines = Vec::new();
        let mut emit = |kind, line: &[u8]| {
            lines.push((kind, line.to_vec()));
            Ok(())
        };
        unified(before, after, &mut emit).unwrap();
        lines
    }

    fn text(before: &str, after: &str) -> String {
        let lines = diff(before.as_bytes(), after.as_bytes()).into_iter();
        lines.map(|(_, line)| String::from_utf8(line).unwrap() + "\n").collect()
    }

    fn numbers(range: Range<u32>) -> String {
        range.map(|number| format!("{number}\n")).collect()
    }

    #[test]
    fn differences_come_with_their_surroundings() {
        let before = numbers(1..30);
        let after = before.replace("\n5\n", "\nfive\n").replace("\n9\n", "\n").replace("\n25\n", "\n25\n25b\n");
        insta::assert_snapshot!(text(&before, &after), @r"
        @@ -2,11 +2,10 @@
         2
         3
         4
        -5
        +five
         6
         7
         8
        -9
         10
         11
         12
        @@ -23,6 +22,7 @@
         23
         24
         25
        +25b
         26
         27
         28
        ");
    }

    #[test]
    fn places_and_missing_newlines_are_written_as_by_diff() {
        for (before, after, expected) in [
            ("same\n", "same\n", ""),
            ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
            ("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"),
            ("a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"),
            ("a\nz", "b\nz", "@@ -1,2 +1,2 @@\n-a\n+b\n z\n\\ No newline at end of file\n"),
            ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
        ] {
            assert_eq!(text(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_first_difference_is_found_whatever_the_parts() {
        for (one, other, line, byte) in [
            ("abc", "abd", 1, 3),
            ("a\nb\nc", "a\nb\nd", 3, 5),
            ("a\nb", "a\nb\n", 2, 4),
            ("", "x", 1, 1),
            ("x", "", 1, 1),
        ] {
            for size in 1..4 {
                let mut parts = io::BufReader::with_capacity(size, one.as_bytes());
                let place = first_difference(&mut parts, &mut other.as_bytes()).unwrap();
                assert_eq!(place, Place { line, byte }, "{one:?} {other:?}");
            }
        }
    }

    /// What `patch` would make of `before`.
    fn patched(before: &[u8], lines: &[(DiffLine, Vec<u8>)]) -> Vec<u8> {
        let mut rest: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
        let mut made: Vec<Vec<u8>> = Vec::new();
        let mut taken = 0;
        for (at, (kind, line)) in lines.iter().enumerate() {
            let is_unfinished = lines.get(at + 1).is_some_and(|(kind, _)| *kind == DiffLine::Unfinished);
            let text = [&line[1..], if is_unfinished { b"" } else { b"\n" }].concat();
            match kind {
                DiffLine::Place => {
                    let place = String::from_utf8(line.clone()).unwrap();
                    let mut words = place[4..].split([',', ' ']);
                    let start: usize = words.next().unwrap().parse().unwrap();
                    let is_insertion = words.next() == Some("0");
                    let skipped = start - usize::from(!is_insertion) - taken;
                    made.extend(rest.drain(..skipped).map(<[u8]>::to_vec));
                    taken += skipped;
                }
                DiffLine::Common | DiffLine::Removed => {
                    assert_eq!(rest.remove(0), &text[..]);
                    taken += 1;
                    if *kind == DiffLine::Common {
                        made.push(text);
                    }
                }
                DiffLine::Added => made.push(text),
                DiffLine::Unfinished => {}
            }
        }
        made.extend(rest.into_iter().map(<[u8]>::to_vec));
        made.concat()
    }

    proptest! {
        #[test]
        fn applied_to_the_first_a_diff_makes_the_second(
            before in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b'), Just(0xff)], 0..120),
            after in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b'), Just(0xff)], 0..120),
        ) {
            prop_assert_eq!(patched(&before, &diff(&before, &after)), after);
        }
    }
}
