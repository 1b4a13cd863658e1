//! The files of a configuration: each is found, checked and read once for all hosts.
//!
//! Must not know any host.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::expand::ExpandError;
use super::file::{ConfigFile, Include};
use super::glob;
use super::local::LocalContext;
use super::notice::Origin;

/// How deep files may include files, as in ssh(1).
const DEPTH_LIMIT: usize = 16;

/// Whether the owner and the mode of a file are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Only the user or root may be able to write it.
    Checked,
    /// Named by the user, or the system's own.
    Trusted,
}

/// The files read so far.
#[derive(Debug, Default)]
pub(super) struct Library {
    files: HashMap<(PathBuf, Origin), Arc<ConfigFile>>,
    includes: HashMap<(String, Origin), Arc<[Arc<ConfigFile>]>>,
}

impl Library {
    /// The file at `path`, or `None` when there is none.
    pub(super) fn open(
        &mut self,
        path: &Path,
        origin: Origin,
        ownership: Ownership,
        local: &LocalContext,
    ) -> Result<Option<Arc<ConfigFile>>, ConfigError> {
        let key = (path.to_owned(), origin);
        if let Some(file) = self.files.get(&key) {
            return Ok(Some(Arc::clone(file)));
        }
        let Some(bytes) = read(path, ownership, local)? else { return Ok(None) };
        let file = Arc::new(ConfigFile::parse(&bytes, &Arc::from(path), origin)?);
        self.files.insert(key, Arc::clone(&file));
        Ok(Some(file))
    }

    /// The files that `pattern`, a word of `include` with its tokens expanded, stands for.
    pub(super) fn included(
        &mut self,
        pattern: &str,
        include: &Include,
        local: &LocalContext,
    ) -> Result<Arc<[Arc<ConfigFile>]>, ConfigError> {
        let key = (pattern.to_owned(), include.origin);
        if let Some(files) = self.includes.get(&key) {
            return Ok(Arc::clone(files));
        }
        let mut files = Vec::new();
        for path in glob::find(&absolute(pattern, include, local)?) {
            files.extend(self.open(&path, include.origin, Ownership::Checked, local)?);
        }
        let files: Arc<[_]> = files.into();
        self.includes.insert(key, Arc::clone(&files));
        Ok(files)
    }

    /// Reads all that `file` includes by a fixed name, so that what is wrong in there is known before any host is asked
    /// for. Tells whether `file` or one of them asks for the second pass.
    pub(super) fn read_ahead(
        &mut self,
        file: &ConfigFile,
        depth: usize,
        local: &LocalContext,
    ) -> Result<bool, ConfigError> {
        let mut wants_final_pass = file.wants_final_pass();
        for include in file.includes() {
            check_depth(depth + 1, include)?;
            for pattern in include.patterns.iter().filter(|pattern| is_fixed(pattern)) {
                for file in self.included(pattern, include, local)?.iter() {
                    wants_final_pass |= self.read_ahead(file, depth + 1, local)?;
                }
            }
        }
        Ok(wants_final_pass)
    }
}

/// Whether `pattern` is the same for every host.
pub(super) fn is_fixed(pattern: &str) -> bool {
    !pattern.contains('%') && !pattern.contains("${")
}

/// Fails when what `include` names would be too deep.
pub(super) fn check_depth(depth: usize, include: &Include) -> Result<(), ConfigError> {
    if depth <= DEPTH_LIMIT {
        return Ok(());
    }
    Err(ConfigError::IncludeDepth { place: include.place.clone(), limit: DEPTH_LIMIT })
}

/// The bytes of the file; `None` when there is no such file, or a folder.
fn read(path: &Path, ownership: Ownership, local: &LocalContext) -> Result<Option<Vec<u8>>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if ownership == Ownership::Checked && !is_private(&metadata, local.uid) {
        return Err(ConfigError::Permissions { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn is_private(metadata: &Metadata, uid: u32) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    [0, uid].contains(&metadata.uid()) && metadata.mode() & WRITABLE_BY_OTHERS == 0
}

/// Where a pattern points: relative ones live beside the user's or the system's own file.
fn absolute(pattern: &str, include: &Include, local: &LocalContext) -> Result<String, ConfigError> {
    let failed = |problem| ConfigError::Line { place: include.place.clone(), problem };
    match (include.origin, pattern.as_bytes().first()) {
        (_, Some(b'/')) => Ok(pattern.to_owned()),
        (Origin::System, Some(b'~')) => Err(failed("expected no ~ in the system's configuration")),
        (Origin::System, _) => Ok(format!("{}/{pattern}", local.system_folder.to_string_lossy())),
        (_, Some(b'~')) => local.expand_tilde(pattern).map_err(|name| ConfigError::Expand {
            place: include.place.clone(),
            text: pattern.to_owned(),
            problem: ExpandError::NoUser(name),
        }),
        _ => Ok(format!("{}/.ssh/{pattern}", local.home.to_string_lossy())),
    }
}
