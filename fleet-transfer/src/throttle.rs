//! Waiting for the buckets of `--bwlimit`: the one of all hosts, and one for each.
//!
//! Must not know what is sent, nor in which direction.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::bandwidth::{Bucket, Rate};

/// What is sent at once under a limit, so that a slow stream does not come in large bursts.
const STEP_BYTES: usize = 32 * 1024;

/// The limits of a run.
#[derive(Debug)]
pub struct Throttle {
    total: Option<Mutex<Bucket>>,
    total_rate: Option<Rate>,
    each: Option<Rate>,
}

/// The limits as one host has them.
#[derive(Debug)]
pub(crate) struct HostThrottle<'a> {
    total: Option<&'a Mutex<Bucket>>,
    own: Option<Bucket>,
}

impl Throttle {
    /// For all hosts together, and for each; `None` is no limit.
    #[must_use]
    pub fn new(total: Option<Rate>, each: Option<Rate>) -> Self {
        let bucket = |rate| Mutex::new(Bucket::new(rate, Instant::now().into_std()));
        Self { total: total.map(bucket), total_rate: total, each }
    }

    /// The limits for another host.
    pub(crate) fn host(&self) -> HostThrottle<'_> {
        let own = self.each.map(|rate| Bucket::new(rate, Instant::now().into_std()));
        HostThrottle { total: self.total.as_ref(), own }
    }

    /// The limits for another host, whose bytes somebody else moves.
    #[must_use]
    pub fn pace(&self) -> Pace<'_> {
        let HostThrottle { total, own } = self.host();
        Pace { total, own: tokio::sync::Mutex::new(own) }
    }

    /// What may wait on the way from a host without its limit being exceeded for long; `None` where there is no limit. The
    /// bytes of half a second: what is taken is asked for anew only after a round trip.
    #[must_use]
    pub fn backlog_bytes(&self) -> Option<u64> {
        let total = self.total_rate.map(Rate::bytes_per_second);
        let each = self.each.map(Rate::bytes_per_second);
        total.into_iter().chain(each).min().map(|bytes_per_second| bytes_per_second / 2)
    }
}

impl HostThrottle<'_> {
    /// Takes from `bytes` what is to be sent next, when it may be; all of it where there is no limit.
    pub(crate) async fn next(&mut self, bytes: &mut Bytes) -> Bytes {
        if self.total.is_none() && self.own.is_none() {
            return std::mem::take(bytes);
        }
        let step = bytes.split_to(bytes.len().min(STEP_BYTES));
        take(self.total, self.own.as_mut(), step.len()).await;
        step
    }
}

/// Waits until `len` bytes may be sent.
async fn take(total: Option<&Mutex<Bucket>>, own: Option<&mut Bucket>, len: usize) {
    let now = Instant::now().into_std();
    let own = own.map_or(Duration::ZERO, |bucket| bucket.take(len, now));
    let taken = total.map(|bucket| Taken { bucket, bytes: len });
    let total = taken.as_ref().map_or(Duration::ZERO, |taken| taken.lock().take(taken.bytes, now));
    tokio::time::sleep(own.max(total)).await;
    taken.into_iter().for_each(std::mem::forget);
}

/// The limits for a host whose bytes are moved by somebody else.
#[derive(Debug)]
pub struct Pace<'a> {
    total: Option<&'a Mutex<Bucket>>,
    own: tokio::sync::Mutex<Option<Bucket>>,
}

impl Pace<'_> {
    /// Waits until so many bytes may be sent, or were allowed to come.
    pub async fn wait(&self, bytes: u64) {
        let mut own = self.own.lock().await;
        if self.total.is_none() && own.is_none() {
            return;
        }
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        while left > 0 {
            let step = left.min(STEP_BYTES);
            take(self.total, own.as_mut(), step).await;
            left -= step;
        }
    }
}

/// What was taken from all and is not sent yet: given back when nobody waits for it any more.
struct Taken<'a> {
    bucket: &'a Mutex<Bucket>,
    bytes: usize,
}

impl Taken<'_> {
    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.lock().give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use futures::FutureExt as _;

    use super::*;

    fn rate(bytes_per_second: u64) -> Option<Rate> {
        NonZeroU64::new(bytes_per_second).map(Rate::from)
    }

    /// Seconds until all of `len` bytes were let through.
    async fn seconds(host: &mut HostThrottle<'_>, len: usize) -> f64 {
        let (start, mut bytes) = (Instant::now(), Bytes::from(vec![0; len]));
        while !bytes.is_empty() {
            host.next(&mut bytes).await;
        }
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn the_slower_of_both_limits_counts() {
        for (total, each, expected) in [
            (None, None, 0.0),
            (rate(100_000), None, 10.0),
            (None, rate(50_000), 20.0),
            (rate(100_000), rate(50_000), 20.0),
        ] {
            let throttle = Throttle::new(total, each);
            let took = seconds(&mut throttle.host(), 1_000_000).await;
            assert!((expected - 1.0..=expected + 0.1).contains(&took), "{total:?} {each:?}: {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_all_is_shared() {
        let throttle = Throttle::new(rate(100_000), None);
        let (mut one, mut other) = (throttle.host(), throttle.host());
        let (first, second) = tokio::join!(seconds(&mut one, 500_000), seconds(&mut other, 500_000));
        assert!((9.0..10.1).contains(&first.max(second)), "{first} {second}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_nothing_from_the_others() {
        let throttle = Throttle::new(rate(1000), None);
        let mut host = throttle.host();
        host.next(&mut Bytes::from(vec![0; STEP_BYTES])).await;
        for _ in 0..100 {
            assert_eq!(throttle.host().next(&mut Bytes::from(vec![0; STEP_BYTES])).now_or_never(), None);
        }
        let took = seconds(&mut throttle.host(), 1000).await;
        assert!(took < 1.1, "{took}");
    }
}
