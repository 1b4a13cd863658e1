//! How a run ended, and assertions about it that show everything when they fail.
//!
//! Must not know what was run.

use std::borrow::Cow;
use std::fmt;

use crate::captured::contains;

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    pub(crate) line: String,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// The bytes of its stdout, or of its terminal.
    pub stdout: Vec<u8>,
    /// The bytes of its stderr.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Asserts its exit code.
    ///
    /// # Panics
    /// When it is another, with what it printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code} of {self}");
        self
    }

    /// Asserts that a text is part of its stdout.
    ///
    /// # Panics
    /// When it is not, with what it printed.
    #[track_caller]
    pub fn expect_stdout(self, text: &str) -> Self {
        assert!(contains(&self.stdout, text.as_bytes()), "expected \"{text}\" on stdout of {self}");
        self
    }

    /// Asserts that a text is part of its stderr.
    ///
    /// # Panics
    /// When it is not, with what it printed.
    #[track_caller]
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(contains(&self.stderr, text.as_bytes()), "expected \"{text}\" on stderr of {self}");
        self
    }

    /// Asserts that a text is nowhere in its outputs.
    ///
    /// # Panics
    /// When it is, with what it printed.
    #[track_caller]
    pub fn expect_nowhere(self, text: &str) -> Self {
        let found = contains(&self.stdout, text.as_bytes()) || contains(&self.stderr, text.as_bytes());
        assert!(!found, "\"{text}\" was not expected from {self}");
        self
    }

    /// Its stdout as text.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Its stderr as text.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }

    /// The lines of its stdout, sorted: hosts answer in any order.
    #[must_use]
    pub fn sorted_lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.stdout_text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outputs = Outputs { stdout: &self.stdout, stderr: &self.stderr };
        write!(f, "{}\ncode {:?}, signal {:?}\n{outputs}", self.line, self.code, self.signal)
    }
}

/// The outputs for a failure message: the ends of long ones.
pub(crate) struct Outputs<'a> {
    pub(crate) stdout: &'a [u8],
    pub(crate) stderr: &'a [u8],
}

impl fmt::Display for Outputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in [("stdout", self.stdout), ("stderr", self.stderr)] {
            let end = &bytes[bytes.len().saturating_sub(4000)..];
            writeln!(f, "--- {name} ({} bytes)\n{}", bytes.len(), String::from_utf8_lossy(end))?;
        }
        Ok(())
    }
}
