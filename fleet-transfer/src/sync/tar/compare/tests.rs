use fleet_rsync::filter::{Excluded, Rules};
use fleet_rsync::flist::{Encoder, IoErrors, Modified, NoNames};
use fleet_rsync::wire::greeting::WireClass;

use super::*;

const FOLDER: Kind<'_> = Kind::Directory(Folder::Below);
const NOW: i64 = 1_700_000_000;

fn file(size: u64) -> Kind<'static> {
    Kind::File { size, digest: None }
}

/// The list of these entries, all of root's, in an order that is a list's.
fn list(entries: &[(&str, Kind<'_>, u32)]) -> FileList {
    let mut encoder = Encoder::new(WireClass::A, Fields::ARCHIVE);
    for (path, kind, permissions) in entries {
        let modified = Modified { secs: NOW, nanos: 5 };
        let (path, kind, permissions) = (path.as_bytes(), *kind, *permissions);
        encoder.push(&Entry { path, kind, permissions, modified, owner: 0, group: 0, link: None }).unwrap();
    }
    encoder.finish(&NoNames, IoErrors::NONE)
}

fn there(kind: ThereKind, permissions: u32) -> There {
    There { kind, permissions, secs: NOW, owner: 0, group: 0 }
}

fn tree<const N: usize>(entries: [(&str, There); N]) -> Tree {
    Tree {
        exists: true,
        entries: entries.map(|(path, there)| (path.as_bytes().to_vec(), there)).into(),
        receiver: Receiver::default(),
    }
}

fn compared(list: &FileList, tree: &Tree, deletion: Deletion, rules: &[&str]) -> Result<Difference, InTheWay> {
    let mut all = Rules::new();
    rules.iter().for_each(|rule| all.filter(rule.as_bytes(), &mut |_| unreachable!("no file is read")).unwrap());
    let kept = all.of_receiver(Excluded::Kept).unwrap().scope(b"");
    compare(&Wanted { list, fields: Fields::ARCHIVE, kept: &kept, deletion }, tree)
}

/// The lines of `-i`, but for targets.
fn lines(list: &FileList, difference: &Difference) -> Vec<String> {
    let line = |changed: &Changed| match changed {
        Changed::Deleted { path, .. } => format!("*deleting {}", String::from_utf8_lossy(path)),
        Changed::Entry { index, letters, .. } => {
            let path = list.get(*index).unwrap().path;
            format!("{} {}", String::from_utf8_lossy(letters), String::from_utf8_lossy(&path))
        }
    };
    difference.changes.iter().map(line).collect()
}

fn paths(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| format!("{step:?}").replace("[", "").replace("]", "")).collect()
}

fn root() -> (&'static str, Kind<'static>, u32) {
    (".", Kind::Directory(Folder::Source), 0o755)
}

#[test]
fn what_is_the_same_needs_nothing() {
    let list =
        list(&[root(), ("a", file(3), 0o644), ("l", Kind::Symlink { target: b"a" }, 0o777), ("d", FOLDER, 0o750)]);
    let same = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("a", there(ThereKind::File(3), 0o644)),
        ("d", there(ThereKind::Folder, 0o750)),
        ("l", there(ThereKind::Symlink(b"a".into()), 0o777)),
        ("surplus", there(ThereKind::Other, 0)),
    ]);
    assert_eq!(compared(&list, &same, Deletion::Nothing, &[]), Ok(Difference::default()));
}

#[test]
fn letters_are_those_of_rsync_and_only_what_must_is_sent() {
    let link = Kind::Symlink { target: b"a" };
    let list = list(&[
        root(),
        ("grown", file(3), 0o644),
        ("kind", file(3), 0o644),
        ("mode", file(3), 0o600),
        ("new", file(3), 0o644),
        ("older", file(3), 0o644),
        ("to", link, 0o777),
        ("when", link, 0o777),
        ("d", FOLDER, 0o755),
        ("d/x", file(3), 0o644),
        ("e", FOLDER, 0o755),
    ]);
    let (old, other) = (NOW - 60, |there: There| There { owner: 1, group: 2, ..there });
    let there = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("grown", there(ThereKind::File(2), 0o644)),
        ("kind", there(ThereKind::Symlink(b"a".into()), 0o777)),
        ("mode", other(there(ThereKind::File(3), 0o644))),
        ("older", There { secs: old, ..there(ThereKind::File(3), 0o644) }),
        ("to", There { secs: old, ..there(ThereKind::Symlink(b"b".into()), 0o777) }),
        ("when", There { secs: old, ..there(ThereKind::Symlink(b"a".into()), 0o777) }),
        ("d", There { secs: old, ..there(ThereKind::Folder, 0o700) }),
    ]);
    let found = compared(&list, &there, Deletion::Nothing, &[]).unwrap();
    let expected = [
        "<f.s....... grown",
        "<f+++++++++ kind",
        ".f...pog... mode",
        "<f+++++++++ new",
        "<f..t...... older",
        "cLc.t...... to",
        ".L..t...... when",
        ".d..tp..... d",
        "<f+++++++++ d/x",
        "cd+++++++++ e",
    ];
    assert_eq!(lines(&list, &found), expected);
    // All but `mode`, with the folder that one of them is in.
    assert_eq!(found.sent.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((found.changed, found.created, found.files, found.bytes), (10, 4, 5, 15));
    let expected = [
        Step::Owner("0:0".into(), b"mode".into()),
        Step::Stamp(NOW, b".".into()),
        Step::Stamp(NOW, b"d".into()),
        Step::Stamp(NOW, b"e".into()),
        Step::Mode(0o755, b"d".into()),
        Step::Mode(0o600, b"mode".into()),
    ];
    assert_eq!(found.after, expected);
}

#[test]
fn surplus_is_deleted_from_the_bottom_and_what_is_kept_keeps_its_folders() {
    let list = list(&[root(), ("d", FOLDER, 0o755)]);
    let there = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("d", there(ThereKind::Folder, 0o755)),
        ("d/old", there(ThereKind::File(1), 0o644)),
        ("log", there(ThereKind::Folder, 0o755)),
        ("log/a", there(ThereKind::File(1), 0o644)),
        ("log/keep.db", there(ThereKind::File(1), 0o644)),
        ("log/z", there(ThereKind::File(1), 0o644)),
        ("x", there(ThereKind::Folder, 0o755)),
        ("x/y", there(ThereKind::Folder, 0o755)),
        ("x/y/z", there(ThereKind::Symlink(b"/".into()), 0o777)),
    ]);
    let found = compared(&list, &there, Deletion::Surplus, &["- *.db"]).unwrap();
    let expected =
        ["*deleting x/y/z", "*deleting x/y", "*deleting x", "*deleting log/z", "*deleting log/a", "*deleting d/old"];
    assert_eq!((lines(&list, &found), found.deleted), (expected.map(String::from).into(), 6));
    let gone = |path: &str| Step::Gone(path.into());
    let expected = [
        gone("x/y/z"),
        gone("log/z"),
        gone("log/a"),
        gone("d/old"),
        Step::Emptied("x/y".into()),
        Step::Emptied("x".into()),
        Step::Stamp(NOW, ".".into()),
        Step::Stamp(NOW, "d".into()),
    ];
    assert_eq!(found.after, expected, "{:?}", paths(&found.after));
    let found = compared(&list, &there, Deletion::Surplus, &["P log/", "P x/", "P d/"]).unwrap();
    assert_eq!(lines(&list, &found), ["*deleting d/old"], "d is in the list, and its content is not kept");
    assert_eq!(compared(&list, &there, Deletion::InTheWay, &[]), Ok(Difference::default()));
}

#[test]
fn only_below_what_is_in_the_list_anything_is_deleted() {
    let list = list(&[("dist", Kind::Directory(Folder::Source), 0o755)]);
    let there = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("dist", there(ThereKind::Folder, 0o755)),
        ("dist/old", there(ThereKind::File(1), 0o644)),
        ("other", there(ThereKind::File(1), 0o644)),
    ]);
    let found = compared(&list, &there, Deletion::Surplus, &[]).unwrap();
    assert_eq!(lines(&list, &found), ["*deleting dist/old"]);
}

#[test]
fn what_is_in_the_way_goes_before_and_only_if_it_may() {
    let list = list(&[root(), ("f", file(1), 0o644), ("d", FOLDER, 0o755)]);
    let full = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("d", there(ThereKind::Symlink(b"/etc".into()), 0o777)),
        ("f", there(ThereKind::Folder, 0o755)),
        ("f/x", there(ThereKind::File(1), 0o644)),
    ]);
    assert_eq!(compared(&list, &full, Deletion::Nothing, &[]), Err(InTheWay(b"f".into())));
    assert_eq!(compared(&list, &full, Deletion::Surplus, &["P x"]), Err(InTheWay(b"f".into())));
    for deletion in [Deletion::Surplus, Deletion::InTheWay] {
        let found = compared(&list, &full, deletion, &[]).unwrap();
        let expected = [Step::Gone("d".into()), Step::Gone("f/x".into()), Step::Emptied("f".into())];
        assert_eq!(found.before, expected);
        assert_eq!(lines(&list, &found), ["*deleting f/x", "<f+++++++++ f", "cd+++++++++ d"]);
    }
}

#[test]
fn an_owner_is_set_where_the_receiver_can_and_what_arrives_has_another() {
    let list = list(&[root(), ("new", file(1), 0o4755), ("old", file(1), 0o644)]);
    let mut there = tree([
        (".", there(ThereKind::Folder, 0o755)),
        ("old", There { owner: 9, group: 9, ..there(ThereKind::File(1), 0o644) }),
    ]);
    // root of another machine, whose names have other numbers.
    there.receiver.users_there = HashMap::from([(0, 5)]);
    there.receiver.groups_there = HashMap::from([(0, 6)]);
    let found = compared(&list, &there, Deletion::Nothing, &[]).unwrap();
    assert_eq!(lines(&list, &found), [".d....og... .", "<f+++++++++ new", ".f....og... old"]);
    let owner = |path: &str| Step::Owner("5:6".into(), path.into());
    let expected =
        [owner("."), owner("new"), owner("old"), Step::Stamp(NOW, ".".into()), Step::Mode(0o4755, "new".into())];
    assert_eq!(found.after, expected);
    // Somebody else gives away nothing, and only to groups of their own.
    there.receiver = Receiver { user: 9, group: 9, groups: vec![9], ..Receiver::default() };
    let found = compared(&list, &there, Deletion::Nothing, &[]).unwrap();
    assert_eq!(lines(&list, &found), ["<f+++++++++ new"]);
    assert_eq!(found.after, [Step::Stamp(NOW, ".".into())]);
    there.receiver.groups = vec![9, 0];
    let found = compared(&list, &there, Deletion::Nothing, &[]).unwrap();
    assert_eq!(lines(&list, &found), ["<f+++++++++ new", ".f.....g... old"]);
}

#[test]
fn a_destination_that_is_missing_is_made() {
    let list = list(&[root(), ("a", file(1), 0o644)]);
    let found = compared(&list, &Tree::default(), Deletion::Surplus, &[]).unwrap();
    assert_eq!(lines(&list, &found), ["cd+++++++++ .", "<f+++++++++ a"]);
    let expected = [Step::Owner("0:0".into(), ".".into()), Step::Stamp(NOW, ".".into()), Step::Mode(0o755, ".".into())];
    assert_eq!(found.after, expected);
}
