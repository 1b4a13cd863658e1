//! A sandbox in a folder of its own, and connectors for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleet_core::endpoint::Endpoints;
use fleet_core::host::Host;
use fleet_core::outcome::HostError;
use fleet_sandbox::{Fault, HostStats, Sandbox};
use fleet_ssh::config::{ConfigSource, ConfigSources, LocalContext, SshConfig};
use fleet_ssh::{ConnectObserver, ConnectSettings, Connector, NoPrompt, Session, StageTimeout};
use tempfile::TempDir;

use super::{Relay, Witness, in_time};

/// Hosts that run in this process, until dropped.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

impl World {
    /// Hosts by role: `jump=1,web=5` are `jump` and `web1` to `web5`. Faults are given by host or role.
    pub(crate) async fn new(roles: &str, faults: &[(&str, Fault)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Sandbox::builder(folder.path().join("sandbox"));
        for (role, count) in roles.split(',').map(|role| role.split_once('=').unwrap()) {
            builder = match count.parse().unwrap() {
                1 => builder.host(role, role),
                hosts => (1..=hosts).fold(builder, |builder, n: usize| {
                    builder.host(&format!("{role}{n:0width$}", width = count.len()), role)
                }),
            };
        }
        for (name, fault) in faults {
            builder = builder.fault(name, *fault);
        }
        let sandbox = in_time("the sandbox starts", builder.start()).await.unwrap();
        Self { sandbox, folder }
    }

    /// One host, `web`.
    pub(crate) async fn one(faults: &[Fault]) -> Self {
        let faults: Vec<_> = faults.iter().map(|fault| ("web", *fault)).collect();
        Self::new("web=1", &faults).await
    }

    /// Settings with nothing of this machine's user in them. `options` come before the sandbox's ssh_config.
    pub(crate) fn settings(&self, options: &[&str]) -> ConnectSettings {
        self.settings_from(self.sandbox.ssh_config_path(), options)
    }

    fn settings_from(&self, config: PathBuf, options: &[&str]) -> ConnectSettings {
        let local = LocalContext {
            user: "tester".to_owned(),
            uid: rustix::process::getuid().as_raw(),
            home: self.folder.path().join("home"),
            homes: HashMap::new(),
            hostname: "here".to_owned(),
            system_folder: self.folder.path().join("etc"),
            env: HashMap::new(),
        };
        let sources = ConfigSources {
            options: options.iter().map(|&option| option.to_owned()).collect(),
            file: ConfigSource::Path(config),
        };
        ConnectSettings {
            config: SshConfig::load(&sources, local).unwrap(),
            stage_timeout: StageTimeout::Chosen(None),
            user: None,
            default_user: None,
            identities: None,
            host_key: None,
            password: None,
            endpoints: Endpoints::default(),
        }
    }

    /// A connector whose stages may take as long as they like.
    pub(crate) fn connector(&self, options: &[&str]) -> Connector {
        Connector::new(self.settings(options), Arc::new(NoPrompt))
    }

    /// A connector that reads `config` instead of the sandbox's ssh_config.
    pub(crate) fn connector_with_config(&self, config: &Path) -> Connector {
        Connector::new(self.settings_from(config.to_owned(), &[]), Arc::new(NoPrompt))
    }

    /// A connector whose stages may each take `limit`.
    pub(crate) fn connector_within(&self, limit: Duration, options: &[&str]) -> Connector {
        let settings = ConnectSettings { stage_timeout: StageTimeout::Chosen(Some(limit)), ..self.settings(options) };
        Connector::new(settings, Arc::new(NoPrompt))
    }

    /// A session to `host` that had better come about.
    pub(crate) async fn session(&self, host: &str) -> Session {
        open(&self.connector(&[]), host).await.unwrap_or_else(|error| panic!("{host}: {error}"))
    }

    pub(crate) fn stats(&self, host: &str) -> HostStats {
        self.sandbox.stats(host).unwrap()
    }

    /// A line to `host` that can be frozen or cut.
    pub(crate) async fn relay(&self, host: &str) -> Relay {
        Relay::to(self.sandbox.host(host).unwrap().address).await
    }

    /// All hosts of the sandbox whose name starts with `prefix`, in order.
    pub(crate) fn hosts(&self, prefix: &str) -> Vec<Host> {
        let named = self.sandbox.hosts().into_iter().filter(|host| host.name.starts_with(prefix));
        named.map(|named| host(&named.name)).collect()
    }
}

pub(crate) fn host(name: &str) -> Host {
    Host::new(name).unwrap()
}

/// Opens a session that nobody watches.
pub(crate) async fn open(connector: &Connector, name: &str) -> Result<Session, HostError> {
    open_seen_by(&Witness::default(), connector, name).await
}

/// Opens a session while `observer` is told of it.
pub(crate) async fn open_seen_by(
    observer: &impl ConnectObserver,
    connector: &Connector,
    name: &str,
) -> Result<Session, HostError> {
    in_time("connecting", connector.connect(&host(name), observer)).await
}
