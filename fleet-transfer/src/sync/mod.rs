//! One native rsync sender for a whole fleet: what many hosts share is made once, each has a conversation of its own.
//!
//! | module | what |
//! | --- | --- |
//! | `plan` | what a run is told: [`SyncPlan`] |
//! | `roots`, `walk`, `names` | reads the sources once, in the order of lists |
//! | `source` | gives each kind of server its list, and says where files are |
//! | `chmod` | `--chmod`: what becomes of permissions |
//! | `cache` | values that are computed by one host and waited for by the others, within one budget of bytes |
//! | `content`, `whole` | deltas, segments and digests of files, through the cache |
//! | `growing` | a delta that is sent while it is made |
//! | `line` | the way to one server, at its pace |
//! | `drive` | [`Conversation`]: one host's `Session` between a command's input and output |
//! | `end` | [`SyncEnd`]: how it ended, in numbers and lines |
//! | `tar` | [`Tar`]: hosts without rsync |
//!
//! A tool does: [`Sync::prepare`] once, which contacts nobody; then for each host start `rsync` with
//! [`Sync::words`], give what it says to [`Conversation::received`] and [`Conversation::heard`], let
//! [`Conversation::run`] feed its input, and close that; and at last, when the exit status is there,
//! [`Conversation::finish`].
//!
//! Must not know flags, rendering, russh, nor how a command is started.

mod cache;
mod chmod;
mod content;
mod drive;
mod end;
mod growing;
mod line;
mod names;
mod plan;
mod roots;
mod source;
mod tar;
mod walk;
mod whole;

use std::sync::Arc;

pub use chmod::{Chmod, ChmodError};
pub use drive::Conversation;
pub use end::{Changed, DriveError, Said, SyncEnd};
pub use plan::{SyncPlan, SyncStats};
pub use source::{Problem, ScanSummary, SyncError};
pub use tar::{Settling, Tar, TarError, TarPlan, TarStats};

use content::Contents;
use fleet_rsync::flist::FileList;
use fleet_rsync::session::ServerArguments;
use fleet_rsync::wire::greeting::Agreed;
use source::Source;

use crate::throttle::Throttle;

/// What a conversation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// What the plan says.
    Plan,
    /// To count what would change, as with `-n`; nothing is changed, and no line is kept.
    Rehearsal,
}

/// A run: what all hosts share.
#[derive(Debug)]
pub struct Sync {
    plan: SyncPlan,
    /// The same for all hosts, so that equal old files have equal signatures; not to be guessed.
    seed: i32,
    source: Arc<Source>,
    contents: Arc<Contents>,
    throttle: Arc<Throttle>,
}

impl Sync {
    /// Reads the sources: once for a run. It waits for the disk: call it where that does no harm.
    ///
    /// What cannot be read below a source is a [`Problem`], with which no server deletes anything.
    ///
    /// # Errors
    /// When a source itself cannot be read.
    pub fn prepare(plan: SyncPlan) -> Result<Arc<Self>, SyncError> {
        let source = Arc::new(Source::scan(&plan)?);
        let contents = Arc::new(Contents::new(&plan));
        let throttle = Arc::new(Throttle::new(plan.total_rate, plan.host_rate));
        Ok(Arc::new(Self { seed: rand::random_range(1..=i32::MAX), plan, source, contents, throttle }))
    }

    /// The words behind the name of `rsync` with which the server is started, for this destination. Whoever makes a
    /// command line of them quotes them.
    #[must_use]
    pub fn words(&self, destination: &[u8], pass: Pass) -> Vec<Vec<u8>> {
        self.arguments(destination, pass).words()
    }

    /// What the sources have.
    #[must_use]
    pub fn summary(&self) -> ScanSummary {
        self.source.summary()
    }

    /// What could not be read, the first thousand of them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.source.problems()
    }

    /// What was computed and what was used again, so far.
    #[must_use]
    pub fn stats(&self) -> SyncStats {
        SyncStats { lists: self.source.lists(), ..self.contents.stats() }
    }

    /// A line as `rsync -i` has it: `<f.st...... app.js`, `*deleting   old/`.
    #[must_use]
    pub fn line(&self, changed: &Changed) -> Vec<u8> {
        end::line(changed, &self.source)
    }

    /// The list for servers that have agreed to this: encoded when the first of its kind comes.
    async fn list(&self, agreed: Agreed) -> Result<Arc<FileList>, SyncError> {
        let digest = self.plan.checksum.then_some(agreed.digest);
        Source::list(&self.source, agreed.class, digest, &self.contents).await
    }

    /// What is told to the server.
    fn arguments(&self, destination: &[u8], pass: Pass) -> ServerArguments {
        let plan = &self.plan;
        ServerArguments {
            fields: plan.fields,
            permissions: plan.permissions,
            times: plan.times,
            relative: plan.relative,
            dry_run: plan.dry_run || pass == Pass::Rehearsal,
            checksum: plan.checksum,
            whole_file: plan.whole_file,
            itemize: plan.itemize || pass == Pass::Rehearsal,
            delete: plan.delete,
            compression: plan.compression,
            level: plan.level,
            prune: plan.prune,
            in_place: plan.in_place,
            forwarded: plan.forwarded.clone(),
            forwarded_letters: plan.forwarded_letters.clone(),
            ..ServerArguments::archive(self.seed, destination.to_vec())
        }
    }
}

#[cfg(test)]
mod tests;
