//! What the tests share: a sandbox and a way to its hosts, commands to run there, and witnesses of what happened.

mod distance;
mod job;
mod processes;
mod relay;
mod run;
mod world;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use distance::Distance;
pub(crate) use job::{Input, Job, Transcript, Witness, run_to_end};
pub(crate) use processes::{Marker, temporary_file_bytes};
use relay::Relay;
pub(crate) use run::{Recorder, RunCommand, fan_out};
pub(crate) use world::{World, host, open, open_seen_by};

/// Nothing takes longer than this, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);
/// A limit that a test waits for. Long enough for what comes before to be done in time.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);
/// What can only be looked at is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`DEADLINE`].
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "still not so after {DEADLINE:?}: {what}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits for `work`.
///
/// # Panics
/// When it takes longer than [`DEADLINE`].
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("hangs: {what}"))
}

/// Bytes that are nowhere the same for long.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
    }
    bytes.truncate(length);
    bytes
}
