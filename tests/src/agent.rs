//! An ssh-agent of a test, and a double in front of it that counts, hangs up or hangs.
//!
//! Must not know what keys are for.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::env::TestEnv;
use crate::tools::{program, run_to_end};

/// How long [`Manner::AwaitCrowd`] waits for more sockets than there may be.
const CROWD_PATIENCE: Duration = Duration::from_secs(2);
/// A request for a signature (draft-ietf-sshm-ssh-agent, section 6.1).
const SIGN_REQUEST: u8 = 13;

/// An ssh-agent. Ends when dropped.
pub struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    /// An agent without keys, at a socket of this name in the test's folder.
    ///
    /// # Panics
    /// When ssh-agent is missing or does not start.
    #[must_use]
    pub fn start(env: &TestEnv, name: &str) -> Self {
        let socket = env.path().join(name);
        let mut child = Command::new(program("ssh-agent"))
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent");
        // Its first line comes when the socket is there.
        let mut first = [0];
        child.stdout.as_mut().expect("stdout is piped").read_exact(&mut first).expect("ssh-agent starts");
        Self { child, socket }
    }

    /// The same with one more key, a file.
    ///
    /// # Panics
    /// When the agent does not take it.
    #[must_use]
    pub fn with_key(self, key: &Path) -> Self {
        run_to_end(Command::new(program("ssh-add")).arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket));
        self
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> String {
        self.socket.display().to_string()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an [`AgentDouble`] does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Passes everything on.
    Serve,
    /// Serves only when more sockets than this are open, or when there are not so many for a while.
    AwaitCrowd(usize),
    /// Hangs up at once.
    HangUp,
    /// Never answers.
    Hang,
    /// Lists the keys, and never signs.
    HangAtSignature,
}

/// Stands in front of an agent.
pub struct AgentDouble {
    socket: PathBuf,
    crowd: Arc<Crowd>,
}

#[derive(Default)]
struct Crowd {
    counts: Mutex<Counts>,
    grown: Condvar,
}

#[derive(Default)]
struct Counts {
    open: usize,
    most: usize,
}

impl AgentDouble {
    /// Treats each connection by its number (0 is the first) as `manners` says.
    ///
    /// # Panics
    /// When its socket cannot be made.
    #[must_use]
    pub fn before(agent: &Agent, manners: fn(usize) -> Manner) -> Self {
        let socket = agent.socket.with_extension("double");
        let listener = UnixListener::bind(&socket).expect("a socket in the test's folder");
        let double = Self { socket, crowd: Arc::default() };
        let (crowd, target) = (Arc::clone(&double.crowd), agent.socket.clone());
        // It ends with the test's process.
        thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let (crowd, target, manner) = (Arc::clone(&crowd), target.clone(), manners(number));
                crowd.enter();
                thread::spawn(move || {
                    let _ = serve(client, &target, manner, &crowd);
                    crowd.leave();
                });
            }
        });
        double
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> String {
        self.socket.display().to_string()
    }

    /// How many sockets were open at once at most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner).most
    }
}

impl Crowd {
    fn enter(&self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.open += 1;
        counts.most = counts.most.max(counts.open);
        self.grown.notify_all();
    }

    fn leave(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
    }

    fn wait_for_more_than(&self, count: usize) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.grown.wait_timeout_while(counts, CROWD_PATIENCE, |counts| counts.open <= count);
    }
}

fn serve(mut client: UnixStream, target: &Path, manner: Manner, crowd: &Crowd) -> io::Result<()> {
    match manner {
        Manner::HangUp => return client.shutdown(Shutdown::Both),
        Manner::AwaitCrowd(limit) => crowd.wait_for_more_than(limit),
        _ => {}
    }
    let mut agent = UnixStream::connect(target)?;
    loop {
        let request = read_message(&mut client)?;
        let hangs = manner == Manner::Hang || manner == Manner::HangAtSignature && request[4] == SIGN_REQUEST;
        if hangs {
            // Until the client hangs up.
            let _ = client.read(&mut [0])?;
            return Ok(());
        }
        agent.write_all(&request)?;
        client.write_all(&read_message(&mut agent)?)?;
    }
}

/// A message with its length in front.
fn read_message(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = length.to_vec();
    message.resize(4 + u32::from_be_bytes(length) as usize, 0);
    from.read_exact(&mut message[4..])?;
    Ok(message)
}
