//! A small SSH client, which records what a server says in the order in which it is said.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet_sandbox::{Sandbox, SandboxHost};
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{Channel, ChannelMsg, Disconnect};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

/// What the client's session was told outside its channels.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) host_key: Mutex<Option<String>>,
    pub(crate) disconnect: Mutex<Option<String>>,
}

pub(crate) struct Recorder(Arc<Notes>);

impl client::Handler for Recorder {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            *self.0.host_key.lock().unwrap() = Some(key.fingerprint(HashAlg::Sha256).to_string());
        }
        Ok(true)
    }

    async fn disconnected(&mut self, reason: client::DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        *self.0.disconnect.lock().unwrap() = Some(format!("{reason:?}"));
        Ok(())
    }
}

/// A client's view of one host.
pub(crate) struct Client {
    pub(crate) handle: Handle<Recorder>,
    pub(crate) notes: Arc<Notes>,
}

/// All that came on a channel until it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Kinds of messages, each once per run of the same kind.
    pub(crate) order: Vec<&'static str>,
    pub(crate) code: Option<u32>,
    pub(crate) signal: Option<String>,
}

pub(crate) async fn connect(host: &SandboxHost) -> Result<Client, russh::Error> {
    let notes = Arc::new(Notes::default());
    let config = Arc::new(client::Config::default());
    let connecting = client::connect(config, host.address, Recorder(notes.clone()));
    let handle = timeout(DEADLINE, connecting).await.expect("the connection takes too long")?;
    Ok(Client { handle, notes })
}

pub(crate) async fn log_in(sandbox: &Sandbox, name: &str) -> Client {
    let mut client = connect(&sandbox.host(name).unwrap()).await.unwrap();
    let result = authenticate(sandbox, &mut client).await.unwrap();
    assert!(result.success(), "the login to {name} failed: {result:?}");
    client
}

pub(crate) async fn sandbox(roles: &str) -> (TempDir, Sandbox) {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder(dir.path()).roles(roles.parse().unwrap()).start().await.unwrap();
    (dir, sandbox)
}

/// Waits for `condition`, which nothing announces.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn authenticate(sandbox: &Sandbox, client: &mut Client) -> Result<AuthResult, russh::Error> {
    let key = load_secret_key(sandbox.user_key_path(), None).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    timeout(DEADLINE, client.handle.authenticate_publickey("somebody", key)).await.expect("the login takes too long")
}

impl Client {
    pub(crate) async fn session(&self) -> Channel<Msg> {
        timeout(DEADLINE, self.handle.channel_open_session()).await.expect("no answer").unwrap()
    }

    /// Runs `command` without input.
    pub(crate) async fn run(&self, command: &str) -> Answer {
        let channel = self.start(command).await;
        channel.eof().await.unwrap();
        read(channel).await
    }

    pub(crate) async fn start(&self, command: &str) -> Channel<Msg> {
        let channel = self.session().await;
        channel.exec(false, command).await.unwrap();
        channel
    }

    pub(crate) async fn leave(self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
        let _ = timeout(DEADLINE, self.handle).await;
    }
}

/// Reads until the channel or the connection ends.
pub(crate) async fn read(mut channel: Channel<Msg>) -> Answer {
    let mut answer = Answer::default();
    while let Some(message) = timeout(DEADLINE, channel.wait()).await.expect("the channel does not end") {
        answer.note(message);
    }
    answer
}

impl Answer {
    pub(crate) fn note(&mut self, message: ChannelMsg) {
        let kind = match message {
            ChannelMsg::Data { data } => {
                self.stdout.extend_from_slice(&data);
                "data"
            }
            ChannelMsg::ExtendedData { data, ext: 1 } => {
                self.stderr.extend_from_slice(&data);
                "stderr"
            }
            ChannelMsg::ExitStatus { exit_status } => {
                self.code = Some(exit_status);
                "exit-status"
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.signal = Some(format!("{signal_name:?}"));
                "exit-signal"
            }
            ChannelMsg::Eof => "eof",
            ChannelMsg::Close => "close",
            ChannelMsg::Success => "success",
            ChannelMsg::Failure => "failure",
            _ => return,
        };
        if self.order.last() != Some(&kind) {
            self.order.push(kind);
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}
