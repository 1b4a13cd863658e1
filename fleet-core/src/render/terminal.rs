//! Looks at what standard output and standard error are.
//!
//! Must not write to them.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use rustix::fs::{FileType, fstat};

use super::settings::{Destination, ProgressLine};

/// The width assumed where the terminal does not say.
const DEFAULT_COLUMNS: u16 = 80;

/// What `fd` (standard output or standard error) leads to.
pub fn destination(fd: &impl AsFd) -> Destination {
    if fd.as_fd().is_terminal() { Destination::Terminal { columns: stderr_columns } } else { Destination::Stream }
}

/// Whether a progress line beside `stdout` is safe: not if that is a pipe, whose reader (`tee`, `grep`, `less`) may well
/// write to the terminal that the progress line is on, without taking it away first.
pub fn progress_line(stdout: &impl AsFd) -> ProgressLine {
    match fstat(stdout) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo => ProgressLine::Shown,
        _ => ProgressLine::Hidden,
    }
}

/// The present width of the terminal that standard error is, in characters; 80 if it is none.
#[must_use]
pub fn stderr_columns() -> u16 {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => DEFAULT_COLUMNS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_no_terminal_and_forbids_the_progress_line() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(!destination(&reader).is_terminal());
        assert_eq!(progress_line(&reader), ProgressLine::Hidden);
    }

    #[test]
    fn a_file_beside_the_progress_line_is_safe() {
        assert_eq!(progress_line(&tempfile::tempfile().unwrap()), ProgressLine::Shown);
    }
}
