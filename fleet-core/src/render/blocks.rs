//! The `--inline` layout: a host's whole output at once, under a header, when the host is done.
//!
//! Must not know where the output is kept until then.

use std::io::BufRead;

use super::RenderError;
use super::answers::by_code;
use super::console::{Console, RemotePen};
use super::paint::Style;
use super::sanitize::sanitized_line;
use super::settings::{BlockOrder, HostLabel, Limits};
use super::spill::{self, Spill};
use crate::event::{Event, HostEvent, HostIndex, Retry, Stream};
use crate::outcome::Outcome;

/// Blocks of output.
pub(super) struct Blocks {
    names: Vec<String>,
    order: BlockOrder,
    kept: Spill,
    /// The number of the attempt that each host is at.
    attempts: Vec<u32>,
    /// The hosts that wait for the end of the run, because of the order.
    waiting: Vec<(HostIndex, Outcome)>,
    /// How many blocks there were.
    count: usize,
}

impl Blocks {
    pub(super) fn new(order: BlockOrder, hosts: &[HostLabel], limits: Limits) -> Self {
        Self {
            names: hosts.iter().map(|host| host.name.clone()).collect(),
            attempts: vec![1; hosts.len()],
            order,
            kept: Spill::new(hosts.len(), limits.block_bytes),
            waiting: Vec::new(),
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

    /// Shows a host's block, or has it wait for its turn. Hosts that were never started have none.
    pub(super) fn end(
        &mut self,
        index: HostIndex,
        outcome: &Outcome,
        console: &mut Console,
    ) -> Result<(), RenderError> {
        match (outcome, self.order) {
            (Outcome::Skipped(_), _) => Ok(()),
            (_, BlockOrder::Ended) => self.show_last(index, outcome, console),
            _ => {
                self.waiting.push((index, outcome.clone()));
                Ok(())
            }
        }
    }

    /// Shows the blocks that waited.
    pub(super) fn finish(&mut self, console: &mut Console) -> Result<(), RenderError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        match self.order {
            BlockOrder::Ended => {}
            BlockOrder::Host => waiting.sort_by_key(|(index, _)| *index),
            BlockOrder::Code => waiting.sort_by_cached_key(|(index, outcome)| (by_code(outcome), *index)),
        }
        waiting.iter().try_for_each(|(index, outcome)| self.show_last(*index, outcome, console))
    }

    /// Shows what a host sent in an attempt that failed, if it sent anything; at once, whatever the order.
    fn end_attempt(&mut self, index: HostIndex, next: &Retry, console: &mut Console) -> Result<(), RenderError> {
        self.attempts[index] = next.attempt;
        if [Stream::Stdout, Stream::Stderr].iter().all(|stream| self.kept.bytes((index, *stream)) == 0) {
            return Ok(());
        }
        let name = format!("{} (attempt {})", self.names[index], next.attempt - 1);
        self.show(index, &name, Some(&next.reason), console)
    }

    fn show_last(&mut self, index: HostIndex, outcome: &Outcome, console: &mut Console) -> Result<(), RenderError> {
        let name = match self.attempts[index] {
            1 => self.names[index].clone(),
            attempt => format!("{} (attempt {attempt})", self.names[index]),
        };
        self.show(index, &name, outcome.reason().as_deref(), console)
    }

    /// `[3] web03 exit code 2`, its standard output, its standard error.
    fn show(
        &mut self,
        index: HostIndex,
        name: &str,
        failure: Option<&str>,
        console: &mut Console,
    ) -> Result<(), RenderError> {
        self.count += 1;
        let title = format!("[{}] {name}", self.count);
        let (stdout, stderr) = ((index, Stream::Stdout), (index, Stream::Stderr));
        show_header(&title, failure, console)?;
        show_output(self.kept.reader(stdout), Stream::Stdout, console)?;
        if self.kept.bytes(stderr) > 0 {
            show_stderr_header(&title, console)?;
            show_output(self.kept.reader(stderr), Stream::Stderr, console)?;
        }
        self.kept.discard(stdout);
        self.kept.discard(stderr);
        Ok(())
    }
}

/// The first line of a block: whose it is, and why that failed if it did.
pub(super) fn show_header(title: &str, failure: Option<&str>, console: &mut Console) -> Result<(), RenderError> {
    let fate = failure.map_or("ok".to_owned(), sanitized_line);
    let style = if failure.is_none() { Style::GREEN } else { Style::RED };
    let paint = console.paint(Stream::Stdout);
    let line = format!("{} {}\n", paint.text(Style::BOLD, title), paint.text(style, &fate));
    console.write(Stream::Stdout, line.as_bytes())
}

/// The line before standard error, which may lead elsewhere, where the header of standard output is not seen.
pub(super) fn show_stderr_header(title: &str, console: &mut Console) -> Result<(), RenderError> {
    let header = console.paint(Stream::Stderr).text(Style::BOLD, &format!("{title} stderr"));
    console.write(Stream::Stderr, format!("{header}\n").as_bytes())
}

/// A whole output, with a newline at its end.
pub(super) fn show_output(mut output: impl BufRead, to: Stream, console: &mut Console) -> Result<(), RenderError> {
    let mut pen = RemotePen::default();
    let mut last = b'\n';
    loop {
        let part = output.fill_buf().map_err(spill::failed)?;
        let Some(end) = part.last() else { break };
        last = *end;
        pen.write(console, to, part)?;
        let bytes = part.len();
        output.consume(bytes);
    }
    pen.finish(console, to)?;
    if last == b'\n' { Ok(()) } else { console.write(to, b"\n") }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Layout, RenderSettings};
    use super::super::testing::{TERMINAL, finished, finished_ok, outcome_refused, output, retry, show, started};
    use super::*;
    use crate::outcome::SkipCause;

    fn settings() -> RenderSettings {
        RenderSettings { layout: Layout::Blocks(BlockOrder::Ended), ..RenderSettings::new("psh") }
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
    fn blocks_can_wait_for_the_end_and_come_in_order() {
        let events = [
            output(2, Stream::Stdout, b"c\n"),
            finished(2, outcome_refused()),
            output(1, Stream::Stdout, b"b\n"),
            finished_ok(1),
            output(0, Stream::Stdout, b"a\n"),
            finished(0, Outcome::Exited(3)),
            output(3, Stream::Stdout, b"d\n"),
        ];
        for (order, expected) in [(BlockOrder::Ended, "cbad"), (BlockOrder::Host, "abcd"), (BlockOrder::Code, "badc")] {
            let settings = RenderSettings { layout: Layout::Blocks(order), ..settings() };
            let shown = show(settings, &["web1", "web2", "web3", "web4"], &events);
            let letters: String = shown.stdout().lines().filter(|line| line.len() == 1).collect();
            assert_eq!(letters, expected, "{order:?}");
        }
    }

    #[test]
    fn a_host_that_was_never_started_has_no_block() {
        let shown = show(
            settings(),
            &["web1", "web2"],
            &[finished_ok(0), finished(1, Outcome::Skipped(SkipCause::Interrupted))],
        );
        assert_eq!(shown.stdout(), "[1] web1 ok\n");
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
