//! The way to one server, at the pace that is allowed.
//!
//! Must not know what goes there.

use bytes::Bytes;

use crate::push::Uplink;
use crate::throttle::HostThrottle;

/// Where bytes go, and how fast.
pub(super) struct Line<'a, U> {
    pub(super) uplink: &'a U,
    pub(super) throttle: HostThrottle<'a>,
}

impl<U: Uplink> Line<'_, U> {
    /// Sends all of `bytes`; `false` when nobody takes any more.
    pub(super) async fn send(&mut self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let step = self.throttle.next(&mut bytes).await;
            if !self.uplink.send(step).await {
                return false;
            }
        }
        true
    }
}
