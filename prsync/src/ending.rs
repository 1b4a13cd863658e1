//! How it ended on a host, from what its server ended with and what was said.
//!
//! Must not know how it was run.

use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_core::render::sanitized_line;
use fleet_rsync::session::SessionError;
use fleet_rsync::wire::greeting::GreetingError;
use fleet_rsync::wire::mux::Severity;
use fleet_transfer::sync::{DriveError, SyncEnd};

/// Characters of what a host says that are shown.
const MAX_WORDS: usize = 300;
/// How many files are named that could not be sent.
const MAX_NAMED: usize = 3;

/// Why a host is not synced.
#[derive(Debug)]
pub(crate) enum NoSync {
    /// It has no rsync that we can talk to.
    Unable(Unable),
    /// It has ended so.
    Ended(Outcome),
}

/// A host without an rsync that we can talk to.
#[derive(Debug)]
pub(crate) struct Unable {
    /// What the host lacks: `no rsync`.
    pub(crate) reason: &'static str,
    /// How it ended, if nothing else is tried.
    pub(crate) outcome: Outcome,
}

impl From<Outcome> for NoSync {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(outcome)
    }
}

/// Whether all is as it should be, or why not.
pub(crate) fn judged(outcome: Outcome, end: &SyncEnd) -> Result<(), NoSync> {
    let code = match outcome {
        Outcome::Exited(code) => code,
        // That it was stopped, or lost, says more than what was said until then.
        outcome => return Err(outcome.into()),
    };
    let failed = |error| Err(Outcome::Failed(error).into());
    match (&end.failure, code) {
        _ if end.agreed.is_none() && lacks(code, end).is_some() => {
            let reason = lacks(code, end).unwrap_or_default();
            let error = match &end.failure {
                Some(failure) => of_failure(failure, end, code),
                None => of_code(code, end),
            };
            Err(NoSync::Unable(Unable { reason, outcome: Outcome::Failed(error) }))
        }
        (Some(failure), _) => failed(of_failure(failure, end, code)),
        (None, _) if !end.complete => failed(of_code(code, end)),
        (None, 0) if end.unsent.is_empty() => Ok(()),
        (None, _) => failed(incomplete(code, end)),
    }
}

/// What a server of ours would need and the host does not have. rsync itself ends each complaint with a line of its own;
/// openrsync prints how it is used.
fn lacks(code: u32, end: &SyncEnd) -> Option<&'static str> {
    let said = String::from_utf8_lossy(&end.standard_error);
    let is_usage = said.contains("usage:") || said.contains("unrecognized option") || said.contains("openrsync");
    match &end.failure {
        _ if missing(code, end).is_some() => Some("no rsync"),
        Some(DriveError::Session(SessionError::Greeting(GreetingError::TooOld(_)))) => Some("an old rsync"),
        _ if matches!(code, 1 | 2) && is_usage && !said.contains("rsync error:") => Some("no rsync but openrsync"),
        _ => None,
    }
}

fn copy_error(message: String) -> HostError {
    HostError::new(Stage::Command, FailureClass::Copy, message)
}

/// What came is not what a server says.
fn of_failure(failure: &DriveError, end: &SyncEnd, code: u32) -> HostError {
    match failure {
        DriveError::Session(SessionError::Greeting(GreetingError::Noise(noise))) => {
            if let Some(missing) = missing(code, end) {
                return missing;
            }
            let noise = words(&String::from_utf8_lossy(noise));
            copy_error(format!("expected rsync's greeting, but the host says: {noise}")).with_hint(
                "a start-up file of the login shell prints: have it print only on terminals, or check with ssh HOST true",
            )
        }
        DriveError::Session(SessionError::Greeting(GreetingError::TooOld(_))) => copy_error(failure.to_string())
            .with_hint("openrsync speaks the old protocol: install rsync there, or use --engine=tar"),
        failure => copy_error(match said(end) {
            Some(said) => format!("{failure}; the host says: {said}"),
            None => failure.to_string(),
        }),
    }
}

/// The server ended before all was said.
fn of_code(code: u32, end: &SyncEnd) -> HostError {
    if let Some(missing) = missing(code, end) {
        return missing;
    }
    let meaning = match code {
        1 => "rsync on the host does not know what we ask for",
        2 => "rsync on the host speaks another protocol",
        10 | 12 => "the conversation with rsync on the host broke off",
        11 => "rsync on the host cannot write",
        30 | 35 => "rsync on the host waited for too long",
        _ => "rsync on the host gave up",
    };
    let said = said(end).map(|said| format!(": {said}")).unwrap_or_default();
    let error = copy_error(format!("{meaning} (exit code {code}){said}"));
    let lacks_folder = code == 11 && said.contains("mkdir") && said.contains("No such file or directory");
    if lacks_folder {
        error.with_hint("--mkpath makes the folders above it, with rsync 3.2.3 or later there")
    } else {
        error
    }
}

fn missing(code: u32, end: &SyncEnd) -> Option<HostError> {
    // Shells say so by 127; csh and sudo say it in words alone, and start-up files say it of other commands.
    let text = String::from_utf8_lossy(&end.standard_error).to_lowercase();
    let is_said = text.lines().any(|line| line.trim_end_matches('.').ends_with("rsync: command not found"));
    (code == 127 || (end.agreed.is_none() && is_said)).then(|| {
        copy_error("the host has no rsync".to_owned())
            .with_hint("install it there, name it with --rsync-path, or use --engine=tar")
    })
}

/// All was said, but not all is there.
fn incomplete(code: u32, end: &SyncEnd) -> HostError {
    let meaning = match code {
        25 => "not all was deleted: --max-delete was reached".to_owned(),
        24 | 0 if !end.unsent.is_empty() => format!("{} vanished or changed while it was sent", files(end)),
        23 if !end.unsent.is_empty() => format!("{} could not be sent", files(end)),
        24 => "some files vanished while they were sent".to_owned(),
        23 => "not all could be brought over".to_owned(),
        code => format!("rsync on the host ended with exit code {code}"),
    };
    let mut named: Vec<String> =
        end.unsent.iter().take(MAX_NAMED).map(|file| format!("{}: {}", file.path.display(), file.reason)).collect();
    if end.unsent.len() > MAX_NAMED {
        named.push(format!("and {} more", end.unsent.len() - MAX_NAMED));
    }
    named.extend(said(end));
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let code = if code == 0 { String::new() } else { format!(" (exit code {code})") };
    HostError::new(Stage::Command, FailureClass::Incomplete, format!("{meaning}{code}{named}"))
        .with_hint("all else is there; another run brings what is missing")
}

fn files(end: &SyncEnd) -> String {
    match end.unsent.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// The first error that the server told, by either way.
fn said(end: &SyncEnd) -> Option<String> {
    let framed = end.said.iter().filter(|said| said.severity == Severity::Error);
    let framed = framed.map(|said| String::from_utf8_lossy(&said.text).into_owned());
    let loose = String::from_utf8_lossy(&end.standard_error).into_owned();
    let texts: Vec<String> = framed.chain([loose]).collect();
    let mut lines = texts.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    // What follows on "rsync error" is the exit code in words.
    lines.find(|line| !line.starts_with("rsync error:")).map(words)
}

fn words(text: &str) -> String {
    sanitized_line(text.trim()).chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use fleet_rsync::flist::IoErrors;
    use fleet_transfer::sync::Problem;

    use super::*;

    fn message(code: u32, end: &SyncEnd) -> String {
        match judged(Outcome::Exited(code), end) {
            Ok(()) => String::new(),
            Err(NoSync::Ended(Outcome::Failed(error))) => error.message,
            Err(NoSync::Unable(Unable { reason, outcome: Outcome::Failed(error) })) => {
                format!("{reason}: {}", error.message)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_lacks_the_folders_above_is_told_what_makes_them() {
        let text = "rsync: [Receiver] mkdir \"/srv/a/b\" failed: No such file or directory (2)\n";
        let end = SyncEnd { standard_error: text.into(), ..SyncEnd::default() };
        assert!(of_code(11, &end).hint.unwrap().starts_with("--mkpath"));
    }

    #[test]
    fn each_end_is_told_in_its_own_words() {
        let complete = SyncEnd { complete: true, ..SyncEnd::default() };
        let unsent = vec![Problem { path: "a".into(), reason: "gone".into(), errors: IoErrors::VANISHED }];
        let heard = |text: &str| SyncEnd { standard_error: text.into(), ..SyncEnd::default() };
        let noise = GreetingError::Noise(b"Welcome\n".to_vec());
        let failure = Some(DriveError::Session(SessionError::Greeting(noise)));
        for (code, end, expected) in [
            (0, complete.clone(), ""),
            (0, SyncEnd::default(), "rsync on the host gave up (exit code 0)"),
            (23, complete.clone(), "not all could be brought over (exit code 23)"),
            (25, complete.clone(), "not all was deleted: --max-delete was reached (exit code 25)"),
            (
                24,
                SyncEnd { unsent, ..complete },
                "1 file vanished or changed while it was sent (exit code 24): a: gone",
            ),
            (127, heard("sh: rsync: not found\n"), "no rsync: the host has no rsync"),
            (1, heard("rsync: Command not found.\n"), "no rsync: the host has no rsync"),
            (
                12,
                heard(".bashrc: line 3: starship: command not found\n"),
                "the conversation with rsync on the host broke off (exit code 12): .bashrc: line 3: starship: command \
                 not found",
            ),
            (
                1,
                heard("openrsync: unrecognized option `--checksum-seed=3'\nusage: openrsync [-x]\n"),
                "no rsync but openrsync: rsync on the host does not know what we ask for (exit code 1): \
                 openrsync: unrecognized option `--checksum-seed=3'",
            ),
            (
                1,
                heard("rsync: --mkpath: unknown option\nrsync error: syntax or usage error (code 1) at main.c\n"),
                "rsync on the host does not know what we ask for (exit code 1): rsync: --mkpath: unknown option",
            ),
            (
                11,
                heard("\nrsync: [Receiver] mkdir \"/x/y\" failed\nrsync error: x\n"),
                "rsync on the host cannot write (exit code 11): rsync: [Receiver] mkdir \"/x/y\" failed",
            ),
            (12, SyncEnd { failure, ..SyncEnd::default() }, "expected rsync's greeting, but the host says: Welcome"),
        ] {
            assert_eq!(message(code, &end), expected, "{code}");
        }
    }
}
