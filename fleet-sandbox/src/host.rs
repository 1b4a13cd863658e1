//! One host: who it is, how it misbehaves, and the loop that accepts its clients.
//!
//! Must not know SSH: each client is handed to [`connection::serve`].

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::PrivateKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::address;
use crate::connection;
use crate::fault::{Fault, FaultSet};
use crate::fleet::Fleet;
use crate::roles::PlannedHost;
use crate::simulation::Simulation;
use crate::stats::Counters;

/// How long a failed listen or accept waits before the next: for a free address or file descriptor.
const RETRY: Duration = Duration::from_millis(50);

/// One host of a sandbox.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) address: SocketAddr,
    pub(crate) home: PathBuf,
    pub(crate) key: PrivateKey,
    /// Answers the commands; without it they are run.
    pub(crate) simulation: Option<Simulation>,
    pub(crate) counters: Counters,
    /// Connections dropped so far by [`Fault::DropPreauth`].
    pub(crate) dropped_connections: AtomicUsize,
    orders: watch::Sender<Orders>,
    /// The last `version` of the orders that the accept loop obeys.
    obeyed: watch::Sender<u64>,
}

/// How the host is to behave.
#[derive(Clone, Debug, Default)]
struct Orders {
    version: u64,
    faults: FaultSet,
}

impl Host {
    pub(crate) fn new(
        planned: PlannedHost,
        address: SocketAddr,
        home: PathBuf,
        key: PrivateKey,
        simulation: Option<Simulation>,
        faults: FaultSet,
    ) -> Self {
        Self {
            name: planned.name,
            role: planned.role,
            address,
            home,
            key,
            simulation,
            counters: Counters::default(),
            dropped_connections: AtomicUsize::new(0),
            orders: watch::Sender::new(Orders { version: 1, faults }),
            obeyed: watch::Sender::new(0),
        }
    }

    /// The faults in force now.
    pub(crate) fn faults(&self) -> FaultSet {
        self.orders.borrow().faults.clone()
    }

    /// Replaces the faults, and returns when the host obeys them.
    pub(crate) async fn set_faults(&self, faults: FaultSet) {
        let mut version = 0;
        self.orders.send_modify(|orders| {
            orders.version += 1;
            orders.faults = faults;
            version = orders.version;
        });
        self.dropped_connections.store(0, Ordering::Relaxed);
        self.until_obeyed(version).await;
    }

    /// Returns when the host obeys the faults it started with.
    pub(crate) async fn until_started(&self) {
        self.until_obeyed(1).await;
    }

    async fn until_obeyed(&self, version: u64) {
        // The sender is this host's own: it cannot be gone.
        let _ = self.obeyed.subscribe().wait_for(|obeyed| *obeyed >= version).await;
    }

    /// Accepts clients until the fleet stops; while the host refuses connections, nobody listens.
    pub(crate) async fn accept_clients(self: Arc<Self>, listener: TcpListener, fleet: Arc<Fleet>) {
        let mut orders = self.orders.subscribe();
        let mut listener = Some(listener);
        loop {
            let (version, refuses) = {
                let orders = orders.borrow_and_update();
                (orders.version, orders.faults.has(Fault::Refuse))
            };
            if refuses {
                listener.take().into_iter().for_each(address::stop_listening);
            } else if listener.is_none() {
                listener = address::listen(self.address).ok();
            }
            if refuses || listener.is_some() {
                self.obeyed.send_replace(version);
            }
            tokio::select! {
                () = fleet.stop.cancelled() => return,
                _ = orders.changed() => {}
                () = sleep(RETRY), if !refuses && listener.is_none() => {}
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok((socket, client)) => self.receive(socket, client, &fleet),
                    Err(error) => {
                        tracing::warn!(host = self.name, %error, "a connection was not accepted");
                        sleep(RETRY).await;
                    }
                }
            }
        }
    }

    fn receive(self: &Arc<Self>, socket: TcpStream, client: SocketAddr, fleet: &Arc<Fleet>) {
        self.counters.connections.add(1);
        let serving = connection::serve(self.clone(), fleet.clone(), socket, client);
        fleet.tasks.spawn(serving);
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => pending().await,
    }
}
