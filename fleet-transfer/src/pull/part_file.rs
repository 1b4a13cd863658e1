//! A file that is being written beside its target.
//!
//! Must not know where its bytes come from, nor what is around it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};

use super::problem::Matter;
use super::root::{os, refused, unwritable};

/// What the names of files begin with that are not complete.
pub const PART_PREFIX: &[u8] = b".fleet-part-";

/// Smaller files that are not complete are not kept.
pub(super) const KEPT_BYTES: u64 = 64 << 10;

/// Blocks of zeros of this size become holes.
const HOLE_BYTES: usize = 4096;

/// A file that is not complete. Dropped, it stays beside its target to be continued, unless it is small.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    folder: Arc<OwnedFd>,
    beside: Vec<u8>,
    name: Vec<u8>,
    fate: Fate,
}

/// What becomes of the file when the value is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is kept if it is worth it.
    Judged,
    /// It has its name, or is left as it is.
    Settled,
}

impl PartFile {
    /// One that is to become `name` in `folder`, and is called `beside` until then.
    pub(super) fn new(file: File, folder: Arc<OwnedFd>, beside: Vec<u8>, name: &[u8]) -> Self {
        Self { file, folder, beside, name: name.to_vec(), fate: Fate::Judged }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes` at their place. Long runs of zeros become holes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), Matter> {
        let mut at = at;
        let mut waiting: (u64, &[u8]) = (at, &[]);
        let mut rest = bytes;
        // As few writes as there are parts between holes.
        while !rest.is_empty() {
            let (block, tail) = rest.split_at(rest.len().min(HOLE_BYTES));
            if block.len() == HOLE_BYTES && is_zero(block) {
                self.write(waiting)?;
                waiting = (at + HOLE_BYTES as u64, &tail[..0]);
            } else {
                let begin = bytes.len() - rest.len() - waiting.1.len();
                waiting.1 = &bytes[begin..bytes.len() - tail.len()];
            }
            at += block.len() as u64;
            rest = tail;
        }
        self.write(waiting)
    }

    fn write(&self, (at, bytes): (u64, &[u8])) -> Result<(), Matter> {
        if bytes.is_empty() { Ok(()) } else { self.file.write_all_at(bytes, at).map_err(|error| unwritable(&error)) }
    }

    /// The SHA-256 of its first `len` bytes, in hexadecimal digits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn digest(&self, len: u64) -> io::Result<String> {
        digest_of(&self.file, len)
    }

    /// Gives it its name, with this length and time.
    ///
    /// # Errors
    /// When it cannot be done, such as where a folder is.
    pub fn finish(mut self, len: u64, mtime: i64) -> Result<(), Matter> {
        self.file.set_len(len).map_err(|error| unwritable(&error))?;
        set_time(&self.file, mtime)?;
        rustix::fs::renameat(&self.folder, os(&self.beside), &self.folder, os(&self.name)).map_err(refused)?;
        self.fate = Fate::Settled;
        Ok(())
    }

    /// Leaves it beside its target, however small it is.
    pub fn leave(mut self) {
        self.fate = Fate::Settled;
    }

    /// Removes it.
    pub fn discard(mut self) {
        self.fate = Fate::Settled;
        let _ = rustix::fs::unlinkat(&self.folder, os(&self.beside), AtFlags::empty());
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        let is_small = || self.file.metadata().is_ok_and(|meta| meta.len() < KEPT_BYTES);
        if self.fate == Fate::Judged && is_small() {
            let _ = rustix::fs::unlinkat(&self.folder, os(&self.beside), AtFlags::empty());
        }
    }
}

pub(super) fn set_time(file: &File, mtime: i64) -> Result<(), Matter> {
    rustix::fs::futimens(file, &timestamps(mtime)).map_err(refused)
}

/// Of something that was last changed at `mtime`, in seconds since 1970.
pub(super) fn timestamps(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// The SHA-256 of the first `len` bytes of a file, in hexadecimal digits; of all of it when it is shorter.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of(file: &File, len: u64) -> io::Result<String> {
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    let mut at = 0;
    while at < len {
        let room = usize::try_from(len - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        match file.read_at(&mut buffer[..room], at)? {
            0 => break,
            read => {
                sha.update(&buffer[..read]);
                at += read as u64;
            }
        }
    }
    Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A block is compared with zeros in large steps.
fn is_zero(block: &[u8]) -> bool {
    static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];
    *block == ZEROS[..block.len()]
}

/// The name of the file that is to become `name`. Of one length, so that the longest name has one too.
pub(super) fn part_name(name: &[u8]) -> Vec<u8> {
    let digits: String = Sha256::digest(name)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    [PART_PREFIX, digits.as_bytes()].concat()
}
