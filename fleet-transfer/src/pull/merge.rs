//! `--merge`: one file of all hosts, each line with its host in front.
//!
//! A host's file is added as a whole when it is complete, so lines are whole, those of one file stand together, and a
//! host that fails leaves nothing behind.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::problem::Matter;
use super::root::Root;

/// What stands between a host and its line.
const SEPARATOR: &[u8] = b": ";

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
    /// The hosts whose lines are in each file.
    hosts: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
    before: Before,
}

impl Merger {
    /// Below the folder `path`.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path, before: Before) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(State { root: Root::open(path)?, hosts: HashMap::new(), before }))))
    }

    /// Adds the lines of `file` to the one at `path`, each behind `host` and a colon; but when lines of the host are there
    /// already, these are of an attempt or a run before, and nothing is added.
    ///
    /// # Errors
    /// When one of them cannot be read, or the other written: then nothing is added.
    pub fn add(&self, path: &[u8], host: &str, file: &File, len: u64) -> Result<(), Matter> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = state.root.append(path)?;
        let added = state.add(path, host, &merged, file.take(len));
        added.map_err(|error| Matter::Unwritable(crate::reason(&error)))
    }
}

impl State {
    fn add(&mut self, path: &[u8], host: &str, mut merged: &File, file: impl Read) -> io::Result<()> {
        if !self.hosts.contains_key(path) {
            let hosts = match self.before {
                Before::Replaced => merged.set_len(0).map(|()| HashSet::new())?,
                Before::Continued => hosts_in(merged)?,
            };
            self.hosts.insert(path.to_vec(), hosts);
        }
        let hosts = self.hosts.entry(path.to_vec()).or_default();
        if hosts.contains(host.as_bytes()) {
            return Ok(());
        }
        let old = merged.seek(SeekFrom::End(0))?;
        prefixed(file, host, merged).inspect_err(|_| {
            let _ = merged.set_len(old);
        })?;
        hosts.insert(host.as_bytes().to_vec());
        Ok(())
    }
}

/// The hosts whose lines are in a file.
fn hosts_in(merged: &File) -> io::Result<HashSet<Vec<u8>>> {
    let mut hosts = HashSet::new();
    let mut lines = BufReader::with_capacity(1 << 16, merged);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Some(end) = line.windows(SEPARATOR.len()).position(|window| window == SEPARATOR)
            && !hosts.contains(&line[..end])
        {
            hosts.insert(line[..end].to_vec());
        }
        line.clear();
    }
    Ok(hosts)
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
            to.write_all(host.as_bytes())?;
            to.write_all(SEPARATOR)?;
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
        // Those whose lines are in already are not added again.
        let again = [("a", "9"), ("d", "4"), ("d", "9"), ("b", "5: 6")];
        assert_eq!(add(Before::Continued, &again), "a: 1\na: \na: 2\nc: 3\nd: 4\nb: 5: 6\n");
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
