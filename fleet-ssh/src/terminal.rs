//! A terminal on the host for a command: what is asked of the server, and how input ends there.
//!
//! Must not know whether there is a terminal here.

use russh::client::Msg;
use russh::{Channel, ChannelMsg, Pty};

use fleet_core::outcome::{FailureClass, HostError, Stage};

/// VEOF, Ctrl-D: passes on what is typed of a line, and ends the input at the beginning of one.
const END_OF_INPUT: u8 = 4;

/// A terminal as programs on it see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Its kind, the value of `TERM`.
    pub term: String,
    /// Its width in characters.
    pub columns: u16,
    /// Its height in lines.
    pub rows: u16,
}

/// What a new terminal does with what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    /// Shows it, and passes on whole lines: the usual.
    Edited,
    /// Passes on every byte.
    Silent,
}

/// Asks for `terminal` on a new channel, and waits for the answer: without it the command must not run.
pub(super) async fn request(
    channel: &mut Channel<Msg>,
    terminal: &Terminal,
    typing: Typing,
) -> Result<(), Option<HostError>> {
    let modes: &[_] = match typing {
        Typing::Edited => &[],
        Typing::Silent => &[(Pty::ECHO, 0), (Pty::ICANON, 0)],
    };
    let (columns, rows) = (terminal.columns.into(), terminal.rows.into());
    channel.request_pty(true, &terminal.term, columns, rows, 0, 0, modes).await.map_err(|_| None)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => {
                let refused = HostError::new(Stage::Channel, FailureClass::Channel, "the server gave no terminal");
                return Err(Some(
                    refused.with_hint("run it without --pty, or allow PermitTTY in the server's sshd_config"),
                ));
            }
            Some(ChannelMsg::Close) | None => return Err(None),
            Some(_) => {}
        }
    }
}

/// What to type at the end of the input: in the middle of a line, the first only ends the line's piece.
pub(super) fn end_of_input(last: Option<u8>) -> &'static [u8] {
    match last {
        None | Some(b'\n') => &[END_OF_INPUT],
        Some(_) => &[END_OF_INPUT, END_OF_INPUT],
    }
}
