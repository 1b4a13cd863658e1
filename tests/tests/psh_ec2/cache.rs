//! What EC2 has told is kept for a while, and shared by tools that run at once; the cloud changes meanwhile.

use std::fs;

use ec2_doubles::Instance;
use fleet_tests::{Finished, Running};

use crate::world::{World, listed, start};

#[test]
fn tools_that_run_at_once_share_a_cache_and_all_succeed() {
    const COUNT: u32 = 1_500;
    let world = World::new();
    world.ec2.add((0..COUNT).map(|number| Instance::new(format!("i-{number:04}")).with("tag:Role", "loadgen")));
    let expected: Vec<_> = (0..COUNT).map(|number| format!("i-{number:04}")).collect();
    let list = |flags: &[&str]| world.psh(&["--list", "-g", "loadgen"]).args(flags);
    for flags in [&[][..], &["--refresh"]] {
        let at_once: Vec<Running> =
            (0..6).map(|number| list(if number % 2 == 0 { flags } else { &[] }).start()).collect();
        for run in at_once {
            let run: Finished = run.finish().expect_code(0);
            assert_eq!(listed(&run), expected, "{run}");
            assert!(!run.stderr_text().contains("error"), "{run}");
        }
    }
    let folder = world.env.home().join(".cache/fleet");
    let files: Vec<_> = fs::read_dir(&folder).expect("the folder of the cache").collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let calls = world.ec2.calls().len();
    assert_eq!(listed(&list(&[]).finish().expect_code(0)), expected);
    assert_eq!(world.ec2.calls().len(), calls, "what they left is a whole answer");
}

#[test]
fn an_instance_that_ec2_does_not_show_yet_is_found_as_soon_as_it_is_shown() {
    let world = World::new();
    world.ec2.add([world.instance("i-new", 0).hidden_for(1)]);
    let psh = || world.psh(&["-g", "tag:Role=loadgen", "--no-cache", "echo hi"]).finish();
    psh().expect_code(2).expect_stderr("no hosts are selected");
    psh().expect_code(0).expect_stdout("i-new: hi\n");
}

#[test]
fn an_empty_answer_is_kept_no_longer_than_any_other() {
    let world = World::new();
    let psh = |flags: &[&str]| world.psh(flags).args(["-g", "tag:Role=loadgen", "echo hi"]).finish();
    psh(&[]).expect_code(2);
    world.ec2.add([world.instance("i-1", 0)]);
    psh(&["--refresh"]).expect_code(0).expect_stdout("i-1: hi\n");
    psh(&[]).expect_code(0).expect_stdout("i-1: hi\n");
}

/// It does so whether or not EC2 is asked again about a host that does not answer.
#[test]
fn an_instance_that_ended_since_the_answer_fails_alone_and_is_not_chosen_again() {
    let world = World::new();
    let ending = start(&world.env, 1);
    world.env.trust(&format!("i-2 {}\n", ending.host_key()));
    let second = Instance::new("i-2").with("private-ip-address", ending.address().to_string());
    let second = second.with("tag:fleet:port", ending.port().to_string()).with("tag:Role", "loadgen");
    world.ec2.add([world.instance("i-1", 0), second]);
    let psh = |flags: &[&str]| world.psh(flags).args(["-g", "tag:Role=loadgen", "echo hi"]).finish();
    assert_eq!(psh(&[]).expect_code(0).sorted_lines(), ["i-1: hi", "i-2: hi"]);
    drop(ending);
    world.ec2.change("i-2", "instance-state-name", "terminated");
    let run = psh(&[]).expect_code(4).expect_stderr("i-2");
    assert_eq!(run.sorted_lines(), ["i-1: hi"], "{run}");
    let run = psh(&["--refresh"]).expect_code(0).expect_nowhere("i-2");
    assert_eq!(run.sorted_lines(), ["i-1: hi"], "{run}");
}

#[test]
fn the_answer_of_one_account_or_endpoint_is_not_used_for_another() {
    let world = World::new();
    world.ec2.add([Instance::new("i-1").with("tag:Role", "loadgen")]);
    let list = |name: &str, value: &str| {
        world.psh(&["--list", "-g", "tag:Role=loadgen"]).env(name, value).finish().expect_code(0);
        world.ec2.calls().len()
    };
    assert_eq!(list("UNRELATED", "x"), 1);
    assert_eq!(list("UNRELATED", "y"), 1);
    assert_eq!(list("AWS_ACCESS_KEY_ID", "AKIAOTHER"), 2);
    assert_eq!(list("AWS_PROFILE", "default"), 3);
}
