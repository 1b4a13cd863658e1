//! Copies that come to nothing, and leave what was there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fleet_ssh::remote::{Landing, MissingFolder, RefusalKind, Replaced};
use fleet_transfer::sftp::push::{Flow, Unwatched, Verified};
use tokio_util::sync::CancellationToken;

use crate::host::{Disk, Host, Source, Wish, ask, noise, push_by};

#[tokio::test]
async fn what_is_in_the_way_is_told_and_nothing_changes() {
    let source = Source::new().with("a", 0o644, "new").with("folder/b", 0o644, "new");
    let manifest = source.manifest();
    let into = |landing| Wish { landing, ..Wish::default() };
    let kept = Wish { replaced: Replaced::Kept, ..Wish::default() };
    for (there, wish, expected) in [
        (&[("a", None)][..], Wish::default(), "in the way: a is a folder on the host, and a file would take its place"),
        (
            &[("folder", Some("old"))][..],
            Wish::default(),
            "in the way: folder is no folder on the host, and a folder would take its place",
        ),
        (
            &[("a", Some("old")), ("a~", None)][..],
            kept,
            "in the way: a~ is a folder on the host, and a file would take its place",
        ),
        (&[("to", Some("old"))][..], into(Landing::Folder(b"to")), "in the way: to is no folder"),
        (&[][..], into(Landing::Folder(b"to")), "the folder to is missing"),
        (&[][..], into(Landing::Folder(b"/no/such")), "the folder /no/such is missing"),
    ] {
        let host = Host::new();
        host.has(there);
        let before = host.tree();
        assert_eq!(host.refuses(&manifest, wish).await.to_string(), expected);
        assert_eq!(host.tree(), before, "{expected}");
    }
}

#[tokio::test]
async fn who_may_not_write_is_told_so() {
    let source = Source::new().with("a", 0o644, "new").with("folder/b", 0o644, "new");
    let manifest = source.manifest();
    let closed = |host: &Host, name: &str| {
        fs::set_permissions(host.home().join(name), fs::Permissions::from_mode(0o555)).unwrap();
    };
    let host = Host::new().of_user();
    host.has(&[("a", Some("old")), ("folder", None)]);
    closed(&host, "folder");
    let before = host.tree();
    let refusal = host.refuses(&manifest, Wish::default()).await;
    assert_eq!(refusal.to_string(), "not allowed: folder cannot be written to");
    assert_eq!(host.tree(), before);
    closed(&host, ".");
    let refusal = host.refuses(&manifest, Wish::default()).await;
    assert_eq!(refusal.kind, RefusalKind::Denied, "{refusal}");
    assert_eq!(host.tree(), before);
}

#[tokio::test]
async fn a_rename_that_fails_says_how_far_it_came() {
    let source = Source::new().with("a", 0o644, "new").with("others/b", 0o644, "new").with("others/c", 0o644, "new");
    let host = Host::new().of_user();
    host.has(&[("others", None)]);
    // Of another user, so that only the system knows.
    std::os::unix::fs::chown(host.home().join("others"), Some(0), Some(0)).unwrap();
    let refusal = host.refuses(&source.manifest(), Wish::default()).await;
    let expected = "half done: 1 of 3 files are in place, but not others/b others/c: permission denied";
    assert_eq!(refusal.to_string(), expected);
    assert_eq!(host.tree().into_keys().collect::<Vec<_>>(), ["a", "others"]);
}

#[tokio::test]
async fn a_full_disk_is_told_of_with_what_is_missing_and_is_left_as_it_was() {
    let source = Source::new().with("more", 0o644, noise(5_000_000)).with("old", 0o644, noise(5_000_000));
    let manifest = source.manifest();
    let host = Host::new();
    let _disk = Disk::mount(&host.home(), "size=4m");
    host.has(&[("old", Some("old"))]);
    let before = host.tree();
    let refusal = host.refuses(&manifest, Wish::default()).await;
    assert_eq!(refusal.to_string(), "not enough room: 10.0 MB needed, 4.2 MB free, 5.8 MB missing");
    assert_eq!(host.tree(), before, "before the first byte");
    let refusal = host.refuses(&manifest, Wish { announced: false, ..Wish::default() }).await;
    assert_eq!(refusal.to_string(), "not enough room: 0 B free, and more needed");
    assert_eq!(host.tree(), before, "while it comes");
}

#[tokio::test]
async fn folders_that_were_made_are_removed_when_nothing_is_copied() {
    let source = Source::new().with("a", 0o644, noise(5_000_000));
    let host = Host::new();
    let _disk = Disk::mount(&host.home(), "size=4m");
    let wish = Wish { landing: Landing::Folder(b"x/y"), missing: MissingFolder::Make, ..Wish::default() };
    assert_eq!(host.refuses(&source.manifest(), wish).await.kind, RefusalKind::NoRoom);
    assert_eq!(host.tree().len(), 0, "{:?}", host.tree());
}

#[tokio::test]
async fn a_read_only_server_is_told_of() {
    let source = Source::new().with("a", 0o644, "new");
    let host = Host::new().with(&["-R"]);
    let refusal = host.refuses(&source.manifest(), Wish::default()).await;
    assert_eq!(refusal.kind, RefusalKind::Denied, "{refusal}");
    assert_eq!(host.tree().len(), 0);
}

#[tokio::test]
async fn what_is_damaged_on_the_way_is_found_by_reading_it_back() {
    let damage = |bytes: Bytes| {
        const WRITE: u8 = 6;
        let mut bytes = bytes.to_vec();
        if bytes[4] == WRITE && bytes.len() > 20_000 {
            bytes[10_000] ^= 1;
        }
        bytes.into()
    };
    let source = Source::new().with("a", 0o644, noise(30_000)).with("b", 0o644, "b");
    let (manifest, stop) = (source.manifest(), CancellationToken::new());
    for (verified, is_found) in [(Verified::ByReading, true), (Verified::ByLength, false)] {
        let host = Host::new();
        let (child, mut up, down) = host.serve();
        up.change = damage;
        let wish = Wish { verified, ..Wish::default() };
        let pushed =
            ask(child, up, down, async |client| push_by(&client, &manifest, wish, &Unwatched, &stop).await).await;
        let refusal = pushed.unwrap().err().map(|refusal| refusal.to_string());
        let expected = "damaged on the way: one of 2 files, a and what follows it, is not what was sent";
        assert_eq!(refusal.as_deref(), is_found.then_some(expected));
        assert_eq!(host.tree().len(), if is_found { 0 } else { 2 });
    }
}

/// Stops the copy when so many bytes have been written.
struct StopAt<'a>(u64, &'a CancellationToken, std::sync::atomic::AtomicU64);

impl Flow for StopAt<'_> {
    fn sent(&self, bytes: u64) {
        let sent = self.2.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst) + bytes;
        if sent >= self.0 {
            self.1.cancel();
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_stopped_leaves_nothing() {
    let source = Source::new().with("a", 0o644, noise(5_000_000)).with("folder/b", 0o644, noise(1_000_000));
    let manifest = source.manifest();
    let host = Host::new();
    host.has(&[("a", Some("old"))]);
    let before = host.tree();
    let wish = Wish { landing: Landing::Folder(b"."), missing: MissingFolder::Make, ..Wish::default() };
    for limit in [0, 1, 1_000_000, 5_900_000] {
        let stop = CancellationToken::new();
        if limit == 0 {
            stop.cancel();
        }
        let flow = StopAt(limit, &stop, std::sync::atomic::AtomicU64::new(0));
        let pushed = host.ask(async |client| push_by(&client, &manifest, wish, &flow, &stop).await).await;
        assert!(pushed.is_none(), "{limit}: {pushed:?}");
        assert_eq!(host.tree(), before, "{limit}");
    }
}

#[tokio::test]
async fn what_copies_left_that_were_killed_is_removed_by_the_next() {
    let source = Source::new().with("a", 0o644, noise(2_000_000));
    let manifest = source.manifest();
    let host = Host::new();
    // Cut in the middle, with the server.
    let (mut child, up, down) = host.serve();
    let stop = CancellationToken::new();
    let flow = StopAt(500_000, &stop, std::sync::atomic::AtomicU64::new(0));
    let never = CancellationToken::new();
    let (client, mut driver) = fleet_transfer::sftp::connect(up, down);
    tokio::select! {
        _ = driver.drive() => panic!("it runs"),
        () = stop.cancelled() => {}
        _ = async {
            client.greet().await.unwrap();
            push_by(&client, &manifest, Wish::default(), &flow, &never).await
        } => panic!("it is slower than that"),
    }
    child.kill().await.unwrap();
    let left: Vec<String> = host.tree().into_keys().filter(|name| !name.contains('/')).collect();
    assert!(left.len() == 1 && left[0].starts_with(".fleet-copy-"), "{left:?}");
    // By a process of this machine that is gone: as this one, but born at another time.
    let (start, end) = left[0].split_once("-sftp-").unwrap();
    let (pid, rest) = end.split_once('-').unwrap();
    let (birth, machine) = rest.split_once('-').unwrap();
    let gone = format!("{start}-sftp-{pid}-{}-{machine}", birth.parse::<u64>().unwrap() + 1);
    let old = format!("{start}-sftp-{pid}-{birth}-elsewhere");
    let fresh = format!("{start}-sftp-{pid}-{birth}-elsewhere2");
    let others = [".fleet-copy-00-1-2@somewhere", ".fleet-copy-sftp-1-2-3", "plain"];
    for name in [&gone[..], &old, &fresh].into_iter().chain(others) {
        fs::create_dir(host.home().join(name)).unwrap();
        fs::write(host.home().join(name).join("alive"), "").unwrap();
        fs::create_dir(host.home().join(name).join("in")).unwrap();
        std::os::unix::fs::symlink("..", host.home().join(name).join("in/up")).unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    fs::File::options().write(true).open(host.home().join(&old).join("alive")).unwrap().set_modified(long_ago).unwrap();
    host.pushes(&manifest, Wish::default()).await;
    let mut found: Vec<String> = host.tree().into_keys().filter(|name| !name.contains('/')).collect();
    let mut expected = vec!["a".to_owned(), left[0].clone(), fresh];
    expected.extend(others.map(str::to_owned));
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "of ours that lives, of others, and young ones stay");
}

#[tokio::test]
async fn a_further_attempt_removes_what_the_first_has_left() {
    let source = Source::new().with("a", 0o644, "new");
    let (manifest, mark, stop) = (source.manifest(), crate::host::token(), CancellationToken::new());
    let host = Host::new();
    let selection = manifest.all();
    let cache = crate::host::cache(&manifest);
    let wanted = fleet_transfer::sftp::push::Push {
        manifest: &manifest,
        selection: &selection,
        source: &cache,
        landing: Landing::Folder(b"."),
        missing: MissingFolder::Refuse,
        needed_kib: None,
        attributes: Default::default(),
        owner: None,
        replaced: Replaced::Gone,
        verified: Verified::ByLength,
        mark: &mark,
    };
    // What it is called is known when a first copy is under way.
    let cut = CancellationToken::new();
    let flow = StopAt(1, &cut, std::sync::atomic::AtomicU64::new(0));
    let (_child, up, down) = host.serve();
    let (client, mut driver) = fleet_transfer::sftp::connect(up, down);
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        _ = driver.drive() => panic!("it runs"),
        _ = async {
            client.greet().await.unwrap();
            fleet_transfer::sftp::push::push(&client, &wanted, &flow, &stop).await
        } => panic!("it is stopped at the first byte"),
    }
    drop((client, driver));
    assert_eq!(host.tree().into_keys().filter(|name| !name.contains('/')).count(), 1);
    let pushed =
        host.ask(async |client| fleet_transfer::sftp::push::push(&client, &wanted, &Unwatched, &stop).await).await;
    assert!(matches!(pushed, Some(Ok(_))), "{pushed:?}");
    assert_eq!(host.tree().into_keys().collect::<Vec<_>>(), ["a"]);
}
