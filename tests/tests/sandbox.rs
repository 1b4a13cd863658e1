//! The embedded sandbox as OpenSSH's own programs see it: what works here works with the tools' real counterpart.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use fleet_sandbox::Sandbox;
use fleet_tests::PATIENCE;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// Two web hosts; the folder goes with the first of the pair.
async fn sandbox() -> (TempDir, Sandbox) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let roles = "web=2".parse().expect("good roles");
    let sandbox = Sandbox::builder(dir.path()).roles(roles).start().await.expect("the sandbox starts");
    (dir, sandbox)
}

fn client(program: &str, sandbox: &Sandbox) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", sandbox.dir()).kill_on_drop(true);
    command.arg("-F").arg(sandbox.ssh_config_path()).args(["-o", "BatchMode=yes"]);
    command
}

async fn ssh<const N: usize>(sandbox: &Sandbox, arguments: [&str; N], input: &[u8]) -> Output {
    run(client("ssh", sandbox).args(arguments), input).await
}

async fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ssh and sftp are installed (apt: openssh-client)");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let running = async {
        let (output, _) = tokio::join!(child.wait_with_output(), async move {
            // A command that does not read its input is not an error.
            let _ = stdin.write_all(input).await;
        });
        output.expect("the output is readable")
    };
    timeout(PATIENCE, running).await.expect("the client does not end")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn until_gone(pid: &str) {
    let waiting = async {
        while is_alive(pid) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the process is still alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_gets_output_and_exit_code_without_a_warning() {
    let (_dir, sandbox) = sandbox().await;
    let output = ssh(&sandbox, ["web01", "echo out; echo err >&2; exit 7"], b"").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n", "err\n"));
    assert_eq!(output.status.code(), Some(7));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_learns_of_a_signal() {
    let (_dir, sandbox) = sandbox().await;
    let output = ssh(&sandbox, ["-v", "web01", "kill -TERM $$"], b"").await;
    assert_eq!(output.status.code(), Some(255));
    let log = text(&output.stderr);
    assert!(log.contains("rtype exit-signal"), "{log}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_through_cat_are_byte_exact() {
    let (_dir, sandbox) = sandbox().await;
    let input: Vec<u8> = (0..10u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let output = ssh(&sandbox, ["web01", "cat"], &input).await;
    assert!(output.stdout == input, "{} bytes came back of {}", output.stdout.len(), input.len());
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_a_terminal() {
    let (_dir, sandbox) = sandbox().await;
    let output = ssh(&sandbox, ["-tt", "web01", "tty; test -t 0 && test -t 1; exit $?"], b"").await;
    assert!(text(&output.stdout).starts_with("/dev/pts/"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_without_a_command_reads_its_commands_from_stdin() {
    let (_dir, sandbox) = sandbox().await;
    let output = ssh(&sandbox, ["-T", "web02"], b"pwd\nexit 5\n").await;
    let home = sandbox.host("web02").expect("web02").home;
    assert_eq!(text(&output.stdout).trim_end(), home.display().to_string());
    assert_eq!(output.status.code(), Some(5));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_are_sent() {
    let (_dir, sandbox) = sandbox().await;
    let output = ssh(&sandbox, ["-o", "SetEnv=GREETING=hello", "web01", "echo $GREETING"], b"").await;
    assert_eq!(text(&output.stdout), "hello\n");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_is_a_jump_host_for_the_other() {
    let (_dir, sandbox) = sandbox().await;
    let jumped = ssh(&sandbox, ["-J", "web01", "web02", "head -c 3000000 /dev/zero"], b"").await;
    assert_eq!(jumped.stdout.len(), 3_000_000, "{}", text(&jumped.stderr));
    assert_eq!(sandbox.stats("web01").expect("web01").forwards, 1);
    let home = ssh(&sandbox, ["-J", "web01", "web02", "pwd"], b"").await;
    assert!(text(&home.stdout).trim_end().ends_with("/homes/web02"), "{home:?}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_killed_takes_its_process_group_along() {
    let (_dir, sandbox) = sandbox().await;
    let mut command = client("ssh", &sandbox);
    command.args(["web01", "sleep 1000 & echo $$ $!; wait"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("ssh is installed (apt: openssh-client)");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("no output").expect("readable");
    let pids: Vec<&str> = line.split_whitespace().collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(pid)), "{line}");
    child.kill().await.expect("ssh can be killed");
    for pid in pids {
        until_gone(pid).await;
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_puts_renames_lists_and_gets() {
    let (dir, sandbox) = sandbox().await;
    let local = dir.path().join("local");
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i / 11) as u8).collect();
    std::fs::write(&local, &content).expect("written");
    let back = dir.path().join("back");
    let batch = format!(
        "put -p {local} first\nrename first second\nmkdir sub\nrename second sub/third\nln -s sub/third link\nls -l sub\n\
         get link {back}\nrm link\nput {local} sub/third\n",
        local = local.display(),
        back = back.display()
    );
    let output = run(client("sftp", &sandbox).args(["-b", "-", "web01"]), batch.as_bytes()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("third"), "{}", text(&output.stdout));
    assert!(std::fs::read(&back).expect("got") == content);
    let home = sandbox.host("web01").expect("web01").home;
    assert!(std::fs::read(home.join("sub/third")).expect("put") == content);
    assert!(!home.join("first").exists() && !home.join("link").exists());
    sandbox.stop().await;
}

/// OpenSSH asks for new keys too: both sides at once must not lose a byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_in_mid_stream_lose_no_byte() {
    let (_dir, sandbox) = sandbox().await;
    sandbox.set_faults("web01", ["rekey=100000".parse().expect("a fault")]).await.expect("web01");
    let input: Vec<u8> = (0..2_000_000u32).map(|i| (i / 7) as u8).collect();
    let output = ssh(&sandbox, ["-o", "RekeyLimit=150000", "web01", "cat"], &input).await;
    assert!(output.stdout == input, "{} bytes: {}", output.stdout.len(), text(&output.stderr));
    sandbox.stop().await;
}
