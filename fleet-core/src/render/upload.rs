//! What is shown of an upload that comes before a run, while nothing has happened on any host.
//!
//! Has no clock: it is told when things happened. Must not know what is uploaded, nor how.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::RenderError;
use super::console::Console;
use super::json::{VERSION, to_line};
use super::progress::StatusLine;
use super::sanitize::sanitized_line;
use super::settings::{Destination, Layout, ProgressLine, RenderSettings};
use super::transfers::Transfers;
use crate::event::{Stream, Transferred};
use crate::size;

/// How often the progress line changes.
const REDRAW_EVERY: Duration = Duration::from_millis(250);
/// How often there is an object of JSON.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often there is a line where none can be taken away again.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Shows how far an upload is. All times are those since the same moment.
pub struct UploadDisplay {
    program: String,
    object: String,
    form: Form,
    console: Console,
    step: UploadStep,
    /// How many bytes of the step are done, and how many there are.
    bytes: u64,
    of: u64,
    transfers: Transfers,
    shown_at: Duration,
}

/// What is done at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStep {
    /// What is to be uploaded is made.
    Packing,
    /// It is sent.
    Uploading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Words,
    Json,
    Quiet,
}

#[derive(Serialize)]
struct UploadLine<'a> {
    v: u32,
    event: &'static str,
    object: &'a str,
    bytes: u64,
    of: u64,
}

impl UploadDisplay {
    /// For the object of this name, in the way of the run that follows, on the outputs of this process.
    #[must_use]
    pub fn new(settings: &RenderSettings, object: &str) -> Self {
        Self::on(settings, object, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    fn on(
        settings: &RenderSettings,
        object: &str,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        let form = match settings.layout {
            Layout::Json => Form::Json,
            Layout::Quiet => Form::Quiet,
            _ => Form::Words,
        };
        let status = match (form, settings.progress, settings.stderr) {
            (Form::Words, ProgressLine::Shown, Destination::Terminal { columns }) => Some(StatusLine::new(columns)),
            _ => None,
        };
        Self {
            program: settings.program.clone(),
            object: object.to_owned(),
            form,
            console: Console::new(settings, status, stdout, stderr),
            step: UploadStep::Packing,
            bytes: 0,
            of: 0,
            transfers: Transfers::default(),
            shown_at: Duration::ZERO,
        }
    }

    /// A step begins, which has so many bytes.
    ///
    /// # Errors
    /// When standard output or standard error cannot be written.
    pub fn begin(&mut self, step: UploadStep, of: u64, at: Duration) -> Result<(), RenderError> {
        (self.step, self.bytes, self.of, self.transfers) = (step, 0, of, Transfers::default());
        if step == UploadStep::Uploading {
            self.say(&format!("uploading {} to {}", size::shown(of), sanitized_line(&self.object)))?;
        }
        self.show(at)
    }

    /// So many bytes of the step are done.
    ///
    /// # Errors
    /// As those of [`Self::begin`].
    pub fn progress(&mut self, bytes: u64, at: Duration) -> Result<(), RenderError> {
        self.bytes = bytes;
        self.tick(at)
    }

    /// All of the step is done.
    ///
    /// # Errors
    /// As those of [`Self::begin`].
    pub fn done(&mut self, at: Duration) -> Result<(), RenderError> {
        self.bytes = self.of;
        if self.form == Form::Json { self.show(at) } else { self.tick(at) }
    }

    /// Time passes, also when nothing is done; to be called some times a second.
    ///
    /// # Errors
    /// As those of [`Self::begin`].
    pub fn tick(&mut self, at: Duration) -> Result<(), RenderError> {
        let every = match self.form {
            Form::Words if self.console.has_status() => REDRAW_EVERY,
            Form::Words => SAY_EVERY,
            Form::Json | Form::Quiet => TELL_EVERY,
        };
        if at.saturating_sub(self.shown_at) >= every { self.show(at) } else { Ok(()) }
    }

    /// Says something in a line that stays.
    ///
    /// # Errors
    /// As those of [`Self::begin`].
    pub fn say(&mut self, text: &str) -> Result<(), RenderError> {
        if self.form != Form::Words {
            return Ok(());
        }
        let line = format!("{}: {text}\n", self.program);
        self.console.write(Stream::Stderr, line.as_bytes())?;
        self.console.flush()
    }

    /// Takes the progress line away.
    ///
    /// # Errors
    /// As those of [`Self::begin`].
    pub fn end(mut self) -> Result<(), RenderError> {
        self.console.end_status()
    }

    fn show(&mut self, at: Duration) -> Result<(), RenderError> {
        let Self { bytes, of, .. } = *self;
        self.shown_at = at;
        self.transfers.progress(0, Transferred { bytes, of: Some(of) }, 1);
        match (self.form, self.step) {
            (Form::Json, UploadStep::Uploading) => {
                let line = UploadLine { v: VERSION, event: "upload", object: &self.object, bytes, of };
                self.console.write(Stream::Stdout, &to_line(&line))?;
                self.console.flush()
            }
            (Form::Json, UploadStep::Packing) | (Form::Quiet, _) => Ok(()),
            (Form::Words, step) => {
                let text = format!("{step} {}", self.transfers.text(at).unwrap_or_default());
                match self.console.has_status() {
                    true => self.console.show_status(text),
                    // That it begins was said.
                    false if bytes == 0 => Ok(()),
                    false => self.say(&text),
                }
            }
        }
    }
}

impl fmt::Display for UploadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packing => "packing",
            Self::Uploading => "uploading",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SharedWriter, columns_80};
    use super::*;

    const STEPS: [(UploadStep, &[(u64, u64)]); 2] = [
        (UploadStep::Packing, &[(1_000_000, 100), (4_000_000, 2000)]),
        (UploadStep::Uploading, &[(1_000_000, 3300), (3_000_000, 5000), (3_500_000, 35_000), (4_000_000, 35_100)]),
    ];

    /// Standard output and standard error of an upload of 4 MB.
    fn shown(settings: &RenderSettings) -> [String; 2] {
        let (stdout, stderr) = (SharedWriter::default(), SharedWriter::default());
        let mut display = UploadDisplay::on(settings, "s3://b/k", stdout.boxed(), stderr.boxed());
        for (step, times) in STEPS {
            let begun_at = Duration::from_millis(times[0].1 - 100);
            display.begin(step, 4_000_000, begun_at).unwrap();
            for (bytes, millis) in times {
                display.progress(*bytes, Duration::from_millis(*millis)).unwrap();
            }
            display.tick(Duration::from_millis(times[times.len() - 1].1 + 400)).unwrap();
        }
        display.done(Duration::from_secs(37)).unwrap();
        display.say("fleet-ec2: some words").unwrap();
        display.end().unwrap();
        [stdout, stderr].map(|writer| writer.text())
    }

    #[test]
    fn a_file_has_few_lines_and_all_that_was_said() {
        let expected = "pcp: uploading 4.0 MB to s3://b/k\n\
                        pcp: uploading 3.5 MB of 4.0 MB, 110 kB/s, 4s left\n\
                        pcp: fleet-ec2: some words\n";
        assert_eq!(shown(&RenderSettings::new("pcp")), [String::new(), expected.to_owned()]);
    }

    #[test]
    fn a_terminal_has_a_line_that_goes_at_the_end() {
        let stderr = Destination::Terminal { columns: columns_80 };
        let settings = RenderSettings { stderr, progress: ProgressLine::Shown, ..RenderSettings::new("pcp") };
        let [stdout, stderr] = shown(&settings);
        assert_eq!(stdout, "");
        for text in [
            "packing 0 B of 4.0 MB",
            "packing 4.0 MB of 4.0 MB, 2.0 MB/s",
            "packing 4.0 MB of 4.0 MB, 1.7 MB/s",
            "pcp: uploading 4.0 MB to s3://b/k\n",
            "uploading 3.0 MB of 4.0 MB, 1.7 MB/s",
            "pcp: fleet-ec2: some words\n",
        ] {
            assert!(stderr.contains(text), "{text:?} is missing in {stderr:?}");
        }
        assert!(!stderr.contains("uploading 1.0 MB of"), "drawn too often: {stderr:?}");
        assert!(stderr.ends_with("\r\x1b[2K"), "{stderr:?}");
    }

    #[test]
    fn json_has_an_object_for_the_start_the_end_and_at_most_one_in_a_second_between() {
        let settings = RenderSettings { layout: Layout::Json, ..RenderSettings::new("pcp") };
        let object = |bytes| {
            format!("{{\"v\":1,\"event\":\"upload\",\"object\":\"s3://b/k\",\"bytes\":{bytes},\"of\":4000000}}\n")
        };
        let expected: String = [0, 3_000_000, 3_500_000, 4_000_000].map(object).concat();
        assert_eq!(shown(&settings), [expected, String::new()]);
        let settings = RenderSettings { layout: Layout::Quiet, ..RenderSettings::new("pcp") };
        assert_eq!(shown(&settings), [String::new(), String::new()]);
    }
}
