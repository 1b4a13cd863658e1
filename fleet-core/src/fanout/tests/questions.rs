//! What waits while a question is on the terminal, and what a question waits for.

use super::*;

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
        let limit = Duration::from_secs(300);
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
