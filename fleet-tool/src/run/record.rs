//! What is kept of the run that is about to begin.
//!
//! A run goes on without its record, which is said, unless the user asked for the hosts' output to be kept. Must not
//! write to the terminal.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cli::{Failure, Prepared, Recording};
use fleet_core::fanout::{Finished, Nobody, Witness};
use fleet_core::outcome::ExitStatus;
use fleet_core::record::{Header, HeaderHost, Journal, RecordError, Store, Work};
use fleet_core::render::OutputFolders;
use fleet_ssh::config::LocalContext;

/// The record of this run.
#[derive(Debug)]
pub(super) enum Record {
    /// It is not wanted.
    Unwanted,
    /// It is being written.
    Kept { journal: Journal, store: Store, recording: Recording },
    /// It cannot be written.
    Impossible(RecordError),
}

/// What is known of the record before it is begun; taken out of [`Prepared`], so that a thread may wait for the disk.
#[derive(Debug)]
pub(super) struct Beginning {
    recording: Recording,
    store: Result<Store, RecordError>,
    header: Header,
}

impl Beginning {
    pub(super) fn of(prepared: &mut Prepared, work: Work) -> Self {
        let host = |selected: &fleet_core::select::SelectedHost| HeaderHost {
            host: selected.host.to_string(),
            group: selected.group.as_deref().map(str::to_owned),
            endpoint: selected.endpoint.clone(),
            instance: selected.instance.clone(),
        };
        let header = Header {
            tool: prepared.program.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            typed: work.typed,
            command: work.text,
            again: work.again,
            connection: prepared.connection.clone(),
            output: prepared.recording == Recording::Output,
            from: prepared.former.as_ref().map(|run| run.id.to_string()),
            hosts: prepared.selected.hosts.iter().map(host).collect(),
            ..Header::default()
        };
        let store = std::mem::replace(&mut prepared.store, Err(RecordError::NoFolder));
        Self { recording: prepared.recording, store, header }
    }

    /// Begins the journal. Waits for the disk.
    pub(super) fn begin(self) -> Result<Record, Failure> {
        let Self { recording, store, header } = self;
        if recording == Recording::Off {
            return Ok(Record::Unwanted);
        }
        let start = SystemTime::now();
        let who = LocalContext::current().map(|local| format!("{}@{}", local.user, local.hostname));
        let header = Header {
            who: who.unwrap_or_default(),
            cwd: std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned(),
            start: humantime::format_rfc3339_millis(start).to_string(),
            pid: std::process::id(),
            ..header
        };
        let begun = store.and_then(|store| Ok((Journal::begin(store.clone(), start, header)?, store)));
        match begun {
            Ok((journal, store)) => Ok(Record::Kept { journal, store, recording }),
            Err(error) if recording == Recording::Output => {
                Err(Failure::ours(&error).hint(error.hint().unwrap_or_default()))
            }
            Err(error) => Ok(Record::Impossible(error)),
        }
    }
}

impl Record {
    /// Who is to be told of the hosts.
    pub(super) fn witness(&self) -> Arc<dyn Witness> {
        match self {
            Self::Kept { journal, .. } => Arc::new(journal.recorder()),
            Self::Unwanted | Self::Impossible(_) => Arc::new(Nobody),
        }
    }

    /// Where the hosts' output is to be kept, if it is.
    pub(super) fn output(&self) -> Option<OutputFolders> {
        match self {
            Self::Kept { journal, store, recording: Recording::Output } => Some(store.output(journal.id())),
            _ => None,
        }
    }

    /// The name by which it is found again, if there is one.
    pub(super) fn id(&self) -> Option<String> {
        match self {
            Self::Kept { journal, .. } => Some(journal.id().to_string()),
            Self::Unwanted | Self::Impossible(_) => None,
        }
    }

    /// What is to be said before the run begins.
    pub(super) fn remark(&self, verbosity: u8) -> Option<String> {
        match self {
            Self::Kept { journal, .. } if verbosity > 0 => Some(format!("this is run {}", journal.id())),
            Self::Impossible(error) => {
                let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                Some(format!("this run is not recorded: {}{hint}", in_one_line(error)))
            }
            Self::Kept { .. } | Self::Unwanted => None,
        }
    }

    /// Writes how the run ended. Returns the status of the record, and what is to be said after the summary.
    pub(super) fn end(self, finished: &Finished, status: ExitStatus) -> (ExitStatus, Option<String>) {
        match self {
            Self::Unwanted => (ExitStatus::Success, None),
            Self::Impossible(_) => (ExitStatus::Success, Some("this run is not recorded".to_owned())),
            Self::Kept { journal, recording, .. } => match journal.end(&finished.report, finished.completion, status) {
                Ok(()) => (ExitStatus::Success, None),
                Err(error) => {
                    let asked = recording == Recording::Output;
                    let status = if asked { ExitStatus::OurFailure } else { ExitStatus::Success };
                    (status, Some(format!("the record of this run is incomplete: {}", in_one_line(&error))))
                }
            },
        }
    }

    /// Takes it back: the run does not begin.
    pub(super) fn discard(self) {
        if let Self::Kept { journal, .. } = self {
            journal.discard();
        }
    }
}

fn in_one_line(error: &RecordError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
