//! Host sets with wildcards: `web[01-20]`, `web*`, `web[a-c]?`, matched against hosts.
//!
//! Must not know which hosts there are.

use std::collections::HashMap;

use crate::host::{Host, HostSyntaxError};
use crate::hostset::{self, HostSetError};
use crate::wildcard::{Wildcard, WildcardError};

/// Patterns of which any may match.
#[derive(Debug)]
pub struct Patterns {
    /// Hosts without wildcards, by name.
    hosts: HashMap<String, Vec<Host>>,
    wildcards: Vec<Wildcard>,
}

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Its ranges are malformed.
    #[error(transparent)]
    HostSet(#[from] HostSetError),
    /// It has no wildcard and is no host.
    #[error(transparent)]
    Host(#[from] HostSyntaxError),
    /// Its wildcards are malformed.
    #[error("{problem} in the pattern \"{pattern}\"; expected *, ? or [a-c]")]
    Wildcard {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        problem: WildcardError,
    },
}

impl Patterns {
    /// Reads host sets whose names may have wildcards. Brackets with numbers are ranges, others are classes.
    ///
    /// # Errors
    /// When an item is neither a host set nor a wildcard.
    pub fn parse<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut hosts: HashMap<String, Vec<Host>> = HashMap::new();
        let mut wildcards = Vec::new();
        for item in items {
            let expanded = match hostset::expand(item) {
                Err(HostSetError::NotARange { .. }) => {
                    wildcards.push(wildcard(item)?);
                    continue;
                }
                expanded => expanded?,
            };
            for name in expanded {
                if name.contains(['*', '?']) {
                    wildcards.push(wildcard(&name)?);
                } else {
                    let host: Host = name.parse()?;
                    hosts.entry(host.name().to_owned()).or_default().push(host);
                }
            }
        }
        Ok(Self { hosts, wildcards })
    }

    /// Whether any pattern means `host`: by name alone, or also by the user and port that the pattern has. A wildcard is
    /// tried on the name and on the whole `user@name:port`.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        let means = |pattern: &Host| {
            (pattern.user().is_none() || pattern.user() == host.user())
                && (pattern.port().is_none() || pattern.port() == host.port())
        };
        self.hosts.get(host.name()).is_some_and(|patterns| patterns.iter().any(means))
            || (!self.wildcards.is_empty() && {
                let whole = host.to_string();
                self.wildcards.iter().any(|wildcard| wildcard.matches(host.name()) || wildcard.matches(&whole))
            })
    }
}

/// Reads a pattern of host or group names.
pub(super) fn wildcard(pattern: &str) -> Result<Wildcard, PatternError> {
    Wildcard::parse(pattern).map_err(|problem| PatternError::Wildcard { pattern: pattern.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_hosts_by_what_they_name() {
        for (pattern, matched, others) in [
            ("web1", "web1 root@web1 web1:22", "web10 db1"),
            ("web1:22", "web1:22 me@web1:22", "web1 web1:23"),
            ("me@web1", "me@web1 me@web1:22", "web1 you@web1"),
            ("web[01-20]", "web01 web20", "web1 web21"),
            ("web*", "web web1 me@web1:22", "db1 xweb1"),
            ("web?", "web1", "web web10"),
            ("web[a-c]", "weba webc", "webd web1"),
            ("web[!a-c]", "webd", "weba"),
            ("web[01-12]*", "web01 web12-eth0", "web13 web2"),
            ("*:22", "a:22 me@b:22", "a a:2222"),
            ("*", "a 10.0.0.1 [::1]:22", ""),
            ("::1", "::1 [::1]:22", "::2"),
        ] {
            let patterns = Patterns::parse([pattern]).unwrap();
            for (hosts, expected) in [(matched, true), (others, false)] {
                for host in hosts.split_whitespace() {
                    assert_eq!(patterns.matches(&host.parse().unwrap()), expected, "{pattern} on {host}");
                }
            }
        }
        assert!(!Patterns::parse([]).unwrap().matches(&"web1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, message) in [
            ("web[5-1]", "\"5-1\" in \"web[5-1]\" goes down"),
            ("web[1-", "brackets in \"web[1-\""),
            ("web[z-a]", "invalid range"),
            ("we;b", "';' cannot be part of a host name"),
            ("@web", "names a group"),
        ] {
            let error = Patterns::parse([pattern]).unwrap_err().to_string();
            assert!(error.contains(message), "{pattern}: {error}");
        }
    }
}
