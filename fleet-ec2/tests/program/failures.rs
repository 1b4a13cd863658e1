//! What goes wrong: one line with a code and a hint, and not one call too many.

use std::net::TcpListener;

use ec2_doubles::{FakeEc2, Fault, Instance};
use serde_json::json;

use crate::world::{World, failure, hosts, ids};

#[test]
fn each_fault_of_ec2_has_its_code_and_its_count_of_calls() {
    let unauthorized = "no permission for ec2:DescribeInstances in eu-west-1: You are not authorized to perform this \
                        operation. User: arn:aws:iam::123456789012:user/tester is not authorized to perform: \
                        ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action.";
    for (fault, code, message, hint, calls) in [
        (
            Fault::Throttled,
            "throttled",
            "EC2 in eu-west-1 says RequestLimitExceeded: Request limit exceeded.",
            "other programs of the account",
            5,
        ),
        (Fault::Unauthorized, "unauthorized", unauthorized, "allow ec2:DescribeInstances in a policy", 1),
        (
            Fault::Expired,
            "expired",
            "EC2 in eu-west-1 says RequestExpired: Request has expired.",
            "get new temporary credentials",
            1,
        ),
        (
            Fault::WrongKey,
            "unauthorized",
            "EC2 in eu-west-1 says AuthFailure: AWS was not able to validate the provided access credentials",
            "the access key or its secret is wrong",
            1,
        ),
        (
            Fault::Html500,
            "unreachable",
            "what answers for EC2 in eu-west-1 sent HTTP 500 and no EC2 answer",
            "the endpoint comes from AWS_ENDPOINT_URL_EC2=http://127.0.0.1:",
            5,
        ),
    ] {
        let ec2 = FakeEc2::start();
        ec2.add([Instance::new("i-1")]);
        ec2.fail(fault);
        let answer = World::of(&ec2).describe(&[]);
        let (actual, said, next) = failure(&answer);
        assert_eq!((actual, said), (code, message), "{fault:?}");
        assert!(next.starts_with(hint), "{fault:?}: {next}");
        assert_eq!(ec2.calls().len(), calls, "{fault:?}");
    }
}

#[test]
fn a_few_throttled_calls_are_repeated_unseen() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1")]);
    ec2.fail_times(3, Fault::Throttled);
    let answer = World::of(&ec2).describe(&[]);
    assert_eq!(ids(&answer), ["i-1"]);
    assert_eq!((&answer["warnings"], ec2.calls().len()), (&json!([]), 4));
}

#[test]
fn the_users_own_number_of_attempts_counts() {
    let config = |text: &str| format!("[default]\nregion = eu-west-1\n{text}\n");
    for (variable, profile, calls) in [
        (Some("2"), "", 2),
        (None, "max_attempts = 3", 3),
        (Some("1"), "max_attempts = 3", 1),
        (None, "retry_mode = standard", 3),
    ] {
        let ec2 = FakeEc2::start();
        ec2.fail(Fault::Throttled);
        let mut world = World::of(&ec2).file(".aws/config", &config(profile));
        if let Some(attempts) = variable {
            world = world.with("AWS_MAX_ATTEMPTS", attempts);
        }
        assert_eq!(failure(&world.describe(&[])).0, "throttled");
        assert_eq!(ec2.calls().len(), calls, "{variable:?} {profile}");
    }
}

#[test]
fn retry_settings_that_make_no_sense_are_refused() {
    for (name, value) in [("AWS_MAX_ATTEMPTS", "0"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_RETRY_MODE", "hasty")] {
        let ec2 = FakeEc2::start();
        let answer = World::of(&ec2).with(name, value).describe(&[]);
        let (code, message, _) = failure(&answer);
        assert_eq!(code, "bad-request");
        assert!(message.starts_with(&format!("{name} is \"{value}\"; expected")), "{message}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_named_as_the_cause() {
    for (fault, ahead_secs, words) in [
        (
            Fault::WrongKey,
            3_660_i64,
            "the clock of this machine is 1h 1m behind that of EC2 in eu-west-1, which says AuthFailure",
        ),
        (
            Fault::Expired,
            -7_260,
            "the clock of this machine is 2h 1m ahead of that of EC2 in eu-west-1, which says RequestExpired",
        ),
    ] {
        let ec2 = FakeEc2::start();
        ec2.set_clock_ahead(ahead_secs + ahead_secs.signum() * 20);
        ec2.fail(fault);
        let answer = World::of(&ec2).describe(&[]);
        let (code, message, hint) = failure(&answer);
        assert_eq!((code, message), ("clock-skew", words));
        assert!(hint.starts_with("set the clock"), "{hint}");
    }
}

#[test]
fn an_ec2_that_never_answers_is_left_after_the_time_limit() {
    let ec2 = FakeEc2::start();
    ec2.fail(Fault::Hang);
    let answer = World::of(&ec2).describe_with(&json!({"operation_timeout": 1}));
    let (code, message, _) = failure(&answer);
    assert_eq!((code, message), ("unreachable", "EC2 in eu-west-1 did not answer within 1s"));
    assert_eq!(ec2.calls().len(), 1);
}

#[test]
fn an_endpoint_that_leads_nowhere_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let refusing = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    for (endpoint, reason) in
        [(refusing.as_str(), "Connection refused (os error 111)"), ("nonsense", "endpoint must contain scheme")]
    {
        let world = World::of(&FakeEc2::start()).without("AWS_ENDPOINT").with("AWS_ENDPOINT_URL", endpoint);
        let answer = world.describe(&[]);
        let (code, message, hint) = failure(&answer);
        assert_eq!(
            (code, hint),
            ("unreachable", format!("the endpoint comes from AWS_ENDPOINT_URL={endpoint}").as_str())
        );
        assert!(message.starts_with(&format!("EC2 in eu-west-1 cannot be reached: {reason}")), "{message}");
    }
}

#[test]
fn a_region_that_may_not_be_seen_is_a_warning_as_long_as_there_is_another() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1")]);
    ec2.add_in("eu-west-3", [Instance::new("i-3")]);
    ec2.fail_in("eu-west-3", Fault::Unauthorized);
    let world = World::of(&ec2);
    let answer = world.describe_with(&json!({"regions": ["eu-west-1", "eu-west-3", "ap-east-1"]}));
    assert_eq!(ids(&answer), ["i-1"]);
    let warnings: Vec<_> =
        answer["warnings"].as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("the hosts of ap-east-1 are left out: EC2 in ap-east-1 says AuthFailure"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("the hosts of eu-west-3 are left out: no permission for ec2:DescribeInstances"),
        "{warnings:?}"
    );
    let refused = world.describe_with(&json!({"regions": ["ap-east-1", "eu-west-3"]}));
    assert_eq!(failure(&refused).0, "unauthorized");
}

#[test]
fn a_region_that_fails_otherwise_fails_the_whole() {
    for (fault, code) in [(Fault::Throttled, "throttled"), (Fault::Html500, "unreachable"), (Fault::Expired, "expired")]
    {
        let ec2 = FakeEc2::start();
        ec2.add([Instance::new("i-1")]);
        ec2.enable("eu-west-3");
        ec2.fail_in("eu-west-3", fault);
        let world = World::of(&ec2).with("AWS_MAX_ATTEMPTS", "1");
        let answer = world.describe_with(&json!({"regions": ["eu-west-1", "eu-west-3"]}));
        assert_eq!(failure(&answer).0, code);
    }
}

#[test]
fn a_request_that_cannot_be_read_is_refused_with_what_was_expected() {
    let ec2 = FakeEc2::start();
    let world = World::of(&ec2);
    for (request, code, words) in [
        ("", "bad-request", "the request cannot be read: EOF while parsing"),
        ("[]", "bad-request", "the request cannot be read"),
        (
            r#"{"protocol":2,"action":"describe"}"#,
            "unsupported",
            "version 2 of the protocol is asked for, and this is 1",
        ),
        (r#"{"protocol":1,"action":"launch"}"#, "unsupported", "the action launch is not known"),
        (r#"{"protocol":1,"action":"console"}"#, "bad-request", "the request cannot be read: missing field `ids`"),
        (
            r#"{"protocol":1,"action":"describe","settings":{"regoins":["x"]}}"#,
            "bad-request",
            "the request cannot be read: unknown field `regoins`, expected one of `profile`, `regions`",
        ),
        (
            r#"{"protocol":1,"action":"describe","settings":{"regions":["../x"]}}"#,
            "bad-request",
            r#""../x" is no region"#,
        ),
        (
            r#"{"protocol":1,"action":"describe","settings":{"operation_timeout":"soon"}}"#,
            "bad-request",
            "the request cannot be read: expected number",
        ),
        (
            r#"{"protocol":1,"action":"describe","queries":[[{"filter":"id","values":[]}]]}"#,
            "bad-request",
            "the filter id has no values",
        ),
    ] {
        let answer = world.ask_text(request);
        let (actual, message, _) = failure(&answer);
        assert_eq!(actual, code, "{request}: {message}");
        assert!(message.starts_with(words), "{request}: {message}");
    }
    assert!(ec2.calls().is_empty());
}

#[test]
fn what_a_later_core_adds_to_a_request_does_no_harm() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1")]);
    let answer =
        World::of(&ec2).ask(&json!({"protocol": 1, "action": "describe", "provider": "ec2", "later": {"x": 1}}));
    assert_eq!(hosts(&answer).len(), 1);
}
