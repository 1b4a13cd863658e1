//! Pushes to a real `rsync --server`, judged by the real `rsync`: it must find nothing left to do.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

mod hostile;
mod push;
mod segments;
mod several;
mod tree;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::UNIX_EPOCH;

use fleet_rsync::codec::Codec;
use fleet_rsync::filter::{Excluded, Rules};
use fleet_rsync::flist::IoErrors;
use fleet_rsync::session::{Capabilities, Delete, Deleted, SessionError};
use fleet_rsync::wire::greeting::{Compression, GreetingError, WireClass};
use fleet_rsync::wire::mux::Message;
use push::Push;
use tempfile::TempDir;
use tree::{Chance, Naming, differences, fill, fill_plainly};

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        fs::create_dir(folder.path().join("destination")).unwrap();
        Self { folder }
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn destination(&self) -> PathBuf {
        self.folder.path().join("destination")
    }
}

/// What makes a new server speak as those of a class do.
fn as_class(class: WireClass) -> (Capabilities, &'static [&'static str]) {
    match class {
        WireClass::A => (Capabilities::ALL, &[]),
        WireClass::B => (Capabilities::WITHOUT_NAME_OF_ROOT, &["--protocol=31"]),
        WireClass::C => (Capabilities::WITHOUT_NEGOTIATION, &["--protocol=31"]),
        WireClass::D => (Capabilities::WITHOUT_SEED_ORDER, &["--protocol=30"]),
    }
}

#[test]
fn any_tree_gets_the_same_on_every_class_with_every_codec() {
    let md5: &[(&str, &str)] = &[("RSYNC_CHECKSUM_LIST", "md5")];
    let (mut wanted, mut literal_bytes) = (0, 0);
    let mut kinds = HashSet::new();
    for seed in 0..160 {
        let place = Place::new();
        fill(&place.source(), seed, 1);
        fill(&place.destination(), seed, 2);
        let (source, destination) = (place.source(), place.destination());
        let mut chance = Chance::new(seed);
        let class = WireClass::ALL[(seed % 4) as usize];
        let mut push = Push::new(&source, &destination);
        (push.arguments.capabilities, push.server) = as_class(class);
        push.arguments.fields.hard_links = true;
        push.arguments.fields.numeric_ids = chance.below(2) == 0;
        push.arguments.checksum = chance.below(3) == 0;
        push.arguments.whole_file = chance.below(5) == 0;
        let deletes = [Delete::Before, Delete::During, Delete::Delay, Delete::After];
        push.arguments.delete = Some(chance.one_of(&deletes));
        let fixed = [Codec::Zstd, Codec::Zlibx, Codec::Zlib].map(Compression::Fixed);
        push.arguments.compression = match chance.below(5) {
            0 | 1 => Compression::Off,
            2 => Compression::Negotiated,
            _ => chance.one_of(&fixed),
        };
        push.variables = if chance.below(3) == 0 { md5 } else { &[] };
        // Files that were not changed are not looked at, as in a stock run: only with the same time and size.
        push.arguments.forwarded = if push.arguments.checksum { vec![] } else { vec![b"-I".to_vec()] };
        let pushed = push.run();
        assert!(pushed.status.success(), "seed {seed}: {:?} {pushed:?}", push.arguments);
        assert_eq!(
            differences(&source, Naming::Contents, &destination),
            "",
            "seed {seed}: {:?} {pushed:?}",
            push.arguments
        );
        assert_eq!(pushed.failure, None, "seed {seed}");
        let agreed = pushed.agreed.unwrap();
        assert_eq!(agreed.class, class);
        kinds.insert((class, agreed.codec));
        wanted += pushed.wanted.len();
        literal_bytes += pushed.literal_bytes;
    }
    // Not all of the trees are empty, and not all is sent.
    println!("{wanted} files, {literal_bytes} literal bytes");
    assert!(wanted > 600, "{wanted} files");
    assert_eq!(kinds.len(), 4 * 4, "each class with each codec");
}

/// A source with a few files, and a destination with something else.
fn small() -> Place {
    let place = Place::new();
    fs::create_dir(place.source().join("folder")).unwrap();
    fs::write(place.source().join("a"), "first").unwrap();
    fs::write(place.source().join("folder/b"), "second".repeat(10_000)).unwrap();
    fs::create_dir(place.destination().join("old")).unwrap();
    fs::write(place.destination().join("old/file"), "to be deleted").unwrap();
    fs::write(place.destination().join("surplus"), "to be deleted").unwrap();
    place
}

#[test]
fn a_file_that_arrives_wrong_is_asked_for_again() {
    for class in WireClass::ALL {
        let place = small();
        fs::create_dir(place.destination().join("folder")).unwrap();
        fs::write(place.destination().join("folder/b"), "second".repeat(9_000)).unwrap();
        let (source, destination) = (place.source(), place.destination());
        let mut push = Push::new(&source, &destination);
        (push.arguments.capabilities, push.server) = as_class(class);
        push.arguments.delete = Some(Delete::During);
        push.spoil = true;
        let pushed = push.run();
        assert_eq!(pushed.wanted, ["a", "folder/b", "a", "folder/b"], "{pushed:?}");
        assert!(pushed.status.success(), "{pushed:?}");
        assert_eq!(differences(&source, Naming::Contents, &destination), "", "{pushed:?}");
    }
}

#[test]
fn what_is_deleted_is_told_and_counted() {
    for delete in [Delete::Before, Delete::During, Delete::Delay, Delete::After] {
        let place = small();
        let (source, destination) = (place.source(), place.destination());
        let mut push = Push::new(&source, &destination);
        push.arguments.delete = Some(delete);
        push.arguments.itemize = true;
        let pushed = push.run();
        assert!(pushed.status.success() && pushed.ended, "{pushed:?}");
        let mut deleted: Vec<_> = pushed.messages.iter().filter_map(deletion).collect();
        deleted.sort();
        let expected = [("old".to_owned(), true), ("old/file".to_owned(), false), ("surplus".to_owned(), false)];
        assert_eq!(deleted, expected, "{pushed:?}");
        assert_eq!(pushed.deleted, Some(Deleted { files: 2, folders: 1, ..Deleted::default() }), "{pushed:?}");
        assert_eq!(differences(&source, Naming::Contents, &destination), "");
    }
}

fn deletion(message: &Message) -> Option<(String, bool)> {
    match message {
        Message::Deleted { path, folder } => Some((String::from_utf8(path.to_vec()).unwrap(), *folder)),
        _ => None,
    }
}

#[test]
fn nothing_is_deleted_when_the_source_could_not_be_read() {
    for class in WireClass::ALL {
        for delete in [Delete::Before, Delete::During, Delete::Delay, Delete::After] {
            let place = small();
            let (source, destination) = (place.source(), place.destination());
            let mut push = Push::new(&source, &destination);
            (push.arguments.capabilities, push.server) = as_class(class);
            push.arguments.delete = Some(delete);
            push.errors = IoErrors::UNREADABLE;
            let pushed = push.run();
            assert!(pushed.ended, "{pushed:?}");
            assert_eq!(fs::read(destination.join("a")).unwrap(), b"first");
            assert!(destination.join("surplus").exists() && destination.join("old/file").exists(), "{pushed:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_sent_is_left_out() {
    // Of what vanished the server knows that it is not to be; of what cannot be read it does not.
    for (errors, status, deletes) in [(IoErrors::UNREADABLE, 23, false), (IoErrors::VANISHED, 24, true)] {
        for class in WireClass::ALL {
            let place = small();
            let (source, destination) = (place.source(), place.destination());
            let mut push = Push::new(&source, &destination);
            (push.arguments.capabilities, push.server) = as_class(class);
            push.arguments.delete = Some(Delete::After);
            push.lost = Some(("a", errors));
            let pushed = push.run();
            assert_eq!((pushed.status.code(), pushed.ended), (Some(status), true), "{pushed:?}");
            assert_eq!(pushed.wanted, ["a", "folder/b"], "{pushed:?}");
            assert!(!destination.join("a").exists() && destination.join("folder/b").exists());
            assert_eq!(destination.join("surplus").exists(), !deletes, "{pushed:?}");
        }
    }
}

#[test]
fn changes_are_told_as_rsync_tells_them() {
    let place = Place::new();
    let (source, destination) = (place.source(), place.destination());
    let script = place.folder.path().join("shell");
    fs::write(&script, "#!/bin/sh\nshift\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    for (name, old, new) in [("same", "x", "x"), ("longer", "x", "xy"), ("mode", "x", "x"), ("time", "x", "y")] {
        fs::write(source.join(name), new).unwrap();
        fs::write(destination.join(name), old).unwrap();
    }
    for folder in [&source, &destination] {
        for name in ["same", "mode"] {
            let file = fs::File::open(folder.join(name)).unwrap();
            file.set_modified(UNIX_EPOCH).unwrap();
        }
        symlink(folder.file_name().unwrap(), folder.join("link")).unwrap();
    }
    let file = fs::File::open(destination.join("time")).unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    fs::set_permissions(source.join("mode"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::create_dir(source.join("new")).unwrap();
    fs::write(source.join("new/file"), "x").unwrap();
    fs::hard_link(source.join("new/file"), source.join("new/hard")).unwrap();
    std::os::unix::fs::chown(source.join("new"), Some(12), Some(13)).unwrap();
    let stock = Command::new("rsync")
        .arg("-aHni")
        .arg("-e")
        .arg(&script)
        .arg(source.join(""))
        .arg(format!("host:{}", destination.display()))
        .output()
        .unwrap();
    assert!(stock.status.success(), "{stock:?}");
    let mut push = Push::new(&source, &destination);
    push.arguments.fields.hard_links = true;
    push.arguments.itemize = true;
    push.arguments.dry_run = true;
    let pushed = push.run();
    assert!(pushed.ended && pushed.status.success(), "{pushed:?}");
    let stock = String::from_utf8(stock.stdout).unwrap();
    // Where links point, and the slashes of folders, are the business of who shows them.
    let bare = |line: &str| {
        let end = line.find(" -> ").or(line.find(" => ")).unwrap_or(line.len());
        line[..end].trim_end_matches('/').to_owned()
    };
    let mut expected: Vec<String> = stock.lines().map(bare).collect();
    let mut changes = pushed.changes.clone();
    changes.sort();
    expected.sort();
    assert_eq!(changes, expected, "{pushed:?}");
}

#[test]
fn a_shell_that_prints_is_no_server_and_its_words_are_kept() {
    let place = small();
    let (source, destination) = (place.source(), place.destination());
    let mut push = Push::new(&source, &destination);
    push.program = &["sh", "-c", "echo Welcome to the host; exec rsync \"$@\"", "rsync"];
    let pushed = push.run();
    let Some(SessionError::Greeting(GreetingError::Noise(noise))) = &pushed.failure else { panic!("{pushed:?}") };
    assert!(noise.starts_with(b"Welcome"), "{pushed:?}");
}

#[test]
fn a_source_without_a_slash_behind_it_keeps_its_name() {
    for (source, left) in [("folder", "folder/old"), ("a", "old")] {
        for class in WireClass::ALL {
            let place = small();
            let (source, destination) = (place.source().join(source), place.destination());
            fs::create_dir(destination.join("folder")).unwrap();
            fs::write(destination.join("folder/old"), "to be deleted, if the folder is pushed").unwrap();
            let mut push = Push::new(&source, &destination);
            push.source.naming = Naming::Itself;
            (push.arguments.capabilities, push.server) = as_class(class);
            push.arguments.delete = Some(Delete::During);
            let pushed = push.run();
            assert!(pushed.status.success() && pushed.ended, "{pushed:?}");
            assert_eq!(differences(&source, Naming::Itself, &destination), "", "{pushed:?}");
            // Beside the source's name nothing is deleted, below it what is not in the source.
            assert!(destination.join("surplus").exists());
            assert_eq!(destination.join(left).exists(), left == "old");
        }
    }
}

#[test]
fn nothing_is_deleted_in_the_folders_that_lead_to_a_source() {
    for class in WireClass::ALL {
        let place = small();
        let (source, destination) = (place.source().join("folder/named"), place.destination());
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "x").unwrap();
        fs::create_dir_all(destination.join("folder/named")).unwrap();
        for path in ["folder/stays", "folder/named/goes"] {
            fs::write(destination.join(path), "not in the list").unwrap();
        }
        let mut push = Push::new(&source, &destination);
        push.source.naming = Naming::Relative;
        (push.arguments.capabilities, push.server) = as_class(class);
        push.arguments.relative = true;
        push.arguments.delete = Some(Delete::During);
        let pushed = push.run();
        assert!(pushed.status.success() && pushed.ended, "{pushed:?}");
        assert_eq!(differences(&source, Naming::Relative, &destination), "", "{pushed:?}");
        let is_there = |path: &str| destination.join(path).exists();
        let paths = ["surplus", "folder/stays", "folder/named/file", "folder/named/goes"];
        assert_eq!(paths.map(is_there), [true, true, true, false], "{pushed:?}");
    }
}

#[test]
fn what_rules_keep_and_what_they_let_be_deleted_is_what_rsync_keeps_and_deletes() {
    let cases: &[&[&str]] = &[
        &["- *.o"],
        &["- /tmp", "- c/"],
        &["+ */", "+ keep", "- *"],
        &["P keep"],
        &["H tmp"],
        &["S a", "S */", "H *"],
        &["R *.o", "- *.o"],
        &["-s tmp", "-r keep"],
        &["-! */"],
        &["-p tmp", "- a/**/b.o"],
        &[": .rules"],
        &[":- .rules", "- b.o"],
        &[":en- .rules"],
    ];
    for (number, rules) in cases.iter().enumerate() {
        for (seed, excluded) in
            [(1, Excluded::Kept), (2, Excluded::Kept), (3, Excluded::Deleted), (4, Excluded::Deleted)]
        {
            let place = Place::new();
            let (source, ours) = (place.source(), place.destination());
            let stock = place.folder.path().join("stock");
            fill_plainly(&source, seed * 100 + number as u64);
            for folder in [&ours, &stock] {
                fill_plainly(folder, seed * 200 + number as u64);
            }
            let mut parsed = Rules::new();
            rules.iter().for_each(|rule| parsed.filter(rule.as_bytes(), &mut |_| unreachable!()).unwrap());
            let option = if excluded == Excluded::Kept { "--delete" } else { "--delete-excluded" };
            let output = Command::new("rsync")
                .args(["-aI", "--delete-during", option])
                .args(rules.iter().map(|rule| format!("--filter={rule}")))
                .args([source.join(""), stock.join("")])
                .output()
                .unwrap();
            let mut push = Push::new(&source, &ours);
            push.source.rules = &parsed;
            push.excluded = excluded;
            push.arguments.delete = Some(Delete::During);
            push.arguments.forwarded = vec![b"-I".to_vec()];
            if excluded == Excluded::Deleted {
                push.arguments.forwarded.push(option.into());
            }
            let pushed = push.run();
            // A file that stays, as a rule says, may be in the way of another: that is an error for both.
            assert_eq!(pushed.status.code(), output.status.code(), "{rules:?} {pushed:?} {output:?}");
            assert!(pushed.ended, "{rules:?} {pushed:?}");
            let output =
                Command::new("rsync").args(["-rnic", "--delete"]).args([stock.join(""), ours.join("")]).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "", "{rules:?} {excluded:?} {pushed:?}");
        }
    }
}

#[test]
fn a_list_of_many_frames_arrives() {
    let place = Place::new();
    let (source, destination) = (place.source(), place.destination());
    for number in 0..3000 {
        let folder = source.join(format!("{}{}", "folder".repeat(20), number % 7));
        fs::create_dir_all(&folder).unwrap();
        // The number first, so that no name begins as the one before.
        fs::write(folder.join(format!("{:04}{}", number, "x".repeat(200))), b"").unwrap();
    }
    let pushed = Push::new(&source, &destination).run();
    assert!(pushed.status.success() && pushed.ended, "{pushed:?}");
    assert_eq!(differences(&source, Naming::Contents, &destination), "");
    let again = Push::new(&source, &destination).run();
    assert!(again.status.success() && again.wanted.is_empty(), "{again:?}");
}

#[test]
fn equal_old_files_have_equal_signatures_and_are_sent_the_same_bytes() {
    for class in WireClass::ALL {
        let place = Place::new();
        let source = place.source();
        fs::write(source.join("file"), "new".repeat(100_000)).unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            let destination = place.folder.path().join(name);
            fs::create_dir(&destination).unwrap();
            let old = destination.join("file");
            fs::write(&old, "old and new".repeat(30_000)).unwrap();
            // Made so soon behind the source, one of them could have its times.
            for path in [&old, &destination] {
                fs::File::open(path).unwrap().set_modified(UNIX_EPOCH).unwrap();
            }
            let mut push = Push::new(&source, &destination);
            (push.arguments.capabilities, push.server) = as_class(class);
            push.run()
        });
        assert!(one.status.success() && one.signatures.len() == 1, "{one:?}");
        assert_eq!(one.signatures, other.signatures);
        assert_eq!(one.data(), other.data());
    }
}

#[test]
fn a_file_that_is_overwritten_is_asked_for_once() {
    for class in WireClass::ALL {
        let place = Place::new();
        let (source, destination) = (place.source(), place.destination());
        let line = |number: usize| format!("{number:07}\n").into_bytes();
        let old: Vec<u8> = (0..50_000).flat_map(line).collect();
        fs::write(destination.join("file"), &old).unwrap();
        let half = old.len() / 2;
        fs::write(source.join("file"), [b"x", &old[half..], &old[..half], &old[..1000]].concat()).unwrap();
        let mut push = Push::new(&source, &destination);
        (push.arguments.capabilities, push.server) = as_class(class);
        push.arguments.in_place = true;
        let pushed = push.run();
        assert_eq!((&pushed.wanted[..], pushed.status.success()), (&["file".to_owned()][..], true), "{pushed:?}");
        assert_eq!(differences(&source, Naming::Contents, &destination), "", "{pushed:?}");
        // The second half goes to the front, the first half has to be sent.
        assert!((half as u64..half as u64 + 10_000).contains(&pushed.literal_bytes), "{}", pushed.literal_bytes);
    }
}

#[test]
fn a_large_file_gets_only_what_it_lacks() {
    for class in WireClass::ALL {
        let place = Place::new();
        let (source, destination) = (place.source(), place.destination());
        let mut chance = Chance::new(7);
        let mut content: Vec<u8> = (0..8_000_000).map(|_| chance.below(256) as u8).collect();
        fs::write(destination.join("large"), &content).unwrap();
        for at in [0, 100_000, 3_000_000] {
            content.insert(at, b'!');
        }
        fs::write(source.join("large"), &content).unwrap();
        let mut push = Push::new(&source, &destination);
        (push.arguments.capabilities, push.server) = as_class(class);
        let pushed = push.run();
        assert!(pushed.status.success(), "{pushed:?}");
        assert_eq!(differences(&source, Naming::Contents, &destination), "");
        assert!(pushed.literal_bytes < 40_000, "{pushed:?}");
    }
}

#[test]
fn a_destination_that_cannot_be_made_is_the_servers_own_error() {
    let place = small();
    let (source, destination) = (place.source(), place.destination().join("not/there"));
    let pushed = Push::new(&source, &destination).run();
    assert_eq!((pushed.status.code(), pushed.ended), (Some(11), false), "{pushed:?}");
    let said = format!("{}{:?}", pushed.standard_error, pushed.messages);
    assert!(said.contains("not/there"), "{pushed:?}");
}
