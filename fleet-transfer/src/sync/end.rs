//! How a conversation ended: what changed, what was said, what went wrong.
//!
//! Must not know exit statuses, nor how any of it is shown.

use bytes::Bytes;
use fleet_rsync::flist::{Item, ItemKind};
use fleet_rsync::session::{Deleted, SessionError};
use fleet_rsync::wire::greeting::Agreed;
use fleet_rsync::wire::mux::Severity;
use thiserror::Error;

use super::source::{Problem, Source};

/// Why a conversation did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DriveError {
    /// What the server says is not what a server says. Noise of a login shell is
    /// [`GreetingError::Noise`](fleet_rsync::wire::greeting::GreetingError::Noise) in it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Something on our own side.
    #[error("{0}")]
    Local(String),
}

/// Something that was changed at the destination, or with `-n` would be. Equal for hosts at which the same is changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Changed {
    /// An entry of the list.
    Entry {
        /// Its index, the same for all hosts.
        index: u32,
        /// The letters of `rsync -i`: `<f.st......`.
        letters: [u8; 11],
        /// What it becomes a hard link to.
        link: Option<Bytes>,
    },
    /// Something that is not in the list.
    Deleted {
        /// Its name below the destination.
        path: Bytes,
        /// Whether it was a folder.
        folder: bool,
    },
}

/// Something that the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How bad it thinks that is.
    pub severity: Severity,
    /// A line or more, from a stranger.
    pub text: Bytes,
}

/// How a conversation ended.
#[derive(Debug, Clone, Default)]
pub struct SyncEnd {
    /// Whether all was said. Only then the exit status counts: 0, 23, 24 and 25 are of servers that did what they could.
    pub complete: bool,
    /// Why it is not complete; `None` also where the server just ended.
    pub failure: Option<DriveError>,
    /// What both sides agreed on; `None` if it did not come to that.
    pub agreed: Option<Agreed>,
    /// The exit code that the server announced in a frame, where it gave up.
    pub error_exit: Option<i32>,
    /// What changed, in the order in which the server told it; if that was wanted.
    pub changes: Vec<Changed>,
    /// How many entries of the list differed.
    pub changed: u64,
    /// How many of them are new at the destination.
    pub created: u64,
    /// How many deletions were told: with `--delete`, also with `-n`.
    pub deleted: u64,
    /// What the server has deleted, by kinds, if it told (protocol 31, not with `-n`).
    pub deleted_kinds: Option<Deleted>,
    /// What the server said in frames, at most 64 KiB.
    pub said: Vec<Said>,
    /// What it said on standard error: as servers since 3.2.7 do; the last 64 KiB.
    pub standard_error: Vec<u8>,
    /// Files of which content was sent, each as often as it was.
    pub files_sent: u64,
    /// Bytes of content that were sent, before compression.
    pub literal_bytes: u64,
    /// Bytes of content that the server took from its own copies.
    pub matched_bytes: u64,
    /// All bytes that went to the server.
    pub sent_bytes: u64,
    /// All bytes that came from it.
    pub received_bytes: u64,
    /// Files that could not be sent, or not as they were in the end.
    pub unsent: Vec<Problem>,
}

/// `rsync -i`'s line.
pub(super) fn line(changed: &Changed, source: &Source) -> Vec<u8> {
    match changed {
        Changed::Deleted { path, folder } => {
            let slash: &[u8] = if *folder && !path.ends_with(b"/") { b"/" } else { b"" };
            [b"*deleting   ", &path[..], slash].concat()
        }
        Changed::Entry { index, letters, link } => {
            let item = source.item(*index);
            let mut line = [&letters[..], b" "].concat();
            item.iter().for_each(|item| line.extend(named(item)));
            link.iter().for_each(|link| line.extend([b" => ", &link[..]].concat()));
            line
        }
    }
}

fn named(item: &Item) -> Vec<u8> {
    match &item.kind {
        ItemKind::Directory => [&item.path[..], b"/"].concat(),
        ItemKind::Symlink { target } => [&item.path[..], b" -> ", target].concat(),
        _ => item.path.clone(),
    }
}
