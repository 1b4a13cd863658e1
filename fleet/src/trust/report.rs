//! How it ended for each host, and for all: as text, and as JSON (`docs/json.md`).
//!
//! Must not decide anything but the exit status.

use std::io::{self, Write};

use fleet_core::hostset;
use fleet_core::render::sanitized_line;
use serde::Serialize;

use super::console::Unprinted;
use super::decision::Fate;

/// The version of the JSON objects.
const VERSION: u32 = 1;
/// The exit codes, as the help has them.
const FINE: u8 = 0;
const REFUSED: u8 = 1;
const INTERRUPTED: u8 = 3;
const UNTOLD: u8 = 4;

/// One host and its fate.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) host: String,
    /// What its provider calls it.
    pub(super) id: String,
    /// `None` where it was not got to.
    pub(super) fate: Option<Fate>,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Keys are made known.
    Done,
    /// It is only said what would be (`--dry-run`).
    Withheld,
}

#[derive(Serialize)]
struct HostLine<'a> {
    v: u32,
    event: &'static str,
    host: &'a str,
    id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Serialize)]
struct Summary {
    v: u32,
    event: &'static str,
    hosts: usize,
    counts: serde_json::Map<String, serde_json::Value>,
    dry_run: bool,
    exit_status: u8,
}

/// All states a host can end in, as JSON and text count them.
const STATES: [(&str, &str); 6] = [
    ("trusted", "trusted"),
    ("known", "already known"),
    ("no-word", "without host keys on a console"),
    ("unreached", "not reached"),
    ("refused", "refused"),
    ("skipped", "not looked at"),
];

impl Line {
    fn state(&self) -> &'static str {
        match &self.fate {
            Some(Fate::Trusted(_)) => "trusted",
            Some(Fate::Known { .. }) => "known",
            Some(Fate::NoWord { .. }) => "no-word",
            Some(Fate::Unreached(_)) => "unreached",
            Some(Fate::Refused { .. }) => "refused",
            None => "skipped",
        }
    }

    fn json(&self) -> HostLine<'_> {
        let keys = match &self.fate {
            Some(Fate::Trusted(keys)) => keys.iter().map(ToString::to_string).collect(),
            Some(Fate::Known { key, .. }) => vec![key.to_string()],
            _ => Vec::new(),
        };
        let at = match &self.fate {
            Some(Fate::Known { at, .. } | Fate::NoWord { known: Some(at), .. }) => Some(at.to_string()),
            _ => None,
        };
        let (reason, advice) = self.problem().unzip();
        let (host, id, state) = (&self.host, &self.id, self.state());
        HostLine { v: VERSION, event: "host", host, id, state, keys, at, reason, advice }
    }

    /// What is wrong, and what to do about it.
    fn problem(&self) -> Option<(String, String)> {
        match self.fate.as_ref()? {
            Fate::Trusted(_) | Fate::Known { .. } => None,
            Fate::NoWord { problem, known } => {
                let (reason, advice) = words(*problem);
                let known = known.as_ref().map(|at| format!("; the key of {at} stands")).unwrap_or_default();
                Some((format!("{reason}{known}"), advice.to_owned()))
            }
            Fate::Unreached(error) => {
                let hint = error.hint.clone().unwrap_or_else(|| error.class.hint(error.stage).to_owned());
                Some((error.to_string(), hint))
            }
            Fate::Refused { reason, advice } => Some((reason.clone(), advice.clone())),
        }
    }

    fn text(&self, writing: Writing) -> String {
        let name = if self.host == self.id { self.host.clone() } else { format!("{} ({})", self.host, self.id) };
        let said = match (&self.fate, writing) {
            (Some(Fate::Trusted(keys)), writing) => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                let word = if writing == Writing::Done { "trusted" } else { "would be trusted" };
                format!("{word}: {}", keys.join(", "))
            }
            (Some(Fate::Known { key, at }), _) => format!("already known: {key} ({at})"),
            (None, _) => "not looked at".to_owned(),
            (Some(fate), _) => {
                let (reason, advice) = self.problem().unwrap_or_default();
                let word = if matches!(fate, Fate::Refused { .. }) { "REFUSED" } else { "not trusted" };
                format!("{word}: {reason}\n  {advice}")
            }
        };
        let lines: Vec<String> = format!("{name}: {said}").lines().map(sanitized_line).collect();
        lines.join("\n")
    }
}

/// What is wrong, and what to do about it.
fn words(problem: Unprinted) -> (&'static str, &'static str) {
    let wait = "EC2 shows a console some minutes after the boot: wait, then run this again";
    let by_hand =
        "have the keys printed at the first boot (cloud-init does), or compare one with the host's own by hand";
    match problem {
        Unprinted::Empty => ("no console output yet", wait),
        Unprinted::Cut => ("its console output ends before its host keys do", wait),
        Unprinted::Nothing => ("its console output has no host keys", by_hand),
        Unprinted::Spoilt => {
            ("what stands around the host keys in its console output is not what cloud-init prints", by_hand)
        }
        Unprinted::Contradiction => ("its console contradicts itself", by_hand),
    }
}

/// The exit status, of several that of the worst.
pub(super) fn exit_status(lines: &[Line]) -> u8 {
    let has = |states: &[&str]| lines.iter().any(|line| states.contains(&line.state()));
    match () {
        () if has(&["refused"]) => REFUSED,
        () if has(&["skipped"]) => INTERRUPTED,
        () if has(&["no-word", "unreached"]) => UNTOLD,
        () => FINE,
    }
}

/// Writes a line for each host, then the counts.
pub(super) fn write_text(lines: &[Line], writing: Writing, out: &mut dyn Write) -> io::Result<()> {
    for line in lines {
        writeln!(out, "{}", line.text(writing))?;
    }
    let count = |(state, words): &(&str, &str)| {
        let hosts: Vec<&str> =
            lines.iter().filter(|line| line.state() == *state).map(|line| line.host.as_str()).collect();
        let named = if matches!(*state, "trusted" | "known") { String::new() } else { named(&hosts) };
        (!hosts.is_empty()).then(|| format!("{} {words}{named}", hosts.len()))
    };
    let counts: Vec<String> = STATES.iter().filter_map(count).collect();
    let dry = if writing == Writing::Withheld { "; nothing is written" } else { "" };
    writeln!(out, "{} of {} hosts: {}{dry}", sound(lines), lines.len(), counts.join(", "))
}

/// How many hosts can be connected to without a question.
fn sound(lines: &[Line]) -> usize {
    lines.iter().filter(|line| matches!(line.state(), "trusted" | "known")).count()
}

fn named(hosts: &[&str]) -> String {
    format!(" ({})", hostset::fold(hosts))
}

/// Writes an object for each host, then the summary.
pub(super) fn write_json(lines: &[Line], writing: Writing, out: &mut dyn Write) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *out, &line.json())?;
        writeln!(out)?;
    }
    let count = |state: &str| lines.iter().filter(|line| line.state() == state).count();
    let counts = STATES.iter().map(|(state, _)| (*state, count(state))).filter(|(_, count)| *count > 0);
    let summary = Summary {
        v: VERSION,
        event: "summary",
        hosts: lines.len(),
        counts: counts.map(|(state, count)| (state.to_owned(), count.into())).collect(),
        dry_run: writing == Writing::Withheld,
        exit_status: exit_status(lines),
    };
    serde_json::to_writer(&mut *out, &summary)?;
    writeln!(out)
}
