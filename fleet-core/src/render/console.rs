//! Standard output, standard error and the progress line, so that none garbles the other.
//!
//! Writes few large pieces, keeps the order between both outputs, and takes the progress line away while it writes.
//! Must not know what is written.

use std::io::{self, Write};

use super::RenderError;
use super::outflow::Outflow;
use super::paint::Paint;
use super::progress::StatusLine;
use super::sanitize::Sanitizer;
use super::settings::{Destination, RenderSettings};
use crate::event::Stream;

/// What is collected before it is written.
const BUFFER_BYTES: usize = 64 << 10;
/// What is written at once. A write returns only when all of it was taken, so this is what the slowest reader has to take
/// while it is not thought to be stuck: a serial line of 9600 baud takes it in 9 s.
const PIECE_BYTES: usize = 8 << 10;

/// Both outputs of this process.
pub(super) struct Console {
    stdout: Sink,
    stderr: Sink,
    outflow: Outflow,
    /// The progress line, on the terminal that standard error is.
    status: Option<StatusLine>,
}

/// One of them.
struct Sink {
    inner: Box<dyn Write + Send>,
    outflow: Outflow,
    name: &'static str,
    buffer: Vec<u8>,
    destination: Destination,
    paint: Paint,
    /// Whether the last byte written left a line unfinished on a terminal.
    mid_line: bool,
    /// Whether a write failed, which is told once; then nothing is written any more.
    failed: bool,
}

impl Console {
    /// `status` needs `settings.stderr` to be a terminal.
    pub(super) fn new(
        settings: &RenderSettings,
        status: Option<StatusLine>,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        let outflow = Outflow::default();
        let sink = |inner, name, destination| Sink {
            inner,
            outflow: outflow.clone(),
            name,
            buffer: Vec::new(),
            destination,
            paint: Paint::new(settings.color, destination),
            mid_line: false,
            failed: false,
        };
        Self {
            stdout: sink(stdout, "standard output", settings.stdout),
            stderr: sink(stderr, "standard error", settings.stderr),
            outflow,
            status,
        }
    }

    /// Counts what gets out of both.
    pub(super) fn outflow(&self) -> Outflow {
        self.outflow.clone()
    }

    /// Whether text to `stream` is painted.
    pub(super) fn paint(&self, stream: Stream) -> Paint {
        self.sink(stream).paint
    }

    /// What `stream` leads to.
    pub(super) fn destination(&self, stream: Stream) -> Destination {
        self.sink(stream).destination
    }

    /// Writes our own text, which is harmless already.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), RenderError> {
        // Both may lead to the same terminal or file: what was written first has to be there first.
        self.drain(opposite(stream))?;
        if self.sink(stream).buffer.len() + bytes.len() > BUFFER_BYTES {
            self.drain(stream)?;
        }
        if bytes.len() > BUFFER_BYTES {
            self.clear_status()?;
            return self.sink_mut(stream).write_through(bytes);
        }
        self.sink_mut(stream).buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes remote bytes: made harmless for a terminal, else as they are.
    pub(super) fn write_remote(&mut self, stream: Stream, parts: &[&[u8]]) -> Result<(), RenderError> {
        let mut pen = RemotePen::default();
        for part in parts {
            pen.write(self, stream, part)?;
        }
        pen.finish(self, stream)
    }

    /// Writes out what is collected, and shows the progress line again if it was in the way.
    pub(super) fn flush(&mut self) -> Result<(), RenderError> {
        self.drain(Stream::Stdout)?;
        self.drain(Stream::Stderr)?;
        let mid_line = self.stdout.mid_line || self.stderr.mid_line;
        match &mut self.status {
            Some(status) if !mid_line => self.stderr.write_all(&status.redraw()),
            _ => Ok(()),
        }
    }

    /// Writes out what is collected, then shows `text` on the progress line, if there is one.
    pub(super) fn show_status(&mut self, text: String) -> Result<(), RenderError> {
        if let Some(status) = &mut self.status {
            status.set(text);
        }
        self.flush()
    }

    /// Whether there is a progress line.
    pub(super) fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// Takes the progress line away for good.
    pub(super) fn end_status(&mut self) -> Result<(), RenderError> {
        self.clear_status()?;
        self.status = None;
        Ok(())
    }

    /// Starts a new line on the terminal if the last one is unfinished.
    pub(super) fn start_line(&mut self, stream: Stream) -> Result<(), RenderError> {
        self.drain(Stream::Stdout)?;
        self.drain(Stream::Stderr)?;
        let mid_line = self.stdout.mid_line || self.stderr.mid_line;
        if mid_line && self.destination(stream).is_terminal() { self.write(stream, b"\n") } else { Ok(()) }
    }

    /// Writes out what is collected and leaves an empty line: no progress line, no unfinished one.
    pub(super) fn make_room(&mut self) -> Result<(), RenderError> {
        let terminal = if self.stderr.destination.is_terminal() { Stream::Stderr } else { Stream::Stdout };
        self.start_line(terminal)?;
        self.drain(terminal)?;
        (self.stdout.mid_line, self.stderr.mid_line) = (false, false);
        self.clear_status()
    }

    fn drain(&mut self, stream: Stream) -> Result<(), RenderError> {
        if self.sink(stream).buffer.is_empty() {
            return Ok(());
        }
        self.clear_status()?;
        let sink = self.sink_mut(stream);
        let mut buffer = std::mem::take(&mut sink.buffer);
        let written = sink.write_through(&buffer);
        buffer.clear();
        sink.buffer = buffer;
        written
    }

    fn clear_status(&mut self) -> Result<(), RenderError> {
        match &mut self.status {
            Some(status) => self.stderr.write_all(&status.clear()),
            None => Ok(()),
        }
    }

    fn sink(&self, stream: Stream) -> &Sink {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn sink_mut(&mut self, stream: Stream) -> &mut Sink {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Sink {
    fn write_through(&mut self, bytes: &[u8]) -> Result<(), RenderError> {
        self.mid_line = self.destination.is_terminal() && bytes.last().is_some_and(|last| *last != b'\n');
        self.write_all(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), RenderError> {
        if bytes.is_empty() || self.failed {
            return Ok(());
        }
        let written = self.write_pieces(bytes);
        self.failed = written.is_err();
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => RenderError::BrokenPipe { to: self.name },
            _ => RenderError::Write { to: self.name, source },
        })
    }

    fn write_pieces(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            if self.outflow.is_closed() {
                return Err(io::Error::other("the output was cut"));
            }
            self.inner.write_all(piece)?;
            self.outflow.add(piece.len());
        }
        self.inner.flush()
    }
}

/// Writes the remote bytes of one stream in several steps.
#[derive(Default)]
pub(super) struct RemotePen {
    sanitizer: Sanitizer,
}

impl RemotePen {
    pub(super) fn write(&mut self, console: &mut Console, to: Stream, bytes: &[u8]) -> Result<(), RenderError> {
        if console.destination(to).is_terminal() {
            self.sanitizer.push(bytes, &mut |text: &[u8]| console.write(to, text))
        } else {
            console.write(to, bytes)
        }
    }

    pub(super) fn finish(mut self, console: &mut Console, to: Stream) -> Result<(), RenderError> {
        self.sanitizer.finish(&mut |text: &[u8]| console.write(to, text))
    }
}

fn opposite(stream: Stream) -> Stream {
    match stream {
        Stream::Stdout => Stream::Stderr,
        Stream::Stderr => Stream::Stdout,
    }
}

#[cfg(test)]
mod tests {
    use super::super::RenderError;
    use super::super::settings::RenderSettings;
    use super::super::testing::{FailingWriter, SharedWriter, columns_80};
    use super::*;

    fn console(settings: &RenderSettings, status: Option<StatusLine>) -> (Console, SharedWriter) {
        let screen = SharedWriter::default();
        (Console::new(settings, status, screen.boxed(), screen.boxed()), screen)
    }

    #[test]
    fn small_writes_are_collected_until_flushed() {
        let (mut console, screen) = console(&RenderSettings::new("psh"), None);
        for _ in 0..1000 {
            console.write(Stream::Stdout, b"line\n").unwrap();
        }
        assert_eq!(screen.writes(), 0);
        console.flush().unwrap();
        assert_eq!((screen.writes(), screen.text().len()), (1, 5000));
    }

    #[test]
    fn both_outputs_keep_their_order() {
        let (mut console, screen) = console(&RenderSettings::new("psh"), None);
        let big = vec![b'x'; BUFFER_BYTES + 1];
        console.write(Stream::Stdout, b"1").unwrap();
        console.write(Stream::Stderr, b"2").unwrap();
        console.write(Stream::Stdout, &big).unwrap();
        console.write(Stream::Stdout, b"3").unwrap();
        console.write(Stream::Stderr, &big).unwrap();
        console.flush().unwrap();
        assert_eq!(screen.text().trim_matches('x'), format!("12{}3", "x".repeat(BUFFER_BYTES + 1)));
    }

    #[test]
    fn the_progress_line_is_gone_while_lines_are_written_and_back_afterwards() {
        let terminal = Destination::Terminal { columns: columns_80 };
        let settings = RenderSettings { stdout: terminal, stderr: terminal, ..RenderSettings::new("psh") };
        let (mut console, screen) = console(&settings, Some(StatusLine::new(columns_80)));
        console.show_status("1/2 done".into()).unwrap();
        console.write(Stream::Stdout, b"line\n").unwrap();
        console.flush().unwrap();
        console.write(Stream::Stderr, b"half a line").unwrap();
        console.show_status("2/2 done".into()).unwrap();
        console.write(Stream::Stderr, b", whole\n").unwrap();
        console.flush().unwrap();
        console.end_status().unwrap();
        let shown = screen.screen_lines();
        assert_eq!(shown, ["line", "half a line, whole", ""]);
        assert_eq!(screen.text().matches("1/2 done").count(), 2);
        assert_eq!(screen.text().matches("2/2 done").count(), 1);
    }

    #[test]
    fn what_gets_out_is_counted_in_small_pieces_until_it_is_cut() {
        let (mut console, screen) = console(&RenderSettings::new("psh"), None);
        let outflow = console.outflow();
        for bytes in [100, BUFFER_BYTES, 3 * BUFFER_BYTES] {
            console.write(Stream::Stdout, &vec![b'x'; bytes]).unwrap();
        }
        console.write(Stream::Stderr, b"y").unwrap();
        console.flush().unwrap();
        let written = screen.bytes().len();
        assert_eq!((written, outflow.taken_bytes()), (4 * BUFFER_BYTES + 101, written as u64));
        assert!(screen.writes() >= written / PIECE_BYTES);
        outflow.close();
        for _ in 0..2 {
            console.write(Stream::Stdout, b"more").unwrap();
        }
        assert!(console.flush().is_err());
        assert_eq!((screen.bytes().len(), outflow.taken_bytes()), (written, written as u64));
    }

    #[test]
    fn a_reader_that_left_is_told_from_a_full_disk() {
        for (kind, broken) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
            let stdout = Box::new(FailingWriter(kind));
            let mut console = Console::new(&RenderSettings::new("psh"), None, stdout, Box::new(io::sink()));
            console.write(Stream::Stdout, b"x").unwrap();
            let error = console.flush().unwrap_err();
            assert_eq!(matches!(error, RenderError::BrokenPipe { .. }), broken, "{error:?}");
            assert!(error.to_string().contains("standard output"));
        }
    }
}
