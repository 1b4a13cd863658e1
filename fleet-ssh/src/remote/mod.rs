//! What is sent to a host so that a command can be stopped there: the command line that wraps the user's command, and the
//! ones that stop it.
//!
//! Every POSIX shell can do this and no server has to allow it. The wrapped command announces its process on standard
//! error ([`Announcement`]) and then *becomes* the user's command, run by the user's shell, so that its exit status and
//! its output are the command's own. Beside it waits a *keeper* for the end of the channel's standard input: when that
//! ends and the command still runs, we have gone, and the keeper stops the command and all its processes. To
//! stop it while we are here, [`stop_command`] does the same work on a second channel and says how it went ([`StopVerdict`]).
//! Where standard input is the command's own, the keeper is [`keeper_command`], on a second channel from the start.
//!
//! A command that ends by itself is left alone, and so is what it put in the background. Stopped with the command is also
//! what it put in the background, other sessions included (on Linux: whatever inherited `FLEET_JOB`).
//!
//! On a channel with a pty, a lost connection is first of all a hang-up: what dies of SIGHUP is gone before the keeper
//! looks. So the keeper of such a command is told of its natural end, and takes everything else for our death.
//!
//! Bytes to bytes: must not know of SSH, channels or time. The shell is in the `.sh` files of this folder.

mod announcement;
mod copy_fetch;
mod copy_in;
mod copy_out;
mod facts;
mod job;
mod quote;
mod script;
mod service;
mod sudo;
mod tree;

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

pub use announcement::{Announcement, RemoteProcess, StopVerdict};
pub use copy_fetch::{FetchFailure, copy_fetch_command, fetch_input};
pub use copy_in::{
    Attributes, CopyIn, CopyRefusal, Landing, MissingFolder, Packing, RefusalKind, Replaced, Verify, copy_commit,
    copy_in_command, copy_is_done, copy_look, copy_name, landing_place, look_mark,
};
pub use copy_out::{
    Links, Part, RemotePattern, copy_out_after_mark, copy_out_data_mark, copy_out_digests_command, copy_out_end_mark,
    copy_out_list_command, copy_out_list_mark, copy_out_parts_command, copy_out_refusal, copy_out_remove_command,
    copy_out_send_command, copy_out_tails_command,
};
pub use facts::{Fact, Facts, facts_command};
pub use job::{
    JobName, JobNameError, JobShell, JobStart, JobState, JobWait, job_list_command, job_output_command,
    job_remove_command, job_start_command, job_state_command, job_stop_command,
};
pub use quote::{login_shell_word, sh_quote};
pub use script::{Script, ScriptError};
pub use service::{
    Follow, LaunchBy, Room, ServiceName, ServiceNameError, ServiceReport, ServiceStart, ServiceState, ServiceWord,
    Services, StartReport, service_list_command, service_log_command, service_remove_command, service_start_command,
    service_start_input, service_start_refusal, service_state_command, service_stop_command,
};
pub use sudo::{
    ChannelKind, Mark, SudoAsks, SudoDialogue, SudoRefusal, SudoUser, SudoUserError, sudo_command, wrap_for_sudo,
};
pub use tree::{MissingParents, tree_list, tree_settle};

use quote::login_shell_text;

/// The longest command line that Linux takes as one argument, without its NUL (`MAX_ARG_STRLEN`): the server passes the
/// whole line to the login shell as one.
pub const MAX_COMMAND_LINE_LEN: usize = 128 * 1024 - 1;

static IDENTITY: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("identity.sh")));
static BOOT: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("boot.sh")));
static STOP: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("stop.sh")));
static WATCH: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("watch.sh")));
static ATTEND: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("attend.sh")));
static KEEP: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("keep.sh")));
static BECOME: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("become.sh")));

/// What is said to the keeper of a command on a terminal when that has ended by itself.
pub(super) const RELEASE: &[u8] = b"ended\n";

/// How a keeper on a second channel says that it is there ([`keeper_watches`]).
const SAY_WATCHES: &str = "printf '\\036fleet %s watches\\n' \"$token\"\n";

/// The mark of one command on one host. It tells our lines from others in the output, and the command's processes from
/// others on the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// A token that no other command has.
    #[must_use]
    pub fn random() -> Self {
        Self::new(rand::random())
    }

    /// The token made of `random`, which should differ for every command of every run on a host.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self(format!("{random:016x}"))
    }

    /// The token's text: 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the command's standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StdinMode {
    /// Nothing. The channel's input is the control line of the keeper, which skips what comes there: it must stay open while
    /// the command may run.
    Closed,
    /// The channel's input. A [`keeper_command`] on another channel has to watch over the command.
    Passed,
}

/// A command to run on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCommand {
    /// The command, verbatim, for the user's login shell. Any bytes but NUL.
    pub command: Vec<u8>,
    /// Environment variables to add; of two with one name the later counts.
    pub env: Vec<(String, Vec<u8>)>,
    /// What the command reads.
    pub stdin: StdinMode,
    /// How long the keeper waits between TERM and KILL. Counted in tenths of a second.
    pub grace: Duration,
}

/// Why a command cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// No shell has such a variable.
    #[error("\"{name}\" is not the name of an environment variable: expected letters, digits and _, no digit first")]
    EnvName {
        /// The name.
        name: String,
    },
    /// No argument and no variable can hold it.
    #[error("{place} holds a NUL byte, which no command line can carry")]
    Nul {
        /// "the command", or "the variable NAME".
        place: String,
    },
    /// The host would refuse it.
    #[error("the command is too long: {len} bytes when quoted for the remote shell, and at most {limit} can be sent")]
    TooLong {
        /// Bytes of the wrapped command line.
        len: usize,
        /// [`MAX_COMMAND_LINE_LEN`].
        limit: usize,
    },
}

/// The command line of an exec request that runs `command` under the protection of a keeper, marked with `token`.
///
/// Any login shell takes it: POSIX shells, zsh, csh and fish.
///
/// # Errors
/// When a name of the environment is not one, a NUL is in the command or in a value, or all together is too long.
pub fn wrap(command: &RemoteCommand, token: &Token) -> Result<Vec<u8>, WrapError> {
    checked_len(program(command, token, br#""${SHELL:-/bin/sh}""#)?.command_line())
}

/// The program that becomes `command` in `shell`, a word of the program.
fn program(command: &RemoteCommand, token: &Token, shell: &[u8]) -> Result<Program, WrapError> {
    let exports = exports(&command.env, token)?;
    refuse_nul(&command.command, || "the command".to_owned())?;
    let closed = command.stdin == StdinMode::Closed;

    let mut program = format!("fleet_keep() {{\n{}", settings(token, command.grace)).into_bytes();
    if closed {
        push_all(&mut program, &[b"control=3\n", IDENTITY.as_bytes(), STOP.as_bytes(), WATCH.as_bytes()]);
    } else {
        push_all(&mut program, &[b"control=\n", IDENTITY.as_bytes()]);
    }
    push_all(&mut program, &[KEEP.as_bytes(), b"}\n"]);
    // The shell gives a background job /dev/null as input unless it is redirected, so the control line has to be 3.
    if closed {
        program.extend_from_slice(b"exec 3<&0 </dev/null\n");
    }
    // Variables of our own could hide ones of the user's environment: positional parameters cannot.
    let text = no_option(&command.command);
    push_all(&mut program, &[b"set -- ", shell, b" ", &sh_quote(&text), b" \"$(fleet_keep)\"\n"]);
    if closed {
        program.extend_from_slice(b"exec 3<&-\n");
    }
    push_all(&mut program, &[b"printf '%s\\n' \"$3\" >&2\n", &exports, BECOME.as_bytes()]);
    Ok(Program(program))
}

fn checked_len(line: Vec<u8>) -> Result<Vec<u8>, WrapError> {
    if line.len() > MAX_COMMAND_LINE_LEN {
        return Err(WrapError::TooLong { len: line.len(), limit: MAX_COMMAND_LINE_LEN });
    }
    Ok(line)
}

/// The command line that stops `process` and everything it started, at once: TERM, then after `grace` KILL. It
/// reads nothing and prints a [`StopVerdict`]. Also stops what is left when `process` itself has ended.
#[must_use]
pub fn stop_command(process: &RemoteProcess, token: &Token, grace: Duration) -> Vec<u8> {
    stop_program(process, token, grace).command_line()
}

/// The command line that says that it watches, waits for the end of its standard input, and then does as
/// [`stop_command`] does; but when `process` has ended by itself until then, it says and stops nothing more.
#[must_use]
pub fn keeper_command(process: &RemoteProcess, token: &Token, grace: Duration) -> Vec<u8> {
    keeper_program(process, token, grace).command_line()
}

/// The program of [`stop_command`].
pub(super) fn stop_program(process: &RemoteProcess, token: &Token, grace: Duration) -> Program {
    beside(process, token, grace, &["stop\nverdict\n"])
}

/// The program of [`keeper_command`].
pub(super) fn keeper_program(process: &RemoteProcess, token: &Token, grace: Duration) -> Program {
    beside(process, token, grace, &[SAY_WATCHES, &WATCH, "watch\nstop\nverdict\n"])
}

/// The program that does as [`keeper_program`] does, for a process on a terminal: whether that has ended by itself or by
/// the terminal's hang-up, which leaves what is deaf to it, only the line [`RELEASE`] tells. It may be on a terminal too.
pub(super) fn terminal_keeper_program(process: &RemoteProcess, token: &Token, grace: Duration) -> Program {
    beside(process, token, grace, &[SAY_WATCHES, &ATTEND, "attend\nstop\nverdict\n"])
}

/// Whether a keeper that has printed `stdout` is there: from then on it outlives us, and a hang-up of its terminal.
pub(super) fn keeper_watches(stdout: &[u8], token: &Token) -> bool {
    let line = format!("\x1efleet {} watches", token.as_str()).into_bytes();
    stdout.windows(line.len()).any(|window| window == line)
}

fn beside(process: &RemoteProcess, token: &Token, grace: Duration, work: &[&str]) -> Program {
    let keeper = process.keeper().map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let mut program = format!("{}pid={} keeper={keeper} start=", settings(token, grace), process.pid()).into_bytes();
    push_all(&mut program, &[&sh_quote(process.birth().as_bytes()), b"\n", IDENTITY.as_bytes(), STOP.as_bytes()]);
    program.extend(work.iter().flat_map(|part| part.bytes()));
    Program(program)
}

/// The command as no shell takes it for one of its own options: not every shell knows `--` behind `-c`.
fn no_option(command: &[u8]) -> Cow<'_, [u8]> {
    if command.starts_with(b"-") || command.starts_with(b"+") {
        return [b" ", command].concat().into();
    }
    command.into()
}

/// A program for the host's POSIX shell.
pub(super) struct Program(Vec<u8>);

impl Program {
    /// A command line, for any login shell, that runs it.
    ///
    /// The program travels in the environment, not as an argument: the keeper is a copy of that shell, and with the
    /// user's command among its arguments it would be found by the user's own `pgrep -f`.
    pub(super) fn command_line(&self) -> Vec<u8> {
        let mut line = b"exec env 'FLEET_PROGRAM=".to_vec();
        line.extend(self.encoded());
        line.extend_from_slice(br#"' /bin/sh -c 'eval "$(printf %b "$FLEET_PROGRAM")"'"#);
        line
    }

    /// A line of input that makes what [`sudo_command`] has started run it.
    pub(super) fn input_line(&self) -> Vec<u8> {
        [self.encoded().as_slice(), b"\n"].concat()
    }

    fn encoded(&self) -> Vec<u8> {
        login_shell_text(&[b"unset FLEET_PROGRAM\n", self.0.as_slice()].concat())
    }
}

fn settings(token: &Token, grace: Duration) -> String {
    format!("token={} grace={}\n", token.as_str(), grace.as_millis().div_ceil(100))
}

fn exports(env: &[(String, Vec<u8>)], token: &Token) -> Result<Vec<u8>, WrapError> {
    let mut exports = b"export".to_vec();
    for (name, value) in env {
        if !is_variable_name(name) {
            return Err(WrapError::EnvName { name: name.clone() });
        }
        refuse_nul(value, || format!("the variable {name}"))?;
        push_all(&mut exports, &[b" ", name.as_bytes(), b"=", &sh_quote(value)]);
    }
    // In quotes, so that the mark, FLEET_JOB=TOKEN, is not found in the keeper's environment, which has this text.
    push_all(&mut exports, &[b" FLEET_JOB='", token.as_str().as_bytes(), b"'\n"]);
    Ok(exports)
}

/// Whether every shell takes this for the name of a variable: letters, digits and `_`, and no digit first (POSIX.1-2017,
/// Base Definitions 3.235).
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn refuse_nul(bytes: &[u8], place: impl FnOnce() -> String) -> Result<(), WrapError> {
    if bytes.contains(&0) { Err(WrapError::Nul { place: place() }) } else { Ok(()) }
}

fn push_all(text: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        text.extend_from_slice(part);
    }
}

/// The script without what only its readers need: every byte of it is sent to every host.
fn without_comments(script: &str) -> String {
    let lines = script.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const GRACE: Duration = Duration::from_millis(2550);

    fn remote(command: &[u8]) -> RemoteCommand {
        RemoteCommand { command: command.to_vec(), env: Vec::new(), stdin: StdinMode::Passed, grace: GRACE }
    }

    fn env(name: &str, value: &[u8]) -> RemoteCommand {
        RemoteCommand { env: vec![(name.to_owned(), value.to_vec())], ..remote(b"true") }
    }

    #[test]
    fn refuses_what_no_shell_can_be_given() {
        let token = Token::new(1);
        for (command, part) in [
            (remote(b"a\0b"), "the command holds a NUL"),
            (env("NAME", b"\0"), "the variable NAME holds a NUL"),
            (env("", b""), "\"\" is not the name"),
            (env("1A", b""), "\"1A\" is not the name"),
            (env("A-B", b""), "\"A-B\" is not the name"),
            (env("A=B", b""), "\"A=B\" is not the name"),
            (env("\u{c4}", b""), "is not the name"),
            (remote(&vec![b'x'; MAX_COMMAND_LINE_LEN]), "at most 131071 can be sent"),
        ] {
            let error = wrap(&command, &token).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_longest_command_that_fits_is_sent() {
        let token = Token::new(1);
        let room = MAX_COMMAND_LINE_LEN - wrap(&remote(b"x"), &token).unwrap().len() + 1;
        assert_eq!(wrap(&remote(&vec![b'x'; room]), &token).unwrap().len(), MAX_COMMAND_LINE_LEN);
        assert!(matches!(wrap(&remote(&vec![b'x'; room + 1]), &token), Err(WrapError::TooLong { .. })));
    }

    #[test]
    fn a_command_that_looks_like_an_option_is_still_a_command() {
        for command in [&b"-s"[..], b"-c", b"+x"] {
            let line = wrap(&remote(command), &Token::new(1)).unwrap();
            let output = Command::new("/bin/sh")
                .arg("-c")
                .arg(std::str::from_utf8(&line).unwrap())
                .env("SHELL", "/bin/sh")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(127), "{}", command.escape_ascii());
        }
    }

    /// Dropbear takes 9,000 bytes; the rest is for the user's command.
    #[test]
    fn our_part_of_the_command_line_is_small() {
        let token = Token::new(u64::MAX);
        let process = RemoteProcess::parse("4194304 18446744073709551615 4194304").unwrap();
        for line in [
            wrap(&RemoteCommand { stdin: StdinMode::Closed, ..remote(b"") }, &token).unwrap(),
            stop_command(&process, &token, GRACE),
            keeper_command(&process, &token, GRACE),
        ] {
            assert!(line.len() < 4500, "{}", line.len());
        }
    }

    #[test]
    fn every_line_is_plain_text_in_every_shell() {
        let line = wrap(&env("A", b"it's\n100% \\ `!` $x \xff"), &Token::new(1)).unwrap();
        assert!(line.iter().all(|&b| (b' '..=b'~').contains(&b) && b != b'!'), "{}", line.escape_ascii());
        assert_eq!(line.iter().filter(|&&b| b == b'\'').count(), 4, "{}", line.escape_ascii());
    }

    #[test]
    fn the_command_gets_every_byte_and_every_variable() {
        let bytes: Vec<u8> = (1..=255).chain(*b"'\\\n\n").collect();
        let script = [b"printf %s ", sh_quote(&bytes).as_slice(), b"\"$A$B\"; exit 7"].concat();
        let mut command = remote(&script);
        command.env = vec![("A".into(), bytes.clone()), ("B".into(), b"old".into()), ("B".into(), b"new".into())];
        let line = wrap(&command, &Token::new(0xfee1)).unwrap();

        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&line))
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            output.stdout.escape_ascii().to_string(),
            [&bytes, &bytes, &b"new"[..]].concat().escape_ascii().to_string()
        );
        assert_eq!(output.status.code(), Some(7));

        let mut announcement = Announcement::new(&Token::new(0xfee1));
        let (rest, process) = announcement.feed(output.stderr.into());
        assert_eq!(process.and_then(|process| process.keeper()), None);
        assert_eq!(rest, "");
    }
}
