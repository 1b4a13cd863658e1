//! What goes wrong in an SSH library by itself: writers that never wake, a channel that freezes its session, and
//! connections that are given up but stay.

use fleet_core::outcome::{FailureClass, Outcome, Stage};
use fleet_sandbox::Fault;
use fleet_ssh::{ExecEnd, ExecEvent, ExitReport, Session};
use futures::future::join_all;

use crate::support::{
    DEADLINE, Job, LIMIT, Witness, World, host, in_time, open, pattern, run_to_end, temporary_file_bytes, until,
};

/// More than a channel's window and all queues behind it.
const FLOOD_BYTES: u64 = 50_000_000;
/// What a host takes that has closed its input early, at the least.
const TAKEN_BYTES: u64 = 3_000_000;

/// Tasks of this test's runtime.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_waits_for_window_ends_when_the_command_does() {
    let world = World::one(&[Fault::CloseStdinEarly]).await;
    let session = world.session("web").await;
    let before = tasks();
    let mut exec = session.exec(b"until [ -e done ]; do sleep 0.05; done; exit 7").await.unwrap();
    let stdin = exec.stdin();
    let writer = tokio::spawn(async move {
        let mut taken = 0;
        while stdin.send(pattern(100_000).into()).await {
            taken += 1;
            assert!(taken < 1000, "a closed window takes everything");
        }
    });
    until("the window is used up", || world.stats("web").received_bytes > TAKEN_BYTES).await;
    assert!(!writer.is_finished());
    std::fs::write(world.sandbox.host("web").unwrap().home.join("done"), "").unwrap();
    let end = in_time("the command ends", exec.next()).await.unwrap();
    assert_eq!(end, ExecEvent::Ended(ExecEnd { exit: Some(ExitReport::Status(7)), refused: false }));
    in_time("the writer ends", writer).await.unwrap();
    until("no task is left", || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_leaves_its_input_ends_with_its_own_code() {
    let world = World::one(&[Fault::CloseStdinEarly]).await;
    let session = world.session("web").await;
    let home = world.sandbox.host("web").unwrap().home;
    let job = Job::new("until [ -e done ]; do sleep 0.05; done; exit 7").raw().with_input(pattern(10 << 20));
    let ending = async {
        until("the window is used up", || world.stats("web").received_bytes > TAKEN_BYTES).await;
        std::fs::write(home.join("done"), "").unwrap();
    };
    let ((outcome, _), ()) = tokio::join!(job.watch(&session), ending);
    assert_eq!(outcome, Outcome::Exited(7));
    assert_eq!(run_to_end(&session, "echo fine").await.1.text(), "fine\n", "the session goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_beyond_what_a_command_reads_is_no_failure() {
    let world = World::one(&[]).await;
    let job = Job::new("head -c 1000 | wc -c").with_input(pattern(10 << 20));
    let (outcome, output) = job.watch(&world.session("web").await).await;
    assert_eq!((outcome, output.text().trim()), (Outcome::Exited(0), "1000"));
}

/// Starts a command on `session` that floods a channel which nobody reads, and returns when all of it is on its way.
async fn flood(world: &World, name: &str, session: &Session) -> fleet_ssh::Exec {
    let before = world.stats(name).sent_bytes;
    let exec = session.exec(format!("head -c {FLOOD_BYTES} /dev/zero; sleep 1000").as_bytes()).await.unwrap();
    until("the host has sent it all", || world.stats(name).sent_bytes > before + FLOOD_BYTES).await;
    exec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_reads_stops_no_other_and_no_keep_alive() {
    let world = World::one(&[]).await;
    let connector = world.connector(&["ServerAliveInterval=1", "ServerAliveCountMax=2"]);
    let session = open(&connector, "web").await.unwrap();
    let flood = flood(&world, "web", &session).await;
    assert_eq!(run_to_end(&session, "echo fine").await.1.text(), "fine\n");
    // Nothing is said any more but keep-alives; windows have been granted already.
    for _ in 0..2 {
        let before = world.stats("web").received_bytes;
        until("a keep-alive arrives", || world.stats("web").received_bytes > before).await;
    }
    assert!(!session.is_closed());
    drop(flood);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_yet_waits_on_disk_and_comes_in_order() {
    let world = World::one(&[]).await;
    let session = world.session("web").await;
    let bytes = pattern(64 << 20);
    std::fs::write(world.sandbox.host("web").unwrap().home.join("bytes"), &bytes).unwrap();
    let mut exec = session.exec(b"cat bytes").await.unwrap();
    // Other tests keep far less than that.
    until("most of it is on disk", || temporary_file_bytes() > (60 << 20)).await;
    let mut output = Vec::new();
    let end = loop {
        match in_time("output", exec.next()).await.unwrap() {
            ExecEvent::Output(_, piece) => output.extend_from_slice(&piece),
            ExecEvent::Ended(end) => break end,
        }
    };
    assert_eq!(end.exit, Some(ExitReport::Status(0)));
    assert!(output == bytes, "{} bytes came", output.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_floods_us_stops_no_other_behind_the_same_jump_host() {
    let world = World::new("jump=1,web=2", &[]).await;
    let connector = world.connector_within(DEADLINE, &["ProxyJump=jump"]);
    let flooding = open(&connector, "web1").await.unwrap();
    let flood = flood(&world, "web1", &flooding).await;
    let session = open(&connector, "web2").await.unwrap();
    assert_eq!(run_to_end(&session, "echo fine").await.1.text(), "fine\n");
    assert_eq!(world.stats("jump").connections, 1);
    drop(flood);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_in_key_exchange_leaves_neither_task_nor_connection() {
    let world = World::new("web=30", &[("web", Fault::HangKex)]).await;
    let connector = world.connector_within(LIMIT, &[]);
    let before = tasks();
    let hosts = world.hosts("web");
    for result in join_all(hosts.iter().map(|host| open(&connector, host.name()))).await {
        let error = result.err().unwrap();
        assert_eq!((error.stage, error.class), (Stage::KeyExchange, FailureClass::Timeout), "{error}");
    }
    let open_connections = || hosts.iter().map(|host| world.stats(host.name()).open_connections).sum::<u64>();
    until("all connections are closed", || open_connections() == 0).await;
    until("no task is left", || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_that_is_given_up_leaves_neither_task_nor_connection() {
    for (fault, said) in [(Fault::Silent, 0), (Fault::HangKex, 1)] {
        let world = World::one(&[fault]).await;
        let connector = world.connector(&[]);
        let before = tasks();
        let connecting = tokio::spawn(async move {
            let _ = connector.connect(&host("web"), &Witness::default()).await;
        });
        let sent = || world.stats("web").open_connections == 1 && world.stats("web").sent_bytes >= said;
        until("the host has said what it says", sent).await;
        connecting.abort();
        until("the connection is closed", || world.stats("web").open_connections == 0).await;
        until("no task is left", || tasks() <= before).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_dropped_leaves_neither_task_nor_connection() {
    let world = World::one(&[]).await;
    let before = tasks();
    let session = world.session("web").await;
    let flood = session.exec(b"yes").await.unwrap();
    drop(session);
    until("the connection is closed", || world.stats("web").open_connections == 0).await;
    drop(flood);
    until("no task is left", || tasks() <= before).await;
}
