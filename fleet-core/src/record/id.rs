//! The name of a run: when it began, short enough to be typed.
//!
//! Must not know where runs are kept.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds in a minute.
const MINUTE_MILLIS: u64 = 60_000;

/// The id of a run, such as `20261122-0324-7f3a`: the day and the minute of its start (UTC), and the milliseconds
/// since then in four hexadecimal digits. In the order of their text, ids are in the order of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the id of a run; expected one such as 20261122-0324-7f3a")]
pub struct RunIdError(String);

impl RunId {
    /// The id of a run that begins at `start`.
    #[must_use]
    pub fn of(start: SystemTime) -> Self {
        let since_epoch = start.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX) % MINUTE_MILLIS;
        // RFC 3339: 2026-11-22T03:24:05Z
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string();
        let digits: String = time.chars().filter(char::is_ascii_digit).take(12).collect();
        let (day, minute) = digits.split_at(8);
        Self(format!("{day}-{minute}-{millis:04x}"))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody who types `text` may mean this run: its start, or its last part, which is the shortest.
    #[must_use]
    pub fn is_meant_by(&self, text: &str) -> bool {
        !text.is_empty() && (self.0.starts_with(text) || self.0.rsplit('-').next() == Some(text))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let is_id = match parts[..] {
            [day, minute, millis] => {
                let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
                let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                (day.len(), minute.len(), millis.len()) == (8, 4, 4) && digits(day) && digits(minute) && hex(millis)
            }
            _ => false,
        };
        if is_id { Ok(Self(text.to_owned())) } else { Err(RunIdError(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_says_when_the_run_began() {
        for (start, id) in [
            ("2026-11-22T03:24:32.570Z", "20261122-0324-7f3a"),
            ("2026-11-22T03:24:00Z", "20261122-0324-0000"),
            ("1999-12-31T23:59:59.999Z", "19991231-2359-ea5f"),
        ] {
            assert_eq!(RunId::of(humantime::parse_rfc3339(start).unwrap()).as_str(), id);
        }
    }

    #[test]
    fn only_ids_are_read_as_ids() {
        for text in ["", "last", "20261122-0324-7f3", "20261122-0324-7F3A", "2026112x-0324-7f3a", "../../etc/passwd"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_is_meant_by_its_start_or_by_its_last_part() {
        let id: RunId = "20261122-0324-7f3a".parse().unwrap();
        for (text, meant) in [
            ("20261122-0324-7f3a", true),
            ("20261122", true),
            ("7f3a", true),
            ("f3a", false),
            ("0324", false),
            ("", false),
        ] {
            assert_eq!(id.is_meant_by(text), meant, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_sort_as_time_does_and_read_back(millis in 0_u64..4_000_000_000_000, later in 1_u64..10_000_000) {
            let at = |millis| RunId::of(UNIX_EPOCH + Duration::from_millis(millis));
            prop_assert!(at(millis) < at(millis + later));
            prop_assert_eq!(at(millis).as_str().parse::<RunId>().unwrap(), at(millis));
        }
    }
}
