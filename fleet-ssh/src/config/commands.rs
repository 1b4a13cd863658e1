//! The commands of `Match exec`: each text is run once for the whole fleet.
//!
//! Must not know why a command is run.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::local::LocalContext;

/// The commands run so far.
#[derive(Debug, Default)]
pub(super) struct Commands {
    results: Mutex<HashMap<String, Arc<Once>>>,
}

/// Whether a command succeeded, or why it did not end by itself; empty until it is known.
type Once = OnceLock<Result<bool, String>>;

impl Commands {
    /// Whether `command` ends with status 0; an error says what kept it from ending by itself.
    pub(super) fn succeeds(&self, command: &str, local: &LocalContext) -> Result<bool, String> {
        let result = {
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(results.entry(command.to_owned()).or_default())
        };
        // Outside of the lock: other commands do not wait for this one, the same command does.
        result.get_or_init(|| run(command, local)).clone()
    }
}

/// Runs `command` in the user's shell. It sees no input, and what it prints is dropped: the terminal is not its own.
fn run(command: &str, local: &LocalContext) -> Result<bool, String> {
    let shell = local.shell();
    let mut shell_command = Command::new(shell);
    shell_command.arg("-c").arg(command).env_clear().envs(&local.env);
    shell_command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell_command.status().map_err(|error| format!("cannot run the shell {shell}: {error}"))?;
    match status.code() {
        Some(code) => Ok(code == 0),
        None => Err(format!("expected the command to exit, but it ended by {status}")),
    }
}
