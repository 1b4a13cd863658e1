//! Credentials, regions and metadata: where they are looked for, and where not.

use ec2_doubles::{FakeEc2, FakeMetadata, Instance};
use serde_json::json;

use crate::world::{World, failure, hosts, ids};

#[test]
fn without_credentials_the_answer_says_so_and_nobody_is_asked() {
    let ec2 = FakeEc2::start();
    let metadata = FakeMetadata::start("i-1", "eu-west-1");
    let world = World::of(&ec2)
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint())
        .on_machine_of("QEMU");
    let answer = world.describe(&[]);
    let (code, message, hint) = failure(&answer);
    assert_eq!(code, "no-credentials");
    assert_eq!(message, "there are no AWS credentials in the environment and in the profile default");
    assert!(hint.starts_with("run `aws configure`"), "{hint}");
    assert_eq!((ec2.calls(), metadata.paths()), (vec![], vec![]));
}

#[test]
fn without_a_region_the_answer_says_so_and_nobody_is_asked() {
    let ec2 = FakeEc2::start();
    let metadata = FakeMetadata::start("i-1", "eu-west-1");
    let world = World::of(&ec2)
        .without("AWS_REGION")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint())
        .on_machine_of("QEMU");
    let answer = world.describe(&[]);
    let (code, message, hint) = failure(&answer);
    assert_eq!(code, "no-region");
    assert_eq!(message, "no region is set, neither in the environment nor in the profile default");
    assert!(hint.starts_with("use --region eu-west-1"), "{hint}");
    assert_eq!((ec2.calls(), metadata.paths()), (vec![], vec![]));
}

#[test]
fn on_an_instance_its_metadata_give_region_and_credentials_and_tell_which_it_is() {
    let ec2 = FakeEc2::start();
    let metadata = FakeMetadata::start("i-2", "eu-west-1");
    ec2.add([Instance::new("i-1"), Instance::new("i-2")]);
    let world = World::empty()
        .with("AWS_ENDPOINT_URL_EC2", &ec2.endpoint())
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint());
    let on_instance = world.on_machine_of("Amazon EC2");
    let answer = on_instance.describe(&[]);
    let marked: Vec<_> = hosts(&answer).iter().map(|host| host["self"].as_bool().expect("a boolean")).collect();
    assert_eq!(marked, [false, true]);
    assert_eq!(ec2.calls()[0].access_key, FakeMetadata::ACCESS_KEY);
    let asked = metadata.paths().len();
    let forbidden = on_instance.with("AWS_EC2_METADATA_DISABLED", "true").describe(&[]);
    assert_eq!(failure(&forbidden).0, "no-region");
    assert_eq!(metadata.paths().len(), asked);
}

const PROFILES: &str = "
[default]
region = eu-west-1
[profile prod]
region = us-east-1
aws_access_key_id = AKIAPROD
aws_secret_access_key = secret
[profile hollow]
region = eu-west-1
";

#[test]
fn a_profile_gives_credentials_and_region_and_is_not_overruled_when_asked_for_by_name() {
    let ec2 = FakeEc2::start();
    ec2.add_in("us-east-1", [Instance::new("i-us")]);
    let world = World::of(&ec2).without("AWS_REGION").file(".aws/config", PROFILES);
    let answer = world.describe_with(&json!({"profile": "prod"}));
    assert_eq!(ids(&answer), ["i-us"]);
    assert_eq!(ec2.calls()[0].access_key, "AKIAPROD");
    let by_variable = world.without("AWS_ACCESS_KEY_ID").with("AWS_PROFILE", "prod");
    assert_eq!(ids(&by_variable.describe(&[])), ["i-us"]);
}

#[test]
fn a_profile_that_is_missing_or_empty_is_named() {
    let ec2 = FakeEc2::start();
    let world = World::of(&ec2).file(".aws/config", PROFILES);
    for (profile, hint) in [
        ("pord", "there is no profile pord in ~/.aws/config; there are: default, hollow, prod"),
        ("hollow", "run `aws configure` or `aws sso login`"),
    ] {
        let answer = world.describe_with(&json!({"profile": profile}));
        let (code, message, next) = failure(&answer);
        assert_eq!(code, "no-credentials", "{message}");
        assert!(message.contains(profile), "{message}");
        assert!(next.starts_with(hint), "{next}");
    }
}

#[test]
fn an_sso_login_that_is_over_is_told_with_the_command_that_renews_it() {
    let config = "
[profile work]
region = eu-west-1
sso_session = corp
sso_account_id = 123456789012
sso_role_name = reader
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
";
    let token = json!({
        "accessToken": "token",
        "expiresAt": "2020-01-01T00:00:00Z",
        "region": "eu-west-1",
        "startUrl": "https://corp.awsapps.com/start",
    });
    let ec2 = FakeEc2::start();
    // Named by the SHA-1 of the session's name.
    let cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    for (with_token, code, start, end) in [
        (
            true,
            "expired",
            "the credentials of the profile work have expired: ",
            "the SSO token has expired and cannot be refreshed",
        ),
        (
            false,
            "no-credentials",
            "the credentials of the profile work cannot be had: ",
            "failed to load the cached SSO token",
        ),
    ] {
        let mut world = World::of(&ec2).file(".aws/config", config);
        if with_token {
            world = world.file(cache, &token.to_string());
        }
        let answer = world.describe_with(&json!({"profile": "work"}));
        let (actual, message, hint) = failure(&answer);
        assert_eq!((actual, hint), (code, "try `aws sso login --profile work`"), "{message}");
        assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    }
    assert!(ec2.calls().is_empty());
}

#[test]
fn a_program_that_gives_no_credentials_or_none_in_time_is_no_mystery() {
    let ec2 = FakeEc2::start();
    let profile = |command: &str| format!("[profile p]\nregion = eu-west-1\ncredential_process = {command}\n");
    for (command, code, words) in [
        ("/bin/false", "no-credentials", "the credentials of the profile p cannot be had: "),
        ("/bin/sleep 100", "unreachable", "no credentials came within 1s"),
    ] {
        let world = World::of(&ec2).file(".aws/config", &profile(command));
        let answer = world.describe_with(&json!({"profile": "p", "operation_timeout": "1s"}));
        let (actual, message, _) = failure(&answer);
        assert_eq!(actual, code, "{message}");
        assert!(message.starts_with(words), "{message}");
    }
    assert!(ec2.calls().is_empty());
}

#[test]
fn files_that_cannot_be_read_are_an_error_that_names_them() {
    let ec2 = FakeEc2::start();
    let answer = World::of(&ec2).file(".aws/config", "[default\nregion = x").describe(&[]);
    let (code, message, _) = failure(&answer);
    assert_eq!(code, "bad-request");
    assert!(message.contains(".aws/config"), "{message}");
}

#[test]
fn several_regions_are_asked_and_told_apart() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-ie")]);
    ec2.add_in("us-east-1", [Instance::new("i-us")]);
    ec2.add_in("eu-west-3", [Instance::new("i-fr")]);
    let world = World::of(&ec2);
    let told = |regions: serde_json::Value| {
        let answer = world.describe_with(&json!({"regions": regions}));
        let pairs =
            hosts(&answer).iter().map(|host| format!("{} {}", host["id"], host["facts"]["region"]).replace('"', ""));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(told(json!("us-east-1")), ["i-us us-east-1"]);
    assert_eq!(told(json!(["us-east-1", "eu-west-1", "us-east-1"])), ["i-ie eu-west-1", "i-us us-east-1"]);
    assert_eq!(ec2.calls().len(), 3);
    assert_eq!(told(json!(["all"])), ["i-fr eu-west-3", "i-ie eu-west-1", "i-us us-east-1"]);
    let actions: Vec<_> = ec2.calls()[3..].iter().map(|call| call.action.clone()).collect();
    assert_eq!(actions, ["DescribeRegions", "DescribeInstances", "DescribeInstances", "DescribeInstances"]);
}

#[test]
fn an_endpoint_may_stand_in_the_profile() {
    let ec2 = FakeEc2::start();
    ec2.add([Instance::new("i-1")]);
    let config = format!("[default]\nservices = local\n[services local]\nec2 =\n  endpoint_url = {}\n", ec2.endpoint());
    let world = World::of(&ec2).without("AWS_ENDPOINT").file(".aws/config", &config);
    assert_eq!(ids(&world.describe(&[])), ["i-1"]);
}
