//! The sandbox as an SSH client in the same process sees it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod client;
mod commands;
mod faults;
mod folder;
mod simulation;
