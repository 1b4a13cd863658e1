//! A delta that hosts send while it is still being made: a receiver works at its copy meanwhile.
//!
//! Must not know who makes it, nor of what.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet_rsync::checksum::Digest;
use fleet_rsync::delta::{Delta, Segment};
use tokio::sync::watch;

/// Segments that are handed over at once.
const MOST_SEGMENTS: usize = 1024;

/// A delta as far as it has come.
#[derive(Debug)]
pub(super) struct Growing {
    state: Mutex<State>,
    /// Changes with the state.
    grown: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    segments: Vec<Segment>,
    end: Option<Result<End, Failure>>,
}

/// What is known of it when it is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Length of the new content in bytes.
    pub(super) len: u64,
    pub(super) digest: Digest,
}

/// An error that many are told.
#[derive(Clone, Debug)]
struct Failure(io::ErrorKind, String);

impl Growing {
    /// One that is whole.
    pub(super) fn whole(delta: Delta) -> Self {
        let Delta { segments, len, digest } = delta;
        let state = State { segments, end: Some(Ok(End { len, digest })) };
        Self { state: Mutex::new(state), grown: watch::Sender::new(()) }
    }

    /// One of which nothing is there yet, and the one who makes it.
    pub(super) fn begun() -> (Arc<Self>, Making) {
        let growing = Arc::new(Self { state: Mutex::default(), grown: watch::Sender::new(()) });
        (Arc::clone(&growing), Making(growing))
    }

    /// What follows the first `sent` segments, as soon as there is something; nothing at the end.
    ///
    /// # Errors
    /// Behind all segments, when the new content could not be read to its end.
    pub(super) async fn after(&self, sent: usize) -> io::Result<Vec<Segment>> {
        let mut grown = self.grown.subscribe();
        loop {
            {
                let state = self.lock();
                let following = state.segments.get(sent..).unwrap_or_default();
                match &state.end {
                    _ if !following.is_empty() => return Ok(following.iter().take(MOST_SEGMENTS).cloned().collect()),
                    Some(Ok(_)) => return Ok(Vec::new()),
                    Some(Err(Failure(kind, text))) => return Err(io::Error::new(*kind, text.clone())),
                    None => {}
                }
            }
            // The sender is in `self`.
            let _ = grown.changed().await;
        }
    }

    /// What it came to, if it did.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().end.as_ref()?.as_ref().ok().copied()
    }

    /// Memory that it takes now.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.lock().segments.capacity() * size_of::<Segment>()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who makes a delta. Dropped before the end, it tells the others that nobody does.
#[derive(Debug)]
pub(super) struct Making(Arc<Growing>);

impl Making {
    /// Adds what has come to be certain.
    pub(super) fn add(&self, segments: impl Iterator<Item = Segment>) {
        let mut state = self.0.lock();
        let before = state.segments.len();
        state.segments.extend(segments);
        let is_more = state.segments.len() > before;
        drop(state);
        if is_more {
            self.0.grown.send_replace(());
        }
    }

    /// Adds the rest, or says why there is none.
    pub(super) fn end(self, rest: io::Result<Delta>) {
        let mut state = self.0.lock();
        let end = rest.map(|Delta { segments, len, digest }| {
            state.segments.extend(segments);
            state.segments.shrink_to_fit();
            End { len, digest }
        });
        state.end = Some(end.map_err(|error| Failure(error.kind(), error.to_string())));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let nobody = || Err(Failure(io::ErrorKind::Other, "the search for what has changed was given up".to_owned()));
        self.0.lock().end.get_or_insert_with(nobody);
        self.0.grown.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(segments: Vec<Segment>) -> Delta {
        Delta { segments, len: 7, digest: Digest::default() }
    }

    #[tokio::test]
    async fn segments_come_once_in_their_order_and_then_the_end() {
        let (growing, making) = Growing::begun();
        let reader = async {
            let mut all = Vec::new();
            loop {
                match growing.after(all.len()).await.unwrap() {
                    more if more.is_empty() => break all,
                    more => all.extend(more),
                }
            }
        };
        let maker = async {
            for block in 0..3000_u32 {
                making.add(std::iter::once(Segment::Blocks(block..block + 1)));
                if block % 700 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            making.end(Ok(delta(vec![Segment::Literal(0..7)])));
        };
        let (all, ()) = tokio::join!(reader, maker);
        let blocks = (0..3000).map(|block| Segment::Blocks(block..block + 1));
        assert_eq!(all, blocks.chain([Segment::Literal(0..7)]).collect::<Vec<_>>());
        assert_eq!(growing.end().unwrap().len, 7);
    }

    #[tokio::test]
    async fn who_waits_is_told_of_the_error_or_that_nobody_goes_on() {
        let (growing, making) = Growing::begun();
        making.add(std::iter::once(Segment::Literal(0..1)));
        let told = async {
            assert_eq!(growing.after(0).await.unwrap().len(), 1);
            growing.after(1).await.unwrap_err().kind()
        };
        let fails = async { making.end(Err(io::ErrorKind::PermissionDenied.into())) };
        assert_eq!(tokio::join!(told, fails).0, io::ErrorKind::PermissionDenied);
        let (growing, making) = Growing::begun();
        drop(making);
        assert!(growing.after(0).await.is_err());
        assert!(growing.end().is_none());
    }
}
