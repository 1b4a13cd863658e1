//! Connections, commands and the fan-out against hosts that misbehave on purpose.
//!
//! The hosts are an embedded sandbox in this process; everything goes through the public interface of the core.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

mod command;
mod connect;
mod jump;
mod round_trips;
mod scale;
mod stop;
mod traps;
