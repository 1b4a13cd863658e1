//! Stopping: whatever ends a run early, no process is left on the host, and what is said of that is true.
//!
//! The sandbox itself ends the process group of a closed channel, so the commands here leave theirs with `setsid`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::fanout::{Signal, Signals};
use fleet_core::outcome::{FailureClass, LastOutput, Outcome, SkipCause, Stage, Stop, StopCause};
use fleet_core::render::Completion;
use fleet_sandbox::Fault;
use fleet_ssh::{OutputSink, Wrapping};
use futures::future::join_all;
use tokio::sync::Notify;

use crate::support::{
    DEADLINE, Input, Job, LIMIT, Marker, Recorder, RunCommand, Witness, World, fan_out, in_time, open, pattern,
    run_to_end, until,
};

/// Two processes: one in the command's own group, one in a session of its own without a part in the output. Both are
/// deaf to TERM.
const STUBBORN: &str = "trap '' TERM HUP; setsid sh -c '{}; true' >/dev/null 2>&1 & {} & echo go; wait";

fn stopped(cause: StopCause, stop: Stop) -> Outcome {
    Outcome::Stopped { cause, stop, output: LastOutput::Complete }
}

/// Stopped for certain, but nobody took the last of the output.
fn cut_short(cause: StopCause) -> Outcome {
    Outcome::Stopped { cause, stop: Stop::Confirmed, output: LastOutput::Cut }
}

/// Runs the stubborn command, which reads `input`, on a host with `faults` and cancels it once it sleeps. Returns the
/// outcome, what was remarked, and which of its processes are left.
async fn cancel_stubborn(faults: &[Fault], input: Option<Input>) -> (Outcome, Vec<String>, Marker) {
    let (world, marker, witness) = (World::one(faults).await, Marker::new(), Witness::default());
    let session = world.session("web").await;
    let job = Job { input, ..Job::new(marker.in_command(STUBBORN)) };
    let when = async {
        witness.heard("go").await;
        marker.sleeps(2).await;
    };
    let outcome = job.cancel_when(&session, &witness, when).await;
    (outcome, witness.notes(), marker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_leaves_no_process_and_says_so_whatever_the_server_allows() {
    let limits = [
        (None, &[][..]),
        (None, &[Fault::NoSignal]),
        // The command's own channel must end before there is another.
        (None, &[Fault::NoSignal, Fault::SessionLimit(1)]),
        (Some(reads_on()), &[Fault::NoSignal]),
        // The second channel is the keeper's.
        (Some(reads_on()), &[Fault::NoSignal, Fault::SessionQuota(2)]),
        (Some(reads_on()), &[Fault::SessionLimit(1)]),
        (Some(reads_on()), &[Fault::NoSignal, Fault::SessionLimit(1)]),
    ];
    for (input, faults) in limits {
        let (outcome, _, marker) = cancel_stubborn(faults, input.clone()).await;
        assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Confirmed), "{faults:?} {input:?}");
        marker.assert_gone();
    }
}

/// An input that the command does not read.
fn reads_on() -> Input {
    Input::Whole(Bytes::from_static(b"input"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_second_channel_what_is_not_known_is_said() {
    let prohibited = "no session: the server could not connect";
    for (input, faults, known) in [
        (None, &[Fault::SessionQuota(1)][..], "the command itself has ended, its children were not asked after"),
        (
            Some(reads_on()),
            &[Fault::SessionQuota(1)],
            "the command itself has ended, its children were not asked after",
        ),
        (Some(reads_on()), &[Fault::SessionQuota(1), Fault::NoSignal], "the command has not ended"),
    ] {
        let (outcome, _, _marker) = cancel_stubborn(faults, input.clone()).await;
        let stop = Stop::Unconfirmed(format!("{known}: {prohibited}"));
        assert_eq!(outcome, stopped(StopCause::Cancelled, stop), "{faults:?} {input:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_with_input_that_nobody_watches_over_is_remarked_on() {
    let text = "nobody watches over the command: if we die, it may run on (no session: the server could not connect)";
    for (limit, notes) in [(1, vec![text.to_owned()]), (2, vec![])] {
        assert_eq!(cancel_stubborn(&[Fault::SessionLimit(limit)], Some(reads_on())).await.1, notes, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeout_leaves_no_process() {
    let (world, marker) = (World::one(&[]).await, Marker::new());
    let limit = Duration::from_secs(2);
    let job = Job::new(marker.in_command(STUBBORN)).with_timeout(limit);
    let (outcome, output) = job.watch(&world.session("web").await).await;
    assert_eq!(outcome, stopped(StopCause::Timeout(limit), Stop::Confirmed));
    assert_eq!(output.text(), "go\n", "what came before is kept");
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_in_mid_output_leaves_no_process_and_keeps_what_came() {
    let (world, marker) = (World::one(&[Fault::StallOutput(100_000)]).await, Marker::new());
    let job = Job::new(marker.in_command("setsid {} & yes")).with_stall(LIMIT);
    let (outcome, output) = job.watch(&world.session("web").await).await;
    assert_eq!(outcome, stopped(StopCause::Stall(LIMIT), Stop::Confirmed));
    // The rest of what the host lets through is the wrapper's announcement.
    assert!(output.stdout.len() > 99_900, "{output:?}");
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_trickle_are_no_stall() {
    let world = World::one(&[]).await;
    let job = Job::new("for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done").with_stall(LIMIT + LIMIT);
    let (outcome, output) = job.watch(&world.session("web").await).await;
    assert_eq!((outcome, output.text()), (Outcome::Exited(0), "1\n2\n3\n4\n5\n6\n".to_owned()));
}

/// Takes its time over every chunk.
struct Slow(Duration);

impl OutputSink for Slow {
    async fn output(&self, _: Stream, _: Bytes) {
        tokio::time::sleep(self.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_we_spend_on_output_is_no_stall() {
    let world = World::one(&[]).await;
    let session = world.session("web").await;
    let (job, sink) = (Job::new("echo said").with_stall(LIMIT), Slow(LIMIT * 2));
    let runs = (0..4).map(|_| job.run(&session, &sink));
    assert_eq!(join_all(runs).await, vec![Outcome::Exited(0); 4]);
}

/// A terminal that is paused for ever.
#[derive(Default)]
struct Stuck(Notify);

impl OutputSink for Stuck {
    async fn output(&self, _: Stream, _: Bytes) {
        self.0.notify_one();
        std::future::pending().await
    }
}

/// Runs `job` before a terminal that is paused for ever, cancels it once it sleeps, and returns its outcome.
async fn cancel_before_stuck_terminal(job: Job, marker: &Marker) -> Outcome {
    let (world, sink) = (World::one(&[]).await, Stuck::default());
    let session = world.session("web").await;
    let when = async {
        sink.0.notified().await;
        marker.sleeps(1).await;
    };
    job.cancel_when(&session, &sink, when).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_works_while_nobody_takes_the_output() {
    let marker = Marker::new();
    let outcome = cancel_before_stuck_terminal(Job::new(marker.in_command("setsid {} & yes")), &marker).await;
    assert_eq!(outcome, cut_short(StopCause::Cancelled));
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeout_acts_while_nobody_takes_the_output() {
    let (world, marker, sink) = (World::one(&[]).await, Marker::new(), Stuck::default());
    let session = world.session("web").await;
    let job = Job::new(marker.in_command("setsid {} & yes")).with_timeout(LIMIT);
    let outcome = job.run(&session, &sink).await;
    assert_eq!(outcome, cut_short(StopCause::Timeout(LIMIT)));
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_has_ended_keeps_its_outcome_when_cancelled_behind_its_output() {
    let (world, sink) = (World::one(&[]).await, Stuck::default());
    let session = world.session("web").await;
    let job = Job::new("echo said; exit 3");
    let when = async {
        sink.0.notified().await;
        until("the command has ended", || world.stats("web").running == 0).await;
        // What is answered on the same connection comes after the exit status.
        run_to_end(&session, "true").await;
    };
    let outcome = job.cancel_when(&session, &sink, when).await;
    assert_eq!(outcome, Outcome::Exited(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_by_signal_is_confirmed_while_nobody_takes_the_output() {
    let marker = Marker::new();
    let job = Job::new(marker.in_command("echo go; echo went; exec {}")).raw();
    let outcome = cancel_before_stuck_terminal(job, &marker).await;
    assert_eq!(outcome, cut_short(StopCause::Cancelled));
    marker.gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_while_stopping_confirms_nothing() {
    let world = World::one(&[Fault::NoSignal]).await;
    for wrapping in [Wrapping::Shell, Wrapping::Raw] {
        let (marker, relay) = (Marker::new(), world.relay("web").await);
        let [name, port] = relay.options();
        let session = open(&world.connector(&[&name, &port]), "web").await.unwrap();
        let mut job = Job { wrapping, ..Job::new(marker.in_command("trap '' TERM HUP; {}; {}")) };
        job.limits.grace = DEADLINE * 10;
        let losing = async {
            marker.sleeps(1).await;
            let before = relay.sent_by_client_bytes();
            job.cancel.cancel();
            until("the stop is under way", || relay.sent_by_client_bytes() > before).await;
            relay.cut();
        };
        let ((outcome, _), ()) = tokio::join!(job.watch(&session), losing);
        let Outcome::Stopped { cause: StopCause::Cancelled, stop: Stop::Unconfirmed(known), .. } = &outcome else {
            panic!("{wrapping:?}: {outcome:?}");
        };
        assert!(known.starts_with("connection "), "{wrapping:?}: {known}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_works_while_the_command_does_not_read_its_input() {
    let (world, marker, witness) = (World::one(&[]).await, Marker::new(), Witness::default());
    let session = world.session("web").await;
    let job = Job::new(marker.in_command("echo go; setsid {} & {}; cat")).with_input(pattern(10 << 20));
    let when = async {
        witness.heard("go").await;
        marker.sleeps(2).await;
    };
    let outcome = job.cancel_when(&session, &witness, when).await;
    assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Confirmed));
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_input_cannot_be_read_to_its_end_is_stopped() {
    let (world, marker) = (World::one(&[]).await, Marker::new());
    let input = Some(Input::Broken(Bytes::from_static(b"half")));
    let job = Job { input, ..Job::new(marker.in_command("setsid {} & cat; {}")) };
    let (outcome, output) = job.watch(&world.session("web").await).await;
    let Outcome::Failed(error) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(error.class, FailureClass::Local);
    assert_eq!(error.message, "cannot read our input; the command: stopped");
    assert!(["", "half"].contains(&&output.text()[..]), "{output:?}");
    marker.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_the_wrapper_is_stopped_by_signal() {
    let (world, marker, witness) = (World::one(&[]).await, Marker::new(), Witness::default());
    let session = world.session("web").await;
    for command in ["echo go; exec {}", "trap '' TERM; echo go; {}"] {
        let job = Job::new(marker.in_command(command)).raw();
        let outcome = job.cancel_when(&session, &witness, marker.sleeps(1)).await;
        assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Confirmed), "{command}");
        marker.gone().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ignores_signals_confirms_nothing_without_the_wrapper() {
    let (world, marker, witness) = (World::one(&[Fault::NoSignal]).await, Marker::new(), Witness::default());
    let session = world.session("web").await;
    let job = Job::new(marker.in_command("{}")).raw();
    let outcome = job.cancel_when(&session, &witness, marker.sleeps(1)).await;
    let known = "the server did not act on the signal".to_owned();
    assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Unconfirmed(known)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_says_nothing_confirms_nothing() {
    let world = World::one(&[Fault::StallOutput(0)]).await;
    let job = Job::new("sleep 1000").with_timeout(LIMIT);
    let (outcome, _) = job.watch(&world.session("web").await).await;
    let Outcome::Stopped { cause, stop: Stop::Unconfirmed(_), .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(*cause, StopCause::Timeout(LIMIT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_dropped_closes_its_channel() {
    let (world, marker) = (World::one(&[]).await, Marker::new());
    let session = Arc::new(world.session("web").await);
    for input in [None, Some(Input::Whole(Bytes::from_static(b"input")))] {
        let job = Job { input, ..Job::new(marker.in_command("{}")) };
        let running = Arc::clone(&session);
        let run = tokio::spawn(async move { job.run(&running, &Witness::default()).await });
        marker.sleeps(1).await;
        run.abort();
        marker.gone().await;
        until("the channels are closed", || world.stats("web").running == 0).await;
        assert!(!session.is_closed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_while_the_channel_is_opened_skips_the_host() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let session = open(&world.connector(&[&name, &port]), "web").await.unwrap();
    relay.freeze();
    let job = Job::new("true");
    let cancelling = async { job.cancel.cancel() };
    let ((outcome, _), ()) = tokio::join!(job.watch(&session), cancelling);
    assert_eq!(outcome, Outcome::Skipped(SkipCause::Interrupted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_before_the_login_skips_the_host_and_closes_the_connection() {
    for (fault, stage) in [(Fault::Silent, Stage::Banner), (Fault::HangKex, Stage::KeyExchange)] {
        let world = World::one(&[fault]).await;
        let (sender, signals) = Signals::scripted();
        let recorder = Recorder::new(1);
        let task = RunCommand {
            connector: world.connector_within(DEADLINE, &[]).into(),
            hosts: world.hosts("web"),
            job: Job::new("true"),
        };
        let interrupting = async {
            recorder.wait_for(0, |shown| shown.stages.contains(&stage)).await;
            sender.send(Signal::Interrupt).await.unwrap();
        };
        let (finished, ()) = tokio::join!(fan_out(task, 1, &recorder, signals), interrupting);
        assert_eq!(finished.report.outcomes(), [Outcome::Skipped(SkipCause::Interrupted)], "{fault}");
        assert_eq!(finished.completion, Completion::Interrupted);
        until("the connection is closed", || world.stats("web").open_connections == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_stops_what_runs_on_every_host_and_skips_the_rest() {
    let (world, marker) = (World::new("web=6", &[]).await, Marker::new());
    let (sender, signals) = Signals::scripted();
    let recorder = Recorder::new(6);
    let task = RunCommand {
        connector: world.connector(&[]).into(),
        hosts: world.hosts("web"),
        job: Job::new(marker.in_command("setsid {} & echo go; {}")),
    };
    let interrupting = async {
        marker.sleeps(6).await;
        sender.send(Signal::Interrupt).await.unwrap();
    };
    let (finished, ()) = tokio::join!(fan_out(task, 3, &recorder, signals), interrupting);
    let expected = |index| {
        if index < 3 {
            stopped(StopCause::Cancelled, Stop::Confirmed)
        } else {
            Outcome::Skipped(SkipCause::Interrupted)
        }
    };
    assert_eq!(finished.report.outcomes(), (0..6).map(expected).collect::<Vec<_>>());
    marker.assert_gone();
    assert_eq!(world.stats("web4").connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_at_once_closes_every_connection() {
    let (world, marker) = (World::new("web=3", &[]).await, Marker::new());
    let (sender, signals) = Signals::scripted();
    let recorder = Recorder::new(3);
    // Ignores everything, so that only leaving ends the run before the stop is through.
    let mut job = Job::new(marker.in_command("trap '' TERM HUP; echo go; {}; {}"));
    job.limits.grace = DEADLINE;
    let task = RunCommand { connector: world.connector(&[]).into(), hosts: world.hosts("web"), job };
    let interrupting = async {
        marker.sleeps(3).await;
        sender.send(Signal::Interrupt).await.unwrap();
        sender.send(Signal::Interrupt).await.unwrap();
    };
    let (finished, ()) = tokio::join!(fan_out(task, 3, &recorder, signals), interrupting);
    assert_eq!(finished.completion, Completion::Abandoned);
    for outcome in finished.report.outcomes() {
        assert!(matches!(outcome, Outcome::Stopped { stop: Stop::Unconfirmed(_), .. }), "{outcome:?}");
    }
    let closed = || (1..=3).all(|n| world.stats(&format!("web{n}")).open_connections == 0);
    in_time("leaving", until("the connections are closed", closed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_leaves_no_process_of_a_command_on_a_terminal() {
    for faults in [&[][..], &[Fault::NoSignal], &[Fault::SessionQuota(2)], &[Fault::SessionLimit(1)]] {
        let (world, marker, witness) = (World::one(faults).await, Marker::new(), Witness::default());
        let session = world.session("web").await;
        let job = Job::new(marker.in_command(STUBBORN)).on_terminal();
        let when = async {
            witness.heard("go").await;
            marker.sleeps(2).await;
        };
        let outcome = job.cancel_when(&session, &witness, when).await;
        assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Confirmed), "{faults:?}");
        marker.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_that_is_just_being_started_stops_the_command_where_there_is_no_other_channel() {
    for terminal in [true, false] {
        let (world, marker, witness) = (World::one(&[Fault::SessionQuota(2)]).await, Marker::new(), Witness::default());
        let session = world.session("web").await;
        let job = Job::new(marker.in_command(STUBBORN));
        let job = if terminal { job.on_terminal() } else { Job { input: Some(reads_on()), ..job } };
        let outcome = job.cancel_when(&session, &witness, witness.heard("go")).await;
        assert_eq!(outcome, stopped(StopCause::Cancelled, Stop::Confirmed), "on a terminal: {terminal}");
        marker.assert_gone();
    }
}
