use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::archive::{END, Header, HeaderKind, padding};

/// What an archive holds: for each name what it is, and for files what is in them.
type Contents = BTreeMap<Vec<u8>, (Kind, Vec<u8>)>;

/// Reads an archive that comes in pieces of `step` bytes.
fn read(archive: &[u8], step: usize) -> Result<Contents, ArchiveError> {
    let (mut reader, mut contents, mut name) = (Reader::default(), Contents::new(), Vec::new());
    for mut input in archive.chunks(step) {
        while let Some(piece) = reader.next(&mut input)? {
            match piece {
                Piece::Member(member) => {
                    name.clone_from(&member.name);
                    let len = match member.kind {
                        Kind::File { len } => usize::try_from(len).unwrap(),
                        _ => 0,
                    };
                    // Only of archives that are made here.
                    contents.insert(member.name, (member.kind, vec![0; len.min(1 << 20)]));
                }
                Piece::Data { at, bytes } => {
                    let (_, content) = contents.get_mut(&name).unwrap();
                    let at = usize::try_from(at).unwrap();
                    if at + bytes.len() <= content.len() {
                        content[at..at + bytes.len()].copy_from_slice(bytes);
                    }
                }
                Piece::End => {}
            }
        }
        assert!(input.is_empty());
    }
    reader.finish().map(|()| contents)
}

fn made(command: &[&str], folder: &Path, names: &[&[u8]]) -> Vec<u8> {
    let mut tar = Command::new(command[0]);
    tar.args(&command[1..]).args(names.iter().map(|name| OsStr::from_bytes(name)));
    let output = tar.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.stderr.escape_ascii());
    output.stdout
}

#[test]
fn archives_of_every_tar_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = "n".repeat(250);
    let deep = format!("{0}/{0}/{0}", "d".repeat(120));
    fs::create_dir_all(folder.path().join(&deep)).unwrap();
    let names: Vec<Vec<u8>> = [
        b"./plain".to_vec(),
        format!("./{long}").into_bytes(),
        format!("./{deep}/file").into_bytes(),
        b"./a\nb \xff'\"\\".to_vec(),
        b"./empty".to_vec(),
    ]
    .into();
    for (number, name) in names.iter().enumerate() {
        let content = if name == b"./empty" { Vec::new() } else { vec![b'a' + number as u8; 500 + 100 * number] };
        fs::write(folder.path().join(OsStr::from_bytes(name)), content).unwrap();
    }
    symlink(&long, folder.path().join("link")).unwrap();
    fs::hard_link(folder.path().join("plain"), folder.path().join("other")).unwrap();
    let asked: Vec<&[u8]> = names.iter().map(|name| &name[..]).chain([&b"./link"[..], b"./other"]).collect();
    let mut expected: Contents = names
        .iter()
        .map(|name| {
            let content = fs::read(folder.path().join(OsStr::from_bytes(name))).unwrap();
            (name.clone(), (Kind::File { len: content.len() as u64 }, content))
        })
        .collect();
    expected.insert(b"./link".to_vec(), (Kind::Symlink { target: long.into_bytes() }, Vec::new()));
    expected.insert(b"./other".to_vec(), (Kind::HardLink { target: b"./plain".to_vec() }, Vec::new()));
    for tar in [
        &["tar", "cf", "-", "--format=gnu"][..],
        &["tar", "cf", "-", "--format=posix"],
        &["busybox", "tar", "cf", "-"],
        &["bsdtar", "cf", "-"],
        &["bsdtar", "cf", "-", "--format=pax"],
        &["bsdtar", "cf", "-", "--format=gnutar"],
    ] {
        let archive = made(tar, folder.path(), &asked);
        for step in [1, 511, 1 << 20] {
            assert_eq!(read(&archive, step).as_ref(), Ok(&expected), "{tar:?} in steps of {step}");
        }
        // Two behind one another are one.
        assert_eq!(read(&archive.repeat(2), 1000).as_ref(), Ok(&expected), "{tar:?}");
    }
}

#[test]
fn sparse_files_of_every_tar_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("sparse")).unwrap();
    file.set_len(1 << 20).unwrap();
    // More parts than a header, and than the first block behind it, has room for.
    for part in 0..40 {
        file.write_all_at(&[b'a' + (part % 26) as u8; 100], part * 20_000).unwrap();
    }
    let content = fs::read(folder.path().join("sparse")).unwrap();
    for tar in [
        &["tar", "cSf", "-", "--format=gnu"][..],
        &["tar", "cSf", "-", "--format=posix"],
        &["bsdtar", "cf", "-", "--read-sparse"],
        &["bsdtar", "cf", "-", "--format=pax"],
    ] {
        let archive = made(tar, folder.path(), &[b"./sparse"]);
        for step in [1, 700, 1 << 20] {
            let read = read(&archive, step).unwrap();
            let (kind, bytes) = &read[&b"./sparse"[..]];
            assert_eq!(*kind, Kind::File { len: 1 << 20 }, "{tar:?}");
            assert!(*bytes == content, "{tar:?} in steps of {step}");
        }
    }
    for version in ["0.0", "0.1"] {
        let option = format!("--sparse-version={version}");
        let archive = made(&["tar", "cSf", "-", "--format=posix", &option], folder.path(), &[b"./sparse"]);
        let unsupported = ArchiveError::Unsupported { what: "a sparse file of pax format 0" };
        assert_eq!(read(&archive, 1000), Err(unsupported), "{version}");
    }
}

fn header(kind: HeaderKind<'_>) -> Vec<u8> {
    Header { name: b"file", kind, mode: 0o644, mtime: 7, uid: 0, gid: 0 }.to_bytes()
}

/// A header that was changed, with the sum that it has then.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = header(HeaderKind::File { len: 0 });
    block[at..at + bytes.len()].copy_from_slice(bytes);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// An entry whose content belongs to the one behind it.
fn extension(flag: u8, content: &[u8]) -> Vec<u8> {
    let len = format!("{:011o}\0", content.len());
    let mut header = changed(124, len.as_bytes());
    header[156] = flag;
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    [&header, content, padding(content.len() as u64)].concat()
}

#[test]
fn what_no_tar_writes_is_refused() {
    let file = header(HeaderKind::File { len: 0 });
    let mut damaged = file.clone();
    damaged[0] = b'x';
    for (archive, expected) in [
        (damaged, ArchiveError::Checksum),
        (b"HTTP/1.1 200 OK\r\n".repeat(100), ArchiveError::Checksum),
        (changed(0, b"\0"), ArchiveError::Name),
        (changed(124, b"0000000000x\0"), ArchiveError::Number),
        (changed(124, b"0000 000001\0"), ArchiveError::Number),
        (changed(124, b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), ArchiveError::Number),
        (changed(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), ArchiveError::Number),
        (extension(b'L', b""), ArchiveError::Name),
        (extension(b'x', b"5 a=b"), ArchiveError::Pax),
        (extension(b'g', b"10 path=x\n"), ArchiveError::Unsupported { what: "a name or length for all later entries" }),
        (extension(b'L', b"name\0"), ArchiveError::Cut),
        (file[..100].to_vec(), ArchiveError::Cut),
        (header(HeaderKind::File { len: 1 }), ArchiveError::Cut),
        ([header(HeaderKind::File { len: 1 }), vec![b'x']].concat(), ArchiveError::Cut),
    ] {
        assert_eq!(read(&archive, 100), Err(expected), "{}", archive[..512.min(archive.len())].escape_ascii());
    }
    let folder_with_content = [&changed(124, b"00000000001\0")[..], b"x"].concat();
    let mut flagged = folder_with_content;
    flagged[156] = b'5';
    flagged[148..156].fill(b' ');
    let sum: u32 = flagged[..512].iter().map(|&b| u32::from(b)).sum();
    flagged[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(read(&flagged, 100), Err(ArchiveError::Content));
}

#[test]
fn maps_of_sparse_files_that_cannot_be_are_refused() {
    let old = |parts: &[(u64, u64)], stored: u64, len: u64| {
        let mut block = changed(124, format!("{stored:011o}\0").as_bytes());
        block[156] = b'S';
        block[257..265].copy_from_slice(b"ustar  \0");
        for (number, (at, part)) in parts.iter().enumerate() {
            let begin = 386 + 24 * number;
            block[begin..begin + 24].copy_from_slice(format!("{at:011o}\0{part:011o}\0").as_bytes());
        }
        block[483..495].copy_from_slice(format!("{len:011o}\0").as_bytes());
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        [block, vec![b'x'; 512]].concat()
    };
    assert!(read(&old(&[(0, 1), (5, 1)], 2, 6), 100).is_ok());
    for archive in [
        old(&[(5, 1), (0, 1)], 2, 6),
        old(&[(0, 2), (1, 1)], 3, 6),
        old(&[(0, 1), (5, 2)], 3, 6),
        old(&[(0, 1)], 2, 6),
        old(&[(0, 1), (0o77_777_777_777, 0o77_777_777_777)], 2, 6),
    ] {
        assert_eq!(read(&archive, 100), Err(ArchiveError::Sparse));
    }
    let pax = |map: &[u8], stored: u64| {
        let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n27 GNU.sparse.realsize=600\n";
        let file = changed(124, format!("{stored:011o}\0").as_bytes());
        [&extension(b'x', records)[..], &file, map, padding(map.len() as u64), &[b'x'; 512]].concat()
    };
    assert!(read(&pax(b"1\n500\n100\n", 612), 100).is_ok());
    for (map, stored) in [
        (&b"1\n501\n100\n"[..], 612),
        (b"1\n500\n100\n", 613),
        (b"1\n500\n100\n", 100),
        (b"x\n500\n100\n", 612),
        (b"11111111111111111111111111\n", 612),
        (b"9223372036854775807\n0\n1\n", 513),
        (b"\n", 612),
    ] {
        assert_eq!(read(&pax(map, stored), 100).err(), Some(ArchiveError::Sparse), "{}", map.escape_ascii());
    }
}

#[test]
fn what_headers_claim_is_not_allocated() {
    // A length of 2^62, and none of its bytes.
    let claims = changed(124, b"\x80\0\0\0\x40\0\0\0\0\0\0\0");
    let (mut reader, mut input) = (Reader::default(), &claims[..]);
    let piece = reader.next(&mut input).unwrap();
    assert!(matches!(piece, Some(Piece::Member(Member { kind: Kind::File { len }, .. })) if len == 1 << 62));
    assert_eq!(reader.next(&mut input), Ok(None));
    let name = changed(124, format!("{:011o}\0", (1 << 20) + 1).as_bytes());
    let mut long_name = name;
    long_name[156] = b'L';
    long_name[148..156].fill(b' ');
    let sum: u32 = long_name.iter().map(|&b| u32::from(b)).sum();
    long_name[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(read(&long_name, 512), Err(ArchiveError::Name));
}

#[test]
fn numbers_are_read_as_every_tar_writes_them() {
    for (field, expected) in [
        (&b"0000644\0"[..], 0o644),
        (b"   644 \0", 0o644),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", 0x102),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
    ] {
        assert_eq!(signed_number(field), Ok(expected), "{}", field.escape_ascii());
    }
    assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Err(ArchiveError::Number));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes, in whatever pieces: an error or contents, the same ones; and never more bytes than came.
    #[test]
    fn damaged_archives_are_read_alike_in_pieces_of_any_size(
        blows in proptest::collection::vec((0_usize..4096, any::<u8>()), 0..6),
        fix in any::<bool>(),
        cut in 0_usize..4096,
        step in 1_usize..1500,
    ) {
        let mut archive = [
            extension(b'L', b"a long name\0"),
            header(HeaderKind::File { len: 700 }),
            vec![b'x'; 1024],
            extension(b'x', b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n27 GNU.sparse.realsize=600\n"),
            header(HeaderKind::Symlink { target: b"target" }),
            header(HeaderKind::Folder),
            END.to_vec(),
        ]
        .concat();
        for (at, byte) in blows {
            let at = at % archive.len();
            archive[at] = byte;
            if fix {
                let block = at / 512 * 512;
                archive[block + 148..block + 156].fill(b' ');
                let sum: u32 = archive[block..block + 512].iter().map(|&b| u32::from(b)).sum();
                archive[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        archive.truncate(cut);
        let (mut whole, mut input, mut bytes_out) = (Reader::default(), &archive[..], 0);
        while let Ok(Some(piece)) = whole.next(&mut input) {
            if let Piece::Data { bytes, .. } = piece {
                bytes_out += bytes.len();
            }
        }
        prop_assert!(bytes_out <= archive.len());
        prop_assert_eq!(read(&archive, step), read(&archive, 1 << 20));
    }
}
