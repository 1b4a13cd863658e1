//! When a host last sent something, and when that makes us stop what runs there.
//!
//! Must not know what runs, nor how it is stopped.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::CommandLimits;
use fleet_core::outcome::StopCause;

/// When the host last sent something, for `--stall`. Time that we spend on writing its output does not count.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Option<Instant>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    pub(super) fn begin_output(&self) {
        *self.lock() = None;
    }

    pub(super) fn end_output(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Whether some output is not taken yet. What waits behind it is not either.
    pub(super) fn is_in_sink(&self) -> bool {
        self.lock().is_none()
    }

    /// Waits until the command is to be stopped and says why.
    pub(super) async fn stop_cause(&self, limits: &CommandLimits, cancel: &CancellationToken) -> StopCause {
        let timeout = async {
            match limits.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancel.cancelled() => StopCause::Cancelled,
            () = timeout => StopCause::Timeout(limits.timeout.unwrap_or_default()),
            limit = self.stalled(limits.stall) => StopCause::Stall(limit),
        }
    }

    async fn stalled(&self, limit: Option<Duration>) -> Duration {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let silent = self.lock().map_or(Duration::ZERO, |last| last.elapsed());
            if silent >= limit {
                return limit;
            }
            tokio::time::sleep(limit - silent).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
