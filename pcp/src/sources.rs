//! What is copied: the sources as typed, filled for each host, and read.
//!
//! Must not know where it goes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fleet_tool::cli::Failure;
use fleet_transfer::destination::{PathTemplate, Place, Sent};
use fleet_transfer::manifest::{Entry, EntryKind, Manifest, Selection};
use fleet_transfer::scan::{Gathered, HostSources, ScanSettings, Source, gather};
use tempfile::TempDir;

use crate::unpack::{Owners, Unpacked, unpack};

/// The source that is our standard input.
const STDIN: &str = "-";
/// What a file is called on its way that came from our standard input.
const STDIN_NAME: &str = "stdin";
/// The mode of such a file.
const STDIN_MODE: u32 = 0o644;

/// What is copied, as typed.
#[derive(Debug)]
pub(crate) enum Given {
    /// Files and folders.
    Paths(Vec<PathTemplate>),
    /// Our standard input, in a file without a name.
    Stdin(File),
    /// Texts that were made here.
    Made(Made),
}

/// A file that is made for each host, in place of one that lies here.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its name, where it goes into a folder: no path.
    pub name: OsString,
    /// Its permissions, unless others are asked for.
    pub mode: u32,
    /// The texts, each once.
    pub texts: Vec<Vec<u8>>,
    /// Which of the texts each host gets, by the number of the host.
    pub of_hosts: Vec<usize>,
}

/// What is copied, and what has to be kept until it is.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) gathered: Gathered,
    pub(crate) kept: Kept,
}

/// Files that are gone with this value.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    _stdin: Option<File>,
    unpacked: Vec<Unpacked>,
    _made: Option<TempDir>,
}

/// Whether sources are archives that are to be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archives {
    AsTheyAre,
    Unpacked(Owners),
}

impl Given {
    /// Reads what is typed. A name in which braces stand, and that is there, is that name.
    ///
    /// # Errors
    /// When a placeholder is unknown, or standard input is one of several sources or cannot be read.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        if paths.iter().any(|path| path.as_os_str() == STDIN) {
            if paths.len() > 1 {
                return Err(Failure::usage_text("standard input (-) is the only source, or none")
                    .hint("copy the others by another run; ./- is a file of that name"));
            }
            return spooled(io::stdin()).map(Self::Stdin).map_err(|error| Failure::ours(&error));
        }
        let read = |path: &PathBuf| {
            let braces = path.as_os_str().as_bytes().contains(&b'{');
            if braces && path.symlink_metadata().is_ok() {
                return Ok(PathTemplate::verbatim(path));
            }
            PathTemplate::parse(path.as_os_str()).map_err(|error| Failure::usage(&error))
        };
        Ok(Self::Paths(paths.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// Whether the address of a host is in a name.
    pub(crate) fn needs_address(&self) -> bool {
        matches!(self, Self::Paths(paths) if paths.iter().any(PathTemplate::needs_address))
    }

    /// Reads the sources for the hosts at `places`.
    ///
    /// # Errors
    /// When something cannot be copied at all.
    pub(crate) fn gather(
        self,
        places: &[Place<'_>],
        settings: &ScanSettings,
        archives: Archives,
    ) -> Result<Sources, Failure> {
        let paths = match self {
            Self::Stdin(file) => return from_stdin(file, places.len()),
            Self::Made(made) => return from_made(made, settings),
            Self::Paths(paths) => paths,
        };
        let mut sources = paths.iter().map(|path| filled(path, places)).collect::<Result<Vec<_>, _>>()?;
        let mut kept = Kept::default();
        if let Archives::Unpacked(owners) = archives {
            kept.unpacked = unpack_all(&mut sources, owners)?;
        }
        let gathered = gather(&sources, places.len(), settings).map_err(|error| Failure::usage(&error))?;
        Ok(Sources { gathered, kept })
    }
}

fn filled(path: &PathTemplate, places: &[Place<'_>]) -> Result<Source, Failure> {
    let fill =
        |place: &Place<'_>| path.fill(place).map_err(|error| Failure::usage_text(format!("{}: {error}", place.host)));
    match places.first() {
        Some(place) if !path.is_made_for_each() => Ok(Source::Same(fill(place)?)),
        _ => Ok(Source::Each(places.iter().map(fill).collect::<Result<_, _>>()?)),
    }
}

/// Puts what archives hold into their place, each unpacked once.
fn unpack_all(sources: &mut [Source], owners: Owners) -> Result<Vec<Unpacked>, Failure> {
    let mut unpacked = Vec::new();
    let mut known: HashMap<PathBuf, PathBuf> = HashMap::new();
    let paths = sources.iter_mut().flat_map(|source| match source {
        Source::Same(path) => std::slice::from_mut(path).iter_mut(),
        Source::Each(paths) => paths.iter_mut(),
    });
    for path in paths {
        if !known.contains_key(path) {
            let archive = unpack(path, owners)?;
            known.insert(path.clone(), archive.contents());
            unpacked.push(archive);
        }
        path.clone_from(&known[path]);
    }
    Ok(unpacked)
}

/// All of `input` in a file that has no name: nothing stays of it, however we end.
fn spooled(mut input: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut input, &mut file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// Each text in a file of its own, in a folder that only we can read; equal ones are one source.
fn from_made(made: Made, settings: &ScanSettings) -> Result<Sources, Failure> {
    let folder = tempfile::Builder::new().prefix("fleet-").tempdir().map_err(|error| Failure::ours(&error))?;
    let write = |number: usize, text: &[u8]| -> io::Result<PathBuf> {
        let place = folder.path().join(number.to_string());
        fs::create_dir(&place)?;
        let file = place.join(&made.name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(made.mode))?;
        Ok(file)
    };
    let files: io::Result<Vec<PathBuf>> =
        made.texts.iter().enumerate().map(|(number, text)| write(number, text)).collect();
    let files = files.map_err(|error| Failure::ours(&error))?;
    let paths: Vec<PathBuf> = made.of_hosts.iter().map(|&text| files[text].clone()).collect();
    let hosts = paths.len();
    let gathered = gather(&[Source::Each(paths)], hosts, settings).map_err(|error| Failure::usage(&error))?;
    Ok(Sources { gathered, kept: Kept { _made: Some(folder), ..Kept::default() } })
}

fn from_stdin(file: File, hosts: usize) -> Result<Sources, Failure> {
    let metadata = file.metadata().map_err(|error| Failure::ours(&error))?;
    let entry = Entry {
        path: STDIN_NAME.into(),
        source: Path::new("/dev/fd").join(file.as_raw_fd().to_string()),
        kind: EntryKind::File { len: metadata.len() },
        mode: STDIN_MODE,
        mtime: metadata.mtime(),
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    let manifest = Manifest { entries: vec![entry], problems: Vec::new() };
    let host = HostSources { selection: Selection::from(0..1), sent: Sent::OneFile, folders: Vec::new() };
    let kept = Kept { _stdin: Some(file), ..Kept::default() };
    Ok(Sources { gathered: Gathered { manifest, hosts: vec![host; hosts] }, kept })
}
