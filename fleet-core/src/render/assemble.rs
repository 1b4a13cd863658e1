//! Puts whole lines together from bytes that come split anywhere, on many streams at once, in bounded memory.
//!
//! Must not know what is done with the lines.

use super::RenderError;
use super::held::{Held, StreamKey};
use super::sanitize::incomplete_suffix;

/// Takes the pieces as they become ready.
pub(super) type Emit<'a> = dyn FnMut(StreamKey, Piece<'_>) -> Result<(), RenderError> + 'a;

/// Bytes of one stream that are ready to be shown.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// In order; together they are never empty.
    pub(super) parts: [&'a [u8]; 2],
    /// How the last part ends.
    pub(super) end: PieceEnd,
}

/// How a piece ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceEnd {
    /// With its newline.
    Newline,
    /// In mid-line, at a limit, but not within a UTF-8 character; the line goes on.
    Cut,
    /// With the last byte that the stream sent, which is no newline.
    Last,
}

/// How many lines make a piece.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grouping {
    /// One.
    Single,
    /// As many as came at once.
    Several,
}

/// The unfinished lines of all streams.
#[derive(Debug)]
pub(super) struct Assembler {
    held: Held<Vec<u8>>,
    grouping: Grouping,
    line_limit_bytes: usize,
    held_limit_bytes: usize,
    /// How many bytes were looked at for a newline: the work done, which has to be linear in the bytes received.
    #[cfg(test)]
    scanned_bytes: usize,
}

impl Assembler {
    /// Makes pieces of at most `line_limit_bytes`, and holds at most `held_limit_bytes` over all streams.
    pub(super) fn new(grouping: Grouping, hosts: usize, line_limit_bytes: usize, held_limit_bytes: usize) -> Self {
        Self {
            held: Held::new(hosts),
            grouping,
            // Room for a character that must not be cut, and progress beyond it.
            line_limit_bytes: line_limit_bytes.max(8),
            held_limit_bytes,
            #[cfg(test)]
            scanned_bytes: 0,
        }
    }

    /// Emits what `chunk` completes and holds the rest. Where the limit of all streams is passed, the stream that holds
    /// most gives up its unfinished line as a piece.
    pub(super) fn push(&mut self, key: StreamKey, chunk: &[u8], emit: &mut Emit<'_>) -> Result<(), RenderError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let room = self.line_limit_bytes - self.held.get(key).len();
            let window = &rest[..rest.len().min(room)];
            let Some(newline) = self.newline(window) else {
                self.held.append(key, window);
                rest = &rest[window.len()..];
                if window.len() == room {
                    self.cut(key, emit)?;
                }
                continue;
            };
            let (ready, after) = rest.split_at(newline + 1);
            rest = after;
            let before = self.held.take(key);
            emit(key, Piece { parts: [&before, ready], end: PieceEnd::Newline })?;
        }
        while self.held.total_bytes > self.held_limit_bytes {
            let largest = self.held.largest();
            self.cut(largest, emit)?;
        }
        Ok(())
    }

    /// Emits what is held of a stream that has ended.
    pub(super) fn end(&mut self, key: StreamKey, emit: &mut Emit<'_>) -> Result<(), RenderError> {
        let rest = self.held.take(key);
        if rest.is_empty() { Ok(()) } else { emit(key, Piece { parts: [&rest, b""], end: PieceEnd::Last }) }
    }

    fn newline(&mut self, window: &[u8]) -> Option<usize> {
        let found = match self.grouping {
            Grouping::Single => window.iter().position(|byte| *byte == b'\n'),
            Grouping::Several => window.iter().rposition(|byte| *byte == b'\n'),
        };
        #[cfg(test)]
        {
            self.scanned_bytes += match (found, self.grouping) {
                (None, _) => window.len(),
                (Some(at), Grouping::Single) => at + 1,
                (Some(at), Grouping::Several) => window.len() - at,
            };
        }
        found
    }

    fn cut(&mut self, key: StreamKey, emit: &mut Emit<'_>) -> Result<(), RenderError> {
        let mut piece = self.held.take(key);
        let incomplete = incomplete_suffix(&piece);
        // A few bytes that are nothing but the start of a character go as they are, or they would stay for ever.
        if incomplete < piece.len() {
            let tail = piece.split_off(piece.len() - incomplete);
            self.held.append(key, &tail);
        }
        emit(key, Piece { parts: [&piece, b""], end: PieceEnd::Cut })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Stream;

    const OUT: StreamKey = (0, Stream::Stdout);

    /// The pieces that `chunks` make, as `(bytes, end)`.
    fn pieces(assembler: &mut Assembler, chunks: &[(StreamKey, &[u8])]) -> Vec<(StreamKey, Vec<u8>, PieceEnd)> {
        let mut pieces = Vec::new();
        let mut emit = |key, piece: Piece<'_>| {
            pieces.push((key, piece.parts.concat(), piece.end));
            Ok(())
        };
        for (key, chunk) in chunks {
            assembler.push(*key, chunk, &mut emit).unwrap();
        }
        for (key, _) in chunks {
            assembler.end(*key, &mut emit).unwrap();
        }
        pieces
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_a_longer_one_is_cut() {
        use PieceEnd::{Cut, Last, Newline};
        for (bytes, expected) in [
            (&b"1234567\n"[..], &[(&b"1234567\n"[..], Newline)][..]),
            (b"12345678\n", &[(b"12345678", Cut), (b"\n", Newline)]),
            (b"12345678", &[(b"12345678", Cut)]),
            (b"a\nb", &[(b"a\n", Newline), (b"b", Last)]),
            (b"1234567\xc3\xa9\n", &[(b"1234567", Cut), (b"\xc3\xa9\n", Newline)]),
        ] {
            let mut assembler = Assembler::new(Grouping::Single, 1, 8, 100);
            let found = pieces(&mut assembler, &[(OUT, bytes)]);
            let found: Vec<_> = found.iter().map(|(_, bytes, end)| (&bytes[..], *end)).collect();
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn over_the_common_limit_the_longest_unfinished_line_is_shown_in_pieces() {
        let mut assembler = Assembler::new(Grouping::Single, 2, 100, 10);
        let other = (1, Stream::Stderr);
        let found = pieces(&mut assembler, &[(OUT, b"longest"), (other, b"short")]);
        assert_eq!(found[0], (OUT, b"longest".to_vec(), PieceEnd::Cut));
        assert_eq!(found[1], (other, b"short".to_vec(), PieceEnd::Last));
        assert_eq!(assembler.held.total_bytes, 0);
    }

    #[test]
    fn a_common_limit_of_nothing_still_ends() {
        let mut assembler = Assembler::new(Grouping::Single, 1, 100, 0);
        let found = pieces(&mut assembler, &[(OUT, b"a\xc3"), (OUT, b"\xa9")]);
        let all: Vec<u8> = found.into_iter().flat_map(|(_, bytes, _)| bytes).collect();
        assert_eq!(all, "aé".as_bytes());
    }

    #[test]
    fn a_long_line_in_many_chunks_is_scanned_once() {
        for grouping in [Grouping::Single, Grouping::Several] {
            let mut assembler = Assembler::new(grouping, 1, 8 << 20, 8 << 20);
            let chunk = [b'x'; 1000];
            let chunks: Vec<(StreamKey, &[u8])> = (0..1000).map(|_| (OUT, &chunk[..])).collect();
            pieces(&mut assembler, &chunks);
            assert_eq!(assembler.scanned_bytes, 1_000_000);
        }
    }

    #[test]
    fn many_short_lines_in_one_chunk_are_scanned_at_most_twice() {
        for (grouping, count) in [(Grouping::Single, 100_000), (Grouping::Several, 1)] {
            let mut assembler = Assembler::new(grouping, 1, 8 << 20, 8 << 20);
            let bytes = b"x\n".repeat(100_000);
            assert_eq!(pieces(&mut assembler, &[(OUT, &bytes)]).len(), count);
            assert!(assembler.scanned_bytes <= 2 * bytes.len());
        }
    }

    /// Bytes scanned and copied, and streams searched, while `lines` of `line_bytes` come from each of `hosts` in turn,
    /// in chunks of 1,000 bytes.
    fn work(grouping: Grouping, hosts: usize, line_bytes: usize, lines: usize) -> [usize; 3] {
        let mut assembler = Assembler::new(grouping, hosts, 64 << 10, 256 << 10);
        let line = [vec![b'x'; line_bytes - 1], vec![b'\n']].concat();
        let sent = line.repeat(lines);
        for chunk in sent.chunks(1000) {
            for host in 0..hosts {
                assembler.push((host, Stream::Stdout), chunk, &mut |_, _| Ok(())).unwrap();
            }
        }
        [assembler.scanned_bytes, assembler.held.copied_bytes, assembler.held.searched_streams.get()]
    }

    #[test]
    fn the_work_is_proportional_to_the_bytes_whatever_the_lines_and_the_limits() {
        for grouping in [Grouping::Single, Grouping::Several] {
            // Short lines; ones within every limit; ones over that of a line; ones that many hosts together cannot hold.
            for (hosts, line_bytes, lines) in [(1, 10, 10_000), (50, 4_000, 10), (1, 100_000, 4), (50, 100_000, 2)] {
                let sent = hosts * line_bytes * lines;
                let once = work(grouping, hosts, line_bytes, lines);
                let twice = work(grouping, hosts, line_bytes, 2 * lines);
                let what = format!("{grouping:?}: {hosts} hosts, {line_bytes} bytes a line: {once:?}, then {twice:?}");
                for (once, twice) in once.into_iter().zip(twice) {
                    assert!(once <= 2 * sent, "more than two for each byte: {what}");
                    assert!(twice <= 2 * once + sent / 100, "more than twice for twice the bytes: {what}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_pieces_and_the_exact_bytes(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(0xc3)], 0..200),
            size in 1usize..50,
            limit in 8usize..40,
        ) {
            let make = |chunks: Vec<&[u8]>| {
                let mut assembler = Assembler::new(Grouping::Single, 1, limit, 1000);
                let chunks: Vec<_> = chunks.into_iter().map(|chunk| (OUT, chunk)).collect();
                pieces(&mut assembler, &chunks)
            };
            let whole = make(vec![&bytes]);
            let joined: Vec<u8> = whole.iter().flat_map(|(_, piece, _)| piece.clone()).collect();
            prop_assert_eq!(joined, bytes.clone());
            prop_assert_eq!(make(bytes.chunks(size).collect()), whole);
        }
    }
}
