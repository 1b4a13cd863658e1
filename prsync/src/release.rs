//! Releases at a destination: each in a folder of its own, and a symlink says which one is in use.
//!
//! | path below the destination | what |
//! | --- | --- |
//! | `releases/ID` | a whole release; in the order of their names they are in the order of time |
//! | `releases/.ID` | one that is being brought, or was given up |
//! | `current` | the symlink, to `releases/ID` |
//!
//! Gives texts for the hosts' `/bin/sh`, of one line, as not all shells of users take more between quotes. Must not know how they
//! get there.

use std::num::NonZeroU32;

use fleet_core::record::RunId;
use fleet_ssh::remote::sh_quote;

/// Into which folder: `$1` is the destination. `cd` does not look elsewhere.
const ENTER: &str = "unset CDPATH; LC_ALL=C; export LC_ALL; cd \"$1/releases\" || exit 1; ";
/// `current` may not be something else, which would be lost.
const CHECK: &str = "if [ -L ../current ]; then :; elif [ -e ../current ]; then \
    echo \"$1/current is not a symlink: releases need that name\" >&2; exit 1; fi; ";
/// Lets `current` lead to `releases/$to`, in one step. GNU, busybox and BSD each have a way to rename onto a symlink.
const LINK: &str = "was=$(readlink ../current); was=${was#releases/}; rm -f \"../.current-$to\"; \
    ln -s \"releases/$to\" \"../.current-$to\" || exit 1; \
    mv -fT \"../.current-$to\" ../current 2>/dev/null || mv -fh \"../.current-$to\" ../current 2>/dev/null || \
    { rm -f \"../.current-$to\"; echo \"cannot replace $1/current\" >&2; exit 1; }; ";
/// Removes releases until `$3` are left, the oldest first, and what was given up on former days.
const PRUNE: &str = "n=0; for r in [0-9]*-[0-9]*-*; do [ -d \"$r\" ] && n=$((n + 1)); done; \
    for r in [0-9]*-[0-9]*-*; do [ \"$n\" -gt \"$3\" ] || break; \
    if [ -d \"$r\" ] && [ \"$r\" != \"$2\" ]; then rm -rf \"./$r\" && n=$((n - 1)); fi; done; \
    for r in .[0-9]*-[0-9]*-*; do day=${r#.}; \
    if [ -d \"$r\" ] && [ \"${day%%-*}\" -lt \"${2%%-*}\" ]; then rm -rf \"./$r\"; fi; done; ";
const READ: &str = "if [ -L ../current ]; then used=$(readlink ../current); echo \"${used#releases/}\"; fi;";
const SAY: &str = "if [ -n \"$was\" ] && [ \"$was\" != \"$to\" ]; then echo \"current: $to (was $was)\"; \
    else echo \"current: $to\"; fi";

/// A release that is brought to all hosts of a run.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// The same on all hosts.
    pub(crate) id: RunId,
    /// How many are left there afterwards, this one included.
    pub(crate) keep: NonZeroU32,
}

impl Release {
    /// Where it is brought to.
    fn folder(&self, root: &[u8]) -> Vec<u8> {
        [root, b"/releases/.", self.id.as_str().as_bytes(), b"/"].concat()
    }

    /// Makes room for it, and says what is in use.
    pub(crate) fn begin(&self, root: &[u8]) -> Vec<u8> {
        let text = format!("mkdir -p \"$1/releases/.$2\" || exit 1; {ENTER}{CHECK}{READ}");
        script(&text, &[root, self.name()])
    }

    /// Gives it up.
    pub(crate) fn abandon(&self, root: &[u8]) -> Vec<u8> {
        script(&format!("{ENTER}rm -rf \"./.$2\""), &[root, self.name()])
    }

    /// Takes it into use, and removes old ones. Says so in a line.
    pub(crate) fn switch(&self, root: &[u8]) -> Vec<u8> {
        let text = format!("{ENTER}{CHECK}to=$2; [ -d \"$to\" ] || mv \".$to\" \"$to\" || exit 1; {LINK}{PRUNE}{SAY}");
        script(&text, &[root, self.name(), self.keep.to_string().as_bytes()])
    }

    fn name(&self) -> &[u8] {
        self.id.as_str().as_bytes()
    }
}

/// Says what is in use, if anything is.
pub(crate) fn look(root: &[u8]) -> Vec<u8> {
    script(&format!("if [ -d \"$1/releases\" ]; then {ENTER}{READ} fi"), &[root])
}

/// Where the server is to work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) folder: Vec<u8>,
    /// An option that says where there is a copy of what has not changed.
    pub(crate) link: Option<Vec<u8>>,
}

impl Target {
    /// A folder as it is.
    pub(crate) fn plain(folder: &[u8]) -> Self {
        Self { folder: folder.to_owned(), link: None }
    }
}

impl Release {
    /// Where it is brought to, when `said` is in use there. Not by way of the symlink, as a server follows none that another
    /// user has made.
    pub(crate) fn target(&self, root: &[u8], said: &str) -> Target {
        let link = said.parse().ok().map(|used: RunId| format!("--link-dest=../{used}").into_bytes());
        Target { folder: self.folder(root), link }
    }

    /// What it is compared with if nothing is to be changed: what is in use, or what is not there.
    pub(crate) fn compared(&self, root: &[u8], said: &str) -> Target {
        Target::plain(&match said.parse() {
            Ok::<RunId, _>(used) => [root, b"/releases/", used.as_str().as_bytes(), b"/"].concat(),
            Err(_) => [root, b".", self.name(), b"/"].concat(),
        })
    }
}

/// Takes the release into use that was there before the one in use. Says so in a line.
pub(crate) fn rollback(root: &[u8]) -> Vec<u8> {
    let find = "now=$(readlink ../current); now=${now#releases/}; to=; found=; \
        for r in [0-9]*-[0-9]*-*; do if [ \"$r\" = \"$now\" ]; then found=1; break; fi; [ -d \"$r\" ] && to=$r; done; \
        [ -n \"$found\" ] || { echo \"$1/current leads to no release\" >&2; exit 1; }; \
        [ -n \"$to\" ] || { echo \"there is no release before $now\" >&2; exit 1; }; ";
    script(&format!("{ENTER}{CHECK}{find}{LINK}{SAY}"), &[root])
}

fn script(text: &str, arguments: &[&[u8]]) -> Vec<u8> {
    let mut command = [b"exec /bin/sh -c ", &sh_quote(text.as_bytes())[..], b" sh"].concat();
    for (argument, place) in arguments.iter().zip(0..) {
        // A path of that form would be an option.
        let path =
            if place == 0 && argument.starts_with(b"-") { [b"./", *argument].concat() } else { argument.to_vec() };
        command.push(b' ');
        command.extend(sh_quote(&path));
    }
    command
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    /// What a script says, or its failure.
    fn run(command: &[u8]) -> Result<String, String> {
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(command)).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn release(id: &str, keep: u32) -> Release {
        Release { id: id.parse().unwrap(), keep: NonZeroU32::new(keep).unwrap() }
    }

    /// Begins a release, and takes it into use.
    fn bring(root: &Path, id: &str, keep: u32) -> Result<String, String> {
        let (release, root) = (release(id, keep), root.as_os_str().as_bytes());
        run(&release.begin(root))?;
        fs::write(Path::new(OsStr::from_bytes(&release.folder(root))).join("file"), id).unwrap();
        run(&release.switch(root))
    }

    #[test]
    fn what_is_in_use_is_what_a_new_release_is_linked_to_and_compared_with() {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("app");
        let text = root.as_os_str().as_bytes();
        assert_eq!(run(&look(text)), Ok(String::new()));
        bring(&root, FIRST, 5).unwrap();
        assert_eq!(run(&look(text)), Ok(FIRST.to_owned()));
        let second = release(SECOND, 5);
        let said = run(&second.begin(text)).unwrap();
        let target = second.target(b"/app", &said);
        assert_eq!(target.folder, format!("/app/releases/.{SECOND}/").as_bytes());
        assert_eq!(target.link.unwrap(), format!("--link-dest=../{FIRST}").as_bytes());
        assert_eq!(second.compared(b"/app", &said).folder, format!("/app/releases/{FIRST}/").as_bytes());
        assert_eq!(second.compared(b"/app", "").folder, format!("/app.{SECOND}/").as_bytes());
        assert_eq!(second.target(b"/app", "../../etc").link, None);
    }

    fn in_use(root: &Path) -> String {
        fs::read_to_string(root.join("current/file")).unwrap()
    }

    fn kept(root: &Path) -> Vec<String> {
        let names = fs::read_dir(root.join("releases")).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    const FIRST: &str = "20261121-0900-0001";
    const SECOND: &str = "20261122-0900-0001";
    const THIRD: &str = "20261122-0900-0002";

    #[test]
    fn a_release_is_taken_into_use_and_the_one_before_it_again() {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("it's 1");
        assert_eq!(bring(&root, FIRST, 5), Ok(format!("current: {FIRST}")));
        assert_eq!(bring(&root, SECOND, 5), Ok(format!("current: {SECOND} (was {FIRST})")));
        assert_eq!(in_use(&root), SECOND);
        let back = rollback(root.as_os_str().as_bytes());
        assert_eq!(run(&back), Ok(format!("current: {FIRST} (was {SECOND})")));
        assert_eq!(in_use(&root), FIRST);
        assert_eq!(run(&back), Err(format!("there is no release before {FIRST}")));
        assert_eq!(kept(&root), [FIRST, SECOND]);
    }

    #[test]
    fn old_releases_are_removed_and_what_was_given_up_on_former_days() {
        let folder = TempDir::new().unwrap();
        let (root, text) = (folder.path(), folder.path().as_os_str().as_bytes());
        run(&release("20261120-0900-0001", 1).begin(text)).unwrap();
        run(&release("20261122-0800-0001", 1).begin(text)).unwrap();
        for id in [FIRST, SECOND, THIRD] {
            bring(root, id, 2).unwrap();
        }
        assert_eq!(kept(root), [".20261122-0800-0001", SECOND, THIRD]);
        run(&release("20261122-0800-0001", 1).abandon(text)).unwrap();
        assert_eq!(kept(root), [SECOND, THIRD]);
    }

    #[test]
    fn a_folder_named_current_is_not_lost() {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("current")).unwrap();
        let refused = bring(folder.path(), FIRST, 2).unwrap_err();
        assert!(refused.ends_with("/current is not a symlink: releases need that name"), "{refused}");
        let refused = run(&rollback(folder.path().as_os_str().as_bytes())).unwrap_err();
        assert!(refused.contains("not a symlink"), "{refused}");
    }

    #[test]
    fn scripts_are_one_line_that_every_shell_takes() {
        let (release, root) = (release(FIRST, 2), b"-x".as_slice());
        for text in [release.begin(root), release.abandon(root), release.switch(root), rollback(root)] {
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(" sh ./-x"), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
