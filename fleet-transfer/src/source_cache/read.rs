//! Reads what a span names, and notices when it is not what was listed. Blocks; runs on threads made for that.
//!
//! Must not know readers, nor what is kept.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use fleet_ssh::remote::Verify;
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::plan::{Span, content_len};
use super::sums::Sums;
use super::{CHUNK_LEN, Framing, Part};
use crate::digest::{Digest, Digester};
use crate::manifest::{Entry, EntryKind, Manifest};
use crate::reason;

/// How many files are kept open: those that are read in parts. Another is opened again when it is its turn.
const MAX_OPEN: usize = 16;
/// Speed before size: the network is to wait, not the compressor. At level 1 zlib-rs never stores, so what cannot be made
/// smaller would grow by a twentieth.
const LEVEL: u32 = 2;

/// Why the content of a file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The system does not let us.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Where it is on this machine.
        path: PathBuf,
        /// As the system puts it.
        reason: String,
    },
    /// It is no longer what it was when the copy began.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// Where it is on this machine.
        path: PathBuf,
    },
}

impl SourceError {
    fn unreadable(entry: &Entry, error: &io::Error) -> Self {
        Self::Unreadable { path: entry.source.clone(), reason: reason(error) }
    }

    fn changed(entry: &Entry) -> Self {
        Self::Changed { path: entry.source.clone() }
    }
}

/// What is read, in the order of the spans, with what stands before and behind each content.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) plain: Vec<u8>,
    pub(super) parts: Vec<Part>,
}

/// The files of a manifest.
pub(super) struct Files {
    manifest: Arc<Manifest>,
    framing: Arc<dyn Framing>,
    pub(super) sums: Sums,
    /// The digest that is made of files.
    pub(super) verify: Verify,
    open: Mutex<BTreeMap<usize, Arc<File>>>,
    /// What each file was when it was first opened.
    identities: Mutex<BTreeMap<usize, Identity>>,
    pub(super) read_bytes: AtomicU64,
    pub(super) read_at: ReadAt,
}

/// [`append`], or what a test has in its place.
type ReadAt = fn(&File, &mut Vec<u8>, usize, u64) -> io::Result<()>;

/// Tells a file from what it may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    /// In seconds and nanoseconds.
    modified: (i64, i64),
}

impl Files {
    pub(super) fn new(manifest: Arc<Manifest>, framing: Arc<dyn Framing>, sums: Sums, verify: Verify) -> Self {
        Self {
            manifest,
            framing,
            sums,
            verify,
            open: Mutex::default(),
            identities: Mutex::default(),
            read_bytes: AtomicU64::new(0),
            read_at: append,
        }
    }

    /// Reads `spans`, which have `len` bytes together. What cannot be read is left out when its content begins here, and
    /// zeros else: who takes part in a stream has announced its length by then.
    pub(super) fn read(&self, spans: &[Span], len: usize) -> Read {
        let mut read = Read { plain: Vec::with_capacity(len), parts: Vec::with_capacity(spans.len()) };
        for span in spans {
            self.read_one(span, &mut read);
        }
        read
    }

    fn read_one(&self, span: &Span, read: &mut Read) {
        let entry = &self.manifest.entries[span.entry];
        let plain = &mut read.plain;
        let start = plain.len();
        if span.offset == 0 {
            plain.extend_from_slice(&self.framing.before(entry));
        }
        let mut content = plain.len()..plain.len() + span.len;
        let mut failure = None;
        if matches!(entry.kind, EntryKind::File { .. }) {
            match self.content(entry, span, plain) {
                Ok(()) => self.sums.feed(&self.manifest, span, &plain[content.clone()]),
                Err(error) => {
                    self.sums.fail(&self.manifest, span.entry);
                    plain.truncate(content.start);
                    failure = Some(Arc::new(error));
                }
            }
        }
        plain.resize(content.end, 0);
        if span.ends {
            plain.resize(content.end + self.framing.after(content_len(entry)), 0);
        }
        if failure.is_some() && span.offset == 0 {
            plain.truncate(start);
            content = start..start;
        }
        read.parts.push(Part { entry: span.entry, offset: span.offset, bytes: start..plain.len(), content, failure });
    }

    /// The digest of some files, read anew.
    pub(super) fn digest(&self, files: &[usize]) -> Result<Digest, SourceError> {
        let mut digester = Digester::new(self.verify);
        let mut buffer = Vec::with_capacity(CHUNK_LEN);
        for &entry in files {
            let len = content_len(&self.manifest.entries[entry]);
            let mut offset = 0;
            digester.start_file();
            loop {
                let part = usize::try_from(len - offset).map_or(CHUNK_LEN, |left| left.min(CHUNK_LEN));
                let span = Span { entry, offset, len: part, ends: offset + part as u64 == len };
                buffer.clear();
                self.content(&self.manifest.entries[entry], &span, &mut buffer)?;
                digester.update(&buffer);
                offset += part as u64;
                if span.ends {
                    break;
                }
            }
        }
        Ok(digester.finish())
    }

    /// Appends what a span names to `buffer`; or something else, when it fails.
    fn content(&self, entry: &Entry, span: &Span, buffer: &mut Vec<u8>) -> Result<(), SourceError> {
        let file = self.opened(entry, span)?;
        (self.read_at)(&file, buffer, span.len, span.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SourceError::changed(entry),
            _ => SourceError::unreadable(entry, &error),
        })?;
        self.read_bytes.fetch_add(span.len as u64, Ordering::Relaxed);
        if !span.ends {
            return Ok(());
        }
        let now = identity(&file.metadata().map_err(|error| SourceError::unreadable(entry, &error))?);
        lock(&self.open).remove(&span.entry);
        if self.is_known_as(span.entry, now) { Ok(()) } else { Err(SourceError::changed(entry)) }
    }

    fn opened(&self, entry: &Entry, span: &Span) -> Result<Arc<File>, SourceError> {
        if let Some(file) = lock(&self.open).get(&span.entry) {
            return Ok(Arc::clone(file));
        }
        // What is a fifo by now must not make us wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&entry.source, flags, Mode::empty())
            .map_err(|error| SourceError::unreadable(entry, &error.into()))?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(|error| SourceError::unreadable(entry, &error))?;
        let is_as_listed =
            metadata.is_file() && metadata.len() == content_len(entry) && metadata.mtime() == entry.mtime;
        if !is_as_listed || !self.is_known_as(span.entry, identity(&metadata)) {
            return Err(SourceError::changed(entry));
        }
        let file = Arc::new(file);
        if !span.ends {
            let mut open = lock(&self.open);
            if open.len() >= MAX_OPEN {
                open.pop_first();
            }
            open.insert(span.entry, Arc::clone(&file));
        }
        Ok(file)
    }

    fn is_known_as(&self, entry: usize, identity: Identity) -> bool {
        *lock(&self.identities).entry(entry).or_insert(identity) == identity
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("read_bytes", &self.read_bytes).finish_non_exhaustive()
    }
}

/// Appends `len` bytes of a file, from `offset` on. They go into room that was not filled with zeros before, which takes
/// half as long as to encrypt them.
fn append(file: &File, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
    let start = buffer.len();
    buffer.reserve_exact(len);
    while buffer.len() < start + len {
        let at = offset + (buffer.len() - start) as u64;
        match rustix::io::pread(file, spare_capacity(buffer), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may be room for more than this span, and more in a file that has grown.
    buffer.truncate(start + len);
    Ok(())
}

/// `plain` as one gzip member: members one behind the other are a gzip file (RFC 1952, 2.2).
pub(crate) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(most_compressed(plain.len())), Compression::new(LEVEL));
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

/// The most bytes that [`compress`] makes of `len`: DEFLATE stores what it cannot make smaller, in blocks of at least
/// 16 KiB with 5 bytes each; RFC 1952 adds 18.
pub(super) fn most_compressed(len: usize) -> usize {
    len + len / 1024 + 64
}

/// Where each part is in the bytes that remain when only some are wanted.
pub(super) fn moved(part: &Part, to: usize) -> Part {
    let by = |range: &Range<usize>| range.start - part.bytes.start + to..range.end - part.bytes.start + to;
    Part { bytes: by(&part.bytes), content: by(&part.content), ..part.clone() }
}

fn identity(metadata: &Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        len: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
