//! `psh` on hosts that a provider program knows: chosen by its own filters, and found again by `--failed`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleet_tests::{Finished, Run, Server, Sshd, TestEnv, accounts};

/// A provider `lab` with the hosts of two regions, which needs to be told the region, the kind of address and the user.
struct Lab {
    env: TestEnv,
    south: Server,
}

/// Has `app-1` in both regions, and `app-2` only in the south, on faster disks. It obeys one native filter.
const SCRIPT: &str = r#"#!/bin/sh
request=$(cat)
printf '%s\n' "$request" >> "$(dirname "$0")/requests"
host() { # id, name, port
    printf '{"id":"%s","name":"%s","port":%s,"addresses":{"private":"%s","public":"127.255.255.254"},"tags":{"Role":"app","os":"x y"}}' "$1" "$2" "$3" "$4"
}
case $request in
*'"filter":"id","values":["s-2"]'*'"regions":["south"]'*) hosts=$(host s-2 app-1 @SOUTH@) ;;
*'"native_filters":[{"name":"disk","values":["ssd"]}]'*'"regions":["south"]'*) hosts=$(host s-2 app-2 @SOUTH@) ;;
*native_filters*) echo '{"protocol":1,"error":{"code":"bad-request","message":"another filter than disk"}}'; exit ;;
*'"regions":["south"]'*) hosts=$(host s-1 app-1 1 192.0.2.1),$(host s-2 app-2 @SOUTH@) ;;
*) hosts=$(host n-1 app-1 1 192.0.2.2),$(host n-2 app-2 1 192.0.2.2) ;;
esac
printf '{"protocol":1,"hosts":[%s]}\n' "$hosts"
"#;

const SOUTH: [&str; 6] = ["--region", "south", "--address", "private", "--profile", "ops"];

impl Lab {
    fn start() -> Self {
        let env = TestEnv::new();
        let south = Sshd::new(&env).named("elsewhere").unknown().start();
        env.trust(&format!("s-2 {}\n", south.host_key()));
        let at = format!("{} {}", south.port(), south.address());
        let script = env.write("work/lab.sh", SCRIPT.replace("@SOUTH@", &at));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file of the test");
        let settings = format!(
            "[provider.lab]\ncommand = \"./lab.sh\"\ntoken = \"hunter2\"\n[[user]]\nmatch = \"tag:os='x y'\"\nuser = \"{}\"\n",
            accounts::plain()
        );
        env.write("work/fleet.toml", settings);
        Self { env, south }
    }

    fn psh(&self, arguments: &[&str]) -> Run {
        self.env.psh(arguments)
    }

    fn listed(&self, arguments: &[&str]) -> String {
        names(&self.psh(arguments).arg("--list").finish().expect_code(0))
    }

    fn requests(&self) -> String {
        fs::read_to_string(self.env.work().join("requests")).unwrap_or_default()
    }

    /// Asserts that a run reached the host in the south, and logged in as it should.
    fn assert_south(&self, run: &Finished) {
        let line = format!("app-2: {} at {}", accounts::plain(), self.south.address());
        assert_eq!(run.stdout_text().trim_end(), line, "{run}");
    }
}

/// The hosts that `--list` shows.
fn names(run: &Finished) -> String {
    let text = run.stdout_text().into_owned();
    text.lines().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>().join(" ")
}

const SHOW: &str = "set -- $SSH_CONNECTION; echo $(id -un) at $3; exit 3";

#[test]
fn a_filter_alone_chooses_the_hosts_of_providers_that_pass_it() {
    let lab = Lab::start();
    let ssd = ["--filter", "Name=disk,Values=ssd"];
    assert_eq!(lab.listed(&[&SOUTH[..], &ssd].concat()), "app-2");
    assert_eq!(lab.listed(&[&SOUTH[..], &ssd, &["-g", "app"]].concat()), "app-2");
    let both = lab.psh(&["--filter", r"Name=disk,Values=a\,b,c\*", "--filter", "Name=size,Values=1", "true"]);
    both.finish().expect_code(2).expect_stderr("another filter than disk");
    let asked = r#""native_filters":[{"name":"disk","values":["a,b","c\\*"]},{"name":"size","values":["1"]}]"#;
    assert!(lab.requests().lines().last().is_some_and(|line| line.contains(asked)), "{}", lab.requests());
}

#[test]
fn a_filter_that_nobody_is_asked_is_an_error() {
    let lab = Lab::start();
    let ssd = ["--filter", "Name=disk,Values=ssd"];
    let named = lab.psh(&ssd).args(["-H", "web1", "true"]).finish().expect_code(2);
    named.expect_stderr("no provider is asked for the hosts that are named").expect_stderr("hint: choose hosts of");
    // It may stand beside the tool.
    lab.env.write("work/fleet.toml", "[provider.ec2]\nenabled = false\n");
    for arguments in [&["true"][..], &["-g", "web", "true"]] {
        let nobody = lab.psh(&ssd).args(arguments).finish().expect_code(2);
        nobody.expect_stderr("asks for what only providers know, and there is none").expect_stderr("[provider.NAME]");
    }
    assert_eq!(lab.requests(), "");
}

#[test]
fn hosts_of_a_former_run_are_reached_where_it_reached_them() {
    let lab = Lab::start();
    let first = [&["-F", "none"][..], &SOUTH, &["--filter", "Name=disk,Values=ssd", SHOW]].concat();
    lab.assert_south(&lab.psh(&first).finish().expect_code(5));
    for more in [&[][..], &["--no-cache"], &["-g", "app"], &["-H", "app-2"], &["-x", "nobody", "-g", "tag:Role=app"]] {
        let again = lab.psh(&["--failed"]).args(more).finish().expect_code(5);
        lab.assert_south(&again);
    }
    let last = lab.requests();
    assert!(last.contains(r#""regions":["south"]"#) && last.contains(r#""profile":"ops""#), "{last}");
    let other = lab.psh(&["--failed", "--region", "north"]).finish().expect_code(5);
    lab.assert_south(&other.expect_stderr("no provider tells of app-2: reached as in run "));
    let state = lab.env.home().join(".local/state");
    let text = lab.env.run(&fleet_tests::program("grep"), ["-r", "hunter2"]).arg(state.display().to_string());
    text.finish().expect_code(1).expect_nowhere("hunter2");
}

#[test]
fn hosts_of_a_former_run_are_reached_without_their_provider_too() {
    let lab = Lab::start();
    lab.psh(&["-F", "none"]).args(SOUTH).args(["-g", "app", "-x", "app-1", SHOW]).finish().expect_code(5);
    lab.env.write("work/lab.sh", "#!/bin/sh\nexit 7\n");
    let again = lab.psh(&["--failed", "--no-cache"]).finish().expect_code(5);
    lab.assert_south(&again.expect_stderr("going on without lab: provider lab: its program ended with exit status 7"));
    let elsewhere = lab.psh(&["--failed"]).current_dir(&lab.env.home()).finish().expect_code(5);
    lab.assert_south(&elsewhere);
}

/// Whoever has set up a provider may have nothing to do with another that is merely installed.
#[test]
fn a_provider_that_is_merely_installed_is_missed_where_no_other_is_set_up() {
    let lab = Lab::start();
    let installed = lab.env.write("bin/fleet-ec2", "#!/bin/sh\nexit 7\n");
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o755)).expect("a file of the test");
    let path = format!("{}:/usr/bin:/bin", installed.parent().expect("its folder").display());
    // Where the real one is built it is found first, and fails as well: there are no credentials.
    let list = |more: &[&str]| lab.psh(&["--list", "-g", "app"]).args(more).env("PATH", &path).finish();
    assert_eq!(list(&SOUTH).expect_code(0).stderr_text(), "");
    list(&[&SOUTH[..], &["-v"]].concat()).expect_code(0).expect_stderr("going on without a provider");
    lab.env.write("work/fleet.toml", "");
    list(&[]).expect_code(2).expect_stderr("going on without ec2: provider ec2: ");
}

#[test]
fn a_name_that_nobody_has_is_compared_with_all_that_there_are() {
    let lab = Lab::start();
    let south = |group: &str| lab.psh(&SOUTH).args(["-g", group, "true"]).finish().expect_code(2);
    south("ap").expect_stderr("there is no group \"ap\", and no host has fleet:role=ap or Role=ap\n");
    south("ap").expect_stderr("hint: did you mean app (2 hosts)? known groups: ");
    south("tag:Role=apps").expect_stderr("hint: no host has Role=apps; did you mean app (2 hosts)?\n");
    let asked = r#""queries":[[{"filter":"state","values":["pending","running","stopping","stopped"]}]]"#;
    assert_eq!(lab.requests().matches(asked).count(), 1, "the answer is kept: {}", lab.requests());
}

#[test]
fn a_jump_host_may_be_called_as_its_provider_calls_it() {
    let lab = Lab::start();
    let target = Sshd::new(&lab.env).named("web").start();
    lab.env.configure("Host web\n  ProxyJump app-2\n");
    let run = lab.psh(&SOUTH).args(["-H", "web", "-g", "app", "-x", "app-1,app-2", "echo fine"]).finish();
    let run = run.expect_code(0).expect_stdout("web: fine\n");
    assert_eq!((lab.south.connections(), target.connections()), (1, 1), "{run}");
}
