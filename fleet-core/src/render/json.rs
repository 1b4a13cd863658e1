//! The `--json` layout: one JSON object a line for each event. Documented in `docs/json.md`, which changes with it.
//!
//! Must not know what the objects are used for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::answers::{Answers, Group};
use super::assemble::{Assembler, Grouping, Piece};
use super::console::Console;
use super::contents::{Contents, Digest};
use super::settings::{GroupOrder, HostLabel, RenderSettings};
use super::summary::counts;
use super::{Ending, RenderError};
use crate::event::{Event, HostEvent, HostIndex, Stream, Transferred, Wave, WaveKind};
use crate::hostset;
use crate::outcome::{Outcome, Report, Stop};
use crate::pace::Change;

/// The version of the objects. Grows when a field changes its meaning or goes; new fields and events do not count.
pub(super) const VERSION: u32 = 1;

/// Objects for what happens.
pub(super) struct Json {
    names: Vec<String>,
    started_at: Vec<Option<Duration>>,
    /// The number of the attempt that each host is at.
    attempts: Vec<u32>,
    assembler: Assembler,
    /// Where equal answers are told of.
    answers: Option<Answers>,
}

#[derive(Serialize)]
struct RunLine<'a> {
    v: u32,
    event: &'static str,
    program: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    hosts: Vec<&'a str>,
}

/// What all objects about one host have.
#[derive(Serialize)]
struct HostLine<'a, T> {
    v: u32,
    event: &'static str,
    at: f64,
    host: &'a str,
    index: HostIndex,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct WaveLine {
    v: u32,
    event: &'static str,
    at: f64,
    number: usize,
    of: usize,
    kind: &'static str,
    first_index: HostIndex,
    hosts: usize,
}

#[derive(Serialize)]
struct LimitLine {
    v: u32,
    event: &'static str,
    at: f64,
    limit: usize,
    reason: String,
}

#[derive(Serialize)]
struct RetryFields<'a> {
    attempt: u32,
    reason: &'a str,
    pause_seconds: f64,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct StageFields {
    stage: &'static str,
}

#[derive(Serialize)]
struct OutputFields<'a> {
    stream: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

#[derive(Serialize)]
struct NoteFields<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct ProgressFields {
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

#[derive(Default, Serialize)]
#[serde(default)]
struct FinishedFields<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_still_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    v: u32,
    event: &'static str,
    at: f64,
    hosts: Vec<&'a str>,
    indexes: &'a [HostIndex],
    folded: String,
    stdout_sha256: String,
    stderr_sha256: String,
    #[serde(flatten)]
    outcome: FinishedFields<'a>,
}

#[derive(Serialize)]
struct SummaryLine {
    v: u32,
    event: &'static str,
    at: f64,
    hosts: usize,
    counts: BTreeMap<&'static str, usize>,
    exit_status: u8,
    completion: &'static str,
}

impl Json {
    /// Says which hosts the run is over.
    pub(super) fn begin(
        settings: &RenderSettings,
        hosts: &[HostLabel],
        console: &mut Console,
    ) -> Result<Self, RenderError> {
        let (program, limits) = (settings.program.as_str(), settings.limits);
        let answers = settings.json_groups.map(|ignored| Answers::new(hosts, ignored, Contents::of_digests()));
        let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
        let hosts = names.iter().map(String::as_str).collect();
        write(console, &RunLine { v: VERSION, event: "run", program, run: settings.run.as_deref(), hosts })?;
        Ok(Self {
            started_at: vec![None; names.len()],
            attempts: vec![1; names.len()],
            assembler: Assembler::new(Grouping::Several, names.len(), limits.line_bytes, limits.held_bytes),
            names,
            answers,
        })
    }

    pub(super) fn event(&mut self, event: &HostEvent, console: &mut Console) -> Result<(), RenderError> {
        let (index, at) = (event.index, event.at);
        if let Some(answers) = &mut self.answers {
            answers.event(event)?;
        }
        match &event.event {
            Event::Started => {
                self.started_at[index] = Some(at);
                write_host(console, &self.names, "started", at, index, Nothing {})
            }
            Event::Stage(stage) => {
                write_host(console, &self.names, "stage", at, index, StageFields { stage: stage.name() })
            }
            Event::Note(text) => write_host(console, &self.names, "note", at, index, NoteFields { text }),
            Event::Result(text) => write_host(console, &self.names, "result", at, index, NoteFields { text }),
            Event::Progress(Transferred { bytes, of }) => {
                write_host(console, &self.names, "progress", at, index, ProgressFields { bytes: *bytes, of: *of })
            }
            Event::Output { stream, bytes } => {
                let Self { assembler, names, attempts, .. } = self;
                let mut show = |key, piece: Piece<'_>| output(console, names, attempts, at, key, &piece);
                assembler.push((index, *stream), bytes, &mut show)
            }
            Event::Retry(retry) => {
                self.end_output(index, at, console)?;
                self.attempts[index] = retry.attempt;
                let pause_seconds = secs(retry.pause);
                let fields = RetryFields { attempt: retry.attempt, reason: &retry.reason, pause_seconds };
                write_host(console, &self.names, "retry", at, index, fields)
            }
            Event::Finished(outcome) => {
                self.end_output(index, at, console)?;
                let mut fields = finished(outcome);
                fields.attempts = later_attempt(self.attempts[index]);
                fields.seconds = self.started_at[index].map(|started| secs(at.saturating_sub(started)));
                write_host(console, &self.names, "finished", at, index, fields)
            }
        }
    }

    /// Says that a wave begins.
    pub(super) fn wave(&mut self, wave: &Wave, at: Duration, console: &mut Console) -> Result<(), RenderError> {
        let kind = match wave.kind {
            WaveKind::Canary => "canary",
            WaveKind::Batch => "batch",
        };
        let (number, of, first_index, hosts) = (wave.number, wave.of, wave.hosts.start, wave.hosts.len());
        write(console, &WaveLine { v: VERSION, event: "wave", at: secs(at), number, of, kind, first_index, hosts })
    }

    /// Says how many hosts may log in at once from now on.
    pub(super) fn limit(&mut self, change: Change, at: Duration, console: &mut Console) -> Result<(), RenderError> {
        let Change { limit, reason } = change;
        write(console, &LimitLine { v: VERSION, event: "limit", at: secs(at), limit, reason: reason.to_string() })
    }

    /// Shows the unfinished lines of a host.
    fn end_output(&mut self, index: HostIndex, at: Duration, console: &mut Console) -> Result<(), RenderError> {
        let Self { assembler, names, attempts, .. } = self;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut show = |key, piece: Piece<'_>| output(console, names, attempts, at, key, &piece);
            assembler.end((index, stream), &mut show)?;
        }
        Ok(())
    }

    /// Says which hosts gave equal answers, where that was asked for, and how the run ended: the last object.
    pub(super) fn end(&self, report: &Report, ending: &Ending, console: &mut Console) -> Result<(), RenderError> {
        let groups = self.answers.iter().flat_map(|answers| answers.groups(GroupOrder::Size));
        groups.into_iter().try_for_each(|group| self.group(&group, ending, console))?;
        let summary = SummaryLine {
            v: VERSION,
            event: "summary",
            at: secs(ending.elapsed),
            hosts: self.names.len(),
            counts: counts(report).into_iter().collect(),
            exit_status: ending.status.code(),
            completion: ending.completion.name(),
        };
        write(console, &summary)
    }

    fn group(&self, group: &Group, ending: &Ending, console: &mut Console) -> Result<(), RenderError> {
        let hosts: Vec<&str> = group.hosts.iter().map(|index| self.names[*index].as_str()).collect();
        let line = GroupLine {
            v: VERSION,
            event: "group",
            at: secs(ending.elapsed),
            folded: hostset::fold(&hosts),
            hosts,
            indexes: &group.hosts,
            stdout_sha256: hexadecimal(&group.stdout),
            stderr_sha256: hexadecimal(&group.stderr),
            outcome: finished(&group.outcome),
        };
        write(console, &line)
    }
}

fn hexadecimal(digest: &Digest) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn output(
    console: &mut Console,
    names: &[String],
    attempts: &[u32],
    at: Duration,
    (index, stream): (HostIndex, Stream),
    piece: &Piece<'_>,
) -> Result<(), RenderError> {
    let bytes = match piece.parts {
        [b"", bytes] | [bytes, b""] => Cow::Borrowed(bytes),
        [held, new] => Cow::Owned([held, new].concat()),
    };
    let text = std::str::from_utf8(&bytes).ok();
    let fields = OutputFields {
        stream: stream.name(),
        attempt: later_attempt(attempts[index]),
        text,
        base64: text.is_none().then(|| STANDARD.encode(&bytes)),
    };
    write_host(console, names, "output", at, index, fields)
}

/// The number of an attempt where it says anything: the first goes without saying.
fn later_attempt(attempt: u32) -> Option<u32> {
    Some(attempt).filter(|attempt| *attempt > 1)
}

fn finished(outcome: &Outcome) -> FinishedFields<'_> {
    let mut fields = FinishedFields {
        outcome: outcome.name(),
        reason: outcome.reason(),
        hint: outcome.hint(),
        ..FinishedFields::default()
    };
    match outcome {
        Outcome::Exited(code) => fields.exit_code = Some(*code),
        Outcome::Signalled(signal) => fields.signal = Some(signal),
        Outcome::Stopped { stop, .. } => fields.may_still_run = Some(matches!(stop, Stop::Unconfirmed(_))),
        Outcome::Failed(error) => {
            fields.stage = Some(error.stage.name());
            fields.class = Some(error.class.name());
        }
        Outcome::Running | Outcome::NotReady(_) => {}
        Outcome::Skipped(cause) => fields.cause = Some(cause.name()),
    }
    fields
}

fn write_host(
    console: &mut Console,
    names: &[String],
    event: &'static str,
    at: Duration,
    index: HostIndex,
    rest: impl Serialize,
) -> Result<(), RenderError> {
    write(console, &HostLine { v: VERSION, event, at: secs(at), host: &names[index], index, rest })
}

fn write(console: &mut Console, line: &impl Serialize) -> Result<(), RenderError> {
    console.write(Stream::Stdout, &to_line(line))
}

pub(super) fn to_line(object: &impl Serialize) -> Vec<u8> {
    // To memory, and every map key is a string: there is nothing that could fail.
    let mut bytes = serde_json::to_vec(object).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Seconds to the millisecond.
fn secs(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::build;
    use super::super::settings::{Ignored, Layout, RenderSettings, Varying};
    use super::super::testing::{
        SharedWriter, event, finished_ok, labels, outcome_refused, output, retry, show, started,
    };
    use super::*;
    use crate::outcome::Stage;
    use crate::pace::Reason;

    fn settings() -> RenderSettings {
        RenderSettings { layout: Layout::Json, ..RenderSettings::new("psh") }
    }

    #[test]
    fn every_event_is_one_object_on_one_line() {
        let events = [
            started(0),
            event(0, 1, Event::Stage(Stage::KeyExchange)),
            event(0, 1, Event::Note("second try".into())),
            event(0, 1, Event::Progress(Transferred { bytes: 7, of: Some(9) })),
            event(0, 1, Event::Progress(Transferred { bytes: 8, of: None })),
            event(0, 1, Event::Result("2 files, 9 B".into())),
            output(0, Stream::Stdout, b"one\ntwo\nhal"),
            output(0, Stream::Stderr, b"\xff\n"),
            event(0, 3, Event::Finished(Outcome::Exited(2))),
            event(1, 3, Event::Finished(outcome_refused())),
        ];
        let shown = show(settings(), &["web1", "web2", "web3"], &events);
        insta::assert_snapshot!(shown.stdout(), @r#"
        {"v":1,"event":"run","program":"psh","hosts":["web1","web2","web3"]}
        {"v":1,"event":"started","at":0.0,"host":"web1","index":0}
        {"v":1,"event":"stage","at":1.0,"host":"web1","index":0,"stage":"key exchange"}
        {"v":1,"event":"note","at":1.0,"host":"web1","index":0,"text":"second try"}
        {"v":1,"event":"progress","at":1.0,"host":"web1","index":0,"bytes":7,"of":9}
        {"v":1,"event":"progress","at":1.0,"host":"web1","index":0,"bytes":8}
        {"v":1,"event":"result","at":1.0,"host":"web1","index":0,"text":"2 files, 9 B"}
        {"v":1,"event":"output","at":1.0,"host":"web1","index":0,"stream":"stdout","text":"one\ntwo\n"}
        {"v":1,"event":"output","at":1.0,"host":"web1","index":0,"stream":"stderr","base64":"/wo="}
        {"v":1,"event":"output","at":3.0,"host":"web1","index":0,"stream":"stdout","text":"hal"}
        {"v":1,"event":"finished","at":3.0,"host":"web1","index":0,"outcome":"failed","seconds":3.0,"exit_code":2,"reason":"exit code 2","hint":"the command itself failed: its output says why"}
        {"v":1,"event":"finished","at":3.0,"host":"web2","index":1,"outcome":"unreachable","stage":"connect","class":"refused","reason":"connect: connection refused","hint":"check that sshd runs there and listens on this port"}
        {"v":1,"event":"finished","at":1.234,"host":"web3","index":2,"outcome":"skipped","cause":"interrupted","reason":"not started: the run was interrupted","hint":"--resume last goes on with these hosts"}
        {"v":1,"event":"summary","at":1.234,"hosts":3,"counts":{"failed":1,"skipped":1,"unreachable":1},"exit_status":3,"completion":"complete"}
        "#);
        assert!(shown.stderr.contains("web1 (1): exit code 2"), "{}", shown.stderr);
    }

    #[test]
    fn nothing_is_said_on_standard_error_when_all_is_fine() {
        assert_eq!(show(settings(), &["web1"], &[started(0), finished_ok(0)]).stderr, "");
    }

    #[test]
    fn the_documented_fields_are_those_that_are_written() {
        let events = [
            started(0),
            event(0, 1, Event::Stage(Stage::Connect)),
            event(0, 1, Event::Note("again".into())),
            event(0, 1, Event::Progress(Transferred { bytes: 1, of: Some(2) })),
            event(0, 1, Event::Result("1 file, 2 B".into())),
            output(0, Stream::Stdout, b"text\n"),
            output(0, Stream::Stdout, b"\xff\n"),
            event(0, 3, Event::Finished(outcome_refused())),
            event(1, 3, Event::Finished(Outcome::Signalled("TERM".into()))),
            event(2, 3, Event::Finished(Outcome::Exited(1))),
        ];
        let settings = RenderSettings { json_groups: Some(Ignored::NOTHING), ..settings() };
        for line in show(settings, &["a", "b", "c"], &events).stdout().lines() {
            assert_documented(line);
        }
    }

    #[test]
    fn equal_answers_are_told_of_before_the_summary() {
        let events = [
            output(2, Stream::Stdout, b"on web3\n"),
            finished_ok(2),
            output(0, Stream::Stdout, b"on web1\n"),
            finished_ok(0),
            event(1, 3, Event::Finished(Outcome::Exited(2))),
        ];
        let settings = RenderSettings { json_groups: Some([Varying::Host].into_iter().collect()), ..settings() };
        let shown = show(settings, &["web1", "web2", "web3", "never"], &events);
        let groups: Vec<&str> = shown.stdout().lines().filter(|line| line.contains("\"group\"")).collect();
        insta::assert_snapshot!(groups.join("\n"), @r#"
        {"v":1,"event":"group","at":1.234,"hosts":["web1","web3"],"indexes":[0,2],"folded":"web[1,3]","stdout_sha256":"3c50660a8551a39b76d521f1a68cf8c2f9af3adb0b12d3b4c22b229300e5fba8","stderr_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","outcome":"ok","exit_code":0}
        {"v":1,"event":"group","at":1.234,"hosts":["web2"],"indexes":[1],"folded":"web2","stdout_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","stderr_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","outcome":"failed","exit_code":2,"reason":"exit code 2","hint":"the command itself failed: its output says why"}
        "#);
        assert!(shown.stdout().contains("on web1") && shown.stdout().lines().last().unwrap().contains("summary"));
    }

    #[test]
    fn the_run_has_the_name_of_its_record_and_new_limits_are_told() {
        let settings = RenderSettings { run: Some("20261122-0324-7f3a".to_owned()), ..settings() };
        let screen = SharedWriter::default();
        let mut renderer = build(settings, labels(["web1"]), screen.boxed(), SharedWriter::default().boxed()).unwrap();
        let reason = Reason::Quick(Duration::from_millis(40));
        renderer.limit(Change { limit: 64, reason }, Duration::from_millis(1500)).unwrap();
        renderer.flush().unwrap();
        insta::assert_snapshot!(screen.text(), @r#"
        {"v":1,"event":"run","program":"psh","run":"20261122-0324-7f3a","hosts":["web1"]}
        {"v":1,"event":"limit","at":1.5,"limit":64,"reason":"handshakes take 40ms"}
        "#);
        screen.text().lines().for_each(assert_documented);
    }

    fn assert_documented(line: &str) {
        let documented = include_str!("../../../docs/json.md");
        let object: Value = serde_json::from_str(line).unwrap();
        for field in object.as_object().unwrap().keys() {
            assert!(documented.contains(&format!("`{field}`")), "{field} is not in docs/json.md");
        }
        let event = object["event"].as_str().unwrap();
        assert!(documented.contains(&format!("### `{event}`")), "{event} is not in docs/json.md");
    }

    proptest! {
        #[test]
        fn any_chunking_carries_the_exact_bytes_and_utf8_is_always_text(
            text in "[a-zé€🦀\n]{0,60}",
            junk in proptest::collection::vec(any::<u8>(), 0..60),
            size in 1usize..9,
        ) {
            for (bytes, is_text) in [(text.as_bytes(), true), (&junk[..], false)] {
                let mut settings = settings();
                settings.limits.line_bytes = 10;
                let mut events: Vec<_> = bytes.chunks(size).map(|chunk| output(0, Stream::Stdout, chunk)).collect();
                events.push(finished_ok(0));
                let mut carried = Vec::new();
                for line in show(settings, &["h"], &events).stdout().lines() {
                    let object: Value = serde_json::from_str(line).unwrap();
                    if object["event"] == "output" {
                        match (object["text"].as_str(), object["base64"].as_str()) {
                            (Some(text), None) => carried.extend_from_slice(text.as_bytes()),
                            (None, Some(code)) => {
                                prop_assert!(!is_text, "{}", line);
                                carried.extend(STANDARD.decode(code).unwrap());
                            }
                            _ => prop_assert!(false, "{}", line),
                        }
                    }
                }
                prop_assert_eq!(&carried[..], bytes);
            }
        }
    }

    #[test]
    fn the_objects_of_a_further_attempt_say_so() {
        let events = [
            started(0),
            output(0, Stream::Stdout, b"half"),
            retry(0, 2),
            output(0, Stream::Stdout, b"whole\n"),
            finished_ok(0),
        ];
        insta::assert_snapshot!(show(settings(), &["web1"], &events).stdout(), @r#"
        {"v":1,"event":"run","program":"psh","hosts":["web1"]}
        {"v":1,"event":"started","at":0.0,"host":"web1","index":0}
        {"v":1,"event":"output","at":1.0,"host":"web1","index":0,"stream":"stdout","text":"half"}
        {"v":1,"event":"retry","at":1.0,"host":"web1","index":0,"attempt":2,"reason":"exit code 1","pause_seconds":1.5}
        {"v":1,"event":"output","at":1.0,"host":"web1","index":0,"stream":"stdout","attempt":2,"text":"whole\n"}
        {"v":1,"event":"finished","at":2.0,"host":"web1","index":0,"outcome":"ok","attempts":2,"seconds":2.0,"exit_code":0}
        {"v":1,"event":"summary","at":1.234,"hosts":1,"counts":{"ok":1},"exit_status":0,"completion":"complete"}
        "#);
    }
}
