//! How many hosts may be worked on at once, and how many of them may be on their way in.
//!
//! Two numbers, as a login is work for both ends and for all between, while a command that runs costs next to nothing
//! here. Counts only: must not know which hosts they are.

/// What bounds the number of hosts at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanoutLimit {
    /// So many hosts at once.
    pub hosts: usize,
    /// So many at once after any number of requests for more.
    pub most: usize,
}

impl FanoutLimit {
    /// So many at once, at least 1; requests change it to any number.
    #[must_use]
    pub fn exactly(hosts: usize) -> Self {
        Self { hosts: hosts.max(1), most: usize::MAX }
    }
}

/// The places for hosts, taken and free.
#[derive(Debug)]
pub(super) struct Places {
    limit: FanoutLimit,
    /// How many hosts may be on their way in at once; no limit of its own where `None`.
    handshakes: Option<usize>,
    running: usize,
    arriving: usize,
}

impl Places {
    pub(super) fn new(limit: FanoutLimit, handshakes: Option<usize>) -> Self {
        Self { limit, handshakes, running: 0, arriving: 0 }
    }

    /// Whether another host may start.
    pub(super) fn has_free(&self) -> bool {
        self.running < self.limit.hosts.max(1)
            && self.handshakes.is_none_or(|handshakes| self.arriving < handshakes.max(1))
    }

    /// How many hosts are being worked on.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// A host starts.
    pub(super) fn take(&mut self) {
        self.running += 1;
        self.arriving += 1;
    }

    /// A host is logged in.
    pub(super) fn arrived(&mut self) {
        self.arriving -= 1;
    }

    /// A host that is logged in has ended; another one is said to have arrived first.
    pub(super) fn leave(&mut self) {
        self.running -= 1;
    }

    /// All have ended.
    pub(super) fn clear(&mut self) {
        (self.running, self.arriving) = (0, 0);
    }

    /// So many may be on their way in from now on.
    pub(super) fn allow_handshakes(&mut self, handshakes: usize) {
        self.handshakes = Some(handshakes);
    }

    /// A quarter more at once; returns how many that is.
    pub(super) fn grow(&mut self) -> usize {
        let hosts = self.limit.hosts;
        self.limit.hosts = hosts.saturating_add((hosts / 4).max(1)).min(self.limit.most.max(hosts));
        self.limit.hosts
    }

    /// A quarter fewer at once than may be, or than are where more may be that are not; returns how many that is.
    pub(super) fn shrink(&mut self) -> usize {
        let hosts = match self.handshakes {
            Some(_) => self.limit.hosts.min(self.running.max(1)),
            None => self.limit.hosts,
        };
        self.limit.hosts = (hosts - (hosts / 4).max(1)).max(1);
        self.limit.hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_until_either_number_is_reached() {
        let mut places = Places::new(FanoutLimit { hosts: 3, most: 3 }, Some(2));
        places.take();
        assert!(places.has_free());
        places.take();
        assert!(!places.has_free(), "two are on their way in");
        places.arrived();
        assert!(places.has_free());
        places.take();
        places.arrived();
        assert!(!places.has_free(), "three are worked on");
        places.leave();
        assert!(places.has_free());
        places.allow_handshakes(1);
        assert!(!places.has_free(), "one is still on its way in");
        places.allow_handshakes(0);
        places.arrived();
        assert!(places.has_free(), "one always may");
    }

    #[test]
    fn requests_move_the_limit_by_a_quarter_of_it() {
        let mut places = Places::new(FanoutLimit { hosts: 6, most: 11 }, None);
        assert_eq!([(); 5].map(|()| places.grow()), [7, 8, 10, 11, 11]);
        assert_eq!([(); 9].map(|()| places.shrink()), [9, 7, 6, 5, 4, 3, 2, 1, 1]);
        assert_eq!(Places::new(FanoutLimit { hosts: 6, most: 4 }, None).grow(), 6, "never less");
    }

    #[test]
    fn fewer_are_fewer_than_are_now_where_the_limit_is_out_of_reach() {
        let mut places = Places::new(FanoutLimit { hosts: 1024, most: 1024 }, Some(32));
        (0..20).for_each(|_| places.take());
        assert_eq!(places.shrink(), 15);
        assert_eq!(places.grow(), 18);
    }
}
