//! Who has taken which chunk, what is kept for whom, and who no longer goes with the others. Bookkeeping under a lock.
//!
//! All readers go the same way, so a chunk is kept until the last of them has taken it. When those behind hold all the
//! room, those ahead wait for them, for so long and no longer: then the smaller half goes on its own. Time comes in from
//! outside. Must not know files, nor how waiting is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Chunk;
use super::memory::{Memory, Reservation};
use super::plan::Plan;
use crate::manifest::Selection;

/// For how long others wait for a reader, in all that fits into the memory; short against what they need for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A reader's number; never used twice.
pub(super) type ReaderId = u64;

#[derive(Debug)]
pub(super) struct Pool {
    memory: Arc<Memory>,
    chunks: BTreeMap<usize, Slot>,
    readers: BTreeMap<ReaderId, Standing>,
    next_reader: ReaderId,
    /// Grows with each chunk that is kept.
    age: u64,
    /// How many readers go on their own, or did.
    pub(super) alone: u64,
}

#[derive(Debug)]
enum Slot {
    /// Somebody sees to it.
    Claimed,
    Kept {
        chunk: Arc<Chunk>,
        age: u64,
    },
}

/// Where a reader is.
#[derive(Debug)]
struct Standing {
    selection: Selection,
    /// The first chunk that it has not taken.
    next: usize,
    pace: Pace,
    /// For how long others have waited for it, since it last took as much as fits into the memory.
    waited: Duration,
    taken_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    WithOthers,
    Alone,
}

/// Who has claimed a chunk, and the room that it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimant {
    pub(super) id: ReaderId,
    pub(super) chunk: usize,
    pub(super) bytes: usize,
}

/// What a reader is to do to get its chunk.
#[derive(Debug)]
pub(super) enum Answer {
    /// Here it is.
    Taken(Arc<Chunk>),
    /// Somebody else sees to it: wait for that.
    Coming,
    /// It is yours to see to: ask for room, and read it for all.
    Claimed,
    /// Read it for yourself.
    Alone,
}

/// Whether there is room for a chunk.
#[derive(Debug)]
pub(super) enum Room {
    /// Here it is.
    Yes(Reservation),
    /// Wait for some, but no longer than that, and ask again.
    Full(Instant),
    /// Read the chunk for yourself.
    Alone,
}

impl Pool {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { memory, chunks: BTreeMap::new(), readers: BTreeMap::new(), next_reader: 0, age: 0, alone: 0 }
    }

    /// A reader comes, and wants from the first chunk on what `selection` has.
    pub(super) fn join(&mut self, selection: Selection) -> ReaderId {
        self.next_reader += 1;
        let (pace, waited) = (Pace::WithOthers, Duration::ZERO);
        self.readers.insert(self.next_reader, Standing { selection, next: 0, pace, waited, taken_bytes: 0 });
        self.next_reader
    }

    pub(super) fn leave(&mut self, id: ReaderId) {
        self.readers.remove(&id);
    }

    /// A reader asks for a chunk for the first time, or again after it has waited.
    pub(super) fn ask(&mut self, plan: &Plan, id: ReaderId, chunk: usize) -> Answer {
        let reader = self.readers.get_mut(&id).expect("a reader leaves only when it is dropped");
        // What it has left out is not kept for it.
        reader.next = reader.next.max(chunk);
        let alone = reader.pace == Pace::Alone;
        match self.chunks.get(&chunk) {
            Some(Slot::Kept { chunk: kept, .. }) => {
                let kept = Arc::clone(kept);
                self.took(id, chunk, kept.plain.len());
                Answer::Taken(kept)
            }
            Some(Slot::Claimed) => Answer::Coming,
            None if alone => Answer::Alone,
            None if self.has_passed(plan, id, chunk) => {
                self.goes_alone(id);
                Answer::Alone
            }
            None => {
                self.chunks.insert(chunk, Slot::Claimed);
                Answer::Claimed
            }
        }
    }

    /// Room for a chunk that `id` has claimed. `asked` is when it last asked for the same.
    pub(super) fn room(&mut self, plan: &Plan, claim: &Claimant, asked: Option<Instant>, now: Instant) -> Room {
        if let Some(asked) = asked {
            self.charge(plan, claim, now.saturating_duration_since(asked));
        }
        loop {
            let Some(reader) = self.readers.get(&claim.id).filter(|reader| reader.pace == Pace::WithOthers) else {
                return Room::Alone;
            };
            let own = reader.waited;
            if let Some(room) = self.memory.try_reserve(claim.bytes) {
                return Room::Yes(room);
            }
            let dropped = self.drop_unwanted(plan) || self.drop_behind(claim.chunk);
            if !dropped && !self.part(plan, claim) {
                let behind = self.behind(plan, claim);
                let waited = behind.iter().map(|behind| self.readers[behind].waited).max().unwrap_or(own);
                return Room::Full(now + PATIENCE.saturating_sub(waited));
            }
        }
    }

    /// Whether a chunk may be read before anybody asks for it: if so, it is claimed.
    pub(super) fn claim_ahead(&mut self, plan: &Plan, claim: &Claimant) -> Option<Reservation> {
        let Claimant { id, chunk, bytes } = *claim;
        let with_others = self.readers.get(&id).is_some_and(|reader| reader.pace == Pace::WithOthers);
        if !with_others || self.chunks.contains_key(&chunk) || self.has_passed(plan, id, chunk) {
            return None;
        }
        let room = loop {
            match self.memory.try_reserve(bytes) {
                Some(room) => break room,
                None if self.drop_unwanted(plan) => {}
                None => return None,
            }
        };
        self.chunks.insert(chunk, Slot::Claimed);
        Some(room)
    }

    /// A chunk was read.
    pub(super) fn keep(&mut self, number: usize, chunk: Arc<Chunk>) {
        self.age += 1;
        self.chunks.insert(number, Slot::Kept { chunk, age: self.age });
    }

    /// Nobody sees to a chunk any more.
    pub(super) fn unclaim(&mut self, chunk: usize) {
        if matches!(self.chunks.get(&chunk), Some(Slot::Claimed)) {
            self.chunks.remove(&chunk);
        }
    }

    /// A reader has taken a chunk, or read it for itself.
    pub(super) fn took(&mut self, id: ReaderId, chunk: usize, bytes: usize) {
        let limit = self.memory.limit();
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.next = chunk + 1;
            reader.taken_bytes += bytes;
            if reader.taken_bytes >= limit {
                (reader.taken_bytes, reader.waited) = (0, Duration::ZERO);
            }
        }
        self.memory.room.notify_waiters();
    }

    fn goes_alone(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.pace = Pace::Alone;
            self.alone += 1;
        }
    }

    fn with_others(&self) -> impl Iterator<Item = (ReaderId, &Standing)> {
        self.readers.iter().filter(|(_, reader)| reader.pace == Pace::WithOthers).map(|(id, reader)| (*id, reader))
    }

    /// Whether another has taken a chunk that is not here any more. So `id` has come late, and would hold the others up.
    fn has_passed(&self, plan: &Plan, id: ReaderId, chunk: usize) -> bool {
        self.with_others().any(|(other, reader)| other != id && reader.next > chunk && reader.wants_of(plan, chunk))
    }

    /// Lets the chunk go that is the longest here of those that nobody wants; `false` when there is none.
    fn drop_unwanted(&mut self, plan: &Plan) -> bool {
        let last = self.with_others().min_by_key(|(_, reader)| reader.next).map(|(_, reader)| reader);
        let wanted = |chunk: usize| {
            // The last one wants what all want: only where selections differ the others have to be asked.
            last.is_some_and(|last| last.wants(plan, chunk))
                || self.with_others().any(|(_, reader)| reader.wants(plan, chunk))
        };
        let first = last.map_or(usize::MAX, |last| last.next);
        let kept = self.chunks.iter().filter_map(|(chunk, slot)| match slot {
            Slot::Kept { age, .. } => Some((*age, *chunk)),
            Slot::Claimed => None,
        });
        let unwanted = kept.filter(|(_, chunk)| *chunk < first || !wanted(*chunk)).min();
        unwanted.is_some_and(|(_, chunk)| self.chunks.remove(&chunk).is_some())
    }

    /// Lets the last chunk go that comes behind `chunk`, as of a former wave: it is read again when it is its turn, and what
    /// is asked for now cannot wait for that. `false` when there is none.
    fn drop_behind(&mut self, chunk: usize) -> bool {
        let kept = self.chunks.range(chunk + 1..).rev();
        let last = kept.filter(|(_, slot)| matches!(slot, Slot::Kept { .. })).map(|(last, _)| *last).next();
        last.is_some_and(|last| self.chunks.remove(&last).is_some())
    }

    /// Those who keep `claim` waiting: who wants something that is kept, and is in the rear half.
    fn behind(&self, plan: &Plan, claim: &Claimant) -> Vec<ReaderId> {
        let Some(last) = self.with_others().map(|(_, reader)| reader.next).min() else { return Vec::new() };
        let middle = last + claim.chunk.saturating_sub(last) / 2;
        let holds = |reader: &Standing| {
            let kept = self.chunks.range(reader.next..claim.chunk.max(reader.next));
            kept.into_iter().any(|(kept, _)| reader.wants(plan, *kept))
        };
        self.with_others()
            .filter(|(id, reader)| *id != claim.id && reader.next <= middle && holds(reader))
            .map(|(id, _)| id)
            .collect()
    }

    /// For so long was waited for those behind; when there are none, the memory is in the hands of readers that are sending
    /// it, and the wait is the own.
    fn charge(&mut self, plan: &Plan, claim: &Claimant, waited: Duration) {
        let mut charged = self.behind(plan, claim);
        if charged.is_empty() {
            charged.push(claim.id);
        }
        for id in charged {
            if let Some(reader) = self.readers.get_mut(&id) {
                reader.waited += waited;
            }
        }
    }

    /// Parts those behind from those who wait when patience has come to an end: the fewer go alone. `false` when it has not.
    fn part(&mut self, plan: &Plan, claim: &Claimant) -> bool {
        let behind = self.behind(plan, claim);
        let exhausted = |id: &ReaderId| self.readers[id].waited >= PATIENCE;
        let slow: Vec<_> = behind.iter().copied().filter(exhausted).collect();
        if slow.is_empty() && !(behind.is_empty() && exhausted(&claim.id)) {
            return false;
        }
        let waiting = self.with_others().filter(|(id, reader)| *id == claim.id || reader.next >= claim.chunk);
        let waiting: Vec<_> = waiting.map(|(id, _)| id).collect();
        let few = match slow.len() {
            0 => vec![claim.id],
            slow_ones if slow_ones > waiting.len() => waiting,
            _ => slow.clone(),
        };
        few.into_iter().for_each(|id| self.goes_alone(id));
        for id in slow {
            if let Some(reader) = self.readers.get_mut(&id) {
                reader.waited = Duration::ZERO;
            }
        }
        true
    }
}

impl Standing {
    fn wants(&self, plan: &Plan, chunk: usize) -> bool {
        self.next <= chunk && self.wants_of(plan, chunk)
    }

    fn wants_of(&self, plan: &Plan, chunk: usize) -> bool {
        self.selection.meets(&plan.entries(chunk))
    }
}
