//! `pslurp` on real servers: what it brings, where it puts it, what it says, and what no host can make it do.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

mod changing;
mod fetch;
mod hostile;
mod sftp;
mod shells;
mod world;
