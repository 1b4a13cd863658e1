//! Files copied to and from hosts that offer only SFTP: what arrives is what was sent, whatever goes wrong leaves what was
//! there, and such a host is recognised.
//!
//! Most of it on OpenSSH's `sftp-server` by itself, through pipes; what needs sshd on a real one.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

mod forced;
mod host;
mod pcp;
mod pulled;
mod pushed;
mod refused;
