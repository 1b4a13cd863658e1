//! What a server asks for, and how it is repeated before the answer.
//!
//! | field | form | there if |
//! | --- | --- | --- |
//! | index | ndx | |
//! | what differs | short: [`Change`] | |
//! | basis | byte: which old file the receiver begins with | bit 11 |
//! | name | vstring: of another file that plays a part, such as the one that it becomes a link to | bit 12 |
//! | signature | see [`delta`](crate::delta) | bit 15, not with `-n` |
//!
//! The answer begins with the same bytes, but of the signature only its head; then come the tokens of
//! [`codec`](crate::codec) and the digest of the file. A request without bit 15, and any with `-n`, only tells what the
//! receiver does (or would do) by itself: it is repeated, and nothing is behind it.
//!
//! Must not know what came before, nor what the list has.

use bytes::Bytes;

use crate::delta::{Signature, SignatureError, SumHead};
use crate::wire::WireError;
use crate::wire::ints::{Indexes, Reader, put_short, put_text};

const BASIS: u16 = 1 << 11;
const NAME: u16 = 1 << 12;

/// What differs between a source's entry and the destination: bits of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change(u16);

impl Change {
    /// The time of the last access.
    pub const ACCESS: Self = Self(1 << 0);
    /// The content: with `-c` a digest, of symlinks and devices where they point.
    pub const CONTENT: Self = Self(1 << 1);
    /// The size.
    pub const SIZE: Self = Self(1 << 2);
    /// The time of the last change.
    pub const TIME: Self = Self(1 << 3);
    /// The permissions.
    pub const PERMISSIONS: Self = Self(1 << 4);
    /// The owner.
    pub const OWNER: Self = Self(1 << 5);
    /// The group.
    pub const GROUP: Self = Self(1 << 6);
    /// Access control lists.
    pub const ACL: Self = Self(1 << 7);
    /// Extended attributes.
    pub const XATTR: Self = Self(1 << 8);
    /// It is not at the destination.
    pub const NEW: Self = Self(1 << 13);
    /// The receiver makes it without content of ours.
    pub const LOCAL: Self = Self(1 << 14);
    /// Content of ours is needed.
    pub const TRANSFER: Self = Self(1 << 15);

    /// The bits that `number` has, for tests and for what was recorded.
    #[must_use]
    pub const fn of(number: u16) -> Self {
        Self(number)
    }

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }
}

/// An entry that differs at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its place in the list.
    pub index: u32,
    /// In what it differs.
    pub change: Change,
    /// Which old file the receiver begins with: a number of the protocol that is only to be repeated.
    pub basis: Option<u8>,
    /// Another file of the destination that plays a part, such as the one it becomes a hard link to.
    pub name: Option<Bytes>,
    /// What the receiver has of it, if its content is wanted.
    pub signature: Option<Signature>,
}

/// How requests are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// With `-n` there are no signatures.
    pub(super) signatures: bool,
    /// The most that one may take.
    pub(super) budget_bytes: usize,
}

/// Why a request was not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Wire(WireError),
    Signature(SignatureError),
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<SignatureError> for Refused {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl Request {
    /// Reads what is behind the index.
    pub(super) fn read(index: u32, reader: &mut Reader<'_>, form: Form) -> Result<Self, Refused> {
        let flags = reader.short()?;
        let basis = if flags & BASIS != 0 { Some(reader.byte()?) } else { None };
        let name = if flags & NAME != 0 { Some(Bytes::copy_from_slice(reader.text()?)) } else { None };
        let change = Change(flags);
        let mut signature = None;
        if change.has(Change::TRANSFER) && form.signatures {
            let head = reader.bytes(SumHead::LEN)?.try_into().expect("as many bytes as were asked for");
            let head = SumHead::decode(head, form.budget_bytes)?;
            signature = Some(Signature::new(head, reader.bytes(head.sums_len())?.to_vec())?);
        }
        Ok(Self { index, change, basis, name, signature })
    }

    /// Appends the beginning of the answer.
    pub(super) fn put(&self, written: &mut Indexes, out: &mut Vec<u8>) {
        written.put(out, self.index.cast_signed());
        put_short(out, self.change.0);
        out.extend(self.basis);
        self.name.iter().for_each(|name| put_text(out, name));
        self.signature.iter().for_each(|signature| out.extend_from_slice(&signature.head().encode()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { signatures: true, budget_bytes: 100 };

    #[test]
    fn requests_are_repeated_as_they_came_but_for_the_sums() {
        let head = [[1, 0, 0, 0], [0xbc, 2, 0, 0], [2, 0, 0, 0], [5, 0, 0, 0]].concat();
        for (bytes, sums, form) in [
            (&b"\x08\x00"[..], &b""[..], FORM),
            (b"\x00\xa0", b"", Form { signatures: false, ..FORM }),
            (&[b"\x08\x98\x81\x03a/b", &head[..]].concat(), b"weakst", FORM),
            (&[b"\x08\x80", &head[..]].concat(), b"weakst", FORM),
        ] {
            let sent = [bytes, sums].concat();
            let mut reader = Reader::new(&sent);
            let request = Request::read(0, &mut reader, form).unwrap();
            assert!(reader.rest().is_empty());
            let mut out = Vec::new();
            request.put(&mut Indexes::default(), &mut out);
            assert_eq!(out, [b"\x01", bytes].concat());
            for length in 0..sent.len() {
                let read = Request::read(0, &mut Reader::new(&sent[..length]), form);
                assert_eq!(read, Err(Refused::Wire(WireError::Incomplete)));
            }
        }
    }

    #[test]
    fn signatures_that_would_take_too_much_memory_are_refused_before_they_come() {
        let head = [&17_i32.to_le_bytes()[..], &700_i32.to_le_bytes(), &2_i32.to_le_bytes(), &[0; 4]].concat();
        let read = Request::read(0, &mut Reader::new(&[b"\0\x80", &head[..]].concat()), FORM);
        assert!(matches!(read, Err(Refused::Signature(SignatureError::TooLarge { .. }))), "{read:?}");
    }
}
