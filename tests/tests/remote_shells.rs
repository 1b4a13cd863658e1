//! Wrapped commands in real login shells: they end as unwrapped ones do, and a stop leaves no process behind.
//!
//! No SSH here: as sshd does, each command line is given to the user's shell in a session of its own. What is left of a
//! command is looked up in `/proc`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fleet_ssh::remote::{
    Announcement, Follow, JobName, JobShell, JobStart, JobState, JobWait, LaunchBy, RemoteCommand, RemoteProcess, Room,
    Script, ServiceName, ServiceReport, ServiceStart, ServiceState, ServiceWord, Services, StartReport, StdinMode,
    StopVerdict, Token, job_list_command, job_output_command, job_start_command, job_state_command, job_stop_command,
    keeper_command, login_shell_word, service_list_command, service_log_command, service_remove_command,
    service_start_command, service_start_input, service_state_command, service_stop_command, sh_quote, stop_command,
    wrap,
};
use fleet_tests::PATIENCE;
use tempfile::TempDir;

const SHELLS: [&str; 8] = ["sh", "dash", "bash", "zsh", "mksh", "tcsh", "fish", "busybox"];
const GRACE: Duration = Duration::from_millis(500);
/// A folder of which every process that the tests start has the name in its command line.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-shells-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(program("sleep"), dir.path().join("sleep")).unwrap();
        let place = Self { dir };
        // What a tree is made of: says that it is there, and stays.
        place.write("leaf", &format!("echo up; exec {}/sleep 1000\n", place.path().display()));
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a script in which LEAF is the command of a leaf and DIR this folder; returns the command that runs it.
    fn write(&self, name: &str, script: &str) -> String {
        let path = self.path().join(name);
        let leaf = format!("sh {}/leaf", self.path().display());
        let script = script.replace("LEAF", &leaf).replace("DIR", &self.path().display().to_string());
        fs::write(&path, script).unwrap();
        format!("sh {}", path.display())
    }

    /// The login shell `name`, as an absolute path.
    fn shell(&self, name: &str) -> PathBuf {
        let path = program(name);
        if name != "busybox" {
            return path;
        }
        let ash = self.path().join("ash");
        if !ash.exists() {
            symlink(path, &ash).unwrap();
        }
        ash
    }

    /// The processes with this folder in their command line.
    fn processes(&self) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&self.path().display().to_string()) {
                found.push((pid, line));
            }
        }
        found
    }

    fn assert_empty_soon(&self, case: &str) {
        wait_until(
            &format!("{case}: no process is left"),
            || self.processes().is_empty(),
            || format!("{:?}", self.processes()),
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            kill(pid);
        }
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _already_gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool, state: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}: {}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed, and these tests need it: apt-get install {name}, or ./test.sh")
    })
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn token() -> Token {
    use std::hash::{BuildHasher, Hasher};
    Token::new(std::hash::RandomState::new().build_hasher().finish())
}

/// What a keeper on a second channel says when it starts.
fn watches(token: &Token) -> Vec<u8> {
    format!("\x1efleet {} watches\n", token.as_str()).into_bytes()
}

fn remote(command: &[u8], stdin: StdinMode) -> RemoteCommand {
    RemoteCommand { command: command.to_vec(), env: Vec::new(), stdin, grace: GRACE }
}

/// As sshd starts a command: `SHELL -c COMMAND` in a session of its own, with a small environment and no files but 0, 1
/// and 2.
fn login(shell: &Path, command: &[u8]) -> Command {
    // The shell is called by its name alone, without its folder.
    let start = r#"for file in /proc/self/fd/*; do
      number=${file##*/}
      [ "$number" -gt 2 ] && eval "exec $number>&-"
    done
    exec -a "${0##*/}" "$@""#;
    let mut login = Command::new("setsid");
    login.arg(program("bash")).args(["-c", start]).arg(shell).arg(shell).arg("-c").arg(os(command));
    tame(&mut login, shell);
    login
}

fn tame(command: &mut Command, shell: &Path) {
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SHELL", shell).env("HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// A wrapped command that runs.
struct Running {
    child: Child,
    control: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    /// Of standard error, what was read but is not the announcement.
    noise: Vec<u8>,
    process: RemoteProcess,
    token: Token,
}

impl Running {
    fn start(shell: &Path, command: &RemoteCommand) -> Self {
        let token = token();
        Self::spawn(login(shell, &wrap(command, &token).unwrap()), token)
    }

    /// Returns when the announcement has come.
    fn spawn(mut command: Command, token: Token) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let (mut announcement, mut noise, mut byte) = (Announcement::new(&token), Vec::new(), [0]);
        let process = loop {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "no announcement: {}", noise.escape_ascii());
            let (bytes, process) = announcement.feed(byte.to_vec().into());
            noise.extend_from_slice(&bytes);
            if let Some(process) = process {
                break process;
            }
        };
        let (control, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, control, stdout, stderr, noise, process, token }
    }

    fn wait_for_leaves(&mut self, count: usize) {
        for _ in 0..count {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            assert_eq!(line.trim_end(), "up");
        }
    }

    fn finish(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), self.noise);
        self.stdout.read_to_end(&mut stdout).unwrap();
        self.stderr.read_to_end(&mut stderr).unwrap();
        Output { status: self.child.wait().unwrap(), stdout, stderr }
    }

    fn stop_line(&self) -> Vec<u8> {
        stop_command(&self.process, &self.token, GRACE)
    }

    fn stop(&self, shell: &Path) -> Option<StopVerdict> {
        StopVerdict::find(&login(shell, &self.stop_line()).output().unwrap().stdout, &self.token)
    }
}

fn wrapped(shell: &Path, command: &[u8]) -> Output {
    let mut running = Running::start(shell, &remote(command, StdinMode::Closed));
    let control = running.control.take();
    let output = running.finish();
    drop(control);
    output
}

/// As sshd runs it without us.
fn direct(shell: &Path, command: &[u8]) -> Output {
    login(shell, command).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_command_ends_and_prints_as_without_us() {
    let place = Place::new();
    let long = [b"echo '".as_slice(), &b"x\"! ".repeat(10_000), b"'"].concat();
    let commands: [&[u8]; 24] = [
        b"true",
        b"",
        b"exit 7",
        b"no-such-command --flag",
        b"(",
        b"kill -TERM $$",
        b"exec sh -c 'kill -KILL $$'",
        b"sh -c 'kill -INT $$'",
        b"exec sh -c 'kill -QUIT $$'",
        b"cat; echo end of input",
        b"echo out; sh -c 'echo err >&2'",
        b"echo 'single'\"double\"\\ backslash \\\\ '!' !x `echo tick` $HOME %s %% ~ * #",
        b"echo it\\'s",
        b"echo '\\n' '\\0101' \"\\\\\"",
        b"echo one\necho two\n\n\n",
        b"\n\n  echo x",
        b"echo 'tab\there \x01\x7f'",
        "echo 'gr\u{fc}\u{df} \u{4f60}\u{597d} \u{1f680}'".as_bytes(),
        b"printf '%s' '\xff\xfe\x80\x81\x88\xc3('",
        b"awk '/SigBlk|SigIgn/ { print $1, substr($2, 10) }' /proc/self/status",
        b"ls /proc/self/fd; pwd; umask",
        b"perl -e '1 while wait != -1; print qq(no children left\\n)'",
        b"sh -c 'sleep 0 & wait; echo waited'",
        &long,
    ];
    for name in SHELLS {
        let shell = place.shell(name);
        for command in commands {
            let case = format!("{name}: {}", command[..command.len().min(80)].escape_ascii());
            let (expected, got) = (direct(&shell, command), wrapped(&shell, command));
            assert_eq!(got.status, expected.status, "{case}");
            assert_eq!(got.stdout.escape_ascii().to_string(), expected.stdout.escape_ascii().to_string(), "{case}");
            // Busybox names itself by its path.
            if name != "busybox" {
                assert_eq!(got.stderr.escape_ascii().to_string(), expected.stderr.escape_ascii().to_string(), "{case}");
            }
        }
    }
}

#[test]
fn the_command_sees_its_variables_and_none_of_ours() {
    let place = Place::new();
    let value = b"it's 100% \\n !\nsecond line\n".to_vec();
    for name in SHELLS {
        let shell = place.shell(name);
        let names = ["FLEET_HOST", "pid", "token", "command"];
        let mut command = remote(b"env -0", StdinMode::Closed);
        command.env = names.iter().map(|&name| (name.to_owned(), value.clone())).collect();
        let token = token();
        let mut login = login(&shell, &wrap(&command, &token).unwrap());
        let users = ["start", "keeper", "born", "known", "line", "stdin", "shell"];
        login.envs(users.map(|name| (name, "the user's")));

        let running = Running::spawn(login, token.clone());
        let output = running.finish();
        let variables: Vec<&[u8]> = output.stdout.split(|&b| b == 0).collect();
        let mut expected: Vec<Vec<u8>> = users.iter().map(|name| format!("{name}=the user's").into_bytes()).collect();
        expected.extend(names.iter().map(|name| [name.as_bytes(), b"=", &value].concat()));
        expected.push(format!("FLEET_JOB={}", token.as_str()).into_bytes());
        for variable in expected {
            assert!(variables.contains(&variable.as_slice()), "{name}: no {}", variable.escape_ascii());
        }
        assert!(!variables.iter().any(|variable| variable.starts_with(b"FLEET_PROGRAM")), "{name}");
    }
}

#[test]
fn the_command_does_not_find_the_keeper_by_its_own_words() {
    let place = Place::new();
    let count = place.write("count", "pgrep -fc DIR/word");
    for name in SHELLS {
        let shell = place.shell(name);
        let command = format!("{count}; echo {}/word", place.path().display());
        let (expected, got) = (direct(&shell, command.as_bytes()), wrapped(&shell, command.as_bytes()));
        assert_eq!(String::from_utf8(got.stdout), String::from_utf8(expected.stdout), "{name}");
    }
}

/// Every shape of tree: its name, how many leaves it has, the script that grows it.
const TREES: [(&str, usize, &str); 11] = [
    ("plain", 1, "exec LEAF"),
    ("child", 1, "LEAF; echo not reached"),
    ("background", 3, "LEAF & LEAF & (LEAF; true) & wait"),
    ("jobs", 2, "bash -c 'set -m; LEAF & LEAF & wait'"),
    ("deaf", 2, "trap '' TERM HUP INT; LEAF & LEAF"),
    ("session", 2, "setsid LEAF & setsid sh -c 'LEAF; true' & wait"),
    ("orphan", 3, "(LEAF &); (nohup LEAF &); exec LEAF"),
    ("daemon", 2, "setsid -f LEAF; exec LEAF"),
    ("stopped", 2, "sh -c 'LEAF & kill -STOP $$; true' & LEAF"),
    ("pty", 1, "script -qec 'LEAF' /dev/null"),
    ("sudo", 2, "sudo -n -u nobody sh -c 'trap \"\" TERM; LEAF & LEAF'"),
];

#[test]
fn nothing_is_left_when_the_control_line_closes() {
    let place = Place::new();
    for name in SHELLS {
        let shell = place.shell(name);
        for (tree, leaves, script) in TREES {
            let mut running =
                Running::start(&shell, &remote(place.write("tree", script).as_bytes(), StdinMode::Closed));
            running.wait_for_leaves(leaves);
            running.control = None;
            assert!(!running.finish().status.success(), "{name}, {tree}");
            place.assert_empty_soon(&format!("{name}, {tree}"));
        }
    }
}

#[test]
fn nothing_is_left_when_the_stopper_says_gone() {
    let place = Place::new();
    for (name, trees) in SHELLS.into_iter().zip([&TREES[..]].into_iter().chain(std::iter::repeat(&TREES[2..3]))) {
        let shell = place.shell(name);
        for (tree, leaves, script) in trees {
            let mut running =
                Running::start(&shell, &remote(place.write("tree", script).as_bytes(), StdinMode::Closed));
            running.wait_for_leaves(*leaves);
            assert_eq!(running.stop(&shell), Some(StopVerdict::Gone), "{name}, {tree}");
            assert_eq!(place.processes(), [], "{name}, {tree}");
            running.control = None;
            running.finish();
        }
    }
}

#[test]
fn any_posix_shell_of_the_host_keeps_the_promise() {
    let place = Place::new();
    for name in ["dash", "bash", "mksh", "busybox"] {
        let sh = place.shell(name);
        for (tree, leaves, script) in TREES {
            let token = token();
            let line = wrap(&remote(place.write("tree", script).as_bytes(), StdinMode::Closed), &token).unwrap();
            let line = String::from_utf8(line).unwrap().replace("' /bin/sh -c '", &format!("' {} -c '", sh.display()));
            let mut running = Running::spawn(login(&program("sh"), line.as_bytes()), token);
            running.wait_for_leaves(leaves);
            running.control = None;
            assert!(!running.finish().status.success(), "{name}, {tree}");
            place.assert_empty_soon(&format!("{name}, {tree}"));
        }
    }
}

#[test]
fn a_keeper_on_a_second_channel_stops_a_command_that_reads_our_input() {
    let place = Place::new();
    for name in SHELLS {
        let shell = place.shell(name);
        let script = "cat; LEAF & LEAF & wait";
        let mut running = Running::start(&shell, &remote(place.write("tree", script).as_bytes(), StdinMode::Passed));
        assert_eq!(running.process.keeper(), None);
        let line = keeper_command(&running.process, &running.token, GRACE);
        let keeper = login(&shell, &line).spawn().unwrap();
        let input = b"\x00\xff\r\nup to here\n";
        running.control.take().unwrap().write_all(input).unwrap();
        let mut echo = vec![0; input.len()];
        running.stdout.read_exact(&mut echo).unwrap();
        assert_eq!(echo, input);
        running.wait_for_leaves(2);

        let verdict = keeper.wait_with_output().unwrap().stdout;
        assert_eq!(StopVerdict::find(&verdict, &running.token), Some(StopVerdict::Gone), "{name}");
        assert_eq!(place.processes(), [], "{name}");
    }
}

#[test]
fn what_was_put_in_the_background_lives_on_after_the_command() {
    let place = Place::new();
    for name in SHELLS {
        let shell = place.shell(name);
        let command =
            place.write("start", "nohup LEAF >DIR/log 2>&1 & while ! [ -s DIR/log ]; do :; done; rm DIR/log; exit 3");
        let mut running = Running::start(&shell, &remote(command.as_bytes(), StdinMode::Closed));
        let second = login(&shell, &keeper_command(&running.process, &running.token, GRACE)).spawn().unwrap();
        let keeper = running.process.keeper().unwrap();
        let (control, process, token) = (running.control.take(), running.process.clone(), running.token.clone());
        assert_eq!(running.finish().status.code(), Some(3), "{name}");

        drop(control);
        wait_until("the keeper has ended", || !is_alive(keeper), String::new);
        assert_eq!(second.wait_with_output().unwrap().stdout, watches(&token), "{name}");
        assert_eq!(place.processes().len(), 1, "{name}: {:?}", place.processes());

        // Asked to, the stopper ends also this.
        let stopper = login(&shell, &stop_command(&process, &token, GRACE)).output().unwrap();
        assert_eq!(StopVerdict::find(&stopper.stdout, &token), Some(StopVerdict::Gone), "{name}");
        assert_eq!(place.processes(), [], "{name}");
    }
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// Some servers run commands in their own process group: here we are that server.
#[test]
fn a_process_group_that_is_not_the_commands_own_is_never_touched() {
    let place = Place::new();
    let sh = program("sh");
    let token = token();
    let line =
        wrap(&remote(place.write("tree", "(LEAF &); LEAF & LEAF").as_bytes(), StdinMode::Closed), &token).unwrap();
    let mut server = Command::new("setsid");
    tame(&mut server, &sh);
    // The server's other session reads the server's input, and so ends only with it.
    let quoted = String::from_utf8(sh_quote(&line)).unwrap();
    let script = format!(
        "exec 4<&0; mkfifo DIR/control; (echo other; exec cat <&4) & sh -c {quoted} <DIR/control & exec 5>DIR/control; read -r go <&4; exec 5>&-; wait"
    );
    server.args(["sh", "-c", &script.replace("DIR", &place.path().display().to_string())]);
    let mut running = Running::spawn(server, token);
    let mut lines: Vec<String> = (0..4).map(|_| next_line(&mut running.stdout)).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["other", "up", "up", "up"]);

    assert_eq!(running.stop(&sh), Some(StopVerdict::Gone));
    wait_until("the tree is gone", || !place.processes().iter().any(|(_, line)| line.contains("/sleep")), String::new);
    let mut input = running.control.take().unwrap();
    input.write_all(b"go\nstill here\n").unwrap();
    drop(input);
    assert!(running.finish().status.success());
}

fn next_line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_process_that_has_only_the_number_of_ours_is_never_touched() {
    let place = Place::new();
    let sh = program("sh");
    let mut running = Running::start(&sh, &remote(place.write("tree", "LEAF & LEAF").as_bytes(), StdinMode::Closed));
    running.wait_for_leaves(2);

    let other = token();
    let birth: u64 = running.process.birth().parse().unwrap();
    let line = format!("\x1efleet {} {} {} -\n", other.as_str(), running.process.pid(), birth - 1);
    let (_, earlier) = Announcement::new(&other).feed(line.into());
    let earlier = earlier.unwrap();
    let stopper = login(&sh, &stop_command(&earlier, &other, GRACE)).output().unwrap();
    assert_eq!(StopVerdict::find(&stopper.stdout, &other), Some(StopVerdict::Gone));
    let keeper = login(&sh, &keeper_command(&earlier, &other, GRACE)).stdin(Stdio::null()).output().unwrap();
    assert_eq!(keeper.stdout, watches(&other));
    assert!(place.processes().len() >= 3, "{:?}", place.processes());
}

#[test]
fn what_cannot_be_stopped_is_named() {
    assert!(rustix::process::geteuid().is_root(), "this test has to be root, to become another user");
    let place = Place::new();
    let sh = program("sh");
    let command = format!("exec {}", place.write("tree", "exec LEAF"));
    let mut running = Running::start(&sh, &remote(command.as_bytes(), StdinMode::Closed));
    running.wait_for_leaves(1);

    let mut stopper = Command::new("setpriv");
    stopper.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&sh).arg("-c").arg(os(&running.stop_line()));
    tame(&mut stopper, &sh);
    let output = stopper.output().unwrap();
    let left = StopVerdict::Left(vec![running.process.pid()]);
    assert_eq!(StopVerdict::find(&output.stdout, &running.token), Some(left));
    assert_eq!(place.processes().len(), 1);
}

#[test]
fn without_a_view_of_all_processes_nothing_is_confirmed() {
    let place = Place::new();
    let sh = program("sh");
    let mut running = Running::start(&sh, &remote(place.write("tree", "exec LEAF").as_bytes(), StdinMode::Closed));
    running.wait_for_leaves(1);

    // A host without awk: a PATH with nothing but what the fallback needs.
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["setsid", "env", "sh", "cat", "sleep", "grep"] {
        symlink(program(name), bin.join(name)).unwrap();
    }
    let output = login(&sh, &running.stop_line()).env("PATH", &bin).output().unwrap();
    assert_eq!(StopVerdict::find(&output.stdout, &running.token), Some(StopVerdict::Unknown));
    running.control = None;
    running.finish();
    place.assert_empty_soon("without awk");
}

#[test]
fn a_signal_to_the_commands_group_does_not_end_the_keeper() {
    let place = Place::new();
    let sh = program("sh");
    let script = "trap '' TERM HUP INT; setsid -f LEAF; kill -TERM 0; kill -HUP 0; kill -INT 0; LEAF";
    let command = format!("exec {}", place.write("tree", script));
    let mut running = Running::start(&sh, &remote(command.as_bytes(), StdinMode::Closed));
    running.wait_for_leaves(2);
    assert!(is_alive(running.process.keeper().unwrap()));
    running.control = None;
    running.finish();
    place.assert_empty_soon("after the signals");
}

/// What a shell prints and returns for a command that reads `input`.
fn given(shell: &Path, command: &RemoteCommand, input: &[u8], folder: &Path) -> Output {
    let token = token();
    let mut login = login(shell, &wrap(command, &token).unwrap());
    login.env("TMPDIR", folder).env("XDG_STATE_HOME", folder);
    let mut running = Running::spawn(login, token);
    let mut control = running.control.take().unwrap();
    let input = input.to_vec();
    // It may end without reading all of it.
    let writer = std::thread::spawn(move || control.write_all(&input));
    let output = running.finish();
    let _ = writer.join().unwrap();
    output
}

#[test]
fn a_word_is_exact_in_every_login_shell() {
    let place = Place::new();
    let bytes: Vec<u8> = (1..=255).filter(|b| *b != b'\n').chain(*b"'\\'!\\!$(x)`x`\\").collect();
    for name in SHELLS {
        let output = direct(&place.shell(name), &[b"printf %s ", login_shell_word(&bytes).as_slice()].concat());
        assert_eq!(output.stdout.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{name}");
    }
}

#[test]
fn a_script_gets_its_arguments_and_its_input_and_leaves_no_file() {
    let place = Place::new();
    let folder = place.path().join("tmp");
    fs::create_dir(&folder).unwrap();
    let mut text = b"#!/bin/sh -e\nprintf '<%s>' \"$@\"; cat; ls -A \"$TMPDIR\"; exit 7\n".to_vec();
    text.extend((0..=255).cycle().take(300_000));
    let input: &[u8] = b"\x00\xff in\n";
    let arguments = [b"it's".to_vec(), b"\\ !\n".to_vec(), Vec::new()];
    let sent = [&text, input].concat();
    for name in SHELLS {
        let command = Script::parse(&text).unwrap().command(&arguments, &token()).unwrap();
        let output = given(&place.shell(name), &remote(&command, StdinMode::Passed), &sent, &folder);
        let expected = [b"<it's><\\ !\n><>", input].concat();
        assert_eq!(output.stdout.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{name}");
        assert_eq!(
            (output.status.code(), output.stderr.escape_ascii().to_string()),
            (Some(7), String::new()),
            "{name}"
        );
    }
}

#[test]
fn any_posix_shell_of_the_host_receives_a_script() {
    let place = Place::new();
    let text = b"cat; exit 7\n# padding".to_vec();
    let sent = [&text, &b"input"[..]].concat();
    for name in ["dash", "bash", "mksh", "busybox", "ksh", "zsh"] {
        let sh = place.shell(name);
        let command = Script::parse(&text).unwrap().command(&[], &token()).unwrap();
        let command =
            String::from_utf8(command).unwrap().replace("' /bin/sh -c '", &format!("' {} -c '", sh.display()));
        let command = remote(command.as_bytes(), StdinMode::Passed);
        let output = given(&program("sh"), &command, &sent, place.path());
        assert_eq!(
            (String::from_utf8_lossy(&output.stdout).as_ref(), output.status.code()),
            ("input", Some(7)),
            "{name}"
        );
    }
}

#[test]
fn a_script_that_cannot_be_kept_says_so() {
    let place = Place::new();
    let text = b"echo ran";
    let script = |input: &[u8]| {
        let command = Script::parse(text).unwrap().command(&[], &token()).unwrap();
        given(&program("sh"), &remote(&command, StdinMode::Passed), input, place.path())
    };
    assert_eq!(script(text).stdout, b"ran\n");
    let cut = script(&text[..4]);
    assert_eq!((cut.status.code(), cut.stdout.len()), (Some(126), 0));
    assert!(String::from_utf8_lossy(&cut.stderr).contains("did not arrive whole"), "{}", cut.stderr.escape_ascii());
}

#[test]
fn any_posix_shell_of_the_host_starts_a_job_with_its_input_or_not_at_all() {
    for name in ["dash", "bash", "mksh", "busybox", "ksh"] {
        let place = Place::new();
        let sh = place.shell(name);
        let job = JobName::new(std::time::SystemTime::UNIX_EPOCH, 1);
        let end = token();
        let run = |line: Vec<u8>, input: &[u8]| {
            let line = String::from_utf8(line).unwrap();
            let line = line.replace("/bin/sh", &sh.display().to_string());
            given(&program("sh"), &remote(line.as_bytes(), StdinMode::Passed), input, place.path())
        };
        let (title, shell, input_end) = (b"title".as_slice(), JobShell::Posix, Some(&end));
        let start = JobStart { name: &job, command: b"cat; kill -TERM $$", title, shell, input_end };
        let start = job_start_command(&start).unwrap();
        let input = [b"in\x00\xff\nput".as_slice(), end.as_str().as_bytes()].concat();

        for cut in [0, 3, input.len() - 1] {
            let output = run(start.clone(), &input[..cut]);
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()), "{name}: {cut}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("did not arrive whole"), "{name}");
            let left = fs::read_dir(place.path().join("fleet/jobs")).unwrap().count();
            assert_eq!(left, 0, "{name}: {cut}");
        }
        let output = run(start, &input);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("job {job}\n"), "{name}: {output:?}");
        let state = run(job_state_command(&job, JobWait::Ended), b"").stdout;
        assert_eq!(JobState::find(&state), Some(JobState::Stopped("TERM".to_owned())), "{name}");
        assert_eq!(run(job_output_command(&job), b"").stdout, b"in\x00\xff\nput", "{name}");

        // Who starts a job does not wait for its end, nor for anything that it keeps open.
        let (job, long) =
            (JobName::new(std::time::SystemTime::UNIX_EPOCH, 2), place.write("long", "exec DIR/sleep 300\n"));
        let start = JobStart { name: &job, command: long.as_bytes(), title, shell, input_end: None };
        let output = run(job_start_command(&start).unwrap(), b"");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("job {job}\n"), "{name}: {output:?}");
        let state = || JobState::find(&run(job_state_command(&job, JobWait::Now), b"").stdout);
        let Some(JobState::Running(process, mark)) = state() else { panic!("{name}: {:?}", state()) };
        run(job_stop_command(&job, &process, &mark, GRACE), b"");
        assert!(matches!(state(), Some(JobState::Stopped(_))), "{name}: {:?}", state());
        place.assert_empty_soon(name);
    }
}

#[test]
fn jobs_are_started_and_looked_after_from_every_login_shell() {
    let place = Place::new();
    for (name, number) in SHELLS.into_iter().zip(1..) {
        let shell = place.shell(name);
        let job = JobName::new(std::time::SystemTime::UNIX_EPOCH, number);
        let run = |line: &[u8]| {
            let output = given(&shell, &remote(line, StdinMode::Passed), b"", place.path());
            assert!(output.stderr.is_empty() && output.status.success(), "{name}: {}", output.stderr.escape_ascii());
            output.stdout
        };
        let command = b"cat; echo it\\'s 'a  b'; sh -c 'exit 7'".as_slice();
        let (title, shell) = (b"title".as_slice(), JobShell::Login);
        let start = JobStart { name: &job, command, title, shell, input_end: None };
        let started = run(&job_start_command(&start).unwrap());
        assert_eq!(String::from_utf8_lossy(&started), format!("job {job}\n"), "{name}");
        let state = run(&job_state_command(&job, JobWait::Ended));
        assert_eq!(JobState::find(&state), Some(JobState::Exited(7)), "{name}");
        assert_eq!(String::from_utf8_lossy(&run(&job_output_command(&job))), "it's a  b\n", "{name}");
        let list = String::from_utf8(run(&job_list_command())).unwrap();
        assert!(
            list.lines().any(|line| line.starts_with(&format!("{job}  exited 7 ")) && line.ends_with("title")),
            "{list}"
        );
    }
}

#[test]
fn any_posix_shell_of_the_host_starts_services_and_stops_them() {
    for name in ["dash", "bash", "mksh", "busybox", "ksh"] {
        let place = Place::new();
        let sh = place.shell(name);
        let leaf = place.write("service", "echo it\\'s up; exec DIR/sleep 300\n");
        let service = ServiceName::parse("web").unwrap();
        let by_shell = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace("/bin/sh -c", &format!("{} -c", sh.display()))
        };
        let run = |line: Vec<u8>, input: &[u8]| {
            let output =
                given(&program("sh"), &remote(by_shell(line).as_bytes(), StdinMode::Passed), input, place.path());
            assert!(output.stderr.is_empty(), "{name}: {}", output.stderr.escape_ascii());
            output.stdout
        };
        let start_for = |settle: Duration, command: &str, room: Room| {
            let (shell, folder, by) = (JobShell::Posix, None, LaunchBy::Setsid);
            let (name, command) = (&service, command.as_bytes());
            service_start_input(&ServiceStart { name, command, shell, variables: &[], folder, by, room, settle })
                .unwrap()
        };
        let start = |command, room| start_for(Duration::ZERO, command, room);
        let started = |input: Vec<u8>| {
            let said = run(service_start_command(), by_shell(input).as_bytes());
            StartReport::find(&said).unwrap_or_else(|| panic!("{name}: {}", said.escape_ascii()))
        };
        let states = |line: Vec<u8>| {
            let found = ServiceReport::find_all(&run(line, b""));
            found.into_iter().map(|service| (service.word, service.state)).collect::<Vec<_>>()
        };
        let (stop, is) = (|| service_stop_command(&Services::All, PATIENCE), ServiceWord::Is);

        assert_eq!(states(service_state_command(&service)), [(is.clone(), ServiceState::None)], "{name}");
        // A program that is cut off runs no part of it.
        let (input, shell) = (by_shell(start(&leaf, Room::Free)), program("sh"));
        let command = remote(by_shell(service_start_command()).as_bytes(), StdinMode::Passed);
        let cut = given(&shell, &command, &input.as_bytes()[..input.len() - 3], place.path());
        assert!(!cut.status.success() && StartReport::find(&cut.stdout).is_none(), "{name}");
        assert!(!place.path().join("fleet").exists(), "{name}");

        let report = started(start(&leaf, Room::Free));
        assert_eq!(
            (report.service.word, report.service.state),
            (ServiceWord::Started, ServiceState::Running),
            "{name}"
        );
        let log = || run(service_log_command(&service, 20, Follow::No), b"");
        wait_until(&format!("{name}: it is up"), || log() == b"it's up\n", || log().escape_ascii().to_string());
        assert_eq!(started(start("true", Room::Free)).service.word, ServiceWord::Present, "{name}");
        assert_eq!(states(service_remove_command(&service, PATIENCE)), [(ServiceWord::Present, ServiceState::Running)]);
        // A name is only taken from a service that has ended, whoever was sure of it.
        let input = by_shell(start("true", Room::Ended));
        let refused = given(&shell, &command, input.as_bytes(), place.path());
        assert_eq!((refused.status.code(), StartReport::find(&refused.stdout)), (Some(1), None), "{name}");
        assert_eq!(states(service_list_command()), [(is.clone(), ServiceState::Running)], "{name}");

        let stopped = ServiceState::Stopped("TERM".to_owned());
        assert_eq!(states(stop()), [(ServiceWord::Gone, stopped.clone())], "{name}");
        place.assert_empty_soon(name);
        assert_eq!(states(stop()), [(ServiceWord::Idle, stopped)], "{name}");
        let report = started(start_for(PATIENCE, "echo last; exit 7", Room::Ended));
        assert_eq!((report.service.state, &report.last_words[..]), (ServiceState::Exited(7), &b"last\n"[..]), "{name}");
        assert_eq!(states(service_remove_command(&service, PATIENCE)), [(ServiceWord::Idle, ServiceState::Exited(7))]);
        assert_eq!(states(service_list_command()), [], "{name}");
    }
}
