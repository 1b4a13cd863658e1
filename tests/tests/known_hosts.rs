//! `known_hosts` against the programs whose file it is: ssh(1), ssh-keygen(1) and sshd(8).
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use fleet_ssh::known_hosts::{
    Certificate, Decision, HashNames, HostKeyPolicy, KnownHosts, KnownHostsFiles, KnownName, PublicKey, Verdict, decide,
};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// Runs `program` with nothing of the user's environment.
fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let output =
        Command::new(program).args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").output();
    output.unwrap_or_else(|error| panic!("{program}: {error}; hint: apt install openssh-client openssh-server"))
}

fn keygen(arguments: &[&str]) {
    let output = run("ssh-keygen", arguments);
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A known, valid Ed25519 key for each number, in the form of a line's last two fields.
fn numbered_key(number: usize) -> String {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:A>43}")
}

fn open(file: &Path) -> KnownHosts {
    KnownHostsFiles::default().open(&[file.to_owned()], &[]).unwrap()
}

/// A folder with host keys, certificates and the `known_hosts` file of a case.
struct Bench {
    folder: TempDir,
}

/// What the server shows.
#[derive(Clone, Copy, Debug)]
enum Shows {
    /// Its Ed25519 key.
    Key,
    /// A certificate for that key, by the name of its file.
    Certificate(&'static str),
}

/// How ssh(1) is told to connect.
#[derive(Clone, Copy, Debug)]
enum To {
    Host(&'static str),
    HostAndPort(&'static str, u16),
    Alias(&'static str),
}

impl Bench {
    fn new() -> Self {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing; hint: apt install openssh-server");
        // sshd run by root wants this folder, which only its service makes.
        drop(fs::create_dir_all("/run/sshd"));
        let bench = Self { folder: TempDir::new().unwrap() };
        for (name, kind) in [("host", "ed25519"), ("other", "ed25519"), ("authority", "ed25519"), ("ecdsa", "ecdsa")] {
            keygen(&["-q", "-t", kind, "-N", "", "-C", "comment", "-f", &bench.text_path(name)]);
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Signs the host's key: `flags` are those of ssh-keygen(1).
    fn sign(&self, name: &str, flags: &[&str]) {
        fs::copy(self.path("host.pub"), self.path(&format!("{name}.pub"))).unwrap();
        let (authority, public) = (self.text_path("authority"), self.text_path(&format!("{name}.pub")));
        let arguments = [&["-q", "-s", &authority, "-I", "id"], flags, &[&public]].concat();
        keygen(&arguments);
    }

    /// A public key as the last two fields of a line.
    fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn known_hosts(&self, text: &str) -> PathBuf {
        fs::write(self.path("known_hosts"), text).unwrap();
        self.path("known_hosts")
    }

    /// Whether ssh(1) goes on to authentication, which nobody passes.
    fn ssh_accepts(&self, shows: Shows, to: To, strict: &str) -> bool {
        let mut config = format!(
            "HostKey {}\nPidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile none\nStrictModes no\n",
            self.text_path("host")
        );
        if let Shows::Certificate(name) = shows {
            config += &format!("HostCertificate {}\n", self.text_path(&format!("{name}-cert.pub")));
        }
        fs::write(self.path("sshd_config"), config).unwrap();
        let mut arguments = vec!["-F".to_owned(), "none".to_owned(), "-l".to_owned(), "nobody".to_owned()];
        for option in [
            &format!("ProxyCommand={SSHD} -i -f {}", self.text_path("sshd_config")),
            &format!("UserKnownHostsFile={}", self.text_path("known_hosts")),
            &format!("StrictHostKeyChecking={strict}"),
            "GlobalKnownHostsFile=/dev/null",
            "UpdateHostKeys=no",
            "BatchMode=yes",
            "IdentityFile=none",
            "IdentityAgent=none",
            "KexAlgorithms=curve25519-sha256",
        ] {
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        arguments.extend(to.ssh_arguments());
        let output = run("ssh", arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        match (said.contains("Permission denied"), said.contains("Host key verification failed")) {
            (true, false) => true,
            (false, true) => false,
            _ => panic!("ssh said neither yes nor no to the host key: {said}"),
        }
    }

    fn verdict(&self, shows: Shows, to: To) -> Verdict {
        let known = open(&self.path("known_hosts"));
        let name = to.known_name();
        match shows {
            Shows::Key => known.check_key(&name, &PublicKey::from_openssh(&self.public("host")).unwrap()),
            Shows::Certificate(file) => {
                let text = fs::read_to_string(self.path(&format!("{file}-cert.pub"))).unwrap();
                known.check_certificate(&name, &Certificate::from_openssh(&text).unwrap(), SystemTime::now())
            }
        }
    }
}

impl To {
    fn ssh_arguments(self) -> Vec<String> {
        match self {
            Self::Host(name) => vec![name.to_owned()],
            Self::HostAndPort(name, port) => vec![format!("-p{port}"), name.to_owned()],
            Self::Alias(name) => vec!["-p2222".to_owned(), format!("-oHostKeyAlias={name}"), "unrelated".to_owned()],
        }
    }

    fn known_name(self) -> KnownName {
        match self {
            Self::Host(name) => KnownName::of_host(name, 22),
            Self::HostAndPort(name, port) => KnownName::of_host(name, port),
            Self::Alias(name) => KnownName::alias(name),
        }
    }
}

/// `field` as ssh-keygen(1) hashes it.
fn hashed(bench: &Bench, field: &str) -> String {
    let file = bench.text_path("hashed");
    fs::write(&file, format!("{field} {}\n", numbered_key(0))).unwrap();
    keygen(&["-q", "-H", "-f", &file]);
    fs::read_to_string(&file).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn the_lines_for_a_name_are_those_that_ssh_keygen_finds() {
    let bench = Bench::new();
    let fields = [
        "web".to_owned(),
        "# web".to_owned(),
        "\t web,db".to_owned(),
        "WEB".to_owned(),
        hashed(&bench, "web"),
        hashed(&bench, "[web]:2222"),
        "[web]:2222,10.0.0.1".to_owned(),
        "w*".to_owned(),
        "*,!web".to_owned(),
        "!db,*b".to_owned(),
        "w?b".to_owned(),
        "[*]:2222".to_owned(),
        "@revoked web".to_owned(),
        "@revoked  w*".to_owned(),
        "@revoked @revoked web".to_owned(),
        "@other web".to_owned(),
        "|1|bad|web".to_owned(),
        "web\t\t".to_owned(),
        "web,,".to_owned(),
        "2001:db8::1".to_owned(),
    ];
    let lines: Vec<_> =
        fields.iter().zip(1..).map(|(field, number)| format!("{field} {}", numbered_key(number))).collect();
    let file = bench.known_hosts(&lines.join("\n"));
    let known = open(&file);
    for name in ["web", "db", "x", "we", "webb", "[web]:2222", "[db]:2222", "10.0.0.1", "2001:db8::1"] {
        let output = run("ssh-keygen", ["-F", name, "-f", file.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout);
        let theirs: BTreeSet<usize> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# Host ")?.split_once(" found: line "))
            .map(|(_, number)| number.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        // Each line has a key of its own, so the verdict on that key tells whether the line is for the name.
        let is_for_name = |number: &usize| {
            let key = PublicKey::from_openssh(&numbered_key(*number)).unwrap();
            match known.check_key(&KnownName::alias(name), &key) {
                Verdict::Trusted(at) | Verdict::Revoked(at) => at.line == *number,
                _ => false,
            }
        };
        let ours: BTreeSet<usize> = (1..=fields.len()).filter(is_for_name).collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn a_bare_key_is_accepted_exactly_when_ssh_accepts_it() {
    let bench = Bench::new();
    let (key, other, ecdsa) = (bench.public("host"), bench.public("other"), bench.public("ecdsa"));
    let tabbed = key.replace(' ', "\t");
    let (web, with_port) = (To::Host("web"), To::HostAndPort("web", 2222));
    for (text, to, accepted) in [
        (String::new(), web, false),
        (format!("web {key}"), web, true),
        (format!("db {key}"), web, false),
        (format!("{} {key}", hashed(&bench, "web")), web, true),
        (format!("{} {key}", hashed(&bench, "web")), To::Host("WEB"), true),
        (format!("{} {key}", hashed(&bench, "db")), web, false),
        (format!("w*,x {key}"), web, true),
        (format!("w?b {key}"), web, true),
        (format!("!web,* {key}"), web, false),
        (format!("*,!db {key}"), web, true),
        (format!("WEB {key}"), To::Host("Web"), true),
        (format!("\t web \t {key}  comment # x"), web, true),
        (format!("web\t{tabbed}\tcomment"), web, true),
        (format!("web {key}\r\n"), web, true),
        (format!("# web {key}"), web, false),
        (format!("web {other}"), web, false),
        (format!("web {other}\nweb {key}"), web, true),
        (format!("web {ecdsa}"), web, false),
        (format!("web {ecdsa}\nweb {key}"), web, true),
        (format!("web\nweb ssh-ed25519 AAAA\nweb nonsense {key}\nweb {key}"), web, true),
        (format!("|1|x|y {key}\nweb {key}"), web, true),
        (format!("web {key}#"), web, false),
        (format!("@revoked * {key}\nweb {key}"), web, false),
        (format!("web {key}\n@revoked web {key}"), web, false),
        (format!("@revoked web {other}\nweb {key}"), web, true),
        (format!("@revoked db {key}\nweb {key}"), web, true),
        (format!("@revoked\tweb\t{tabbed}\nweb {key}"), web, false),
        (format!("@cert-authority web {key}"), web, false),
        (format!("@unknown web {key}"), web, false),
        (format!("[web]:2222 {key}"), with_port, true),
        (format!("[web]:2222 {key}"), web, false),
        (format!("[web]:22 {key}"), web, false),
        (format!("{} {key}", hashed(&bench, "[web]:2222")), with_port, true),
        (format!("[w*]:2222 {key}"), with_port, true),
        (format!("[web]:* {key}"), with_port, true),
        (format!("web {key}"), with_port, true),
        (format!("web {other}"), with_port, false),
        (format!("[web]:2222 {other}\nweb {key}"), with_port, false),
        (format!("[web]:2222 {key}\nweb {other}"), with_port, true),
        (format!("@revoked web {key}"), with_port, false),
        (format!("cluster {key}"), To::Alias("Cluster"), true),
        (format!("[cluster]:2222 {key}"), To::Alias("cluster"), false),
        (format!("2001:db8::1 {key}"), To::Host("2001:DB8:0::1"), true),
        (format!("[2001:db8::1]:2222 {key}"), To::HostAndPort("2001:db8::1", 2222), true),
    ] {
        bench.known_hosts(&text);
        assert_eq!(bench.ssh_accepts(Shows::Key, to, "yes"), accepted, "ssh, {to:?}: {text}");
        let ours = decide(HostKeyPolicy::Strict, bench.verdict(Shows::Key, to));
        assert_eq!(ours == Decision::Accept, accepted, "{ours:?}, {to:?}: {text}");
    }
}

#[test]
fn a_certificate_is_accepted_exactly_when_ssh_accepts_it() {
    let bench = Bench::new();
    let now = ["-h", "-V", "-1h:+1h", "-n"];
    bench.sign("good", &[&now[..], &["web"]].concat());
    bench.sign("second", &[&now[..], &["x,web"]].concat());
    bench.sign("elsewhere", &[&now[..], &["db"]].concat());
    bench.sign("upper", &[&now[..], &["WEB"]].concat());
    bench.sign("address", &[&now[..], &["2001:db8::1"]].concat());
    bench.sign("ported", &[&now[..], &["[web]:2222"]].concat());
    bench.sign("expired", &["-h", "-V", "20200101:20200102", "-n", "web"]);
    bench.sign("early", &["-h", "-V", "+1d:+2d", "-n", "web"]);
    bench.sign("critical", &["-h", "-n", "web", "-O", "critical:what=ever"]);
    // Without principals, and with wildcards in them, releases of OpenSSH differ: unit tests hold our side.
    let (authority, key, other) = (bench.public("authority"), bench.public("host"), bench.public("other"));
    let (web, with_port) = (To::Host("web"), To::HostAndPort("web", 2222));
    let trusted = format!("@cert-authority w* {authority}");
    for (text, certificate, to, accepted) in [
        (trusted.clone(), "good", web, true),
        (trusted.clone(), "good", To::Host("WEB"), true),
        (trusted.clone(), "second", web, true),
        (trusted.clone(), "elsewhere", web, false),
        (trusted.clone(), "upper", web, false),
        (trusted.clone(), "expired", web, false),
        (trusted.clone(), "early", web, false),
        (trusted.clone(), "critical", web, false),
        (trusted.clone(), "good", with_port, true),
        (trusted.clone(), "ported", with_port, false),
        (trusted.clone(), "good", To::Alias("web"), true),
        (trusted.clone(), "good", To::Alias("www"), false),
        (format!("@cert-authority [web]:2222 {authority}"), "good", with_port, true),
        (format!("@cert-authority * {authority}"), "address", To::Host("2001:DB8:0::1"), true),
        (format!("@cert-authority {} {authority}", hashed(&bench, "web")), "good", web, true),
        (format!("@cert-authority\tw* {authority}"), "good", web, false),
        (format!("@cert-authority\tw*\t{}", authority.replace(' ', "\t")), "good", web, true),
        (String::new(), "good", web, false),
        (format!("web {authority}"), "good", web, false),
        (format!("@cert-authority db {authority}"), "good", web, false),
        (format!("@cert-authority web {other}"), "good", web, false),
        (format!("@cert-authority web {other}\n{trusted}"), "good", web, true),
        (format!("@cert-authority web {other}\nweb {key}"), "good", web, true),
        (format!("web {key}"), "good", web, true),
        (format!("web {other}"), "good", web, false),
        (format!("{trusted}\nweb {other}"), "good", web, true),
        (format!("{trusted}\nweb {key}"), "expired", web, true),
        (format!("{trusted}\nweb {other}"), "expired", web, false),
        (format!("{trusted}\n@revoked * {authority}"), "good", web, false),
        (format!("{trusted}\n@revoked web {key}"), "good", web, false),
        (format!("{trusted}\n@revoked web {authority}\nweb {key}"), "good", web, false),
    ] {
        bench.known_hosts(&text);
        let shows = Shows::Certificate(certificate);
        assert_eq!(bench.ssh_accepts(shows, to, "yes"), accepted, "ssh, {shows:?} {to:?}: {text}");
        let ours = decide(HostKeyPolicy::Strict, bench.verdict(shows, to));
        assert_eq!(ours == Decision::Accept, accepted, "{ours:?}, {shows:?} {to:?}: {text}");
    }
}

#[test]
fn a_new_key_is_written_as_ssh_writes_it() {
    let bench = Bench::new();
    let (ecdsa, other) = (bench.public("ecdsa"), bench.public("other"));
    for (text, to, is_new) in [
        (String::new(), To::Host("WEB"), true),
        // With its final line feed: older releases of ssh(1) do not mend a missing one.
        (format!("db {other}\n"), To::Host("web"), true),
        (format!("web {other}\n"), To::HostAndPort("Web", 2222), true),
        (String::new(), To::Alias("Cluster"), true),
        (String::new(), To::HostAndPort("2001:db8::1", 2222), true),
        (format!("web {ecdsa}\n"), To::Host("web"), false),
        (format!("web {other}\n"), To::Host("web"), false),
    ] {
        let file = bench.known_hosts(&text);
        assert_eq!(bench.ssh_accepts(Shows::Key, to, "accept-new"), is_new, "ssh, {to:?}: {text}");
        let theirs = fs::read_to_string(&file).unwrap();
        bench.known_hosts(&text);
        let decision = decide(HostKeyPolicy::AcceptNew, bench.verdict(Shows::Key, to));
        assert_eq!(decision == Decision::AcceptAndRemember, is_new, "{decision:?}, {to:?}: {text}");
        if is_new {
            let key = PublicKey::from_openssh(&bench.public("host")).unwrap();
            open(&file).remember(&to.known_name(), &key, HashNames::Plain).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), theirs, "{to:?}");
    }
}

#[test]
fn a_name_that_we_hash_is_found_by_ssh() {
    let bench = Bench::new();
    let file = bench.known_hosts("");
    let to = To::HostAndPort("web", 2222);
    let key = PublicKey::from_openssh(&bench.public("host")).unwrap();
    open(&file).remember(&to.known_name(), &key, HashNames::Hashed).unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains("web"));
    assert!(bench.ssh_accepts(Shows::Key, to, "yes"));
}

#[test]
fn two_processes_and_ssh_lose_no_line_and_write_none_twice() {
    let bench = Bench::new();
    let file = bench.known_hosts("");
    let mut children = ["1", "2"].map(|name| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remember-hosts"))
            .args([file.as_os_str(), name.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap() == "ready"), "child {name} ended early");
        (child, lines)
    });
    children.iter_mut().for_each(|(child, _)| drop(child.stdin.take()));
    for name in ["ssh1", "ssh2", "ssh3", "ssh4", "ssh5"] {
        assert!(bench.ssh_accepts(Shows::Key, To::Host(name), "accept-new"));
    }
    for (mut child, lines) in children {
        let said: Vec<_> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{said:?}");
    }
    let text = fs::read_to_string(&file).unwrap();
    let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    assert_eq!([count("shared"), count("own1-"), count("own2-"), count("ssh")], [250, 250, 250, 5]);
    assert_eq!(text.lines().collect::<BTreeSet<_>>().len(), 755);
    let read = KnownHostsFiles::default();
    read.open(&[file], &[]).unwrap();
    assert_eq!(read.skipped_lines(), []);
}
