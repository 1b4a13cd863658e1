//! `psh` through jump hosts and proxy commands, on real OpenSSH servers.

use fleet_tests::{Server, Signal, Sshd, TestEnv, Welcome};

/// `web[01-05]` behind `jump`.
fn behind_a_jump(jump: impl for<'env> Fn(Sshd<'env>) -> Sshd<'env>) -> (TestEnv, Server, Server) {
    let env = TestEnv::new();
    let jump = jump(Sshd::new(&env).named("jump")).start();
    let targets = Sshd::new(&env).hosts("web", 5).start();
    env.configure("Host web*\n  ProxyJump jump\n");
    (env, jump, targets)
}

#[test]
fn a_jump_host_is_connected_to_once_for_all_targets() {
    let (env, jump, targets) = behind_a_jump(|jump| jump);
    let run = env.psh(["-H", "web[01-05]", "echo at $FLEET_HOST"]).finish().expect_code(0);
    for name in targets.names() {
        assert!(run.stdout_text().contains(&format!("at {name}\n")), "{name}: {run}");
    }
    assert_eq!((jump.connections(), targets.connections()), (1, 5));
}

#[test]
fn a_chain_of_jumps_is_connected_to_once_each() {
    let env = TestEnv::new();
    let outer = Sshd::new(&env).named("outer").start();
    let inner = Sshd::new(&env).named("inner").start();
    let targets = Sshd::new(&env).hosts("web", 4).start();
    for chain in
        ["Host web*\n  ProxyJump outer,inner\n", "Host web*\n  ProxyJump inner\nHost inner\n  ProxyJump outer\n"]
    {
        let before = (outer.connections(), inner.connections(), targets.connections());
        let config = format!("{chain}{}", std::fs::read_to_string(env.ssh_config()).unwrap());
        let file = env.write("chain", config).display().to_string();
        let run = env.psh(["-F", &file, "-H", "web[01-04]", "echo fine"]).finish().expect_code(0);
        assert_eq!(run.stdout_text().matches("fine").count(), 4, "{run}");
        let after = (outer.connections(), inner.connections(), targets.connections());
        assert_eq!(after, (before.0 + 1, before.1 + 1, before.2 + 4), "{chain}");
    }
}

#[test]
fn jump_hosts_hear_a_good_bye() {
    let env = TestEnv::new();
    let servers = ["outer", "inner", "web"].map(|name| Sshd::new(&env).named(name).start());
    env.configure("Host web\n  ProxyJump outer,inner\n");
    let _ = env.psh(["-H", "web", "true"]).finish().expect_code(0);
    for (server, name) in servers.iter().zip(["outer", "inner", "web"]) {
        server.wait_for_end(0);
        let log = server.log();
        assert!(log.contains("Received disconnect from"), "{name}: {log}");
    }
}

#[test]
fn more_targets_than_one_connection_has_sessions_for_get_through() {
    let env = TestEnv::new();
    let jump = Sshd::new(&env).named("jump").option("MaxSessions", "1").start();
    let _targets = Sshd::new(&env).hosts("web", 25).start();
    env.configure("Host web*\n  ProxyJump jump\n");
    let run = env.psh(["-H", "web[01-25]", "echo fine"]).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 25, "{run}");
    assert_eq!(jump.connections(), 1);
}

#[test]
fn a_target_that_floods_does_not_stop_the_others() {
    let (env, _jump, _targets) = behind_a_jump(|jump| jump);
    let command = "[ $FLEET_HOST = web01 ] && exec yes; echo quick $FLEET_HOST";
    let run = env.psh(["-H", "web[01-05]", command]).start();
    for name in ["web02", "web03", "web04", "web05"] {
        run.wait_for_stdout(&format!("quick {name}"));
    }
    run.signal(Signal::INT);
    let _ = run.finish().expect_code(3);
}

#[test]
fn a_target_that_does_not_read_does_not_stop_the_others() {
    let (env, _jump, _targets) = behind_a_jump(|jump| jump);
    let command = "[ $FLEET_HOST = web01 ] && { sleep 3; cat >/dev/null; exit; }; cksum";
    let bytes = vec![b'x'; 6_000_000];
    let run = env.psh(["-I", "--no-prefix", "-H", "web[01-05]", command]).stdin(bytes).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches(" 6000000").count(), 4, "{run}");
}

#[test]
fn a_target_that_stays_silent_does_not_stop_the_others() {
    let (env, _jump, _targets) = behind_a_jump(|jump| jump);
    let _silent = Sshd::new(&env).named("web-silent").welcome(|_| Welcome::Silence).start();
    env.psh(["--connect-timeout", "2s", "-H", "web[01-05],web-silent", "echo fine"])
        .finish()
        .expect_code(4)
        .expect_stdout("web05: ")
        .expect_stderr("web-silent")
        .expect_stderr("banner: timed out");
}

#[test]
fn a_target_that_the_jump_cannot_reach_is_reported_alone() {
    let (env, _jump, _targets) = behind_a_jump(|jump| jump);
    env.closed_host("web-closed");
    env.psh(["-H", "web[01-05],web-closed", "echo fine"])
        .finish()
        .expect_code(4)
        .expect_stdout("fine")
        .expect_stderr("web-closed (1): connect: through jump host jump: it could not connect\n")
        .expect_stderr("on the jump host, check");
}

#[test]
fn a_jump_that_refuses_to_forward_is_named() {
    let (env, jump, targets) = behind_a_jump(|jump| jump.option("AllowTcpForwarding", "no"));
    env.psh(["-H", "web[01-05]", "true"])
        .finish()
        .expect_code(4)
        .expect_stderr("web[01-05] (5): connect: through jump host jump: it does not allow the connection\n");
    assert_eq!((jump.connections(), targets.connections()), (1, 0));
}

#[test]
fn a_jump_that_cannot_be_reached_fails_all_behind_it() {
    let env = TestEnv::new();
    env.closed_host("jump");
    let _targets = Sshd::new(&env).hosts("web", 3).start();
    env.configure("Host web*\n  ProxyJump jump\n");
    env.psh(["-H", "web[01-03]", "true"]).finish().expect_code(4).expect_stderr("web[01-03]").expect_stderr("jump");
}

#[test]
fn a_jump_that_dies_in_mid_command_loses_all_behind_it() {
    let (env, jump, _targets) = behind_a_jump(|jump| jump);
    let run = env.psh(["-H", "web[01-05]", "echo go $FLEET_HOST; sleep 1000"]).start();
    for name in ["web01", "web02", "web03", "web04", "web05"] {
        run.wait_for_stdout(&format!("go {name}"));
    }
    jump.cut(0);
    run.finish().expect_code(4).expect_stderr("web[01-05]");
}

#[test]
fn the_key_of_a_jump_host_is_checked() {
    let (env, _jump, targets) = behind_a_jump(|jump| jump.unknown());
    env.psh(["-H", "web[01-05]", "true"]).finish().expect_code(4).expect_stderr("jump").expect_stderr("host key");
    assert_eq!(targets.connections(), 0);
}

#[test]
fn a_proxy_command_carries_the_connection_and_ends_with_it() {
    let env = TestEnv::new();
    let jump = Sshd::new(&env).named("jump").start();
    let _targets = Sshd::new(&env).hosts("web", 3).start();
    let (config, key) = (env.ssh_config(), env.user_key());
    let known_hosts = env.known_hosts();
    env.configure(&format!(
        "Host web*\n  ProxyCommand ssh -F {} -i {} -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes -W %h:%p jump\n",
        config.display(),
        key.display(),
        known_hosts.display()
    ));
    let run = env.psh(["-H", "web[01-03]", "echo fine"]).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 3, "{run}");
    assert_eq!(jump.connections(), 3);
}

#[test]
fn a_proxy_command_that_fails_says_so() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    for (command, reason) in [
        (
            "sh -c 'echo nc: connect refused >&2; exit 1'",
            "connect: ProxyCommand exited with status 1: nc: connect refused",
        ),
        ("sh -c 'echo >&2; exit 3'", "connect: ProxyCommand exited with status 3"),
        ("/none/nc %h %p", "connect: ProxyCommand exited with status 127: "),
        ("sh -c 'kill -9 $$'", "connect: ProxyCommand was ended by signal 9"),
        ("true", "connect: ProxyCommand exited with status 0"),
        (
            "sh -c 'echo 220 mail; read line; echo oops >&2; exit 2'",
            "banner: not an SSH server (it says \"220 mail\") (ProxyCommand exited with status 2: oops)",
        ),
        ("sh -c 'echo waiting >&2; exec sleep 1000'", "banner: timed out after 2s (ProxyCommand: waiting)"),
    ] {
        env.psh(["--connect-timeout", "2s", "-O", &format!("ProxyCommand={command}"), "-H", "server", "true"])
            .finish()
            .expect_code(4)
            .expect_stderr(&format!("server (1): {reason}"));
    }
}
