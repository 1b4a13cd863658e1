//! Commands that go on without us: started in the background, listed, collected and stopped later.
//!
//! A job is a folder of the user's on the host, `${XDG_STATE_HOME:-~/.local/state}/fleet/jobs/JOB`, closed to others,
//! with all that is known of it; see `job_folder.sh`. A process number alone proves nothing there, as systems use them
//! again: the moment of the process's birth is kept with it.
//!
//! Must not know of SSH, hosts or time.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::quote::sh_quote;
use super::{
    BECOME, BOOT, IDENTITY, Program, RemoteProcess, Token, WrapError, beside, no_option, push_all, refuse_nul,
    without_comments,
};

/// How the folder of a job, or of a service, is read; `$jobs` is where they are.
pub(super) static FOLDER: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_folder.sh")));
pub(super) static TIDY: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_tidy.sh")));
static INPUT: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_input.sh")));
static START: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_start.sh")));
static ENTER: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_enter.sh")));
static RUN: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_run.sh")));
static LIST: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("job_list.sh")));

/// Where the jobs are.
const JOBS: &str = "jobs=${XDG_STATE_HOME:-$HOME/.local/state}/fleet/jobs\n";

/// Starts the line that tells a job's state.
const MARK: &[u8] = b"\x1efleet-job ";

/// The longest title that is kept, in bytes.
const MAX_TITLE_LEN: usize = 200;

/// The name of a job, the same on all hosts of a run: the minute of its start in UTC, and a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobName(String);

/// What is no name of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not the name of a job: expected one such as 20261122-0401-ab12, as --background and --jobs print it"
)]
pub struct JobNameError(String);

impl JobName {
    /// The name of a job that starts `now`.
    #[must_use]
    pub fn new(now: SystemTime, number: u16) -> Self {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        let digits: String = time.chars().filter(char::is_ascii_digit).collect();
        Self(format!("{}-{}-{number:04x}", &digits[..8], &digits[8..12]))
    }

    /// The name that no other job has, but for one in 65,536 of the same minute.
    #[must_use]
    pub fn random(now: SystemTime) -> Self {
        Self::new(now, rand::random())
    }

    /// Reads the name: nothing else can become part of a path on a host.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, JobNameError> {
        let fits = |(shape, b): (u8, u8)| match shape {
            b'0' => b.is_ascii_digit(),
            b'f' => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            _ => b == shape,
        };
        let shape = b"00000000-0000-ffff";
        if text.len() == shape.len() && shape.iter().copied().zip(text.bytes()).all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(JobNameError(text.to_owned()))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What has become of a job on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It runs: what watches over it, and the mark of all its processes.
    Running(RemoteProcess, Token),
    /// It has ended by itself, with this code.
    Exited(u32),
    /// A signal of this name has ended it, such as `TERM`; or it has ended with the code by which shells tell of one.
    Stopped(String),
    /// It runs no more, and left no word: what watched over it was killed too, or the host went down.
    Died,
    /// The host has no such job.
    None,
}

impl JobState {
    /// The state in `stdout`, all the output of [`job_state_command`]; `None` when it did not come to one.
    #[must_use]
    pub fn find(stdout: &[u8]) -> Option<Self> {
        let at = stdout.windows(MARK.len()).position(|window| window == MARK)?;
        let line = stdout[at + MARK.len()..].split(|&b| b == b'\n').next()?;
        let words: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
        match words[..] {
            ["running", pid, birth, mark] => {
                let mark = u64::from_str_radix(mark, 16).ok()?;
                Some(Self::Running(RemoteProcess::parse(&format!("{pid} {birth} -"))?, Token::new(mark)))
            }
            ["exited", code] => code.parse().ok().map(Self::Exited),
            ["stopped", signal] => Some(Self::Stopped(signal.to_owned())),
            ["died"] => Some(Self::Died),
            ["none"] => Some(Self::None),
            _ => None,
        }
    }
}

/// What runs the command of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobShell {
    /// The shell of the account.
    Login,
    /// `/bin/sh`: under `sudo`, where the account may have no shell.
    Posix,
}

impl JobShell {
    /// The shell, as a word of a program.
    fn word(self) -> &'static str {
        match self {
            Self::Login => "\"${SHELL:-/bin/sh}\"",
            Self::Posix => "/bin/sh",
        }
    }

    /// The beginning of a program in which `$FLEET_PROGRAM` is what watches over a job whose command it runs, after
    /// `preparation`, which is about that alone.
    pub(super) fn watcher(self, preparation: &str) -> Vec<u8> {
        let become_it = ["become() {\n", preparation, &BECOME, "}\n"].concat();
        let run = ["run() {\nset -- \"$1\" ", self.word(), "\n", &RUN, "}\n"].concat();
        let watcher = [&IDENTITY, &BOOT, &*become_it, "enter() {\n", &ENTER, "}\n", &*run];
        let mut program = b"export FLEET_PROGRAM=".to_vec();
        push_all(&mut program, &[&sh_quote(watcher.concat().as_bytes()), b"\neval \"$FLEET_PROGRAM\"\n"]);
        program
    }
}

/// A job to be started.
#[derive(Clone, Copy, Debug)]
pub struct JobStart<'a> {
    /// What it is called from then on.
    pub name: &'a JobName,
    /// What it runs: any bytes but NUL.
    pub command: &'a [u8],
    /// How it is shown in lists.
    pub title: &'a [u8],
    /// What runs the command.
    pub shell: JobShell,
    /// The mark behind the last byte of its input. Without one there is no input. All of it is on the host before the
    /// job starts: what ends without the mark has been cut off, and nothing starts.
    pub input_end: Option<&'a Token>,
}

/// The command, for any login shell, that starts a job and prints `job NAME`. The input of the job comes on its own.
///
/// # Errors
/// When a NUL is in the command.
pub fn job_start_command(job: &JobStart<'_>) -> Result<Vec<u8>, WrapError> {
    refuse_nul(job.command, || "the command".to_owned())?;
    let input = match job.input_end {
        Some(end) => format!("set -- \"$1\" {}\n{}", end.as_str(), *INPUT),
        None => "exec 9</dev/null\n".to_owned(),
    };
    let mut program = format!("set -- {} ", job.name).into_bytes();
    push_all(&mut program, &[&sh_quote(&title(job.title)), b" ", &sh_quote(&no_option(job.command)), b"\n"]);
    program.extend(job.shell.watcher(""));
    let parts = ["tidy() (\n", JOBS, &FOLDER, &TIDY, "pwd\n)\ninput() {\n", &input, "}\n", &START];
    push_all(&mut program, &parts.map(str::as_bytes));
    Ok(Program(program).command_line())
}

/// How a job is shown: one line.
pub(super) fn title(text: &[u8]) -> Vec<u8> {
    text.iter().take(MAX_TITLE_LEN).map(|&b| if b.is_ascii_control() { b' ' } else { b }).collect()
}

/// The command that lists the jobs of a host, the oldest first, a line each.
#[must_use]
pub fn job_list_command() -> Vec<u8> {
    with_folder(&[&LIST])
}

/// Whether the state of a job is asked for now, or when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobWait {
    /// At once.
    Now,
    /// When it runs no more.
    Ended,
}

/// The command that prints what [`JobState::find`] reads.
#[must_use]
pub fn job_state_command(name: &JobName, wait: JobWait) -> Vec<u8> {
    let until = match wait {
        JobWait::Now => "",
        JobWait::Ended => "while [ \"${state%% *}\" = running ]; do\nsleep 1\nlook \"$1\"\ndone\n",
    };
    with_folder(&[&format!("set -- {name}\nlook \"$1\"\n"), until, "printf '\\036fleet-job %s\\n' \"$state\"\n"])
}

/// The command that stops a job, as [`stop_command`](super::stop_command) does, and keeps for later that it was stopped.
#[must_use]
pub fn job_stop_command(name: &JobName, process: &RemoteProcess, mark: &Token, grace: Duration) -> Vec<u8> {
    let keep = format!(
        "stop\nif [ ! \"$tree\" ] && [ ! -s \"$jobs/{name}/status\" ]; then\n\
         echo 137 >\"$jobs/{name}/status\"\nfi\nverdict\n"
    );
    beside(process, mark, grace, &[&BOOT, JOBS, &FOLDER, &keep]).command_line()
}

/// The command that prints what the job has printed, on the same outputs.
#[must_use]
pub fn job_output_command(name: &JobName) -> Vec<u8> {
    with_folder(&[&format!("cd \"$jobs/{name}\" && cat out && cat err >&2\n")])
}

/// The command that forgets a job that runs no more.
#[must_use]
pub fn job_remove_command(name: &JobName) -> Vec<u8> {
    with_folder(&[&format!("rm -r \"$jobs/{name}\"\n")])
}

fn with_folder(parts: &[&str]) -> Vec<u8> {
    let mut program = format!("{}{}{JOBS}{}", *IDENTITY, *BOOT, *FOLDER).into_bytes();
    program.extend(parts.iter().flat_map(|part| part.bytes()));
    Program(program).command_line()
}

#[cfg(test)]
mod tests {
    use super::super::{RemoteCommand, Script, StdinMode, wrap};
    use super::*;

    #[test]
    fn a_name_says_when_the_job_started() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_320_119);
        let name = JobName::new(now, 0xab);
        assert_eq!(name.to_string(), "20261122-0401-00ab");
        assert_eq!(JobName::parse(&name.to_string()), Ok(name));
    }

    #[test]
    fn nothing_but_a_name_is_taken_for_one() {
        for text in [
            "",
            "..",
            "20261122-0401-ab1",
            "20261122-0401-ab123",
            "20261122-0401-AB12",
            "20261122-0401-ab1g",
            "../../../etc/passwd",
            "20261122/0401-ab12",
            "20261122-0401-ab1\n",
            "2026112\u{fc}-0401-ab1",
        ] {
            assert!(JobName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_states_among_the_noise_of_a_login_shell() {
        let running = JobState::Running(RemoteProcess::parse("12 99 -").unwrap(), Token::new(0xab));
        for (stdout, expected) in [
            ("motd\n\x1efleet-job running 12 99 00000000000000ab\n", Some(running)),
            ("\x1efleet-job exited 7\r\nbye\n", Some(JobState::Exited(7))),
            ("\x1efleet-job stopped TERM\n", Some(JobState::Stopped("TERM".to_owned()))),
            ("\x1efleet-job died\n", Some(JobState::Died)),
            ("\x1efleet-job none\n", Some(JobState::None)),
            ("\x1efleet-job exited\n", None),
            ("\x1efleet-job running 12 99\n", None),
            ("exited 7\n", None),
        ] {
            assert_eq!(JobState::find(stdout.as_bytes()), expected, "{stdout:?}");
        }
    }

    /// Dropbear takes 9,000 bytes; the rest is for the user's command.
    #[test]
    fn our_part_of_the_command_line_is_small() {
        let (name, end, token) = (JobName::new(SystemTime::UNIX_EPOCH, 0), Token::new(1), Token::new(u64::MAX));
        let script = Script::parse(b"#!/usr/bin/env python3").unwrap().command(&[], &token).unwrap();
        for (command, input_end, stdin) in
            [(&b""[..], None, StdinMode::Closed), (&script, Some(&end), StdinMode::Passed)]
        {
            let job = JobStart { name: &name, command, title: b"", shell: JobShell::Login, input_end };
            let (command, grace) = (job_start_command(&job).unwrap(), Duration::from_millis(2550));
            let line = wrap(&RemoteCommand { command, env: Vec::new(), stdin, grace }, &token).unwrap();

            assert!(line.len() < 8000, "{}", line.len());
        }
    }

    #[test]
    fn a_title_is_one_line() {
        let name = JobName::new(SystemTime::UNIX_EPOCH, 0);
        let (title, shell) = (b"a\nb\x1b[m".as_slice(), JobShell::Login);
        let job = JobStart { name: &name, command: b"true", title, shell, input_end: None };
        let line = job_start_command(&job).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains("a b [m"), "{line}");
    }
}
