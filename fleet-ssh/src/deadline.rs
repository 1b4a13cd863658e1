//! Deadlines that name the stage they end.
//!
//! Must not know what is waited for.

use std::future::Future;
use std::time::Duration;

use fleet_core::outcome::{HostError, Stage};

/// Does `work`, or gives up on `stage` after `limit`.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    stage: Stage,
    work: impl Future<Output = Result<T, HostError>>,
) -> Result<T, HostError> {
    tokio::select! {
        done = work => done,
        limit = expired(limit) => Err(HostError::timeout(stage, limit)),
    }
}

/// Returns `limit` when it is over; never without one.
pub(super) async fn expired(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}
