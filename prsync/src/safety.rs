//! What is refused as it is hardly meant: most of it before any host is contacted.
//!
//! Must not read more of a source than whether there is anything.

use std::path::{Component, Path, PathBuf};

use fleet_core::outcome::{FailureClass, HostError, Stage};
use fleet_tool::cli::Failure;
use fleet_transfer::sync::{ScanSummary, SyncEnd};

/// Whether the user has said that it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    Given,
    NotGiven,
}

/// Whether what is not in the sources is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleting {
    Yes,
    No,
}

const HINT: &str = "--force does it all the same";

/// The largest share of a destination that may be deleted, in percent: `--max-delete 50%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MostDeleted(pub(crate) u8);

/// More than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    /// What would be deleted.
    pub(crate) deleted: u64,
    /// What there is.
    pub(crate) there: u64,
}

impl MostDeleted {
    /// Looks at what a rehearsal with a source of so many entries has counted.
    ///
    /// # Errors
    /// When more would be deleted.
    pub(crate) fn check(self, end: &SyncEnd, entries: u64) -> Result<(), Excess> {
        let there = entries.saturating_sub(end.created) + end.deleted;
        let is_too_much = end.deleted * 100 > there * u64::from(self.0);
        if is_too_much { Err(Excess { deleted: end.deleted, there }) } else { Ok(()) }
    }
}

impl Excess {
    pub(crate) fn percent(self) -> u64 {
        self.deleted * 100 / self.there.max(1)
    }

    /// That nothing was done on the host.
    pub(crate) fn refused(self, most: MostDeleted) -> HostError {
        let message = format!(
            "would delete {} of {} at the destination, more than --max-delete {}%: nothing is changed",
            self.deleted, self.there, most.0
        );
        HostError::new(Stage::Command, FailureClass::Copy, message)
            .with_hint("-n -i shows what; --max-delete 100% deletes it")
    }
}

/// Looks at where it goes from and to.
///
/// # Errors
/// When this machine's root would go to a host's, or anything is deleted below a host's root.
pub(crate) fn check_paths(
    sources: &[PathBuf],
    destination: &Path,
    deleting: Deleting,
    force: Force,
) -> Result<(), Failure> {
    if force == Force::Given || !is_root(destination) {
        return Ok(());
    }
    if sources.iter().any(|source| is_root(source)) {
        return Err(Failure::usage_text("/ of this machine would replace / of the hosts").hint(HINT));
    }
    if deleting == Deleting::Yes {
        return Err(Failure::usage_text("--delete with / as destination would delete the hosts' systems").hint(HINT));
    }
    Ok(())
}

/// Looks at what there is.
///
/// # Errors
/// When there is nothing, and so all would be deleted.
pub(crate) fn check_sources(summary: &ScanSummary, deleting: Deleting, force: Force) -> Result<(), Failure> {
    if summary.content == 0 && deleting == Deleting::Yes && force == Force::NotGiven {
        return Err(
            Failure::usage_text("the source is empty, and --delete would delete all at the destination").hint(HINT)
        );
    }
    Ok(())
}

/// Looks whether there is anything in sources of which only the contents are meant, without reading more.
///
/// # Errors
/// When there is nothing, and so all would be deleted; or when a source cannot be looked at.
pub(crate) fn check_folders(sources: &[PathBuf], deleting: Deleting, force: Force) -> Result<(), Failure> {
    let mut summary = ScanSummary::default();
    for source in sources {
        let failed = |error: std::io::Error| Failure::usage_text(format!("cannot read {}: {error}", source.display()));
        let is_content = source.as_os_str().as_encoded_bytes().ends_with(b"/");
        std::fs::symlink_metadata(source).map_err(failed)?;
        let has_any = !is_content || std::fs::read_dir(source).map_err(failed)?.next().is_some();
        summary.content += u64::from(has_any);
    }
    check_sources(&summary, deleting, force)
}

/// `/`, `//`, `/./`, `/opt/..`
fn is_root(path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.saturating_sub(1),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path.is_absolute() && depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_hosts_is_safe_unless_it_is_meant() {
        use Deleting::{No, Yes};
        for (source, destination, deleting, is_refused) in [
            ("/", "/", No, true),
            ("/", "/opt/..", No, true),
            ("dist", "//", Yes, true),
            ("dist", "/", No, false),
            ("/", "/opt", Yes, false),
            ("/opt", "/opt", Yes, false),
            (".", ".", Yes, false),
        ] {
            let check = |force| check_paths(&[source.into()], Path::new(destination), deleting, force);
            assert_eq!(check(Force::NotGiven).is_err(), is_refused, "{source} {destination}");
            assert!(check(Force::Given).is_ok());
        }
    }

    #[test]
    fn a_share_is_of_what_is_at_the_destination() {
        for (entries, created, deleted, is_refused) in
            [(10, 0, 10, false), (10, 0, 11, true), (10, 10, 1, true), (10, 10, 0, false), (0, 0, 0, false)]
        {
            let end = SyncEnd { created, deleted, ..SyncEnd::default() };
            assert_eq!(MostDeleted(50).check(&end, entries).is_err(), is_refused, "{entries} {created} {deleted}");
            assert!(MostDeleted(100).check(&end, entries).is_ok());
        }
    }

    #[test]
    fn an_empty_source_deletes_nothing() {
        let summary = |entries, content| ScanSummary { entries, content, ..ScanSummary::default() };
        for (summary, is_refused) in [(summary(1, 0), true), (summary(0, 0), true), (summary(2, 1), false)] {
            assert_eq!(check_sources(&summary, Deleting::Yes, Force::NotGiven).is_err(), is_refused, "{summary:?}");
            assert!(check_sources(&summary, Deleting::No, Force::NotGiven).is_ok());
        }
    }
}
