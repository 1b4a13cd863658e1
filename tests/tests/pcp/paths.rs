//! What goes where, under which name and with which mode.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use fleet_tests::accounts::{self, Throwaway};

use crate::world::{World, expected, ids};

/// For each command line, what is then on a host that had the folder `there` with a file in it.
#[test]
fn a_slash_behind_a_source_is_what_is_in_it_and_one_behind_the_destination_is_a_folder() {
    let cases: &[(&[&str], &str, &[&str])] = &[
        (&["a.txt"], "new", &["new"]),
        (&["a.txt"], "there", &["there/a.txt"]),
        (&["a.txt"], "there/", &["there/a.txt"]),
        (&["a.txt"], "there/b", &["there/b"]),
        (&["a.txt", "b.txt"], "there", &["there/a.txt", "there/b.txt"]),
        (&["conf"], "there", &["there/conf", "there/conf/deep", "there/conf/deep/y", "there/conf/x"]),
        (&["conf/"], "there", &["there/deep", "there/deep/y", "there/x"]),
        (&["conf/."], "there/", &["there/deep", "there/deep/y", "there/x"]),
        (&["conf/", "a.txt"], "there", &["there/a.txt", "there/deep", "there/deep/y", "there/x"]),
        (&["*.txt"], "there", &["there/a.txt", "there/b.txt"]),
        (&["conf/deep"], ".", &["deep", "deep/y"]),
        (&["--mkdirs", "a.txt"], "n/e/w", &["n", "n/e", "n/e/w"]),
        (&["--mkdirs", "conf/"], "n/e", &["n", "n/e", "n/e/deep", "n/e/deep/y", "n/e/x"]),
        (&["--exclude", "deep/", "conf"], "there", &["there/conf", "there/conf/x"]),
    ];
    let world = World::new(1);
    for name in ["a.txt", "b.txt", "conf/x", "conf/deep/y"] {
        world.file(name, name);
    }
    let hosts = world.on("web01");
    for (arguments, destination, names) in cases {
        let there = world.file_on("web01", "there/old", "old");
        world.copied(arguments.iter().copied().chain([world.each(destination).as_str()]));
        let tree = world.tree("web01");
        let found: Vec<_> = tree.keys().filter(|name| !["there", "there/old"].contains(&name.as_str())).collect();
        assert_eq!(found, *names, "{arguments:?} {destination}");
        assert_eq!(fs::read_to_string(there).unwrap(), "old");
        for name in fs::read_dir(&hosts).unwrap() {
            let path = name.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
}

#[test]
fn modes_symlinks_empty_folders_and_names_of_any_bytes_arrive() {
    let world = World::new(2);
    let names: [&[u8]; 6] =
        [b"-rf", b"it's \"x\" $HOME `id`", b"\xff\xfe", b"a\nb", b"* ?[]\\", "\u{e9} \u{4e16}".as_bytes()];
    for name in names {
        world.file(OsStr::from_bytes(&[b"tree/", name].concat()), name);
    }
    let script = world.file("tree/run", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).unwrap();
    fs::create_dir_all(world.env.work().join("tree/empty/er")).unwrap();
    fs::set_permissions(world.env.work().join("tree/empty"), fs::Permissions::from_mode(0o711)).unwrap();
    world.link("tree/link", "run");
    world.link("tree/dangling", "/no/such/file");
    let run = world.copied(["tree/", &world.each("")]);
    run.expect_stderr("web[01-02] (2): 7 files, 2 symlinks, ");
    let sent = crate::world::tree(&world.env.work().join("tree"));
    assert_eq!(world.tree("web01"), sent);
    assert_eq!(world.tree("web02"), sent);
}

#[test]
fn what_symlinks_lead_to_is_copied_when_asked_for() {
    let world = World::new(1);
    world.file("real", "content");
    world.file("tree/x", "x");
    world.link("tree/link", "../real");
    world.copied(["-L", "tree", &world.each("")]);
    let found = expected([("tree", "folder 755"), ("tree/link", "file 644 content"), ("tree/x", "file 644 x")]);
    assert_eq!(world.tree("web01"), found);
}

#[test]
fn placeholders_name_files_and_folders_of_each_host() {
    let world = World::new(3);
    for host in ["web01", "web02", "web03"] {
        world.file(format!("keys/{host}.pem"), format!("key of {host}"));
    }
    world.file("all", "all");
    world.copied(["keys/{host}.pem", "all", &world.each("")]);
    for host in ["web01", "web02", "web03"] {
        let key = fs::read_to_string(world.on(host).join(format!("{host}.pem"))).unwrap();
        assert_eq!((key, world.tree(host).len()), (format!("key of {host}"), 2));
    }
    world.copied(["keys/{host}.pem", &world.each("{index}of{count}")]);
    assert_eq!(fs::read_to_string(world.on("web02").join("1of3")).unwrap(), "key of web02");
    world.file("odd{name}", "braces");
    world.copied(["odd{name}", &world.each("")]);
    assert_eq!(fs::read_to_string(world.on("web01").join("odd{name}")).unwrap(), "braces");
    fs::remove_file(world.env.work().join("keys/web02.pem")).unwrap();
    world.pcp(["keys/{host}.pem", &world.each("x")]).finish().expect_code(2).expect_stderr("keys/web02.pem");
    assert!(!world.on("web01").join("x").exists());
}

#[test]
fn standard_input_becomes_a_file() {
    let world = World::new(2);
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    world.pcp(["-", &world.each("from stdin")]).stdin(bytes.clone()).finish().expect_code(0);
    assert!(fs::read(world.on("web01").join("from stdin")).unwrap() == bytes);
    assert!(fs::read(world.on("web02").join("from stdin")).unwrap() == bytes);
    fs::create_dir(world.on("web01").join("folder")).unwrap();
    let run = world.pcp(["-H", "web01", "-", &world.each("folder")]).stdin(bytes);
    run.finish().expect_code(5).expect_stderr("in the way");
}

#[test]
fn modes_and_owners_are_those_asked_for() {
    accounts::require_root("an account with sudo");
    // Not a login of root, whose start-up files are those of this machine.
    let account = Throwaway::with_shell("/bin/sh");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let world = World::with(1, |sshd| sshd.user(account.name()));
    world.file("tree/x", "x");
    let other = accounts::plain();
    let arguments = ["--sudo", "--mode", "640", "--owner", &format!("{other}:{other}"), "tree", &world.each("")];
    world.copied(arguments);
    let (uid, gid) = ids(other);
    for (name, mode) in [("tree", 0o750), ("tree/x", 0o640)] {
        let meta = world.on("web01").join(name).metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, uid, gid), "{name}");
    }
    let source = world.file("old", "x");
    fs::File::options().write(true).open(&source).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o4711)).unwrap();
    world.copied(["--sudo", "--preserve", "old", &world.each("")]);
    let meta = world.on("web01").join("old").metadata().unwrap();
    assert_eq!((meta.mtime(), meta.mode() & 0o7777), (0, 0o4711));
}
