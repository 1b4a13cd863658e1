//! Which program a provider is.
//!
//! Must not know what it is asked.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ProviderSettings;
use super::error::Problem;

/// What of this process a provider and its cache depend on.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    beside: Option<PathBuf>,
    variables: BTreeMap<OsString, OsString>,
}

impl Surroundings {
    /// `executable` is the running program, and `variables` is its environment, both as `std::env` gives them. Where the
    /// program was called through a link, as `psh` may be one to `fleet`, programs beside what the link means count.
    #[must_use]
    pub fn new(executable: Option<&Path>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let real = executable.and_then(|path| fs::canonicalize(path).ok());
        let beside = real.and_then(|path| path.parent().map(Path::to_owned));
        Self { beside, variables: variables.into_iter().collect() }
    }

    /// All variables of the environment.
    pub(super) fn variables(&self) -> &BTreeMap<OsString, OsString> {
        &self.variables
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

/// A program with its first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What its words are marked with: the name of the file, or that of the provider where other things share the file.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The program of a provider: its `command`, else `fleet-NAME` beside the running tool, else in PATH.
pub(super) fn find(settings: &ProviderSettings, surroundings: &Surroundings) -> Result<Program, Problem> {
    let name = &settings.name;
    let well_named = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !well_named {
        return Err(Problem::Name);
    }
    match settings.command.as_deref() {
        Some([program, arguments @ ..]) if !program.is_empty() => {
            let path = named(program, surroundings)?;
            Ok(Program { label: name.clone(), path, arguments: arguments.to_vec() })
        }
        Some(_) => Err(Problem::NoCommand),
        None => {
            let program = format!("fleet-{name}");
            let beside = surroundings.beside.as_ref().map(|folder| folder.join(&program));
            let found = beside.filter(|path| is_executable(path)).or_else(|| in_path(&program, surroundings));
            let path = found.ok_or_else(|| Problem::NotFound {
                program: program.clone(),
                looked: "beside this program and in PATH",
            })?;
            Ok(Program { label: program, path, arguments: Vec::new() })
        }
    }
}

/// A program of the settings. With a `/` it is a path; whether something is there is seen when it is started.
fn named(program: &str, surroundings: &Surroundings) -> Result<PathBuf, Problem> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    in_path(program, surroundings)
        .ok_or_else(|| Problem::NotFound { program: format!("{program:?}"), looked: "in PATH" })
}

fn in_path(program: &str, surroundings: &Surroundings) -> Option<PathBuf> {
    let folders = env::split_paths(surroundings.variable("PATH")?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with programs in it: those with a `-` before their path cannot be executed.
    fn tree(programs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for program in programs {
            let path = root.path().join(program.trim_start_matches('-'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            let mode = if program.starts_with('-') { 0o644 } else { 0o755 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        root
    }

    fn surroundings(root: &Path, executable: &str, folders: &[&str]) -> Surroundings {
        let path = env::join_paths(folders.iter().map(|folder| root.join(folder))).unwrap();
        Surroundings::new(Some(&root.join(executable)), [("PATH".into(), path)])
    }

    #[test]
    fn the_program_beside_the_tool_comes_before_those_in_path() {
        let tree = tree(&["tools/fleet", "tools/fleet-ec2", "path/fleet-ec2", "path/fleet-lab", "-first/fleet-lab"]);
        symlink("../tools/fleet", tree.path().join("path/psh")).unwrap();
        for (executable, name, expected) in [
            ("tools/fleet", "ec2", Some("tools/fleet-ec2")),
            ("path/psh", "ec2", Some("tools/fleet-ec2")),
            ("missing", "ec2", Some("path/fleet-ec2")),
            ("tools/fleet", "lab", Some("path/fleet-lab")),
            ("tools/fleet", "other", None),
        ] {
            let surroundings = surroundings(tree.path(), executable, &["first", "path"]);
            let found = find(&ProviderSettings::named(name), &surroundings).ok();
            let label = format!("fleet-{name}");
            let expected = expected.map(|path| {
                let path = fs::canonicalize(tree.path().join(path)).unwrap();
                Program { label, path, arguments: Vec::new() }
            });
            let found = found.map(|found| Program { path: fs::canonicalize(&found.path).unwrap(), ..found });
            assert_eq!(found, expected, "{executable} {name}");
        }
    }

    #[test]
    fn a_command_is_a_path_or_a_program_in_path() {
        let tree = tree(&["tools/fleet", "tools/lab", "path/lab"]);
        let surroundings = surroundings(tree.path(), "tools/fleet", &["path"]);
        let found = |command: &[&str]| {
            let command = Some(command.iter().map(|&word| word.to_owned()).collect());
            find(&ProviderSettings { command, ..ProviderSettings::named("x") }, &surroundings)
        };
        let lab = found(&["lab", "-a"]).unwrap();
        assert_eq!((lab.path, lab.arguments), (tree.path().join("path/lab"), vec!["-a".to_owned()]));
        assert_eq!(found(&["/nowhere/lab"]).unwrap().path, Path::new("/nowhere/lab"));
        for (command, message) in
            [(&["gone"][..], "there is no program \"gone\"; looked in PATH"), (&[], "empty"), (&[""], "empty")]
        {
            let error = found(command).unwrap_err().of("x");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint().unwrap().contains("[provider.x]"), "{error}");
        }
    }

    #[test]
    fn a_name_is_part_of_a_program_and_of_a_group() {
        for name in ["", "Lab", "a b", "../x", "a:b", "-x", "1", "a\u{1b}"] {
            let error = find(&ProviderSettings::named(name), &Surroundings::default()).unwrap_err();
            assert!(matches!(error, Problem::Name), "{name}: {error}");
        }
    }
}
