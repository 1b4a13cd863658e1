//! Many hosts at once: all succeed, and what each says is shown as its own.

use std::sync::Arc;

use fleet_core::fanout::Signals;
use fleet_core::outcome::{ExitStatus, Outcome};
use fleet_sandbox::Fault;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Job, LIMIT, Recorder, RunCommand, World, fan_out};

/// Hosts and connections are all in this process, and the usual limit is far too low for so many.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hosts_two_hundred_at_once_each_say_their_own_name() {
    const HOSTS: usize = 1000;
    raise_descriptor_limit();
    let world = World::new(&format!("web={HOSTS}"), &[]).await;
    let recorder = Recorder::new(HOSTS);
    let hosts = world.hosts("web");
    // The name is what the host itself has, its home folder, not what we tell it.
    let job = Job::new("basename $HOME; basename $HOME >&2");
    let task = RunCommand { connector: Arc::new(world.connector(&[])), hosts: hosts.clone(), job };
    let finished = fan_out(task, 200, &recorder, Signals::scripted().1).await;
    assert_eq!(finished.status, ExitStatus::Success, "{:?}", finished.report.outcomes());
    for (host, shown) in hosts.iter().zip(recorder.shown()) {
        assert_eq!(shown.output.stdout, format!("{host}\n").as_bytes());
        assert_eq!(shown.output.stderr, format!("{host}\n").as_bytes());
        let stats = world.stats(host.name());
        assert_eq!((stats.connections, stats.logins, stats.execs), (1, 1, 1), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_fail_in_every_way_hold_no_other_host() {
    let faults = [
        ("refused", Fault::Refuse),
        ("silent", Fault::Silent),
        ("garbage", Fault::GarbageBanner),
        ("hanging", Fault::HangKex),
        ("changed", Fault::WrongHostKey),
        ("closed", Fault::AuthRefused),
        ("prohibited", Fault::RefuseSession),
        ("mute", Fault::NoExitStatus),
    ];
    let roles: Vec<String> = faults.iter().map(|(role, _)| format!("{role}=2")).collect();
    let world = World::new(&format!("{},fine=4", roles.join(",")), &faults).await;
    let hosts = world.hosts("");
    let recorder = Recorder::new(hosts.len());
    let connector = Arc::new(world.connector_within(LIMIT * 3, &[]));
    let task = RunCommand { connector, hosts: hosts.clone(), job: Job::new("basename $HOME") };
    let finished = fan_out(task, 8, &recorder, Signals::scripted().1).await;
    for ((host, outcome), shown) in hosts.iter().zip(finished.report.outcomes()).zip(recorder.shown()) {
        let is_fine = host.name().starts_with("fine");
        assert_eq!(*outcome == Outcome::Exited(0), is_fine, "{host}: {outcome:?}");
        if is_fine {
            assert_eq!(shown.output.text(), format!("{host}\n"));
        }
    }
    assert_eq!(finished.status, ExitStatus::NotReached);
}
