//! Headers of a tar archive: what stands before the content of each entry.
//!
//! Names of any bytes and lengths of any size are written such that GNU tar, busybox and bsdtar read them: POSIX ustar
//! where it suffices (IEEE Std 1003.1-2017, pax, "ustar Interchange Format"), the `L` and `K` entries and base-256
//! numbers of GNU tar beyond it (its manual, "Basic Tar Format"). No pax headers: busybox ignores those.
//!
//! Must not know files.

use super::BLOCK_LEN;

/// What stands behind the last entry.
pub const END: [u8; 2 * BLOCK_LEN] = [0; 2 * BLOCK_LEN];

const POSIX_MAGIC: &[u8; 8] = b"ustar\x0000";
const GNU_MAGIC: &[u8; 8] = b"ustar  \0";

/// The name of the entries that hold a name too long for the header behind them.
const LONG_NAME: &[u8] = b"././@LongLink";

const NAME_LEN: usize = 100;
const PREFIX_LEN: usize = 155;

/// The zeros behind a content of `len` bytes.
#[must_use]
pub fn padding(len: u64) -> &'static [u8] {
    let used = (len % BLOCK_LEN as u64) as usize;
    &END[..(BLOCK_LEN - used) % BLOCK_LEN]
}

/// An entry of an archive, without its content.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Any bytes but NUL, `/` between folders, none at either end.
    pub name: &'a [u8],
    /// What it is.
    pub kind: HeaderKind<'a>,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    /// Seconds since 1970. What was before that is said to be of 1970, as not every tar reads negative numbers.
    pub mtime: i64,
    /// The number of the owner.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
}

/// What an entry of an archive is.
#[derive(Clone, Copy, Debug)]
pub enum HeaderKind<'a> {
    /// A file: its content of `len` bytes and the [`padding`] follow.
    File {
        /// Bytes of its content.
        len: u64,
    },
    /// A folder.
    Folder,
    /// A symlink.
    Symlink {
        /// What it names: any bytes but NUL.
        target: &'a [u8],
    },
}

impl Header<'_> {
    /// The blocks that stand before the content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (type_flag, len, target) = match self.kind {
            HeaderKind::File { len } => (b'0', len, &b""[..]),
            HeaderKind::Folder => (b'5', 0, &b""[..]),
            HeaderKind::Symlink { target } => (b'2', 0, target),
        };
        let mut name = self.name.to_vec();
        if type_flag == b'5' {
            name.push(b'/');
        }
        let mut bytes = Vec::with_capacity(BLOCK_LEN);
        if target.len() > NAME_LEN {
            push_long_name(&mut bytes, b'K', target);
        }
        let mut block = Block::new(type_flag, len);
        match split(&name) {
            Some((prefix, rest)) => {
                block.put(0, rest);
                block.put(345, prefix);
            }
            None => {
                push_long_name(&mut bytes, b'L', &name);
                block.put(0, &name[..NAME_LEN]);
                block.put(257, GNU_MAGIC);
            }
        }
        block.put_number(100..108, u64::from(self.mode & 0o7777));
        block.put_number(108..116, u64::from(self.uid));
        block.put_number(116..124, u64::from(self.gid));
        block.put_number(136..148, u64::try_from(self.mtime).unwrap_or(0));
        block.put(157, &target[..target.len().min(NAME_LEN)]);
        bytes.extend_from_slice(&block.finish());
        bytes
    }
}

/// `name` as ustar has it: a prefix, and what follows behind a `/`. `None` when it does not fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_LEN {
        return Some((b"", name));
    }
    // The rest must not be empty: a folder's name ends in a slash.
    let at = (1..name.len() - 1).find(|&at| name[at] == b'/' && name.len() - at - 1 <= NAME_LEN)?;
    (at <= PREFIX_LEN).then(|| (&name[..at], &name[at + 1..]))
}

/// An entry whose content is the name, or with `K` the symlink's target, of the entry behind it.
fn push_long_name(bytes: &mut Vec<u8>, type_flag: u8, name: &[u8]) {
    let len = name.len() as u64 + 1;
    let mut block = Block::new(type_flag, len);
    block.put(0, LONG_NAME);
    block.put(257, GNU_MAGIC);
    for field in [100..108, 108..116, 116..124, 136..148] {
        block.put_number(field, 0);
    }
    bytes.extend_from_slice(&block.finish());
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes.extend_from_slice(padding(len));
}

/// The block of a header.
struct Block([u8; BLOCK_LEN]);

impl Block {
    fn new(type_flag: u8, len: u64) -> Self {
        let mut block = Self([0; BLOCK_LEN]);
        block.put_number(124..136, len);
        block.0[156] = type_flag;
        block.put(257, POSIX_MAGIC);
        block
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Octal digits and a NUL; a number with too many digits as 0x80 and the number's bytes, the highest first.
    fn put_number(&mut self, field: std::ops::Range<usize>, number: u64) {
        let digits = field.len() - 1;
        if number >> (3 * digits) == 0 {
            self.put(field.start, format!("{number:0digits$o}\0").as_bytes());
            return;
        }
        self.0[field.start] = 0x80;
        let bytes = number.to_be_bytes();
        let kept = bytes.len().min(digits);
        self.put(field.end - kept, &bytes[bytes.len() - kept..]);
    }

    /// The sum of all bytes, those of its own field as blanks, makes the block valid.
    fn finish(mut self) -> [u8; BLOCK_LEN] {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|&b| u32::from(b)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::*;

    const TARS: [&[&str]; 3] = [&["tar"], &["busybox", "tar"], &["bsdtar"]];

    fn header<'a>(name: &'a [u8], kind: HeaderKind<'a>) -> Header<'a> {
        Header { name, kind, mode: 0o644, mtime: 1_000_000_000, uid: 0, gid: 0 }
    }

    fn run(tar: &[&str], arguments: &[&str], folder: &Path, input: impl Into<Stdio>) -> Output {
        let mut command = Command::new(tar[0]);
        command.args(&tar[1..]).args(arguments).current_dir(folder).env("LC_ALL", "C");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.spawn().unwrap_or_else(|error| panic!("{tar:?}: {error}")).wait_with_output().unwrap();
        assert!(output.status.success(), "{tar:?}: {}", output.stderr.escape_ascii());
        output
    }

    /// The folder into which `tar` has unpacked `archive`, which came through a pipe.
    fn unpacked(tar: &[&str], archive: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let archive = archive.to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&archive));
        run(tar, &["xpof", "-"], folder.path(), reader);
        // Some read no further than to the end of the archive.
        let _ = writing.join().unwrap();
        folder
    }

    /// A name of so many bytes, in folders of so many, that no other name begins with.
    fn name_of(len: usize, folder_len: usize) -> Vec<u8> {
        let rest = (3..len).map(|at| if at % folder_len == 0 && at + 1 < len { b'/' } else { b'n' });
        format!("{folder_len:03}").bytes().chain(rest).collect()
    }

    #[test]
    fn names_and_targets_of_every_length_are_read_by_every_tar() {
        let lens = (98..=103).chain(153..=158).chain(253..=260).chain([300, 1000]);
        let names: Vec<Vec<u8>> =
            lens.flat_map(|len| [name_of(len, 49), name_of(len, 101), name_of(len, 160)]).collect();
        let mut archive = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let (file, link, folder) =
                ([name, &b".f"[..]].concat(), [name, &b".l"[..]].concat(), [name, &b".d"[..]].concat());
            let content = number.to_string();
            archive.extend(header(&file, HeaderKind::File { len: content.len() as u64 }).to_bytes());
            archive.extend_from_slice(content.as_bytes());
            archive.extend_from_slice(padding(content.len() as u64));
            archive.extend(header(&link, HeaderKind::Symlink { target: name }).to_bytes());
            archive.extend(Header { mode: 0o755, ..header(&folder, HeaderKind::Folder) }.to_bytes());
        }
        archive.extend_from_slice(&END);
        for tar in TARS {
            let folder = unpacked(tar, &archive);
            for (number, name) in names.iter().enumerate() {
                let path = |end: &str| folder.path().join(OsStr::from_bytes(&[name, end.as_bytes()].concat()));
                let case = format!("{tar:?}: {} bytes", name.len());
                assert_eq!(fs::read_to_string(path(".f")).unwrap(), number.to_string(), "{case}");
                assert_eq!(fs::read_link(path(".l")).unwrap().as_os_str().as_bytes(), name, "{case}");
                assert!(path(".d").is_dir(), "{case}");
            }
        }
    }

    #[test]
    fn what_fits_is_plain_ustar() {
        for (len, blocks) in [(3, 1), (100, 1), (101, 1), (256, 1), (257, 3)] {
            let rest = (len - 2).min(NAME_LEN);
            let name = [&vec![b'p'; len - rest - 1], &b"/"[..], &vec![b'x'; rest]].concat();
            let bytes = header(&name, HeaderKind::File { len: 0 }).to_bytes();
            assert_eq!(bytes.len(), blocks * BLOCK_LEN, "{len}");
            assert_eq!(&bytes[257..265] == POSIX_MAGIC, blocks == 1, "{len}");
        }
    }

    #[test]
    fn a_length_over_eight_gib_is_read_by_every_tar() {
        let folder = tempfile::tempdir().unwrap();
        let lens = [(1 << 33) - 1, 9_000_000_001_u64];
        let file = File::create(folder.path().join("archive")).unwrap();
        let mut at = 0;
        for len in lens {
            let bytes = header(b"big", HeaderKind::File { len }).to_bytes();
            file.write_all_at(&bytes, at).unwrap();
            at += bytes.len() as u64 + len + padding(len).len() as u64;
        }
        file.write_all_at(&END, at).unwrap();
        for tar in TARS {
            let listed = run(tar, &["tvf", "archive"], folder.path(), Stdio::null()).stdout;
            let listed = String::from_utf8(listed).unwrap();
            let told: Vec<bool> = listed.lines().zip(lens).map(|(line, len)| line.contains(&len.to_string())).collect();
            assert_eq!(told, [true, true], "{tar:?}: {listed}");
        }
    }

    #[test]
    fn numbers_of_owners_and_times_of_any_size_are_read_by_every_tar() {
        let entry = Header {
            mtime: 9_000_000_000,
            uid: 3_000_000_000,
            gid: 2_097_152,
            mode: 0o640,
            ..header(b"file", HeaderKind::File { len: 0 })
        };
        let old = Header { mtime: -1, ..header(b"old", HeaderKind::File { len: 0 }) };
        let archive = [entry.to_bytes(), old.to_bytes(), END.to_vec()].concat();
        let root = rustix::process::geteuid().is_root();
        for tar in TARS {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("archive"), &archive).unwrap();
            run(tar, &["xpf", "archive"], folder.path(), Stdio::null());
            let meta = folder.path().join("file").metadata().unwrap();
            assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o640, 9_000_000_000), "{tar:?}");
            assert!(!root || (meta.uid(), meta.gid()) == (3_000_000_000, 2_097_152), "{tar:?}");
            assert_eq!(folder.path().join("old").metadata().unwrap().mtime(), 0, "{tar:?}");
        }
    }

    #[test]
    fn contents_are_padded_to_whole_blocks() {
        for (len, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (1 << 33, 0)] {
            assert_eq!(padding(len).len(), expected, "{len}");
        }
    }
}
