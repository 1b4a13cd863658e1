//! The person at the terminal: passwords and passphrases.
//!
//! Must not know what the answers are for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::watch;

use crate::ssh::{Prompt, Secret};

/// Asks at the controlling terminal, one question at a time; output is held back while one is open.
#[derive(Debug)]
pub struct TerminalPrompt {
    asking: watch::Sender<bool>,
    one_at_a_time: Mutex<()>,
    state: Mutex<State>,
}

/// What the open question has changed.
#[derive(Debug, Default)]
enum State {
    #[default]
    Quiet,
    /// The terminal and its settings as they were before.
    Asking(Arc<File>, Box<Termios>),
    /// Nothing is asked any more.
    Closed,
}

impl TerminalPrompt {
    /// A prompt, and what tells whether a question is open.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<bool>) {
        let (asking, quiet) = watch::channel(false);
        (Self { asking, one_at_a_time: Mutex::default(), state: Mutex::default() }, quiet)
    }

    /// Gives the terminal its settings back and asks nothing any more. For the end of the process, when a question may
    /// still be open.
    pub fn close(&self) {
        self.restore(State::Closed);
    }

    fn restore(&self, next: State) {
        let mut state = lock(&self.state);
        if let State::Asking(terminal, before) = &*state {
            let _ = tcsetattr(terminal, OptionalActions::Flush, before);
        }
        if !matches!(*state, State::Closed) {
            *state = next;
        }
    }

    fn ask(&self, question: &str) -> io::Result<Secret> {
        let terminal = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        silent.local_modes |= LocalModes::ECHONL;
        {
            let mut state = lock(&self.state);
            if matches!(*state, State::Closed) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Before the question: whoever answers at once must not see the answer.
            tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
            *state = State::Asking(Arc::clone(&terminal), Box::new(before));
        }
        // The cursor may stand in the progress line, which is drawn anew afterwards.
        (&*terminal).write_all(format!("\r\x1b[K{question}").as_bytes())?;
        let mut answer = String::new();
        if BufReader::new(&*terminal).read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Secret::new(answer.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

impl Prompt for TerminalPrompt {
    fn secret(&self, question: &str) -> Result<Secret, String> {
        let _one_at_a_time = lock(&self.one_at_a_time);
        self.asking.send_replace(true);
        let answer = self.ask(question);
        self.restore(State::Quiet);
        self.asking.send_replace(false);
        answer.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "there was no answer".to_owned(),
            io::ErrorKind::InvalidData => "the answer is not UTF-8".to_owned(),
            _ => "there is no terminal to ask at".to_owned(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
