//! Reads a tar archive as it comes, from whoever sends it, and believes nothing of it.
//!
//! Understood is what GNU tar, busybox and bsdtar write: ustar, the `L`, `K` and `S` entries and base-256 numbers of GNU
//! tar, pax headers, sparse files of pax format 1.0, and several archives one after the other. What is not understood and
//! matters is refused by name. Nothing is allocated by what a header claims: names and maps grow as their bytes come,
//! up to a limit, and contents are passed on without being kept.
//!
//! Bytes to values: must not know files, nor decide what is done with the names.

use super::BLOCK_LEN;
use super::pax::{Pax, SparseFile};
use super::sparse::{Map, MapReader, More};

/// The longest header behind a header that is read: names are shorter, on every system.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// Why something is no archive that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The sum in a header is not that of its bytes.
    #[error("what came is no tar archive: expected a header with the sum of its bytes")]
    Checksum,
    /// A number in a header.
    #[error("a header of the archive is damaged: expected a number")]
    Number,
    /// A pax header.
    #[error("a pax header of the archive is damaged")]
    Pax,
    /// The map of a sparse file.
    #[error("the map of a sparse file in the archive is damaged, or has too many parts")]
    Sparse,
    /// A name, or the headers in front of it.
    #[error("a name in the archive is empty, or longer than any system has")]
    Name,
    /// Something that has none in every tar that is known.
    #[error("something that is no file has content in the archive")]
    Content,
    /// It would be read wrongly.
    #[error("the archive has {what}, which is not understood here")]
    Unsupported {
        /// What it has.
        what: &'static str,
    },
    /// It ends in the middle of an entry.
    #[error("the archive ended in the middle of an entry")]
    Cut,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, with its length in bytes; what lies between the pieces of its content is zeros.
    File {
        /// Its length.
        len: u64,
    },
    /// Another name of a file that came before.
    HardLink {
        /// The name of that file.
        target: Vec<u8>,
    },
    /// A symlink.
    Symlink {
        /// What it names.
        target: Vec<u8>,
    },
    /// A folder.
    Folder,
    /// A device, a pipe, or something of one tar's own.
    Other,
}

/// An entry of an archive, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name: any bytes but NUL, also `..` and `/` anywhere.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An entry begins.
    Member(Member),
    /// Bytes of its content: in order, without overlap, and within its length.
    Data {
        /// Where in the file they belong.
        at: u64,
        /// They.
        bytes: &'a [u8],
    },
    /// The entry has ended.
    End,
}

/// Reads an archive in pieces of any size.
#[derive(Debug)]
pub struct Reader {
    state: State,
    block: [u8; BLOCK_LEN],
    filled: usize,
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    pax: Option<Pax>,
}

#[derive(Debug)]
enum State {
    /// A header is next.
    Header,
    /// The content of a header that belongs to the next one.
    Extension { flag: u8, bytes: Vec<u8>, left: u64, padding: u64 },
    /// Another block of a map of GNU tar.
    OldMap { member: Member, map: Map, len: u64, stored: u64 },
    /// A block of a map of pax, with what is left of the content.
    NewMap { member: Member, reader: MapReader, stored: u64 },
    /// The next entry, to be given out.
    Begin { member: Member, map: Map },
    /// The content of a file.
    Content { map: Map, index: usize, done: u64, padding: u64 },
    /// Zeros.
    Padding { left: u64 },
}

impl Default for Reader {
    fn default() -> Self {
        Self { state: State::Header, block: [0; BLOCK_LEN], filled: 0, name: None, target: None, pax: None }
    }
}

impl Reader {
    /// The next piece in `input`, which is moved behind it; `None` when more has to come first.
    ///
    /// # Errors
    /// When it is no archive that can be read. Nothing more can be read of it then.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, ArchiveError> {
        loop {
            match std::mem::replace(&mut self.state, State::Header) {
                State::Begin { member, map } => {
                    let padding = padding_of(map.stored());
                    self.state = State::Content { map, index: 0, done: 0, padding };
                    return Ok(Some(Piece::Member(member)));
                }
                State::Content { map, index, done, padding } => {
                    let Some(segment) = map.get(index) else {
                        self.state = State::Padding { left: padding };
                        return Ok(Some(Piece::End));
                    };
                    if done == segment.len {
                        self.state = State::Content { map, index: index + 1, done: 0, padding };
                        continue;
                    }
                    let bytes = take(input, segment.len - done);
                    let at = segment.at + done;
                    self.state = State::Content { map, index, done: done + bytes.len() as u64, padding };
                    return Ok((!bytes.is_empty()).then_some(Piece::Data { at, bytes }));
                }
                state => {
                    if !self.read_on(state, input)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether an archive may end here.
    ///
    /// # Errors
    /// When it has ended in the middle of an entry.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        let complete = matches!(self.state, State::Header)
            && self.filled == 0
            && (&self.name, &self.target, &self.pax) == (&None, &None, &None);
        if complete { Ok(()) } else { Err(ArchiveError::Cut) }
    }

    /// Reads what lies between contents. `false` when more has to come first.
    fn read_on(&mut self, state: State, input: &mut &[u8]) -> Result<bool, ArchiveError> {
        match state {
            State::Extension { flag, mut bytes, left, padding } => {
                let more = take(input, left);
                bytes.extend_from_slice(more);
                let left = left - more.len() as u64;
                if left > 0 {
                    self.state = State::Extension { flag, bytes, left, padding };
                    return Ok(false);
                }
                self.state = State::Padding { left: padding };
                self.take_extension(flag, bytes)?;
            }
            State::Padding { left } => {
                let left = left - take(input, left).len() as u64;
                if left > 0 {
                    self.state = State::Padding { left };
                    return Ok(false);
                }
            }
            state => {
                if !self.fill(input) {
                    self.state = state;
                    return Ok(false);
                }
                self.read_block(state)?;
            }
        }
        Ok(true)
    }

    /// Completes the block, as far as there is input.
    fn fill(&mut self, input: &mut &[u8]) -> bool {
        let bytes = take(input, (BLOCK_LEN - self.filled) as u64);
        self.block[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled = (self.filled + bytes.len()) % BLOCK_LEN;
        self.filled == 0 && !bytes.is_empty()
    }

    fn read_block(&mut self, state: State) -> Result<(), ArchiveError> {
        self.state = match state {
            State::OldMap { member, mut map, len, stored } => match map.read_block(&self.block, len)? {
                More::Follows => State::OldMap { member, map, len, stored },
                More::None => begin(member, map, stored)?,
            },
            State::NewMap { member, mut reader, stored } => match reader.read_block(&self.block)? {
                None => State::NewMap { member, reader, stored },
                Some((map, taken)) => begin(member, map, stored.checked_sub(taken).ok_or(ArchiveError::Sparse)?)?,
            },
            _ => self.read_header()?,
        };
        Ok(())
    }

    fn read_header(&mut self) -> Result<State, ArchiveError> {
        let block = self.block;
        // Two of these end an archive; another may follow.
        if block.iter().all(|&b| b == 0) {
            return Ok(State::Header);
        }
        verify_sum(&block)?;
        let size = number(&block[124..136])?;
        let flag = block[156];
        if matches!(flag, b'L' | b'K' | b'x' | b'g') {
            if size > LONGEST_EXTENSION {
                return Err(ArchiveError::Name);
            }
            return Ok(State::Extension { flag, bytes: Vec::new(), left: size, padding: padding_of(size) });
        }
        let pax = self.pax.take().unwrap_or_default();
        let size = pax.size.unwrap_or(size);
        let sparse = pax.sparse()?;
        let name = self.name.take().or(pax.path).unwrap_or_else(|| name_of(&block));
        let target = self.target.take().or(pax.link_path).unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let mtime = pax.mtime.map_or_else(|| signed_number(&block[136..148]), Ok)?;
        let kind = kind_of(flag, &name, target, size);
        let is_file = matches!(kind, Kind::File { .. });
        if name.is_empty() {
            return Err(ArchiveError::Name);
        }
        let member = Member { name, kind, mtime };
        if let Some(SparseFile { name, len }) = sparse {
            if !is_file || flag == b'S' {
                return Err(ArchiveError::Sparse);
            }
            let member = Member { name: name.unwrap_or(member.name), kind: Kind::File { len }, mtime };
            return Ok(State::NewMap { member, reader: MapReader::new(len), stored: size });
        }
        if flag == b'S' {
            let len = number(&block[483..495])?;
            let member = Member { kind: Kind::File { len }, ..member };
            return match Map::of_header(&block, len)? {
                (map, More::Follows) => Ok(State::OldMap { member, map, len, stored: size }),
                (map, More::None) => begin(member, map, size),
            };
        }
        if size > 0 && !is_file && member.kind != Kind::Other {
            return Err(ArchiveError::Content);
        }
        // The content of what is not known is passed over with the rest.
        begin(member, Map::dense(size), size)
    }

    fn take_extension(&mut self, flag: u8, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        match flag {
            b'x' => self.pax = Some(Pax::parse(&bytes)?),
            b'g' if Pax::parse(&bytes)?.is_harmless_to_all() => {}
            b'g' => return Err(ArchiveError::Unsupported { what: "a name or length for all later entries" }),
            _ => {
                let text = until_nul(&bytes).to_vec();
                if text.is_empty() {
                    return Err(ArchiveError::Name);
                }
                *(if flag == b'L' { &mut self.name } else { &mut self.target }) = Some(text);
            }
        }
        Ok(())
    }
}

/// The entry, whose map must be that of all bytes that the archive has of it.
fn begin(member: Member, map: Map, stored: u64) -> Result<State, ArchiveError> {
    if map.stored() == stored { Ok(State::Begin { member, map }) } else { Err(ArchiveError::Sparse) }
}

fn kind_of(flag: u8, name: &[u8], target: Vec<u8>, len: u64) -> Kind {
    match flag {
        // Before ustar a folder was a file whose name ends in a slash.
        b'0' | 0 | b'7' if name.ends_with(b"/") => Kind::Folder,
        b'0' | 0 | b'7' | b'S' => Kind::File { len },
        b'1' => Kind::HardLink { target },
        b'2' => Kind::Symlink { target },
        b'5' => Kind::Folder,
        _ => Kind::Other,
    }
}

/// At most `most` bytes of the input.
fn take<'a>(input: &mut &'a [u8], most: u64) -> &'a [u8] {
    let len = usize::try_from(most).map_or(input.len(), |most| most.min(input.len()));
    let (bytes, rest) = input.split_at(len);
    *input = rest;
    bytes
}

fn padding_of(len: u64) -> u64 {
    (BLOCK_LEN as u64 - len % BLOCK_LEN as u64) % BLOCK_LEN as u64
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// The name in a header. Only POSIX has a prefix where it stands; GNU tar has other things there.
fn name_of(block: &[u8; BLOCK_LEN]) -> Vec<u8> {
    let (name, prefix) = (until_nul(&block[..100]), until_nul(&block[345..500]));
    if prefix.is_empty() || &block[257..263] != b"ustar\0" {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// The sum of all bytes, those of its own field as blanks. Some old tars have added signed bytes.
fn verify_sum(block: &[u8; BLOCK_LEN]) -> Result<(), ArchiveError> {
    let told = number(&block[148..156]).map_err(|_| ArchiveError::Checksum)?;
    let others = || block[..148].iter().chain(&block[156..]);
    let blanks = 8 * u64::from(b' ');
    let unsigned: u64 = others().map(|&b| u64::from(b)).sum::<u64>() + blanks;
    let signed: i64 = others().map(|&b| i64::from(b.cast_signed())).sum::<i64>() + blanks.cast_signed();
    if told == unsigned || i64::try_from(told) == Ok(signed) { Ok(()) } else { Err(ArchiveError::Checksum) }
}

/// A number that is not negative, and fits a length.
pub(super) fn number(field: &[u8]) -> Result<u64, ArchiveError> {
    u64::try_from(signed_number(field)?).map_err(|_| ArchiveError::Number)
}

/// Octal digits between blanks and NULs; or, behind a set highest bit, the bytes of the number in two's complement.
fn signed_number(field: &[u8]) -> Result<i64, ArchiveError> {
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // The sign is the second highest bit.
        let first = i128::from((first << 1).cast_signed() >> 1);
        let number = rest.iter().fold(first, |number, &b| (number << 8) | i128::from(b));
        return i64::try_from(number).map_err(|_| ArchiveError::Number);
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let begin = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[begin..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if digits[end..].iter().any(|b| !blank(b)) {
        return Err(ArchiveError::Number);
    }
    digits[..end].iter().try_fold(0_i64, |number, &digit| match digit {
        b'0'..=b'7' => Ok(number * 8 + i64::from(digit - b'0')),
        _ => Err(ArchiveError::Number),
    })
}

#[cfg(test)]
mod tests;
