//! The stream that all hosts are sent, in a file, for a program that reads it.
//!
//! Must not know who reads it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fleet_ssh::remote::Verify;
use fleet_tool::cli::Failure;
use fleet_transfer::digest::Digester;
use fleet_transfer::push::{Push, Sent, Share, Uplink};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use super::lock;

/// A file that goes when this value does.
pub(super) struct Spooled {
    file: NamedTempFile,
    /// Its length in bytes.
    pub(super) size: u64,
    /// The SHA-256 of it, in hexadecimal.
    pub(super) sha256: String,
    /// What it was made of.
    pub(super) sent: Sent,
}

impl Spooled {
    /// Makes it, and tells how many bytes of the contents of files are in it. Blocks, on a thread of the runtime.
    pub(super) fn of(
        push: &Push,
        share: &Share,
        interrupted: &AtomicBool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, Failure> {
        let file = NamedTempFile::with_prefix("pcp-").map_err(|error| no_spool(&error))?;
        let writer = file.reopen().map_err(|error| no_spool(&error))?;
        let stream = Mutex::new(Stream { file: writer, digester: Digester::new(Verify::Sha256) });
        let spool = Spool { stream, failed: Mutex::default(), interrupted, progress };
        let sent = tokio::task::block_in_place(|| Handle::current().block_on(push.send(share, Verify::Sha256, &spool)));
        let sent = sent.map_err(|error| Failure::ours(&error))?;
        if let Some(error) = lock(&spool.failed).take() {
            return Err(no_spool(&error));
        }
        let Some(sent) = sent else {
            return Err(Failure::usage_text("interrupted before the upload; no host was contacted"));
        };
        let digest = lock(&spool.stream).digester.clone().finish();
        Ok(Self { file, size: digest.len, sha256: digest.sha256_hex().expect("asked for above"), sent })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

fn no_spool(error: &io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::usage_text(format!("cannot keep what is to be uploaded in {}: {error}", folder.display()))
        .hint("--via needs room there for all that is sent; TMPDIR names another folder")
}

/// Writes a stream into a file.
struct Spool<'a> {
    stream: Mutex<Stream>,
    failed: Mutex<Option<io::Error>>,
    interrupted: &'a AtomicBool,
    progress: &'a (dyn Fn(u64) + Sync),
}

struct Stream {
    file: File,
    digester: Digester,
}

impl Uplink for Spool<'_> {
    async fn send(&self, bytes: Bytes) -> bool {
        if self.interrupted.load(Ordering::SeqCst) {
            return false;
        }
        let mut stream = lock(&self.stream);
        stream.digester.update(&bytes);
        let written = stream.file.write_all(&bytes);
        drop(stream);
        written.map_err(|error| *lock(&self.failed) = Some(error)).is_ok()
    }

    async fn progress(&self, content_bytes: u64) {
        (self.progress)(content_bytes);
    }
}
