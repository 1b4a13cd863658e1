//! A running server and the hosts it stands for.
//!
//! Must not know which program serves.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::PATIENCE;
use crate::listener::Listener;

/// A real server that stands for one or more hosts of a test's network. Stops when dropped.
pub struct Server {
    pub(crate) names: Vec<String>,
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) listener: Listener,
    pub(crate) log: PathBuf,
    pub(crate) host_key: String,
}

impl Server {
    /// The names of its hosts, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The address of its only or first host.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.addresses[0]
    }

    /// The addresses of its hosts, in order.
    #[must_use]
    pub fn addresses(&self) -> &[Ipv4Addr] {
        &self.addresses
    }

    /// The port of all its hosts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The public host key, `TYPE BASE64`.
    #[must_use]
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// The lines of `known_hosts` that vouch for its hosts.
    #[must_use]
    pub fn known_hosts_lines(&self) -> String {
        let line = |address: &Ipv4Addr| format!("[{address}]:{} {}\n", self.port(), self.host_key);
        self.addresses.iter().map(line).collect()
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.listener.count()
    }

    /// Waits until it has accepted `count` connections in all.
    ///
    /// # Panics
    /// When it has not after [`PATIENCE`].
    pub fn wait_for_connections(&self, count: usize) {
        self.listener.wait_for(count, PATIENCE);
    }

    /// Waits until the server process of connection `number` (0 is the first) has ended.
    ///
    /// # Panics
    /// When it has not after [`PATIENCE`], or there is no server process for it.
    pub fn wait_for_end(&self, number: usize) {
        self.listener.wait_for_end(number, PATIENCE);
    }

    /// Kills the server processes of connection `number` (0 is the first): the host "dies"; its commands run on.
    ///
    /// # Panics
    /// When there is no such connection, or no server process for it.
    pub fn cut(&self, number: usize) {
        self.listener.signal(number, Signal::KILL);
    }

    /// Stops the server processes of connection `number` in their tracks: the connection stays, and nobody answers.
    ///
    /// # Panics
    /// As [`Server::cut`].
    pub fn freeze(&self, number: usize) {
        self.listener.signal(number, Signal::STOP);
    }

    /// What the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
