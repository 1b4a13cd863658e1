//! The program that has a host fetch what it receives, by a URL.
//!
//! What is fetched goes to the program of `copy_in`, so it is verified and renamed in the same way. The URL is a credential:
//! it comes on standard input, and goes to curl or wget on theirs. Where the host has neither, or one of them fails, the
//! program says so, and nothing has changed there.
//!
//! Must not know who keeps what is fetched.

use std::fmt;
use std::sync::LazyLock;

use super::copy_in::{CopyIn, copy_in_program};
use super::{Program, Token, WrapError, push_all, without_comments};

static COPY_FETCH: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_fetch.sh")));

/// The command, for any login shell, that receives files as [`copy_in_command`](super::copy_in_command) does, but out of
/// what it fetches from the URL that [`fetch_input`] writes to its standard input.
///
/// What it says when the host could not fetch reads [`FetchFailure::find`].
///
/// # Errors
/// As those of `copy_in_command`.
pub fn copy_fetch_command(copy: &CopyIn<'_>, mark: &Token) -> Result<Vec<u8>, WrapError> {
    let [mut program, receive] = copy_in_program(copy, mark)?;
    push_all(&mut program, &[COPY_FETCH.as_bytes(), b"fetch | (\n", &receive, b"\n)\n"]);
    Ok(Program(program).command_line())
}

/// The whole standard input of that command. The URL has no quotes, backslashes and line ends.
#[must_use]
pub fn fetch_input(url: &str) -> Vec<u8> {
    format!("url = \"{url}\"\n").into_bytes()
}

/// Why a host could not fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFailure {
    /// The program; `none` where there is neither.
    by: String,
    /// Its exit status.
    status: u8,
    /// Its words, which may be none.
    said: String,
}

/// What curl ends with when nobody takes what it fetches (curl(1)).
const CURL_NOT_TAKEN: u8 = 23;
/// The same of a program that a signal has ended, SIGPIPE, as shells tell it.
const BROKEN_PIPE: u8 = 128 + 13;
/// The same of wget: an error of files (wget(1)).
const WGET_NOT_TAKEN: u8 = 3;

impl FetchFailure {
    /// Finds out of what the command with this mark said on standard error, whether it could not fetch.
    #[must_use]
    pub fn find(stderr: &[u8], mark: &Token) -> Option<Self> {
        let start = format!("\x1efleet {} fetch ", mark.as_str());
        let text = String::from_utf8_lossy(stderr);
        let line = text.lines().find_map(|line| Some(line.split_once(&start)?.1))?;
        let mut words = line.splitn(3, ' ');
        let (by, status) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(Self { by, status, said: words.next().unwrap_or_default().trim().to_owned() })
    }

    /// Whether it only failed because the program behind it had ended.
    #[must_use]
    pub fn is_of_receiver(&self) -> bool {
        let not_taken = if self.by == "wget" { WGET_NOT_TAKEN } else { CURL_NOT_TAKEN };
        self.status == not_taken || self.status == BROKEN_PIPE
    }
}

/// `curl: (22) The requested URL returned error: 403`, `wget: the server answered with an error (exit status 8)`
impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, status, said } = self;
        // wget(1), EXIT STATUS. It has no words that leave the URL out.
        let meaning = match (by.as_str(), status) {
            ("none", _) => return f.write_str("the host has neither curl nor GNU wget"),
            _ if !said.is_empty() => return write!(f, "{said}"),
            ("wget", 4) => "the network failed",
            ("wget", 5) => "the certificate was not accepted",
            ("wget", 8) => "the server answered with an error",
            _ => "it failed",
        };
        write!(f, "{by}: {meaning} (exit status {status})")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Attributes, Landing, MissingFolder, Packing, RemoteCommand, Replaced, StdinMode, Verify, wrap};
    use super::*;

    /// Dropbear takes 9,000 bytes; the rest is for the names of the landing.
    #[test]
    fn our_part_of_the_command_line_is_small() {
        let copy = CopyIn {
            landing: Landing::Folder(b"/"),
            missing: MissingFolder::Make,
            needed_kib: Some(u64::MAX),
            packing: Packing::Gzip,
            verify: Verify::Sha256,
            attributes: Attributes::All,
            owner: Some("somebody:somebody"),
            replaced: Replaced::Kept,
        };
        let token = Token::new(u64::MAX);
        let command = copy_fetch_command(&copy, &token).unwrap();
        let (env, stdin, grace) = (Vec::new(), StdinMode::Passed, Duration::from_secs(100));
        let line = wrap(&RemoteCommand { command, env, stdin, grace }, &token).unwrap();
        assert!(line.len() < 8600, "{}", line.len());
    }

    #[test]
    fn what_fetches_says_why_it_could_not() {
        let token = Token::new(0xab);
        for (words, expected, is_of_receiver) in [
            ("none 127 ", "the host has neither curl nor GNU wget", false),
            (
                "curl 22 curl: (22) The requested URL returned error: 403 ",
                "curl: (22) The requested URL returned error: 403",
                false,
            ),
            ("curl 23 curl: (23) Failed writing body", "curl: (23) Failed writing body", true),
            ("curl 141 ", "curl: it failed (exit status 141)", true),
            ("wget 8 ", "wget: the server answered with an error (exit status 8)", false),
            ("wget 4", "wget: the network failed (exit status 4)", false),
            ("wget 3 ", "wget: it failed (exit status 3)", true),
        ] {
            let said = format!("motd\n\x1efleet 00000000000000ab fetch {words}\nlogout\n");
            let failure = FetchFailure::find(said.as_bytes(), &token).unwrap();
            assert_eq!((failure.to_string().as_str(), failure.is_of_receiver()), (expected, is_of_receiver));
        }
        for said in ["", "\x1efleet 00000000000000ac fetch none 127\n", "\x1efleet 00000000000000ab fetch curl\n"] {
            assert_eq!(FetchFailure::find(said.as_bytes(), &token), None, "{said}");
        }
    }
}
