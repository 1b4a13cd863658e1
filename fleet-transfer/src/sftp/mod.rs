//! Hosts that offer no shell and only SFTP: files go there and come from there by its requests.
//!
//! [`Connection`] opens the subsystem on a session and watches over the work on it; [`push`] and [`pull`] are that work. A
//! client of our own, as names are bytes, and as a file has to be replaced in one step. Must not know flags or rendering.

mod answer;
mod attributes;
mod client;
mod connection;
mod conversation;
mod files;
mod packet;
pub mod pull;
pub mod push;
mod staging;

pub use answer::{Name, Refusal, Status};
pub use attributes::{FileAttributes, FileKind};
pub use client::{Client, Downlink, Driver, SftpError, Uplink, connect};
pub use connection::{Connection, Watch, instead_of_command};
pub use files::{Handle, Room};
pub use packet::Opening;
