//! What goes wrong with EC2: one line with what to do, exit code 2, and no host contacted.

use ec2_doubles::Fault;

use crate::world::World;

/// A world with one host in the group `loadgen`, in which EC2 is set up in `fleet.toml`.
fn world() -> World {
    let world = World::new();
    world.ec2.add([world.instance("i-1", 0)]);
    world.env.write("work/fleet.toml", "[provider.ec2]\n");
    world
}

#[test]
fn each_fault_of_ec2_ends_psh_with_one_line_and_a_hint() {
    for (fault, error, hint) in [
        (
            Fault::Throttled,
            "EC2 in eu-west-1 says RequestLimitExceeded: Request limit exceeded. (throttled)",
            "other programs of the account call too often",
        ),
        (
            Fault::Unauthorized,
            "no permission for ec2:DescribeInstances in eu-west-1: You are not authorized",
            "allow ec2:DescribeInstances in a policy of this user or role",
        ),
        (
            Fault::Expired,
            "EC2 in eu-west-1 says RequestExpired: Request has expired. (expired)",
            "get new temporary credentials: `aws sso login`",
        ),
        (
            Fault::WrongKey,
            "EC2 in eu-west-1 says AuthFailure: AWS was not able to validate",
            "the access key or its secret is wrong",
        ),
        (
            Fault::Html500,
            "what answers for EC2 in eu-west-1 sent HTTP 500 and no EC2 answer (unreachable)",
            "the endpoint comes from AWS_ENDPOINT_URL_EC2=http://127.0.0.1:",
        ),
    ] {
        let world = world();
        world.ec2.fail(fault);
        let run = world.psh(&["-g", "loadgen", "echo hi"]).env("AWS_MAX_ATTEMPTS", "2").finish().expect_code(2);
        let said = run.stderr_text();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{fault:?}: {run}");
        assert!(lines[0].starts_with(&format!("psh: error: provider ec2: {error}")), "{fault:?}: {run}");
        assert!(lines[1].starts_with(&format!("hint: {hint}")), "{fault:?}: {run}");
        assert!(run.stdout.is_empty(), "{run}");
        world.nothing_was_contacted();
    }
}

#[test]
fn what_is_missing_or_wrong_on_this_machine_ends_psh_before_any_call() {
    for (missing, error, hint) in [
        (
            "AWS_ACCESS_KEY_ID",
            "there are no AWS credentials in the environment and in the profile default (no-credentials)",
            "run `aws configure` or `aws sso login`",
        ),
        (
            "AWS_REGION",
            "no region is set, neither in the environment nor in the profile default (no-region)",
            "use --region eu-west-1",
        ),
    ] {
        let world = world();
        let run = world.psh(&["-g", "loadgen", "echo hi"]).env(missing, "").finish().expect_code(2);
        assert_eq!(run.stderr_text().lines().count(), 2, "{run}");
        let run = run.expect_stderr(&format!("psh: error: provider ec2: {error}\nhint: {hint}"));
        assert!(run.stdout.is_empty() && world.ec2.calls().is_empty(), "{run}");
        world.nothing_was_contacted();
    }
}

#[test]
fn a_clock_that_is_wrong_is_named_as_the_cause() {
    let world = world();
    world.ec2.set_clock_ahead(3_680);
    world.ec2.fail(Fault::WrongKey);
    let run = world.psh(&["-g", "loadgen", "echo hi"]).finish().expect_code(2);
    let error =
        "the clock of this machine is 1h 1m behind that of EC2 in eu-west-1, which says AuthFailure (clock-skew)";
    run.expect_stderr(&format!("psh: error: provider ec2: {error}\nhint: set the clock"));
    world.nothing_was_contacted();
}

#[test]
fn an_ec2_that_hangs_is_left_at_the_limit_of_the_call_or_of_the_provider() {
    for (settings, error) in [
        (
            "operation_timeout = 1",
            "EC2 in eu-west-1 did not answer within 1s (unreachable)\nhint: the endpoint comes from",
        ),
        ("timeout = \"1s\"", "no answer within 1s; it was killed\nhint: give it more time"),
    ] {
        let world = world();
        world.ec2.fail(Fault::Hang);
        world.env.write("work/fleet.toml", format!("[provider.ec2]\n{settings}\n"));
        let run = world.psh(&["-g", "tag:Role=loadgen", "echo hi"]).finish().expect_code(2);
        run.expect_stderr(&format!("psh: error: provider ec2: {error}"));
        assert!(world.ec2.calls().len() <= 1, "a call that hangs is not repeated");
        world.nothing_was_contacted();
    }
}

#[test]
fn an_ec2_that_nobody_set_up_is_named_too_when_it_fails() {
    let world = world();
    world.env.write("work/fleet.toml", "");
    world.ec2.fail(Fault::Expired);
    let run = world.psh(&["-g", "loadgen", "echo hi"]).finish().expect_code(2);
    let error = "provider ec2: EC2 in eu-west-1 says RequestExpired: Request has expired. (expired)";
    run.expect_stderr(&format!("psh: going on without ec2: {error}\nhint: get new temporary credentials"));
    let run = world.psh(&["-g", "tag:Role=loadgen", "echo hi"]).finish().expect_code(2);
    run.expect_stderr("psh: error: provider ec2: EC2 in eu-west-1 says RequestExpired");
    world.nothing_was_contacted();
}

#[test]
fn hosts_of_files_go_on_without_an_ec2_that_fails() {
    let world = world();
    world.env.trust(&world.server.known_hosts_lines());
    world.env.write("work/hosts", format!("[loadgen]\n{}:{}\n", world.server.address(), world.server.port()));
    world.ec2.fail(Fault::Unauthorized);
    let run = world.psh(&["-h", "hosts", "-g", "loadgen", "echo hi"]).finish().expect_code(0).expect_stdout(": hi\n");
    let run = run.expect_stderr("psh: going on without ec2: provider ec2: no permission for ec2:DescribeInstances");
    run.expect_stderr("hint: allow ec2:DescribeInstances in a policy");
}

#[test]
fn an_error_is_not_kept_as_an_answer() {
    let world = world();
    world.ec2.fail_times(1, Fault::Expired);
    let psh = || world.psh(&["-g", "tag:Role=loadgen", "echo hi"]).finish();
    psh().expect_code(2);
    psh().expect_code(0).expect_stdout("i-1: hi\n");
}

#[test]
fn a_tag_that_nobody_has_ends_psh_with_what_was_asked() {
    let world = world();
    for (group, said) in [("tag:Role=loadgne", "no hosts are selected"), ("loadgne", "loadgne")] {
        let run = world.psh(&["-g", group, "echo hi"]).finish().expect_code(2).expect_stderr(said);
        assert!(run.stdout.is_empty(), "{run}");
    }
    world.nothing_was_contacted();
}
