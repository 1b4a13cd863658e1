//! Questions that only a person can answer: a passphrase, a password. Asked once for the whole fleet.
//!
//! The terminal itself belongs to the edge, which implements [`Prompt`].

use std::fmt;

/// A password or passphrase. Never shown, not even in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` as a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends or uses it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Asks the person at the terminal.
pub trait Prompt: Send + Sync + 'static {
    /// Shows `question` and reads an answer without echo. Blocks.
    ///
    /// # Errors
    /// A lower-case fragment, such as that there is no terminal to ask at.
    fn secret(&self, question: &str) -> Result<Secret, String>;
}

/// For runs that have nobody to ask.
#[derive(Debug)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn secret(&self, _: &str) -> Result<Secret, String> {
        Err("there is no terminal to ask at".to_owned())
    }
}
