//! All that a benchmark puts on the machine: servers, an account, a folder. Gone when dropped.
//!
//! Must not know what is measured in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::account::Account;
use crate::error::BenchError;
use crate::processes::Descendants;
use crate::server::{Servers, generate_key, host_key, known_hosts, public_key};
use crate::simulated::Simulated;
use crate::site::Site;
use crate::workload::HostKind;

/// The fields are dropped in this order: no process may use the account or the folder when they go.
#[derive(Debug)]
pub(crate) struct World {
    descendants: Descendants,
    real: Option<RealHosts>,
    simulated: Option<Simulated>,
    folder: TempDir,
}

#[derive(Debug)]
struct RealHosts {
    servers: Servers,
    _account: Account,
    site: Site,
}

impl World {
    /// A folder, and no hosts yet.
    pub(crate) fn new() -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new().prefix("fleet-bench-").tempdir().map_err(BenchError::Runtime)?;
        // sshd reads authorized_keys as the account that is logged in to.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), readable).map_err(BenchError::file(folder.path()))?;
        Ok(Self { descendants: Descendants::adopt()?, real: None, simulated: None, folder })
    }

    /// Starts servers for `hosts` hosts, which all tools know and can log in to. `more` is what else is to stand in the
    /// servers' configuration.
    pub(crate) async fn start_real(&mut self, hosts: u16, more: &str) -> Result<(), BenchError> {
        let path = self.folder.path();
        let account = Account::prepare()?;
        let key = path.join("user_key");
        let user_key = generate_key(&key)?;
        let server_key = generate_key(&host_key(path))?;
        let authorized_keys = path.join("authorized_keys");
        fs::write(&authorized_keys, format!("{user_key}\n")).map_err(BenchError::file(&authorized_keys))?;
        let servers = Servers::start(path, hosts, &authorized_keys, more).await?;
        let (addresses, port) = (servers.addresses().to_vec(), servers.port());
        let known = path.join("known_hosts");
        fs::write(&known, known_hosts(&addresses, port, &server_key)).map_err(BenchError::file(&known))?;
        let user = account.name().to_owned();
        let site = Site { addresses, port, user, key, known_hosts: known };
        self.real = Some(RealHosts { servers, _account: account, site });
        Ok(())
    }

    /// Starts a simulation of `hosts` hosts by the program `fleet`.
    pub(crate) async fn start_simulated(&mut self, hosts: u16, fleet: &Path) -> Result<(), BenchError> {
        self.simulated = Some(Simulated::start(fleet, &self.folder.path().join("simulated"), hosts).await?);
        Ok(())
    }

    /// The folder of everything; every account may read it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The public key of all real hosts.
    pub(crate) fn host_key(&self) -> Result<String, BenchError> {
        public_key(&host_key(self.folder()))
    }

    /// The hosts of a kind, if there are any.
    pub(crate) fn site(&self, kind: HostKind) -> Option<&Site> {
        match kind {
            HostKind::Real => self.real.as_ref().map(|real| &real.site),
            HostKind::Simulated => self.simulated.as_ref().map(Simulated::site),
        }
    }

    /// Ends what a tool has left running, and waits until the servers have nothing to do.
    pub(crate) async fn clear(&self) {
        let real = self.real.iter().flat_map(|real| real.servers.pids());
        let servers: Vec<i32> = real.chain(self.simulated.as_ref().and_then(Simulated::pid)).collect();
        self.descendants.end_except(&servers);
        self.descendants.settle(&servers).await;
    }
}
