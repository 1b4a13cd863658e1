//! What did not go as asked for, by the name of the file.
//!
//! Must not know how it is shown.

use std::fmt;

use fleet_core::sanitize::sanitized_line;
use fleet_core::size;

/// Something about one file on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its path on the host.
    pub path: Vec<u8>,
    /// What is the matter with it.
    pub matter: Matter,
}

/// What is the matter with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// There is nothing.
    Missing,
    /// The host does not let us read it.
    Unreadable,
    /// It was listed, but did not come.
    NotSent,
    /// It was changed while it was read: its copy is not what it was at any time.
    Changed,
    /// It grew while it was read: what was there at first is here.
    Grew {
        /// Bytes that are here.
        len: u64,
    },
    /// A device, a pipe or a socket.
    NoFile,
    /// A hard link to something that did not come before.
    Unlinked,
    /// No file here may have its name.
    Name,
    /// It is larger than wanted.
    TooLarge {
        /// Its length.
        len: u64,
    },
    /// Something else is in its place here.
    InTheWay,
    /// It cannot be written here, for this reason.
    Unwritable(String),
    /// It is still on the host, as it was changed after it was copied.
    KeptAsChanged,
    /// It is still on the host, as the host does not let us remove it.
    KeptAsDenied,
}

impl Problem {
    /// Whether what was asked for was not done.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self.matter, Matter::Grew { .. } | Matter::NoFile | Matter::TooLarge { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path);
        match &self.matter {
            Matter::Missing => write!(f, "{path}: there is no such file, or its folder cannot be entered"),
            Matter::Unreadable => write!(f, "{path}: it may not be read"),
            Matter::NotSent => write!(f, "{path}: it was listed, but did not come"),
            Matter::Changed => write!(f, "{path}: it was changed while it was read"),
            Matter::Grew { len } => write!(f, "{path}: it grew while it was read; its first {len} bytes are here"),
            Matter::NoFile => write!(f, "{path}: left out, as it is no file, folder or symlink"),
            Matter::Unlinked => write!(f, "{path}: it is a hard link to a file that did not come"),
            Matter::Name => write!(f, "{path}: no file here may have this name"),
            Matter::TooLarge { len } => write!(f, "{path}: left out, as it has {}", size::shown(*len)),
            Matter::InTheWay => write!(f, "{path}: something else is in its place here"),
            Matter::Unwritable(reason) => write!(f, "{path}: it cannot be written here: {reason}"),
            Matter::KeptAsChanged => write!(f, "{path}: not removed, as it was changed after it was copied"),
            Matter::KeptAsDenied => write!(f, "{path}: it could not be removed"),
        }
    }
}

/// A path as a part of a line, harmless wherever it is shown.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    let text: String = path.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        text
    });
    sanitized_line(&text).replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_harmless_line() {
        let problem = Problem { path: b"/a\n\x1b[2J\t\xff\xc2\x9b".to_vec(), matter: Matter::Unreadable };
        assert_eq!(problem.to_string(), "/a\\n\\x1b[2J\\t\\xff\\u{9b}: it may not be read");
        assert!(problem.is_failure());
        assert!(!Problem { path: Vec::new(), matter: Matter::Grew { len: 1 } }.is_failure());
    }
}
