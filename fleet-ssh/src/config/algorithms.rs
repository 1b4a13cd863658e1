//! The value of `Ciphers` and its kin: a list of names, or a change to the default list.
//!
//! Must not know which names exist.

use crate::pattern::{PatternList, matches};

/// What a configuration says about a list of algorithms, such as `aes128-ctr,aes256-ctr` or `+ssh-rsa`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmList {
    change: Change,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Replace,
    Append,
    Remove,
    Prepend,
}

impl AlgorithmList {
    /// Reads a value of ssh_config(5): names and patterns between commas, after `+` to append, `-` to remove or `^` to
    /// put first.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (change, names) = match text.split_at_checked(1) {
            Some(("+", names)) => (Change::Append, names),
            Some(("-", names)) => (Change::Remove, names),
            Some(("^", names)) => (Change::Prepend, names),
            _ => (Change::Replace, text),
        };
        Self { change, text: names.to_owned() }
    }

    /// The names to offer, best first, when `defaults` are offered without a configuration and `supported` are known.
    /// Names that are not supported are left out; see [`AlgorithmList::unknown`].
    #[must_use]
    pub fn apply(&self, defaults: &[&str], supported: &[&str]) -> Vec<String> {
        let defaults = defaults.iter().copied();
        let chosen: Vec<&str> = match self.change {
            Change::Remove => {
                let removed = PatternList::from_commas(&self.text);
                return defaults.filter(|name| !removed.matches(name)).map(str::to_owned).collect();
            }
            Change::Replace => self.names().collect(),
            Change::Append => defaults.chain(self.names()).collect(),
            Change::Prepend => self.names().chain(defaults).collect(),
        };
        let mut names: Vec<String> = Vec::new();
        for pattern in chosen {
            for name in supported.iter().filter(|name| matches(name, pattern)) {
                if !names.iter().any(|known| known == name) {
                    names.push((*name).to_owned());
                }
            }
        }
        names
    }

    /// The names and patterns to offer that fit none of `supported`. As for ssh(1), those to remove need not exist.
    #[must_use]
    pub fn unknown<S: AsRef<str>>(&self, supported: &[S]) -> Vec<&str> {
        let offered = self.names().filter(|_| self.change != Change::Remove);
        offered.filter(|pattern| !supported.iter().any(|name| matches(name.as_ref(), pattern))).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.text.split(',').filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: [&str; 3] = ["chacha", "aes128-gcm", "aes256-gcm"];
    const SUPPORTED: [&str; 5] = ["chacha", "aes128-gcm", "aes256-gcm", "aes128-ctr", "aes256-ctr"];

    #[test]
    fn a_list_replaces_extends_shortens_or_leads_the_default() {
        for (text, expected) in [
            ("aes256-ctr,chacha", "aes256-ctr,chacha"),
            ("+aes128-ctr", "chacha,aes128-gcm,aes256-gcm,aes128-ctr"),
            ("+chacha", "chacha,aes128-gcm,aes256-gcm"),
            ("+*-ctr", "chacha,aes128-gcm,aes256-gcm,aes128-ctr,aes256-ctr"),
            ("-*-gcm", "chacha"),
            ("-none-such", "chacha,aes128-gcm,aes256-gcm"),
            ("^aes256-gcm,aes128-ctr", "aes256-gcm,aes128-ctr,chacha,aes128-gcm"),
            ("3des,aes128-ctr", "aes128-ctr"),
            ("3des", ""),
        ] {
            assert_eq!(AlgorithmList::new(text).apply(&DEFAULTS, &SUPPORTED).join(","), expected, "{text}");
        }
    }

    #[test]
    fn names_that_nobody_knows_are_told() {
        for (text, unknown) in
            [("+3des,aes*,x?", &["3des", "x?"][..]), ("chacha", &[]), ("nope", &["nope"]), ("-3des", &[])]
        {
            assert_eq!(AlgorithmList::new(text).unknown(&SUPPORTED), unknown, "{text}");
        }
    }
}
