//! Makes remote text, and that of other programs, harmless and visible on a terminal.
//!
//! A terminal obeys what is written to it: a remote program could move the cursor over lines of other hosts, set the
//! title, or make some terminals type. So only text, newlines and tabs get through; everything else is spelt out.
//! Must not be used towards pipes and files, which get the bytes as they are.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

/// How many bytes the longest UTF-8 character has.
const MAX_CHAR_LEN: usize = 4;

/// Turns bytes, split anywhere, into text that a terminal shows and does not obey.
///
/// `\r\n` becomes `\n`; any other control character, DEL, C1 (also as UTF-8), characters that reorder text, and bytes
/// that are not UTF-8 are written as escapes: `\x1b`, `\u{9b}`, `\xff`.
#[derive(Debug, Default)]
pub(crate) struct Sanitizer {
    /// The start of a character, or a `\r`, whose meaning the next bytes decide.
    pending: Vec<u8>,
}

impl Sanitizer {
    /// Passes on `bytes`, but for an unfinished character at their end.
    pub(crate) fn push<E>(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut rest = bytes;
        while !self.pending.is_empty() {
            let Some((&next, tail)) = rest.split_first() else { return Ok(()) };
            if self.pending == b"\r" {
                let shown: &[u8] = if next == b'\n' { b"" } else { b"\\r" };
                self.pending.clear();
                out(shown)?;
                continue;
            }
            let mut joined = [0; MAX_CHAR_LEN];
            let len = self.pending.len();
            joined[..len].copy_from_slice(&self.pending);
            joined[len] = next;
            match std::str::from_utf8(&joined[..=len]) {
                Ok(text) => {
                    self.pending.clear();
                    rest = tail;
                    show_text(text, out)?;
                }
                Err(error) if error.error_len().is_none() => {
                    self.pending.push(next);
                    rest = tail;
                }
                Err(_) => self.finish(out)?,
            }
        }
        let held = incomplete_suffix(rest).max(usize::from(rest.ends_with(b"\r")));
        let (ready, held) = rest.split_at(rest.len() - held);
        self.pending.extend_from_slice(held);
        show(ready, out)
    }

    /// Shows what is still pending: nothing more comes.
    pub(crate) fn finish<E>(&mut self, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let pending = std::mem::take(&mut self.pending);
        show(&pending, out)
    }
}

/// Copies the bytes of `from`, made harmless.
///
/// # Errors
/// When one of them cannot be read, or the other written.
pub fn copy_sanitized(mut from: impl Read, to: &mut dyn Write) -> io::Result<()> {
    let mut out = |bytes: &[u8]| to.write_all(bytes);
    let mut sanitizer = Sanitizer::default();
    let mut buffer = [0; 1 << 14];
    loop {
        match from.read(&mut buffer)? {
            0 => return sanitizer.finish(&mut out),
            count => sanitizer.push(&buffer[..count], &mut out)?,
        }
    }
}

/// Remote text that is all there, made harmless: only text, newlines and tabs stay as they are.
#[must_use]
pub fn sanitized(text: &str) -> String {
    String::from_utf8_lossy(&sanitized_bytes(text.as_bytes())).into_owned()
}

/// The same for bytes that are all there.
pub(crate) fn sanitized_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(bytes.len());
    let mut append = |bytes: &[u8]| {
        shown.extend_from_slice(bytes);
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(()) = show(bytes, &mut append);
    shown
}

/// Remote text that has to stay on one line, made harmless for a terminal.
#[must_use]
pub fn sanitized_line(text: &str) -> String {
    sanitized(text).replace('\n', "\\n")
}

/// How many bytes at the end of `bytes` are the start of a character whose rest is missing.
pub(crate) fn incomplete_suffix(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(MAX_CHAR_LEN - 1)..];
    let Some(start) = tail.iter().rposition(|byte| *byte >= 0xc0) else { return 0 };
    match std::str::from_utf8(&tail[start..]) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => tail.len() - start,
        _ => 0,
    }
}

fn show<E>(bytes: &[u8], out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for chunk in bytes.utf8_chunks() {
        show_text(chunk.valid(), out)?;
        let mut escaped = String::new();
        for byte in chunk.invalid() {
            push_escape(&mut escaped, format_args!("\\x{byte:02x}"));
        }
        if !escaped.is_empty() {
            out(escaped.as_bytes())?;
        }
    }
    Ok(())
}

fn show_text<E>(text: &str, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut clean_from = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| is_active(*character)) {
        out(&text.as_bytes()[clean_from..at])?;
        clean_from = at + character.len_utf8();
        if character == '\r' && text[clean_from..].starts_with('\n') {
            continue;
        }
        let mut escaped = String::new();
        match character {
            '\r' => escaped.push_str("\\r"),
            c if c.is_ascii() => push_escape(&mut escaped, format_args!("\\x{:02x}", u32::from(c))),
            c => push_escape(&mut escaped, format_args!("\\u{{{:x}}}", u32::from(c))),
        }
        out(escaped.as_bytes())?;
    }
    out(&text.as_bytes()[clean_from..])
}

fn push_escape(text: &mut String, escape: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(escape);
}

/// Whether a terminal may act on `character`, or order the text around it differently.
fn is_active(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut text = Vec::new();
        let mut out = |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            Ok::<(), ()>(())
        };
        let mut sanitizer = Sanitizer::default();
        for chunk in chunks {
            sanitizer.push(chunk, &mut out).unwrap();
        }
        sanitizer.finish(&mut out).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn only_text_newlines_and_tabs_reach_a_terminal() {
        for (bytes, expected) in [
            (&b"plain\ttext\n"[..], "plain\ttext\n"),
            ("grüße 日本 🦀\n".as_bytes(), "grüße 日本 🦀\n"),
            (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"a\x00b\x08c\x7f", "a\\x00b\\x08c\\x7f"),
            (b"dos\r\nline\r\n", "dos\nline\n"),
            (b"10%\r100%\n", "10%\\r100%\n"),
            (b"\r\r\n", "\\r\n"),
            (b"end\r", "end\\r"),
            (b"\xc2\x9b31m", "\\u{9b}31m"),
            (b"\x9b31m \xff\xfe", "\\x9b31m \\xff\\xfe"),
            (b"cut \xf0\x9f\xa6", "cut \\xf0\\x9f\\xa6"),
            (b"\xe2\x80\xaeevil", "\\u{202e}evil"),
        ] {
            assert_eq!(shown([bytes]), expected, "{bytes:?}");
        }
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(sanitized_line("a\nb\x1b"), "a\\nb\\x1b");
    }

    #[test]
    fn only_the_start_of_a_character_is_incomplete() {
        for (bytes, len) in [
            (&b""[..], 0),
            (b"abc", 0),
            ("é".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"\xf0\x9f\xa6", 3),
            (b"\xe6\x97", 2),
            (b"\xff", 0),
            (b"\x80\x80\x80", 0),
            (b"\xc3a", 0),
            (b"\xc3\xa9\xc3", 1),
        ] {
            assert_eq!(incomplete_suffix(bytes), len, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_shows_the_same_and_never_a_control_character(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(0xc2), Just(0x9b), Just(0xf0), Just(0x9f)], 0..60),
            size in 1usize..7,
        ) {
            let whole = shown([&bytes[..]]);
            prop_assert!(!whole.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{:?}", whole);
            prop_assert_eq!(shown(bytes.chunks(size)), whole);
        }
    }
}
