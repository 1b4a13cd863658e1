//! `--atomic` and `--rollback`: what is in use on the hosts, and what of it takes room.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::PathBuf;

use crate::world::World;

impl World {
    /// Where what is in use on a host leads.
    fn current(&self, host: &str) -> PathBuf {
        fs::read_link(self.on(host).join("app/current")).unwrap()
    }

    /// Names in the folder of releases.
    fn releases(&self, host: &str) -> Vec<String> {
        let names = fs::read_dir(self.on(host).join("app/releases")).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_release_is_used_when_it_is_whole_and_shares_what_has_not_changed() {
    let world = World::new(2);
    world.dist();
    world.synced(["--atomic", "dist/", &world.each("app")]);
    let first = world.current("web01");
    assert_eq!(world.current("web02"), first, "all hosts have it by one name");
    world.file("dist/new", "new");
    let then = format!("readlink {}/$FLEET_HOST/app/current", world.env.shared().display());
    let done = world.synced(["--atomic", "--then", &then, "dist/", &world.each("app")]);
    let second = world.current("web01");
    assert!(second > first, "{second:?} {first:?}");
    let used = format!("app/{}", second.display());
    assert_eq!(world.differences("dist", "web02", &used), "", "{}", done.stderr_text());
    let inode = |name: &PathBuf| fs::metadata(world.on("web01").join("app").join(name).join("app.js")).unwrap().ino();
    assert_eq!(inode(&first), inode(&second));
    assert!(done.stdout_text().contains(&second.display().to_string()), "{}", done.stdout_text());
    done.expect_stderr("was 2");
    let back = world.prsync(["--rollback", &world.each("app")]).finish().expect_code(0);
    assert_eq!((world.current("web01"), world.current("web02")), (first.clone(), first), "{}", back.stderr_text());
    world
        .prsync(["--rollback", &world.each("app")])
        .finish()
        .expect_code(5)
        .expect_stderr("there is no release before");
}

#[test]
fn only_some_releases_are_kept() {
    let world = World::new(1);
    world.dist();
    for _ in 0..3 {
        world.synced(["--atomic", "--keep=2", "dist/", &world.each("app")]);
    }
    let releases = world.releases("web01");
    assert_eq!(releases.len(), 2, "{releases:?}");
    assert!(world.current("web01").ends_with(&releases[1]));
}

#[test]
fn a_host_that_fails_keeps_what_it_has_in_use() {
    let world = World::new(2);
    world.dist();
    world.synced(["--atomic", "dist/", &world.each("app")]);
    let first = world.current("web01");
    fs::set_permissions(world.on("web01").join("app/releases"), PermissionsExt::from_mode(0o555)).unwrap();
    let failed = world.prsync(["--atomic", "dist/", &world.each("app")]).finish().expect_code(5);
    failed.expect_stderr("Permission denied");
    assert_eq!(world.current("web01"), first);
    assert!(world.current("web02") > first);
}

#[test]
fn a_run_that_is_over_early_takes_nothing_into_use() {
    let world = World::new(2);
    world.dist();
    fs::set_permissions(world.on("web01"), PermissionsExt::from_mode(0o555)).unwrap();
    let over = world.prsync(["--atomic", "--batch=1", "--max-fail=0", "dist/", &world.each("app")]).finish();
    let over = over.expect_stderr("is not taken into use");
    assert_ne!(over.code, Some(0));
    assert!(!world.on("web02").join("app/current").exists());
}

#[test]
fn a_dry_run_of_a_release_shows_what_differs_from_the_one_in_use() {
    let world = World::new(1);
    world.dist();
    world.synced(["--atomic", "dist/", &world.each("app")]);
    world.file("dist/new", "new");
    let report = world.synced(["-n", "-i", "--atomic", "dist/", &world.each("app")]);
    let text = report.stdout_text();
    assert!(text.contains(" new") && !text.contains("app.js"), "{text}");
    assert_eq!(world.releases("web01").len(), 1);
}
