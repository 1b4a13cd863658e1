//! The engine with real servers on pipes: each child process is a host.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use fleet_rsync::codec::Codec;
use fleet_rsync::session::Delete;
use fleet_rsync::sources::Named;
use fleet_rsync::wire::greeting::Compression;
use fleet_rsync::wire::mux::Severity;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

use super::*;
use crate::push::Uplink;

mod selection;
mod talking;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A source and hosts.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir(place.source()).unwrap();
        place
    }

    fn source(&self) -> PathBuf {
        self.0.path().join("source")
    }

    fn host(&self, number: usize) -> PathBuf {
        self.0.path().join(format!("host{number}"))
    }

    /// What is in the source goes to the hosts' own folders.
    fn plan(&self) -> SyncPlan {
        SyncPlan { itemize: true, ..SyncPlan::archive(plain(&[self.source().join("")])) }
    }

    fn differences(&self, number: usize) -> String {
        differences(&[self.source().join("")], &self.host(number))
    }
}

/// Sources by their names alone.
fn plain(sources: &[PathBuf]) -> Vec<Named> {
    sources.iter().map(|source| Named::plain(source.as_os_str().as_bytes()).unwrap()).collect()
}

fn differences(sources: &[PathBuf], destination: &Path) -> String {
    let output = std::process::Command::new("rsync")
        .args(["-aHnic", "--delete"])
        .args(sources)
        .arg(destination.join(""))
        .output()
        .expect("rsync is installed and in PATH");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The input of a server, and in how many pieces it came.
struct Input(tokio::sync::Mutex<ChildStdin>, AtomicUsize);

impl Uplink for Input {
    async fn send(&self, bytes: bytes::Bytes) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.lock().await.write_all(&bytes).await.is_ok()
    }

    async fn progress(&self, _: u64) {}
}

/// Brings all to one host, as a task would do it over a connection.
async fn drive(sync: Arc<Sync>, destination: PathBuf, variables: Vec<(&'static str, &'static str)>) -> Driven {
    drive_through(sync, destination, variables, Pass::Plan).await
}

async fn drive_through(
    sync: Arc<Sync>,
    destination: PathBuf,
    variables: Vec<(&'static str, &'static str)>,
    pass: Pass,
) -> Driven {
    let words = sync.words(destination.as_os_str().as_bytes(), pass);
    let mut child = Command::new("rsync")
        .args(words.iter().map(|word| OsStr::from_bytes(word)))
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("rsync is installed and in PATH");
    let input = Input(tokio::sync::Mutex::new(child.stdin.take().unwrap()), AtomicUsize::new(0));
    let (mut output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let conversation = Conversation::new(&sync, pass);
    let pieces = AtomicUsize::new(0);
    let feed = async {
        conversation.run(&input).await;
        pieces.store(input.1.load(Ordering::Relaxed), Ordering::Relaxed);
        drop(input);
    };
    let received = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(len @ 1..) = output.read(&mut buffer).await {
            conversation.received(bytes::Bytes::copy_from_slice(&buffer[..len])).await;
        }
    };
    let heard = async {
        let mut text = Vec::new();
        errors.read_to_end(&mut text).await.unwrap();
        conversation.heard(&text);
    };
    let work = async {
        let outputs = async { tokio::join!(received, heard) };
        let mut feed = Box::pin(feed);
        tokio::pin!(outputs);
        // A server that has ended takes the feed with it, as a command does.
        let status = tokio::select! {
            () = &mut feed => {
                drop(feed);
                outputs.await;
                child.wait().await.unwrap()
            }
            _ = &mut outputs => {
                drop(feed);
                child.wait().await.unwrap()
            }
        };
        status
    };
    let status = tokio::time::timeout(PATIENCE, work).await.expect("the server ends");
    let end = conversation.finish();
    let lines = end.changes.iter().map(|changed| String::from_utf8_lossy(&sync.line(changed)).into_owned()).collect();
    Driven { status, end, lines, pieces: pieces.into_inner() }
}

#[derive(Debug)]
struct Driven {
    status: ExitStatus,
    end: SyncEnd,
    lines: Vec<String>,
    /// In how many pieces all was sent, if it was.
    pieces: usize,
}

impl Driven {
    fn is_well(&self) {
        assert!(self.status.success() && self.end.complete && self.end.failure.is_none(), "{self:?}");
        let is_calm = self.end.said.iter().all(|said| said.severity == Severity::Info);
        assert!(self.end.standard_error.is_empty() && is_calm, "{self:?}");
    }
}

/// All hosts at once.
async fn drive_all(sync: &Arc<Sync>, destinations: Vec<PathBuf>) -> Vec<Driven> {
    let tasks: Vec<_> =
        destinations.into_iter().map(|at| tokio::spawn(drive(Arc::clone(sync), at, Vec::new()))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

/// Bytes that no codec makes smaller, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A few files of all kinds.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::create_dir(folder.join("a-b")).unwrap();
    fs::write(folder.join("a/large"), noise(1, 700_000)).unwrap();
    fs::write(folder.join("a/text"), "text ".repeat(50_000)).unwrap();
    fs::write(folder.join("a/b/empty"), "").unwrap();
    fs::write(folder.join("a-b/name\n\u{ff}"), "odd").unwrap();
    fs::set_permissions(folder.join("a/text"), Permissions::from_mode(0o600)).unwrap();
    symlink("nowhere", folder.join("link")).unwrap();
    File::open(folder.join("a/text")).unwrap().set_modified(UNIX_EPOCH + Duration::new(1_500_000_000, 5)).unwrap();
}

/// Old files of which much is as it was.
fn fill_as_it_was(folder: &Path) {
    fs::create_dir_all(folder.join("a")).unwrap();
    let mut old = noise(1, 700_000);
    old[300_000] ^= 1;
    old.truncate(600_000);
    fs::write(folder.join("a/large"), old).unwrap();
    fs::write(folder.join("a/text"), "text ".repeat(49_000)).unwrap();
    fs::write(folder.join("surplus"), "to be deleted").unwrap();
    for name in ["a/large", "a/text", "a", ""] {
        File::open(folder.join(name)).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
}

#[tokio::test]
async fn hosts_with_equal_old_files_share_one_list_and_one_delta_of_each_file() {
    for compression in
        [Compression::Off, Compression::Negotiated, Compression::Fixed(Codec::Zlib), Compression::Fixed(Codec::Zlibx)]
    {
        let place = Place::new();
        fill(&place.source());
        (0..4).for_each(|number| fill_as_it_was(&place.host(number)));
        let plan = SyncPlan { compression, delete: Some(Delete::During), ..place.plan() };
        let sync = Sync::prepare(plan).unwrap();
        let all = drive_all(&sync, (0..4).map(|number| place.host(number)).collect()).await;
        for (number, driven) in all.iter().enumerate() {
            driven.is_well();
            assert_eq!(place.differences(number), "", "{compression:?} {driven:?}");
            assert_eq!(driven.end.changes, all[0].end.changes);
            assert_eq!((driven.end.files_sent, driven.end.deleted), (4, 1), "{driven:?}");
            assert!(driven.end.literal_bytes < 200_000 && driven.end.matched_bytes > 700_000, "{driven:?}");
        }
        assert!(all[0].lines.contains(&"*deleting   surplus".to_owned()), "{:?}", all[0].lines);
        assert!(all[0].lines.contains(&"cL+++++++++ link -> nowhere".to_owned()), "{:?}", all[0].lines);
        let stats = sync.stats();
        assert_eq!((stats.lists, stats.deltas, stats.deltas_reused), (1, 4, 12), "{stats:?}");
        assert_eq!(stats.segments_reused % 4, 0, "{stats:?}");
        assert_eq!(stats.source_bytes, sync.summary().bytes, "each byte is read once: {stats:?}");
    }
}

#[tokio::test]
async fn a_host_that_has_all_is_sent_the_list_alone() {
    let place = Place::new();
    fill(&place.source());
    let sync = Sync::prepare(place.plan()).unwrap();
    drive_all(&sync, vec![place.host(0)]).await[0].is_well();
    let sync = Sync::prepare(SyncPlan { delete: Some(Delete::During), ..place.plan() }).unwrap();
    let again = &drive_all(&sync, vec![place.host(0)]).await[0];
    again.is_well();
    assert_eq!((again.lines.len(), again.end.changed, again.end.files_sent), (0, 0, 0), "{again:?}");
    assert_eq!((sync.stats().source_bytes, sync.stats().deltas), (0, 0));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let place = Place::new();
    fill(&place.source());
    fill_as_it_was(&place.host(0));
    let plan = SyncPlan { dry_run: true, delete: Some(Delete::During), ..place.plan() };
    let sync = Sync::prepare(plan.clone()).unwrap();
    let dry = &drive_all(&sync, vec![place.host(0)]).await[0];
    assert!(dry.status.success() && dry.end.complete, "{dry:?}");
    assert!(place.host(0).join("surplus").exists() && !place.host(0).join("link").exists());
    let sync = Sync::prepare(SyncPlan { dry_run: false, ..plan }).unwrap();
    let wet = &drive_all(&sync, vec![place.host(0)]).await[0];
    assert_eq!(dry.lines, wet.lines);
}

#[tokio::test]
async fn with_digests_each_file_is_read_once_for_all_hosts_and_only_what_differs_is_sent() {
    let place = Place::new();
    fill(&place.source());
    let sync = Sync::prepare(place.plan()).unwrap();
    drive_all(&sync, vec![place.host(0), place.host(1)]).await.iter().for_each(Driven::is_well);
    // The same time and size.
    for number in 0..2 {
        let at = place.host(number).join("a/text");
        let time = fs::metadata(&at).unwrap().modified().unwrap();
        fs::write(&at, "TEXT ".repeat(50_000)).unwrap();
        File::open(&at).unwrap().set_modified(time).unwrap();
    }
    let sync = Sync::prepare(SyncPlan { checksum: true, ..place.plan() }).unwrap();
    let all = drive_all(&sync, vec![place.host(0), place.host(1)]).await;
    for (number, driven) in all.iter().enumerate() {
        driven.is_well();
        assert_eq!(driven.lines, ["<fc........ a/text"], "{driven:?}");
        assert_eq!(place.differences(number), "");
    }
    let stats = sync.stats();
    assert_eq!((stats.lists, stats.deltas, stats.source_bytes), (1, 1, sync.summary().bytes + 250_000), "{stats:?}");
}

#[tokio::test]
async fn servers_of_other_digests_get_their_own_lists_and_deltas() {
    let place = Place::new();
    fill(&place.source());
    let sync = Sync::prepare(SyncPlan { checksum: true, ..place.plan() }).unwrap();
    let md5 = drive(Arc::clone(&sync), place.host(0), vec![("RSYNC_CHECKSUM_LIST", "md5")]).await;
    let other = drive(Arc::clone(&sync), place.host(1), Vec::new()).await;
    md5.is_well();
    other.is_well();
    assert_eq!((place.differences(0), place.differences(1)), Default::default());
    assert_eq!((sync.stats().lists, sync.stats().deltas), (2, 8));
}

#[tokio::test]
async fn a_large_file_goes_in_segments_and_is_searched_once() {
    let place = Place::new();
    let mut content = noise(2, 20_000_000);
    fs::write(place.source().join("large"), &content).unwrap();
    content[10_000_000] ^= 1;
    for number in [0, 1] {
        fs::create_dir(place.host(number)).unwrap();
        fs::write(place.host(number).join("large"), &content[..19_000_000]).unwrap();
    }
    fs::create_dir(place.host(2)).unwrap();
    let sync = Sync::prepare(SyncPlan { compression: Compression::Negotiated, ..place.plan() }).unwrap();
    let all = drive_all(&sync, (0..3).map(|number| place.host(number)).collect()).await;
    for (number, driven) in all.iter().enumerate() {
        driven.is_well();
        assert_eq!(place.differences(number), "");
    }
    assert_eq!((all[0].end.literal_bytes, all[2].end.literal_bytes), (all[1].end.literal_bytes, 20_000_000));
    assert_eq!((sync.stats().deltas, sync.stats().deltas_reused), (2, 1), "{:?}", sync.stats());
}

#[tokio::test]
async fn a_large_file_that_has_shrunk_is_sent_as_it_is_then() {
    let place = Place::new();
    let content = noise(3, 20_000_000);
    fs::write(place.source().join("large"), &content).unwrap();
    fs::create_dir(place.host(0)).unwrap();
    fs::write(place.host(0).join("large"), &content[5_000_000..]).unwrap();
    let sync = Sync::prepare(place.plan()).unwrap();
    File::options().write(true).open(place.source().join("large")).unwrap().set_len(12_000_000).unwrap();
    drive_all(&sync, vec![place.host(0)]).await[0].is_well();
    assert!(fs::read(place.host(0).join("large")).unwrap() == content[..12_000_000]);
}

#[tokio::test]
async fn a_large_new_file_is_read_once_also_when_little_of_it_is_kept() {
    for (memory_bytes, is_kept) in [(256 << 20, true), (1 << 20, false)] {
        let place = Place::new();
        fs::write(place.source().join("large"), noise(5, 20_000_000)).unwrap();
        let sync = Sync::prepare(SyncPlan { memory_bytes, ..place.plan() }).unwrap();
        for number in 0..2 {
            drive_all(&sync, vec![place.host(number)]).await[0].is_well();
            assert_eq!(place.differences(number), "");
        }
        let reads = if is_kept { 1 } else { 2 };
        assert_eq!(sync.stats().source_bytes, reads * 20_000_000, "{:?}", sync.stats());
    }
}

#[tokio::test]
async fn sources_without_a_slash_keep_their_names_and_several_are_one_list() {
    let place = Place::new();
    fill(&place.source());
    let second = place.0.path().join("second");
    fs::create_dir_all(second.join("a")).unwrap();
    fs::write(second.join("a/text"), "of the second").unwrap();
    fs::write(second.join("a/more"), "of the second").unwrap();
    fs::write(second.join("link"), "of the second").unwrap();
    let file = place.source().join("a/large");
    let cases: &[Vec<PathBuf>] = &[
        vec![place.source()],
        vec![file.clone()],
        vec![place.source().join("link")],
        vec![place.source().join("."), second.join("")],
        vec![second.clone(), place.source().join("a"), file, second.join("")],
    ];
    for (number, sources) in cases.iter().enumerate() {
        let sync = Sync::prepare(SyncPlan { sources: plain(sources), ..place.plan() }).unwrap();
        // A single file would be the name of the destination itself.
        fs::create_dir(place.host(number)).unwrap();
        let driven = &drive_all(&sync, vec![place.host(number)]).await[0];
        driven.is_well();
        assert_eq!(differences(sources, &place.host(number)), "", "{sources:?} {driven:?}");
        // A file that is in the list twice is read once all the same.
        assert!(sync.stats().source_bytes <= sync.summary().bytes, "{:?}", sync.stats());
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_is_gone_is_named_and_keeps_all_at_the_destination() {
    let place = Place::new();
    fill(&place.source());
    fill_as_it_was(&place.host(0));
    fill_as_it_was(&place.host(1));
    let plan = SyncPlan { delete: Some(Delete::After), ..place.plan() };
    let sync = Sync::prepare(plan).unwrap();
    // A folder where a file was is no file any more, as one that cannot be read; what is gone is merely gone.
    fs::remove_file(place.source().join("a/text")).unwrap();
    let gone = &drive_all(&sync, vec![place.host(0)]).await[0];
    assert_eq!((gone.status.code(), gone.end.complete), (Some(24), true), "{gone:?}");
    assert_eq!(gone.end.unsent[0].path, place.source().join("a/text"), "{gone:?}");
    assert!(!place.host(0).join("surplus").exists());
    symlink("text", place.source().join("a/text")).unwrap();
    let lost = &drive_all(&sync, vec![place.host(1)]).await[0];
    assert_eq!((lost.status.code(), lost.end.complete), (Some(23), true), "{lost:?}");
    assert!(place.host(1).join("surplus").exists(), "{lost:?}");
    assert_eq!(fs::read(place.host(1).join("a/large")).unwrap(), noise(1, 700_000));
}

#[tokio::test]
async fn what_is_no_server_is_shown() {
    let place = Place::new();
    fill(&place.source());
    let sync = Sync::prepare(place.plan()).unwrap();
    let conversation = Conversation::new(&sync, Pass::Plan);
    conversation.received(bytes::Bytes::from_static(b"Welcome to this host\n")).await;
    struct Nowhere;
    impl Uplink for Nowhere {
        async fn send(&self, _: bytes::Bytes) -> bool {
            true
        }
        async fn progress(&self, _: u64) {}
    }
    conversation.run(&Nowhere).await;
    conversation.received(bytes::Bytes::from_static(b"and more")).await;
    conversation.heard(b"rsync: not found\n");
    let end = conversation.finish();
    let failure = end.failure.unwrap().to_string();
    assert!(failure.contains("Welcome to this host"), "{failure}");
    assert_eq!((end.complete, &end.standard_error[..]), (false, &b"rsync: not found\n"[..]));
}

#[tokio::test]
async fn a_destination_that_cannot_be_made_is_the_servers_own_error() {
    let place = Place::new();
    fill(&place.source());
    let sync = Sync::prepare(place.plan()).unwrap();
    let driven = drive(Arc::clone(&sync), place.host(0).join("not/there"), Vec::new()).await;
    assert_eq!((driven.status.code(), driven.end.complete), (Some(11), false), "{driven:?}");
    assert_eq!(driven.end.failure, None);
    let said = format!("{}{:?}", String::from_utf8_lossy(&driven.end.standard_error), driven.end.said);
    assert!(said.contains("not/there"), "{driven:?}");
}

#[tokio::test]
async fn permissions_are_changed_as_rsync_changes_them() {
    for text in [
        "Dg+s,ug+w,Fo-w,+X",
        "F644,D711",
        "u=rwX,go=rX",
        "a-w",
        "go=",
        "+t",
        "D2770,Fug+x",
        "=r",
        "o+t,u-s",
        "+w",
        "-x",
        "a-X",
        "=w,Fu+s,Dg-X",
    ] {
        let place = Place::new();
        fill(&place.source());
        for (name, mode) in [("a", 0o777), ("a-b", 0o700), ("a/large", 0o4755), ("a/b/empty", 0)] {
            fs::set_permissions(place.source().join(name), Permissions::from_mode(mode)).unwrap();
        }
        let mut chmod = Chmod::default();
        chmod.add(text, 0o022).unwrap();
        let sync = Sync::prepare(SyncPlan { chmod: Some(chmod), ..place.plan() }).unwrap();
        drive_all(&sync, vec![place.host(0)]).await[0].is_well();
        let output = std::process::Command::new("sh")
            .args(["-c", "umask 022; exec rsync -ani --chmod=\"$1\" \"$2/\" \"$3/\"", "sh", text])
            .args([place.source(), place.host(0)])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{text}");
    }
    let mut chmod = Chmod::default();
    for text in ["", "q+x", "u", "u+q", "99", "77777", "u+x,,"] {
        assert!(chmod.add(text, 0).is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn a_rehearsal_counts_what_would_be_new_and_gone_and_changes_nothing() {
    let place = Place::new();
    fill(&place.source());
    fill_as_it_was(&place.host(0));
    let sync = Sync::prepare(SyncPlan { delete: Some(Delete::During), ..place.plan() }).unwrap();
    let seen = drive_through(Arc::clone(&sync), place.host(0), Vec::new(), Pass::Rehearsal).await;
    assert!(seen.status.success() && seen.end.complete && seen.lines.is_empty(), "{seen:?}");
    assert_eq!((seen.end.created, seen.end.deleted, seen.end.files_sent), (5, 1, 0), "{seen:?}");
    assert!(place.host(0).join("surplus").exists());
    let done = drive(Arc::clone(&sync), place.host(0), Vec::new()).await;
    done.is_well();
    assert_eq!((done.end.created, done.end.deleted), (5, 1), "{done:?}");
}

#[tokio::test]
async fn what_the_scan_could_not_read_is_named_and_nothing_is_deleted() {
    let place = Place::new();
    fill(&place.source());
    fill_as_it_was(&place.host(0));
    // A link to nothing, where links are to be followed.
    let plan = SyncPlan { copy_links: true, delete: Some(Delete::Before), ..place.plan() };
    let sync = Sync::prepare(plan).unwrap();
    let problems = sync.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((&problems[0].path, &*problems[0].reason), (&place.source().join("link"), "a symlink to nothing"));
    let driven = drive(Arc::clone(&sync), place.host(0), Vec::new()).await;
    assert!(driven.end.complete && driven.end.deleted == 0, "{driven:?}");
    assert!(place.host(0).join("surplus").exists());
    assert_eq!(fs::read(place.host(0).join("a/large")).unwrap(), noise(1, 700_000));
}
