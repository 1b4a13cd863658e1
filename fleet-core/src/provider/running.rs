//! A provider's program from start to end: the request in, the answer and the words for people out.
//!
//! It has a process group of its own, which is killed whole when it takes too long, when the user wants no more, and - for
//! what it may have left behind - when it has ended. Must not know what is asked and answered.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::error::Problem;
use super::program::Program;
use crate::sanitize::sanitized_line;

/// How long an answer may be, in bytes.
pub(super) const OUTPUT_LIMIT: usize = 256 << 20;
/// Longer lines of words are cut into pieces of this many bytes.
const LINE_LIMIT: u64 = 8 << 10;
/// How many lines may wait to be shown; then the program waits.
const LINES_WAITING: usize = 64;
/// How long it takes at most until an interruption is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the words of a program that has ended may take to arrive, when a process out of its group still holds them.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Who looks after a program while it runs.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Is told each line that it says, harmless for a terminal: `fleet-ec2: looking in eu-west-1`.
    pub said: &'a (dyn Fn(&str) + Sync),
    /// Becomes true when the user wants no more.
    pub interrupted: &'a AtomicBool,
}

/// What a program may not exceed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From its start to its end.
    pub time: Duration,
    /// Bytes of its standard output.
    pub output: usize,
}

impl From<Duration> for Limits {
    fn from(time: Duration) -> Self {
        Self { time, output: OUTPUT_LIMIT }
    }
}

/// What a program has said on its output, and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// All of its standard output.
    pub output: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

/// What the threads at the program's pipes tell.
enum News {
    Line(Vec<u8>),
    /// There will be no more lines.
    Silent,
    Output(io::Result<Vec<u8>>),
    /// The process has ended, and is not yet waited for.
    Ended,
}

/// Runs `program` with `input` as its standard input, until it has ended and its output is complete.
///
/// # Errors
/// When it does not start, or is killed because it exceeds its limits or the user wants no more.
pub fn run(program: &Program, input: &[u8], limits: Limits, watch: Watch<'_>) -> Result<Ended, Problem> {
    let deadline = Instant::now().checked_add(limits.time);
    let mut process = start(program)?;
    let news = listen(&mut process.child, input, limits.output);
    let mut progress = Progress::default();
    while !progress.is_complete() {
        if watch.interrupted.load(Ordering::Relaxed) {
            return Err(Problem::Interrupted);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Problem::TimedOut(limits.time));
        }
        if progress.last_words_by.is_some_and(|by| now >= by) {
            break;
        }
        match news.recv_timeout(LOOK_AGAIN) {
            Ok(News::Line(line)) => (watch.said)(&words(&program.label, &line)),
            Ok(News::Silent) => progress.silent = true,
            Ok(News::Output(output)) => progress.output = Some(complete(output, limits.output)?),
            Ok(News::Ended) => {
                process.kill_group();
                progress.ended = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.look(Instant::now());
    }
    let status = process.wait().map_err(Problem::Read)?;
    Ok(Ended { output: progress.output.unwrap_or_default(), status })
}

/// What has come so far.
#[derive(Default)]
struct Progress {
    silent: bool,
    ended: bool,
    output: Option<Vec<u8>>,
    last_words_by: Option<Instant>,
}

impl Progress {
    fn is_complete(&self) -> bool {
        self.silent && self.ended && self.output.is_some()
    }

    fn look(&mut self, now: Instant) {
        if self.ended && self.output.is_some() && self.last_words_by.is_none() {
            self.last_words_by = Some(now + LAST_WORDS);
        }
    }
}

/// A process whose group goes with this value.
struct Process {
    child: Child,
    /// How it ended, once it was waited for: from then on somebody else can have its id.
    status: Option<ExitStatus>,
}

impl Process {
    fn kill_group(&self) {
        if let (Some(group), None) = (pid_of(&self.child), self.status) {
            // An error means that nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
        let _ = self.wait();
    }
}

fn start(program: &Program) -> Result<Process, Problem> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn().map_err(|reason| Problem::Start { program: program.path.clone(), reason });
    started.map(|child| Process { child, status: None })
}

fn listen(child: &mut Child, input: &[u8], output_limit: usize) -> Receiver<News> {
    let (sender, news) = sync_channel(LINES_WAITING);
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let stderr = child.stderr.take().expect("stderr was asked to be a pipe");
    let (input, pid) = (input.to_owned(), pid_of(child));
    // A program need not read all that it is told.
    thread::spawn(move || drop(stdin.write_all(&input)));
    let (of_output, of_lines) = (sender.clone(), sender.clone());
    thread::spawn(move || {
        let mut output = Vec::new();
        let one_more = u64::try_from(output_limit).unwrap_or(u64::MAX).saturating_add(1);
        let read = stdout.take(one_more).read_to_end(&mut output);
        let _ = of_output.send(News::Output(read.map(|_| output)));
    });
    thread::spawn(move || tell_lines(stderr, &of_lines));
    thread::spawn(move || {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Some(pid) = pid
            && matches!(waitid(WaitId::Pid(pid), ended), Err(rustix::io::Errno::INTR))
        {}
        let _ = sender.send(News::Ended);
    });
    news
}

fn tell_lines(stderr: impl Read, lines: &SyncSender<News>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut stderr).take(LINE_LIMIT).read_until(b'\n', &mut line) {
        if lines.send(News::Line(std::mem::take(&mut line))).is_err() {
            return;
        }
    }
    let _ = lines.send(News::Silent);
}

fn complete(output: io::Result<Vec<u8>>, limit: usize) -> Result<Vec<u8>, Problem> {
    let output = output.map_err(Problem::Read)?;
    if output.len() > limit { Err(Problem::TooLong(limit)) } else { Ok(output) }
}

fn words(label: &str, line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let line = line.strip_suffix('\n').unwrap_or(&line);
    format!("{label}: {}", sanitized_line(line.strip_suffix('\r').unwrap_or(line)))
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

impl Ended {
    /// The signal that ended it, or its exit status other than 0.
    pub(super) fn crash(&self) -> Option<Problem> {
        match (self.status.signal(), self.status.code()) {
            (Some(signal), _) => Some(Problem::Killed(signal)),
            (None, Some(0)) => None,
            (None, code) => Some(Problem::Exit(code.unwrap_or(-1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use rustix::process::test_kill_process;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Program {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Program { label: "fleet-x".to_owned(), path: PathBuf::from("/bin/sh"), arguments }
    }

    /// Runs a shell script; `said` are its words.
    fn run_shell(script: &str, input: &[u8], limit: Duration) -> (Result<Ended, Problem>, Vec<String>) {
        let said = Mutex::new(Vec::new());
        let keep = |line: &str| said.lock().unwrap().push(line.to_owned());
        let ended =
            run(&shell(script), input, limit.into(), Watch { said: &keep, interrupted: &AtomicBool::new(false) });
        (ended, said.into_inner().unwrap())
    }

    /// The process ids that a script said, as `fleet-x: 123`.
    fn pids(said: &[String]) -> Vec<Pid> {
        said.iter().filter_map(|line| Pid::from_raw(line.strip_prefix("fleet-x: ")?.parse().ok()?)).collect()
    }

    fn assert_gone(pid: Pid) {
        let deadline = Instant::now() + LONG;
        // A killed process that is not our child is a zombie until its new parent has waited for it.
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        while test_kill_process(pid).is_ok() && !stat().contains(") Z ") {
            assert!(Instant::now() < deadline, "process {pid} is left");
            thread::yield_now();
        }
    }

    #[test]
    fn a_program_gets_its_input_and_gives_its_output() {
        let input: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7) as u8).collect();
        let (ended, said) = run_shell("cat", &input, LONG);
        assert!(ended.unwrap().output == input);
        assert_eq!(said, Vec::<String>::new());
        let (ended, _) = run_shell("exec <&-; echo unread", &input, LONG);
        assert_eq!(ended.unwrap().output, b"unread\n");
    }

    #[test]
    fn its_words_are_told_line_by_line_and_harmless() {
        let (ended, said) = run_shell(r"printf 'one\ntwo\033[31m\r\n\ntail' >&2", b"", LONG);
        assert!(ended.unwrap().status.success());
        assert_eq!(said, ["fleet-x: one", r"fleet-x: two\x1b[31m", "fleet-x: ", "fleet-x: tail"]);
        let (_, said) = run_shell("head -c 20000 /dev/zero | tr '\\0' x >&2", b"", LONG);
        assert_eq!(said.len(), 3, "a line without an end does not fill the memory");
    }

    #[test]
    fn how_it_ended_is_told() {
        for (script, expected) in [("exit 0", ""), ("exit 3", "exit status 3"), ("kill -9 $$", "signal 9")] {
            let crash = run_shell(script, b"", LONG).0.unwrap().crash();
            assert!(crash.map_or(String::new(), |crash| crash.to_string()).contains(expected), "{script}");
        }
    }

    #[test]
    fn at_the_deadline_all_of_its_processes_are_killed() {
        let (ended, said) = run_shell("sleep 1000 & echo $! >&2; echo $$ >&2; wait", b"", Duration::from_secs(2));
        assert!(matches!(ended, Err(Problem::TimedOut(_))), "{ended:?}");
        assert_eq!(pids(&said).len(), 2);
        pids(&said).into_iter().for_each(assert_gone);
    }

    #[test]
    fn an_interruption_kills_all_of_its_processes() {
        let interrupted = AtomicBool::new(false);
        let said = Mutex::new(Vec::new());
        let interrupt = |line: &str| {
            said.lock().unwrap().push(line.to_owned());
            interrupted.store(line.ends_with("done"), Ordering::Relaxed);
        };
        let program = shell("sleep 1000 & echo $! >&2; echo done >&2; wait");
        let ended = run(&program, b"", LONG.into(), Watch { said: &interrupt, interrupted: &interrupted });
        assert!(matches!(ended, Err(Problem::Interrupted)), "{ended:?}");
        pids(&said.into_inner().unwrap()).into_iter().for_each(assert_gone);
    }

    #[test]
    fn what_it_leaves_in_its_group_goes_with_it() {
        let (ended, said) = run_shell("sleep 1000 & echo $! >&2; echo answer", b"", LONG);
        assert_eq!(ended.unwrap().output, b"answer\n");
        assert_eq!(pids(&said).len(), 1);
        pids(&said).into_iter().for_each(assert_gone);
    }

    #[test]
    fn an_endless_answer_is_cut_off() {
        let watch = Watch { said: &|_| (), interrupted: &AtomicBool::new(false) };
        let ended = run(&shell("exec cat /dev/zero"), b"", Limits { time: LONG, output: 1 << 20 }, watch);
        assert!(matches!(ended, Err(Problem::TooLong(_))), "{:?}", ended.map(|ended| ended.output.len()));
        let ended = run(&shell("printf 12345"), b"", Limits { time: LONG, output: 5 }, watch);
        assert_eq!(ended.unwrap().output, b"12345");
    }

    #[test]
    fn a_program_that_cannot_run_says_what_to_do() {
        for (path, hint) in [("/nowhere/x", "#!/bin/sh"), ("/etc/passwd", "chmod +x")] {
            let program = Program { path: PathBuf::from(path), ..shell("") };
            let watch = Watch { said: &|_| (), interrupted: &AtomicBool::new(false) };
            let error = run(&program, b"", LONG.into(), watch).unwrap_err().of("x");
            assert!(error.to_string().starts_with(&format!("provider x: cannot run {path}: ")), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
    }
}
