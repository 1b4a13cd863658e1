//! Which `fleet.toml` files count.
//!
//! Must not know what is in them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Environment, Layer, SettingsError, file};

/// The name of a settings file.
const NAME: &str = "fleet.toml";

/// Reads the settings files that count, the nearest first: the one that `FLEET_CONFIG` names and no other; else the
/// nearest `fleet.toml` from `current_folder` upward, then `fleet/fleet.toml` in the user's configuration folder.
///
/// A file that was found on the way up must belong to the user, to the user behind sudo, or to root: it can name
/// programs to run.
///
/// # Errors
/// When `FLEET_CONFIG` names a file that is not there, or a file cannot be read, is someone else's, or is malformed.
pub fn discover(environment: &Environment, current_folder: &Path) -> Result<Vec<Layer>, SettingsError> {
    if let Some(path) = environment.get("FLEET_CONFIG") {
        return Ok(vec![file::read(&current_folder.join(path), environment.home())?]);
    }
    let mut paths = Vec::new();
    if let Some(path) = nearest(current_folder) {
        check_owner(&path, environment)?;
        paths.push(path);
    }
    let own = environment.config_folder().map(|folder| folder.join("fleet").join(NAME));
    paths.extend(own.filter(|own| own.is_file() && !paths.contains(own)));
    paths.iter().map(|path| file::read(path, environment.home())).collect()
}

fn nearest(current_folder: &Path) -> Option<PathBuf> {
    current_folder.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file())
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
        let layers = discover(&environment.into_iter().collect(), &folder).unwrap();
        let path = |layer: Layer| match layer.source {
            LayerSource::File(path) => path.strip_prefix(root).unwrap().display().to_string(),
            other => panic!("{other:?}"),
        };
        layers.into_iter().map(path).collect()
    }

    #[test]
    fn the_nearest_file_upward_comes_first_then_the_users_own() {
        let all = ["p/fleet.toml", "p/q/fleet.toml", "home/.config/fleet/fleet.toml", "xdg/fleet/fleet.toml"];
        let tree = tree(&all);
        for (folder, variables, found) in [
            ("p/q/r", &[][..], &["p/q/fleet.toml", "home/.config/fleet/fleet.toml"][..]),
            ("p/s", &[], &["p/fleet.toml", "home/.config/fleet/fleet.toml"]),
            ("p", &[("XDG_CONFIG_HOME", "xdg")], &["p/fleet.toml", "xdg/fleet/fleet.toml"]),
            ("o", &[("XDG_CONFIG_HOME", "missing")], &[]),
            ("home/.config/fleet", &[], &["home/.config/fleet/fleet.toml"]),
            ("p/q", &[("FLEET_CONFIG", "p/fleet.toml")], &["p/fleet.toml"]),
        ] {
            assert_eq!(discovered(tree.path(), folder, variables), found, "{folder} {variables:?}");
        }
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
        assert_eq!(discover(&Environment::default(), root.path()).unwrap(), []);
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
