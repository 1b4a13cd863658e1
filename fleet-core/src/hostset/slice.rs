//! A part of an ordered set by place: `[0..9]`, `%25`, `first`, `random:3:SEED`.
//!
//! Must not know what the set holds.

use std::fmt;

/// Which places of a set are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// `[first..last]`: places counted from 0, both included; without `last`, all that follow.
    Places {
        /// The first place.
        first: usize,
        /// The last place.
        last: Option<usize>,
    },
    /// `%25`: so many percent from the first on (1 to 100), rounded up.
    Percent(u8),
    /// `first`: the first place.
    First,
    /// `random:3:SEED`: so many places by chance, which is the same for the same seed and number of places.
    Random {
        /// How many.
        count: usize,
        /// What decides.
        seed: u64,
    },
}

impl Slice {
    /// The places meant in a set of `count`, ascending.
    #[must_use]
    pub fn places(&self, count: usize) -> Vec<usize> {
        match *self {
            Self::Places { first, last } => {
                let end = last.map_or(count, |last| last.saturating_add(1).min(count));
                (first..end).collect()
            }
            Self::Percent(percent) => (0..(count * usize::from(percent)).div_ceil(100)).collect(),
            Self::First => (0..count.min(1)).collect(),
            Self::Random { count: wanted, seed } => drawn(wanted, seed, count),
        }
    }
}

/// The `wanted` places with the smallest random numbers.
fn drawn(wanted: usize, seed: u64, count: usize) -> Vec<usize> {
    let mut lots: Vec<(u64, usize)> = (0..count).map(|place| (lot(seed, place as u64), place)).collect();
    lots.sort_unstable();
    let mut places: Vec<usize> = lots.into_iter().take(wanted).map(|(_, place)| place).collect();
    places.sort_unstable();
    places
}

/// The random number of a place: `SplitMix64` (Steele, Lea and Flood, 2014), which no update of a crate changes, so that a
/// seed printed once chooses the same hosts for ever.
fn lot(seed: u64, place: u64) -> u64 {
    let mut mixed = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Places { first, last: Some(last) } => write!(f, "[{first}..{last}]"),
            Self::Places { first, last: None } => write!(f, "[{first}..]"),
            Self::Percent(percent) => write!(f, "%{percent}"),
            Self::First => write!(f, "first"),
            Self::Random { count, seed } => write!(f, "random:{count}:{seed}"),
        }
    }
}

/// The text of a slice, with what it may leave open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WrittenSlice {
    Whole(Slice),
    /// `random:3`: the seed is to be drawn.
    Seedless {
        count: usize,
    },
}

/// Reads a slice that is a word of its own; `None` for any other word.
///
/// # Errors
/// What was expected, when it is a malformed slice.
pub(super) fn parse_slice(word: &str) -> Option<Result<WrittenSlice, &'static str>> {
    if let Some(numbers) = word.strip_prefix("random:") {
        return Some(parse_random(numbers));
    }
    let slice = if word == "first" { Ok(Slice::First) } else { parse_attachable(word)? };
    Some(slice.map(WrittenSlice::Whole))
}

/// Reads `[0..9]` or `%25`; `None` for any other text.
pub(super) fn parse_attachable(text: &str) -> Option<Result<Slice, &'static str>> {
    if let Some(percent) = text.strip_prefix('%') {
        let percent = digits(percent).filter(|percent| (1..=100).contains(percent));
        return Some(percent.map(Slice::Percent).ok_or("a percentage from %1 to %100"));
    }
    let (first, last) = text.strip_prefix('[')?.strip_suffix(']')?.split_once("..")?;
    Some(parse_places(first.trim(), last.trim()).ok_or("[first..last], [first..] or [..last], counted from 0"))
}

fn parse_places(first: &str, last: &str) -> Option<Slice> {
    match (first, last) {
        ("", "") => None,
        ("", last) => Some(Slice::Places { first: 0, last: Some(digits(last)?) }),
        (first, "") => Some(Slice::Places { first: digits(first)?, last: None }),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some(Slice::Places { first, last: Some(last) })
        }
    }
}

fn parse_random(numbers: &str) -> Result<WrittenSlice, &'static str> {
    const EXPECTED: &str = "random:COUNT or random:COUNT:SEED, with a count of 1 or more";
    let (count, seed) = numbers.split_once(':').map_or((numbers, None), |(count, seed)| (count, Some(seed)));
    let count = digits(count).filter(|count| *count > 0).ok_or(EXPECTED)?;
    match seed {
        None => Ok(WrittenSlice::Seedless { count }),
        Some(seed) => Ok(WrittenSlice::Whole(Slice::Random { count, seed: digits(seed).ok_or(EXPECTED)? })),
    }
}

/// A number without sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_up() {
        for (percent, count, places) in [(25, 8, 2), (25, 9, 3), (1, 3, 1), (100, 3, 3), (50, 0, 0)] {
            assert_eq!(Slice::Percent(percent).places(count).len(), places, "{percent} % of {count}");
        }
    }

    #[test]
    fn a_seed_chooses_the_same_places_for_ever() {
        for (count, seed, of, places) in
            [(3, 1, 10, vec![3, 4, 8]), (3, 2, 10, vec![4, 5, 8]), (9, 1, 3, vec![0, 1, 2]), (1, 1, 0, Vec::new())]
        {
            assert_eq!(Slice::Random { count, seed }.places(of), places, "random:{count}:{seed} of {of}");
        }
    }

    #[test]
    fn chance_has_no_favourites() {
        let mut chosen = [0; 10];
        for seed in 0..1_000 {
            for place in (Slice::Random { count: 3, seed }).places(10) {
                chosen[place] += 1;
            }
        }
        assert!(chosen.iter().all(|times| (250..350).contains(times)), "{chosen:?}");
    }
}
