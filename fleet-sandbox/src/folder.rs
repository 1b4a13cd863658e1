//! The folder of a sandbox: the files that make the tools and plain `ssh -F` use it, and the record by which it is found
//! again.
//!
//! While a sandbox runs, its process holds a lock on a file in the folder, which the system releases however the process
//! ends: the record is believed only while the lock is held.
//!
//! Must not know servers.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::leftovers;

const FOLDER_MODE: u32 = 0o700;
const PRIVATE_MODE: u32 = 0o600;

const HOSTS: &str = "hosts";
const USER_KEY: &str = "id_ed25519";
const USER_PUBLIC_KEY: &str = "id_ed25519.pub";
const KNOWN_HOSTS: &str = "known_hosts";
const SSH_CONFIG: &str = "ssh_config";
const FLEET_TOML: &str = "fleet.toml";
const RECORD: &str = "sandbox.json";
const LOCK: &str = "sandbox.lock";
const LOG: &str = "sandbox.log";
const HOMES: &str = "homes";
const LOCK_ATTEMPTS: usize = 20;
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// All that a sandbox makes in its folder; the lock last.
const CONTENTS: [&str; 10] =
    [HOMES, HOSTS, USER_KEY, USER_PUBLIC_KEY, KNOWN_HOSTS, SSH_CONFIG, FLEET_TOML, RECORD, LOG, LOCK];

/// What a running sandbox says about itself in `sandbox.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process that serves it.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub started_unix_secs: u64,
    /// Its hosts, in order.
    pub hosts: Vec<RecordedHost>,
}

/// One host in a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedHost {
    /// The name, as in the host file.
    pub name: String,
    /// The group it is in.
    pub role: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its public key, as in known_hosts without a name before it.
    pub host_key: String,
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderState {
    /// No sandbox, nor the remains of one.
    Absent,
    /// A sandbox that is not ready yet, or is stopping.
    Busy,
    /// A sandbox that serves.
    Running(Record),
    /// The remains of a sandbox whose process has gone.
    Stale,
}

/// Why a folder cannot be used or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder cannot be made, read, locked or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process serves a sandbox from it.
    #[error("a sandbox is already running in {}", .0.display())]
    InUse(PathBuf),
    /// It holds files that are no sandbox's.
    #[error("{} is neither empty nor the folder of a sandbox", .0.display())]
    Foreign(PathBuf),
    /// A path that the files' formats cannot hold.
    #[error("the path {} cannot be written into ssh_config: expected UTF-8 without quotes, backslashes, line ends, \"%\" and \"$\"", .0.display())]
    Path(PathBuf),
}

/// Finds out what `dir` holds.
///
/// # Errors
/// When the folder is there but cannot be read.
pub fn inspect(dir: &Path) -> Result<FolderState, FolderError> {
    let lock = match File::open(dir.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FolderState::Absent),
        Err(source) => return Err(FolderError::Io { action: "open", path: dir.join(LOCK), source }),
    };
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return Ok(FolderState::Stale);
    }
    let record = fs::read(dir.join(RECORD)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    Ok(record.map_or(FolderState::Busy, FolderState::Running))
}

/// Removes what a sandbox left in `dir`, its hosts' homes included, and `dir` itself when nothing else is in it. What its
/// commands have left running is killed.
///
/// # Errors
/// [`FolderError::InUse`] while one runs; otherwise when something cannot be removed.
pub fn clean(dir: &Path) -> Result<(), FolderError> {
    let _lock = match OpenOptions::new().read(true).write(true).open(dir.join(LOCK)) {
        Ok(lock) => hold(lock, dir)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FolderError::Io { action: "open", path: dir.join(LOCK), source }),
    };
    leftovers::kill(&dir.join(HOMES));
    for name in CONTENTS {
        let path = dir.join(name);
        let removed = if name == HOMES { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(FolderError::Io { action: "remove", path, source });
            }
            _ => {}
        }
    }
    // Not empty: somebody else's files stay, and so does their folder.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// A folder locked for one sandbox; free again when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes `dir` if necessary, for its owner only, and locks it.
    pub(crate) fn lock(dir: &Path) -> Result<Self, FolderError> {
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(dir);
        made.map_err(|source| FolderError::Io { action: "make", path: dir.to_owned(), source })?;
        let dir =
            fs::canonicalize(dir).map_err(|source| FolderError::Io { action: "find", path: dir.to_owned(), source })?;
        let is_quotable = |text: &str| !text.contains(['"', '\n', '\r', '\\', '%', '$']);
        if !dir.to_str().is_some_and(is_quotable) {
            return Err(FolderError::Path(dir));
        }
        if !dir.join(LOCK).exists() && !is_empty(&dir)? {
            return Err(FolderError::Foreign(dir));
        }
        let path = dir.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE_MODE).open(&path);
        let lock = hold(lock.map_err(|source| FolderError::Io { action: "open", path, source })?, &dir)?;
        let permissions = fs::Permissions::from_mode(FOLDER_MODE);
        fs::set_permissions(&dir, permissions).map_err(|source| FolderError::Io {
            action: "protect",
            path: dir.clone(),
            source,
        })?;
        // The record of an earlier sandbox must not be believed now that the lock is held.
        let _ = fs::remove_file(dir.join(RECORD));
        Ok(Self { dir, _lock: lock })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the homes of all hosts are in.
    pub(crate) fn homes(&self) -> PathBuf {
        self.dir.join(HOMES)
    }

    pub(crate) fn home(&self, host: &str) -> PathBuf {
        self.homes().join(host)
    }

    pub(crate) fn ssh_config(&self) -> PathBuf {
        self.dir.join(SSH_CONFIG)
    }

    pub(crate) fn fleet_toml(&self) -> PathBuf {
        self.dir.join(FLEET_TOML)
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.dir.join(KNOWN_HOSTS)
    }

    pub(crate) fn user_key(&self) -> PathBuf {
        self.dir.join(USER_KEY)
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join(HOSTS)
    }

    /// Writes all files but the record.
    pub(crate) fn write_files(&self, hosts: &[Arc<Host>], user_key: &PrivateKey) -> Result<(), FolderError> {
        let key_text = user_key.to_openssh(LineEnding::LF).map_err(io::Error::other);
        let key_text =
            key_text.map_err(|source| FolderError::Io { action: "encode", path: self.user_key(), source })?;
        self.write(USER_KEY, &key_text)?;
        self.write(USER_PUBLIC_KEY, &format!("{}\n", public_text(user_key)))?;
        self.write(HOSTS, &hosts_text(hosts))?;
        self.write(KNOWN_HOSTS, &known_hosts_text(hosts))?;
        self.write(SSH_CONFIG, &ssh_config_text(&self.dir, hosts))?;
        self.write(FLEET_TOML, "# Written by `fleet sandbox`.\nhosts = [\"hosts\"]\nssh_config = \"ssh_config\"\n")
    }

    /// Writes the record: from now on the sandbox counts as running.
    pub(crate) fn write_record(&self, record: &Record) -> Result<(), FolderError> {
        let text = serde_json::to_string_pretty(record).map_err(io::Error::other);
        let text = text.map_err(|source| FolderError::Io { action: "encode", path: self.dir.join(RECORD), source })?;
        self.write(RECORD, &text)
    }

    /// Removes the record: the sandbox is no longer running.
    pub(crate) fn remove_record(&self) {
        let _ = fs::remove_file(self.dir.join(RECORD));
    }

    /// Replaces the file `name` in one step, so that no reader sees half of it.
    fn write(&self, name: &'static str, text: &str) -> Result<(), FolderError> {
        let path = self.dir.join(name);
        let write = || -> io::Result<()> {
            // Readable by its owner only from the start.
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(text.as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| FolderError::Io { action: "write", path: path.clone(), source })
    }
}

/// Makes the home folder of a host, for its owner only, unless it is there.
pub(crate) fn make_home(home: &Path) -> Result<(), FolderError> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(home);
    made.map_err(|source| FolderError::Io { action: "make", path: home.to_owned(), source })
}

/// Somebody who only looks holds the lock too, but not for long.
fn hold(lock: File, dir: &Path) -> Result<File, FolderError> {
    for _ in 0..LOCK_ATTEMPTS {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => sleep(LOCK_RETRY),
            Err(error) => return Err(FolderError::Io { action: "lock", path: dir.join(LOCK), source: error.into() }),
        }
    }
    Err(FolderError::InUse(dir.to_owned()))
}

/// The log does not count: a daemon's log is there before its sandbox.
fn is_empty(dir: &Path) -> Result<bool, FolderError> {
    let entries =
        fs::read_dir(dir).map_err(|source| FolderError::Io { action: "read", path: dir.to_owned(), source })?;
    Ok(entries.flatten().all(|entry| entry.file_name() == LOG))
}

pub(crate) fn public_text(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap_or_default()
}

fn hosts_text(hosts: &[Arc<Host>]) -> String {
    let mut text = String::from("# Written by `fleet sandbox`.\n");
    let mut role = None;
    for host in hosts {
        if role != Some(&host.role) {
            let _ = writeln!(text, "[{}]", host.role);
            role = Some(&host.role);
        }
        let _ = writeln!(text, "{}", host.name);
    }
    text
}

/// Each key under the host's name, which is its HostKeyAlias, and under its address for clients without ssh_config.
fn known_hosts_text(hosts: &[Arc<Host>]) -> String {
    let line = |host: &Arc<Host>| {
        let (ip, port) = (host.address.ip(), host.address.port());
        format!("{},[{ip}]:{port} {}\n", host.name, public_text(&host.key))
    };
    hosts.iter().map(line).collect()
}

fn ssh_config_text(dir: &Path, hosts: &[Arc<Host>]) -> String {
    let mut text = String::from("# Written by `fleet sandbox`.\n");
    for host in hosts {
        let (name, ip, port) = (&host.name, host.address.ip(), host.address.port());
        let _ = write!(text, "Host {name}\n  HostName {ip}\n  Port {port}\n  HostKeyAlias {name}\n");
    }
    let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    let dir = dir.display();
    let _ = write!(
        text,
        "Host {}\n  User sandbox\n  IdentityFile \"{dir}/{USER_KEY}\"\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
         UserKnownHostsFile \"{dir}/{KNOWN_HOSTS}\"\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
        names.join(" ")
    );
    text
}
