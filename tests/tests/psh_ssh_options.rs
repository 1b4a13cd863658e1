//! Options of ssh_config(5) through `psh`, on real OpenSSH servers: what each changes, and what is said when it cannot.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use fleet_tests::{Server, Sshd, TestEnv, Welcome, accounts, program};

/// Passes connections at `from` on to the only host of `server`, for as long as the test runs.
fn relay(from: SocketAddr, server: &Server) -> SocketAddr {
    let listener = TcpListener::bind(from).expect("a loopback address can be bound");
    let address = listener.local_addr().expect("a bound socket has an address");
    let to = SocketAddr::from((server.address(), server.port()));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.expect("accept"), TcpStream::connect(to).expect("the server listens"));
            pass_on(&client, &server);
            pass_on(&server, &client);
        }
    });
    address
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a socket can be duplicated");
    let mut to = to.try_clone().expect("a socket can be duplicated");
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

fn loopback_six() -> SocketAddr {
    "[::1]:0".parse().expect("an address")
}

#[test]
fn a_bind_address_is_what_the_server_sees() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    env.psh(["-O", "BindAddress=127.0.0.9", "-H", "server", "--no-prefix", "echo ${SSH_CONNECTION%% *}"])
        .finish()
        .expect_code(0)
        .expect_stdout("127.0.0.9\n");
    // An address of the documentation (RFC 5737), which no machine has.
    env.psh(["-O", "BindAddress=192.0.2.1", "-H", "server", "true"]).finish().expect_code(4).expect_stderr("connect: ");
}

#[test]
fn the_address_family_chooses_among_the_addresses_of_a_name() {
    let env = TestEnv::new();
    let four = Sshd::new(&env).named("four").start();
    let six = Sshd::new(&env).named("six").start();
    let port = relay(loopback_six(), &six).port();
    relay((Ipv4Addr::LOCALHOST, port).into(), &four);
    let hosts = env.write("hosts", "127.0.0.1 both.test\n::1 both.test\n").display().to_string();
    // A file of its own instead of /etc/hosts, for one process.
    let namespaces = if accounts::is_root() { "-m" } else { "-rm" };
    env.trust(&format!("[both.test]:{port} {}\n[both.test]:{port} {}\n", four.host_key(), six.host_key()));
    env.configure(&format!("Host both\n  HostName both.test\n  Port {port}\n  User {}\n", accounts::plain()));
    for (family, server) in [("inet", &four), ("inet6", &six)] {
        env.run(&program("unshare"), [namespaces, "sh", "-c", "mount --bind $0 /etc/hosts && exec \"$@\"", &hosts])
            .args([&env.psh_path(), "-O", &format!("AddressFamily={family}"), "-H", "both", "echo $SSH_CONNECTION"])
            .finish()
            .expect_code(0)
            .expect_stdout(&format!(" {} ", server.address()));
    }
    env.psh(["-O", "AddressFamily=inet6", "-H", "four", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("four (1): resolve: no address of the wanted AddressFamily");
}

#[test]
fn a_server_at_an_address_of_ipv6_is_reached_and_its_key_known() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).unknown().start();
    let at = relay(loopback_six(), &server);
    let host = format!("{}@{at}", accounts::plain());
    env.psh(["-H", &host, "true"]).finish().expect_code(4).expect_stderr("host key is not known");
    env.trust(&format!("{at} {}\n", server.host_key()));
    env.psh(["-H", &host, "echo fine"]).finish().expect_code(0).expect_stdout("fine");
}

#[test]
fn a_connection_is_attempted_as_often_as_asked_for() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let (address, port) = (env.addresses(1)[0], server.port());
    env.enter_host("late", address, port, accounts::plain());
    env.trust(&format!("[{address}]:{port} {}\n", server.host_key()));
    let refused = env.psh(["-v", "-O", "ConnectionAttempts=2", "-H", "late", "true"]).finish().expect_code(4);
    assert_eq!(refused.stderr_text().matches("another attempt").count(), 1, "{refused}");
    let run = env.psh(["-v", "-O", "ConnectionAttempts=30", "-H", "late", "echo fine"]).start();
    run.wait_for_stderr("another attempt");
    relay((address, port).into(), &server);
    run.finish().expect_code(0).expect_stdout("fine");
}

#[test]
fn the_limit_of_a_stage_is_that_of_ssh_config_unless_a_flag_says_otherwise() {
    let env = TestEnv::new();
    let _silent = Sshd::new(&env).welcome(|_| Welcome::Silence).start();
    env.configure("Host server\n  ConnectTimeout 2\n");
    env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr("banner: timed out after 2s");
    env.configure("Host server\n  ConnectTimeout 1000\n");
    env.psh(["--connect-timeout", "1s", "-H", "server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("banner: timed out after 1s");
}

#[test]
fn the_host_key_algorithm_chooses_among_the_keys_of_a_server() {
    let env = TestEnv::new();
    let ecdsa = env.path().join("ecdsa");
    let path = ecdsa.display().to_string();
    env.run(&program("ssh-keygen"), ["-q", "-t", "ecdsa", "-N", "", "-f", &path]).finish().expect_code(0);
    let server = Sshd::new(&env).option("HostKey", &path).unknown().start();
    let psh = |policy: &str, algorithm: &str| {
        let option = format!("HostKeyAlgorithms={algorithm}");
        env.psh(["--host-key", policy, "-O", &option, "-H", "server", "echo fine"]).finish()
    };
    let line = format!("{}:1", env.known_hosts().display());
    for (algorithm, other) in [("ssh-ed25519", "ecdsa-sha2-nistp256"), ("ecdsa-sha2-nistp256", "ssh-ed25519")] {
        fs::write(env.known_hosts(), "").expect("empty known_hosts");
        psh("accept-new", algorithm).expect_code(0).expect_stdout("fine");
        let learnt = fs::read_to_string(env.known_hosts()).expect("known_hosts");
        assert!(learnt.contains(&format!(" {algorithm} ")) && !learnt.contains(other), "{learnt}");
        for policy in ["strict", "accept-new", "off"] {
            psh(policy, other).expect_code(4).expect_stderr(&format!("host key has changed ({line})"));
        }
        // Without a word about it, the server is asked for the key that is known.
        env.psh(["-H", "server", "echo fine"]).finish().expect_code(0);
    }
    drop(server);
}

#[test]
fn names_of_accepted_hosts_are_hashed_when_asked_for() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).unknown().start();
    env.psh(["--host-key", "accept-new", "-O", "HashKnownHosts=yes", "-H", "web[01-03]", "true"])
        .finish()
        .expect_code(0);
    let learnt = fs::read_to_string(env.known_hosts()).expect("known_hosts");
    assert!(learnt.lines().count() == 3 && learnt.lines().all(|line| line.starts_with("|1|")), "{learnt}");
    let file = env.known_hosts().display().to_string();
    for address in server.addresses() {
        let name = format!("[{address}]:{}", server.port());
        env.run(&program("ssh-keygen"), ["-F", &name, "-f", &file])
            .finish()
            .expect_code(0)
            .expect_stdout("found: line");
    }
    env.psh(["-H", "web[01-03]", "true"]).finish().expect_code(0);
}

#[test]
fn a_line_of_known_hosts_that_is_not_understood_is_named_once() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let key = fs::read_to_string(env.user_key().with_extension("pub")).expect("a public key");
    env.trust(&format!("web01 ssh-ed25519\n@what web02 {key}web03 ssh-ed25519 AAAA\n"));
    let run = env.psh(["-H", "web[01-03]", "echo fine"]).finish().expect_code(0);
    let file = env.known_hosts().display().to_string();
    for (line, words) in
        [(4, "the line ends early"), (5, "\"@what\" is not a marker"), (6, "the ssh-ed25519 key is damaged")]
    {
        let notice = format!("psh: {file}:{line}: the line is skipped: {words}");
        assert_eq!(run.stderr_text().matches(&notice).count(), 1, "{notice}: {run}");
    }
}

#[test]
fn revoked_host_keys_are_refused_under_every_policy() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let other = fs::read_to_string(env.user_key().with_extension("pub")).expect("a public key");
    let file = env.write("revoked", &other).display().to_string();
    let option = format!("RevokedHostKeys={file}");
    env.psh(["-O", &option, "-H", "server", "echo fine"]).finish().expect_code(0).expect_stdout("fine");
    env.write("revoked", format!("{other}{}\n", server.host_key()));
    for policy in ["strict", "accept-new", "off"] {
        env.psh(["--host-key", policy, "-O", &option, "-H", "server", "echo fine"])
            .finish()
            .expect_code(4)
            .expect_stderr(&format!("host key is revoked ({file}:2)"))
            .expect_nowhere("fine");
    }
}

#[test]
fn revoked_host_keys_that_cannot_be_read_stop_the_run_before_any_host() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let list = env.path().join("list").display().to_string();
    let key = env.user_key().with_extension("pub").display().to_string();
    env.run(&program("ssh-keygen"), ["-q", "-k", "-f", &list, &key]).finish().expect_code(0);
    let broken = env.write("broken", "no key\n").display().to_string();
    for (file, words) in
        [(list.as_str(), "is a binary key revocation list"), (&broken, ":1: expected a public key"), ("/none", "/none")]
    {
        env.psh(["-O", &format!("RevokedHostKeys={file}"), "-H", "server", "true"])
            .finish()
            .expect_code(2)
            .expect_stderr(file)
            .expect_stderr(words);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_host_key_that_is_known_by_another_name_is_pointed_at() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).unknown().start();
    env.trust(&format!("# moved\nelsewhere {}\n", server.host_key()));
    let place = format!("{}:2", env.known_hosts().display());
    env.psh(["-H", "server", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr(&format!("host key is not known for this name and port ({place} has it for another)"))
        .expect_stderr("--host-key accept-new");
}

#[test]
fn an_unknown_algorithm_on_the_command_line_stops_the_run_before_any_host() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    for (option, unknown, known) in [
        ("Ciphers=nope", "nope", "aes256-ctr"),
        ("MACs=+hmac-sha2-256,hmac-md5", "hmac-md5", "hmac-sha2-512"),
        ("KexAlgorithms=^nope,curve25519-sha256", "nope", "mlkem768x25519-sha256"),
        ("HostKeyAlgorithms=ssh-dss", "ssh-dss", "ssh-ed25519"),
        ("PubkeyAcceptedAlgorithms=ssh-ed25519x", "ssh-ed25519x", "ssh-ed25519-cert-v01@openssh.com"),
    ] {
        env.psh(["-O", option, "-H", "server", "true"])
            .finish()
            .expect_code(2)
            .expect_stderr(&format!("option \"{option}\": {unknown} is not supported; expected names out of "))
            .expect_stderr(known);
    }
    env.psh(["-O", "Ciphers=-nope*", "-H", "server", "true"]).finish().expect_code(0);
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_unknown_algorithm_in_a_file_is_named_once_and_the_others_are_used() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).option("Ciphers", "aes256-ctr").start();
    env.configure("Host web*\n  Ciphers aes128-cbc,aes256-ctr\nHost other\n  MACs nope\n");
    let run = env.psh(["-H", "web[01-03]", "echo fine"]).finish().expect_code(0);
    let notice = format!("psh: {}:2: Ciphers leaves out aes128-cbc: not supported\n", env.ssh_config().display());
    assert_eq!(run.stderr_text().matches(&notice).count(), 1, "{run}");
    run.expect_nowhere("nope");
}
