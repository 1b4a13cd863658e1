//! Trees of files: read into lists, and made by chance.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use fleet_rsync::filter::{EntryKind, Rules, Scope, Verdict};
use fleet_rsync::flist::{DeviceForm, Encoder, Entry, Fields, FileList, Folder, IoErrors, Kind, Modified, Names};
use fleet_rsync::wire::greeting::WireClass;

pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// The names that this machine's tests rely on.
pub(crate) struct Root;

impl Names for Root {
    fn user(&self, id: u32) -> Option<Vec<u8>> {
        (id == 0).then(|| b"root".to_vec())
    }
    fn group(&self, id: u32) -> Option<Vec<u8>> {
        (id == 0).then(|| b"root".to_vec())
    }
}

/// What a source is called at the destination: with a slash behind it nothing, without one its own name, with `-R` that
/// of the folder above it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Contents,
    Itself,
    Relative,
}

/// What is pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) at: &'a Path,
    pub(crate) naming: Naming,
    pub(crate) rules: &'a Rules,
}

impl Source<'_> {
    /// All of it that the rules leave.
    pub(crate) fn list(&self, class: WireClass, fields: Fields, errors: IoErrors) -> FileList {
        let above = self.above();
        let path = self.at.strip_prefix(above).unwrap().as_os_str().as_bytes();
        let mut encoder = Encoder::new(class, fields);
        if self.naming == Naming::Relative {
            let parent = self.at.parent().unwrap();
            push(&mut encoder, fields, parent, parent.file_name().unwrap().as_bytes(), Folder::Alone);
        }
        let (root, below) = if path.is_empty() { (&b"."[..], vec![]) } else { (path, [path, b"/"].concat()) };
        push(&mut encoder, fields, self.at, root, Folder::Source);
        if self.at.is_dir() {
            walk(&mut encoder, fields, &self.rules.scope(above.as_os_str().as_bytes()), self.at, &below);
        }
        encoder.finish(&Root, errors)
    }

    /// The content of an entry.
    pub(crate) fn read(&self, path: &[u8]) -> Vec<u8> {
        fs::read(self.above().join(os(path))).unwrap()
    }

    /// What the names in the list are relative to.
    fn above(&self) -> &Path {
        let kept = match self.naming {
            Naming::Contents => 0,
            Naming::Itself => 1,
            Naming::Relative => 2,
        };
        self.at.ancestors().nth(kept).unwrap()
    }
}

fn walk(encoder: &mut Encoder, fields: Fields, scope: &Scope, folder: &Path, below: &[u8]) {
    let mut rules_of_folder = |name: &[u8]| Ok(fs::read(folder.join(os(name))).ok());
    let scope = scope.enter(below.strip_suffix(b"/").unwrap_or_default(), &mut rules_of_folder).unwrap();
    let wanted = |name: &Vec<u8>, kind| scope.verdict(&[below, name].concat(), kind) == Verdict::Included;
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_vec());
    let (mut folders, mut others): (Vec<_>, Vec<_>) =
        names.partition(|name| folder.join(os(name)).symlink_metadata().unwrap().is_dir());
    folders.retain(|name| wanted(name, EntryKind::Directory));
    others.retain(|name| wanted(name, EntryKind::Other));
    others.sort();
    folders.sort_by_key(|name| [name, &b"/"[..]].concat());
    for name in others {
        push(encoder, fields, &folder.join(os(&name)), &[below, &name].concat(), Folder::Below);
    }
    for name in folders {
        let path = folder.join(os(&name));
        push(encoder, fields, &path, &[below, &name].concat(), Folder::Below);
        walk(encoder, fields, &scope, &path, &[below, &name, b"/"].concat());
    }
}

pub(crate) fn push(encoder: &mut Encoder, fields: Fields, at: &Path, path: &[u8], folder: Folder) {
    let metadata = at.symlink_metadata().unwrap();
    let target = metadata.is_symlink().then(|| fs::read_link(at).unwrap().into_os_string().into_vec());
    let kind = kind(fields, at, folder, &metadata, target.as_deref());
    let entry = Entry {
        path,
        kind,
        permissions: metadata.mode() & 0o7777,
        modified: Modified { secs: metadata.mtime(), nanos: metadata.mtime_nsec() as u32 },
        owner: metadata.uid(),
        group: metadata.gid(),
        link: (metadata.nlink() > 1 && !metadata.is_dir()).then(|| (metadata.dev(), metadata.ino())),
    };
    encoder.push(&entry).unwrap();
}

fn kind<'a>(fields: Fields, at: &Path, folder: Folder, metadata: &Metadata, target: Option<&'a [u8]>) -> Kind<'a> {
    let kind = metadata.file_type();
    let device = |form| {
        let number = metadata.rdev();
        let major = (number >> 8 & 0xfff | number >> 32 & !0xfff) as u32;
        Kind::Device { form, major, minor: (number & 0xff | number >> 12 & !0xff) as u32 }
    };
    match target {
        Some(target) => Kind::Symlink { target },
        None if kind.is_dir() => Kind::Directory(folder),
        None if kind.is_fifo() => Kind::Fifo,
        None if kind.is_socket() => Kind::Socket,
        None if kind.is_block_device() => device(DeviceForm::Block),
        None if kind.is_char_device() => device(DeviceForm::Character),
        None => {
            let digest = fields.digest.map(|digest| digest.digest(&fs::read(at).unwrap()));
            Kind::File { size: metadata.len(), digest }
        }
    }
}

/// What `rsync` itself finds different, with all that it can compare; nothing if the push was right.
pub(crate) fn differences(source: &Path, naming: Naming, destination: &Path) -> String {
    let source = match naming {
        Naming::Contents => source.join(""),
        Naming::Itself => source.to_owned(),
        // What stands behind `/./` is the name.
        Naming::Relative => {
            let above = source.ancestors().nth(2).unwrap();
            [above, Path::new("."), source.strip_prefix(above).unwrap()]
                .map(Path::as_os_str)
                .join(OsStr::new("/"))
                .into()
        }
    };
    let output = Command::new("rsync")
        .args(["-aHnic", "--delete", if naming == Naming::Relative { "-R" } else { "--no-R" }])
        .args([source, destination.join("")])
        .output()
        .expect("rsync is installed and in PATH");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same numbers for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Fills `folder` with names, contents and times that are hard to carry. With the same seed most names are the same as
/// in a tree of another `age`, but much about them differs.
pub(crate) fn fill(folder: &Path, seed: u64, age: u64) {
    let mut same = Chance::new(seed + 1);
    let mut other = Chance::new(seed * 1000 + age + 7);
    fs::create_dir_all(folder).unwrap();
    let mut folders = vec![folder.to_path_buf()];
    for _ in 0..same.below(40) + 2 {
        let parent = folders[same.below(folders.len() as u64) as usize].clone();
        let path = parent.join(OsStr::from_bytes(&name(&mut same)));
        let what = if other.below(8) == 0 { other.below(9) } else { same.below(9) };
        if path.symlink_metadata().is_ok() || other.below(10) == 0 {
            continue;
        }
        make(&path, what, &mut same, &mut other, folder);
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            folders.push(path);
        }
    }
    // From the innermost: a folder's time changes with what is made in it.
    for folder in folders.iter().rev() {
        fs::set_permissions(folder, Permissions::from_mode(other.one_of(&[0o755, 0o700, 0o2770]))).unwrap();
        set_time(folder, other.below(3));
    }
}

fn name(chance: &mut Chance) -> Vec<u8> {
    let length = chance.one_of(&[1, 1, 2, 3, 8, 200]);
    let letters = b"ab-. *\n\x01\xff[?\\'\"z\xc3\xa9~%#";
    let name: Vec<u8> = (0..length).map(|_| chance.one_of(letters)).collect();
    if name.iter().all(|byte| *byte == b'.') { b"dots".to_vec() } else { name }
}

fn make(path: &Path, what: u64, same: &mut Chance, other: &mut Chance, root: &Path) {
    match what {
        0 | 1 => fs::create_dir(path).unwrap(),
        2 => symlink(OsStr::from_bytes(&name(other)), path).unwrap(),
        3 => {
            let first = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file());
            match first {
                Some(first) => fs::hard_link(first, path).unwrap(),
                None => fs::write(path, b"no link").unwrap(),
            }
        }
        4 if other.below(3) == 0 => special(path, other),
        _ => {
            let content = content(same, other);
            fs::write(path, content).unwrap();
            fs::set_permissions(path, Permissions::from_mode(other.one_of(&[0o644, 0o600, 0o755, 0, 0o4711]))).unwrap();
            set_time(path, other.below(5));
        }
    }
}

fn special(path: &Path, chance: &mut Chance) {
    let arguments: &[&str] = match chance.below(4) {
        0 => &["p"],
        1 => &["c", "1", "3"],
        2 => &["b", "7", "300"],
        _ => {
            // The path of a socket is short.
            if path.as_os_str().len() < 100 {
                drop(UnixListener::bind(path).unwrap());
            }
            return;
        }
    };
    let status = Command::new("mknod").arg(path).args(arguments).status().unwrap();
    assert!(status.success(), "devices can be made: the tests run as root");
}

/// Content of which the most is the same at another age.
fn content(same: &mut Chance, other: &mut Chance) -> Vec<u8> {
    let length = same.one_of(&[0, 1, 700, 5000, 40_000, 300_000]);
    let compressible = same.below(2) == 0;
    let mut content: Vec<u8> =
        (0..length).map(|at: u64| if compressible { (at / 100 % 251) as u8 } else { same.below(256) as u8 }).collect();
    for _ in 0..other.below(4) {
        let at = other.below(content.len() as u64 + 1) as usize;
        match other.below(3) {
            0 => content.insert(at, b'!'),
            1 => content.truncate(content.len() - content.len() / 8),
            _ => content.extend_from_slice(b"appended"),
        }
    }
    content
}

fn set_time(path: &Path, choice: u64) {
    let time = match choice {
        // Behind what 32 bits with a sign can count.
        0 => UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        1 => UNIX_EPOCH + Duration::new(1_500_000_000, 123_456_789),
        _ => UNIX_EPOCH + Duration::from_secs(1_500_000_000),
    };
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// Fills `folder` with names that rules like to be about, and files of rules.
pub(crate) fn fill_plainly(folder: &Path, seed: u64) {
    let mut chance = Chance::new(seed);
    let names = ["a", "b.o", "keep", "tmp", "c", "keep.o", ".rules"];
    for _ in 0..40 {
        let depth = chance.below(4);
        let parent = (0..depth).fold(folder.to_path_buf(), |parent, _| parent.join(chance.one_of(&names[..6])));
        let name = chance.one_of(&names);
        let content = if name == ".rules" { chance.one_of(&["- tmp\n", "+ keep\n- k*\n", "- /c\n"]) } else { "x" };
        // Where a file is in the way of a folder, or the reverse, the tree has one less.
        if fs::create_dir_all(&parent).is_ok() {
            let _ =
                fs::write(parent.join(name), content.repeat(1 + usize::from(content == "x" && chance.below(2) == 0)));
        }
    }
}
