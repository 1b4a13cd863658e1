//! Hosts that `fleet sandbox` simulates in one process, for more of them than sshd can serve on one machine.
//!
//! Must not know what is run on them.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::error::BenchError;
use crate::site::Site;

/// How long the hosts' keys and sockets may take to make.
const START_UP: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The running process. It is stopped by whoever ends the descendants of this process.
#[derive(Debug)]
pub(crate) struct Simulated {
    process: Child,
    site: Site,
}

/// What of `sandbox.json` matters.
#[derive(Debug, Deserialize)]
struct Record {
    hosts: Vec<Host>,
}

#[derive(Debug, Deserialize)]
struct Host {
    address: SocketAddr,
}

impl Simulated {
    /// Starts `count` hosts with their files in `folder`, which must not exist yet.
    pub(crate) async fn start(fleet: &Path, folder: &Path, count: u16) -> Result<Self, BenchError> {
        let log_path = folder.with_extension("log");
        let log = File::create(&log_path).map_err(BenchError::file(&log_path))?;
        let mut command = Command::new(fleet);
        command.args(["sandbox", "start", "--foreground", "--simulate", "--hosts", &count.to_string(), "--dir"]);
        command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C is for us: we end it.
        command.process_group(0);
        let mut process =
            command.spawn().map_err(|source| BenchError::Spawn { program: fleet.display().to_string(), source })?;
        let record = tokio::time::timeout(START_UP, await_record(&mut process, folder)).await.ok().flatten();
        let silent = || BenchError::NoSimulation { log: fs::read_to_string(&log_path).unwrap_or_default() };
        let site = record.and_then(|record| site(&record, folder)).ok_or_else(silent)?;
        Ok(Self { process, site })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        i32::try_from(self.process.id()).ok()
    }
}

/// The record is written, in one step, when all hosts listen. `None` if the process ends before.
async fn await_record(process: &mut Child, folder: &Path) -> Option<Record> {
    loop {
        if let Ok(text) = fs::read(folder.join("sandbox.json")) {
            return serde_json::from_slice(&text).ok();
        }
        if !matches!(process.try_wait(), Ok(None)) {
            return None;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn site(record: &Record, folder: &Path) -> Option<Site> {
    let ipv4 = |host: &Host| match host.address.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    Some(Site {
        addresses: record.hosts.iter().map(ipv4).collect::<Option<_>>()?,
        port: record.hosts.first()?.address.port(),
        // Any is let in that has the key.
        user: "sandbox".to_owned(),
        key: folder.join("id_ed25519"),
        known_hosts: folder.join("known_hosts"),
    })
}
