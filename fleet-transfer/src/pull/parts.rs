//! Parts of files as they come one behind the other, each as long as was asked for.
//!
//! They are renamed only by the caller, when the host has said that the file is still what it was.

use std::sync::Arc;

use super::part_file::PartFile;
use super::plan::Plan;
use super::problem::{Matter, Problem};
use super::root::Root;
use super::stream::{Coding, Incoming, PullError};

/// A part of a file that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartWanted {
    /// The place of the file in the plan.
    pub item: usize,
    /// Where on the host the part begins.
    pub from: u64,
    /// Its length.
    pub len: u64,
    /// Where it belongs in the file here, which has so many bytes beside its target already.
    pub at: u64,
}

/// Takes the parts in the order in which they were asked for.
#[derive(Debug)]
pub struct PartsReceiver {
    plan: Arc<Plan>,
    incoming: Incoming,
    parts: Parts,
}

/// The parts that have come.
#[derive(Debug)]
pub struct PartsArrived {
    /// Those that are here, beside their targets.
    pub parts: Vec<PartWanted>,
    /// What did not go as asked for.
    pub problems: Vec<Problem>,
    /// Where they are.
    pub root: Root,
}

#[derive(Debug)]
struct Parts {
    root: Root,
    wanted: Vec<PartWanted>,
    /// The part that comes next, and how much of it has come.
    next: usize,
    done: u64,
    current: Option<PartFile>,
    problems: Vec<Problem>,
    bytes: u64,
}

impl PartsReceiver {
    /// For the parts `wanted` of items of `plan`, below `root`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, wanted: Vec<PartWanted>, root: Root, mark: Vec<u8>, coding: Coding) -> Self {
        let most = wanted.iter().fold(0_u64, |sum, part| sum.saturating_add(part.len));
        let parts = Parts { root, wanted, next: 0, done: 0, current: None, problems: Vec::new(), bytes: 0 };
        Self { plan, incoming: Incoming::new(mark, coding, most), parts }
    }

    /// Bytes that are written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.bytes
    }

    /// Takes the next bytes of the program's output.
    ///
    /// # Errors
    /// When they are more than was asked for.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        let Self { plan, incoming, parts } = self;
        incoming.push(bytes, |bytes| {
            parts.take(plan, bytes);
            Ok(())
        })
    }

    /// What has come, and whether it has ended as it should.
    pub fn finish(mut self) -> (PartsArrived, Result<(), PullError>) {
        let Self { plan, incoming, parts } = &mut self;
        let ended = incoming.finish(|bytes| {
            parts.take(plan, bytes);
            Ok(())
        });
        let Parts { root, mut wanted, next, problems, .. } = self.parts;
        let ended = if next < wanted.len() { ended.and(Err(PullError::Cut)) } else { ended };
        wanted.truncate(next);
        wanted.retain(|part| problems.iter().all(|problem| problem.path != self.plan.items[part.item].remote));
        (PartsArrived { parts: wanted, problems, root }, ended)
    }
}

impl Parts {
    fn take(&mut self, plan: &Plan, mut bytes: &[u8]) {
        while let Some(&wanted) = self.wanted.get(self.next) {
            let item = &plan.items[wanted.item];
            if self.done == 0 && self.current.is_none() {
                let opened = match wanted.at {
                    0 => self.root.new_part(&item.local, item.seen.mode),
                    _ => self.root.open_part(&item.local),
                };
                self.current = self.kept(item.remote.clone(), opened);
            }
            let left = usize::try_from(wanted.len - self.done).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(left.min(bytes.len()));
            let written = self.current.as_ref().map_or(Ok(()), |part| part.write_at(wanted.at + self.done, now));
            if self.kept(item.remote.clone(), written).is_none() {
                self.current = None;
            }
            self.done += now.len() as u64;
            self.bytes += now.len() as u64;
            bytes = rest;
            if self.done < wanted.len {
                return;
            }
            if let Some(part) = self.current.take() {
                part.leave();
            }
            (self.next, self.done) = (self.next + 1, 0);
        }
    }

    fn kept<T>(&mut self, path: Vec<u8>, done: Result<T, Matter>) -> Option<T> {
        done.map_err(|matter| self.problems.push(Problem { path, matter })).ok()
    }
}
