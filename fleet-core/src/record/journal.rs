//! The writer of a run's journal: a thread of its own, so that neither a slow disk holds up the hosts, nor a terminal
//! that takes nothing holds back what is known.
//!
//! A line is handed to the kernel at once, so that it outlives this process; only the first is waited for until it is
//! on the disk. Must not know where journals are kept, nor read them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::line::{FinishedLine, Line, StageLine, StartedLine, SummaryLine, bytes_of, secs};
use super::store::KEPT_RUNS;
use super::{Header, Output, RecordError, RunId, Store, VERSION};
use crate::event::{Event, HostIndex};
use crate::fanout::Witness;
use crate::outcome::{ExitStatus, Outcome, Report, Stage};
use crate::render::Completion;

/// A stage that a host is in for so long is worth a line.
const LINGER: Duration = Duration::from_millis(500);
/// How long the end of a run waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The journal of the run that is going on.
#[derive(Debug)]
pub struct Journal {
    id: RunId,
    store: Store,
    begun: Instant,
    notes: Sender<Note>,
    written: Receiver<io::Result<()>>,
}

/// Hands what happens on the hosts to the journal.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    notes: Sender<Note>,
}

#[derive(Debug)]
enum Note {
    Host { index: HostIndex, at: Duration, news: News },
    Over(SummaryLine),
}

#[derive(Debug)]
enum News {
    Started,
    Stage(Stage),
    Finished(Outcome),
}

impl Journal {
    /// Begins the journal of a run: when this returns, its first line is on the disk. Then removes what is older than
    /// the last [`KEPT_RUNS`] runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(store: Store, start: SystemTime, header: Header) -> Result<Self, RecordError> {
        let output = if header.output { Output::Kept } else { Output::Passed };
        let hosts = header.hosts.len();
        let first_line = bytes_of(&Line::Run(Box::new(Header { v: VERSION, ..header })));
        let (id, file) = store.create(start, &first_line, output)?;
        store.prune(KEPT_RUNS);
        let (notes, incoming) = mpsc::channel();
        let (done, written) = mpsc::channel();
        let begun = Instant::now();
        thread::spawn(move || done.send(write(file, hosts, begun, &incoming)));
        Ok(Self { id, store, begun, notes, written })
    }

    /// The id of the run.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// What tells it of the hosts.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder { begun: self.begun, notes: self.notes.clone() }
    }

    /// Writes the last line, and waits until all is written.
    ///
    /// # Errors
    /// When the journal is incomplete: something could not be written, or the disk takes nothing.
    pub fn end(self, report: &Report, completion: Completion, status: ExitStatus) -> Result<(), RecordError> {
        let mut counts = BTreeMap::new();
        for outcome in report.outcomes() {
            *counts.entry(outcome.name().to_owned()).or_default() += 1;
        }
        let completion = completion.name().to_owned();
        let summary = SummaryLine { at: secs(self.begun.elapsed()), counts, exit_status: status.code(), completion };
        // A writer that has gone has said why.
        let _ = self.notes.send(Note::Over(summary));
        let path = self.store.journal(&self.id);
        match self.written.recv_timeout(PATIENCE) {
            Ok(written) => written.map_err(|source| RecordError::Write { path, source }),
            Err(_) => Err(RecordError::Stuck { path }),
        }
    }

    /// Takes it all back: the run did not begin.
    pub fn discard(self) {
        self.store.remove(&self.id);
    }
}

impl Witness for Recorder {
    fn saw(&self, index: HostIndex, event: &Event) {
        let news = match event {
            Event::Started => News::Started,
            Event::Stage(stage) => News::Stage(*stage),
            Event::Finished(outcome) => News::Finished(outcome.clone()),
            // What is said is not remembered.
            _ => return,
        };
        let _ = self.notes.send(Note::Host { index, at: self.begun.elapsed(), news });
    }
}

/// Writes what comes until the end of the run, or until nobody is left to say anything.
fn write(mut file: File, hosts: usize, begun: Instant, notes: &Receiver<Note>) -> io::Result<()> {
    let mut lines = Lines::new(hosts);
    loop {
        let next = if lines.waiting.is_empty() {
            notes.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            notes.recv_timeout(LINGER)
        };
        match next {
            Ok(Note::Host { index, at, news }) => lines.take(index, at, news),
            Ok(Note::Over(summary)) => {
                lines.push(&Line::Summary(summary));
                return file.write_all(&lines.bytes);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        lines.settle(begun.elapsed());
        file.write_all(&lines.bytes)?;
        lines.bytes.clear();
    }
}

/// The lines that are to be written, and what they follow from.
struct Lines {
    bytes: Vec<u8>,
    hosts: Vec<HostState>,
    /// The last stage of hosts that may soon be in the next: most pass through all in no time.
    waiting: BTreeMap<HostIndex, (Duration, Stage)>,
    settled: Duration,
}

#[derive(Clone, Default)]
struct HostState {
    attempt: u32,
    started: Duration,
    ended: Option<Outcome>,
}

impl Lines {
    fn new(hosts: usize) -> Self {
        Self {
            bytes: Vec::new(),
            hosts: vec![HostState::default(); hosts],
            waiting: BTreeMap::new(),
            settled: Duration::ZERO,
        }
    }

    fn take(&mut self, index: HostIndex, at: Duration, news: News) {
        match news {
            News::Started => {
                let host = &mut self.hosts[index];
                *host = HostState { attempt: host.attempt + 1, started: at, ended: None };
                let attempt = host.attempt;
                self.push(&Line::Started(StartedLine { at: secs(at), index, attempt }));
            }
            News::Stage(stage) => {
                self.waiting.insert(index, (at, stage));
            }
            News::Finished(outcome) => {
                self.waiting.remove(&index);
                let host = &mut self.hosts[index];
                if host.ended.as_ref() == Some(&outcome) {
                    return;
                }
                let was_started = host.attempt > 0;
                let line = FinishedLine {
                    at: secs(at),
                    index,
                    attempt: was_started.then_some(host.attempt),
                    seconds: was_started.then(|| secs(at.saturating_sub(host.started))),
                    ..FinishedLine::of(&outcome)
                };
                host.ended = Some(outcome);
                self.push(&Line::Finished(Box::new(line)));
            }
        }
    }

    /// Makes lines of the stages that hosts have been in for long.
    fn settle(&mut self, now: Duration) {
        if now.saturating_sub(self.settled) < LINGER {
            return;
        }
        self.settled = now;
        let lingering = self.waiting.extract_if(.., |_, (since, _)| now.saturating_sub(*since) >= LINGER);
        let lines: Vec<Line> = lingering
            .map(|(index, (since, stage))| {
                Line::Stage(StageLine { at: secs(since), index, stage: stage.name().to_owned() })
            })
            .collect();
        lines.iter().for_each(|line| self.push(line));
    }

    fn push(&mut self, line: &Line) {
        self.bytes.extend(bytes_of(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::SkipCause;
    use crate::outcome::{FailureClass, HostError};

    /// What is written of `news` at these milliseconds, where the disk is looked at after each.
    fn written(news: Vec<(u64, HostIndex, News)>) -> String {
        let mut lines = Lines::new(2);
        for (millis, index, news) in news {
            let at = Duration::from_millis(millis);
            lines.take(index, at, news);
            lines.settle(at);
        }
        String::from_utf8(lines.bytes).unwrap()
    }

    #[test]
    fn every_start_and_end_is_a_line_and_a_stage_only_when_a_host_lingers_in_it() {
        let refused = Outcome::Failed(HostError::new(Stage::Connect, FailureClass::Refused, "refused"));
        insta::assert_snapshot!(written(vec![
            (0, 0, News::Started),
            (1, 0, News::Stage(Stage::Resolve)),
            (2, 0, News::Stage(Stage::Connect)),
            (2, 1, News::Started),
            (3, 1, News::Stage(Stage::Connect)),
            (10, 1, News::Finished(refused)),
            (700, 1, News::Started),
            (701, 1, News::Stage(Stage::Command)),
            (800, 1, News::Finished(Outcome::Exited(0))),
        ]), @r#"
        {"event":"started","at":0.0,"index":0,"attempt":1}
        {"event":"started","at":0.002,"index":1,"attempt":1}
        {"event":"finished","at":0.01,"index":1,"attempt":1,"outcome":"unreachable","seconds":0.008,"stage":"connect","class":"refused","reason":"connect: refused"}
        {"event":"started","at":0.7,"index":1,"attempt":2}
        {"event":"stage","at":0.002,"index":0,"stage":"connect"}
        {"event":"finished","at":0.8,"index":1,"attempt":2,"outcome":"ok","seconds":0.1,"exit_code":0}
        "#);
    }

    #[test]
    fn an_end_seen_twice_is_written_once_and_another_end_replaces_it() {
        let lines = written(vec![
            (0, 0, News::Started),
            (1, 0, News::Finished(Outcome::Exited(1))),
            (2, 0, News::Finished(Outcome::Exited(1))),
            (3, 0, News::Finished(Outcome::Exited(2))),
            (4, 1, News::Finished(Outcome::Skipped(SkipCause::Interrupted))),
        ]);
        let ends: Vec<&str> = lines.lines().filter(|line| line.contains("finished")).collect();
        assert_eq!(ends.len(), 3, "{lines}");
        assert!(ends[1].contains("\"exit_code\":2") && ends[2].contains("skipped"), "{lines}");
        assert!(!ends[2].contains("attempt") && !ends[2].contains("seconds"), "{lines}");
    }

    #[test]
    fn a_full_disk_ends_the_journal_and_is_told() {
        let (notes, incoming) = mpsc::channel();
        notes.send(Note::Host { index: 0, at: Duration::ZERO, news: News::Started }).unwrap();
        drop(notes);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = write(full, 1, Instant::now(), &incoming).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
