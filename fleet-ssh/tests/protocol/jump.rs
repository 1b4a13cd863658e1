//! Hosts behind jump hosts: one connection to each jump host, and one failure that all targets share.

use std::collections::HashSet;
use std::sync::Arc;

use fleet_core::fanout::Signals;
use fleet_core::outcome::{FailureClass, Outcome, Stage};
use fleet_sandbox::Fault;

use crate::support::{DEADLINE, Job, LIMIT, Recorder, RunCommand, Witness, World, fan_out, in_time, open, pattern};

/// Runs `job` on all `web` hosts through `jump` and returns the outcomes.
async fn run_behind(world: &World, jump: &str, job: Job, recorder: &Recorder) -> Vec<Outcome> {
    let connector = world.connector(&[&format!("ProxyJump={jump}")]);
    let task = RunCommand { connector: Arc::new(connector), hosts: world.hosts("web"), job };
    let finished = fan_out(task, 64, recorder, Signals::scripted().1).await;
    finished.report.outcomes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_targets_share_one_connection_to_their_jump_host() {
    let world = World::new("jump=1,web=50", &[]).await;
    let recorder = Recorder::new(50);
    let outcomes = run_behind(&world, "jump", Job::new("basename $HOME"), &recorder).await;
    assert_eq!(outcomes, vec![Outcome::Exited(0); 50]);
    for (host, shown) in world.hosts("web").iter().zip(recorder.shown()) {
        assert_eq!(shown.output.text(), format!("{host}\n"));
    }
    let jump = world.stats("jump");
    assert_eq!((jump.connections, jump.logins, jump.forwards, jump.execs), (1, 1, 50, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_connects_to_each_of_its_jump_hosts_once() {
    let world = World::new("outer=1,inner=1,web=5", &[]).await;
    let outcomes = run_behind(&world, "outer,inner", Job::new("true"), &Recorder::new(5)).await;
    assert_eq!(outcomes, vec![Outcome::Exited(0); 5]);
    let (outer, inner) = (world.stats("outer"), world.stats("inner"));
    assert_eq!((outer.connections, outer.forwards), (1, 1));
    assert_eq!((inner.connections, inner.forwards), (1, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_that_is_still_used_is_not_disconnected() {
    let world = World::new("jump=1,web=1", &[]).await;
    let connector = world.connector(&["ProxyJump=jump"]);
    let session = open(&connector, "web").await.unwrap();
    connector.disconnect().await;
    assert_eq!(Job::new("true").watch(&session).await.0, Outcome::Exited(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_targets_of_a_jump_host_that_is_down_fail_with_one_reason() {
    let world = World::new("jump=1,web=20", &[("jump", Fault::Refuse)]).await;
    let outcomes = run_behind(&world, "jump", Job::new("true"), &Recorder::new(20)).await;
    let reasons: HashSet<_> = outcomes.iter().map(|outcome| outcome.reason().unwrap()).collect();
    assert_eq!(reasons, HashSet::from(["connect: jump host jump: connect: connection refused".to_owned()]));
    let Outcome::Failed(error) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((error.stage, error.class), (Stage::Connect, FailureClass::Refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_that_lets_nobody_in_is_asked_once_and_named() {
    let world = World::new("outer=1,inner=1,web=20", &[("inner", Fault::AuthRefused)]).await;
    let outcomes = run_behind(&world, "outer,inner", Job::new("true"), &Recorder::new(20)).await;
    let reasons: HashSet<_> = outcomes.iter().map(|outcome| outcome.reason().unwrap()).collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let reason = reasons.iter().next().unwrap();
    assert!(reason.starts_with("connect: jump host inner: authentication: permission denied"), "{reason}");
    assert_eq!((world.stats("inner").connections, world.stats("web01").connections), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_is_no_failure_of_the_others() {
    let world = World::new("jump=1,web=3", &[("web2", Fault::Refuse)]).await;
    let outcomes = run_behind(&world, "jump", Job::new("true"), &Recorder::new(3)).await;
    let Outcome::Failed(error) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!((error.stage, error.class), (Stage::Connect, FailureClass::Refused));
    assert_eq!(error.message, "through jump host jump: it could not connect");
    assert_eq!((&outcomes[0], &outcomes[2]), (&Outcome::Exited(0), &Outcome::Exited(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_says_nothing_times_out_alone() {
    let world = World::new("jump=1,web=2", &[("web1", Fault::HangKex)]).await;
    let connector = world.connector_within(LIMIT, &["ProxyJump=jump"]);
    let (silent, healthy) = tokio::join!(open(&connector, "web1"), open(&connector, "web2"));
    assert_eq!(silent.err().unwrap().to_string(), "key exchange: timed out after 1s");
    assert_eq!(Job::new("true").watch(&healthy.unwrap()).await.0, Outcome::Exited(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_a_jump_host_loses_its_targets_and_the_next_connection_opens_it_anew() {
    let world = World::new("jump=1,web=2", &[]).await;
    let relay = world.relay("jump").await;
    let config = world.sandbox.dir().join("through_relay");
    let [name, port] = relay.options().map(|option| option.replace('=', " "));
    let rest = std::fs::read_to_string(world.sandbox.ssh_config_path()).unwrap();
    std::fs::write(&config, format!("Host jump\n{name}\n{port}\nHost web*\nProxyJump jump\n{rest}")).unwrap();
    let connector = world.connector_with_config(&config);
    let session = open(&connector, "web1").await.unwrap();
    let (job, witness) = (Job::new("echo go; sleep 1000"), Witness::default());
    let cutting = async {
        witness.heard("go").await;
        relay.cut();
    };
    let (outcome, ()) = tokio::join!(job.run(&session, &witness), cutting);
    let Outcome::Failed(error) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((error.stage, error.class), (Stage::Command, FailureClass::Lost), "{error}");
    relay.mend();
    let session = open(&connector, "web2").await.unwrap();
    assert_eq!(Job::new("true").watch(&session).await.0, Outcome::Exited(0));
    assert_eq!(world.stats("jump").connections, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_through_a_jump_host_unchanged_in_both_directions() {
    let world = World::new("jump=1,web=3", &[]).await;
    let connector = world.connector_within(DEADLINE, &["ProxyJump=jump"]);
    let bytes = pattern(5 << 20);
    let copies = ["web1", "web2", "web3"].map(|name| {
        let (connector, bytes) = (&connector, &bytes);
        async move {
            let session = open(connector, name).await.unwrap();
            let (outcome, output) = Job::new("cat").with_input(bytes.clone()).watch(&session).await;
            assert_eq!(outcome, Outcome::Exited(0));
            assert!(output.stdout == *bytes, "{output:?}");
        }
    });
    in_time("copying", futures::future::join_all(copies)).await;
}
