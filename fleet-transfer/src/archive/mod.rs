//! Archives as every `tar` reads and writes them. Bytes to bytes: must not know files, hosts or time.

mod pax;
mod read;
mod sparse;
mod write;

pub use read::{ArchiveError, Kind, Member, Piece, Reader};
pub use write::{END, Header, HeaderKind, padding};

/// Bytes of a block: headers are blocks, and contents are padded to whole ones.
const BLOCK_LEN: usize = 512;
