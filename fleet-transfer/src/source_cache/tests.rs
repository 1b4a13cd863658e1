//! Readers of files made for the purpose, on a clock that stands still unless all wait.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::MultiGzDecoder;
use futures::poll;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;
use crate::digest::Digester;
use crate::manifest::EntryKind;
use crate::scan::{ScanSettings, scan};

const MIB: usize = 1 << 20;
/// Room for eight chunks.
const BUDGET: usize = 2 * MIB;

/// `[name]` before each content.
struct Named;

impl Framing for Named {
    fn before(&self, entry: &Entry) -> Vec<u8> {
        format!("[{}]", entry.path.display()).into()
    }

    fn after(&self, len: u64) -> usize {
        usize::from(len > 0)
    }
}

/// Files in a folder, and their cache.
struct Case {
    folder: TempDir,
    manifest: Arc<Manifest>,
    cache: SourceCache,
}

impl Case {
    fn new(files: &[(&str, usize)], packing: Packing) -> Self {
        Self::with(files, packing, BUDGET, &[])
    }

    /// New groups begin at the entries `cuts`.
    fn with(files: &[(&str, usize)], packing: Packing, budget_bytes: usize, cuts: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, len) in files {
            fs::write(folder.path().join(name), content(name, *len)).unwrap();
        }
        fs::create_dir(folder.path().join("zz-folder")).unwrap();
        let source = format!("{}/", folder.path().display());
        let scanned = scan(Path::new(&source), &ScanSettings::default()).unwrap();
        let manifest = Arc::new(Manifest { entries: scanned.entries, problems: Vec::new() });
        let bounds = [&[0], cuts, &[manifest.entries.len()]].concat();
        let groups = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let cache = SourceCache::new(SourceSettings {
            manifest: Arc::clone(&manifest),
            framing: Arc::new(Named),
            packing,
            budget_bytes,
            groups,
            verify: Verify::Cksum,
        });
        Self { folder, manifest, cache }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn reader(&self) -> SourceReader {
        self.cache.reader(self.manifest.all())
    }

    /// What a host gets of these entries, as long as nothing fails.
    fn stream(&self, entries: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries.into_iter().map(|entry| &self.manifest.entries[entry]) {
            bytes.extend(Named.before(entry));
            if let EntryKind::File { len } = entry.kind {
                bytes.extend(content(&entry.path.to_string_lossy(), usize::try_from(len).unwrap()));
                bytes.extend(vec![0; Named.after(len)]);
            }
        }
        bytes
    }

    fn all(&self) -> Vec<u8> {
        self.stream(0..self.manifest.entries.len())
    }

    fn bytes(&self) -> u64 {
        self.manifest.totals(&self.manifest.all()).bytes
    }

    fn read_bytes(&self) -> u64 {
        self.cache.counters().read_bytes
    }
}

/// Bytes that are at no other place, nor in another file.
fn content(name: &str, len: usize) -> Vec<u8> {
    let seed = name.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut bytes = Vec::with_capacity(len + 8);
    for at in 0..len.div_ceil(8) as u64 {
        bytes.extend_from_slice(&(seed ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

async fn rest(reader: &mut SourceReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece.bytes);
    }
    bytes
}

async fn first(reader: &mut SourceReader, pieces: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..pieces {
        bytes.extend_from_slice(&reader.next().await.unwrap().bytes);
    }
    bytes
}

/// Reads all with each of them, one behind the other; the streams must be right.
async fn read_all(case: &Case, readers: impl IntoIterator<Item = SourceReader>) {
    let expected = Arc::new(case.all());
    let reading = readers.into_iter().map(|mut reader| {
        let expected = Arc::clone(&expected);
        tokio::spawn(async move { assert!(rest(&mut reader).await == *expected) })
    });
    for done in futures::future::join_all(reading).await {
        done.unwrap();
    }
}

fn digest(case: &Case, names: &[&str]) -> Digest {
    let mut digester = Digester::new(Verify::Cksum);
    for name in names {
        let entry = case.manifest.entries.iter().find(|entry| entry.path == Path::new(name)).unwrap();
        let EntryKind::File { len } = entry.kind else { panic!("{name} is no file") };
        digester.start_file();
        digester.update(&content(name, usize::try_from(len).unwrap()));
    }
    digester.finish()
}

fn failures(reader: &SourceReader, case: &Case) -> Vec<(String, String)> {
    let prefix = format!("{}/", case.folder.path().display());
    let shown = |(entry, error): (&usize, &Arc<SourceError>)| {
        (case.manifest.entries[*entry].path.display().to_string(), error.to_string().replace(&prefix, ""))
    };
    reader.failures().iter().map(shown).collect()
}

const MIXED: [(&str, usize); 6] = [("a", 10), ("b", 0), ("c", 700_000), ("d", 300_000), ("e", 262_144), ("f", 5)];

#[tokio::test(start_paused = true)]
async fn whatever_the_number_of_readers_each_byte_is_read_once() {
    for packing in [Packing::Plain, Packing::Gzip] {
        let case = Case::with(&MIXED, packing, 2 * BUDGET, &[]);
        let mut readers: Vec<_> = (0..7).map(|_| case.reader()).collect();
        let mut last = readers.pop().unwrap();
        let expected = Arc::new(case.all());
        let reading = readers.into_iter().map(|mut reader| {
            let expected = Arc::clone(&expected);
            tokio::spawn(async move {
                let bytes = rest(&mut reader).await;
                assert!(unpacked(&bytes, packing) == *expected);
                assert!(reader.failures().is_empty());
            })
        });
        for done in futures::future::join_all(reading).await {
            done.unwrap();
        }
        assert!(unpacked(&rest(&mut last).await, packing) == *expected);
        let counters = case.cache.counters();
        let delivered_bytes = 7 * expected.len() as u64;
        assert_eq!((counters.read_bytes, counters.delivered_bytes, counters.alone), (case.bytes(), delivered_bytes, 0));
        let all = GroupDigest { entries: 0..7, digest: digest(&case, &["a", "b", "c", "d", "e", "f"]) };
        assert_eq!(last.digests().await.unwrap(), [all]);
        assert_eq!(case.read_bytes(), case.bytes(), "digests read nothing again");
    }
}

fn unpacked(bytes: &[u8], packing: Packing) -> Vec<u8> {
    if packing == Packing::Plain {
        return bytes.to_vec();
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_stuck_holds_the_others_for_a_second_and_then_reads_alone() {
    let case = Case::new(&[("big", 8 * MIB)], Packing::Plain);
    let mut stuck = case.reader();
    let mut got = first(&mut stuck, 1).await;
    let start = Instant::now();
    read_all(&case, (0..3).map(|_| case.reader())).await;
    assert_eq!(start.elapsed().as_millis(), 1000);
    assert_eq!((case.read_bytes(), case.cache.counters().alone), (case.bytes(), 1));
    got.extend(rest(&mut stuck).await);
    assert!(got == case.all());
    assert!(case.read_bytes() > case.bytes() && case.read_bytes() < 2 * case.bytes());
    let counters = case.cache.counters();
    assert!(counters.peak_bytes <= BUDGET && counters.peak_alone_bytes <= PIECE_LEN, "{counters:?}");
    assert_eq!(stuck.digests().await.unwrap()[0].digest, digest(&case, &["big"]));
}

#[tokio::test(start_paused = true)]
async fn the_fewer_go_alone_also_when_they_are_the_fast_ones() {
    let case = Case::new(&[("big", 8 * MIB)], Packing::Plain);
    let mut slow: Vec<_> = (0..3).map(|_| case.reader()).collect();
    let mut begun = Vec::new();
    for reader in &mut slow {
        begun.push(first(reader, 1).await);
    }
    let mut fast = case.reader();
    assert!(rest(&mut fast).await == case.all());
    let before = case.read_bytes();
    let expected = Arc::new(case.all());
    let reading = slow.into_iter().zip(begun).map(|(mut reader, mut bytes)| {
        let expected = Arc::clone(&expected);
        tokio::spawn(async move {
            bytes.extend(rest(&mut reader).await);
            assert!(bytes == *expected);
        })
    });
    for done in futures::future::join_all(reading).await {
        done.unwrap();
    }
    assert_eq!(case.cache.counters().alone, 1);
    assert!(case.read_bytes() - before < case.bytes(), "the slow ones share what they read");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_costs_the_others_a_second_for_each_budget_at_most() {
    let case = Case::new(&[("big", 12 * MIB)], Packing::Plain);
    let mut slow = case.reader();
    let expected = case.all();
    let slow = tokio::spawn(async move {
        let mut bytes = Vec::new();
        while let Some(piece) = slow.next().await {
            bytes.extend_from_slice(&piece.bytes);
            sleep(Duration::from_millis(200)).await;
        }
        bytes
    });
    let start = Instant::now();
    read_all(&case, [case.reader(), case.reader()]).await;
    let waited = start.elapsed();
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
    assert!(slow.await.unwrap() == expected);
    assert_eq!(case.cache.counters().alone, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_not_too_slow_stays_with_the_others_to_the_end() {
    let case = Case::new(&[("big", 12 * MIB)], Packing::Plain);
    let paced = |mut reader: SourceReader, pause: u64| async move {
        while reader.next().await.is_some() {
            sleep(Duration::from_millis(pause)).await;
        }
    };
    let slower = tokio::spawn(paced(case.reader(), 100));
    tokio::join!(paced(case.reader(), 10), paced(case.reader(), 10));
    slower.await.unwrap();
    assert_eq!((case.read_bytes(), case.cache.counters().alone), (case.bytes(), 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_late_holds_nobody_up() {
    let case = Case::new(&[("big", 8 * MIB)], Packing::Plain);
    let mut early = case.reader();
    let mut got = first(&mut early, 20).await;
    let mut late = case.reader();
    let start = Instant::now();
    assert!(rest(&mut late).await == case.all());
    got.extend(rest(&mut early).await);
    assert!(got == case.all());
    assert_eq!((start.elapsed(), case.cache.counters().alone), (Duration::ZERO, 1));
    drop((early, late));
    let before = case.read_bytes();
    read_all(&case, (0..3).map(|_| case.reader())).await;
    assert!(case.read_bytes() - before <= case.bytes(), "the next wave shares again");
}

#[test]
fn readers_that_are_dropped_in_the_middle_hold_nobody() {
    // Nothing is read while something else takes the only thread for it.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let case = Case::new(&[("big", 8 * MIB)], Packing::Plain);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let _taken = tokio::task::spawn_blocking(move || held.recv());
        // Dropped while its read is under way.
        let mut reading = case.reader();
        assert!(poll!(std::pin::pin!(reading.next())).is_pending());
        let mut behind = case.reader();
        let mut waiting = case.reader();
        drop((reading, release));
        first(&mut behind, 1).await;
        assert!(case.read_bytes() <= 2 * CHUNK_LEN as u64, "what it had begun is not read again");
        // Dropped while it waits for room, with a chunk that is claimed: nothing of what is kept has been taken by all.
        first(&mut waiting, 9).await;
        assert!(case.cache.0.memory.try_reserve(1).is_none());
        assert!(poll!(std::pin::pin!(waiting.next())).is_pending());
        drop(waiting);
        let start = Instant::now();
        let late = case.reader();
        drop(behind);
        read_all(&case, [late, case.reader()]).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(case.cache.counters().alone, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_as_listed_is_left_out_and_the_others_are_sent() {
    let case = Case::new(
        &[("a", 10), ("grown", 700_000), ("touched", 20), ("shrunk", 30), ("gone", 40), ("z", 50)],
        Packing::Plain,
    );
    fs::write(case.path("grown"), content("grown", 700_001)).unwrap();
    File::open(case.path("touched")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    fs::write(case.path("shrunk"), "").unwrap();
    fs::remove_file(case.path("gone")).unwrap();
    let kept = case.stream((0..case.manifest.entries.len()).filter(|entry| {
        let path = &case.manifest.entries[*entry].path;
        ["a", "z", "zz-folder"].iter().any(|name| path == Path::new(name))
    }));
    for _ in 0..2 {
        let mut reader = case.reader();
        assert!(rest(&mut reader).await == kept);
        let expected = [
            ("gone", "gone cannot be read: no such file or directory"),
            ("grown", "grown changed while it was read"),
            ("shrunk", "shrunk changed while it was read"),
            ("touched", "touched changed while it was read"),
        ];
        let failures = failures(&reader, &case);
        let failures: Vec<_> = failures.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(failures, expected);
        assert_eq!(reader.digests().await.unwrap()[0].digest, digest(&case, &["a", "z"]));
    }
    assert_eq!(case.read_bytes(), 60);
}

/// What happens to a file, and its name.
type Change = (&'static str, fn(&Path));

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_in_the_middle_ends_in_zeros_and_fails() {
    let changes: [Change; 3] = [
        ("shorter", |path| File::options().write(true).open(path).unwrap().set_len(400_000).unwrap()),
        ("longer", |path| File::options().write(true).open(path).unwrap().set_len(4_000_000).unwrap()),
        ("touched", |path| File::open(path).unwrap().set_modified(UNIX_EPOCH).unwrap()),
    ];
    for (how, change) in changes {
        let files = [("a", 10), ("big", 3 * MIB), ("c", 30)];
        let case = Case::with(&files, Packing::Plain, 2 * BUDGET, &[]);
        let mut reader = case.reader();
        let mut other = case.reader();
        let mut bytes = first(&mut reader, 3).await;
        change(&case.path("big"));
        bytes.extend(rest(&mut reader).await);
        let expected = case.all();
        assert_eq!(bytes.len(), expected.len(), "{how}");
        assert!(bytes.ends_with(&case.stream([2, 3])) && bytes[..300_000] == expected[..300_000], "{how}");
        let failed = vec![("big".to_owned(), "big changed while it was read".to_owned())];
        assert_eq!(failures(&reader, &case), failed, "{how}");
        assert_eq!(reader.digests().await.unwrap()[0].digest, digest(&case, &["a", "c"]), "{how}");
        assert!(rest(&mut other).await == bytes, "{how}: what one got, all get");
        assert_eq!(failures(&other, &case), failed, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_cannot_be_read_fails_its_file_only() {
    fn broken(file: &File, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        let start = buffer.len();
        buffer.resize(start + len, 0xff);
        if offset <= 600_000 && offset + len as u64 > 600_000 {
            return Err(io::Error::other("the disk is on fire"));
        }
        file.read_exact_at(&mut buffer[start..], offset)
    }
    let mut case = Case::new(&[("a", 10), ("big", MIB), ("c", 30)], Packing::Plain);
    Arc::get_mut(&mut case.cache.0).unwrap().files.read_at = broken;
    let mut reader = case.reader();
    let bytes = rest(&mut reader).await;
    assert!(bytes.len() == case.all().len() && bytes.ends_with(&case.stream([2, 3])));
    assert!(!bytes.windows(16).any(|window| window == [0xff; 16]), "zeros, and nothing of what was read");
    let failed = vec![("big".to_owned(), "big cannot be read: the disk is on fire".to_owned())];
    assert_eq!(failures(&reader, &case), failed);
    assert_eq!(reader.digests().await.unwrap()[0].digest, digest(&case, &["a", "c"]));
}

#[tokio::test(start_paused = true)]
async fn a_reader_alone_notices_that_a_file_is_no_longer_what_the_others_got() {
    let case = Case::new(&[("big", 8 * MIB), ("c", 30)], Packing::Plain);
    let modified = File::open(case.path("big")).unwrap().metadata().unwrap().modified().unwrap();
    let mut stuck = case.reader();
    first(&mut stuck, 1).await;
    read_all(&case, (0..2).map(|_| case.reader())).await;
    fs::rename(case.path("big"), case.path("old")).unwrap();
    fs::write(case.path("big"), content("other", 8 * MIB)).unwrap();
    File::open(case.path("big")).unwrap().set_modified(modified).unwrap();
    rest(&mut stuck).await;
    assert_eq!(failures(&stuck, &case)[0].1, "big changed while it was read");
    assert_eq!(stuck.digests().await.unwrap()[0].digest, digest(&case, &["c"]));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_stays_below_the_budget_whatever_the_readers_do() {
    for seed in 0..4 {
        for packing in [Packing::Plain, Packing::Gzip] {
            let case = Case::new(&[("a", 400_000), ("b", 3 * MIB), ("c", 100), ("d", 3 * MIB)], packing);
            let expected = Arc::new(case.all());
            let readers = (0..6u64).map(|number| {
                let (mut reader, expected) = (case.reader(), Arc::clone(&expected));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut at = 0u64;
                    while let Some(piece) = reader.next().await {
                        bytes.extend_from_slice(&piece.bytes);
                        at += 1;
                        let pause = (seed * 7 + number * 13 + at * number) % 40 * number;
                        sleep(Duration::from_millis(pause * seed)).await;
                        drop(piece);
                    }
                    assert!(unpacked(&bytes, packing) == *expected);
                })
            });
            for done in futures::future::join_all(readers).await {
                done.unwrap();
            }
            let counters = case.cache.counters();
            assert!(counters.peak_bytes <= BUDGET, "{counters:?}");
            let alone = usize::try_from(counters.alone).unwrap();
            assert!(counters.peak_alone_bytes <= alone * room_for(PIECE_LEN, packing), "{counters:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_hold_all_memory_in_their_hands_stop_nobody() {
    let case = Case::new(&[("big", 8 * MIB)], Packing::Plain);
    let mut hands = Vec::new();
    let mut holder = case.reader();
    for _ in 0..BUDGET / CHUNK_LEN {
        hands.push(holder.next().await.unwrap());
    }
    drop(holder);
    let mut reader = case.reader();
    let start = Instant::now();
    assert!(rest(&mut reader).await == case.all());
    assert_eq!((start.elapsed().as_millis(), case.cache.counters().alone), (1000, 1));
}

#[tokio::test(start_paused = true)]
async fn each_host_gets_its_own_files_and_all_are_read_once() {
    for packing in [Packing::Plain, Packing::Gzip] {
        let names = [("a", 400_000), ("own1", 10), ("own2", 300_000), ("own3", 20), ("z", 30)];
        let case = Case::with(&names, packing, BUDGET, &[1, 4]);
        let host = |own: usize| Selection::of([0..1, own..own + 1, 4..6]);
        let mut readers: Vec<_> = (1..=3).map(|own| case.cache.reader(host(own))).collect();
        for (own, reader) in (1..=3).zip(&mut readers) {
            assert!(unpacked(&rest(reader).await, packing) == case.stream([0, own, 4, 5]), "{own}");
        }
        assert_eq!(case.read_bytes(), case.bytes());
        for (name, reader) in ["own1", "own2", "own3"].into_iter().zip(&readers) {
            let digests = reader.digests().await.unwrap();
            let expected = [vec!["a"], vec![name], vec!["z"]].map(|names| digest(&case, &names));
            assert_eq!(digests.into_iter().map(|group| group.digest).collect::<Vec<_>>(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_need_only_some_files_share_them_and_their_digest() {
    let case = Case::new(&MIXED, Packing::Plain);
    let some = || case.cache.reader(Selection::of([0..1, 3..5]));
    let mut readers = [some(), some()];
    for reader in &mut readers {
        assert!(rest(reader).await == case.stream([0, 3, 4]));
    }
    let read = case.read_bytes();
    assert!(read < case.bytes(), "c is not wanted, and not read");
    let expected = digest(&case, &["a", "d", "e"]);
    for reader in &readers {
        assert_eq!(reader.digests().await.unwrap()[0].digest, expected);
    }
    assert_eq!(case.read_bytes() - read, 10 + 300_000 + 262_144, "for the digest, once");
    let mut whole = case.reader();
    assert!(rest(&mut whole).await == case.all());
    assert_eq!(whole.digests().await.unwrap()[0].digest, digest(&case, &["a", "b", "c", "d", "e", "f"]));
    let case = Case::with(&MIXED, Packing::Plain, 2 * BUDGET, &[]);
    read_all(&case, [case.reader()]).await;
    let mut few = case.cache.reader(Selection::of([4..5, 5..6]));
    rest(&mut few).await;
    assert_eq!(few.digests().await.unwrap()[0].digest, digest(&case, &["e", "f"]), "not that of all");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_host_that_does_not_want_the_file() {
    let case = Case::new(&[("a", MIB), ("big", 8 * MIB), ("c", MIB)], Packing::Plain);
    let mut stuck = case.cache.reader(Selection::of([0..1, 2..3]));
    let mut got = first(&mut stuck, 1).await;
    let start = Instant::now();
    let mut other = case.cache.reader(Selection::of([1..2, 3..4]));
    assert!(rest(&mut other).await == case.stream([1, 3]));
    assert_eq!((start.elapsed(), case.cache.counters().alone), (Duration::ZERO, 0));
    got.extend(rest(&mut stuck).await);
    assert!(got == case.stream([0, 2]));
}

#[tokio::test]
async fn nothing_to_send_is_nothing() {
    let case = Case::new(&[], Packing::Plain);
    assert!(case.cache.reader(Selection::of([])).next().await.is_none());
    let mut reader = case.reader();
    assert_eq!(rest(&mut reader).await, b"[zz-folder]");
    assert_eq!(reader.digests().await.unwrap(), []);
}

#[tokio::test]
async fn a_piece_says_which_files_are_in_it() {
    let case = Case::new(&[("a", 3), ("b", 2)], Packing::Plain);
    let mut reader = case.cache.reader(Selection::of([1..2, 2..3]));
    let piece = reader.next().await.unwrap();
    assert_eq!(&piece.bytes[..3], b"[b]");
    let parts: Vec<_> =
        piece.parts.iter().map(|part| (part.entry, part.offset, &piece.bytes[part.content.clone()])).collect();
    assert_eq!(parts, [(1, 0, &content("b", 2)[..]), (2, 0, &b""[..])]);
    assert_eq!(piece.content_bytes(), 2);
}

#[test]
fn no_bytes_grow_beyond_what_is_reserved_for_them() {
    for len in [0, 1, 100, 65_536, CHUNK_LEN] {
        let packed = compress(&content("random", len));
        assert!(packed.len() <= most_compressed(len), "{len}: {}", packed.len());
    }
}
