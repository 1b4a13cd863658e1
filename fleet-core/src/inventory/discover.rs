//! The files in which other tools keep their groups: where they are, and what is in them.
//!
//! Must not know which hosts are wanted. Reads files, runs nothing.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{InventoryError, Rank, Source, clustershell, genders};

/// Whose groups are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileSource {
    /// ClusterShell's: `groups.conf` and what it names.
    ClusterShell,
    /// Those of genders(5).
    Genders,
}

/// Where the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The folder of the system's configuration, `/etc`.
    pub system: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The folder of the user's configuration.
    pub config: Option<PathBuf>,
    /// Another folder of ClusterShell's configuration.
    pub clustershell: Option<PathBuf>,
    /// The genders file, if it is not the system's.
    pub genders: Option<PathBuf>,
}

impl Places {
    /// As the environment says: `HOME`, `XDG_CONFIG_HOME`, ClusterShell's `CLUSTERSHELL_CFGDIR`, pdsh's
    /// `PDSH_GENDERS_FILE`.
    #[must_use]
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        Self {
            system: PathBuf::from("/etc"),
            config: path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config"))),
            home,
            clustershell: path("CLUSTERSHELL_CFGDIR"),
            genders: path("PDSH_GENDERS_FILE"),
        }
    }

    /// Whose a file is: what lies in the folder of the system's configuration is everybody's.
    pub(super) fn rank(&self, path: &Path) -> Rank {
        if path.starts_with(&self.system) { Rank::System } else { Rank::Own }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Each name once.
    pub sources: Vec<Source>,
    /// What could not be taken over: `groups.conf:12: the groups of "slurm" come from commands, ...`.
    pub remarks: Vec<String>,
}

/// Reads the files that are there.
///
/// # Errors
/// When a file cannot be read, or is malformed. One that others only may read is remarked on, as it would be by its tool.
pub fn discover(wanted: &[FileSource], places: &Places) -> Result<Discovered, InventoryError> {
    let mut all = Discovered::default();
    for source in wanted {
        let found = match source {
            FileSource::ClusterShell => clustershell::read(places)?,
            FileSource::Genders => genders::read(places)?,
        };
        all.sources.extend(found.sources);
        all.remarks.extend(found.remarks);
    }
    Ok(all)
}

impl Discovered {
    /// The text of a file; `None` when there is no such file, or it is not for us.
    pub(super) fn read(&mut self, path: &Path) -> Result<Option<String>, InventoryError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.remarks.push(format!("{} is not read: {error}", path.display()));
                return Ok(None);
            }
            Err(source) => return Err(InventoryError::ReadSource { path: path.to_owned(), source }),
        };
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let found = "this line is not UTF-8".to_owned();
            InventoryError::Line { path: path.to_owned(), line, found, expected: "a text file in UTF-8" }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn places_are_those_of_the_environment() {
        let places = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            Places::of(value)
        };
        let system = PathBuf::from("/etc");
        assert_eq!(places(&[("CLUSTERSHELL_CFGDIR", "")]), Places { system: system.clone(), ..Places::default() });
        assert_eq!(
            places(&[("HOME", "/h"), ("CLUSTERSHELL_CFGDIR", "c"), ("PDSH_GENDERS_FILE", "g")]),
            Places {
                system: system.clone(),
                home: Some("/h".into()),
                config: Some("/h/.config".into()),
                clustershell: Some("c".into()),
                genders: Some("g".into()),
            }
        );
        assert_eq!(places(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]).config, Some("/x".into()));
    }

    #[test]
    fn only_what_is_wanted_and_there_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { system: folder.path().to_owned(), ..Places::default() };
        let all = [FileSource::ClusterShell, FileSource::Genders];
        assert_eq!(discover(&all, &places).unwrap(), Discovered::default());
        fs::write(folder.path().join("genders"), b"n1 a\nn2 \xff").unwrap();
        let error = discover(&all, &places).unwrap_err().to_string();
        assert!(error.ends_with("genders:2: this line is not UTF-8; expected a text file in UTF-8"), "{error}");
        assert_eq!(discover(&all[..1], &places).unwrap(), Discovered::default());
        let other = Places { genders: Some(folder.path().join("mine")), ..places };
        fs::write(folder.path().join("mine"), "n1 a\n").unwrap();
        assert_eq!(discover(&all, &other).unwrap().sources[0].groups[0].name, "a");
    }
}
