//! Jump hosts: connected to once, whatever the number of hosts behind them.
//!
//! Must not know how a session is opened (that is `connector`).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::drained::DrainedStream;
use super::pacing::THROUGH_A_JUMP_HOST;
use super::session::Session;
use fleet_core::outcome::HostError;
use fleet_core::pace::Gate;

/// How long a failure is told to those who ask later, at least: a jump host that refuses us must not be asked again
/// for every one of a thousand hosts, which may lock the account. A failure that took longer to find out is told for as
/// long as it took: then few of those hosts wait for a jump host that is dead.
const FAILURE_KEPT: Duration = Duration::from_secs(10);

/// An open session to a jump host, shared by all that go through it.
pub(super) type JumpRoute = Arc<Session>;

/// A TCP connection made by a jump host.
pub(super) type JumpStream = DrainedStream;

type Opening = Arc<OnceCell<Result<JumpRoute, Failure>>>;

/// Why a jump host cannot be used, and until when that is believed.
struct Failure {
    error: HostError,
    until: Instant,
}

/// The jump hosts of a run, by the chain that leads to them.
#[derive(Default)]
pub(super) struct JumpHosts {
    open: Mutex<HashMap<String, Opening>>,
    /// What bounds the connections on their way through each.
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

impl JumpHosts {
    /// The gate for connections through the end of `chain`.
    pub(super) fn gate(&self, chain: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(chain.to_owned()).or_insert_with(|| Arc::new(Gate::new(THROUGH_A_JUMP_HOST))))
    }

    /// The session at the end of `chain`, opened by the first who asks; all who ask meanwhile get the same session or
    /// the same failure. A session that has since been lost, or is silent for too long, is opened again; a failure is
    /// tried again after a while.
    pub(super) async fn route<F>(&self, chain: &str, open: impl FnOnce() -> F) -> Result<JumpRoute, HostError>
    where
        F: Future<Output = Result<Session, HostError>>,
    {
        let opening = {
            let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = all.entry(chain.to_owned()).or_default();
            if entry.get().is_some_and(is_outdated) {
                *entry = Opening::default();
            }
            Arc::clone(entry)
        };
        let opened = opening.get_or_init(|| async {
            let started = Instant::now();
            open().await.map(Arc::new).map_err(|error| {
                let kept = started.elapsed().max(FAILURE_KEPT);
                Failure { error, until: Instant::now() + kept }
            })
        });
        match opened.await {
            Ok(session) => Ok(Arc::clone(session)),
            Err(failure) => Err(failure.error.clone()),
        }
    }

    /// Says good-bye to all jump hosts, those behind others first. A session that somebody still uses is left alone.
    pub(super) async fn disconnect(&self) {
        let mut all: Vec<_> = self.open.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        all.sort_by_key(|(chain, _)| Reverse(hops(chain)));
        for same_depth in all.chunk_by_mut(|(one, _), (other, _)| hops(one) == hops(other)) {
            let sessions = same_depth.iter_mut().filter_map(|(_, opening)| unused(std::mem::take(opening)));
            join_all(sessions.map(Session::disconnect_after_those_behind)).await;
        }
    }
}

/// The number of jump hosts in a chain, which is written as `ProxyJump` is.
fn hops(chain: &str) -> usize {
    chain.split(',').count()
}

fn unused(opening: Opening) -> Option<Session> {
    let route = Arc::into_inner(opening)?.into_inner()?.ok()?;
    Arc::into_inner(route)
}

fn is_outdated(opened: &Result<JumpRoute, Failure>) -> bool {
    match opened {
        Ok(session) => session.is_closed() || session.is_silent(),
        Err(failure) => Instant::now() >= failure.until,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use fleet_sandbox::Sandbox;

    use super::*;
    use crate::drained::tests::session;
    use fleet_core::outcome::{FailureClass, Stage};

    async fn refused_after(took: Duration, asked: &AtomicUsize) -> Result<Session, HostError> {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(took).await;
        Err(HostError::new(Stage::Connect, FailureClass::Timeout, format!("attempt {number}")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_and_later_tried_again() {
        for (took, kept) in
            [(1, 10), (60, 60)].map(|(took, kept)| (Duration::from_secs(took), Duration::from_secs(kept)))
        {
            let (hosts, asked) = (JumpHosts::default(), AtomicUsize::new(0));
            let ask = || async {
                let failed = hosts.route("jump", || refused_after(took, &asked)).await;
                failed.err().map(|error| error.message).unwrap_or_default()
            };
            let (first, second) = tokio::join!(ask(), ask());
            assert_eq!([first, second], ["attempt 0", "attempt 0"], "{took:?}");
            tokio::time::advance(kept - Duration::from_millis(1)).await;
            assert_eq!(ask().await, "attempt 0", "{took:?}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(ask().await, "attempt 1", "{took:?}");
        }
    }

    #[tokio::test]
    async fn a_session_that_fell_silent_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::builder(folder.path()).host("jump", "jump").start().await.unwrap();
        let hosts = JumpHosts::default();
        let first = hosts.route("jump", || async { Ok(session(&sandbox).await) }).await.unwrap();
        let again = hosts.route("jump", || async { unreachable!("it is open") }).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let fresh = session(&sandbox).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(!first.is_closed());
        let again = hosts.route("jump", || async { Ok(fresh) }).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &again));
    }
}
