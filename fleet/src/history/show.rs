//! One run in full, and the output of its hosts.
//!
//! Must not know where runs come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use fleet_core::hostset;
use fleet_core::record::{FormerHost, FormerRun, RunState, Store};
use fleet_core::render::{HostLabel, copy_sanitized, file_names, sanitized_line};

use super::{hosts, outcomes};

/// Writes who ran what, how it ended, and what became of the hosts, folded by their fate.
pub(super) fn run(run: &FormerRun, store: &Store, out: &mut dyn Write) -> io::Result<()> {
    let header = &run.header;
    let mut line = |name: &str, text: &str| writeln!(out, "{name:<10}{}", sanitized_line(text));
    line("run", run.id.as_str())?;
    line("command", &header.command)?;
    line("typed", &header.typed.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))?;
    line("by", &format!("{} in {}, with {} {}", header.who, header.cwd, header.tool, header.version))?;
    line("started", &header.start)?;
    if let Some(from) = &header.from {
        line("hosts", &format!("of run {from}"))?;
    }
    line("ended", &ended(run))?;
    if header.output {
        let folders = store.output(&run.id);
        let folder = folders.stdout.parent().unwrap_or(&folders.stdout);
        line("output", &format!("{} (fleet history show {} --output)", folder.display(), run.id))?;
    }
    for broken in &run.broken {
        line("broken", &format!("line {} of the record: {}", broken.line, broken.problem))?;
    }
    writeln!(out, "\n{}: {}", hosts(run.hosts.len()), sanitized_line(&outcomes(run)))?;
    for (words, members) in by_fate(run) {
        let names: Vec<&str> = members.iter().map(|host| host.host.as_str()).collect();
        let (names, count) = (sanitized_line(&hostset::fold(&names)), names.len());
        writeln!(out, "  {names} ({count}): {}{}", sanitized_line(&words), effort(&members))?;
    }
    Ok(())
}

/// Writes what the hosts said, a block for each: exact bytes but towards a terminal.
pub(super) fn output(run: &FormerRun, store: &Store, out: &mut dyn Write) -> io::Result<()> {
    let folders = store.output(&run.id);
    let labels: Vec<HostLabel> = run.hosts.iter().map(|host| HostLabel { name: host.host.clone() }).collect();
    for (place, (host, file)) in run.hosts.iter().zip(file_names(&labels)).enumerate() {
        let title = format!("[{}] {}", place + 1, sanitized_line(&host.host));
        writeln!(out, "{title} {}", sanitized_line(&run.words_of(host)))?;
        copy(&folders.stdout.join(&file), None, out)?;
        copy(&folders.stderr.join(&file), Some(&format!("{title} stderr\n")), out)?;
    }
    Ok(())
}

/// Copies a file under its title; of one that is empty or not there not even that.
fn copy(path: &Path, title: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    out.write_all(title.unwrap_or_default().as_bytes())?;
    let mut watched = LastByte { out, last: b'\n' };
    if io::stdout().is_terminal() {
        copy_sanitized(file, &mut watched)?;
    } else {
        io::copy(&mut file, &mut watched)?;
    }
    if watched.last == b'\n' { Ok(()) } else { out.write_all(b"\n") }
}

/// Knows whether what was written ends a line.
struct LastByte<'a> {
    out: &'a mut dyn Write,
    last: u8,
}

impl Write for LastByte<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.last = bytes[..count].last().copied().unwrap_or(self.last);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn ended(run: &FormerRun) -> String {
    match &run.state {
        RunState::Running => format!("not yet: process {} is at it", run.header.pid),
        RunState::Died => "without a last word: its process died, and what it had started may still run".to_owned(),
        RunState::Ended { exit_status, completion, seconds } => {
            format!("{completion} after {seconds:.1}s, exit code {exit_status}")
        }
    }
}

/// The hosts by their fate in words: the fine ones first, then the most frequent.
fn by_fate(run: &FormerRun) -> Vec<(String, Vec<&FormerHost>)> {
    let mut groups: BTreeMap<String, Vec<&FormerHost>> = BTreeMap::new();
    for host in &run.hosts {
        groups.entry(run.words_of(host)).or_default().push(host);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, members)| (!members[0].fate.is_fine(), usize::MAX - members.len()));
    groups
}

/// How long it took, and how often it was tried, where that is known and not once.
fn effort(members: &[&FormerHost]) -> String {
    let mut seconds: Vec<f64> = members.iter().filter_map(|host| host.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let mut bounds: Vec<String> =
        seconds.first().into_iter().chain(seconds.last()).map(|seconds| format!("{seconds:.1}s")).collect();
    bounds.dedup();
    let took = if bounds.is_empty() { String::new() } else { format!(" in {}", bounds.join(" to ")) };
    match members.iter().map(|host| host.attempts).max() {
        Some(attempts) if attempts > 1 => format!("{took}, up to {attempts} attempts"),
        _ => took,
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@,=%…".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
