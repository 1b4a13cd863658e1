//! What the sources are and what the hosts have before each run, and whether the hosts then have the same.
//!
//! Must not know the tools.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{Advice, fadvise, syncfs};

use crate::error::BenchError;
use crate::session_home::home;
use crate::site::Site;
use crate::sync::tools::Compression;
use crate::tools::run_to_end;

/// Of each of the many small files.
const SMALL_BYTES: usize = 1024;
/// Small files in one folder.
const PER_FOLDER: u32 = 100;
/// One of so many small files has changed.
const CHANGED_OF: u32 = 10;
/// Changed places of a large file, and bytes of each.
const BLOCKS: u64 = 1000;
const BLOCK_BYTES: usize = 4096;
const BUFFER_BYTES: usize = 1 << 18;
/// Files are as old as this: rsync looks closer at what is younger than a run.
const AGE: Duration = Duration::from_secs(3600);

/// What is different between here and the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing, in so many small files.
    Nothing { files: u32 },
    /// A tenth of so many small files.
    SomeFiles { files: u32 },
    /// A thousand blocks of a file of so many MiB, which cannot be compressed.
    Blocks { mib: u32 },
    /// A file of so many MiB, like a log, which the hosts do not have; it is compressed.
    NewText { mib: u32 },
}

impl Change {
    pub(crate) fn all(files: u32, mib: u32) -> [Self; 4] {
        [Self::Nothing { files }, Self::SomeFiles { files }, Self::Blocks { mib }, Self::NewText { mib }]
    }

    /// Also of the folder here, and of that on the hosts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing { .. } => "unchanged",
            Self::SomeFiles { .. } => "files",
            Self::Blocks { .. } => "blocks",
            Self::NewText { .. } => "text",
        }
    }

    /// As in the headings.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Nothing { files } => format!("{files} unchanged files"),
            Self::SomeFiles { files } => format!("{} changed of {files} files", files.div_ceil(CHANGED_OF)),
            Self::Blocks { mib } => format!("{BLOCKS} changed blocks in a file of {mib} MiB"),
            Self::NewText { mib } => format!("{mib} MiB of new text, compressed"),
        }
    }

    pub(crate) fn compression(self) -> Compression {
        if matches!(self, Self::NewText { .. }) { Compression::On } else { Compression::Off }
    }

    pub(crate) fn files(self) -> usize {
        self.names().len()
    }

    /// Of the sources.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Nothing { files } | Self::SomeFiles { files } => u64::from(files) * SMALL_BYTES as u64,
            Self::Blocks { mib } | Self::NewText { mib } => u64::from(mib) << 20,
        }
    }

    /// What sources and hosts need of a disk, one change at a time. A small file takes a block, one for what the file
    /// system knows of it, and a name in a folder.
    pub(crate) fn room_bytes(changes: &[Self], hosts: usize) -> u64 {
        let of_copy = |change: &Self| match change {
            Self::Nothing { files } | Self::SomeFiles { files } => u64::from(*files) * 8192,
            _ => change.bytes(),
        };
        changes.iter().map(|change| of_copy(change) * (hosts as u64 + 2)).max().unwrap_or(0)
    }

    fn names(self) -> Vec<PathBuf> {
        match self {
            Self::Nothing { files } | Self::SomeFiles { files } => (0..files).map(small_name).collect(),
            Self::Blocks { .. } | Self::NewText { .. } => vec![PathBuf::from("file")],
        }
    }

    /// Those that the hosts have in an older form, or not at all.
    fn changed(self) -> BTreeSet<PathBuf> {
        match self {
            Self::Nothing { .. } => BTreeSet::new(),
            Self::SomeFiles { files } => (0..files).step_by(CHANGED_OF as usize).map(small_name).collect(),
            Self::Blocks { .. } | Self::NewText { .. } => self.names().into_iter().collect(),
        }
    }
}

fn small_name(number: u32) -> PathBuf {
    PathBuf::from(format!("{:04}/{number:07}", number / PER_FOLDER))
}

/// A change, on the disk.
#[derive(Debug)]
pub(crate) struct States {
    change: Change,
    source: PathBuf,
    old: PathBuf,
    /// The folder of each host.
    places: Vec<PathBuf>,
    owner: u32,
}

impl States {
    /// Writes the source and what the hosts of `site` have, below `folder`. Files of the hosts are hard links to the
    /// source or to an older form of it, and belong to the account that is logged in to.
    pub(crate) fn make(change: Change, folder: &Path, site: &Site) -> Result<Self, BenchError> {
        let owner = run_to_end(Command::new("id").args(["-u", &site.user]))?;
        let place = |address: &Ipv4Addr| home(folder, *address).join(change.name());
        let states = Self {
            change,
            source: folder.join("source").join(change.name()),
            old: folder.join("old").join(change.name()),
            places: site.addresses.iter().map(place).collect(),
            owner: owner.trim().parse().expect("id(1) prints a number"),
        };
        states.write().map_err(BenchError::file(&states.source))?;
        Ok(states)
    }

    fn write(&self) -> io::Result<()> {
        let changed = self.change.changed();
        for (seed, name) in (1..).zip(self.change.names()) {
            let (file, old) = (self.source.join(&name), self.old.join(&name));
            self.make_folders(&self.source, &name)?;
            match self.change {
                Change::Nothing { .. } | Change::SomeFiles { .. } => write_noise(&file, SMALL_BYTES as u64, seed)?,
                Change::Blocks { .. } => write_noise(&file, self.change.bytes(), seed)?,
                Change::NewText { .. } => write_text(&file, self.change.bytes())?,
            }
            self.finish(&file, AGE)?;
            if changed.contains(&name) && self.change.compression() == Compression::Off {
                self.make_folders(&self.old, &name)?;
                fs::copy(&file, &old)?;
                spoil(&old)?;
                self.finish(&old, AGE * 2)?;
            }
        }
        for place in &self.places {
            for name in self.change.names() {
                self.make_folders(place, &name)?;
                self.give(place, &name, changed.contains(&name))?;
            }
            self.take_times_of_folders(place)?;
        }
        syncfs(File::open(&self.source)?)?;
        Ok(())
    }

    /// The folders of a file, for the account that is logged in to.
    fn make_folders(&self, root: &Path, name: &Path) -> io::Result<()> {
        let folder = root.join(name).parent().unwrap_or(root).to_owned();
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        self.hand_over(root)?;
        self.hand_over(&folder)
    }

    fn hand_over(&self, path: &Path) -> io::Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        if is_root { chown(path, Some(self.owner), None) } else { Ok(()) }
    }

    fn finish(&self, file: &Path, age: Duration) -> io::Result<()> {
        let time = SystemTime::now() - age;
        File::options().write(true).open(file)?.set_modified(time)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
        self.hand_over(file)
    }

    /// What a host has of a file.
    fn give(&self, place: &Path, name: &Path, is_changed: bool) -> io::Result<()> {
        let kept = if is_changed { &self.old } else { &self.source };
        match fs::hard_link(kept.join(name), place.join(name)) {
            // That of new text is not there.
            Err(error) if is_changed && error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn take_times_of_folders(&self, place: &Path) -> io::Result<()> {
        let names = self.change.names();
        let within: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
        within.into_iter().chain([Path::new("")]).try_for_each(|folder| {
            let time = fs::metadata(self.source.join(folder))?.modified()?;
            File::open(place.join(folder))?.set_modified(time)
        })
    }

    pub(crate) fn change(&self) -> Change {
        self.change
    }

    /// The folder here.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// Takes the source out of the system's cache, so that who reads it reads from the disk.
    pub(crate) fn forget(&self) -> Result<(), BenchError> {
        self.change.changed().iter().map(|name| self.source.join(name)).try_for_each(|path| {
            let forgotten = File::open(&path).and_then(|file| Ok(fadvise(&file, 0, None, Advice::DontNeed)?));
            forgotten.map_err(BenchError::file(&path))
        })
    }

    /// How many files of the first `hosts` hosts have the size and time of the source, and where they were to change its
    /// bytes.
    pub(crate) fn count_right(&self, hosts: usize) -> usize {
        let (names, changed) = (self.change.names(), self.change.changed());
        let is_right = |place: &Path, name: &PathBuf| -> io::Result<bool> {
            let (source, file) = (self.source.join(name), place.join(name));
            let (wanted, found) = (fs::metadata(&source)?, fs::metadata(&file)?);
            let is_same = wanted.len() == found.len() && wanted.modified()? == found.modified()?;
            Ok(is_same && (!changed.contains(name) || have_same_bytes(&source, &file)?))
        };
        let places = self.places.iter().take(hosts);
        places.map(|place| names.iter().filter(|name| is_right(place, name).unwrap_or(false)).count()).sum()
    }

    /// Gives the first `hosts` hosts again what they had.
    pub(crate) fn restore(&self, hosts: usize) -> Result<(), BenchError> {
        let changed = self.change.changed();
        let restore = |place: &PathBuf| -> io::Result<()> {
            if matches!(self.change, Change::Blocks { .. } | Change::NewText { .. }) {
                // With what a tool that was stopped has left.
                fs::remove_dir_all(place)?;
            }
            for name in &changed {
                self.make_folders(place, name)?;
                match fs::remove_file(place.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => self.give(place, name, true)?,
                }
            }
            Ok(())
        };
        self.places.iter().take(hosts).try_for_each(|place| restore(place).map_err(BenchError::file(place)))
    }

    /// Removes it all, to make room.
    pub(crate) fn remove(&self) -> Result<(), BenchError> {
        let folders = [&self.source, &self.old].into_iter().chain(&self.places);
        folders
            .filter(|folder| folder.exists())
            .try_for_each(|folder| fs::remove_dir_all(folder).map_err(BenchError::file(folder)))
    }
}

/// xorshift64 of Marsaglia; seeds that are near each other do not begin alike.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes that cannot be compressed, others for each seed but 0. `bytes` is a multiple of 8.
fn write_noise(path: &Path, bytes: u64, seed: u64) -> io::Result<()> {
    let mut file =
        BufWriter::with_capacity(BUFFER_BYTES.min(usize::try_from(bytes).unwrap_or(BUFFER_BYTES)), File::create(path)?);
    let mut noise = Noise::new(seed);
    (0..bytes / 8).try_for_each(|_| file.write_all(&noise.next().to_le_bytes()))?;
    file.flush()
}

/// Lines like those of a log.
fn write_text(path: &Path, bytes: u64) -> io::Result<()> {
    const WORDS: [&str; 8] = ["request", "answered", "connection", "closed", "timeout", "retry", "worker", "queue"];
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    let (mut noise, mut written) = (Noise::new(1), 0);
    while written < bytes {
        let next = noise.next();
        let word = |shift: u32| WORDS[usize::try_from(next >> shift & 7).unwrap_or(0)];
        let line = format!(
            "2026-01-{:02}T{:02}:00:00 {} {} {} id={:08x} took={} ms\n",
            next % 28 + 1,
            next >> 8 & 15,
            word(16),
            word(20),
            word(24),
            next >> 32,
            next >> 40 & 1023,
        );
        let taken = line.len().min(usize::try_from(bytes - written).unwrap_or(usize::MAX));
        file.write_all(&line.as_bytes()[..taken])?;
        written += taken as u64;
    }
    file.flush()
}

/// Makes a thousand places of a file different, or the whole of a small one.
fn spoil(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let blocks = BLOCKS.min(file.metadata()?.size() / BLOCK_BYTES as u64).max(1);
    let apart = file.metadata()?.size() / blocks;
    let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(apart).unwrap_or(BLOCK_BYTES))];
    for number in 0..blocks {
        let at = number * apart;
        file.read_exact_at(&mut block, at)?;
        block.iter_mut().for_each(|byte| *byte ^= 0x5A);
        file.write_all_at(&block, at)?;
    }
    Ok(())
}

fn have_same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut first, mut second) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let length = one.read(&mut first)?;
        if length == 0 {
            return Ok(other.read(&mut second)? == 0);
        }
        if other.read_exact(&mut second[..length]).is_err() || first[..length] != second[..length] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let user = run_to_end(Command::new("id").arg("-un")).unwrap().trim().to_owned();
        let addresses = vec![Ipv4Addr::new(127, 9, 9, 1), Ipv4Addr::new(127, 9, 9, 2)];
        Site { addresses, port: 22, user, key: "key".into(), known_hosts: "known".into() }
    }

    #[test]
    fn hosts_lack_what_has_changed_and_have_it_again_after_each_run() {
        for (change, missing) in Change::all(210, 8).into_iter().zip([0, 21, 1, 1]) {
            let folder = tempfile::tempdir().unwrap();
            let states = States::make(change, folder.path(), &site()).unwrap();
            let expected = 2 * (change.files() - missing);
            assert_eq!(states.count_right(2), expected, "{change:?}");
            for name in change.changed() {
                let there = states.places[0].join(&name);
                let _ = fs::remove_file(&there);
                fs::hard_link(states.source.join(&name), there).unwrap();
            }
            assert_eq!(states.count_right(2), expected + missing, "{change:?}");
            states.restore(2).unwrap();
            assert_eq!(states.count_right(2), expected, "{change:?}");
            states.remove().unwrap();
            assert!(states.places.iter().all(|place| !place.exists()));
        }
    }

    #[test]
    fn an_older_form_differs_in_a_thousand_blocks_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (file, old) = (folder.path().join("file"), folder.path().join("old"));
        write_noise(&file, 16 << 20, 7).unwrap();
        fs::copy(&file, &old).unwrap();
        spoil(&old).unwrap();
        let (file, old) = (fs::read(file).unwrap(), fs::read(old).unwrap());
        let differing = file.iter().zip(&old).filter(|(one, other)| one != other).count();
        assert_eq!(differing, 1000 * BLOCK_BYTES);
    }
}
