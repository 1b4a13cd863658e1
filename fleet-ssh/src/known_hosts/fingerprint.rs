//! Fingerprints as ssh-keygen(1) prints them, to be compared with a key.
//!
//! Must not know where they were printed.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::PublicKey;

/// What a public key is told by: a hash of it.
///
/// MD5, which ssh-keygen printed before OpenSSH 6.8, is good enough: to pass for a given key somebody would have to find
/// another with the same hash, and nobody can; only two new keys with one hash can be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// `SHA256:` and base64 without padding.
    Sha256([u8; 32]),
    /// Sixteen bytes in hexadecimal with colons, with or without `MD5:` before them.
    Md5([u8; 16]),
}

/// Why a text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a fingerprint as ssh-keygen prints it: SHA256:... or 16 bytes in hexadecimal with colons")]
pub struct FingerprintError;

impl Fingerprint {
    /// Whether it is that of `key`.
    #[must_use]
    pub fn is_of(&self, key: &PublicKey) -> bool {
        let Ok(bytes) = key.to_bytes() else { return false };
        match self {
            Self::Sha256(hash) => hash[..] == Sha256::digest(&bytes)[..],
            Self::Md5(hash) => *hash == md5::compute(&bytes).0,
        }
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(hash) = text.strip_prefix("SHA256:") {
            let hash = STANDARD_NO_PAD.decode(hash).map_err(|_| FingerprintError)?;
            return hash.try_into().map(Self::Sha256).map_err(|_| FingerprintError);
        }
        let byte = |pair: &str| match pair.as_bytes() {
            [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => u8::from_str_radix(pair, 16).ok(),
            _ => None,
        };
        let hash: Option<Vec<u8>> = text.strip_prefix("MD5:").unwrap_or(text).split(':').map(byte).collect();
        hash.and_then(|hash| hash.try_into().ok()).map(Self::Md5).ok_or(FingerprintError)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ED25519, ED25519_OTHER};
    use super::*;

    // As `ssh-keygen -l -E sha256` and `-E md5` print them of the fixture's key.
    const SHA256: &str = "SHA256:FFkW8MyaOFoCTlr8EZ6BCo4If6gUfEfh5FTTdCp3/vA";
    const MD5: &str = "MD5:30:18:37:a2:01:1e:49:b3:cd:2b:09:28:39:fd:7f:1c";

    #[test]
    fn a_fingerprint_is_that_of_one_key_in_every_spelling() {
        let [key, other] = [ED25519, ED25519_OTHER].map(|key| PublicKey::from_openssh(key).unwrap());
        for text in [SHA256, MD5, MD5.strip_prefix("MD5:").unwrap(), &MD5.to_uppercase()] {
            let fingerprint: Fingerprint = text.parse().unwrap();
            assert!(fingerprint.is_of(&key) && !fingerprint.is_of(&other), "{text}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let hash = &SHA256[..SHA256.len() - 1];
        for text in ["", "SHA256:", "sha256:abc", "SHA512:abc", "MD5:", "0:1", "aa:bb", hash, &format!("{SHA256}=")] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
        let long = vec!["aa"; 17].join(":");
        let signed = vec!["+a"; 16].join(":");
        for text in [long, signed, vec!["a"; 16].join(":"), vec!["é"; 16].join(":")] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
