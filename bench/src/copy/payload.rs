//! What is copied, and whether it arrived.
//!
//! Must not know the tools, nor where the hosts are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise, syncfs};
use sha2::{Digest as _, Sha256};

/// Of each of the many small files.
const SMALL_BYTES: u64 = 4096;
/// Small files in one folder.
const PER_FOLDER: u32 = 100;
/// Of a buffer for reading and writing.
const BUFFER_BYTES: usize = 1 << 18;

/// The kinds of things to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One file of so many MiB.
    File { mib: u32 },
    /// A folder with so many files of 4 KiB, a hundred in each of its folders.
    Tree { files: u32 },
}

impl Kind {
    /// The name of the file or the folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Tree { .. } => "tree",
        }
    }

    pub(crate) fn files(self) -> usize {
        match self {
            Self::File { .. } => 1,
            Self::Tree { files } => files as usize,
        }
    }

    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::File { mib } => u64::from(mib) << 20,
            Self::Tree { files } => u64::from(files) * SMALL_BYTES,
        }
    }

    /// What a copy takes of a disk: a small file takes another block for what the file system knows of it.
    pub(crate) fn room_bytes(self) -> u64 {
        match self {
            Self::File { .. } => self.bytes(),
            Self::Tree { .. } => self.bytes() * 2,
        }
    }

    /// As in the headings.
    pub(crate) fn title(self) -> String {
        match self {
            Self::File { mib } => format!("a file of {mib} MiB"),
            Self::Tree { files } => format!("{files} files of 4 KiB"),
        }
    }

    /// Names below the file or folder, with the lengths; of the file itself the name is empty.
    fn names(self) -> Vec<(PathBuf, u64)> {
        match self {
            Self::File { .. } => vec![(PathBuf::new(), self.bytes())],
            Self::Tree { files } => (0..files).map(|number| (small_name(number), SMALL_BYTES)).collect(),
        }
    }
}

fn small_name(number: u32) -> PathBuf {
    PathBuf::from(format!("{:04}/{number:07}", number / PER_FOLDER))
}

/// Something to copy, on the disk, with the digest of each file.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) kind: Kind,
    /// The file or the folder.
    pub(crate) path: PathBuf,
    digests: BTreeMap<PathBuf, Vec<u8>>,
}

impl Payload {
    /// Writes it into `folder`, down to the disk.
    pub(crate) fn write(kind: Kind, folder: &Path) -> io::Result<Self> {
        let path = folder.join(kind.name());
        let mut digests = BTreeMap::new();
        for (seed, (name, bytes)) in (1_u64..).zip(kind.names()) {
            let file = below(&path, &name);
            fs::create_dir_all(file.parent().unwrap_or(folder))?;
            digests.insert(name, write_noise(&file, bytes, seed)?);
        }
        // What is not on the disk yet cannot be taken out of the cache.
        syncfs(File::open(folder)?)?;
        Ok(Self { kind, path, digests })
    }

    /// Gives the same to a host, without taking room: each file is a hard link.
    pub(crate) fn link_into(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(self.kind.name());
        for name in self.digests.keys() {
            let link = below(&path, name);
            fs::create_dir_all(link.parent().unwrap_or(folder))?;
            fs::hard_link(below(&self.path, name), link)?;
        }
        Ok(())
    }

    /// Takes it out of the system's cache, so that who reads it reads from the disk.
    pub(crate) fn forget(&self) -> io::Result<()> {
        self.digests.keys().try_for_each(|name| {
            let file = File::open(below(&self.path, name))?;
            Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
        })
    }

    /// How many of the files are at `path` with the right bytes. Others that are there too are passed over.
    pub(crate) fn count_right(&self, path: &Path) -> usize {
        let is_right =
            |(name, digest): &(&PathBuf, &Vec<u8>)| digest_of(&below(path, name)).is_ok_and(|found| found == **digest);
        self.digests.iter().filter(is_right).count()
    }
}

/// `path` itself for an empty name: joined, it would end in a slash.
fn below(path: &Path, name: &Path) -> PathBuf {
    if name.as_os_str().is_empty() { path.to_owned() } else { path.join(name) }
}

/// Bytes that cannot be compressed (xorshift64 of Marsaglia), others for each seed but 0. Returns the digest.
fn write_noise(path: &Path, bytes: u64, seed: u64) -> io::Result<Vec<u8>> {
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    let mut digest = Sha256::new();
    // Seeds that are near each other should not begin alike.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut left = bytes;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(word.len());
        file.write_all(&word[..taken])?;
        digest.update(&word[..taken]);
        left -= taken as u64;
    }
    file.flush()?;
    Ok(digest.finalize().to_vec())
}

fn digest_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().to_vec()),
            length => digest.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_the_right_bytes_count() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Kind::File { mib: 1 }, Kind::Tree { files: 102 }] {
            let payload = Payload::write(kind, folder.path()).unwrap();
            assert_eq!(payload.count_right(&payload.path), kind.files());
            let copy = folder.path().join("host");
            fs::create_dir_all(&copy).unwrap();
            payload.link_into(&copy).unwrap();
            let copy = copy.join(kind.name());
            assert_eq!(payload.count_right(&copy), kind.files(), "{kind:?}");
            let (last, _) = kind.names().pop().unwrap();
            let changed = below(&copy, &last);
            let mut bytes = fs::read(&changed).unwrap();
            bytes[7] ^= 1;
            fs::remove_file(&changed).unwrap();
            assert_eq!(payload.count_right(&copy), kind.files() - 1, "missing: {kind:?}");
            fs::write(&changed, bytes).unwrap();
            assert_eq!(payload.count_right(&copy), kind.files() - 1, "changed: {kind:?}");
        }
    }

    #[test]
    fn files_are_as_many_and_as_long_as_said_and_differ() {
        let folder = tempfile::tempdir().unwrap();
        let kind = Kind::Tree { files: 3 };
        let payload = Payload::write(kind, folder.path()).unwrap();
        let lengths: u64 =
            payload.digests.keys().map(|name| fs::metadata(payload.path.join(name)).unwrap().len()).sum();
        assert_eq!(lengths, kind.bytes());
        let digests: std::collections::HashSet<_> = payload.digests.values().collect();
        assert_eq!(digests.len(), 3);
    }
}
