//! An output of a running program, collected by a thread of its own.
//!
//! Must not know whose output it is.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// An output of a program, read as it comes.
pub(crate) struct Captured {
    state: Arc<(Mutex<CapturedState>, Condvar)>,
}

#[derive(Default)]
struct CapturedState {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    pub(crate) fn from(mut source: impl Read + Send + 'static) -> Self {
        let state = Arc::new((Mutex::new(CapturedState::default()), Condvar::new()));
        let writer = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                // A terminal reports an error, not an end, when its last user is gone.
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut state = writer.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.bytes.extend_from_slice(&buffer[..count]);
                state.ended = count == 0;
                writer.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { state }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }

    /// Each byte is looked at once: a slow reader would hold the program back.
    pub(crate) fn wait_for(&self, deadline: Instant, text: &[u8]) -> bool {
        let mut looked_at = 0;
        let mut found = false;
        self.wait(deadline, |state| {
            found = found || contains(&state.bytes[looked_at..], text);
            looked_at = state.bytes.len().saturating_sub(text.len());
            found
        })
    }

    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait(deadline, |state| state.ended)
    }

    /// Waits until `enough`, the output's end, or the deadline.
    fn wait(&self, deadline: Instant, mut enough: impl FnMut(&CapturedState) -> bool) -> bool {
        let mut state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if enough(&state) || state.ended || left.is_zero() {
                return enough(&state);
            }
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Whether `bytes` hold `part`.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|byte| byte == first) {
        if rest[start..].starts_with(part) {
            return true;
        }
        rest = &rest[start + 1..];
    }
    false
}
