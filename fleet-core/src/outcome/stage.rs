//! The steps of a session, in their order.
//!
//! Names only. Must not know what is done in them.

use std::fmt;

/// The step of a session that a host is in. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Looking up the name.
    Resolve,
    /// Opening the TCP connection, or the channel through a jump host, or starting the `ProxyCommand`.
    Connect,
    /// Waiting for the server's identification line (RFC 4253 section 4.2).
    Banner,
    /// Key exchange and the check of the host key.
    KeyExchange,
    /// Proving who we are.
    Authenticate,
    /// Opening the channel and requesting the command.
    Channel,
    /// The command (or transfer) itself.
    Command,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Resolve,
        Self::Connect,
        Self::Banner,
        Self::KeyExchange,
        Self::Authenticate,
        Self::Channel,
        Self::Command,
    ];

    /// The name used in messages, in `--json` and in the reasons of the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::KeyExchange => "key exchange",
            Self::Authenticate => "authentication",
            Self::Channel => "channel",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
