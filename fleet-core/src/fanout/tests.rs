//! The loop with scripted tasks: no SSH, no clock but tokio's paused one.

mod ending;
mod meanwhile;

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

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_run_although_a_question_is_open() {
    let task = Scripted(|host: HostContext| async move {
        host.cancel().cancelled().await;
        SKIPPED
    });
    let (sender, signals) = Signals::scripted();
    let (renderer, _) = recorder();
    let (fanout, floor) = fanout(2, 2);
    floor.take();
    let run = tokio::spawn(fanout.run(task, renderer, signals));
    sender.send(Signal::Interrupt).await.unwrap();
    assert_eq!(run.await.unwrap().completion, Completion::Interrupted);
}

#[tokio::test]
async fn output_waits_while_a_question_is_on_the_terminal() {
    let reached = Arc::new(Notify::new());
    let emitted = Arc::clone(&reached);
    let task = Scripted(move |host: HostContext| {
        let emitted = Arc::clone(&emitted);
        async move {
            host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
            emitted.notify_one();
            Outcome::Exited(0)
        }
    });
    let (renderer, shown) = recorder();
    let (fanout, floor) = fanout(1, 1);
    floor.take();
    let run = tokio::spawn(fanout.run(task, renderer, Signals::scripted().1));
    reached.notified().await;
    assert!(shown.0.lock().unwrap().iter().all(|shown| shown.event == Event::Started));
    floor.give_back();
    assert_eq!(run.await.unwrap().status, ExitStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn waves_are_told_before_their_hosts_and_kept_apart_by_the_delay() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (times, start) = (Arc::clone(&begun), Instant::now());
    let task = Scripted(move |host: HostContext| {
        times.lock().unwrap().push((host.index(), start.elapsed().as_secs()));
        async move {
            tokio::time::sleep(Duration::from_secs(1 + host.index() as u64)).await;
            Outcome::Exited(0)
        }
    });
    let batch = Some(Share::Count(2));
    let delay = Duration::from_secs(10);
    let fanout = rollout(5, RolloutSettings { batch, delay, ..RolloutSettings::default() });
    let (renderer, shown) = recorder();
    let waves = Arc::clone(&renderer.waves);
    fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(*begun.lock().unwrap(), [(0, 0), (1, 0), (2, 12), (3, 12), (4, 26)]);
    assert_eq!(*waves.lock().unwrap(), [(0, 0..2), (4, 2..4), (8, 4..5)], "events before it, hosts");
    assert_eq!(shown.finished().len(), 5);
}

#[tokio::test]
async fn the_canaries_are_shown_before_the_question_and_the_rest_waits_for_the_answer() {
    for answer in [Answer::GoOn, Answer::Stop] {
        let (renderer, shown) = recorder();
        let canary = Some(Canary { hosts: 2.try_into().unwrap(), consent: Consent::Asked });
        let fanout = rollout(5, RolloutSettings { canary, ..RolloutSettings::default() });
        let floor = fanout.floor.clone();
        let confirm = Arc::new(Witness { floor, shown: shown.clone(), answer, finished: Mutex::default() });
        let fanout = Fanout { confirm: Arc::clone(&confirm) as Arc<dyn Confirm>, ..fanout };
        let finished = fanout.run(Scripted(|_| async { Outcome::Exited(0) }), renderer, Signals::scripted().1).await;
        assert_eq!(*confirm.finished.lock().unwrap(), [2], "at the only question");
        let refused = Outcome::Skipped(SkipCause::CanaryRefused);
        let rest = if answer == Answer::GoOn { Outcome::Exited(0) } else { refused };
        assert_eq!(finished.report.outcomes()[2..], [rest.clone(), rest.clone(), rest]);
    }
}

/// Remembers how many hosts were shown to have ended at each question.
struct Witness {
    floor: Floor,
    shown: Shown,
    answer: Answer,
    finished: Mutex<Vec<usize>>,
}

impl Confirm for Witness {
    fn go_on(&self, _: &CanaryReport) -> Answer {
        self.floor.take();
        self.finished.lock().unwrap().push(self.shown.finished().len());
        self.floor.give_back();
        self.answer
    }

    fn withdraw(&self) {}
}

/// Is never answered, but can be withdrawn.
#[derive(Default)]
struct Unanswered {
    floor: Floor,
    asked: Notify,
    withdrawn: (Mutex<bool>, std::sync::Condvar),
}

impl Confirm for Unanswered {
    fn go_on(&self, _: &CanaryReport) -> Answer {
        self.floor.take();
        self.asked.notify_one();
        let (withdrawn, changed) = &self.withdrawn;
        // A test that fails must come to its end, too.
        let limit = Duration::from_secs(20);
        drop(changed.wait_timeout_while(withdrawn.lock().unwrap(), limit, |withdrawn| !*withdrawn).unwrap());
        Answer::GoOn
    }

    fn withdraw(&self) {
        *self.withdrawn.0.lock().unwrap() = true;
        self.withdrawn.1.notify_all();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_drawn_behind_the_question_after_the_canaries_and_a_signal_withdraws_it() {
    let canary = Some(Canary { hosts: 1.try_into().unwrap(), consent: Consent::Asked });
    let fanout = rollout(2, RolloutSettings { canary, ..RolloutSettings::default() });
    let floor = fanout.floor.clone();
    let confirm = Arc::new(Unanswered { floor: floor.clone(), ..Unanswered::default() });
    let fanout = Fanout { confirm: Arc::clone(&confirm) as Arc<dyn Confirm>, ..fanout };
    let (sender, signals) = Signals::scripted();
    let (renderer, _) = recorder();
    let ticks = Arc::clone(&renderer.ticks);
    let run = tokio::spawn(fanout.run(Scripted(|_| async { Outcome::Exited(0) }), renderer, signals));
    confirm.asked.notified().await;
    let before = ticks.load(Ordering::SeqCst);
    tokio::time::advance(TICK * 9).await;
    tokio::task::yield_now().await;
    // As the prompt does at the same signal.
    floor.give_back();
    sender.send(Signal::Interrupt).await.unwrap();
    let finished = run.await.unwrap();
    assert_eq!(finished.report.outcomes(), [Outcome::Exited(0), SKIPPED]);
    assert!(*confirm.withdrawn.0.lock().unwrap());
    assert_eq!(ticks.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_waits_for_its_retry_leaves_its_place_to_others() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let order = Arc::clone(&starts);
    let task = Scripted(move |host: HostContext| {
        order.lock().unwrap().push((host.index(), host.attempt()));
        async move {
            match host.attempt() {
                1 if host.index() == 0 => Outcome::Failed(HostError::timeout(Stage::Banner, Duration::from_secs(1))),
                _ => Outcome::Exited(0),
            }
        }
    });
    let retry = RetrySettings { connections: 3, commands: 0, ..RetrySettings::default() };
    let fanout = rollout(3, RolloutSettings { retry, ..RolloutSettings::default() });
    let (renderer, shown) = recorder();
    let finished = Fanout { limit: FanoutLimit::exactly(1), ..fanout }.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(*starts.lock().unwrap(), [(0, 1), (1, 1), (2, 1), (0, 2)]);
    assert_eq!(finished.status, ExitStatus::Success);
    assert_eq!(finished.report.attempts(0), 2);
    let events = shown.0.lock().unwrap();
    let mine: Vec<_> = events.iter().filter(|event| event.index == 0).map(|event| &event.event).collect();
    assert!(matches!(mine[..], [Event::Started, Event::Retry(_), Event::Finished(_)]), "{mine:?}");
}

#[tokio::test(start_paused = true)]
async fn a_straggler_is_told_to_stop_and_no_other_host_is() {
    let task = Scripted(|host: HostContext| async move {
        // The last host connects slowly, and its command is at work while the one before is stopped.
        let (connects_millis, takes_millis) =
            [(0, 1000), (0, 2000), (0, 3000), (0, 1_000_000), (2500, 3500)][host.index()];
        tokio::time::sleep(Duration::from_millis(connects_millis)).await;
        host.emit(Event::Stage(Stage::Command)).await;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(takes_millis)) => Outcome::Exited(0),
            () = host.cancel().cancelled() => stopped(),
        }
    });
    let straggler_percent = Some(200);
    let fanout = rollout(5, RolloutSettings { straggler_percent, ..RolloutSettings::default() });
    let finished = fanout.run(task, recorder().0, Signals::scripted().1).await;
    let reasons: Vec<_> = finished.report.outcomes().iter().map(Outcome::reason).collect();
    let late = Some("timed out after 4s (200% of the median 2s), stopped".to_owned());
    assert_eq!(reasons, [None, None, None, late, None]);
}

#[tokio::test]
async fn a_quorum_is_a_success_only_when_every_host_had_its_turn() {
    let quorum = Some(Share::Percent(50));
    for (max_fail, status) in [(None, ExitStatus::Success), (Some(Share::Count(0)), ExitStatus::Killed)] {
        let task = Scripted(|host: HostContext| async move { Outcome::Exited(u32::from(host.index() == 2)) });
        let fanout = rollout(4, RolloutSettings { quorum, max_fail, ..RolloutSettings::default() });
        let finished =
            Fanout { limit: FanoutLimit::exactly(1), ..fanout }.run(task, recorder().0, Signals::scripted().1).await;
        assert_eq!(finished.status, status, "{:?}", finished.report);
    }
}

#[tokio::test]
async fn kill_cancels_the_hosts_that_run_when_a_rule_is_broken() {
    let task = Scripted(|host: HostContext| async move {
        if host.index() == 1 {
            return Outcome::Exited(1);
        }
        host.cancel().cancelled().await;
        stopped()
    });
    let (max_fail, at_early_end) = (Some(Share::Count(0)), AtEarlyEnd::Stop);
    let fanout = rollout(3, RolloutSettings { max_fail, at_early_end, ..RolloutSettings::default() });
    let finished = fanout.run(task, recorder().0, Signals::scripted().1).await;
    assert_eq!(finished.report.outcomes(), [stopped(), Outcome::Exited(1), stopped()]);
    assert_eq!(finished.completion, Completion::Interrupted);
}

#[tokio::test]
async fn a_question_waits_until_the_renderer_has_made_room() {
    let (renderer, _) = recorder();
    let (fanout, floor) = fanout(1, 1);
    let rooms_made = Arc::clone(&renderer.rooms_made);
    let task = Scripted(move |_| {
        let (floor, rooms_made) = (floor.clone(), Arc::clone(&rooms_made));
        async move {
            for expected in 1..=100 {
                let floor = floor.clone();
                let rooms_made = Arc::clone(&rooms_made);
                let asking = tokio::task::spawn_blocking(move || {
                    floor.take();
                    let seen = rooms_made.load(Ordering::SeqCst);
                    floor.give_back();
                    seen
                });
                assert_eq!(asking.await.unwrap(), expected);
            }
            Outcome::Exited(0)
        }
    });
    assert_eq!(fanout.run(task, renderer, Signals::scripted().1).await.status, ExitStatus::Success);
}

#[tokio::test]
async fn a_question_with_no_run_or_no_renderer_is_asked_at_once() {
    let renderer = recorder_that(panics_at_output);
    let (fanout, floor) = fanout(1, 1);
    floor.take();
    floor.give_back();
    let asked = floor.clone();
    let task = Scripted(move |host: HostContext| {
        let floor = asked.clone();
        async move {
            host.emit(Event::Output { stream: Stream::Stdout, bytes: Bytes::from_static(b"y\n") }).await;
            host.cancel().cancelled().await;
            tokio::task::spawn_blocking(move || floor.take()).await.unwrap();
            stopped()
        }
    });
    assert_eq!(fanout.run(task, renderer, Signals::scripted().1).await.completion, Completion::Interrupted);
    floor.give_back();
    floor.take();
}
