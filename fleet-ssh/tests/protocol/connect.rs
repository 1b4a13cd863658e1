//! From a name to a session: every way in which a host may fail before it runs anything.

use std::sync::Arc;
use std::time::Duration;

use fleet_core::outcome::{FailureClass, HostError, Stage};
use fleet_sandbox::Fault;
use fleet_ssh::known_hosts::HostKeyPolicy;
use fleet_ssh::{ConnectObserver, ConnectSettings, Connector, NoPrompt};

use crate::support::{DEADLINE, Job, LIMIT, Witness, World, open, open_seen_by, until};

/// How connecting to a host with `faults` fails, when each stage may take a moment.
async fn failure(faults: &[Fault]) -> HostError {
    let world = World::one(faults).await;
    failure_in(&world).await
}

async fn failure_in(world: &World) -> HostError {
    match open(&world.connector_within(LIMIT, &[]), "web").await {
        Ok(_) => panic!("a session in spite of all"),
        Err(error) => error,
    }
}

fn assert_fails(error: &HostError, stage: Stage, class: FailureClass, message: &str) {
    assert_eq!((error.stage, error.class), (stage, class), "{error}");
    assert_eq!(error.message, message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_passes_through_every_stage_once() {
    let world = World::one(&[]).await;
    let witness = Witness::default();
    let connector = world.connector(&[]);
    let session = open_seen_by(&witness, &connector, "web").await;
    session.unwrap().disconnect().await;
    let stages = [Stage::Resolve, Stage::Connect, Stage::Banner, Stage::KeyExchange, Stage::Authenticate];
    assert_eq!(witness.stages(), stages);
    assert_eq!(witness.notes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listening_is_a_refused_connection() {
    let error = failure(&[Fault::Refuse]).await;
    assert_fails(&error, Stage::Connect, FailureClass::Refused, "connection refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_times_out_waiting_for_the_banner() {
    let error = failure(&[Fault::Silent]).await;
    assert_fails(&error, Stage::Banner, FailureClass::Timeout, "timed out after 1s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_ssh_server_is_quoted() {
    let world = World::one(&[Fault::GarbageBanner]).await;
    let error = failure_in(&world).await;
    let message = "not an SSH server (it says \"HTTP/1.1 400 Bad Request\")";
    assert_fails(&error, Stage::Banner, FailureClass::Banner, message);
    assert_eq!(world.stats("web").connections, 1, "trying again would not help");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_banner_is_waited_for_within_its_limit() {
    let world = World::one(&[Fault::SlowBanner(Duration::from_millis(300))]).await;
    let session = open(&world.connector_within(DEADLINE, &[]), "web").await.unwrap();
    assert!(!session.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_banner_beyond_its_limit_times_out() {
    let error = failure(&[Fault::SlowBanner(DEADLINE)]).await;
    assert_fails(&error, Stage::Banner, FailureClass::Timeout, "timed out after 1s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_exchanges_keys_times_out_there() {
    let error = failure(&[Fault::HangKex]).await;
    assert_fails(&error, Stage::KeyExchange, FailureClass::Timeout, "timed out after 1s");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_its_banner_fails_in_key_exchange_after_all_tries() {
    let world = World::one(&[Fault::CloseAfterBanner]).await;
    let error = open(&world.connector(&[]), "web").await.err().unwrap();
    let message = "connection closed by the server (6 tries)";
    assert_fails(&error, Stage::KeyExchange, FailureClass::KeyExchange, message);
    assert_eq!(world.stats("web").connections, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_dropped_before_login_are_tried_again() {
    let world = World::one(&[Fault::DropPreauth(2)]).await;
    let (connector, witness) = (world.connector_within(DEADLINE, &[]), Witness::default());
    let session = open_seen_by(&witness, &connector, "web").await.unwrap();
    assert_eq!(Job::new("echo up").watch(&session).await.1.text(), "up\n");
    let notes = witness.notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("banner: connection ") && notes[0].ends_with("; trying again (2 of 6)"), "{notes:?}");
    assert!(notes[1].ends_with("; trying again (3 of 6)"), "{notes:?}");
    assert_eq!((world.stats("web").connections, world.stats("web").logins), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_every_connection_fails_and_the_tries_are_said() {
    let world = World::one(&[Fault::DropPreauth(100)]).await;
    let error = open(&world.connector(&[]), "web").await.err().unwrap();
    assert_eq!((error.stage, error.class), (Stage::Banner, FailureClass::Banner), "{error}");
    assert!(error.message.ends_with(" (6 tries)"), "{error}");
    assert!(error.class.hint(error.stage).contains("MaxStartups"));
    assert_eq!(world.stats("web").connections, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_host_key_names_the_line_with_the_old_one_under_every_policy() {
    let world = World::new("other=1,web=1", &[("web", Fault::WrongHostKey)]).await;
    for policy in [None, Some(HostKeyPolicy::Strict), Some(HostKeyPolicy::AcceptNew), Some(HostKeyPolicy::Off)] {
        let settings = ConnectSettings { host_key: policy, ..world.settings(&[]) };
        let error = open(&Connector::new(settings, Arc::new(NoPrompt)), "web").await.err().unwrap();
        let message = format!("host key has changed ({}:2)", world.sandbox.known_hosts_path().display());
        assert_fails(&error, Stage::KeyExchange, FailureClass::HostKey, &message);
        assert!(error.hint.unwrap().contains("remove line 2 of "), "{policy:?}");
    }
    assert_eq!(world.stats("web").auth_attempts, 0, "nothing is told to a stranger");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_says_what_was_tried_and_what_the_server_accepts() {
    let world = World::one(&[Fault::AuthRefused]).await;
    let error = failure_in(&world).await;
    let key = world.sandbox.user_key_path();
    let message =
        format!("permission denied for user sandbox (tried key {}; the server accepts publickey)", key.display());
    assert_fails(&error, Stage::Authenticate, FailureClass::Auth, &message);
    assert_eq!((world.stats("web").connections, world.stats("web").auth_attempts), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_during_login_is_told_in_the_servers_words_and_not_as_a_wrong_key() {
    let world = World::one(&[Fault::TooManyAuthFailures]).await;
    for _ in 0..20 {
        let error = failure_in(&world).await;
        let key = world.sandbox.user_key_path();
        let message = format!("Too many authentication failures (tried key {})", key.display());
        assert_fails(&error, Stage::Authenticate, FailureClass::Auth, &message);
        let hint = error.hint.unwrap();
        assert!(hint.contains("--identity") && hint.contains("IdentitiesOnly"), "{hint}");
    }
}

/// Does something when the login is about to begin.
struct AtLogin<F>(F);

impl<F: Fn() + Send + Sync> ConnectObserver for AtLogin<F> {
    async fn stage(&self, stage: Stage) {
        if stage == Stage::Authenticate {
            self.0();
        }
    }

    async fn note(&self, _: String) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_during_login_is_not_a_wrong_key() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let connector = world.connector(&[&name, &port]);
    let error = open_seen_by(&AtLogin(|| relay.cut()), &connector, "web").await.err().unwrap();
    assert_eq!(error.stage, Stage::Authenticate);
    assert!(error.message.starts_with("connection "), "{error}");
    assert!(error.hint.unwrap().contains("neither accepted nor refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_hangs_times_out_there() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let connector = world.connector_within(LIMIT, &[&name, &port]);
    let error = open_seen_by(&AtLogin(|| relay.freeze()), &connector, "web").await.err().unwrap();
    assert_fails(&error, Stage::Authenticate, FailureClass::Timeout, "timed out after 1s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_no_failure() {
    let world = World::one(&[Fault::Latency(Duration::from_millis(50))]).await;
    let session = open(&world.connector_within(DEADLINE, &[]), "web").await.unwrap();
    let (outcome, output) = Job::new("cat; echo end").with_input(b"input\n".to_vec()).watch(&session).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(output.text(), "input\nend\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_says_good_bye_before_it_closes() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let session = open(&world.connector(&[&name, &port]), "web").await.unwrap();
    let before = relay.sent_by_client_bytes();
    session.disconnect().await;
    until("the connection is closed", || world.stats("web").open_connections == 0).await;
    assert!(relay.sent_by_client_bytes() > before, "closed without a word");
}
