//! The work on one host, and what it is given.
//!
//! Must not know what the work is, nor the other hosts.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::witness::Witness;
use crate::event::{Event, HostIndex};
use crate::outcome::Outcome;

/// The work on one host.
pub trait Task: Send + Sync + 'static {
    /// Does it, once for each attempt. Whatever happens on the host is an outcome; the future is dropped when the run is
    /// aborted.
    fn run(&self, host: HostContext) -> impl Future<Output = Outcome> + Send;
}

/// What comes from a task, in order.
#[derive(Debug)]
pub(super) enum Message {
    Event(Event),
    Ended(Outcome),
}

/// What a task is given: which host it is, where to report, and when to stop.
#[derive(Clone, Debug)]
pub struct HostContext {
    pub(super) index: HostIndex,
    pub(super) attempt: u32,
    pub(super) messages: mpsc::Sender<(HostIndex, Message)>,
    pub(super) witness: Arc<dyn Witness>,
    pub(super) cancel: CancellationToken,
}

impl HostContext {
    /// The host's place in the run.
    #[must_use]
    pub fn index(&self) -> HostIndex {
        self.index
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Reports an event; waits while the renderer is behind.
    pub async fn emit(&self, event: Event) {
        self.witness.saw(self.index, &event);
        let _ = self.messages.send((self.index, Message::Event(event))).await;
    }

    /// Cancelled when the run is to end, or the work on this host alone: stop the remote work, then return.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }
}

/// A task made of a function, for tests.
#[cfg(test)]
pub(crate) struct Scripted<F>(pub(crate) F);

#[cfg(test)]
impl<F, W> Task for Scripted<F>
where
    F: Fn(HostContext) -> W + Send + Sync + 'static,
    W: Future<Output = Outcome> + Send,
{
    fn run(&self, host: HostContext) -> impl Future<Output = Outcome> + Send {
        (self.0)(host)
    }
}
