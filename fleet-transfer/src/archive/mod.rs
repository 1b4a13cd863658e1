//! Archives as every `tar` reads and writes them. Bytes to bytes: must not know files, hosts or time.

mod write;

pub use write::{END, Header, HeaderKind, padding};
