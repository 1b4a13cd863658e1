//! The person at the terminal: passwords, passphrases, yes or no.
//!
//! Whatever ends or stops the process while a question is open, the terminal shows again what is typed. Must not know
//! what the answers are for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::Keys;
use fleet_core::fanout::{Floor, is_ignored};
use fleet_ssh::{Prompt, Secret, Terminal};

/// The terminal of hosts whose user has none: what every program can write to.
const PLAIN_TERMINAL: &str = "dumb";

/// A terminal like the one we are on; where we are on none, of 80 columns and 24 rows.
#[must_use]
pub fn our_terminal() -> Terminal {
    let size =
        tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stderr())).or_else(|_| tcgetwinsize(io::stdin()));
    let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty()).unwrap_or_else(|| PLAIN_TERMINAL.to_owned());
    Terminal { term, columns: if columns == 0 { 80 } else { columns }, rows: if rows == 0 { 24 } else { rows } }
}

/// Asks at the controlling terminal, one question at a time; the run's output is held back while one is open.
#[derive(Debug)]
pub struct TerminalPrompt {
    floor: Floor,
    one_at_a_time: Mutex<()>,
    state: Arc<Mutex<State>>,
    watches_signals: Once,
    /// Who else reads from the terminal.
    keys: Arc<OnceLock<Keys>>,
}

/// What the open question has changed.
#[derive(Debug, Default)]
enum State {
    #[default]
    Quiet,
    Asking(Question),
    /// Nothing is asked any more.
    Closed,
}

/// An open question.
#[derive(Debug)]
struct Question {
    text: String,
    echo: Echo,
    terminal: Arc<File>,
    /// The terminal's settings as they were before.
    before: Box<Termios>,
}

impl Default for TerminalPrompt {
    fn default() -> Self {
        Self::new(Floor::default())
    }
}

impl TerminalPrompt {
    /// A prompt that takes `floor` for its questions.
    #[must_use]
    pub fn new(floor: Floor) -> Self {
        let (one_at_a_time, watches_signals) = (Mutex::default(), Once::new());
        Self { floor, one_at_a_time, state: Arc::default(), watches_signals, keys: Arc::default() }
    }

    /// Whose turn it is to write to the terminal.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.floor.clone()
    }

    /// From now on `keys` reads from the same terminal, and gives it up for questions.
    pub fn shares(&self, keys: Keys) {
        if keys.is_listening() && self.keys.set(keys).is_ok() {
            self.watch_signals();
        }
    }

    fn watch_signals(&self) {
        let (state, floor, keys) = (Arc::clone(&self.state), self.floor.clone(), Arc::clone(&self.keys));
        self.watches_signals.call_once(|| watch_signals(state, floor, keys));
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
        self.close();
        self.floor.give_back();
    }

    /// Gives the terminal its settings back and asks nothing any more. For the end of the process, when a question may
    /// still be open.
    pub fn close(&self) {
        lock(&self.state).close();
    }

    fn question(&self, text: &str, echo: Echo) -> io::Result<String> {
        let _one_at_a_time = lock(&self.one_at_a_time);
        let keys = self.keys.get();
        keys.inspect(|keys| keys.lend());
        let answer = self.ask(text, echo);
        lock(&self.state).answered();
        keys.inspect(|keys| keys.take_back());
        self.floor.give_back();
        answer
    }

    fn ask(&self, text: &str, echo: Echo) -> io::Result<String> {
        let terminal = Arc::new(open()?);
        self.watch_signals();
        self.floor.take();
        let before = Box::new(tcgetattr(&terminal)?);
        let question = Question { text: text.to_owned(), echo, terminal: Arc::clone(&terminal), before };
        lock(&self.state).open(question)?;
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

impl State {
    fn open(&mut self, question: Question) -> io::Result<()> {
        if matches!(self, Self::Closed) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        question.show()?;
        *self = Self::Asking(question);
        Ok(())
    }

    fn answered(&mut self) {
        if let Self::Asking(question) = self {
            question.restore();
            *self = Self::Quiet;
        }
    }

    fn close(&mut self) {
        if let Self::Asking(question) = self {
            question.abandon();
        }
        *self = Self::Closed;
    }
}

impl Question {
    /// Sets the echo, then asks: whoever answers a secret at once must not see the answer.
    fn show(&self) -> io::Result<()> {
        let mut modes = (*self.before).clone();
        match self.echo {
            Echo::Hidden => {
                modes.local_modes -= LocalModes::ECHO;
                modes.local_modes |= LocalModes::ECHONL;
            }
            Echo::Shown => modes.local_modes |= LocalModes::ECHO,
        }
        tcsetattr(&self.terminal, OptionalActions::Flush, &modes)?;
        (&*self.terminal).write_all(self.text.as_bytes())
    }

    fn restore(&self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }

    /// Leaves the line of the question, as it gets no answer there.
    fn abandon(&self) {
        self.restore();
        let _ = (&*self.terminal).write_all(b"\n");
    }
}

/// Looks after the terminal for the rest of the process, as the signals no longer do what they would by themselves.
/// Those that end a run are also seen by `fanout::Signals`.
fn watch_signals(state: Arc<Mutex<State>>, floor: Floor, keys: Arc<OnceLock<Keys>>) {
    let watched = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP].into_iter().filter(|signal| !is_ignored(*signal));
    // Without a handler the signals do as ever: nothing that would be worth ending a run for.
    let Ok(mut signals) = Signals::new(watched) else { return };
    thread::spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => suspend(&mut lock(&state), keys.get()),
                SIGQUIT => {
                    lock(&state).close();
                    keys.get().inspect(|keys| keys.close());
                    let _ = emulate_default_handler(SIGQUIT);
                }
                _ => {
                    lock(&state).close();
                    floor.give_back();
                }
            }
        }
    });
}

/// Stops the process; returns when it goes on, with the question asked anew.
fn suspend(state: &mut State, keys: Option<&Keys>) {
    if let State::Asking(question) = state {
        question.abandon();
    }
    keys.inspect(|keys| keys.lend());
    let _ = emulate_default_handler(SIGTSTP);
    keys.inspect(|keys| keys.take_back());
    if let State::Asking(question) = state {
        let _ = question.show();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
