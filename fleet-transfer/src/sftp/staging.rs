//! The folder beside the targets in which files are until they are whole, and what became of those of former copies.
//!
//! No process of ours is on the host: the one that works in a folder is on another machine. Its name says which, so that a
//! later copy from the same machine sees that it is gone, and removes the folder. From elsewhere nobody can see that: there
//! it counts for how long nobody has written to the folder's [`ALIVE`], by the clock of the host, which whoever works there
//! does every minute. Who is taken for gone and is not after all fails, and has replaced nothing.
//!
//! Must not know what is in these folders.

use std::sync::LazyLock;
use std::time::Duration;

use fleet_ssh::remote::Token;
use sha2::{Digest as _, Sha256};

use super::attributes::{FileAttributes, FileKind};
use super::client::{Client, SftpError};
use super::files::{if_there, join};
use super::packet::Opening;

/// How the names of all such folders begin, also of those that `remote::copy_in` makes.
const START: &[u8] = b".fleet-copy-";
/// What tells ours from those. They end in a host's name behind an `@`, by which their own program judges them.
const MARK: &str = "sftp";
/// The file by which others see that somebody works here.
const ALIVE: &[u8] = b"alive";
/// How often it is written.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The silence after which nobody does: long enough for a laptop that was closed to have lost its connection.
const SILENCE_SECS: u32 = 3600;

/// A process on this machine or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Author {
    /// The machine since it was started, and its space of process numbers.
    machine: String,
    pid: u32,
    /// When the process was started, in the system's own unit.
    birth: u64,
}

/// What is known of whether somebody lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Gone,
    Unknown,
}

impl Author {
    /// Us; `None` where the system has no `/proc`.
    fn us() -> Option<&'static Self> {
        static US: LazyLock<Option<Author>> = LazyLock::new(|| {
            let pid = std::process::id();
            Some(Author { machine: machine()?, pid, birth: birth(pid)? })
        });
        US.as_ref()
    }

    /// Reads the end of a folder's name.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('-');
        let (pid, birth, machine) = (words.next()?, words.next()?, words.next()?);
        let author = Self { machine: machine.to_owned(), pid: pid.parse().ok()?, birth: birth.parse().ok()? };
        words.next().is_none().then_some(author)
    }

    fn life(&self, us: Option<&Self>) -> Life {
        match us {
            Some(us) if us.machine == self.machine => match birth(self.pid) {
                Some(birth) if birth == self.birth => Life::Alive,
                _ => Life::Gone,
            },
            _ => Life::Unknown,
        }
    }
}

/// The start of the system, and the name space of processes: numbers mean the same where both are equal.
fn machine() -> Option<String> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let digest = Sha256::new().chain_update(boot).chain_update(space.as_os_str().as_encoded_bytes()).finalize();
    Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// When a process of this machine was started: the 22nd word of its `stat` (proc(5)), whose second may hold blanks.
fn birth(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The name of the folder of the copy with this mark.
fn name(mark: &Token) -> Vec<u8> {
    let author = match Author::us() {
        Some(Author { machine, pid, birth }) => format!("{pid}-{birth}-{machine}"),
        None => "0-0-0".to_owned(),
    };
    [START, mark.as_str().as_bytes(), b"-", MARK.as_bytes(), b"-", author.as_bytes()].concat()
}

/// Who made the folder of this name; `None` when it is none of ours.
fn author(name: &[u8]) -> Option<Author> {
    let text = std::str::from_utf8(name.strip_prefix(START)?).ok()?;
    let (_token, rest) = text.split_once('-')?;
    Author::parse(rest.strip_prefix(MARK)?.strip_prefix('-')?)
}

/// A folder that was made for a copy.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    /// Where it is.
    pub(super) path: Vec<u8>,
    /// Whose it is: the user who logged in, as the server has it.
    pub(super) owners: Option<(u32, u32)>,
}

impl Staging {
    /// Where one would be.
    pub(super) fn path_in(folder: &[u8], mark: &Token) -> Vec<u8> {
        join(folder, &name(mark))
    }

    /// Makes one in `folder`, and removes what former copies have left there.
    pub(super) async fn make(client: &Client, folder: &[u8], mark: &Token) -> Result<Self, SftpError> {
        let name = name(mark);
        let path = Self::path_in(folder, mark);
        // An earlier attempt at the same copy may have left it.
        if if_there(client.lstat(&path).await)?.is_some() {
            client.remove_tree(&path).await?;
        }
        client.make_folder(&path, 0o700).await?;
        let staging = Self { path, owners: None };
        let known = async {
            let known = client.stat(&staging.path).await?;
            staging.live(client).await?;
            Ok(known)
        };
        let known = known.await?;
        remove_leftovers(client, folder, &name, &known).await;
        Ok(Self { owners: known.owners, ..staging })
    }

    /// Says that somebody works here.
    async fn live(&self, client: &Client) -> Result<(), SftpError> {
        let file = client.open(&join(&self.path, ALIVE), Opening::Write).await?;
        client.write(&file, 0, b"\n").await?;
        client.close(file).await
    }

    /// Says so for as long as it is polled; returns when that fails.
    pub(super) async fn keep_alive(&self, client: &Client) -> SftpError {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            if let Err(error) = self.live(client).await {
                return error;
            }
        }
    }

    /// Removes the one at `path` with all that is in it; what cannot be, the next copy removes.
    pub(super) async fn remove(client: &Client, path: &[u8]) {
        if let Err(error) = if_there(client.remove_tree(path).await) {
            tracing::debug!("a folder of ours is left: {error}");
        }
    }
}

/// Removes the folders of copies that have come to no end. What cannot be judged or removed stays.
async fn remove_leftovers(client: &Client, folder: &[u8], own: &[u8], known: &FileAttributes) {
    let Ok(names) = client.list(folder).await else { return };
    for name in names {
        let Some(author) = author(&name.name).filter(|_| name.name != own) else { continue };
        let path = join(folder, &name.name);
        if is_left(client, &path, &author, known).await {
            tracing::info!("removing what a copy that was killed has left");
            let _ = client.remove_tree(&path).await;
        }
    }
}

/// Whether nobody works in a folder. `own` is what is known of one that was just made: the time on the host, and the user.
async fn is_left(client: &Client, path: &[u8], author: &Author, own: &FileAttributes) -> bool {
    let Ok(known) = client.lstat(path).await else { return false };
    let user = |known: &FileAttributes| known.owners.map(|(user, _)| user);
    if known.kind() != FileKind::Folder || user(&known) != user(own) {
        return false;
    }
    match author.life(Author::us()) {
        Life::Alive => false,
        Life::Gone => true,
        Life::Unknown => {
            let alive = client.lstat(&join(path, ALIVE)).await.unwrap_or(known);
            let changed = |known: &FileAttributes| known.times.map(|(_, changed)| changed);
            changed(&alive).zip(changed(own)).is_some_and(|(then, now)| now.saturating_sub(then) > SILENCE_SECS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_who_works_there() {
        let name = name(&Token::new(0xab));
        assert!(name.starts_with(b".fleet-copy-00000000000000ab-sftp-") && !name.contains(&b'@'));
        let found = author(&name).unwrap();
        assert_eq!(Some(&found), Author::us());
        for other in ["", "x", ".fleet-copy-ab-12-34@web1", ".fleet-copy-ab-sftp-1-2", ".fleet-copy-ab-sftp-1-2-3-4"] {
            assert_eq!(author(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn only_processes_of_this_machine_are_known_to_live_or_to_be_gone() {
        let us = Author::us().unwrap();
        let gone = Author { birth: us.birth + 1, ..us.clone() };
        let elsewhere = Author { machine: "0".to_owned(), ..us.clone() };
        for (author, expected) in [(us, Life::Alive), (&gone, Life::Gone), (&elsewhere, Life::Unknown)] {
            assert_eq!(author.life(Some(us)), expected, "{author:?}");
            assert_eq!(author.life(None), Life::Unknown, "{author:?}");
        }
    }
}
