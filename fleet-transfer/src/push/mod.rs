//! What is sent to a host to copy files there: a tar stream whose last entries verify and commit the rest.
//!
//! Must not know how it gets there.

mod commit;

pub use commit::{Batch, Commit, batches, header, needed_kib};
