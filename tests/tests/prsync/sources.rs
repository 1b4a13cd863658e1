//! Which sources are brought, and what they are called on the hosts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::world::World;

/// Names of what is in a host's folder `opt`.
fn names(world: &World, host: &str) -> Vec<String> {
    world.tree(host).into_keys().filter_map(|name| name.strip_prefix("opt/").map(str::to_owned)).collect()
}

fn tree(world: &World) {
    for name in ["src/a/one", "src/a/deep/two", "src/b/three", "src/four.o", "other/a/five"] {
        world.file(name, name);
    }
    fs::create_dir_all(world.env.work().join("src/empty/below")).unwrap();
}

#[test]
fn sources_keep_their_paths() {
    let world = World::new(2);
    tree(&world);
    world.file_on("web02", "opt/surplus", "stays");
    world.file_on("web02", "opt/a/surplus", "goes");
    world.synced(["-R", "--delete", "src/./a", "other/./a/five", "src/b/three", &world.each("opt")]);
    let expected = ["a", "a/deep", "a/deep/two", "a/five", "a/one", "src", "src/b", "src/b/three"];
    assert_eq!(names(&world, "web01"), expected);
    assert_eq!(names(&world, "web02"), [&expected[..], &["surplus"]].concat());
}

#[test]
fn a_list_says_what_is_brought() {
    let world = World::new(1);
    tree(&world);
    world.file("list", "# of files\na/one\nb/\nempty\n");
    world.synced(["-a", "--files-from=list", "src", &world.each("opt")]);
    assert_eq!(names(&world, "web01"), ["a", "a/one", "b", "b/three", "empty"]);
    let listed = world.prsync(["-r0", "--files-from=-", "src/", &world.each("opt")]);
    listed.stdin("a/deep\0empty\0").finish().expect_code(0);
    assert_eq!(names(&world, "web01"), ["a", "a/deep", "a/deep/two", "a/one", "b", "b/three", "empty", "empty/below"]);
}

#[test]
fn what_a_list_names_in_vain_is_told_and_the_rest_is_brought() {
    let world = World::new(1);
    tree(&world);
    world.file_on("web01", "opt/b/surplus", "kept");
    world.file("list", "b/\nmissing\n");
    let told = world.prsync(["--delete", "--files-from=list", "src", &world.each("opt")]).finish();
    let told = told.expect_stderr("src/missing: ").expect_stderr("nothing is deleted");
    assert_ne!(told.code, Some(0));
    assert_eq!(names(&world, "web01"), ["b", "b/surplus", "b/three"]);
}

#[test]
fn empty_folders_and_what_cvs_ignores_stay_here() {
    let world = World::new(1);
    tree(&world);
    world.file("src/a/.cvsignore", "deep\n");
    let own = world.env.home().join(".cvsignore");
    fs::write(own, "b\n").unwrap();
    world.prsync(["-m", "-C", "src/", &world.each("opt")]).env("CVSIGNORE", "five").finish().expect_code(0);
    assert_eq!(names(&world, "web01"), ["a", "a/.cvsignore", "a/one"]);
}

#[test]
fn copies_are_changed_in_place() {
    let world = World::new(2);
    world.file("dist/data", [vec![b'x'; 200_000], vec![b'y'; 300_000]].concat());
    for host in ["web01", "web02"] {
        world.file_on(host, "opt/data", &format!("{}{}", "y".repeat(300_000), "x".repeat(100_000)));
    }
    let file = world.on("web02").join("opt/data");
    let inode = || fs::metadata(&file).unwrap().ino();
    let before = inode();
    world.synced(["--inplace", "--stats", "dist/", &world.each("opt")]).expect_stderr("1 computed, 1 used again");
    assert_eq!((inode(), world.differences("dist", "web02", "opt")), (before, String::new()));
    let conflict = world.prsync(["--inplace", "--partial-dir=x", "dist/", "/opt"]).finish();
    conflict.expect_code(2).expect_stderr("--partial-dir");
}
