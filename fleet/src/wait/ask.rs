//! Asks a host whether a check holds there.
//!
//! Must not know what is asked next, nor for how long.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage, StopCause};
use fleet_core::render::sanitized_line;
use fleet_ssh::remote::{RemoteCommand, StdinMode, sh_quote};
use fleet_ssh::{CommandLimits, CommandRun, ForwardError, NoStdin, OutputSink, Session, Wrapping, run_command};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::check::Question;

/// How long an answer from the network may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is missing where nothing has been heard.
pub(super) const NO_ANSWER: &str = "no answer yet";
/// How long a command may take.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// The most that is read of an answer, of which the first line matters.
const HEAD_BYTES: usize = 64 << 10;
/// What is kept of what a command says.
const SAID_BYTES: usize = 4 << 10;

/// A host that is asked.
pub(super) struct Asked<'a> {
    pub(super) session: &'a Session,
    /// What commands are told.
    pub(super) variables: &'a [(String, Vec<u8>)],
    pub(super) limits: CommandLimits,
    /// Ends a command that is asked.
    pub(super) cancel: &'a CancellationToken,
}

/// What a host says to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    /// Why not.
    NotYet(String),
    /// It cannot connect.
    NotConnected {
        to: String,
        why: String,
    },
}

impl Asked<'_> {
    /// The answer; `Err` when the host cannot be asked.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Outcome> {
        match question {
            Question::Tcp { name, port } => self.connection(name, *port, None).await,
            Question::Http { name, port, path } => self.connection(name, *port, Some(path)).await,
            Question::File(path) => self.command(&file_test(path), "it is not there").await,
            Question::Command(command) => self.command(command.as_bytes(), "").await,
        }
    }

    /// Whether there is a connection, and with the `path` of a page, what is answered on it.
    async fn connection(&self, name: &str, port: u16, path: Option<&str>) -> Result<Answer, Outcome> {
        let work = async {
            let stream = self.session.forward(name, port).await?;
            let Some(path) = path else { return Ok(Answer::Yes) };
            let host = if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") };
            let status = status(stream, &host, path).await;
            Ok(status.map_or_else(|error| Answer::NotYet(error.to_string()), judged))
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Err(_) => Ok(Answer::NotYet(format!("no answer in {}", humantime::format_duration(PATIENCE)))),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ForwardError::NotConnected(why))) => Ok(Answer::NotConnected { to: format!("{name}:{port}"), why }),
            Ok(Err(ForwardError::Lost(error))) => Err(Outcome::Failed(error)),
            Ok(Err(error @ (ForwardError::Prohibited | ForwardError::Refused(_)))) => {
                let error = HostError::new(Stage::Channel, FailureClass::Channel, error.to_string());
                Err(Outcome::Failed(error.with_hint(
                    "AllowTcpForwarding and PermitOpen of its sshd_config say what is allowed; \
                     --for cmd:COMMAND asks a program on the host instead",
                )))
            }
        }
    }

    /// `no` is why not, where the command does not say it.
    async fn command(&self, command: &[u8], no: &str) -> Result<Answer, Outcome> {
        let (command, grace) = (command.to_vec(), self.limits.grace);
        let command = RemoteCommand { command, env: self.variables.to_vec(), stdin: StdinMode::Closed, grace };
        let run = CommandRun {
            command: &command,
            wrapping: Wrapping::Shell,
            limits: &self.limits,
            cancel: self.cancel,
            stdin: None::<NoStdin>,
            sudo: None,
            terminal: None,
        };
        let said = LastLine::default();
        match run_command(self.session, run, &said).await {
            Outcome::Exited(0) => Ok(Answer::Yes),
            Outcome::Exited(_) if !no.is_empty() => Ok(Answer::NotYet(no.to_owned())),
            Outcome::Stopped { cause: StopCause::Timeout(limit), .. } if limit < COMMAND_LIMIT => {
                Ok(Answer::NotYet(NO_ANSWER.to_owned()))
            }
            outcome @ (Outcome::Exited(_)
            | Outcome::Signalled(_)
            | Outcome::Stopped { cause: StopCause::Timeout(_), .. }) => {
                let reason = outcome.reason().unwrap_or_default();
                let said = said.text();
                Ok(Answer::NotYet(if said.is_empty() { reason } else { format!("{reason}: {said}") }))
            }
            outcome => Err(outcome),
        }
    }
}

/// A command that ends well if there is such a file, for any shell.
fn file_test(path: &str) -> Vec<u8> {
    // The commands of the login shell start in the home folder.
    let path = path.strip_prefix("~/").unwrap_or(path);
    [b"test -e ", &*sh_quote(path.as_bytes())].concat()
}

/// The status of the answer to a GET.
async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fleet-wait\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::other("the connection was closed before an answer"));
        }
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut fields);
        // What is wrong behind the status line does not matter.
        match (response.parse(&head), response.code) {
            (_, Some(code)) => return Ok(code),
            (Ok(_), None) => {}
            (Err(_), None) => return Err(io::Error::other("the answer is not HTTP/1")),
        }
    }
    Err(io::Error::other("the answer has no status line"))
}

fn judged(status: u16) -> Answer {
    match status {
        200..=399 => Answer::Yes,
        _ => Answer::NotYet(format!("status {status}")),
    }
}

/// The last line that a command has said.
#[derive(Debug, Default)]
struct LastLine(Mutex<Vec<u8>>);

impl LastLine {
    fn text(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        sanitized_line(text.trim_end().lines().last().unwrap_or_default().trim())
    }
}

impl OutputSink for LastLine {
    async fn output(&self, _: Stream, bytes: Bytes) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&bytes);
        let excess = said.len().saturating_sub(SAID_BYTES);
        said.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> Result<u16, String> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(answer).await.unwrap();
        let server = async move {
            let mut request = vec![0; 1024];
            let len = theirs.read(&mut request).await.unwrap();
            request.truncate(len);
            String::from_utf8(request).unwrap()
        };
        let (status, request) = tokio::join!(status(ours, "web:81", "/x?y"), server);
        assert!(request.starts_with("GET /x?y HTTP/1.1\r\nHost: web:81\r\n"), "{request}");
        assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
        status.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_status_line_is_all_that_matters_of_an_answer() {
        let many = [&b"HTTP/1.1 503 Busy\r\n"[..], &b"a: b\r\n".repeat(500)].concat();
        for (answer, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], Ok(204)),
            (b"HTTP/1.0 301\r\nLocation: /\r\n\r\n", Ok(301)),
            (&many, Ok(503)),
            (b"HTTP/1.1 200 OK\r\nhalf a fie", Ok(200)),
            (b"HTTP/1.1 20", Err("the connection was closed before an answer")),
            (b"", Err("the connection was closed before an answer")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Err("the answer is not HTTP/1")),
        ] {
            assert_eq!(
                answered(answer).await,
                expected.map_err(str::to_owned),
                "{:?}",
                String::from_utf8_lossy(answer)
            );
        }
        assert_eq!((judged(204), judged(302)), (Answer::Yes, Answer::Yes));
        assert_eq!(
            (judged(199), judged(404)),
            (Answer::NotYet("status 199".into()), Answer::NotYet("status 404".into()))
        );
    }

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(file_test("~/it's"), [b"test -e ", &*sh_quote(b"it's")].concat());
    }
}
