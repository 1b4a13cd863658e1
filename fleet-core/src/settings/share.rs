//! Parts of the chosen hosts as a person writes them: `5`, or `10%` of all.
//!
//! Must not know which hosts there are.

use std::fmt;
use std::str::FromStr;

/// A number of hosts, or a percentage of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many hosts.
    Count(usize),
    /// So many percent of all, at most 100.
    Percent(u8),
}

/// Why a text is not a share of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no share of the hosts; expected a number of hosts such as 5, or 0% to 100% of them")]
pub struct ShareError(String);

impl Share {
    /// How many of `hosts` that is, rounded up.
    #[must_use]
    pub fn rounded_up(self, hosts: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => hosts.saturating_mul(usize::from(percent)).div_ceil(100),
        }
    }

    /// How many of `hosts` that is, rounded down.
    #[must_use]
    pub fn rounded_down(self, hosts: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => hosts.saturating_mul(usize::from(percent)) / 100,
        }
    }

    /// Whether it is no host, however many there are.
    #[must_use]
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = match text.strip_suffix('%') {
            Some(number) => number.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        share.ok_or_else(|| ShareError(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_or_a_percentage() {
        for (text, hosts, down, up) in
            [("3", 200, 3, 3), ("10%", 200, 20, 20), ("10%", 15, 1, 2), ("0", 9, 0, 0), ("100%", 7, 7, 7)]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.rounded_down(hosts), share.rounded_up(hosts)), (down, up), "{text} of {hosts}");
            assert_eq!(share.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_share_is_refused_with_the_accepted_forms() {
        for text in ["", "%", "120%", "-1", "1.5%", "ten", "10 %", "300%"] {
            let error = text.parse::<Share>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is no share")) && error.contains("0% to 100%"), "{error}");
        }
    }
}
