//! Output files: one for each host and stream, with the exact bytes, written as they come.
//!
//! Works for more hosts than there may be open files: the one not written to for longest is closed, and opened again
//! when its turn comes. Must not know what is shown elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::RenderError;
use super::settings::{HostLabel, RenderSettings};
use crate::descriptors::is_out_of_descriptors;
use crate::event::{Event, HostEvent, HostIndex, Stream};

/// The permissions of files that the user asked for, before the umask.
const FILE_MODE: u32 = 0o666;
/// The permissions of files of a record.
const PRIVATE_MODE: u32 = 0o600;

/// The files of a run.
pub(super) struct Files {
    hosts: Vec<String>,
    /// The name of each host's file, the same in all folders.
    names: Vec<String>,
    folders: Vec<Folder>,
    open: OpenFiles,
}

/// A host and the place of a folder.
type FileKey = (HostIndex, usize);

/// The files of one stream.
struct Folder {
    stream: Stream,
    path: PathBuf,
    /// The permissions of new files, before the umask.
    mode: u32,
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
        let asked = [(Stream::Stdout, &settings.stdout_folder), (Stream::Stderr, &settings.stderr_folder)];
        let asked = asked.into_iter().filter_map(|(stream, path)| Some((stream, path.as_ref()?, FILE_MODE)));
        let recorded = settings.recorded.iter().flat_map(|folders| {
            [(Stream::Stdout, &folders.stdout, PRIVATE_MODE), (Stream::Stderr, &folders.stderr, PRIVATE_MODE)]
        });
        let mut folders: Vec<Folder> = Vec::new();
        for (stream, path, mode) in asked.chain(recorded) {
            let folder = Folder::make(stream, path, mode, hosts.len())?;
            if folders.iter().any(|other| other.path == folder.path) {
                return Err(RenderError::SameFolder { path: folder.path });
            }
            folders.push(folder);
        }
        Ok(Self {
            hosts: hosts.iter().map(|host| host.name.clone()).collect(),
            names: file_names(hosts),
            folders,
            open: OpenFiles { files: Vec::new(), limit: settings.limits.open_files.max(1) },
        })
    }

    pub(super) fn event(&mut self, event: &HostEvent) -> Result<(), RenderError> {
        let index = event.index;
        match &event.event {
            Event::Started => {
                let stdout = self.append((index, Stream::Stdout), b"");
                self.append((index, Stream::Stderr), b"").and(stdout)
            }
            Event::Output { stream, bytes } => self.append((index, *stream), bytes),
            Event::Retry(retry) => {
                let mut all = Ok(());
                for folder in 0..self.folders.len() {
                    let aside = self.set_aside((index, folder), retry.attempt - 1);
                    all = all.and(aside);
                }
                all
            }
            Event::Finished(_) => {
                (0..self.folders.len()).for_each(|folder| self.open.close((index, folder)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives what a host sent in an attempt that failed a file of its own, `web01.attempt1`, and starts the host's anew.
    fn set_aside(&mut self, key: FileKey, attempt: u32) -> Result<(), RenderError> {
        self.open.close(key);
        let folder = &mut self.folders[key.1];
        if folder.files[key.0] != FileState::Whole {
            return Ok(());
        }
        folder.files[key.0] = FileState::New;
        let path = folder.path.join(&self.names[key.0]);
        let mut aside = format!("{}.attempt{attempt}", self.names[key.0]);
        while self.names.contains(&aside) {
            aside.push_str(".0");
        }
        let is_empty = path.metadata().is_ok_and(|metadata| metadata.len() == 0);
        match if is_empty { Ok(()) } else { fs::rename(&path, path.with_file_name(aside)) } {
            Ok(()) => self.append_to(key, b""),
            Err(source) => self.give_up(key, path, source),
        }
    }

    fn give_up(&mut self, key: FileKey, path: PathBuf, source: io::Error) -> Result<(), RenderError> {
        self.folders[key.1].files[key.0] = FileState::Incomplete(source.to_string());
        self.open.close(key);
        Err(RenderError::File { host: self.hosts[key.0].clone(), path, source })
    }

    /// The hosts with incomplete files by the reason, which names the folder.
    pub(super) fn incomplete(&self) -> BTreeMap<String, Vec<HostIndex>> {
        let mut hosts: BTreeMap<String, Vec<HostIndex>> = BTreeMap::new();
        for folder in &self.folders {
            for (index, state) in folder.files.iter().enumerate() {
                if let FileState::Incomplete(reason) = state {
                    hosts.entry(format!("{}: {reason}", folder.path.display())).or_default().push(index);
                }
            }
        }
        hosts
    }

    /// Appends to each file of the host and stream; the first error counts.
    fn append(&mut self, (index, stream): (HostIndex, Stream), bytes: &[u8]) -> Result<(), RenderError> {
        let mut all = Ok(());
        for place in 0..self.folders.len() {
            if self.folders[place].stream == stream {
                let written = self.append_to((index, place), bytes);
                all = all.and(written);
            }
        }
        all
    }

    fn append_to(&mut self, key: FileKey, bytes: &[u8]) -> Result<(), RenderError> {
        let Folder { path, mode, files, .. } = &mut self.folders[key.1];
        let state = &mut files[key.0];
        let path = path.join(&self.names[key.0]);
        let create = || OpenOptions::new().write(true).create(true).truncate(true).mode(*mode).open(&path);
        let written = match state {
            FileState::Incomplete(_) => return Ok(()),
            FileState::New => self.open.get(key, create),
            FileState::Whole => self.open.get(key, || OpenOptions::new().append(true).open(&path)),
        };
        match written.and_then(|file| file.write_all(bytes)) {
            Ok(()) => {
                *state = FileState::Whole;
                Ok(())
            }
            Err(source) => self.give_up(key, path, source),
        }
    }
}

impl Folder {
    fn make(stream: Stream, path: &Path, mode: u32, hosts: usize) -> Result<Self, RenderError> {
        let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
        let path = made.map_err(|source| RenderError::Folder { path: path.to_owned(), source })?;
        Ok(Self { stream, path, mode, files: vec![FileState::New; hosts] })
    }
}

/// The files that are open now, the one used last at the end.
struct OpenFiles {
    files: Vec<(FileKey, File)>,
    limit: usize,
}

impl OpenFiles {
    /// The open file of `key`, opened if need be, for which others may be closed.
    fn get(&mut self, key: FileKey, open: impl Fn() -> io::Result<File>) -> io::Result<&mut File> {
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

    fn close(&mut self, key: FileKey) {
        self.files.retain(|(other, _)| *other != key);
    }
}

/// A name for each host's file: the host as typed; where that was used before, with `.1`, `.2` and so on.
///
/// Names that differ only in case count as equal, because they are on some file systems.
#[must_use]
pub fn file_names(hosts: &[HostLabel]) -> Vec<String> {
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
    use super::super::settings::OutputFolders;
    use super::super::testing::{finished_ok, labels, output, retry, started};
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
    fn what_is_recorded_is_written_beside_what_was_asked_for_and_readable_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let settings = RenderSettings {
            stdout_folder: Some(path("out")),
            recorded: Some(OutputFolders { stdout: path("kept/stdout"), stderr: path("kept/stderr") }),
            ..RenderSettings::new("psh")
        };
        let mut files = Files::new(&settings, &labels(["web"])).unwrap();
        files.event(&started(0)).unwrap();
        files.event(&output(0, Stream::Stdout, b"said")).unwrap();
        files.event(&output(0, Stream::Stderr, b"cried")).unwrap();
        files.event(&finished_ok(0)).unwrap();
        for (name, expected) in [("out/web", "said"), ("kept/stdout/web", "said"), ("kept/stderr/web", "cried")] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), expected, "{name}");
        }
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("kept/stdout/web"), mode("kept/stderr/web")), (0o600, 0o600));
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

    #[test]
    fn what_an_attempt_that_failed_sent_is_kept_beside_that_of_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), &labels(["web", "web.attempt1", "quiet"]), 9);
        (0..3).for_each(|index| files.event(&started(index)).unwrap());
        for event in [
            output(0, Stream::Stdout, b"first"),
            retry(0, 2),
            retry(2, 2),
            output(0, Stream::Stdout, b"second"),
            retry(0, 3),
            output(0, Stream::Stdout, b"third"),
            output(1, Stream::Stdout, b"other"),
        ] {
            files.event(&event).unwrap();
        }
        let mut found: Vec<_> = fs::read_dir(folder.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
            .collect();
        found.sort();
        let expected = [
            ("quiet", ""),
            ("web", "third"),
            ("web.attempt1", "other"),
            ("web.attempt1.0", "first"),
            ("web.attempt2", "second"),
        ];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }
}
