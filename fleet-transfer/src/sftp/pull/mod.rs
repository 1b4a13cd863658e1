//! Files read from a host that offers only SFTP.
//!
//! First [`list`] says what there is, so that names and sizes can be judged before a byte of content is asked for; then
//! [`fetch`] reads what is wanted. Must not know where it goes: that is a [`PullSink`]'s.

mod fetch;
mod glob;
mod list;

pub use fetch::{FetchError, FileEnd, PullSink, Wanted, fetch, tail_offset};
pub use list::{Found, Listing, Missed, list};
