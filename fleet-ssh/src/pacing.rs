//! What the gates of `pace` are told of a try to connect: of the run's own gate, and of that of the jump host.
//!
//! Must not know how a connection is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::handshake::TryError;
use fleet_core::outcome::{FailureClass, HostError, Stage};
use fleet_core::pace::{Attempt, Bounds, End, Gate};

/// How many connections may be on their way through one jump host at once.
pub(super) const THROUGH_A_JUMP_HOST: Bounds = Bounds { least: 2, start: 32, most: 512 };

/// One try to connect to one host.
#[derive(Debug, Default)]
pub(super) struct Try {
    attempts: Vec<Attempt>,
    short_of_descriptors: AtomicBool,
}

impl Try {
    /// A try that waits until the `jump` host's gate has room for it, then is begun in the `run`.
    pub(super) async fn begin(run: Option<&Arc<Gate>>, jump: Option<&Arc<Gate>>) -> Self {
        let mut attempts = Vec::new();
        if let Some(jump) = jump {
            attempts.push(jump.enter().await);
        }
        attempts.extend(run.map(Gate::begin));
        Self { attempts, short_of_descriptors: AtomicBool::default() }
    }

    /// The key exchange is over. What follows may wait for a person, and is not counted in the time it took.
    pub(super) fn met(&self) {
        self.attempts.iter().for_each(Attempt::met);
    }

    /// There was no file descriptor for it, which is nobody's fault but ours.
    pub(super) fn lacks_descriptors(&self) {
        self.short_of_descriptors.store(true, Ordering::Relaxed);
        self.attempts.iter().for_each(|attempt| attempt.end(End::OutOfDescriptors));
    }

    /// Whether that was so since the last time this was asked.
    pub(super) fn take_shortage(&self) -> bool {
        self.short_of_descriptors.swap(false, Ordering::Relaxed)
    }

    /// How it ended.
    pub(super) fn end<T>(&self, result: &Result<T, TryError>) {
        for attempt in &self.attempts {
            match result {
                Ok(_) => attempt.done(),
                Err(failure) => attempt.end(end_of(failure)),
            }
        }
    }
}

/// What a failure says of how many are tried at once. Only what a server does that has too many of them counts as
/// dropped; a host that refuses, or does not let us in, does so for reasons of its own.
fn end_of(failure: &TryError) -> End {
    match failure {
        TryError { may_retry: true, .. } => End::Dropped,
        TryError { error: HostError { class: FailureClass::Timeout, stage, .. }, .. } => match stage {
            Stage::Resolve | Stage::Connect => End::Unanswered,
            _ => End::Dropped,
        },
        TryError { .. } => End::Unrelated,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_too_many_cause_counts_as_dropped() {
        let timeout = |stage| HostError::timeout(stage, Duration::from_secs(10));
        let error = |stage, class| HostError::new(stage, class, "");
        for (error, may_retry, end) in [
            (error(Stage::Banner, FailureClass::Banner), true, End::Dropped),
            (error(Stage::KeyExchange, FailureClass::KeyExchange), true, End::Dropped),
            (error(Stage::Banner, FailureClass::Banner), false, End::Unrelated),
            (timeout(Stage::Banner), false, End::Dropped),
            (timeout(Stage::KeyExchange), false, End::Dropped),
            (timeout(Stage::Authenticate), false, End::Dropped),
            (timeout(Stage::Resolve), false, End::Unanswered),
            (timeout(Stage::Connect), false, End::Unanswered),
            (error(Stage::Connect, FailureClass::Refused), false, End::Unrelated),
            (error(Stage::Authenticate, FailureClass::Auth), false, End::Unrelated),
            (error(Stage::KeyExchange, FailureClass::HostKey), false, End::Unrelated),
        ] {
            let said = format!("{error:?} {may_retry}");
            assert_eq!(end_of(&TryError { error, may_retry }), end, "{said}");
        }
    }

    #[tokio::test]
    async fn a_shortage_of_descriptors_is_told_at_once_and_once() {
        let gate = Arc::new(Gate::new(Bounds { least: 1, start: 64, most: 64 }));
        let attempt = Try::begin(Some(&gate), None).await;
        attempt.lacks_descriptors();
        attempt.lacks_descriptors();
        attempt.end(&Ok::<_, TryError>(()));
        assert_eq!(gate.limit(), 32);
        assert_eq!([attempt.take_shortage(), attempt.take_shortage()], [true, false]);
    }
}
