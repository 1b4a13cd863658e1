//! Durations and limits as a person writes them.
//!
//! Must not know what they limit.

use std::str::FromStr;
use std::time::Duration;

/// Longer than anyone waits, and short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no duration; expected seconds, or a number with a unit such as 90s, 1m30s, 1h or 500ms")]
pub struct DurationError(String);

/// Reads `90` (seconds), `90s`, `1m30s`, `1h` or `500ms`.
///
/// # Errors
/// When the text is none of these, or means more than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let duration = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    duration.filter(|duration| *duration <= LONGEST).ok_or_else(|| DurationError(text.to_owned()))
}

/// How long something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As long as it likes; written `none` or `0`.
    None,
    /// So long at most.
    After(Duration),
}

impl Limit {
    /// The duration, `None` for no limit.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl FromStr for Limit {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_duration(text) {
            Ok(Duration::ZERO) => Ok(Self::None),
            Ok(duration) => Ok(Self::After(duration)),
            Err(_) if text.trim() == "none" => Ok(Self::None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, millis) in [
            ("90", 90_000),
            (" 90 ", 90_000),
            ("0", 0),
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("1h", 3_600_000),
            ("500ms", 500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_accepted_forms() {
        for text in
            ["", "-5", "1.5", "ten", "5 parsecs", "none", "99999999999999999999", "18446744073709551615", "200y"]
        {
            let error = parse_duration(text).unwrap_err().to_string();
            assert_eq!(error.split_once(';').unwrap().0, format!("\"{text}\" is no duration"));
            assert!(error.contains("90s, 1m30s, 1h or 500ms"), "{error}");
        }
    }

    #[test]
    fn zero_and_none_are_no_limit() {
        for (text, limit) in [
            ("0", Limit::None),
            ("0s", Limit::None),
            ("none", Limit::None),
            ("5", Limit::After(Duration::from_secs(5))),
            ("1ms", Limit::After(Duration::from_millis(1))),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
        }
        assert!("never".parse::<Limit>().is_err());
    }
}
