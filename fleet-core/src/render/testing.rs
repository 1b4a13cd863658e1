//! What the tests of this folder share: a fake screen and short names for events.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::settings::{Destination, HostLabel, RenderSettings};
use super::{Completion, Ending, build};
use crate::event::{Event, HostEvent, HostIndex, Retry, Stream};
use crate::outcome::{
    ExitRule, FailureClass, HostError, LastOutput, Outcome, Report, SkipCause, Stage, Stop, StopCause,
};

/// Remembers all that is written to it, through any of its clones.
#[derive(Clone, Default)]
pub(super) struct SharedWriter {
    written: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SharedWriter {
    pub(super) fn boxed(&self) -> Box<dyn Write + Send> {
        Box::new(self.clone())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.written.lock().unwrap().concat()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub(super) fn writes(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// What a terminal would show in the end: understands newlines, `\r` and "clear this line".
    pub(super) fn screen_lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        let text = self.text();
        let mut rest = text.as_str();
        let mut column_zero = true;
        while let Some(character) = rest.chars().next() {
            let current = lines.len() - 1;
            if let Some(after) = rest.strip_prefix("\x1b[2K") {
                lines[current].clear();
                rest = after;
                continue;
            }
            match character {
                '\n' => {
                    lines.push(String::new());
                    column_zero = true;
                }
                '\r' => column_zero = true,
                c => {
                    assert!(!column_zero || lines[current].is_empty(), "text over text: {text:?}");
                    column_zero = false;
                    lines[current].push(c);
                }
            }
            rest = &rest[character.len_utf8()..];
        }
        lines
    }
}

impl Write for SharedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails every write.
pub(super) struct FailingWriter(pub(super) io::ErrorKind);

impl Write for FailingWriter {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) const TERMINAL: Destination = Destination::Terminal { columns: columns_80 };

/// What a whole run writes to standard output and to standard error.
pub(super) struct Shown {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Shown {
    pub(super) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Shows a run in which the hosts end as their `Finished` events say, are left without one, or are skipped.
pub(super) fn show(settings: RenderSettings, names: &[&str], events: &[HostEvent]) -> Shown {
    let (stdout, stderr) = (SharedWriter::default(), SharedWriter::default());
    let mut renderer = build(settings, labels(names.iter().copied()), stdout.boxed(), stderr.boxed()).unwrap();
    let mut outcomes = vec![Outcome::Skipped(SkipCause::Interrupted); names.len()];
    for event in events {
        renderer.event(event).unwrap();
        outcomes[event.index] = match &event.event {
            Event::Finished(outcome) => outcome.clone(),
            _ => Outcome::Stopped {
                cause: StopCause::Cancelled,
                stop: Stop::Unconfirmed("it was left".into()),
                output: LastOutput::Complete,
            },
        };
    }
    let report = Report::new(outcomes);
    let ending = Ending {
        elapsed: Duration::from_millis(1234),
        status: report.exit_status(ExitRule::WorstClass),
        completion: Completion::Complete,
    };
    renderer.finish(&report, &ending).unwrap();
    Shown { stdout: stdout.bytes(), stderr: stderr.text() }
}

pub(super) fn columns_80() -> u16 {
    80
}

pub(super) fn labels<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<HostLabel> {
    names.into_iter().map(|name| HostLabel { name: name.to_owned() }).collect()
}

pub(super) fn event(index: HostIndex, at_secs: u64, event: Event) -> HostEvent {
    HostEvent { index, at: Duration::from_secs(at_secs), event }
}

pub(super) fn started(index: HostIndex) -> HostEvent {
    event(index, 0, Event::Started)
}

pub(super) fn output(index: HostIndex, stream: Stream, bytes: &[u8]) -> HostEvent {
    event(index, 1, Event::Output { stream, bytes: Bytes::copy_from_slice(bytes) })
}

pub(super) fn finished(index: HostIndex, outcome: Outcome) -> HostEvent {
    event(index, 2, Event::Finished(outcome))
}

/// An attempt that ended with exit code 1; the one with this number follows.
pub(super) fn retry(index: HostIndex, attempt: u32) -> HostEvent {
    let pause = Duration::from_millis(1500);
    event(index, 1, Event::Retry(Retry { attempt, reason: "exit code 1".to_owned(), pause }))
}

pub(super) fn finished_ok(index: HostIndex) -> HostEvent {
    finished(index, Outcome::Exited(0))
}

pub(super) fn outcome_refused() -> Outcome {
    Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "connection refused"))
}
