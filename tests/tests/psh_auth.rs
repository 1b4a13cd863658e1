//! How `psh` proves who it is, and how it checks who answers, on real OpenSSH servers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleet_tests::{Agent, Server, Sshd, TestEnv, accounts, program, run_to_end};

const PASSWORD: &str = "open sesame!";

/// A world whose user's key is protected by a passphrase.
fn with_passphrase() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    let mut keygen = Command::new(program("ssh-keygen"));
    run_to_end(keygen.args(["-q", "-p", "-P", "", "-N", PASSWORD, "-f"]).arg(env.user_key()));
    (env, server)
}

/// A world whose server knows nobody but by certificates of the authority, whose key is the third.
fn with_authority() -> (TestEnv, Server, PathBuf) {
    let env = TestEnv::new();
    let authority = env.generate_key(&env.path().join("user_ca"), "");
    let server = Sshd::new(&env)
        .option("TrustedUserCAKeys", &format!("{}.pub", authority.display()))
        .option("AuthorizedKeysFile", "none")
        .start();
    (env, server, authority)
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
fn a_key_that_may_not_be_read_is_named_with_the_reason() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    fs::set_permissions(env.user_key(), fs::Permissions::from_mode(0o000)).unwrap();
    let key = env.user_key().display().to_string();
    let arguments = ["--identity", &key, "-H", "server", "true"];
    // Root reads everything.
    let run = if accounts::is_root() {
        fs::set_permissions(env.ssh_folder(), fs::Permissions::from_mode(0o755)).unwrap();
        let account = ["--reuid", accounts::plain(), "--regid", accounts::plain(), "--clear-groups"];
        env.run(&program("setpriv"), account).arg(env.psh_path()).args(arguments)
    } else {
        env.psh(arguments)
    };
    run.finish()
        .expect_code(4)
        .expect_stderr(&format!("nothing to offer: key {key}: permission denied"))
        .expect_stderr("put the key file right");
}

#[test]
fn what_cannot_be_offered_is_said_with_the_reason() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let agent = Agent::start(&env, "agent");
    let other = env.generate_key(&env.path().join("other"), "").display().to_string();
    let (public, folder) = (format!("{other}.pub"), env.path().display().to_string());
    let gone = env.path().join("gone").display().to_string();
    let key = env.user_key().display().to_string();
    let all = "the server accepts publickey";
    let cases: [(&[&str], &str, &[&str]); 8] = [
        (&["--identity", &public], "", &[&public, "whose private half the agent does not hold", "without .pub", all]),
        (&["--identity", &folder], "", &[&folder, "is a directory", "put the key file right", all]),
        (&["--identity", &gone], "", &[&gone, "no such file", "put the key file right", all]),
        (&["--identity", &other], "", &[&other, "tried key", "check the user (-l)", all]),
        (&["--identity", &other], &agent.socket(), &["it holds no keys", "load the key into the agent", all]),
        (&["--identity", &other], &gone, &[&gone, "no such socket", "SSH_AUTH_SOCK=", all]),
        (&["-O", &format!("CertificateFile={public}")], "", &[&public, "not a certificate"]),
        (&["-O", "PubkeyAcceptedAlgorithms=-ssh-ed25519"], "", &[&key, "not among PubkeyAcceptedAlgorithms", all]),
    ];
    for (options, socket, expected) in cases {
        let run = env.psh(options).args(["-l", "no-such-user", "-H", "server", "true"]).env("SSH_AUTH_SOCK", socket);
        let run = expected.iter().fold(run.finish().expect_code(4), |run, text| run.expect_stderr(text));
        assert!(!run.stderr_text().contains("no method could be tried"), "{run}");
    }
    fs::remove_file(env.user_key()).unwrap();
    fs::remove_file(env.user_key().with_extension("pub")).unwrap();
    env.psh(["-H", "server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("nothing to offer: no agent, no default key file in ~/.ssh; the server accepts publickey")
        .expect_stderr("name a key file (--identity)");
}

#[test]
fn only_the_preferred_methods_are_used() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).option("PasswordAuthentication", "yes").start();
    let run = |preferred: &str| {
        let option = format!("PreferredAuthentications={preferred}");
        env.psh(["-O", &option, "-H", "server", "echo fine"]).finish()
    };
    run("password")
        .expect_code(4)
        .expect_stderr("no password given")
        .expect_stderr("publickey: the configuration does not allow it")
        .expect_stderr("the server accepts publickey, password")
        .expect_stderr("-A");
    assert!(!server.log().contains("publickey"), "{}", server.log());
    run("gssapi-with-mic").expect_code(4).expect_stderr("publickey: the configuration does not allow it");
    run("password,publickey").expect_code(0).expect_stdout("fine");
    assert!(server.log().contains("Accepted publickey"), "{}", server.log());
}

#[test]
fn a_certificate_file_is_offered_with_its_key() {
    let (env, _server, authority) = with_authority();
    sign(&env, &authority, &["-n", accounts::plain()], &env.user_key().with_extension("pub"));
    let elsewhere = env.path().join("elsewhere.pub");
    fs::rename(env.ssh_folder().join("id_ed25519-cert.pub"), &elsewhere).unwrap();
    env.psh(["-H", "server", "true"]).finish().expect_code(4);
    let option = format!("CertificateFile={}", elsewhere.display());
    env.psh(["-O", &option, "-H", "server", "echo fine"]).finish().expect_code(0).expect_stdout("fine");
    let other = env.generate_key(&env.path().join("other"), "").display().to_string();
    env.psh(["--identity", &other, "-O", &option, "-H", "server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr(&format!("certificate of {}: its private key is neither", elsewhere.display()));
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
    let (env, _server, authority) = with_authority();
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
