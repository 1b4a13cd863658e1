//! `psh --template`: what is different on every host.

use fleet_tests::{Sshd, TestEnv};

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
            .expect_stderr("is not a placeholder: expected one of {host}, {addr}, {group}, {index}, {count}")
            .expect_stderr("braces of the shell are doubled");
    }
    assert_eq!(server.connections(), 0);
    env.psh(["-H", "server", "echo {host}"]).finish().expect_code(0).expect_stdout("{host}");
}
