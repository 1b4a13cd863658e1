//! A folder here that a host's files are written below, and nowhere else.
//!
//! Whatever the host made there before, symlinks above all, is never gone through: each part of a path is opened by
//! itself, relative to the one above it. A file is written beside its target and renamed when it is complete.
//!
//! Must not know where names come from; that they are names is the caller's to see to ([`super::plan`]).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::part_file::{PartFile, part_name, set_time, timestamps};
use super::plan::Folding;
use super::problem::Matter;

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A folder of ours.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    folder: Arc<OwnedFd>,
    /// The folder that was used last, and its path: most files lie where the one before does.
    last: Option<(Vec<u8>, Arc<OwnedFd>)>,
}

/// What is here at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// Nothing.
    Nothing,
    /// A file.
    File {
        /// Its length.
        len: u64,
        /// When it was last changed, in seconds since 1970.
        mtime: i64,
    },
    /// A symlink.
    Symlink {
        /// The length of what it names.
        len: u64,
        /// When it was made, in seconds since 1970.
        mtime: i64,
    },
    /// Something else.
    Else,
}

impl Root {
    /// The folder at `path`, made with those above it where they are missing.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        // The path is the user's own, so symlinks in it are meant.
        let folder = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path: path.to_owned(), folder: Arc::new(folder), last: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that may still be written to its file system.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(&self.folder).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }

    /// Makes a folder with at most these permissions; its owner may always write to it.
    ///
    /// # Errors
    /// When something else is there, or it cannot be made.
    pub fn make_folder(&mut self, path: &[u8], mode: u32) -> Result<(), Matter> {
        let (above, name) = split(path);
        let above = self.folder(above)?;
        match rustix::fs::mkdirat(&above, os(name), Mode::from_raw_mode(mode & 0o777 | 0o700)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.folder(path).map(|_| ()),
            Err(error) => Err(refused(error)),
        }
    }

    /// What is at `path`; folders that are missing are not made.
    ///
    /// # Errors
    /// When a part of the path is no folder.
    pub fn look(&mut self, path: &[u8]) -> Result<Here, Matter> {
        let (above, name) = split(path);
        self.look_at(above, name)
    }

    fn look_at(&mut self, above: &[u8], name: &[u8]) -> Result<Here, Matter> {
        let known = self.last.as_ref().filter(|(last, _)| last == above).map(|(_, folder)| Arc::clone(folder));
        let folder = match known.map_or_else(|| self.walk(above, Missing::Error), Ok) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(Here::Nothing),
            Err(error) => return Err(refused(error)),
        };
        self.last = Some((above.to_vec(), Arc::clone(&folder)));
        match rustix::fs::statat(&folder, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(here(&stat)),
            Err(Errno::NOENT) => Ok(Here::Nothing),
            Err(error) => Err(refused(error)),
        }
    }

    /// How long the file is that is not complete, if there is one for `path`.
    #[must_use]
    pub fn part_len(&mut self, path: &[u8]) -> Option<u64> {
        let (above, name) = split(path);
        match self.look_at(above, &part_name(name)) {
            Ok(Here::File { len, .. }) => Some(len),
            _ => None,
        }
    }

    /// An empty file that is to become `path`, with at most these permissions.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_part(&mut self, path: &[u8], mode: u32) -> Result<PartFile, Matter> {
        let (above, name) = split(path);
        let beside = part_name(name);
        let folder = self.folder(above)?;
        match rustix::fs::unlinkat(&folder, os(&beside), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(refused(error)),
        }
        let flags = FILE_FLAGS | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(mode & 0o777 | 0o600);
        let file = rustix::fs::openat(&folder, os(&beside), flags, mode).map_err(refused)?.into();
        Ok(PartFile::new(file, folder, beside, name))
    }

    /// The file that is not complete, for `path`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_part(&mut self, path: &[u8]) -> Result<PartFile, Matter> {
        let (above, name) = split(path);
        let (folder, beside) = (self.folder(above)?, part_name(name));
        let file = open_file(&folder, &beside, OFlags::RDWR)?;
        Ok(PartFile::new(file, folder, beside, name))
    }

    /// The file at `path`, to be read.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&mut self, path: &[u8]) -> Result<File, Matter> {
        let (above, name) = split(path);
        open_file(&*self.folder(above)?, name, OFlags::RDONLY)
    }

    /// The part file of `path`, with the first `len` bytes of what is at `path` in it.
    ///
    /// # Errors
    /// When one of them cannot be read, or the other written.
    pub fn part_from(&mut self, path: &[u8], from: &[u8], len: u64, mode: u32) -> Result<PartFile, Matter> {
        let source = self.read(from)?;
        let part = self.new_part(path, mode)?;
        let copied = io::copy(&mut source.take(len), &mut part.file()).map_err(|error| unwritable(&error))?;
        if copied == len { Ok(part) } else { Err(Matter::Changed) }
    }

    /// Sets when the file at `path` was last changed, in seconds since 1970.
    ///
    /// # Errors
    /// When there is none, or it is not ours.
    pub fn set_time(&mut self, path: &[u8], mtime: i64) -> Result<(), Matter> {
        set_time(&self.read(path)?, mtime)
    }

    /// The file at `path`, made if it is missing, to be read and written.
    ///
    /// # Errors
    /// When it cannot be opened, or is none.
    pub fn append(&mut self, path: &[u8]) -> Result<File, Matter> {
        let (above, name) = split(path);
        open_file(&*self.folder(above)?, name, OFlags::RDWR | OFlags::CREATE)
    }

    /// Makes a symlink, or changes one that is there, with the time when the host's was made: by it and its length it is
    /// known again.
    ///
    /// # Errors
    /// When it cannot, such as where a folder is.
    pub fn symlink(&mut self, path: &[u8], target: &[u8], mtime: i64) -> Result<(), Matter> {
        let (above, name) = split(path);
        let (folder, beside) = (self.folder(above)?, part_name(name));
        let _ = rustix::fs::unlinkat(&folder, os(&beside), AtFlags::empty());
        rustix::fs::symlinkat(os(target), &folder, os(&beside)).map_err(refused)?;
        // Not every file system keeps it: there, symlinks come again.
        let times = timestamps(mtime);
        let _ = rustix::fs::utimensat(&folder, os(&beside), &times, AtFlags::SYMLINK_NOFOLLOW);
        rustix::fs::renameat(&folder, os(&beside), &folder, os(name)).map_err(|error| {
            let _ = rustix::fs::unlinkat(&folder, os(&beside), AtFlags::empty());
            refused(error)
        })
    }

    /// Whether names that differ only in case are one here.
    #[must_use]
    pub fn folding(&self) -> Folding {
        let name = format!(".fleet-case-{:016x}", rand_name());
        let flags = FILE_FLAGS | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        if rustix::fs::openat(&self.folder, &name, flags, Mode::RUSR | Mode::WUSR).is_err() {
            return Folding::None;
        }
        let other = rustix::fs::statat(&self.folder, name.to_uppercase(), AtFlags::SYMLINK_NOFOLLOW);
        let _ = rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty());
        if other.is_ok() { Folding::Case } else { Folding::None }
    }

    /// The folder at `path`, made where it is missing.
    fn folder(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>, Matter> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(Arc::clone(folder));
        }
        let folder = self.walk(path, Missing::Make).map_err(refused)?;
        self.last = Some((path.to_vec(), Arc::clone(&folder)));
        Ok(folder)
    }

    /// Opens the parts of a path one below the other.
    fn walk(&self, path: &[u8], missing: Missing) -> Result<Arc<OwnedFd>, Errno> {
        let mut folder = Arc::clone(&self.folder);
        for part in path.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
            let opened = match rustix::fs::openat(&folder, os(part), FOLDER_FLAGS, Mode::empty()) {
                Err(Errno::NOENT) if missing == Missing::Make => {
                    match rustix::fs::mkdirat(&folder, os(part), Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error),
                    }
                    rustix::fs::openat(&folder, os(part), FOLDER_FLAGS, Mode::empty())
                }
                opened => opened,
            };
            folder = Arc::new(opened?);
        }
        Ok(folder)
    }
}

/// What is done about a folder that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Make,
    Error,
}

/// Opens a file, and nothing else, to which no symlink leads.
fn open_file(folder: &OwnedFd, name: &[u8], access: OFlags) -> Result<File, Matter> {
    let file =
        rustix::fs::openat(folder, os(name), FILE_FLAGS | access, Mode::from_raw_mode(0o666)).map_err(refused)?;
    match here(&rustix::fs::fstat(&file).map_err(refused)?) {
        Here::File { .. } => Ok(file.into()),
        _ => Err(Matter::InTheWay),
    }
}

/// The path above, and the last part.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn here(stat: &Stat) -> Here {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Here::File { len: stat.st_size.cast_unsigned(), mtime: stat.st_mtime },
        FileType::Symlink => Here::Symlink { len: stat.st_size.cast_unsigned(), mtime: stat.st_mtime },
        _ => Here::Else,
    }
}

pub(super) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

pub(super) fn refused(error: Errno) -> Matter {
    match error {
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => Matter::InTheWay,
        error => unwritable(&error.into()),
    }
}

pub(super) fn unwritable(error: &io::Error) -> Matter {
    Matter::Unwritable(crate::reason(error))
}

/// A number that no other process has in this moment.
fn rand_name() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::super::part_file::digest_of;
    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(&folder.path().join("made/host")).unwrap();
        (folder, root)
    }

    fn write(root: &mut Root, path: &[u8], content: &[u8]) -> Result<(), Matter> {
        let part = root.new_part(path, 0o644)?;
        part.write_at(0, content)?;
        part.finish(content.len() as u64, 1_000_000_000)
    }

    fn names(root: &Root) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_goes_through_a_symlink() {
        let (folder, mut root) = root();
        let outside = folder.path().join("outside");
        fs::create_dir_all(outside.join("deep")).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        for name in ["link", "before/link"] {
            fs::create_dir_all(root.path().join("before")).unwrap();
            symlink(&outside, root.path().join(name)).unwrap();
            let below = format!("{name}/file").into_bytes();
            let deeper = format!("{name}/deep/file").into_bytes();
            for path in [&below, &deeper] {
                assert_eq!(write(&mut root, path, b"x"), Err(Matter::InTheWay));
                assert_eq!(root.symlink(path, b"x", 0), Err(Matter::InTheWay));
                assert_eq!(root.make_folder(path, 0o755), Err(Matter::InTheWay));
                assert_eq!(root.read(path).err(), Some(Matter::InTheWay));
                assert_eq!(root.look(path), Err(Matter::InTheWay));
            }
            assert_eq!(root.make_folder(name.as_bytes(), 0o755), Err(Matter::InTheWay));
            assert_eq!(root.read(name.as_bytes()).err(), Some(Matter::InTheWay));
            assert_eq!(root.append(name.as_bytes()).err(), Some(Matter::InTheWay));
        }
        // The symlink itself is replaced, and what it leads to is left alone.
        symlink(outside.join("file"), root.path().join("file")).unwrap();
        assert!(matches!(root.look(b"file"), Ok(Here::Symlink { .. })));
        write(&mut root, b"file", b"new").unwrap();
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
        assert_eq!(root.look(b"file"), Ok(Here::File { len: 3, mtime: 1_000_000_000 }));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
    }

    #[test]
    fn a_symlink_in_the_place_of_an_unfinished_file_is_not_followed() {
        let (folder, mut root) = root();
        let outside = folder.path().join("outside");
        let name = String::from_utf8(part_name(b"file")).unwrap();
        symlink(&outside, root.path().join(&name)).unwrap();
        assert_eq!((root.part_len(b"file"), root.open_part(b"file").err()), (None, Some(Matter::InTheWay)));
        write(&mut root, b"file", b"x").unwrap();
        assert!(!outside.exists());
        assert_eq!(names(&root), ["file"]);
    }

    #[test]
    fn what_is_in_the_way_stays() {
        let (_folder, mut root) = root();
        root.make_folder(b"folder", 0o500).unwrap();
        assert_eq!(root.path().join("folder").metadata().unwrap().mode() & 0o700, 0o700);
        root.make_folder(b"folder", 0o755).unwrap();
        assert_eq!(write(&mut root, b"folder", b"x"), Err(Matter::InTheWay));
        assert_eq!(root.symlink(b"folder", b"x", 0), Err(Matter::InTheWay));
        write(&mut root, b"file", b"x").unwrap();
        assert_eq!(root.make_folder(b"file", 0o755), Err(Matter::InTheWay));
        assert_eq!(write(&mut root, b"file/below", b"x"), Err(Matter::InTheWay));
        rustix::fs::mkfifoat(&*root.folder, "pipe", Mode::from_raw_mode(0o644)).unwrap();
        assert_eq!(root.read(b"pipe").err(), Some(Matter::InTheWay));
        assert_eq!(names(&root), ["file", "folder", "pipe"]);
    }

    #[test]
    fn a_large_file_that_is_not_complete_stays_and_a_small_one_goes() {
        let (_folder, mut root) = root();
        let large = vec![b'x'; 100_000];
        let longest = [b'n'; 255];
        for (name, bytes, left) in [(&b"small"[..], &large[..100], None), (&longest, &large, Some(100_000))] {
            let part = root.new_part(name, 0o600).unwrap();
            part.write_at(0, bytes).unwrap();
            drop(part);
            assert_eq!((root.look(name), root.part_len(name)), (Ok(Here::Nothing), left));
        }
        let part = root.open_part(&longest).unwrap();
        part.write_at(100_000, b"more").unwrap();
        part.finish(100_004, 5).unwrap();
        assert_eq!(root.look(&longest), Ok(Here::File { len: 100_004, mtime: 5 }));
        assert_eq!(root.part_len(&longest), None);
        root.new_part(b"other", 0o600).unwrap().leave();
        assert_eq!(root.part_len(b"other"), Some(0));
        root.open_part(b"other").unwrap().discard();
        assert_eq!(root.part_len(b"other"), None);
    }

    #[test]
    fn zeros_become_holes_and_are_read_back() {
        let (_folder, mut root) = root();
        let mut content = vec![0; 1 << 20];
        for at in [0, 4095, 300_000, (1 << 20) - 1] {
            content[at] = 1;
        }
        let part = root.new_part(b"file", 0o644).unwrap();
        for (number, piece) in content.chunks(100_001).enumerate() {
            part.write_at(number as u64 * 100_001, piece).unwrap();
        }
        part.finish(1 << 20, 0).unwrap();
        assert!(fs::read(root.path().join("file")).unwrap() == content);
        assert!(root.path().join("file").metadata().unwrap().blocks() < 200);
        write(&mut root, b"zeros", &[0; 10_000]).unwrap();
        assert_eq!(fs::read(root.path().join("zeros")).unwrap(), [0; 10_000]);
    }

    #[test]
    fn a_digest_is_that_of_the_first_bytes() {
        let (_folder, mut root) = root();
        write(&mut root, b"file", b"abc and more").unwrap();
        // FIPS 180-4's example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of(&root.read(b"file").unwrap(), 3).unwrap(), abc);
    }
}
