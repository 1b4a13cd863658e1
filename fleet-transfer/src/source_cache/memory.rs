//! The bytes that are held for all hosts: counted until the last who holds them lets go.
//!
//! Must not know what they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// How many bytes may be held, and are.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    held: Mutex<Held>,
    /// Told when bytes are let go, and by whoever else may have made room.
    pub(super) room: Notify,
}

/// The counts; `peak` is the most that ever was.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: usize,
    peak: usize,
    beyond: usize,
    beyond_peak: usize,
}

#[derive(Clone, Copy, Debug)]
enum Account {
    Limited,
    Beyond,
}

/// Room for so many bytes, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: Arc<Memory>,
    account: Account,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default(), room: Notify::new() })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Room for `bytes`, if there is any.
    pub(super) fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let mut held = self.lock();
        if held.bytes + bytes > self.limit {
            return None;
        }
        held.bytes += bytes;
        held.peak = held.peak.max(held.bytes);
        Some(Reservation { memory: Arc::clone(self), account: Account::Limited, bytes })
    }

    /// Room that is counted and not limited: for readers that hold one small piece each.
    pub(super) fn reserve_beyond(self: &Arc<Self>, bytes: usize) -> Reservation {
        let mut held = self.lock();
        held.beyond += bytes;
        held.beyond_peak = held.beyond_peak.max(held.beyond);
        Reservation { memory: Arc::clone(self), account: Account::Beyond, bytes }
    }

    /// The most bytes that were ever held within the limit, and beyond it.
    pub(super) fn peaks(&self) -> (usize, usize) {
        let held = self.lock();
        (held.peak, held.beyond_peak)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Room for `bytes` less here, and for `bytes` in the one that is returned.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { memory: Arc::clone(&self.memory), account: self.account, bytes }
    }

    /// The bytes, which hold the room for as long as anybody holds them. What they do not need is given back.
    pub(super) fn fill(mut self, mut bytes: Vec<u8>) -> Bytes {
        bytes.shrink_to_fit();
        let spare = self.bytes.saturating_sub(bytes.capacity());
        drop(self.split(spare));
        Bytes::from_owner(Filled { bytes, _room: self })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut held = self.memory.lock();
        match self.account {
            Account::Limited => held.bytes -= self.bytes,
            Account::Beyond => held.beyond -= self.bytes,
        }
        drop(held);
        self.memory.room.notify_waiters();
    }
}

/// Bytes with their room.
struct Filled {
    bytes: Vec<u8>,
    _room: Reservation,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_until_the_last_holder_lets_go() {
        let memory = Memory::new(100);
        let bytes = memory.try_reserve(60).unwrap().fill(vec![1; 50]);
        let part = bytes.slice(10..20);
        assert!(memory.try_reserve(51).is_none());
        drop(memory.try_reserve(50).expect("what was not needed is free again"));
        drop(bytes);
        assert!(memory.try_reserve(51).is_none(), "a part keeps the whole");
        drop(part);
        assert!(memory.try_reserve(100).is_some());
        assert_eq!(memory.peaks(), (100, 0));
    }

    #[test]
    fn room_is_split_and_nothing_is_lost() {
        let memory = Memory::new(100);
        let mut first = memory.try_reserve(100).unwrap();
        let second = first.split(30);
        drop(first);
        assert!(memory.try_reserve(71).is_none());
        drop(second);
        assert!(memory.try_reserve(100).is_some());
        drop((memory.reserve_beyond(500), memory.reserve_beyond(20)));
        assert_eq!(memory.peaks().1, 520);
    }
}
