//! `psh` and the ssh-agent, on real OpenSSH servers: used for logins, spared, forwarded, and what if it fails.

use std::fs;

use fleet_tests::{Agent, AgentDouble, Manner, Server, Sshd, TestEnv};

type Manners = fn(usize) -> Manner;

/// Hosts, and an agent that alone has the user's key.
fn world(hosts: usize) -> (TestEnv, Server, Agent) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", hosts).start();
    let agent = Agent::start(&env, "agent").with_key(&env.user_key());
    fs::remove_file(env.user_key()).expect("the user's key");
    (env, server, agent)
}

#[test]
fn a_key_with_a_passphrase_is_used_through_the_agent() {
    let (env, _server, agent) = world(3);
    let run = env.psh(["-H", "web[01-03]", "echo fine"]).env("SSH_AUTH_SOCK", agent.socket()).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 3, "{run}");
}

#[test]
fn many_hosts_share_one_agent_with_at_most_64_sockets() {
    let (env, _server, agent) = world(100);
    let double = AgentDouble::before(&agent, |number| match number {
        0 => Manner::Serve,
        _ => Manner::AwaitCrowd(64),
    });
    // As every login waits for the others, each stage takes its time.
    let run = env.psh(["-p", "100", "--connect-timeout", "50s", "-H", "web[001-100]", "echo fine"]);
    let run = run.env("SSH_AUTH_SOCK", double.socket()).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 100, "{run}");
    assert!((16..=64).contains(&double.most_at_once()), "{}", double.most_at_once());
}

#[test]
fn an_agent_that_hangs_up_now_and_then_is_asked_again() {
    let (env, _server, agent) = world(20);
    let double = AgentDouble::before(&agent, |number| if number % 3 == 0 { Manner::HangUp } else { Manner::Serve });
    let run = env.psh(["-H", "web[01-20]", "echo fine"]).env("SSH_AUTH_SOCK", double.socket()).finish().expect_code(0);
    assert_eq!(run.stdout_text().matches("fine").count(), 20, "{run}");
}

#[test]
fn an_agent_that_fails_is_named_and_does_not_keep_the_key_files_from_being_used() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 3).start();
    let agent = Agent::start(&env, "agent").with_key(&env.user_key());
    let cases: [(Manners, &str); 2] =
        [(|_| Manner::Hang, "it does not answer"), (|_| Manner::HangUp, "it hung up 6 times")];
    for (number, (manners, reason)) in cases.into_iter().enumerate() {
        let own = Agent::start(&env, &format!("agent{number}"));
        let double = AgentDouble::before(&own, manners);
        let run = |options: &[&str]| {
            let run = env.psh(["--connect-timeout", "8s"]).args(options).args(["-H", "web[01-03]", "true"]);
            run.env("SSH_AUTH_SOCK", double.socket()).finish()
        };
        let _ = run(&[]).expect_code(0);
        run(&["-l", "no-such-user"])
            .expect_code(4)
            .expect_stderr("tried key ")
            .expect_stderr(&format!("not usable: agent {}: {reason}", double.socket()))
            .expect_stderr(&format!("SSH_AUTH_SOCK={} ssh-add -l", double.socket()));
    }
    drop(agent);
}

#[test]
fn an_agent_that_does_not_sign_in_time_is_named() {
    let (env, _server, agent) = world(3);
    let double = AgentDouble::before(&agent, |_| Manner::HangAtSignature);
    env.psh(["--connect-timeout", "3s", "-H", "web[01-03]", "true"])
        .env("SSH_AUTH_SOCK", double.socket())
        .finish()
        .expect_code(4)
        .expect_stderr(&format!("timed out after 3s: agent {} has not signed", double.socket()))
        .expect_stderr("the agent may wait for you");
}

#[test]
fn the_agent_is_lent_only_to_those_who_shall_have_it() {
    let (env, _server, agent) = world(2);
    let lent = Agent::start(&env, "lent").with_key(&env.generate_key(&env.path().join("lent-key"), ""));
    let run = |options: &[&str]| {
        let run = env.psh(options).args(["-H", "web[01-02]", "ssh-add -L"]);
        run.env("SSH_AUTH_SOCK", agent.socket()).finish()
    };
    let key_in = |path: &std::path::Path| fs::read_to_string(path).unwrap().trim().to_owned();
    let own_key = key_in(&env.user_key().with_extension("pub"));
    let lent_key = key_in(&env.path().join("lent-key.pub"));
    let socket = format!("ForwardAgent={}", lent.socket());
    let cases: [(&[&str], i32, usize, usize); 4] = [
        (&[], 5, 0, 0),
        (&["-O", "ForwardAgent=no"], 5, 0, 0),
        (&["-O", "ForwardAgent=yes"], 0, 2, 0),
        (&["-O", &socket], 0, 0, 2),
    ];
    for (options, code, own, other) in cases {
        let run = run(options).expect_code(code);
        let count = |key: &str| run.stdout_text().matches(key).count();
        assert_eq!((count(&own_key), count(&lent_key)), (own, other), "{options:?}: {run}");
    }
}

#[test]
fn the_configuration_names_the_agent_and_which_of_its_keys_are_used() {
    let (env, server, agent) = world(1);
    let (key, decoy) = (env.user_key().display().to_string(), env.path().join("decoy"));
    let empty = Agent::start(&env, "empty");
    let full = Agent::start(&env, "full").with_key(&env.generate_key(&decoy, ""));
    let agent_option = format!("IdentityAgent={}", agent.socket());
    let full_option = format!("IdentityAgent={}", full.socket());
    let (decoy_option, key_option) = (format!("IdentityFile={}", decoy.display()), format!("IdentityFile={key}"));
    let cases: [(&[&str], i32, &str); 6] = [
        (&[], 4, "it holds no keys"),
        (&["-O", &agent_option], 0, ""),
        (&["-O", "IdentityAgent=none"], 4, "no agent"),
        (&["-O", &agent_option, "-O", "IdentitiesOnly=yes", "-O", &decoy_option], 4, "1 more in the agent"),
        (&["-O", &agent_option, "-O", "IdentitiesOnly=yes", "-O", &key_option], 0, ""),
        (&["-O", &full_option], 4, "tried agent key fleet-test"),
    ];
    for (options, code, text) in cases {
        let run = env.psh(options).args(["-H", "web01", "true"]).env("SSH_AUTH_SOCK", empty.socket());
        let _ = run.finish().expect_code(code).expect_stderr(text);
    }
    assert!(server.log().contains("Accepted publickey"), "{}", server.log());
}
