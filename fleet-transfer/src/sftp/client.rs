//! A client of SFTP: many questions on their way at once, each answered to the one who asked.
//!
//! What moves the bytes is the [`Driver`], to be polled beside whatever asks: no task of its own outlives the work. Must not
//! know files, nor what carries the bytes.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::outcome::{FailureClass, HostError, Stage};
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::time::Instant;

use super::answer::{Answer, Extensions, Refusal, Violation};
use super::conversation::{Conversation, Said};
use super::packet::{Fields, LIMITS, Request, hello};

/// How many questions are worth having on their way, and all that those who ask should have: with 32 KiB each they fill the
/// window that OpenSSH gives a channel, 2 MiB.
pub(super) const MAX_ASKED: usize = 64;
/// The length of a read or a write that every server takes (draft-ietf-secsh-filexfer-02, section 3).
pub(super) const PIECE_LEN: u32 = 32 * 1024;

/// Takes bytes to the server.
pub trait Uplink: Send + Sync {
    /// Sends them, or waits until it can; `false` when the server takes no more.
    fn send(&self, bytes: Bytes) -> impl Future<Output = bool> + Send;
}

/// Brings bytes from the server.
pub trait Downlink: Send {
    /// The next bytes; `None` behind the last.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Bytes>, HostError>> + Send;
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SftpError {
    /// The server says no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection is gone; the [`Driver`] knows why.
    #[error("the connection ended")]
    Gone,
    /// The answer makes no sense.
    #[error("the server answers with {0}")]
    Nonsense(&'static str),
}

/// Asks a server. Clones share the connection.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

/// Moves the bytes between a [`Client`] and its server. When it is dropped, nothing is answered any more.
pub struct Driver<U, D> {
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedReceiver<Bytes>,
    uplink: U,
    downlink: D,
}

struct Shared {
    /// `None` when the driver is gone.
    conversation: Mutex<Option<Conversation<Waiting>>>,
    outgoing: mpsc::UnboundedSender<Bytes>,
    extensions: SetOnce<Extensions>,
    piece_len: OnceLock<u32>,
    last_heard: Mutex<Instant>,
}

/// Who waits for an answer.
type Waiting = oneshot::Sender<Result<Answer, Refusal>>;

/// A client, and what moves its bytes.
#[must_use]
pub fn connect<U: Uplink, D: Downlink>(uplink: U, downlink: D) -> (Client, Driver<U, D>) {
    let (sender, outgoing) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        conversation: Mutex::new(Some(Conversation::default())),
        outgoing: sender,
        extensions: SetOnce::new(),
        piece_len: OnceLock::new(),
        last_heard: Mutex::new(Instant::now()),
    });
    (Client(Arc::clone(&shared)), Driver { shared, outgoing, uplink, downlink })
}

impl Client {
    /// The first thing to do: tells the server who we are, and hears what it can.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn greet(&self) -> Result<(), SftpError> {
        self.0.outgoing.send(hello()).map_err(|_| SftpError::Gone)?;
        self.0.extensions.wait().await;
        let len = if self.has(LIMITS) { self.longest_write().await? } else { PIECE_LEN };
        let _ = self.0.piece_len.set(len);
        Ok(())
    }

    /// The longest write that is worth it; some servers take less than the draft wants.
    async fn longest_write(&self) -> Result<u32, SftpError> {
        let Answer::Extended(reply) = self.ask(Request::Limits).await? else { return Ok(PIECE_LEN) };
        let mut fields = Fields(reply);
        let limits = (fields.u64(), fields.u64(), fields.u64());
        let (Some(_packet), Some(read), Some(write)) = limits else { return Ok(PIECE_LEN) };
        // 0 is no limit.
        let limits = [read, write].into_iter().filter(|limit| *limit > 0);
        let least = limits.chain([u64::from(PIECE_LEN)]).min().unwrap_or_default();
        Ok(u32::try_from(least).unwrap_or(PIECE_LEN))
    }

    /// Whether the server has this extension.
    #[must_use]
    pub fn has(&self, extension: &str) -> bool {
        self.0.extensions.get().is_some_and(|known| known.contains_key(extension.as_bytes()))
    }

    /// How many bytes are read or written at once.
    #[must_use]
    pub fn piece_len(&self) -> u32 {
        self.0.piece_len.get().copied().unwrap_or(PIECE_LEN)
    }

    /// Asks, and waits for the answer. When the future is dropped, the question may still be answered.
    pub(super) async fn ask(&self, request: Request<'_>) -> Result<Answer, SftpError> {
        let (sender, answer) = oneshot::channel();
        {
            let mut conversation = self.0.conversation();
            let conversation = conversation.as_mut().ok_or(SftpError::Gone)?;
            if conversation.is_idle() {
                self.0.heard();
            }
            let bytes = conversation.ask(request, sender);
            self.0.outgoing.send(bytes).map_err(|_| SftpError::Gone)?;
        }
        answer.await.map_err(|_| SftpError::Gone)?.map_err(SftpError::Refused)
    }

    /// Waits until the server has owed an answer for so long without saying anything.
    pub async fn until_stalled(&self, limit: Duration) {
        loop {
            let owes = self.0.conversation().as_ref().is_some_and(|conversation| !conversation.is_idle());
            let silence = if owes { lock(&self.0.last_heard).elapsed() } else { Duration::ZERO };
            if silence >= limit {
                return;
            }
            tokio::time::sleep(limit - silence).await;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("piece_len", &self.piece_len()).finish_non_exhaustive()
    }
}

impl<U: Uplink, D: Downlink> Driver<U, D> {
    /// Moves bytes for as long as the connection holds. Safe to cancel only together with all who wait for answers.
    ///
    /// # Errors
    /// Always: the end of the connection is one, or the server breaks the rules.
    pub async fn drive(&mut self) -> HostError {
        let Self { shared, outgoing, uplink, downlink } = self;
        let sending = async {
            while let Some(bytes) = outgoing.recv().await {
                if !uplink.send(bytes).await {
                    break;
                }
            }
            // The end is told by what comes, or does not.
            std::future::pending().await
        };
        let receiving = async {
            loop {
                match downlink.receive().await {
                    Ok(Some(bytes)) => {
                        if let Err(violation) = shared.hear(&bytes) {
                            break broken(&violation);
                        }
                    }
                    Ok(None) => break ended(),
                    Err(error) => break error,
                }
            }
        };
        tokio::select! {
            error = receiving => error,
            error = sending => error,
        }
    }
}

impl<U, D> Drop for Driver<U, D> {
    fn drop(&mut self) {
        *self.shared.conversation() = None;
    }
}

impl<U, D> fmt::Debug for Driver<U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Shared {
    fn conversation(&self) -> MutexGuard<'_, Option<Conversation<Waiting>>> {
        lock(&self.conversation)
    }

    fn heard(&self) {
        *lock(&self.last_heard) = Instant::now();
    }

    /// Passes on what `bytes` complete.
    fn hear(&self, bytes: &[u8]) -> Result<(), Violation> {
        self.heard();
        let mut conversation = self.conversation();
        let Some(conversation) = conversation.as_mut() else { return Ok(()) };
        conversation.receive(bytes);
        while let Some(said) = conversation.next()? {
            match said {
                // Whoever waited may have lost interest.
                Said::Answer(waiting, answer) => drop(waiting.send(answer)),
                Said::Hello(extensions) => drop(self.extensions.set(extensions)),
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(violation: &Violation) -> HostError {
    let text = format!("the sftp server breaks the protocol: {violation}");
    HostError::new(Stage::Command, FailureClass::Channel, text)
        .with_hint("start-up files of the login shell must print nothing where there is no terminal")
}

fn ended() -> HostError {
    HostError::new(Stage::Command, FailureClass::Lost, "the sftp server ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client sent, and a way to answer it.
    struct Server {
        requests: mpsc::UnboundedReceiver<Bytes>,
        answers: Option<mpsc::UnboundedSender<Bytes>>,
    }

    struct Up(mpsc::UnboundedSender<Bytes>);
    struct Down(mpsc::UnboundedReceiver<Bytes>);

    impl Uplink for Up {
        async fn send(&self, bytes: Bytes) -> bool {
            self.0.send(bytes).is_ok()
        }
    }

    impl Downlink for Down {
        async fn receive(&mut self) -> Result<Option<Bytes>, HostError> {
            Ok(self.0.recv().await)
        }
    }

    impl Server {
        async fn request(&mut self) -> Bytes {
            self.requests.recv().await.unwrap()
        }

        fn say(&self, bytes: &'static [u8]) {
            self.answers.as_ref().unwrap().send(Bytes::from_static(bytes)).unwrap();
        }
    }

    fn pair() -> (Client, Driver<Up, Down>, Server) {
        let (up, requests) = mpsc::unbounded_channel();
        let (answers, down) = mpsc::unbounded_channel();
        let (client, driver) = connect(Up(up), Down(down));
        (client, driver, Server { requests, answers: Some(answers) })
    }

    const HELLO: &[u8] = b"\0\0\0\x05\x02\0\0\0\x03";
    const DONE: &[u8] = b"\0\0\0\x09\x65\0\0\0\0\0\0\0\0";

    #[tokio::test]
    async fn a_server_without_extensions_is_asked_for_none() {
        let (client, mut driver, mut server) = pair();
        let work = async {
            let (greeted, ()) = tokio::join!(client.greet(), async {
                assert_eq!(server.request().await, hello());
                server.say(HELLO);
            });
            greeted.unwrap();
            assert_eq!((client.has(LIMITS), client.piece_len()), (false, PIECE_LEN));
            let (removed, ()) = tokio::join!(client.remove(b"x"), async {
                server.request().await;
                server.say(DONE);
            });
            removed.unwrap();
        };
        tokio::select! {
            () = work => {}
            error = driver.drive() => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_server_that_takes_little_at_once_gets_little() {
        for (write, expected) in [(1000, 1000), (0, PIECE_LEN), (u64::MAX, PIECE_LEN)] {
            let (client, mut driver, mut server) = pair();
            let limits = [1 << 20, 1 << 20, write, 0].map(u64::to_be_bytes).concat();
            let reply = [&(37_u32.to_be_bytes())[..], &[201, 0, 0, 0, 0], &limits].concat();
            let work = async {
                let (greeted, ()) = tokio::join!(client.greet(), async {
                    server.say(b"\0\0\0\x20\x02\0\0\0\x03\0\0\0\x12limits@openssh.com\0\0\0\x011");
                    server.request().await;
                    server.request().await;
                    server.say(reply.leak());
                });
                greeted.unwrap();
            };
            tokio::select! {
                () = work => {}
                error = driver.drive() => panic!("{error}"),
            }
            assert_eq!(client.piece_len(), expected, "{write}");
        }
    }

    #[tokio::test]
    async fn the_end_of_the_connection_and_broken_rules_end_the_work() {
        let (_client, mut driver, mut server) = pair();
        server.answers = None;
        assert_eq!(driver.drive().await, ended());
        for words in [&b"Welcome to web1!"[..], b"\0\0\0\x05\x65\0\0\0\x03"] {
            let (_client, mut driver, server) = pair();
            server.say(words);
            let error = driver.drive().await;
            assert_eq!(error.class, FailureClass::Channel, "{error}");
            assert!(error.message.starts_with("the sftp server breaks the protocol: it a"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_driver_that_is_gone() {
        let (client, driver, _server) = pair();
        drop(driver);
        assert_eq!(client.remove(b"x").await, Err(SftpError::Gone));
        let (client, driver, mut server) = pair();
        let (removed, ()) = tokio::join!(client.remove(b"x"), async {
            server.requests.close();
            drop(driver);
        });
        assert_eq!(removed, Err(SftpError::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_only_while_an_answer_is_owed() {
        const LIMIT: Duration = Duration::from_secs(10);
        let (client, mut driver, mut server) = pair();
        server.say(HELLO);
        let start = Instant::now();
        let work = async {
            tokio::time::sleep(Duration::from_secs(105)).await;
            let (removed, ()) = tokio::join!(client.remove(b"x"), async {
                server.request().await;
                tokio::time::sleep(Duration::from_secs(9)).await;
                server.say(DONE);
            });
            removed.unwrap();
            client.remove(b"y").await.unwrap();
        };
        let stalled = client.until_stalled(LIMIT);
        tokio::select! {
            () = work => panic!("nobody has answered"),
            error = driver.drive() => panic!("{error}"),
            () = stalled => {}
        }
        let waited = start.elapsed();
        assert!((Duration::from_secs(124)..Duration::from_secs(125)).contains(&waited), "{waited:?}");
    }
}
