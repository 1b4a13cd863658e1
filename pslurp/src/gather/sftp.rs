//! A host that runs no commands: its files come by SFTP.
//!
//! Must not know the protocol.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet_core::event::{Event, Transferred};
use fleet_core::fanout::HostContext;
use fleet_core::outcome::Outcome;
use fleet_ssh::OutputSink;
use fleet_ssh::remote::{Links, Part};
use fleet_transfer::pull::{
    Fetch, Listed, ListedKind, Listing, Matter, PartFile, PartWanted, Plan, Problem, Root, Seen, Tail,
};
use fleet_transfer::sftp::pull::{FileEnd, Found, Missed, PullSink, Wanted, fetch, list, tail_offset};
use fleet_transfer::sftp::{Client, Connection, FileKind, SftpError, Status, Watch, instead_of_command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Afterwards, Course, Gathering, Way, blocking};
use crate::program::{OnHost, failed};

/// Bytes that are handed to the disk at once.
const STEP_BYTES: usize = 256 << 10;
/// How often the progress of a host is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// An SFTP server, and what it has said that a listing has no place for.
pub(super) struct Server<'a> {
    client: &'a Client,
    /// What symlinks name, by their paths.
    targets: HashMap<Vec<u8>, Vec<u8>>,
}

impl Gathering {
    /// Brings the files of a host on which nothing of ours has run, if it offers SFTP; `outcome` is what there is to tell
    /// otherwise.
    pub(crate) async fn instead(
        &self,
        outcome: Outcome,
        on_host: &OnHost<'_>,
        sink: &impl OutputSink,
        target: (&Path, &str),
    ) -> Result<(), Outcome> {
        let connection = instead_of_command(on_host.session, &outcome, on_host.limits.channel, sink).await;
        let Some(connection) = connection else { return Err(outcome) };
        for (flag, given) in [
            ("--delete-after", self.afterwards == Afterwards::Removed),
            ("-L", self.links == Links::Followed),
            ("--sudo", on_host.sudo.is_some()),
        ] {
            if given {
                let error = failed(format!("the host runs no commands, and {flag} needs one"));
                return Err(Outcome::Failed(error.with_hint(format!("leave out {flag} for this host"))));
            }
        }
        let (client, stop) = (connection.client().clone(), CancellationToken::new());
        let watch =
            Watch { session: on_host.session, limits: on_host.limits, cancel: on_host.host.cancel(), stop: &stop };
        let work = async {
            tokio::select! {
                done = self.gather_by(&client, on_host, target) => Some(done),
                () = stop.cancelled() => None,
            }
        };
        Connection::work(connection, &watch, work).await?
    }

    async fn gather_by(
        &self,
        client: &Client,
        on_host: &OnHost<'_>,
        (folder, name): (&Path, &str),
    ) -> Result<(), Outcome> {
        let (listing, targets) = self.list_by(client).await?;
        let server = Server { client, targets };
        let folding = self.folding(folder).await?;
        let mut plan = self.plan(listing, folding).await?;
        if let Some(lines) = self.tail {
            let tails = tails(client, lines, &plan).await?;
            plan.cut_to_tails(&tails);
        }
        self.follow(plan, on_host, Way::Sftp(&server), (folder, name)).await
    }

    async fn list_by(&self, client: &Client) -> Result<(Listing, HashMap<Vec<u8>, Vec<u8>>), Outcome> {
        let (mut listing, mut targets) = (Listing::default(), HashMap::new());
        for (number, (pattern, part)) in self.remotes.iter().enumerate() {
            let asked = asked(pattern, *part);
            let there = list(client, &[asked], self.max_files).await.map_err(|error| broken(&error))?;
            let unnamed = is_unnamed(pattern);
            let first = listing.entries.len();
            for found in there.found {
                if let Some(target) = &found.target {
                    targets.insert(absolute(&found.path), target.to_vec());
                }
                add(&mut listing, number, &found, *part == Part::Inside && !unnamed);
            }
            there.missed.into_iter().for_each(|missed| miss(&mut listing, first, missed));
        }
        Ok((listing, targets))
    }
}

/// The pattern as the engine reads it: a backslash makes a byte plain there.
fn asked(pattern: &[u8], part: Part) -> Vec<u8> {
    let plain = pattern.iter().flat_map(|&byte| if byte == b'\\' { vec![byte; 2] } else { vec![byte] });
    let slash = (part == Part::Inside && pattern != b"/").then_some(b'/');
    plain.chain(slash).collect()
}

/// Whether the last part of a path is no name.
fn is_unnamed(pattern: &[u8]) -> bool {
    matches!(pattern.rsplit(|&b| b == b'/').next(), Some(b"" | b"." | b".."))
}

/// A path as plans have it: relative ones begin at the folder of the login.
fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [b"./", path].concat() }
}

fn add(listing: &mut Listing, pattern: usize, found: &Found, below_name: bool) {
    let name = found.name();
    let skipped = match name.iter().position(|&b| b == b'/') {
        _ if !below_name => 0,
        Some(slash) => slash + 1,
        None => name.len(),
    };
    let start = found.name_start + skipped;
    let (folder, path) = found.path.split_at(start);
    // The slash between them is added again.
    let folder = match folder.strip_suffix(b"/") {
        _ if path.is_empty() => absolute(folder),
        Some(b"") => b"/".to_vec(),
        Some(folder) => absolute(folder),
        None => b".".to_vec(),
    };
    if listing.folders.last() != Some(&folder) {
        listing.folders.push(folder);
    }
    let attributes = &found.attributes;
    let kind = match (attributes.kind(), attributes.len) {
        (FileKind::File, Some(_)) => ListedKind::File,
        (FileKind::Folder, _) => ListedKind::Folder,
        (FileKind::Symlink, _) => ListedKind::Symlink,
        _ => ListedKind::Other,
    };
    let len = attributes.len.unwrap_or(0);
    let mtime = attributes.times.map_or(0, |(_, changed)| i64::from(changed));
    let seen = Seen { kind, mode: attributes.mode.unwrap_or(0o644) & 0o777, len, disk_bytes: len, mtime };
    let folder = listing.folders.len() - 1;
    listing.entries.push(Listed { pattern, folder, path: path.into(), seen });
}

fn miss(listing: &mut Listing, first: usize, missed: Missed) {
    let path = absolute(&missed.path);
    let entry = listing.entries[first..].iter().find(|entry| listing.path(entry) == path);
    match entry.map(|entry| (entry.folder, entry.path.clone())) {
        Some(entry) => {
            listing.unreadable.insert(entry);
        }
        None => listing.missing.push(missed.path),
    }
}

async fn tails(client: &Client, lines: u64, plan: &Plan) -> Result<HashMap<Vec<u8>, Tail>, Outcome> {
    let mut tails = HashMap::new();
    for item in plan.items.iter().filter(|item| item.seen.kind == ListedKind::File) {
        let of = item.seen.len;
        match tail_offset(client, &item.remote, of, lines).await {
            Ok(from) => {
                tails.insert(item.remote.clone(), Tail { of, len: of.saturating_sub(from), mtime: item.seen.mtime });
            }
            Err(SftpError::Refused(_)) => {}
            Err(error) => return Err(broken(&error)),
        }
    }
    Ok(tails)
}

fn broken(error: &SftpError) -> Outcome {
    Outcome::Failed(failed(error.to_string()))
}

impl Course<'_> {
    /// Fetches all that is to be fetched. Returns how many bytes are here then.
    pub(super) async fn fetch_by_sftp(
        &mut self,
        server: &Server<'_>,
        asked: Fetch,
        mut root: Root,
        of: u64,
    ) -> Result<u64, Outcome> {
        let plan = Arc::clone(&self.plan);
        let (symlinks, files): (Vec<usize>, Vec<usize>) =
            asked.whole.into_iter().partition(|&item| plan.items[item].seen.kind == ListedKind::Symlink);
        for item in symlinks {
            let Some(target) = server.targets.get(&plan.items[item].remote).cloned() else { continue };
            let (local, made);
            local = plan.items[item].local.clone();
            (root, made) = blocking(move || {
                let made = root.symlink(&local, &target);
                (root, made)
            })
            .await;
            match made {
                Ok(()) => self.tally.symlinks += 1,
                Err(matter) => self.problems.push(Problem { path: plan.items[item].remote.clone(), matter }),
            }
        }
        let whole = |item: usize| PartWanted { item, from: 0, len: plan.items[item].seen.len, at: 0 };
        let parts: Vec<PartWanted> = files.into_iter().map(whole).chain(asked.parts).collect();
        let wanted: Vec<Wanted> = parts
            .iter()
            .map(|part| Wanted {
                path: plan.items[part.item].remote.clone(),
                offset: part.from,
                len: part.from + part.len,
            })
            .collect();
        let mut files = Files::new(Arc::clone(&plan), parts, root, self.on_host.host, of);
        let fetched = fetch(server.client, wanted, &mut files).await;
        self.tally.files += files.here.len() as u64;
        self.tally.bytes += files.bytes;
        self.here.append(&mut files.here);
        self.problems.append(&mut files.problems);
        fetched.map_err(|error| Outcome::Failed(failed(error.to_string())))?;
        Ok(files.bytes)
    }
}

/// Writes files as they come.
struct Files<'a> {
    plan: Arc<Plan>,
    parts: std::vec::IntoIter<PartWanted>,
    /// Away while it works.
    root: Option<Root>,
    current: Option<(PartWanted, PartFile)>,
    waiting: Vec<u8>,
    /// Where what waits belongs.
    at: u64,
    here: Vec<usize>,
    problems: Vec<Problem>,
    bytes: u64,
    host: &'a HostContext,
    of: u64,
    told: Instant,
}

impl<'a> Files<'a> {
    fn new(plan: Arc<Plan>, parts: Vec<PartWanted>, root: Root, host: &'a HostContext, of: u64) -> Self {
        Self {
            plan,
            parts: parts.into_iter(),
            root: Some(root),
            current: None,
            waiting: Vec::new(),
            at: 0,
            here: Vec::new(),
            problems: Vec::new(),
            bytes: 0,
            host,
            of,
            told: Instant::now(),
        }
    }

    fn note(&mut self, item: usize, matter: Matter) {
        self.problems.push(Problem { path: self.plan.items[item].remote.clone(), matter });
    }

    async fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.waiting);
        let Some((part, file)) = self.current.take() else { return };
        let (at, len) = (self.at, bytes.len() as u64);
        let (file, written) = blocking(move || {
            let written = file.write_at(at, &bytes);
            (file, written)
        })
        .await;
        match written {
            Ok(()) => {
                self.at += len;
                self.bytes += len;
                self.current = Some((part, file));
            }
            Err(matter) => {
                file.discard();
                self.note(part.item, matter);
            }
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.host.emit(Event::Progress(Transferred { bytes: self.bytes, of: Some(self.of) })).await;
        }
    }
}

impl PullSink for Files<'_> {
    type Error = Infallible;

    async fn begin(&mut self, _: &Wanted) -> Result<(), Infallible> {
        let (Some(part), Some(mut root)) = (self.parts.next(), self.root.take()) else { return Ok(()) };
        let plan = Arc::clone(&self.plan);
        let (root, opened) = blocking(move || {
            let item = &plan.items[part.item];
            let opened = match part.at {
                0 => root.new_part(&item.local, item.seen.mode),
                _ => root.open_part(&item.local),
            };
            (root, opened)
        })
        .await;
        (self.root, self.at) = (Some(root), part.at);
        match opened {
            Ok(file) => self.current = Some((part, file)),
            Err(matter) => self.note(part.item, matter),
        }
        Ok(())
    }

    async fn data(&mut self, bytes: Bytes) -> Result<(), Infallible> {
        self.waiting.extend_from_slice(&bytes);
        if self.waiting.len() >= STEP_BYTES {
            self.flush().await;
        }
        Ok(())
    }

    async fn end(&mut self, _: &Wanted, end: FileEnd) -> Result<(), Infallible> {
        self.flush().await;
        let Some((part, file)) = self.current.take() else { return Ok(()) };
        let matter = match end {
            FileEnd::Whole => None,
            FileEnd::Grown { .. } => Some(Matter::Grew { len: self.plan.items[part.item].seen.len }),
            FileEnd::Shrunk => Some(Matter::Changed),
            FileEnd::Refused(refusal) if refusal.status == Status::PermissionDenied => Some(Matter::Unreadable),
            FileEnd::Refused(_) => Some(Matter::NotSent),
        };
        let is_here = matches!(matter, None | Some(Matter::Grew { .. }));
        if let Some(matter) = matter {
            self.note(part.item, matter);
        }
        if !is_here {
            file.discard();
            return Ok(());
        }
        let seen = self.plan.items[part.item].seen;
        match blocking(move || file.finish(seen.len, seen.mtime)).await {
            Ok(()) => self.here.push(part.item),
            Err(matter) => self.note(part.item, matter),
        }
        Ok(())
    }
}
