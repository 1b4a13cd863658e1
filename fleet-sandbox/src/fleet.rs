//! What all hosts of one sandbox share.
//!
//! Must not know files or the sandbox's owner.

use std::collections::HashMap;
use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::public::KeyData;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::Host;
use crate::process::ProcessGroups;

/// The hosts, the one user, and everything that runs for them.
pub(crate) struct Fleet {
    pub(crate) hosts: Vec<Arc<Host>>,
    index: HashMap<String, usize>,
    /// The only key that may log in.
    pub(crate) user_key: KeyData,
    /// The key of hosts that show the wrong one.
    pub(crate) wrong_host_key: PrivateKey,
    pub(crate) groups: ProcessGroups,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the sandbox stops.
    pub(crate) stop: CancellationToken,
}

impl Fleet {
    pub(crate) fn new(hosts: Vec<Arc<Host>>, user_key: KeyData, wrong_host_key: PrivateKey) -> Self {
        let index = hosts.iter().enumerate().map(|(position, host)| (host.name.clone(), position)).collect();
        Self {
            hosts,
            index,
            user_key,
            wrong_host_key,
            groups: ProcessGroups::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.index.get(name).map(|position| &self.hosts[*position])
    }

    /// Tells everything to end, and kills all commands at once.
    pub(crate) fn abandon(&self) {
        self.stop.cancel();
        self.groups.kill_all();
    }

    /// Ends everything, commands first with TERM, and waits for the end.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
