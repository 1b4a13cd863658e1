//! What stands on the wire below everything else: numbers, multiplexed frames, the greeting.
//!
//! Must not know what the numbers mean: files, requests and deltas are above it.

pub mod greeting;
pub mod ints;
pub mod mux;

use thiserror::Error;

/// Why bytes could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes end within what is being read. Whoever reads from a connection asks again when there are more.
    #[error("expected more bytes")]
    Incomplete,
    /// A number announces more bytes than its type has.
    #[error("expected a number of {expected} bits, not one whose first byte is {first:#04x}")]
    NumberTooLong {
        /// The width of the type that was expected.
        expected: u32,
        /// The first byte of the number, which tells its length.
        first: u8,
    },
    /// A frame with a tag that nobody sends to us.
    #[error("expected a frame of the rsync protocol, not one with the tag {tag} and {length} bytes")]
    UnknownFrame {
        /// The tag, after 7 is taken from the byte on the wire.
        tag: i16,
        /// How long the frame says that it is.
        length: usize,
    },
    /// A message that is longer than any real one.
    #[error("expected a message of at most {limit} bytes, not one of {length} with the tag {tag}")]
    MessageTooLong {
        /// What kind of message.
        tag: i16,
        /// How long it says that it is.
        length: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// A message whose payload has not the length of its kind.
    #[error("expected {expected} bytes in the message with the tag {tag}, not {length}")]
    MessageLength {
        /// What kind of message.
        tag: i16,
        /// The length of this kind.
        expected: usize,
        /// The length that came.
        length: usize,
    },
}
