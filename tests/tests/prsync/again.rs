//! Runs that go on with former ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::World;

#[test]
fn failed_hosts_get_what_the_run_was_to_bring_them_and_no_other() {
    let world = World::new(3);
    world.dist();
    world.file("dist/x.o", "left out");
    fs::set_permissions(world.on("web02"), PermissionsExt::from_mode(0o555)).unwrap();
    let place = world.each("opt-{index}");
    world.prsync(["--exclude=*.o", "dist/", &place]).finish().expect_code(5);
    fs::set_permissions(world.on("web02"), PermissionsExt::from_mode(0o755)).unwrap();
    let again = world.env.prsync(["--failed", "--stats"]).finish().expect_code(0);
    let again = again.expect_stderr("1 of 3 hosts").expect_stderr("read once for 1 list");
    let tree = world.tree("web02");
    assert!(tree.contains_key("opt-1/app.js") && !tree.contains_key("opt-1/x.o"), "{tree:?} {}", again.stderr_text());
    assert!(!world.tree("web01").contains_key("opt-0/x.o"));
}
