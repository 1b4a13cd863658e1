//! Hosts that are ready, and what a tool must be told to log in to them.
//!
//! Must not know who serves them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cli::KeyExchange;
use crate::error::BenchError;

/// Hosts on one port, with one user and one key.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// The user's private key.
    pub(crate) key: PathBuf,
    /// Has every host by address.
    pub(crate) known_hosts: PathBuf,
}

/// The files that tell the tools of a site.
#[derive(Debug, Clone)]
pub(crate) struct SiteFiles {
    pub(crate) ssh_config: PathBuf,
    /// One address per line.
    pub(crate) hosts: PathBuf,
    /// The number of them.
    pub(crate) count: usize,
}

impl Site {
    /// Writes them into `folder`, for the first `count` hosts. The folder is also to be the tools' home, as not all of
    /// them can be told where `known_hosts` is.
    pub(crate) fn write(
        &self,
        folder: &Path,
        count: usize,
        key_exchange: KeyExchange,
    ) -> Result<SiteFiles, BenchError> {
        let files = SiteFiles { ssh_config: folder.join("ssh_config"), hosts: folder.join("hosts"), count };
        let write = |path: &Path, text: &str| fs::write(path, text).map_err(BenchError::file(path));
        write(&files.ssh_config, &self.ssh_config(key_exchange))?;
        let hosts: String = self.addresses.iter().take(count).map(|address| format!("{address}\n")).collect();
        write(&files.hosts, &hosts)?;
        let home = folder.join(".ssh");
        fs::create_dir_all(&home).map_err(BenchError::file(&home))?;
        fs::copy(&self.known_hosts, home.join("known_hosts")).map_err(BenchError::file(&self.known_hosts))?;
        Ok(files)
    }

    fn ssh_config(&self, key_exchange: KeyExchange) -> String {
        let (user, port, key, known_hosts) = (&self.user, self.port, self.key.display(), self.known_hosts.display());
        let exchange = key_exchange.only().map(|name| format!("KexAlgorithms {name}\n")).unwrap_or_default();
        format!(
            "User {user}\n\
             Port {port}\n\
             IdentityFile {key}\n\
             IdentitiesOnly yes\n\
             IdentityAgent none\n\
             UserKnownHostsFile {known_hosts}\n\
             GlobalKnownHostsFile none\n\
             StrictHostKeyChecking yes\n\
             {exchange}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_checked_with_any_key_exchange() {
        let site = Site {
            addresses: Vec::new(),
            port: 22,
            user: "u".to_owned(),
            key: "/b/key".into(),
            known_hosts: "/b/known".into(),
        };
        for (key_exchange, named) in [(KeyExchange::Default, false), (KeyExchange::Curve25519, true)] {
            let text = site.ssh_config(key_exchange);
            assert!(text.contains("StrictHostKeyChecking yes\n"));
            assert_eq!(text.contains("KexAlgorithms"), named);
        }
    }
}
