//! The file of `RevokedHostKeys`: keys that are good for no host (ssh_config(5)).
//!
//! One public key to a line. The binary form, which ssh-keygen(1) makes of it with `-k`, is not read: it is refused, as
//! is whatever else is no such list, for a revocation that is overlooked is worse than a run that does not start.
//! Must not know names of hosts.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::public::KeyData;

use super::parse::parse_key_line;
use super::{KnownHostsError, Location};

/// What a binary key revocation list starts with (PROTOCOL.krl of OpenSSH, section 2).
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// The keys of one file.
#[derive(Debug)]
pub struct RevokedKeys {
    path: PathBuf,
    lines: HashMap<KeyData, usize>,
}

impl RevokedKeys {
    /// Unlike known_hosts the file must be there.
    pub(super) fn read(path: &Path) -> Result<Self, KnownHostsError> {
        let bytes = fs::read(path).map_err(|source| KnownHostsError::Read { path: path.to_owned(), source })?;
        if bytes.starts_with(KRL_MAGIC) {
            return Err(KnownHostsError::RevocationList { path: path.to_owned() });
        }
        let mut lines = HashMap::new();
        for (line, number) in bytes.split(|&byte| byte == b'\n').zip(1..) {
            let at = || Location { file: path.to_owned(), line: number };
            if let Some(key) = parse_key_line(line).map_err(|source| KnownHostsError::Revoked { at: at(), source })? {
                lines.entry(key).or_insert(number);
            }
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The line that revokes `key`.
    pub(super) fn find(&self, key: &KeyData) -> Option<Location> {
        self.lines.get(key).map(|&line| Location { file: self.path.clone(), line })
    }
}
