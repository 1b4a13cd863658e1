//! How a copy ended on a host, from what its command ended with and has said.
//!
//! Must not know how it was run.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_core::sanitize::sanitized_line;
use fleet_ssh::remote::{CopyRefusal, RefusalKind, Token, copy_is_done};

use crate::source_cache::SourceError;

/// How many files are named that changed.
const MAX_NAMED: usize = 3;
/// Characters of what a host says that does not take our program.
const MAX_WORDS: usize = 200;

/// What the copy command came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// All that was sent is in place.
    Done,
    /// It is not.
    Failed(Outcome),
    /// It is not, as the host lacks what it was to be verified by.
    NoDigest(Outcome),
    /// Our program never ran: the host has no shell for us. What it said instead.
    NotRun(HostError),
}

/// Reads the end of the command that was marked so: its outcome, and all that it said on both outputs.
#[must_use]
pub fn ended(outcome: Outcome, said: &[u8], mark: &Token) -> Ended {
    if let Some(refusal) = CopyRefusal::find(said, mark) {
        return match (outcome, refusal.kind) {
            // We had it stopped, and it says so.
            (outcome @ Outcome::Stopped { .. }, _) => Ended::Failed(outcome),
            (_, RefusalKind::NoDigest) => Ended::NoDigest(Outcome::Failed(refused(&refusal))),
            _ => Ended::Failed(Outcome::Failed(refused(&refusal))),
        };
    }
    match outcome {
        Outcome::Exited(0) if copy_is_done(said, mark) => Ended::Done,
        Outcome::Exited(_) => Ended::NotRun(not_run(said)),
        Outcome::Failed(error) if error.class == FailureClass::Channel => Ended::NotRun(error),
        outcome => Ended::Failed(outcome),
    }
}

/// What a host says when it does not copy.
#[must_use]
pub fn refused(refusal: &CopyRefusal) -> HostError {
    let error = HostError::new(Stage::Command, FailureClass::Copy, refusal.to_string());
    match (refusal.kind.hint(), refusal.kind) {
        (Some(hint), _) => error.with_hint(hint),
        (None, RefusalKind::HalfDone) => error.with_hint("copy again: what is in place is replaced by the same"),
        (None, _) => error,
    }
}

fn not_run(said: &[u8]) -> HostError {
    let text = sanitized_line(String::from_utf8_lossy(said).trim());
    let words: String = text.chars().take(MAX_WORDS).collect();
    let message = match words.as_str() {
        "" => "the host did not run our program, and said nothing".to_owned(),
        _ => format!("the host did not run our program, and said: {words}"),
    };
    HostError::new(Stage::Command, FailureClass::Copy, message)
        .with_hint("it needs a POSIX shell and tar: check ForceCommand and the user's shell on the server")
}

/// Why a host lacks files that could not be read; `kept` others are in place there.
#[must_use]
pub fn incomplete(failures: &BTreeMap<usize, Arc<SourceError>>, kept: u64) -> HostError {
    let mut words: Vec<String> = failures.values().take(MAX_NAMED).map(ToString::to_string).collect();
    if failures.len() > MAX_NAMED {
        words.push(format!("and {} more", failures.len() - MAX_NAMED));
    }
    let rest = match kept {
        0 => String::new(),
        kept => format!("; {} in place", are(kept)),
    };
    HostError::new(Stage::Command, FailureClass::Copy, format!("{}{rest}", words.join(", ")))
        .with_hint("--resume last copies them once they are at rest")
}

fn are(count: u64) -> String {
    if count == 1 { "1 other is".to_owned() } else { format!("{count} others are") }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use fleet_core::outcome::{LastOutput, Stop, StopCause};

    use super::*;

    fn end(outcome: Outcome, said: &str) -> Ended {
        ended(outcome, said.as_bytes(), &Token::new(0xab))
    }

    #[test]
    fn a_status_of_0_is_a_copy_only_when_the_host_says_so() {
        let done = "\x1efleet 00000000000000ab done\n";
        assert_eq!(end(Outcome::Exited(0), &format!("motd\n{done}")), Ended::Done);
        for (code, said, expected) in [
            (0, "", "the host did not run our program, and said nothing"),
            (1, "This service allows sftp connections only.\n", "said: This service allows sftp connections only."),
            (0, "\x1efleet 00000000000000ac done\n", "the host did not run our program"),
        ] {
            let Ended::NotRun(error) = end(Outcome::Exited(code), said) else { panic!("{said}") };
            assert!(error.message.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_refusal_is_a_failed_copy_with_its_hint() {
        let said = "\x1efleet 00000000000000ab error no-folder /x is missing\n";
        let Ended::Failed(Outcome::Failed(error)) = end(Outcome::Exited(1), said) else { panic!() };
        assert_eq!((error.class, error.message.as_str()), (FailureClass::Copy, "the folder /x is missing"));
        assert!(error.hint.unwrap().contains("--mkdirs"));
        let (cause, stop) = (StopCause::Cancelled, Stop::Confirmed);
        let stopped = Outcome::Stopped { cause, stop, output: LastOutput::Complete };
        assert_eq!(end(stopped.clone(), "\x1efleet 00000000000000ab error cut x\n"), Ended::Failed(stopped));
    }

    #[test]
    fn files_that_changed_are_named_but_not_thousands() {
        let changed = |name: &str| Arc::new(SourceError::Changed { path: PathBuf::from(name) });
        let failures: BTreeMap<_, _> = ["a", "b", "c", "d", "e"].map(changed).into_iter().enumerate().collect();
        let expected =
            "a changed while it was read, b changed while it was read, c changed while it was read, and 2 more";
        assert_eq!(incomplete(&failures, 0).message, expected);
        let one = BTreeMap::from([(0, changed("a"))]);
        assert_eq!(incomplete(&one, 1).message, "a changed while it was read; 1 other is in place");
        assert_eq!(incomplete(&one, 7).message, "a changed while it was read; 7 others are in place");
    }
}
