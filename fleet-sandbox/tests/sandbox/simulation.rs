//! Simulated hosts as a client sees them: what they answer, what they refuse, and how their commands end.

use fleet_sandbox::Sandbox;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, Pty, Sig};
use russh_sftp::client::SftpSession;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::client::{Client, DEADLINE, log_in, read, until};

async fn simulated() -> (TempDir, Sandbox, Client) {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder(dir.path()).host("web01", "web").simulate().start().await.unwrap();
    let client = log_in(&sandbox, "web01").await;
    (dir, sandbox, client)
}

#[tokio::test]
async fn known_commands_are_answered_as_by_a_shell() {
    let (_dir, sandbox, client) = simulated().await;
    for (command, stdout, stderr, code) in [
        ("echo a 'b  c' >&2; echo -n d", "d", "a b  c\n", 0),
        ("true && echo yes || echo no", "yes\n", "", 0),
        ("false && echo yes || echo no", "no\n", "", 0),
        ("false", "", "", 1),
        (":", "", "", 0),
        ("", "", "", 0),
        ("exit 7; echo never", "", "", 7),
        ("exit 258", "", "", 2),
        ("false; exit", "", "", 1),
        ("false; echo $?", "1\n", "", 0),
        ("seq 3; seq 9 10", "1\n2\n3\n9\n10\n", "", 0),
        ("seq 2 1", "", "", 0),
        ("head -c 3 /dev/zero", "\0\0\0", "", 0),
        ("sleep 0.01; echo $USER", "somebody\n", "", 0),
        ("cat", "", "", 0),
    ] {
        let answer = client.run(command).await;
        let said = (answer.text(), std::str::from_utf8(&answer.stderr).unwrap(), answer.code);
        assert_eq!(said, (stdout, stderr, Some(code)), "{command}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_is_not_known_is_said_and_never_guessed() {
    let (_dir, sandbox, client) = simulated().await;
    for (command, code, said) in [
        ("uname -a", 127, "uname: not found (a simulated host knows: echo"),
        ("echo $(id)", 2, "no \"$(\""),
        ("echo a | cat", 2, "no \"|\""),
        ("cat /etc/passwd", 1, "no such arguments"),
        ("sleep 1 2", 1, "no such arguments"),
        ("sleep -1", 1, "expected a number"),
        ("echo 'a\\n'", 1, "no backslashes"),
        ("exec env 'FLEET_PROGRAM=echo a' /bin/sh", 126, "does not know this wrapper"),
    ] {
        let answer = client.run(command).await;
        let stderr = std::str::from_utf8(&answer.stderr).unwrap();
        assert!(stderr.starts_with("sh: 1: ") && stderr.contains(said), "{command}: {stderr}");
        assert_eq!((answer.text(), answer.code), ("", Some(code)), "{command}");
    }
    let mut channel = client.session().await;
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[(Pty::ECHO, 1)]).await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)), "no terminal");
    channel.request_shell(true).await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)), "no shell");
    sandbox.stop().await;
}

#[tokio::test]
async fn no_byte_of_output_and_input_is_lost() {
    let (_dir, sandbox, client) = simulated().await;
    let zeros = client.run("head -c 10000000 /dev/zero").await;
    assert!(zeros.stdout == vec![0; 10_000_000], "{} bytes", zeros.stdout.len());
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(client.run("seq 100000").await.text() == expected);
    let channel = client.start("cat; echo end").await;
    channel.data_bytes(expected.clone().into_bytes()).await.unwrap();
    channel.eof().await.unwrap();
    assert!(read(channel).await.text() == expected + "end\n");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_signal_or_the_end_of_the_channel_ends_a_command() {
    let (_dir, sandbox, client) = simulated().await;
    let running = || sandbox.stats("web01").unwrap().running;
    let signalled = client.start("sleep 1000").await;
    until("the command runs", || running() == 1).await;
    signalled.signal(Sig::TERM).await.unwrap();
    assert_eq!(read(signalled).await.signal.as_deref(), Some("TERM"));
    let closed = client.start("sleep 1000").await;
    until("the command runs", || running() == 1).await;
    closed.close().await.unwrap();
    until("no command runs", || running() == 0).await;
    let _lost = client.start("sleep 1000").await;
    until("the command runs", || running() == 1).await;
    client.leave().await;
    until("no command runs", || running() == 0).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_of_a_command_are_obeyed() {
    let (_dir, sandbox, client) = simulated().await;
    client.leave().await;
    for (fault, order) in [
        ("data-after-exit-status", &["exit-status", "data", "eof", "close"][..]),
        ("no-exit-status", &["data", "eof", "close"]),
        ("no-eof", &["data", "exit-status", "close"]),
    ] {
        sandbox.set_faults("web01", [fault.parse().unwrap()]).await.unwrap();
        assert_eq!(log_in(&sandbox, "web01").await.run("echo a").await.order, order, "{fault}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_home_is_made_for_the_first_who_asks_for_files() {
    let (_dir, sandbox, client) = simulated().await;
    let home = sandbox.host("web01").unwrap().home;
    assert_eq!(client.run("pwd").await.text(), format!("{}\n", home.display()));
    assert!(!home.exists());
    let channel = client.session().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    let sftp = SftpSession::new(channel.into_stream()).await.unwrap();
    sftp.write("file", b"here").await.unwrap_err();
    sftp.create("file").await.unwrap();
    assert!(home.join("file").exists());
    sandbox.stop().await;
}

/// The lines of a wrapper that a simulated host reads.
fn wrapper(program: &str) -> String {
    let text = program.replace('\'', r"\0047").replace('\n', r"\n");
    format!("exec env 'FLEET_PROGRAM={text}' /bin/sh -c 'eval \"$(printf %b \"$FLEET_PROGRAM\")\"'")
}

/// Reads the announcement of a wrapped command, and the number of its process in it.
async fn announced(channel: &mut Channel<Msg>) -> String {
    match timeout(DEADLINE, channel.wait()).await.unwrap() {
        Some(ChannelMsg::ExtendedData { data, .. }) => {
            let text = std::str::from_utf8(&data).unwrap();
            text.strip_prefix("\x1efleet 00ff ").unwrap().split(' ').next().unwrap().to_owned()
        }
        other => panic!("no announcement: {other:?}"),
    }
}

#[tokio::test]
async fn a_wrapped_command_announces_itself_and_can_be_stopped_from_another_channel() {
    let (_dir, sandbox, client) = simulated().await;
    let wrapped = "token=00ff grace=5\ncontrol=3\nset -- \"${SHELL:-/bin/sh}\" 'sleep 1000' \"$(keep)\"\nexport A=1\n";
    let stopper = |pid: &str, work: &str| wrapper(&format!("token=00ff grace=5\npid={pid} keeper=- start=1\n{work}\n"));
    const GONE: &str = "\x1efleet 00ff gone\n";

    let mut command = client.start(&wrapper(wrapped)).await;
    let pid = announced(&mut command).await;
    assert_eq!(client.run(&stopper(&pid, "stop")).await.text(), GONE);
    assert_eq!(read(command).await.signal.as_deref(), Some("TERM"));
    // Nothing is left to stop; a keeper says nothing then.
    assert_eq!(client.run(&stopper(&pid, "stop")).await.text(), GONE);
    assert_eq!(client.run(&stopper(&pid, "watch\nstop")).await.text(), "");

    let mut command = client.start(&wrapper(wrapped)).await;
    let pid = announced(&mut command).await;
    assert_eq!(client.run(&stopper(&pid, "watch\nstop")).await.text(), GONE);
    assert_eq!(read(command).await.signal.as_deref(), Some("TERM"));

    let mut command = client.start(&wrapper(wrapped)).await;
    announced(&mut command).await;
    command.eof().await.unwrap();
    assert_eq!(read(command).await.signal.as_deref(), Some("TERM"), "the control line has ended");
    sandbox.stop().await;
}
