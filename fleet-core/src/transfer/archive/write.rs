//! Headers of a tar archive: what stands before the content of each entry.
//!
//! Names of any bytes and lengths of any size are written such that GNU tar, busybox and bsdtar read them: POSIX ustar
//! where it suffices (IEEE Std 1003.1-2017, pax, "ustar Interchange Format"), the `L` and `K` entries and base-256
//! numbers of GNU tar beyond it (its manual, "Basic Tar Format"). No pax headers: busybox ignores those.
//!
//! Must not know files.

/// Bytes of a block: headers are blocks, and contents are padded to whole ones.
const BLOCK_LEN: usize = 512;

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
