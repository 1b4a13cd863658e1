//! `fleet wait` on real servers and in the sandbox: until a port, a page, a file or a command is there, and no longer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleet_tests::{Fleet, Signal, Sshd, TestEnv, Welcome};

/// A web server on loopback: `/ok` is there, all else is not.
struct Web {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback");
        let port = listener.local_addr().expect("its port").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // It ends with the process of the test.
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &count)));
        Self { port, asked }
    }
}

fn answer(mut stream: TcpStream, count: &AtomicUsize) {
    let mut request = [0; 4096];
    let Ok(len @ 1..) = stream.read(&mut request) else { return };
    count.fetch_add(1, Ordering::Relaxed);
    let is_there = request[..len].starts_with(b"GET /ok HTTP/1.1\r\n");
    let answer = if is_there { "HTTP/1.1 204 No Content\r\n\r\n" } else { "HTTP/1.1 404 Not Found\r\n\r\n" };
    let _ = stream.write_all(answer.as_bytes());
}

/// A folder in which the accounts of the servers can write.
fn open_folder(env: &TestEnv) -> PathBuf {
    let folder = env.path().join("open");
    fs::create_dir(&folder).expect("a folder of the test");
    fs::set_permissions(env.path(), fs::Permissions::from_mode(0o755)).expect("the folder of the test");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("the folder of the test");
    folder
}

/// A port of loopback where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

#[test]
fn what_holds_already_is_not_waited_for() {
    let env = TestEnv::new();
    let web = Web::start();
    let server = Sshd::new(&env).hosts("web", 3).start();
    let file = env.write("there", "");
    let port = web.port;
    let checks = format!(
        "tcp:localhost:{port},http://127.0.0.1:{port}/ok,file:{},cmd:test -n \"$FLEET_HOST\" && echo a, b",
        file.display()
    );
    // The address of each host is that of its server, by ssh_config.
    let own = format!("tcp:{}", server.port());
    let run = env.fleet(["wait", "-H", "web[01-03]", "--for", &checks, "--for", &own]).finish().expect_code(0);
    run.expect_stderr("3 hosts: 3 ok");
    assert_eq!(web.asked.load(Ordering::Relaxed), 3);
}

#[test]
fn it_goes_on_as_soon_as_what_was_missing_is_there() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).named("web01").start();
    let file = env.path().join("ready");
    let check = format!("file:{}", file.display());
    let run = env.fleet(["wait", "-v", "-H", "web01", "--for", &check, "--timeout", "60s"]).start();
    run.wait_for_stderr(&format!("fleet: web01: waits for {check}: it is not there"));
    fs::write(&file, "").expect("a file of the test");
    run.finish().expect_code(0);
}

#[test]
fn what_never_comes_is_named_with_what_was_seen_of_it() {
    let env = TestEnv::new();
    let web = Web::start();
    let _server = Sshd::new(&env).hosts("web", 2).start();
    let (port, closed) = (web.port, closed_port());
    for (check, expected) in [
        (format!("http://localhost:{port}/none"), format!("http://localhost:{port}/none: status 404")),
        (format!("tcp:localhost:{closed}"), format!("not ready: tcp:localhost:{closed}: connection refused")),
        ("cmd:echo not yet >&2; exit 7".to_owned(), "exit code 7: not yet".to_owned()),
        ("cmd:sleep 1000".to_owned(), "cmd:sleep 1000: no answer yet".to_owned()),
    ] {
        let checks = format!("cmd:true,{check}");
        let run = env.fleet(["wait", "-H", "web[01-02]", "--for", &checks, "--timeout", "2s"]).finish().expect_code(3);
        run.expect_stderr("2 hosts: 2 not-ready").expect_stderr("web[01-02] (2): not ready: ").expect_stderr(&expected);
    }
}

#[test]
fn so_many_hosts_are_enough() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 4).start();
    let check = ["--for", "cmd:test \"$FLEET_INDEX\" -lt 2"];
    let base = ["wait", "-H", "web[01-04]", "--count", "2", "--timeout", "1h"];
    let run = env.fleet([&base[..], &check].concat()).finish().expect_code(0);
    run.expect_stderr("2 ok, 2 not-ready").expect_stderr("enough others are ready");
    env.fleet(["wait", "-H", "web01", "--count", "2", "--for", "cmd:true"])
        .finish()
        .expect_code(2)
        .expect_stderr("--count 2 is more than the 1 hosts that are chosen");
}

#[test]
fn a_host_that_refuses_connections_is_tried_again() {
    let env = TestEnv::new();
    let server = Sshd::new(&env)
        .hosts("web", 1)
        .welcome(|connection| if connection < 2 { Welcome::Drop } else { Welcome::Serve })
        .start();
    env.fleet(["wait", "-H", "web01", "--for", "cmd:true", "--timeout", "1h"]).finish().expect_code(0);
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_login_that_is_refused_is_not_tried_again() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 1).option("AuthorizedKeysFile", "none").start();
    let run = env.fleet(["wait", "-H", "web01", "--for", "cmd:true", "--timeout", "1h"]).finish();
    run.expect_code(4).expect_stderr("web01 (1): authentication:");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_forbids_connections_on_says_so() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 1).option("AllowTcpForwarding", "no").start();
    let run = env.fleet(["wait", "-H", "web01", "--for", "tcp:22", "--timeout", "1h"]).finish().expect_code(4);
    run.expect_stderr("does not allow connections on from it").expect_stderr("--for cmd:COMMAND");
}

#[test]
fn a_session_that_is_lost_is_begun_anew_and_what_has_held_is_not_asked_again() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 1).start();
    let folder = open_folder(&env);
    let (once, ready) = (folder.join("once"), folder.join("ready"));
    let checks = format!("cmd:mkdir {},file:{}", once.display(), ready.display());
    let run = env.fleet(["wait", "-v", "-H", "web01", "--for", &checks, "--timeout", "1h"]).start();
    run.wait_for_stderr("it is not there");
    server.cut(0);
    server.wait_for_connections(2);
    fs::write(&ready, "").expect("a file of the test");
    run.finish().expect_code(0);
}

#[test]
fn ctrl_c_ends_it_and_the_command_that_is_asked() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 1).start();
    let pid = open_folder(&env).join("pid");
    let check = format!("cmd:echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000", pid.display());
    let run = env.fleet(["wait", "-H", "web01", "--for", &check, "--timeout", "1h"]).start();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !pid.exists() {
        assert!(std::time::Instant::now() < deadline, "the command was never started");
        std::thread::yield_now();
    }
    run.signal(Signal::INT);
    run.finish().expect_code(3);
    let number = fs::read_to_string(&pid).expect("the number of its process");
    assert!(!std::path::Path::new("/proc").join(number.trim()).exists(), "it still runs");
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    let env = TestEnv::new();
    for (arguments, expected) in [
        (&["--for", "8080"][..], "\"8080\" is not a check; expected tcp:PORT"),
        (&["--for", "https://x/"], "curl -fsS https://x/"),
        (&["--for", "cmd:true", "--timeout", "300%"], "expected a duration such as 90s, not a percentage"),
        (&[], "--for <CHECK>"),
        (&["--for", "cmd:true", "--count", "0"], "--count"),
    ] {
        let run = env.fleet(["wait", "-H", "127.0.0.1:1"]).args(arguments).finish().expect_code(2);
        run.expect_stderr(expected);
    }
}

#[test]
fn in_the_sandbox_each_host_has_an_address_of_its_own() {
    let fleet = Fleet::start(&["-n", "3"]);
    let run =
        fleet.fleet(&["wait", "-v", "-H", "host[01-03]", "--for", "tcp:1", "--timeout", "1s"]).finish().expect_code(3);
    run.expect_stderr("host02: waits for tcp:1: 127.").expect_stderr("host[01-03] (3): not ready: tcp:1: the server");
    fleet.fleet(&["wait", "-H", "host[01-03]", "--json", "--for", "cmd:true"]).finish().expect_code(0);
}
