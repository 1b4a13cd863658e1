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

/// How long a command may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandTimeout {
    /// As long as it likes; written `none` or `0`.
    #[default]
    None,
    /// So long at most.
    After(Duration),
    /// So many percent, more than 100, of the median time that it takes on the other hosts; written `300%`.
    OfMedian(u32),
}

/// Why a text is not a limit for a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no time limit; expected a duration such as 90 or 1m30s, none, or more than 100%, such as 300%")]
pub struct CommandTimeoutError(String);

impl CommandTimeout {
    /// The fixed limit, if it is one.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::After(limit) => Some(limit),
            Self::None | Self::OfMedian(_) => None,
        }
    }

    /// The percentage of the median, if it is one.
    #[must_use]
    pub fn percent_of_median(self) -> Option<u32> {
        match self {
            Self::OfMedian(percent) => Some(percent),
            Self::None | Self::After(_) => None,
        }
    }
}

impl FromStr for CommandTimeout {
    type Err = CommandTimeoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let timeout = match text.trim().strip_suffix('%') {
            Some(number) => number.parse().ok().filter(|percent| *percent > 100).map(Self::OfMedian),
            None => text.parse().ok().map(|limit| match limit {
                Limit::None => Self::None,
                Limit::After(limit) => Self::After(limit),
            }),
        };
        timeout.ok_or_else(|| CommandTimeoutError(text.to_owned()))
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
    #[test]
    fn the_limit_of_a_command_may_follow_the_median() {
        for (text, limit) in [
            ("300%", CommandTimeout::OfMedian(300)),
            ("101%", CommandTimeout::OfMedian(101)),
            ("90", CommandTimeout::After(Duration::from_secs(90))),
            ("none", CommandTimeout::None),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
        }
        for text in ["100%", "0%", "%", "-5%", "soon"] {
            let error = text.parse::<CommandTimeout>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("300%"), "{error}");
        }
    }
}
