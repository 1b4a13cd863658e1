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
    /// The terminal and its settings as they were before the open question.
    before: Mutex<Option<(Arc<File>, Termios)>>,
}

impl TerminalPrompt {
    /// A prompt, and what tells whether a question is open.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<bool>) {
        let (asking, quiet) = watch::channel(false);
        (Self { asking, one_at_a_time: Mutex::default(), before: Mutex::default() }, quiet)
    }

    /// Gives the terminal its settings back. For the end of the process, when a question may still be open.
    pub fn restore(&self) {
        if let Some((terminal, before)) = lock(&self.before).take() {
            let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
        }
    }

    fn ask(&self, question: &str) -> io::Result<Secret> {
        let terminal = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        silent.local_modes |= LocalModes::ECHONL;
        *lock(&self.before) = Some((Arc::clone(&terminal), before));
        // Before the question: whoever answers at once must not see the answer.
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        (&*terminal).write_all(question.as_bytes())?;
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
        self.restore();
        self.asking.send_replace(false);
        answer.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "there was no answer".to_owned(),
            _ => "there is no terminal to ask at".to_owned(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
