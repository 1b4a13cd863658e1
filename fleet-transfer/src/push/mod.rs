//! What is sent to a host to copy files there: a tar stream whose last entries verify and commit the rest.
//!
//! Must not know how it gets there.

mod commit;
mod look;
mod stream;

pub use commit::{Batch, Commit, batches, batches_for, header, needed_kib};
pub use look::{Findings, Look, LookError, There, digests};
pub use stream::{Push, PushSettings, Sent, Share, Uplink};
