//! The flags about releases.
//!
//! Must not know how they come to the hosts.

use std::num::NonZeroU32;
use std::time::SystemTime;

use clap::Args;
use fleet_core::record::RunId;

use crate::release::Release;

/// Releases that are left on a host if it is not said how many.
const KEEP: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");

#[derive(Args, Debug)]
#[command(next_help_heading = "Releases")]
pub(super) struct ReleaseArgs {
    /// Bring the sources into a new folder DEST/releases/ID, then let the symlink DEST/current lead to it, at once on all
    /// hosts that have it; what has not changed is linked to the release before
    #[arg(long, conflicts_with_all = ["link_dest", "copy_dest", "compare_dest", "max_delete"])]
    pub(super) atomic: bool,
    /// Leave N releases on each host [default: 5]
    #[arg(long, value_name = "N", requires = "atomic")]
    keep: Option<NonZeroU32>,
    /// Let DEST/current lead to the release before: prsync --rollback DEST
    #[arg(long, conflicts_with = "atomic")]
    pub(super) rollback: bool,
}

impl ReleaseArgs {
    /// A new release, if one is wanted.
    pub(super) fn release(&self) -> Option<Release> {
        self.atomic.then(|| Release { id: RunId::of(SystemTime::now()), keep: self.keep.unwrap_or(KEEP) })
    }
}
