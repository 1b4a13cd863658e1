//! The isolated world of one test: a temporary folder with a home, keys, `ssh_config` and `known_hosts`, and a part of
//! the loopback network for itself. Gone when dropped, with every process started by a login in it.
//!
//! Must not know which servers there are, nor the real user's home.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use tempfile::TempDir;

use crate::processes;
use crate::run::Run;
use crate::server::Server;
use crate::tools::{program, run_to_end};

/// The port whose listener at a network's last address says that the network is taken.
const RESERVATION_PORT: u16 = 20_022;

/// A port that no server of the harness gets: the system chooses theirs from higher ones.
const CLOSED_PORT: u16 = 9;

/// An isolated world for one test.
pub struct TestEnv {
    folder: TempDir,
    /// The first two numbers after 127 of the network.
    network: (u8, u8),
    _reservation: TcpListener,
    next_address: AtomicU8,
    next_server: AtomicU32,
}

impl TestEnv {
    /// A new world: a user with an ed25519 key, and no server.
    ///
    /// # Panics
    /// When the machine does not let us make one.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("fleet-test-").tempdir().expect("a temporary folder");
        // sshd reads authorized_keys as the account logged in to.
        set_mode(folder.path(), 0o755);
        let (network, reservation) = reserve_network();
        let env = Self {
            folder,
            network,
            _reservation: reservation,
            next_address: AtomicU8::new(1),
            next_server: AtomicU32::new(0),
        };
        for name in ["home", "home/.ssh", "work", "tmp"] {
            fs::create_dir(env.path().join(name)).expect("a folder in the test's own");
        }
        set_mode(&env.ssh_folder(), 0o700);
        fs::create_dir(env.shared()).expect("a folder in the test's own");
        set_mode(&env.shared(), 0o777);
        env.generate_key(&env.user_key(), "");
        env.authorize(&env.user_key().with_extension("pub"));
        for name in ["config", "known_hosts"] {
            env.write(&format!("home/.ssh/{name}"), "");
        }
        env
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder with all programs of this machine but those whose names begin so: a `PATH` for hosts that lack something.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn programs_without(&self, names: &[&str]) -> PathBuf {
        let folder = self.path().join(format!("programs-without-{}", names.join("-")));
        fs::create_dir(&folder).expect("a folder in the test's own");
        for program in fs::read_dir("/usr/bin").expect("the machine's programs").flatten() {
            if !names.iter().any(|name| program.file_name().to_string_lossy().starts_with(name)) {
                symlink(program.path(), folder.join(program.file_name())).expect("a link in the test's own folder");
            }
        }
        folder
    }

    /// The user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// The folder that the tools are run in.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// A folder that every account may write to.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.path().join("shared")
    }

    /// The user's `~/.ssh`.
    #[must_use]
    pub fn ssh_folder(&self) -> PathBuf {
        self.home().join(".ssh")
    }

    /// The user's private key, which every server accepts.
    #[must_use]
    pub fn user_key(&self) -> PathBuf {
        self.ssh_folder().join("id_ed25519")
    }

    /// The user's `known_hosts`.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.ssh_folder().join("known_hosts")
    }

    /// The user's `ssh_config`.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.ssh_folder().join("config")
    }

    /// The public keys that the servers accept.
    #[must_use]
    pub fn authorized_keys(&self) -> PathBuf {
        self.path().join("authorized_keys")
    }

    /// The prefix of every address of this world, such as `127.17.3.`; part of `SSH_CONNECTION` in its remote processes.
    #[must_use]
    pub fn network(&self) -> String {
        format!("127.{}.{}.", self.network.0, self.network.1)
    }

    /// Writes a file, named from the folder of the test, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make the file's folder");
        fs::write(&path, contents).expect("write a file of the test");
        path
    }

    /// Puts text before what is in the user's `ssh_config`, where it wins.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn configure(&self, text: &str) {
        let before = fs::read_to_string(self.ssh_config()).expect("the test's ssh_config");
        fs::write(self.ssh_config(), format!("{text}\n{before}")).expect("write ssh_config");
    }

    /// Adds lines to the user's `known_hosts`.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn trust(&self, lines: &str) {
        append(&self.known_hosts(), lines);
    }

    /// Lets the servers accept this public key, a file.
    ///
    /// # Panics
    /// When a file cannot be read or written.
    pub fn authorize(&self, public_key: &Path) {
        append(&self.authorized_keys(), &fs::read_to_string(public_key).expect("a public key"));
        set_mode(&self.authorized_keys(), 0o644);
    }

    /// Makes an ed25519 key pair at `path` and `path.pub`, and returns `path`.
    ///
    /// # Panics
    /// When ssh-keygen is missing or fails.
    pub fn generate_key(&self, path: &Path, passphrase: &str) -> PathBuf {
        let mut keygen = Command::new(program("ssh-keygen"));
        keygen.args(["-q", "-t", "ed25519", "-C", "fleet-test", "-N", passphrase, "-f"]).arg(path);
        run_to_end(&mut keygen);
        path.to_owned()
    }

    /// A host of this name at an address of this world, on which nothing listens.
    pub fn closed_host(&self, name: &str) {
        self.enter_host(name, self.addresses(1)[0], CLOSED_PORT, "nobody");
    }

    /// The path of `psh`, for command lines in which it is not the first word.
    #[must_use]
    pub fn psh_path(&self) -> String {
        tool("psh").display().to_string()
    }

    /// The path of `fleet`, likewise.
    #[must_use]
    pub fn fleet_path(&self) -> String {
        tool("fleet").display().to_string()
    }

    /// A folder with the tools by their names, for the `PATH` of scripts that call them.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        let folder = self.path().join("bin");
        if !folder.exists() {
            fs::create_dir(&folder).expect("a folder in the test's own");
            for name in ["fleet", "psh", "pcp", "prsync", "pslurp"] {
                symlink(tool(name), folder.join(name)).expect("a link in the test's own folder");
            }
        }
        folder
    }

    /// `psh` with these arguments, in this world.
    #[must_use]
    pub fn psh<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.run(&tool("psh"), arguments)
    }

    /// `pcp` with these arguments, in this world.
    #[must_use]
    pub fn pcp<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.run(&tool("pcp"), arguments)
    }

    /// `prsync` with these arguments, in this world.
    #[must_use]
    pub fn prsync<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.run(&tool("prsync"), arguments)
    }

    /// `pslurp` with these arguments, in this world.
    #[must_use]
    pub fn pslurp<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.run(&tool("pslurp"), arguments)
    }

    /// `fleet` with these arguments, in this world.
    #[must_use]
    pub fn fleet<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.run(&tool("fleet"), arguments)
    }

    /// OpenSSH's client with these arguments, in this world: the oracle. It takes its home from the account files, so
    /// the files of this world are named to it.
    #[must_use]
    pub fn ssh<I, S>(&self, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts().display());
        let user_key = self.user_key().display().to_string();
        let config = self.ssh_config().display().to_string();
        let own = ["-F", &config, "-o", &known_hosts, "-i", &user_key];
        self.run(&program("ssh"), own).args(arguments)
    }

    /// A program of the machine with these arguments, in this world.
    #[must_use]
    pub fn run<I, S>(&self, program: &Path, arguments: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        Run::new(program)
            .env("HOME", self.home())
            .env("TMPDIR", self.path().join("tmp"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Whoever has no group of a name asks fleet-ec2 where it is built: not about the machine of the tests.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(&self.work())
            .args(arguments)
    }

    /// A new folder for the files of one server.
    pub(crate) fn server_folder(&self) -> PathBuf {
        let folder = self.path().join(format!("server{}", self.next_server.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).expect("a folder in the test's own");
        folder
    }

    /// New addresses for `count` hosts of one server.
    ///
    /// # Panics
    /// When the network of this world (253 hosts) is used up.
    pub fn addresses(&self, count: usize) -> Vec<Ipv4Addr> {
        let count = u8::try_from(count).expect("at most 253 hosts");
        let first = self.next_address.fetch_add(count, Ordering::Relaxed);
        let end = first.checked_add(count).filter(|&end| end < 255).expect("at most 253 hosts");
        (first..end).map(|last| Ipv4Addr::new(127, self.network.0, self.network.1, last)).collect()
    }

    /// Enters the hosts of a server into the user's `ssh_config`.
    pub(crate) fn enter(&self, server: &Server, user: &str) {
        for (name, address) in server.names().iter().zip(server.addresses()) {
            self.enter_host(name, *address, server.port(), user);
        }
    }

    /// Enters a host into the user's `ssh_config`: by name, and its port and user by address too.
    pub fn enter_host(&self, name: &str, address: Ipv4Addr, port: u16, user: &str) {
        let entry = format!("Host {name}\n  HostName {address}\nHost {name} {address}\n  Port {port}\n  User {user}\n");
        append(&self.ssh_config(), &entry);
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        processes::kill_logins(&self.network());
    }
}

/// The tool under test. Cargo names it to integration tests, also at run time.
fn tool(name: &str) -> PathBuf {
    let target = format!("{name}-under-test");
    let beside_us = || {
        let test = std::env::current_exe().expect("the running test has a path");
        Some(test.parent()?.parent()?.join(&target))
    };
    std::env::var_os(format!("CARGO_BIN_EXE_{target}"))
        .map(PathBuf::from)
        .or_else(beside_us)
        .filter(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built; run the end-to-end tests with cargo test -p fleet-tests"))
}

/// Tests run in many threads and processes, and each needs addresses that no other uses. Those of sandboxes begin at 127.64.
fn reserve_network() -> ((u8, u8), TcpListener) {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = u64::from(std::process::id()) * 61 + u64::from(COUNT.fetch_add(1, Ordering::Relaxed));
        let part = |number: u64, parts: u64| 2 + u8::try_from(number % parts).expect("less than 250");
        let network = (part(number / 250, 62), part(number, 250));
        if let Ok(reservation) = TcpListener::bind((Ipv4Addr::new(127, network.0, network.1, 254), RESERVATION_PORT)) {
            return (network, reservation);
        }
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("open a file of the test");
    file.write_all(text.as_bytes()).expect("write a file of the test");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("change the mode of a file of the test");
}
