//! The `--dedup` layout: each different answer once, under the hosts that gave it, at the end of the run.
//!
//! Must not know how answers are compared, nor where they are kept.

use std::io::Read as _;

use super::RenderError;
use super::answers::{Answers, Group, majority};
use super::blocks;
use super::console::Console;
use super::contents::{Contents, Digest};
use super::difference::{self, DiffLine};
use super::paint::Style;
use super::sanitize::sanitized_bytes;
use super::settings::{GroupSettings, HostLabel, Limits, Majority, Others};
use super::spill;
use super::summary::MAX_LIST_LINES;
use crate::event::{HostEvent, HostIndex, Stream};
use crate::hostset;
use crate::outcome::Outcome;

/// The answers of a run, to be shown in groups.
pub(super) struct Groups {
    names: Vec<String>,
    answers: Answers,
    settings: GroupSettings,
    diff_limit_bytes: u64,
}

/// The two sides of a diff.
struct Sides<'a> {
    /// The group that the other is compared with.
    reference: &'a Group,
    reference_number: usize,
    other: &'a Group,
    number: usize,
}

impl Groups {
    pub(super) fn new(settings: GroupSettings, hosts: &[HostLabel], limits: Limits) -> Self {
        let contents = Contents::new(hosts.len(), limits.block_bytes);
        Self {
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            answers: Answers::new(hosts, settings.ignored, contents),
            settings,
            diff_limit_bytes: limits.diff_bytes,
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        self.answers.event(event)
    }

    /// The answer of a host that never said how it ended is what there is.
    pub(super) fn end(&mut self, index: HostIndex, outcome: &Outcome) -> Result<(), RenderError> {
        self.answers.end(index, outcome)
    }

    /// Shows all groups: `[1] web[01-40] (40) ok`, their standard output, their standard error.
    pub(super) fn show(&self, console: &mut Console) -> Result<(), RenderError> {
        let groups = self.answers.groups(self.settings.order);
        let majority = majority(&groups);
        for (place, group) in groups.iter().enumerate() {
            let number = place + 1;
            let title = self.title(number, group, Stream::Stdout, console);
            blocks::show_header(&title, group.outcome.reason().as_deref(), console)?;
            match majority {
                Some(largest) if largest == place => {
                    if self.settings.majority == Majority::Output {
                        self.show_output(number, group, console)?;
                    }
                }
                Some(largest) if self.settings.others == Others::Difference && group.has_run() => {
                    let reference = &groups[largest];
                    let sides = Sides { reference, reference_number: largest + 1, other: group, number };
                    self.show_differences(&sides, console)?;
                }
                _ => self.show_output(number, group, console)?,
            }
        }
        Ok(())
    }

    /// `[1] web[01-40] (40)`; on a terminal a long list of hosts is shortened.
    fn title(&self, number: usize, group: &Group, to: Stream, console: &Console) -> String {
        let names: Vec<&str> = group.hosts.iter().map(|index| self.names[*index].as_str()).collect();
        let names = match console.destination(to).columns() {
            Some(columns) => hostset::fold_limited(&names, columns * MAX_LIST_LINES),
            None => hostset::fold(&names),
        };
        format!("[{number}] {names} ({})", group.hosts.len())
    }

    fn show_stderr_header(&self, number: usize, group: &Group, console: &mut Console) -> Result<(), RenderError> {
        let title = self.title(number, group, Stream::Stderr, console);
        blocks::show_stderr_header(&title, console)
    }

    fn show_output(&self, number: usize, group: &Group, console: &mut Console) -> Result<(), RenderError> {
        let contents = self.answers.contents();
        if let Some(reader) = contents.reader(&group.stdout) {
            blocks::show_output(reader, Stream::Stdout, console)?;
        }
        match contents.reader(&group.stderr) {
            Some(reader) if contents.bytes(&group.stderr) > 0 => {
                self.show_stderr_header(number, group, console)?;
                blocks::show_output(reader, Stream::Stderr, console)
            }
            _ => Ok(()),
        }
    }

    fn show_differences(&self, sides: &Sides<'_>, console: &mut Console) -> Result<(), RenderError> {
        let Sides { reference, other, .. } = sides;
        let is_stderr_equal = reference.stderr == other.stderr;
        if reference.stdout != other.stdout {
            self.show_difference(Stream::Stdout, sides, console)?;
        } else if is_stderr_equal || self.answers.contents().bytes(&other.stdout) > 0 {
            let what = if is_stderr_equal { "output" } else { "standard output" };
            let text = format!("same {what} as [{}]", sides.reference_number);
            let text = console.paint(Stream::Stdout).text(Style::DIM, &text);
            console.write(Stream::Stdout, format!("{text}\n").as_bytes())?;
        }
        if is_stderr_equal {
            return Ok(());
        }
        self.show_stderr_header(sides.number, other, console)?;
        self.show_difference(Stream::Stderr, sides, console)
    }

    fn show_difference(&self, stream: Stream, sides: &Sides<'_>, console: &mut Console) -> Result<(), RenderError> {
        let (before, after) = match stream {
            Stream::Stdout => (&sides.reference.stdout, &sides.other.stdout),
            Stream::Stderr => (&sides.reference.stderr, &sides.other.stderr),
        };
        let contents = self.answers.contents();
        if contents.bytes(before) + contents.bytes(after) > self.diff_limit_bytes {
            return self.show_first_difference(stream, sides, [before, after], console);
        }
        let name = stream.name();
        write_line(console, stream, Style::BOLD, format!("--- [{}] {name}", sides.reference_number).as_bytes())?;
        write_line(console, stream, Style::BOLD, format!("+++ [{}] {name}", sides.number).as_bytes())?;
        difference::unified(&read(contents, before)?, &read(contents, after)?, &mut |kind, line| {
            let style = match kind {
                DiffLine::Place => Style::CYAN,
                DiffLine::Removed => Style::RED,
                DiffLine::Added => Style::GREEN,
                DiffLine::Unfinished => Style::DIM,
                DiffLine::Common => return write_plain_line(console, stream, line),
            };
            write_line(console, stream, style, line)
        })
    }

    /// For outputs that are too large to be compared line by line.
    fn show_first_difference(
        &self,
        stream: Stream,
        sides: &Sides<'_>,
        digests: [&Digest; 2],
        console: &mut Console,
    ) -> Result<(), RenderError> {
        let contents = self.answers.contents();
        let [Some(mut before), Some(mut after)] = digests.map(|digest| contents.reader(digest)) else { return Ok(()) };
        let place = difference::first_difference(&mut before, &mut after).map_err(spill::failed)?;
        let text = format!(
            "{} differs from [{}] first in line {}, at byte {}; too large for a diff, -o and -e keep it",
            stream.name(),
            sides.reference_number,
            place.line,
            place.byte
        );
        write_line(console, stream, Style::YELLOW, text.as_bytes())
    }
}

fn read(contents: &Contents, digest: &Digest) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    if let Some(mut reader) = contents.reader(digest) {
        reader.read_to_end(&mut bytes).map_err(spill::failed)?;
    }
    Ok(bytes)
}

/// Writes a line of a diff, which may be remote text.
fn write_line(console: &mut Console, stream: Stream, style: Style, line: &[u8]) -> Result<(), RenderError> {
    let paint = console.paint(stream);
    console.write(stream, paint.start(style).as_bytes())?;
    write_harmless(console, stream, line)?;
    console.write(stream, paint.end().as_bytes())?;
    console.write(stream, b"\n")
}

fn write_plain_line(console: &mut Console, stream: Stream, line: &[u8]) -> Result<(), RenderError> {
    write_harmless(console, stream, line)?;
    console.write(stream, b"\n")
}

/// Unlike elsewhere a `\r` at the end of a line is shown on a terminal: it may be all that differs.
fn write_harmless(console: &mut Console, stream: Stream, line: &[u8]) -> Result<(), RenderError> {
    if console.destination(stream).is_terminal() {
        console.write(stream, &sanitized_bytes(line))
    } else {
        console.write(stream, line)
    }
}

#[cfg(test)]
mod tests;
