//! Pseudo-terminals as clients ask for them: name, size, and the modes that matter to a program that is driven by one.
//!
//! Must not know channels or processes.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use pty_process::{Pts, Pty};
use russh::Pty as Mode;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize, ttyname,
};

/// A client's `pty-req` (RFC 4254, section 6.2).
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) term: String,
    pub(crate) size: Size,
    pub(crate) modes: Vec<(Mode, u32)>,
}

/// A terminal's size in characters and pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) width_pixels: u32,
    pub(crate) height_pixels: u32,
}

impl Terminal {
    /// Opens a new pty with this size and these modes.
    ///
    /// # Errors
    /// When the system has no pty left.
    pub(crate) fn open(&self) -> io::Result<(Pty, Pts)> {
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        tcsetwinsize(&pty, self.size.into())?;
        let mut settings = tcgetattr(&pts)?;
        for (mode, value) in &self.modes {
            set_mode(&mut settings, *mode, *value);
        }
        tcsetattr(&pts, OptionalActions::Now, &settings)?;
        Ok((pty, pts))
    }

    /// The path of the terminal, such as `/dev/pts/3`.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn name(&self, pts: &Pts) -> io::Result<OsString> {
        Ok(OsString::from_vec(ttyname(pts.as_fd(), Vec::new())?.into_bytes()))
    }
}

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        let narrow = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        Self {
            ws_row: narrow(size.rows),
            ws_col: narrow(size.columns),
            ws_xpixel: narrow(size.width_pixels),
            ws_ypixel: narrow(size.height_pixels),
        }
    }
}

/// Changes the size of an open terminal.
pub(crate) fn resize(terminal: &OwnedFd, size: Size) {
    if let Err(error) = tcsetwinsize(terminal, size.into()) {
        tracing::debug!(%error, "the terminal keeps its size");
    }
}

/// The mode bits that clients switch: echo, line editing, signals, and the translation of line ends.
fn set_mode(settings: &mut Termios, mode: Mode, value: u32) {
    let is_on = value != 0;
    match mode {
        Mode::ECHO => settings.local_modes.set(LocalModes::ECHO, is_on),
        Mode::ICANON => settings.local_modes.set(LocalModes::ICANON, is_on),
        Mode::ISIG => settings.local_modes.set(LocalModes::ISIG, is_on),
        Mode::ICRNL => settings.input_modes.set(InputModes::ICRNL, is_on),
        Mode::OPOST => settings.output_modes.set(OutputModes::OPOST, is_on),
        Mode::ONLCR => settings.output_modes.set(OutputModes::ONLCR, is_on),
        _ => {}
    }
}
