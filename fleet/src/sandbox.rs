//! `fleet sandbox`: the embedded fleet as a background process that is found again by its folder.
//!
//! Must not know how the hosts are served.

mod provide;

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleet_sandbox::{FolderError, FolderState, Record, Sandbox, SandboxError, clean, inspect};
use fleet_tool::cli::Interruption;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit, setsid};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{ExecArgs, FolderArgs, SandboxCommand, StartArgs};

const OK: u8 = 0;
const FAILED: u8 = 1;
/// As shells have it of Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Wrong flags, or hosts that make no fleet: nothing was started.
pub(crate) const USAGE: u8 = 2;

const DEFAULT_HOSTS: usize = 10;
/// What the background process says when its hosts can be used; anything else is why they cannot.
const READY: &str = "ready";
/// How long a sandbox has to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Why a subcommand did not do its work.
#[derive(Debug)]
struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: FAILED }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            FolderError::InUse(_) => failure.with_hint("stop it with: fleet sandbox stop"),
            FolderError::Foreign(_) | FolderError::Path(_) => failure.with_hint("name another folder with --dir"),
            FolderError::Io { .. } => failure,
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Folder(error) => error.into(),
            SandboxError::Listen { .. } => Self::new(error.to_string())
                .with_hint("each host needs an open file: ulimit -n tells how many there may be"),
            SandboxError::Roles(_) | SandboxError::UnknownHost(_) => {
                Self { code: USAGE, ..Self::new(error.to_string()) }
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs a subcommand of `fleet sandbox` and tells of its failure.
pub(crate) fn run(command: SandboxCommand, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let result = match command {
        SandboxCommand::Start(arguments) => start(&arguments, stdout, stderr),
        SandboxCommand::Status(folder) => status(&folder, stdout, stderr),
        SandboxCommand::Stop(folder) => stop(&folder, stderr),
        SandboxCommand::Exec(arguments) => exec(&arguments),
        SandboxCommand::Provide(folder) => provide::run(&folder, stdout),
        SandboxCommand::Serve(arguments) => return serve_in_background(&arguments, stdout),
    };
    let code = result.unwrap_or_else(|failure| {
        let _ = write!(stderr, "{}", text_of(&failure));
        failure.code
    });
    ExitCode::from(code)
}

fn text_of(failure: &Failure) -> String {
    let mut text = format!("fleet: {}\n", failure.message);
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

fn start(arguments: &StartArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let dir = resolve(&arguments.folder)?;
    match inspect(&dir)? {
        FolderState::Absent => {}
        FolderState::Stale => remove_remains(&dir, stderr)?,
        FolderState::Running(_) | FolderState::Busy => return Err(FolderError::InUse(dir).into()),
    }
    if arguments.foreground {
        return serve(arguments, &dir, |record| {
            announce(&dir, record, stdout, stderr)?;
            writeln!(stderr, "Ctrl-C stops it")
        });
    }
    // Whoever interrupts us does not know of the sandbox yet, and would leave it behind.
    let interruption = Interruption::watch();
    let is_interrupted = || interruption.flag().load(Ordering::SeqCst);
    let mut child = spawn_server(arguments, &dir)?;
    if let Err(failure) = await_ready(&mut child) {
        // What failed before it was a sandbox has left nothing but its log.
        let _ = std::fs::remove_file(dir.join("sandbox.log"));
        let _ = std::fs::remove_dir(&dir);
        return if is_interrupted() { Ok(INTERRUPTED) } else { Err(failure) };
    }
    match inspect(&dir)? {
        FolderState::Running(record) if is_interrupted() => {
            end(&dir, &record)?;
            return Ok(INTERRUPTED);
        }
        FolderState::Running(record) => announce(&dir, &record, stdout, stderr)?,
        _ => return Err(Failure::new(format!("the sandbox in {} stopped again", dir.display()))),
    }
    Ok(OK)
}

/// Starts this program again as the server, without a terminal and with a log instead of stderr.
fn spawn_server(arguments: &StartArgs, dir: &Path) -> Result<Child, Failure> {
    let log =
        open_log(dir).map_err(|error| Failure::new(format!("cannot use the folder {}: {error}", dir.display())))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["sandbox", "serve", "--dir"]).arg(dir);
    if let Some(hosts) = arguments.hosts {
        command.args(["--hosts", &hosts.to_string()]);
    }
    if let Some(roles) = &arguments.roles {
        command.args(["--roles", &roles.to_string()]);
    }
    for fault in &arguments.faults {
        command.args(["--fault", &format!("{}:{}", fault.hosts.join(","), fault.fault)]);
    }
    if arguments.simulate {
        command.arg("--simulate");
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Ok(command.spawn()?)
}

fn open_log(dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("sandbox.log"))
}

fn await_ready(child: &mut Child) -> Result<(), Failure> {
    let Some(stdout) = child.stdout.take() else {
        return Err(Failure::new("the background process has no stdout"));
    };
    let mut said = BufReader::new(stdout);
    let mut text = String::new();
    said.read_line(&mut text)?;
    if text.trim_end() == READY {
        return Ok(());
    }
    said.read_to_string(&mut text)?;
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    let mut lines = text.lines();
    let message = lines.next().and_then(|line| line.strip_prefix("fleet: ")).unwrap_or("the background process died");
    let hint = lines.next().and_then(|line| line.strip_prefix("hint: ")).map(str::to_owned);
    Err(Failure { message: message.to_owned(), hint, code: code.filter(|code| *code != OK).unwrap_or(FAILED) })
}

/// The server's side of [`await_ready`].
fn serve_in_background(arguments: &StartArgs, stdout: &mut dyn Write) -> ExitCode {
    // Not a leader of its group: it was started by `start`. Run by hand from a shell it may be one, and does without.
    let _ = setsid();
    let served = resolve(&arguments.folder).and_then(|dir| {
        serve(arguments, &dir, |_| {
            writeln!(stdout, "{READY}")?;
            stdout.flush()
        })
    });
    ExitCode::from(served.unwrap_or_else(|failure| {
        let _ = write!(stdout, "{}", text_of(&failure));
        failure.code
    }))
}

/// Serves until a signal, and removes the folder's contents. `ready` is called when the hosts can be used; when nobody
/// hears it, they are stopped.
fn serve(arguments: &StartArgs, dir: &Path, ready: impl FnOnce(&Record) -> io::Result<()>) -> Result<u8, Failure> {
    raise_open_files();
    let mut builder = Sandbox::builder(dir);
    if let Some(roles) = &arguments.roles {
        builder = builder.roles(roles.clone());
    }
    if let Some(hosts) = arguments.hosts.or(arguments.roles.is_none().then_some(DEFAULT_HOSTS)) {
        builder = builder.hosts(hosts);
    }
    for fault in &arguments.faults {
        for name in &fault.hosts {
            builder = builder.fault(name, fault.fault);
        }
    }
    if arguments.simulate {
        builder = builder.simulate();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let sandbox = builder.start().await?;
        let heard = match inspect(dir)? {
            FolderState::Running(record) => ready(&record),
            _ => Err(io::Error::other("the sandbox does not find its own folder")),
        };
        if heard.is_ok() {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        sandbox.stop().await;
        heard.map_err(Failure::from)
    });
    if let Err(failure) = &served
        && failure.code == USAGE
    {
        // Nothing was made.
        return served.map(|()| OK);
    }
    let cleaned = clean(dir);
    served?;
    cleaned?;
    Ok(OK)
}

/// As many open files as the system lets this process have: each host takes one, and each connection.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it there may still be enough; if not, the sandbox says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn status(folder: &FolderArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let dir = resolve(folder)?;
    match inspect(&dir)? {
        FolderState::Running(record) => {
            writeln!(stdout, "running: {} hosts in {} (process {})", record.hosts.len(), dir.display(), record.pid)?;
            write!(stdout, "{}", roles_text(&record))?;
            return Ok(OK);
        }
        FolderState::Busy => writeln!(stderr, "a sandbox is starting or stopping in {}", dir.display())?,
        FolderState::Absent => writeln!(stderr, "no sandbox in {}", dir.display())?,
        FolderState::Stale => {
            remove_remains(&dir, stderr)?;
            writeln!(stderr, "no sandbox in {}", dir.display())?;
        }
    }
    Ok(FAILED)
}

fn stop(folder: &FolderArgs, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let dir = resolve(folder)?;
    match inspect(&dir)? {
        FolderState::Absent => writeln!(stderr, "no sandbox in {}", dir.display())?,
        FolderState::Stale => remove_remains(&dir, stderr)?,
        FolderState::Busy => {
            return Err(Failure::new(format!("a sandbox is starting or stopping in {}", dir.display())));
        }
        FolderState::Running(record) => {
            end(&dir, &record)?;
            writeln!(stderr, "stopped the sandbox in {}", dir.display())?;
        }
    }
    Ok(OK)
}

/// Ends the process that `record` names: TERM, and KILL when it does not go.
///
/// Only the process that holds the folder's lock writes the record, so that it is ours as long as the lock is held.
fn end(dir: &Path, record: &Record) -> Result<(), Failure> {
    let pid = i32::try_from(record.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Failure::new(format!("{} is not a process id", record.pid)))?;
    for signal in [Signal::TERM, Signal::KILL] {
        if matches!(inspect(dir)?, FolderState::Running(again) if again != *record) {
            return Err(Failure::new(format!("another sandbox was started in {}", dir.display())));
        }
        kill_process(pid, signal).map_err(io::Error::from)?;
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            match inspect(dir)? {
                FolderState::Absent => return Ok(()),
                FolderState::Stale if signal == Signal::KILL => return Ok(clean(dir)?),
                // Between its last breath and its cleaning, the lock is free for a moment; after a crash, for ever.
                FolderState::Stale if kill_process_check(pid) => return Ok(clean(dir)?),
                _ => sleep(POLL),
            }
        }
    }
    Err(Failure::new(format!("process {} does not stop", record.pid)))
}

/// Whether the process has gone.
fn kill_process_check(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_err()
}

/// Becomes the command.
fn exec(arguments: &ExecArgs) -> Result<u8, Failure> {
    let dir = resolve(&arguments.folder)?;
    if !matches!(inspect(&dir)?, FolderState::Running(_)) {
        let failure = Failure::new(format!("no sandbox is running in {}", dir.display()));
        return Err(failure.with_hint("start one with: fleet sandbox start"));
    }
    let [program, rest @ ..] = &arguments.command[..] else {
        return Err(Failure { code: USAGE, ..Failure::new("no command: expected one after --") });
    };
    let error = Command::new(program).args(rest).env("FLEET_CONFIG", dir.join("fleet.toml")).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}

fn resolve(folder: &FolderArgs) -> Result<PathBuf, Failure> {
    folder.resolve().ok_or_else(|| Failure {
        message: "no folder for the sandbox: neither XDG_STATE_HOME nor HOME is set".to_owned(),
        hint: Some("name one with --dir".to_owned()),
        code: USAGE,
    })
}

fn remove_remains(dir: &Path, stderr: &mut dyn Write) -> Result<(), Failure> {
    clean(dir)?;
    writeln!(stderr, "removed the remains of a sandbox that had died in {}", dir.display())?;
    Ok(())
}

/// The line for the shell to stdout, everything else to stderr.
fn announce(dir: &Path, record: &Record, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
    writeln!(stderr, "{} hosts in {}", record.hosts.len(), dir.display())?;
    write!(stderr, "{}", roles_text(record))?;
    stderr.flush()?;
    writeln!(stdout, "export FLEET_CONFIG={}", quoted(&dir.join("fleet.toml").display().to_string()))?;
    stdout.flush()
}

/// One line per role: its name, its number of hosts, and the first and last of them.
fn roles_text(record: &Record) -> String {
    let mut text = String::new();
    for role in record.hosts.chunk_by(|left, right| left.role == right.role) {
        if let [first, .., last] = role {
            let _ = writeln!(text, "  {} ({}): {} .. {}", first.role, role.len(), first.name, last.name);
        } else if let [only] = role {
            let _ = writeln!(text, "  {} (1): {}", only.role, only.name);
        }
    }
    text
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell_when_they_must_be() {
        assert_eq!(quoted("/tmp/fleet-1/fleet.toml"), "/tmp/fleet-1/fleet.toml");
        assert_eq!(quoted("/tmp/a b'c"), r"'/tmp/a b'\''c'");
    }

    #[test]
    fn hosts_are_told_by_role() {
        let host = |name: &str, role: &str| fleet_sandbox::RecordedHost {
            name: name.to_owned(),
            role: role.to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
            host_key: String::new(),
        };
        let hosts = vec![host("server01", "server"), host("web01", "web"), host("web02", "web")];
        let record = Record { pid: 1, started_unix_secs: 0, hosts };
        assert_eq!(roles_text(&record), "  server (1): server01\n  web (2): web01 .. web02\n");
    }
}
