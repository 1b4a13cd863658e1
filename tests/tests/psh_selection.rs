//! Which hosts `psh` runs on, and how it says so.

use fleet_tests::{Finished, Sshd, TestEnv};
use serde_json::json;

/// The hosts that ran `echo ran`, in alphabetical order.
fn ran(run: &Finished) -> String {
    let hosts: Vec<_> =
        run.sorted_lines().iter().filter_map(|line| line.split(':').next().map(str::to_owned)).collect();
    hosts.iter().map(|host| host.trim_end()).collect::<Vec<_>>().join(" ")
}

/// A world with web01 to web04 and some files that name them.
fn web() -> (TestEnv, fleet_tests::Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 4).start();
    env.write("work/hosts", "# the first two\nweb01\n\n  web02  # second\n[back]\nweb03\nweb04\n");
    env.write("work/more", "web02\nweb04\n");
    (env, server)
}

#[test]
fn hosts_are_chosen_by_every_flag_that_names_them() {
    let (env, _server) = web();
    for (arguments, hosts) in [
        (&["-H", "web01"][..], "web01"),
        (&["-H", "web01,web03"], "web01 web03"),
        (&["-H", "web01 web03"], "web01 web03"),
        (&["-H", "web01", "--host", "web04"], "web01 web04"),
        (&["-H", "web[01-03]"], "web01 web02 web03"),
        (&["-H", "web[02,04]"], "web02 web04"),
        (&["-h", "hosts"], "web01 web02 web03 web04"),
        (&["--hosts", "more"], "web02 web04"),
        (&["-h", "hosts", "-h", "more"], "web01 web02 web03 web04"),
        (&["-h", "hosts", "-g", "back"], "web03 web04"),
        (&["-h", "hosts", "-x", "web02"], "web01 web03 web04"),
        (&["-h", "hosts", "--exclude", "web[01-03]"], "web04"),
        (&["-h", "hosts", "--limit", "2"], "web01 web02"),
    ] {
        let run = env.psh(arguments).arg("echo ran").finish().expect_code(0);
        assert_eq!(ran(&run), hosts, "{arguments:?}: {run}");
    }
}

#[test]
fn a_host_file_may_come_from_stdin() {
    let (env, _server) = web();
    let run = env.psh(["-h", "-", "echo ran"]).stdin("web02\nweb03\n").finish().expect_code(0);
    assert_eq!(ran(&run), "web02 web03");
}

#[test]
fn users_and_ports_are_read_as_pssh_reads_them() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    let (address, port, user) = (server.address(), server.port(), fleet_tests::accounts::plain());
    for line in
        [format!("{user}@{address}:{port}"), format!("{address}:{port} {user}"), format!("{address}:{port}\t{user}")]
    {
        env.write("work/hosts", format!("{line}\n"));
        let run = env.psh(["-F", "/dev/null", "-h", "hosts", "--no-prefix", "id -un"]).finish().expect_code(0);
        assert_eq!(run.stdout_text().trim_end(), user, "{line}");
    }
}

#[test]
fn an_address_of_ip_version_six_may_be_named_in_brackets() {
    let env = TestEnv::new();
    let listening = std::net::TcpListener::bind("[::1]:0").expect("this machine has ::1");
    let host = format!("[::1]:{}", listening.local_addr().unwrap().port());
    let run = env.psh(["--connect-timeout", "1s", "-H", &host, "true"]).finish().expect_code(4);
    run.expect_stderr("::1").expect_stderr("banner: timed out");
    assert!(listening.set_nonblocking(true).and_then(|()| listening.accept()).is_ok(), "it connected");
}

#[test]
fn a_host_named_twice_runs_once_and_it_is_said() {
    let (env, server) = web();
    let run = env.psh(["-H", "web01,web02", "-H", "web01", "echo ran"]).finish().expect_code(0);
    assert_eq!(ran(&run), "web01 web02");
    assert_eq!(server.connections(), 2);
    assert!(run.stderr_text().contains("web01"), "{run}");
}

#[test]
fn list_shows_the_hosts_and_where_they_came_from_and_contacts_none() {
    let (env, server) = web();
    let run = env.psh(["--list", "-h", "hosts", "-H", "other"]).finish().expect_code(0);
    for name in ["web01", "web04", "other", "hosts"] {
        assert!(run.stdout_text().contains(name), "{name} is missing: {run}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn list_with_json_is_an_object_for_each_host() {
    let (env, server) = web();
    let run = env.psh(["--list", "--json", "-g", "back", "-h", "hosts", "-H", "me@other:2222"]).finish().expect_code(0);
    let objects: Vec<serde_json::Value> =
        run.stdout_text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<_> = objects.iter().map(|object| object["host"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["me@other:2222", "web03", "web04"], "{run}");
    let (other, web03) = (&objects[0], &objects[1]);
    assert_eq!(
        (&other["name"], &other["user"], &other["port"]),
        (&json!("other"), &json!("me"), &json!(2222)),
        "{run}"
    );
    assert_eq!(other["origins"], json!(["-H"]), "{run}");
    assert_eq!((&web03["group"], &web03["index"]), (&json!("back"), &json!(1)), "{run}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn no_host_at_all_is_a_usage_error_with_a_hint() {
    let (env, server) = web();
    env.write("work/empty", "# nobody\n");
    for arguments in [&[][..], &["-h", "empty"], &["-H", "web01", "-x", "web01"]] {
        let run = env.psh(arguments).arg("echo ran").finish().expect_code(2);
        assert!(run.stdout.is_empty(), "{run}");
        assert!(run.stderr_text().contains("error: ") && run.stderr_text().contains("hint: "), "{arguments:?}: {run}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn fleet_toml_upward_from_the_current_folder_names_groups_and_defaults() {
    let (env, _server) = web();
    env.write("work/fleet.toml", "[groups]\nfront = [\"web[01-02]\"]\nback = [\"web03\"]\n");
    env.write("work/deep/down/x", "");
    let deep = env.work().join("deep/down");
    let run = env.psh(["-g", "front", "-g", "back", "echo ran"]).current_dir(&deep).finish().expect_code(0);
    assert_eq!(ran(&run), "web01 web02 web03");
}

#[test]
fn the_old_meaning_of_a_flag_is_refused_with_the_new_name() {
    let (env, server) = web();
    env.psh(["-H", "web01", "-x", "-oPort=22", "true"]).finish().expect_code(2).expect_stderr("-O");
    assert_eq!(server.connections(), 0);
}
