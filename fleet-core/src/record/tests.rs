//! Journals written by runs and read again, and the folder that they are in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::event::{Event, HostEvent, Stream};
use crate::fanout::{Fanout, FanoutLimit, Finished, HostContext, Scripted, Signals, Task, Witness as _};
use crate::outcome::{ExitStatus, Outcome, Report, Stage};
use crate::render::{Completion, Ending, RenderError, Renderer};

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(300);

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("fleet/runs"));
    (folder, store)
}

fn header(hosts: usize) -> Header {
    let hosts = (0..hosts).map(|n| HeaderHost { host: format!("web{n}"), ..HeaderHost::default() }).collect();
    Header { tool: "psh".to_owned(), command: "uptime".to_owned(), hosts, ..Header::default() }
}

fn begin(store: &Store, hosts: usize) -> Journal {
    Journal::begin(store.clone(), SystemTime::now(), header(hosts)).unwrap()
}

fn end(journal: Journal) {
    journal.end(&Report::default(), Completion::Complete, ExitStatus::Success).unwrap();
}

/// A renderer that shows nothing, or one whose terminal takes nothing.
enum Screen {
    Dark,
    Stuck,
}

impl Renderer for Screen {
    fn event(&mut self, _: &HostEvent) -> Result<(), RenderError> {
        match self {
            Self::Dark => Ok(()),
            Self::Stuck => loop {
                std::thread::park();
            },
        }
    }

    fn finish(&mut self, _: &Report, _: &Ending) -> Result<(), RenderError> {
        Ok(())
    }
}

async fn run<T: Task>(journal: &Journal, hosts: usize, task: T, screen: Screen) -> Finished {
    let fanout = Fanout { witness: Arc::new(journal.recorder()), ..Fanout::new(hosts, FanoutLimit::exactly(hosts)) };
    fanout.run(task, Box::new(screen), Signals::scripted().1).await
}

#[tokio::test]
async fn the_first_line_is_whole_before_the_first_host_starts_and_the_last_says_how_it_ended() {
    let (_folder, store) = store();
    let journal = begin(&store, 3);
    let (id, path) = (journal.id().clone(), store.journal(journal.id()));
    let task = Scripted(move |host: HostContext| {
        let first = fs::read_to_string(&path).unwrap();
        async move {
            assert!(first.starts_with("{\"event\":\"run\"") && first.contains("}\n"), "{first}");
            Outcome::Exited(u32::try_from(host.index()).unwrap())
        }
    });
    let finished = run(&journal, 3, task, Screen::Dark).await;
    journal.end(&finished.report, finished.completion, finished.status).unwrap();
    let run = store.read(&id).unwrap();
    assert_eq!(run.counts(), [("ok", 1), ("failed", 2)]);
    assert_eq!(run.not_fine().map(|host| host.host.as_str()).collect::<Vec<_>>(), ["web1", "web2"]);
    assert!(run.hosts.iter().all(|host| host.attempts == 1 && host.seconds.is_some()), "{run:?}");
    assert!(
        matches!(&run.state, RunState::Ended { exit_status: 5, completion, .. } if completion == "complete"),
        "{run:?}"
    );
}

/// With 256 events waiting for the renderer, the loop takes no more from the hosts.
#[tokio::test]
async fn a_terminal_that_takes_nothing_keeps_no_end_from_the_disk() {
    const FLOOD: usize = 400;
    let (_folder, store) = store();
    let journal = begin(&store, 2);
    let flooded = Arc::new(Notify::new());
    let task = Scripted(move |host: HostContext| {
        let flooded = Arc::clone(&flooded);
        async move {
            if host.index() == 1 {
                flooded.notified().await;
                return Outcome::Exited(0);
            }
            for sent in 0.. {
                if sent == FLOOD {
                    flooded.notify_one();
                }
                let bytes = Bytes::from_static(b"y\n");
                host.emit(Event::Output { stream: Stream::Stdout, bytes }).await;
            }
            Outcome::Exited(0)
        }
    });
    let until_recorded = async {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let run = store.read(journal.id()).unwrap();
            if run.hosts[1].fate.is_fine() {
                return assert_eq!(
                    (&run.hosts[0].fate, run.state),
                    (&Fate::Started { stage: None }, RunState::Running)
                );
            }
            assert!(Instant::now() < deadline, "{run:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = run(&journal, 2, task, Screen::Stuck) => panic!("the run is stuck"),
        () = until_recorded => {}
    }
}

fn parsed(lines: &str) -> FormerRun {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let id: RunId = "20261122-0324-7f3a".parse().unwrap();
    fs::write(store.journal(&id), lines).unwrap();
    store.read(&id).unwrap()
}

const FIRST: &str = r#"{"event":"run","v":1,"tool":"psh","hosts":[{"host":"a"},{"host":"b"},{"host":"c"}]}"#;

#[test]
fn what_a_dead_process_left_is_read_up_to_its_torn_line() {
    let started = |n| format!("{{\"event\":\"started\",\"at\":0.1,\"index\":{n},\"attempt\":1}}\n");
    let whole = format!("{FIRST}\n{}{}", started(0), started(1));
    let ends = r#"{"event":"stage","at":1.0,"index":1,"stage":"connect"}
{"event":"finished","at":1.2,"index":0,"outcome":"ok","exit_code":0}"#;
    let complete = parsed(&format!("{whole}{ends}\n"));
    assert_eq!(
        (complete.counts(), &complete.state),
        (vec![("ok", 1), ("skipped", 1), ("unknown", 1)], &RunState::Died)
    );
    assert_eq!(complete.hosts[1].fate.words(), "unknown (may still run), last seen at: connect");
    assert_eq!(complete.hosts[2].fate.words(), "not started");
    for cut in 1..ends.len() - 1 {
        if ends.is_char_boundary(cut) && !ends[..cut].ends_with('}') {
            let torn = parsed(&format!("{whole}{}", &ends[..cut]));
            assert_eq!((&torn.broken, torn.hosts[0].attempts), (&vec![], 1), "{}", &ends[..cut]);
        }
    }
}

#[test]
fn what_is_not_known_is_passed_over_and_what_is_broken_is_named() {
    let first = FIRST.replace("\"v\":1", "\"v\":1,\"mood\":[{}]");
    for (line, broken) in [
        (r#"{"event":"mood","index":"high"}"#, None),
        (r#"{"event":"started","at":1,"index":0,"attempt":2,"mood":1}"#, None),
        (r#"{"event":"finished","index":1,"outcome":"new-kind"}"#, None),
        ("", Some("EOF")),
        ("garbage", Some("expected value")),
        (r#"{"event":"started","at":1,"index":3}"#, Some("host 3 of 3 hosts")),
        (r#"{"event":"started","at":1,"index":-1}"#, Some("invalid value")),
        (FIRST, Some("a second first line")),
    ] {
        let run = parsed(&format!("{first}\n{line}\n{}\n", r#"{"event":"finished","index":2,"outcome":"ok"}"#));
        assert!(run.hosts[2].fate.is_fine(), "{line}");
        let found: Vec<_> = run.broken.iter().map(|broken| (broken.line, broken.problem.as_str())).collect();
        match (broken, &found[..]) {
            (None, []) => {}
            (Some(problem), [(2, text)]) if text.contains(problem) => {}
            _ => panic!("{line}: {found:?}"),
        }
    }
}

#[test]
fn a_file_that_begins_otherwise_is_no_journal() {
    for (text, problem) in [
        ("", "EOF"),
        ("{}\n", "missing field `event`"),
        ("{\"event\":\"summary\"}\n", "found another line"),
        (&FIRST.replace("\"v\":1", "\"v\":2"), "has the format 2; expected 1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let id: RunId = "20261122-0324-7f3a".parse().unwrap();
        fs::write(store.journal(&id), text).unwrap();
        let error = store.read(&id).unwrap_err().to_string();
        assert!(error.contains("20261122-0324-7f3a.jsonl") && error.contains(problem), "{error}");
    }
}

#[test]
fn the_last_fifty_are_kept_and_with_them_whatever_still_runs_or_is_not_ours() {
    let (_folder, store) = store();
    let old = begin(&store, 1);
    let running = old.id().clone();
    fs::write(store.journal(&running).with_file_name("notes.txt"), "mine").unwrap();
    let with_output = Journal::begin(store.clone(), SystemTime::now(), Header { output: true, ..header(1) }).unwrap();
    let first = with_output.id().clone();
    let output = store.output(&first);
    fs::write(output.stdout.join("web0"), "said").unwrap();
    end(with_output);
    for _ in 0..KEPT_RUNS {
        end(begin(&store, 1));
    }
    let kept = store.runs().unwrap();
    assert_eq!((kept.len(), &kept[0]), (KEPT_RUNS + 1, &running), "the running one is beyond the fifty");
    assert!(!kept.contains(&first) && !output.stdout.exists() && !output.stdout.parent().unwrap().exists());
    assert!(store.journal(&running).with_file_name("notes.txt").exists());
    end(old);
    end(begin(&store, 1));
    assert_eq!(store.runs().unwrap().len(), KEPT_RUNS);
    assert!(!store.journal(&running).exists());
}

#[test]
fn runs_that_begin_at_once_have_ids_of_their_own() {
    let (_folder, store) = store();
    let start = SystemTime::now();
    let ids = std::thread::scope(|scope| {
        let begin = || Journal::begin(store.clone(), start, header(1)).unwrap().id().clone();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
        let mut ids: Vec<RunId> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        ids.sort();
        ids
    });
    assert_eq!(store.runs().unwrap(), ids);
    assert_eq!(ids[0], RunId::of(start));
    assert_eq!(ids[7], RunId::of(start + Duration::from_millis(7)));
}

#[test]
fn a_record_is_for_its_owner_only() {
    let (_folder, store) = store();
    let journal = Journal::begin(store.clone(), SystemTime::now(), Header { output: true, ..header(1) }).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (file, output) = (store.journal(journal.id()), store.output(journal.id()));
    let folders = [file.parent().unwrap(), output.stdout.parent().unwrap(), &output.stdout, &output.stderr];
    assert_eq!((mode(&file), folders.map(mode)), (0o600, [0o700; 4]));
}

#[test]
fn a_run_is_found_by_last_by_its_start_and_by_its_last_part() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    for id in ["20261122-0324-7f3a", "20261122-0325-0001", "20261123-0000-7f3b"] {
        fs::write(folder.path().join(format!("{id}.jsonl")), "").unwrap();
    }
    for (text, found) in [
        ("last", Ok("20261123-0000-7f3b")),
        ("20261122-0324-7f3a", Ok("20261122-0324-7f3a")),
        ("7f3a", Ok("20261122-0324-7f3a")),
        ("20261123", Ok("20261123-0000-7f3b")),
        ("20261122-0325", Ok("20261122-0325-0001")),
        ("20261122", Err("\"20261122\" could be 20261122-0324-7f3a, 20261122-0325-0001")),
        ("7f3", Err("there is no run \"7f3\"")),
        ("../7f3a", Err("there is no run")),
    ] {
        let result = store.find(text);
        match (&result, found) {
            (Ok(id), Ok(expected)) => assert_eq!(id.as_str(), expected),
            (Err(error), Err(message)) => assert!(error.to_string().starts_with(message), "{error}"),
            _ => panic!("{text}: {result:?}"),
        }
    }
    assert!(matches!(Store::at(folder.path().join("none")).find("last"), Err(RecordError::NoRun { tool: None })));
}

#[test]
fn the_folder_follows_the_environment() {
    for (variables, folder) in [
        (vec![("XDG_STATE_HOME", "/state"), ("HOME", "/home/me")], Some("/state/fleet/runs")),
        (vec![("XDG_STATE_HOME", "state"), ("HOME", "/home/me")], Some("/home/me/.local/state/fleet/runs")),
        (vec![("HOME", "/home/me")], Some("/home/me/.local/state/fleet/runs")),
        (vec![], None),
    ] {
        let store = Store::of(&variables.into_iter().collect());
        let journal = store.ok().map(|store| store.journal(&"20261122-0324-7f3a".parse().unwrap()));
        assert_eq!(journal, folder.map(|folder| Path::new(folder).join("20261122-0324-7f3a.jsonl")));
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let store = Store::at(folder.path().join("file/runs"));
    let error = Journal::begin(store, SystemTime::now(), header(1)).unwrap_err();
    assert!(matches!(&error, RecordError::Folder { path, .. } if path.ends_with("file/runs")), "{error:?}");
}

#[test]
fn a_stage_is_remembered_until_the_host_ends() {
    let (_folder, store) = store();
    let journal = begin(&store, 1);
    let recorder = journal.recorder();

    recorder.saw(0, &Event::Started);
    recorder.saw(0, &Event::Stage(Stage::Authenticate));
    let deadline = Instant::now() + DEADLINE;
    let seen = |fate: &Fate| matches!(fate, Fate::Started { stage: Some(stage) } if stage == "authentication");
    while !seen(&store.read(journal.id()).unwrap().hosts[0].fate) {
        assert!(Instant::now() < deadline, "{:?}", store.read(journal.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
}
