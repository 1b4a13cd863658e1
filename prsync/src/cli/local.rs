//! What `--engine=rsync` resolves to: the rsync of this machine, once for each host.
//!
//! Must not contact any host, nor start anything.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fleet_core::record::Places;
use fleet_core::settings::Parallel;
use fleet_ssh::Connector;
use fleet_ssh::remote::SudoUser;
use fleet_tool::cli::{Failure, Prepared};
use fleet_transfer::destination::PathTemplate;

use super::{Wanted, access, destination, flags, passed};
use crate::by_rsync::ByRsync;
use crate::pipe::{self, Folder};
use crate::safety;

/// How many local rsyncs run at once if it is not said: each scans the sources, computes and compresses by itself.
const MOST_RSYNCS: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct LocalSettings {
    program: PathBuf,
    words: Vec<OsString>,
    destination: PathTemplate,
    sudo: Option<SudoUser>,
    then: Option<Vec<u8>>,
    places: Option<Places>,
}

/// Bounds how many hosts are worked on at once, unless somebody else has.
pub(super) fn bound(prepared: &mut Prepared) {
    let parallel = &mut prepared.settings.parallel.value;
    if *parallel == Parallel::Auto {
        *parallel = Parallel::Exactly(MOST_RSYNCS);
    }
}

impl Wanted {
    pub(super) fn local_settings(self) -> Result<LocalSettings, Failure> {
        let (sources, destination, path) = self.read_paths()?;
        let sources: Vec<PathBuf> = sources.into_iter().map(PathBuf::from).collect();
        safety::check_paths(&sources, &path, self.args.deleting(), self.args.force())?;
        safety::check_folders(&sources, self.args.deleting(), self.args.force())?;
        let given = flags::given(&self.matches);
        let words = passed::words(&given, &self.unknown, &self.args.rsync_path, &sources)?;
        let (sudo, then) = (self.args.sudo_user()?, self.args.then.map(String::into_bytes));
        let places = self.recipe.and_then(|recipe| recipe.places);
        Ok(LocalSettings { program: passed::program()?, words, destination, sudo, then, places })
    }
}

impl LocalSettings {
    /// The task that does the work on the chosen hosts.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<ByRsync, Failure> {
        let Self { program, words, destination, sudo, then, places } = self;
        let places = prepared.places_for(places.as_ref(), then.as_deref())?;
        let destinations = destination::fill(&destination, &connector, &prepared.selected.hosts, &places)?;
        let failed = |error: io::Error| Failure::usage(&error);
        let shell = pipe::shell(&std::env::current_exe().map_err(failed)?);
        let folder = Folder::new().map_err(failed)?;
        let access = access(connector, prepared, places, sudo, then);
        Ok(ByRsync { access, program, shell, words, destinations, folder, attempts: AtomicU64::new(0) })
    }
}
