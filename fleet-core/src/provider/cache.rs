//! What providers said, kept for a minute in the user's cache folder.
//!
//! A file holds the answer to one request: a line of JSON about it, then its records, packed. It is written under another name and
//! renamed, so that nobody ever reads half of one; what is broken, foreign, or about something else is passed over, and
//! written anew. Must not know how a provider is asked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::matches::is_like;
use super::packed::{pack, unpack};
use super::program::Surroundings;
use super::protocol::Record;

/// How long an answer is used.
pub const TTL: Duration = Duration::from_secs(60);
/// How long a file is kept that nobody has written anew.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Changes with what is written.
const FORMAT: u32 = 2;
const PREFIX: &str = "provider-";
const SUFFIX: &str = ".answer";
const FOLDER_MODE: u32 = 0o700;

/// Whether what a provider said a moment ago is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// It is, for [`TTL`].
    #[default]
    Use,
    /// No: the provider is asked, and its answer kept.
    Refresh,
    /// Nothing is read or kept.
    Off,
}

/// The folder of kept answers, if the user has one.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
    pub(super) ttl: Duration,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) records: Vec<Arc<Record>>,
    pub(super) warnings: Vec<String>,
    pub(super) fetched: SystemTime,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// What was asked of whom, in full: the name of the file is only its hash.
    key: String,
    fetched_unix_millis: u64,
    /// How many records follow.
    records: usize,
    warnings: Vec<String>,
    /// Names of the variables that the answer depends on, with wildcards.
    environment: Vec<String>,
    /// The hash of those variables.
    variables: String,
}

impl Cache {
    /// The user's own (XDG Base Directory Specification): `fleet` in `$XDG_CACHE_HOME` or `~/.cache`.
    pub(super) fn of(surroundings: &Surroundings) -> Self {
        let absolute = |name| surroundings.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { folder: cache.map(|cache| cache.join("fleet")), ttl: TTL }
    }

    /// The answer to `key` that was kept no longer ago than this cache keeps it, under the same variables. One that claims to come
    /// from the future is not used: the clock was set back.
    pub(super) fn get(&self, key: &Key<'_>, variables: &Variables, now: SystemTime) -> Option<Kept> {
        let path = self.folder.as_ref()?.join(key.file_name());
        let text = read_own(&path).ok()?;
        let (header, rest) = split_line(&text)?;
        let header: Header = serde_json::from_slice(header).ok()?;
        let fetched = UNIX_EPOCH + Duration::from_millis(header.fetched_unix_millis);
        let is_fresh = now.duration_since(fetched).is_ok_and(|age| age <= self.ttl);
        let is_meant = header.format == FORMAT && header.key == key.text;
        if !is_fresh || !is_meant || header.variables != digest_of(variables, &header.environment) {
            return None;
        }
        let records = unpack(rest).filter(|records| records.len() == header.records)?;
        Some(Kept { records, warnings: header.warnings, fetched })
    }

    /// Keeps an answer, and removes files that nobody needs any more.
    ///
    /// # Errors
    /// When it cannot be written: then it is just not kept.
    pub(super) fn put(
        &self,
        key: &Key<'_>,
        variables: &Variables,
        environment: &[String],
        kept: &Kept,
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        make(folder)?;
        let since_1970 = kept.fetched.duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            format: FORMAT,
            key: key.text.clone(),
            fetched_unix_millis: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            records: kept.records.len(),
            warnings: kept.warnings.clone(),
            environment: environment.to_vec(),
            variables: digest_of(variables, environment),
        };
        let mut text = serde_json::to_vec(&header)?;
        text.push(b'\n');
        text.extend(pack(&kept.records).ok_or(io::ErrorKind::FileTooLarge)?);
        // Readable by its owner only from the start.
        let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        file.write_all(&text)?;
        file.persist(folder.join(key.file_name()))?;
        sweep(folder, SystemTime::now());
        Ok(())
    }
}

/// All variables of the environment.
pub(super) type Variables = BTreeMap<OsString, OsString>;

/// What was asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    /// The provider's name, which can be part of a file's.
    pub(super) provider: &'a str,
    /// Everything that the answer depends on but the environment.
    pub(super) text: String,
}

impl Key<'_> {
    fn file_name(&self) -> String {
        format!("{PREFIX}{}-{}{SUFFIX}", self.provider, hexadecimal(&Sha256::digest(&self.text)[..16]))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash of the variables whose names are meant by `names`. They may be secrets, so they are not kept themselves.
fn digest_of(variables: &Variables, names: &[String]) -> String {
    let is_meant = |name: &OsString| names.iter().any(|pattern| is_like(&name.to_string_lossy(), pattern));
    let mut hash = Sha256::new();
    for (name, value) in variables.iter().filter(|(name, _)| is_meant(name)) {
        for text in [name, value] {
            hash.update(text.len().to_le_bytes());
            hash.update(text.as_encoded_bytes());
        }
    }
    hexadecimal(&hash.finalize())
}

/// A file of ours that nobody else can have written.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if !ours || !metadata.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.read_to_end(&mut text)?;
    Ok(text)
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

/// Makes the folder if necessary, for its owner only.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    if fs::metadata(folder)?.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))?;
    }
    Ok(())
}

/// Removes files of ours that are old: answers, and what a tool left that died while it wrote one.
fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > KEPT));
        if ours && is_old {
            // Another tool may have done it first.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::json;

    use super::*;

    /// A cache in a folder that does not exist yet, and that folder's parent.
    fn cache() -> (tempfile::TempDir, Cache) {
        let root = tempfile::tempdir().unwrap();
        let surroundings = Surroundings::new(None, [("XDG_CACHE_HOME".into(), root.path().join("cache").into())]);
        (root, Cache::of(&surroundings))
    }

    fn key(text: &str) -> Key<'static> {
        Key { provider: "ec2", text: text.to_owned() }
    }

    fn kept(hosts: usize) -> Kept {
        let record = |number| {
            let tags = json!({"Role": "web", "Note": "a \u{1b}[31m,\n\u{fc}=", "Number": format!("{number}")});
            let record = json!({"id": format!("i-{number}"), "tags": tags, "facts": {"sg": ["a", "b"], "az": "a"}});
            Arc::new(serde_json::from_value(record).unwrap())
        };
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let fetched = UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap());
        Kept { records: (0..hosts).map(record).collect(), warnings: vec!["slow".to_owned()], fetched }
    }

    fn variables(variables: &[(&str, &str)]) -> Variables {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_comes_back_for_a_minute() {
        let (_root, cache) = cache();
        let (kept, none) = (kept(3), Variables::new());
        cache.put(&key("k"), &none, &[], &kept).unwrap();
        for (age_secs, found) in [(0, true), (59, true), (60, true), (61, false), (-1, false), (-100_000, false)] {
            let age = Duration::from_secs(i64::unsigned_abs(age_secs));
            let now = if age_secs < 0 { kept.fetched - age } else { kept.fetched + age };
            assert_eq!(cache.get(&key("k"), &none, now).is_some(), found, "{age_secs}");
        }
        assert_eq!(cache.get(&key("k"), &none, kept.fetched), Some(kept.clone()));
        assert_eq!(cache.get(&key("other"), &none, kept.fetched), None);
        assert_eq!(cache.get(&Key { provider: "x", ..key("k") }, &none, kept.fetched), None);
    }

    #[test]
    fn many_records_come_back_in_their_order() {
        let (_root, cache) = cache();
        let (kept, none) = (kept(5003), Variables::new());
        cache.put(&key("k"), &none, &[], &kept).unwrap();
        assert!(cache.get(&key("k"), &none, kept.fetched).as_ref() == Some(&kept));
    }

    #[test]
    fn only_its_owner_can_read_it() {
        let (root, cache) = cache();
        let folder = root.path().join("cache/fleet");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        cache.put(&key("k"), &Variables::new(), &[], &kept(1)).unwrap();
        let file = folder.join(key("k").file_name());
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.get(&key("k"), &Variables::new(), SystemTime::now()), None, "anybody may have written it");
    }

    #[test]
    fn an_answer_counts_only_under_the_variables_it_depends_on() {
        let (_root, cache) = cache();
        let kept = kept(1);
        let before = variables(&[("AWS_PROFILE", "dev"), ("PWD", "/a")]);
        cache.put(&key("k"), &before, &["AWS_*".to_owned(), "REGION".to_owned()], &kept).unwrap();
        for (now, found) in [
            (variables(&[("AWS_PROFILE", "dev"), ("PWD", "/b")]), true),
            (variables(&[("AWS_PROFILE", "prod"), ("PWD", "/a")]), false),
            (variables(&[("PWD", "/a")]), false),
            (variables(&[("AWS_PROFILE", "dev"), ("REGION", "x")]), false),
            (variables(&[("AWS_PROFILE", ""), ("AWS_REGION", "dev")]), false),
        ] {
            assert_eq!(cache.get(&key("k"), &now, kept.fetched).is_some(), found, "{now:?}");
        }
    }

    #[test]
    fn a_broken_or_foreign_file_is_passed_over_and_written_anew() {
        let (root, cache) = cache();
        let (kept, none) = (kept(2), Variables::new());
        cache.put(&key("k"), &none, &[], &kept).unwrap();
        let file = root.path().join("cache/fleet").join(key("k").file_name());
        let good = fs::read(&file).unwrap();
        let (header, packed) = good.split_at(split_line(&good).unwrap().0.len() + 1);
        let header = std::str::from_utf8(header).unwrap();
        let with = |from: &str, to: &str| [header.replace(from, to).as_bytes(), packed].concat();
        for (name, broken) in [
            ("empty", Vec::new()),
            ("no line", b"x".to_vec()),
            ("binary", b"\0\n\0".to_vec()),
            ("cut in a record", good[..good.len() - 5].to_vec()),
            ("cut behind the first line", header.as_bytes().to_vec()),
            ("one record too many", with("\"records\":2", "\"records\":1")),
            ("one record too few", with("\"records\":2", "\"records\":3")),
            ("something behind it", [&good[..], b"x"].concat()),
            ("another key of the same hash", with("\"key\":\"k\"", "\"key\":\"l\"")),
            ("another format", with(&format!("\"format\":{FORMAT}"), "\"format\":0")),
        ] {
            assert_ne!(broken, good, "{name}");
            fs::write(&file, &broken).unwrap();
            assert_eq!(cache.get(&key("k"), &none, kept.fetched), None, "{name}");
            cache.put(&key("k"), &none, &[], &kept).unwrap();
            assert_eq!(cache.get(&key("k"), &none, kept.fetched).as_ref(), Some(&kept), "{name}");
        }
    }

    #[test]
    fn without_a_folder_nothing_is_kept_and_nothing_fails() {
        for variables in [vec![], vec![("XDG_CACHE_HOME".into(), "relative".into())]] {
            let cache = Cache::of(&Surroundings::new(None, variables));
            cache.put(&key("k"), &Variables::new(), &[], &kept(1)).unwrap();
            assert_eq!(cache.get(&key("k"), &Variables::new(), SystemTime::now()), None);
        }
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::of(&Surroundings::new(None, [("HOME".into(), home.path().into())]));
        cache.put(&key("k"), &Variables::new(), &[], &kept(1)).unwrap();
        assert!(home.path().join(".cache/fleet").join(key("k").file_name()).is_file());
    }

    #[test]
    fn tools_that_write_at_once_leave_one_whole_answer() {
        let (root, cache) = cache();
        let none = Variables::new();
        thread::scope(|scope| {
            for hosts in 1..=4 {
                let (cache, none) = (&cache, &none);
                scope.spawn(move || {
                    for _ in 0..50 {
                        cache.put(&key("k"), none, &[], &kept(hosts)).unwrap();
                        // Another may write between the look at the clock and the look at the file.
                        let later = SystemTime::now() + Duration::from_secs(10);
                        let found = cache.get(&key("k"), none, later).expect("there is always a whole one");
                        assert!((1..=4).contains(&found.records.len()));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(root.path().join("cache/fleet")).unwrap().count(), 1);
    }

    #[test]
    fn files_that_nobody_needs_are_removed() {
        let (root, cache) = cache();
        let folder = root.path().join("cache/fleet");
        cache.put(&key("old"), &Variables::new(), &[], &kept(1)).unwrap();
        let old = folder.join(key("old").file_name());
        let (left, others) = (folder.join("provider-Xa7"), folder.join("notes"));
        fs::write(&left, "half").unwrap();
        fs::write(&others, "").unwrap();
        for path in [&old, &left, &others] {
            let yesterday = SystemTime::now() - KEPT - Duration::from_secs(60);
            File::options().write(true).open(path).unwrap().set_modified(yesterday).unwrap();
        }
        cache.put(&key("new"), &Variables::new(), &[], &kept(1)).unwrap();
        assert!(!old.exists() && !left.exists() && others.exists());
        assert!(folder.join(key("new").file_name()).exists());
    }
}
