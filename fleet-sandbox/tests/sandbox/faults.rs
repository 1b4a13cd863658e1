//! Each fault, as a client meets it.

use std::io::ErrorKind;
use std::time::Duration;

use fleet_sandbox::{Fault, Sandbox};
use russh::ChannelMsg;
use russh::Sig;
use russh::client::AuthResult;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::client::{DEADLINE, authenticate, connect, log_in, read, sandbox, until};

/// A sandbox in which `web01` has `fault`, and `web02` none.
async fn with(fault: Fault) -> (TempDir, Sandbox) {
    let dir = tempfile::tempdir().unwrap();
    let builder = Sandbox::builder(dir.path()).roles("web=2".parse().unwrap());
    let sandbox = builder.fault("web01", fault).start().await.unwrap();
    (dir, sandbox)
}

/// What a plain TCP client is told until the server closes.
async fn overhear(sandbox: &Sandbox) -> Vec<u8> {
    let mut socket = TcpStream::connect(sandbox.host("web01").unwrap().address).await.unwrap();
    let mut heard = Vec::new();
    timeout(DEADLINE, socket.read_to_end(&mut heard)).await.expect("the server does not close").unwrap_or_default();
    heard
}

#[tokio::test]
async fn refuse_and_accept_again_at_run_time() {
    let (_dir, sandbox) = with(Fault::Refuse).await;
    let address = sandbox.host("web01").unwrap().address;
    for _ in 0..3 {
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        sandbox.set_faults("web01", None).await.unwrap();
        assert_eq!(log_in(&sandbox, "web01").await.run("echo up").await.text(), "up\n");
        sandbox.set_faults("web01", Some(Fault::Refuse)).await.unwrap();
    }
    assert_eq!(sandbox.stats("web01").unwrap().connections, 3);
    assert!(sandbox.set_faults("web99", None).await.is_err());
    sandbox.stop().await;
}

#[tokio::test]
async fn silent_and_hang_kex_say_so_much_and_stay() {
    for (fault, said) in [(Fault::Silent, &b""[..]), (Fault::HangKex, b"SSH-2.0-fleet_sandbox\r\n")] {
        let (_dir, sandbox) = with(fault).await;
        let mut socket = TcpStream::connect(sandbox.host("web01").unwrap().address).await.unwrap();
        let mut heard = vec![0; said.len()];
        timeout(DEADLINE, socket.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, said);
        let more = timeout(Duration::from_millis(100), socket.read_u8()).await;
        assert!(more.is_err(), "{fault}: {more:?}");
        // Stopping does not wait for the client.
        timeout(DEADLINE, sandbox.stop()).await.expect("the sandbox does not stop");
    }
}

#[tokio::test]
async fn banners_of_a_wrong_kind_end_the_connection() {
    let (_dir, sandbox) = with(Fault::GarbageBanner).await;
    assert!(overhear(&sandbox).await.starts_with(b"HTTP/1.1 400"));
    sandbox.set_faults("web01", [Fault::CloseAfterBanner]).await.unwrap();
    assert_eq!(overhear(&sandbox).await, b"SSH-2.0-fleet_sandbox\r\n");
    sandbox.set_faults("web01", [Fault::GarbageBanner]).await.unwrap();
    assert!(connect(&sandbox.host("web01").unwrap()).await.is_err());
    sandbox.stop().await;
}

#[tokio::test]
async fn slow_banner_and_latency_take_their_time() {
    let delay = Duration::from_millis(50);
    let (_dir, sandbox) = with(Fault::SlowBanner(delay)).await;
    let start = Instant::now();
    log_in(&sandbox, "web01").await;
    assert!(start.elapsed() >= delay);
    sandbox.set_faults("web01", [Fault::Latency(delay)]).await.unwrap();
    let start = Instant::now();
    let client = log_in(&sandbox, "web01").await;
    // At least identification, key exchange, service and login: four round trips of two delays.
    assert!(start.elapsed() >= 8 * delay, "{:?}", start.elapsed());
    let bytes = client.run("head -c 1000000 /dev/zero").await.stdout.len();
    assert_eq!(bytes, 1_000_000);
    sandbox.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_slow_banner() {
    let (_dir, sandbox) = with(Fault::SlowBanner(Duration::from_secs(3600))).await;
    let _socket = TcpStream::connect(sandbox.host("web01").unwrap().address).await.unwrap();
    until("the connection is accepted", || sandbox.stats("web01").unwrap().open_connections == 1).await;
    timeout(DEADLINE, sandbox.stop()).await.expect("the sandbox does not stop");
}

#[tokio::test]
async fn drop_preauth_closes_the_first_connections_only() {
    let (_dir, sandbox) = with(Fault::DropPreauth(2)).await;
    assert_eq!(overhear(&sandbox).await, b"");
    assert!(connect(&sandbox.host("web01").unwrap()).await.is_err());
    log_in(&sandbox, "web01").await;
    sandbox.stop().await;
}

#[tokio::test]
async fn wrong_host_key_is_not_the_one_in_known_hosts() {
    let (_dir, sandbox) = with(Fault::WrongHostKey).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let client = connect(&sandbox.host("web01").unwrap()).await.unwrap();
        seen.push(client.notes.host_key.lock().unwrap().clone().unwrap());
        sandbox.set_faults("web01", None).await.unwrap();
    }
    let known = std::fs::read_to_string(sandbox.known_hosts_path()).unwrap();
    let line = known.lines().find(|line| line.starts_with("web01,")).unwrap();
    let key = russh::keys::PublicKey::from_openssh(line.split_once(' ').unwrap().1).unwrap();
    let known = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert_ne!(seen[0], known);
    assert_eq!(seen[1], known);
    sandbox.stop().await;
}

#[tokio::test]
async fn logins_fail_in_the_way_asked_for() {
    let (_dir, sandbox) = with(Fault::AuthRefused).await;
    let mut client = connect(&sandbox.host("web01").unwrap()).await.unwrap();
    let refused = authenticate(&sandbox, &mut client).await.unwrap();
    assert!(
        matches!(&refused, AuthResult::Failure { remaining_methods, .. } if remaining_methods.len() == 1),
        "{refused:?}"
    );
    sandbox.set_faults("web01", [Fault::TooManyAuthFailures]).await.unwrap();
    let mut client = connect(&sandbox.host("web01").unwrap()).await.unwrap();
    let refused = authenticate(&sandbox, &mut client).await;
    assert!(!refused.is_ok_and(|result| result.success()));
    let notes = client.notes.clone();
    let _ = timeout(DEADLINE, client.handle).await.expect("no disconnect");
    let reason = notes.disconnect.lock().unwrap().clone().unwrap_or_default();
    assert!(reason.contains("Too many authentication failures"), "{reason}");
    assert_eq!(sandbox.stats("web01").unwrap().logins, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn sessions_and_commands_are_refused() {
    let (_dir, sandbox) = with(Fault::RefuseSession).await;
    let client = log_in(&sandbox, "web01").await;
    assert!(client.handle.channel_open_session().await.is_err());
    sandbox.set_faults("web01", [Fault::RefuseExec]).await.unwrap();
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.session().await;
    channel.exec(true, "true").await.unwrap();
    let answer = timeout(DEADLINE, channel.wait()).await.unwrap();
    assert!(matches!(answer, Some(ChannelMsg::WindowAdjusted { .. } | ChannelMsg::Failure)), "{answer:?}");
    sandbox.stop().await;
}

#[tokio::test]
async fn sessions_beyond_a_limit_or_a_quota_are_refused() {
    for (fault, is_free_again) in [(Fault::SessionLimit(1), true), (Fault::SessionQuota(1), false)] {
        let (_dir, sandbox) = with(fault).await;
        let client = log_in(&sandbox, "web01").await;
        let mut first = client.session().await;
        assert!(client.handle.channel_open_session().await.is_err(), "{fault}");
        first.exec(true, "true").await.unwrap();
        let ended = async { while !matches!(first.wait().await, None | Some(ChannelMsg::ExitStatus { .. })) {} };
        timeout(DEADLINE, ended).await.unwrap();
        assert_eq!(client.handle.channel_open_session().await.is_ok(), is_free_again, "{fault}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn the_end_of_a_command_is_told_in_the_way_asked_for() {
    for (fault, order) in [
        (Fault::NoExitStatus, &["data", "eof", "close"][..]),
        (Fault::DataAfterExitStatus, &["exit-status", "data", "eof", "close"]),
        (Fault::NoEof, &["data", "exit-status", "close"]),
    ] {
        let (_dir, sandbox) = with(fault).await;
        let answer = log_in(&sandbox, "web01").await.run("echo out").await;
        assert_eq!((answer.text(), &answer.order[..]), ("out\n", order), "{fault}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn data_after_exit_status_loses_no_byte() {
    let (_dir, sandbox) = with(Fault::DataAfterExitStatus).await;
    let answer = log_in(&sandbox, "web01").await.run("seq 100000").await;
    assert_eq!(answer.text().lines().count(), 100_000);
    assert_eq!(answer.order, ["data", "exit-status", "data", "eof", "close"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn no_close_leaves_the_channel_open_after_the_end() {
    let (_dir, sandbox) = with(Fault::NoClose).await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("true").await;
    let mut ended = false;
    while !ended {
        ended = matches!(timeout(DEADLINE, channel.wait()).await.unwrap(), Some(ChannelMsg::Eof));
    }
    assert!(timeout(Duration::from_millis(100), channel.wait()).await.is_err());
    sandbox.stop().await;
}

#[tokio::test]
async fn stall_output_sends_exactly_so_many_bytes_and_stays() {
    let (_dir, sandbox) = with(Fault::StallOutput(100_000)).await;
    let client = log_in(&sandbox, "web01").await;
    let mut channel = client.start("cat /dev/zero").await;
    let mut bytes = 0;
    while bytes < 100_000 {
        if let Some(ChannelMsg::Data { data }) = timeout(DEADLINE, channel.wait()).await.unwrap() {
            bytes += data.len();
        }
    }
    assert_eq!(bytes, 100_000);
    assert!(timeout(Duration::from_millis(100), channel.wait()).await.is_err());
    assert_eq!(sandbox.stats("web01").unwrap().running, 1);
    timeout(DEADLINE, sandbox.stop()).await.expect("the sandbox does not stop");
}

#[tokio::test]
async fn close_output_sends_exactly_so_many_bytes_and_closes_the_connection() {
    for bytes in [0, 1, 5000, 100_000] {
        let (_dir, sandbox) = with(Fault::CloseOutput(bytes)).await;
        let client = log_in(&sandbox, "web01").await;
        let answer = client.run("cat /dev/zero").await;
        assert_eq!(answer.stdout.len() as u64, bytes);
        assert_eq!((answer.code, answer.signal), (None, None));
        let _ = timeout(DEADLINE, client.handle).await.expect("the connection stays");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn tiny_windows_and_rekeys_lose_no_byte() {
    for faults in [vec![Fault::TinyWindow], vec![Fault::Rekey(20_000)], vec![Fault::TinyWindow, Fault::Rekey(20_000)]] {
        let (_dir, sandbox) = sandbox("web=1").await;
        sandbox.set_faults("web01", faults.clone()).await.unwrap();
        let client = log_in(&sandbox, "web01").await;
        let (mut reader, writer) = client.start("cat; echo err >&2").await.split();
        let sent: Vec<u8> = (0..300_000u32).map(|i| (i / 7) as u8).collect();
        let sending = async {
            writer.data_bytes(sent.clone()).await.unwrap();
            writer.eof().await.unwrap();
        };
        let receiving = async {
            let mut answer = crate::client::Answer::default();
            while let Some(message) = timeout(DEADLINE, reader.wait()).await.expect("no end") {
                if let ChannelMsg::Data { data } = &message
                    && faults.contains(&Fault::TinyWindow)
                {
                    assert!(data.len() <= 1024);
                }
                answer.note(message);
            }
            answer
        };
        let ((), answer) = tokio::join!(sending, receiving);
        assert!(answer.stdout == sent, "{faults:?}: {} bytes", answer.stdout.len());
        assert_eq!((&answer.stderr[..], answer.code), (&b"err\n"[..], Some(0)), "{faults:?}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn no_signal_ignores_the_request() {
    let (_dir, sandbox) = with(Fault::NoSignal).await;
    let client = log_in(&sandbox, "web01").await;
    let channel = client.start("read line; echo $line").await;
    channel.signal(Sig::KILL).await.unwrap();
    channel.data_bytes("alive\n").await.unwrap();
    assert_eq!(read(channel).await.text(), "alive\n");
    sandbox.stop().await;
}

#[tokio::test]
async fn close_stdin_early_ends_while_the_client_still_sends() {
    let (_dir, sandbox) = with(Fault::CloseStdinEarly).await;
    let client = log_in(&sandbox, "web01").await;
    let (mut reader, writer) = client.start("wc -c; sleep 0.2").await.split();
    let sending = tokio::spawn(async move { writer.data_bytes(vec![0; 64 << 20]).await });
    let mut answer = crate::client::Answer::default();
    while let Some(message) = timeout(DEADLINE, reader.wait()).await.expect("no end") {
        answer.note(message);
    }
    assert_eq!((answer.text().trim(), answer.code), ("0", Some(0)));
    assert!(!sending.is_finished(), "64 MiB were taken by a command without input");
    sending.abort();
    sandbox.stop().await;
}
