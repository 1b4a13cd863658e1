//! What is sent to a host to copy files there: a tar stream whose last entries verify and commit the rest.
//!
//! | module | what |
//! | --- | --- |
//! | `stream` | [`Push`]: what all hosts share; the whole stream to one of them |
//! | `commit` | the end of the stream: verifies, and renames |
//! | `look` | what a host has already of what it is to be sent |
//! | `deliver` | [`Delivery`]: the program on a host that receives the stream |
//! | `feed` | the stream as that program's input, and what it says meanwhile |
//! | `refusal` | how it ended, in words |
//! | `ask` | [`Ask`]: a script that is run on a host, and its answer |
//!
//! Must not know flags, nor what becomes of results.

mod ask;
mod commit;
mod deliver;
mod feed;
mod look;
mod refusal;
mod stream;

pub use ask::{Answer, Ask};
pub use commit::{Batch, Commit, batches, batches_for, header, needed_kib};
pub(crate) use commit::{push_calls, touch_time};
pub use deliver::Delivery;
pub use feed::Said;
pub use look::{Findings, Look, LookError, There, digests};
pub use refusal::{Ended, ended, incomplete, refused};
pub use stream::{Push, PushSettings, Sent, Share, Uplink};
