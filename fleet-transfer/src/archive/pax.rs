//! The records of a pax header: what stands in an entry of type `x` for the entry behind it (IEEE Std 1003.1-2017, pax,
//! "pax Extended Header").
//!
//! Must not know the rest of the archive.

use super::read::ArchiveError;

/// What a pax header says, as far as it is understood here. What changes how the content is read and is not understood
/// is an error; anything else is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<i64>,
    sparse_version: (Option<u64>, Option<u64>),
    sparse_name: Option<Vec<u8>>,
    real_size: Option<u64>,
}

/// What is said of a sparse file beside its map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparseFile {
    /// Its name, where the header has another.
    pub(super) name: Option<Vec<u8>>,
    /// Its whole length.
    pub(super) len: u64,
}

impl Pax {
    /// Reads the records in `bytes`.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let (record, rest) = split_record(bytes).ok_or(ArchiveError::Pax)?;
            pax.take(record)?;
            bytes = rest;
        }
        Ok(pax)
    }

    fn take(&mut self, record: &[u8]) -> Result<(), ArchiveError> {
        let equals = record.iter().position(|&b| b == b'=').ok_or(ArchiveError::Pax)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => self.path = Some(named(value)?),
            b"linkpath" => self.link_path = Some(named(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            b"GNU.sparse.major" => self.sparse_version.0 = Some(decimal(value)?),
            b"GNU.sparse.minor" => self.sparse_version.1 = Some(decimal(value)?),
            b"GNU.sparse.name" => self.sparse_name = Some(named(value)?),
            b"GNU.sparse.realsize" => self.real_size = Some(decimal(value)?),
            b"SCHILY.realsize" => return Err(ArchiveError::Unsupported { what: "a sparse file as star writes it" }),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(ArchiveError::Unsupported { what: "a sparse file of pax format 0" });
            }
            _ => {}
        }
        Ok(())
    }

    /// The sparse file of format 1.0, whose content begins with the map.
    pub(super) fn sparse(&self) -> Result<Option<SparseFile>, ArchiveError> {
        match (self.sparse_version, self.real_size) {
            ((None, None), None) => Ok(None),
            ((Some(1), Some(0)), Some(len)) => Ok(Some(SparseFile { name: self.sparse_name.clone(), len })),
            _ => Err(ArchiveError::Unsupported { what: "a sparse file of another pax format than 1.0" }),
        }
    }

    /// Whether it would change how all later entries are read.
    pub(super) fn is_harmless_to_all(&self) -> bool {
        *self == Self { mtime: self.mtime, ..Self::default() }
    }
}

/// The first record, `LENGTH KEY=VALUE\n` with the length of all of it, without its length and line end; and the rest.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = bytes.iter().take(8).position(|&b| b == b' ')?;
    let len = usize::try_from(decimal(&bytes[..blank]).ok()?).ok()?;
    let record = bytes.get(blank + 1..len)?;
    Some((record.strip_suffix(b"\n")?, &bytes[len..]))
}

/// A name that some file can have.
fn named(value: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    if value.is_empty() || value.contains(&0) { Err(ArchiveError::Pax) } else { Ok(value.to_vec()) }
}

/// Decimal digits, at most as many as a length has.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, ArchiveError> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ArchiveError::Pax);
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    if number > i64::MAX as u64 { Err(ArchiveError::Pax) } else { Ok(number) }
}

/// The whole seconds of a time, rounded down.
fn seconds(value: &[u8]) -> Result<i64, ArchiveError> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &b""[..]),
    };
    let whole = i64::try_from(decimal(whole)?).map_err(|_| ArchiveError::Pax)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(ArchiveError::Pax);
    }
    let more = i64::from(negative && fraction.iter().any(|&b| b != b'0'));
    Ok(if negative { -whole - more } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record, with its length in front.
    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let digits = |len: usize| (rest.len() + len).to_string().len();
        let len = rest.len() + (1..5).find(|&len| digits(len) == len).unwrap();
        [len.to_string().as_bytes(), &rest].concat()
    }

    #[test]
    fn what_is_known_is_read_and_the_rest_is_passed_over() {
        let bytes = [
            record("path", b"a\nb=c"),
            record("linkpath", &[b'x'; 300]),
            record("size", b"9000000000"),
            record("mtime", b"12.99"),
            record("SCHILY.xattr.user.a", b"\0\n"),
        ]
        .concat();
        let pax = Pax::parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb=c"[..]));
        assert_eq!(pax.link_path, Some(vec![b'x'; 300]));
        assert_eq!((pax.size, pax.mtime), (Some(9_000_000_000), Some(12)));
        assert_eq!(pax.sparse().unwrap(), None);
        assert!(!pax.is_harmless_to_all());
        assert!(Pax::parse(&record("comment", b"x")).unwrap().is_harmless_to_all());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            &b"x"[..],
            b"5 a=b",
            b"6 a=b\nx",
            b"99 a=b\n",
            b"5 ab\n\n",
            b"0 a=b\n",
            b"99999999999999999999 a=b\n",
            b"-6 a=b\n",
            b"14 path=a\0bcd\n",
            b"8 path=\n",
            b"10 size=x\n",
            b"29 size=9223372036854775808\n",
            b"11 mtime=.\n",
        ] {
            assert_eq!(Pax::parse(bytes), Err(ArchiveError::Pax), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn formats_of_sparse_files_that_are_not_understood_are_named() {
        for (records, expected) in [
            (vec![("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")], "another pax format than 1.0"),
            (vec![("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "1")], "than 1.0"),
            (vec![("GNU.sparse.map", "0,1")], "pax format 0"),
            (vec![("GNU.sparse.offset", "0")], "pax format 0"),
            (vec![("SCHILY.realsize", "1")], "star"),
        ] {
            let bytes: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value.as_bytes())).collect();
            let error = Pax::parse(&bytes).and_then(|pax| pax.sparse()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn times_before_1970_are_rounded_down() {
        for (text, expected) in [("0", 0), ("-1", -1), ("-1.5", -2), ("-0.0", 0), ("7.999999999", 7)] {
            assert_eq!(seconds(text.as_bytes()), Ok(expected), "{text}");
        }
    }
}
