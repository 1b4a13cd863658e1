//! `pcp` on real SSH servers: what is where afterwards, and what is left of what was there when something goes wrong.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

mod world;

mod paths;
mod runs;
#[cfg(feature = "ec2")]
mod via;
mod whole;
