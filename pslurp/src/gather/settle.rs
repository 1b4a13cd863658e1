//! What is done with files when they are here: merged with those of other hosts, removed on their own.
//!
//! Must not know how they came.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleet_core::outcome::Outcome;
use fleet_ssh::remote::{Token, copy_out_end_mark, copy_out_list_mark, copy_out_remove_command};
use fleet_transfer::pull::{Item, ListedKind, Matter, Problem, PullError, RecordReader, Root, digest_of};

use super::{Course, blocking, names, not_opened};
use crate::program::{Progress, Taker};

impl Course<'_> {
    /// Adds what is here to the files of all hosts.
    pub(super) async fn merge(&mut self, folder: &Path, name: &str) -> Result<(), Outcome> {
        let Some(merger) = &self.gathering.merger else { return Ok(()) };
        let (plan, here, path, name) = (Arc::clone(&self.plan), self.here.clone(), folder.to_owned(), name.to_owned());
        let merger = merger.clone();
        let merged = blocking(move || {
            let mut root = Root::open(&path)?;
            let files =
                here.into_iter().map(|item| &plan.items[item]).filter(|item| item.seen.kind == ListedKind::File);
            let merge = |item: &Item| {
                let added =
                    root.read(&item.local).and_then(|file| merger.add(&item.local, &name, &file, item.seen.len));
                added.err().map(|matter| Problem { path: item.remote.clone(), matter })
            };
            Ok::<_, io::Error>(files.filter_map(merge).collect::<Vec<_>>())
        });
        let problems = merged.await.map_err(|error| not_opened(folder, &error))?;
        self.problems.extend(problems);
        Ok(())
    }

    /// Removes on the host what is here, byte for byte.
    pub(super) async fn remove(&mut self, folder: &Path) -> Result<(), Outcome> {
        let (plan, here, path) = (Arc::clone(&self.plan), std::mem::take(&mut self.here), folder.to_owned());
        let asked = blocking(move || {
            let mut root = Root::open(&path)?;
            let files = here.into_iter().filter(|&item| plan.items[item].seen.kind == ListedKind::File);
            let asked = |item: usize| {
                let Item { remote, local, seen, .. } = &plan.items[item];
                let sha256 = digest_of(&root.read(local).ok()?, seen.len).ok()?;
                Some([format!("{} {} {sha256} ", seen.len, seen.mtime).as_bytes(), remote].concat())
            };
            Ok::<_, io::Error>(names(files.filter_map(asked)))
        });
        let names = asked.await.map_err(|error| not_opened(folder, &error))?;
        if names.is_empty() {
            return Ok(());
        }
        let mark = Token::random();
        let records = RecordReader::new(copy_out_list_mark(&mark), copy_out_end_mark(&mark));
        let taker = Removed { records, removed: 0, problems: Vec::new() };
        let command = copy_out_remove_command(&mark);
        let ran = self.on_host.run(command, Some(names), &mark, (taker, Progress::default())).await;
        self.tally.removed = ran.taker.removed;
        self.problems.extend(ran.taker.problems);
        ran.ended
    }
}

/// The folder in which a host's files are kept until they are merged.
pub(crate) struct Staging(PathBuf);

impl Staging {
    /// An empty one.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&folder);
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the host says of files that are to be removed there.
struct Removed {
    records: RecordReader,
    removed: u64,
    problems: Vec<Problem>,
}

impl Taker for Removed {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        let Self { records, removed, problems } = self;
        Ok(records.push(bytes, |record| {
            let blank = record.iter().position(|&b| b == b' ').unwrap_or(record.len());
            let path = || record.get(blank + 1..).unwrap_or_default().to_vec();
            match &record[..blank] {
                b"removed" => *removed += 1,
                b"gone" => {}
                b"changed" => problems.push(Problem { path: path(), matter: Matter::KeptAsChanged }),
                _ => problems.push(Problem { path: path(), matter: Matter::KeptAsDenied }),
            }
            Ok(())
        })?)
    }
}
