//! Keys that are pressed while a run goes on.
//!
//! The terminal gives out single keys, and shows none, only while it is ours: while this process is in its foreground,
//! no question is open and no other program has set it up for itself. Whatever ends or stops the process by way of this
//! module leaves it as it was. Must not know what follows from a key.

use std::io::{self, IsTerminal, Stdin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::sync::mpsc;

use super::StdinUse;
use fleet_core::fanout::Request;
use fleet_core::render::{ProgressLine, progress_line};

/// How often it is looked whether the terminal has become ours; nothing tells of that.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_FOR: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// What Ctrl-\ sends while it is read as a key.
const QUIT_KEY: u8 = 0x1c;

/// The keyboard of a run. Clones share it; without a terminal to read from it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Keys(Option<Arc<Mutex<Keyboard>>>);

#[derive(Debug)]
struct Keyboard {
    stdin: Stdin,
    /// The terminal's settings before and since it gives out keys; none while it does not.
    ours: Option<(Termios, Termios)>,
    /// How many others need it as it was.
    lent: usize,
    is_closed: bool,
    reader: Option<Thread>,
}

impl Keys {
    /// Passes on what the keys mean until [`Self::close`], if standard input is a terminal that is free for that. It is
    /// not where our output is piped into another program, such as less(1), which may read from the same terminal.
    #[must_use]
    pub fn listen(stdin: StdinUse, requests: mpsc::Sender<Request>) -> Self {
        let is_piped = [progress_line(&io::stdout()), progress_line(&io::stderr())].contains(&ProgressLine::Hidden);
        if stdin != StdinUse::Free || !io::stdin().is_terminal() || is_piped {
            return Self::default();
        }
        let keyboard = Keyboard { stdin: io::stdin(), ours: None, lent: 0, is_closed: false, reader: None };
        let shared = Arc::new(Mutex::new(keyboard));
        let keys = Self(Some(Arc::clone(&shared)));
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(&shared, &requests)
        });
        lock(&shared).reader = Some(reader.thread().clone());
        keys
    }

    /// Whether there is a terminal that it reads from.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Gives the terminal back as it was, for a question or while we are stopped, until [`Self::take_back`].
    pub fn lend(&self) {
        if let Some(mut keyboard) = self.lock() {
            keyboard.lent += 1;
            keyboard.restore();
        }
    }

    /// The terminal is not needed any more by one who was lent it.
    pub fn take_back(&self) {
        if let Some(mut keyboard) = self.lock() {
            keyboard.lent = keyboard.lent.saturating_sub(1);
            if let Some(reader) = &keyboard.reader {
                reader.unpark();
            }
        }
    }

    /// Gives the terminal back for good.
    pub fn close(&self) {
        if let Some(mut keyboard) = self.lock() {
            keyboard.is_closed = true;
            keyboard.restore();
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Keyboard>> {
        self.0.as_deref().map(lock)
    }
}

/// Closes the keyboard however a run ends.
#[derive(Debug)]
pub struct KeysGuard(pub Keys);

impl Drop for KeysGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Keyboard {
    /// Whether we may touch the terminal at all: in the background that would stop us.
    fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.stdin).is_ok_and(|group| group == getpgrp())
    }

    /// Makes the terminal give out keys, if it can be ours. Whether it is.
    fn claim(&mut self) -> bool {
        if self.is_closed || self.lent > 0 || !self.is_in_foreground() {
            return false;
        }
        let Ok(present) = tcgetattr(&self.stdin) else { return false };
        match &self.ours {
            Some((_, set)) if same(set, &present) => true,
            // The shell has set it up since, or a program that reads from it now, such as an agent's PIN entry.
            Some(_) if !present.local_modes.contains(LocalModes::ICANON) => false,
            _ => {
                let mut set = present.clone();
                set.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
                set.special_codes[SpecialCodeIndex::VMIN] = 1;
                set.special_codes[SpecialCodeIndex::VTIME] = 0;
                // It has to come by here, or the terminal would stay as it is.
                set.special_codes[SpecialCodeIndex::VQUIT] = 0;
                let is_set = tcsetattr(&self.stdin, OptionalActions::Now, &set).is_ok();
                self.ours = is_set.then_some((present, set));
                is_set
            }
        }
    }

    fn restore(&mut self) {
        if let Some((before, _)) = self.ours.take()
            && self.is_in_foreground()
        {
            let _ = tcsetattr(&self.stdin, OptionalActions::Now, &before);
        }
    }

    /// The next key, if the terminal is ours and has one.
    fn key(&mut self) -> io::Result<Option<u8>> {
        if !self.claim() || !is_readable(&self.stdin, &NOW) {
            return Ok(None);
        }
        let mut key = [0];
        match rustix::io::read(&self.stdin, &mut key)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(Some(key[0])),
        }
    }
}

/// Reads keys until the keyboard is closed or the terminal is gone.
fn read(keyboard: &Mutex<Keyboard>, requests: &mpsc::Sender<Request>) {
    loop {
        let (is_ours, key) = {
            let mut keyboard = lock(keyboard);
            if keyboard.is_closed {
                return;
            }
            (keyboard.claim(), keyboard.key())
        };
        match key {
            Err(_) => return,
            Ok(Some(QUIT_KEY)) => {
                lock(keyboard).restore();
                let _ = kill_process(getpid(), Signal::QUIT);
            }
            Ok(Some(key)) => {
                // More wishes than are looked at are none.
                let _ = meaning(key).map(|request| requests.try_send(request));
            }
            Ok(None) if is_ours => drop(is_readable(&io::stdin(), &LOOK_FOR)),
            Ok(None) => thread::park_timeout(LOOK),
        }
    }
}

fn meaning(key: u8) -> Option<Request> {
    match key {
        b'\n' | b'\r' => Some(Request::Slowest),
        b'+' => Some(Request::More),
        b'-' => Some(Request::Fewer),
        _ => None,
    }
}

/// Whether there is something to be read, or an end to be seen, at once or after `patience`.
fn is_readable(stdin: &Stdin, patience: &Timespec) -> bool {
    poll(&mut [PollFd::new(stdin, PollFlags::IN)], Some(patience)).is_ok_and(|ready| ready > 0)
}

fn same(one: &Termios, other: &Termios) -> bool {
    let modes = |termios: &Termios| (termios.input_modes, termios.output_modes, termios.local_modes);
    modes(one) == modes(other)
}

fn lock(keyboard: &Mutex<Keyboard>) -> MutexGuard<'_, Keyboard> {
    keyboard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_meanings() {
        for (key, request) in [
            (b'\n', Some(Request::Slowest)),
            (b'\r', Some(Request::Slowest)),
            (b'+', Some(Request::More)),
            (b'-', Some(Request::Fewer)),
            (b'q', None),
            (b' ', None),
        ] {
            assert_eq!(meaning(key), request, "{key}");
        }
    }
}
