//! The loop with scripted tasks: no SSH, no clock but tokio's paused one.

mod ending;
mod meanwhile;
mod questions;
mod rollout;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::event::{Stream, Wave};
use crate::outcome::{ExitStatus, LastOutput, Report, SkipCause, Stage, Stop, StopCause};
use crate::render::RenderError;
use crate::settings::Share;

const SKIPPED: Outcome = Outcome::Skipped(SkipCause::Interrupted);

/// What a renderer was shown, readable from outside.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<HostEvent>>>);

impl Shown {
    fn finished(&self) -> Vec<(HostIndex, Outcome)> {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .filter_map(|shown| match &shown.event {
                Event::Finished(outcome) => Some((shown.index, outcome.clone())),
                _ => None,
            })
            .collect()
    }
}

/// How many events were shown before a wave, and its hosts.
type ShownWave = (usize, std::ops::Range<HostIndex>);

/// A renderer that remembers what it is shown, and then does as it is told.
struct Recorder {
    shown: Shown,
    waves: Arc<Mutex<Vec<ShownWave>>>,
    ticks: Arc<AtomicUsize>,
    answer: fn(&Event) -> Result<(), RenderError>,
    rooms_made: Arc<AtomicUsize>,
}

impl Renderer for Recorder {
    fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        self.shown.0.lock().unwrap().push(event.clone());
        (self.answer)(&event.event)
    }

    fn make_room(&mut self) -> Result<(), RenderError> {
        self.rooms_made.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn wave(&mut self, wave: &Wave, _: Duration) -> Result<(), RenderError> {
        let before = self.shown.0.lock().unwrap().len();
        self.waves.lock().unwrap().push((before, wave.hosts.clone()));
        Ok(())
    }

    fn tick(&mut self, _: Duration) -> Result<(), RenderError> {
        self.ticks.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&mut self, _: &Report, _: &Ending) -> Result<(), RenderError> {
        Ok(())
    }
}

/// Answers questions as it is told to.
struct Answers(Answer);

impl Confirm for Answers {
    fn go_on(&self, _: &CanaryReport) -> Answer {
        self.0
    }

    fn withdraw(&self) {}
}

fn fanout(hosts: usize, limit: usize) -> (Fanout, Floor) {
    let floor = Floor::default();
    (Fanout { floor: floor.clone(), ..Fanout::new(hosts, FanoutLimit::exactly(limit)) }, floor)
}

fn recorder() -> (Box<Recorder>, Shown) {
    let shown = Shown::default();
    (recorder_for(shown.clone(), |_| Ok(())), shown)
}

/// A renderer that answers every event in this way.
fn recorder_that(answer: fn(&Event) -> Result<(), RenderError>) -> Box<Recorder> {
    recorder_for(Shown::default(), answer)
}

fn recorder_for(shown: Shown, answer: fn(&Event) -> Result<(), RenderError>) -> Box<Recorder> {
    let (waves, ticks, rooms_made) = (Arc::default(), Arc::default(), Arc::default());
    Box::new(Recorder { shown, waves, ticks, answer, rooms_made })
}

fn panics_at_output(event: &Event) -> Result<(), RenderError> {
    assert!(!matches!(event, Event::Output { .. }), "on purpose");
    Ok(())
}

/// A renderer whose terminal is paused for ever.
fn stuck() -> Box<Recorder> {
    recorder_that(|_| {
        loop {
            std::thread::park();
        }
    })
}

fn stopped() -> Outcome {
    Outcome::Stopped { cause: StopCause::Cancelled, stop: Stop::Confirmed, output: LastOutput::Complete }
}

/// A run over this many hosts, all at once, that goes on as `rollout` says; asked, it is answered with "go on".
fn rollout(hosts: usize, rollout: RolloutSettings) -> Fanout {
    Fanout { rollout, confirm: Arc::new(Answers(Answer::GoOn)), ..fanout(hosts, hosts).0 }
}

#[tokio::test]
async fn no_more_than_the_limit_run_at_once_and_every_host_ends_once() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (Arc::clone(&running), Arc::clone(&most));
    let task = Scripted(move |host: HostContext| {
        let (running, most) = (Arc::clone(&counted), Arc::clone(&highest));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Exited(u32::try_from(host.index() % 3).unwrap())
        }
    });
    let (renderer, shown) = recorder();
    let (fanout, _floor) = fanout(1000, 7);
    let finished = fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(most.load(Ordering::SeqCst), 7);
    assert_eq!(finished.completion, Completion::Complete);
    assert_eq!(finished.status, ExitStatus::CommandFailed);
    let mut indices: Vec<_> = shown.finished().iter().map(|(index, _)| *index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..1000).collect::<Vec<_>>());
    assert_eq!(finished.report.outcomes()[5], Outcome::Exited(2));
}

#[tokio::test]
async fn all_output_of_a_host_is_shown_before_its_end() {
    let task = Scripted(|host: HostContext| async move {
        for n in 0..500u32 {
            let bytes = Bytes::from(n.to_be_bytes().to_vec());
            host.emit(Event::Output { stream: Stream::Stdout, bytes }).await;
        }
        Outcome::Exited(0)
    });
    let (renderer, shown) = recorder();
    let (fanout, _floor) = fanout(3, 3);
    fanout.run(task, renderer, Signals::scripted().1).await;
    for host in 0..3 {
        let events = shown.0.lock().unwrap();
        let mine: Vec<_> = events.iter().filter(|event| event.index == host).collect();
        assert_eq!(mine.len(), 502);
        assert_eq!(mine[0].event, Event::Started);
        assert_eq!(mine[501].event, Event::Finished(Outcome::Exited(0)));
    }
}

#[tokio::test]
async fn the_first_signal_cancels_the_running_and_skips_the_rest() {
    let started = Arc::new(Notify::new());
    let begun = Arc::clone(&started);
    let task = Scripted(move |host: HostContext| {
        begun.notify_one();
        async move {
            host.cancel().cancelled().await;
            stopped()
        }
    });
    let (sender, signals) = Signals::scripted();
    let (renderer, shown) = recorder();
    let (fanout, _floor) = fanout(3, 1);
    let run = tokio::spawn(fanout.run(task, renderer, signals));
    started.notified().await;
    sender.send(Signal::Interrupt).await.unwrap();
    let finished = run.await.unwrap();
    assert_eq!(finished.completion, Completion::Interrupted);
    assert_eq!(finished.report.outcomes(), [stopped(), SKIPPED, SKIPPED]);
    assert_eq!(finished.status, ExitStatus::Killed);
    assert_eq!(shown.finished().len(), 3);
}

#[tokio::test]
async fn the_second_signal_leaves_tasks_that_do_not_end() {
    let started = Arc::new(Notify::new());
    let begun = Arc::clone(&started);
    let task = Scripted(move |host: HostContext| {
        let begun = Arc::clone(&begun);
        async move {
            host.emit(Event::Stage(Stage::Command)).await;
            begun.notify_one();
            std::future::pending().await
        }
    });
    let (sender, signals) = Signals::scripted();
    let (renderer, _) = recorder();
    let (fanout, _floor) = fanout(2, 1);
    let run = tokio::spawn(fanout.run(task, renderer, signals));
    started.notified().await;
    sender.send(Signal::Interrupt).await.unwrap();
    sender.send(Signal::Interrupt).await.unwrap();
    let finished = run.await.unwrap();
    assert_eq!(finished.completion, Completion::Abandoned);
    assert!(matches!(finished.report.outcomes()[0], Outcome::Stopped { stop: Stop::Unconfirmed(_), .. }));
    assert_eq!(finished.report.outcomes()[1], SKIPPED);
}

#[tokio::test]
async fn signals_are_seen_while_the_terminal_is_paused() {
    let task = Scripted(|host: HostContext| async move {
        loop {
            host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
        }
    });
    let (sender, signals) = Signals::scripted();
    let (fanout, _floor) = fanout(4, 4);
    let run = tokio::spawn(fanout.run(task, stuck(), signals));
    sender.send(Signal::Interrupt).await.unwrap();
    sender.send(Signal::Terminate).await.unwrap();
    assert_eq!(run.await.unwrap().completion, Completion::Abandoned);
}

#[tokio::test]
async fn a_closed_pipe_cancels_the_run() {
    let task = Scripted(|host: HostContext| async move {
        host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
        host.cancel().cancelled().await;
        stopped()
    });
    let renderer = recorder_that(|event| match event {
        Event::Output { .. } => Err(RenderError::BrokenPipe { to: "standard output" }),
        _ => Ok(()),
    });
    let (fanout, _floor) = fanout(2, 2);
    let finished = fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(finished.completion, Completion::Interrupted);
    assert!(matches!(finished.render_errors[0], RenderError::BrokenPipe { .. }));
}

#[tokio::test]
async fn a_renderer_that_panics_ends_the_run() {
    let task = Scripted(|host: HostContext| async move {
        host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
        host.cancel().cancelled().await;
        stopped()
    });
    let renderer = recorder_that(panics_at_output);
    let (fanout, _floor) = fanout(2, 2);
    let finished = fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(finished.completion, Completion::Interrupted);
    assert_eq!(finished.render_errors.len(), 1);
}

#[tokio::test]
async fn a_host_that_floods_keeps_no_other_from_its_turn() {
    let others_done = Arc::new(Notify::new());
    let done = Arc::clone(&others_done);
    let task = Scripted(move |host: HostContext| {
        let done = Arc::clone(&done);
        async move {
            if host.index() == 0 {
                let bytes = Bytes::from_static(b"y\n");
                let flood = async {
                    loop {
                        host.emit(Event::Output { stream: Stream::Stdout, bytes: bytes.clone() }).await;
                    }
                };
                tokio::select! {
                    () = flood => {}
                    () = done.notified() => {}
                }
            } else if host.index() == 5 {
                done.notify_one();
            }
            Outcome::Exited(0)
        }
    });
    let (renderer, _) = recorder();
    let (fanout, _floor) = fanout(6, 2);
    assert_eq!(fanout.run(task, renderer, Signals::scripted().1).await.status, ExitStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn one_signal_ends_a_run_whose_output_nobody_takes() {
    let task = Scripted(|host: HostContext| async move {
        let flood = async {
            loop {
                host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
            }
        };
        tokio::select! {
            () = flood => Outcome::Exited(0),
            () = host.cancel().cancelled() => stopped(),
        }
    });
    let (sender, signals) = Signals::scripted();
    let (fanout, _floor) = fanout(4, 4);
    sender.send(Signal::Terminate).await.unwrap();
    let finished = fanout.run(task, stuck(), signals).await;
    assert_eq!(finished.report.outcomes(), vec![stopped(); 4]);
    assert!(matches!(finished.render_errors[..], [RenderError::Cut(CutCause::Stuck(STUCK_LIMIT))]));
}

#[tokio::test]
async fn a_signal_ends_a_run_that_only_waits_for_its_terminal() {
    let (sender, signals) = Signals::scripted();
    let (fanout, _floor) = fanout(1, 1);
    let run = tokio::spawn(fanout.run(Scripted(|_| async { Outcome::Exited(0) }), stuck(), signals));
    while !run.is_finished() {
        let _ = sender.try_send(Signal::Interrupt);
        tokio::task::yield_now().await;
    }
    assert_eq!(run.await.unwrap().report.outcomes().len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_nobody() {
    let task = Scripted(|host: HostContext| async move {
        host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
        Outcome::Exited(0)
    });
    let renderer = recorder_that(|event| match event {
        Event::Output { .. } => Err(RenderError::File {
            host: "web01".into(),
            path: "out/web01".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        }),
        _ => Ok(()),
    });
    let (fanout, _floor) = fanout(1, 1);
    let finished = fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(finished.completion, Completion::Complete);
    assert_eq!(finished.render_errors.len(), 1);
}

#[tokio::test]
async fn a_task_that_panics_is_our_failure_on_that_host_only() {
    let task = Scripted(|host: HostContext| async move {
        assert_ne!(host.index(), 1, "on purpose");
        Outcome::Exited(0)
    });
    let (renderer, _) = recorder();
    let (fanout, _floor) = fanout(3, 3);
    let finished = fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(finished.report.outcomes()[0], Outcome::Exited(0));
    assert!(matches!(finished.report.outcomes()[1], Outcome::Failed(_)));
    assert_eq!(finished.status, ExitStatus::OurFailure);
}
