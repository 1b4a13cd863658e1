//! What the files say of keys and certificates, and how keys are added to them.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::private::Ed25519Keypair;
use tempfile::TempDir;

use super::fixture::{ECDSA, ED25519, ED25519_OTHER, RSA, authority_text, certificate, hashed, key};
use super::*;

/// A folder with the files of one test.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// What is known when the user's only file holds `text`.
    fn known(&self, text: &str) -> KnownHosts {
        open(&[self.write("known_hosts", text)])
    }
}

fn open(user_files: &[PathBuf]) -> KnownHosts {
    KnownHostsFiles::default().open(user_files, &[]).unwrap()
}

fn host(name: &str) -> KnownName {
    KnownName::of_host(name, 22)
}

/// A verdict as `trusted 3`, `changed 3 ssh-rsa`, `revoked 3` or `unknown`.
fn brief(verdict: Verdict) -> String {
    match verdict {
        Verdict::Trusted(at) => format!("trusted {}", at.line),
        Verdict::Unknown { certificate: None, .. } => "unknown".to_owned(),
        Verdict::Unknown { certificate: Some(problem), .. } => format!("unknown, certificate {problem}"),
        Verdict::Changed { at, known, .. } => format!("changed {} {}", at.line, known.key_type),
        Verdict::Revoked(at) => format!("revoked {}", at.line),
    }
}

#[test]
fn a_key_is_trusted_by_any_line_revoked_by_any_line_and_otherwise_changed() {
    let (a, b) = (ED25519, ED25519_OTHER);
    let hashed_web = hashed("web");
    for (text, port, expected) in [
        (String::new(), 22, "unknown"),
        (format!("db {a}"), 22, "unknown"),
        (format!("web {a}"), 22, "trusted 1"),
        (format!("# old\n\nWEB,db {a} comment\r\n"), 22, "trusted 3"),
        (format!("{hashed_web} {a}"), 22, "trusted 1"),
        (format!("w*,!db {a}"), 22, "trusted 1"),
        (format!("*,!web {a}"), 22, "unknown"),
        (format!("web {b}"), 22, "changed 1 ssh-ed25519"),
        (format!("web {b}\nweb {a}"), 22, "trusted 2"),
        (format!("web nonsense\nweb ssh-ed25519 AAAA\nweb {a}"), 22, "trusted 3"),
        (format!("web {RSA}"), 22, "changed 1 ssh-rsa"),
        (format!("web {b}\nweb {RSA}"), 22, "changed 1 ssh-ed25519"),
        (format!("@revoked * {a}\nweb {a}"), 22, "revoked 1"),
        (format!("web {a}\n@revoked web {a}"), 22, "revoked 2"),
        (format!("@revoked web {b}\nweb {a}"), 22, "trusted 2"),
        (format!("@revoked db {a}\nweb {a}"), 22, "trusted 2"),
        (format!("@cert-authority web {a}"), 22, "unknown"),
        (format!("[web]:22 {a}"), 22, "unknown"),
        (format!("[web]:2222 {a}\nweb {b}"), 2222, "trusted 1"),
        (format!("{} {a}", hashed("[web]:2222")), 2222, "trusted 1"),
        (format!("[*]:2222 {a}"), 2222, "trusted 1"),
        (format!("web {a}"), 2222, "trusted 1"),
        (format!("web {b}"), 2222, "unknown"),
        (format!("[web]:2222 {b}\nweb {a}"), 2222, "changed 1 ssh-ed25519"),
        (format!("[web]:2223 {a}"), 2222, "unknown"),
        (format!("@revoked web {a}"), 2222, "revoked 1"),
    ] {
        let known = Files::new().known(&text);
        assert_eq!(brief(known.check_key(&KnownName::of_host("Web", port), &key(a))), expected, "{text} port {port}");
    }
}

#[test]
fn an_alias_is_looked_up_without_the_port() {
    let known = Files::new().known(&format!("cluster {ED25519}\n[cluster]:2222 {ED25519_OTHER}"));
    assert_eq!(brief(known.check_key(&KnownName::alias("Cluster"), &key(ED25519))), "trusted 1");
}

#[test]
fn the_comment_of_a_key_does_not_count() {
    let known = Files::new().known(&format!("web {ED25519} root@web"));
    let mut offered = key(ED25519);
    offered.set_comment("other");
    assert_eq!(brief(known.check_key(&host("web"), &offered)), "trusted 1");
}

#[test]
fn every_file_counts_and_is_named() {
    let files = Files::new();
    let user = files.write("user", &format!("web {ED25519_OTHER}\n"));
    let global = files.write("global", &format!("\nweb {ED25519}\n@revoked db {ED25519}\n"));
    let known = KnownHostsFiles::default().open(&[user], std::slice::from_ref(&global)).unwrap();
    assert_eq!(
        known.check_key(&host("web"), &key(ED25519)),
        Verdict::Trusted(Location { file: global.clone(), line: 2 })
    );
    assert_eq!(known.check_key(&host("db"), &key(ED25519)), Verdict::Revoked(Location { file: global, line: 3 }));
    let Verdict::Changed { at, known: old, offered } = known.check_key(&host("web"), &key(ECDSA)) else {
        panic!("not changed")
    };
    assert_eq!(at.file.file_name().unwrap(), "global");
    assert_eq!((old.key_type.as_str(), offered.key_type.as_str()), ("ssh-ed25519", "ecdsa-sha2-nistp256"));
}

#[test]
fn a_missing_file_is_empty_and_an_unreadable_one_is_an_error() {
    let files = Files::new();
    for missing in [files.path("none"), files.path("none/none"), PathBuf::from("/dev/null"), "/dev/null/.ssh/x".into()]
    {
        assert_eq!(brief(open(&[missing]).check_key(&host("web"), &key(ED25519))), "unknown");
    }
    let error = KnownHostsFiles::default().open(&[], &[files.folder.path().to_owned()]).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the known host keys in /"), "{error}");
}

#[test]
fn a_file_is_read_once_for_all_hosts() {
    let files = Files::new();
    let (one, two) = (files.write("one", &format!("web {ED25519}\n")), files.write("two", ""));
    let read = KnownHostsFiles::default();
    read.open(std::slice::from_ref(&one), &[]).unwrap();
    fs::remove_file(&one).unwrap();
    let known = read.open(&[two, one], &[]).unwrap();
    assert_eq!(brief(known.check_key(&host("web"), &key(ED25519))), "trusted 1");
}

#[test]
fn skipped_lines_are_told_with_file_and_line() {
    let files = Files::new();
    let one = files.write("one", &format!("web {ED25519}\n\nweb\n@what web {ED25519}\n"));
    let two = files.write("two", "web\n");
    let read = KnownHostsFiles::default();
    for _ in 0..2 {
        read.open(&[two.clone(), one.clone()], &[]).unwrap();
    }
    let skipped: Vec<_> = read.skipped_lines().iter().map(|(at, problem)| format!("{at}: {problem:?}")).collect();
    let (one, two) = (one.display(), two.display());
    let expected =
        [format!("{one}:3: Truncated"), format!("{one}:4: Marker(\"@what\")"), format!("{two}:1: Truncated")];
    assert_eq!(skipped, expected);
}

#[test]
fn a_certificate_counts_when_a_trusted_authority_signed_it_for_this_host_and_time() {
    let known = Files::new().known(&format!("@cert-authority w* {}", authority_text()));
    let elsewhere = "unknown, certificate is for other hosts; expected this host's name among its principals";
    let nowhere = "unknown, certificate names no hosts; expected this host's name among its principals";
    let restricted = "unknown, certificate has critical options, of which none is known for hosts";
    for (cert_type, principals, options, second, expected) in [
        (CertType::Host, &["web"][..], &[][..], 150, "trusted 1"),
        (CertType::Host, &["web"], &[], 100, "trusted 1"),
        (CertType::Host, &["web"], &[], 99, "unknown, certificate is not valid yet"),
        (CertType::Host, &["web"], &[], 200, "unknown, certificate has expired"),
        (CertType::Host, &["x", "web"], &[], 150, "trusted 1"),
        (CertType::Host, &["w*"], &[], 150, "trusted 1"),
        (CertType::Host, &["db"], &[], 150, elsewhere),
        (CertType::Host, &["WEB"], &[], 150, elsewhere),
        (CertType::Host, &[], &[], 150, nowhere),
        (CertType::Host, &["web"], &["force-command"], 150, restricted),
        (CertType::User, &["web"], &[], 150, "unknown, certificate is not for hosts"),
    ] {
        let certificate = certificate(cert_type, principals, options);
        let verdict = known.check_certificate(&host("web"), &certificate, at_second(second));
        assert_eq!(brief(verdict), expected, "{cert_type:?} {principals:?} {options:?} {second}");
    }
}

fn at_second(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn web_certificate() -> Certificate {
    certificate(CertType::Host, &["web"], &[])
}

#[test]
fn a_certificate_without_its_authority_leaves_the_bare_key() {
    let authority = authority_text();
    for (text, port, expected) in [
        (String::new(), 22, "unknown"),
        (format!("web {authority}"), 22, "changed 1 ssh-ed25519"),
        (format!("@cert-authority db {authority}"), 22, "unknown"),
        (format!("@cert-authority web {ED25519_OTHER}"), 22, "unknown"),
        (format!("@cert-authority web {ED25519_OTHER}\nweb {ED25519}"), 22, "trusted 2"),
        (format!("@cert-authority web {ED25519_OTHER}\n@cert-authority * {authority}"), 22, "trusted 2"),
        (format!("@cert-authority web {authority}\nweb {ED25519_OTHER}"), 22, "trusted 1"),
        (format!("@cert-authority web {authority}\n@revoked web {authority}"), 22, "revoked 2"),
        (format!("@cert-authority web {authority}\n@revoked web {ED25519}"), 22, "revoked 2"),
        (format!("@cert-authority [web]:2222 {authority}"), 2222, "trusted 1"),
        (format!("@cert-authority web {authority}"), 2222, "trusted 1"),
        (format!("@cert-authority [web]:2222 {ED25519_OTHER}\n@cert-authority web {authority}"), 2222, "unknown"),
    ] {
        let known = Files::new().known(&text);
        let verdict = known.check_certificate(&KnownName::of_host("web", port), &web_certificate(), at_second(150));
        assert_eq!(brief(verdict), expected, "{text} port {port}");
    }
}

#[test]
fn a_certificate_with_a_wrong_signature_is_no_certificate() {
    let mut bytes = web_certificate().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    let known = Files::new().known(&format!("@cert-authority web {}", authority_text()));
    let verdict = known.check_certificate(&host("web"), &forged, at_second(150));
    assert_eq!(brief(verdict), "unknown, certificate has a wrong signature");
}

#[test]
fn known_key_types_are_asked_for_first() {
    let known = Files::new().known(&format!(
        "web {RSA}\nweb {ECDSA}\n@revoked web {ECDSA}\n[web]:2222 {ED25519}\n@cert-authority *.lab {ED25519}"
    ));
    let names = |algorithms: Vec<Algorithm>| algorithms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let preferred: Vec<_> = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"]
        .map(|name| Algorithm::new(name).unwrap())
        .to_vec();
    for (name, expected, ordered) in [
        (host("web"), "rsa-sha2-512 rsa-sha2-256", "rsa-sha2-256 rsa-sha2-512 ssh-ed25519 ecdsa-sha2-nistp256"),
        (KnownName::of_host("web", 2222), "ssh-ed25519", "ssh-ed25519 ecdsa-sha2-nistp256 rsa-sha2-256 rsa-sha2-512"),
        (
            KnownName::of_host("web", 2223),
            "rsa-sha2-512 rsa-sha2-256",
            "rsa-sha2-256 rsa-sha2-512 ssh-ed25519 ecdsa-sha2-nistp256",
        ),
        (host("a.lab"), "", "ssh-ed25519 ecdsa-sha2-nistp256 rsa-sha2-256 rsa-sha2-512"),
    ] {
        assert_eq!(names(known.key_algorithms(&name)), expected, "{name:?}");
        assert_eq!(names(known.order_algorithms(&name, &preferred)), ordered, "{name:?}");
    }
    assert!(known.has_certificate_authority(&host("a.lab")));
    assert!(!known.has_certificate_authority(&host("web")));
}

#[test]
fn a_remembered_key_is_known_and_written_for_the_user_alone() {
    let files = Files::new();
    let path = files.path("new/.ssh/known_hosts");
    let known = open(std::slice::from_ref(&path));
    let name = KnownName::of_host("Web", 2222);
    assert_eq!(brief(known.remember(&name, &key(ED25519), HashNames::Plain).unwrap()), "trusted 1");
    assert_eq!(brief(known.remember(&name, &key(ED25519), HashNames::Hashed).unwrap()), "trusted 1");
    assert_eq!(brief(known.check_key(&name, &key(ED25519))), "trusted 1");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("[web]:2222 {ED25519}\n"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_remembered_name_can_be_hashed() {
    let files = Files::new();
    let known = files.known("");
    known.remember(&host("web"), &key(RSA), HashNames::Hashed).unwrap();
    let text = fs::read_to_string(files.path("known_hosts")).unwrap();
    assert!(text.starts_with("|1|") && text.ends_with(&format!(" {RSA}\n")), "{text}");
    assert_eq!(brief(files.known(&text).check_key(&host("web"), &key(RSA))), "trusted 1");
}

#[test]
fn all_keys_of_a_host_are_remembered_or_none() {
    let files = Files::new();
    let known = files.known(&format!("other {ED25519_OTHER}\n@revoked * {RSA}\n"));
    let remember = |name: &str, keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|text| key(text)).collect();
        let verdicts = known.remember_all(&host(name), &keys, HashNames::Plain).unwrap();
        verdicts.into_iter().map(brief).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(remember("web", &[ED25519, ECDSA]), "trusted 3, trusted 4");
    assert_eq!(remember("web", &[ED25519, ECDSA]), "trusted 3, trusted 4");
    assert!(remember("other", &[ED25519, ECDSA]).starts_with("changed 1"));
    assert!(remember("new", &[ED25519, RSA]).ends_with("revoked 2"));
    let text = fs::read_to_string(files.path("known_hosts")).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    let lines = |name: &str| known.host_keys(&host(name)).iter().map(|(at, _)| at.line).collect::<Vec<_>>();
    assert_eq!((lines("web"), lines("other"), lines("new")), (vec![3, 4], vec![1], vec![]));
}

#[test]
fn a_missing_final_line_feed_is_mended() {
    let files = Files::new();
    let known = files.known(&format!("db {ED25519}"));
    assert_eq!(brief(known.remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap()), "trusted 2");
    assert_eq!(brief(known.remember(&host("app"), &key(ED25519), HashNames::Plain).unwrap()), "trusted 3");
    let text = fs::read_to_string(files.path("known_hosts")).unwrap();
    assert_eq!(text, format!("db {ED25519}\nweb {ED25519}\napp {ED25519}\n"));
    assert_eq!(brief(known.check_key(&host("db"), &key(ED25519))), "trusted 1");
}

#[test]
fn the_first_key_of_a_name_wins_when_others_come_at_the_same_time() {
    let files = Files::new();
    let known = files.known("");
    known.remember(&host("cluster"), &key(ED25519), HashNames::Plain).unwrap();
    let second = known.remember(&host("cluster"), &key(ED25519_OTHER), HashNames::Plain).unwrap();
    assert_eq!(brief(second), "changed 1 ssh-ed25519");
}

#[test]
fn lines_that_others_add_are_kept_and_seen() {
    let files = Files::new();
    let path = files.write("known_hosts", &format!("db {ED25519}\n"));
    let (ours, theirs) = (open(std::slice::from_ref(&path)), open(std::slice::from_ref(&path)));
    theirs.remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(format!("x {ECDSA}").as_bytes()).unwrap();
    assert_eq!(brief(ours.check_key(&host("web"), &key(ED25519))), "unknown");
    assert_eq!(brief(ours.remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap()), "trusted 2");
    assert_eq!(brief(ours.check_key(&host("x"), &key(ECDSA))), "trusted 3");
    assert_eq!(brief(theirs.remember(&host("y"), &key(ECDSA), HashNames::Plain).unwrap()), "trusted 4");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("db {ED25519}\nweb {ED25519}\nx {ECDSA}\ny {ECDSA}\n"));
}

#[test]
fn a_line_that_ssh_adds_between_our_reading_and_writing_is_kept_and_counted() {
    let files = Files::new();
    let path = files.write("known_hosts", "");
    let file = KnownHostsFile::read(&path).unwrap();
    let mut appender = file.appender().unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(format!("x {ECDSA}\n").as_bytes()).unwrap();
    appender.append(&format!("web {ED25519}")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("x {ECDSA}\nweb {ED25519}\n"));
    let numbers = |name| file.matching(name, |lines| lines.map(|line| line.number).collect::<Vec<_>>());
    assert_eq!((numbers("x"), numbers("web")), (vec![1], vec![2]));
}

#[test]
fn another_process_that_holds_the_lock_is_waited_for() {
    let files = Files::new();
    let path = files.write("known_hosts", "");
    let known = open(std::slice::from_ref(&path));
    // The kernel gives this lock to an open file, so it stands for one of another process.
    let mut theirs = fs::OpenOptions::new().append(true).open(&path).unwrap();
    rustix::fs::flock(&theirs, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let waiting = std::thread::spawn(move || {
        let verdict = known.remember(&host("web"), &key(ED25519), HashNames::Plain);
        drop(done);
        verdict
    });
    let too_early = is_done.recv_timeout(Duration::from_millis(100));
    assert_eq!(too_early, Err(std::sync::mpsc::RecvTimeoutError::Timeout));
    theirs.write_all(format!("web {ED25519}\n").as_bytes()).unwrap();
    drop(theirs);
    assert_eq!(brief(waiting.join().unwrap().unwrap()), "trusted 1");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("web {ED25519}\n"));
}

#[test]
fn a_line_read_while_it_was_being_written_is_read_again() {
    let files = Files::new();
    let line = format!("web {ED25519}\n");
    let (start, rest) = line.split_at(40);
    let known = files.known(start);
    let path = files.path("known_hosts");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(rest.as_bytes()).unwrap();
    assert_eq!(brief(known.remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap()), "trusted 1");
}

#[test]
fn a_file_that_was_replaced_is_read_anew() {
    let files = Files::new();
    let known = files.known(&format!("db {ED25519}\nweb {ED25519}\n"));
    fs::rename(files.write("edited", &format!("web {ECDSA}\n")), files.path("known_hosts")).unwrap();
    let verdict = known.remember(&host("app"), &key(ED25519), HashNames::Plain).unwrap();
    assert_eq!(brief(verdict), "trusted 2");
    assert_eq!(brief(known.check_key(&host("db"), &key(ED25519))), "unknown");
    assert_eq!(brief(known.check_key(&host("web"), &key(ECDSA))), "trusted 1");
}

#[test]
fn a_symbolic_link_stays_one() {
    let files = Files::new();
    let target = files.write("target", "");
    let link = files.path("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    open(std::slice::from_ref(&link)).remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), format!("web {ED25519}\n"));
}

#[test]
fn dev_null_keeps_keys_for_the_run_only() {
    let known = open(&["/dev/null".into()]);
    assert!(brief(known.remember(&host("web"), &key(ED25519), HashNames::Plain).unwrap()).starts_with("trusted"));
    assert!(brief(known.check_key(&host("web"), &key(ED25519_OTHER))).starts_with("changed"));
    assert_eq!(brief(open(&["/dev/null".into()]).check_key(&host("web"), &key(ED25519))), "unknown");
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_no_host() {
    let files = Files::new();
    let in_the_way = files.write("file", "").join("known_hosts");
    let global = files.write("global", "");
    let remember = |known: &KnownHosts, name: &KnownName| {
        known.remember(name, &key(ED25519), HashNames::Plain).unwrap_err().to_string()
    };
    let only_global = KnownHostsFiles::default().open(&[], std::slice::from_ref(&global)).unwrap();
    assert!(remember(&only_global, &host("web")).contains("names no file"));
    assert_eq!(fs::read_to_string(global).unwrap(), "");
    assert!(remember(&open(std::slice::from_ref(&in_the_way)), &host("web")).contains("cannot add the host key to /"));
    assert!(!remember(&files.known(""), &KnownName::alias("evil,*")).contains("evil"));
    assert_eq!(fs::read_to_string(files.path("known_hosts")).unwrap(), "");
}

/// A key of its own for each number.
fn numbered_key(number: u16) -> PublicKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    PublicKey::from(Ed25519Keypair::from_seed(&seed).public)
}

#[test]
fn five_hundred_hosts_at_the_same_moment_each_get_one_line() {
    let files = Files::new();
    let known = files.known(&format!("db {ED25519}"));
    std::thread::scope(|scope| {
        for number in 0..500 {
            let known = &known;
            // Every host is remembered by two threads; every other name is hashed.
            let names = if number % 2 == 0 { HashNames::Plain } else { HashNames::Hashed };
            for _ in 0..2 {
                scope.spawn(move || {
                    known.remember(&host(&format!("web{number}")), &numbered_key(number), names).unwrap()
                });
            }
        }
    });
    let text = fs::read_to_string(files.path("known_hosts")).unwrap();
    assert_eq!(text.lines().count(), 501);
    assert_eq!(text.lines().collect::<HashSet<_>>().len(), 501);
    let read = KnownHostsFiles::default();
    let reread = read.open(&[files.path("known_hosts")], &[]).unwrap();
    assert_eq!(read.skipped_lines(), []);
    for number in 0..500 {
        let name = host(&format!("web{number}"));
        let verdict = reread.check_key(&name, &numbered_key(number));
        assert!(matches!(verdict, Verdict::Trusted(_)), "web{number}");
        assert_eq!(known.check_key(&name, &numbered_key(number)), verdict, "web{number}");
    }
}

#[test]
fn a_key_is_found_whatever_name_it_is_known_by() {
    let files = Files::new();
    let known =
        files.known(&format!("@revoked a {RSA}\n@cert-authority b {ECDSA}\n{} {ED25519}\nc {ED25519}\n", hashed("x")));
    let line = |text| known.line_with(&key(text)).map(|at| at.line);
    assert_eq!([ED25519, ED25519_OTHER, RSA, ECDSA].map(line), [Some(3), None, None, None]);
}

#[test]
fn a_key_in_the_file_of_revoked_ones_is_good_for_no_host() {
    let files = Files::new();
    let read = KnownHostsFiles::default();
    let known_hosts = files.write("known_hosts", &format!("web {ED25519}\n@cert-authority * {}\n", authority_text()));
    let check = |revoked: &str| {
        let revoked = read.revoked(&files.write(&revoked.len().to_string(), revoked)).unwrap();
        let known = read.open(std::slice::from_ref(&known_hosts), &[]).unwrap().without(Some(revoked));
        let certificate = certificate(CertType::Host, &["db"], &[]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(150);
        let on_web = brief(known.check_key(&host("web"), &key(ED25519)));
        let on_new = brief(known.check_key(&host("new"), &key(ED25519)));
        [on_web, on_new, brief(known.check_certificate(&host("db"), &certificate, now))]
    };
    assert_eq!(check(""), ["trusted 1", "unknown", "trusted 2"]);
    assert_eq!(check(&format!("# none\n\n{ED25519_OTHER}\n")), ["trusted 1", "unknown", "trusted 2"]);
    assert_eq!(check(&format!("# the web's\n  {ED25519} comment\r\n")), ["revoked 2", "revoked 2", "revoked 2"]);
    assert_eq!(check(&format!("{}\n", authority_text())), ["trusted 1", "unknown", "revoked 1"]);
}

#[test]
fn a_file_of_revoked_keys_that_is_not_understood_whole_is_an_error() {
    let files = Files::new();
    let path = files.path("revoked");
    let place = path.display().to_string();
    for (bytes, expected) in [
        (None, format!("cannot read the known host keys in {place}")),
        (Some(b"SSHKRL\n\0\0\0\0\x01".to_vec()), format!("{place} is a binary key revocation list; expected ")),
        (Some(format!("{ED25519}\nweb {ED25519}\n").into_bytes()), format!("{place}:2: expected a public key")),
        (Some(b"serial: 1\n".to_vec()), format!("{place}:1: expected a public key")),
    ] {
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        let error = KnownHostsFiles::default().revoked(&path).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error}");
    }
}
