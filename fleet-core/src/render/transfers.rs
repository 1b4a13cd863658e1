//! How far copies are, in all: bytes, rate and what is left; and which hosts are the furthest behind.
//!
//! Numbers and texts only. Has no clock: it is told when things happened.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{HostIndex, Transferred};
use crate::size;

/// The time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(8);
/// How far apart the measurements are.
const STEP: Duration = Duration::from_millis(500);

/// What hosts have said of their copies.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Empty until the first says something.
    hosts: Vec<Option<Transferred>>,
    /// The sum of the bytes of all.
    bytes: u64,
    /// What they have announced, and how many of them have.
    announced: (u64, usize),
    /// Sums at former times, the oldest first.
    measured: VecDeque<(Duration, u64)>,
}

impl Transfers {
    /// One of `count` hosts has come so far.
    pub(super) fn progress(&mut self, index: HostIndex, transferred: Transferred, count: usize) {
        self.hosts.resize(count, None);
        self.forget(index);
        self.bytes += transferred.bytes;
        if let Some(of) = transferred.of {
            self.announced = (self.announced.0 + of, self.announced.1 + 1);
        }
        self.hosts[index] = Some(transferred);
    }

    /// A host begins anew.
    pub(super) fn forget(&mut self, index: HostIndex) {
        let Some(former) = self.hosts.get_mut(index).and_then(Option::take) else { return };
        self.bytes -= former.bytes;
        if let Some(of) = former.of {
            self.announced = (self.announced.0 - of, self.announced.1 - 1);
        }
    }

    /// How many hundredths of its bytes a host has.
    pub(super) fn percent(&self, index: HostIndex) -> Option<u64> {
        let Transferred { bytes, of } = (*self.hosts.get(index)?)?;
        Some(bytes.min(of?) * 100 / of?.max(1))
    }

    /// `1.2 of 16.0 GB, 112 MB/s, 2m 5s left`; `None` when nothing was said of copies.
    pub(super) fn text(&mut self, now: Duration) -> Option<String> {
        if self.hosts.is_empty() {
            return None;
        }
        if self.measured.back().is_none_or(|(last, _)| now.saturating_sub(*last) >= STEP) {
            self.measured.push_back((now, self.bytes));
        }
        while self.measured.len() > 2 && now.saturating_sub(self.measured[1].0) >= WINDOW {
            self.measured.pop_front();
        }
        let total = self.total();
        let mut text = match total {
            Some(total) => format!("{} of {}", size::shown(self.bytes), size::shown(total)),
            None => size::shown(self.bytes),
        };
        let (since, before) = self.measured[0];
        let seconds = now.saturating_sub(since).as_secs_f64();
        let rate = self.bytes.saturating_sub(before) as f64 / seconds.max(f64::MIN_POSITIVE);
        if seconds > 0.0 && rate >= 1.0 {
            text.push_str(&format!(", {}/s", size::shown(rate as u64)));
            let left = total.map(|total| total.saturating_sub(self.bytes) as f64 / rate).filter(|left| *left < 1e7);
            if let Some(left) = left.filter(|left| *left >= 1.0) {
                text.push_str(&format!(", {} left", humantime::format_duration(Duration::from_secs(left as u64))));
            }
        }
        Some(text)
    }

    /// The bytes of all hosts, as far as is known: those that have not begun are thought to be like the others.
    fn total(&self) -> Option<u64> {
        let (bytes, hosts) = self.announced;
        let each = u128::from(bytes).checked_div(hosts as u128)?;
        let unknown = each * (self.hosts.len() - hosts) as u128;
        Some(bytes + u64::try_from(unknown).unwrap_or(u64::MAX / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn so_far(bytes: u64, of: u64) -> Transferred {
        Transferred { bytes, of: Some(of) }
    }

    #[test]
    fn bytes_rate_and_rest_are_those_of_all_hosts() {
        let mut transfers = Transfers::default();
        assert_eq!(transfers.text(secs(1)), None);
        transfers.progress(0, so_far(0, 10_000_000), 4);
        assert_eq!(transfers.text(secs(1)).unwrap(), "0 B of 40.0 MB");
        transfers.progress(1, so_far(1_000_000, 10_000_000), 4);
        transfers.progress(0, so_far(3_000_000, 10_000_000), 4);
        assert_eq!(transfers.text(secs(3)).unwrap(), "4.0 MB of 40.0 MB, 2.0 MB/s, 18s left");
        transfers.forget(0);
        assert_eq!(transfers.text(secs(5)).unwrap(), "1.0 MB of 40.0 MB, 250 kB/s, 2m 36s left");
        assert_eq!((transfers.percent(0), transfers.percent(1), transfers.percent(3)), (None, Some(10), None));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut transfers = Transfers::default();
        for second in 0..=30 {
            let bytes = if second < 15 { second * 100 } else { 1500 + (second - 15) * 1000 };
            transfers.progress(0, Transferred { bytes, of: None }, 1);
            let text = transfers.text(secs(second)).unwrap();
            if second == 30 {
                assert_eq!(text, "16.5 kB, 1.0 kB/s");
            }
        }
    }

    #[test]
    fn a_host_without_bytes_to_send_is_a_hundredth_of_nothing() {
        let mut transfers = Transfers::default();
        transfers.progress(0, so_far(0, 0), 1);
        assert_eq!(transfers.percent(0), Some(0));
        assert_eq!(transfers.text(secs(9)).unwrap(), "0 B of 0 B");
    }
}
