//! What a server's refusal means for a copy: servers fold most of what systems say into "failure".
//!
//! Must not know what was done before.

use fleet_ssh::remote::{CopyRefusal, RefusalKind};

use super::super::answer::Status;
use super::super::client::{Client, SftpError};

/// With less room than this a failure to write is taken for a full disk.
const FULL_KIB: u64 = 1024;

/// A name as people read it.
pub(super) fn shown(path: &[u8]) -> String {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    String::from_utf8_lossy(path).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Why the server does not let us do something with `path`.
pub(super) fn refusal(path: &[u8], error: &SftpError) -> CopyRefusal {
    let kind = match error.status() {
        Some(Status::PermissionDenied) => RefusalKind::Denied,
        _ => RefusalKind::Failed,
    };
    CopyRefusal::new(kind, format!("{}: {error}", shown(path)))
}

/// As [`refusal`], of something that takes room in `folder`: `needed_kib` in all.
pub(super) async fn refusal_in(
    client: &Client,
    folder: &[u8],
    needed_kib: Option<u64>,
    path: &[u8],
    error: &SftpError,
) -> CopyRefusal {
    if error.status() == Some(Status::Failure)
        && let Ok(Some(room)) = client.room(folder).await
    {
        if room.read_only {
            return CopyRefusal::new(RefusalKind::ReadOnly, shown(path));
        }
        if room.free_kib < FULL_KIB {
            return CopyRefusal::no_room(needed_kib.unwrap_or_default(), room.free_kib);
        }
    }
    refusal(path, error)
}
