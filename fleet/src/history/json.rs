//! The same for programs: JSON objects, described in `docs/journal.md`.
//!
//! Must not know where runs come from.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use fleet_core::record::{Fate, FormerHost, FormerRun, RunState, Store};
use serde::Serialize;

use super::diff::Difference;

/// The version of the objects.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Run<'a> {
    v: u32,
    id: &'a str,
    tool: &'a str,
    version: &'a str,
    typed: &'a [String],
    command: &'a str,
    who: &'a str,
    cwd: &'a str,
    start: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    hosts: usize,
    counts: BTreeMap<&'a str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<HostResult<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Folders>,
}

#[derive(Serialize)]
struct Folders {
    stdout: PathBuf,
    stderr: PathBuf,
}

#[derive(Serialize)]
struct HostResult<'a> {
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    may_still_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Changes<'a> {
    v: u32,
    before: &'a str,
    after: &'a str,
    changed: Vec<Change<'a>>,
    only_before: &'a [&'a str],
    only_after: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    other_output: Option<&'a [&'a str]>,
}

#[derive(Serialize)]
struct Change<'a> {
    host: &'a str,
    before: HostResult<'a>,
    after: HostResult<'a>,
}

/// Writes a run without its hosts.
pub(super) fn list(run: &FormerRun, out: &mut dyn Write) -> io::Result<()> {
    write(out, &object(run))
}

/// Writes a run with its hosts.
pub(super) fn show(run: &FormerRun, store: &Store, out: &mut dyn Write) -> io::Result<()> {
    let results = run.hosts.iter().map(|host| result(run, host)).collect();
    let folders = store.output(&run.id);
    let output = run.header.output.then_some(Folders { stdout: folders.stdout, stderr: folders.stderr });
    write(out, &Run { results: Some(results), output, ..object(run) })
}

/// Writes what is different.
pub(super) fn diff(difference: &Difference<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Difference { before, after, changed, only_before, only_after, other_output, .. } = difference;
    let changes = Changes {
        v: VERSION,
        before: before.id.as_str(),
        after: after.id.as_str(),
        changed: changed
            .iter()
            .map(|(earlier, later)| Change {
                host: &earlier.host,
                before: result(before, earlier),
                after: result(after, later),
            })
            .collect(),
        only_before,
        only_after,
        other_output: other_output.as_deref(),
    };
    write(out, &changes)
}

fn object(run: &FormerRun) -> Run<'_> {
    let header = &run.header;
    let (state, ended) = match &run.state {
        RunState::Running => ("running", None),
        RunState::Died => ("died", None),
        RunState::Ended { exit_status, completion, seconds } => {
            ("ended", Some((*exit_status, completion.as_str(), *seconds)))
        }
    };
    Run {
        v: VERSION,
        id: run.id.as_str(),
        tool: &header.tool,
        version: &header.version,
        typed: &header.typed,
        command: &header.command,
        who: &header.who,
        cwd: &header.cwd,
        start: &header.start,
        from: header.from.as_deref(),
        state,
        exit_status: ended.map(|(status, ..)| status),
        completion: ended.map(|(_, completion, _)| completion),
        seconds: ended.map(|(.., seconds)| seconds),
        hosts: run.hosts.len(),
        counts: run.counts().into_iter().collect(),
        results: None,
        output: None,
    }
}

fn result<'a>(run: &FormerRun, host: &'a FormerHost) -> HostResult<'a> {
    let (exit_code, stage, reason) = match &host.fate {
        Fate::NotStarted => (None, None, None),
        Fate::Started { stage } => (None, stage.as_deref(), None),
        Fate::Ended { exit_code, stage, reason, .. } => (*exit_code, stage.as_deref(), reason.as_deref()),
    };
    HostResult {
        host: &host.host,
        group: host.group.as_deref(),
        outcome: run.name_of(host),
        exit_code,
        stage,
        may_still_run: host.fate.may_still_run(),
        reason,
        attempts: host.attempts,
        seconds: host.seconds,
    }
}

fn write(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}
