//! Scans of folders made for the purpose.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tempfile::TempDir;

use super::*;
use crate::destination::Sent;
use crate::filter::Action;
use crate::manifest::{EntryKind, ProblemKind};

/// A folder with files; names that end in a slash are folders, `a -> b` are symlinks.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        match name.split_once(" -> ") {
            Some((link, target)) => symlink(target, folder.path().join(link)).unwrap(),
            None if name.ends_with('/') => fs::create_dir_all(folder.path().join(name)).unwrap(),
            None => {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, name).unwrap();
            }
        }
    }
    folder
}

fn shown(entry: &Entry) -> String {
    let path = entry.path.display();
    match &entry.kind {
        EntryKind::File { .. } => path.to_string(),
        EntryKind::Folder => format!("{path}/"),
        EntryKind::Symlink { target } => format!("{path} -> {}", target.display()),
    }
}

fn paths(scanned: &Scanned) -> Vec<String> {
    scanned.entries.iter().map(shown).collect()
}

fn scanned(folder: &TempDir, source: &str, settings: &ScanSettings) -> Scanned {
    scan(&folder.path().join(source), settings).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn failure(folder: &TempDir, source: &str) -> String {
    let prefix = format!("{}/", folder.path().display());
    let error = scan(Path::new(&format!("{prefix}{source}")), &ScanSettings::default()).unwrap_err();
    error.to_string().replace(&prefix, "")
}

/// Runs `work` on a thread that may do only what modes allow, whoever we are.
fn without_privileges<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let unprivileged = || {
        let mut sets = capabilities(None).unwrap();
        let all_files = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        sets.effective -= all_files;
        sets.permitted -= all_files;
        set_capabilities(None, sets).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(unprivileged).join().unwrap())
}

#[test]
fn a_trailing_slash_is_what_is_in_the_folder() {
    let made = folder(&["conf/b/x", "conf/a", "one"]);
    for (source, expected, shape) in [
        ("conf", &["conf/", "conf/a", "conf/b/", "conf/b/x"][..], Shape::Folder),
        ("conf/", &["a", "b/", "b/x"], Shape::Contents),
        ("conf//", &["a", "b/", "b/x"], Shape::Contents),
        ("conf/.", &["a", "b/", "b/x"], Shape::Contents),
        ("conf/b/..", &["a", "b/", "b/x"], Shape::Contents),
        ("conf/b", &["b/", "b/x"], Shape::Folder),
        ("one", &["one"], Shape::File),
    ] {
        let scanned = scanned(&made, source, &ScanSettings::default());
        assert_eq!((paths(&scanned).as_slice(), scanned.shape), (expected.map_strings().as_slice(), shape), "{source}");
        for entry in &scanned.entries {
            assert!(fs::symlink_metadata(&entry.source).is_ok(), "{}", entry.source.display());
        }
    }
}

trait MapStrings {
    fn map_strings(&self) -> Vec<String>;
}

impl MapStrings for &[&str] {
    fn map_strings(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn an_entry_has_what_the_file_has() {
    let made = folder(&["f"]);
    let path = made.path().join("f");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    let file = fs::File::open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_999)).unwrap();
    let scanned = scanned(&made, "f", &ScanSettings::default());
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let expected = Entry {
        path: "f".into(),
        source: path,
        kind: EntryKind::File { len: 1 },
        mode: 0o4751,
        mtime: 1_700_000_000,
        uid: us.0,
        gid: us.1,
    };
    assert_eq!(scanned.entries, [expected]);
}

#[test]
fn names_are_any_bytes_in_the_order_of_their_bytes() {
    let made = folder(&["d/b", "d/a.x", "d/a/z", "d/B"]);
    let odd = [&b"\xff\xfe"[..], b"new\nline", b"-rf", b"*", b"quote'\""];
    for name in odd {
        fs::write(made.path().join("d").join(OsStr::from_bytes(name)), "").unwrap();
    }
    let scanned = scanned(&made, "d/", &ScanSettings::default());
    let names: Vec<Vec<u8>> = scanned.entries.iter().map(|e| e.path.clone().into_os_string().into_vec()).collect();
    let expected: [&[u8]; 10] =
        [b"*", b"-rf", b"B", b"a", b"a/z", b"a.x", b"b", b"new\nline", b"quote'\"", b"\xff\xfe"];
    assert_eq!(names, expected);
}

#[test]
fn symlinks_are_kept_or_followed() {
    let made = folder(&["d/f", "d/to_f -> f", "d/to_e -> ../e", "d/gone -> nowhere", "e/x", "top -> d"]);
    let followed = ScanSettings { links: Links::Followed, ..ScanSettings::default() };
    let kept = scanned(&made, "d/", &ScanSettings::default());
    assert_eq!(paths(&kept), ["f", "gone -> nowhere", "to_e -> ../e", "to_f -> f"]);
    assert_eq!(kept.problems, []);
    let through = scanned(&made, "d/", &followed);
    assert_eq!(paths(&through), ["f", "to_e/", "to_e/x", "to_f"]);
    let gone = Problem {
        path: made.path().join("d/gone"),
        kind: ProblemKind::Unreadable { reason: "no such file or directory".to_owned() },
    };
    assert_eq!(through.problems, [gone]);
    for (source, settings, expected, shape) in [
        ("top", &ScanSettings::default(), vec!["top -> d"], Shape::File),
        ("top", &followed, vec!["top/", "top/f", "top/to_e/", "top/to_e/x", "top/to_f"], Shape::Folder),
        ("top/", &ScanSettings::default(), vec!["f", "gone -> nowhere", "to_e -> ../e", "to_f -> f"], Shape::Contents),
    ] {
        let scanned = scanned(&made, source, settings);
        assert_eq!((paths(&scanned), scanned.shape), (expected.as_slice().map_strings(), shape), "{source}");
    }
}

#[test]
fn a_followed_symlink_that_leads_back_is_a_problem_and_no_endless_walk() {
    let made = folder(&["d/a/f", "d/a/up -> ..", "d/self -> .", "d/twice -> a"]);
    let followed = ScanSettings { links: Links::Followed, ..ScanSettings::default() };
    let scanned = scanned(&made, "d", &followed);
    assert_eq!(paths(&scanned), ["d/", "d/a/", "d/a/f", "d/twice/", "d/twice/f"]);
    let loops: Vec<_> = scanned.problems.iter().map(ToString::to_string).collect();
    let at = made.path().display();
    let expected =
        ["a/up", "self", "twice/up"].map(|name| format!("{at}/d/{name}: left out: this symlink leads back to {at}/d"));
    assert_eq!(loops, expected);
    assert!(scanned.problems.iter().all(|problem| problem.kind.is_failure()));
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_taken() {
    let made = folder(&["d/a", "d/closed/x", "d/secret", "d/z"]);
    for name in ["d/closed", "d/secret"] {
        fs::set_permissions(made.path().join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let scanned = without_privileges(|| scanned(&made, "d", &ScanSettings::default()));
    fs::set_permissions(made.path().join("d/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&scanned), ["d/", "d/a", "d/z"]);
    let problems: Vec<_> = scanned.problems.iter().map(ToString::to_string).collect();
    let at = made.path().display();
    assert_eq!(problems, ["closed", "secret"].map(|name| format!("{at}/d/{name}: cannot be read: permission denied")));
    assert!(scanned.problems.iter().all(|problem| problem.kind.is_failure()));
}

#[test]
fn sockets_and_their_like_are_left_out_and_mentioned() {
    let made = folder(&["d/f"]);
    let _socket = UnixListener::bind(made.path().join("d/s")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, made.path().join("d/p"), rustix::fs::Mode::RUSR).unwrap();
    let scanned = scanned(&made, "d", &ScanSettings::default());
    assert_eq!(paths(&scanned), ["d/", "d/f"]);
    let problems: Vec<_> =
        scanned.problems.iter().map(|problem| (problem.kind.to_string(), problem.kind.is_failure())).collect();
    assert_eq!(
        problems,
        ["fifo", "socket"].map(|what| (format!("left out: it is a {what}; expected a file, folder or symlink"), false))
    );
    let device = scan(Path::new("/dev/null"), &ScanSettings::default()).unwrap();
    assert_eq!((device.entries.len(), device.problems[0].kind.clone()), (0, ProblemKind::Special { what: "device" }));
}

#[test]
fn an_excluded_folder_is_not_walked() {
    let made = folder(&["d/cache/x", "d/a.tmp", "d/b", "d/e/cache"]);
    fs::set_permissions(made.path().join("d/cache"), fs::Permissions::from_mode(0o000)).unwrap();
    let filter = Filter::new([(Action::Exclude, "/d/cache/"), (Action::Exclude, "*.tmp")]).unwrap();
    let settings = ScanSettings { filter, ..ScanSettings::default() };
    let scanned = without_privileges(|| scanned(&made, "d", &settings));
    fs::set_permissions(made.path().join("d/cache"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&scanned), ["d/", "d/b", "d/e/", "d/e/cache"]);
    assert_eq!(scanned.problems, []);
}

#[test]
fn a_pattern_is_expanded_as_shells_do_it() {
    let made =
        folder(&["a.conf", "b.conf", ".c.conf", "d/x.conf", "e/x.txt", "f{1}", "star*", "starship", "l -> gone"]);
    for (pattern, expected) in [
        ("*.conf", vec!["a.conf", "b.conf"]),
        (".*.conf", vec![".c.conf"]),
        ("?.conf", vec!["a.conf", "b.conf"]),
        ("[b-z].conf", vec!["b.conf"]),
        ("*/x.*", vec!["x.conf", "x.txt"]),
        ("*/x.conf", vec!["x.conf"]),
        ("[de]/", vec!["x.conf", "x.txt"]),
        ("f{?}", vec!["f{1}"]),
        ("star*", vec!["star*"]),
        ("l*", vec!["l -> gone"]),
    ] {
        let scanned = scanned(&made, pattern, &ScanSettings::default());
        assert_eq!(paths(&scanned), expected, "{pattern}");
        assert_eq!(scanned.shape == Shape::Matches, pattern != "star*", "{pattern}");
    }
}

#[test]
fn a_source_that_cannot_be_copied_is_an_error() {
    let made = folder(&["f", "d/"]);
    for (source, message) in [
        ("gone", "cannot copy gone"),
        ("f/", "cannot copy f/"),
        ("*.x", "nothing matches *.x"),
        ("g*/", "nothing matches g*/"),
        ("[a", "unclosed character class; missing ']' in the pattern \"[a\"; expected *, ? or [a-c]"),
    ] {
        let error = failure(&made, source);
        assert!(error.starts_with(message), "{source}: {error}");
    }
    let error = scan(&made.path().join("gone"), &ScanSettings::default()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "No such file or directory (os error 2)");
}

fn gathered(folder: &TempDir, sources: &[Source], hosts: usize) -> Result<Gathered, ScanError> {
    let inside = |path: &PathBuf| PathBuf::from(format!("{}/{}", folder.path().display(), path.display()));
    let sources: Vec<Source> = sources
        .iter()
        .map(|source| match source {
            Source::Same(path) => Source::Same(inside(path)),
            Source::Each(paths) => Source::Each(paths.iter().map(inside).collect()),
        })
        .collect();
    gather(&sources, hosts, &ScanSettings::default())
}

fn same(path: &str) -> Source {
    Source::Same(path.into())
}

fn each(paths: &[&str]) -> Source {
    Source::Each(paths.iter().map(PathBuf::from).collect())
}

fn sent_to(gathered: &Gathered, host: usize) -> Vec<String> {
    gathered.hosts[host].selection.iter().map(|entry| shown(&gathered.manifest.entries[entry])).collect()
}

#[test]
fn several_sources_come_in_their_order_and_folders_of_one_name_become_one() {
    let made = folder(&["a/conf/x", "b/conf/y", "z"]);
    let all = gathered(&made, &[same("z"), same("b/conf"), same("a/conf")], 3).unwrap();
    for host in 0..3 {
        assert_eq!(sent_to(&all, host), ["z", "conf/", "conf/y", "conf/x"]);
        assert_eq!(all.hosts[host].sent, Sent::IntoFolder);
        let folders: Vec<_> =
            all.hosts[host].folders.iter().map(|path| path.strip_prefix(made.path()).unwrap()).collect();
        assert_eq!(folders, [Path::new("b/conf"), Path::new("a/conf")]);
    }
    assert_eq!(all.manifest.totals(&all.hosts[0].selection).files, 3);
}

#[test]
fn things_of_one_name_are_an_error_that_names_both() {
    let made = folder(&["a/x", "b/x", "c/x/", "d/e/x", "d/f/x"]);
    for (sources, path) in [
        (vec![same("a/x"), same("b/x")], "a/x and b/x would both become x"),
        (vec![same("a/"), same("b/")], "a/x and b/x would both become x"),
        (vec![same("a/x"), same("c/x")], "a/x and c/x would both become x"),
        (vec![same("d/*/x")], "d/e/x and d/f/x would both become x"),
        (vec![same("a/x"), each(&["d/e", "b/x"])], "a/x and b/x would both become x"),
        (vec![each(&["d/e", "b/x"]), same("a/x")], "a/x and b/x would both become x"),
        (vec![each(&["a/x", "d"]), each(&["b/x", "a/x"])], "a/x and b/x would both become x"),
    ] {
        let error = gathered(&made, &sources, 2).unwrap_err().to_string();
        let error = error.replace(&format!("{}/", made.path().display()), "");
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(words(&error), words(path), "{sources:?}");
    }
    let twice = gathered(&made, &[same("a/x"), same("a/x")], 1).unwrap();
    assert_eq!(sent_to(&twice, 0), ["x"], "the same thing twice is one");
}

#[test]
fn each_host_gets_its_own_and_what_is_for_all() {
    let made = folder(&["keys/1.pem", "keys/2.pem", "app/x", "own/app/y", "own2/app/"]);
    let own = each(&["keys/1.pem", "keys/2.pem", "keys/1.pem"]);
    let all = gathered(&made, &[same("app"), own, same("keys/")], 3);
    assert!(all.is_ok_and(|all| sent_to(&all, 0) == ["app/", "app/x", "1.pem", "2.pem"]), "the same file in two ways");
    let one = gathered(&made, &[each(&["keys/1.pem", "app", "keys/2.pem"])], 3).unwrap();
    let sent: BTreeMap<usize, _> = (0..3).map(|host| (host, (sent_to(&one, host), one.hosts[host].sent))).collect();
    assert_eq!(sent[&0], (vec!["1.pem".to_owned()], Sent::OneFile));
    assert_eq!(sent[&1], (vec!["app/".to_owned(), "app/x".to_owned()], Sent::IntoFolder));
    assert_eq!(sent[&2], (vec!["2.pem".to_owned()], Sent::OneFile));
    let merged = gathered(&made, &[each(&["own/app", "own2/app", "keys/1.pem"]), same("app")], 3).unwrap();
    assert_eq!(sent_to(&merged, 0), ["app/", "app/y", "app/x"]);
    assert_eq!(sent_to(&merged, 1), ["app/", "app/x"]);
    assert_eq!(sent_to(&merged, 2), ["1.pem", "app/", "app/x"]);
}
