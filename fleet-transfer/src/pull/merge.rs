//! `--merge`: one file of all hosts, each line with its host in front.
//!
//! A host's file is added as a whole when it is complete, so lines are whole, those of one file stand together, and a
//! host that fails leaves nothing behind.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::problem::Matter;
use super::root::Root;

/// What becomes of files that are there before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// They are begun anew.
    Replaced,
    /// More is added: the run goes on with another.
    Continued,
}

/// Adds files of hosts to those of all. A clone adds to the same.
#[derive(Clone, Debug)]
pub struct Merger(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    root: Root,
    begun: HashSet<Vec<u8>>,
    before: Before,
}

impl Merger {
    /// Below the folder `path`.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path, before: Before) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(State { root: Root::open(path)?, begun: HashSet::new(), before }))))
    }

    /// Adds the lines of `file` to the one at `path`, each behind `host` and a colon.
    ///
    /// # Errors
    /// When one of them cannot be read, or the other written: then nothing is added.
    pub fn add(&self, path: &[u8], host: &str, file: &File, len: u64) -> Result<(), Matter> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !state.begun.contains(path) && state.before == Before::Replaced;
        let mut merged = state.root.append(path)?;
        state.begun.insert(path.to_vec());
        let old = if begins { 0 } else { merged.seek(SeekFrom::End(0)).map_err(|error| unwritable(&error))? };
        let added = merged.set_len(old).and_then(|()| merged.seek(SeekFrom::Start(old)));
        let added = added.and_then(|_| prefixed(file.take(len), host, &merged));
        added.map_err(|error| {
            let _ = merged.set_len(old);
            unwritable(&error)
        })
    }
}

fn prefixed(from: impl Read, host: &str, to: &File) -> io::Result<()> {
    let mut from = BufReader::with_capacity(1 << 16, from);
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let mut at_line_start = true;
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        let end = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1);
        if at_line_start {
            write!(to, "{host}: ")?;
        }
        to.write_all(&bytes[..end])?;
        at_line_start = bytes[end - 1] == b'\n';
        from.consume(end);
    }
    if !at_line_start {
        to.write_all(b"\n")?;
    }
    to.flush()
}

fn unwritable(error: &io::Error) -> Matter {
    Matter::Unwritable(crate::reason(error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn file(folder: &Path, content: &str) -> File {
        let path = folder.join("content");
        fs::write(&path, content).unwrap();
        File::open(path).unwrap()
    }

    #[test]
    fn lines_are_whole_and_say_whose_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("log"), "of another run\n").unwrap();
        let add = |before, files: &[(&str, &str)]| {
            let merger = Merger::open(&out, before).unwrap();
            for (host, content) in files {
                merger.clone().add(b"log", host, &file(folder.path(), content), content.len() as u64).unwrap();
            }
            fs::read_to_string(out.join("log")).unwrap()
        };
        let merged = add(Before::Replaced, &[("a", "1\n\n2"), ("b", ""), ("c", "3\n")]);
        assert_eq!(merged, "a: 1\na: \na: 2\nc: 3\n");
        assert_eq!(add(Before::Continued, &[("d", "4")]), "a: 1\na: \na: 2\nc: 3\nd: 4\n");
    }

    #[test]
    fn a_file_of_all_hosts_is_never_what_a_symlink_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let merger = Merger::open(&folder.path().join("out"), Before::Replaced).unwrap();
        symlink(folder.path().join("outside"), folder.path().join("out/log")).unwrap();
        let added = merger.add(b"log", "a", &file(folder.path(), "1"), 1);
        assert_eq!(added, Err(Matter::InTheWay));
        assert!(!folder.path().join("outside").exists());
    }
}
