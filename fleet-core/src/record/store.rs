//! The folder of records: which runs there are, which are still going on, and which are kept.
//!
//! A journal that is being written is locked (flock(2)), so that whoever finds it unlocked and without its last line
//! knows that its writer has died, whatever process has its number now. Must not know what journals say.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::former::Writer;
use super::{FormerRun, RecordError, RunId};
use crate::render::OutputFolders;
use crate::settings::Environment;

/// How many runs are kept.
pub const KEPT_RUNS: usize = 50;

const SUFFIX: &str = "jsonl";
/// How many runs may begin in one moment.
const ATTEMPTS: u32 = 1000;

/// The folder that the user's runs are recorded in.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Whether the hosts' output is kept with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is.
    Kept,
    /// Only what became of the hosts.
    Passed,
}

impl Store {
    /// The user's own (XDG Base Directory Specification): `fleet/runs` in `$XDG_STATE_HOME` or `~/.local/state`.
    ///
    /// # Errors
    /// [`RecordError::NoFolder`] when the environment names neither.
    pub fn of(environment: &Environment) -> Result<Self, RecordError> {
        environment.state_folder().map(|state| Self::at(state.join("fleet/runs"))).ok_or(RecordError::NoFolder)
    }

    /// The folder at this path. It is made when the first run is recorded.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal of a run.
    #[must_use]
    pub fn journal(&self, id: &RunId) -> PathBuf {
        self.folder.join(format!("{id}.{SUFFIX}"))
    }

    /// Where the output of a run is kept, if it is.
    #[must_use]
    pub fn output(&self, id: &RunId) -> OutputFolders {
        let folder = self.output_folder(id);
        OutputFolders { stdout: folder.join("stdout"), stderr: folder.join("stderr") }
    }

    /// All runs, the oldest first. Other files are passed over.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, RecordError> {
        let refused = |source| RecordError::Folder { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(refused)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.strip_suffix('.'));
            ids.extend(id.and_then(|id| id.parse::<RunId>().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// The run that `text` means: `last`, or the start or the last part of an id that no other run has.
    ///
    /// # Errors
    /// When it means none, or several.
    pub fn find(&self, text: &str) -> Result<RunId, RecordError> {
        let mut ids = self.runs()?;
        if text == "last" {
            return ids.pop().ok_or(RecordError::NoRun { tool: None });
        }
        ids.retain(|id| id.is_meant_by(text));
        match (ids.pop(), ids.is_empty()) {
            (Some(id), true) => Ok(id),
            (None, _) => Err(RecordError::UnknownRun { text: text.to_owned() }),
            (Some(id), false) => {
                ids.push(id);
                Err(RecordError::AmbiguousRun { text: text.to_owned(), candidates: ids })
            }
        }
    }

    /// The last run of a tool.
    ///
    /// # Errors
    /// When there is none, or a later record cannot be read, so that it might be of that tool.
    pub fn last_of(&self, tool: &str) -> Result<FormerRun, RecordError> {
        for id in self.runs()?.into_iter().rev() {
            let run = self.read(&id)?;
            if run.header.tool == tool {
                return Ok(run);
            }
        }
        Err(RecordError::NoRun { tool: Some(tool.to_owned()) })
    }

    /// What is recorded of a run.
    ///
    /// # Errors
    /// When its journal cannot be read, or does not begin as a journal does. Everything else that is broken in it is
    /// named in [`FormerRun::broken`].
    pub fn read(&self, id: &RunId) -> Result<FormerRun, RecordError> {
        let path = self.journal(id);
        let refused = |source| RecordError::Read { path: path.clone(), source };
        let mut file = File::open(&path).map_err(refused)?;
        // Asked before the lines are read: who writes none now writes none later.
        let writer = match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Writer::Alive,
            _ => Writer::Gone,
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refused)?;
        FormerRun::parse(id.clone(), &path, &bytes, writer)
    }

    /// Makes the journal of a run that begins at `start`, with its first line on the disk; it appears at once, whole
    /// and locked.
    pub(super) fn create(
        &self,
        start: SystemTime,
        first_line: &[u8],
        output: Output,
    ) -> Result<(RunId, File), RecordError> {
        let refused = |source| RecordError::Folder { path: self.folder.clone(), source };
        make_private_folder(&self.folder).map_err(refused)?;
        // Readable for its owner only, as all that tempfile makes.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder).map_err(refused)?;
        // Where there are no locks, the run looks dead to others while it goes on.
        let _ = file.as_file().try_lock();
        file.write_all(first_line).and_then(|()| file.as_file().sync_all()).map_err(refused)?;
        for later in 0..ATTEMPTS {
            let id = RunId::of(start + Duration::from_millis(u64::from(later)));
            match file.persist_noclobber(self.journal(&id)) {
                Ok(file) => {
                    File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
                    if output == Output::Kept {
                        let OutputFolders { stdout, stderr } = self.output(&id);
                        make_private_folder(&stdout).and_then(|()| make_private_folder(&stderr)).map_err(refused)?;
                    }
                    return Ok((id, file));
                }
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
                Err(error) => return Err(refused(error.error)),
            }
        }
        Err(refused(io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// Removes the oldest runs beyond the last `kept`, but none that is still going on. What cannot be removed now is
    /// tried again at the start of the next run.
    pub(super) fn prune(&self, kept: usize) {
        let Ok(ids) = self.runs() else { return };
        let surplus = ids.len().saturating_sub(kept);
        for id in &ids[..surplus] {
            let Ok(file) = File::open(self.journal(id)) else { continue };
            if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                self.remove(id);
            }
        }
    }

    /// Removes all that is kept of a run, its journal last.
    pub(super) fn remove(&self, id: &RunId) {
        let _ = fs::remove_dir_all(self.output_folder(id));
        let _ = fs::remove_file(self.journal(id));
    }

    fn output_folder(&self, id: &RunId) -> PathBuf {
        self.folder.join(id.as_str())
    }
}

/// A folder for its owner only, with the folders above it.
fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
