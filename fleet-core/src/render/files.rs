//! Output files: one for each host and stream, with the exact bytes, written as they come.
//!
//! Works for more hosts than there may be open files: the one not written to for longest is closed, and opened again
//! when its turn comes. Must not know what is shown elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::RenderError;
use super::assemble::StreamKey;
use super::settings::{HostLabel, RenderSettings};
use crate::descriptors::is_out_of_descriptors;
use crate::event::{Event, HostEvent, HostIndex, Stream};

/// The files of a run.
pub(super) struct Files {
    hosts: Vec<String>,
    /// The name of each host's file, the same in both folders.
    names: Vec<String>,
    stdout: Option<Folder>,
    stderr: Option<Folder>,
    open: OpenFiles,
}

/// The files of one stream.
struct Folder {
    path: PathBuf,
    files: Vec<FileState>,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileState {
    /// It is not there yet.
    New,
    /// It holds all that the host sent so far.
    Whole,
    /// It was given up, for this reason.
    Incomplete(String),
}

impl Files {
    /// Makes the folders. A host's files appear when the host starts; older ones of that name are replaced.
    pub(super) fn new(settings: &RenderSettings, hosts: &[HostLabel]) -> Result<Self, RenderError> {
        let folder = |path: &Option<PathBuf>| match path {
            Some(path) => Folder::make(path, hosts.len()).map(Some),
            None => Ok(None),
        };
        let files = Self {
            hosts: hosts.iter().map(|host| host.name.clone()).collect(),
            names: file_names(hosts),
            stdout: folder(&settings.stdout_folder)?,
            stderr: folder(&settings.stderr_folder)?,
            open: OpenFiles { files: Vec::new(), limit: settings.limits.open_files.max(1) },
        };
        match (&files.stdout, &files.stderr) {
            (Some(stdout), Some(stderr)) if stdout.path == stderr.path => {
                Err(RenderError::SameFolder { path: stdout.path.clone() })
            }
            _ => Ok(files),
        }
    }

    pub(super) fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        let index = event.index;
        match &event.event {
            Event::Started => {
                let stdout = self.append((index, Stream::Stdout), b"");
                self.append((index, Stream::Stderr), b"").and(stdout)
            }
            Event::Output { stream, bytes } => self.append((index, *stream), bytes),
            Event::Finished(_) => {
                self.open.close((index, Stream::Stdout));
                self.open.close((index, Stream::Stderr));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The hosts with incomplete files by the reason, which names the folder.
    pub(super) fn incomplete(&self) -> BTreeMap<String, Vec<HostIndex>> {
        let mut hosts: BTreeMap<String, Vec<HostIndex>> = BTreeMap::new();
        for folder in self.stdout.iter().chain(&self.stderr) {
            for (index, state) in folder.files.iter().enumerate() {
                if let FileState::Incomplete(reason) = state {
                    hosts.entry(format!("{}: {reason}", folder.path.display())).or_default().push(index);
                }
            }
        }
        hosts
    }

    fn append(&mut self, key: StreamKey, bytes: &[u8]) -> Result<(), RenderError> {
        let folder = match key.1 {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(Folder { path, files }) = folder else { return Ok(()) };
        let state = &mut files[key.0];
        let path = path.join(&self.names[key.0]);
        let written = match state {
            FileState::Incomplete(_) => return Ok(()),
            FileState::New => self.open.get(key, || File::create(&path)),
            FileState::Whole => self.open.get(key, || OpenOptions::new().append(true).open(&path)),
        };
        match written.and_then(|file| file.write_all(bytes)) {
            Ok(()) => {
                *state = FileState::Whole;
                Ok(())
            }
            Err(source) => {
                *state = FileState::Incomplete(source.to_string());
                self.open.close(key);
                Err(RenderError::File { host: self.hosts[key.0].clone(), path, source })
            }
        }
    }
}

impl Folder {
    fn make(path: &Path, hosts: usize) -> Result<Self, RenderError> {
        let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
        let path = made.map_err(|source| RenderError::Folder { path: path.to_owned(), source })?;
        Ok(Self { path, files: vec![FileState::New; hosts] })
    }
}

/// The files that are open now, the one used last at the end.
struct OpenFiles {
    files: Vec<(StreamKey, File)>,
    limit: usize,
}

impl OpenFiles {
    /// The open file of `key`, opened if need be, for which others may be closed.
    fn get(&mut self, key: StreamKey, open: impl Fn() -> io::Result<File>) -> io::Result<&mut File> {
        let file = match self.files.iter().rposition(|(other, _)| *other == key) {
            Some(at) => self.files.remove(at).1,
            None => self.open(open)?,
        };
        self.files.push((key, file));
        let last = self.files.len() - 1;
        Ok(&mut self.files[last].1)
    }

    fn open(&mut self, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
        if self.files.len() >= self.limit {
            self.files.remove(0);
        }
        loop {
            match open() {
                Err(error) if is_out_of_descriptors(&error) && !self.files.is_empty() => {
                    self.files.remove(0);
                }
                done => return done,
            }
        }
    }

    fn close(&mut self, key: StreamKey) {
        self.files.retain(|(other, _)| *other != key);
    }
}

/// A name for each host's file: the host as typed; where that was used before, with `.1`, `.2` and so on.
///
/// Names that differ only in case count as equal, because they are on some file systems.
fn file_names(hosts: &[HostLabel]) -> Vec<String> {
    let mut used = HashSet::new();
    let mut next = BTreeMap::new();
    // A host that is really called `web.1` keeps its name: the plain names are given out first.
    let plain: Vec<Option<String>> =
        hosts.iter().map(|host| Some(plain_name(&host.name)).filter(|name| used.insert(name.to_lowercase()))).collect();
    let mut numbered = |name: String| {
        let number: &mut usize = next.entry(name.to_lowercase()).or_default();
        loop {
            *number += 1;
            let candidate = format!("{name}.{number}");
            if used.insert(candidate.to_lowercase()) {
                return candidate;
            }
        }
    };
    let given = plain.into_iter().zip(hosts);
    given.map(|(plain, host)| plain.unwrap_or_else(|| numbered(plain_name(&host.name)))).collect()
}

/// The label as a file name that stays within its folder.
fn plain_name(label: &str) -> String {
    match label {
        "" | "." | ".." => format!("_{label}"),
        label => label.replace(['/', '\0'], "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finished_ok, labels, output, started};
    use super::*;

    fn files(folder: &Path, hosts: &[HostLabel], open_files: usize) -> Files {
        let mut settings = RenderSettings { stdout_folder: Some(folder.join("out")), ..RenderSettings::new("psh") };
        settings.limits.open_files = open_files;
        Files::new(&settings, hosts).unwrap()
    }

    #[test]
    fn files_are_named_as_pssh_names_them() {
        for (hosts, expected) in [
            (vec!["web01", "me@web01:2222", "::1"], vec!["web01", "me@web01:2222", "::1"]),
            (vec!["web", "web", "web"], vec!["web", "web.1", "web.2"]),
            (vec!["web", "web", "web.1"], vec!["web", "web.2", "web.1"]),
            (vec!["web", "WEB"], vec!["web", "WEB.1"]),
            (vec!["..", "../../etc/passwd"], vec!["_..", ".._.._etc_passwd"]),
        ] {
            assert_eq!(file_names(&labels(hosts)), expected);
        }
    }

    #[test]
    fn more_hosts_than_open_files_get_their_exact_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..50).map(|n| format!("web{n}")).collect();
        let hosts = labels(names.iter().map(String::as_str));
        let mut files = files(folder.path(), &hosts, 3);
        (0..50).for_each(|index| files.event(&started(index)).unwrap());
        for round in 0..4_u8 {
            for index in 0..50 {
                files.event(&output(index, Stream::Stdout, &[0xff, round, b'\n', index as u8])).unwrap();
                assert!(files.open.files.len() <= 3);
            }
        }
        for (index, name) in names.iter().enumerate() {
            let expected: Vec<u8> = (0..4).flat_map(|round| [0xff, round, b'\n', index as u8]).collect();
            assert_eq!(fs::read(folder.path().join("out").join(name)).unwrap(), expected);
        }
        (0..50).for_each(|index| files.event(&finished_ok(index)).unwrap());
        assert!(files.open.files.is_empty());
    }

    #[test]
    fn a_silent_host_has_an_empty_file_and_old_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/web");
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(&path, "from the last run").unwrap();
        let mut files = files(folder.path(), &labels(["web"]), 3);
        files.event(&started(0)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_full_disk_fails_each_file_once_and_the_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), &labels(["web1", "web2"]), 3);
        std::os::unix::fs::symlink("/dev/full", folder.path().join("out/web1")).unwrap();
        (0..2).for_each(|index| files.event(&started(index)).unwrap());
        let error = files.event(&output(0, Stream::Stdout, b"lost")).unwrap_err();
        assert!(matches!(&error, RenderError::File { host, source, .. }
            if host == "web1" && source.kind() == io::ErrorKind::StorageFull));
        assert!(error.to_string().contains("out/web1"), "{error}");
        files.event(&output(0, Stream::Stdout, b"lost too")).unwrap();
        files.event(&output(1, Stream::Stdout, b"kept")).unwrap();
        assert_eq!(fs::read(folder.path().join("out/web2")).unwrap(), b"kept");
        let incomplete = files.incomplete();
        assert_eq!(incomplete.values().collect::<Vec<_>>(), [&vec![0]]);
        assert!(incomplete.keys().all(|reason| reason.contains("No space left")), "{incomplete:?}");
    }

    #[test]
    fn a_folder_that_is_a_file_or_used_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let same = RenderSettings {
            stdout_folder: Some(path.clone()),
            stderr_folder: Some(folder.path().join("./x")),
            ..RenderSettings::new("psh")
        };
        assert!(matches!(Files::new(&same, &[]), Err(RenderError::SameFolder { .. })));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(Files::new(&same, &[]), Err(RenderError::Folder { .. })));
    }
}
