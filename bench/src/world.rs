//! All that a benchmark puts on the machine: servers, an account, a folder. Gone when dropped.
//!
//! Must not know what is measured in it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::account::Account;
use crate::error::BenchError;
use crate::processes::Descendants;
use crate::server::{Servers, generate_key, host_key};
use crate::workload::KeyExchange;

/// The fields are dropped in this order: no process may use the account or the folder when they go.
#[derive(Debug)]
pub(crate) struct World {
    descendants: Descendants,
    servers: Servers,
    account: Account,
    folder: TempDir,
}

impl World {
    /// Starts servers for `hosts` hosts, which all tools know and can log in to.
    pub(crate) async fn start(hosts: u16) -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new().prefix("fleet-bench-").tempdir().map_err(BenchError::Runtime)?;
        let path = folder.path();
        // sshd reads authorized_keys as the account that is logged in to.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, readable).map_err(BenchError::file(path))?;
        let account = Account::prepare()?;
        let user_key = generate_key(&path.join("user_key"))?;
        let server_key = generate_key(&host_key(path))?;
        let authorized_keys = path.join("authorized_keys");
        fs::write(&authorized_keys, format!("{user_key}\n")).map_err(BenchError::file(&authorized_keys))?;

        let descendants = Descendants::adopt()?;
        let servers = Servers::start(path, hosts, &authorized_keys).await?;
        let known_hosts = known_hosts(servers.addresses(), servers.port(), &server_key);
        fs::write(path.join("known_hosts"), known_hosts).map_err(BenchError::file(path.join("known_hosts")))?;
        Ok(Self { descendants, servers, account, folder })
    }

    /// The folder of everything; every account may read it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The hosts.
    pub(crate) fn addresses(&self) -> &[Ipv4Addr] {
        self.servers.addresses()
    }

    /// The account on the hosts.
    pub(crate) fn user(&self) -> &str {
        self.account.name()
    }

    /// Writes an `ssh_config` for all hosts.
    pub(crate) fn write_ssh_config(&self, key_exchange: KeyExchange) -> Result<PathBuf, BenchError> {
        let path = self.folder().join("ssh_config");
        let text = ssh_config(self.folder(), self.user(), self.servers.port(), key_exchange);
        fs::write(&path, text).map_err(BenchError::file(&path))?;
        Ok(path)
    }

    /// Writes a file with the first `count` hosts.
    pub(crate) fn write_host_file(&self, count: usize) -> Result<PathBuf, BenchError> {
        let path = self.folder().join("hosts");
        let text: String = self.addresses().iter().take(count).map(|address| format!("{address}\n")).collect();
        fs::write(&path, text).map_err(BenchError::file(&path))?;
        Ok(path)
    }

    /// Ends what a tool has left running, and waits until the servers have nothing to do.
    pub(crate) async fn clear(&self) {
        let servers = self.servers.pids();
        self.descendants.end_except(&servers);
        self.descendants.settle(&servers).await;
    }
}

fn known_hosts(addresses: &[Ipv4Addr], port: u16, key: &str) -> String {
    addresses.iter().map(|address| format!("[{address}]:{port} {key}\n")).collect()
}

fn ssh_config(folder: &Path, user: &str, port: u16, key_exchange: KeyExchange) -> String {
    let folder = folder.display();
    format!(
        "User {user}\n\
         Port {port}\n\
         IdentityFile {folder}/user_key\n\
         IdentitiesOnly yes\n\
         IdentityAgent none\n\
         UserKnownHostsFile {folder}/known_hosts\n\
         GlobalKnownHostsFile none\n\
         StrictHostKeyChecking yes\n\
         {kex}",
        kex = key_exchange.option(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_known_at_its_port() {
        let addresses = [Ipv4Addr::new(127, 9, 9, 1), Ipv4Addr::new(127, 9, 9, 2)];
        let lines = "[127.9.9.1]:2200 ssh-ed25519 AAAA\n[127.9.9.2]:2200 ssh-ed25519 AAAA\n";
        assert_eq!(known_hosts(&addresses, 2200, "ssh-ed25519 AAAA"), lines);
    }

    #[test]
    fn host_keys_are_checked_with_any_key_exchange() {
        for (key_exchange, named) in [(KeyExchange::Default, false), (KeyExchange::Curve25519, true)] {
            let text = ssh_config(Path::new("/b"), "u", 22, key_exchange);
            assert!(text.contains("StrictHostKeyChecking yes\n"));
            assert_eq!(text.contains("KexAlgorithms"), named);
        }
    }
}
