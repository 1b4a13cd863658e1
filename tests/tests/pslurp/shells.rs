//! The programs that list and send files, run by real shells with the tools of GNU and busybox: all say the same.
//!
//! No SSH here: as sshd does, the command line is given to a shell.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleet_ssh::remote::{
    Links, Packing, Part, RemotePattern, Token, copy_out_digests_command, copy_out_list_command,
    copy_out_parts_command, copy_out_remove_command, copy_out_send_command, copy_out_tails_command,
};
use fleet_tests::program;
use tempfile::TempDir;

use crate::world::{set_mtime, tree};

const SHELLS: [&str; 5] = ["dash", "bash", "busybox", "mksh", "zsh"];
const TOOLS: [&str; 9] = ["find", "stat", "tar", "xargs", "head", "tail", "gzip", "sha256sum", "wc"];

/// A host: a shell, its tools, and the folder of the login.
struct Host {
    dir: TempDir,
    shell: PathBuf,
}

impl Host {
    fn new(shell: &str, busybox_tools: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        // Shells and busybox go by the name that they are called by.
        let called = bin.join(if shell == "busybox" { "ash" } else { "sh" });
        symlink(program(shell), &called).unwrap();
        for tool in busybox_tools {
            symlink(program("busybox"), bin.join(tool)).unwrap();
        }
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("logs/deep")).unwrap();
        for (name, content) in [("a'b\n c", "1\n2\n3\n"), ("deep/-n", "x"), ("deep/$(touch evil)", "yy"), ("b", "")] {
            fs::write(home.join("logs").join(name), content).unwrap();
            set_mtime(&home.join("logs").join(name), 1_000_000_000);
        }
        symlink("nowhere", home.join("logs/link")).unwrap();
        Self { dir, shell: called }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// What a program says on both outputs, with the folder of the login as `HOME`.
    fn run(&self, line: Vec<u8>, input: &[&str]) -> (String, String) {
        let line = String::from_utf8(line).unwrap().replace("/bin/sh", &self.shell.display().to_string());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line).current_dir(self.home()).env_clear();
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        command.envs([("CDPATH", "/"), ("TAR_OPTIONS", "--none"), ("GZIP", "--none"), ("style", "x"), ("PATH", &path)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let home = self.home();
        let names: Vec<u8> = input
            .iter()
            .flat_map(|name| [name.replace("HOME", &home.display().to_string()).as_bytes(), b"\0"].concat())
            .collect();
        child.stdin.take().unwrap().write_all(&names).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| {
            let text = bytes.escape_ascii().to_string();
            text.replace(&home.as_os_str().as_bytes().escape_ascii().to_string(), "HOME")
        };
        (text(&output.stdout), text(&output.stderr))
    }
}

/// The records of a listing, without what file systems differ in.
fn records(listed: &str) -> Vec<String> {
    let mut records: Vec<String> = listed
        .split("//\\n")
        .map(|record| {
            let words: Vec<&str> = record.splitn(5, ' ').collect();
            match words[..] {
                [mode, _, _, _, path] if mode.starts_with('4') || mode.starts_with('a') => format!("{mode} {path}"),
                [mode, len, _, time, path] => format!("{mode} {len} {time} {path}"),
                _ => record.to_owned(),
            }
        })
        .collect();
    records.sort();
    records
}

#[test]
fn every_shell_and_tool_says_the_same() {
    let token = Token::new(0xab);
    let end = "\\x1efleet 00000000000000ab end\\n";
    for shell in SHELLS {
        for tools in [&[][..], &TOOLS] {
            let host = Host::new(shell, tools);
            let case = format!("{shell} {tools:?}");
            let pattern = |pattern, part| RemotePattern { pattern, part };
            let patterns = [
                pattern(&b"l*s"[..], Part::Inside),
                pattern(b"logs/d*", Part::Itself),
                pattern(b"none*", Part::Itself),
            ];
            let list = |links| copy_out_list_command(&patterns, links, &token).unwrap();
            let (listed, said) = host.run(list(Links::Kept), &[]);
            let files = ["81a4 1 1000000000 ./deep/-n", "81a4 2 1000000000 ./deep/$(touch evil)"];
            let mut expected = vec![
                format!("{end}"),
                "/1 HOME/logs".to_owned(),
                "41ed .".to_owned(),
                "41ed ./deep".to_owned(),
                "41ed ./deep".to_owned(),
                "81a4 6 1000000000 ./a\\'b\\n c".to_owned(),
                "81a4 0 1000000000 ./b".to_owned(),
                "a1ff ./link".to_owned(),
                "?2 ./none*".to_owned(),
                "\\x1efleet 00000000000000ab list\\n/0 HOME/logs".to_owned(),
            ];
            expected.extend(files.iter().chain(&files).map(ToString::to_string));
            expected.sort();
            assert_eq!((records(&listed), said.as_str()), (expected, ""), "{case}");
            let (listed, _) = host.run(list(Links::Followed), &[]);
            assert!(listed.contains("!./link//") || !listed.contains("link"), "{case}: {listed}");

            let (sent, said) = host.run(
                copy_out_send_command(Links::Kept, Packing::Plain, &token),
                &["HOME/logs/deep/-n", "HOME/logs/link"],
            );
            assert!(
                sent.starts_with("\\x1efleet 00000000000000ab data\\n") && sent.contains("logs/deep/-n"),
                "{case}: {sent}"
            );
            let after = said.split(" after\\n").nth(1).unwrap_or_default();
            assert!(after.contains(" 1000000000 HOME/logs/deep/-n//\\n") && after.ends_with(end), "{case}: {said}");

            let parts = copy_out_parts_command(Links::Kept, Packing::Plain, &token);
            let (sent, _) =
                host.run(parts, &["3 3 HOME/logs/a'b\n c", "1 4 HOME/logs/deep/$(touch evil)", "1 2 HOME/no"]);
            assert_eq!(sent, "\\x1efleet 00000000000000ab data\\n2\\n3yy\\x00\\x00\\x00\\x00", "{case}");

            let (tails, _) =
                host.run(copy_out_tails_command(2, Links::Kept, &token), &["HOME/logs/a'b\n c", "HOME/logs/b"]);
            let expected = format!(
                "\\x1efleet 00000000000000ab list\\n6 4 1000000000 HOME/logs/a\\'b\\n c//\\n0 0 1000000000 HOME/logs/b//\\n{end}"
            );
            assert_eq!(tails, expected, "{case}");

            digests_and_removal(&host, &token, &case);
        }
    }
}

fn digests_and_removal(host: &Host, token: &Token, case: &str) {
    // As sha256sum prints it, of "x" and of "1\n".
    let of_x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let of_line = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";
    let (digests, _) =
        host.run(copy_out_digests_command(token), &["1 HOME/logs/deep/-n", "2 HOME/logs/a'b\n c", "1 HOME/no"]);
    assert!(digests.contains(&format!("{of_x} 1 HOME/logs/deep/-n//")), "{case}: {digests}");
    assert!(digests.contains(&format!("{of_line} 2 HOME/logs/a\\'b\\n c//")), "{case}: {digests}");
    assert!(!digests.contains("HOME/no"), "{case}: {digests}");

    let asked = [
        format!("1 1000000000 {of_x} HOME/logs/deep/-n"),
        format!("6 1000000000 {of_line} HOME/logs/a'b\n c"),
        format!("9 1000000000 {of_x} HOME/no"),
        format!("1 1000000000 {of_x} HOME/logs/link"),
    ];
    symlink("deep/x", host.home().join("logs/other")).unwrap();
    let before = tree(&host.home()).len();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let (removed, _) = host.run(copy_out_remove_command(token), &asked);
    let words = ["removed HOME/logs/deep/-n", "changed HOME/logs/a\\'b\\n c", "gone HOME/no", "changed HOME/logs/link"];
    for word in words {
        assert!(removed.contains(&format!("{word}//\\n")), "{case}: {removed}");
    }
    assert_eq!((tree(&host.home()).len(), Path::new("evil").exists()), (before - 1, false), "{case}");
}
