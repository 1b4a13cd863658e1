//! A sandbox from start to stop: [`Sandbox`] and its [`Builder`].
//!
//! Must not know SSH.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngExt as _;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;

use crate::address::listen_all;
use crate::fault::{Fault, FaultSet};
use crate::fleet::Fleet;
use crate::folder::{Folder, FolderError, Record, RecordedHost, make_home, public_text};
use crate::host::Host;
use crate::leftovers;
use crate::roles::{PlannedHost, Roles, RolesError, check_name, plan_without_roles};
use crate::simulation::Simulation;
use crate::stats::HostStats;

/// Why there is no sandbox, or not this host in it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The hosts asked for make no fleet.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No addresses to listen on.
    #[error("cannot listen for {hosts} hosts on loopback: {source}")]
    Listen {
        /// How many hosts there were to be.
        hosts: usize,
        /// Why not.
        source: io::Error,
    },
    /// A name that no host of the sandbox has, nor a role.
    #[error("the sandbox has no host or role \"{0}\"")]
    UnknownHost(String),
}

/// A host of a running sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxHost {
    /// The name: an alias in the sandbox's ssh_config.
    pub name: String,
    /// The group it is in.
    pub role: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its home folder, where its commands run.
    pub home: PathBuf,
}

/// What a sandbox is to be. Made by [`Sandbox::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    dir: PathBuf,
    hosts: Option<usize>,
    roles: Option<Roles>,
    named: Vec<PlannedHost>,
    faults: Vec<(String, Fault)>,
    commands: Commands,
}

/// What becomes of the commands that clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commands {
    Run,
    Simulated,
}

impl Builder {
    /// How many hosts there are, besides those added by name.
    pub fn hosts(mut self, hosts: usize) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// The roles of the hosts: `"server=1,web=5,loadgen=rest".parse()?`.
    pub fn roles(mut self, roles: Roles) -> Self {
        self.roles = Some(roles);
        self
    }

    /// Adds a host called `name` in the group `role`.
    pub fn host(mut self, name: &str, role: &str) -> Self {
        self.named.push(PlannedHost { name: name.to_owned(), role: role.to_owned() });
        self
    }

    /// Lets the host called `name`, or all hosts of the role `name`, misbehave from the start.
    pub fn fault(mut self, name: &str, fault: Fault) -> Self {
        self.faults.push((name.to_owned(), fault));
        self
    }

    /// Lets the hosts answer the few commands of [`SIMULATED_COMMANDS`](crate::SIMULATED_COMMANDS) without running any, so
    /// that thousands of hosts fit on one machine. Their homes are made when a client asks for SFTP.
    pub fn simulate(mut self) -> Self {
        self.commands = Commands::Simulated;
        self
    }

    /// Starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// When the hosts make no fleet, a fault names none of them, the folder cannot be used, or nothing can be listened on.
    pub async fn start(self) -> Result<Sandbox, SandboxError> {
        let planned = self.plan()?;
        let unknown = self.faults.iter().find(|(name, _)| !planned.iter().any(|host| is_meant(host, name)));
        if let Some((name, _)) = unknown {
            return Err(SandboxError::UnknownHost(name.clone()));
        }
        let folder = Folder::lock(&self.dir)?;
        let hosts = planned.len();
        let listeners = listen_all(hosts).map_err(|source| SandboxError::Listen { hosts, source })?;
        let mut served = Vec::with_capacity(hosts);
        for (planned, listener) in planned.into_iter().zip(&listeners) {
            let address = listener.local_addr().map_err(|source| SandboxError::Listen { hosts, source })?;
            let home = folder.home(&planned.name);
            let simulation = match self.commands {
                Commands::Run => {
                    make_home(&home)?;
                    None
                }
                Commands::Simulated => Some(Simulation::default()),
            };
            let of_host = self.faults.iter().filter(|(name, _)| is_meant(&planned, name));
            let faults: FaultSet = of_host.map(|(_, fault)| *fault).collect();
            served.push(Arc::new(Host::new(planned, address, home, random_key(), simulation, faults)));
        }
        let user_key = random_key();
        folder.write_files(&served, &user_key)?;
        let fleet = Arc::new(Fleet::new(served, user_key.public_key().key_data().clone(), random_key()));
        for (host, listener) in fleet.hosts.iter().zip(listeners) {
            fleet.tasks.spawn(host.clone().accept_clients(listener, fleet.clone()));
        }
        // From here on an early return drops the sandbox, which ends what was started.
        let sandbox = Sandbox { fleet, folder };
        for host in &sandbox.fleet.hosts {
            host.until_started().await;
        }
        sandbox.folder.write_record(&sandbox.record())?;
        Ok(sandbox)
    }

    fn plan(&self) -> Result<Vec<PlannedHost>, RolesError> {
        let mut planned = match (&self.roles, self.hosts) {
            (Some(roles), hosts) => roles.plan(hosts)?,
            (None, Some(hosts)) => plan_without_roles(hosts),
            (None, None) => Vec::new(),
        };
        planned.extend(self.named.iter().cloned());
        let mut names = HashSet::new();
        for host in &planned {
            check_name(&host.name)?;
            check_name(&host.role)?;
            if !names.insert(&host.name) {
                return Err(RolesError::Duplicate(host.name.clone()));
            }
        }
        if planned.is_empty() { Err(RolesError::NoHost) } else { Ok(planned) }
    }
}

/// A running fleet of SSH servers on loopback. Dropped, it ends at once; [`Sandbox::stop`] also waits for the end.
#[must_use]
pub struct Sandbox {
    fleet: Arc<Fleet>,
    folder: Folder,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("dir", &self.dir()).field("hosts", &self.fleet.hosts.len()).finish()
    }
}

impl Sandbox {
    /// A sandbox that will keep its files in `dir`, which must be empty, missing, or an earlier sandbox's.
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder {
            dir: dir.into(),
            hosts: None,
            roles: None,
            named: Vec::new(),
            faults: Vec::new(),
            commands: Commands::Run,
        }
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    /// The hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<SandboxHost> {
        self.fleet.hosts.iter().map(|host| described(host)).collect()
    }

    /// One host by name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn host(&self, name: &str) -> Result<SandboxHost, SandboxError> {
        self.find(name).map(|host| described(host))
    }

    /// The host file: names under their roles.
    #[must_use]
    pub fn hosts_path(&self) -> PathBuf {
        self.folder.hosts()
    }

    /// The ssh_config with which `ssh -F` and the tools find the hosts.
    #[must_use]
    pub fn ssh_config_path(&self) -> PathBuf {
        self.folder.ssh_config()
    }

    /// The settings file that makes the tools use the sandbox.
    #[must_use]
    pub fn fleet_toml_path(&self) -> PathBuf {
        self.folder.fleet_toml()
    }

    /// The hosts' public keys.
    #[must_use]
    pub fn known_hosts_path(&self) -> PathBuf {
        self.folder.known_hosts()
    }

    /// The private key that may log in; the public one is beside it, with `.pub`.
    #[must_use]
    pub fn user_key_path(&self) -> PathBuf {
        self.folder.user_key()
    }

    /// Replaces the faults of a host, for connections from now on; returns when it is so.
    ///
    /// # Errors
    /// When there is no host of that name.
    pub async fn set_faults(&self, name: &str, faults: impl IntoIterator<Item = Fault>) -> Result<(), SandboxError> {
        self.find(name)?.set_faults(faults.into_iter().collect()).await;
        Ok(())
    }

    /// What a host counted so far.
    ///
    /// # Errors
    /// When there is no host of that name.
    pub fn stats(&self, name: &str) -> Result<HostStats, SandboxError> {
        Ok(self.find(name)?.counters.snapshot())
    }

    /// Ends connections and commands with all that they have left running, first with TERM and then with KILL, and returns
    /// when nothing is left but the files.
    pub async fn stop(self) {
        self.folder.remove_record();
        self.fleet.end().await;
        leftovers::end(&self.folder.homes()).await;
    }

    fn find(&self, name: &str) -> Result<&Arc<Host>, SandboxError> {
        self.fleet.host(name).ok_or_else(|| SandboxError::UnknownHost(name.to_owned()))
    }

    fn record(&self) -> Record {
        let recorded = |host: &Arc<Host>| RecordedHost {
            name: host.name.clone(),
            role: host.role.clone(),
            address: host.address,
            host_key: public_text(&host.key),
        };
        Record {
            pid: std::process::id(),
            started_unix_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            hosts: self.fleet.hosts.iter().map(recorded).collect(),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.folder.remove_record();
        self.fleet.abandon();
        leftovers::kill(&self.folder.homes());
    }
}

fn is_meant(host: &PlannedHost, name: &str) -> bool {
    host.name == name || host.role == name
}

fn described(host: &Host) -> SandboxHost {
    SandboxHost { name: host.name.clone(), role: host.role.clone(), address: host.address, home: host.home.clone() }
}

fn random_key() -> PrivateKey {
    let mut seed = [0; 32];
    rand::rng().fill(&mut seed);
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}
