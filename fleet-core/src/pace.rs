//! How many handshakes may go on at once: as many as go well.
//!
//! A window as TCP has one (additive increase, multiplicative decrease; RFC 5681), which counts handshakes in progress
//! instead of bytes in flight. The window is pure; the gate around it measures and lets wait. Must not know what a
//! handshake is.

mod gate;
#[cfg(test)]
mod simulation;
mod window;

pub use gate::{Attempt, Gate};
pub use window::{Bounds, Change, End, Reason};
