//! Running commands on hosts that bend the protocol: nothing is lost, nothing is taken for success.

use fleet_core::outcome::{FailureClass, Outcome, Stage};
use fleet_sandbox::Fault;
use fleet_ssh::{ExitReport, Wrapping};

use crate::support::{Job, LIMIT, Transcript, Witness, World, open, pattern, run_to_end};

/// Runs `job` on a host with `faults`.
async fn run(faults: &[Fault], job: Job) -> (Outcome, Transcript) {
    let world = World::one(faults).await;
    job.watch(&world.session("web").await).await
}

fn assert_failed(outcome: &Outcome, stage: Stage, class: FailureClass, message: &str) {
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.stage, error.class), (stage, class), "{error}");
    assert_eq!(error.message, message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_and_exit_code_are_the_commands_own() {
    for wrapping in [Wrapping::Shell, Wrapping::Raw] {
        let job = Job { wrapping, ..Job::new("printf 'a\\000\\377'; printf 'e\\001' >&2; exit 3") };
        let (outcome, output) = run(&[], job).await;
        assert_eq!(outcome, Outcome::Exited(3));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"a\0\xff"[..], &b"e\x01"[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_ends_the_command_is_named() {
    let (outcome, _) = run(&[], Job::new("kill -USR1 $$")).await;
    assert_eq!(outcome, Outcome::Signalled("USR1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_exit_status_is_a_loss_and_never_success() {
    let (outcome, output) = run(&[Fault::NoExitStatus], Job::new("echo said")).await;
    let message = "the server closed the channel without an exit status";
    assert_failed(&outcome, Stage::Command, FailureClass::Lost, message);
    assert_eq!(output.text(), "said\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_the_exit_status_is_not_lost() {
    let bytes = pattern(300_000);
    let job = Job::new("cat; exit 4").with_input(bytes.clone());
    let (outcome, output) = run(&[Fault::DataAfterExitStatus], job).await;
    assert_eq!(outcome, Outcome::Exited(4));
    assert!(output.stdout == bytes, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_without_end_of_output_ends_with_its_close() {
    let (outcome, output) = run(&[Fault::NoEof], Job::new("echo said; exit 5")).await;
    assert_eq!((outcome, output.text()), (Outcome::Exited(5), "said\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_never_closed_ends_with_its_output_and_status() {
    let (outcome, output) = run(&[Fault::NoClose], Job::new("echo said; exit 6")).await;
    assert_eq!((outcome, output.text()), (Outcome::Exited(6), "said\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_in_mid_output_is_a_loss_and_keeps_what_came() {
    let world = World::one(&[Fault::CloseOutput(100_000)]).await;
    let bytes = pattern(300_000);
    std::fs::write(world.sandbox.host("web").unwrap().home.join("bytes"), &bytes).unwrap();
    let (outcome, output) = Job::new("cat bytes").raw().watch(&world.session("web").await).await;
    assert_failed(&outcome, Stage::Command, FailureClass::Lost, "connection closed by the server");
    assert!(output.stdout == bytes[..100_000], "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_opens_no_session_is_told_from_one_that_runs_no_command() {
    let (outcome, _) = run(&[Fault::RefuseSession], Job::new("true")).await;
    assert_failed(&outcome, Stage::Channel, FailureClass::Channel, "no session: the server prohibits it");
    let (outcome, _) = run(&[Fault::RefuseExec], Job::new("true")).await;
    assert_failed(&outcome, Stage::Channel, FailureClass::Channel, "the server refused to run the command");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiny_windows_lose_no_byte_in_either_direction() {
    let bytes = pattern(1 << 20);
    let (outcome, output) = run(&[Fault::TinyWindow], Job::new("cat").with_input(bytes.clone())).await;
    assert_eq!(outcome, Outcome::Exited(0));
    assert!(output.stdout == bytes, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_in_mid_transfer_lose_no_byte_in_either_direction() {
    let bytes = pattern(20 << 20);
    let (outcome, output) = run(&[Fault::Rekey(1 << 20)], Job::new("cat").with_input(bytes.clone())).await;
    assert_eq!(outcome, Outcome::Exited(0));
    assert!(output.stdout == bytes, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_input_a_command_reads_end_of_file_at_once() {
    for wrapping in [Wrapping::Shell, Wrapping::Raw] {
        let (outcome, output) = run(&[], Job { wrapping, ..Job::new("cat; echo end") }).await;
        assert_eq!((outcome, output.text()), (Outcome::Exited(0), "end\n".to_owned()), "{wrapping:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_noticed_by_keep_alives() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let connector = world.connector(&[&name, &port, "ServerAliveInterval=1", "ServerAliveCountMax=1"]);
    let session = open(&connector, "web").await.unwrap();
    let (job, witness) = (Job::new("echo go; sleep 1000"), Witness::default());
    let freezing = async {
        witness.heard("go").await;
        relay.freeze();
    };
    let (outcome, ()) = tokio::join!(job.run(&session, &witness), freezing);
    assert_failed(&outcome, Stage::Command, FailureClass::Lost, "no answer to keep-alives for 1s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_a_channel_request_times_out_there() {
    let world = World::one(&[]).await;
    let relay = world.relay("web").await;
    let [name, port] = relay.options();
    let session = open(&world.connector(&[&name, &port]), "web").await.unwrap();
    relay.freeze();
    let mut job = Job::new("true");
    job.limits.channel = Some(LIMIT);
    let (outcome, _) = job.watch(&session).await;
    assert_failed(&outcome, Stage::Channel, FailureClass::Timeout, "timed out after 1s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alives_keep_a_silent_command_alive() {
    let world = World::one(&[]).await;
    let connector = world.connector(&["ServerAliveInterval=1", "ServerAliveCountMax=1"]);
    let session = open(&connector, "web").await.unwrap();
    let (outcome, output) = Job::new("sleep 4; echo woke").watch(&session).await;
    assert_eq!((outcome, output.text()), (Outcome::Exited(0), "woke\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_commands_on_one_session_keep_their_output_apart() {
    let world = World::one(&[]).await;
    let session = world.session("web").await;
    let commands: Vec<String> = (0..5).map(|n| format!("yes {n} | head -n 20000; exit {n}")).collect();
    let running = commands.iter().map(|command| run_to_end(&session, command));
    for (n, (end, output)) in futures::future::join_all(running).await.into_iter().enumerate() {
        assert_eq!(end.exit, Some(ExitReport::Status(u32::try_from(n).unwrap())));
        assert_eq!(output.text(), format!("{n}\n").repeat(20_000));
    }
    assert_eq!(world.stats("web").connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_on_a_terminal_has_its_kind_and_size_and_one_exact_output() {
    for wrapping in [Wrapping::Shell, Wrapping::Raw] {
        let command = "stty size; echo $TERM; printf 'e\\001\\377\\n' >&2; exit 3";
        let (outcome, output) = run(&[], Job { wrapping, ..Job::new(command) }.on_terminal()).await;
        assert_eq!(outcome, Outcome::Exited(3), "{wrapping:?}: {output:?}");
        // The terminal shows the Ctrl-D of our input, at whatever moment it comes.
        let shown = b"^D\x08\x08";
        let at = output.stdout.windows(shown.len()).position(|window| window == shown);
        let mut stdout = output.stdout.clone();
        at.map(|at| stdout.drain(at..at + shown.len()));
        assert_eq!((&stdout[..], &output.stderr[..]), (&b"43 132\r\nvt220\r\ne\x01\xff\r\n"[..], &b""[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_on_a_terminal_ends_with_the_input() {
    for input in ["", "line\n", "half a line"] {
        let job = Job::new("stty -echo; cat | od -An -c | tr -d ' \\n'; echo .").on_terminal();
        let (outcome, output) = run(&[], job.with_input(input.into())).await;
        let shown = input.replace('\n', "\\n").replace(' ', "");
        assert_eq!(outcome, Outcome::Exited(0));
        assert!(output.text().ends_with(&format!("{shown}.\r\n")), "{input:?}: {output:?}");
    }
}
