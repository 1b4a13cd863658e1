//! Puts the parts together: one layout, the files, the progress line and the summary behind one `Renderer`.
//!
//! Must not know how any of them looks.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use super::blocks::Blocks;
use super::console::Console;
use super::files::Files;
use super::groups::Groups;
use super::json::Json;
use super::lines::Lines;
use super::notes::Notes;
use super::outflow::Outflow;
use super::progress::{Progress, StatusLine};
use super::settings::{Destination, Detail, HostLabel, Layout, ProgressLine, RenderSettings};
use super::summary::{Remarks, Summary};
use super::{Ending, Occasion, RenderError, Renderer, slowest};
use crate::event::{Event, HostEvent, HostIndex, Stream, Wave, WaveKind};
use crate::hostset;
use crate::outcome::{Outcome, Report};
use crate::pace::Change;

/// Makes the renderer of a run over `hosts`, which every [`HostEvent::index`] counts from 0.
///
/// # Errors
/// When a folder for output files cannot be made.
pub fn build(
    settings: RenderSettings,
    hosts: Vec<HostLabel>,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
) -> Result<Box<dyn Renderer>, RenderError> {
    let files = Files::new(&settings, &hosts)?;
    let status = match (settings.progress, settings.layout, settings.stderr) {
        (_, Layout::Json | Layout::Quiet, _) => None,
        (ProgressLine::Shown, _, Destination::Terminal { columns }) => Some(StatusLine::new(columns)),
        _ => None,
    };
    let mut console = Console::new(&settings, status, stdout, stderr);
    let body = match settings.layout {
        Layout::Lines(prefix) => Body::Lines(Lines::new(prefix, &hosts, settings.limits, &console)),
        Layout::Blocks(order) => Body::Blocks(Blocks::new(order, &hosts, settings.limits)),
        Layout::Groups(groups) => Body::Groups(Groups::new(groups, &hosts, settings.limits)),
        Layout::Json => Body::Json(Json::begin(&settings, &hosts, &mut console)?),
        Layout::Quiet => Body::Quiet,
    };
    let (progress, finished) = (Progress::new(&hosts), vec![false; hosts.len()]);
    let (program, detail) = (settings.program, settings.detail);
    let (notes, results) = (Notes::default(), HashMap::new());
    Ok(Box::new(Display { program, detail, hosts, console, files, progress, body, notes, finished, results }))
}

struct Display {
    program: String,
    detail: Detail,
    hosts: Vec<HostLabel>,
    console: Console,
    files: Files,
    progress: Progress,
    body: Body,
    notes: Notes,
    finished: Vec<bool>,
    results: HashMap<HostIndex, String>,
}

/// The hosts' output in one of its layouts.
enum Body {
    Lines(Lines),
    Blocks(Blocks),
    Groups(Groups),
    Json(Json),
    Quiet,
}

impl Renderer for Display {
    fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        self.progress.event(event);
        self.finished[event.index] |= matches!(event.event, Event::Finished(_));
        match &event.event {
            Event::Result(text) => drop(self.results.insert(event.index, text.clone())),
            Event::Retry(_) => drop(self.results.remove(&event.index)),
            _ => {}
        }
        // A file that cannot be written must not keep the event from the screen.
        let filed = self.files.event(event);
        let shown = self.show(event);
        shown.and(filed)
    }

    fn outflow(&self) -> Outflow {
        self.console.outflow()
    }

    fn notice(&mut self, text: &str) -> Result<(), RenderError> {
        if matches!(self.body, Body::Json(_) | Body::Quiet) {
            return Ok(());
        }
        self.show_notes()?;
        let line = format!("{}: {text}\n", self.program);
        self.console.write(Stream::Stderr, line.as_bytes())?;
        self.console.flush()
    }

    fn wave(&mut self, wave: &Wave, at: Duration) -> Result<(), RenderError> {
        self.progress.wave(wave);
        if let Body::Json(json) = &mut self.body {
            return json.wave(wave, at, &mut self.console);
        }
        if self.detail == Detail::Normal && !self.console.destination(Stream::Stderr).is_terminal() {
            return Ok(());
        }
        let names: Vec<&str> = self.hosts[wave.hosts.clone()].iter().map(|host| host.name.as_str()).collect();
        let kind = match wave.kind {
            WaveKind::Canary => " (canary)",
            WaveKind::Batch => "",
        };
        let names = match self.console.destination(Stream::Stderr).columns() {
            Some(columns) => hostset::fold_limited(&names, columns),
            None => hostset::fold(&names),
        };
        self.notice(&format!("wave {} of {}{kind}: {names}", wave.number, wave.of))
    }

    fn limit(&mut self, change: Change, at: Duration) -> Result<(), RenderError> {
        match &mut self.body {
            Body::Json(json) => json.limit(change, at, &mut self.console),
            _ if self.detail == Detail::Verbose => self.notice(&format!("fan-out {}: {}", change.limit, change.reason)),
            _ => Ok(()),
        }
    }

    fn make_room(&mut self) -> Result<(), RenderError> {
        self.show_notes()?;
        self.console.make_room()
    }

    fn slowest(&mut self, occasion: Occasion, now: Duration) -> Result<(), RenderError> {
        if occasion != Occasion::Asked && matches!(self.body, Body::Json(_) | Body::Quiet) {
            return Ok(());
        }
        let columns = self.console.destination(Stream::Stderr).columns();
        for line in slowest::lines(&self.progress, &self.hosts, occasion, now, columns) {
            let line = format!("{}: {line}\n", self.program);
            self.console.write(Stream::Stderr, line.as_bytes())?;
        }
        self.console.flush()
    }

    fn tick(&mut self, now: Duration) -> Result<(), RenderError> {
        if self.notes.are_due(now) {
            self.show_notes()?;
        }
        if self.console.has_status() { self.console.show_status(self.progress.text(now)) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), RenderError> {
        self.console.flush()
    }

    fn finish(&mut self, report: &Report, ending: &Ending) -> Result<(), RenderError> {
        // Where standard output fails, standard error still gets its summary.
        let notes = self.show_notes();
        let body = self.end_body(report, ending);
        let summary = self.show_summary(report, ending);
        notes.and(body).and(summary)
    }
}

impl Display {
    fn show(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        let says = matches!(event.event, Event::Output { .. } | Event::Note(_) | Event::Retry(_));
        if says && self.notes.has(event.index) {
            self.show_notes()?;
        }
        match &mut self.body {
            Body::Json(json) => json.event(event, &mut self.console),
            Body::Quiet => Ok(()),
            Body::Lines(lines) => {
                lines.event(event, &mut self.console)?;
                self.note(event);
                Ok(())
            }
            Body::Blocks(blocks) => {
                blocks.event(event, &mut self.console)?;
                self.note(event);
                Ok(())
            }
            Body::Groups(groups) => {
                groups.event(event)?;
                self.note(event);
                Ok(())
            }
        }
    }

    fn note(&mut self, event: &HostEvent) {
        match &event.event {
            Event::Note(text) => self.notes.add(event.index, text, event.at),
            Event::Retry(next) if self.detail == Detail::Verbose => {
                let pause = super::summary::elapsed(next.pause);
                let text = format!("{}; attempt {} in {pause}", next.reason, next.attempt);
                self.notes.add(event.index, &text, event.at);
            }
            _ => {}
        }
    }

    fn show_notes(&mut self) -> Result<(), RenderError> {
        for line in self.notes.take(&self.hosts) {
            let line = format!("{}: {line}\n", self.program);
            self.console.write(Stream::Stderr, line.as_bytes())?;
        }
        Ok(())
    }

    /// Shows what is held of hosts that never said how they ended.
    fn end_body(&mut self, report: &Report, ending: &Ending) -> Result<(), RenderError> {
        for (index, outcome) in report.outcomes().iter().enumerate().take(self.hosts.len()) {
            if !self.finished[index] {
                self.end_host(index, outcome, ending)?;
            }
        }
        match &mut self.body {
            Body::Json(json) => json.end(report, ending, &mut self.console)?,
            Body::Blocks(blocks) => blocks.finish(&mut self.console)?,
            Body::Groups(groups) => groups.show(&mut self.console)?,
            Body::Lines(_) | Body::Quiet => {}
        }
        self.console.flush()
    }

    fn end_host(&mut self, index: HostIndex, outcome: &Outcome, ending: &Ending) -> Result<(), RenderError> {
        match &mut self.body {
            Body::Lines(lines) => lines.end(index, &mut self.console),
            Body::Blocks(blocks) => blocks.end(index, outcome, &mut self.console),
            Body::Groups(groups) => groups.end(index, outcome),
            Body::Json(json) => {
                let event = Event::Finished(outcome.clone());
                json.event(&HostEvent { index, at: ending.elapsed, event }, &mut self.console)
            }
            Body::Quiet => Ok(()),
        }
    }

    fn show_summary(&mut self, report: &Report, ending: &Ending) -> Result<(), RenderError> {
        self.console.end_status()?;
        let summary = Summary {
            hosts: &self.hosts,
            report,
            ending,
            remarks: Remarks {
                incomplete_files: self.files.incomplete(),
                cut_lines: match &self.body {
                    Body::Lines(lines) => lines.hosts_with_cut_lines(),
                    _ => Vec::new(),
                },
            },
            results: &self.results,
            columns: self.console.destination(Stream::Stderr).columns(),
            paint: self.console.paint(Stream::Stderr),
        };
        if matches!(self.body, Body::Quiet | Body::Json(_)) && summary.is_all_fine() {
            return Ok(());
        }
        let text = summary.text();
        self.console.start_line(Stream::Stderr)?;
        self.console.write(Stream::Stderr, text.as_bytes())?;
        self.console.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::settings::BlockOrder;
    use super::super::settings::Limits;
    use super::super::testing::{
        FailingWriter, SharedWriter, TERMINAL, event, finished, finished_ok, labels, output, retry, show, started,
    };
    use super::super::{Completion, Prefix};
    use super::*;
    use crate::outcome::ExitStatus;
    use crate::pace::Reason;

    fn ending() -> Ending {
        Ending { elapsed: Duration::from_secs(3), status: ExitStatus::Success, completion: Completion::Complete }
    }

    #[test]
    fn quiet_says_nothing_unless_some_host_is_not_fine() {
        let settings = || RenderSettings { layout: Layout::Quiet, ..RenderSettings::new("psh") };
        let events = [started(0), output(0, Stream::Stdout, b"x\n"), finished_ok(0)];
        let shown = show(settings(), &["web1"], &events);
        assert_eq!((shown.stdout(), shown.stderr.as_str()), ("", ""));
        let shown = show(settings(), &["web1"], &[started(0), finished(0, Outcome::Exited(1))]);
        assert!(shown.stderr.contains("web1 (1): exit code 1"), "{}", shown.stderr);
    }

    #[test]
    fn notes_name_the_program_and_the_host() {
        let note = event(0, 1, Event::Note("login dropped\ntrying \x1bagain".into()));
        let shown = show(RenderSettings::new("psh"), &["web1"], &[note, finished_ok(0)]);
        insta::assert_snapshot!(shown.stderr, @r"
        psh: web1: login dropped
        psh: web1: trying \x1bagain
        1 host: 1 ok in 1.2s
        ");
    }

    #[test]
    fn a_note_waits_for_others_but_no_longer_than_what_its_host_says_next() {
        let note = |index| event(index, 1, Event::Note("login dropped".into()));
        let (stdout, stderr) = (SharedWriter::default(), SharedWriter::default());
        let settings = RenderSettings::new("psh");
        let mut renderer = build(settings, labels(["web1", "web2", "web3"]), stdout.boxed(), stderr.boxed()).unwrap();
        renderer.event(&note(0)).unwrap();
        renderer.event(&note(2)).unwrap();
        renderer.tick(Duration::from_secs(1)).unwrap();
        assert_eq!(stderr.text(), "");
        renderer.event(&output(2, Stream::Stderr, b"denied\n")).unwrap();
        renderer.flush().unwrap();
        assert_eq!(stderr.text(), "psh: web[1,3] (2): login dropped\nweb3: denied\n");
        renderer.event(&note(1)).unwrap();
        renderer.tick(Duration::from_secs(2)).unwrap();
        assert!(stderr.text().ends_with("psh: web2: login dropped\n"));
    }

    #[test]
    fn the_progress_line_never_meets_the_hosts_lines_on_a_terminal() {
        let settings = RenderSettings {
            stdout: TERMINAL,
            stderr: TERMINAL,
            progress: ProgressLine::Shown,
            ..RenderSettings::new("psh")
        };
        let screen = SharedWriter::default();
        let mut renderer = build(settings, labels(["web1", "web2"]), screen.boxed(), screen.boxed()).unwrap();
        renderer.event(&started(0)).unwrap();
        renderer.tick(Duration::from_secs(1)).unwrap();
        renderer.event(&output(0, Stream::Stdout, b"one\npart")).unwrap();
        renderer.flush().unwrap();
        renderer.event(&output(0, Stream::Stderr, b"err\n")).unwrap();
        renderer.tick(Duration::from_secs(5)).unwrap();
        assert_eq!(screen.screen_lines().last().unwrap(), "0/2 done, 1 running; slowest: web1 resolve 5s");
        renderer.event(&finished_ok(0)).unwrap();
        renderer.event(&finished_ok(1)).unwrap();
        renderer.finish(&Report::new(vec![Outcome::Exited(0); 2]), &ending()).unwrap();
        let lines = screen.screen_lines();
        assert_eq!(lines, ["web1: one", "web1: err", "web1: part", "2 hosts: 2 ok in 3.0s", ""]);
    }

    #[test]
    fn a_question_finds_an_empty_line() {
        let settings = RenderSettings {
            stdout: TERMINAL,
            stderr: TERMINAL,
            progress: ProgressLine::Shown,
            layout: Layout::Lines(Prefix::None),
            ..RenderSettings::new("psh")
        };
        let screen = SharedWriter::default();
        let mut renderer = build(settings, labels(["web1", "web2"]), screen.boxed(), screen.boxed()).unwrap();
        renderer.event(&started(0)).unwrap();
        renderer.tick(Duration::from_secs(1)).unwrap();
        renderer.make_room().unwrap();
        assert_eq!(screen.screen_lines(), [""], "the progress line is gone");
        renderer.event(&output(0, Stream::Stdout, b"part")).unwrap();
        renderer.event(&finished_ok(0)).unwrap();
        renderer.make_room().unwrap();
        assert_eq!(screen.screen_lines(), ["part", ""], "an unfinished line is kept");
        renderer.tick(Duration::from_secs(5)).unwrap();
        assert!(screen.screen_lines()[1].starts_with("1/2 done"), "{:?}", screen.screen_lines());
    }

    #[test]
    fn the_summary_starts_on_a_line_of_its_own_on_a_terminal() {
        let settings = RenderSettings {
            stdout: TERMINAL,
            stderr: TERMINAL,
            layout: Layout::Lines(Prefix::None),
            ..RenderSettings::new("psh")
        };
        let screen = SharedWriter::default();
        let mut renderer = build(settings, labels(["web1"]), screen.boxed(), screen.boxed()).unwrap();
        renderer.event(&output(0, Stream::Stdout, b"no newline")).unwrap();
        renderer.event(&finished_ok(0)).unwrap();
        renderer.finish(&Report::new(vec![Outcome::Exited(0)]), &ending()).unwrap();
        assert_eq!(screen.text(), "no newline\n1 host: 1 ok in 3.0s\n");
    }

    #[test]
    fn a_file_that_fails_does_not_keep_the_output_from_the_screen() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("web1")).unwrap();
        let settings = RenderSettings { stdout_folder: Some(folder.path().into()), ..RenderSettings::new("psh") };
        let (out, err) = (SharedWriter::default(), SharedWriter::default());
        let mut renderer = build(settings, labels(["web1", "web2"]), out.boxed(), err.boxed()).unwrap();
        let error = renderer.event(&output(0, Stream::Stdout, b"line\n")).unwrap_err();
        assert!(matches!(error, RenderError::File { .. }), "{error:?}");
        renderer.event(&output(1, Stream::Stdout, b"line\n")).unwrap();
        renderer.finish(&Report::new(vec![Outcome::Exited(0); 2]), &ending()).unwrap();
        assert_eq!(out.text(), "web1: line\nweb2: line\n");
        assert!(err.text().contains("incomplete output files: web1 (1): "), "{}", err.text());
    }

    #[test]
    fn a_full_standard_output_is_told_once_and_the_summary_still_comes() {
        let err = SharedWriter::default();
        let stdout = Box::new(FailingWriter(io::ErrorKind::StorageFull));
        let mut renderer = build(RenderSettings::new("psh"), labels(["web1"]), stdout, err.boxed()).unwrap();
        renderer.event(&output(0, Stream::Stdout, b"line\n")).unwrap();
        assert!(matches!(renderer.flush(), Err(RenderError::Write { to: "standard output", .. })));
        renderer.event(&output(0, Stream::Stdout, b"line\n")).unwrap();
        renderer.flush().unwrap();
        renderer.finish(&Report::new(vec![Outcome::Exited(0)]), &ending()).unwrap();
        assert_eq!(err.text(), "1 host: 1 ok in 3.0s\n");
    }

    #[test]
    fn memory_is_bounded_for_fifty_hosts_with_megabyte_lines() {
        let limits = Limits { held_bytes: 4 << 20, ..Limits::default() };
        let names: Vec<String> = (0..50).map(|n| format!("web{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let chunk = [b'x'; 32 << 10];
        let events: Vec<_> = (0..50 * 32).map(|n| output(n % 50, Stream::Stdout, &chunk)).collect();
        let shown = show(RenderSettings { limits, ..RenderSettings::new("psh") }, &names, &events);
        assert_eq!(shown.stdout.iter().filter(|byte| **byte == b'x').count(), 50 << 20);
        assert!(shown.stderr.contains("shown in pieces: web[0-49]"), "{}", shown.stderr);
    }

    #[test]
    fn further_attempts_are_remarked_on_only_by_those_who_say_more() {
        for (detail, said) in [(Detail::Normal, 0), (Detail::Verbose, 1)] {
            let settings = RenderSettings { detail, ..RenderSettings::new("psh") };
            let shown = show(settings, &["web1"], &[started(0), retry(0, 2), finished_ok(0)]);
            let remark = "psh: web1: exit code 1; attempt 2 in 1.5s\n";
            assert_eq!(shown.stderr.matches(remark).count(), said, "{}", shown.stderr);
        }
    }

    #[test]
    fn another_limit_is_an_object_and_remarked_on_only_to_those_who_say_more() {
        let change = Change { limit: 48, reason: Reason::OutOfDescriptors };
        let remark = "psh: fan-out 48: this machine's limit of open files is reached (ulimit -n)\n";
        for (detail, layout, said) in [
            (Detail::Normal, Layout::Lines(Prefix::Name), ""),
            (Detail::Verbose, Layout::Lines(Prefix::Name), remark),
            (Detail::Verbose, Layout::Quiet, ""),
            (Detail::Verbose, Layout::Json, ""),
            (Detail::Normal, Layout::Json, ""),
        ] {
            let settings = RenderSettings { detail, layout, ..RenderSettings::new("psh") };
            let (stdout, screen) = (SharedWriter::default(), SharedWriter::default());
            let mut renderer = build(settings, labels(["web1"]), stdout.boxed(), screen.boxed()).unwrap();
            renderer.limit(change, Duration::from_millis(1500)).unwrap();
            renderer.flush().unwrap();
            assert_eq!(screen.text(), said, "{detail:?} {layout:?}");
            let object = r#"{"v":1,"event":"limit","at":1.5,"limit":48,"reason":"this machine's limit of open files is reached (ulimit -n)"}"#;
            assert_eq!(stdout.text().contains(object), layout == Layout::Json, "{}", stdout.text());
        }
    }

    #[test]
    fn a_wave_is_told_to_a_person_and_to_those_who_say_more() {
        let wave = Wave { number: 1, of: 2, kind: WaveKind::Canary, hosts: 0..2 };
        for (detail, stderr, layout, said) in [
            (Detail::Normal, TERMINAL, Layout::Blocks(BlockOrder::Ended), "psh: wave 1 of 2 (canary): web[1-2]\n"),
            (Detail::Normal, Destination::Stream, Layout::Blocks(BlockOrder::Ended), ""),
            (
                Detail::Verbose,
                Destination::Stream,
                Layout::Blocks(BlockOrder::Ended),
                "psh: wave 1 of 2 (canary): web[1-2]\n",
            ),
            (Detail::Verbose, TERMINAL, Layout::Quiet, ""),
            (Detail::Verbose, TERMINAL, Layout::Json, ""),
        ] {
            let settings = RenderSettings { detail, stderr, layout, ..RenderSettings::new("psh") };
            let (stdout, screen) = (SharedWriter::default(), SharedWriter::default());
            let hosts = labels(["web1", "web2", "web3"]);
            let mut renderer = build(settings, hosts, stdout.boxed(), screen.boxed()).unwrap();
            renderer.wave(&wave, Duration::from_secs(2)).unwrap();
            renderer.flush().unwrap();
            assert_eq!(screen.text(), said, "{detail:?} {layout:?}");
            let object =
                r#"{"v":1,"event":"wave","at":2.0,"number":1,"of":2,"kind":"canary","first_index":0,"hosts":2}"#;
            assert_eq!(stdout.text().contains(object), layout == Layout::Json, "{}", stdout.text());
        }
    }
}
