//! The commands of a simulated host, each answered in the process of the sandbox.
//!
//! Must not know channels, wrappers or other processes: it writes to an [`Output`] and reads from a [`Spool`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::syntax::{Link, SyntaxError, Target, Variables, parse};
use crate::channel::{Output, Stream};
use crate::spool::Spool;

/// What can be run on a simulated host, in words.
pub const COMMANDS: &str = "echo [-n] WORDS, true, :, false, sleep SECONDS, exit [N], cat (of standard input), pwd, seq [FIRST] LAST, \
     head -c BYTES /dev/zero; joined by ; && || and line ends, with quotes, $VARIABLES and >&2";

/// As shells have them.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 127;

static ZEROS: [u8; 32 << 10] = [0; 32 << 10];

/// A command's standard input.
pub(super) enum Input {
    Nothing,
    Channel(Arc<Spool>),
}

/// A shell that runs one command line.
pub(super) struct Interpreter<'a> {
    pub(super) variables: Variables,
    pub(super) input: Input,
    pub(super) output: &'a Output,
    /// The end of the output, where a fault wants it sent last.
    pub(super) held: Bytes,
}

/// What follows a command.
enum Next {
    Status(u8),
    Exit(u8),
}

impl Interpreter<'_> {
    /// Runs `line` to its end, and returns the exit status.
    pub(super) async fn run(&mut self, line: &[u8]) -> u8 {
        let commands = match parse(line) {
            Ok(commands) => commands,
            Err(error) => {
                self.complain(&error).await;
                return USAGE;
            }
        };
        let mut status = 0;
        for command in commands {
            let is_run = match command.link {
                Link::Always => true,
                Link::IfSucceeded => status == 0,
                Link::IfFailed => status != 0,
            };
            if !is_run {
                continue;
            }
            self.variables.insert("?".to_owned(), status.to_string().into_bytes());
            let mut words = Vec::new();
            command.words.iter().for_each(|word| word.expand(&self.variables, &mut words));
            match self.command(&words, command.target, status).await {
                Next::Status(code) => status = code,
                Next::Exit(code) => return code,
            }
        }
        status
    }

    /// A syntax error as the shell of the real hosts begins it.
    async fn complain(&mut self, error: &SyntaxError) {
        self.say(Stream::Stderr, format!("sh: 1: Syntax error: {error}\n").into()).await;
    }

    async fn command(&mut self, words: &[Vec<u8>], target: Target, status: u8) -> Next {
        let Some((name, arguments)) = words.split_first() else { return Next::Status(0) };
        let stream = if target == Target::Stderr { Stream::Stderr } else { Stream::Stdout };
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let done = match (name.as_slice(), &arguments[..]) {
            (b"true" | b":", _) => Ok(()),
            (b"false", _) => return Next::Status(FAILED),
            (b"echo", _) => self.echo(&arguments, stream).await,
            (b"pwd", []) => {
                let home = self.variables.get("HOME").cloned().unwrap_or_default();
                self.say(stream, [&home[..], b"\n"].concat().into()).await;
                Ok(())
            }
            (b"exit", []) => return Next::Exit(status),
            (b"exit", [code]) => match number(code) {
                Some(code) => return Next::Exit((code % 256) as u8),
                None => return self.refuse("exit: expected a number", USAGE).await,
            },
            (b"sleep", [time]) => match seconds(time) {
                Some(time) => {
                    sleep(time).await;
                    Ok(())
                }
                None => Err("sleep: expected a number of seconds"),
            },
            (b"cat", []) => self.cat(stream).await,
            (b"head", [b"-c", bytes, b"/dev/zero"]) => match number(bytes) {
                Some(bytes) => self.zeros(bytes, stream).await,
                None => Err("head: expected a number of bytes"),
            },
            (b"seq", [last]) => self.numbers(Some(1), number(last), stream).await,
            (b"seq", [first, last]) => self.numbers(number(first), number(last), stream).await,
            (b"exit" | b"sleep" | b"cat" | b"head" | b"seq" | b"pwd", _) => {
                Err("a simulated host knows no such arguments")
            }
            _ => {
                let name = String::from_utf8_lossy(name);
                return self
                    .refuse(&format!("{name}: not found (a simulated host knows: {COMMANDS})"), NOT_FOUND)
                    .await;
            }
        };
        match done {
            Ok(()) => Next::Status(0),
            Err(problem) => self.refuse(problem, FAILED).await,
        }
    }

    async fn refuse(&mut self, problem: &str, code: u8) -> Next {
        self.say(Stream::Stderr, format!("sh: 1: {problem}\n").into()).await;
        Next::Status(code)
    }

    /// Shells differ in what they make of backslashes here.
    async fn echo(&mut self, arguments: &[&[u8]], stream: Stream) -> Result<(), &'static str> {
        let (words, end): (_, &[u8]) = match arguments {
            [b"-n", words @ ..] => (words, b""),
            words => (words, b"\n"),
        };
        let text = [&words.join(&b' ')[..], end].concat();
        if text.contains(&b'\\') {
            return Err("echo: a simulated host knows no backslashes");
        }
        self.say(stream, text.into()).await;
        Ok(())
    }

    async fn cat(&mut self, stream: Stream) -> Result<(), &'static str> {
        let Input::Channel(input) = &self.input else { return Ok(()) };
        let input = Arc::clone(input);
        while let Some(data) = input.pop().await.map_err(|_| "cat: the input cannot be read")? {
            self.say(stream, data).await;
        }
        Ok(())
    }

    async fn zeros(&mut self, mut bytes: u64, stream: Stream) -> Result<(), &'static str> {
        while bytes > 0 {
            let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(ZEROS.len());
            self.say(stream, Bytes::from_static(&ZEROS[..piece])).await;
            bytes -= piece as u64;
        }
        Ok(())
    }

    async fn numbers(&mut self, first: Option<u64>, last: Option<u64>, stream: Stream) -> Result<(), &'static str> {
        let (Some(first), Some(last)) = (first, last) else { return Err("seq: expected whole numbers") };
        let mut text = String::new();
        for number in first..=last {
            text.push_str(&number.to_string());
            text.push('\n');
            if text.len() >= ZEROS.len() || number == last {
                self.say(stream, std::mem::take(&mut text).into()).await;
            }
        }
        Ok(())
    }

    async fn say(&mut self, stream: Stream, text: Bytes) {
        self.output.say(stream, text, &mut self.held).await;
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn seconds(text: &[u8]) -> Option<Duration> {
    if !text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return None;
    }
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
