//! Copies that come into place.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicU64, Ordering};

use fleet_ssh::remote::{Attributes, Landing, MissingFolder, Replaced};
use fleet_transfer::sftp::push::{Flow, Verified};
use tokio_util::sync::CancellationToken;

use crate::host::{Disk, Host, Source, Wish, noise, push_by, tree};

/// All kinds of files, with all kinds of names.
fn everything() -> Source {
    let mut source = Source::new()
        .with("empty", 0o644, "")
        .with("one piece", 0o600, noise(32 * 1024))
        .with("one more", 0o444, noise(32 * 1024 + 1))
        .with("large", 0o644, noise(3_000_001))
        .with("-rf", 0o755, "#!/bin/sh\n")
        .with(OsStr::from_bytes(b"\xff\xfe *'\"\n$x"), 0o640, "odd")
        .with("folder/deep/deeper/file", 0o644, "deep")
        .folder("folder/closed", 0o500)
        .folder("nothing", 0o750)
        .symlink("link", "/no/such")
        .symlink("folder/up", "../empty");
    for number in 0..300 {
        source = source.with(format!("many/{number}"), 0o644, noise(number * 7));
    }
    source
}

#[tokio::test]
async fn all_that_is_sent_arrives_and_replaces_what_is_there() {
    let source = everything();
    fs::write(source.dir.path().join("folder/deep/x"), "x").unwrap();
    let manifest = source.manifest();
    for (options, verified) in
        [(&[][..], Verified::ByReading), (&["-P", "posix-rename,limits,statvfs,hardlink"][..], Verified::ByLength)]
    {
        let host = Host::new().of_user().with(options);
        let wish = Wish { verified, ..Wish::default() };
        assert!(host.pushes(&manifest, wish).await.is_empty());
        assert_eq!(host.tree(), tree(source.dir.path()), "{options:?}: new");
        for name in ["large", "many/7", "folder/deep/deeper/file"] {
            fs::write(host.home().join(name), "old").unwrap();
        }
        fs::remove_file(host.home().join("link")).unwrap();
        fs::write(host.home().join("other"), "stays").unwrap();
        host.pushes(&manifest, wish).await;
        assert_eq!(fs::read(host.home().join("other")).unwrap(), b"stays");
        fs::remove_file(host.home().join("other")).unwrap();
        assert_eq!(host.tree(), tree(source.dir.path()), "{options:?}: replaced");
    }
}

#[tokio::test]
async fn a_landing_is_a_folder_or_a_name() {
    let source = Source::new().with("file", 0o644, "new");
    let manifest = source.manifest();
    for (there, landing, missing, expected) in [
        (&[("to", None)][..], Landing::Folder(b"to"), MissingFolder::Refuse, "to/file"),
        (&[("to", None)][..], Landing::Name(b"to"), MissingFolder::Refuse, "to/file"),
        (&[("to", None)][..], Landing::Name(b"to/name"), MissingFolder::Refuse, "to/name"),
        (&[("to", Some("old"))][..], Landing::Name(b"to"), MissingFolder::Refuse, "to"),
        (&[][..], Landing::Name(b"-name"), MissingFolder::Refuse, "-name"),
        (&[][..], Landing::Folder(b"a/b/"), MissingFolder::Make, "a/b/file"),
        (&[][..], Landing::Name(b"a//b"), MissingFolder::Make, "a/b"),
    ] {
        let host = Host::new();
        host.has(there);
        host.pushes(&manifest, Wish { landing, missing, ..Wish::default() }).await;
        let files: Vec<String> =
            host.tree().into_iter().filter(|(_, told)| told.starts_with("file")).map(|(name, _)| name).collect();
        assert_eq!(files, [expected], "{landing:?}");
        assert_eq!(fs::read(host.home().join(expected)).unwrap(), b"new", "{landing:?}");
    }
    let host = Host::new();
    let absolute = host.home().join("file").display().to_string();
    host.pushes(&manifest, Wish { landing: Landing::Name(absolute.as_bytes()), ..Wish::default() }).await;
    assert_eq!(host.tree().len(), 1);
}

#[tokio::test]
async fn a_folder_that_is_there_keeps_its_mode_and_a_symlink_to_one_its_target() {
    let source = Source::new().with("kept/new", 0o644, "new").with("led/new", 0o644, "new").folder("kept", 0o755);
    let host = Host::new();
    host.has(&[("kept", None), ("real", None)]);
    fs::set_permissions(host.home().join("kept"), fs::Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::symlink("real", host.home().join("led")).unwrap();
    host.pushes(&source.manifest(), Wish::default()).await;
    let names: Vec<_> = host.tree().into_iter().map(|(name, told)| format!("{name} {}", &told[..10])).collect();
    assert_eq!(
        names,
        ["kept folder 711", "kept/new file 644 3", "led symlink re", "real folder 755", "real/new file 644 3"]
    );
}

#[tokio::test]
async fn times_owners_and_special_bits_are_kept_when_asked_for() {
    let source = Source::new().with("folder/file", 0o4755, "x").symlink("link", "x");
    let path = source.dir.path().join("folder/file");
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
    fs::File::open(&path).unwrap().set_times(old).unwrap();
    std::os::unix::fs::chown(&path, Some(1), Some(2)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    let host = Host::new();
    let told = || {
        let meta = host.home().join("folder/file").metadata().unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime() == 1_000_000_000)
    };
    host.pushes(&source.manifest(), Wish { attributes: Attributes::All, ..Wish::default() }).await;
    assert_eq!(told(), (0o4755, 1, 2, true));
    host.pushes(&source.manifest(), Wish::default()).await;
    assert_eq!(told(), (0o755, 0, 0, false));
    let owner = Some(":4".parse().unwrap());
    host.pushes(&source.manifest(), Wish { owner, ..Wish::default() }).await;
    assert_eq!(told(), (0o755, 0, 4, false));
    let link = host.home().join("link").symlink_metadata().unwrap();
    assert_eq!((link.uid(), link.gid()), (0, 4));
}

#[tokio::test]
async fn what_is_replaced_is_kept_as_a_backup_when_asked_for() {
    let source = Source::new().with("a", 0o644, "new").with("b", 0o644, "new").with("in/c", 0o644, "new");
    let manifest = source.manifest();
    for options in [&[][..], &["-P", "hardlink"][..], &["-P", "hardlink,posix-rename"][..]] {
        let host = Host::new().with(options);
        host.has(&[("a", Some("old")), ("a~", Some("older")), ("in", None), ("in/c", Some("old"))]);
        host.pushes(&manifest, Wish { replaced: Replaced::Kept, ..Wish::default() }).await;
        let read = |name: &str| fs::read_to_string(host.home().join(name)).unwrap();
        assert_eq!(["a", "a~", "b", "in/c", "in/c~"].map(read), ["new", "old", "new", "new", "old"], "{options:?}");
        assert_eq!(host.tree().len(), 6, "{options:?}: {:?}", host.tree());
    }
}

#[tokio::test]
async fn what_goes_to_another_disk_is_renamed_there() {
    let source = Source::new().with("a", 0o644, "new").with("disk/b", 0o644, "new").with("disk/in/c", 0o644, "new");
    let host = Host::new();
    host.has(&[("disk", None)]);
    let _disk = Disk::mount(&host.home().join("disk"), "size=1m");
    host.has(&[("disk/in", None), ("disk/b", Some("old"))]);
    host.pushes(&source.manifest(), Wish::default()).await;
    for name in ["a", "disk/b", "disk/in/c"] {
        assert_eq!(fs::read(host.home().join(name)).unwrap(), b"new", "{name}");
    }
    assert_eq!(host.tree().len(), 5, "{:?}", host.tree());
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_left_out_and_the_others_arrive() {
    let source = Source::new().with("a", 0o644, "a").with("changed", 0o644, noise(900_000)).with("z", 0o644, "z");
    let manifest = source.manifest();
    fs::write(source.dir.path().join("changed"), "shorter").unwrap();
    let host = Host::new();
    host.has(&[("changed", Some("old"))]);
    let left_out = host.pushes(&manifest, Wish { verified: Verified::ByReading, ..Wish::default() }).await;
    let told: Vec<String> = left_out.values().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].ends_with("/changed changed while it was read"), "{told:?}");
    let read = |name: &str| fs::read_to_string(host.home().join(name)).unwrap();
    assert_eq!(["a", "changed", "z"].map(read), ["a", "old", "z"]);
    assert_eq!(host.tree().len(), 3);
}

/// Counts bytes.
#[derive(Default)]
struct Counted {
    announced: AtomicU64,
    sent: AtomicU64,
}

impl Flow for Counted {
    async fn before(&self, bytes: u64) {
        self.announced.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn all_bytes_are_told_of_before_and_after_they_are_sent() {
    let source = Source::new().with("a", 0o644, noise(1_000_000)).with("b", 0o644, noise(10));
    let (host, flow, stop) = (Host::new(), Counted::default(), CancellationToken::new());
    let manifest = source.manifest();
    let pushed = host.ask(async |client| push_by(&client, &manifest, Wish::default(), &flow, &stop).await).await;
    assert!(matches!(pushed, Some(Ok(_))));
    assert_eq!((flow.announced.into_inner(), flow.sent.into_inner()), (1_000_010, 1_000_010));
}
