use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::wire::greeting::{CompatFlags, WireClass};

fn entry<'a>(path: &'a [u8], kind: Kind<'a>) -> Entry<'a> {
    let modified = Modified { secs: 1_600_000_000, nanos: 0 };
    Entry { path, kind, permissions: 0o644, modified, owner: 1000, group: 100, link: None }
}

fn file(path: &str, size: u64) -> Entry<'_> {
    entry(path.as_bytes(), Kind::File { size, digest: None })
}

fn folder(path: &str) -> Entry<'_> {
    let kind = Kind::Directory(if path == "." { Folder::Source } else { Folder::Below });
    Entry { permissions: 0o755, ..entry(path.as_bytes(), kind) }
}

struct OneName;

impl Names for OneName {
    fn user(&self, id: u32) -> Option<Vec<u8>> {
        (id == 1000).then(|| b"ann".to_vec())
    }
    fn group(&self, id: u32) -> Option<Vec<u8>> {
        (id == 0).then(|| b"root".to_vec())
    }
}

fn encoded(class: WireClass, fields: Fields, entries: &[Entry<'_>], errors: IoErrors) -> FileList {
    let mut encoder = Encoder::new(class, fields);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(encoder.push(entry), Ok(index as u32), "{entry:?}");
    }
    encoder.finish(&OneName, errors)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One of each thing that changes the bytes.
fn specimens() -> Vec<Entry<'static>> {
    let later = Modified { secs: 1_600_000_001, nanos: 5 };
    let link = Some((1, 2));
    let device = Kind::Device { form: DeviceForm::Character, major: 1, minor: 3 };
    vec![
        folder("."),
        file("ab", 0x1234),
        Entry { modified: later, link, ..file("abc", 1) },
        Entry { modified: later, link, ..file("abd", 1) },
        Entry { permissions: 0o666, owner: 0, ..entry(b"null", device) },
        entry(b"pipe", Kind::Fifo),
        Entry { permissions: 0o777, ..entry(b"sym", Kind::Symlink { target: b"ab" }) },
        folder("sub"),
    ]
}

/// [`specimens`] without what differs between the classes: flags are `{0}` to `{7}`.
const GOLDEN: &str = "
    {0} 01 2e         000000 5f00105e   ed410000 83e8 64
    {1} 02 6162       003412            a4810000
    {2} 02 01 63      000100 5f01105e {nanos}
    {3} 02 01 64      02
    {4} 04 6e756c6c   000000 5f00105e   b6210000 00 64   01 03
    {5} 04 70697065   000000            a4110000 83e8    {device}
    {6} 03 73796d     000200            ffa10000         02 6162
    {7} 01 02 7562    000000            ed410000
    {end}
    83e8 03 616e6e 00 {root}
    00 {root of groups}";

#[test]
fn each_class_has_the_bytes_that_its_servers_take() {
    let varint = ["01", "8098", "b23a", "8220", "04", "8090", "8098", "80b8"];
    let short = ["01", "98", "3e32", "2402", "01", "90", "98", "b8"];
    let oldest = ["01", "98", "3e12", "2402", "01", "90", "98", "b8"];
    let fields = Fields { hard_links: true, ..Fields::ARCHIVE };
    for (class, flags, nanos, device, end, [root, root_of_groups]) in [
        (WireClass::A, varint, "05", "", "0000", ["00", "04 726f6f74"]),
        (WireClass::B, varint, "05", "", "0000", ["", ""]),
        (WireClass::C, short, "05", "", "00", ["", ""]),
        (WireClass::D, oldest, "", "00 00", "00", ["", ""]),
    ] {
        let rest =
            [("nanos", nanos), ("device", device), ("end", end), ("root", root), ("root of groups", root_of_groups)];
        let mut golden = GOLDEN.to_owned();
        for (at, flags) in flags.into_iter().enumerate() {
            golden = golden.replace(&format!("{{{at}}}"), flags);
        }
        for (name, bytes) in rest {
            golden = golden.replace(&format!("{{{name}}}"), bytes);
        }
        let list = encoded(class, fields, &specimens(), IoErrors::NONE);
        let stream = list.stream(CompatFlags::SAFE_FILE_LIST).concat();
        assert_eq!(hex(&stream), golden.split_whitespace().collect::<String>(), "{class:?}");
    }
}

#[test]
fn errors_at_the_source_are_at_the_end_of_the_list() {
    let errors = IoErrors::UNREADABLE.and(IoErrors::VANISHED);
    for (class, flags, errors, end) in [
        (WireClass::A, CompatFlags::SAFE_FILE_LIST, IoErrors::NONE, "0000"),
        (WireClass::A, CompatFlags::SAFE_FILE_LIST, errors, "0003"),
        (WireClass::C, CompatFlags::SAFE_FILE_LIST, errors, "041003"),
        (WireClass::D, CompatFlags::SYMLINK_TIMES, errors, "00"),
        (WireClass::D, CompatFlags::SAFE_FILE_LIST, IoErrors::NONE, "00"),
    ] {
        let list = encoded(class, Fields::ARCHIVE, &[folder(".")], errors);
        assert_eq!(hex(&list.stream(flags)[1]), end, "{class:?} {errors:?}");
    }
}

#[test]
fn prefixes_and_names_of_more_than_a_byte_have_longer_forms() {
    let (long, longer) = ("x".repeat(300), "x".repeat(600));
    let list =
        encoded(WireClass::C, Fields::default(), &[folder("."), file(&long, 0), file(&longer, 0)], IoErrors::NONE);
    let bytes = hex(&list.stream(CompatFlags::SAFE_FILE_LIST)[0]);
    // All 300 bytes behind a varint; then 255 of them again, and the other 345.
    let expected = [
        "01 01 2e 000000 5f00105e ed410000".to_owned(),
        ["c0 812c", &"78".repeat(300), "000000 a4810000"].join(" "),
        ["e2 ff 8159", &"78".repeat(345), "000000"].join(" "),
    ];
    assert_eq!(bytes, expected.concat().replace(' ', ""));
    assert_eq!(list.get(2).map(|item| item.path), Some(longer.into_bytes()));
}

#[test]
fn a_folder_that_is_only_the_way_to_others_says_so() {
    let alone = entry(b"a", Kind::Directory(Folder::Alone));
    for (class, flags) in [(WireClass::A, "8100"), (WireClass::C, "0401"), (WireClass::D, "0401")] {
        let list = encoded(class, Fields::default(), std::slice::from_ref(&alone), IoErrors::NONE);
        let bytes = hex(&list.stream(CompatFlags::SAFE_FILE_LIST)[0]);
        assert!(bytes.starts_with(&format!("{flags}0161")), "{class:?} {bytes}");
    }
}

#[test]
fn a_major_number_is_known_until_another_one_comes() {
    let device = |path, major| entry(path, Kind::Device { form: DeviceForm::Block, major, minor: 9 });
    let bytes = |major| {
        let entries = [folder("."), device(b"a", 300), file("b", 0), device(b"c", major)];
        encoded(WireClass::A, Fields::ARCHIVE, &entries, IoErrors::NONE).stream(CompatFlags::SAFE_FILE_LIST)[0].len()
    };
    assert_eq!(bytes(300) + 2, bytes(301));
}

#[test]
fn folders_and_lists_without_links_have_no_links() {
    let link = Some((1, 2));
    let entries =
        [folder("."), Entry { link, ..file("a", 0) }, Entry { link, ..folder("b") }, Entry { link, ..folder("c") }];
    for (hard_links, expected) in [(true, [None, Some(1), None, None]), (false, [None; 4])] {
        let fields = Fields { hard_links, ..Fields::ARCHIVE };
        let list = encoded(WireClass::A, fields, &entries, IoErrors::NONE);
        assert_eq!([0, 1, 2, 3].map(|index| list.get(index).unwrap().link), expected);
    }
}

#[test]
fn names_of_owners_are_behind_the_list() {
    let entries = [folder("."), Entry { owner: 0, group: 0, ..file("a", 0) }];
    let numeric = Fields { numeric_ids: true, ..Fields::ARCHIVE };
    let groups_only = Fields { owner: false, ..Fields::ARCHIVE };
    // The row of 1000, ann; an end; for class A the name of 0, which no user has. Then the groups, none of which has one.
    for (class, fields, names) in [
        (WireClass::A, Fields::ARCHIVE, "83e8 03 616e6e 00 00 00 04 726f6f74"),
        (WireClass::B, Fields::ARCHIVE, "83e8 03 616e6e 00 00"),
        (WireClass::D, groups_only, "00"),
        (WireClass::A, numeric, ""),
    ] {
        let list = encoded(class, fields, &entries, IoErrors::NONE);
        let stream = list.stream(CompatFlags::SAFE_FILE_LIST);
        assert_eq!(hex(&stream[2]), names.replace(' ', ""), "{class:?}");
    }
}

#[test]
fn what_would_give_a_wrong_index_or_stop_the_receiver_is_refused() {
    let long = "x".repeat(LONGEST_PATH + 1);
    let target = |target| entry(b"s", Kind::Symlink { target });
    for (before, next, message) in [
        ("b", file("a", 0), "expected sorted entries, but a comes behind b"),
        ("b", file("b", 0), "expected sorted entries, but b comes behind b"),
        ("b", folder("b"), "expected sorted entries, but b comes behind b"),
        ("b", folder("."), "expected sorted entries, but . comes behind b"),
        ("b", target(b""), "expected a symlink's target of 1 to 4095 bytes without NUL at s"),
        ("b", target(long.as_bytes()), "expected a symlink's target of 1 to 4095 bytes without NUL at s"),
        ("b", file("c", 1 << 63), "expected a size of less than 2^63 bytes at c"),
    ] {
        let mut encoder = Encoder::new(WireClass::A, Fields::ARCHIVE);
        encoder.push(&file(before, 0)).unwrap();
        assert_eq!(encoder.push(&next).unwrap_err().to_string(), message);
        assert_eq!(encoder.push(&file("z", 0)), Ok(1), "the refused entry {next:?} left something behind");
    }
    for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b", &long] {
        let refused = Encoder::new(WireClass::A, Fields::ARCHIVE).push(&file(path, 0));
        assert_eq!(refused, Err(ListError::Path(path.into())));
    }
    for (fields, next) in [
        (Fields::default(), target(b"x")),
        (Fields::default(), entry(b"p", Kind::Fifo)),
        (Fields { digest: Some(ChecksumKind::Md5), ..Fields::default() }, file("f", 0)),
    ] {
        let refused = Encoder::new(WireClass::A, fields).push(&next);
        assert_eq!(refused, Err(ListError::Kind(next.path.to_vec())));
    }
}

fn arbitrary_kind() -> impl Strategy<Value = (u8, u64, u32, u32)> {
    (0_u8..7, 0_u64..1 << 63, any::<u32>(), any::<u32>())
}

type Raw = (Vec<u8>, (u8, u64, u32, u32), u32, i64, (u32, u32), Option<u64>);

/// Entries in order, made of what chance gave.
fn sorted(raw: &[Raw]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = raw
        .iter()
        .map(|(path, (kind, size, major, minor), permissions, secs, (owner, group), link)| {
            let kind = match kind {
                0 | 1 => Kind::File { size: *size, digest: Some([*permissions as u8; 16]) },
                2 => Kind::Directory([Folder::Source, Folder::Below, Folder::Alone][(*major % 3) as usize]),
                3 => Kind::Symlink { target: path },
                4 => Kind::Device { form: DeviceForm::Block, major: major % 3, minor: *minor },
                5 => Kind::Fifo,
                _ => Kind::Socket,
            };
            let link = link.filter(|_| !kind.is_directory()).map(|link| (0, link));
            let modified = Modified { secs: *secs, nanos: major % 1_000_000_000 };
            Entry { path, kind, permissions: permissions % 0o1_0000, modified, owner: *owner, group: *group, link }
        })
        .collect();
    let place = |entry: &Entry<'_>| (entry.path.to_vec(), entry.kind.is_directory());
    entries.sort_by(|one, other| {
        let (one, other) = (place(one), place(other));
        order::compare(
            order::Place { path: &one.0, directory: one.1 },
            order::Place { path: &other.0, directory: other.1 },
        )
    });
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(entry.path));
    entries
}

/// What a receiver makes of an entry: a link is what its first link is.
fn received<'a>(entries: &[Entry<'a>], class: WireClass) -> Vec<Entry<'a>> {
    let first = |entry: &Entry<'a>| entries.iter().position(|other| entry.link.is_some() && other.link == entry.link);
    let mut received: Vec<Entry<'a>> = Vec::new();
    for entry in entries {
        let mut whole = match first(entry) {
            Some(at) => Entry { path: entry.path, link: Some((0, at as u64)), ..entries[at].clone() },
            None => entry.clone(),
        };
        if class == WireClass::D {
            whole.modified.nanos = 0;
        }
        received.push(whole);
    }
    received
}

proptest! {
    #[test]
    fn lists_say_what_was_put_into_them(
        raw in prop::collection::vec((
            prop::collection::vec(prop::sample::select(b"ab/-".to_vec()), 1..9).prop_map(|mut path| {
                // Neither empty parts nor slashes at the ends.
                path.dedup_by(|one, other| one == other && *one == b'/');
                let path: Vec<u8> = path.into_iter().skip_while(|byte| *byte == b'/').collect();
                let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
                if end == 0 { b"x".to_vec() } else { path[..end].to_vec() }
            }),
            arbitrary_kind(), any::<u32>(), prop_oneof![Just(5_i64), any::<i64>()],
            prop_oneof![Just((0, 0)), any::<(u32, u32)>()], prop::option::of(0_u64..4),
        ), 0..200),
        class in prop::sample::select(WireClass::ALL.to_vec()),
    ) {
        let fields = Fields { hard_links: true, digest: Some(ChecksumKind::Md5), ..Fields::ARCHIVE };
        let entries = sorted(&raw);
        let list = encoded(class, fields, &entries, IoErrors::NONE);
        let expected = received(&entries, class);
        for (index, expected) in expected.iter().enumerate() {
            prop_assert_eq!(list.get(index as u32), Some(Item::of(expected)));
        }
        prop_assert_eq!(list.get(list.count()), None);
        let mut index = 0;
        list.for_each(|entry| {
            assert_eq!(entry, expected[index]);
            index += 1;
            Ok::<_, Infallible>(())
        }).unwrap();
        let again = list.recoded(class, &OneName).unwrap();
        prop_assert_eq!(again.stream(CompatFlags::SAFE_FILE_LIST), list.stream(CompatFlags::SAFE_FILE_LIST));
    }
}

/// Names, sizes and times as measurements have them, in folders of a thousand.
#[test]
fn a_million_entries_take_less_than_25_bytes_each_and_any_of_them_is_found() {
    let mut encoder = Encoder::new(WireClass::A, Fields::ARCHIVE);
    encoder.push(&folder(".")).unwrap();
    let modified = |number: u64| Modified { secs: 1_600_000_000 + number as i64 % 9_973, nanos: number as u32 * 7 + 1 };
    for place in 0..1_000_u64 {
        let name = format!("folder{place:04}");
        encoder.push(&Entry { modified: modified(place), ..folder(&name) }).unwrap();
        for number in 0..1_000_u64 {
            let path = format!("{name}/measurement-{number:04}.csv");
            let size = (place * 1_000 + number) * 7_919 % 1_000_003;
            encoder.push(&Entry { modified: modified(place * 1_000 + number), ..file(&path, size) }).unwrap();
        }
    }
    let list = encoder.finish(&OneName, IoErrors::NONE);
    assert_eq!(list.count(), 1_001_001);
    let each = list.memory_bytes() as f64 / f64::from(list.count());
    assert!((10.0..25.0).contains(&each), "{each} bytes for each entry");
    // The first folder and its files come behind the root.
    let item = list.get(2 + 1_001 * 700 + 70).unwrap();
    assert_eq!(String::from_utf8_lossy(&item.path), "folder0700/measurement-0070.csv");
}
