//! What this machine calls its users and groups.
//!
//! Must not know who asks.

use fleet_rsync::flist::Names;
use nix::unistd::{Gid, Group, Uid, User};

/// As the system has them. An id of which it cannot be asked has no name: its number is sent.
#[derive(Debug)]
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn user(&self, id: u32) -> Option<Vec<u8>> {
        User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name.into_bytes())
    }

    fn group(&self, id: u32) -> Option<Vec<u8>> {
        Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name.into_bytes())
    }
}
