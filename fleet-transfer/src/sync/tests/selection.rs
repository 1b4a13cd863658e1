//! What is chosen of the sources, and in place of what: the same as rsync itself does with the same words.

use fleet_rsync::sources::{LineEnd, listed};

use super::*;

/// How sources are named.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Naming {
    Plain,
    Relative,
    /// A list's lines below the source.
    Listed,
}

/// Three trees, and what was at two destinations.
fn trees() -> Place {
    let place = Place::new();
    for (name, text) in [("source", "one"), ("more", "two"), ("host0", "old")] {
        let folder = place.0.path().join(name);
        fs::create_dir_all(folder.join("a/c/deep/none")).unwrap();
        fs::create_dir_all(folder.join("tmp/empty")).unwrap();
        for file in ["a/file", "a/c/object.o", "a/c/deep/file", "tmp/file", "top"] {
            fs::write(folder.join(file), format!("{text} {file}")).unwrap();
        }
        fs::write(folder.join("a").join(text), text).unwrap();
        fs::write(folder.join("a/c").join(text), text).unwrap();
        fs::write(folder.join("a/.rules"), "- one\n").unwrap();
        fs::write(folder.join(".cvsignore"), "top\n").unwrap();
        fs::write(folder.join("a/c/.cvsignore"), "deep\n").unwrap();
        symlink("a", folder.join("way")).unwrap();
    }
    let copied = std::process::Command::new("cp").args(["-a", "host0", "stock"]).current_dir(place.0.path()).status();
    assert!(copied.unwrap().success());
    place
}

/// Runs `rsync` with `words` into one destination, and a plan into the other; then they are equal.
async fn compare(words: &[&str], naming: Naming, sources: &[&str], change: impl Fn(SyncPlan) -> SyncPlan) {
    let place = trees();
    let here = place.0.path();
    let list = here.join("list");
    fs::write(&list, sources.join("\n")).unwrap();
    let rsync = std::process::Command::new("rsync")
        .args(["-aI", "--no-inc-recursive"])
        .args(words)
        .args(if naming == Naming::Listed { vec!["source"] } else { sources.to_vec() })
        .arg(here.join("stock"))
        .current_dir(here)
        .output()
        .unwrap();
    assert!(rsync.status.success(), "{words:?} {rsync:?}");
    let below = |path: &str| {
        let joint: &[u8] = if path.contains("/./") { b"/" } else { b"/./" };
        [here.as_os_str().as_bytes(), joint, path.as_bytes()].concat()
    };
    let named = match naming {
        Naming::Plain => plain(&sources.iter().map(|source| here.join(source)).collect::<Vec<_>>()),
        Naming::Relative => sources.iter().map(|source| Named::relative(&below(source)).unwrap()).collect(),
        Naming::Listed => {
            let (base, content) = (place.source(), fs::read(&list).unwrap());
            let lines = listed(&content, LineEnd::Line);
            lines.map(|line| Named::listed(base.as_os_str().as_bytes(), line).unwrap()).collect()
        }
    };
    let plan = SyncPlan {
        relative: naming != Naming::Plain,
        sources_are_listed: naming == Naming::Listed,
        recursive: naming != Naming::Listed || words.contains(&"-r"),
        delete: words.contains(&"--delete").then_some(Delete::During),
        forwarded: vec![b"-I".to_vec()],
        ..SyncPlan::archive(named)
    };
    let sync = Sync::prepare(change(plan)).unwrap();
    let driven = drive(Arc::clone(&sync), place.host(0), Vec::new()).await;
    driven.is_well();
    // Whose time is that of the last change in it.
    for folder in ["stock", "host0"] {
        File::open(here.join(folder)).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
    assert_eq!(differences(&[here.join("stock/")], &place.host(0)), "", "{words:?} {sources:?} {driven:?}");
}

#[tokio::test]
async fn sources_keep_their_paths_as_with_rsync() {
    for sources in [
        &["source/a/c"][..],
        &["source/./a/c", "more/./a"],
        &["more/./a", "source/./a/c/deep/file"],
        &["source/./", "more/./a/c"],
        &["source/./way/c", "source/./way"],
    ] {
        compare(&["-R", "--delete"], Naming::Relative, sources, |plan| plan).await;
    }
}

#[tokio::test]
async fn a_list_of_sources_means_what_it_means_for_rsync() {
    for words in [&["--delete"][..], &["-r", "--delete"]] {
        for sources in
            [&["a/c/", "top"][..], &["a/c", "way"], &["/a/file", "../a/c/deep", "# no", "way/c/one"], &["."], &["a/"]]
        {
            let list = [&["--files-from=list"][..], words].concat();
            compare(&list, Naming::Listed, sources, |plan| plan).await;
        }
    }
}

#[tokio::test]
async fn rules_are_about_named_sources_and_about_what_is_in_them() {
    for rules in [&["- c"][..], &["- /a"], &["- /a/c"], &["- /source/a/c"], &["- *.o"], &[": .rules"], &[": /.rules"]] {
        let words: Vec<String> = rules.iter().map(|rule| format!("--filter={rule}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let with_rules = |plan: SyncPlan| {
            let mut rules_of_plan = fleet_rsync::filter::Rules::new();
            for rule in rules {
                rules_of_plan.filter(rule.as_bytes(), &mut |_| unreachable!("no file is merged")).unwrap();
            }
            SyncPlan { rules: rules_of_plan, ..plan }
        };
        compare(&[&["-R"], &words[..]].concat(), Naming::Relative, &["source/./a/c", "source/a/c/"], with_rules).await;
        compare(&words, Naming::Plain, &["source", "more/a/c", "more/top", "more/"], with_rules).await;
        compare(&[&["--files-from=list", "-r"], &words[..]].concat(), Naming::Listed, &["a/c", "tmp"], with_rules)
            .await;
    }
}

#[tokio::test]
async fn empty_folders_are_pruned_and_what_cvs_ignores_is_left_out() {
    let pruned = |plan| SyncPlan { prune: true, ..plan };
    compare(&["-m", "--delete"], Naming::Plain, &["source/"], pruned).await;
    compare(&["-m", "-R"], Naming::Relative, &["source/./tmp", "more/a"], pruned).await;
    let ignoring = |plan: SyncPlan| {
        let mut rules = plan.rules.clone();
        rules.cvs_words(b"", b"");
        rules.cvs_exclude().unwrap();
        SyncPlan { rules, ..plan }
    };
    compare(&["-C", "--delete"], Naming::Plain, &["source/", "more/a"], ignoring).await;
}

#[tokio::test]
async fn a_listed_source_that_is_missing_is_a_problem_and_deletes_nothing() {
    let place = trees();
    let base = place.source();
    let named = |line: &str| Named::listed(base.as_os_str().as_bytes(), line.as_bytes()).unwrap();
    let plan = SyncPlan {
        relative: true,
        sources_are_listed: true,
        delete: Some(Delete::During),
        ..SyncPlan::archive(vec![named("a/"), named("missing/x")])
    };
    let sync = Sync::prepare(plan.clone()).unwrap();
    assert_eq!(sync.problems()[0].path, base.join("missing/x"));
    let driven = drive(Arc::clone(&sync), place.host(0), Vec::new()).await;
    assert_eq!((driven.status.code(), driven.end.complete, driven.end.deleted), (Some(23), true, 0), "{driven:?}");
    assert_eq!(fs::read(place.host(0).join("a/one")).unwrap(), b"one");
    assert!(Sync::prepare(SyncPlan { sources_are_listed: false, ..plan }).is_err());
}

#[tokio::test]
async fn copies_that_are_changed_in_place_come_out_right_and_stay_the_same_files() {
    let place = Place::new();
    let old = noise(3, 900_000);
    // Turned round, so that blocks are wanted behind where they have been overwritten; and one grown in front.
    let turned = [&old[450_000..], &old[..450_000]].concat();
    let grown = [&noise(4, 10_000)[..], &old].concat();
    for (name, content) in [("turned", &turned), ("grown", &grown), ("shrunk", &old[300_000..].to_vec())] {
        fs::write(place.source().join(name), content).unwrap();
        for number in [0, 1] {
            fs::create_dir_all(place.host(number)).unwrap();
            fs::write(place.host(number).join(name), &old).unwrap();
            File::open(place.host(number).join(name)).unwrap().set_modified(UNIX_EPOCH).unwrap();
        }
    }
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(place.host(0).join("turned")).unwrap());
    let before = inode();
    let sync = Sync::prepare(SyncPlan { in_place: true, ..place.plan() }).unwrap();
    let all = drive_all(&sync, vec![place.host(0), place.host(1)]).await;
    for (number, driven) in all.iter().enumerate() {
        driven.is_well();
        assert_eq!(place.differences(number), "");
        // Nothing arrived wrong, so nothing was asked for again.
        assert_eq!(driven.end.files_sent, 3, "{driven:?}");
        assert!(driven.end.matched_bytes > 900_000, "{driven:?}");
    }
    assert_eq!((inode(), sync.stats().deltas), (before, 3));
}
