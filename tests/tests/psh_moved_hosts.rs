//! Hosts of a kept answer that do not answer: their provider is asked once more, and the host is followed, or is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleet_tests::{Finished, Server, Sshd, TestEnv, accounts};

/// A port on which nothing listens.
const CLOSED_PORT: u16 = 1;

/// A world with the provider `lab`, which tells what a file says and leaves a line for each time that it is asked.
struct Lab {
    env: TestEnv,
}

impl Lab {
    fn new() -> Self {
        let env = TestEnv::new();
        let folder = env.path().display().to_string();
        let script = env.write("lab.sh", format!("#!/bin/sh\ncat >>{folder}/calls\n. {folder}/answer.sh\n"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file of the test");
        env.write("work/fleet.toml", format!("[provider.lab]\ncommand = [{:?}]\n", script.display().to_string()));
        Self { env }
    }

    /// From now on these hosts are told of: id, address and port of each.
    fn tells<A: std::fmt::Display>(&self, hosts: impl IntoIterator<Item = (String, A, u16)>) {
        let user = accounts::plain();
        let host = |(id, address, port): (String, A, u16)| {
            format!(
                r#"{{"id":"{id}","groups":["web"],"addresses":{{"private":"{address}"}},"port":{port},"user":"{user}"}}"#
            )
        };
        let hosts: Vec<String> = hosts.into_iter().map(host).collect();
        self.does(&format!("cat <<'EOF'\n{{\"protocol\":1,\"hosts\":[{}]}}\nEOF\n", hosts.join(",")));
    }

    fn does(&self, script: &str) {
        self.env.write("answer.sh", script);
    }

    /// Has it told, and the answer kept.
    fn keep(&self) {
        self.env.psh(["-g", "web", "--list"]).finish().expect_code(0);
        assert_eq!(self.calls(), 1);
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.env.path().join("calls")).unwrap_or_default().lines().count()
    }

    fn run(&self, flags: &[&str]) -> Finished {
        self.env.psh(["-g", "web"]).args(flags).arg("echo ran").finish()
    }

    /// What the records of all runs say.
    fn journals(&self) -> String {
        let runs = self.env.home().join(".local/state/fleet/runs");
        let files = fs::read_dir(runs).expect("the records").map(|entry| entry.expect("a record").path());
        files.filter_map(|path| fs::read_to_string(path).ok()).collect()
    }
}

/// A server whose key is known as that of the instance `id`.
fn server(lab: &Lab, id: &str) -> Server {
    let server = Sshd::new(&lab.env).unknown().start();
    lab.env.trust(&format!("{id} {}\n", server.host_key()));
    server
}

#[test]
fn a_host_that_has_moved_is_followed_in_another_attempt() {
    let lab = Lab::new();
    let server = server(&lab, "i-1");
    lab.tells([("i-1".to_owned(), lab.env.addresses(1)[0], CLOSED_PORT)]);
    lab.keep();
    lab.tells([("i-1".to_owned(), server.address(), server.port())]);
    let run = lab.run(&["--json"]).expect_code(0);
    let reason =
        r#""attempt":2,"reason":"connect: connection refused; lab has it at another address now","pause_seconds":0"#;
    run.expect_stdout(reason).expect_stdout(r#""outcome":"ok","attempts":2"#).expect_stdout(r#""text":"ran\n""#);
    assert_eq!(lab.calls(), 2);
    let journal = lab.journals();
    assert!(journal.contains(r#""attempt":2"#) && journal.contains(r#""class":"moved""#), "{journal}");
    lab.run(&[]).expect_code(0).expect_stdout("ran");
    assert_eq!(lab.calls(), 2, "the new answer is kept");
}

#[test]
fn a_host_whose_turn_comes_later_goes_to_its_new_address_at_once() {
    let lab = Lab::new();
    let servers = ["i-1", "i-2"].map(|id| server(&lab, id));
    let closed = lab.env.addresses(1)[0];
    lab.tells(["i-1", "i-2"].map(|id| (id.to_owned(), closed, CLOSED_PORT)));
    lab.keep();
    let [one, two] = &servers;
    lab.tells([("i-1".to_owned(), one.address(), one.port()), ("i-2".to_owned(), two.address(), two.port())]);
    let run = lab.run(&["-p", "1", "--json"]).expect_code(0);
    assert_eq!(run.stdout_text().matches(r#""event":"retry""#).count(), 1, "{run}");
    assert_eq!((one.connections(), two.connections(), lab.calls()), (1, 1, 2));
}

#[test]
fn another_machine_at_the_address_shows_by_its_key() {
    let lab = Lab::new();
    let (server, other) = (server(&lab, "i-1"), server(&lab, "i-2"));
    lab.tells([("i-1".to_owned(), other.address(), other.port())]);
    lab.keep();
    lab.tells([("i-1".to_owned(), server.address(), server.port())]);
    lab.run(&[]).expect_code(0).expect_stdout("ran").expect_nowhere("changed");
    assert_eq!(lab.calls(), 2);
}

#[test]
fn a_host_that_is_gone_is_said_to_be_and_not_tried_again() {
    let lab = Lab::new();
    lab.tells([("i-1".to_owned(), lab.env.addresses(1)[0], CLOSED_PORT)]);
    lab.keep();
    lab.tells::<String>([]);
    let run = lab.run(&["--retry", "3", "--json"]).expect_code(4).expect_nowhere(r#""event":"retry""#);
    run.expect_stdout(r#""class":"gone","reason":"connect: no longer in lab (terminated?)""#);
    assert_eq!(lab.calls(), 2);
}

#[test]
fn where_nothing_has_changed_the_failure_stands_and_the_provider_is_asked_once_for_all() {
    let lab = Lab::new();
    let address = lab.env.addresses(1)[0];
    lab.tells((1..=50).map(|number| (format!("i-{number}"), address, CLOSED_PORT)));
    lab.keep();
    let run = lab.run(&[]).expect_code(4).expect_stderr("50").expect_stderr("connect: connection refused");
    run.expect_nowhere("another address").expect_nowhere("asked again");
    assert_eq!(lab.calls(), 2);
}

#[test]
fn an_answer_of_this_run_is_not_asked_for_again() {
    let lab = Lab::new();
    lab.tells([("i-1".to_owned(), lab.env.addresses(1)[0], CLOSED_PORT)]);
    for (flags, calls) in [(&["--refresh"][..], 1), (&["--no-cache"], 2)] {
        lab.run(flags).expect_code(4).expect_stderr("connect: connection refused");
        assert_eq!(lab.calls(), calls, "{flags:?}");
    }
}

#[test]
fn a_failure_that_another_address_would_not_help_asks_nobody() {
    let lab = Lab::new();
    let server = server(&lab, "i-1");
    lab.tells([("i-1".to_owned(), server.address(), server.port())]);
    lab.keep();
    fs::write(lab.env.authorized_keys(), "").expect("a file of the test");
    lab.run(&[]).expect_code(4).expect_stderr("authentication");
    assert_eq!(lab.calls(), 1);
}

#[test]
fn a_provider_that_fails_this_time_is_remarked_on_and_the_failure_stands() {
    let lab = Lab::new();
    lab.tells([("i-1".to_owned(), lab.env.addresses(1)[0], CLOSED_PORT)]);
    lab.keep();
    lab.does(r#"echo '{"protocol":1,"error":{"code":"expired","message":"log in"}}'"#);
    let run = lab.run(&[]).expect_code(4).expect_stderr("connect: connection refused");
    run.expect_stderr("psh: lab was asked again, as hosts did not answer: provider lab: log in (expired)\n");
    assert_eq!(lab.calls(), 2);
}
