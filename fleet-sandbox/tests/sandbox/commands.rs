//! Commands, files and forwards on well-behaved hosts, as a client sees them.

use fleet_sandbox::{FolderState, inspect};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, ssh_key};
use russh::{ChannelMsg, Pty, Sig};
use russh_sftp::client::SftpSession;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{Answer, DEADLINE, authenticate, connect, log_in, read, sandbox, until};

fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie is dead; after the name in parentheses comes the state.
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[tokio::test]
async fn output_comes_before_exit_status_before_eof_before_close() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let answer = client.run("echo out; exit 3").await;
    assert_eq!((answer.text(), answer.code), ("out\n", Some(3)));
    assert_eq!(answer.order, ["data", "exit-status", "eof", "close"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn stdout_and_stderr_are_kept_apart_and_byte_exact() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let answer = client.run("printf 'a\\000\\377'; printf 'e\\001' >&2").await;
    assert_eq!((&answer.stdout[..], &answer.stderr[..]), (&b"a\0\xff"[..], &b"e\x01"[..]));
    sandbox.stop().await;
}

#[tokio::test]
async fn commands_run_in_the_home_with_a_clean_environment() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web02").await;
    let home = sandbox.host("web02").unwrap().home;
    let channel = client.session().await;
    channel.set_env(true, "GREETING", "hello there").await.unwrap();
    channel.set_env(true, "BAD=NAME", "x").await.unwrap();
    channel
        .exec(
            true,
            "pwd; env -u PWD -u _ -u SHLVL -u OLDPWD | sed 's/=.*//' | sort | tr '\\n' ' '; echo $GREETING $USER $HOME",
        )
        .await
        .unwrap();
    let answer = read(channel).await;
    let home = home.display();
    let names = "GREETING HOME LOGNAME PATH SHELL SSH_CONNECTION USER ";
    assert_eq!(answer.text(), format!("{home}\n{names}hello there somebody {home}\n"));
    assert_eq!(answer.order[..3], ["success", "failure", "success"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn ten_megabytes_come_back_from_cat_byte_exact() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let sent: Vec<u8> = (0..10u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (reader, writer) = client.start("cat").await.split();
    let answer = tokio::join!(collect(reader), async {
        writer.data_bytes(sent.clone()).await.unwrap();
        writer.eof().await.unwrap();
    })
    .0;
    assert!(answer.stdout == sent, "{} bytes came back of {}", answer.stdout.len(), sent.len());
    assert_eq!(answer.code, Some(0));
    sandbox.stop().await;
}

async fn collect(mut reader: russh::ChannelReadHalf) -> Answer {
    let mut answer = Answer::default();
    while let Some(message) = timeout(DEADLINE, reader.wait()).await.expect("the channel does not end") {
        answer.note(message);
    }
    answer
}

#[tokio::test]
async fn a_command_that_does_not_read_stops_neither_its_client_nor_other_channels() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let channel = client.start("sleep 1000").await;
    timeout(DEADLINE, channel.data_bytes(vec![0; 16 << 20])).await.expect("blocked").unwrap();
    assert_eq!(client.run("echo still here").await.text(), "still here\n");
    channel.signal(Sig::TERM).await.unwrap();
    assert_eq!(read(channel).await.signal.as_deref(), Some("TERM"));
    sandbox.stop().await;
}

/// The one in the background holds the output open: the channel ends only when both have died. (A shell starts it deaf to
/// INT.)
#[tokio::test]
async fn signals_reach_the_whole_group_and_their_name_comes_back() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    for (command, signal, name) in [
        ("echo $$; exec sleep 1000", Sig::INT, "INT"),
        ("sleep 1000 & echo $$; exec sleep 1000", Sig::USR1, "USR1"),
        ("sleep 1000 & echo $$; exec sleep 1000", Sig::TERM, "TERM"),
        ("sleep 1000 & echo $$; exec sleep 1000", Sig::KILL, "KILL"),
    ] {
        let mut channel = client.start(command).await;
        let pid = wait_for_data(&mut channel).await;
        let program = format!("/proc/{}/comm", pid.trim());
        // A signal may get lost in a shell that is about to become another program.
        until("sleep runs", || std::fs::read_to_string(&program).is_ok_and(|name| name == "sleep\n")).await;
        channel.signal(signal).await.unwrap();
        let answer = read(channel).await;
        assert_eq!(answer.signal.as_deref(), Some(name));
        assert_eq!(answer.order, ["exit-signal", "eof", "close"]);
    }
    sandbox.stop().await;
}

async fn wait_for_data(channel: &mut russh::Channel<russh::client::Msg>) -> String {
    loop {
        match timeout(DEADLINE, channel.wait()).await.expect("no output") {
            Some(ChannelMsg::Data { data }) => return String::from_utf8(data.to_vec()).unwrap(),
            Some(_) => {}
            None => panic!("the channel ended without output"),
        }
    }
}

/// The group ignores TERM: only KILL ends it.
#[tokio::test]
async fn a_closed_channel_ends_the_whole_process_group() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("trap '' TERM HUP; sleep 1000 & echo $!; wait").await;
    let pid = wait_for_data(&mut channel).await;
    assert!(is_alive(&pid));
    channel.close().await.unwrap();
    until("the group is gone", || !is_alive(&pid)).await;
    until("nothing runs", || sandbox.stats("web01").unwrap().running == 0).await;
    sandbox.stop().await;
}

/// A process in the background that has let go of the output does not keep the channel open, and does not outlive it.
#[tokio::test]
async fn what_is_left_in_the_group_goes_with_the_channel() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let answer = client.run("sleep 1000 >/dev/null 2>&1 & echo $!").await;
    assert_eq!(answer.code, Some(0));
    until("the process is gone", || !is_alive(answer.text())).await;
    until("nothing runs", || sandbox.stats("web01").unwrap().running == 0).await;
    sandbox.stop().await;
}

/// Files, sockets and pipes of this process, counted once all that belongs to connections should be gone.
#[tokio::test]
async fn nothing_is_left_open_by_a_hundred_connections() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let idle = || sandbox.stats("web01").unwrap();
    log_in(&sandbox, "web01").await.leave().await;
    for _ in 0..100 {
        let client = log_in(&sandbox, "web01").await;
        client.run("true").await;
        let abandoned = client.start("cat").await;
        drop(abandoned);
        client.leave().await;
    }
    until("all is closed", || idle().open_connections == 0 && idle().running == 0).await;
    // Other tests of this process open files too, but never hundreds.
    assert!(open_files() < 600, "{} files are open", open_files());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_lost_connection_ends_the_process_group() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("sleep 1000 & echo $!; wait").await;
    let pid = wait_for_data(&mut channel).await;
    drop(channel);
    client.leave().await;
    until("the group is gone", || !is_alive(&pid)).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_the_end_of_commands_and_frees_the_ports() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("sleep 1000 & echo $!; wait").await;
    let pid = wait_for_data(&mut channel).await;
    let address = sandbox.host("web01").unwrap().address;
    timeout(DEADLINE, sandbox.stop()).await.expect("the sandbox does not stop");
    assert!(!is_alive(&pid));
    std::net::TcpListener::bind(address).expect("the port is free again");
}

#[tokio::test]
async fn dropping_kills_commands_and_frees_the_folder() {
    let (dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("trap '' TERM; sleep 1000 & echo $!; wait").await;
    let pid = wait_for_data(&mut channel).await;
    drop(sandbox);
    until("the group is gone", || !is_alive(&pid)).await;
    assert_eq!(inspect(dir.path()).unwrap(), FolderState::Stale);
}

#[tokio::test]
async fn a_terminal_has_the_size_asked_for_and_follows_changes() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.session().await;
    channel.request_pty(true, "xterm", 91, 33, 0, 0, &[(Pty::ECHO, 0), (Pty::ONLCR, 0)]).await.unwrap();
    channel.exec(true, "tty; echo $TERM; stty size; read line; stty size; exit 4").await.unwrap();
    let mut answer = Answer::default();
    while answer.stdout.iter().filter(|byte| **byte == b'\n').count() < 3 {
        answer.note(timeout(DEADLINE, channel.wait()).await.expect("no output").expect("no end yet"));
    }
    channel.window_change(100, 40, 0, 0).await.unwrap();
    channel.data_bytes("go\n").await.unwrap();
    let rest = read(channel).await;
    assert!(answer.text().starts_with("/dev/pts/"), "{}", answer.text());
    assert!(answer.text().ends_with("xterm\n33 91\n"), "{}", answer.text());
    assert_eq!((rest.text(), rest.code), ("40 100\n", Some(4)));
    sandbox.stop().await;
}

#[tokio::test]
async fn only_the_sandboxs_own_key_logs_in() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let mut client = connect(&sandbox.host("web01").unwrap()).await.unwrap();
    let other = PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]));
    let other = PrivateKeyWithHashAlg::new(std::sync::Arc::new(other), None);
    assert!(!client.handle.authenticate_publickey("root", other).await.unwrap().success());
    assert!(!client.handle.authenticate_password("root", "").await.unwrap().success());
    assert!(!client.handle.authenticate_none("root").await.unwrap().success());
    assert!(authenticate(&sandbox, &mut client).await.unwrap().success());
    assert_eq!(sandbox.stats("web01").unwrap().logins, 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn files_are_written_renamed_linked_and_removed() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let home = sandbox.host("web01").unwrap().home;
    let channel = client.session().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    let sftp = SftpSession::new(channel.into_stream()).await.unwrap();
    assert_eq!(sftp.canonicalize(".").await.unwrap(), home.to_str().unwrap());
    let content = vec![42; 1 << 20];
    let mut file = sftp.create("new").await.unwrap();
    file.write_all(&content).await.unwrap();
    file.shutdown().await.unwrap();
    assert!(std::fs::read(home.join("new")).unwrap() == content);
    sftp.create_dir("sub").await.unwrap();
    sftp.rename("new", "sub/moved").await.unwrap();
    sftp.rename("missing", "x").await.unwrap_err();
    assert_eq!(sftp.metadata("sub/moved").await.unwrap().size, Some(1 << 20));
    // OpenSSH's order of arguments: the target first.
    sftp.symlink("sub/moved", "link").await.unwrap();
    assert_eq!(sftp.read_link("link").await.unwrap(), "sub/moved");
    let mut back = Vec::new();
    sftp.open("link").await.unwrap().read_to_end(&mut back).await.unwrap();
    assert!(back == content);
    let mut names: Vec<_> = sftp.read_dir(".").await.unwrap().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["link", "sub"]);
    sftp.remove_file("sub/moved").await.unwrap();
    sftp.remove_dir("sub").await.unwrap();
    assert!(!home.join("sub").exists());
    sftp.close().await.unwrap();
    sandbox.stop().await;
}

#[tokio::test]
async fn a_host_forwards_to_other_hosts_by_name_or_address_and_nowhere_else() {
    let (_dir, sandbox) = sandbox("web=2").await;
    let client = log_in(&sandbox, "web01").await;
    let target = sandbox.host("web02").unwrap().address;
    for (host, port) in [("web02".to_owned(), 22), (target.ip().to_string(), target.port())] {
        let channel = client.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 1).await.unwrap();
        let mut banner = [0; 8];
        channel.into_stream().read_exact(&mut banner).await.unwrap();
        assert_eq!(&banner, b"SSH-2.0-");
    }
    for host in ["192.0.2.1", "example.org", "0.0.0.0", "::"] {
        let refused = client.handle.channel_open_direct_tcpip(host, 22, "127.0.0.1", 1).await;
        assert!(refused.is_err(), "{host} was forwarded to");
    }
    assert_eq!(sandbox.stats("web01").unwrap().forwards, 2);
    sandbox.stop().await;
}
