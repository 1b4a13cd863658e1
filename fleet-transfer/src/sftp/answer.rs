//! What a server of SFTP version 3 answers, and what it may not.
//!
//! The server may be anybody's: nothing is allocated for a length or a number that it claims, only for what has come.
//! Must not know how bytes travel.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::attributes::FileAttributes;
use super::packet::{Expected, Fields};

/// The longest handle (draft-ietf-secsh-filexfer-02, section 6.3).
const LONGEST_HANDLE: usize = 256;
/// What is kept of a server's own words.
const LONGEST_WORDS: usize = 200;

/// What a server says in place of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub status: Status,
    /// In its own words, which are often no more than that.
    pub(super) words: String,
}

/// Why a server refuses (section 7). Servers fold most of what systems say into [`Self::Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The end of the file, or of the folder.
    End,
    /// There is no such file, or a folder above it is none.
    NoSuchFile,
    /// The user is not allowed to.
    PermissionDenied,
    /// Anything else.
    Failure,
    /// The server does not know the request, or does not let us use it.
    Unsupported,
    /// A code that has no name here.
    Other(u32),
}

impl Refusal {
    /// One without words.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { status, words: String::new() }
    }
}

impl Status {
    fn of(code: u32) -> Self {
        match code {
            1 => Self::End,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            8 => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = match self.status {
            Status::End => "end of file",
            Status::NoSuchFile => "no such file or directory",
            Status::PermissionDenied => "permission denied",
            Status::Failure => "the server only says failure",
            Status::Unsupported => "operation not supported by the server",
            Status::Other(code) => return write!(f, "{} (status {code})", self.words),
        };
        // OpenSSH's own words for these.
        let says_more = !matches!(
            self.words.to_ascii_lowercase().as_str(),
            "" | "failure" | "no such file" | "permission denied" | "operation unsupported" | "end of file"
        );
        if says_more { write!(f, "{usual} ({})", self.words) } else { f.write_str(usual) }
    }
}

/// An answer that is none: the server does not keep to the protocol, or is none at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// The length before a packet.
    #[error("it announces a packet of {len} bytes; expected 5 to {most}")]
    Length {
        /// As announced.
        len: u32,
        /// The most that we take.
        most: usize,
    },
    /// A packet ends in the middle of a field.
    #[error("a packet of type {code} is cut short")]
    Cut {
        /// Its type.
        code: u8,
    },
    /// An answer to nothing.
    #[error("it answers request {id}, which was not sent")]
    Unasked {
        /// As it says.
        id: u32,
    },
    /// Another type than the request allows.
    #[error("it answers with a packet of type {code}; expected {expected}")]
    Type {
        /// As it came.
        code: u8,
        /// What would have been an answer.
        expected: &'static str,
    },
    /// More bytes than were asked for, or none.
    #[error("it answers a read of {asked} bytes with {len}")]
    Data {
        /// How many were asked for.
        asked: u32,
        /// How many came.
        len: usize,
    },
    /// A handle that is too long.
    #[error("it names a file by {len} bytes; expected at most {LONGEST_HANDLE}")]
    Handle {
        /// How many.
        len: usize,
    },
    /// Another version than any that we know.
    #[error("it speaks version {version}; expected 3 or later")]
    Version {
        /// As it says.
        version: u32,
    },
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name alone.
    pub name: Bytes,
    /// What is known of the file: of a symlink itself.
    pub attributes: FileAttributes,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<Name>),
    Attributes(FileAttributes),
    Extended(Bytes),
}

/// The extensions of a server, with their versions.
pub(super) type Extensions = BTreeMap<Bytes, Bytes>;

/// Reads the packet that answers the first one.
pub(super) fn version(code: u8, fields: &mut Fields) -> Result<Extensions, Violation> {
    if code != 2 {
        return Err(Violation::Type { code, expected: "a version (2)" });
    }
    let version = fields.u32().ok_or(Violation::Cut { code })?;
    if version < super::packet::VERSION {
        return Err(Violation::Version { version });
    }
    let mut extensions = Extensions::new();
    while !fields.0.is_empty() {
        let pair = fields.string().zip(fields.string());
        extensions.extend([pair.ok_or(Violation::Cut { code })?]);
    }
    Ok(extensions)
}

/// Reads an answer. What stands behind its last field is not looked at.
pub(super) fn answer(code: u8, fields: &mut Fields, expected: Expected) -> Result<Result<Answer, Refusal>, Violation> {
    let cut = Violation::Cut { code };
    let answer = match (code, expected) {
        (101, _) => return status(fields, expected).ok_or(cut)?,
        (102, Expected::Handle) => {
            let handle = fields.string().ok_or(cut)?;
            if handle.len() > LONGEST_HANDLE {
                return Err(Violation::Handle { len: handle.len() });
            }
            Answer::Handle(handle)
        }
        (103, Expected::Data(asked)) => {
            let data = fields.string().ok_or(cut)?;
            if data.is_empty() || data.len() > usize::try_from(asked).unwrap_or(usize::MAX) {
                return Err(Violation::Data { asked, len: data.len() });
            }
            Answer::Data(data)
        }
        (104, Expected::Names) => Answer::Names(names(fields).ok_or(cut)?),
        (105, Expected::Attributes) => Answer::Attributes(FileAttributes::take(fields).ok_or(cut)?),
        (201, Expected::Extended) => Answer::Extended(fields.0.split_off(0)),
        _ => return Err(Violation::Type { code, expected: expected.words() }),
    };
    Ok(Ok(answer))
}

/// A status: the answer to what has no other, or a refusal. Old servers send no words.
fn status(fields: &mut Fields, expected: Expected) -> Option<Result<Result<Answer, Refusal>, Violation>> {
    let code = fields.u32()?;
    if code == 0 {
        return Some(match expected {
            Expected::Done => Ok(Ok(Answer::Done)),
            _ => Err(Violation::Type { code: 101, expected: expected.words() }),
        });
    }
    let words = fields.string().unwrap_or_default();
    let words = String::from_utf8_lossy(&words[..words.len().min(LONGEST_WORDS)]);
    let words = words.chars().filter(|c| !c.is_control()).collect();
    Some(Ok(Err(Refusal { status: Status::of(code), words })))
}

fn names(fields: &mut Fields) -> Option<Vec<Name>> {
    let count = fields.u32()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let name = fields.string()?;
        // As `ls -l` would print it, for people.
        fields.string()?;
        names.push(Name { name, attributes: FileAttributes::take(fields)? });
    }
    Some(names)
}

impl Expected {
    fn words(self) -> &'static str {
        match self {
            Self::Done => "a status (101)",
            Self::Handle => "a handle (102)",
            Self::Data(_) => "data (103)",
            Self::Names => "names (104)",
            Self::Attributes => "attributes (105)",
            Self::Extended => "an extended reply (201)",
        }
    }
}
