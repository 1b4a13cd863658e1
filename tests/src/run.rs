//! One run of a program: what it is given, what it prints, how it ends; with a deadline for everything.
//!
//! Must not know which program it is.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::termios::{LocalModes, tcgetattr};

use crate::PATIENCE;
use crate::captured::Captured;
use crate::finished::{Finished, Outputs};
use crate::processes::CLIENT_MARK;
use crate::tools::program;

/// How long the outputs may stay open after the program has ended.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(60);

/// A program about to be run, with nothing on its stdin.
pub struct Run {
    command: Command,
    input: Input,
    terminal: bool,
    patience: Duration,
}

enum Input {
    Empty,
    Bytes(Vec<u8>),
    Open,
}

impl Run {
    /// A program with an empty environment.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env(CLIENT_MARK, "1");
        Self { command, input: Input::Empty, terminal: false, patience: PATIENCE }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command.args(arguments);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// These bytes on its stdin, then its end.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// A stdin that stays open; write to it with [`Running::write`].
    #[must_use]
    pub fn open_stdin(mut self) -> Self {
        self.input = Input::Open;
        self
    }

    /// A terminal of 24 lines of 100 columns as stdin, stdout and stderr; all it shows is the run's stdout.
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The time it may take instead of [`PATIENCE`].
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, or does not end in time, with what it printed.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.start().finish()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(self) -> Running {
        if self.terminal { self.start_on_terminal() } else { self.start_on_pipes() }
    }

    fn start_on_pipes(self) -> Running {
        let stdin = if matches!(self.input, Input::Empty) { Stdio::null() } else { Stdio::piped() };
        let mut command = without_terminal(&self.command);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = format!("{:?}", self.command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let stdout = Captured::from(child.stdout.take().expect("stdout is piped"));
        let stderr = Captured::from(child.stderr.take().expect("stderr is piped"));
        let mut stdin: Option<Box<dyn Write + Send>> = None;
        match (self.input, child.stdin.take()) {
            (Input::Bytes(bytes), Some(mut pipe)) => {
                // It may end without reading all of it.
                std::thread::spawn(move || pipe.write_all(&bytes));
            }
            (_, pipe) => stdin = pipe.map(|pipe| Box::new(pipe) as _),
        }
        Running::new(child, line, stdin, stdout, stderr, self.patience)
    }

    fn start_on_terminal(mut self) -> Running {
        if !self.command.get_envs().any(|(name, _)| name == "TERM") {
            self.command.env("TERM", "xterm-256color");
        }
        let line = format!("{:?}", self.command);
        let (terminal, far_end) = pty_process::blocking::open().expect("a pseudo-terminal");
        terminal.resize(pty_process::Size::new(24, 100)).expect("the size of a pseudo-terminal can be set");
        let child = pty_process::blocking::Command::from(self.command)
            .spawn(far_end)
            .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let terminal = File::from(OwnedFd::from(terminal));
        let another = || terminal.try_clone().expect("a pseudo-terminal can be duplicated");
        let (keyboard, screen, nothing) = (another(), Captured::from(another()), Captured::from(std::io::empty()));
        let mut running = Running::new(child, line, Some(Box::new(keyboard)), screen, nothing, self.patience);
        running.terminal = Some(terminal);
        running
    }
}

/// The same command in a session of its own, so that it cannot ask at the terminal that the tests are run from.
fn without_terminal(command: &Command) -> Command {
    let mut detached = Command::new(program("setsid"));
    detached.arg(command.get_program()).args(command.get_args()).env_clear();
    detached.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        detached.current_dir(folder);
    }
    detached
}

/// A program that runs. Killed when dropped.
pub struct Running {
    child: Child,
    line: String,
    stdin: Option<Box<dyn Write + Send>>,
    terminal: Option<File>,
    stdout: Captured,
    stderr: Captured,
    deadline: Instant,
    ended: Arc<Flag>,
}

impl Running {
    fn new(
        child: Child,
        line: String,
        stdin: Option<Box<dyn Write + Send>>,
        stdout: Captured,
        stderr: Captured,
        patience: Duration,
    ) -> Self {
        let ended = Flag::set_when_ended(pid_of(&child));
        Self { child, line, stdin, terminal: None, stdout, stderr, deadline: Instant::now() + patience, ended }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its stdin or types on its terminal.
    ///
    /// # Panics
    /// When the stdin is not open.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the run was started with an open stdin");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the program reads its stdin");
    }

    /// Types a line on its terminal once that does not show what is typed.
    ///
    /// # Panics
    /// When the program is not on a terminal, or the deadline passes before it turns the echo off.
    pub fn type_secret(&mut self, secret: &str) {
        self.wait_for_silence();
        self.write(format!("{secret}\n").as_bytes());
    }

    /// Waits until its terminal gives out single keys.
    ///
    /// # Panics
    /// When the program is not on a terminal, or the deadline passes before.
    pub fn wait_for_keys(&self) {
        let keys = |run: &Self| !run.modes().intersects(LocalModes::ICANON | LocalModes::ECHO);
        self.wait_until("the terminal gives out keys", keys);
    }

    /// Waits until its terminal gives out lines and shows what is typed, as a shell's does while a command runs.
    ///
    /// # Panics
    /// As [`Running::wait_for_keys`].
    pub fn wait_for_lines(&self) {
        let lines = |run: &Self| run.modes().contains(LocalModes::ICANON | LocalModes::ECHO);
        self.wait_until("the terminal gives out lines", lines);
    }

    /// Whether its terminal shows what is typed.
    ///
    /// # Panics
    /// When the program is not on a terminal.
    #[must_use]
    pub fn echoes(&self) -> bool {
        self.modes().contains(LocalModes::ECHO)
    }

    /// Waits until its terminal gives out lines and hides what is typed.
    ///
    /// # Panics
    /// As [`Running::wait_for_keys`].
    pub fn wait_for_silence(&self) {
        let silent = |run: &Self| run.modes().contains(LocalModes::ICANON) && !run.echoes();
        self.wait_until("the terminal hides what is typed", silent);
    }

    fn modes(&self) -> LocalModes {
        let terminal = self.terminal.as_ref().expect("the run is on a terminal");
        tcgetattr(terminal).map_or(LocalModes::empty(), |modes| modes.local_modes)
    }

    /// For what there is no event of.
    fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            assert!(Instant::now() < self.deadline, "not so: {what}: {}", self.report());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // An error means that it has ended, which the test will see.
        let _ = kill_process(pid_of(&self.child), signal);
    }

    /// Waits until its stdout (or its terminal) holds `text`.
    ///
    /// # Panics
    /// When it ends or the deadline passes before.
    pub fn wait_for_stdout(&self, text: &str) {
        let seen = self.stdout.wait_for(self.deadline, text.as_bytes());
        assert!(seen, "no \"{text}\" on stdout of {}", self.report());
    }

    /// Waits until its stderr holds `text`.
    ///
    /// # Panics
    /// As [`Running::wait_for_stdout`].
    pub fn wait_for_stderr(&self, text: &str) {
        let seen = self.stderr.wait_for(self.deadline, text.as_bytes());
        assert!(seen, "no \"{text}\" on stderr of {}", self.report());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time, or leaves its output open to a child, with what it printed.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        if !self.ended.wait(self.deadline) {
            self.signal(Signal::KILL);
            panic!("deadline passed: killed {}", self.report());
        }
        let closed_by = Instant::now() + OUTPUT_PATIENCE;
        let closed = self.stdout.wait_for_end(closed_by) && self.stderr.wait_for_end(closed_by);
        assert!(closed, "a child still holds the output of {}", self.report());
        let status = self.child.wait().expect("our child can be waited for");
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        Finished { line: self.line.clone(), code: status.code(), signal: status.signal(), stdout, stderr }
    }

    fn report(&self) -> String {
        format!("{}\n{}", self.line, Outputs { stdout: &self.stdout.bytes(), stderr: &self.stderr.bytes() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Whether a program has ended.
#[derive(Default)]
struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    /// The process is watched, not reaped: until its `Child` is waited for, nothing else can have its id.
    fn set_when_ended(pid: Pid) -> Arc<Self> {
        let flag = Arc::new(Self::default());
        let watcher = Arc::clone(&flag);
        std::thread::spawn(move || {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            *watcher.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
            watcher.changed.notify_all();
        });
        flag
    }

    fn wait(&self, deadline: Instant) -> bool {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*set {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            set = self.changed.wait_timeout(set, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn pid_of(child: &Child) -> Pid {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is a positive i32")
}
