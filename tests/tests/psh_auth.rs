//! How `psh` proves who it is, and how it checks who answers, on real OpenSSH servers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fleet_tests::{Server, Sshd, TestEnv, accounts, program, run_to_end};

const PASSWORD: &str = "open sesame!";

/// A world whose user's key is protected by a passphrase.
fn with_passphrase() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    let mut keygen = Command::new(program("ssh-keygen"));
    run_to_end(keygen.args(["-q", "-p", "-P", "", "-N", PASSWORD, "-f"]).arg(env.user_key()));
    (env, server)
}

/// An ssh-agent of the test. Ends when dropped.
struct Agent {
    child: Child,
    socket: String,
}

impl Agent {
    fn with_key(env: &TestEnv, key: &Path) -> Self {
        let socket = env.path().join("agent").display().to_string();
        let mut child = Command::new(program("ssh-agent"))
            .args(["-D", "-a", &socket])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent");
        // Its first line comes when the socket is there.
        let mut first = [0];
        std::io::Read::read_exact(child.stdout.as_mut().expect("stdout is piped"), &mut first)
            .expect("ssh-agent starts");
        let mut add = Command::new(program("ssh-add"));
        run_to_end(add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket));
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sign(env: &TestEnv, authority: &Path, options: &[&str], public_key: &Path) {
    let mut keygen = Command::new(program("ssh-keygen"));
    run_to_end(
        keygen
            .current_dir(env.path())
            .args(["-q", "-s"])
            .arg(authority)
            .args(["-I", "test"])
            .args(options)
            .arg(public_key),
    );
}

#[test]
fn a_wrong_user_is_told_which_keys_were_tried() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    env.psh(["-H", "no-such-user@server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("authentication: ")
        .expect_stderr("id_ed25519")
        .expect_stderr("publickey");
}

#[test]
fn the_user_of_the_flag_wins_over_the_configured_one() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    env.psh(["-l", "no-such-user", "-H", "server", "true"]).finish().expect_code(4).expect_stderr("authentication: ");
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    fs::set_permissions(env.user_key(), fs::Permissions::from_mode(0o644)).unwrap();
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("id_ed25519").expect_stderr("0644");
    env.ssh(["server", "true"]).finish().expect_code(255);
    drop(server);
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    for (name, contents) in [("garbage", "not a key\n"), ("empty", "")] {
        let key = env.write(name, contents);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let key = key.display().to_string();
        let run = env.psh(["--identity", &key, "-O", "IdentitiesOnly=yes", "-H", "server", "true"]).finish();
        assert!(run.stderr_text().contains(&key) && matches!(run.code, Some(2 | 4)), "{run}");
    }
    let run = env.psh(["--identity", "/no/such/key", "-O", "IdentitiesOnly=yes", "-H", "server", "true"]).finish();
    assert!(run.stderr_text().contains("/no/such/key") && matches!(run.code, Some(2 | 4)), "{run}");
}

#[test]
fn a_key_with_a_passphrase_is_used_through_the_agent() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let agent = Agent::with_key(&env, &env.user_key());
    fs::remove_file(env.user_key()).unwrap();
    let run = env.psh(["-H", "web[01-03]", "echo fine"]).env("SSH_AUTH_SOCK", &agent.socket).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 3, "{run}");
}

#[test]
fn many_hosts_share_one_agent() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 100).start();
    let agent = Agent::with_key(&env, &env.user_key());
    fs::remove_file(env.user_key()).unwrap();
    let run = env.psh(["-p", "100", "-H", "web[001-100]", "echo fine"]).env("SSH_AUTH_SOCK", &agent.socket);
    let run = run.finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 100, "{run}");
}

#[test]
fn a_passphrase_is_asked_for_once_for_all_hosts() {
    let (env, _server) = with_passphrase();
    let mut run = env.psh(["-H", "web[01-03]", "echo fine"]).on_terminal().start();
    run.wait_for_stdout("assphrase");
    run.type_secret(PASSWORD);
    let run = run.finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 3, "{run}");
    assert_eq!(run.stdout_text().matches("assphrase").count(), 1, "{run}");
    run.expect_nowhere(PASSWORD);
}

#[test]
fn a_passphrase_that_cannot_be_asked_for_is_a_failure_with_a_hint() {
    let (env, _server) = with_passphrase();
    env.psh(["-H", "web[01-03]", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("id_ed25519")
        .expect_stderr("no terminal to ask at");
}

#[test]
fn too_many_keys_are_not_mistaken_for_a_wrong_key() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("MaxAuthTries", "2").start();
    let keys: Vec<_> = (0..4).map(|n| env.generate_key(&env.path().join(format!("key{n}")), "")).collect();
    let mut arguments: Vec<String> = vec!["-H".into(), "server".into()];
    for key in &keys {
        arguments.extend(["--identity".into(), key.display().to_string()]);
    }
    env.psh(arguments).arg("true").finish().expect_code(4).expect_stderr("authentication: ").expect_stderr("oo many");
}

#[test]
fn a_password_is_asked_for_once_for_all_hosts() {
    let env = TestEnv::new();
    let account = accounts::Throwaway::with_password(PASSWORD);
    let _server = Sshd::new(&env)
        .hosts("web", 3)
        .user(account.name())
        .option("PasswordAuthentication", "yes")
        .option("PubkeyAuthentication", "no")
        .start();
    let mut run = env.psh(["-A", "-H", "web[01-03]", "echo fine"]).on_terminal().start();
    run.wait_for_stdout("assword");
    run.type_secret(PASSWORD);
    let run = run.finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 3, "{run}");
    assert_eq!(run.stdout_text().matches("assword").count(), 1, "{run}");
    run.expect_nowhere(PASSWORD);
}

#[test]
fn a_wrong_password_fails_and_is_not_shown() {
    let env = TestEnv::new();
    let account = accounts::Throwaway::with_password(PASSWORD);
    let _server = Sshd::new(&env)
        .user(account.name())
        .option("PasswordAuthentication", "yes")
        .option("PubkeyAuthentication", "no")
        .start();
    let mut run = env.psh(["-A", "-H", "server", "true"]).on_terminal().start();
    run.wait_for_stdout("assword");
    run.type_secret("wrong-one");
    run.finish().expect_code(4).expect_stdout("authentication: ").expect_nowhere("wrong-one");
}

#[test]
fn questions_of_the_server_are_answered_with_the_password() {
    let env = TestEnv::new();
    let account = accounts::Throwaway::with_password(PASSWORD);
    let _server = Sshd::new(&env)
        .user(account.name())
        .option("UsePAM", "yes")
        .option("KbdInteractiveAuthentication", "yes")
        .option("PubkeyAuthentication", "no")
        .start();
    let mut run = env.psh(["-A", "-H", "server", "echo fine"]).on_terminal().start();
    run.wait_for_stdout("assword");
    run.type_secret(PASSWORD);
    run.finish().expect_code(0).expect_stdout("fine").expect_nowhere(PASSWORD);
}

#[test]
fn a_certificate_of_the_user_is_accepted() {
    let env = TestEnv::new();
    let authority = env.generate_key(&env.path().join("user_ca"), "");
    let _server = Sshd::new(&env)
        .option("TrustedUserCAKeys", &format!("{}.pub", authority.display()))
        .option("AuthorizedKeysFile", "none")
        .start();
    env.psh(["-H", "server", "true"]).finish().expect_code(4);
    sign(&env, &authority, &["-n", accounts::plain()], &env.user_key().with_extension("pub"));
    env.psh(["-H", "server", "echo fine"]).finish().expect_code(0).expect_stdout("fine");
}

#[test]
fn a_certificate_of_the_host_is_checked() {
    let env = TestEnv::new();
    let authority = env.generate_key(&env.path().join("host_ca"), "");
    let host_key = env.generate_key(&env.path().join("certified"), "");
    // Its addresses are given out in order: the first server of this world gets the first.
    let network = env.network();
    sign(&env, &authority, &["-h", "-n", &format!("{network}1")], &host_key.with_extension("pub"));
    let certificate = format!("{}-cert.pub", host_key.display());
    let _server = Sshd::new(&env)
        .host_key(&host_key)
        .option("HostKey", &host_key.display().to_string())
        .option("HostCertificate", &certificate)
        .unknown()
        .start();
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("host key");
    let public = fs::read_to_string(authority.with_extension("pub")).unwrap();
    env.trust(&format!("@cert-authority [{network}*]:* {public}"));
    env.psh(["-H", "server", "echo fine"]).finish().expect_code(0).expect_stdout("fine");
}

#[test]
fn an_unknown_host_key_is_refused_unless_new_ones_are_accepted() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 10).unknown().start();
    let refused = env.psh(["-H", "web[01-10]", "echo fine"]).finish().expect_code(4).expect_stderr("host key");
    assert!(refused.stdout.is_empty() && fs::read(env.known_hosts()).unwrap().is_empty(), "{refused}");
    env.psh(["--host-key", "off", "-H", "web01", "echo fine"]).finish().expect_code(0);
    assert!(fs::read(env.known_hosts()).unwrap().is_empty(), "nothing is learnt from an unchecked key");
    env.psh(["--host-key", "accept-new", "-H", "web[01-10]", "echo fine"]).finish().expect_code(0);
    let learnt = fs::read_to_string(env.known_hosts()).unwrap();
    assert_eq!(learnt.lines().count(), 10, "{learnt}");
    for name in server.names() {
        env.ssh(["-o", "StrictHostKeyChecking=yes", name, "true"]).finish().expect_code(0);
    }
    env.psh(["-H", "web[01-10]", "echo fine"]).finish().expect_code(0);
}

#[test]
fn a_changed_host_key_is_refused_whatever_is_asked_and_the_line_is_named() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).unknown().start();
    let other = fs::read_to_string(env.user_key().with_extension("pub")).unwrap();
    env.trust(&format!("# a comment\n\n[{}]:{} {other}", server.address(), server.port()));
    let place = format!("{}:3", env.known_hosts().display());
    for policy in ["strict", "accept-new", "off"] {
        env.psh(["--host-key", policy, "-H", "server", "echo fine"])
            .finish()
            .expect_code(4)
            .expect_stderr(&place)
            .expect_nowhere("fine");
    }
}
