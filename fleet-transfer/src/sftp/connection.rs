//! The subsystem on a session: opened, watched, and stopped as commands are.
//!
//! Must not know what is copied.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::outcome::{FailureClass, HostError, LastOutput, Outcome, Stage, Stop, StopCause};
use fleet_ssh::{CommandLimits, Exec, ExecEvent, ExecStdin, OutputSink, Session};
use tokio_util::sync::CancellationToken;

use super::client::{Client, Downlink, Driver, SftpError, Uplink, connect};

/// What cleaning up may take beyond the grace period: a question for each file that was copied.
const CLEANING_MARGIN: Duration = Duration::from_secs(15);
/// What is kept of a server's words on standard error.
const LONGEST_WORDS: usize = 200;

/// An SFTP server on a session, greeted.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    driver: Driver<ToHost, FromHost>,
}

/// What ends the work on a host.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// The session of the connection.
    pub session: &'a Session,
    /// When the work is to be stopped. The stall is the longest time in which the server owes an answer and says nothing.
    pub limits: &'a CommandLimits,
    /// Cancelled when the run is to end.
    pub cancel: &'a CancellationToken,
    /// Cancelled by us when the work is to stop and clean up.
    pub stop: &'a CancellationToken,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Opens SFTP to a host on which a command inside the shell wrapper has come to `outcome` without having announced itself
/// ([`OutputSink::announced`]): so it has not run, also when the exit status is 0. `ForceCommand internal-sftp` answers
/// every command with its server; that ends at the first bytes of ours, or with our input.
///
/// `None` when that is not why, or the host has no SFTP either: then the command's outcome is what there is to tell, and a
/// status of 0 is no success. That SFTP is used is told to `sink`.
pub async fn instead_of_command(
    session: &Session,
    outcome: &Outcome,
    limit: Option<Duration>,
    sink: &impl OutputSink,
) -> Option<Connection> {
    let is_no_command = match outcome {
        Outcome::Exited(_) | Outcome::Signalled(_) => true,
        Outcome::Failed(error) => {
            matches!(error.class, FailureClass::Channel | FailureClass::Lost | FailureClass::Copy)
                && !session.is_closed()
        }
        _ => false,
    };
    if !is_no_command {
        return None;
    }
    match Connection::open(session, limit).await {
        Ok(connection) => {
            sink.note("this host runs no commands: files are copied by SFTP".to_owned()).await;
            Some(connection)
        }
        Err(error) => {
            tracing::info!("neither commands nor SFTP: {error}");
            None
        }
    }
}

impl Connection {
    /// Opens it, within `limit` or the session's own for a stage.
    ///
    /// # Errors
    /// When the server opens no channel, has no such subsystem, or greets as no SFTP server does.
    pub async fn open(session: &Session, limit: Option<Duration>) -> Result<Self, HostError> {
        let opening = async {
            let exec = session.subsystem("sftp").await?;
            let uplink = ToHost(exec.stdin());
            let (client, mut driver) = connect(uplink, FromHost { exec, words: Vec::new() });
            let greeted = tokio::select! {
                greeted = client.greet() => greeted,
                error = driver.drive() => return Err(HostError { stage: Stage::Channel, ..error }),
            };
            match greeted {
                Ok(()) => Ok(Self { client, driver }),
                Err(SftpError::Gone) => Err(session.lost(Stage::Channel)),
                Err(error) => Err(HostError::new(Stage::Channel, FailureClass::Channel, error.to_string())),
            }
        };
        match limit.or(session.stage_limit()) {
            None => opening.await,
            Some(limit) => match tokio::time::timeout(limit, opening).await {
                Ok(opened) => opened,
                Err(_) => Err(HostError::timeout(Stage::Channel, limit)),
            },
        }
    }

    /// What asks the server.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Does `work`, which uses the client, and ends it when it is time: it is told so by `watch.stop`, and returns `None`
    /// when nothing of it is left on the host.
    ///
    /// # Errors
    /// How it ended in place of its end.
    pub async fn work<T>(mut self, watch: &Watch<'_>, work: impl Future<Output = Option<T>>) -> Result<T, Outcome> {
        let client = self.client.clone();
        let mut work = pin!(work);
        let broken = async {
            tokio::select! {
                error = self.driver.drive() => Outcome::Failed(error),
                error = watch.session.until_silent() => Outcome::Failed(error),
            }
        };
        let mut broken = pin!(broken);
        let cause = tokio::select! {
            biased;
            done = &mut work => return done.ok_or_else(|| stopped(StopCause::Cancelled, Stop::Confirmed)),
            outcome = &mut broken => return Err(outcome),
            cause = stop_cause(watch, &client) => cause,
        };
        watch.stop.cancel();
        let limit = watch.limits.grace + CLEANING_MARGIN;
        tokio::select! {
            biased;
            done = &mut work => done.ok_or_else(|| stopped(cause, Stop::Confirmed)),
            outcome = &mut broken => Err(outcome),
            () = tokio::time::sleep(limit) => {
                let text = "the server does not answer, and what was copied so far may be left there";
                Err(stopped(cause, Stop::Unconfirmed(text.to_owned())))
            }
        }
    }
}

fn stopped(cause: StopCause, stop: Stop) -> Outcome {
    Outcome::Stopped { cause, stop, output: LastOutput::Complete }
}

async fn stop_cause(watch: &Watch<'_>, client: &Client) -> StopCause {
    let timeout = async {
        match watch.limits.timeout {
            Some(limit) => {
                tokio::time::sleep(limit).await;
                StopCause::Timeout(limit)
            }
            None => std::future::pending().await,
        }
    };
    let stall = async {
        match watch.limits.stall {
            Some(limit) => {
                client.until_stalled(limit).await;
                StopCause::Stall(limit)
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = watch.cancel.cancelled() => StopCause::Cancelled,
        cause = timeout => cause,
        cause = stall => cause,
    }
}

struct ToHost(ExecStdin);

impl Uplink for ToHost {
    async fn send(&self, bytes: Bytes) -> bool {
        self.0.send(bytes).await
    }
}

struct FromHost {
    exec: Exec,
    words: Vec<u8>,
}

impl Downlink for FromHost {
    async fn receive(&mut self) -> Result<Option<Bytes>, HostError> {
        loop {
            match self.exec.next().await? {
                ExecEvent::Output(Stream::Stdout, bytes) => return Ok(Some(bytes)),
                ExecEvent::Output(Stream::Stderr, bytes) => {
                    let room = LONGEST_WORDS.saturating_sub(self.words.len());
                    self.words.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                ExecEvent::Ended(end) if end.refused => {
                    let text = "the server has no subsystem sftp";
                    return Err(HostError::new(Stage::Channel, FailureClass::Channel, text));
                }
                ExecEvent::Ended(_) if self.words.trim_ascii().is_empty() => return Ok(None),
                ExecEvent::Ended(_) => {
                    let words = String::from_utf8_lossy(self.words.trim_ascii());
                    let text = format!("the sftp server ended: {}", words.lines().last().unwrap_or_default());
                    return Err(HostError::new(Stage::Command, FailureClass::Lost, text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pull::{PullSink, Wanted, fetch, list, tail_offset};
    use super::super::push::{LeftOut, Push, Unwatched, push};
    use super::*;
    use fleet_ssh::remote::CopyRefusal;

    fn may_move<T>(future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
        future
    }

    /// Never run: tasks move between threads, and so must all that they do. What is wrong with that is found only here, or
    /// by whoever uses it.
    #[expect(dead_code, reason = "that it compiles is the test")]
    fn all_work_may_move_between_threads<'a, S: PullSink<Error = HostError>>(
        connection: Connection,
        watch: &'a Watch<'a>,
        wanted: &'a Push<'a>,
        sink: &'a mut S,
        files: Vec<Wanted>,
    ) -> impl Future<Output = Result<Result<LeftOut, CopyRefusal>, Outcome>> + Send {
        let client = connection.client().clone();
        let work = async move {
            list(&client, &[], 0).await.ok()?;
            tail_offset(&client, b"", 0, 0).await.ok()?;
            fetch(&client, files, sink).await.ok()?;
            push(&client, wanted, &Unwatched, watch.stop).await
        };
        may_move(async move { connection.work(watch, work).await })
    }
}
