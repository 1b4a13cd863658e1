//! What a person wants of a run while it goes on.
//!
//! Must not know which keys are pressed, nor decide what follows.

use std::io;

use tokio::sync::mpsc;

use super::signal::SignalKindStream;

/// A wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be told which hosts are slow.
    Slowest,
    /// More hosts at once.
    More,
    /// Fewer hosts at once.
    Fewer,
}

/// The wishes that have come and not yet been looked at.
#[derive(Debug)]
pub struct Requests {
    receiver: mpsc::Receiver<Request>,
    /// Keeps [`Self::next`] pending for ever where nothing else sends.
    _sender: mpsc::Sender<Request>,
}

impl Requests {
    /// Requests that the caller sends.
    #[must_use]
    pub fn new() -> (mpsc::Sender<Request>, Self) {
        let (sender, receiver) = mpsc::channel(8);
        (sender.clone(), Self { receiver, _sender: sender })
    }

    /// As [`Self::new`], and those of other processes: SIGUSR1 asks for the slow hosts.
    ///
    /// # Errors
    /// When the operating system lets us install no handler.
    pub fn of_process() -> io::Result<(mpsc::Sender<Request>, Self)> {
        let (sender, requests) = Self::new();
        let mut asked = SignalKindStream::of(rustix::process::Signal::USR1.as_raw())?;
        let asking = sender.clone();
        tokio::spawn(async move {
            loop {
                asked.next().await;
                if asking.send(Request::Slowest).await.is_err() {
                    break;
                }
            }
        });
        Ok((sender, requests))
    }

    /// The next one. Safe to cancel.
    pub(super) async fn next(&mut self) -> Request {
        match self.receiver.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}
