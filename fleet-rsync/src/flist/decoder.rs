//! From the bytes of a list back to its entries.
//!
//! Must not know where reading begins: whoever has a list knows the places without reference to what was before them.

use super::{Before, DeviceForm, Entry, Fields, Folder, Kind, Modified, TYPE_MASK, bit};
use crate::checksum::{DIGEST_LEN, Digest};
use crate::wire::WireError;
use crate::wire::greeting::WireClass;
use crate::wire::ints::Reader;

/// Reads entries one behind the other.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    class: WireClass,
    fields: Fields,
    reader: Reader<'a>,
    path: Vec<u8>,
    before: Before,
}

/// What an entry says: itself, or which other one it is a link to.
#[derive(Debug)]
pub(super) enum Decoded<'a> {
    /// All of it but the path, which is [`Decoder::path`].
    Whole(Content<'a>),
    /// A link to the entry with this index.
    Link(u32),
}

/// An entry but for its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    kind: Kind<'a>,
    permissions: u32,
    modified: Modified,
    owner: u32,
    group: u32,
    /// Whether other entries are links to this one.
    pub(super) linked: bool,
}

impl<'a> Content<'a> {
    /// The entry, which is at `path`, and a link to what has the index `link`.
    pub(super) fn at<'b>(self, path: &'b [u8], link: Option<u32>) -> Entry<'b>
    where
        'a: 'b,
    {
        Entry {
            path,
            kind: self.kind,
            permissions: self.permissions,
            modified: self.modified,
            owner: self.owner,
            group: self.group,
            link: link.map(|first| (0, first.into())),
        }
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(class: WireClass, fields: Fields, bytes: &'a [u8]) -> Self {
        let before = Before { mode: 0, secs: 0, owner: 0, group: 0, major: 0 };
        Self { class, fields, reader: Reader::new(bytes), path: Vec::new(), before }
    }

    /// The path of the entry that was read last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The next entry. There must be one.
    pub(super) fn next_entry(&mut self) -> Result<Decoded<'a>, WireError> {
        let flags = self.flags()?;
        let has = |bit| flags & bit != 0;
        let kept = if has(bit::PREFIX) { self.reader.byte()?.into() } else { 0 };
        let length = if has(bit::LONG_NAME) {
            self.reader.varint()?.cast_unsigned() as usize
        } else {
            self.reader.byte()?.into()
        };
        self.path.truncate(kept);
        self.path.extend_from_slice(self.reader.bytes(length)?);
        if has(bit::LINKED) && !has(bit::FIRST_LINK) {
            return Ok(Decoded::Link(self.number()?));
        }
        self.content(flags).map(Decoded::Whole)
    }

    fn flags(&mut self) -> Result<u16, WireError> {
        if self.class.varint_flags() {
            return Ok(self.number()? as u16);
        }
        let low = u16::from(self.reader.byte()?);
        Ok(if low & bit::TWO_BYTES == 0 { low } else { low | u16::from(self.reader.byte()?) << 8 })
    }

    fn number(&mut self) -> Result<u32, WireError> {
        self.reader.varint().map(i32::cast_unsigned)
    }

    fn content(&mut self, flags: u16) -> Result<Content<'a>, WireError> {
        let lacks = |bit| flags & bit == 0;
        let size = self.reader.varlong(3)?.cast_unsigned();
        if lacks(bit::SAME_TIME) {
            self.before.secs = self.reader.varlong(4)?;
        }
        let nanos = if lacks(bit::NANOS) { 0 } else { self.number()? };
        if lacks(bit::SAME_MODE) {
            self.before.mode = self.reader.int()?.cast_unsigned();
        }
        if self.fields.owner && lacks(bit::SAME_OWNER) {
            self.before.owner = self.number()?;
        }
        if self.fields.group && lacks(bit::SAME_GROUP) {
            self.before.group = self.number()?;
        }
        let kind = self.kind(flags, size)?;
        let Before { mode, secs, owner, group, .. } = self.before;
        let (modified, permissions) = (Modified { secs, nanos }, mode & !TYPE_MASK);
        Ok(Content { kind, permissions, modified, owner, group, linked: !lacks(bit::LINKED) })
    }

    fn kind(&mut self, flags: u16, size: u64) -> Result<Kind<'a>, WireError> {
        let form = self.before.mode & TYPE_MASK;
        Ok(match form {
            0o04_0000 => Kind::Directory(match flags {
                _ if flags & bit::ALONE != 0 => Folder::Alone,
                _ if flags & bit::TOP_DIR != 0 => Folder::Source,
                _ => Folder::Below,
            }),
            0o12_0000 => {
                let length = self.number()? as usize;
                Kind::Symlink { target: self.reader.bytes(length)? }
            }
            0o06_0000 | 0o02_0000 => {
                let form = if form == 0o06_0000 { DeviceForm::Block } else { DeviceForm::Character };
                let (major, minor) = self.device(flags)?;
                Kind::Device { form, major, minor }
            }
            0o01_0000 | 0o14_0000 => {
                if self.class == WireClass::D {
                    self.device(flags)?;
                }
                if form == 0o01_0000 { Kind::Fifo } else { Kind::Socket }
            }
            _ => Kind::File { size, digest: self.digest()? },
        })
    }

    fn device(&mut self, flags: u16) -> Result<(u32, u32), WireError> {
        if flags & bit::SAME_MAJOR == 0 {
            self.before.major = self.number()?;
        }
        Ok((self.before.major, self.number()?))
    }

    fn digest(&mut self) -> Result<Option<Digest>, WireError> {
        if self.fields.digest.is_none() {
            return Ok(None);
        }
        Ok(self.reader.bytes(DIGEST_LEN)?.try_into().ok())
    }
}
