//! The one source of signals for a run.
//!
//! Must not decide what a signal means (that is `state`).

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A request to stop, from the terminal or from another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Terminate,
}

/// The signals that have come and not yet been looked at.
#[derive(Debug)]
pub struct Signals {
    receiver: mpsc::Receiver<Signal>,
    /// Keeps [`Self::next`] pending for ever where nothing else sends.
    _sender: mpsc::Sender<Signal>,
}

impl Signals {
    /// The process's own signals. From now on they no longer end the process by themselves. One that the process was
    /// started to ignore, as nohup(1) does with SIGHUP, stays ignored.
    ///
    /// # Errors
    /// When the operating system lets us install no handler.
    pub fn of_process() -> io::Result<Self> {
        let (sender, signals) = Self::scripted();
        for (kind, meaning) in [
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::Terminate),
        ] {
            if is_ignored(kind.as_raw_value()) {
                continue;
            }
            let mut incoming = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while incoming.recv().await.is_some() {
                    if sender.send(meaning).await.is_err() {
                        break;
                    }
                }
            });
        }
        Ok(signals)
    }

    /// Signals that the caller sends.
    #[must_use]
    pub fn scripted() -> (mpsc::Sender<Signal>, Self) {
        let (sender, receiver) = mpsc::channel(8);
        (sender.clone(), Self { receiver, _sender: sender })
    }

    /// The next signal. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        match self.receiver.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// The signals of one kind, which no longer do what they would by themselves; for kinds that do not end a run.
#[derive(Debug)]
pub(super) struct SignalKindStream(Option<tokio::signal::unix::Signal>);

impl SignalKindStream {
    /// Those of this number; none where the process was started to ignore them.
    ///
    /// # Errors
    /// When the operating system lets us install no handler.
    pub(super) fn of(number: i32) -> io::Result<Self> {
        if is_ignored(number) {
            return Ok(Self(None));
        }
        signal(SignalKind::from_raw(number)).map(|signals| Self(Some(signals)))
    }

    /// Waits for the next one. Safe to cancel.
    pub(super) async fn next(&mut self) {
        if let Some(signals) = &mut self.0
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Whether the process was started to ignore the signal of this number.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    ignored_signals() & (1 << (signal - 1)) != 0
}

/// The mask of ignored signals, signal 1 in the lowest bit; on systems that do not show it, none.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
