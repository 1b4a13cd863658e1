//! `psh --background`, `--jobs`, `--collect` and `--stop`: commands that go on without us.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fleet_tests::{Dropbear, Finished, Server, Signal, Sshd, TestEnv, processes};
use rustix::process::{Pid, kill_process};

/// A host whose jobs are in a folder of the test.
struct World {
    env: TestEnv,
    _server: Server,
}

impl World {
    fn new(names: usize) -> Self {
        let env = TestEnv::new();
        // All names are one account on one machine: their jobs share a folder.
        let state = format!("XDG_STATE_HOME={}/state", env.shared().display());
        let _server = Sshd::new(&env).hosts("web", names).option("SetEnv", &state).start();
        Self { env, _server }
    }

    fn psh(&self, arguments: &[&str]) -> Finished {
        self.env.psh(["--no-prefix", "-H", "web01"]).args(arguments).finish()
    }

    /// Starts a job and returns its name.
    fn start(&self, arguments: &[&str]) -> String {
        let run = self.psh(&[&["--background"], arguments].concat()).expect_code(0);
        run.stdout_text().trim_end().strip_prefix("job ").expect("the name of a job").to_owned()
    }

    fn jobs(&self) -> PathBuf {
        self.env.shared().join("state/fleet/jobs")
    }

    fn file(&self, job: &str, name: &str) -> String {
        fs::read_to_string(self.jobs().join(job).join(name)).unwrap_or_default()
    }

    /// The number of the process that watches over a job.
    fn watcher(&self, job: &str) -> Pid {
        let process = self.file(job, "process");
        let number = process.split(' ').next().and_then(|number| number.parse().ok());
        number.and_then(Pid::from_raw).expect("the number of a process")
    }
}

#[test]
fn a_job_outlives_psh_and_is_collected_with_its_exit_code() {
    let world = World::new(1);
    let go = world.env.shared().join("go");
    let wait =
        format!("echo out $FLEET_HOST $A; while [ ! -e {} ]; do sleep 0.05; done; echo err >&2; exit 7", go.display());
    let job = world.start(&["--env", "A=it's", &wait]);

    let run = world.psh(&["--collect", &job]).expect_code(3).expect_stderr("still running");
    assert!(run.stdout_text() == "out web01 it's\n" || run.stdout_text().is_empty(), "{run}");
    world.psh(&["--jobs"]).expect_code(0).expect_stdout(&job).expect_stdout("running, pid ").expect_stdout("echo out");
    let waiting = world.env.psh(["--no-prefix", "-H", "web01", "--collect", &job, "--wait"]).start();
    fs::write(&go, "").expect("let the job go on");

    let run = waiting.finish().expect_code(5).expect_stderr("exit code 7").expect_stderr("err");
    assert_eq!(run.stdout_text(), "out web01 it's\n", "{run}");
    world.psh(&["--jobs"]).expect_code(0).expect_stdout("exited 7");
    world.psh(&["--collect", &job, "--rm"]).expect_code(5).expect_stdout("out web01");
    world.psh(&["--collect", &job]).expect_code(4).expect_stderr("no such job");
    assert_eq!(world.psh(&["--jobs"]).expect_code(0).stdout_text(), "");
}

#[test]
fn nothing_of_a_job_is_ours_and_others_cannot_read_it() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let job = world.start(&[&format!("exec sleep {marker}")]);
    processes::wait_for_command(&format!("sleep {marker}"));
    let watcher = world.watcher(&job);
    assert_eq!(rustix::process::getsid(Some(watcher)).ok(), Some(watcher), "it leads a session of its own");
    let mode = |path: &Path| fs::metadata(path).expect("part of a job").permissions().mode() & 0o777;
    assert_eq!(mode(&world.jobs().join(&job)), 0o700);
    assert_eq!(mode(&world.jobs().join(&job).join("out")), 0o600);
    // The job's own files are as the user's umask has them.
    world.start(&[&format!("umask >{}/umask; touch {0}/done", world.env.shared().display())]);
    while !world.env.shared().join("done").exists() {
        std::thread::yield_now();
    }
    let umask = fs::read_to_string(world.env.shared().join("umask")).expect("the umask of a job");
    assert_eq!(umask.trim(), world.psh(&["umask"]).stdout_text().trim());

    world.psh(&["--stop", &job]).expect_code(0);
    processes::assert_gone(&marker);
    world.psh(&["--stop", &job]).expect_code(0);
}

#[test]
fn stop_ends_all_processes_of_a_job() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let job = world.start(&[&format!(
        "trap '' TERM HUP; setsid sleep {marker} & (sleep {marker} &) ; sleep {marker}; sleep {marker}"
    )]);
    processes::wait_for(&format!("sleep {marker}"), 3);
    world.psh(&["--grace", "1s", "--stop", &job]).expect_code(0);
    assert!(processes::find(&format!("sleep {marker}")).is_empty());
    world.psh(&["--jobs"]).expect_stdout("stopped (signal KILL)");
}

#[test]
fn a_list_tells_how_each_job_has_ended() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let sleeping = |what: &str| {
        let job = world.start(&[&format!("{what} sleep {marker}")]);
        processes::wait_for_command(&format!("sleep {marker}"));
        job
    };
    let ended = |command: &str| {
        let job = world.start(&[command]);
        let _ = world.psh(&["--collect", &job, "--wait"]);
        job
    };
    // The number that the list shows is that of the command, for kill(1).
    let killed = sleeping("exec");
    let list = world.psh(&["--jobs"]).stdout_text().into_owned();
    let number = list.split("running, pid ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kill_process(number.and_then(Pid::from_raw).expect("a number in the list"), Signal::TERM).expect("kill it");
    world.psh(&["--collect", &killed, "--wait"]).expect_code(3).expect_stderr("killed by signal TERM");
    // So is all of its group, that which watches over it included.
    let group = sleeping("exec");
    rustix::process::kill_process_group(world.watcher(&group), Signal::HUP).expect("kill it");
    world.psh(&["--collect", &group, "--wait"]).expect_code(3);
    let stopped = sleeping("exec");
    world.psh(&["--stop", &stopped]).expect_code(0);
    let tidy = sleeping("trap 'exit 5' TERM; nothing=;");
    world.psh(&["--stop", &tidy]).expect_code(0);
    let lost = sleeping("exec");
    kill_process(world.watcher(&lost), Signal::KILL).expect("kill what watches over it");
    let (fine, failed, high) = (ended("true"), ended("exit 7"), ended("exit 255"));

    let list = world.psh(&["--jobs"]).expect_code(0);
    for (job, state) in [
        (killed, "stopped (signal TERM)"),
        (group, "stopped (signal HUP)"),
        (stopped, "stopped (signal TERM)"),
        (tidy, "exited 5"),
        (lost, "died without a word"),
        (fine, "exited 0"),
        (failed, "exited 7"),
        (high, "exited 255"),
    ] {
        assert!(list.stdout_text().contains(&format!("{job}  {state} ")), "{job} {state}: {list}");
    }
}

#[test]
fn a_script_goes_on_as_a_job_and_is_on_the_host_whole_before() {
    let world = World::new(1);
    let (go, temporary) = (world.env.shared().join("go"), world.env.shared().join("tmp"));
    fs::create_dir(&temporary).expect("a folder");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o777)).expect("a folder for all");
    let mut text = format!(
        "#!/usr/bin/env python3\nimport os, sys, time\nwhile not os.path.exists('{}'): time.sleep(0.05)\n\
         print(sys.argv[1:], os.environ['FLEET_SCRIPT'], sys.stdin.read(), flush=True)\nsys.exit(7)\n",
        go.display()
    );
    text.push_str(&"# padding\n".repeat(200_000));
    let file = world.env.write("work/reindex.py", text).display().to_string();
    let folder = format!("TMPDIR={}", temporary.display());
    for (flags, input) in [(&[][..], ""), (&["-I"][..], "first\nlast")] {
        let _ = fs::remove_file(&go);
        let start = ["--no-prefix", "-H", "web01", "--background", "--env", &folder, "--script", &file, "it's", "a  b"];
        let run = world.env.psh(flags).args(start).stdin(input).finish().expect_code(0);
        let job = run.stdout_text().trim_end().strip_prefix("job ").expect("the name of a job").to_owned();
        world.psh(&["--jobs"]).expect_stdout("reindex.py 'it'\\''s' 'a  b'");
        fs::write(&go, "").expect("let the job go on");
        let run = world.psh(&["--collect", &job, "--wait"]).expect_code(5).expect_stderr("exit code 7");
        assert_eq!(run.stdout_text(), format!("[\"it's\", 'a  b'] reindex.py {input}\n"), "{run}");
        assert!(fs::read_dir(&temporary).expect("a folder").next().is_none(), "no file is left of the script");
        world.psh(&["--collect", &job, "--rm"]).expect_code(5);
        assert!(fs::read_dir(world.jobs()).expect("a folder").next().is_none(), "no file is left of the job");
    }
}

#[test]
fn our_input_is_that_of_a_job() {
    let world = World::new(1);
    let input: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    for input in [&input[..], b"", b"a"] {
        let arguments = ["--no-prefix", "-H", "web01", "-I", "--background", "cat"];
        let run = world.env.psh(arguments).stdin(input.to_vec()).finish().expect_code(0);
        let job = run.stdout_text().trim_end().strip_prefix("job ").expect("the name of a job").to_owned();
        world.env.psh(["-o", "out", "-H", "web01", "--collect", &job, "--wait"]).finish().expect_code(0);
        assert!(fs::read(world.env.work().join("out/web01")).expect("an output file") == input);
        assert!(!world.jobs().join(format!(".{job}")).exists());
    }
}

#[test]
fn a_job_whose_watcher_was_killed_has_died() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let job = world.start(&[&format!("echo before; exec sleep {marker}")]);
    processes::wait_for_command(&format!("sleep {marker}"));
    kill_process(world.watcher(&job), Signal::KILL).expect("the watcher can be killed");
    let run = world.psh(&["--collect", &job, "--wait"]).expect_code(4).expect_stderr("has died without an exit code");
    assert_eq!(run.stdout_text(), "before\n", "{run}");
    world.psh(&["--jobs"]).expect_code(0).expect_stdout("died");
}

#[test]
fn another_process_with_the_number_of_a_job_is_not_taken_for_it() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let job = world.start(&[&format!("exec sleep {marker}")]);
    processes::wait_for_command(&format!("sleep {marker}"));
    let process = world.file(&job, "process");
    let words: Vec<&str> = process.split_whitespace().collect();
    fs::write(world.jobs().join(&job).join("process"), format!("{} 1 {}\n", words[0], words[2])).expect("change it");
    world.psh(&["--jobs"]).expect_stdout("died");
    world.psh(&["--stop", &job]).expect_code(0);
    processes::wait_for_command(&format!("sleep {marker}"));
}

#[test]
fn every_host_of_a_run_has_the_job_by_one_name() {
    let env = TestEnv::new();
    let servers: Vec<_> = ["a1", "a2"]
        .map(|name| {
            let state = format!("XDG_STATE_HOME={}/{name}", env.shared().display());
            Sshd::new(&env).named(name).option("SetEnv", &state).start()
        })
        .into();
    let run = env.psh(["--no-prefix", "-H", "a[1-2]", "--template", "--background", "echo of {host}"]).finish();
    let lines = run.sorted_lines();
    assert!(lines.len() == 2 && lines[0] == lines[1], "{run}");
    let job = lines[0].strip_prefix("job ").expect("the name of a job");
    env.psh(["-i", "-H", "a[1-2]", "--collect", job, "--wait"])
        .finish()
        .expect_code(0)
        .expect_stdout("of a1")
        .expect_stdout("of a2");
    env.psh(["-o", "out", "-H", "a[1-2]", "--collect", job]).finish().expect_code(0);
    assert_eq!(fs::read_to_string(env.work().join("out/a2")).expect("an output file"), "of a2\n");
    drop(servers);
}

#[test]
fn only_jobs_that_ended_more_than_a_week_ago_are_forgotten() {
    let world = World::new(1);
    let marker = processes::unique_sleep();
    let (old, new) = (world.start(&["echo old"]), world.start(&["echo new"]));
    let running = world.start(&[&format!("exec sleep {marker}")]);
    for job in [&old, &new] {
        world.psh(&["--collect", job, "--wait"]).expect_code(0);
    }
    let age = |job: &str, file: &str| {
        let path = world.jobs().join(job).join(file);
        assert!(
            std::process::Command::new("touch")
                .args(["-c", "-d", "9 days ago"])
                .arg(path)
                .status()
                .expect("touch")
                .success()
        );
    };
    age(&old, "status");
    age(&running, "process");
    // Nobody saw how these have ended: they are kept for a week from when that was noticed.
    let died = ["noticed", "noticed long ago"].map(|_| {
        let job = world.start(&[&format!("exec sleep {marker}")]);
        kill_process(world.watcher(&job), Signal::KILL).expect("the watcher can be killed");
        job
    });
    for file in ["process", "out", "title"] {
        age(&died[0], file);
    }
    world.start(&["true"]);
    age(&died[1], "status");
    // A job that runs is never forgotten, whatever was noticed.
    fs::write(world.jobs().join(&running).join("status"), "").expect("write a file of a job");
    age(&running, "status");
    world.start(&["true"]);
    let run = world.psh(&["--jobs"]).expect_nowhere(&old).expect_stdout(&new).expect_stdout(&running);
    let run = run.expect_nowhere(&died[1]).expect_stdout(&format!("{}  died", died[0]));
    assert_eq!(run.stdout_text().lines().count(), 5, "{run}");
    world.psh(&["--stop", &running]).expect_code(0);
}

#[test]
fn what_is_no_job_is_refused_before_anything_is_contacted() {
    let env = TestEnv::new();
    let server = Sshd::new(&env).start();
    for flag in ["--collect", "--stop"] {
        for name in ["../x", "", "20261122-0401-ab1/", "$(id)"] {
            env.psh(["-H", "server", flag, name]).finish().expect_code(2).expect_stderr("is not the name of a job");
        }
    }
    for arguments in
        [&["--jobs", "uptime"][..], &["--background", "--raw", "x"], &["--jobs", "--env", "A=b"], &["--rm"]]
    {
        let _ = env.psh(["-H", "server"]).args(arguments).finish().expect_code(2);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn jobs_live_on_dropbear() {
    let env = TestEnv::new();
    let _server = Dropbear::new(&env).start();
    let marker = processes::unique_sleep();
    let psh = |arguments: &[&str]| env.psh(["--no-prefix", "-H", "server"]).args(arguments).finish();
    let run = psh(&["--background", &format!("echo it\\'s \"$FLEET_HOST\"; sleep {marker}")]).expect_code(0);
    let job = run.stdout_text().trim_end().strip_prefix("job ").expect("the name of a job").to_owned();
    processes::wait_for_command(&format!("sleep {marker}"));
    let run = psh(&["--collect", &job]).expect_code(3);
    assert_eq!(run.stdout_text(), "it's server\n", "{run}");
    psh(&["--jobs"]).expect_code(0).expect_stdout(&job);
    psh(&["--stop", &job]).expect_code(0);
    processes::assert_gone(&marker);
}
