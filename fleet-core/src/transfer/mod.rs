//! Moving files between this machine and many hosts: one stream for each host, each byte read once for all of them.
//!
//! Must not know flags, rendering or russh.

pub mod archive;
pub mod bandwidth;
pub mod destination;
pub mod digest;
pub mod filter;
pub mod manifest;
pub mod push;
pub mod scan;
pub mod source_cache;
