//! Signals that are to wait until something is done.
//!
//! Must not know what that is.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a signal that has come may take to be seen.
const MOMENT: Duration = Duration::from_millis(20);

/// The signals that would end this process: from [`Interruption::watch`] on they do not.
pub(super) struct Interruption {
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Interruption {
    pub(super) fn watch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let watched = async {
            let [hangup, interrupt, terminate] =
                [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal);
            Ok::<_, io::Error>([hangup?, interrupt?, terminate?])
        };
        let signals = runtime.block_on(watched)?;
        Ok(Self { runtime, signals })
    }

    /// Whether one of them has come.
    pub(super) fn has_come(&mut self) -> bool {
        let [hangup, interrupt, terminate] = &mut self.signals;
        let any = async {
            tokio::select! { _ = hangup.recv() => {}, _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        self.runtime.block_on(async { tokio::time::timeout(MOMENT, any).await.is_ok() })
    }
}
