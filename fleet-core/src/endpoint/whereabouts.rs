//! Where hosts are now, when what was known of them may be out of date.
//!
//! Must not know who tells it, nor how a connection failed.

use std::fmt;

use futures::future::BoxFuture;

use super::Endpoint;
use crate::host::Host;

/// Somebody who can find out anew where hosts are.
pub trait Whereabouts: fmt::Debug + Send + Sync {
    /// Where `host` is, as found out since the run began; `None` where nothing was.
    fn found(&self, host: &Host) -> Option<Endpoint>;

    /// Finds out where `host` is. Whoever knows is asked once, however often and for however many hosts this is called.
    fn find<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Finding>;
}

/// What became of the search for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nobody knows better than before.
    Nothing,
    /// The provider of this name still has it: [`Whereabouts::found`] says where.
    Found(String),
    /// The provider of this name has it no longer.
    Gone(String),
}
