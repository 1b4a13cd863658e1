//! The person at the terminal: passwords and passphrases.
//!
//! Must not know what the answers are for.

use std::fs::OpenOptions;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::ssh::{Prompt, Secret};

/// Asks at the controlling terminal, one question at a time; output is held back while one is open.
#[derive(Debug)]
pub struct TerminalPrompt {
    asking: Mutex<watch::Sender<bool>>,
}

impl TerminalPrompt {
    /// A prompt, and what tells whether a question is open.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<bool>) {
        let (asking, quiet) = watch::channel(false);
        (Self { asking: Mutex::new(asking) }, quiet)
    }
}

impl Prompt for TerminalPrompt {
    fn secret(&self, question: &str) -> Result<Secret, String> {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if OpenOptions::new().read(true).write(true).open("/dev/tty").is_err() {
            return Err("there is no terminal to ask at".to_owned());
        }
        asking.send_replace(true);
        let answer = rpassword::prompt_password(question);
        asking.send_replace(false);
        answer.map(Secret::new).map_err(|error| format!("cannot ask at the terminal: {error}"))
    }
}
