//! `--unpack`: archives are unpacked here, once for all hosts, and copied as the folders that they hold.
//!
//! So no host needs the programs that it takes, and what is in an archive is verified, compared and renamed file by file
//! as everything else. Must not know hosts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fleet_core::render::sanitized_line;
use fleet_tool::cli::Failure;
use tempfile::TempDir;

/// The ends of names that tell archives, and the flag by which tar decompresses each.
const TARS: [(&str, Option<&str>); 9] = [
    (".tar", None),
    (".tar.gz", Some("--gzip")),
    (".tgz", Some("--gzip")),
    (".tar.bz2", Some("--bzip2")),
    (".tbz2", Some("--bzip2")),
    (".tar.xz", Some("--xz")),
    (".txz", Some("--xz")),
    (".tar.zst", Some("--zstd")),
    (".tzst", Some("--zstd")),
];
const ZIP: &str = ".zip";

/// What is kept of owners in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// They are those in the archive, as far as we may.
    Archived,
    /// They are ours.
    Ours,
}

/// An archive that is unpacked in a folder, which is gone with this value.
#[derive(Debug)]
pub(crate) struct Unpacked(TempDir);

impl Unpacked {
    /// The folder as a source: what is in it.
    pub(crate) fn contents(&self) -> PathBuf {
        self.0.path().join("")
    }
}

enum Kind {
    Tar(Option<&'static str>),
    Zip,
}

/// Unpacks an archive. Its names are looked at before: none may lead out of the folder that it is unpacked into.
///
/// # Errors
/// When it is no archive that is known here, cannot be read, or holds a name that leads elsewhere.
pub(crate) fn unpack(archive: &Path, owners: Owners) -> Result<Unpacked, Failure> {
    let shown = archive.display();
    let Some(kind) = kind(archive) else {
        let ends: Vec<&str> = TARS.iter().map(|(end, _)| *end).chain([ZIP]).collect();
        let text = format!("--unpack takes archives, and {shown} is not named like one");
        return Err(Failure::usage_text(text).hint(format!("expected a name that ends in {}", ends.join(", "))));
    };
    let cannot = |reason: String| Failure::usage_text(format!("cannot unpack {shown}: {reason}"));
    let open = || File::open(archive).map_err(|error| cannot(error.to_string()));
    let folder = tempfile::Builder::new().prefix("pcp-").tempdir().map_err(|error| cannot(error.to_string()))?;
    let run = |command: &mut Command| run(command).map_err(cannot);
    match kind {
        Kind::Tar(flag) => {
            let listed = run(Command::new("tar").args(["-tf", "-"]).args(flag).stdin(open()?))?;
            check(&listed.stdout).map_err(cannot)?;
            let owners = match owners {
                Owners::Archived => "--numeric-owner",
                Owners::Ours => "--no-same-owner",
            };
            let mut tar = Command::new("tar");
            tar.args(["-xpf", "-"]).args(flag).args([owners, "-C"]).arg(folder.path()).stdin(open()?);
            run(&mut tar)?;
        }
        Kind::Zip => {
            let archive = fs::canonicalize(archive).map_err(|error| cannot(error.to_string()))?;
            check(&run(Command::new("unzip").arg("-Z1").arg(&archive))?.stdout).map_err(cannot)?;
            run(Command::new("unzip").arg("-q").arg(&archive).arg("-d").arg(folder.path()))?;
        }
    }
    Ok(Unpacked(folder))
}

fn kind(archive: &Path) -> Option<Kind> {
    let name = archive.file_name()?.as_bytes().to_ascii_lowercase();
    if name.ends_with(ZIP.as_bytes()) {
        return Some(Kind::Zip);
    }
    TARS.iter().find(|(end, _)| name.ends_with(end.as_bytes())).map(|(_, flag)| Kind::Tar(*flag))
}

fn run(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {program} on this machine"),
        _ => format!("{program}: {error}"),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.contains("Exiting with failure")).unwrap_or("it failed");
    Err(sanitized_line(last))
}

/// Looks at the names of an archive, one a line.
fn check(listed: &[u8]) -> Result<(), String> {
    let names = listed.split(|&b| b == b'\n').filter(|name| !name.is_empty());
    for name in names.map(OsStr::from_bytes) {
        let leads_out = |part: Component<'_>| matches!(part, Component::ParentDir | Component::RootDir);
        if Path::new(name).components().any(leads_out) {
            let name = sanitized_line(&name.to_string_lossy());
            return Err(format!("the name {name} in it leads out of the folder that it is unpacked into"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_the_ends_of_their_names() {
        for name in ["a.tar", "x/a.TAR.GZ", "a.tgz", "a.tar.zst", "a.b.tar.xz", "a.tbz2", "a.zip"] {
            assert!(kind(Path::new(name)).is_some(), "{name}");
        }
        for name in ["a", "tar", "a.gz", "a.7z", "a.tar.lz4", "/"] {
            assert!(kind(Path::new(name)).is_none(), "{name}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for (listed, fine) in [
            ("a\nb/c\n./d\n", true),
            ("..a\n...\n", true),
            ("a\n../b\n", false),
            ("a/../b\n", false),
            ("/etc/passwd\n", false),
        ] {
            assert_eq!(check(listed.as_bytes()).is_ok(), fine, "{listed:?}");
        }
    }
}
