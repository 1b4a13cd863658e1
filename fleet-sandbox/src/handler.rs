//! The SSH requests of one connection, and what each starts.
//!
//! Answers are given in the callback itself: the library keeps one "wants a reply" per channel, which the next request
//! overwrites. Data is taken from the callback too, never from the library's channel queue, which would block the whole
//! connection when full: see [`crate::spool`].
//!
//! Must not know how commands, forwards and files work.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Disconnect, Error, Pty as Mode, Sig};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::channel::Output;
use crate::command::{Input, Process, Request, Work};
use crate::fault::{Fault, FaultSet};
use crate::fleet::Fleet;
use crate::folder::make_home;
use crate::forward;
use crate::host::Host;
use crate::pty::{Size, Terminal};
use crate::running::RunningCommand;
use crate::sftp;
use crate::spool::Spool;

/// Most variables that a client may set for one command.
const ENVIRONMENT_LIMIT: usize = 1024;
/// A target window that the library never finds half empty: it grants no more.
const NO_MORE_WINDOW: u32 = 1;

/// One client's SSH session. Its end ends all that it started.
pub(crate) struct Connection {
    host: Arc<Host>,
    fleet: Arc<Fleet>,
    faults: FaultSet,
    client: SocketAddr,
    /// Ends the connection from outside the session.
    cut: CancellationToken,
    user: String,
    handle: Option<oneshot::Receiver<Handle>>,
    channels: HashMap<ChannelId, OpenChannel>,
    /// For sessions that may be open at once.
    places: Arc<Semaphore>,
}

/// A channel from its opening to its close.
struct OpenChannel {
    /// Of a session, until what was started there has ended.
    place: Option<OwnedSemaphorePermit>,
    input: Arc<Spool>,
    closed: CancellationToken,
    /// Until something is started that sends.
    sender: Option<ChannelWriteHalf<Msg>>,
    environment: Vec<(String, String)>,
    terminal: Option<Terminal>,
    running: Option<RunningCommand>,
}

impl Connection {
    /// The handle of the session comes through `handle` once the session has begun.
    pub(crate) fn new(
        host: Arc<Host>,
        fleet: Arc<Fleet>,
        faults: FaultSet,
        client: SocketAddr,
        cut: CancellationToken,
        handle: oneshot::Receiver<Handle>,
    ) -> Self {
        let (user, handle, channels) = (String::new(), Some(handle), HashMap::new());
        let limit = faults.find(|fault| match fault {
            Fault::SessionLimit(sessions) | Fault::SessionQuota(sessions) => Some(*sessions),
            _ => None,
        });
        let places = Arc::new(Semaphore::new(limit.unwrap_or(Semaphore::MAX_PERMITS)));
        Self { host, fleet, faults, client, cut, user, handle, channels, places }
    }

    fn judge(&self, key: &PublicKey) -> Auth {
        if !self.faults.has(Fault::AuthRefused) && *key.key_data() == self.fleet.user_key {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }

    fn add_channel(&mut self, channel: Channel<Msg>, place: Option<OwnedSemaphorePermit>) {
        let id = channel.id();
        let (_, sender) = channel.split();
        let channel = OpenChannel {
            place,
            input: Arc::default(),
            closed: self.cut.child_token(),
            sender: Some(sender),
            environment: Vec::new(),
            terminal: None,
            running: None,
        };
        self.channels.insert(id, channel);
    }

    fn output(&mut self, id: ChannelId, session: &Session, faults: FaultSet) -> Option<(Arc<Spool>, Output)> {
        let channel = self.channels.get_mut(&id)?;
        let sender = channel.sender.take()?;
        let output = Output::new(sender, session.handle(), channel.closed.clone(), self.cut.clone(), faults);
        Some((channel.input.clone(), output))
    }

    /// Starts a command, or a shell when there is none; `None` when the channel is already in use, the system has no
    /// process left, or a simulated host is to run a shell.
    fn start(&mut self, id: ChannelId, command: Option<Vec<u8>>, session: &Session) -> Option<()> {
        let (input, output) = self.output(id, session, self.faults.clone())?;
        let channel = self.channels.get_mut(&id)?;
        let request = Request {
            command,
            environment: std::mem::take(&mut channel.environment),
            terminal: channel.terminal.take(),
            input: if self.faults.has(Fault::CloseStdinEarly) { Input::Discarded } else { Input::Given },
            user: self.user.clone(),
            connection: connection_variable(self.client, self.host.address),
            place: channel.place.take(),
        };
        let (running, work) = match &self.host.simulation {
            Some(simulation) => request.simulate(simulation, &self.host.home, input, output)?,
            None => self.start_process(request, input, output)?,
        };
        self.channels.get_mut(&id)?.running = Some(running);
        let host = self.host.clone();
        host.counters.execs.add(1);
        host.counters.running.add(1);
        self.fleet.tasks.spawn(async move {
            work.await;
            host.counters.running.subtract(1);
        });
        Some(())
    }

    fn start_process(&self, mut request: Request, input: Arc<Spool>, output: Output) -> Option<(RunningCommand, Work)> {
        let place = request.place.take();
        let mut process = match Process::start(&self.host, request) {
            Ok(process) => process,
            Err(error) => {
                tracing::warn!(host = self.host.name, %error, "a command was not started");
                return None;
            }
        };
        self.fleet.groups.insert(process.group());
        let running = RunningCommand::Group { group: process.group(), terminal: process.take_terminal() };
        let fleet = self.fleet.clone();
        Some((running, Box::pin(async move { process.run(input, output, place, &fleet.groups).await })))
    }

    fn start_sftp(&mut self, id: ChannelId, session: &Session) -> Option<()> {
        let (input, output) = self.output(id, session, self.faults.clone())?;
        // That of a simulated host is not there yet.
        make_home(&self.host.home).ok()?;
        self.host.counters.execs.add(1);
        let place = self.channels.get_mut(&id)?.place.take();
        let serving = sftp::serve(input, output, self.host.home.clone());
        self.fleet.tasks.spawn(async move {
            serving.await;
            drop(place);
        });
        Some(())
    }
}

/// `SSH_CONNECTION` as sshd sets it.
fn connection_variable(client: SocketAddr, server: SocketAddr) -> String {
    format!("{} {} {} {}", client.ip(), client.port(), server.ip(), server.port())
}

fn answer(session: &mut Session, id: ChannelId, done: Option<()>) -> Result<(), Error> {
    match done {
        Some(()) => session.channel_success(id),
        None => session.channel_failure(id),
    }
}

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.closed.cancel();
        self.input.close();
    }
}

impl Handler for Connection {
    type Error = Error;

    /// The one callback between the client's first packet after the key exchange and its first attempt to log in.
    async fn authentication_banner(&mut self) -> Result<Option<String>, Error> {
        if self.faults.has(Fault::TooManyAuthFailures)
            && let Some(handle) = self.handle.take()
            && let Ok(handle) = handle.await
        {
            let text = "Too many authentication failures".to_owned();
            handle.disconnect(Disconnect::ProtocolError, text, String::new()).await?;
        }
        Ok(None)
    }

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Error> {
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.host.counters.auth_attempts.add(1);
        Ok(self.judge(offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let auth = self.judge(key.public_key);
        if auth == Auth::Accept {
            user.clone_into(&mut self.user);
            self.host.counters.logins.add(1);
        }
        Ok(auth)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if self.faults.has(Fault::RefuseSession) {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // The reason that OpenSSH gives.
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        let is_spent = self.faults.find(|fault| matches!(fault, Fault::SessionQuota(_)).then_some(())).is_some();
        let place = if is_spent {
            place.forget();
            None
        } else {
            Some(place)
        };
        self.host.counters.sessions.add(1);
        self.add_channel(channel, place);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let Some(target) = forward::resolve(&self.fleet, host, port) else {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        let id = channel.id();
        self.add_channel(channel, None);
        let Some((input, output)) = self.output(id, session, FaultSet::default()) else { return Ok(()) };
        let counters_of = self.host.clone();
        self.fleet.tasks.spawn(async move {
            tokio::select! {
                connected = TcpStream::connect(target) => match connected {
                    Ok(target) => {
                        counters_of.counters.forwards.add(1);
                        reply.accept().await;
                        forward::join(input, output, target).await;
                    }
                    Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
                },
                () = output.closed() => {}
            }
        });
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Error> {
        match self.channels.get(&id) {
            Some(channel) => Ok(channel.input.push(data)?),
            None => Ok(()),
        }
    }

    fn adjust_window(&mut self, _id: ChannelId, current: u32) -> u32 {
        if self.faults.has(Fault::CloseStdinEarly) { NO_MORE_WINDOW } else { current }
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        if let Some(channel) = self.channels.get(&id) {
            channel.input.close();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.channels.remove(&id);
        Ok(())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let is_sound = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        let channel = self.channels.get_mut(&id).filter(|channel| channel.environment.len() < ENVIRONMENT_LIMIT);
        let done = channel.filter(|_| is_sound).map(|channel| {
            channel.environment.push((name.to_owned(), value.to_owned()));
        });
        answer(session, id, done)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width_pixels: u32,
        height_pixels: u32,
        modes: &[(Mode, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let size = Size { columns, rows, width_pixels, height_pixels };
        let terminal = Terminal { term: term.replace('\0', ""), size, modes: modes.to_vec() };
        let channel = self.channels.get_mut(&id).filter(|_| self.host.simulation.is_none());
        let done = channel.map(|channel| channel.terminal = Some(terminal));
        answer(session, id, done)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width_pixels: u32,
        height_pixels: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        let running = self.channels.get(&id).and_then(|channel| channel.running.as_ref());
        let size = Size { columns, rows, width_pixels, height_pixels };
        answer(session, id, running.and_then(|running| running.resize(size)))
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        let done = if self.faults.has(Fault::RefuseExec) { None } else { self.start(id, None, session) };
        answer(session, id, done)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Error> {
        let is_refused = self.faults.has(Fault::RefuseExec) || command.contains(&0);
        let done = if is_refused { None } else { self.start(id, Some(command.to_vec()), session) };
        answer(session, id, done)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        let is_known = name == "sftp" && !self.faults.has(Fault::RefuseExec);
        let done = if is_known { self.start_sftp(id, session) } else { None };
        answer(session, id, done)
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, session: &mut Session) -> Result<(), Error> {
        if self.faults.has(Fault::NoSignal) {
            return Ok(());
        }
        let running = self.channels.get(&id).and_then(|channel| channel.running.as_ref());
        answer(session, id, running.and_then(|running| running.signal(&signal)))
    }
}
