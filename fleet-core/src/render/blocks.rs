//! The `--inline` layout: a host's whole output at once, under a header, when the host is done.
//!
//! Must not know where the output is kept until then.

use super::RenderError;
use super::assemble::StreamKey;
use super::console::{Console, RemotePen};
use super::paint::Style;
use super::sanitize::sanitized_line;
use super::settings::{HostLabel, Limits};
use super::spill::Spill;
use crate::event::{Event, HostEvent, HostIndex, Retry, Stream};
use crate::outcome::Outcome;

/// Blocks of output, in the order in which the hosts end.
pub(super) struct Blocks {
    names: Vec<String>,
    kept: Spill,
    /// The number of the attempt that each host is at.
    attempts: Vec<u32>,
    /// How many blocks there were.
    count: usize,
}

impl Blocks {
    pub(super) fn new(hosts: &[HostLabel], limits: Limits) -> Self {
        Self {
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            attempts: vec![1; hosts.len()],
            kept: Spill::new(hosts.len(), limits.block_bytes),
            count: 0,
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent, console: &mut Console) -> Result<(), RenderError> {
        match &event.event {
            Event::Output { stream, bytes } => self.kept.append((event.index, *stream), bytes),
            Event::Finished(outcome) => self.end(event.index, outcome, console),
            Event::Retry(retry) => self.end_attempt(event.index, retry, console),
            _ => Ok(()),
        }
    }

    /// Shows a host's block: `[3] web03 exit code 2`, its standard output, its standard error.
    pub(super) fn end(
        &mut self,
        index: HostIndex,
        outcome: &Outcome,
        console: &mut Console,
    ) -> Result<(), RenderError> {
        let name = match self.attempts[index] {
            1 => self.names[index].clone(),
            attempt => format!("{} (attempt {attempt})", self.names[index]),
        };
        let reason = outcome.reason();
        let style = if outcome.is_success() { Style::GREEN } else { Style::RED };
        self.block(index, &name, (style, reason.as_deref().unwrap_or("ok")), console)
    }

    /// Shows what a host sent in an attempt that failed, if it sent anything.
    fn end_attempt(&mut self, index: HostIndex, next: &Retry, console: &mut Console) -> Result<(), RenderError> {
        self.attempts[index] = next.attempt;
        if [Stream::Stdout, Stream::Stderr].iter().all(|stream| self.kept.is_empty((index, *stream))) {
            return Ok(());
        }
        let name = format!("{} (attempt {})", self.names[index], next.attempt - 1);
        self.block(index, &name, (Style::RED, &next.reason), console)
    }

    fn block(
        &mut self,
        index: HostIndex,
        name: &str,
        (style, fate): (Style, &str),
        console: &mut Console,
    ) -> Result<(), RenderError> {
        self.count += 1;
        let header = format!("[{}] {name}", self.count);
        let fate = sanitized_line(fate);
        let paint = console.paint(Stream::Stdout);
        let line = format!("{} {}\n", paint.text(Style::BOLD, &header), paint.text(style, &fate));
        console.write(Stream::Stdout, line.as_bytes())?;
        self.show((index, Stream::Stdout), console)?;
        if !self.kept.is_empty((index, Stream::Stderr)) {
            // Standard error may lead elsewhere, where the header of standard output is not seen.
            let header = console.paint(Stream::Stderr).text(Style::BOLD, &format!("{header} stderr"));
            console.write(Stream::Stderr, format!("{header}\n").as_bytes())?;
            self.show((index, Stream::Stderr), console)?;
        }
        Ok(())
    }

    fn show(&mut self, key: StreamKey, console: &mut Console) -> Result<(), RenderError> {
        let mut pen = RemotePen::default();
        let mut last = b'\n';
        let mut show = |part: &[u8]| {
            last = part.last().copied().unwrap_or(last);
            pen.write(console, key.1, part)
        };
        self.kept.take(key, &mut show)?;
        pen.finish(console, key.1)?;
        if last == b'\n' { Ok(()) } else { console.write(key.1, b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Layout, RenderSettings};
    use super::super::testing::{TERMINAL, finished, finished_ok, outcome_refused, output, retry, show, started};
    use super::*;

    fn settings() -> RenderSettings {
        RenderSettings { layout: Layout::Blocks, ..RenderSettings::new("psh") }
    }

    #[test]
    fn each_host_is_a_block_in_the_order_in_which_they_end() {
        let events = [
            started(0),
            started(1),
            output(0, Stream::Stdout, b"one\n"),
            output(1, Stream::Stdout, b"eins\nzwei"),
            output(0, Stream::Stderr, b"oops"),
            output(0, Stream::Stdout, b"two\n"),
            finished_ok(1),
            finished(0, Outcome::Exited(3)),
            finished(2, outcome_refused()),
        ];
        let shown = show(settings(), &["web1", "web2", "web3"], &events);
        insta::assert_snapshot!(shown.stdout(), @r"
        [1] web2 ok
        eins
        zwei
        [2] web1 exit code 3
        one
        two
        [3] web3 connect: connection refused
        ");
        let errors = shown.stderr.split("3 hosts:").next().unwrap();
        insta::assert_snapshot!(errors, @r"
        [2] web1 stderr
        oops
        ");
    }

    #[test]
    fn what_a_host_sent_before_the_run_was_left_is_shown() {
        let shown = show(settings(), &["web1", "web2"], &[started(0), output(0, Stream::Stderr, b"half")]);
        assert!(shown.stderr.starts_with("[1] web1 stderr\nhalf\n"), "{}", shown.stderr);
    }

    #[test]
    fn a_block_beyond_the_limit_of_memory_is_still_whole() {
        let mut settings = RenderSettings { stdout: TERMINAL, ..settings() };
        settings.limits.block_bytes = 1000;
        let mut events: Vec<_> = (0..5000).map(|_| output(0, Stream::Stdout, "€\x1b\r\n".as_bytes())).collect();
        events.push(finished_ok(0));
        let shown = show(settings, &["web1"], &events);
        assert_eq!(shown.stdout(), format!("[1] web1 ok\n{}", "€\\x1b\n".repeat(5000)));
    }

    #[test]
    fn each_attempt_that_said_something_is_a_block() {
        let events = [
            started(0),
            started(1),
            output(0, Stream::Stdout, b"half"),
            retry(0, 2),
            retry(1, 2),
            output(0, Stream::Stdout, b"whole\n"),
            finished_ok(0),
            finished_ok(1),
        ];
        let shown = show(settings(), &["web1", "web2"], &events);
        insta::assert_snapshot!(shown.stdout(), @r"
        [1] web1 (attempt 1) exit code 1
        half
        [2] web1 (attempt 2) ok
        whole
        [3] web2 (attempt 2) ok
        ");
    }
}
