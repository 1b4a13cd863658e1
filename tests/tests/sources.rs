//! Host files of Ansible's kind and group files of other tools, as `psh --list` understands them; against the tools.

use fleet_tests::{TestEnv, program};

/// The names that `psh --list` shows with these arguments.
fn listed(env: &TestEnv, arguments: &[&str]) -> String {
    let run = env.psh(["--list", "--json"]).args(arguments).env("CLUSTERSHELL_CFGDIR", env.path().join("cs"));
    let run = run.env("PDSH_GENDERS_FILE", env.path().join("genders")).finish().expect_code(0);
    let name = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["host"].clone();
    let lines = run.stdout_text();
    let names = lines.lines().map(|line| name(line).as_str().expect("a name").to_owned());
    names.collect::<Vec<_>>().join(" ")
}

/// The words that a program of the machine prints, in the same world.
fn printed(env: &TestEnv, tool: &str, arguments: &[&str]) -> Vec<String> {
    let run = env.run(&program(tool), arguments).env("CLUSTERSHELL_CFGDIR", env.path().join("cs"));
    let run = run.finish().expect_code(0);
    let mut words: Vec<String> = run.stdout_text().split_whitespace().map(str::to_owned).collect();
    words.sort_unstable();
    words
}

/// A world with groups in every kind of file that ClusterShell reads by itself.
fn clustershell() -> TestEnv {
    let env = TestEnv::new();
    env.write(
        "cs/groups.conf",
        "# ours\n[Main]\ndefault: flat\nautodir: $CFGDIR/groups.d\n[flat]\n\
         map: sed -n 's/^$GROUP:\\(.*\\)/\\1/p' $CFGDIR/flat.cfg\n\
         list: sed -n 's/^\\([0-9A-Za-z_-]*\\):.*/\\1/p' $CFGDIR/flat.cfg\n",
    );
    env.write("cs/flat.cfg", "# flat\nadm: fadm[1-2]\nio: fio4 fio5,fio[07-09]\nio: fio10\nboth: @adm,@io!fio5\n");
    env.write(
        "cs/groups.d/cluster.yaml",
        "racks:\n  r1: 'n[0,2]'\n  r2: n[4-5]\n  r3:\n    - 'n[200-205/2]'  # a comment\n    - n300,n[401-406]\n  \
         old: '@r[1,3]'\n  new: \"@r2,@old&n[0-4]\"\n\
         roles:\n  adm: n0\n  compute: '@racks:r[2-3]!n205'\n  odd: '@compute^@racks:r1^n4'\n\
         plain: {a: 'p[1-2],q', b: 'p3'}\n",
    );
    env
}

#[test]
fn groups_of_clustershell_are_those_of_nodeset() {
    let env = clustershell();
    for group in [
        "flat:adm",
        "flat:io",
        "flat:both",
        "racks:r1",
        "racks:r3",
        "racks:old",
        "racks:new",
        "racks:r[1-2]",
        "roles:adm",
        "roles:compute",
        "roles:odd",
        "plain:*",
    ] {
        let group = format!("@{group}");
        let listed = listed(&env, &["-g", &group]);
        let mut listed: Vec<&str> = listed.split_whitespace().collect();
        listed.sort_unstable();
        assert_eq!(listed, printed(&env, "nodeset", &["-e", &group]), "{group}");
    }
    assert_eq!(listed(&env, &["-H", "@old&n2"]), "n2");
    assert_eq!(listed(&env, &["-H", "@racks:r1"]), "n0 n2");
}

#[test]
fn a_group_of_two_sources_has_to_be_qualified() {
    let env = clustershell();
    let run = env.psh(["--list", "-g", "@racks:r1,adm"]).env("CLUSTERSHELL_CFGDIR", env.path().join("cs")).finish();
    run.expect_code(2).expect_stderr("flat").expect_stderr("@roles:adm");
}

#[test]
fn sources_of_clustershell_that_run_commands_run_none() {
    let env = TestEnv::new();
    let ran = env.path().join("ran");
    let commands = format!("[Main]\n[evil]\nmap: touch {0}\nlist: touch {0}\nall: touch {0}\n", ran.display());
    env.write("cs/groups.conf", commands);
    let cs = env.path().join("cs");
    let run = env.psh(["--list", "-v", "-H", "web1"]).env("CLUSTERSHELL_CFGDIR", cs).finish().expect_code(0);
    run.expect_stderr("groups.conf:2: the groups of \"evil\" come from commands");
    assert!(!ran.exists());
}

#[test]
fn a_broken_file_of_groups_is_named_with_its_line() {
    let env = clustershell();
    env.write("cs/groups.d/broken.yaml", "racks2:\n  r1: {n1: n2}\n");
    let run = env.psh(["--list", "-H", "web1"]).env("CLUSTERSHELL_CFGDIR", env.path().join("cs")).finish();
    run.expect_code(2).expect_stderr("cs/groups.d/broken.yaml:2: found a mapping; expected nodes as a text");
}

#[test]
fn attributes_of_genders_are_the_groups_of_nodeattr() {
    let env = TestEnv::new();
    let genders = "# slc\nslci,slcj,slc[0-15]  eth2=e%n,cluster=slc,all\nslci\tpasswdhost # x\n\nslci,slcj management\n\
                   slc[1-15]  compute,cpu=4\nslc20 cpu=8\nlone\n";
    let path = env.write("genders", genders);
    let file = path.to_str().expect("a path in UTF-8");
    for query in
        ["all", "passwdhost", "management", "compute", "cpu", "cpu=4", "cpu=8", "cluster=slc", "eth2=eslc7", "eth2"]
    {
        let listed = listed(&env, &["-g", &format!("@genders:{query}")]);
        let mut listed: Vec<&str> = listed.split_whitespace().collect();
        listed.sort_unstable();
        assert_eq!(listed, printed(&env, "nodeattr", &["-f", file, "-n", query]), "{query}");
    }
    let all = printed(&env, "nodeattr", &["-f", file, "-n", "-A"]);
    assert_eq!(listed(&env, &["-g", "@genders:*"]).split_whitespace().count(), all.len());
    assert_eq!(listed(&env, &["-H", "@management&@cluster=slc!slcj"]), "slci");
}

#[test]
fn only_the_wanted_sources_are_read() {
    let env = clustershell();
    env.write("genders", "a b c\n");
    env.write("work/fleet.toml", "sources = ['clustershell']\n");
    assert_eq!(listed(&env, &["-g", "r1"]), "n0 n2");
    env.write("work/fleet.toml", "sources = ['hosts']\n[groups]\nr1 = 'x'\n");
    assert_eq!(listed(&env, &["-g", "r1"]), "x");
    env.write("work/hosts", "h1\n");
    for (sources, hosts) in [("'hosts'", "h1 x"), ("", "x")] {
        let settings = format!("sources = [{sources}]\nhosts = ['hosts']\n[groups]\nr1 = 'x'\n");
        env.write("work/fleet.toml", settings);
        assert_eq!(listed(&env, &["-g", "*"]), hosts, "{sources}");
    }
}

#[test]
fn an_inventory_of_ansible_names_hosts_groups_and_ways() {
    let env = TestEnv::new();
    env.write(
        "work/hosts.ini",
        "localhost ansible_connection=local\nbastion ansible_host=10.0.0.1 note='{\"a\": [1, 2]}' # first\n\n\
         [web]\nweb[01:03] ansible_port=2222\n[db]\ndb-[a:b]\n[prod:children]\nweb\ndb\n\
         [db:vars]\nansible_user=postgres\n[prod:vars]\nansible_user=deploy\n",
    );
    for (group, hosts) in [
        ("web", "web01 web02 web03"),
        ("prod", "web01 web02 web03 db-a db-b"),
        ("ungrouped", "bastion"),
        ("all", "bastion web01 web02 web03 db-a db-b"),
        ("prod!db", "web01 web02 web03"),
    ] {
        assert_eq!(listed(&env, &["-h", "hosts.ini", "-g", group]), hosts, "{group}");
    }
    assert_eq!(listed(&env, &["-h", "hosts.ini"]), "bastion web01 web02 web03 db-a db-b");
    let run = env.psh(["--list", "-h", "hosts.ini"]).finish().expect_code(0);
    run.expect_stderr("hosts.ini: localhost left out: ansible_connection=local is not SSH");
}

/// What Ansible would connect to is what is connected to; ssh_config says it otherwise, and does not count.
#[test]
fn a_host_is_reached_as_ansible_says() {
    let env = TestEnv::new();
    let server = fleet_tests::Sshd::new(&env).start();
    let (address, port, user) = (server.address(), server.port(), fleet_tests::accounts::plain());
    env.configure("Host far1\n  HostName 127.255.255.254\n  Port 9\n  User nobody-here\n");
    env.write(
        "work/hosts.ini",
        format!(
            "far1 ansible_host={address}\n[web]\nfar[1:2]\n[db]\nnear ansible_user='{{{{ me }}}}'\n[prod:children]\nweb\ndb\n\
             [prod:vars]\nansible_port=9\nansible_user=nobody-here\n[web:vars]\nansible_port={port}\nansible_user={user}\n\
             ansible_host=127.255.255.254\n"
        ),
    );
    let reached = |arguments: &[&str]| {
        let run = env.psh(["-h", "hosts.ini", "-g", "prod", "--no-prefix"]).args(arguments).arg("id -un").finish();
        let said = run.expect_code(0).expect_stderr("hosts.ini: near left out: ansible_user={{ me }} is a template");
        assert_eq!(said.stdout_text().trim_end(), user, "{arguments:?}");
    };
    reached(&["-x", "far2"]);
    env.write("work/fleet.toml", format!("hosts = ['hosts.ini']\nuser = '{user}'\n"));
    let typed = format!("{user}@far1:{port}");
    let run = env.psh(["-H", &typed, "--no-prefix", "id -un"]).finish().expect_code(0);
    assert_eq!(run.stdout_text().trim_end(), user);
    env.psh(["-h", "hosts.ini", "-g", "web", "-x", "far2", "-l", "nobody-here", "true"]).finish().expect_code(4);
}

#[test]
fn hosts_of_ssh_config_are_chosen_through_their_source_only() {
    let env = TestEnv::new();
    let _server = fleet_tests::Sshd::new(&env).hosts("web", 2).start();
    env.configure("Host db1 *.example\n  User nobody-here\n");
    env.write("work/fleet.toml", "[groups]\nfront = '@ssh:web*!web02'\n");
    for (arguments, hosts) in [
        (["-g", "@ssh:web*"], "web01 web02"),
        (["-g", "@ssh:db1,@ssh:web02"], "db1 web02"),
        (["-H", "@ssh:web??&web02"], "web02"),
        (["-g", "front"], "web01"),
    ] {
        assert_eq!(listed(&env, &arguments), hosts, "{arguments:?}");
    }
    let run = env.psh(["-g", "@ssh:web*", "--no-prefix", "echo here"]).finish().expect_code(0);
    assert_eq!(run.stdout_text(), "here\nhere\n");
    let run = env.psh(["--list", "-g", "web*"]).finish().expect_code(2);
    run.expect_stderr("no known host matches \"web*\"").expect_nowhere("web01");
    let run = env.psh(["--list", "-g", "@ssh:wbe*"]).finish().expect_code(2);
    run.expect_stderr("no known host of ssh matches \"wbe*\"").expect_stderr("-g '@ssh:*' --list shows them");
    env.configure("Host x\n  Port many\n");
    env.psh(["--list", "-g", "@ssh:web*"]).finish().expect_code(2).expect_stderr("config:2: ");
    env.psh(["--list", "-H", "web01"]).finish().expect_code(0);
}

/// Debian's package of ClusterShell brings groups called `all` and `compute`.
#[test]
fn groups_that_came_with_a_package_stand_behind_ones_own() {
    assert!(
        std::fs::read_to_string("/etc/clustershell/groups.d/local.cfg").is_ok_and(|text| text.contains("\ncompute:")),
        "install the package clustershell with its examples"
    );
    let env = TestEnv::new();
    env.write("work/hosts", "[compute]\nnode[1-2]\n");
    env.write("work/fleet.toml", "hosts = ['hosts']\n[groups]\nall = '@compute,login'\n");
    for (group, hosts) in [("compute", "node1 node2"), ("all", "node1 node2 login"), ("*", "node1 node2 login")] {
        assert_eq!(listed_with_system(&env, &["-g", group]), hosts, "{group}");
    }
    assert!(listed_with_system(&env, &["-g", "@local:compute"]).starts_with("example"));
    assert!(listed_with_system(&env, &["-g", "gpu"]).starts_with("example"));
}

/// A provider that is set up is asked first; where it does not answer, an example must not stand in for it.
#[test]
fn groups_that_came_with_a_package_stand_behind_providers_that_are_set_up() {
    let env = TestEnv::new();
    env.write("work/fleet.toml", "[provider.lab]\ncommand = ['sh', '-c', 'cat answer']\n[groups]\nall = 'mine'\n");
    let answer = |text: &str| env.write("work/answer", format!("{{\"protocol\":1,{text}}}"));
    answer(r#""hosts":[{"id":"i-1","name":"lab1","groups":["compute"],"addresses":{"private":"10.0.0.1"}}]"#);
    assert_eq!(listed_with_system(&env, &["--no-cache", "-g", "compute"]), "lab1");
    assert!(listed_with_system(&env, &["--no-cache", "-g", "gpu"]).starts_with("example"));
    answer(r#""error":{"code":"expired","message":"the token expired"}"#);
    let run = env.psh(["--list", "--no-cache", "-g", "compute"]).finish().expect_code(2);
    run.expect_stderr("the token expired");
    let run = env.psh(["--list", "--no-cache", "-g", "all"]).finish().expect_code(0);
    run.expect_stderr("going on without lab").expect_stdout("mine");
}

/// As [`listed`], where ClusterShell's own folder is that of the system.
fn listed_with_system(env: &TestEnv, arguments: &[&str]) -> String {
    let run = env.psh(["--list"]).args(arguments).finish().expect_code(0);
    let lines = run.stdout_text();
    lines.lines().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_choice_that_fails_names_what_is_near_and_what_was_left_out() {
    let env = clustershell();
    env.write("cs/groups.d/more.conf", "[slurm]\nmap: sinfo -h -o %N -p $GROUP\n");
    let conf = std::fs::read_to_string(env.path().join("cs/groups.conf")).expect("the file");
    env.write("cs/groups.conf", conf.replace("[Main]\n", "[Main]\nconfdir: $CFGDIR/groups.d\n"));
    env.write("work/hosts", "[webs]\nw1\n");
    for (arguments, code, said) in [
        (["-h", "hosts", "-g", "wbs"], 2, "did you mean webs (1 host)?"),
        (["-H", "w1", "-x", "@comptue"], 2, "did you mean compute ("),
        (["-H", "@slurm:debug", "--limit", "1"], 2, "more.conf:1: the groups of \"slurm\" come from commands"),
        (
            ["-H", "@rcks:r1", "--limit", "1"],
            2,
            "did you mean racks? known sources: flat, fleet, hosts, plain, racks, roles;",
        ),
        (["-h", "hosts", "-g", "webs:!flat"], 2, "\"!\" and \"&\" are Ansible's \":!\" and \":&\""),
    ] {
        let run = env.psh(["--list"]).args(arguments).env("CLUSTERSHELL_CFGDIR", env.path().join("cs")).finish();
        run.expect_code(code).expect_stderr(said);
    }
    let run = env.psh(["--list", "-g", "adm"]).env("CLUSTERSHELL_CFGDIR", env.path().join("cs")).finish();
    run.expect_code(2).expect_nowhere("slurm");
}

#[test]
fn files_of_other_tools_that_are_broken_name_the_line_and_the_way_around() {
    for (file, text, said) in [
        ("genders", "n1 a\nn2 a b\n", "genders:2: \"b\" stands behind a blank; expected nodes, then attributes"),
        ("cs/groups.conf", "[x]\nno map\n", "cs/groups.conf:2: found \"no map\"; expected [section], key: value"),
    ] {
        let env = TestEnv::new();
        env.write(file, text);
        let psh = || {
            let psh = env.psh(["--list", "-H", "web1"]).env("CLUSTERSHELL_CFGDIR", env.path().join("cs"));
            psh.env("PDSH_GENDERS_FILE", env.path().join("genders"))
        };
        let run = psh().finish().expect_code(2).expect_stderr(said);
        run.expect_stderr("hint: FLEET_SOURCES=hosts leaves the groups of other tools unread");
        psh().env("FLEET_SOURCES", "hosts").finish().expect_code(0);
    }
    let env = TestEnv::new();
    env.write("work/hosts.ini", "[web]\nweb1 ansible_port=ssh\n");
    let run = env.psh(["--list", "-h", "hosts.ini"]).finish().expect_code(2);
    run.expect_stderr("hosts.ini:2: ansible_port is \"ssh\"; expected a number from 1 to 65535");
}
