//! `fleet template`: a file for each host, made of one text, which arrives whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use fleet_tests::{Finished, Fleet, Server, Sshd, TestEnv};

/// Hosts `w01`, `w02` and `w03`, each with a folder of its name, of which the first is `server` and the others `web`.
struct World {
    env: TestEnv,
    server: Server,
}

impl World {
    fn new() -> Self {
        let env = TestEnv::new();
        let server = Sshd::new(&env).hosts("w", 3).start();
        env.fleet(["partition", "-H", "w[01-03]", "server=1", "web=rest"]).finish().expect_code(0);
        let world = Self { env, server };
        for host in ["w01", "w02", "w03"] {
            fs::create_dir(world.on(host)).expect("a folder of the test");
            fs::set_permissions(world.on(host), fs::Permissions::from_mode(0o777)).expect("a folder of the test");
        }
        world
    }

    fn on(&self, host: &str) -> PathBuf {
        self.env.shared().join(host)
    }

    /// The destination that is in the folder of each host.
    fn each(&self, path: &str) -> String {
        format!("{}/{{host}}/{path}", self.env.shared().display())
    }

    fn read(&self, host: &str, path: &str) -> String {
        fs::read_to_string(self.on(host).join(path)).expect("the file is there")
    }

    fn template(&self, arguments: &[&str]) -> Finished {
        self.env.fleet(["template", "-H", "w[01-03]"]).args(arguments).finish()
    }
}

#[test]
fn each_host_gets_its_text_with_roles_hosts_and_values() {
    let world = World::new();
    let text = "{{ self.name }} {{ self.addr }} {{ self.index }}/{{ self.count }} {{ self.role }} {{ self.role_index }}\n\
                {% for host in roles.web %}{{ host.index }}={{ host.addr }} {% endfor %}\n\
                {% for host in hosts %}{{ host.name }} {% endfor %}{{ threads }} {{ run }}\n";
    let source = world.env.write("work/app.conf.j2", text);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).expect("a file of the test");
    let shown = world.env.fleet(["partition", "--show", "--format", "json"]).finish().expect_code(0);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let run = shown["run"].as_str().expect("a run");
    let roles = shown["roles"].as_array().expect("roles").iter();
    let hosts = roles.flat_map(|role| role["hosts"].as_array().expect("hosts"));
    let addresses: Vec<&str> = hosts.map(|host| host["address"].as_str().expect("an address")).collect();
    let done = world.template(&["-D", "threads=8", "app.conf.j2", &world.each("")]).expect_code(0);
    done.expect_stderr("1 file");
    for (index, (host, own)) in
        [("w01", "0/3 server 0"), ("w02", "1/3 web 0"), ("w03", "2/3 web 1")].into_iter().enumerate()
    {
        let [_, first, second] = addresses[..] else { panic!("{addresses:?}") };
        let expected = format!("{host} {} {own}\n0={first} 1={second} \nw01 w02 w03 8 {run}\n", addresses[index]);
        assert_eq!(world.read(host, "app.conf"), expected);
        let mode = fs::metadata(world.on(host).join("app.conf")).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
    let then = format!("cat {}/$FLEET_HOST/named", world.env.shared().display());
    let named = ["--mode", "600", "--then", &then, "-D", "threads=9", "app.conf.j2", &world.each("named")];
    world.template(&named).expect_code(0).expect_stdout("w01 w02 w03 9");
    let again = ["--checksum", "-D", "threads=9", "--mode", "600", "app.conf.j2", &world.each("named")];
    world.template(&again).expect_code(0).expect_stderr("the same already");
}

#[test]
fn what_cannot_be_made_for_one_host_is_refused_before_any_is_contacted() {
    let world = World::new();
    let write = |text: &str| world.env.write("work/a.j2", text);
    for (text, expected, hint) in [
        ("x\n{{ adress }}", "a.j2:2: adress is undefined, for w01", "the names are hosts, roles, run, self;"),
        ("{{ self.adr }}", "a.j2:1: self.adr is undefined, for w01", "in self are addr, count,"),
        ("{{ roles.db }}", "a.j2:1: roles.db is undefined, for w01", "in roles are server, web"),
        ("{% if self.role == 'web' %}{{ x }}{% endif %}", "a.j2:1: x is undefined, for w02", "the names are"),
        ("{% if %}", "a.j2:1: syntax error", ""),
    ] {
        write(text);
        let refused = world.template(&["a.j2", &world.each("a")]).expect_code(2);
        refused.expect_stderr(expected).expect_stderr(hint);
    }
    fs::write(world.env.work().join("a.j2"), b"a\n\xff").expect("a file of the test");
    world.template(&["a.j2", &world.each("a")]).expect_code(2).expect_stderr("a.j2:2: expected text in UTF-8");
    world.template(&["none.j2", &world.each("a")]).expect_code(2).expect_stderr("cannot read none.j2");
    write("{{ self.name }}");
    world.template(&["-D", "self=x", "a.j2", &world.each("a")]).expect_code(2).expect_stderr("the name is taken");
    world.template(&["-D", "x", "a.j2", &world.each("a")]).expect_code(2).expect_stderr("expected KEY=VALUE");
    world.template(&["a.j2"]).expect_code(2).expect_stderr("DEST");
    let shown = world.template(&["a.j2", "--show"]).expect_code(0);
    assert_eq!(shown.stdout_text(), "---- w01 (1)\nw01\n---- w02 (1)\nw02\n---- w03 (1)\nw03\n");
    write("{{ self.role }}\n");
    let shown = world.template(&["a.j2", "--show"]).expect_code(0);
    assert_eq!(shown.stdout_text(), "---- w01 (1)\nserver\n---- w[02-03] (2)\nweb\n");
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn where_it_cannot_be_put_the_old_file_stays_and_the_others_get_theirs() {
    let world = World::new();
    world.env.write("work/a.j2", "new {{ self.name }}\n");
    for host in ["w01", "w02", "w03"] {
        fs::write(world.on(host).join("a"), "old\n").expect("a file of the test");
    }
    // Nobody but root may write there.
    fs::set_permissions(world.on("w02"), fs::Permissions::from_mode(0o555)).expect("a folder of the test");
    let failed = world.template(&["--backup", "a.j2", &world.each("a")]).expect_code(5);
    failed.expect_stderr("2 ok, 1 failed").expect_stderr("w02 (1)");
    assert_eq!(world.read("w02", "a"), "old\n");
    assert_eq!((world.read("w01", "a"), world.read("w01", "a~")), ("new w01\n".to_owned(), "old\n".to_owned()));
    fs::set_permissions(world.on("w02"), fs::Permissions::from_mode(0o777)).expect("a folder of the test");
    world.env.write("work/a.j2", "{{ self.index }} of {{ self.count }}\n");
    let again = world.env.fleet(["template", "--failed", "a.j2", &world.each("a")]).finish().expect_code(0);
    again.expect_stderr("1 of 3 hosts");
    assert_eq!((world.read("w02", "a"), world.read("w01", "a")), ("1 of 3\n".to_owned(), "new w01\n".to_owned()));
}

#[test]
fn without_a_partition_hosts_are_known_by_where_they_are_reached() {
    let fleet = Fleet::start(&["--roles", "front=3", "--fault", "front03:refuse"]);
    let text = "{{ self.name }} {{ self.addr }} {{ self.group }} {{ self.role is defined }} {{ roles | length }}\n";
    fleet.env().write("work/a.j2", text);
    let lost = fleet.fleet(&["template", "--mkdirs", "a.j2", "run/", "-g", "front"]).finish().expect_code(4);
    lost.expect_stderr("front03 (1)").expect_stderr("front[01-02] (2): 1 file");
    let run = fleet.psh(&["--no-prefix", "-H", "front[01-02]", "cat run/a"]).finish().expect_code(0);
    for (line, host) in run.sorted_lines().iter().zip(["front01", "front02"]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            matches!(words[..], [name, addr, "front", "False", "0"] if name == host && addr.starts_with("127.")),
            "{run}"
        );
    }
    fleet.env().write("work/a.j2", "{{ run }}");
    fleet.fleet(&["template", "a.j2", "run/", "-g", "front"]).finish().expect_code(2).expect_stderr("run is undefined");
}
