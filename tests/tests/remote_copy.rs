//! Streams of files received by real shells with the tar of GNU, busybox and libarchive: what arrives is what was sent,
//! and whatever goes wrong leaves what was there.
//!
//! No SSH here: as sshd does, the command line is given to a shell, and the stream to its standard input.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use fleet_ssh::remote::{
    Attributes, CopyIn, CopyRefusal, Landing, MissingFolder, Packing, RefusalKind, Replaced, Token, Verify,
    copy_in_command, copy_is_done, copy_look,
};
use fleet_tests::{PATIENCE, accounts, program, run_to_end};
use fleet_transfer::archive::padding;
use fleet_transfer::digest::{Digest, Digester};
use fleet_transfer::manifest::{Entry, EntryKind, Manifest, Selection};
use fleet_transfer::push::{Batch, Commit, Look, There, batches, header, needed_kib};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// What the host's `/bin/sh` may be.
const SHELLS: [&str; 6] = ["dash", "bash", "busybox", "mksh", "ksh", "zsh"];
const TARS: [&str; 3] = ["tar", "busybox", "bsdtar"];

/// What is sent: entries, and the contents of files.
#[derive(Default)]
struct Sent {
    entries: Vec<Entry>,
    contents: Vec<Vec<u8>>,
    dropped: BTreeSet<usize>,
    same: Selection,
    attributes: Attributes,
    verify: Verify,
}

impl Sent {
    fn with(mut self, path: &[u8], mode: u32, kind: EntryKind, content: &[u8]) -> Self {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        self.entries.push(Entry { path, source: PathBuf::new(), kind, mode, mtime: 1_000_000_000, uid: 1, gid: 2 });
        self.contents.push(content.to_vec());
        self
    }

    fn file(self, path: impl AsRef<[u8]>, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.with(path.as_ref(), mode, EntryKind::File { len: content.len() as u64 }, content)
    }

    fn folder(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        self.with(path.as_ref(), mode, EntryKind::Folder, b"")
    }

    fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<OsStr>) -> Self {
        self.with(path.as_ref(), 0o777, EntryKind::Symlink { target: target.as_ref().into() }, b"")
    }

    fn stream(&self) -> Vec<u8> {
        let mut stream = Vec::new();
        let sent = self.entries.iter().zip(&self.contents).enumerate().filter(|(at, _)| !self.same.has(*at));
        for (_, (entry, content)) in sent {
            stream.extend(header(entry, self.attributes));
            stream.extend_from_slice(content);
            stream.extend_from_slice(padding(content.len() as u64));
        }
        let is_verified = |at: usize| {
            let is_kept = !self.dropped.contains(&at) && !self.same.has(at);
            is_kept && matches!(self.entries[at].kind, EntryKind::File { .. })
        };
        let digest = |entries: std::ops::Range<usize>| {
            let mut digester = Digester::new(self.verify);
            for at in entries.clone().filter(|&at| is_verified(at)) {
                digester.start_file();
                digester.update(&self.contents[at]);
            }
            Batch { entries, digest: digester.finish() }
        };
        let batches: Vec<Batch> = batches(&self.entries).into_iter().map(digest).collect();
        let (entries, dropped, attributes) = (&self.entries, &self.dropped, self.attributes);
        let (selection, same) = (&Selection::from(0..entries.len()).without(self.same.iter()), &self.same);
        stream.extend(
            Commit { entries, selection, batches: &batches, dropped, same, attributes, verify: self.verify }.to_bytes(),
        );
        stream
    }

    /// What [`tree`] tells of a folder that holds nothing else.
    fn tree(&self) -> Tree {
        let told = |(entry, content): (&Entry, &Vec<u8>)| {
            let mode = entry.mode & 0o777;
            let told = match &entry.kind {
                EntryKind::File { .. } => format!("file {mode:o} {}", content.escape_ascii()),
                EntryKind::Folder => format!("folder {mode:o}"),
                EntryKind::Symlink { target } => format!("symlink {}", target.as_os_str().as_bytes().escape_ascii()),
            };
            (entry.path.as_os_str().as_bytes().escape_ascii().to_string(), told)
        };
        self.entries.iter().zip(&self.contents).map(told).collect()
    }
}

/// What is in a folder: for each name what it is.
type Tree = BTreeMap<String, String>;

fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.mode() & 0o7777;
            let told = if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {mode:o}")
            } else if meta.is_symlink() {
                format!("symlink {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
            } else if !meta.is_file() {
                "something else".to_owned()
            } else {
                format!("file {mode:o} {}", fs::read(&path).unwrap().escape_ascii())
            };
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            tree.insert(name, told);
        }
    }
    tree
}

/// A file with its content, or a folder.
type OldFile<'a> = (&'a str, Option<&'a str>);

/// A host: a shell, the programs in its `PATH`, and a folder of the login.
struct Host {
    dir: TempDir,
    shell: PathBuf,
    path: OsString,
    user: Option<u32>,
}

impl Host {
    fn new(shell: &str, tar: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-copy-test-").tempdir().unwrap();
        for folder in [dir.path().to_owned(), dir.path().join("bin"), dir.path().join("home")] {
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        }
        let bin = dir.path().join("bin");
        // Shells and busybox go by the name that they are called by.
        let called = bin.join(if shell == "busybox" { "ash" } else { "sh" });
        symlink(program(shell), &called).unwrap();
        symlink(program(tar), bin.join("tar")).unwrap();
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        Self { dir, shell: called, path, user: None }
    }

    fn usual() -> Self {
        Self::new("dash", "tar")
    }

    /// A host that has these programs of ours and no others.
    fn with_only(programs: &[&str]) -> Self {
        let mut host = Self::usual();
        let bin = host.dir.path().join("only");
        fs::create_dir(&bin).unwrap();
        for name in programs {
            symlink(program(name), bin.join(name)).unwrap();
        }
        host.path = bin.into_os_string();
        host
    }

    /// A program that is found before that of the machine: a shell script, in which REAL is the latter's path.
    fn replace(&self, name: &str, script: &str) {
        let path = self.dir.path().join("bin").join(name);
        let script = script.replace("REAL", &program(name).display().to_string());
        let _none = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Makes files and folders (those without content) in the folder of the login.
    fn has(&self, files: &[OldFile<'_>]) {
        for (name, content) in files {
            let path = self.home().join(name);
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::create_dir(path).unwrap(),
            }
        }
    }

    fn start(&self, copy: &CopyIn<'_>, mark: &Token) -> Child {
        let line = String::from_utf8(copy_in_command(copy, mark).unwrap()).unwrap();
        let line = line.replace("' /bin/sh -c '", &format!("' {} -c '", self.shell.display()));
        assert!(line.contains(&self.shell.display().to_string()), "{line}");
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line).current_dir(self.home()).process_group(0);
        // What would mislead the programs of the host.
        command.env_clear().envs([("CDPATH", "/"), ("TAR_OPTIONS", "--none"), ("GZIP", "--none"), ("elsewhere", "x")]);
        command.env("PATH", &self.path).env("HOME", self.home());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.spawn().unwrap()
    }

    fn receive(&self, copy: &CopyIn<'_>, stream: &[u8]) -> Result<(), CopyRefusal> {
        let mark = token();
        finish(self.start(copy, &mark), &mark, stream)
    }

    fn refusal(&self, copy: &CopyIn<'_>, stream: &[u8]) -> (RefusalKind, String) {
        let refusal = self.receive(copy, stream).unwrap_err();
        (refusal.kind, refusal.to_string())
    }
}

fn finish(mut child: Child, mark: &Token, stream: &[u8]) -> Result<(), CopyRefusal> {
    let mut input = child.stdin.take().unwrap();
    let stream = stream.to_vec();
    // It may end without reading all of it.
    let writer = std::thread::spawn(move || drop(input.write_all(&stream)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    result(&output, mark)
}

fn result(output: &Output, mark: &Token) -> Result<(), CopyRefusal> {
    assert_eq!(output.stdout.escape_ascii().to_string(), "");
    if output.status.success() {
        assert_eq!(output.stderr, format!("\x1efleet {} done\n", mark.as_str()).into_bytes());
        assert!(copy_is_done(&output.stderr, mark));
        return Ok(());
    }
    let refusal = CopyRefusal::find(&output.stderr, mark);
    Err(refusal.unwrap_or_else(|| panic!("{}: {}", output.status, output.stderr.escape_ascii())))
}

fn token() -> Token {
    use std::hash::{BuildHasher, Hasher};
    Token::new(std::hash::RandomState::new().build_hasher().finish())
}

fn into_folder(folder: &[u8]) -> CopyIn<'_> {
    CopyIn {
        landing: Landing::Folder(folder),
        missing: MissingFolder::Refuse,
        needed_kib: None,
        packing: Packing::Plain,
        verify: Verify::Cksum,
        attributes: Attributes::Permissions,
        owner: None,
        replaced: Replaced::Gone,
    }
}

const HERE: &[u8] = b".";

fn zipped(stream: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new(program("gzip"));
    let mut child = gzip.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stream = stream.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&stream).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

/// Every kind of entry, name and mode.
fn every_kind() -> Sent {
    let deep = [&b"long/"[..], &[b'x'; 200], b"/", &[b'y'; 120]].concat();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut sent = Sent::default()
        .file("plain", 0o644, &bytes)
        .file("empty", 0o600, "")
        .file("program", 0o4755, "#!/bin/sh\n")
        .file("closed", 0o000, "secret")
        .file("a b\n\"quoted\" it's \\n $HOME `x` *", 0o640, "1")
        .file("-rf", 0o644, "2")
        .file("-", 0o644, "3")
        .file(b"\xff\xfe \xe9", 0o644, "4")
        .symlink("link", "plain")
        .symlink("-broken", "no such\nfile")
        .symlink("far", format!("/nowhere/{}", "t".repeat(150)))
        .folder("none", 0o755)
        .folder("-folder", 0o750)
        .file("-folder/-f", 0o644, "5")
        .folder("private", 0o500)
        .file("private/file", 0o400, "6")
        .folder("private/sub", 0o555)
        .file("private/sub/file", 0o444, "7")
        .folder("long", 0o755);
    let folder = deep[..205].to_vec();
    sent = sent.folder(&folder, 0o755).file(&deep, 0o644, "deep");
    sent.folder([&folder[..], b"/", &[b'z'; 250]].concat(), 0o755)
}

#[test]
fn a_tree_arrives_as_it_is_on_every_host() {
    let sent = every_kind();
    let stream = sent.stream();
    let packed = zipped(&stream);
    for shell in SHELLS {
        for tar in TARS {
            for (packing, stream) in [(Packing::Plain, &stream), (Packing::Gzip, &packed)] {
                let case = format!("{shell}, {tar}, {packing:?}");
                let host = Host::new(shell, tar);
                let copy = CopyIn { packing, ..into_folder(HERE) };
                assert_eq!(host.receive(&copy, stream), Ok(()), "{case}");
                assert_eq!(tree(&host.home()), sent.tree(), "{case}");
                // Over itself.
                assert_eq!(host.receive(&copy, stream), Ok(()), "{case}, again");
                assert_eq!(tree(&host.home()), sent.tree(), "{case}, again");
            }
        }
    }
}

#[test]
fn a_host_of_nothing_but_busybox_receives_files() {
    // Not every busybox has cksum.
    let sent = Sent { verify: Verify::Sha256, ..every_kind() };
    let mut host = Host::new("busybox", "busybox");
    host.path = host.dir.path().join("bin").into_os_string();
    run_to_end(Command::new(program("busybox")).args(["--install", "-s"]).arg(host.dir.path().join("bin")));
    assert_eq!(host.receive(&CopyIn { verify: Verify::Sha256, ..into_folder(HERE) }, &sent.stream()), Ok(()));
    assert_eq!(tree(&host.home()), sent.tree());
}

#[test]
fn a_file_system_without_named_pipes_will_do() {
    let sent = every_kind();
    let stream = sent.stream();
    for shell in SHELLS {
        for (packing, stream) in [(Packing::Plain, stream.clone()), (Packing::Gzip, zipped(&stream))] {
            let host = Host::new(shell, "tar");
            host.replace("mkfifo", "exit 1");
            let copy = CopyIn { packing, ..into_folder(HERE) };
            assert_eq!(host.refusal(&copy, &stream[..stream.len() / 2]).0, RefusalKind::Cut, "{shell}, {packing:?}");
            assert_eq!(tree(&host.home()), Tree::new(), "{shell}, {packing:?}");
            assert_eq!(host.receive(&copy, &stream), Ok(()), "{shell}, {packing:?}");
            assert_eq!(tree(&host.home()), sent.tree(), "{shell}, {packing:?}");
        }
    }
}

#[test]
fn every_login_shell_starts_the_program() {
    let sent = Sent::default().file("f", 0o644, "new");
    let name = "it's a \\ 'folder'! $x\n";
    for shell in ["sh", "bash", "zsh", "tcsh", "fish"] {
        let host = Host::usual();
        host.has(&[(name, None)]);
        let mark = token();
        let line = copy_in_command(&into_folder(name.as_bytes()), &mark).unwrap();
        let mut command = Command::new(program(shell));
        command.arg("-c").arg(OsString::from_vec(line)).current_dir(host.home()).env("HOME", host.home());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        assert_eq!(finish(command.spawn().unwrap(), &mark, &sent.stream()), Ok(()), "{shell}");
        assert_eq!(tree(&host.home().join(name)), sent.tree(), "{shell}");
    }
}

#[test]
fn folders_that_are_there_keep_their_mode_and_what_else_is_in_them() {
    let sent = Sent::default()
        .folder("a", 0o700)
        .file("a/new", 0o644, "new")
        .file("a/old", 0o600, "new")
        .symlink("a/link", "new")
        .folder("a/fresh", 0o711)
        .file("a/fresh/f", 0o644, "f")
        .folder("b", 0o755)
        .file("b/old", 0o644, "new");
    for shell in SHELLS {
        let host = Host::new(shell, "tar");
        host.has(&[("a", None), ("a/old", Some("old")), ("a/other", Some("other")), ("real", None)]);
        symlink("../real", host.home().join("a/link")).unwrap();
        symlink("real", host.home().join("b")).unwrap();
        fs::set_permissions(host.home().join("a"), Permissions::from_mode(0o750)).unwrap();
        assert_eq!(host.receive(&into_folder(HERE), &sent.stream()), Ok(()), "{shell}");
        let mut expected = sent.tree();
        for (name, told) in [
            ("a", "folder 750"),
            ("a/other", "file 644 other"),
            ("b", "symlink real"),
            ("real", "folder 755"),
            ("real/old", "file 644 new"),
        ] {
            expected.insert(name.to_owned(), told.to_owned());
        }
        expected.remove("b/old");
        assert_eq!(tree(&host.home()), expected, "{shell}");
    }
}

/// What is on a host that must be left as it is.
fn host_with_old_files(shell: &str, tar: &str) -> (Host, Tree) {
    let host = Host::new(shell, tar);
    host.has(&[("file", Some("old")), ("folder", None), ("folder/file", Some("old")), ("other", Some("other"))]);
    let tree = tree(&host.home());
    (host, tree)
}

fn small() -> Sent {
    Sent::default()
        .file("file", 0o644, "new".repeat(300))
        .folder("folder", 0o755)
        .file("folder/file", 0o644, "new")
        .folder("fresh", 0o755)
        .file("fresh/file", 0o644, "new")
}

#[test]
fn a_stream_that_is_cut_anywhere_leaves_what_was_there() {
    let plain = small().stream();
    let packed = zipped(&plain);
    for (shell, tar, step) in [("dash", "tar", 509), ("busybox", "busybox", 2048), ("mksh", "bsdtar", 4096)] {
        for (packing, stream) in [(Packing::Plain, &plain), (Packing::Gzip, &packed)] {
            let (host, old) = host_with_old_files(shell, tar);
            // The zeros at the end are needed by no tar.
            let ends = (0..stream.len() - 1025).step_by(if packing == Packing::Gzip { step / 4 } else { step });
            for end in ends {
                let case = format!("{shell}, {tar}, {packing:?}, {end} of {}", stream.len());
                let copy = CopyIn { packing, ..into_folder(HERE) };
                let (kind, said) = host.refusal(&copy, &stream[..end]);
                assert_eq!(kind, RefusalKind::Cut, "{case}: {said}");
                assert_eq!(tree(&host.home()), old, "{case}");
            }
        }
    }
}

#[test]
fn a_byte_that_changes_on_the_way_is_noticed() {
    let sent = small();
    let stream = sent.stream();
    for (shell, tar, step) in [("dash", "tar", 256), ("busybox", "busybox", 1024), ("mksh", "bsdtar", 2048)] {
        let mut in_padding = 0;
        for at in (0..stream.len() - 1024).step_by(step).map(|at| at + 3) {
            let (host, old) = host_with_old_files(shell, tar);
            let mut damaged = stream.clone();
            damaged[at] ^= 0x20;
            let case = format!("{shell}, {tar}, {at}");
            match host.receive(&into_folder(HERE), &damaged) {
                // Nobody reads the padding.
                Ok(()) => {
                    assert_eq!(stream[at], 0, "{case}");
                    in_padding += 1;
                }
                Err(refusal) => {
                    let expected = [RefusalKind::Damaged, RefusalKind::Cut];
                    assert!(expected.contains(&refusal.kind), "{case}: {refusal:?}");
                    assert_eq!(tree(&host.home()), old, "{case}");
                }
            }
        }
        assert!(in_padding <= 12, "{shell}, {tar}: {in_padding}");
    }
    let (host, old) = host_with_old_files("dash", "tar");
    let at = stream.windows(6).position(|window| window == b"newnew").unwrap();
    let mut damaged = stream;
    damaged[at] = b'N';
    let (kind, said) = host.refusal(&into_folder(HERE), &damaged);
    assert_eq!(kind, RefusalKind::Damaged);
    assert!(said.contains("one of 3 files, file and"), "{said}");
    assert_eq!(tree(&host.home()), old);
}

#[test]
fn any_tool_for_digests_will_do() {
    const OTHERS: &[&str] = &["sh", "env", "tar", "mkdir", "mkfifo", "df", "cat", "mv", "rm", "tr", "uname", "chmod"];
    let sent = Sent { verify: Verify::Sha256, ..small() };
    let mut damaged = sent.stream();
    let at = damaged.windows(6).position(|window| window == b"newnew").unwrap();
    damaged[at] = b'N';
    let copy = CopyIn { verify: Verify::Sha256, ..into_folder(HERE) };
    for tool in ["sha256sum", "shasum", "openssl", "cksum"] {
        let host = Host::with_only(&[OTHERS, &[tool, "perl"]].concat());
        let (kind, said) = host.refusal(&copy, &damaged);
        assert_eq!(kind, RefusalKind::Damaged, "{tool}: {said}");
        assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{tool}");
        assert_eq!(tree(&host.home()), sent.tree(), "{tool}");
    }
    let host = Host::with_only(OTHERS);
    let (kind, said) = host.refusal(&copy, &sent.stream());
    assert_eq!(kind, RefusalKind::NoDigest);
    assert_eq!(said, "the host cannot verify files: there is none of cksum, sha256sum, shasum, sha256 and openssl");
    assert_eq!(tree(&host.home()), Tree::new());
}

#[test]
fn a_host_without_cksum_says_so_before_it_receives_anything() {
    let programs =
        ["sh", "env", "tar", "mkdir", "mkfifo", "df", "cat", "mv", "rm", "tr", "uname", "sha256sum", "chmod"];
    let host = Host::with_only(&programs);
    let refusal = host.receive(&into_folder(HERE), b"").unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::NoDigest);
    assert_eq!(tree(&host.home()), Tree::new());
}

#[test]
fn a_host_without_tar_or_gzip_says_so() {
    const OTHERS: &[&str] = &["sh", "env", "mkdir", "mkfifo", "df", "cat", "mv", "rm", "tr", "sha256sum"];
    for (programs, said) in [(OTHERS, "there is no tar"), (&[OTHERS, &["tar"]].concat(), "there is no gzip")] {
        let host = Host::with_only(programs);
        let copy = CopyIn { packing: Packing::Gzip, ..into_folder(HERE) };
        let refusal = host.receive(&copy, &zipped(&small().stream())).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::NoTar);
        assert_eq!(refusal.to_string(), format!("the host cannot receive files: {said}"));
        assert_eq!(tree(&host.home()), Tree::new());
    }
}

#[test]
fn a_file_and_a_folder_do_not_take_each_others_place() {
    let file = || Sent::default().file("a", 0o644, "new").file("x", 0o644, "new");
    let folder = || Sent::default().file("a", 0o644, "new").folder("x", 0o755).file("x/f", 0o644, "new");
    let (kept, gone) = (Replaced::Kept, Replaced::Gone);
    let cases: [(_, _, &[OldFile<'_>], _); 5] = [
        (file(), gone, &[("x", None)], "in the way: x is a folder on the host, and a file would take its place"),
        (
            folder(),
            gone,
            &[("x", Some("old"))],
            "in the way: x is no folder on the host, and a folder would take its place",
        ),
        (file(), kept, &[("x~", None)], "in the way: x~ is a folder on the host, and a file would take its place"),
        (
            folder(),
            gone,
            &[("x", None), ("x/f", None), ("a", Some("old"))],
            "in the way: x/f is a folder on the host, and a file would take its place",
        ),
        (
            Sent::default().symlink("x", "a"),
            gone,
            &[("x", None)],
            "in the way: x is a folder on the host, and a file would take its place",
        ),
    ];
    for (sent, replaced, files, expected) in cases {
        for shell in SHELLS {
            let host = Host::new(shell, "tar");
            host.has(files);
            let old = tree(&host.home());
            let copy = CopyIn { replaced, ..into_folder(HERE) };
            let refused = host.refusal(&copy, &sent.stream());
            assert_eq!(refused, (RefusalKind::Conflict, expected.to_owned()), "{shell}");
            assert_eq!(tree(&host.home()), old, "{shell}: {expected}");
        }
    }
}

#[test]
fn the_folder_of_the_landing_has_to_be_one() {
    for (landing, kind, said) in [
        ("missing", RefusalKind::NoFolder, "the folder ./missing is missing"),
        ("file", RefusalKind::Conflict, "in the way: ./file is no folder"),
        ("file/x", RefusalKind::NoFolder, "the folder ./file/x is missing"),
    ] {
        let (host, old) = host_with_old_files("dash", "tar");
        assert_eq!(host.refusal(&into_folder(landing.as_bytes()), &small().stream()), (kind, said.to_owned()));
        let make = CopyIn { missing: MissingFolder::Make, ..into_folder(b"file/x/y") };
        assert_eq!(host.refusal(&make, &small().stream()).0, RefusalKind::Conflict);
        assert_eq!(tree(&host.home()), old);
    }
}

#[test]
fn missing_folders_are_made_when_asked_for_and_only_for_a_copy_that_succeeds() {
    let sent = small();
    let stream = sent.stream();
    for shell in SHELLS {
        for name in ["a/b c/-d", "folder/-x//./y/", "-x"] {
            let (host, old) = host_with_old_files(shell, "tar");
            let make = CopyIn { missing: MissingFolder::Make, ..into_folder(name.as_bytes()) };
            assert_eq!(host.refusal(&make, &stream[..stream.len() / 2]).0, RefusalKind::Cut, "{shell}");
            assert_eq!(tree(&host.home()), old, "{shell}: {name}");
            assert_eq!(host.receive(&make, &stream), Ok(()), "{shell}");
            assert_eq!(tree(&host.home().join(name)), sent.tree(), "{shell}: {name}");
        }
    }
    let host = Host::usual();
    let absolute = host.dir.path().join("new/er");
    let make = CopyIn { missing: MissingFolder::Make, ..into_folder(absolute.as_os_str().as_bytes()) };
    assert_eq!(host.receive(&make, &stream), Ok(()));
    assert_eq!(tree(&absolute), sent.tree());
}

#[test]
fn a_single_file_gets_the_name_of_the_landing_unless_that_is_a_folder() {
    for shell in SHELLS {
        for (landing, expected) in [
            ("new name", "new name"),
            ("-new", "-new"),
            ("folder/-new", "folder/-new"),
            ("file", "file"),
            ("source", "source"),
            ("folder", "folder/source"),
            ("link", "folder/source"),
            ("./folder/..", "source"),
        ] {
            let (host, mut old) = host_with_old_files(shell, "tar");
            symlink("folder", host.home().join("link")).unwrap();
            old.insert("link".to_owned(), "symlink folder".to_owned());
            let copy = CopyIn { landing: Landing::Name(landing.as_bytes()), ..into_folder(b"") };
            let sent = Sent::default().file("source", 0o640, "new");
            assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{shell}: {landing}");
            old.insert(expected.to_owned(), "file 640 new".to_owned());
            assert_eq!(tree(&host.home()), old, "{shell}: {landing}");
        }
    }
    let (host, old) = host_with_old_files("dash", "tar");
    let copy = CopyIn { landing: Landing::File(b"folder"), ..into_folder(b"") };
    let (kind, said) = host.refusal(&copy, &Sent::default().file("f", 0o644, "").stream());
    assert_eq!(
        (kind, &*said),
        (RefusalKind::Conflict, "in the way: folder is a folder on the host, and a file would take its place")
    );
    assert_eq!(tree(&host.home()), old);
    let copy = CopyIn { landing: Landing::Name(b"none/x"), ..into_folder(b"") };
    assert_eq!(host.refusal(&copy, &Sent::default().file("f", 0o644, "").stream()).0, RefusalKind::NoFolder);
    assert_eq!(tree(&host.home()), old);
}

#[test]
fn what_is_replaced_is_kept_when_asked_for() {
    for shell in SHELLS {
        let host = Host::new(shell, "tar");
        host.has(&[("file", Some("old")), ("file~", Some("older")), ("folder", None), ("folder/file", Some("old"))]);
        host.has(&[("a b", Some("old"))]);
        symlink("nowhere", host.home().join("link")).unwrap();
        let sent = small().symlink("link", "file").file("a b", 0o600, "new");
        let copy = CopyIn { replaced: Replaced::Kept, ..into_folder(HERE) };
        assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{shell}");
        let mut expected = sent.tree();
        for name in ["file~", "folder/file~", "a b~"] {
            expected.insert(name.to_owned(), "file 644 old".to_owned());
        }
        expected.insert("link~".to_owned(), "symlink nowhere".to_owned());
        assert_eq!(tree(&host.home()), expected, "{shell}");
    }
}

#[test]
fn a_file_that_is_the_same_there_only_gets_its_mode() {
    for shell in SHELLS {
        for landing in [Landing::Folder(HERE), Landing::Name(b"a b")] {
            let host = Host::new(shell, "tar");
            let is_folder = matches!(landing, Landing::Folder(_));
            let mut sent = match landing {
                Landing::Folder(_) => Sent::default().file("new", 0o644, "new").file("a b", 0o750, "not sent"),
                _ => Sent::default().file("new", 0o750, "not sent"),
            };
            let same = usize::from(is_folder);
            sent.same = Selection::from(same..same + 1);
            host.has(&[("a b", Some("same"))]);
            assert_eq!(host.receive(&CopyIn { landing, ..into_folder(HERE) }, &sent.stream()), Ok(()), "{shell}");
            let mut expected = Tree::from([("a b".to_owned(), "file 750 same".to_owned())]);
            if is_folder {
                expected.insert("new".to_owned(), "file 644 new".to_owned());
            }
            assert_eq!(tree(&host.home()), expected, "{shell}");
        }
    }
}

#[test]
fn a_file_that_is_the_same_there_gets_time_and_owner_where_they_are_kept() {
    for shell in SHELLS {
        let host = Host::new(shell, "tar");
        let mut sent = Sent { attributes: Attributes::All, ..Sent::default() };
        sent = sent.file("new", 0o644, "new").file("a b", 0o4750, "not sent");
        sent.same = Selection::from(1..2);
        host.has(&[("a b", Some("same"))]);
        let copy = CopyIn { attributes: Attributes::All, ..into_folder(HERE) };
        assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{shell}");
        let found = fs::metadata(host.home().join("a b")).unwrap();
        assert_eq!((found.mtime(), found.mode() & 0o7777), (1_000_000_000, 0o4750), "{shell}");
        if accounts::is_root() {
            assert_eq!((found.uid(), found.gid()), (1, 2), "{shell}");
        }
    }
}

/// What each of these is on a host, in the order of the calls.
#[test]
fn every_shell_and_digest_tool_says_what_there_is() {
    let sent =
        small().symlink("link", "a\nb").symlink("other", "x").file("-same\n", 0o644, "same").file("gone", 0o644, "");
    let mark = token();
    let manifest = Manifest { entries: sent.entries.clone(), problems: Vec::new() };
    let look = Look { manifest: &manifest, selection: &manifest.all() };
    let digests = sent.contents.iter().map(|content| Digest::of(content, Verify::Sha256)).enumerate().collect();
    let ask = |host: &Host, landing: Landing<'_>| {
        let mut script = copy_look(&landing, MissingFolder::Refuse, &mark).unwrap();
        script.extend(look.calls());
        fs::write(host.dir.path().join("script"), script).unwrap();
        let mut shell = Command::new(&host.shell);
        shell.arg(host.dir.path().join("script")).current_dir(host.home()).env("PATH", &host.path);
        shell.output().unwrap()
    };
    let hosts = SHELLS.map(|shell| Host::new(shell, "tar"));
    let only = |tool: &'static str| Host::with_only(&["sh", "readlink", tool, "perl"]);
    for host in hosts.into_iter().chain(["sha256sum", "shasum"].map(only)) {
        host.has(&[("-same\n", Some("same")), ("folder", None), ("folder/file", Some("other"))]);
        symlink("a\nb", host.home().join("link")).unwrap();
        symlink("y", host.home().join("other")).unwrap();
        let output = ask(&host, Landing::Folder(HERE));
        let findings = look.read(&output.stdout, &mark, &digests).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let there = |name: &str| {
            let at = sent.entries.iter().position(|entry| entry.path == Path::new(name)).unwrap();
            findings.entries.iter().find(|(entry, _)| *entry == at).unwrap().1
        };
        let names = ["-same\n", "folder", "folder/file", "gone", "link", "other"];
        let expected = [There::Same, There::Same, There::Other, There::Nothing, There::Same, There::Other];
        assert_eq!(names.map(there), expected, "{:?}", host.shell);
        let output = ask(&host, Landing::Folder(b"no/such"));
        let refusal = CopyRefusal::find(&output.stderr, &mark).unwrap();
        assert_eq!(refusal.to_string(), "the folder ./no/such is missing");
    }
}

#[test]
fn a_file_that_is_not_to_be_kept_is_not() {
    for with_folder in [false, true] {
        let (host, mut expected) = host_with_old_files("dash", "tar");
        let mut sent = small();
        sent.dropped = BTreeSet::from([0, 4]);
        if !with_folder {
            host.has(&[("fresh", None)]);
        }
        assert_eq!(host.receive(&into_folder(HERE), &sent.stream()), Ok(()));
        expected.insert("folder/file".to_owned(), "file 644 new".to_owned());
        expected.insert("fresh".to_owned(), "folder 755".to_owned());
        assert_eq!(tree(&host.home()), expected);
    }
}

#[test]
fn times_owners_and_special_bits_are_kept_when_asked_for() {
    accounts::require_root("giving files away");
    for tar in TARS {
        let host = Host::new("dash", tar);
        let mut sent = Sent::default().folder("new", 0o2755).file("new/file", 0o4755, "x");
        sent.attributes = Attributes::All;
        let copy = CopyIn { attributes: Attributes::All, ..into_folder(HERE) };
        assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{tar}");
        let meta = host.home().join("new/file").metadata().unwrap();
        let told = (meta.mode() & 0o7777, meta.mtime(), meta.uid(), meta.gid());
        assert_eq!(told, (0o4755, 1_000_000_000, 1, 2), "{tar}");
        assert_eq!(host.home().join("new").metadata().unwrap().mode() & 0o7777, 0o2755, "{tar}");

        sent.attributes = Attributes::Permissions;
        let copy = CopyIn { owner: Some("3:4"), ..into_folder(HERE) };
        assert_eq!(host.receive(&copy, &sent.stream()), Ok(()), "{tar}");
        let meta = host.home().join("new/file").metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o755, 3, 4), "{tar}");
        assert!(meta.mtime() > 1_700_000_000, "{tar}");
    }
}

#[test]
fn an_owner_that_the_host_does_not_have_is_named() {
    for (chown, owner) in [("chown", "no-such-user"), ("chown", ":no-such-group"), ("busybox", "no-such-user")] {
        let (host, old) = host_with_old_files("dash", "tar");
        symlink(program(chown), host.dir.path().join("bin/chown")).unwrap();
        let (kind, said) = host.refusal(&CopyIn { owner: Some(owner), ..into_folder(HERE) }, &small().stream());
        assert!(kind == RefusalKind::Failed && said.contains(owner), "{chown}, {owner}: {kind:?}, {said}");
        assert_eq!(tree(&host.home()), old, "{chown}, {owner}");
    }
}

/// A disk in a folder, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Self {
        accounts::require_root("mounting a small disk");
        run_to_end(Command::new(program("mount")).args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new(program("umount")).arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_of_with_what_is_missing_and_is_left_as_it_was() {
    let sent = Sent::default().file("old", 0o644, vec![b'x'; 5_000_000]).file("more", 0o644, vec![b'y'; 5_000_000]);
    let stream = sent.stream();
    for (shell, tar) in [("dash", "tar"), ("bash", "bsdtar"), ("busybox", "busybox"), ("zsh", "tar")] {
        let host = Host::new(shell, tar);
        let disk = Disk::mount(&host.home(), "size=4m");
        host.has(&[("old", Some("old"))]);
        let old = tree(&host.home());
        let expected = "not enough room: 10.0 MB needed, 4.2 MB free, 5.8 MB missing";
        let announced = CopyIn { needed_kib: Some(needed_kib(&sent.entries)), ..into_folder(HERE) };
        let refused = host.refusal(&announced, &stream[..1024]);
        assert_eq!(refused, (RefusalKind::NoRoom, expected.to_owned()), "{shell}: before the first byte");
        // Room that somebody else takes meanwhile.
        host.replace("df", "REAL \"$@\" | sed 's/%.*/%/; $s/ [0-9]* *\\([0-9]*%\\)/ 99999999 \\1/'");
        let (kind, said) = host.refusal(&announced, &stream);
        assert_eq!((kind, tree(&host.home())), (RefusalKind::NoRoom, old.clone()), "{shell}: while it comes: {said}");
        let (kind, said) = host.refusal(&into_folder(HERE), &stream);
        assert_eq!((kind, tree(&host.home())), (RefusalKind::NoRoom, old), "{shell}: unannounced: {said}");
        drop(disk);
    }
}

#[test]
fn on_a_full_disk_the_rest_of_the_stream_is_not_waited_for() {
    let sent = Sent::default().file("big", 0o644, noise(5_000_000));
    for (packing, tar) in [(Packing::Plain, "tar"), (Packing::Gzip, "tar"), (Packing::Plain, "bsdtar")] {
        let host = Host::new("dash", tar);
        let _disk = Disk::mount(&host.home(), "size=1m");
        let mark = token();
        let mut child = host.start(&CopyIn { packing, ..into_folder(HERE) }, &mark);
        // The stream does not end, and nobody reads it any more.
        let mut input = child.stdin.take().unwrap();
        let mut stream = sent.stream();
        stream.truncate(4_900_000);
        let stream = if packing == Packing::Gzip { zipped(&stream) } else { stream };
        let writer = std::thread::spawn(move || (input.write_all(&stream), input));
        let output = child.wait_with_output().unwrap();
        assert_eq!(result(&output, &mark).unwrap_err().kind, RefusalKind::NoRoom, "{packing:?}, {tar}");
        drop(writer.join().unwrap());
        assert_eq!(tree(&host.home()), Tree::new());
    }
}

#[test]
fn who_may_not_write_is_told_so_before_anything_changes() {
    accounts::require_root("becoming another user");
    let (mut host, old) = host_with_old_files("dash", "tar");
    host.user = Some(65534);
    let (kind, said) = host.refusal(&into_folder(HERE), &small().stream());
    assert_eq!((kind, tree(&host.home())), (RefusalKind::Denied, old.clone()), "{said}");

    // Only a folder below is closed to the user.
    for path in [host.home(), host.home().join("file")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    let refused = host.refusal(&into_folder(HERE), &small().stream());
    assert_eq!(refused, (RefusalKind::Denied, "not allowed: folder cannot be written to".to_owned()));
    assert_eq!(tree(&host.home()), old);

    fs::set_permissions(host.home().join("folder"), Permissions::from_mode(0o000)).unwrap();
    let refused = host.refusal(&into_folder(b"folder"), &small().stream());
    assert_eq!(refused, (RefusalKind::Denied, "not allowed: ./folder cannot be entered".to_owned()));
}

#[test]
fn a_file_system_that_is_read_only_is_told_of() {
    let host = Host::usual();
    let disk = Disk::mount(&host.home(), "size=1m");
    host.has(&[("file", Some("old"))]);
    run_to_end(Command::new(program("mount")).args(["-o", "remount,ro"]).arg(&disk.0));
    let (kind, said) = host.refusal(&into_folder(HERE), &small().stream());
    assert_eq!(kind, RefusalKind::ReadOnly, "{said}");
}

#[test]
fn files_on_another_file_system_are_renamed_beside_their_targets_too() {
    let sent = Sent::default()
        .folder("disk", 0o755)
        .folder("disk/old", 0o755)
        .file("disk/old/file", 0o600, "new")
        .file("disk/file", 0o644, "new")
        .folder("disk/new", 0o711)
        .file("disk/new/file", 0o644, "new")
        .folder("a b", 0o755)
        .file("a b/file", 0o644, "new");
    for shell in SHELLS {
        let host = Host::new(shell, "tar");
        host.has(&[("disk", None), ("elsewhere", None), ("a b", None)]);
        let _disks = [
            Disk::mount(&host.home().join("disk"), "size=1m,mode=755"),
            Disk::mount(&host.home().join("a b"), "size=1m,mode=755"),
        ];
        host.has(&[("disk/old", None), ("disk/old/file", Some("old"))]);
        // Each file of ours that is made in the folder of targets itself is seen under its own name.
        host.replace("mv", "for last; do :; done\ncase $last in */disk/ | */disk/old/) case $* in *.fleet-copy-*) ;; *) exit 9 ;; esac ;; esac\nexec REAL \"$@\"");
        assert_eq!(host.receive(&into_folder(HERE), &sent.stream()), Ok(()), "{shell}");
        let mut expected = sent.tree();
        expected.insert("elsewhere".to_owned(), "folder 755".to_owned());
        assert_eq!(tree(&host.home()), expected, "{shell}");
    }
}

#[test]
fn a_disk_below_that_is_full_leaves_everything_as_it_was() {
    let host = Host::usual();
    host.has(&[("disk", None), ("file", Some("old"))]);
    let _disk = Disk::mount(&host.home().join("disk"), "size=1m,mode=755");
    host.has(&[("disk/file", Some("old"))]);
    let old = tree(&host.home());
    let big = vec![b'x'; 2_000_000];
    let sent = Sent::default().file("file", 0o644, "new").folder("disk", 0o755).file("disk/file", 0o644, &big);
    let (kind, said) = host.refusal(&into_folder(HERE), &sent.stream());
    assert_eq!((kind, tree(&host.home())), (RefusalKind::NoRoom, old), "{said}");
}

#[test]
fn a_rename_that_fails_in_the_middle_says_how_far_it_came() {
    for shell in SHELLS {
        let (host, mut expected) = host_with_old_files(shell, "tar");
        host.replace("mv", "for last; do :; done\ncase $last in */folder/) echo 'mv: disk on fire' >&2; exit 1 ;; esac\nexec REAL \"$@\"");
        let (kind, said) = host.refusal(&into_folder(HERE), &small().stream());
        assert_eq!(
            (kind, said.as_str()),
            (RefusalKind::HalfDone, "half done: 2 of 3 files are in place, but not folder/file: mv: disk on fire"),
            "{shell}"
        );
        expected.insert("file".to_owned(), format!("file 644 {}", "new".repeat(300)));
        expected.extend([("fresh", "folder 755"), ("fresh/file", "file 644 new")].map(|(n, t)| (n.into(), t.into())));
        assert_eq!(tree(&host.home()), expected, "{shell}");
    }
}

#[test]
fn a_rename_that_fails_at_once_has_changed_nothing() {
    let (host, old) = host_with_old_files("dash", "tar");
    host.replace("mv", "echo 'mv: Operation not permitted' >&2; exit 1");
    let refused = host.refusal(&into_folder(HERE), &small().stream());
    assert_eq!(refused, (RefusalKind::Denied, "not allowed: mv: Operation not permitted".to_owned()));
    assert_eq!(tree(&host.home()), old);
}

/// Waits until a copy has made this in its folder, and tells the folder. Looks without a pause.
fn wait_until_made(host: &Host, name: &str) -> PathBuf {
    let end = Instant::now() + PATIENCE;
    loop {
        for entry in fs::read_dir(host.home()).unwrap().flatten() {
            let is_ours = entry.file_name().as_bytes().starts_with(b".fleet-copy-");
            if is_ours && entry.path().join(name).exists() {
                return entry.path();
            }
        }
        assert!(Instant::now() < end, "waited in vain for {name}: {:?}", tree(&host.home()));
    }
}

/// What a program has said; one that does not end is killed, and fails the test.
fn output_in_time(child: Child, case: &str) -> Output {
    let pid = Pid::from_child(&child);
    let (ended, end) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || ended.send(child.wait_with_output().unwrap()));
    let Ok(output) = end.recv_timeout(PATIENCE) else {
        kill_process_group(pid, Signal::KILL).unwrap();
        panic!("{case}: it does not end");
    };
    waiting.join().unwrap().unwrap();
    output
}

/// Bytes that no packing makes fewer: tar and gzip begin their work when they have read much.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// Half of this is more than any tar or gzip waits for before it begins.
fn larger() -> Sent {
    let mut sent = small();
    sent.contents[0] = noise(1_500_000);
    sent.entries[0].kind = EntryKind::File { len: 1_500_000 };
    sent
}

#[test]
fn a_copy_that_is_stopped_leaves_nothing() {
    let stream = larger().stream();
    let (host_of, half) = (|shell| host_with_old_files(shell, "tar"), stream.len() / 2);
    for shell in SHELLS {
        for (packing, stream) in [(Packing::Plain, stream[..half].to_vec()), (Packing::Gzip, zipped(&stream[..half]))] {
            for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
                for whole_group in [false, true] {
                    let case = format!("{shell}, {packing:?}, {signal:?}, whole group: {whole_group}");
                    let (host, old) = host_of(shell);
                    let mark = token();
                    let mut child = host.start(&CopyIn { packing, ..into_folder(HERE) }, &mark);
                    let mut input = child.stdin.take().unwrap();
                    input.write_all(&stream).unwrap();
                    let ours = wait_until_made(&host, "d/file");
                    assert_eq!(ours.metadata().unwrap().mode() & 0o777, 0o700, "{case}");
                    let pid = Pid::from_child(&child);
                    let sent = if whole_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
                    sent.unwrap();
                    let output = child.wait_with_output().unwrap();
                    let refusal = result(&Output { stdout: Vec::new(), ..output }, &mark).unwrap_err();
                    assert_eq!(refusal.kind, RefusalKind::Cut, "{case}");
                    assert_eq!(tree(&host.home()), old, "{case}");
                    drop(input);
                }
            }
        }
    }
}

#[test]
fn whatever_a_copy_has_begun_with_when_it_is_stopped_it_leaves_nothing() {
    let plain = larger().stream();
    let zipped = zipped(&plain);
    for shell in SHELLS {
        for (packing, stream) in [(Packing::Plain, &plain), (Packing::Gzip, &zipped)] {
            // Each is made shortly before programs are started, which may be stopped before they have begun.
            for (made, round) in [".", "d", "said", "plain"].iter().flat_map(|made| [made; 8].into_iter().zip(0..)) {
                let case = format!("{shell}, {packing:?}, {made}, round {round}");
                let (host, old) = host_with_old_files(shell, "tar");
                let mark = token();
                let mut child = host.start(&CopyIn { packing, ..into_folder(HERE) }, &mark);
                let mut input = child.stdin.take().unwrap();
                input.write_all(&stream[..4096]).unwrap();
                wait_until_made(&host, made);
                kill_process_group(Pid::from_child(&child), Signal::TERM).unwrap();
                let refusal = result(&output_in_time(child, &case), &mark).unwrap_err();
                assert_eq!((refusal.kind, tree(&host.home())), (RefusalKind::Cut, old), "{case}");
            }
        }
    }
}

#[test]
fn what_a_killed_copy_leaves_is_removed_by_the_next_and_what_a_live_one_has_is_not() {
    let sent = larger();
    let stream = sent.stream();
    for shell in SHELLS {
        let (host, _) = host_with_old_files(shell, "tar");
        let marks = [token(), token()];
        let [mut killed, mut live] = [0, 1].map(|at| host.start(&into_folder(HERE), &marks[at]));
        let mut killed_input = killed.stdin.take().unwrap();
        killed_input.write_all(&stream[..stream.len() / 2]).unwrap();
        let left = wait_until_made(&host, "d/file");
        kill_process_group(Pid::from_child(&killed), Signal::KILL).unwrap();
        killed.wait().unwrap();
        assert!(left.exists(), "{shell}");
        let mut live_input = live.stdin.take().unwrap();
        live_input.write_all(&stream[..stream.len() / 2]).unwrap();
        // One that somebody else's host has in a folder that both share.
        let shared = host.home().join(".fleet-copy-00000000000000ab-1-1@another host");
        fs::create_dir(&shared).unwrap();

        assert_eq!(host.receive(&into_folder(HERE), &stream), Ok(()), "{shell}");
        assert!(!left.exists(), "{shell}: {:?}", tree(&host.home()));
        assert!(shared.exists(), "{shell}");
        live_input.write_all(&stream[stream.len() / 2..]).unwrap();
        drop(live_input);
        assert_eq!(result(&live.wait_with_output().unwrap(), &marks[1]), Ok(()), "{shell}");
        fs::remove_dir(&shared).unwrap();
        let mut expected = sent.tree();
        expected.insert("other".to_owned(), "file 644 other".to_owned());
        assert_eq!(tree(&host.home()), expected, "{shell}");
    }
}

#[test]
fn ten_thousand_files_take_few_processes() {
    let mut sent = Sent::default().folder("many", 0o755);
    for number in 0..10_000 {
        sent = sent.file(format!("many/file number {number}"), 0o644, vec![b'x'; 4096]);
    }
    let stream = sent.stream();
    let host = Host::usual();
    let log = host.dir.path().join("log");
    for name in ["tar", "cat", "sha256sum", "mv", "mkdir", "mkfifo", "rm", "df", "tr", "uname", "cksum", "chmod", "env"]
    {
        host.replace(name, &format!("echo {name} >>'{}'\nexec REAL \"$@\"", log.display()));
    }
    for (case, limit) in [("where the folder is missing", 25), ("where all are replaced", 35)] {
        let _none = fs::remove_file(&log);
        assert_eq!(host.receive(&into_folder(HERE), &stream), Ok(()), "{case}");
        let started = fs::read_to_string(&log).unwrap();
        assert!((10..=limit).contains(&started.lines().count()), "{case}: {started}");
    }
    assert_eq!(tree(&host.home()), sent.tree());
}
