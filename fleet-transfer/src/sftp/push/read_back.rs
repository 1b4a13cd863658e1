//! What was written, read again and compared with what was sent.
//!
//! Must not know how it was written.

use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;
use fleet_ssh::remote::{CopyRefusal, RefusalKind};

use super::super::client::Client;
use super::super::pull::{FetchError, FileEnd, PullSink, Wanted, fetch};
use super::Push;
use super::explain::shown;
use super::plan::Plan;
use crate::digest::Digester;
use crate::manifest::EntryKind;
use crate::source_cache::SourceReader;

/// Compares the digests of all files that were sent.
pub(super) async fn read_back(
    client: &Client,
    push: &Push<'_>,
    plan: &Plan,
    reader: &SourceReader,
) -> Result<(), CopyRefusal> {
    let failed = |text: String| CopyRefusal::new(RefusalKind::Failed, text);
    let digests = reader.digests().await.map_err(|error| failed(error.to_string()))?;
    for group in digests {
        let is_file = |entry: &usize| matches!(push.manifest.entries[*entry].kind, EntryKind::File { .. });
        let is_sent = |entry: &usize| push.selection.has(*entry) && !reader.failures().contains_key(entry);
        let files: Vec<usize> = group.entries.clone().filter(is_file).filter(is_sent).collect();
        let wanted: Vec<Wanted> = files
            .iter()
            .filter_map(|entry| match push.manifest.entries[*entry].kind {
                EntryKind::File { len } => Some(Wanted { path: plan.staged.get(entry)?.clone(), offset: 0, len }),
                _ => None,
            })
            .collect();
        let (count, first) = (wanted.len(), files.first().copied());
        let mut digested = Digested(Digester::new(reader.verify()));
        let read = fetch(client, wanted, &mut digested).await;
        let is_equal = match read {
            Ok(()) => digested.0.finish() == group.digest,
            Err(FetchError::Sink(NotWhole)) => false,
            Err(FetchError::Server(error)) => return Err(failed(error.to_string())),
        };
        if !is_equal {
            let path = first.map(|entry| shown(push.manifest.entries[entry].path.as_os_str().as_bytes()));
            let path = path.unwrap_or_default();
            let text = match count {
                1 => format!("{path} is not what was sent"),
                count => format!("one of {count} files, {path} and what follows it, is not what was sent"),
            };
            return Err(CopyRefusal::new(RefusalKind::Damaged, text));
        }
    }
    Ok(())
}

/// The digest of files as they come.
struct Digested(Digester);

/// A file that cannot be read to its end.
struct NotWhole;

impl PullSink for Digested {
    type Error = NotWhole;

    async fn begin(&mut self, _: &Wanted) -> Result<(), NotWhole> {
        self.0.start_file();
        Ok(())
    }

    async fn data(&mut self, bytes: Bytes) -> Result<(), NotWhole> {
        self.0.update(&bytes);
        Ok(())
    }

    async fn end(&mut self, _: &Wanted, end: FileEnd) -> Result<(), NotWhole> {
        if end == FileEnd::Whole { Ok(()) } else { Err(NotWhole) }
    }
}
