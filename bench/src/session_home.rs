//! A folder of its own for each host, in which every session there begins; all tools take it for the home.
//!
//! Must not know what is in it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::error::BenchError;

/// Where systems have OpenSSH's SFTP server.
const SFTP_SERVERS: [&str; 4] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
];

/// What the servers must be told, so that each session begins in the home of the address that was asked. `enter` is a
/// script in `folder`: it costs the servers a shell in each session, and the clients nothing.
pub(crate) fn configuration(folder: &Path, cipher: &str) -> Result<String, BenchError> {
    let sftp = SFTP_SERVERS.iter().find(|path| Path::new(path).is_file());
    let sftp = sftp.ok_or(BenchError::MissingProgram("sftp-server"))?;
    let enter = folder.join("enter");
    let text = format!(
        "set -- $SSH_CONNECTION\nHOME={}/$3\nexport HOME\ncd \"$HOME\" && exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        homes(folder).display(),
    );
    fs::write(&enter, text).map_err(BenchError::file(&enter))?;
    Ok(format!("Ciphers {cipher}\nSubsystem sftp {sftp}\nForceCommand exec /bin/sh {}\n", enter.display()))
}

/// The home of a host.
pub(crate) fn home(folder: &Path, address: Ipv4Addr) -> PathBuf {
    homes(folder).join(address.to_string())
}

fn homes(folder: &Path) -> PathBuf {
    folder.join("homes")
}

/// Refuses what does not fit on the disk of `folder`, with a tenth to spare.
pub(crate) fn check_room(folder: &Path, bytes: u64) -> Result<(), BenchError> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| BenchError::file(folder)(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = bytes / 10 * 11;
    if needed <= free {
        return Ok(());
    }
    Err(BenchError::NoRoom { path: folder.to_owned(), needed_mib: needed >> 20, free_mib: free >> 20 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_room(folder.path(), 1 << 20).is_ok());
        let endless = check_room(folder.path(), u64::MAX / 2);
        assert!(matches!(endless, Err(BenchError::NoRoom { .. })), "{endless:?}");
    }
}
