//! Which `fleet.toml` files count.
//!
//! Must not know what is in them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Environment, Layer, SettingsError, file};

/// The name of a settings file.
const NAME: &str = "fleet.toml";

/// The settings file of the machine.
const SYSTEM: &str = "/etc/fleet/fleet.toml";

/// The settings files that count, and those that would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// What the files say, the nearest first.
    pub layers: Vec<Layer>,
    /// Where was looked, in the same order.
    pub looked_for: Vec<SettingsFile>,
}

/// A place where a settings file may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is there.
    pub state: FileState,
}

/// What became of a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It was read.
    Read,
    /// It is not there.
    Missing,
    /// It is not there, nor in any folder above.
    MissingUpward,
}

/// Reads the settings files that count, the nearest first: the one that `FLEET_CONFIG` names and no other; else the
/// nearest `fleet.toml` from `current_folder` upward, then `fleet/fleet.toml` in the user's configuration folder, then
/// `/etc/fleet/fleet.toml`.
///
/// A file that was found on the way up must belong to the user, to the user behind sudo, or to root: it can name
/// programs to run. So must that of the machine.
///
/// # Errors
/// When `FLEET_CONFIG` names a file that is not there, or a file cannot be read, is someone else's, or is malformed.
pub fn discover(environment: &Environment, current_folder: &Path) -> Result<Discovered, SettingsError> {
    discover_with(environment, current_folder, Path::new(SYSTEM))
}

fn discover_with(environment: &Environment, current_folder: &Path, system: &Path) -> Result<Discovered, SettingsError> {
    if let Some(path) = environment.get("FLEET_CONFIG") {
        let path = current_folder.join(path);
        let layers = vec![file::read(&path, environment.home())?];
        return Ok(Discovered { layers, looked_for: vec![SettingsFile { path, state: FileState::Read }] });
    }
    let mut looked_for = vec![upward(current_folder)];
    let own = environment.config_folder().map(|folder| folder.join("fleet").join(NAME));
    for path in own.into_iter().chain([system.to_owned()]) {
        if !looked_for.iter().any(|nearer| nearer.path == path && nearer.state == FileState::Read) {
            let state = if path.is_file() { FileState::Read } else { FileState::Missing };
            looked_for.push(SettingsFile { path, state });
        }
    }
    let mut layers = Vec::new();
    for (index, file) in looked_for.iter().enumerate().filter(|(_, file)| file.state == FileState::Read) {
        if index == 0 || file.path == system {
            check_owner(&file.path, environment)?;
        }
        layers.push(file::read(&file.path, environment.home())?);
    }
    Ok(Discovered { layers, looked_for })
}

fn upward(current_folder: &Path) -> SettingsFile {
    let found = current_folder.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file());
    match found {
        Some(path) => SettingsFile { path, state: FileState::Read },
        None => SettingsFile { path: current_folder.join(NAME), state: FileState::MissingUpward },
    }
}

fn check_owner(path: &Path, environment: &Environment) -> Result<(), SettingsError> {
    let metadata = path.metadata().map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let sudo_user = environment.get("SUDO_UID").and_then(OsStr::to_str).and_then(|uid| uid.parse().ok());
    let trusted = Trusted { user: rustix::process::geteuid().as_raw(), sudo_user };
    match trusted.owns(metadata.uid()) {
        true => Ok(()),
        false => Err(SettingsError::Owner { path: path.to_owned(), owner: metadata.uid() }),
    }
}

/// Whose files are read without being named.
struct Trusted {
    user: u32,
    /// Counts only where the user is root: anyone can set a variable.
    sudo_user: Option<u32>,
}

impl Trusted {
    fn owns(&self, owner: u32) -> bool {
        owner == self.user || owner == 0 || (self.user == 0 && self.sudo_user == Some(owner))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::LayerSource;
    use super::*;

    /// A folder with these files below it, each setting `user` to its own path.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "user = 'me'").unwrap();
        }
        root
    }

    fn discovered(root: &Path, folder: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let home = root.join("home");
        let mut environment = vec![("HOME", home.into_os_string())];
        environment.extend(variables.iter().map(|(name, value)| (*name, root.join(value).into_os_string())));
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        let system = root.join("etc/fleet.toml");
        let found = discover_with(&environment.into_iter().collect(), &folder, &system).unwrap();
        let path = |layer: &Layer| match &layer.source {
            LayerSource::File(path) => path.clone(),
            other => panic!("{other:?}"),
        };
        let read: Vec<PathBuf> = found.layers.iter().map(path).collect();
        let said = found.looked_for.iter().filter(|file| file.state == FileState::Read);
        assert_eq!(said.map(|file| file.path.clone()).collect::<Vec<_>>(), read);
        read.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_nearest_file_upward_comes_first_then_the_users_own_then_the_machines() {
        let all = ["p/fleet.toml", "p/q/fleet.toml", "home/.config/fleet/fleet.toml", "xdg/fleet/fleet.toml"];
        let without_system = tree(&all);
        let with_system = tree(&[&all[..], &["etc/fleet.toml"]].concat());
        for (folder, variables, found) in [
            ("p/q/r", &[][..], &["p/q/fleet.toml", "home/.config/fleet/fleet.toml"][..]),
            ("p/s", &[], &["p/fleet.toml", "home/.config/fleet/fleet.toml"]),
            ("p", &[("XDG_CONFIG_HOME", "xdg")], &["p/fleet.toml", "xdg/fleet/fleet.toml"]),
            ("o", &[("XDG_CONFIG_HOME", "missing")], &[]),
            ("home/.config/fleet", &[], &["home/.config/fleet/fleet.toml"]),
            ("p/q", &[("FLEET_CONFIG", "p/fleet.toml")], &["p/fleet.toml"]),
        ] {
            assert_eq!(discovered(without_system.path(), folder, variables), found, "{folder} {variables:?}");
            let named = variables.iter().any(|(name, _)| *name == "FLEET_CONFIG");
            let last = (!named).then_some("etc/fleet.toml");
            let found: Vec<&str> = found.iter().copied().chain(last).collect();
            assert_eq!(discovered(with_system.path(), folder, variables), found, "{folder} {variables:?}");
        }
        assert_eq!(discovered(with_system.path(), "etc", &[]), ["etc/fleet.toml", "home/.config/fleet/fleet.toml"]);
    }

    #[test]
    fn where_nothing_is_found_is_told_too() {
        let root = tree(&[]);
        let (here, system) = (root.path().join("p"), root.path().join("etc/fleet.toml"));
        let environment = Environment::from_iter([("XDG_CONFIG_HOME", root.path().join("xdg"))]);
        let found = discover_with(&environment, &here, &system).unwrap();
        let place = |path: PathBuf, state| SettingsFile { path, state };
        let expected = [
            place(here.join("fleet.toml"), FileState::MissingUpward),
            place(root.path().join("xdg/fleet/fleet.toml"), FileState::Missing),
            place(system, FileState::Missing),
        ];
        assert_eq!((found.layers, found.looked_for), (vec![], expected.to_vec()));
    }

    #[test]
    fn a_missing_file_is_an_error_only_where_it_was_named() {
        let root = tree(&[]);
        let environment = Environment::from_iter([("FLEET_CONFIG", "no.toml")]);
        let error = discover(&environment, root.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot read the settings file {}", root.path().join("no.toml").display())
        );
        assert!(error.hint().unwrap().contains("FLEET_CONFIG"));
        let system = root.path().join("etc/fleet.toml");
        assert_eq!(discover_with(&Environment::default(), root.path(), &system).unwrap().layers, []);
    }

    #[test]
    fn a_file_of_another_user_is_not_trusted() {
        for (user, sudo_user, owner, trusted) in [
            (1000, None, 1000, true),
            (1000, None, 0, true),
            (1000, None, 1001, false),
            (1000, Some(1001), 1001, false),
            (0, None, 1000, false),
            (0, Some(1000), 1000, true),
        ] {
            assert_eq!(Trusted { user, sudo_user }.owns(owner), trusted, "{user} {sudo_user:?} {owner}");
        }
    }
}
