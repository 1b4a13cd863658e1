//! When a run that is silent is to name its slowest hosts by itself.
//!
//! Time is given to it. Must not know what is said then.

use std::time::Duration;

/// How long nothing may be heard from any host before that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Since when nothing was heard, and when that was last remarked on.
#[derive(Debug)]
pub(super) struct Silence {
    heard_at: Duration,
    /// Not before this: each pause between two remarks is twice as long as the one before.
    quiet_until: Duration,
    pause: Duration,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self { heard_at: Duration::ZERO, quiet_until: Duration::ZERO, pause: PATIENCE }
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// How long nothing was heard, if that is to be remarked on now.
    pub(super) fn remark(&mut self, now: Duration) -> Option<Duration> {
        let silent = now.saturating_sub(self.heard_at);
        if silent < PATIENCE || now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + self.pause;
        self.pause *= 2;
        Some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(heard_at: &[u64], until: u64) -> Vec<u64> {
        let mut silence = Silence::new();
        let remark = |second| {
            if heard_at.contains(&second) {
                silence.heard(Duration::from_secs(second));
            }
            silence.remark(Duration::from_secs(second)).map(|_| second)
        };
        (0..until).filter_map(remark).collect()
    }

    #[test]
    fn silence_is_remarked_on_after_growing_pauses() {
        assert_eq!(remarks(&[], 200), [10, 20, 40, 80, 160]);
        assert_eq!(remarks(&[9, 18, 27], 40), [37]);
        assert_eq!(remarks(&[15, 35, 60], 100), [10, 25, 45, 85], "news in between does not make it talkative");
    }
}
