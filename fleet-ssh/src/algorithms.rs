//! Which algorithms are offered to a server, best first: ours by default, changed by ssh_config's lists.
//!
//! Must not know hosts.

use std::borrow::Cow;

use russh::keys::Algorithm;
use russh::{Preferred, cipher, compression, kex, mac};

use super::config::{AlgorithmList, HostConfig};

/// ML-KEM costs 0.2 ms more than curve25519 and resists recorded-now-broken-later; finite-field groups cost up to a
/// second of arithmetic and come last.
const KEX: [kex::Name; 7] = [
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G14_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_GEX_SHA256,
];
/// Signals of the key exchange itself (RFC 8308, OpenSSH's strict key exchange): always there, never configured.
const KEX_EXTENSIONS: [kex::Name; 2] = [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];
/// On processors with AES instructions AES-GCM is the cheapest by far.
const CIPHERS: [cipher::Name; 6] = [
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const MACS: [mac::Name; 4] = [mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// The offer for one host. `host_keys` are the host key algorithms in the order in which known_hosts wants them.
pub(super) fn preferred(config: &HostConfig, host_keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> Preferred {
    let mut kex = chosen(config.kex_algorithms.as_ref(), &KEX);
    kex.extend(KEX_EXTENSIONS);
    let compression: &'static [compression::Name] = if config.compression {
        &[compression::ZLIB_LEGACY, compression::ZLIB, compression::NONE]
    } else {
        &[compression::NONE, compression::ZLIB_LEGACY, compression::ZLIB]
    };
    Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(host_keys),
        host_key_certificates: Cow::Owned(certificates),
        cipher: Cow::Owned(chosen(config.ciphers.as_ref(), &CIPHERS)),
        mac: Cow::Owned(chosen(config.macs.as_ref(), &MACS)),
        compression: Cow::Borrowed(compression),
    }
}

/// The names that `Ciphers` may have.
pub(super) fn known_ciphers() -> Vec<String> {
    CIPHERS.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// The names that `MACs` may have.
pub(super) fn known_macs() -> Vec<String> {
    MACS.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// The names that `KexAlgorithms` may have.
pub(super) fn known_kex() -> Vec<String> {
    KEX.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// The names that `HostKeyAlgorithms` and `PubkeyAcceptedAlgorithms` may have.
pub(super) fn known_keys() -> Vec<String> {
    let keys = Preferred::DEFAULT.key.iter();
    let mut names: Vec<String> = keys.flat_map(|key| [key.as_str().to_owned(), key.to_certificate_type()]).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether a user key of the algorithm named so may be offered (`PubkeyAcceptedAlgorithms`).
pub(super) fn accepts(list: Option<&AlgorithmList>) -> impl Fn(&str) -> bool + Send + Sync + use<> {
    let known: Vec<Algorithm> = Preferred::DEFAULT.key.iter().filter(|key| !is_sha1(key)).cloned().collect();
    let names: Vec<String> =
        known.iter().flat_map(|key| [key.as_str().to_owned(), key.to_certificate_type()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let accepted = list.map(|list| list.apply(&names, &names));
    move |name| accepted.as_ref().is_none_or(|accepted| accepted.iter().any(|known| known == name))
}

/// The host key algorithms in ssh_config's order, or ours.
pub(super) fn host_keys(list: Option<&AlgorithmList>) -> Vec<Algorithm> {
    let ours: Vec<Algorithm> = Preferred::DEFAULT.key.iter().filter(|key| !is_sha1(key)).cloned().collect();
    let Some(list) = list else { return ours };
    let supported: Vec<Algorithm> = Preferred::DEFAULT.key.to_vec();
    let names: Vec<&str> = ours.iter().map(Algorithm::as_str).collect();
    let all: Vec<&str> = supported.iter().map(Algorithm::as_str).collect();
    let chosen = list.apply(&names, &all);
    chosen.iter().filter_map(|name| supported.iter().find(|key| key.as_str() == name).cloned()).collect()
}

fn is_sha1(key: &Algorithm) -> bool {
    matches!(key, Algorithm::Rsa { hash: None })
}

fn chosen<N: AsRef<str> + Clone>(list: Option<&AlgorithmList>, ours: &[N]) -> Vec<N> {
    let Some(list) = list else { return ours.to_vec() };
    let names: Vec<&str> = ours.iter().map(AsRef::as_ref).collect();
    let chosen = list.apply(&names, &names);
    chosen.iter().filter_map(|name| ours.iter().find(|known| known.as_ref() == name).cloned()).collect()
}
