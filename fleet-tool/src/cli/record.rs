//! The flags about the record of runs: what is kept of this one, and which hosts of a former one it is for.
//!
//! Must not know what the work is.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use super::{Failure, Recording};
use fleet_core::endpoint::AddressChoice;
use fleet_core::host::{Host, HostSyntaxError};
use fleet_core::inventory;
use fleet_core::record::{self, Connection, FormerHost, FormerRun, Only, RecordError, RunState, Store};
use fleet_core::render::sanitized_line;
use fleet_core::select::FormerHosts;
use fleet_core::settings::{Asking, Layer, LayerSource, SshConfigFile};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Record")]
pub(super) struct RecordArgs {
    /// Take the hosts of the last run that are not fine, and its command unless one is given
    #[arg(long)]
    failed: bool,

    /// The same of RUN: an id that "fleet history" shows, its start or last part, or "last"
    #[arg(long, value_name = "RUN", conflicts_with = "failed")]
    resume: Option<String>,

    /// Take these of a former run only: exit=CODE, stage=NAME, unreachable, ...; repeatable
    #[arg(long, value_name = "FATE", value_delimiter = ',')]
    only: Vec<Only>,

    /// Keep the hosts' output with the record of this run
    #[arg(long)]
    record_output: bool,

    /// Keep no record of this run
    #[arg(long, conflicts_with = "record_output")]
    no_record: bool,
}

/// Which runs count when the last one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastOf {
    /// Those of this tool, which can do again what it did there.
    Tool(&'static str),
    /// All, as only their hosts matter.
    AnyTool,
}

impl RecordArgs {
    /// The run that hosts are to be taken from, if any.
    pub(super) fn former(
        &self,
        last_of: LastOf,
        store: &Result<Store, RecordError>,
    ) -> Result<Option<FormerRun>, Failure> {
        let last = self.failed || (self.resume.is_none() && !self.only.is_empty());
        if !last && self.resume.is_none() {
            return Ok(None);
        }
        let store = match store {
            Ok(store) => store,
            Err(error) => return Err(Failure::usage(error)),
        };
        let found = |text: &str| store.find(text).and_then(|id| store.read(&id));
        let run = match (self.resume.as_deref(), last_of) {
            (None | Some("last"), LastOf::Tool(tool)) => store.last_of(tool),
            (text, _) => found(text.unwrap_or("last")),
        };
        let run = run.map_err(|error| refused(&error))?;
        if run.state == RunState::Running {
            return Err(Failure::usage_text(format!("run {} is still going on (process {})", run.id, run.header.pid))
                .hint("wait for its end, or name another one by --resume RUN; fleet history lists them"));
        }
        Ok(Some(run))
    }

    /// The hosts of `run` that are meant, at least one.
    pub(super) fn hosts_of(&self, run: &FormerRun) -> Result<FormerHosts, Failure> {
        let any_fate = !self.failed && self.resume.is_none();
        let is_meant = |host: &&FormerHost| {
            (any_fate || !host.fate.is_fine())
                && (self.only.is_empty() || self.only.iter().any(|only| only.matches(&host.fate)))
        };
        let meant: Vec<&FormerHost> = run.hosts.iter().filter(is_meant).collect();
        if meant.is_empty() {
            return Err(self.nobody(run));
        }
        let hosts = meant.into_iter().map(|former| {
            let host: Host = former.host.parse().map_err(|error: HostSyntaxError| {
                Failure::usage_text(sanitized_line(&error.to_string()))
                    .hint(format!("the record of run {} is damaged: name the hosts instead", run.id))
            })?;
            let FormerHost { group, endpoint, instance, .. } = former.clone();
            Ok(inventory::FormerHost { host, group, endpoint, instance })
        });
        Ok(FormerHosts { origin: format!("run {}", run.id), hosts: hosts.collect::<Result<_, Failure>>()? })
    }

    /// What of this run is to be kept, where `setting` is the choice of the settings.
    pub(super) fn recording(&self, setting: bool) -> Recording {
        match self {
            Self { record_output: true, .. } => Recording::Output,
            Self { no_record: true, .. } => Recording::Off,
            _ if setting => Recording::Outcomes,
            _ => Recording::Off,
        }
    }

    fn nobody(&self, run: &FormerRun) -> Failure {
        let counts: Vec<String> = run.counts().iter().map(|(fate, count)| format!("{count} {fate}")).collect();
        let count = run.hosts.len();
        match (run.not_fine().count(), &self.only[..]) {
            (0, []) if count == 1 => Failure::usage_text(format!("the only host of run {} was fine", run.id)),
            (0, []) => Failure::usage_text(format!("all {count} hosts of run {} were fine", run.id)),
            (_, only) => {
                let only: Vec<String> = only.iter().map(ToString::to_string).collect();
                Failure::usage_text(format!("no host of run {} is meant by --only {}", run.id, only.join(",")))
                    .hint(format!("its {count} hosts: {}", counts.join(", ")))
            }
        }
    }
}

/// The layer of what the flags of a former run said about how to connect, behind the flags of this one.
pub(super) fn layer_of(run: &FormerRun) -> Layer {
    let Connection { user, ssh_config, ssh_options, identity, address, regions, profile, filters } =
        run.header.connection.clone();
    let address: Vec<AddressChoice> = address.iter().filter_map(|choice| choice.parse().ok()).collect();
    Layer {
        source: LayerSource::Run(run.id.to_string()),
        user,
        ssh_config: ssh_config.map(|file| SshConfigFile::from(std::path::PathBuf::from(file))),
        ssh_options,
        identity: (!identity.is_empty()).then(|| identity.into_iter().map(Into::into).collect()),
        address: (!address.is_empty()).then_some(address),
        asking: Asking { regions, profile, filters, ..Asking::default() },
        ..Layer::default()
    }
}

/// What `layers`, those of the flags of this run and of the former one, say about how to connect.
pub(super) fn connection(layers: &[Layer]) -> Connection {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.to_string_lossy().into_owned()
    };
    let ssh_config = layers.iter().find_map(|layer| layer.ssh_config.as_ref());
    let identity = layers.iter().find_map(|layer| layer.identity.as_ref());
    let address = layers.iter().find_map(|layer| layer.address.as_ref());
    let asking = Asking::of(layers);
    Connection {
        user: layers.iter().find_map(|layer| layer.user.clone()),
        ssh_config: ssh_config.map(|file| match file {
            SshConfigFile::None => "none".to_owned(),
            SshConfigFile::Path(path) => absolute(path),
        }),
        ssh_options: layers.iter().flat_map(|layer| layer.ssh_options.clone()).collect(),
        identity: identity.into_iter().flatten().map(|path| absolute(path)).collect(),
        address: address.into_iter().flatten().map(ToString::to_string).collect(),
        regions: asking.regions,
        profile: asking.profile,
        filters: asking.filters,
    }
}

/// The command line of this process as it may be written down: its last `command_words` are the work itself, and before
/// them the flags in `secret` keep only the names of their values `NAME=VALUE`.
#[must_use]
pub fn typed(command_words: usize, secret: &[&str]) -> Vec<String> {
    let words: Vec<OsString> = std::env::args_os().collect();
    record::redacted(&words, command_words, secret)
}

fn refused(error: &RecordError) -> Failure {
    let failure = Failure::usage(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
