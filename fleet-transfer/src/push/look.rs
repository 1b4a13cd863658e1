//! What a host has already of what is to be copied: what it is asked, and what its answer means.
//!
//! The shell that answers is `ssh/remote/copy_look.sh`. A host that answers nonsense is taken to have something else.
//! Must not know how it is asked.

use std::collections::HashMap;
use std::io;

use fleet_ssh::remote::{Token, Verify, copy_name, look_mark};
use std::os::unix::ffi::OsStrExt as _;

use super::commit::{is_file, push_calls, word};
use crate::destination::Found;
use crate::digest::{Digest, Digester};
use crate::manifest::{EntryKind, Manifest, Selection};

/// What a file is read by for its digest.
const BUFFER_BYTES: usize = 256 * 1024;
/// What stands behind the digests of a batch.
const BATCH_END: &[u8] = b"\x1e";
/// Hexadecimal digits of SHA-256.
const SHA256_DIGITS: usize = 64;

/// What is looked for on one host.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What is copied.
    pub manifest: &'a Manifest,
    /// What of it the host is to have.
    pub selection: &'a Selection,
}

/// What there is under the name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// The same: a file with this content, a symlink with this target, a folder.
    Same,
    /// Something else of the same kind, or that is replaced all the same.
    Other,
    /// A folder where there is to be none, or something else where there is to be a folder: nothing replaces it.
    InTheWay,
}

/// The answer of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// What there is at the destination.
    pub destination: Found,
    /// What there is of each entry, by its index, in an order of its own.
    pub entries: Vec<(usize, There)>,
}

/// Why an answer tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The program did not run.
    #[error("the host did not answer")]
    NoAnswer,
    /// It did not come to its end.
    #[error("the answer of the host ends in the middle")]
    Cut,
}

impl Look<'_> {
    /// The calls of the host's script.
    #[must_use]
    pub fn calls(&self) -> Vec<u8> {
        let mut text = Vec::new();
        push_calls(&mut text, b"files", self.files().map(|at| word(&self.manifest.entries[at])));
        push_calls(&mut text, b"folders", self.folders().map(|at| word(&self.manifest.entries[at])));
        for (at, target) in self.symlinks() {
            let target = copy_name(target);
            text.extend([b"symlink ", &word(&self.manifest.entries[at])[..], b" ", &target, b"\n"].concat());
        }
        text
    }

    /// Reads the answer of a host, all that it said on standard output; `digests` are those of the files here.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&self, said: &[u8], mark: &Token, digests: &HashMap<usize, Digest>) -> Result<Findings, LookError> {
        let mark = look_mark(mark);
        let at = said.windows(mark.len()).position(|window| window == mark).ok_or(LookError::NoAnswer)?;
        let mut lines = said[at + mark.len()..].split(|&b| b == b'\n');
        let destination = match lines.next() {
            Some(b"nothing") => {
                let entries = self.selection.iter().map(|at| (at, There::Nothing)).collect();
                return Ok(Findings { destination: Found::NoFolder, entries });
            }
            Some(b"folder") => Found::Folder,
            Some(b"name") => Found::NoFolder,
            _ => return Err(LookError::Cut),
        };
        let mut entries = Vec::new();
        let mut files = self.files().peekable();
        while files.peek().is_some() {
            let letters = lines.next().filter(|letters| !letters.is_empty()).ok_or(LookError::Cut)?;
            let batch: Vec<usize> = files.by_ref().take(letters.len()).collect();
            let mut lines = lines.by_ref().take_while(|line| *line != BATCH_END);
            entries.extend(files_there(&batch, letters, &mut lines, digests));
        }
        let mut folders = self.folders().peekable();
        while folders.peek().is_some() {
            let letters = lines.next().filter(|letters| !letters.is_empty()).ok_or(LookError::Cut)?;
            entries.extend(folders.by_ref().take(letters.len()).zip(letters.iter().map(|letter| folder(*letter))));
        }
        for (at, _) in self.symlinks() {
            let letter = lines.next().and_then(|line| line.first()).ok_or(LookError::Cut)?;
            entries.push((at, symlink(*letter)));
        }
        Ok(Findings { destination, entries })
    }

    fn files(&self) -> impl Iterator<Item = usize> {
        self.selection.iter().filter(|at| is_file(&self.manifest.entries[*at]))
    }

    fn folders(&self) -> impl Iterator<Item = usize> {
        self.selection.iter().filter(|at| self.manifest.entries[*at].kind == EntryKind::Folder)
    }

    fn symlinks(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.selection.iter().filter_map(|at| match &self.manifest.entries[at].kind {
            EntryKind::Symlink { target } => Some((at, target.as_os_str().as_bytes())),
            _ => None,
        })
    }
}

/// What there is of the files of a batch, whose digests are in `lines` where they are files there too.
fn files_there<'a>(
    batch: &[usize],
    letters: &[u8],
    lines: &mut impl Iterator<Item = &'a [u8]>,
    digests: &HashMap<usize, Digest>,
) -> Vec<(usize, There)> {
    let told: Vec<&[u8]> = lines.collect();
    // A name with a line end may make more of them, a file that cannot be read fewer: then nobody knows whose they are.
    let are_complete = told.len() == letters.iter().filter(|letter| **letter == b'f').count();
    let mut told = told.into_iter();
    let there = |(at, letter): (&usize, &u8)| {
        let there = match letter {
            b'f' => match (told.next().filter(|_| are_complete), digests.get(at)) {
                (Some(line), Some(digest)) if is_digest(line, digest) => There::Same,
                _ => There::Other,
            },
            b'd' => There::InTheWay,
            b'-' => There::Nothing,
            _ => There::Other,
        };
        (*at, there)
    };
    batch.iter().zip(letters).map(there).collect()
}

fn folder(letter: u8) -> There {
    match letter {
        b'd' => There::Same,
        b'-' => There::Nothing,
        _ => There::InTheWay,
    }
}

fn symlink(letter: u8) -> There {
    match letter {
        b's' => There::Same,
        b'd' => There::InTheWay,
        b'-' => There::Nothing,
        _ => There::Other,
    }
}

/// Whether a line is what a program for digests prints of a file with this one: `HEX  NAME` (sha256sum, shasum; with a
/// backslash before it when the name is escaped), `SHA256 (NAME) = HEX` (sha256, openssl) or `NUMBER LENGTH NAME` (cksum).
fn is_digest(line: &[u8], digest: &Digest) -> bool {
    let first = line.strip_prefix(b"\\").unwrap_or(line);
    let last = line.len().checked_sub(SHA256_DIGITS).map(|start| &line[start..]);
    let is_sha256 = |hex: String| {
        first.starts_with(format!("{hex} ").as_bytes()) || (line.contains(&b'=') && last == Some(hex.as_bytes()))
    };
    let cksum = format!("{} {} ", digest.cksum, digest.len);
    digest.sha256_hex().is_some_and(is_sha256) || line.starts_with(cksum.as_bytes())
}

/// The digests of all files, by their indices. One that cannot be read has none. Blocks.
#[must_use]
pub fn digests(manifest: &Manifest) -> HashMap<usize, Digest> {
    let files = manifest.entries.iter().enumerate().filter(|(_, entry)| is_file(entry));
    files.filter_map(|(at, entry)| Some((at, digest_of(&entry.source).ok()?))).collect()
}

fn digest_of(path: &std::path::Path) -> io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let (mut digester, mut buffer) = (Digester::new(Verify::Sha256), vec![0; BUFFER_BYTES]);
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(digester.finish()),
            Ok(len) => digester.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Entry;

    fn manifest(entries: &[(&str, EntryKind)]) -> Manifest {
        let entry = |(path, kind): &(&str, EntryKind)| Entry {
            path: path.into(),
            source: path.into(),
            kind: kind.clone(),
            mode: 0o644,
            mtime: 0,
            uid: 0,
            gid: 0,
        };
        Manifest { entries: entries.iter().map(entry).collect(), problems: Vec::new() }
    }

    fn read(manifest: &Manifest, answer: &str, digests: &HashMap<usize, Digest>) -> Result<Findings, LookError> {
        let look = Look { manifest, selection: &manifest.all() };
        let said = format!("motd\n\x1efleet 00000000000000ab {answer}");
        look.read(said.as_bytes(), &Token::new(0xab), digests)
    }

    #[test]
    fn an_answer_is_read_by_kind_and_batch() {
        let file = || EntryKind::File { len: 1 };
        let manifest = manifest(&[
            ("d", EntryKind::Folder),
            ("d/same", file()),
            ("d/other", file()),
            ("d/new", file()),
            ("d/folder", file()),
            ("l", EntryKind::Symlink { target: "d".into() }),
        ]);
        let look = Look { manifest: &manifest, selection: &manifest.all() };
        let calls = "files d/same d/other d/new d/folder\nfolders d\nsymlink l d\n";
        assert_eq!(String::from_utf8(look.calls()).unwrap(), calls);
        let digests: HashMap<usize, Digest> = (1..5).map(|at| (at, Digest::of(b"x", Verify::Sha256))).collect();
        let hex = Digest::of(b"x", Verify::Sha256).sha256_hex().unwrap();
        let answer = format!("folder\nff-d\n{hex}  d/same\n{}  d/other\n\x1e\nd\ns\n", "0".repeat(64));
        let entries = vec![
            (1, There::Same),
            (2, There::Other),
            (3, There::Nothing),
            (4, There::InTheWay),
            (0, There::Same),
            (5, There::Same),
        ];
        assert_eq!(read(&manifest, &answer, &digests), Ok(Findings { destination: Found::Folder, entries }));
        // One digest too few: nobody knows which is missing.
        let answer = format!("name\nff-d\n{hex}  d/same\n\x1e\no\n-\n");
        let findings = read(&manifest, &answer, &digests).unwrap();
        assert_eq!(findings.destination, Found::NoFolder);
        assert_eq!(findings.entries[..2], [(1, There::Other), (2, There::Other)]);
        assert_eq!(findings.entries[4..], [(0, There::InTheWay), (5, There::Nothing)]);
        let nothing = read(&manifest, "nothing\n", &digests).unwrap();
        assert!(nothing.entries.len() == 6 && nothing.entries.iter().all(|(_, there)| *there == There::Nothing));
        for cut in ["folder\n", "folder\nff-d\n\x1e\n", "folder\nff-d\n\x1e\nd\n", ""] {
            assert_eq!(read(&manifest, cut, &digests), Err(LookError::Cut), "{cut:?}");
        }
        let other_mark = look.read(b"\x1efleet 00000000000000ac folder\n", &Token::new(0xab), &digests);
        assert_eq!(other_mark, Err(LookError::NoAnswer));
    }

    /// As GNU coreutils 9.1, perl's shasum 6.02, OpenSSL 3.0 and FreeBSD print them, of a file with "x" in it.
    #[test]
    fn digests_are_read_as_every_program_prints_them() {
        let digest = Digest::of(b"x", Verify::Sha256);
        let hex = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        for (line, is_same) in [
            (format!("{hex}  name"), true),
            (format!("\\{hex}  a\\nb"), true),
            (format!("SHA2-256(name)= {hex}"), true),
            (format!("SHA256 (name) = {hex}"), true),
            (format!("{} 1 name", digest.cksum), true),
            (format!("{} 2 name", digest.cksum), false),
            (format!("{} name {hex}", "0".repeat(64)), false),
            (String::new(), false),
        ] {
            assert_eq!(is_digest(line.as_bytes(), &digest), is_same, "{line}");
        }
    }
}
