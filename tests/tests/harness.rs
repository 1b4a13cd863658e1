//! The harness itself, proven with OpenSSH's client: what its servers and faults do to a client known to be right.

use fleet_tests::{Asyncssh, Dropbear, Sshd, TestEnv, Welcome, accounts, processes, program};

#[test]
fn one_server_stands_for_many_hosts() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    for (name, address) in server.names().iter().zip(server.addresses()) {
        env.ssh([name, "id -un; echo $SSH_CONNECTION"])
            .finish()
            .expect_code(0)
            .expect_stdout(&format!("{}\n", accounts::plain()))
            .expect_stdout(&format!(" {address} {}", server.port()));
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn servers_of_other_makers_serve_too() {
    let env = TestEnv::new();
    let _dropbear = Dropbear::new(&env).named("dropbear").start();
    let _asyncssh = Asyncssh::start(&env, "asyncssh");
    for name in ["dropbear", "asyncssh"] {
        let run = env.ssh([name, "cat; echo err >&2; exit 3"]).stdin("in\n").finish().expect_code(3);
        assert_eq!((run.stdout_text().as_ref(), run.stderr_text().contains("err")), ("in\n", true), "{name}: {run}");
    }
}

#[test]
fn connections_are_spoilt_as_asked() {
    let env = TestEnv::new();
    let welcome = |number| match number {
        0 => Welcome::Drop,
        1 => Welcome::SayAndClose(b"SSH-2.0-x\r\n"),
        2 => Welcome::Silence,
        3 => Welcome::Serve,
        _ => Welcome::SayAndHang(b"SSH-2.0-x\r\n"),
    };
    let server = Sshd::new(&env).welcome(welcome).start();
    for code in [255, 255, 255, 0] {
        let run = env.ssh(["-o", "ConnectTimeout=1", "server", "true"]).finish();
        assert_eq!(run.code, Some(code), "{run}");
    }
    // ssh(1) has no deadline after the banner.
    let hanging = env.ssh(["-v", "server", "true"]).start();
    hanging.wait_for_stderr("remote software version x");
    assert_eq!(server.connections(), 5);
}

#[test]
fn a_server_can_die_or_freeze_in_mid_command() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"];
    let spoil: [fn(&fleet_tests::Server); 2] = [|server| server.cut(0), |server| server.freeze(1)];
    for spoil in spoil {
        let run = env.ssh(alive).args(["server", "echo go; cat"]).open_stdin().start();
        run.wait_for_stdout("go\n");
        spoil(&server);
        let _ = run.finish().expect_code(255);
    }
}

#[test]
fn what_a_login_leaves_running_is_found_and_ends_with_the_world() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let marker = processes::unique_sleep();
    let run = env.ssh(["server", &format!("echo go; sleep {marker} & sleep {marker}")]).start();
    run.wait_for_stdout("go\n");
    processes::wait_for(&format!("sleep {marker}"), 2);
    server.cut(0);
    let _ = run.finish().expect_code(255);
    drop(env);
    processes::assert_gone(&marker);
}

#[test]
fn a_terminal_can_be_typed_on() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let mut run = env.ssh(["-tt", "server", "printf 'name? '; read x; echo got $x"]).on_terminal().start();
    run.wait_for_stdout("name? ");
    run.write(b"bob\n");
    let _ = run.finish().expect_code(0).expect_stdout("got bob");
}

#[test]
fn accounts_with_passwords_are_asked_for_them() {
    let env = TestEnv::new();
    let account = accounts::Throwaway::with_password("sesame");
    let sshd = |name| Sshd::new(&env).named(name).user(account.name()).option("PubkeyAuthentication", "no");
    let _password = sshd("password").option("PasswordAuthentication", "yes").start();
    let _questions = sshd("questions").option("UsePAM", "yes").option("KbdInteractiveAuthentication", "yes").start();
    for name in ["password", "questions"] {
        let mut run = env.ssh([name, "id -un"]).on_terminal().start();
        run.wait_for_stdout("assword:");
        run.write(b"sesame\n");
        let _ = run.finish().expect_code(0).expect_stdout(account.name());
    }
}

#[test]
#[should_panic(expected = "deadline passed")]
fn a_program_that_does_not_end_is_killed_and_fails_the_test() {
    let env = TestEnv::new();
    let _ = env.run(&program("sleep"), ["1000"]).patience(std::time::Duration::from_millis(50)).finish();
}
