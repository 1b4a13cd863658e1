//! What the host says of files when it has read them: whether they are still what they were.
//!
//! Must not know what has come of them.

use std::collections::HashMap;

use super::listing::{ListedKind, Seen, described};
use super::plan::Item;
use super::records::{RecordError, RecordReader};

/// What has become of a file on the host while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was, or nothing is known of it any more.
    Same,
    /// It has grown.
    Grown,
    /// It was changed.
    Changed,
    /// It may not be read.
    Unreadable,
}

/// Reads descriptions of files.
#[derive(Debug)]
pub struct AfterReader {
    records: RecordReader,
    seen: HashMap<Vec<u8>, Option<Seen>>,
    most: usize,
}

impl AfterReader {
    /// For records between these marks, of at most `most` files.
    #[must_use]
    pub fn new(start: Vec<u8>, end: Vec<u8>, most: usize) -> Self {
        Self { records: RecordReader::new(start, end), seen: HashMap::new(), most }
    }

    /// Takes the next bytes of standard error.
    ///
    /// # Errors
    /// When they are no descriptions.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let Self { records, seen, most } = self;
        records.push(bytes, |record| {
            let (path, description) = match record.strip_prefix(b"!") {
                Some(path) => (path, None),
                None => {
                    let (seen, path) = described(record)?;
                    (path, Some(seen))
                }
            };
            // What was not asked about is not wanted; only its number is known here.
            if seen.len() < *most {
                seen.insert(path.to_vec(), description);
            }
            Ok(())
        })
    }

    /// Whether the host's program has come to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.records.has_ended()
    }

    /// What has become of a file of the plan.
    #[must_use]
    pub fn standing(&self, item: &Item) -> Standing {
        match self.seen.get(&item.remote) {
            None => Standing::Same,
            Some(None) => Standing::Unreadable,
            Some(Some(seen)) if item.seen.kind != ListedKind::File || seen.kind != ListedKind::File => {
                if seen.kind == item.seen.kind { Standing::Same } else { Standing::Changed }
            }
            Some(Some(seen)) => {
                let len = item.from + item.seen.len;
                match seen.len.cmp(&len) {
                    std::cmp::Ordering::Equal if seen.mtime == item.seen.mtime => Standing::Same,
                    std::cmp::Ordering::Greater => Standing::Grown,
                    _ => Standing::Changed,
                }
            }
        }
    }
}
