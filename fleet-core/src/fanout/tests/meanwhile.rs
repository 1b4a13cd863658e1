//! What happens while a run goes on: requests, silence, a limit that is found out.

use futures::FutureExt as _;
use tokio::sync::Barrier;

use super::*;
use crate::pace::{Bounds, Change, End, Gate};

/// A renderer that remembers why the slowest hosts were named, and what else was said of the run.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Renderer for Told {
    fn event(&mut self, _: &HostEvent) -> Result<(), RenderError> {
        Ok(())
    }

    fn notice(&mut self, text: &str) -> Result<(), RenderError> {
        self.0.lock().unwrap().push(text.to_owned());
        Ok(())
    }

    fn limit(&mut self, change: Change, _: Duration) -> Result<(), RenderError> {
        self.0.lock().unwrap().push(format!("limit {}: {}", change.limit, change.reason));
        Ok(())
    }

    fn slowest(&mut self, occasion: Occasion, now: Duration) -> Result<(), RenderError> {
        let occasion = match occasion {
            Occasion::Asked => "asked".to_owned(),
            Occasion::Silence(silent) => format!("silent for {}s", silent.as_secs()),
        };
        self.0.lock().unwrap().push(format!("{}s: {occasion}", now.as_secs()));
        Ok(())
    }

    fn finish(&mut self, _: &Report, _: &Ending) -> Result<(), RenderError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn after_silence_the_slowest_are_named_with_growing_pauses() {
    let task = Scripted(async |host: HostContext| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        host.emit(Event::Stage(Stage::Command)).await;
        tokio::time::sleep(Duration::from_secs(50)).await;
        Outcome::Exited(0)
    });
    let told = Told::default();
    let _ = fanout(1, 1).0.run(task, Box::new(told.clone()), Signals::scripted().1).await;
    let seconds: Vec<_> =
        told.0.lock().unwrap().iter().map(|text| text.split('.').next().unwrap().to_owned()).collect();
    assert_eq!(seconds, ["15s: silent for 10s", "25s: silent for 20s", "45s: silent for 40s"]);
}

#[tokio::test]
async fn requests_are_done_while_hosts_run() {
    let (sender, requests) = Requests::new();
    let both = Arc::new(Barrier::new(2));
    let task = Scripted(move |_| {
        let both = Arc::clone(&both);
        async move {
            both.wait().await;
            Outcome::Exited(0)
        }
    });
    for request in [Request::Slowest, Request::More] {
        sender.send(request).await.unwrap();
    }
    let told = Told::default();
    let fanout = Fanout { requests, ..fanout(2, 1).0 };
    let finished = fanout.run(task, Box::new(told.clone()), Signals::scripted().1).await;
    assert_eq!(finished.report.outcomes(), [Outcome::Exited(0), Outcome::Exited(0)]);
    assert_eq!(*told.0.lock().unwrap(), ["0s: asked", "fan-out: 2 at once"]);
}

#[tokio::test]
async fn more_hosts_start_as_the_gate_opens() {
    let gate = Arc::new(Gate::new(Bounds { least: 1, start: 8, most: 16 }));
    let (eight, all) = (Arc::new(Barrier::new(8)), Arc::new(Barrier::new(16)));
    let pace = Some(Arc::clone(&gate));
    // None arrives before all have started, and only eight may start before eight handshakes were quick.
    let task = Scripted(move |_| {
        let (gate, eight, all) = (Arc::clone(&gate), Arc::clone(&eight), Arc::clone(&all));
        async move {
            let attempt = gate.begin();
            eight.wait().await;
            attempt.done();
            all.wait().await;
            Outcome::Exited(0)
        }
    });
    let fanout = Fanout { limit: FanoutLimit { hosts: 16, most: 16 }, pace, ..fanout(16, 1).0 };
    let run = fanout.run(task, Box::new(Told::default()), Signals::scripted().1);
    let finished = tokio::time::timeout(Duration::from_secs(300), run).await.expect("all sixteen start");
    assert_eq!(finished.report.outcomes(), [const { Outcome::Exited(0) }; 16]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_found_out_is_told() {
    let gate = Arc::new(Gate::new(Bounds { least: 1, start: 8, most: 16 }));
    let pace = Some(Arc::clone(&gate));
    let task = Scripted(move |_| {
        gate.begin().end(End::OutOfDescriptors);
        tokio::time::sleep(TICK * 3).map(|()| Outcome::Exited(0))
    });
    let told = Told::default();
    let _ = Fanout { pace, ..fanout(1, 1).0 }.run(task, Box::new(told.clone()), Signals::scripted().1).await;
    assert_eq!(*told.0.lock().unwrap(), ["limit 4: this machine's limit of open files is reached (ulimit -n)"]);
}
