//! The digest of a large file that goes whole, made of what is read to be sent, so that it is read once.
//!
//! Must not know where the file is, nor how it is read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fleet_rsync::checksum::{ChecksumKind, Digest, FileHasher};

/// A digest that is being made. Hosts go through the file each at their own pace, and the first of them counts.
#[derive(Debug)]
pub(super) struct Whole {
    state: Mutex<State>,
}

enum State {
    /// Made of so many bytes.
    Begun(FileHasher, u64),
    Done(Digest),
}

impl Whole {
    pub(super) fn new(kind: ChecksumKind) -> Self {
        Self { state: Mutex::new(State::Begun(FileHasher::new(kind), 0)) }
    }

    /// Takes a part of the file. One that came before, or is not the next one, is passed over.
    pub(super) fn take(&self, start: u64, bytes: &[u8]) {
        if let State::Begun(hasher, end) = &mut *self.lock()
            && *end == start
        {
            hasher.update(bytes);
            *end += bytes.len() as u64;
        }
    }

    /// Where the next part begins that it needs; `None` if it is finished.
    pub(super) fn wanted(&self) -> Option<u64> {
        match &*self.lock() {
            State::Begun(_, end) => Some(*end),
            State::Done(_) => None,
        }
    }

    /// The digest of all that was taken.
    pub(super) fn finish(&self) -> Digest {
        let mut state = self.lock();
        let digest = match std::mem::replace(&mut *state, State::Done(Digest::default())) {
            State::Begun(hasher, _) => hasher.finish(),
            State::Done(digest) => digest,
        };
        *state = State::Done(digest);
        digest
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begun(_, end) => f.debug_tuple("Begun").field(end).finish_non_exhaustive(),
            Self::Done(digest) => f.debug_tuple("Done").field(digest).finish(),
        }
    }
}
