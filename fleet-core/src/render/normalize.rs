//! Replaces what differs between hosts that say the same: `<host>`, `<ip>`, `<time>`, `<pid>`, `<number>`.
//!
//! Bytes in, bytes out, in time linear in the bytes, and the same however they are split. What is replaced is written
//! down in `docs/dedup.md`. Must not know what the bytes are compared with.

mod address;
mod name;
mod number;
mod scan;
mod take;
mod time;

use self::scan::Rules;
use super::settings::Ignored;

/// Lines are looked at as a whole up to this length, longer ones in pieces of about this length.
const PIECE_BYTES: usize = 16 << 10;

/// One output of one host on its way.
pub(super) struct Normalizer {
    rules: Rules,
    piece_bytes: usize,
    /// The start of an unfinished piece.
    held: Vec<u8>,
    /// Within a word that is longer than a piece: nothing is replaced until it ends.
    in_long_word: bool,
    out: Vec<u8>,
}

impl Normalizer {
    /// For a host that is named `name` on the command line or in a file: `[user@]name[:port]`.
    pub(super) fn new(ignored: Ignored, name: &str) -> Self {
        Self {
            rules: Rules::new(ignored, name),
            piece_bytes: PIECE_BYTES,
            held: Vec::new(),
            in_long_word: false,
            out: Vec::new(),
        }
    }

    /// What can be said after `bytes` came.
    pub(super) fn push(&mut self, bytes: &[u8]) -> &[u8] {
        self.out.clear();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.in_long_word {
                let end = rest.iter().position(|byte| is_gap(*byte));
                self.in_long_word = end.is_none();
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                self.out.extend_from_slice(word);
                rest = after;
                continue;
            }
            let Some(end) = self.end_of_piece(rest) else {
                self.held.extend_from_slice(rest);
                break;
            };
            let (piece, after) = rest.split_at(end);
            if self.held.is_empty() {
                self.rules.scan(piece, &mut self.out);
            } else {
                self.held.extend_from_slice(piece);
                self.rules.scan(&self.held, &mut self.out);
                self.held.clear();
            }
            self.in_long_word = !piece.last().copied().is_some_and(is_gap);
            rest = after;
        }
        &self.out
    }

    /// What is left when nothing more comes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.clear();
        self.rules.scan(&self.held, &mut self.out);
        self.out
    }

    /// Where the piece ends that began with what is held: behind a newline, behind the first gap at its usual length,
    /// or in the middle of a word at twice that. `None` if that is still to come.
    fn end_of_piece(&self, rest: &[u8]) -> Option<usize> {
        let usual = self.piece_bytes.saturating_sub(self.held.len()).min(rest.len());
        let longest = 2 * self.piece_bytes - self.held.len();
        let (near, far) = rest.split_at(usual);
        if let Some(newline) = near.iter().position(|byte| *byte == b'\n') {
            return Some(newline + 1);
        }
        let gap = far.iter().take(longest - usual).position(|byte| is_gap(*byte)).map(|gap| usual + gap + 1);
        gap.or((rest.len() >= longest).then_some(longest))
    }
}

/// Whether a line may be cut behind this byte.
fn is_gap(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b",;\"'{}()<>|".contains(&byte)
}

#[cfg(test)]
mod tests;
