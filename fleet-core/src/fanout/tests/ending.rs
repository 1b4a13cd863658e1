//! How long the end of a run waits for those who read its output.

use std::sync::mpsc;

use super::*;
use crate::render::Outflow;

/// How long a test waits for a thread.
const DEADLINE: Duration = Duration::from_secs(300);

/// A renderer whose last words last until it is let go; how much of them is taken, the test says.
struct LastWords {
    outflow: Outflow,
    begun: mpsc::Sender<()>,
    let_go: mpsc::Receiver<()>,
}

impl Renderer for LastWords {
    fn outflow(&self) -> Outflow {
        self.outflow.clone()
    }

    fn event(&mut self, _: &HostEvent) -> Result<(), RenderError> {
        Ok(())
    }

    fn finish(&mut self, _: &Report, _: &Ending) -> Result<(), RenderError> {
        let _ = self.begun.send(());
        let _ = self.let_go.recv();
        Ok(())
    }
}

/// What a test has of [`LastWords`].
struct Reader {
    outflow: Outflow,
    let_go: mpsc::Sender<()>,
}

/// Makes the renderer; with what tells that its last words have begun.
fn last_words() -> (Box<LastWords>, Reader, mpsc::Receiver<()>) {
    let outflow = Outflow::default();
    let ((begun, has_begun), (sender, let_go)) = (mpsc::channel(), mpsc::channel());
    let reader = Reader { outflow: outflow.clone(), let_go: sender };
    (Box::new(LastWords { outflow, begun, let_go }), reader, has_begun)
}

/// Waits for a thread of the real world. Meanwhile the paused clock stands still, or it would run ahead of it.
async fn told(by: mpsc::Receiver<()>) {
    let told = tokio::task::spawn_blocking(move || by.recv_timeout(DEADLINE));
    told.await.unwrap().expect("within the deadline");
}

/// A run over one host that was cancelled, and has only its last words left; with what else signals it.
async fn cancelled() -> (tokio::task::JoinHandle<Finished>, Reader, tokio::sync::mpsc::Sender<Signal>) {
    let task = Scripted(|host: HostContext| async move {
        host.cancel().cancelled().await;
        stopped()
    });
    let (sender, signals) = Signals::scripted();
    let (renderer, reader, has_begun) = last_words();
    let run = tokio::spawn(fanout(1, 1).0.run(task, renderer, signals));
    sender.send(Signal::Interrupt).await.unwrap();
    told(has_begun).await;
    (run, reader, sender)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_waited_for_as_long_as_it_takes_something() {
    let (run, reader, _signals) = cancelled().await;
    for _ in 0..100 {
        tokio::time::sleep(STUCK_LIMIT.mul_f64(0.6)).await;
        reader.outflow.add(1);
    }
    assert!(!run.is_finished());
    let (over, is_over) = mpsc::channel();
    let clock = tokio::spawn(told(is_over));
    reader.let_go.send(()).unwrap();
    let finished = run.await.unwrap();
    over.send(()).unwrap();
    clock.await.unwrap();
    assert!(finished.render_errors.is_empty(), "{:?}", finished.render_errors);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_ends_a_cancelled_run_and_it_is_said() {
    let (run, reader, _signals) = cancelled().await;
    let finished = run.await.unwrap();
    assert_eq!(finished.completion, Completion::Interrupted);
    assert!(matches!(finished.render_errors[..], [RenderError::Cut(CutCause::Stuck(STUCK_LIMIT))]));
    assert!(reader.outflow.is_closed(), "nothing comes behind what is said of it");
}

#[tokio::test(start_paused = true)]
async fn a_signal_cuts_the_last_words_and_it_is_said() {
    let (run, _reader, signals) = cancelled().await;
    let before = Instant::now();
    signals.send(Signal::Interrupt).await.unwrap();
    let finished = run.await.unwrap();
    assert!(matches!(finished.render_errors[..], [RenderError::Cut(CutCause::Signal)]));
    assert_eq!(before.elapsed(), LAST_WORDS);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_that_nobody_cancelled_waits_for_ever() {
    let (sender, signals) = Signals::scripted();
    let (renderer, _reader, has_begun) = last_words();
    let run = tokio::spawn(fanout(1, 1).0.run(Scripted(|_| async { Outcome::Exited(0) }), renderer, signals));
    told(has_begun).await;
    tokio::time::sleep(STUCK_LIMIT * 1000).await;
    assert!(!run.is_finished());
    sender.send(Signal::Interrupt).await.unwrap();
    let finished = run.await.unwrap();
    assert_eq!(finished.completion, Completion::Complete);
    assert!(matches!(finished.render_errors[..], [RenderError::Cut(CutCause::Signal)]));
}
