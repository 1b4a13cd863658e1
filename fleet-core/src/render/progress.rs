//! The progress line: what it says, and the bytes that draw and clear it.
//!
//! The only module that knows `indicatif`. Writes to no terminal itself: `console` does, in order with everything else.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::settings::HostLabel;
use super::transfers::Transfers;
use crate::event::{Event, HostEvent, HostIndex, Wave};
use crate::outcome::Stage;

/// From what age a running host is named as slow.
const SLOW: Duration = Duration::from_secs(2);
/// How many slow hosts are named.
const MAX_NAMED: usize = 3;

/// Counts hosts and knows the slowest.
#[derive(Debug)]
pub(super) struct Progress {
    names: Vec<String>,
    stages: Vec<Stage>,
    started_at: Vec<Duration>,
    /// Running hosts, the one that started first in front.
    running: BTreeSet<(Duration, HostIndex)>,
    done: usize,
    failed: usize,
    /// What the line starts with: the wave, where there are several.
    wave: String,
    transfers: Transfers,
}

impl Progress {
    pub(super) fn new(hosts: &[HostLabel]) -> Self {
        Self {
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            stages: vec![Stage::Resolve; hosts.len()],
            started_at: vec![Duration::ZERO; hosts.len()],
            running: BTreeSet::new(),
            done: 0,
            failed: 0,
            wave: String::new(),
            transfers: Transfers::default(),
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent) {
        let index = event.index;
        match &event.event {
            Event::Started => {
                self.started_at[index] = event.at;
                self.running.insert((event.at, index));
            }
            Event::Stage(stage) => {
                self.stages[index] = *stage;
                // After a retry it runs again from its first stage on.
                if !self.running.contains(&(self.started_at[index], index)) {
                    self.started_at[index] = event.at;
                    self.running.insert((event.at, index));
                }
            }
            Event::Progress(transferred) => self.transfers.progress(index, *transferred, self.names.len()),
            Event::Retry(_) => {
                self.transfers.forget(index);
                self.running.remove(&(self.started_at[index], index));
            }
            Event::Finished(outcome) => {
                self.running.remove(&(self.started_at[index], index));
                self.done += 1;
                self.failed += usize::from(!outcome.is_success());
            }
            _ => {}
        }
    }

    /// A wave begins.
    pub(super) fn wave(&mut self, wave: &Wave) {
        self.wave = format!("wave {} of {}: ", wave.number, wave.of);
    }

    /// How many hosts are where.
    pub(super) fn counts(&self) -> String {
        let mut text = format!("{}{}/{} done, {} running", self.wave, self.done, self.names.len(), self.running());
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        text
    }

    /// How many hosts run.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// The running hosts with their stages and for how long each has run, the longest first.
    pub(super) fn slowest(&self, now: Duration) -> impl Iterator<Item = (HostIndex, Stage, Duration)> {
        self.running.iter().map(move |(since, index)| (*index, self.stages[*index], now.saturating_sub(*since)))
    }

    /// The text of the line at `now`.
    pub(super) fn text(&mut self, now: Duration) -> String {
        let mut text = self.counts();
        let slow = match self.transfers.text(now) {
            Some(transfers) => {
                text = format!("{text}; {transfers}");
                self.furthest_behind(now)
            }
            None => self.slowest(now).take_while(|(_, _, age)| *age >= SLOW).take(MAX_NAMED).collect(),
        };
        let slow: Vec<String> = slow.into_iter().take(MAX_NAMED).map(|slow| self.slow_host(slow)).collect();
        if !slow.is_empty() {
            text.push_str("; slowest: ");
            text.push_str(&slow.join(", "));
        }
        text
    }

    /// The slow hosts, those with the smallest share of their copies in front: the others come later anyway.
    fn furthest_behind(&self, now: Duration) -> Vec<(HostIndex, Stage, Duration)> {
        let mut slow: Vec<_> = self.slowest(now).take_while(|(_, _, age)| *age >= SLOW).collect();
        slow.sort_by_key(|(index, _, _)| self.transfers.percent(*index));
        slow
    }

    /// `web1 command 12s 30%`
    fn slow_host(&self, (index, stage, age): (HostIndex, Stage, Duration)) -> String {
        let share = self.transfers.percent(index).map(|percent| format!(" {percent}%")).unwrap_or_default();
        format!("{} {stage} {}s{share}", self.names[index], age.as_secs())
    }
}

/// Turns texts into the bytes that draw them on the last line of a terminal, and that clear it.
#[derive(Debug)]
pub(super) struct StatusLine {
    lines: MultiProgress,
    bar: ProgressBar,
    ink: Ink,
    text: String,
    /// Whether something is on the screen.
    visible: bool,
    /// Whether that is the present text.
    drawn: bool,
}

impl StatusLine {
    /// A line on a terminal that is as wide as `columns` says when it is drawn.
    pub(super) fn new(columns: fn() -> u16) -> Self {
        let ink = Ink { bytes: Arc::default(), columns };
        // Without a rate of its own: it is drawn when it is told to.
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(ink.clone())));
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = lines.add(ProgressBar::new_spinner()).with_style(style);
        Self { lines, bar, ink, text: String::new(), visible: false, drawn: false }
    }

    /// What to show from now on.
    pub(super) fn set(&mut self, text: String) {
        if self.text != text {
            self.text = text;
            self.drawn = false;
        }
    }

    /// The bytes that show the text; none if it is on the screen already.
    pub(super) fn redraw(&mut self) -> Vec<u8> {
        if self.text.is_empty() || (self.visible && self.drawn) {
            return Vec::new();
        }
        (self.visible, self.drawn) = (true, true);
        self.bar.set_message(self.text.clone());
        let mut bytes = self.ink.take();
        // Padding to the full width would wrap when the terminal is made narrower.
        bytes.truncate(bytes.trim_ascii_end().len());
        bytes
    }

    /// The bytes that clear the line and leave the cursor at its start; none if it is not visible.
    pub(super) fn clear(&mut self) -> Vec<u8> {
        if !std::mem::take(&mut self.visible) {
            return Vec::new();
        }
        // It only fails where writing does, and `Ink` does not.
        let _ = self.lines.clear();
        self.ink.take()
    }
}

/// A terminal that only remembers what should be written to the real one.
#[derive(Clone, Debug)]
struct Ink {
    bytes: Arc<Mutex<Vec<u8>>>,
    columns: fn() -> u16,
}

impl Ink {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.lock().extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn move_cursor(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.write(&format!("\x1b[{count}{direction}")) }
    }
}

impl TermLike for Ink {
    fn width(&self) -> u16 {
        // A full line would leave the cursor on the next one on some terminals.
        (self.columns)().saturating_sub(1).max(1)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write(text)?;
        self.write("\r\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, labels, outcome_refused, retry};
    use super::*;
    use crate::event::{Transferred, WaveKind};
    use crate::outcome::Outcome;

    fn columns() -> u16 {
        40
    }

    #[test]
    fn counts_hosts_and_names_the_slowest_with_their_stage() {
        let mut progress = Progress::new(&labels(["web1", "web2", "web3", "web4"]));
        for event in [
            event(0, 0, Event::Started),
            event(1, 1, Event::Started),
            event(2, 1, Event::Started),
            event(0, 1, Event::Stage(Stage::Command)),
            event(1, 1, Event::Stage(Stage::Connect)),
            event(2, 2, Event::Finished(outcome_refused())),
            event(3, 11, Event::Started),
        ] {
            progress.event(&event);
        }
        let text = progress.text(Duration::from_secs(12));
        assert_eq!(text, "1/4 done, 3 running, 1 failed; slowest: web1 command 12s, web2 connect 11s");
        progress.event(&event(0, 12, Event::Finished(Outcome::Exited(0))));
        assert_eq!(progress.text(Duration::from_secs(2)), "2/4 done, 2 running, 1 failed");
    }

    #[test]
    fn copies_are_summed_up_and_the_furthest_behind_named() {
        let mut progress = Progress::new(&labels(["web1", "web2", "web3"]));
        let so_far = |bytes| Event::Progress(Transferred { bytes, of: Some(4_000_000) });
        for index in 0..3 {
            progress.event(&event(index, 0, Event::Started));
            progress.event(&event(index, 0, Event::Stage(Stage::Command)));
            progress.event(&event(index, 0, so_far(0)));
        }
        progress.text(Duration::ZERO);
        for (index, bytes) in [(0, 2_000_000), (1, 400_000), (2, 3_600_000)] {
            progress.event(&event(index, 4, so_far(bytes)));
        }
        let text = progress.text(Duration::from_secs(4));
        let expected = "0/3 done, 3 running; 6.0 MB of 12.0 MB, 1.5 MB/s, 4s left; \
                        slowest: web2 command 4s 10%, web1 command 4s 50%, web3 command 4s 90%";
        assert_eq!(text, expected);
        progress.event(&retry(2, 2));
        let text = progress.text(Duration::from_secs(4));
        assert!(text.contains("2.4 MB of 12.0 MB") && !text.contains("web3"), "{text}");
    }

    #[test]
    fn the_line_is_one_line_however_narrow_the_terminal() {
        let mut line = StatusLine::new(columns);
        line.set("x".repeat(200));
        let drawn = String::from_utf8(line.redraw()).unwrap();
        assert_eq!(drawn.matches('x').count(), 39, "{drawn:?}");
        assert!(!drawn.contains('\n'), "{drawn:?}");
    }

    #[test]
    fn clearing_leaves_the_cursor_at_the_start_of_an_empty_line() {
        let mut line = StatusLine::new(columns);
        assert_eq!(line.clear(), b"");
        line.set("1/2 done".into());
        assert_ne!(line.redraw(), b"");
        assert_eq!(line.redraw(), b"");
        assert_eq!(String::from_utf8(line.clear()).unwrap(), "\r\x1b[2K");
        assert_eq!(line.clear(), b"");
        line.set("2/2 done".into());
        assert!(String::from_utf8(line.redraw()).unwrap().contains("2/2 done"));
    }

    #[test]
    fn a_host_that_waits_for_its_retry_does_not_run() {
        let mut progress = Progress::new(&labels(["web1", "web2"]));
        progress.wave(&Wave { number: 2, of: 3, kind: WaveKind::Batch, hosts: 0..2 });
        for event in [event(0, 0, Event::Started), event(0, 1, Event::Stage(Stage::Connect)), retry(0, 2)] {
            progress.event(&event);
        }
        assert_eq!(progress.text(Duration::from_secs(9)), "wave 2 of 3: 0/2 done, 0 running");
        progress.event(&event(0, 10, Event::Stage(Stage::Resolve)));
        progress.event(&event(0, 11, Event::Stage(Stage::Banner)));
        let text = progress.text(Duration::from_secs(15));
        assert_eq!(text, "wave 2 of 3: 0/2 done, 1 running; slowest: web1 banner 5s");
        progress.event(&event(0, 16, Event::Finished(outcome_refused())));
        assert_eq!(progress.text(Duration::from_secs(16)), "wave 2 of 3: 1/2 done, 0 running, 1 failed");
    }
}
