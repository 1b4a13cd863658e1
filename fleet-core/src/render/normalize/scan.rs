//! Goes through a piece of text once and replaces what the rules name.
//!
//! Only where a word may begin is anything looked for, and every search is bounded by what it finds. Must not know
//! where the text comes from.

use super::super::settings::{Ignored, Varying};
use super::address;
use super::name::Names;
use super::number;
use super::time;

/// What stands for each thing.
const PLACEHOLDERS: [&[u8]; 5] = [b"<host>", b"<ip>", b"<time>", b"<pid>", b"<number>"];

/// What is replaced in the output of one host.
pub(super) struct Rules {
    ignored: Ignored,
    names: Names,
}

/// A thing to be replaced, at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many bytes stay before it.
    pub(super) lead: usize,
    /// How many bytes it has.
    pub(super) bytes: usize,
}

impl Found {
    /// A thing that starts at once.
    pub(super) fn whole(bytes: usize) -> Self {
        Self { lead: 0, bytes }
    }
}

impl Rules {
    pub(super) fn new(ignored: Ignored, name: &str) -> Self {
        let names = if ignored.has(Varying::Host) { Names::of(name) } else { Names::default() };
        Self { ignored, names }
    }

    /// Appends `text` to `out`, with the placeholders.
    pub(super) fn scan(&self, text: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let mut rest = text;
        while let Some((&first, tail)) = rest.split_first() {
            let before = out[start..].last().copied();
            if let Some(placeholder) = placeholder_at(rest) {
                out.extend_from_slice(placeholder);
                rest = &rest[placeholder.len()..];
            } else if may_begin(first)
                && let Some((found, placeholder)) = self.find(before, rest)
            {
                let (lead, after) = rest.split_at(found.lead);
                out.extend_from_slice(lead);
                shorten_padding(out, start);
                out.extend_from_slice(placeholder);
                rest = without_padding(&after[found.bytes..]);
            } else if is_word(first) {
                let end = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            } else {
                out.push(first);
                rest = tail;
            }
        }
    }

    /// What is to be replaced at the start of `rest`, before which stands `before`. What says more comes first: the
    /// parts of a time are numbers too.
    fn find(&self, before: Option<u8>, rest: &[u8]) -> Option<(Found, &'static [u8])> {
        if before.is_some_and(is_word) {
            // `sshd[123]` is the only thing found behind a word.
            return self.rule(Varying::Pid, b"<pid>", || number::bracketed_pid(rest));
        }
        self.rule(Varying::Host, b"<host>", || self.names.find(before, rest))
            .or_else(|| self.rule(Varying::Time, b"<time>", || time::find(before, rest)))
            .or_else(|| self.rule(Varying::Ip, b"<ip>", || address::find(before, rest)))
            .or_else(|| self.rule(Varying::Pid, b"<pid>", || number::bracketed_pid(rest).or_else(|| number::pid(rest))))
            .or_else(|| self.rule(Varying::Number, b"<number>", || number::find(before, rest)))
    }

    fn rule(
        &self,
        varying: Varying,
        placeholder: &'static [u8],
        find: impl FnOnce() -> Option<Found>,
    ) -> Option<(Found, &'static [u8])> {
        let found = if self.ignored.has(varying) { find() } else { None };
        found.map(|found| (found, placeholder))
    }
}

/// Whether anything that is looked for begins with `byte`: `[` begins `[12]` and `[::1]:22`, `:` begins `::1`.
fn may_begin(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'[' | b':')
}

/// Whether `byte` is part of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a word goes on in `rest`. What was replaced counts as it did before: as a word.
pub(super) fn continues(rest: &[u8]) -> bool {
    rest.first().copied().is_some_and(is_word) || placeholder_at(rest).is_some()
}

/// A placeholder that is there already stays as it is: a host may be named `host`.
fn placeholder_at(rest: &[u8]) -> Option<&'static [u8]> {
    rest.first().filter(|first| **first == b'<')?;
    PLACEHOLDERS.into_iter().find(|placeholder| rest.starts_with(placeholder))
}

/// Tables pad with blanks what is shorter, so their number tells nothing; one is left.
fn shorten_padding(out: &mut Vec<u8>, start: usize) {
    while out[start..].ends_with(b"  ") {
        out.pop();
    }
}

fn without_padding(rest: &[u8]) -> &[u8] {
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    &rest[blanks.saturating_sub(1)..]
}
