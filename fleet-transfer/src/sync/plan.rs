//! What a run is told, and what it counts.
//!
//! Must not know how any of it is done.

use fleet_rsync::filter::{Excluded, Rules};
use fleet_rsync::flist::Fields;
use fleet_rsync::session::Delete;
use fleet_rsync::sources::Named;
use fleet_rsync::wire::greeting::Compression;

use super::Chmod;
use crate::bandwidth::Rate;

/// What is brought to the hosts, and how: the same for all of them but for the destination.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "options of rsync that are set or not, each known by its own letter")]
pub struct SyncPlan {
    /// At least one.
    pub sources: Vec<Named>,
    /// Whether they are of a list: one that is missing is a problem of this run, and no error.
    pub sources_are_listed: bool,
    /// Whether they keep their paths: `-R`.
    pub relative: bool,
    /// `-r`. Without it, folders themselves alone, and of those that are named with a `/` behind also their entries.
    pub recursive: bool,
    /// Which of it.
    pub rules: Rules,
    /// Whether what is excluded is deleted: `--delete-excluded` itself is also one of `forwarded`.
    pub excluded: Excluded,
    /// What is kept of entries; without a `digest`: that is `checksum`.
    pub fields: Fields,
    /// `-p`
    pub permissions: bool,
    /// `-t`
    pub times: bool,
    /// `-n`
    pub dry_run: bool,
    /// `-c`
    pub checksum: bool,
    /// `-W`
    pub whole_file: bool,
    /// Whether [`SyncEnd::changes`](super::SyncEnd) is wanted, also of entries of which attributes alone differ. Without
    /// it nothing is kept.
    pub itemize: bool,
    /// `-L`: what symlinks point to is brought in their place.
    pub copy_links: bool,
    /// `-x`: other file systems below the sources are left out, but for the folders that they are mounted on.
    pub one_file_system: bool,
    /// `--chmod`
    pub chmod: Option<Chmod>,
    /// `--delete` and its forms.
    pub delete: Option<Delete>,
    /// `-z`, `--compress-choice`
    pub compression: Compression,
    /// `--compress-level`
    pub level: Option<i32>,
    /// Options that concern the receiver alone, as the server takes them.
    pub forwarded: Vec<Vec<u8>>,
    /// Those of them that are letters.
    pub forwarded_letters: String,
    /// `-m`: folders without any file below them are not brought.
    pub prune: bool,
    /// `--inplace`: the server changes its old copies themselves.
    pub in_place: bool,
    /// What may be kept for other hosts, in bytes.
    pub memory_bytes: usize,
    /// The limit of all hosts together.
    pub total_rate: Option<Rate>,
    /// The limit of each.
    pub host_rate: Option<Rate>,
}

impl SyncPlan {
    /// `-a` of `sources`, and nothing more.
    #[must_use]
    pub fn archive(sources: Vec<Named>) -> Self {
        Self {
            sources,
            sources_are_listed: false,
            relative: false,
            recursive: true,
            rules: Rules::new(),
            excluded: Excluded::Kept,
            fields: Fields::ARCHIVE,
            permissions: true,
            times: true,
            dry_run: false,
            checksum: false,
            whole_file: false,
            itemize: false,
            copy_links: false,
            one_file_system: false,
            chmod: None,
            delete: None,
            compression: Compression::Off,
            level: None,
            forwarded: Vec::new(),
            forwarded_letters: String::new(),
            prune: false,
            in_place: false,
            memory_bytes: 256 << 20,
            total_rate: None,
            host_rate: None,
        }
    }
}

/// What was computed, and what was used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncStats {
    /// Lists that were encoded, one for each kind of server.
    pub lists: u64,
    /// Deltas that were computed: searches, and digests of what is sent whole.
    pub deltas: u64,
    /// Deltas that another host had.
    pub deltas_reused: u64,
    /// Segments that were compressed, or framed where nothing is compressed.
    pub segments: u64,
    /// Segments that another host had.
    pub segments_reused: u64,
    /// Bytes of source files that were read.
    pub source_bytes: u64,
    /// The most bytes that were ever kept for other hosts.
    pub peak_bytes: u64,
}
