//! Files listed and read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use fleet_transfer::sftp::pull::{FileEnd, Found, Listing, PullSink, Wanted, fetch, list, tail_offset};
use fleet_transfer::sftp::{Client, FileKind, Status};

use crate::host::{Host, noise};

const MOST: usize = 10_000;

async fn listed(host: &Host, patterns: &[&str]) -> Listing {
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    host.ask(async |client| list(&client, &patterns, MOST).await.unwrap()).await
}

/// Each name with where it is, when that is elsewhere, and what it is.
fn told(listing: &Listing) -> Vec<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let found = |found: &Found| {
        let kind = match (found.attributes.kind(), &found.target) {
            (FileKind::Symlink, Some(target)) => format!("-> {}", text(target)),
            (kind, _) => format!("{kind:?}"),
        };
        format!("{} [{}] {kind}", text(&found.path), text(found.name()))
    };
    let missed = listing.missed.iter().map(|missed| format!("{}: {}", text(&missed.path), missed.refusal));
    listing.found.iter().map(found).chain(missed).collect()
}

#[tokio::test]
async fn names_and_patterns_mean_what_they_mean_to_a_shell() {
    let host = Host::new();
    host.has(&[
        ("log", None),
        ("log/app", None),
        ("log/app/a.log", Some("a")),
        ("log/app/b.log", Some("b")),
        ("log/app/.hidden.log", Some("h")),
        ("log/app/a*", Some("star")),
        ("log/db", None),
        ("log/db/a.log", Some("d")),
        ("file", Some("f")),
    ]);
    std::os::unix::fs::symlink("db", host.home().join("log/link")).unwrap();
    for (patterns, expected) in [
        (
            &["log/*/a.log"][..],
            &["log/app/a.log [a.log] File", "log/db/a.log [a.log] File", "log/link/a.log [a.log] File"][..],
        ),
        (&["log/app/*.log"], &["log/app/a.log [a.log] File", "log/app/b.log [b.log] File"]),
        (&["log/app/.h*"], &["log/app/.hidden.log [.hidden.log] File"]),
        (&["log/app/a\\*"], &["log/app/a* [a*] File"]),
        (&["log/d*/"], &["log/db [db] Folder", "log/db/a.log [db/a.log] File"]),
        (&["log/link"], &["log/link [link] -> db"]),
        (&["log/link/"], &["log/link [link] Folder", "log/link/a.log [link/a.log] File"]),
        (&["log/db/."], &["log/db/. [] Folder", "log/db/./a.log [a.log] File"]),
        (&["file", "f*"], &["file [file] File"]),
        (
            &["fi?e", "none", "x*"],
            &["file [file] File", "none: no such file or directory", "x*: no such file or directory"],
        ),
    ] {
        assert_eq!(told(&listed(&host, patterns).await), expected, "{patterns:?}");
    }
    let absolute = format!("{}/f*", host.home().display());
    assert_eq!(listed(&host, &[&absolute]).await.found[0].name(), b"file");
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_missed_and_the_others_are_listed() {
    let host = Host::new().of_user();
    host.has(&[("x", None), ("x/closed", None), ("x/open", None), ("x/open/a", Some("a"))]);
    fs::set_permissions(host.home().join("x/closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let expected = [
        "x [x] Folder",
        "x/closed [x/closed] Folder",
        "x/open [x/open] Folder",
        "x/open/a [x/open/a] File",
        "x/closed: permission denied",
    ];
    assert_eq!(told(&listed(&host, &["x"]).await), expected);
}

#[tokio::test]
async fn more_names_than_are_wanted_are_refused() {
    let host = Host::new();
    for number in 0..50 {
        fs::write(host.home().join(number.to_string()), "").unwrap();
    }
    let listing = host.ask(async |client| list(&client, &[b".".to_vec()], 40).await).await;
    assert_eq!(listing.unwrap_err().to_string(), "the server answers with more names than are taken from one host");
}

/// A file's path and offset, what came of it, and how it ended.
type Fetched = (Vec<u8>, u64, Vec<u8>, Option<FileEnd>);

/// What came of each file.
#[derive(Default)]
struct Taken(Vec<Fetched>);

impl PullSink for Taken {
    type Error = std::convert::Infallible;

    async fn begin(&mut self, file: &Wanted) -> Result<(), Self::Error> {
        self.0.push((file.path.clone(), file.offset, Vec::new(), None));
        Ok(())
    }

    async fn data(&mut self, bytes: Bytes) -> Result<(), Self::Error> {
        self.0.last_mut().unwrap().2.extend_from_slice(&bytes);
        Ok(())
    }

    async fn end(&mut self, file: &Wanted, end: FileEnd) -> Result<(), Self::Error> {
        let last = self.0.last_mut().unwrap();
        assert_eq!((&last.0, &last.3), (&file.path, &None));
        last.3 = Some(end);
        Ok(())
    }
}

async fn fetched(client: &Client, wanted: Vec<Wanted>) -> Taken {
    let mut taken = Taken::default();
    fetch(client, wanted, &mut taken).await.unwrap();
    taken
}

#[tokio::test]
async fn files_of_all_lengths_come_whole_and_in_order() {
    const PIECE: usize = 32 * 1024;
    let host = Host::new();
    let lens = [0, 1, PIECE - 1, PIECE, PIECE + 1, 5_000_000, 3 * PIECE];
    let mut wanted = Vec::new();
    for (number, len) in lens.into_iter().cycle().take(100).enumerate() {
        let name = number.to_string();
        fs::write(host.home().join(&name), noise(len)).unwrap();
        let offset = if number % 3 == 0 { len as u64 / 2 } else { 0 };
        wanted.push(Wanted { path: name.into_bytes(), offset, len: len as u64 });
    }
    let taken = host.ask(async |client| fetched(&client, wanted.clone()).await).await;
    assert_eq!(taken.0.len(), wanted.len());
    for (wanted, (path, offset, content, end)) in wanted.iter().zip(&taken.0) {
        assert_eq!((path, offset, end), (&wanted.path, &wanted.offset, &Some(FileEnd::Whole)));
        let expected = noise(usize::try_from(wanted.len).unwrap());
        assert!(content == &expected[usize::try_from(*offset).unwrap()..], "{wanted:?}");
    }
}

#[tokio::test]
async fn how_a_file_ended_is_told_and_the_others_come() {
    let host = Host::new().of_user();
    host.has(&[("closed", Some("x"))]);
    fs::set_permissions(host.home().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::write(host.home().join("file"), noise(100_000)).unwrap();
    let wanted = |path: &str, len| Wanted { path: path.into(), offset: 0, len };
    let all = vec![
        wanted("none", 1),
        wanted("file", 100),
        wanted("file", 99_999),
        wanted("file", 100_001),
        wanted("closed", 1),
        wanted("file", 10_000_000),
        wanted("file", 100_000),
    ];
    let taken = host.ask(async |client| fetched(&client, all).await).await;
    let ends: Vec<(usize, String)> = taken
        .0
        .into_iter()
        .map(|(_, _, content, end)| {
            let end = match end.unwrap() {
                FileEnd::Refused(refusal) => format!("{:?}", refusal.status),
                end => format!("{end:?}"),
            };
            (content.len(), end)
        })
        .collect();
    let expected = [
        (0, format!("{:?}", Status::NoSuchFile)),
        (100, "Grown { len: 100000 }".to_owned()),
        (99_999, "Grown { len: 100000 }".to_owned()),
        (100_000, "Shrunk".to_owned()),
        (0, format!("{:?}", Status::PermissionDenied)),
        (100_000, "Shrunk".to_owned()),
        (100_000, "Whole".to_owned()),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test]
async fn the_last_lines_of_a_file_are_found() {
    let host = Host::new();
    let long = "x".repeat(300_000);
    for (content, lines, expected) in [
        ("a\nb\nc\n", 1, "c\n"),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\nc\n", 9, "a\nb\nc\n"),
        ("a\n\n\n", 2, "\n\n"),
        ("", 3, ""),
        (&format!("a\n{long}\nb\n"), 1, "b\n"),
        (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        (&long, 1, &long),
        ("a\n", 0, ""),
    ] {
        fs::write(host.home().join("file"), content).unwrap();
        let len = content.len() as u64;
        let start = host.ask(async |client| tail_offset(&client, b"file", len, lines).await.unwrap()).await;
        assert!(&content[usize::try_from(start).unwrap()..] == expected, "{lines} of {:.20}", content);
    }
}
