//! An agent of our own that counts its sockets, hangs up or says nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures::future::join_all;
use russh::keys::{Algorithm, PrivateKey, key::safe_rng};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

// Message numbers of draft-ietf-sshm-ssh-agent, section 6.1.
const FAILURE: u8 = 5;
const IDENTITIES_ANSWER: u8 = 12;

/// What a [`Double`] does with a connection, by its number (0 is the first).
type Manners = fn(usize) -> Manner;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Lists no keys, and refuses to sign.
    Answer,
    HangUp,
    Silence,
}

/// An agent that answers a connection only when no further one is waiting to be accepted.
struct Double {
    agent: Arc<Agent>,
    accepted: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl Double {
    fn start(manners: Manners) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let (accepted, most_at_once) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        tokio::spawn(serve(listener, manners, Arc::clone(&accepted), Arc::clone(&most_at_once)));
        Self { agent: Arc::new(Agent::new(socket)), accepted, most_at_once, _folder: folder }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn serve(listener: UnixListener, manners: Manners, accepted: Arc<AtomicUsize>, most: Arc<AtomicUsize>) {
    let mut open = Vec::new();
    let mut silent = Vec::new();
    loop {
        let waiting = std::future::poll_fn(|context| Poll::Ready(pin!(listener.accept()).poll(context)));
        let next = match (waiting.await, open.is_empty()) {
            (Poll::Ready(connection), _) => connection.unwrap().0,
            (Poll::Pending, true) => listener.accept().await.unwrap().0,
            (Poll::Pending, false) => {
                most.fetch_max(open.len(), Ordering::SeqCst);
                answer(open.remove(0)).await;
                continue;
            }
        };
        match manners(accepted.fetch_add(1, Ordering::SeqCst)) {
            Manner::Answer => open.push(next),
            Manner::HangUp => drop(next),
            Manner::Silence => silent.push(next),
        }
    }
}

async fn answer(mut connection: UnixStream) {
    let length = connection.read_u32().await.unwrap();
    let mut request = vec![0; length as usize];
    connection.read_exact(&mut request).await.unwrap();
    let answer: &[u8] =
        if request[0] == 11 { &[0, 0, 0, 5, IDENTITIES_ANSWER, 0, 0, 0, 0] } else { &[0, 0, 0, 1, FAILURE] };
    connection.write_all(answer).await.unwrap();
}

fn identity() -> AgentIdentity {
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap().public_key().clone();
    AgentIdentity::PublicKey { key, comment: String::new() }
}

#[tokio::test]
async fn no_more_than_64_sockets_are_open_at_once() {
    let double = Double::start(|_| Manner::Answer);
    let (agent, identity) = (&double.agent, identity());
    let signing = join_all((0..200).map(|_| agent.sign(&identity, None, Vec::new())));
    let lending = join_all((0..200).map(|_| async {
        let mut socket = agent.lend().await.unwrap();
        AgentClient::connect(&mut socket.stream).request_identities().await.unwrap()
    }));
    let (signed, _) = tokio::join!(signing, lending);
    assert!(signed.iter().all(|signed| signed == &Err("it refused".to_owned())), "{signed:?}");
    assert_eq!(double.accepted(), 400);
    let most = double.most_at_once.load(Ordering::SeqCst);
    assert!((OWN_SOCKETS..=64).contains(&most), "{most}");
}

#[tokio::test]
async fn servers_that_keep_a_lent_socket_do_not_keep_us_from_signing() {
    let double = Double::start(|number| if number < LENT_SOCKETS { Manner::Silence } else { Manner::Answer });
    let _kept = join_all((0..LENT_SOCKETS).map(|_| double.agent.lend())).await;
    let identity = identity();
    let signing = double.agent.sign(&identity, None, Vec::new());
    let signed =
        tokio::time::timeout(Duration::from_secs(300), signing).await.expect("signing waits for a lent socket");
    assert_eq!(signed, Err("it refused".to_owned()));
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_asked_again() {
    let double = Double::start(|number| if number % 3 < 2 { Manner::HangUp } else { Manner::Answer });
    assert_eq!(double.agent.identities(None).await.unwrap().len(), 0);
    assert_eq!(double.accepted(), 3);
    assert_eq!(double.agent.sign(&identity(), None, Vec::new()).await, Err("it refused".to_owned()));
    assert_eq!(double.accepted(), 6);
}

#[tokio::test]
async fn an_agent_that_always_hangs_up_is_given_up() {
    let double = Double::start(|_| Manner::HangUp);
    assert_eq!(double.agent.identities(None).await.unwrap_err(), "it hung up 6 times");
    assert_eq!(double.agent.sign(&identity(), None, Vec::new()).await.unwrap_err(), "it hung up 6 times");
    assert_eq!(double.accepted(), 12);
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_asked_less_at_once() {
    let double = Double::start(|_| Manner::HangUp);
    let identity = identity();
    join_all((0..20).map(|_| double.agent.sign(&identity, None, Vec::new()))).await;
    assert!(double.agent.own.limit() < OWN_BOUNDS.start, "{}", double.agent.own.limit());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_costs_half_a_stage_and_is_waited_for_once() {
    let double = Double::start(|_| Manner::Silence);
    let started = Instant::now();
    for (limit, waited) in [(Some(2), 1), (Some(6), 4), (None, 10), (None, 10), (Some(6), 10)] {
        let limit = limit.map(Duration::from_secs);
        assert_eq!(double.agent.identities(limit).await.unwrap_err(), "it does not answer");
        assert_eq!(started.elapsed().as_secs(), waited, "{limit:?}");
    }
}
