//! What a host counted: so that tests can count operations instead of milliseconds.
//!
//! Must not know what the operations are for.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one host since its sandbox started.
///
/// Keepalives are not among them: the server library answers them without telling. An idle connection that is kept
/// alive shows as `received_bytes` that grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// TCP connections accepted.
    pub connections: u64,
    /// TCP connections open now.
    pub open_connections: u64,
    /// Keys that clients offered.
    pub auth_attempts: u64,
    /// Logins.
    pub logins: u64,
    /// Session channels opened.
    pub sessions: u64,
    /// Commands, shells and subsystems started.
    pub execs: u64,
    /// Commands and shells running now.
    pub running: u64,
    /// Forwards to another address opened (`direct-tcpip`).
    pub forwards: u64,
    /// Bytes read from clients' sockets.
    pub received_bytes: u64,
    /// Bytes written to clients' sockets.
    pub sent_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) open_connections: Counter,
    pub(crate) auth_attempts: Counter,
    pub(crate) logins: Counter,
    pub(crate) sessions: Counter,
    pub(crate) execs: Counter,
    pub(crate) running: Counter,
    pub(crate) forwards: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> HostStats {
        HostStats {
            connections: self.connections.get(),
            open_connections: self.open_connections.get(),
            auth_attempts: self.auth_attempts.get(),
            logins: self.logins.get(),
            sessions: self.sessions.get(),
            execs: self.execs.get(),
            running: self.running.get(),
            forwards: self.forwards.get(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes.get(),
        }
    }
}
