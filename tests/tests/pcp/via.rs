//! `--via s3://...`: hosts fetch what was uploaded once, by fleet-ec2, to moto's S3 behind a proxy that fails as it is told.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use ec2_doubles::{FakeStore, StoreFault};
use fleet_tests::accounts::{Throwaway, require_root};
use fleet_tests::{Finished, Run, Server, Signal, Sshd, TestEnv, require_fleet_ec2};

use crate::world::{World, expected, own};

/// A slow machine is no failure: nothing here waits for longer than it has to.
const PATIENCE: Duration = Duration::from_secs(600);
const BUCKET: &str = "fleet-copies";
const VIA: [&str; 2] = ["--via", "s3://fleet-copies/some/where"];

/// Files here, hosts, and a store.
struct Cloud {
    world: World,
    store: FakeStore,
}

impl Cloud {
    /// With so many hosts that have curl.
    fn new(hosts: usize) -> Self {
        require_fleet_ec2();
        Self { world: World::new(hosts), store: FakeStore::start(&[BUCKET]) }
    }

    /// With hosts that have curl, only wget, and neither.
    fn of_all_kinds() -> Self {
        require_fleet_ec2();
        let env = TestEnv::new();
        let server = |name: &str, without: &[&str]| -> Server {
            let path = env.programs_without(without);
            Sshd::new(&env).named(name).option("SetEnv", &format!("PATH={}", path.display())).start()
        };
        let servers = vec![server("curl", &["wget"]), server("wget", &["curl"]), server("neither", &["curl", "wget"])];
        let world = World { env, servers };
        for host in ["curl", "wget", "neither"] {
            fs::create_dir(world.on(host)).unwrap();
            own(&world.on(host));
        }
        Self { world, store: FakeStore::start(&[BUCKET]) }
    }

    /// `pcp --via` to all hosts, with credentials for the store.
    fn pcp<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        let names: Vec<&str> = self.world.servers.iter().flat_map(Server::names).map(String::as_str).collect();
        self.with_credentials(self.world.env.pcp(["-H", &names.join(",")]).args(VIA).args(arguments))
    }

    fn with_credentials(&self, run: Run) -> Run {
        let run = run.patience(PATIENCE);
        self.store.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    fn copied<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Finished {
        self.pcp(arguments).finish().expect_code(0)
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        assert_eq!(self.store.objects(BUCKET), Vec::<String>::new());
        assert_eq!(self.store.uploads(BUCKET), Vec::<String>::new());
    }

    fn connections(&self) -> usize {
        self.world.servers.iter().map(Server::connections).sum()
    }
}

/// Whether any file below a folder has a text in it.
fn has_text(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => has_text(&path, text),
        false => String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).contains(text),
    })
}

#[test]
fn hosts_fetch_with_curl_or_wget_what_was_uploaded_once_and_others_are_sent_it() {
    let cloud = Cloud::of_all_kinds();
    let world = &cloud.world;
    world.file("tree/it's", "content");
    world.file("tree/sub/empty", "");
    world.link("tree/link", "sub");
    for packed in [None, Some("-C")] {
        let before = cloud.store.fetches();
        let run = cloud.copied(packed.into_iter().chain(["tree", &world.each("")]));
        let run = run.expect_stderr("curl,wget (2): 2 files, 1 symlink, 7 B; via S3");
        run.expect_stderr("neither (1): 2 files, 1 symlink, 7 B; not via S3: the host has neither curl nor GNU wget");
        assert_eq!(cloud.store.fetches() - before, 2);
        for host in ["curl", "wget", "neither"] {
            let tree = expected([
                ("tree", "folder 755"),
                ("tree/it\\'s", "file 644 content"),
                ("tree/link", "symlink sub"),
                ("tree/sub", "folder 755"),
                ("tree/sub/empty", "file 644 "),
            ]);
            assert_eq!(world.tree(host), tree, "{host}");
            fs::remove_dir_all(world.on(host).join("tree")).unwrap();
        }
        cloud.nothing_is_left();
    }
    let puts = cloud.store.requests().iter().filter(|what| what.starts_with("PUT ")).count();
    assert_eq!(puts, 2, "one for each run");
}

#[test]
fn what_cannot_be_fetched_is_sent_and_the_summary_says_why() {
    let cloud = Cloud::of_all_kinds();
    let content = "0123456789".repeat(10_000);
    cloud.world.file("a", &content);
    for (fault, curl, wget) in [
        (StoreFault::Expired, "curl: (22) ", "wget: the server answered with an error (exit status 8)"),
        (StoreFault::Damaged, "damaged on the way: ", "damaged on the way: "),
        (StoreFault::Cut, "curl: (18) ", "wget: "),
    ] {
        cloud.store.fail(fault);
        let run = cloud.copied(["a", &cloud.world.each("")]);
        for (host, reason) in [("curl", curl), ("wget", wget)] {
            let told = format!("(1): 1 file, 100 kB; not via S3: {reason}");
            let both = format!("curl,wget (2): 1 file, 100 kB; not via S3: {reason}");
            let summary = run.stderr_text();
            let is_told = summary.lines().any(|line| line.contains(&format!("{host} {told}")) || line.contains(&both));
            assert!(is_told, "{fault:?} {host}: {run}");
        }
        for host in ["curl", "wget", "neither"] {
            assert_eq!(fs::read_to_string(cloud.world.on(host).join("a")).unwrap(), content, "{fault:?} {host}");
            assert_eq!(cloud.world.tree(host).len(), 1, "no litter");
            fs::remove_file(cloud.world.on(host).join("a")).unwrap();
        }
        cloud.nothing_is_left();
    }
}

#[test]
fn what_a_host_refuses_is_not_tried_twice() {
    let cloud = Cloud::new(2);
    cloud.world.file("a", "content");
    let run = cloud.pcp(["-v", "a", &cloud.world.each("no/such/")]).finish().expect_code(5);
    run.expect_stderr("is missing").expect_nowhere("not via S3");
    assert_eq!(cloud.connections(), 2);
    cloud.nothing_is_left();
}

#[test]
fn what_keeps_the_upload_from_being_is_said_before_any_host_is_contacted() {
    let cloud = Cloud::new(2);
    for host in ["web01", "web02"] {
        cloud.world.file(format!("{host}.conf"), host);
    }
    cloud.world.file("a", "content");
    let dest = cloud.world.each("");
    let refused = |run: Run, words: &str| {
        let run = run.finish().expect_code(2).expect_stderr(words);
        assert_eq!(cloud.connections(), 0, "{run}");
        run
    };
    refused(cloud.pcp(["{host}.conf", &dest]), "--via is for what is the same for all hosts");
    for flag in ["--bwlimit", "--bwlimit-host"] {
        refused(cloud.pcp([flag, "1M", "a", &dest]), &format!("{flag} does not limit what goes by --via"));
    }
    let via = |place: &str| cloud.with_credentials(cloud.world.env.pcp(["-H", "web01", "--via", place, "a", &dest]));
    refused(via("http://x"), "expected s3://BUCKET");
    assert_eq!(cloud.store.requests(), Vec::<String>::new());
    refused(via("s3://no-such-bucket/x"), "there is no bucket no-such-bucket").expect_stderr("hint: aws s3 ls");
    cloud.store.fail(StoreFault::Refused("ExpiredToken"));
    refused(cloud.pcp(["a", &dest]), "ExpiredToken").expect_stderr("hint: get new temporary credentials");
    cloud.nothing_is_left();
}

#[test]
fn ctrl_c_leaves_no_object_and_no_parts() {
    let cloud = Cloud::new(2);
    cloud.world.file("large", vec![b'x'; 9 << 20]);
    let dest = cloud.world.each("");
    cloud.store.fail(StoreFault::UploadHangs);
    let run = cloud.pcp(["large", &dest]).start();
    cloud.store.wait_for("partNumber=2&");
    run.signal(Signal::INT);
    run.finish().expect_code(2).expect_stderr("interrupted");
    assert_eq!(cloud.connections(), 0);
    cloud.nothing_is_left();

    cloud.store.fail(StoreFault::FetchHangs);
    let run = cloud.pcp(["large", &dest]).start();
    cloud.store.wait_for("X-Amz-Signature=");
    run.signal(Signal::INT);
    run.finish().expect_code(3);
    cloud.nothing_is_left();
    for host in ["web01", "web02"] {
        assert!(cloud.world.tree(host).is_empty(), "{:?}", cloud.world.tree(host));
    }
}

#[test]
fn whoever_waits_for_the_removal_is_told_so_and_a_signal_ends_it() {
    let cloud = Cloud::new(1);
    cloud.world.file("a", "content");
    cloud.store.fail(StoreFault::DiscardHangs);
    let run = cloud.pcp(["a", &cloud.world.each("")]).start();
    run.wait_for_stderr("pcp: removing s3://fleet-copies/some/where/pcp-");
    run.signal(Signal::INT);
    let run = run.finish().expect_code(1).expect_stderr("web01 (1): 1 file, 7 B; via S3");
    run.expect_stderr(" may be left: ").expect_stderr("aws s3 rm s3://fleet-copies/some/where/pcp-");
}

#[test]
fn how_far_the_upload_is_stands_on_the_terminal_and_in_json() {
    let cloud = Cloud::new(1);
    cloud.world.file("large", vec![b'x'; 9 << 20]);
    let dest = cloud.world.each("");
    let run = cloud.copied(["--json", "large", &dest]);
    let events: Vec<serde_json::Value> =
        run.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (uploads, rest) = events.split_at(events.iter().position(|event| event["event"] != "upload").unwrap());
    assert_eq!(rest[0]["event"], "run");
    let bytes = uploads.iter().map(|event| event["bytes"].as_u64().unwrap());
    assert!(uploads.len() >= 2 && bytes.is_sorted(), "{run}");
    let [first, last] = [&uploads[0], &uploads[uploads.len() - 1]];
    assert_eq!(first["bytes"], 0);
    assert!(last["of"].as_u64().unwrap() > 9 << 20 && last["bytes"] == last["of"], "{last}");
    assert!(last["object"].as_str().unwrap().starts_with("s3://fleet-copies/some/where/pcp-"), "{last}");
    assert_eq!(run.stderr_text(), "");

    cloud.store.fail(StoreFault::UploadHangs);
    let run = cloud.pcp(["large", &dest]).on_terminal().start();
    for text in ["packing 0 B of 9.4 MB", "pcp: uploading 9.4 MB to s3://fleet-copies/", "uploading 0 B of 9.4 MB"] {
        run.wait_for_stdout(text);
    }
    cloud.store.wait_for("partNumber=2&");
    run.signal(Signal::INT);
    run.finish().expect_code(2);
    cloud.nothing_is_left();
}

#[test]
fn the_url_is_seen_nowhere() {
    let cloud = Cloud::new(1);
    cloud.world.file("a", "content");
    cloud.store.fail(StoreFault::FetchHangs);
    let run = cloud.pcp(["-vvv", "--json", "a", &cloud.world.each("")]).start();
    cloud.store.wait_for("X-Amz-Signature=");
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    for process in processes.filter(|path| path.join("cmdline").exists()) {
        for file in ["cmdline", "environ"] {
            let text = fs::read(process.join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains("X-Amz-Credential"), "{}: {text}", process.display());
        }
    }
    run.signal(Signal::INT);
    run.finish().expect_code(3).expect_nowhere("X-Amz");
    for fault in [StoreFault::Expired, StoreFault::None] {
        cloud.store.fail(fault);
        cloud.copied(["-vvv", "a", &cloud.world.each("")]).expect_nowhere("X-Amz");
    }
    assert!(!has_text(&cloud.world.env.home(), "X-Amz"), "no record has it");
    assert!(!has_text(&cloud.world.on("web01"), "X-Amz"));
}

#[test]
fn an_object_that_is_kept_is_named_and_is_an_archive_of_what_was_sent() {
    let cloud = Cloud::new(2);
    cloud.world.file("a", "some content");
    let run = cloud.copied(["--keep", "a", &cloud.world.each("")]);
    let objects = cloud.store.objects(BUCKET);
    let [object] = &objects[..] else { panic!("{objects:?}") };
    assert!(object.starts_with("some/where/pcp-"), "{object}");
    run.expect_stderr(&format!("kept s3://{BUCKET}/{object}\n"));
    let content = String::from_utf8_lossy(&cloud.store.object(BUCKET, object)).into_owned();
    assert!(content.contains("some content"));
}

#[test]
fn who_has_all_of_it_already_fetches_nothing() {
    let cloud = Cloud::new(2);
    cloud.world.file("tree/a", "content");
    cloud.world.file("tree/b", "more");
    cloud.copied(["tree", &cloud.world.each("")]);
    let before = cloud.store.fetches();
    fs::remove_file(cloud.world.on("web02").join("tree/b")).unwrap();
    let run = cloud.copied(["--checksum", "tree", &cloud.world.each("")]);
    run.expect_stderr("web01 (1): 2 files the same already").expect_stderr("web02 (1): 2 files, 11 B; via S3");
    assert_eq!(cloud.store.fetches() - before, 1);
    assert_eq!(cloud.world.tree("web02"), cloud.world.tree("web01"));
    cloud.nothing_is_left();
}

#[test]
fn hosts_that_offer_only_sftp_are_sent_it_and_it_is_said() {
    let mut cloud = Cloud::new(1);
    let world = &mut cloud.world;
    let boxed = Sshd::new(&world.env).named("box").option("ForceCommand", "internal-sftp").start();
    world.servers.push(boxed);
    fs::create_dir(world.on("box")).unwrap();
    own(&world.on("box"));
    world.file("a", "content");
    let run = cloud.copied(["-v", "a", &cloud.world.each("")]);
    let run = run.expect_stderr("web01 (1): 1 file, 7 B; via S3");
    run.expect_stderr("box (1): 1 file, 7 B; not via S3: the host offers only SFTP");
    assert_eq!(cloud.world.tree("box"), expected([("a", "file 644 content")]));
    assert_eq!(cloud.store.fetches(), 1);
    cloud.nothing_is_left();
}

#[test]
fn a_failed_run_goes_on_by_an_object_of_its_own() {
    let cloud = Cloud::new(2);
    let world = &cloud.world;
    world.file("tree/a", "content");
    world.file("tree/b", "more");
    fs::remove_dir(world.on("web02")).unwrap();
    let run = cloud.pcp(["tree/", &world.each("")]).finish().expect_code(5);
    run.expect_stderr("web01 (1): 2 files, 11 B; via S3").expect_stderr("web02 (1): command: the folder");
    cloud.nothing_is_left();
    fs::create_dir(world.on("web02")).unwrap();
    own(&world.on("web02"));
    world.file_on("web02", "a", "content");
    fs::write(world.on("web01").join("a"), "untouched").unwrap();
    let before = cloud.store.fetches();
    let run = cloud.with_credentials(world.env.pcp(["--failed"])).finish().expect_code(0);
    run.expect_stderr("1 of 2 hosts").expect_stderr("web02 (1): 2 files, 11 B; via S3");
    assert_eq!(cloud.store.fetches() - before, 1);
    assert_eq!(world.tree("web02"), expected([("a", "file 644 content"), ("b", "file 644 more")]));
    assert_eq!(fs::read_to_string(world.on("web01").join("a")).unwrap(), "untouched");
    cloud.nothing_is_left();
}

#[test]
fn another_user_fetches_what_is_received_by_sudo() {
    require_root("an account with sudo");
    require_fleet_ec2();
    let account = Throwaway::with_shell("/bin/sh");
    account.sudoers("USER ALL=(ALL) NOPASSWD: ALL");
    let world = World::with(1, |sshd| sshd.user(account.name()));
    let cloud = Cloud { world, store: FakeStore::start(&[BUCKET]) };
    fs::set_permissions(cloud.world.on("web01"), PermissionsExt::from_mode(0o700)).unwrap();
    cloud.world.file("a", vec![b'x'; 3_000_000]);
    let destination = cloud.world.each("a");
    cloud.pcp(["a", &destination]).finish().expect_code(5).expect_nowhere("not via S3");
    cloud.copied(["--sudo", "a", &destination]).expect_stderr("web01 (1): 1 file, 3.0 MB; via S3");
    let meta = cloud.world.on("web01").join("a").metadata().unwrap();
    assert_eq!((meta.uid(), meta.len()), (0, 3_000_000));
    cloud.nothing_is_left();
}
