//! `--bwlimit`: how fast bytes may leave, in total and to each host.
//!
//! A bucket of tokens whose time comes in from outside. Must not know what is sent.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// For how long a limit may be exceeded after a pause: short enough not to be seen, long enough for a chunk.
const BURST: Duration = Duration::from_millis(100);
/// What may always leave at once, or a slow limit could never send a packet.
const SMALLEST_BURST_BYTES: f64 = 32_768.0;

/// Bytes in a second, as rsync's `--bwlimit` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(NonZeroU64);

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; expected a number of KiB in a second, or one with a unit, as in 500K, 2.5M, 1G or 100MB")]
pub struct RateError {
    /// As written.
    pub found: String,
}

/// What a text says: `0` is a limit taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As fast as it goes.
    Unlimited,
    /// No faster.
    At(Rate),
}

impl Limit {
    /// The rate, where there is one.
    #[must_use]
    pub fn rate(self) -> Option<Rate> {
        match self {
            Self::Unlimited => None,
            Self::At(rate) => Some(rate),
        }
    }
}

impl Rate {
    /// So many bytes in a second.
    #[must_use]
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }
}

impl From<NonZeroU64> for Rate {
    fn from(bytes_per_second: NonZeroU64) -> Self {
        Self(bytes_per_second)
    }
}

/// As rsync reads it (rsync(1), `--bwlimit` and `--max-size`): KiB unless there is a unit; `K`, `M`, `G`, `T` and with
/// `iB` are powers of 1024, with `B` of 1000, `B` alone is bytes; upper and lower case are equal.
impl FromStr for Limit {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || RateError { found: text.to_owned() };
        let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, unit) = text.split_at(digits);
        let unit: f64 = match unit.to_ascii_lowercase().as_str() {
            "b" => 1.0,
            "" | "k" | "kib" => 1024.0,
            "m" | "mib" => 1024.0 * 1024.0,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            _ => return Err(refused()),
        };
        let number: f64 = number.parse().map_err(|_| refused())?;
        let bytes = number * unit;
        if number != 0.0 && !(1.0..1e18).contains(&bytes) {
            return Err(refused());
        }
        let bytes = bytes.round() as u64;
        Ok(NonZeroU64::new(bytes).map_or(Self::Unlimited, |bytes| Self::At(Rate(bytes))))
    }
}

/// The unit that gives back the same number.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        let (unit, name) = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")]
            .into_iter()
            .find(|(unit, _)| bytes.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(f, "{}{name}", bytes / unit)
    }
}

/// Lets bytes leave at a rate. Who takes more than there is gets it, and is told how long to wait before sending: so the
/// next to come waits behind, and large takers are not starved by small ones.
#[derive(Debug)]
pub struct Bucket {
    bytes_per_second: f64,
    burst_bytes: f64,
    /// What may leave at `updated`; below zero it is owed.
    available_bytes: f64,
    updated: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        let bytes_per_second = rate.0.get() as f64;
        let burst_bytes = (bytes_per_second * BURST.as_secs_f64()).max(SMALLEST_BURST_BYTES);
        Self { bytes_per_second, burst_bytes, available_bytes: burst_bytes, updated: now }
    }

    /// Takes `bytes`; they may leave when the time that is returned has passed since `now`.
    #[must_use]
    pub fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.available_bytes = (self.available_bytes + passed * self.bytes_per_second).min(self.burst_bytes);
        self.updated = self.updated.max(now);
        let bytes = bytes as f64;
        self.available_bytes -= bytes;
        Duration::try_from_secs_f64(-self.available_bytes.min(0.0) / self.bytes_per_second).unwrap_or(Duration::MAX)
    }

    /// Gives back what was taken and did not leave: a host that is cancelled while it waits must not slow the others.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = bytes as f64;
        self.available_bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_rsync_reads_it() {
        for (text, bytes) in [
            ("1", 1024),
            ("100", 102_400),
            ("1.5", 1536),
            ("500K", 512_000),
            ("500KiB", 512_000),
            ("500kb", 500_000),
            ("2.5m", 2_621_440),
            ("2MB", 2_000_000),
            ("1G", 1 << 30),
            ("1t", 1 << 40),
            ("10b", 10),
        ] {
            assert_eq!(text.parse(), Ok(Limit::At(Rate(NonZeroU64::new(bytes).unwrap()))), "{text}");
        }
        assert_eq!(("0".parse(), "0M".parse()), (Ok(Limit::Unlimited), Ok(Limit::Unlimited)));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "K", "-1", "1x", "1..2", "0.1b", "1e9", "inf", "99999999T", "1 M"] {
            let error = text.parse::<Limit>().unwrap_err();
            assert_eq!(error.found, text);
        }
        let message =
            "found \"fast\"; expected a number of KiB in a second, or one with a unit, as in 500K, 2.5M, 1G or 100MB";
        assert_eq!("fast".parse::<Limit>().unwrap_err().to_string(), message);
    }

    #[test]
    fn a_rate_is_shown_as_it_is_read() {
        for text in ["1K", "1000B", "3M", "1G", "2T", "1023K"] {
            let Ok(Limit::At(rate)) = text.parse() else { panic!("{text}") };
            assert_eq!(rate.to_string(), text);
        }
    }

    fn rate(bytes: u64) -> Rate {
        Rate(NonZeroU64::new(bytes).unwrap())
    }

    #[test]
    fn bytes_leave_at_the_rate_and_no_faster() {
        let start = Instant::now();
        let mut bucket = Bucket::new(rate(1_000_000), start);
        let mut now = start;
        let mut sent = 0;
        while sent < 10_000_000 {
            now += bucket.take(50_000, now);
            sent += 50_000;
        }
        let took = (now - start).as_secs_f64();
        assert!((9.89..10.0).contains(&took), "10 MB at 1 MB/s, less a burst of 0.1 MB, took {took} s");
    }

    #[test]
    fn many_takers_share_the_rate_in_the_order_in_which_they_come() {
        let now = Instant::now();
        let mut bucket = Bucket::new(rate(1_000_000), now);
        let waits: Vec<_> = (0..5).map(|_| bucket.take(100_000, now).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 300, 400]);
    }

    #[test]
    fn a_pause_saves_up_no_more_than_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(rate(1_000_000), start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.take(100_000, later), Duration::ZERO);
        assert_eq!(bucket.take(100_000, later).as_millis(), 100);
        assert_eq!(bucket.take(0, start).as_millis(), 100);
        assert_eq!(bucket.take(0, later).as_millis(), 100, "a clock that goes back and forth gives nothing");
    }

    #[test]
    fn a_limit_below_a_packet_lets_packets_through() {
        let start = Instant::now();
        let mut bucket = Bucket::new(rate(1), start);
        assert_eq!(bucket.take(32_768, start), Duration::ZERO);
        assert_eq!(bucket.take(10, start), Duration::from_secs(10));
    }

    #[test]
    fn what_was_not_sent_is_given_back() {
        let start = Instant::now();
        let mut bucket = Bucket::new(rate(1_000_000), start);
        let _ = bucket.take(600_000, start);
        bucket.give_back(500_000);
        assert_eq!(bucket.take(0, start), Duration::ZERO);
        bucket.give_back(usize::MAX / 2);
        assert_eq!(bucket.take(200_000, start).as_millis(), 100, "no more than a burst");
    }
}
