//! Files of a plan as they come in an archive.
//!
//! An entry of the archive is only looked up among those that were asked for; its name is never used as one.

use std::collections::HashMap;
use std::sync::Arc;

use super::listing::ListedKind;
use super::part_file::PartFile;
use super::plan::{Item, Plan};
use super::problem::{Matter, Problem, shown};
use super::root::Root;
use super::stream::{Coding, Incoming, PullError};
use crate::archive::{Kind, Member, Piece, Reader};

/// More than was listed, and than the headers take, may come of files that have grown since.
const GROWTH_BYTES: u64 = 64 << 20;
/// Headers of one entry, with the longest names.
const HEADER_BYTES: u64 = 32 << 10;

/// What became of an item that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is here as it was listed, as far as we can see.
    Whole,
    /// It is here, and has grown on the host before it was read.
    Grown,
    /// It is not here as it should be; a problem says why.
    Failed,
}

/// What has come.
#[derive(Debug)]
pub struct Arrivals {
    /// What became of items, by their places in the plan; others have not come.
    pub received: HashMap<usize, Received>,
    /// What did not go as asked for.
    pub problems: Vec<Problem>,
    /// Where they are.
    pub root: Root,
}

/// Takes an archive of some items of a plan.
#[derive(Debug)]
pub struct Receiver {
    plan: Arc<Plan>,
    incoming: Incoming,
    reader: Reader,
    taker: Taker,
}

/// What entries become.
#[derive(Debug)]
struct Taker {
    root: Root,
    /// The places of the items that were asked for, by their paths without the first slash.
    asked: HashMap<Vec<u8>, usize>,
    received: HashMap<usize, Received>,
    current: Option<Current>,
    problems: Vec<Problem>,
    bytes: u64,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    item: usize,
    /// `None` when its content is not wanted.
    part: Option<PartFile>,
    /// Its length in the archive.
    len: u64,
}

impl Receiver {
    /// For the items at the places `asked` of `plan`, to be written below `root`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, asked: &[usize], root: Root, mark: Vec<u8>, coding: Coding) -> Self {
        let sum = |sum: u64, item: &usize| sum.saturating_add(plan.items[*item].seen.len).saturating_add(HEADER_BYTES);
        let most = asked.iter().fold(GROWTH_BYTES, sum).saturating_mul(2);
        let named = |&item: &usize| (without_slashes(&plan.items[item].remote).to_vec(), item);
        let taker = Taker {
            root,
            asked: asked.iter().map(named).collect(),
            received: HashMap::new(),
            current: None,
            problems: Vec::new(),
            bytes: 0,
        };
        Self { plan, incoming: Incoming::new(mark, coding, most), reader: Reader::default(), taker }
    }

    /// Bytes of contents that are written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.taker.bytes
    }

    /// Takes the next bytes of the program's output.
    ///
    /// # Errors
    /// When the host sends something else than what it was asked for.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        let Self { plan, incoming, reader, taker } = self;
        incoming.push(bytes, |bytes| read(reader, plan, taker, bytes))
    }

    /// What became of the items that have come, and whether the archive has ended as it should.
    pub fn finish(mut self) -> (Arrivals, Result<(), PullError>) {
        let Self { plan, incoming, reader, taker } = &mut self;
        let mut ended = incoming.finish(|bytes| read(reader, plan, taker, bytes));
        if ended.is_ok() {
            ended = reader.finish().map_err(PullError::from);
        }
        let Taker { root, received, problems, .. } = self.taker;
        (Arrivals { received, problems, root }, ended)
    }
}

fn read(reader: &mut Reader, plan: &Plan, taker: &mut Taker, mut bytes: &[u8]) -> Result<(), PullError> {
    while let Some(piece) = reader.next(&mut bytes)? {
        match piece {
            Piece::Member(member) => taker.begin(plan, &member)?,
            Piece::Data { at, bytes } => taker.data(plan, at, bytes),
            Piece::End => taker.end(plan),
        }
    }
    Ok(())
}

impl Taker {
    fn begin(&mut self, plan: &Plan, member: &Member) -> Result<(), PullError> {
        let asked = self.asked.get(without_slashes(&member.name)).copied();
        let Some(place) = asked.filter(|place| !self.received.contains_key(place)) else {
            return Err(PullError::Unasked { path: shown(&member.name) });
        };
        let item = &plan.items[place];
        let done = match (&member.kind, item.seen.kind) {
            (Kind::File { len }, ListedKind::File) => {
                let part = self.part_for(item);
                self.current = Some(Current { item: place, part, len: *len });
                return Ok(());
            }
            (Kind::HardLink { target }, ListedKind::File) => self.link(plan, item, target),
            (Kind::Symlink { target }, ListedKind::Symlink) => self.root.symlink(&item.local, target, item.seen.mtime),
            _ => Err(Matter::Changed),
        };
        self.note(place, item, done.map(|()| Received::Whole));
        Ok(())
    }

    fn part_for(&mut self, item: &Item) -> Option<PartFile> {
        match self.root.new_part(&item.local, item.seen.mode) {
            Ok(part) => Some(part),
            Err(matter) => {
                self.problems.push(Problem { path: item.remote.clone(), matter });
                None
            }
        }
    }

    /// A copy of a file that has come before.
    fn link(&mut self, plan: &Plan, item: &Item, target: &[u8]) -> Result<(), Matter> {
        let place = *self.asked.get(without_slashes(target)).ok_or(Matter::Unlinked)?;
        if !matches!(self.received.get(&place), Some(Received::Whole | Received::Grown)) {
            return Err(Matter::Unlinked);
        }
        let len = item.seen.len;
        let part = self.root.part_from(&item.local, &plan.items[place].local, len, item.seen.mode)?;
        part.finish(len, item.seen.mtime)?;
        self.bytes += len;
        Ok(())
    }

    /// Of a file that has grown, what was listed.
    fn data(&mut self, plan: &Plan, at: u64, bytes: &[u8]) {
        let Some(current) = &mut self.current else { return };
        let item = &plan.items[current.item];
        let left = usize::try_from(item.seen.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(left)];
        let Some(part) = current.part.as_ref().filter(|_| !bytes.is_empty()) else { return };
        match part.write_at(at, bytes) {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(matter) => {
                if let Some(part) = current.part.take() {
                    part.discard();
                }
                self.problems.push(Problem { path: item.remote.clone(), matter });
            }
        }
    }

    fn end(&mut self, plan: &Plan) {
        let Some(current) = self.current.take() else { return };
        let item = &plan.items[current.item];
        let Some(part) = current.part else {
            self.received.insert(current.item, Received::Failed);
            return;
        };
        let done = if current.len < item.seen.len {
            part.discard();
            Err(Matter::Changed)
        } else {
            let grown = if current.len > item.seen.len { Received::Grown } else { Received::Whole };
            part.finish(item.seen.len, item.seen.mtime).map(|()| grown)
        };
        self.note(current.item, item, done);
    }

    fn note(&mut self, place: usize, item: &Item, done: Result<Received, Matter>) {
        let received = done.unwrap_or_else(|matter| {
            self.problems.push(Problem { path: item.remote.clone(), matter });
            Received::Failed
        });
        self.received.insert(place, received);
    }
}

/// A path as every tar tells it, whether it leaves out the first slash or not.
fn without_slashes(path: &[u8]) -> &[u8] {
    let begin = path.iter().position(|&b| b != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|&b| b != b'/').map_or(begin, |last| last + 1);
    &path[begin..end]
}

#[cfg(test)]
mod tests {
    use super::super::listing::Seen;
    use super::*;
    use crate::archive::{END, Header, HeaderKind, padding};

    const MARK: &[u8] = b"\x1emark\n";

    fn plan(files: &[(&str, u64)]) -> Arc<Plan> {
        let item = |&(name, len): &(&str, u64)| Item {
            remote: format!("/var/log/{name}").into_bytes(),
            local: name.as_bytes().into(),
            seen: Seen { kind: ListedKind::File, mode: 0o644, len, disk_bytes: len, mtime: 7 },
            from: 0,
        };
        Arc::new(Plan { items: files.iter().map(item).collect(), ..Plan::default() })
    }

    fn member(name: &str, len: u64) -> Vec<u8> {
        let kind = HeaderKind::File { len };
        Header { name: name.as_bytes(), kind, mode: 0o644, mtime: 9, uid: 0, gid: 0 }.to_bytes()
    }

    fn receiver(folder: &tempfile::TempDir, plan: &Arc<Plan>, asked: &[usize]) -> Receiver {
        let root = Root::open(folder.path()).unwrap();
        let mut receiver = Receiver::new(Arc::clone(plan), asked, root, MARK.to_vec(), Coding::Plain);
        receiver.push(b"motd\n\x1emark\n").unwrap();
        receiver
    }

    #[test]
    fn of_a_file_no_more_is_written_than_was_listed() {
        let (folder, plan) = (tempfile::tempdir().unwrap(), plan(&[("log", 100_000)]));
        let mut receiver = receiver(&folder, &plan, &[0]);
        receiver.push(&member("var/log/log", 1 << 40)).unwrap();
        for _ in 0..100 {
            receiver.push(&[b'x'; 10_000]).unwrap();
        }
        assert_eq!(receiver.bytes(), 100_000);
        let part = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(part.metadata().unwrap().len(), 100_000);
        let endless = std::iter::repeat_with(|| receiver.push(&[b'x'; 1 << 20])).take(1000).find(Result::is_err);
        assert_eq!(endless, Some(Err(PullError::TooMuch)));
        let (arrivals, ended) = receiver.finish();
        assert_eq!((arrivals.received.len(), ended), (0, Err(PullError::Archive(crate::archive::ArchiveError::Cut))));
    }

    #[test]
    fn what_was_asked_for_comes_in_any_order_and_once() {
        let (folder, plan) = (tempfile::tempdir().unwrap(), plan(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
        let mut receiver = receiver(&folder, &plan, &[0, 1, 3]);
        let one = |name: &str, len| [member(name, len), vec![b'x'; len as usize], padding(len).to_vec()].concat();
        receiver.push(&one("/var/log/d", 2)).unwrap();
        receiver.push(&one("var/log/a", 1)).unwrap();
        for again in ["var/log/a", "var/log/c", "log/b", "a"] {
            let sent = one(again, 1);
            let unasked = PullError::Unasked { path: again.to_owned() };
            let mut other = Reader::default();
            std::mem::swap(&mut receiver.reader, &mut other);
            assert_eq!(receiver.push(&sent), Err(unasked));
            receiver.reader = other;
        }
        receiver.push(&END).unwrap();
        let (arrivals, ended) = receiver.finish();
        assert_eq!(ended, Ok(()));
        assert_eq!(arrivals.received, HashMap::from([(0, Received::Whole), (3, Received::Grown)]));
        assert_eq!(std::fs::read(folder.path().join("d")).unwrap(), b"x");
    }
}
