//! The program that receives files on a host, and what it says when it refuses them.
//!
//! It reads a tar archive from its standard input into a folder beside the targets, and renames what is in it only when
//! all is there and verified. Whatever ends it before leaves nothing behind; after `kill -9` its folder stays, and the
//! next copy into the same folder removes it. What the archive has to hold is in `copy_in.sh` and `copy_commit.sh`.
//!
//! Must not know of SSH, of files on this machine, nor what is copied.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use super::quote::sh_quote;
use super::{IDENTITY, Program, Token, WrapError, push_all, refuse_nul, without_comments};
use fleet_core::size;

static COPY_IN: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_in.sh")));
static COPY_DIGEST: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_digest.sh")));
static COPY_CKSUM: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_cksum.sh")));
static COPY_LOOK: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_look.sh")));
static COPY_COMMIT: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("copy_commit.sh")));

/// Where copies go on a host. Names are bytes, relative to the folder of the login unless they begin with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing<'a> {
    /// Into this folder, under their own names.
    Folder(&'a [u8]),
    /// One file or symlink gets this name; but when it is that of a folder, it goes into it under its own name.
    Name(&'a [u8]),
    /// One file or symlink gets this name, and a folder there is in the way.
    File(&'a [u8]),
}

/// What is done when the folder of the landing is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingFolder {
    /// Nothing is copied.
    #[default]
    Refuse,
    /// It is made, with what is missing above it; and removed again when nothing is copied after all.
    Make,
}

/// How the archive comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    #[default]
    Plain,
    /// Through gzip: one member, or many one after the other.
    Gzip,
}

/// By what a host finds out that what it has received is what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// The length and the CRC of POSIX `cksum`: enough for what SSH has brought. A host without it receives nothing.
    #[default]
    Cksum,
    /// SHA-256, by whatever program the host has for it, or `cksum` where there is none.
    Sha256,
}

/// What of the archive's headers is kept, beside the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    /// The permission bits. Files are of now, and of the user who copies.
    #[default]
    Permissions,
    /// All bits of the mode, times, and for root the numbers of owner and group.
    All,
}

/// What becomes of a file that is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replaced {
    /// It is gone.
    #[default]
    Gone,
    /// It is kept as `NAME~`.
    Kept,
}

/// Files to be received on a host.
#[derive(Clone, Copy, Debug)]
pub struct CopyIn<'a> {
    /// Where they go.
    pub landing: Landing<'a>,
    /// What is done when that folder is missing.
    pub missing: MissingFolder,
    /// The room that they take on the host; `None` when it is not known.
    pub needed_kib: Option<u64>,
    /// How they come.
    pub packing: Packing,
    /// How they are verified.
    pub verify: Verify,
    /// What is kept of their headers.
    pub attributes: Attributes,
    /// Whose they are then, as `chown` takes it: `OWNER`, `OWNER:GROUP` or `:GROUP`.
    pub owner: Option<&'a str>,
    /// What becomes of those that they replace.
    pub replaced: Replaced,
}

/// The command, for any login shell, that receives files on its standard input. `mark` names the folder for the time of
/// the copy, and must be one that no other copy has.
///
/// It prints nothing on standard output. Its status is 0 when all is in place, and then it says so on standard error
/// ([`copy_is_done`]); what it says otherwise reads [`CopyRefusal::find`].
///
/// # Errors
/// When a NUL is in the name of the landing or in the owner.
pub fn copy_in_command(copy: &CopyIn<'_>, mark: &Token) -> Result<Vec<u8>, WrapError> {
    let [before, program] = copy_in_program(copy, mark)?;
    Ok(Program([before, program].concat()).command_line())
}

/// The program in two parts: what defines variables and functions, and what reads standard input.
pub(super) fn copy_in_program(copy: &CopyIn<'_>, mark: &Token) -> Result<[Vec<u8>; 2], WrapError> {
    let owner = copy.owner.unwrap_or_default().as_bytes();
    refuse_nul(owner, || "the owner".to_owned())?;
    let needed = copy.needed_kib.map(|kib| kib.to_string()).unwrap_or_default();
    let flags = match copy.attributes {
        Attributes::Permissions => "pom",
        Attributes::All => "p",
    };
    let mut program = landing_variables(&copy.landing, copy.missing, mark)?;
    for (variable, value) in [
        ("needed", needed.as_bytes()),
        ("gzip", yes(copy.packing == Packing::Gzip).as_bytes()),
        ("flags", flags.as_bytes()),
        ("owner", owner),
        ("backup", yes(copy.replaced == Replaced::Kept).as_bytes()),
    ] {
        push_all(&mut program, &[variable.as_bytes(), b"=", &sh_quote(value), b"\n"]);
    }
    let find_digest = match copy.verify {
        Verify::Cksum => &COPY_CKSUM,
        Verify::Sha256 => &COPY_DIGEST,
    };
    push_all(&mut program, &[IDENTITY.as_bytes(), find_digest.as_bytes()]);
    Ok([program, COPY_IN.as_bytes().to_vec()])
}

/// The beginning of a script that says what there is already of what is to be copied. What to look for follows it, as
/// `copy_look.sh` has it; its answer begins behind the line of [`look_mark`].
///
/// # Errors
/// When a NUL is in the name of the landing.
pub fn copy_look(landing: &Landing<'_>, missing: MissingFolder, mark: &Token) -> Result<Vec<u8>, WrapError> {
    let mut script = landing_variables(landing, missing, mark)?;
    push_all(&mut script, &[COPY_DIGEST.as_bytes(), COPY_LOOK.as_bytes()]);
    Ok(script)
}

/// How the first line of the answer to [`copy_look`] begins. What follows in it says where the copies go.
#[must_use]
pub fn look_mark(mark: &Token) -> Vec<u8> {
    format!("\x1efleet {} ", mark.as_str()).into_bytes()
}

/// What the programs know of where copies go.
fn landing_variables(landing: &Landing<'_>, missing: MissingFolder, mark: &Token) -> Result<Vec<u8>, WrapError> {
    let (Landing::Folder(path) | Landing::Name(path) | Landing::File(path)) = *landing;
    refuse_nul(path, || "the destination".to_owned())?;
    let path = tidy_path(path);
    let (folder, name) = match landing {
        Landing::Folder(_) => (&path[..], &b""[..]),
        Landing::Name(_) | Landing::File(_) => folder_and_name(&path),
    };
    let into = if matches!(landing, Landing::File(_)) { &b""[..] } else { &path };
    let mut variables = Vec::new();
    for (variable, value) in [
        ("token", mark.as_str().as_bytes()),
        ("folder", folder),
        ("into", into),
        ("as", &no_option(name)),
        ("mkdirs", yes(missing == MissingFolder::Make).as_bytes()),
    ] {
        push_all(&mut variables, &[variable.as_bytes(), b"=", &sh_quote(value), b"\n"]);
    }
    Ok(variables)
}

fn yes(wanted: bool) -> &'static str {
    if wanted { "yes" } else { "" }
}

/// Whether all is in place, by all that the command of [`copy_in_command`] with this mark has said on standard error. A
/// status of 0 alone may come from something that a server runs in its stead.
#[must_use]
pub fn copy_is_done(stderr: &[u8], mark: &Token) -> bool {
    let line = format!("\x1efleet {} done\n", mark.as_str());
    stderr.windows(line.len()).any(|window| window == line.as_bytes())
}

/// The shell text that the archive brings along as `commit`.
#[must_use]
pub fn copy_commit() -> &'static str {
    &COPY_COMMIT
}

/// The name of a copy, relative, as a word of the shell that no program takes for an option or for its standard input.
#[must_use]
pub fn copy_name(name: &[u8]) -> Vec<u8> {
    sh_quote(&no_option(name))
}

fn no_option(name: &[u8]) -> Cow<'_, [u8]> {
    if name.starts_with(b"-") { [b"./", name].concat().into() } else { name.into() }
}

/// The folder of a landing, and the name in it if that has one, both without what does not belong there: the folder begins
/// with `/` or `./`, or is `.`.
#[must_use]
pub fn landing_place(landing: Landing<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    match landing {
        Landing::Folder(path) => (tidy_path(path), None),
        Landing::Name(path) | Landing::File(path) => {
            let into = tidy_path(path);
            let (folder, name) = folder_and_name(&into);
            (folder.to_vec(), Some(name.to_vec()).filter(|name| !name.is_empty()))
        }
    }
}

/// `path` without empty and `.` parts, beginning with `/` or `./` unless it is `.`: no shell looks for it elsewhere, and
/// no program takes it for an option.
fn tidy_path(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let root: &[u8] = match (path.first(), parts.is_empty()) {
        (Some(b'/'), _) => b"/",
        (_, true) => b".",
        (_, false) => b"./",
    };
    [root, &parts.join(&b'/')].concat()
}

/// What stands before the last slash of a tidy path, and behind it; no name where it can only be a folder's.
fn folder_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) if !matches!(&path[slash + 1..], b"" | b"..") => {
            (if slash == 0 { b"/" } else { &path[..slash] }, &path[slash + 1..])
        }
        _ => (path, b""),
    }
}

/// Why files were not copied to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The disk is too full, or a quota is used up.
    NoRoom,
    /// The folder where they were to go is missing.
    NoFolder,
    /// The user is not allowed to.
    Denied,
    /// What is there is of another kind: a folder where a file would go, or the other way round.
    Conflict,
    /// The stream ended before its end.
    Cut,
    /// What arrived is not what was sent.
    Damaged,
    /// A program that is needed is missing.
    NoTar,
    /// No program is there by which it was to verify what arrives.
    NoDigest,
    /// The file system is mounted read-only.
    ReadOnly,
    /// Some are in place and some are not: a rename failed.
    HalfDone,
    /// Something else.
    Failed,
}

impl RefusalKind {
    const ALL: [(&'static str, Self); 11] = [
        ("no-room", Self::NoRoom),
        ("no-folder", Self::NoFolder),
        ("denied", Self::Denied),
        ("conflict", Self::Conflict),
        ("cut", Self::Cut),
        ("damaged", Self::Damaged),
        ("no-tar", Self::NoTar),
        ("no-digest", Self::NoDigest),
        ("read-only", Self::ReadOnly),
        ("half-done", Self::HalfDone),
        ("failed", Self::Failed),
    ];

    /// What to do next, where that is known.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::NoFolder => Some("--mkdirs makes the folders that are missing"),
            Self::Denied => Some("--sudo copies as root"),
            _ => None,
        }
    }
}

/// What the host says when it does not copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRefusal {
    /// What kind it is.
    pub kind: RefusalKind,
    said: String,
}

impl CopyRefusal {
    /// One that was found without the program; of [`RefusalKind::NoRoom`] see [`Self::no_room`].
    #[must_use]
    pub fn new(kind: RefusalKind, said: impl Into<String>) -> Self {
        Self { kind, said: said.into() }
    }

    /// Of the room that is needed and that is free, in KiB.
    #[must_use]
    pub fn no_room(needed_kib: u64, free_kib: u64) -> Self {
        Self::new(RefusalKind::NoRoom, format!("{needed_kib} {free_kib}"))
    }

    /// The refusal in `stderr`, all that the command of [`copy_in_command`] with this mark has said there; `None` when
    /// it has not come to one.
    #[must_use]
    pub fn find(stderr: &[u8], mark: &Token) -> Option<Self> {
        let start = format!("\x1efleet {} error ", mark.as_str()).into_bytes();
        let at = stderr.windows(start.len()).position(|window| window == start)?;
        let line = stderr[at + start.len()..].split(|&b| b == b'\n').next()?;
        let line = String::from_utf8_lossy(line.trim_ascii());
        let (name, said) = line.split_once(' ').unwrap_or((&line, ""));
        let kind = RefusalKind::ALL.into_iter().find(|(known, _)| *known == name)?.1;
        Some(Self { kind, said: said.trim().to_owned() })
    }
}

impl fmt::Display for CopyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = &self.said;
        match self.kind {
            RefusalKind::NoRoom => match room(said) {
                Some((needed, free)) if needed > free => {
                    let [needed, free, missing] = [needed, free, needed - free].map(size::shown);
                    write!(f, "not enough room: {needed} needed, {free} free, {missing} missing")
                }
                Some((_, free)) => write!(f, "not enough room: {} free, and more needed", size::shown(free)),
                None => write!(f, "not enough room: {said}"),
            },
            RefusalKind::NoFolder => write!(f, "the folder {said}"),
            RefusalKind::Denied => write!(f, "not allowed: {said}"),
            RefusalKind::Conflict => write!(f, "in the way: {said}"),
            RefusalKind::Cut => write!(f, "not all arrived: {said}"),
            RefusalKind::Damaged => write!(f, "damaged on the way: {said}"),
            RefusalKind::NoTar => write!(f, "the host cannot receive files: {said}"),
            RefusalKind::NoDigest => f.write_str(
                "the host cannot verify files: there is none of cksum, sha256sum, shasum, sha256 and openssl",
            ),
            RefusalKind::ReadOnly => write!(f, "the file system is read-only: {said}"),
            RefusalKind::HalfDone => write!(f, "half done: {said}"),
            RefusalKind::Failed => write!(f, "the copy failed: {said}"),
        }
    }
}

/// The two numbers, needed and free, in bytes.
fn room(said: &str) -> Option<(u64, u64)> {
    let (needed, free) = said.split_once(' ')?;
    let bytes = |kib: &str| kib.parse::<u64>().ok()?.checked_mul(1024);
    Some((bytes(needed)?, bytes(free)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{RemoteCommand, StdinMode, wrap};
    use super::*;

    fn copy(landing: Landing<'_>) -> CopyIn<'_> {
        CopyIn {
            landing,
            missing: MissingFolder::Make,
            needed_kib: Some(u64::MAX),
            packing: Packing::Gzip,
            verify: Verify::Cksum,
            attributes: Attributes::All,
            owner: Some("somebody:somebody"),
            replaced: Replaced::Kept,
        }
    }

    /// Dropbear takes 9,000 bytes; the rest is for the names of the landing.
    #[test]
    fn our_part_of_the_command_line_is_small() {
        let token = Token::new(u64::MAX);
        let command = copy_in_command(&copy(Landing::Folder(b"/")), &token).unwrap();
        let (env, stdin, grace) = (Vec::new(), StdinMode::Passed, Duration::from_secs(100));
        let line = wrap(&RemoteCommand { command, env, stdin, grace }, &token).unwrap();
        assert!(line.len() < 8000, "{}", line.len());
    }

    #[test]
    fn names_that_no_argument_can_hold_are_refused() {
        let token = Token::new(1);
        assert!(matches!(copy_in_command(&copy(Landing::Name(b"a\0b")), &token), Err(WrapError::Nul { .. })));
        let owner = CopyIn { owner: Some("\0"), ..copy(Landing::Name(b"a")) };
        assert!(matches!(copy_in_command(&owner, &token), Err(WrapError::Nul { .. })));
    }

    #[test]
    fn a_path_is_no_option_and_has_one_form() {
        for (path, tidy, folder, name) in [
            ("/", "/", "/", ""),
            ("//", "/", "/", ""),
            ("/a", "/a", "/", "a"),
            ("/a//b/", "/a/b", "/a", "b"),
            ("a", "./a", ".", "a"),
            ("-a/./b", "./-a/b", "./-a", "b"),
            (".", ".", ".", ""),
            ("", ".", ".", ""),
            ("./.", ".", ".", ""),
            ("..", "./..", "./..", ""),
            ("a/..", "./a/..", "./a/..", ""),
        ] {
            let path = tidy_path(path.as_bytes());
            assert_eq!(path, tidy.as_bytes());
            assert_eq!(folder_and_name(&path), (folder.as_bytes(), name.as_bytes()), "{tidy}");
        }
    }

    #[test]
    fn refusals_are_read_among_other_words() {
        let line = |words: &str| format!("motd\n\x1efleet 00000000000000ab error {words}\nlogout\n");
        for (stderr, expected) in [
            (line("no-folder /x is missing"), Some("the folder /x is missing")),
            (line("no-room 4 3"), Some("not enough room: 4.1 kB needed, 3.1 kB free, 1.0 kB missing")),
            (line("no-room 0 0"), Some("not enough room: 0 B free, and more needed")),
            (line("no-room 1200000 300000"), Some("not enough room: 1.2 GB needed, 307 MB free, 922 MB missing")),
            (line("no-room 5 "), Some("not enough room: 5")),
            (line("no-room 99999999999999999999 1"), Some("not enough room: 99999999999999999999 1")),
            (line("no-room mv: disk quota exceeded"), Some("not enough room: mv: disk quota exceeded")),
            (line("cut \r"), Some("not all arrived: ")),
            (line("unknown kind"), None),
            (line("cut x").replace("ab", "ac"), None),
            (String::new(), None),
        ] {
            let found = CopyRefusal::find(stderr.as_bytes(), &Token::new(0xab));
            assert_eq!(found.map(|refusal| refusal.to_string()).as_deref(), expected, "{stderr}");
        }
    }
}
