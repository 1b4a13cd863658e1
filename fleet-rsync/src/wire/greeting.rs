//! The greeting: what both sides say before the first frame, and what they have agreed on after it.
//!
//! | step | who | what |
//! | --- | --- | --- |
//! | 1 | both, at once | int: the protocol version. The lower one is spoken |
//! | 2 | server | varint: [`CompatFlags`]. Servers that know only eight flags send a byte, which is the same |
//! | 3 | both, at once, only with [`CompatFlags::NEGOTIATES`] | vstring: names of digests, best first, between spaces |
//! | 4 | both, at once, as 3 and only if the server was asked to compress without a codec being named | vstring: names of codecs |
//! | 5 | server | int: the checksum seed, the one of its arguments |
//!
//! In 3 and 4 servers up to 3.4.1 take the first of our names that they know, 3.5.0 the first of its own that we name. Both find
//! the same only if we name ours in the order of rsync's own list, and then so do we.
//!
//! What a server's login shell prints comes before the version, and is taken for it: the most frequent failure by far.
//! So what is no version is kept and told ([`GreetingError::Noise`]).
//!
//! Must not know what is done with the seed, the digests and the codecs.

use thiserror::Error;

use super::WireError;
use super::ints::{Reader, put_int, put_text};
use crate::checksum::{BlockSum, ChecksumKind, SeedOrder};
use crate::codec::Codec;

/// The version that we name; the servers' own are higher since 3.4.0, but no byte has changed with that.
pub const VERSION: i32 = 31;

/// The lowest version that is spoken, that of 3.0.x.
pub const OLDEST_VERSION: i32 = 30;

/// The highest number that a program of the next decades names. The first bytes of a text are far higher.
const NEWEST_VERSION: i32 = 255;

/// How much of what is no greeting is kept, to show it.
pub const NOISE_BYTES: usize = 512;

/// What a server says of itself: its answer to the letters behind `e.` in its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompatFlags(u32);

impl CompatFlags {
    /// File lists come in parts. We do not ask for it, since then indexes would depend on the host.
    pub const INCREMENTAL: Self = Self(0x01);
    /// Times of symlinks can be set.
    pub const SYMLINK_TIMES: Self = Self(0x02);
    /// The end of a file list can tell an error.
    pub const SAFE_FILE_LIST: Self = Self(0x08);
    /// MD5 has its seed first.
    pub const SEED_FIRST: Self = Self(0x20);
    /// Flags of an entry are varints, and digests and codecs are negotiated.
    pub const NEGOTIATES: Self = Self(0x80);
    /// The list of ids may have a name for 0.
    pub const NAMES_OF_ROOT: Self = Self(0x100);

    /// Whether all of `flags` are set.
    #[must_use]
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// All that the bytes of a file list depend on, beside its options. There are four of them; each list is encoded once for each.
///
/// | class | servers | version | flags of entries | name of id 0 | digests |
/// | --- | --- | --- | --- | --- | --- |
/// | A | 3.2.3 and later | 31 | varint | yes | negotiated |
/// | B | 3.2.0 to 3.2.2 | 31 | varint | no | negotiated |
/// | C | 3.1.x | 31 | one byte or two | no | MD5 |
/// | D | 3.0.x | 30 | one byte or two | no | MD5 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireClass {
    /// 3.2.3 and later.
    A,
    /// 3.2.0 to 3.2.2.
    B,
    /// 3.1.x.
    C,
    /// 3.0.x. Those before 3.0.1 do not know [`CompatFlags::SAFE_FILE_LIST`], which is no part of the class.
    D,
}

impl WireClass {
    /// All of them, newest first.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// Whether the flags of an entry are a varint.
    #[must_use]
    pub fn varint_flags(self) -> bool {
        matches!(self, Self::A | Self::B)
    }

    /// The version that is spoken.
    #[must_use]
    pub fn version(self) -> i32 {
        if self == Self::D { OLDEST_VERSION } else { VERSION }
    }

    /// The class is what the server says that it does, never what version it says that it has. Mixtures do not occur,
    /// unless somebody gives the server further arguments.
    fn of(version: i32, flags: CompatFlags) -> Option<Self> {
        match (version, flags.has(CompatFlags::NEGOTIATES), flags.has(CompatFlags::NAMES_OF_ROOT)) {
            (VERSION, true, true) => Some(Self::A),
            (VERSION, true, false) => Some(Self::B),
            (VERSION, false, false) => Some(Self::C),
            (OLDEST_VERSION, false, false) => Some(Self::D),
            _ => None,
        }
    }
}

/// What the server's arguments say about compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Nothing: no `z`.
    #[default]
    Off,
    /// `z`: as both sides agree; with servers that do not negotiate, zlib.
    Negotiated,
    /// A codec is named: `--compress-choice`, or `--new-compress` for zlibx.
    Fixed(Codec),
}

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Agreed {
    /// How file lists are written.
    pub class: WireClass,
    /// The server's own words.
    pub flags: CompatFlags,
    /// How blocks and files are summed.
    pub digest: ChecksumKind,
    /// How contents travel.
    pub codec: Codec,
    /// The seed of the sums of blocks.
    pub seed: i32,
}

impl Agreed {
    /// How blocks are summed.
    #[must_use]
    pub fn block_sum(&self) -> BlockSum {
        let order = if self.flags.has(CompatFlags::SEED_FIRST) { SeedOrder::First } else { SeedOrder::Last };
        BlockSum { kind: self.digest, seed: self.seed.cast_unsigned(), order }
    }
}

/// Why there is no agreement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GreetingError {
    /// Something else than rsync answers, or something before it, such as a login script that prints.
    #[error("expected rsync's greeting, got {}", .0.escape_ascii())]
    Noise(Vec<u8>),
    /// rsync of before 2008, or another program that speaks its old protocol.
    #[error("expected rsync protocol {OLDEST_VERSION} or later, the host speaks {0}")]
    TooOld(i32),
    /// A number in the greeting is none.
    #[error("in rsync's greeting")]
    Wire(#[from] WireError),
    /// The server wants file lists in parts, though it was not told that it may.
    #[error("expected a server that takes whole file lists")]
    Incremental,
    /// A version with flags that no rsync has together.
    #[error("expected a known kind of rsync, not protocol {version} with the flags {flags:#x}")]
    Mixture {
        /// The version that would be spoken.
        version: i32,
        /// What the server says of itself.
        flags: u32,
    },
    /// There is no digest or codec that both sides know.
    #[error("expected one of {offered} as {what}, the host knows {}", .found.escape_ascii())]
    NothingInCommon {
        /// What was to be agreed on.
        what: &'static str,
        /// What we know.
        offered: String,
        /// The other side's own list.
        found: Vec<u8>,
    },
    /// The server ignored `--checksum-seed`.
    #[error("expected the checksum seed {expected}, the host says {found}")]
    Seed {
        /// The one in the server's arguments.
        expected: i32,
        /// The one that it has.
        found: i32,
    },
}

/// The sending side of a greeting that goes on.
#[derive(Debug)]
pub struct Greeting {
    compression: Compression,
    seed: i32,
    received: Vec<u8>,
    names_sent: bool,
}

/// How far a greeting is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed from the server.
    Waiting,
    /// All is said.
    Done {
        /// What was agreed on.
        agreed: Agreed,
        /// What came behind the greeting: the beginning of the first frame.
        rest: Vec<u8>,
    },
}

impl Greeting {
    /// A greeting of a server whose arguments name `seed` and ask for `compression`. Appends what is said first.
    #[must_use]
    pub fn begin(compression: Compression, seed: i32, out: &mut Vec<u8>) -> Self {
        put_int(out, VERSION);
        Self { compression, seed, received: Vec::new(), names_sent: false }
    }

    /// Takes what was received, and appends what is to be said to it.
    ///
    /// # Errors
    /// If this is not a server that we can speak to; nothing more comes of it then.
    pub fn feed(&mut self, received: &[u8], out: &mut Vec<u8>) -> Result<Progress, GreetingError> {
        self.received.extend_from_slice(received);
        match self.advance(out) {
            Err(GreetingError::Wire(WireError::Incomplete)) => Ok(Progress::Waiting),
            other => other,
        }
    }

    /// What the server has said so far, if it was no version: the reason why a connection that ended has failed.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received[..self.received.len().min(NOISE_BYTES)]
    }

    fn advance(&mut self, out: &mut Vec<u8>) -> Result<Progress, GreetingError> {
        let mut reader = Reader::new(&self.received);
        let version = match reader.int()? {
            version @ OLDEST_VERSION..=NEWEST_VERSION => version.min(VERSION),
            version @ 20..OLDEST_VERSION => return Err(GreetingError::TooOld(version)),
            _ => return Err(GreetingError::Noise(self.received().to_vec())),
        };
        let flags = CompatFlags(reader.varint()?.cast_unsigned());
        if flags.has(CompatFlags::INCREMENTAL) {
            return Err(GreetingError::Incremental);
        }
        let class = WireClass::of(version, flags).ok_or(GreetingError::Mixture { version, flags: flags.0 })?;
        let negotiates = flags.has(CompatFlags::NEGOTIATES);
        if negotiates && !self.names_sent {
            self.names_sent = true;
            put_text(out, names(ChecksumKind::OFFERED.map(ChecksumKind::name)).as_bytes());
            if self.compression == Compression::Negotiated {
                put_text(out, names(Codec::OFFERED.map(Codec::name)).as_bytes());
            }
        }
        let mut digest = ChecksumKind::Md5;
        if negotiates {
            digest = chosen("digest", &ChecksumKind::OFFERED, ChecksumKind::name, reader.text()?)?;
        }
        let codec = match self.compression {
            Compression::Off => Codec::Plain,
            Compression::Fixed(codec) => codec,
            Compression::Negotiated if !negotiates => Codec::Zlib,
            Compression::Negotiated => chosen("codec", &Codec::OFFERED, Codec::name, reader.text()?)?,
        };
        let seed = reader.int()?;
        if seed != self.seed {
            return Err(GreetingError::Seed { expected: self.seed, found: seed });
        }
        let agreed = Agreed { class, flags, digest, codec, seed };
        Ok(Progress::Done { agreed, rest: reader.rest().to_vec() })
    }
}

fn names<const N: usize>(names: [&str; N]) -> String {
    names.join(" ")
}

/// The first of ours that the other side names.
fn chosen<T: Copy>(
    what: &'static str,
    offered: &[T],
    name: impl Fn(T) -> &'static str,
    theirs: &[u8],
) -> Result<T, GreetingError> {
    let knows = |one: &&T| theirs.split(|byte| *byte == b' ').any(|their| their == name(**one).as_bytes());
    offered.iter().find(knows).copied().ok_or_else(|| GreetingError::NothingInCommon {
        what,
        offered: offered.iter().map(|one| name(*one)).collect::<Vec<_>>().join(" "),
        found: theirs.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says, as it was recorded.
    fn server(version: i32, flags: &[u8], lists: &[&str], seed: i32) -> Vec<u8> {
        let mut said = version.to_le_bytes().to_vec();
        said.extend_from_slice(flags);
        lists.iter().for_each(|list| put_text(&mut said, list.as_bytes()));
        put_int(&mut said, seed);
        said
    }

    fn greet(compression: Compression, said: &[u8], cut: usize) -> (Vec<u8>, Result<Progress, GreetingError>) {
        let mut out = Vec::new();
        let mut greeting = Greeting::begin(compression, 7, &mut out);
        let mut last = Ok(Progress::Waiting);
        for part in said.chunks(cut) {
            assert_eq!(last, Ok(Progress::Waiting), "the greeting ended before its last byte");
            last = greeting.feed(part, &mut out);
        }
        (out, last)
    }

    const DIGESTS: &str = "xxh128 xxh3 xxh64 md5 md4 sha1";
    const CODECS: &str = "zstd lz4 zlibx zlib";

    #[test]
    fn each_kind_of_server_is_told_by_what_it_says() {
        use {ChecksumKind::*, Codec::*, Compression::*, WireClass::*};
        let names_of_digests = [10].iter().chain(b"xxh128 md5").copied().collect::<Vec<u8>>();
        let all_names = names_of_digests.iter().chain(&[10]).chain(b"zstd zlibx").copied().collect::<Vec<u8>>();
        for (compression, said, names, (class, digest, codec)) in [
            (Off, server(32, &[0x81, 0xaa], &[DIGESTS], 7), &names_of_digests[..], (A, Xxh128, Plain)),
            (Negotiated, server(32, &[0x81, 0xaa], &[DIGESTS, CODECS], 7), &all_names, (A, Xxh128, Zstd)),
            (Negotiated, server(31, &[0x81, 0xaa], &["md5", "zlib zlibx"], 7), &all_names, (A, Md5, Zlibx)),
            (Fixed(Zlib), server(31, &[0x80, 0xaa], &["xxh64 md5"], 7), &names_of_digests, (B, Md5, Zlib)),
            (Negotiated, server(31, &[0x2a], &[], 7), b"", (C, Md5, Zlib)),
            (Off, server(30, &[0x02], &[], 7), b"", (D, Md5, Plain)),
        ] {
            for cut in [1, 2, 3, said.len()] {
                let (sent, last) = greet(compression, &said, cut);
                let Ok(Progress::Done { agreed, rest }) = last else { panic!("{said:02x?}: {last:?}") };
                assert_eq!((agreed.class, agreed.digest, agreed.codec, agreed.seed), (class, digest, codec, 7));
                assert_eq!(sent, [&[31, 0, 0, 0], names].concat());
                assert!(rest.is_empty());
            }
        }
    }

    #[test]
    fn what_comes_behind_the_greeting_is_handed_on() {
        let said = [server(31, &[0x2a], &[], 7), b"\x05\0\0\x07hello".to_vec()].concat();
        let (_, last) = greet(Compression::Off, &said, said.len());
        assert!(matches!(last, Ok(Progress::Done { rest, agreed }) if rest == b"\x05\0\0\x07hello"
            && agreed.block_sum().order == SeedOrder::First && !agreed.flags.has(CompatFlags::NAMES_OF_ROOT)));
    }

    #[test]
    fn whoever_is_no_server_for_us_is_told_why() {
        let found = b"md4".to_vec();
        for (said, message) in [
            (&b"Welcome\n"[..], "expected rsync's greeting, got Welcome\\n"),
            (&server(29, &[], &[], 7), "expected rsync protocol 30 or later, the host speaks 29"),
            (&server(31, &[0x01], &[], 7), "expected a server that takes whole file lists"),
            (&server(31, &[0xff; 6], &[], 7), "in rsync's greeting"),
            (&server(30, &[0x80, 0x80], &[], 7), "expected a known kind of rsync, not protocol 30 with the flags 0x80"),
            (
                &server(31, &[0x81, 0x08], &[], 7),
                "expected a known kind of rsync, not protocol 31 with the flags 0x108",
            ),
            (&server(31, &[0x2a], &[], 8), "expected the checksum seed 7, the host says 8"),
            (&server(31, &[0x80, 0x80], &["md4"], 7), "expected one of xxh128 md5 as digest, the host knows md4"),
        ] {
            let (_, last) = greet(Compression::Off, said, said.len());
            assert_eq!(last.unwrap_err().to_string(), message, "{found:?}");
        }
    }
}
