//! `fleet trust`: host keys that a provider vouches for, on real servers; afterwards `psh` connects without a question.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fleet_tests::{Finished, Fleet, Server, Sshd, TestEnv, accounts, program, run_to_end};
use serde_json::{Value, json};

/// A world with the provider `lab`: it tells of what a file says, and the consoles of another.
struct Lab {
    env: TestEnv,
}

/// A host that the provider tells of.
struct Told<'a> {
    id: &'a str,
    server: &'a Server,
    record_keys: Vec<&'a str>,
    console: Option<String>,
}

impl<'a> Told<'a> {
    fn new(id: &'a str, server: &'a Server) -> Self {
        Self { id, server, record_keys: Vec::new(), console: None }
    }

    fn record_key(mut self, key: &'a str) -> Self {
        self.record_keys.push(key);
        self
    }

    fn console(mut self, text: impl Into<String>) -> Self {
        self.console = Some(text.into());
        self
    }
}

impl Lab {
    fn new() -> Self {
        let env = TestEnv::new();
        // Debian's own file has it the other way.
        env.configure("HashKnownHosts no");
        let folder = env.path().display().to_string();
        let text = format!(
            "#!/bin/sh\nread -r request\ncase $request in\n  *'\"action\":\"describe\"'*) cat {folder}/hosts.json ;;\n  \
             *'\"action\":\"console\"'*) echo x >>{folder}/consoles_asked; cat {folder}/consoles.json ;;\nesac\n"
        );
        let script = env.write("lab.sh", text);
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file of the test");
        env.write("work/fleet.toml", format!("[provider.lab]\ncommand = [{:?}]\n", script.display().to_string()));
        Self { env }
    }

    fn server(&self) -> Server {
        Sshd::new(&self.env).unknown().start()
    }

    fn tells(&self, hosts: &[Told<'_>]) {
        let host = |told: &Told<'_>| {
            json!({
                "id": told.id, "name": format!("web-{}", told.id), "groups": ["web"], "host_keys": told.record_keys,
                "addresses": {"private": told.server.address().to_string()}, "port": told.server.port(),
                "user": accounts::plain(),
            })
        };
        let console = |told: &Told<'_>| Some(json!({"id": told.id, "text": told.console.as_ref()?}));
        let (consoles, hosts): (Vec<_>, Vec<_>) =
            (hosts.iter().filter_map(console).collect(), hosts.iter().map(host).collect());
        self.env.write("hosts.json", json!({"protocol": 1, "hosts": hosts}).to_string());
        self.env.write("consoles.json", json!({"protocol": 1, "consoles": consoles}).to_string());
    }

    fn trust(&self, flags: &[&str]) -> Finished {
        self.env.fleet(["trust", "-g", "web", "--no-cache"]).args(flags).finish()
    }

    fn psh(&self) -> Finished {
        self.env.psh(["-g", "web", "--no-cache", "--host-key", "strict", "echo ran"]).finish()
    }

    fn known_hosts(&self) -> String {
        fs::read_to_string(self.env.known_hosts()).expect("known_hosts")
    }

    /// What a console has of the server's key, each line as logger(1) writes it, between other text.
    fn printed(&self, server: &Server, hash: &str) -> String {
        let key = self.env.write("key.pub", server.host_key());
        let fingerprint =
            run_to_end(std::process::Command::new(program("ssh-keygen")).args(["-l", "-E", hash, "-f"]).arg(key));
        let frame = format!(
            "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n{fingerprint}-----END SSH HOST KEY FINGERPRINTS-----\n"
        );
        let lines: String = frame.lines().map(|line| format!("<14>Nov 22 03:04:05 cloud-init: {line}\r\n")).collect();
        format!("[    0.000000] Linux version 6.1\r\n{lines}\x1b[0m\r\nweb login: ")
    }
}

fn printed_key(server: &Server) -> String {
    format!("-----BEGIN SSH HOST KEY KEYS-----\n{} root@web\n-----END SSH HOST KEY KEYS-----\n", server.host_key())
}

#[test]
fn keys_of_records_and_consoles_are_trusted_under_the_id_and_hosts_then_answer_without_a_question() {
    let lab = Lab::new();
    let servers = [(); 4].map(|()| lab.server());
    let [a, b, c, d] = &servers;
    lab.tells(&[
        Told::new("i-a", a).record_key(a.host_key()),
        Told::new("i-b", b).console(printed_key(b)),
        Told::new("i-c", c).console(lab.printed(c, "sha256")),
        Told::new("i-d", d).console(lab.printed(d, "md5")),
    ]);
    lab.psh().expect_code(4).expect_stderr("host key is not known");
    let before = [c.connections(), d.connections()];
    let run = lab.trust(&[]).expect_code(0).expect_stdout("4 of 4 hosts: 4 trusted\n");
    run.expect_stdout("web-i-a (i-a): trusted: ssh-ed25519 SHA256:");
    assert_eq!([c.connections(), d.connections()], before.map(|count| count + 1), "asked for the key, once");
    assert_eq!(c.log().matches("Accepted").count(), 0, "nobody logs in");
    let lines: Vec<String> = ["i-a", "i-b", "i-c", "i-d"]
        .iter()
        .zip(&servers)
        .map(|(id, server)| format!("{id} {}", server.host_key()))
        .collect();
    assert_eq!(lab.known_hosts().lines().collect::<Vec<_>>(), lines);
    lab.psh().expect_code(0).expect_stdout("ran");
    lab.trust(&[]).expect_code(0).expect_stdout("4 of 4 hosts: 4 already known\n");
    assert_eq!(lab.known_hosts().lines().count(), 4);
}

#[test]
fn a_host_that_offers_another_key_than_its_console_says_is_refused() {
    let lab = Lab::new();
    let (server, other) = (lab.server(), lab.server());
    lab.tells(&[Told::new("i-a", &server).console(lab.printed(&other, "sha256"))]);
    let run =
        lab.trust(&[]).expect_code(1).expect_stdout("web-i-a (i-a): REFUSED: it offers the key ssh-ed25519 SHA256:");
    run.expect_stdout("someone may be in between").expect_stdout("0 of 1 hosts: 1 refused (web-i-a)\n");
    assert_eq!(lab.known_hosts(), "");
    lab.psh().expect_code(4);
}

#[test]
fn a_key_that_is_known_and_another_is_refused_by_its_line_and_never_replaced() {
    let lab = Lab::new();
    let (server, other) = (lab.server(), lab.server());
    let known = format!("# mine\ni-a {}\n", other.host_key());
    lab.env.trust(&known);
    for told in [
        Told::new("i-a", &server).record_key(server.host_key()),
        Told::new("i-a", &server).console(printed_key(&server)),
        Told::new("i-a", &server).console(lab.printed(&server, "sha256")),
    ] {
        lab.tells(&[told]);
        let place = format!("{}:2 has another key for it: ssh-ed25519 SHA256:", lab.env.known_hosts().display());
        lab.trust(&[]).expect_code(1).expect_stdout(&place).expect_stdout("remove line 2 of ");
        assert_eq!(lab.known_hosts(), known);
    }
    assert_eq!(server.connections(), 0, "it need not be asked");
}

#[test]
fn without_a_word_nothing_is_trusted_and_it_is_said_what_to_do() {
    let lab = Lab::new();
    let (server, dead) = (lab.server(), lab.server());
    let whole = lab.printed(&server, "sha256");
    for (console, expected) in [
        (None, "not trusted: no console output yet\n  EC2 shows a console some minutes after the boot: wait"),
        (Some(String::new()), "no console output yet"),
        (Some(whole.split("-----END").next().unwrap_or_default().to_owned()), "ends before its host keys do"),
        (Some("[    0.0] Linux\x1b[2J\r\nlogin: ".to_owned()), "its console output has no host keys"),
    ] {
        let told = Told { console, ..Told::new("i-a", &server) };
        lab.tells(&[told, Told::new("i-b", &dead).record_key(dead.host_key())]);
        let run = lab.trust(&["--dry-run"]).expect_code(4).expect_stdout(expected);
        run.expect_stdout("1 trusted, 1 without host keys on a console (web-i-a)").expect_nowhere("\x1b");
    }
    lab.env.trust(&format!("i-a {}\n", server.host_key()));
    lab.tells(&[Told::new("i-a", &server)]);
    let stands = format!("no console output yet; the key of {}:1 stands", lab.env.known_hosts().display());
    lab.trust(&[]).expect_code(4).expect_stdout(&stands);
}

#[test]
fn a_host_that_is_to_be_asked_and_does_not_answer_is_not_trusted() {
    let lab = Lab::new();
    let server = lab.server();
    let whole = lab.printed(&server, "sha256");
    let address = lab.env.addresses(1)[0];
    lab.tells(&[Told::new("i-a", &server).console(whole)]);
    let hosts = fs::read_to_string(lab.env.path().join("hosts.json")).expect("a file of the test");
    lab.env.write("hosts.json", hosts.replace(&format!("\"{}\"", server.address()), &format!("\"{address}\"")));
    lab.trust(&[])
        .expect_code(4)
        .expect_stdout("not trusted: connect: connection refused")
        .expect_stdout("1 not reached");
    assert_eq!((lab.known_hosts(), server.connections()), (String::new(), 0));
}

#[test]
fn keys_go_where_they_are_asked_to_and_as_ssh_config_has_them() {
    let lab = Lab::new();
    let server = lab.server();
    lab.tells(&[Told::new("i-a", &server).console(lab.printed(&server, "sha256"))]);
    let run = lab.trust(&["--dry-run"]).expect_code(0).expect_stdout("would be trusted: ssh-ed25519 SHA256:");
    run.expect_stdout("1 of 1 hosts: 1 trusted; nothing is written\n");
    assert_eq!(lab.known_hosts(), "");
    lab.trust(&["--known-hosts", "mine"]).expect_code(0);
    let mine = lab.env.work().join("mine");
    assert_eq!(fs::read_to_string(&mine).expect("the file"), format!("i-a {}\n", server.host_key()));
    lab.trust(&["--known-hosts", "mine"]).expect_code(0).expect_stdout("1 already known");
    assert_eq!(lab.known_hosts(), "");
    let theirs = lab.env.path().join("theirs");
    let option = format!("UserKnownHostsFile={}", theirs.display());
    lab.trust(&["-O", &option, "-O", "HashKnownHosts=yes"]).expect_code(0);
    assert!(fs::read_to_string(&theirs).expect("the file").starts_with("|1|"));
    assert_eq!(lab.known_hosts(), "");
}

#[test]
fn json_tells_of_each_host_and_of_all() {
    let lab = Lab::new();
    let (a, b) = (lab.server(), lab.server());
    lab.tells(&[Told::new("i-a", &a).record_key(a.host_key()), Told::new("i-b", &b)]);
    let run = lab.trust(&["--json"]).expect_code(4);
    let objects: Vec<Value> =
        run.stdout_text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let [trusted, untold, summary] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(
        (&trusted["event"], &trusted["host"], &trusted["state"]),
        (&json!("host"), &json!("web-i-a"), &json!("trusted"))
    );
    assert!(trusted["keys"][0].as_str().is_some_and(|key| key.starts_with("ssh-ed25519 SHA256:")), "{trusted}");
    assert_eq!((&untold["id"], &untold["state"]), (&json!("i-b"), &json!("no-word")));
    assert_eq!(untold["reason"], "no console output yet");
    let expected = json!({"v": 1, "event": "summary", "hosts": 2, "counts": {"trusted": 1, "no-word": 1}, "dry_run": false, "exit_status": 4});
    assert_eq!(*summary, expected);
}

#[test]
fn hosts_that_no_provider_tells_of_are_an_error() {
    let lab = Lab::new();
    lab.tells(&[]);
    let run = lab.env.fleet(["trust", "-H", "here[1-2]"]).finish().expect_code(2);
    run.expect_stderr("no provider tells of here[1-2]: there is nobody who vouches for a key").expect_stderr("hint: ");
    assert!(!Path::exists(&lab.env.path().join("consoles_asked")));
}

#[test]
fn a_provider_that_cannot_tell_of_consoles_ends_it_before_anything_is_written() {
    let lab = Lab::new();
    let (a, b) = (lab.server(), lab.server());
    lab.tells(&[Told::new("i-a", &a).record_key(a.host_key()), Told::new("i-b", &b)]);
    lab.env.write("consoles.json", r#"{"protocol":1,"error":{"code":"unsupported","message":"no consoles here"}}"#);
    lab.trust(&[]).expect_code(2).expect_stderr("provider lab: no consoles here (unsupported)");
    assert_eq!(lab.known_hosts(), "");
}

#[test]
fn the_hosts_of_a_sandbox_are_trusted_by_its_own_word() {
    let fleet = Fleet::start(&["--roles", "web=3"]);
    let (env, dir) = (fleet.env(), fleet.env().path().join("fleet").display().to_string());
    let command = json!([env.fleet_path(), "sandbox", "provide", "--dir", dir]);
    env.write("work/fleet.toml", format!("[provider.sandbox]\ncommand = {command}\n"));
    env.fleet(["trust", "-g", "web"]).finish().expect_code(0).expect_stdout("3 of 3 hosts: 3 trusted\n");
    let key = format!("{dir}/id_ed25519");
    assert!(
        Path::new(&key).exists(),
        "the sandbox's key: {:?}",
        fs::read_dir(&dir).map(|d| d.flatten().collect::<Vec<_>>())
    );
    let run = env.psh(["-g", "web", "--host-key", "strict", "--identity", &key, "echo ran"]).finish();
    run.expect_code(0).expect_stdout("web01: ran");
}
