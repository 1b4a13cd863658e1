//! Between the local rsync and an SSH session of ours: in place of `ssh`, rsync starts this program once more, which passes
//! on by a socket what rsync writes, and what the host answers. What the host says on standard error goes another way: rsync
//! ends this program when it has heard of an error, which may be before that has come.
//!
//! The socket has, towards the session: the length of the command as four bytes, the command, and then its input to the
//! end. Towards rsync: frames of a letter, the length of what follows as four bytes, and that. Numbers are big-endian.
//!
//! | letter | what follows |
//! | --- | --- |
//! | `o` | bytes of standard output |
//! | `x` | the exit code, as four bytes; the last frame |
//!
//! Must not know hosts, nor what is said.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use bytes::Bytes;
use fleet_core::event::Stream;
use fleet_core::outcome::HostError;
use fleet_ssh::remote::Token;
use fleet_ssh::{ExecStdin, OutputSink, StdinFeed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

/// What rsync has this program do in place of `ssh`.
pub(crate) const FLAG: &str = "--rsync-pipe";
/// Where the socket is.
pub(crate) const VARIABLE: &str = "PRSYNC_PIPE";
/// What rsync takes for the host; nobody looks for it.
pub(crate) const HOST: &str = "fleet";

/// The longest command that is taken: no host takes one that is longer.
const LONGEST_COMMAND: usize = 128 * 1024;
/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// What is kept of what is said on standard error, on each side.
pub(crate) const SAID_BYTES: usize = 64 * 1024;
/// The longest path of a socket that all systems take, with its NUL (`sun_path`).
const LONGEST_SOCKET: usize = 104;
/// The exit code of `ssh` when the connection is lost.
const LOST: u8 = 255;

/// A folder for sockets that nobody else can enter. It is gone when this is.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    pub(crate) fn new() -> io::Result<Self> {
        let name = format!("prsync-{}", Token::random().as_str());
        let mut path = std::env::temp_dir().join(&name);
        if path.as_os_str().len() + "/000000-00".len() >= LONGEST_SOCKET {
            path = Path::new("/tmp").join(name);
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where the socket of a host is, in one attempt.
    pub(crate) fn socket(&self, host: usize, attempt: u64) -> PathBuf {
        self.0.join(format!("{host}-{attempt}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What this process is to do in place of `ssh`, if that is what it was started for: the words of the remote command.
pub(crate) fn asked(words: &[OsString]) -> Option<&[OsString]> {
    let [_, flag, rest @ ..] = words else { return None };
    // What stands before the host is for ssh.
    let host = rest.iter().position(|word| word == HOST)?;
    (flag == FLAG).then(|| &rest[host + 1..])
}

/// Passes all on between our standard input, `output` and the socket. Returns the exit code of the remote command, or
/// says on `errors` what went wrong.
pub(crate) fn pass(words: &[OsString], output: impl Write, mut errors: impl Write) -> ExitCode {
    let passed = std::env::var_os(VARIABLE)
        .ok_or_else(|| io::Error::other(format!("{FLAG} is for rsync alone, as prsync --engine=rsync starts it")))
        .and_then(|socket| pass_on(&socket, words, output));
    match passed {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(errors, "prsync: {error}");
            ExitCode::from(LOST)
        }
    }
}

fn pass_on(socket: &OsStr, words: &[OsString], mut output: impl Write) -> io::Result<u8> {
    let mut socket = UnixStream::connect(socket)?;
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let command = words.join(&b' ');
    let len = u32::try_from(command.len()).map_err(io::Error::other)?;
    socket.write_all(&len.to_be_bytes())?;
    socket.write_all(&command)?;
    let mut input = socket.try_clone()?;
    // Ends with this process, if not before.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut input);
        let _ = input.shutdown(std::net::Shutdown::Write);
    });
    loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head)?;
        let [letter, len @ ..] = head;
        let mut content = vec![0; usize::try_from(u32::from_be_bytes(len)).map_err(io::Error::other)?];
        socket.read_exact(&mut content)?;
        match (letter, &content[..]) {
            (b'o', content) => {
                output.write_all(content)?;
                output.flush()?;
            }
            (b'x', &[.., code]) => return Ok(code),
            _ => return Err(io::Error::other("an unknown frame")),
        }
    }
}

/// The command that rsync wants to run.
pub(crate) async fn command(socket: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let len = usize::try_from(socket.read_u32().await?).map_err(io::Error::other)?;
    if len > LONGEST_COMMAND {
        return Err(io::Error::other("the command is too long"));
    }
    let mut command = vec![0; len];
    socket.read_exact(&mut command).await?;
    Ok(command)
}

/// What rsync writes, as the input of the command.
pub(crate) struct Input(pub(crate) Mutex<OwnedReadHalf>);

impl StdinFeed for Input {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        let mut socket = self.0.lock().await;
        let mut piece = vec![0; PIECE_BYTES];
        // That it is gone is the end of its input, too.
        while let Ok(len @ 1..) = socket.read(&mut piece).await {
            if !stdin.send(Bytes::copy_from_slice(&piece[..len])).await {
                return Ok(());
            }
        }
        stdin.close().await;
        Ok(())
    }
}

/// What the host answers, as what rsync reads; where nobody reads any more, it is lost. Keeps what it says on standard error.
pub(crate) struct Output {
    socket: Mutex<OwnedWriteHalf>,
    said: Mutex<Vec<u8>>,
}

impl Output {
    pub(crate) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket: Mutex::new(socket), said: Mutex::default() }
    }

    /// The last word: how the command ended.
    pub(crate) async fn ended(&self, code: u32) {
        self.frame(b'x', &code.min(u32::from(LOST)).to_be_bytes()).await;
        let _ = self.socket.lock().await.shutdown().await;
    }

    /// What was said on standard error, the first of it.
    pub(crate) fn into_said(self) -> Vec<u8> {
        self.said.into_inner()
    }

    async fn frame(&self, letter: u8, content: &[u8]) {
        let mut socket = self.socket.lock().await;
        for content in content.chunks(PIECE_BYTES) {
            let len = u32::try_from(content.len()).expect("pieces are short");
            let head = [&[letter][..], &len.to_be_bytes()].concat();
            if socket.write_all(&head).await.is_err() || socket.write_all(content).await.is_err() {
                return;
            }
        }
    }
}

impl OutputSink for Output {
    async fn output(&self, stream: Stream, bytes: Bytes) {
        match stream {
            Stream::Stdout => self.frame(b'o', &bytes).await,
            Stream::Stderr => {
                let mut said = self.said.lock().await;
                said.extend_from_slice(&bytes);
                said.truncate(SAID_BYTES);
            }
        }
    }
}

/// This program in place of `ssh`, as rsync's `-e` takes it: in quotes, of which those in it are doubled.
pub(crate) fn shell(program: &Path) -> OsString {
    let mut shell = b"'".to_vec();
    for byte in program.as_os_str().as_bytes() {
        shell.extend(std::iter::repeat_n(*byte, if *byte == b'\'' { 2 } else { 1 }));
    }
    shell.extend([b"' ", FLAG.as_bytes()].concat());
    OsString::from_vec(shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rsync_starts_is_a_pipe_and_the_command_is_behind_the_host() {
        let words = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
        let started = words(&["prsync", FLAG, "-l", "me", HOST, "rsync", "--server", "x y"]);
        assert_eq!(asked(&started), Some(&words(&["rsync", "--server", "x y"])[..]));
        assert_eq!(asked(&words(&["prsync", "dist/", FLAG, HOST])), None);
        assert_eq!(asked(&words(&["prsync"])), None);
    }

    #[test]
    fn the_path_of_this_program_may_have_blanks_and_quotes() {
        assert_eq!(shell(Path::new("/a b/it's")), OsString::from("'/a b/it''s' --rsync-pipe"));
    }

    #[test]
    fn sockets_are_in_a_folder_of_ours_that_is_gone_afterwards() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new().unwrap();
        let socket = folder.socket(3, 1);
        let path = socket.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
        drop(folder);
        assert!(!path.exists());
    }
}
