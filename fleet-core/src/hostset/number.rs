//! A number within a host name, with its padding: `7`, `07` and `007` are three.
//!
//! Must not know the names around it.

use std::cmp::Ordering;
use std::fmt;

/// The longest run of digits that counts as a number: any such number, and its successor, fits in 64 bits.
pub(super) const MAX_DIGITS: usize = 18;

/// A number and the width it is padded to; orders by digits written, then by value: 7, 8, 07, 12, 007.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    /// Digits with the leading zeros; 0 where there are none.
    pub(super) width: usize,
}

impl Number {
    /// Reads a run of 1 to [`MAX_DIGITS`] ASCII digits.
    pub(super) fn parse(digits: &str) -> Option<Self> {
        let valid = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let value = digits.parse().ok().filter(|_| valid)?;
        let padded = digits.len() > 1 && digits.starts_with('0');
        Some(Self { value, width: if padded { digits.len() } else { 0 } })
    }

    /// How many digits are written.
    pub(super) fn digits(self) -> usize {
        self.value.checked_ilog10().map_or(1, |log| log as usize + 1).max(self.width)
    }

    /// Whether a range from `first` on, padded as that is, writes this number as it is written here.
    pub(super) fn is_written_as(self, first: Self) -> bool {
        if first.width == 0 { self.width == 0 } else { self.digits() == first.width }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        #[cfg(test)]
        COMPARISONS.set(COMPARISONS.get() + 1);
        (self.digits(), self.value).cmp(&(other.digits(), other.value))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
thread_local! {
    /// How many numbers this thread compared: the work of folding.
    pub(super) static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = self.width)
    }
}
