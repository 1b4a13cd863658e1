//! What of a plan is here already, whole or in part, and so what is fetched.
//!
//! Must not know how the host is asked for digests.

use std::collections::{HashMap, HashSet};

use super::listing::ListedKind;
use super::part_file::{KEPT_BYTES, digest_of};
use super::parts::PartWanted;
use super::plan::{Extent, Item, Plan};
use super::problem::{Matter, Problem};
use super::records::{RecordError, RecordReader, decimal, signed, split_word};
use super::root::{Here, Root};

/// How the items of a plan are fetched: by their places in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Wholly.
    pub whole: Vec<usize>,
    /// In part.
    pub parts: Vec<PartWanted>,
    /// Not at all: they are here.
    pub same: Vec<usize>,
    /// What is here may be their beginning, or all of them: digests decide.
    pub perhaps: Vec<Beginning>,
    /// What is the matter here.
    pub problems: Vec<Problem>,
}

/// What may be the beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The place of the file in the plan.
    pub item: usize,
    /// How many bytes are here.
    pub len: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
    held: Held,
}

/// Where the beginning of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Beside its target.
    Part,
    /// At its target.
    Target,
}

/// How a file here is known to be that of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compared {
    /// By length and time.
    #[default]
    Times,
    /// By its digest.
    Digests,
}

impl Fetch {
    /// Looks at what is here. Folders are made.
    #[must_use]
    pub fn of(plan: &Plan, root: &mut Root, compared: Compared) -> Self {
        let mut fetch = Self::default();
        for (place, item) in plan.items.iter().enumerate() {
            let looked = match item.seen.kind {
                ListedKind::Folder => root.make_folder(&item.local, item.seen.mode),
                ListedKind::File => fetch.look(plan.extent, place, item, root, compared),
                ListedKind::Symlink => fetch.look_at_symlink(place, item, root, compared),
                _ => {
                    fetch.whole.push(place);
                    Ok(())
                }
            };
            if let Err(matter) = looked {
                fetch.problems.push(Problem { path: item.remote.clone(), matter });
            }
        }
        fetch
    }

    fn look_at_symlink(
        &mut self,
        place: usize,
        item: &Item,
        root: &mut Root,
        compared: Compared,
    ) -> Result<(), Matter> {
        let same = Here::Symlink { len: item.seen.len, mtime: item.seen.mtime };
        let is_same = compared == Compared::Times && root.look(&item.local)? == same;
        if is_same { &mut self.same } else { &mut self.whole }.push(place);
        Ok(())
    }

    fn look(
        &mut self,
        extent: Extent,
        place: usize,
        item: &Item,
        root: &mut Root,
        compared: Compared,
    ) -> Result<(), Matter> {
        let here = root.look(&item.local)?;
        let (wanted, time) = (item.seen.len, item.seen.mtime);
        if compared == Compared::Times && here == (Here::File { len: wanted, mtime: time }) {
            self.same.push(place);
        } else if extent == Extent::Tails {
            self.parts.push(PartWanted { item: place, from: item.from, len: wanted, at: 0 });
        } else if let Some((held, len)) = beginning(here, root.part_len(&item.local), wanted, compared) {
            let sha256 = match held {
                Held::Part => root.open_part(&item.local)?.digest(len),
                Held::Target => digest_of(&root.read(&item.local)?, len),
            };
            let sha256 = sha256.map_err(|error| Matter::Unwritable(crate::reason(&error)))?;
            self.perhaps.push(Beginning { item: place, len, sha256, held });
        } else {
            self.whole.push(place);
        }
        Ok(())
    }

    /// Decides about the beginnings: those with a digest that the host has told are ours to continue.
    pub fn settle(&mut self, plan: &Plan, root: &mut Root, digests: &Digests) {
        for beginning in std::mem::take(&mut self.perhaps) {
            let item = &plan.items[beginning.item];
            let told = (item.remote.clone(), beginning.len, beginning.sha256.clone());
            if !digests.0.contains(&told) {
                self.whole.push(beginning.item);
            } else if let Err(matter) = self.continue_from(&beginning, item, root) {
                self.problems.push(Problem { path: item.remote.clone(), matter });
            }
        }
        self.whole.sort_unstable();
    }

    fn continue_from(&mut self, beginning: &Beginning, item: &Item, root: &mut Root) -> Result<(), Matter> {
        let (len, wanted) = (beginning.len, item.seen.len);
        let part = match beginning.held {
            Held::Part => root.open_part(&item.local)?,
            Held::Target if len == wanted => {
                root.set_time(&item.local, item.seen.mtime)?;
                self.same.push(beginning.item);
                return Ok(());
            }
            Held::Target => root.part_from(&item.local, &item.local, len, item.seen.mode)?,
        };
        if len == wanted {
            part.finish(len, item.seen.mtime)?;
            self.same.push(beginning.item);
        } else {
            part.leave();
            self.parts.push(PartWanted { item: beginning.item, from: len, len: wanted - len, at: len });
        }
        Ok(())
    }
}

/// The longest of what may be the beginning of a file of `wanted` bytes.
fn beginning(here: Here, part: Option<u64>, wanted: u64, compared: Compared) -> Option<(Held, u64)> {
    let worth_it = |len: u64| len >= KEPT_BYTES && len <= wanted;
    let target = match here {
        Here::File { len, .. } if worth_it(len) || (compared == Compared::Digests && len == wanted && len > 0) => len,
        _ => 0,
    };
    let part = part.filter(|&len| worth_it(len)).unwrap_or(0);
    match (target, part) {
        (0, 0) => None,
        (target, part) if target >= part => Some((Held::Target, target)),
        (_, part) => Some((Held::Part, part)),
    }
}

/// Digests that a host has told: of the first bytes of files, by their paths.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashSet<(Vec<u8>, u64, String)>);

/// Reads the answer to a question for digests.
#[derive(Debug)]
pub struct DigestsReader {
    records: RecordReader,
    digests: Digests,
}

impl DigestsReader {
    /// For records between these marks.
    #[must_use]
    pub fn new(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self { records: RecordReader::new(start, end), digests: Digests::default() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are no such answer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let Self { records, digests } = self;
        records.push(bytes, |record| {
            let (sha256, rest) = split_word(record)?;
            let (len, path) = split_word(rest)?;
            let sha256 = String::from_utf8(sha256.to_vec()).map_err(|_| RecordError::Damaged)?;
            digests.0.insert((path.to_vec(), decimal(len)?, sha256));
            Ok(())
        })
    }

    /// What it has told.
    #[must_use]
    pub fn finish(self) -> Digests {
        self.digests
    }
}

/// The last lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The length of the file.
    pub of: u64,
    /// The length of the lines.
    pub len: u64,
    /// When the file was last changed, in seconds since 1970.
    pub mtime: i64,
}

/// Reads the answer to a question for the lengths of last lines.
#[derive(Debug)]
pub struct TailsReader {
    records: RecordReader,
    tails: HashMap<Vec<u8>, Tail>,
}

impl TailsReader {
    /// For records between these marks.
    #[must_use]
    pub fn new(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self { records: RecordReader::new(start, end), tails: HashMap::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are no such answer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let Self { records, tails } = self;
        records.push(bytes, |record| {
            let (of, rest) = split_word(record)?;
            let (len, rest) = split_word(rest)?;
            let (mtime, path) = split_word(rest)?;
            let of = decimal(of)?;
            let tail = Tail { of, len: decimal(len)?.min(of), mtime: signed(mtime)? };
            tails.insert(path.to_vec(), tail);
            Ok(())
        })
    }

    /// What it has told, by paths.
    #[must_use]
    pub fn finish(self) -> HashMap<Vec<u8>, Tail> {
        self.tails
    }
}
