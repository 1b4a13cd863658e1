//! The programs that files are copied from a host by: one lists what is there, others send it, and one removes it.
//!
//! Each is a POSIX shell script that needs find, stat, tar, xargs, head and tail, and keeps nothing on the host. They read
//! names from standard input, each ended by a NUL, and print between marks, so that what the user's start-up files say is
//! told apart. What they print is read by `fleet_transfer::pull`.
//!
//! Must not know of SSH, of files on this machine, nor what is wanted of the listing.

use std::sync::LazyLock;

use super::copy_in::Packing;
use super::quote::sh_quote;
use super::{Program, Token, WrapError, push_all, refuse_nul, without_comments};

static START: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_start.sh")));
static DESCRIBE: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_describe.sh")));
static DIGEST: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_digest.sh")));
static LIST: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_list.sh")));
static SEND: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_send.sh")));
static PARTS: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_parts.sh")));
static TAILS: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_tails.sh")));
static DIGESTS: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_digests.sh")));
static REMOVE: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_out_remove.sh")));

/// What is done with symlinks on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They are copied.
    #[default]
    Kept,
    /// What they name is copied.
    Followed,
}

/// What of a path is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What it names.
    Itself,
    /// What is in the folder that it names.
    Inside,
}

/// Paths on a host that are to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemotePattern<'a> {
    /// A path, in which `*`, `?` and `[...]` are for the host's shell; relative to the folder of the login.
    pub pattern: &'a [u8],
    /// What of it is copied.
    pub part: Part,
}

/// What stands in front of a listing.
#[must_use]
pub fn copy_out_list_mark(token: &Token) -> Vec<u8> {
    mark(token, "list")
}

/// What stands in front of contents.
#[must_use]
pub fn copy_out_data_mark(token: &Token) -> Vec<u8> {
    mark(token, "data")
}

/// What stands, on standard error, in front of the description of files that were read.
#[must_use]
pub fn copy_out_after_mark(token: &Token) -> Vec<u8> {
    mark(token, "after")
}

/// What stands behind a listing, and on standard error behind the last description.
#[must_use]
pub fn copy_out_end_mark(token: &Token) -> Vec<u8> {
    mark(token, "end")
}

fn mark(token: &Token, word: &str) -> Vec<u8> {
    format!("\x1efleet {} {word}\n", token.as_str()).into_bytes()
}

/// Why a host says that nothing can be copied from it, if it does in `stderr`.
#[must_use]
pub fn copy_out_refusal(stderr: &[u8], token: &Token) -> Option<String> {
    let start = format!("\x1efleet {} refused ", token.as_str()).into_bytes();
    let at = stderr.windows(start.len()).position(|window| window == start)?;
    let line = stderr[at + start.len()..].split(|&b| b == b'\n').next()?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

/// The command, for any login shell, that lists what is at `patterns`: by their numbers, from 0.
///
/// # Errors
/// When a NUL is in one.
pub fn copy_out_list_command(
    patterns: &[RemotePattern<'_>],
    links: Links,
    token: &Token,
) -> Result<Vec<u8>, WrapError> {
    let mut program = beginning(token, links);
    program.extend_from_slice(LIST.as_bytes());
    for (number, RemotePattern { pattern, part }) in patterns.iter().enumerate() {
        refuse_nul(pattern, || "the path".to_owned())?;
        let way = match part {
            Part::Itself => "itself",
            Part::Inside => "inside",
        };
        push_all(&mut program, &[format!("from {number} {way} ").as_bytes(), &glob_word(pattern), b"\n"]);
    }
    program.extend_from_slice(b"printf '\\036fleet %s end\\n' \"$token\"\n");
    Ok(Program(program).command_line())
}

/// The command that sends the files whose paths it reads.
#[must_use]
pub fn copy_out_send_command(links: Links, packing: Packing, token: &Token) -> Vec<u8> {
    program(token, links, packing, &[&SEND])
}

/// The command that sends the parts of files that it is asked for: `FIRST LENGTH PATH`, the first byte being 1.
#[must_use]
pub fn copy_out_parts_command(links: Links, packing: Packing, token: &Token) -> Vec<u8> {
    program(token, links, packing, &[&PARTS])
}

/// The command that says how long the last `lines` lines of files are.
#[must_use]
pub fn copy_out_tails_command(lines: u64, links: Links, token: &Token) -> Vec<u8> {
    program(token, links, Packing::Plain, &[&format!("lines={lines}\n"), &TAILS])
}

/// The command that says the digests of the beginnings of files that it is asked for: `LENGTH PATH`.
#[must_use]
pub fn copy_out_digests_command(token: &Token) -> Vec<u8> {
    program(token, Links::Followed, Packing::Plain, &[&DIGEST, &DIGESTS])
}

/// The command that removes the files that are still as they are described: `LENGTH TIME SHA256 PATH`.
#[must_use]
pub fn copy_out_remove_command(token: &Token) -> Vec<u8> {
    program(token, Links::Kept, Packing::Plain, &[&DIGEST, &REMOVE])
}

fn program(token: &Token, links: Links, packing: Packing, parts: &[&str]) -> Vec<u8> {
    let mut program = beginning(token, links);
    program.extend_from_slice(if packing == Packing::Gzip { b"gzip=yes\n" } else { b"gzip=\n" });
    program.extend(parts.iter().flat_map(|part| part.bytes()));
    Program(program).command_line()
}

fn beginning(token: &Token, links: Links) -> Vec<u8> {
    let follow = if links == Links::Followed { "-L" } else { "" };
    let mut program = format!("token={} follow={follow} inner=", token.as_str()).into_bytes();
    push_all(&mut program, &[&sh_quote(DESCRIBE.as_bytes()), b"\n", START.as_bytes()]);
    program
}

/// A word of the shell in which only `*`, `?` and `[...]` mean something. It is no option of any program.
fn glob_word(pattern: &[u8]) -> Vec<u8> {
    let mut word: Vec<u8> = if pattern.starts_with(b"/") { Vec::new() } else { b"./".to_vec() };
    let mut plain = Vec::new();
    let flush = |word: &mut Vec<u8>, plain: &mut Vec<u8>| {
        if !plain.is_empty() {
            word.extend(sh_quote(&std::mem::take(plain)));
        }
    };
    let mut rest = pattern;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'*' | b'?' => {
                flush(&mut word, &mut plain);
                word.push(byte);
            }
            b'[' if let Some(end) = bracket_end(tail) => {
                flush(&mut word, &mut plain);
                word.push(b'[');
                for &inner in &tail[..end] {
                    // Quoted, these would no longer mean a range, or all others.
                    if inner.is_ascii_alphanumeric() || b"-!^".contains(&inner) {
                        word.push(inner);
                    } else {
                        push_all(&mut word, &[b"\\", &[inner]]);
                    }
                }
                word.push(b']');
                rest = &tail[end + 1..];
            }
            _ => plain.push(byte),
        }
    }
    flush(&mut word, &mut plain);
    word
}

/// Where the bracket ends that `text` follows: at the first `]` that is not the first of what may match.
fn bracket_end(text: &[u8]) -> Option<usize> {
    let first = usize::from(matches!(text.first(), Some(b'!' | b'^')));
    let end = text.iter().skip(first + 1).position(|&b| b == b']')? + first + 1;
    // A slash is never matched, and a line end cannot be quoted so.
    (!text[..end].iter().any(|b| b"/\n".contains(b))).then_some(end)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;
    use std::time::Duration;

    use super::super::{RemoteCommand, StdinMode, wrap};
    use super::*;

    #[test]
    fn only_wildcards_mean_something_to_the_shell() {
        let folder = tempfile::tempdir().unwrap();
        let names: [&[u8]; 8] = [b"a1", b"b1", b"-n", b"$HOME", b"it's *", b"x\ny", b"[q", b"]"];
        for name in names {
            fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        for (pattern, expected) in [
            (&b"[ab]1"[..], &b"./a1|./b1|"[..]),
            (b"[!a]1", b"./b1|"),
            (b"[a-b]?", b"./a1|./b1|"),
            (b"-*", b"./-n|"),
            (b"$HOME", b"./$HOME|"),
            (b"it's ?", b"./it's *|"),
            (b"it's *", b"./it's *|"),
            (b"x\n*", b"./x\ny|"),
            (b"[q", b"./[q|"),
            (b"[]]", b"./]|"),
            (b"no*such", b"./no*such|"),
            (b"$(touch evil)`id`;&", b"./$(touch evil)`id`;&|"),
        ] {
            for shell in ["dash", "bash", "busybox"] {
                let script = [b"printf '%s|' ", &glob_word(pattern)[..]].concat();
                let mut command = Command::new(shell);
                if shell == "busybox" {
                    command.arg("sh");
                }
                let output = command.arg("-c").arg(OsStr::from_bytes(&script)).current_dir(folder.path()).output();
                let printed = output.unwrap().stdout;
                assert_eq!(printed.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{shell}");
            }
        }
    }

    /// Dropbear takes 9,000 bytes; the rest is for the paths.
    #[test]
    fn our_part_of_the_command_lines_is_small() {
        let token = Token::new(u64::MAX);
        let patterns = [RemotePattern { pattern: b"/var/log/*.log", part: Part::Itself }];
        for command in [
            copy_out_list_command(&patterns, Links::Followed, &token).unwrap(),
            copy_out_send_command(Links::Followed, Packing::Gzip, &token),
            copy_out_parts_command(Links::Followed, Packing::Gzip, &token),
            copy_out_tails_command(u64::MAX, Links::Followed, &token),
            copy_out_digests_command(&token),
            copy_out_remove_command(&token),
        ] {
            let (env, stdin, grace) = (Vec::new(), StdinMode::Closed, Duration::from_secs(100));
            let line = wrap(&RemoteCommand { command, env, stdin, grace }, &token).unwrap();
            assert!(line.len() < 8000, "{}", line.len());
        }
    }

    #[test]
    fn a_refusal_is_found_among_other_words() {
        let token = Token::new(0xab);
        let said = "motd\n\x1efleet 00000000000000ab refused there is no tar\nlogout\n";
        assert_eq!(copy_out_refusal(said.as_bytes(), &token).as_deref(), Some("there is no tar"));
        assert_eq!(copy_out_refusal(said.as_bytes(), &Token::new(1)), None);
        let pattern = RemotePattern { pattern: b"a\0", part: Part::Itself };
        assert!(matches!(copy_out_list_command(&[pattern], Links::Kept, &token), Err(WrapError::Nul { .. })));
    }
}
