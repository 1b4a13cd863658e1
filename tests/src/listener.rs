//! The listening sockets of a server, owned by the harness: each accepted connection becomes the stdin and stdout of
//! a server process in inetd mode, so there is no race for a port, and a connection can be spoilt on purpose.
//!
//! Must not know which server it starts.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

/// What can only be looked at is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How a connection is received.
#[derive(Clone, Copy, Debug)]
pub enum Welcome {
    /// By the server.
    Serve,
    /// Closed at once.
    Drop,
    /// Kept open without a word.
    Silence,
    /// These bytes, then closed.
    SayAndClose(&'static [u8]),
    /// These bytes, then kept open without another word.
    SayAndHang(&'static [u8]),
}

/// Decides how the connection with this number (0 is the first) is received.
pub(crate) type WelcomeRule = Box<dyn Fn(usize) -> Welcome + Send>;

/// Makes the server process for one connection; its stdin and stdout will be the socket.
pub(crate) type ServerCommand = Box<dyn Fn() -> Command + Send>;

/// What came of one connection.
enum Connection {
    Process(Child),
    Held { _socket: TcpStream },
    Closed,
}

#[derive(Default)]
struct Accepted {
    connections: Mutex<Vec<Connection>>,
    changed: Condvar,
}

/// Listens until dropped; then every server process of its connections is killed.
pub(crate) struct Listener {
    accepted: Arc<Accepted>,
    port: u16,
    thread: Option<JoinHandle<()>>,
    stop: Option<io::PipeWriter>,
}

impl Listener {
    /// Listens at each of `addresses`, all on one port that the system chooses.
    pub(crate) fn start(addresses: &[Ipv4Addr], rule: WelcomeRule, server: ServerCommand) -> Self {
        let sockets = bind_all(addresses);
        let port = sockets[0].local_addr().expect("a bound socket has an address").port();
        let (stop_reader, stop_writer) = io::pipe().expect("pipe");
        let accepted = Arc::new(Accepted::default());
        let thread = std::thread::spawn({
            let accepted = Arc::clone(&accepted);
            move || accept_all(&sockets, &stop_reader, &accepted, &rule, &server)
        });
        Self { accepted, port, thread: Some(thread), stop: Some(stop_writer) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until `count` connections have been accepted.
    pub(crate) fn wait_for(&self, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut connections = self.lock();
        while connections.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} connections were made within {limit:?}", connections.len());
            connections =
                self.accepted.changed.wait_timeout(connections, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the server process of connection `number` has ended.
    pub(crate) fn wait_for_end(&self, number: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let mut connections = self.lock();
            let Some(Connection::Process(child)) = connections.get_mut(number) else {
                panic!("connection {number} has no server process");
            };
            if child.try_wait().expect("the server is our child").is_some() {
                return;
            }
            drop(connections);
            assert!(Instant::now() < deadline, "the server of connection {number} still runs after {limit:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Sends `signal` to the server processes of connection `number`; the commands they run have their own groups.
    pub(crate) fn signal(&self, number: usize, signal: Signal) {
        match self.lock().get(number) {
            Some(Connection::Process(child)) => signal_group(child, signal),
            _ => panic!("connection {number} has no server process"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.accepted.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for connection in self.lock().iter_mut() {
            if let Connection::Process(child) = connection {
                signal_group(child, Signal::KILL);
                let _ = child.wait();
            }
        }
    }
}

fn signal_group(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is a positive i32");
    // An error means that the group is gone, which is as good.
    let _ = kill_process_group(group, signal);
}

/// Another test may hold the port that the first address got at another address: then all are bound anew.
fn bind_all(addresses: &[Ipv4Addr]) -> Vec<TcpListener> {
    for _ in 0..100 {
        let first = TcpListener::bind((addresses[0], 0)).expect("a loopback address can be bound");
        let port = first.local_addr().expect("a bound socket has an address").port();
        let others: io::Result<Vec<_>> =
            addresses[1..].iter().map(|&address| TcpListener::bind((address, port))).collect();
        if let Ok(others) = others {
            return std::iter::once(first).chain(others).collect();
        }
    }
    panic!("no port is free at all of {addresses:?}");
}

fn accept_all(
    sockets: &[TcpListener],
    stop: &io::PipeReader,
    accepted: &Accepted,
    rule: &WelcomeRule,
    server: &ServerCommand,
) {
    loop {
        let mut fds: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        fds.push(PollFd::new(stop, PollFlags::IN));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            polled => polled.expect("poll"),
        };
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[sockets.len()] {
            return;
        }
        for (socket, _) in sockets.iter().zip(ready).filter(|(_, ready)| *ready) {
            let Ok((stream, from)) = socket.accept() else { continue };
            let mut connections = accepted.connections.lock().unwrap_or_else(PoisonError::into_inner);
            let welcome = rule(connections.len());
            connections.push(receive(stream, from, welcome, server));
            accepted.changed.notify_all();
        }
    }
}

fn receive(mut stream: TcpStream, from: SocketAddr, welcome: Welcome, server: &ServerCommand) -> Connection {
    match welcome {
        Welcome::Serve => Connection::Process(serve(stream, from, server)),
        Welcome::Drop => Connection::Closed,
        Welcome::Silence => Connection::Held { _socket: stream },
        Welcome::SayAndClose(bytes) => {
            let _ = stream.write_all(bytes);
            Connection::Closed
        }
        Welcome::SayAndHang(bytes) => {
            let _ = stream.write_all(bytes);
            Connection::Held { _socket: stream }
        }
    }
}

fn serve(stream: TcpStream, from: SocketAddr, server: &ServerCommand) -> Child {
    let output = stream.try_clone().expect("a socket can be duplicated");
    let mut command = server();
    command.stdin(Stdio::from(OwnedFd::from(stream))).stdout(Stdio::from(OwnedFd::from(output))).process_group(0);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?} for {from}: {error}"))
}
