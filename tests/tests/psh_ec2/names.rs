//! What hosts are called, and that texts of a cloud do no harm: not to a terminal, a shell, or known_hosts.

use std::fs;

use ec2_doubles::Instance;

use crate::world::{World, listed};

/// What must reach no terminal.
const ESCAPE: &str = "\u{1b}]0;owned\u{7}";

#[test]
fn a_host_has_its_name_where_that_is_unique_and_valid_and_its_id_elsewhere() {
    let world = World::with_hosts(8);
    let named = |number: usize, name: &str| world.instance(&format!("i-{number}"), number).named(name);
    world.ec2.add([
        named(0, "web-1"),
        named(1, "twin"),
        named(2, "twin"),
        named(3, "a b;rm -rf ~"),
        named(4, "-oProxyCommand=id"),
        named(5, ESCAPE),
        named(6, "a,b=c"),
        world.instance("i-7", 7),
    ]);
    let expected = ["i-1", "i-2", "i-3", "i-4", "i-5", "i-6", "i-7", "web-1"];
    let run = world.psh(&["-g", "loadgen", "--list"]).finish().expect_code(0).expect_nowhere(ESCAPE);
    assert_eq!(listed(&run), expected);
    let run = world.psh(&["-g", "loadgen", "echo hi"]).finish().expect_code(0).expect_nowhere(ESCAPE);
    assert_eq!(run.sorted_lines(), expected.map(|name| format!("{name}: hi")), "{run}");
}

#[test]
fn the_key_of_a_host_is_looked_up_under_its_id_and_not_under_its_address() {
    let world = World::with_hosts(2);
    world.ec2.add([world.stranger("i-1", 0).named("web-1"), world.stranger("i-2", 1).named("web-2")]);
    let key = world.server.host_key();
    world.env.trust(&world.server.known_hosts_lines());
    world.env.trust(&format!("web-1 {key}\nweb-2 {key}\ni-2 {key}\n"));
    let run = world.psh(&["-g", "loadgen", "echo hi"]).finish().expect_code(4);
    assert_eq!(run.sorted_lines(), ["web-2: hi"], "{run}");
    run.expect_stderr("web-1");
    let before = fs::read_to_string(world.env.known_hosts()).expect("known_hosts");
    let run = world.psh(&["--host-key", "accept-new", "-g", "loadgen", "echo hi"]).finish().expect_code(0);
    assert_eq!(run.sorted_lines(), ["web-1: hi", "web-2: hi"], "{run}");
    let after = fs::read_to_string(world.env.known_hosts()).expect("known_hosts");
    assert_eq!(after.strip_prefix(&before), Some(format!("i-1 {key}\n").as_str()), "{after}");
}

#[test]
fn another_machine_at_the_address_of_a_former_one_is_not_taken_for_it() {
    let world = World::new();
    let other = world.env.generate_key(&world.env.path().join("other"), "");
    let other = fs::read_to_string(other.with_extension("pub")).expect("a public key");
    world.ec2.add([world.stranger("i-new", 0)]);
    // The key of the former machine at this address.
    world.env.trust(&format!("[{}]:{} {other}", world.server.address(), world.server.port()));
    world.psh(&["--host-key", "accept-new", "-g", "loadgen", "true"]).finish().expect_code(0);
    world.env.write("home/.ssh/known_hosts", format!("i-new {other}"));
    let run = world.psh(&["--host-key", "accept-new", "-g", "loadgen", "echo hi"]).finish().expect_code(4);
    run.expect_nowhere("hi\n");
}

#[test]
fn tags_of_any_text_harm_neither_terminal_nor_known_hosts() {
    let world = World::with_hosts(4);
    let odd = [
        ("with blanks", " a  b "),
        ("a,b=c", "x,y=z;\"'$(id)`\\"),
        ("ünïcode", "日本語 🚀"),
        ("Role", ESCAPE),
        (ESCAPE, "x"),
        ("lines", "a\nb\r\nhost ssh-ed25519 AAAA"),
        ("Name", "\u{9b}31mred"),
    ];
    // No region has such a zone, but other providers may tell of one.
    let tagged = |id: &str, number| {
        odd.iter().fold(world.stranger(id, number).with("availability-zone", ESCAPE), |one, (key, value)| {
            one.with(&format!("tag:{key}"), *value)
        })
    };
    world.ec2.add((0..4).map(|number| tagged(&format!("i-{number}"), number)));
    for query in ["tag:Role=*", "tag:ünïcode=日本語*", "tag:\"with blanks\"=\" a  b \"", "tag:\"a,b=c\"=\"x,y*\""]
    {
        let run = world.psh(&["-v", "-g", query, "--list"]).on_terminal().finish().expect_nowhere(ESCAPE);
        let run = run.expect_nowhere("\u{9b}").expect_code(0);
        assert!(listed(&run).iter().filter(|name| name.starts_with("i-")).count() == 4, "{query}: {run}");
    }
    let run = world.psh(&["-g", "@ec2:*,@loadgne", "--list"]).on_terminal().finish().expect_code(2);
    run.expect_stdout("loadgne").expect_nowhere(ESCAPE).expect_nowhere("\u{9b}");
    let accept = ["--host-key", "accept-new", "-v", "-g", "tag:Role=*", "echo hi"];
    let run = world.psh(&accept).env("NO_COLOR", "1").on_terminal().finish().expect_code(0);
    run.expect_nowhere(ESCAPE).expect_nowhere("\u{9b}").expect_stdout("i-3: hi");
    let known_hosts = fs::read_to_string(world.env.known_hosts()).expect("known_hosts");
    let mut lines: Vec<_> = known_hosts.lines().collect();
    lines.sort_unstable();
    let expected = [0, 1, 2, 3].map(|number| format!("i-{number} {}", world.server.host_key()));
    assert_eq!(lines, expected, "{known_hosts:?}");
}

#[test]
fn the_name_of_a_group_is_one_word_of_the_shell() {
    let world = World::new();
    let name = "load gen;$(touch owned)`id`'\"\\";
    world.ec2.add([world.instance("i-1", 0).with("tag:Role", name)]);
    world.env.write("work/fleet.toml", "[provider.ec2]\n");
    let group = format!("@ec2:\"{}\"", "load gen*");
    let run = world.psh(&["--no-prefix", "--template", "-g", &group, "printf '%s|' {group} \"$FLEET_GROUP\""]);
    let run = run.finish().expect_code(0);
    assert_eq!(run.stdout_text(), format!("{name}|{name}|"), "{run}");
}

#[test]
fn a_host_without_an_address_is_named_and_fails_alone() {
    let world = World::new();
    world.ec2.add([world.instance("i-1", 0).named("web-1"), Instance::new("i-2").with("tag:Role", "loadgen")]);
    let run = world.psh(&["-g", "loadgen", "echo hi"]).finish().expect_code(4);
    assert_eq!(run.sorted_lines(), ["web-1: hi"], "{run}");
    run.expect_stderr("psh: ec2: i-2 (i-2) has no address that is wanted\n");
}
