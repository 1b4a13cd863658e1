//! A `ProxyCommand`: a process whose input and output are the connection to a server.
//!
//! Must not know SSH.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use super::dial::with_descriptors;
use super::error;
use super::pacing::Try;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// What is kept of the end of its stderr, in bytes.
const STDERR_LIMIT: usize = 400;
/// How many of its last lines are shown: ssh(1) gives the reason in the last but one.
const SHOWN_LINES: usize = 2;
/// How long a process that has closed its output may take to end, and its stderr to be read.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The two pipes of a running `ProxyCommand`.
pub(super) struct ProxyStream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _process: Arc<ProxyProcess>,
}

/// The process; its whole group is ended with the last who holds it.
pub(super) struct ProxyProcess {
    child: Mutex<Child>,
    /// The end of its stderr; closed when nobody can write there any more.
    stderr: watch::Receiver<Vec<u8>>,
}

/// How a `ProxyCommand` ended, and its last words.
pub(super) struct ProxyEnd {
    /// `None` while it runs.
    pub(super) status: Option<ExitStatus>,
    words: String,
}

/// Starts `command` (tokens expanded) by the user's `shell`, as ssh_config(5) says. In a process group of its own, so
/// that a Ctrl-C at the terminal reaches us and not the connections.
pub(super) async fn proxy_command(
    command: &str,
    shell: &str,
    paced: &Try,
) -> Result<(ProxyStream, Arc<ProxyProcess>), HostError> {
    let failed = |error: io::Error| {
        let message = format!("cannot start the ProxyCommand: {}", error::describe_io(&error));
        HostError::new(Stage::Connect, FailureClass::Local, message)
    };
    let mut shell_command = Command::new(shell);
    shell_command
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = with_descriptors(paced, || std::future::ready(shell_command.spawn())).await.map_err(failed)?;
    let stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let stderr = child.stderr.take().expect("stderr was asked to be a pipe");
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(keep_the_end(stderr, sender));
    let process = Arc::new(ProxyProcess { child: Mutex::new(child), stderr: receiver });
    Ok((ProxyStream { stdin, stdout, _process: Arc::clone(&process) }, process))
}

async fn keep_the_end(mut stderr: ChildStderr, end: watch::Sender<Vec<u8>>) {
    let mut buffer = [0; 256];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        end.send_modify(|end| {
            end.extend_from_slice(&buffer[..count]);
            let surplus = end.len().saturating_sub(STDERR_LIMIT);
            end.drain(..surplus);
        });
    }
}

impl ProxyProcess {
    /// Its end; where it runs on although its output is closed, what is known after a while.
    pub(super) async fn end(&self) -> ProxyEnd {
        let ended = async {
            let status = poll_fn(|cx| pin!(self.child().wait()).poll(cx)).await.ok();
            (status, self.read_to_end().await)
        };
        match tokio::time::timeout(END_LIMIT, ended).await {
            Ok((status, ())) => ProxyEnd { status, words: self.words() },
            Err(_) => self.so_far(),
        }
    }

    /// What is known of it now.
    pub(super) fn so_far(&self) -> ProxyEnd {
        ProxyEnd { status: self.child().try_wait().ok().flatten(), words: self.words() }
    }

    async fn read_to_end(&self) {
        let mut stderr = self.stderr.clone();
        while stderr.changed().await.is_ok() {}
    }

    fn words(&self) -> String {
        let stderr = self.stderr.borrow();
        let lines = stderr.split(|&byte| byte == b'\n').map(error::printable).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("; ")
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        let group = self.child().id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

impl ProxyEnd {
    /// Whether there is nothing to say about it: it runs, and is silent.
    pub(super) fn is_quiet(&self) -> bool {
        self.status.is_none() && self.words.is_empty()
    }
}

impl fmt::Display for ProxyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCommand")?;
        if let Some(status) = self.status {
            match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, " exited with status {code}")?,
                (None, Some(signal)) => write!(f, " was ended by signal {signal}")?,
                (None, None) => f.write_str(" ended")?,
            }
        }
        if self.words.is_empty() { Ok(()) } else { write!(f, ": {}", self.words) }
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_proxy_command_runs_in_the_given_shell() {
        let error = proxy_command("true", "/none/shell", &Try::default()).await.err().unwrap();
        assert_eq!(error.to_string(), "connect: cannot start the ProxyCommand: no such file or directory");
        let (mut proxy, _process) = proxy_command("never run", "/bin/echo", &Try::default()).await.unwrap();
        let mut said = String::new();
        proxy.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "-c exec never run\n");
    }

    #[tokio::test]
    async fn a_proxy_command_is_a_stream_and_ends_with_it() {
        let (mut proxy, process) =
            proxy_command("sh -c 'echo oops >&2; cat'", "/bin/sh", &Try::default()).await.unwrap();
        proxy.write_all(b"through\n").await.unwrap();
        let mut back = [0; 8];
        proxy.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"through\n");
        process.stderr.clone().wait_for(|stderr| !stderr.is_empty()).await.unwrap();
        assert_eq!(process.so_far().to_string(), "ProxyCommand: oops");
        drop(proxy);
        assert_eq!(process.end().await.to_string(), "ProxyCommand exited with status 0: oops");
    }

    #[tokio::test]
    async fn the_end_of_a_proxy_command_is_its_status_and_its_last_words() {
        for (script, words) in [
            ("exit 0", "ProxyCommand exited with status 0"),
            (
                "echo one >&2; echo >&2; echo two >&2; printf three >&2; exit 3",
                "ProxyCommand exited with status 3: two; three",
            ),
            ("exec 2>&-; exec >&-; exit 4", "ProxyCommand exited with status 4"),
            ("kill -KILL $$", "ProxyCommand was ended by signal 9"),
            ("printf '\\033[31m\\007\\n' >&2; exit 1", "ProxyCommand exited with status 1: ?[31m"),
            (
                "i=0; while [ $i -lt 999 ]; do i=$((i+1)); echo $i >&2; done; exit 1",
                "ProxyCommand exited with status 1: 998; 999",
            ),
        ] {
            let command = format!("sh -c '{}'", script.replace('\'', "'\\''"));
            let (_stream, process) = proxy_command(&command, "/bin/sh", &Try::default()).await.unwrap();
            assert_eq!(process.end().await.to_string(), words, "{script}");
        }
    }
}
