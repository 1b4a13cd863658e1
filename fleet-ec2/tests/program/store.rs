//! The actions `upload` and `discard`, on moto behind a proxy that fails as it is told.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use ec2_doubles::{FakeStore, StoreFault};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{World, failure};

/// More than a part of an upload.
const LARGE_BYTES: usize = 9 << 20;

fn world(store: &FakeStore) -> World {
    store.environment().into_iter().fold(World::empty(), |world, (name, value)| world.with(name, &value))
}

/// A file of so many bytes, with a request to keep it.
fn file(len: usize) -> (TempDir, Vec<u8>, Value) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("file");
    let bytes: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
    fs::write(&path, &bytes).expect("the folder can be written");
    let request = json!({
        "protocol": 1, "action": "upload", "provider": "ec2", "settings": {}, "bucket": "bucket-1", "key": "a/b c",
        "path": path, "sha256": sha256(&bytes), "expires_seconds": 60,
    });
    (folder, bytes, request)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn discard(keys: &[&str]) -> Value {
    json!({
        "protocol": 1, "action": "discard", "provider": "ec2", "settings": {}, "bucket": "bucket-1", "keys": keys,
    })
}

/// What is there under a URL: status and body.
fn fetch(url: &str) -> (String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut stream = TcpStream::connect(host).expect("the store listens");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("the store reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the store answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[..end]).lines().next().unwrap_or_default().to_owned();
    (status, answer[end + 4..].to_owned())
}

#[test]
fn a_file_is_kept_whole_fetched_by_its_url_and_gone_when_discarded() {
    let store = FakeStore::start(&["bucket-1"]);
    let world = world(&store);
    for (len, requests) in [(0, "PUT"), (1000, "PUT"), (LARGE_BYTES, "POST PUT PUT POST")] {
        let (_folder, bytes, request) = file(len);
        let before = store.requests().len();
        let answer = world.ask(&request);
        let uploaded = &answer["uploaded"];
        assert_eq!((&uploaded["key"], &uploaded["size"]), (&json!("a/b c"), &json!(len)), "{answer}");
        let methods: Vec<String> =
            store.requests()[before + 1..].iter().filter_map(|what| Some(what.split_once(' ')?.0.to_owned())).collect();
        assert_eq!(methods.join(" "), requests, "beside the look at the bucket: {:?}", store.requests());
        let (status, fetched) = fetch(uploaded["url"].as_str().expect("a URL"));
        assert!(status.contains(" 200 ") && fetched == bytes, "{status}");
        assert_eq!(world.ask(&discard(&["a/b c"])), json!({"protocol": 1, "discarded": ["a/b c"]}));
        assert_eq!(store.objects("bucket-1"), Vec::<String>::new());
    }
    assert_eq!(world.ask(&discard(&["a/b c", "never"]))["discarded"], json!(["a/b c", "never"]));
}

#[test]
fn a_bucket_is_found_in_its_region_whichever_is_set() {
    let store = FakeStore::start(&["bucket-1"]);
    let (_folder, _, request) = file(10);
    for region in [None, Some("ap-south-1")] {
        let world = world(&store).without("AWS_REGION");
        let world = region.into_iter().fold(world, |world, region| world.with("AWS_REGION", region));
        let answer = world.ask(&request);
        let url = answer["uploaded"]["url"].as_str().expect("a URL");
        assert!(url.contains("%2Feu-west-1%2F"), "{url}");
        assert_eq!(world.ask(&discard(&["a/b c"]))["discarded"], json!(["a/b c"]));
    }
    store.fail(StoreFault::Refused("InvalidAccessKeyId"));
    let answer = world(&store).without("AWS_REGION").ask(&request);
    let (code, _, hint) = failure(&answer);
    assert_eq!(code, "unauthorized");
    assert!(hint.ends_with("set AWS_REGION if the account is in another part of AWS (China, GovCloud)"), "{hint}");
}

#[test]
fn discarding_nothing_asks_nobody() {
    let store = FakeStore::start(&[]);
    assert_eq!(world(&store).ask(&discard(&[])), json!({"protocol": 1, "discarded": []}));
    assert_eq!(store.requests(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_what_it_was_is_not_kept() {
    let store = FakeStore::start(&["bucket-1"]);
    let world = world(&store);
    for len in [1000, LARGE_BYTES] {
        let (_folder, _, mut request) = file(len);
        request["sha256"] = json!("0".repeat(64));
        let answer = world.ask(&request);
        let (code, message, _) = failure(&answer);
        assert_eq!(code, "bad-request");
        assert!(message.contains("expected 0000"), "{message}");
        assert_eq!(store.objects("bucket-1"), Vec::<String>::new());
        assert_eq!(store.uploads("bucket-1"), Vec::<String>::new(), "no parts are left");
    }
}

#[test]
fn a_failed_upload_leaves_no_parts() {
    let store = FakeStore::start(&["bucket-1"]);
    store.fail(StoreFault::UploadDenied);
    let (_folder, _, request) = file(LARGE_BYTES);
    let answer = world(&store).ask(&request);
    let (code, message, hint) = failure(&answer);
    assert_eq!((code, message), ("unauthorized", "no permission for s3:PutObject in eu-west-1: as it was told"));
    assert!(hint.starts_with("allow s3:PutObject in a policy"), "{hint}");
    assert_eq!(store.uploads("bucket-1"), Vec::<String>::new());
    assert_eq!(store.objects("bucket-1"), Vec::<String>::new());
}

#[test]
fn a_killed_upload_is_discarded_by_its_name() {
    let store = FakeStore::start(&["bucket-1"]);
    store.fail(StoreFault::UploadHangs);
    let (_folder, _, request) = file(LARGE_BYTES);
    let world = world(&store);
    let mut upload = world.start(&request);
    store.wait_for("partNumber=2&");
    // Its watchdog passes the signal on.
    let kill = Command::new("kill").arg(upload.id().to_string()).status().expect("kill runs");
    assert!(kill.success() && !upload.wait().expect("it has ended").success());
    assert_eq!(store.uploads("bucket-1"), ["a/b c"]);
    assert_eq!(world.ask(&discard(&["a/b"]))["discarded"], json!(["a/b"]));
    assert_eq!(store.uploads("bucket-1"), ["a/b c"], "of another name");
    assert_eq!(world.ask(&discard(&["a/b c"]))["discarded"], json!(["a/b c"]));
    assert_eq!(store.uploads("bucket-1"), Vec::<String>::new());
}

#[test]
fn what_s3_refuses_is_told_in_a_line_with_what_to_do() {
    let store = FakeStore::start(&[]);
    let (_folder, _, request) = file(10);
    let world = world(&store);
    let endpoint = store.endpoint();
    for (fault, code, message, hint) in [
        (
            StoreFault::None,
            "bad-request",
            format!("there is no bucket bucket-1 in S3 at {endpoint}"),
            "aws s3 ls lists",
        ),
        (
            StoreFault::Refused("AccessDenied"),
            "unauthorized",
            "no permission for s3:PutObject in eu-west-1: as it was told".to_owned(),
            "allow s3:PutObject",
        ),
        (
            StoreFault::Refused("ExpiredToken"),
            "expired",
            "S3 in eu-west-1 says ExpiredToken: as it was told".to_owned(),
            "get new temporary credentials",
        ),
        (
            StoreFault::Refused("InvalidAccessKeyId"),
            "unauthorized",
            "S3 in eu-west-1 says InvalidAccessKeyId: as it was told".to_owned(),
            "the access key or its secret is wrong",
        ),
    ] {
        store.fail(fault);
        let answer = world.ask(&request);
        let (actual, said, next) = failure(&answer);
        assert_eq!((actual, said), (code, message.as_str()));
        assert!(next.starts_with(hint), "{next}");
    }
}

#[test]
fn what_cannot_be_read_or_signed_is_refused_before_anybody_is_asked() {
    let store = FakeStore::start(&["bucket-1"]);
    let world = world(&store);
    let (_folder, _, request) = file(10);
    for (member, value, words) in [
        ("path", json!("/no/such/file"), "cannot read /no/such/file"),
        ("path", json!("/"), "/ is no file"),
        ("expires_seconds", json!(8 * 24 * 60 * 60), "expires_seconds"),
    ] {
        let mut request = request.clone();
        request[member] = value;
        let answer = world.ask(&request);
        let (code, message, _) = failure(&answer);
        assert_eq!(code, "bad-request");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(store.requests(), Vec::<String>::new());
}
