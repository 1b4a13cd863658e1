//! Known host keys, as OpenSSH keeps them: `known_hosts` files read once for the whole fleet, what they say of a key,
//! and new keys added to them.
//!
//! Must not know sessions: it gets a name and a key, and gives a [`Verdict`]. Blocks on files and locks, so async
//! code calls [`KnownHostsFiles::open`] and [`KnownHosts::remember`] on a thread that may wait.
//!
//! Lookups follow ssh(1) (`sshconnect.c`, `hostfile.c`), with these differences, all towards refusing:
//! - a changed or revoked key is refused under every [`HostKeyPolicy`];
//! - a file that cannot be read is an error, since it may revoke keys;
//! - `@revoked` counts with a tab behind it, and under the bare name when the name with port is unknown;
//! - a certificate without principals is good for no host, as in OpenSSH 10.3 and later.
//!
//! Not supported: `CheckHostIP`, `KnownHostsCommand`, `VerifyHostKeyDNS`, `RevokedHostKeys` in the binary format.

mod certificate;
mod file;
mod fingerprint;
mod index;
mod matching;
mod name;
mod parse;
mod policy;
mod remember;
mod revoked;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use russh::keys::HashAlg;
use russh::keys::ssh_key::public::KeyData;
pub use russh::keys::{Algorithm, Certificate, PublicKey};

pub use self::certificate::CertificateProblem;
use self::file::KnownHostsFile;
pub use self::fingerprint::{Fingerprint, FingerprintError};
pub use self::name::KnownName;
pub use self::parse::LineProblem;
use self::parse::{Marker, parse_key_line};
pub use self::policy::{Decision, HostKeyPolicy, HostKeyProblem, KeyLabel, Location, Verdict, decide};
pub use self::revoked::RevokedKeys;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
    /// The file is there and cannot be read.
    #[error("cannot read the known host keys in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new key could not be added.
    #[error("cannot add the host key to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file revokes keys in a way that cannot be read.
    #[error("{at}: expected a public key to a line; a file that is not understood whole revokes nothing for certain")]
    Revoked {
        /// The first line that is no key.
        at: Location,
        /// What is wrong with it.
        source: LineProblem,
    },
    /// A key revocation list in OpenSSH's binary format.
    #[error(
        "{path} is a binary key revocation list; expected a public key to a line, as RevokedHostKeys may also name"
    )]
    RevocationList {
        /// The file.
        path: PathBuf,
    },
    /// There is no file for new keys.
    #[error("cannot add the host key: UserKnownHostsFile names no file")]
    NoUserFile,
    /// The name would be a pattern, or break the line.
    #[error("cannot add the host key under a name with blanks or any of ,!*?#|@'\"\\[]")]
    Name,
}

/// Reads a public key as it stands in a line: `ssh-ed25519 AAAA... comment`. Only keys that a host can have are read.
///
/// # Errors
/// When it is none.
pub fn read_key(text: &str) -> Result<PublicKey, LineProblem> {
    parse_key_line(text.as_bytes())?.map(PublicKey::from).ok_or(LineProblem::Truncated)
}

/// How names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashNames {
    /// As they are.
    #[default]
    Plain,
    /// Hashed (`HashKnownHosts` of ssh_config(5)).
    Hashed,
}

/// The files of a run: each is read once, whatever number of hosts use it, and in whatever combination.
#[derive(Debug, Default)]
pub struct KnownHostsFiles {
    read: Mutex<HashMap<PathBuf, Arc<KnownHostsFile>>>,
    revoked: Mutex<HashMap<PathBuf, Arc<RevokedKeys>>>,
}

impl KnownHostsFiles {
    /// The known host keys in `user_files` and `global_files`, in this order. New keys go to the first user file.
    ///
    /// A file that does not exist is empty. `none` is the caller's: it stands for no file.
    ///
    /// # Errors
    /// When a file exists and cannot be read.
    pub fn open(&self, user_files: &[PathBuf], global_files: &[PathBuf]) -> Result<KnownHosts, KnownHostsError> {
        let files = user_files.iter().chain(global_files).map(|path| self.file(path)).collect::<Result<_, _>>()?;
        Ok(KnownHosts { files, has_user_file: !user_files.is_empty(), revoked: None })
    }

    /// The keys that the file at `path` revokes (`RevokedHostKeys` of ssh_config(5)).
    ///
    /// # Errors
    /// When it cannot be read to its end as a list of keys: another one may be revoked behind what is not understood.
    pub fn revoked(&self, path: &Path) -> Result<Arc<RevokedKeys>, KnownHostsError> {
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = revoked.get(path) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(RevokedKeys::read(path)?);
        revoked.insert(path.to_owned(), Arc::clone(&keys));
        Ok(keys)
    }

    /// The lines that were skipped in the files read so far, file by file.
    #[must_use]
    pub fn skipped_lines(&self) -> Vec<(Location, LineProblem)> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files: Vec<_> = read.values().collect();
        files.sort_by_key(|file| file.path());
        let skipped = |file: &&Arc<KnownHostsFile>| {
            let path = file.path().to_owned();
            file.problems().into_iter().map(move |(line, problem)| (Location { file: path.clone(), line }, problem))
        };
        files.iter().flat_map(skipped).collect()
    }

    fn file(&self, path: &Path) -> Result<Arc<KnownHostsFile>, KnownHostsError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = read.get(path) {
            return Ok(Arc::clone(file));
        }
        let file =
            KnownHostsFile::read(path).map_err(|source| KnownHostsError::Read { path: path.to_owned(), source })?;
        let file = Arc::new(file);
        read.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// The known host keys of some files. Cheap to clone; clones see what the others remember.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    /// The user's first, then the global ones.
    files: Vec<Arc<KnownHostsFile>>,
    has_user_file: bool,
    revoked: Option<Arc<RevokedKeys>>,
}

/// A line for the name that was looked up.
struct FoundLine {
    at: Location,
    marker: Marker,
    key: KeyData,
}

impl KnownHosts {
    /// What the files say of the bare key `key` of the host known as `name`.
    #[must_use]
    pub fn check_key(&self, name: &KnownName, key: &PublicKey) -> Verdict {
        self.verdict(name, key.key_data(), None)
    }

    /// What the files say of a host certificate, whose key the host has proved to own.
    ///
    /// As in ssh(1), a certificate that no trusted authority signed, or that is not good now, leaves its bare key to be
    /// checked.
    #[must_use]
    pub fn check_certificate(&self, name: &KnownName, certificate: &Certificate, now: SystemTime) -> Verdict {
        let authority = certificate.signature_key();
        let mut problem = None;
        if let Some(at) = self.revoked_at(&[certificate.public_key(), authority]) {
            return Verdict::Revoked(at);
        }
        for lookup in name.lookups() {
            let lines = self.lines(lookup);
            if let Some(line) = revoking(&lines, &[certificate.public_key(), authority]) {
                return Verdict::Revoked(line.at.clone());
            }
            let mut authorities = lines.iter().filter(|line| line.marker == Marker::CertAuthority).peekable();
            if authorities.peek().is_none() {
                continue;
            }
            if let Some(line) = authorities.find(|line| line.key == *authority) {
                match certificate::check(certificate, name.principal(), now) {
                    Ok(()) => return Verdict::Trusted(line.at.clone()),
                    Err(wrong) => problem = Some(wrong),
                }
            }
            break;
        }
        self.verdict(name, certificate.public_key(), problem)
    }

    /// The keys that are known as the host's, with the lines that say so, and no others: neither authorities nor keys that
    /// are revoked.
    #[must_use]
    pub fn host_keys(&self, name: &KnownName) -> Vec<(Location, PublicKey)> {
        let mut keys = Vec::new();
        for lookup in name.lookups() {
            let lines = self.lines(lookup);
            let of_host =
                |line: &&FoundLine| line.marker == Marker::HostKey && revoking(&lines, &[&line.key]).is_none();
            keys.extend(lines.iter().filter(of_host).map(|line| (line.at.clone(), line.key.clone().into())));
            if !keys.is_empty() {
                break;
            }
        }
        keys
    }

    /// The algorithms for which a key of the host is known, in the order of the files.
    #[must_use]
    pub fn key_algorithms(&self, name: &KnownName) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for lookup in name.lookups() {
            let lines = self.lines(lookup);
            let host_keys = lines.iter().filter(|line| line.marker == Marker::HostKey).map(|line| &line.key);
            for algorithm in host_keys.filter(|key| revoking(&lines, &[key]).is_none()).flat_map(signature_algorithms) {
                if !algorithms.contains(&algorithm) {
                    algorithms.push(algorithm);
                }
            }
            if !algorithms.is_empty() {
                break;
            }
        }
        algorithms
    }

    /// `preferred` with the algorithms first for which a key of the host is known, so that the host shows a key that
    /// can be compared; otherwise in its order.
    #[must_use]
    pub fn order_algorithms(&self, name: &KnownName, preferred: &[Algorithm]) -> Vec<Algorithm> {
        let known = self.key_algorithms(name);
        let (mut first, rest): (Vec<_>, Vec<_>) =
            preferred.iter().cloned().partition(|algorithm| known.contains(algorithm));
        first.extend(rest);
        first
    }

    /// Whether an authority is trusted for the host, so that a certificate is worth asking for.
    #[must_use]
    pub fn has_certificate_authority(&self, name: &KnownName) -> bool {
        name.lookups().any(|lookup| self.lines(lookup).iter().any(|line| line.marker == Marker::CertAuthority))
    }

    /// The first line with `key`, under whatever name.
    #[must_use]
    pub fn line_with(&self, key: &PublicKey) -> Option<Location> {
        let found = |file: &Arc<KnownHostsFile>| {
            Some(Location { file: file.path().to_owned(), line: file.line_with(key.key_data())? })
        };
        self.files.iter().find_map(found)
    }

    /// The same, with the keys that `revoked` names being good for no host.
    #[must_use]
    pub fn without(self, revoked: Option<Arc<RevokedKeys>>) -> Self {
        Self { revoked, ..self }
    }

    /// `problem` is that of the certificate which `key` came in.
    fn verdict(&self, name: &KnownName, key: &KeyData, problem: Option<CertificateProblem>) -> Verdict {
        if let Some(at) = self.revoked_at(&[key]) {
            return Verdict::Revoked(at);
        }
        for lookup in name.lookups() {
            match verdict_by(&self.lines(lookup), key) {
                // For the bare name other keys may be known: they are those of another port.
                Some(Verdict::Changed { .. }) if lookup != name.written() => {}
                Some(verdict) => return verdict,
                None => {}
            }
        }
        Verdict::Unknown { offered: KeyLabel::of(key), certificate: problem }
    }

    fn revoked_at(&self, keys: &[&KeyData]) -> Option<Location> {
        let revoked = self.revoked.as_ref()?;
        keys.iter().find_map(|key| revoked.find(key))
    }

    /// The lines for one name, file by file.
    fn lines(&self, lookup: &str) -> Vec<FoundLine> {
        let mut found = Vec::new();
        for file in &self.files {
            let at = |line| Location { file: file.path().to_owned(), line };
            file.matching(lookup, |lines| {
                found.extend(lines.map(|line| FoundLine {
                    at: at(line.number),
                    marker: line.marker,
                    key: line.key.clone(),
                }));
            });
        }
        found
    }
}

/// What the lines for a name say of a bare key: revoked by any, or trusted by any, or changed.
fn verdict_by(lines: &[FoundLine], key: &KeyData) -> Option<Verdict> {
    if let Some(line) = revoking(lines, &[key]) {
        return Some(Verdict::Revoked(line.at.clone()));
    }
    let host_keys = || lines.iter().filter(|line| line.marker == Marker::HostKey);
    if let Some(line) = host_keys().find(|line| line.key == *key) {
        return Some(Verdict::Trusted(line.at.clone()));
    }
    let same_type = host_keys().rfind(|line| line.key.algorithm() == key.algorithm());
    same_type.or_else(|| host_keys().next_back()).map(|line| Verdict::Changed {
        at: line.at.clone(),
        known: KeyLabel::of(&line.key),
        offered: KeyLabel::of(key),
    })
}

fn revoking<'a>(lines: &'a [FoundLine], keys: &[&KeyData]) -> Option<&'a FoundLine> {
    lines.iter().find(|line| line.marker == Marker::Revoked && keys.contains(&&line.key))
}

/// The algorithms that a host with `key` can be asked for. SHA-1 is not among them.
fn signature_algorithms(key: &KeyData) -> Vec<Algorithm> {
    match key.algorithm() {
        Algorithm::Rsa { .. } => {
            [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }).to_vec()
        }
        other => vec![other],
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
