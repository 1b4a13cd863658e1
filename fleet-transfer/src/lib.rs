//! Moving files between this machine and many hosts: one stream for each host, each byte read once for all of them.
//!
//! Must not know flags, rendering or russh.

pub mod archive;
pub mod bandwidth;
pub mod destination;
pub mod digest;
pub mod filter;
pub mod manifest;
pub mod pull;
pub mod push;
pub mod scan;
pub mod sftp;
pub mod source_cache;
pub mod sync;
pub mod throttle;

use std::io;

/// What the system says, in the style of our own words: `permission denied`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}
