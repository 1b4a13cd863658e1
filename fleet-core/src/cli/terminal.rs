//! The person at the terminal: passwords, passphrases, yes or no.
//!
//! Must not know what the answers are for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::watch;

use super::Keys;
use crate::ssh::{Prompt, Secret};

/// Asks at the controlling terminal, one question at a time; output is held back while one is open.
#[derive(Debug)]
pub struct TerminalPrompt {
    asking: watch::Sender<bool>,
    one_at_a_time: Mutex<()>,
    state: Mutex<State>,
    /// Who else reads from the terminal.
    keys: OnceLock<Keys>,
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
        (Self { asking, one_at_a_time: Mutex::default(), state: Mutex::default(), keys: OnceLock::new() }, quiet)
    }

    /// From now on `keys` reads from the same terminal, and gives it up for questions.
    pub fn shares(&self, keys: Keys) {
        let _ = self.keys.set(keys);
    }

    /// Shows `question` and reads the line that is typed. Blocks.
    ///
    /// # Errors
    /// When there is no terminal, or nothing is answered.
    pub fn line(&self, question: &str) -> io::Result<String> {
        self.question(question, Echo::Shown)
    }

    /// Takes back the question that is open, if one is: its answer is not waited for, nor is another asked.
    pub fn withdraw(&self) {
        let open = match &*lock(&self.state) {
            State::Asking(terminal, _) => Some(Arc::clone(terminal)),
            State::Quiet | State::Closed => None,
        };
        self.close();
        if let Some(terminal) = open {
            // What is said next starts on a line of its own.
            let _ = (&*terminal).write_all(b"\n");
        }
        self.asking.send_replace(false);
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

    fn question(&self, question: &str, echo: Echo) -> io::Result<String> {
        let _one_at_a_time = lock(&self.one_at_a_time);
        self.asking.send_replace(true);
        let keys = self.keys.get();
        keys.inspect(|keys| keys.lend());
        let answer = self.ask(question, echo);
        self.restore(State::Quiet);
        keys.inspect(|keys| keys.take_back());
        self.asking.send_replace(false);
        answer
    }

    fn ask(&self, question: &str, echo: Echo) -> io::Result<String> {
        let terminal = Arc::new(open()?);
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        match echo {
            Echo::Hidden => {
                modes.local_modes -= LocalModes::ECHO;
                modes.local_modes |= LocalModes::ECHONL;
            }
            Echo::Shown => modes.local_modes |= LocalModes::ECHO,
        }
        {
            let mut state = lock(&self.state);
            if matches!(*state, State::Closed) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Before the question: whoever answers at once must not see the answer.
            tcsetattr(&terminal, OptionalActions::Flush, &modes)?;
            *state = State::Asking(Arc::clone(&terminal), Box::new(before));
        }
        // The cursor may stand in the progress line, which is drawn anew afterwards.
        (&*terminal).write_all(format!("\r\x1b[K{question}").as_bytes())?;
        let mut answer = String::new();
        if BufReader::new(&*terminal).read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer.trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// Whether the terminal shows what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Shown,
    Hidden,
}

/// Whether there is a terminal to ask at.
pub(super) fn is_there() -> bool {
    open().is_ok()
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

impl Prompt for TerminalPrompt {
    fn secret(&self, question: &str) -> Result<Secret, String> {
        let answer = self.question(question, Echo::Hidden).map(Secret::new);
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
