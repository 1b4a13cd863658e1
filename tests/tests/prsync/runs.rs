//! What is brought, and how it is told.

use crate::restricted_to_rsync;
use crate::world::World;

#[test]
fn all_hosts_get_the_same_from_one_list_and_one_delta_of_each_file() {
    let world = World::new(4);
    world.dist();
    for host in ["web01", "web02", "web03", "web04"] {
        world.file_on(host, "opt/app.js", &"application ".repeat(9_000));
        world.file_on(host, "opt/surplus", "to be deleted");
    }
    let done = world.synced(["--stats", "--delete", "-z", "dist/", &world.each("opt")]);
    let done = done.expect_stderr("read once for 1 list").expect_stderr("deltas: 3 computed, 9 used again");
    for host in ["web01", "web02", "web03", "web04"] {
        assert_eq!(world.differences("dist", host, "opt"), "", "{}", done.stderr_text());
    }
    world.synced(["--delete", "dist/", &world.each("opt")]).expect_stderr("the same already");
}

#[test]
fn a_dry_run_shows_once_what_differs_at_equal_hosts_and_changes_nothing() {
    let world = World::new(3);
    world.dist();
    world.synced(["dist/", &world.each("opt")]);
    world.file_on("web03", "opt/app.js", "changed by somebody");
    world.file_on("web03", "opt/surplus", "made by somebody");
    let report = world.synced(["-n", "-i", "--delete", "dist/", &world.each("opt")]);
    let text = report.stdout_text();
    assert!(text.contains("web03") && text.contains("<f.s") && text.contains(". app.js"), "{text}");
    assert!(text.contains("*deleting   surplus"), "{text}");
    assert_eq!(text.matches("app.js").count(), 1, "{text}");
    assert!(report.stderr_text().contains("web[01-02]") || text.contains("web[01-02]"), "{text}");
    assert!(world.tree("web03").contains_key("opt/surplus"));
    world.synced(["-i", "--delete", "dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web03", "opt"), "");
}

#[test]
fn a_source_without_a_slash_keeps_its_name_and_rules_leave_out_files() {
    let world = World::new(1);
    world.dist();
    world.file("dist/.gitignore", "*.o\n");
    world.file("dist/x.o", "object");
    world.file("dist/x.tmp", "left out");
    world.synced(["--exclude=*.tmp", "--filter=:- .gitignore", "dist", &world.each("")]);
    let tree = world.tree("web01");
    assert!(tree.contains_key("dist/app.js") && tree.contains_key("dist/.gitignore"), "{tree:?}");
    assert!(!tree.contains_key("dist/x.o") && !tree.contains_key("dist/x.tmp"), "{tree:?}");
}

#[test]
fn rules_in_folders_count_and_flags_of_habit_do_no_harm() {
    let world = World::new(1);
    world.dist();
    world.file("dist/.rsync-filter", "- *.o\n");
    world.file("dist/sub/.rsync-filter", "+ kept.o\n- secret\n");
    for name in ["dist/x.o", "dist/secret", "dist/sub/kept.o", "dist/sub/x.o", "dist/sub/secret"] {
        world.file(name, "content");
    }
    world.synced(["-avzPsFF", "--progress", "--no-D", "--no-W", "dist/", &world.each("opt")]);
    let tree = world.tree("web01");
    let there = |name: &str| tree.contains_key(&format!("opt/{name}"));
    assert!(there("secret") && there("sub/kept.o") && there("app.js"), "{tree:?}");
    for name in ["x.o", "sub/x.o", "sub/secret", ".rsync-filter", "sub/.rsync-filter"] {
        assert!(!there(name), "{name}: {tree:?}");
    }
}

#[test]
fn a_key_that_is_restricted_to_rsync_is_enough() {
    let world = World::with(1, restricted_to_rsync);
    world.dist();
    world.synced(["dist/", &world.each("opt")]);
    assert_eq!(world.differences("dist", "web01", "opt"), "");
}

#[test]
fn a_command_follows_where_all_has_gone_well() {
    let world = World::new(2);
    world.dist();
    let done = world.synced(["--then", "echo after $FLEET_HOST", "dist/", &world.each("opt")]);
    assert!(done.stdout_text().contains("after web02"), "{}", done.stdout_text());
}
