//! Hosts that lie: nothing of what they say has an effect outside of their own folder.

use std::fs;
use std::os::unix::fs::symlink;

use fleet_tests::{Finished, Server, TestEnv};
use fleet_transfer::archive::{END, Header, HeaderKind, padding};

use crate::world::{put, script, told, tree, with_script};

/// A host that lists what it is told to, and sends what it is told to.
struct Liar {
    env: TestEnv,
    _server: Server,
    folder: String,
}

impl Liar {
    /// `records` are what it lists of its folder, as `MODE LENGTH BLOCKS TIME PATH`.
    fn new(records: &str) -> Self {
        let env = TestEnv::new();
        put(&env, "logs/x", "x");
        let list = put(&env, "list", records).display().to_string();
        let archive = put(&env, "archive", "").display().to_string();
        script(&env, "tar", &format!("cat '{archive}'"));
        let server = with_script(&env, 1, "stat", &format!("cat '{list}'"));
        let folder = env.shared().join("logs").display().to_string();
        Self { env, _server: server, folder }
    }

    fn sends(&self, members: &[(&str, HeaderKind<'_>, &[u8])]) {
        let mut archive = Vec::new();
        for (name, kind, content) in members {
            let name = match name.strip_prefix("./") {
                Some(name) => format!("{}/{name}", &self.folder[1..]),
                None => (*name).to_owned(),
            };
            archive.extend(
                Header { name: name.as_bytes(), kind: *kind, mode: 0o4777, mtime: 1, uid: 0, gid: 0 }.to_bytes(),
            );
            archive.extend_from_slice(content);
            archive.extend_from_slice(padding(content.len() as u64));
        }
        archive.extend_from_slice(&END);
        put(&self.env, "archive", archive);
    }

    fn slurp(&self, flags: &[&str]) -> Finished {
        let folder = format!("{}/", self.folder);
        self.env.pslurp([&["-H", "web01"], flags, &[&folder, "out"]].concat()).finish()
    }

    /// What is here after all.
    fn here(&self) -> std::collections::BTreeMap<String, String> {
        tree(&self.env.work())
    }
}

fn file(content: &[u8]) -> HeaderKind<'static> {
    HeaderKind::File { len: content.len() as u64 }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let liar = Liar::new(
        "81a4 1 8 1 ./../../evil//\n81a4 1 8 1 .//evil//\n81a4 1 8 1 ./a/../../evil//\n81a4 1 8 1 ./a//evil//\n\
         41ed 1 8 1 ./..//\n81a4 1 8 1 ./.fleet-part-0123456789abcdef//\n81a4 1 8 1 ./\x1b[2J\nok//\n",
    );
    liar.sends(&[("./\x1b[2J\nok", file(b"1"), b"1")]);
    let run = liar.slurp(&[]).expect_code(1).expect_stderr("../../evil: no file here may have this name");
    let run = run.expect_stderr(".fleet-part-0123456789abcdef: no file here").expect_nowhere("\x1b");
    let expected = [("out", "folder"), ("out/web01", "folder"), ("out/web01/\\x1b[2J\\nok", "1")];
    assert_eq!(liar.here(), told(&expected), "{run}");
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let target = tempfile::tempdir().unwrap();
    let link = HeaderKind::Symlink { target: target.path().as_os_str().as_encoded_bytes() };
    // In one run, listed as such: two names that cannot be.
    let liar = Liar::new("a1ff 1 0 1 ./d//\n81a4 1 8 1 ./d/evil//\n");
    liar.sends(&[("./d", link, b""), ("./d/evil", file(b"1"), b"1")]);
    let _ = liar.slurp(&[]).expect_code(5).expect_stderr("would both be d here");
    // Listed as a folder, sent as a symlink.
    let liar = Liar::new("41ed 1 8 1 ./d//\n81a4 1 8 1 ./d/evil//\n");
    liar.sends(&[("./d", link, b""), ("./d/evil", file(b"1"), b"1")]);
    let _ = liar.slurp(&[]).expect_code(5).expect_stderr("logs/d, which was not asked for");
    // Made by a run before.
    liar.sends(&[("./d/evil", file(b"1"), b"1")]);
    fs::remove_dir(liar.env.work().join("out/web01/d")).unwrap();
    symlink(target.path(), liar.env.work().join("out/web01/d")).unwrap();
    let _ = liar.slurp(&[]).expect_code(1).expect_stderr("d/evil: something else is in its place here");
    // The last part, as a file that is here in part.
    let liar = Liar::new("81a4 1 8 1 ./evil//\n");
    liar.sends(&[("./evil", file(b"1"), b"1")]);
    fs::create_dir_all(liar.env.work().join("out/web01")).unwrap();
    symlink(target.path().join("evil"), liar.env.work().join("out/web01/evil")).unwrap();
    liar.slurp(&["--checksum"]).expect_code(0);
    assert_eq!(fs::read(liar.env.work().join("out/web01/evil")).unwrap(), b"1");
    assert_eq!(tree(target.path()), told(&[]));
}

#[test]
fn only_what_was_asked_for_is_taken_and_only_once() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let secret = outside.path().join("secret").display().to_string();
    let link = HeaderKind::Symlink { target: b"/etc/passwd" };
    for (members, code, expected) in [
        (&[("../../evil", file(b"1"), &b"1"[..])][..], 5, "the host sent ../../evil, which was not asked for"),
        (&[("/etc/evil", file(b"1"), b"1")], 5, "the host sent /etc/evil, which"),
        (&[("./ok", file(b"1"), b"1"), ("./ok", file(b"2"), b"2")], 5, "logs/ok, which was not asked for"),
        (&[("./ok", link, b"")], 1, "logs/ok: it was changed while it was read"),
        (&[("./ok", HeaderKind::Folder, b"")], 1, "logs/ok: it was changed while it was read"),
        (&[], 1, "logs/ok: it was listed, but did not come"),
        (&[("./ok", HeaderKind::File { len: 1 << 60 }, b"")], 5, "the archive ended in the middle of an entry"),
    ] {
        let liar = Liar::new("81a4 1 8 1 ./ok//\n");
        liar.sends(members);
        let run = liar.slurp(&[]).expect_code(code).expect_stderr(expected);
        let mut here = liar.here();
        here.remove("out/web01/ok");
        assert_eq!(here, told(&[("out", "folder"), ("out/web01", "folder")]), "{run}");
    }
    // A hard link to a file of ours.
    let liar = Liar::new("81a4 1 8 1 ./ok//\n");
    liar.sends(&[("./ok", HeaderKind::Symlink { target: secret.as_bytes() }, b"")]);
    let mut archive = fs::read(liar.env.shared().join("archive")).unwrap();
    archive[156] = b'1';
    archive[148..156].fill(b' ');
    let sum: u32 = archive[..512].iter().map(|&b| u32::from(b)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    put(&liar.env, "archive", archive);
    let _ = liar.slurp(&[]).expect_code(1).expect_stderr("ok: it is a hard link to a file that did not come");
    assert_eq!(liar.here(), told(&[("out", "folder"), ("out/web01", "folder")]));
}

#[test]
fn bits_of_the_mode_that_give_rights_are_not_taken_over() {
    use std::os::unix::fs::MetadataExt;
    let liar = Liar::new("8fff 1 8 1 ./ok//\n41c0 1 8 1 ./d//\n");
    liar.sends(&[("./ok", file(b"1"), b"1")]);
    liar.slurp(&[]).expect_code(0);
    let mode = |name: &str| liar.env.work().join("out/web01").join(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode("ok") & 0o7000, mode("ok") & 0o022, mode("d") & 0o700), (0, 0, 0o700));
}

#[test]
fn devices_and_pipes_are_left_out_and_named() {
    let liar = Liar::new("11a4 0 0 1 ./pipe//\n61a4 0 0 1 ./disk//\nc1a4 0 0 1 ./socket//\n");
    let run = liar.slurp(&[]).expect_code(0).expect_stderr("nothing to fetch");
    for name in ["pipe", "disk", "socket"] {
        assert!(run.stderr_text().contains(&format!("{name}: left out, as it is no file")), "{run}");
    }
    assert_eq!(liar.here(), told(&[("out", "folder"), ("out/web01", "folder")]));
}

#[test]
fn a_host_that_lists_too_much_is_not_listened_to() {
    let names: String = (0..2000).map(|number| format!("81a4 1 8 1 ./{number}//\n")).collect();
    let _ = Liar::new(&names).slurp(&["--max-files", "1000"]).expect_code(5).expect_stderr("more than 1000 names");
    let long = format!("81a4 1 8 1 ./{}//\n", "n".repeat(20_000));
    let _ = Liar::new(&long).slurp(&[]).expect_code(5).expect_stderr("longer than any path");
    for record in ["81a4 x 8 1 ./a", "x", "81a4 1 8 1 a", "/x", "-1 1 8 1 ./a", "81a4 99999999999999999999 8 1 ./a"] {
        let run = Liar::new(&format!("{record}//\n")).slurp(&[]).expect_code(5);
        let _ = run.expect_stderr("the listing of the host is damaged");
    }
}

#[test]
fn sizes_that_cannot_be_kept_are_refused_before_the_first_byte() {
    let liar = Liar::new(
        "81a4 4000000000000000000 8000000000000000 1 ./a//\n81a4 4000000000000000000 8000000000000000 1 ./b//\n",
    );
    let _ = liar.slurp(&[]).expect_code(1).expect_stderr("not enough room here: 8.0 EB needed");
    let _ = liar.slurp(&["--max-total", "1G"]).expect_code(5).expect_stderr("and --max-total allows 1.1 GB");
    assert_eq!(liar.here(), told(&[("out", "folder"), ("out/web01", "folder")]));
}
