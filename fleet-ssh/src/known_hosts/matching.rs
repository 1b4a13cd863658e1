//! Which names a `known_hosts` line is for: comma lists of patterns, or one hashed name.
//!
//! Must not know keys, files or ports: a nonstandard port is part of the name (`[host]:port`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::pattern::PatternList;

/// What a hashed name starts with; the `1` stands for HMAC-SHA1 (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
const HASH_MAGIC: &str = "|1|";

/// Length of the salt and of the hash, in bytes.
const HASH_LEN: usize = 20;

/// The names field of a line.
#[derive(Clone, Debug)]
pub(super) enum Names {
    /// `web01,web01.lab`: names only, in lower case, so that a table can answer for them.
    Plain(Vec<String>),
    /// `*.lab,!gw.lab`
    Patterns(PatternList),
    /// `|1|salt|hash`
    Hashed(HashedName),
}

impl Names {
    /// Reads the names field; `None` when it starts as a hashed name and is none.
    pub(super) fn parse(field: &str) -> Option<Self> {
        if field.starts_with('|') {
            return HashedName::parse(field).map(Self::Hashed);
        }
        let field = field.to_ascii_lowercase();
        if field.contains(['*', '?', '!']) {
            Some(Self::Patterns(PatternList::from_commas(&field)))
        } else {
            Some(Self::Plain(field.split(',').map(str::to_owned).collect()))
        }
    }
}

/// A name kept as its salted hash, so that the file does not tell which hosts are known.
#[derive(Clone)]
pub(super) struct HashedName {
    /// The key schedule of the salt, done once: a lookup hashes nothing but the name.
    keyed: Hmac<Sha1>,
    hash: [u8; HASH_LEN],
}

impl HashedName {
    fn parse(field: &str) -> Option<Self> {
        let (salt, hash) = field.strip_prefix(HASH_MAGIC)?.split_once('|')?;
        let salt: [u8; HASH_LEN] = BASE64.decode(salt).ok()?.try_into().ok()?;
        let hash = BASE64.decode(hash).ok()?.try_into().ok()?;
        Some(Self { keyed: keyed_with(&salt), hash })
    }

    /// Whether this is the hash of `name`, which must be in lower case.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.keyed.clone().chain_update(name).finalize().into_bytes().as_slice() == self.hash
    }

    /// The names field for `name` with `salt`.
    pub(super) fn encode(name: &str, salt: &[u8; HASH_LEN]) -> String {
        let hash = keyed_with(salt).chain_update(name).finalize().into_bytes();
        format!("{HASH_MAGIC}{}|{}", BASE64.encode(salt), BASE64.encode(hash))
    }
}

impl std::fmt::Debug for HashedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashedName").finish_non_exhaustive()
    }
}

fn keyed_with(salt: &[u8; HASH_LEN]) -> Hmac<Sha1> {
    Hmac::new_from_slice(salt).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negated_pattern_wins_wherever_it_stands() {
        for (field, name, expected) in [
            ("web,!web", "web", false),
            ("!web,web", "web", false),
            ("!gw.lab,*.lab", "gw.lab", false),
            ("!gw.lab,*.lab", "web.lab", true),
            ("!gw.lab", "web.lab", false),
            ("web,x", "web", true),
        ] {
            assert_eq!(PatternList::from_commas(field).matches(name), expected, "{field} {name}");
        }
    }

    #[test]
    fn only_lists_without_wildcards_and_negation_are_plain() {
        let Some(Names::Plain(names)) = Names::parse("Web,10.0.0.1,[web]:22") else { panic!("not plain") };
        assert_eq!(names, ["web", "10.0.0.1", "[web]:22"]);
        for field in ["web,!gw", "w*", "w?b"] {
            assert!(matches!(Names::parse(field), Some(Names::Patterns(_))), "{field}");
        }
    }

    #[test]
    fn a_hashed_name_matches_that_name_only() {
        let field = HashedName::encode("web", &[7; HASH_LEN]);
        let Some(Names::Hashed(hashed)) = Names::parse(&field) else { panic!("{field}") };
        assert!(hashed.matches("web"));
        assert!(!hashed.matches("web1"));
    }

    #[test]
    fn broken_hashes_are_refused() {
        let good = HashedName::encode("web", &[7; HASH_LEN]);
        for field in ["|", "|1|", "|2|a|b", "|1|YQ==|YQ==", &good[..good.len() - 1], &format!("{good},web")] {
            assert!(Names::parse(field).is_none(), "{field}");
        }
    }
}
