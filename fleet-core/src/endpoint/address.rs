//! Which of a host's addresses to take, as a person writes it.
//!
//! Must not know which addresses a host has.

use std::fmt;
use std::str::FromStr;

/// One way to reach a host that has several addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressChoice {
    /// Whatever fits best.
    #[default]
    Auto,
    /// IPv4 within its network.
    Private,
    /// IPv4 from everywhere.
    Public,
    /// IPv6.
    Ipv6,
    /// Its name in the DNS.
    Dns,
    /// What the tag of this key says; written `tag:KEY`.
    Tag(String),
}

/// Why a text chooses no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; expected {expected}", expected = AddressChoice::EXPECTED)]
pub struct AddressChoiceError {
    /// As written.
    pub found: String,
}

impl AddressChoice {
    /// What is taken, in words.
    pub const EXPECTED: &str = "auto, private, public, ipv6, dns or tag:KEY";
}

impl fmt::Display for AddressChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Private => f.write_str("private"),
            Self::Public => f.write_str("public"),
            Self::Ipv6 => f.write_str("ipv6"),
            Self::Dns => f.write_str("dns"),
            Self::Tag(key) => write!(f, "tag:{key}"),
        }
    }
}

impl FromStr for AddressChoice {
    type Err = AddressChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            "ipv6" => Ok(Self::Ipv6),
            "dns" => Ok(Self::Dns),
            _ => match text.strip_prefix("tag:") {
                Some(key) if !key.is_empty() => Ok(Self::Tag(key.to_owned())),
                _ => Err(AddressChoiceError { found: text.to_owned() }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_and_shown_as_it_is_written() {
        for text in ["auto", "private", "public", "ipv6", "dns", "tag:fleet:address", "tag:a b"] {
            assert_eq!(text.parse::<AddressChoice>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_chooses_no_address_is_refused_with_the_accepted_words() {
        for text in ["", "tag:", "Private", "10.0.0.1", "tag"] {
            let error = text.parse::<AddressChoice>().unwrap_err().to_string();
            assert_eq!(error, format!("found {text:?}; expected auto, private, public, ipv6, dns or tag:KEY"));
        }
    }
}
