//! `psh --template`: what is different on every host.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fleet_tests::{Dropbear, Sshd, TestEnv, accounts, program};

/// What a program prints on this machine, which is the hosts' too.
fn printed(name: &str, argument: &str) -> String {
    let output = Command::new(program(name)).arg(argument).output().expect("the program runs");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// The `SetEnv` of sshd by which `uname` on the hosts is this script.
fn with_uname(env: &TestEnv, script: &str) -> String {
    let path = env.write("shared/shadow/uname", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test's own file");
    format!("PATH={}:/usr/local/bin:/usr/bin:/bin", path.parent().expect("a folder").display())
}

#[test]
fn placeholders_are_replaced_in_commands_words_scripts_and_variables() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 2).start();
    let file = env.write("work/script", "echo \"$1 $E\"").display().to_string();
    let text = "{host}/{addr}/{index}/{count}/{{}}";
    let expected: Vec<String> = (0..2)
        .map(|index| {
            let (name, address) = (&server.names()[index], server.addresses()[index]);
            format!("{name}/{address}/{index}/2/{{}} <{name}>")
        })
        .collect();
    let common = ["--no-prefix", "--template", "--env", "E=<{host}>", "-H", "web[01-02]"];
    for form in [
        &[&format!("echo {text} \"$E\"")][..],
        &[&"--argv".to_owned(), &"sh".to_owned(), &"-c".to_owned(), &format!("echo '{text}' \"$E\"")],
        &[&"--script".to_owned(), &file, &text.to_owned()],
    ] {
        let run = env.psh(common).args(form).finish().expect_code(0);
        assert_eq!(run.sorted_lines(), expected, "{run}");
    }
}

#[test]
fn a_group_is_one_word_also_where_there_is_none() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).hosts("web", 2).start();
    env.write("work/hosts", "web02\n[front]\nweb01\n");
    let command = "printf '<%s>' {group} \"{group}\"; echo";
    let run = env.psh(["--no-prefix", "--template", "-h", "hosts", command]).finish().expect_code(0);
    assert_eq!(run.sorted_lines(), ["<><>", "<front><front>"], "{run}");
}

#[test]
fn an_address_that_is_no_plain_word_is_quoted_or_refused() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let address = server.addresses()[0];
    let proxy = format!("ProxyCommand bash -c 'exec 3<>/dev/tcp/{address}/{}; cat <&3 & exec cat >&3'", server.port());
    env.configure(&format!("Host server\n  HostName \"it's;$(id)\"\n  HostKeyAlias server\n  {proxy}\n"));
    let psh =
        |command: &str| env.psh(["--host-key", "off", "--no-prefix", "--template", "-H", "server", command]).finish();
    assert_eq!(psh("printf %s x{addr}").expect_code(0).stdout_text(), "xit's;$(id)");
    let connections = server.connections();
    psh("printf %s \"{addr}\"").expect_code(2).expect_stderr("server: {addr} is \"it's;$(id)\" here");
    assert_eq!(server.connections(), connections);
}

#[test]
fn an_unknown_placeholder_is_refused_before_anything_is_contacted() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    for arguments in [&["echo {nmae}"][..], &["--env", "A={nmae}", "true"], &["awk '{print $1}'"]] {
        env.psh(["--template", "-H", "server"])
            .args(arguments)
            .finish()
            .expect_code(2)
            .expect_stderr("is not a placeholder: expected one of {host}, {addr}, {group}, {role}, {index}, {count}")
            .expect_stderr("braces of the shell are doubled");
    }
    let mistyped = env.psh(["--template", "-H", "server", "make -j{cpu}"]).finish().expect_code(2);
    mistyped.expect_stderr("did you mean {cpus}?");
    assert_eq!(server.connections(), 0);
    env.psh(["-H", "server", "echo {host}"]).finish().expect_code(0).expect_stdout("{host}");
}

#[test]
fn hosts_tell_their_facts_on_the_connection_of_the_command() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 2).start();
    let dropbear = Dropbear::new(&env).named("small").start();
    let file = env.write("work/script", "echo \"$@\"").display().to_string();
    let own = [printed("uname", "-s"), printed("uname", "-m"), printed("uname", "-r"), printed("uname", "-n")];
    let own = format!("{} {}", own.join(" "), printed("getconf", "_NPROCESSORS_ONLN"));
    let text = "{os} {arch} {kernel} {hostname} {cpus}";
    let common = ["--no-prefix", "--template", "-H", "web[01-02],small"];
    for form in [
        &[&format!("echo {text}")][..],
        &[&"--script".to_owned(), &file, &text.to_owned()],
        &[&"--env".to_owned(), &format!("E={text}"), &"echo $E".to_owned()],
    ] {
        let before = (server.connections(), dropbear.connections());
        let run = env.psh(common).args(form).finish().expect_code(0);
        assert_eq!(run.sorted_lines(), [&*own; 3], "{run}");
        assert_eq!((server.connections(), dropbear.connections()), (before.0 + 2, before.1 + 1), "{run}");
    }
    let run = env.psh(["--no-prefix", "--template", "-H", "web01", "echo {memory_mib}"]).finish().expect_code(0);
    assert!(run.stdout_text().trim_end().parse::<u64>().is_ok_and(|mib| mib > 0), "{run}");
}

#[test]
fn user_and_port_are_those_of_the_login() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let run = env.psh(["--no-prefix", "--template", "-H", "server", "echo {user}:{port}"]).finish().expect_code(0);
    assert_eq!(run.stdout_text(), format!("{}:{}\n", accounts::plain(), server.port()), "{run}");
}

#[test]
fn a_hostile_fact_is_one_word_or_its_host_fails_alone() {
    let env = TestEnv::new();
    let path = with_uname(&env, "echo \"it's;\\$(echo BAD)\"");
    let _odd = Sshd::new(&env).named("odd").option("SetEnv", &path).start();
    let _plain = Sshd::new(&env).named("plain").start();
    let psh = |command: &str| env.psh(["--no-prefix", "--template", "-H", "odd,plain", command]).finish();
    let run = psh("printf '%s\\n' x{arch}").expect_code(0);
    assert_eq!(run.sorted_lines(), ["xit's;$(echo BAD)".to_owned(), format!("x{}", printed("uname", "-m"))], "{run}");
    let run = psh("echo \"x{arch}\"").expect_code(1);
    assert_eq!(run.stdout_text(), format!("x{}\n", printed("uname", "-m")), "{run}");
    run.expect_stderr("odd").expect_stderr("cannot be quoted inside quotes").expect_stderr("write it outside of them");
}

#[test]
fn where_a_fact_is_not_told_nothing_is_run() {
    let env = TestEnv::new();
    let path = with_uname(&env, "exit 1");
    let _mute = Sshd::new(&env).named("mute").option("SetEnv", &path).start();
    let run = env.psh(["--template", "-H", "mute", "echo ran on {os}"]).finish().expect_code(4);
    run.expect_stderr("the host does not tell its {os}").expect_nowhere("ran on");
    let run = env.psh(["--template", "-H", "mute", "echo {cpus}"]).finish().expect_code(0);
    run.expect_stdout(&printed("getconf", "_NPROCESSORS_ONLN"));
    let run = env.psh(["--template", "--raw", "-H", "mute", "echo {os}"]).finish().expect_code(2);
    run.expect_stderr("{os} is asked of the host's POSIX shell, which --raw does without");
}
