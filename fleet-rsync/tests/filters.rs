//! What rules choose, compared with what the real `rsync` chooses with the same rules from the same tree.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, also in its own helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleet_rsync::filter::{EntryKind, FilterError, Rules, Scope, Verdict};
use fleet_rsync::sources::{LineEnd, listed};
use tempfile::TempDir;

/// What the variable `CVSIGNORE` says.
const IGNORED_BY_CVS: &str = "variable /a/rooted";

/// A folder `src` with entries, and an empty one beside it.
struct Place(TempDir);

impl Place {
    /// Names that end in `/` are folders; what stands behind `=` is the content.
    fn new(entries: &[String]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.source()).unwrap();
        fs::create_dir(place.0.path().join("empty")).unwrap();
        for entry in entries {
            let (name, content) = entry.split_once('=').unwrap_or((entry, ""));
            let path = place.source().join(name);
            fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
            if !name.ends_with('/') {
                fs::write(path, content).unwrap();
            }
        }
        place
    }

    fn source(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("src")
    }

    /// What rsync would send with these options: paths, folders with a `/` behind them. Nothing if it refuses.
    fn chosen_by_rsync(&self, options: &[String], source: Source) -> Option<BTreeSet<String>> {
        let mut command = Command::new("rsync");
        command.args(["-rn", "-8", "--out-format=%n"]).args(options);
        command.env("HOME", self.0.path()).env("CVSIGNORE", IGNORED_BY_CVS);
        command.arg(source.argument()).arg("empty/").current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.output().expect("rsync is needed, see test.sh");
        let names = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| names.lines().filter(|name| *name != "./").map(String::from).collect())
    }

    /// What we would send.
    fn chosen_by_us(&self, options: &[String], source: Source) -> Result<BTreeSet<String>, FilterError> {
        let mut rules = Rules::new();
        let home = optional(&self.0.path().join(".cvsignore")).unwrap().unwrap_or_default();
        rules.cvs_words(&home, IGNORED_BY_CVS.as_bytes());
        for option in options.iter().filter(|option| *option != "--cvs-exclude") {
            let (name, value) = option.split_once('=').unwrap();
            let file = || fs::read(self.0.path().join(value)).unwrap();
            match name {
                "--exclude" => rules.exclude(value.as_bytes())?,
                "--include" => rules.include(value.as_bytes())?,
                "--exclude-from" => listed(&file(), LineEnd::Line).try_for_each(|line| rules.exclude(line))?,
                "--include-from" => listed(&file(), LineEnd::Line).try_for_each(|line| rules.include(line))?,
                "--filter" => rules.filter(value.as_bytes(), &mut |file| fs::read(self.0.path().join(text(file))))?,
                _ => panic!("no such option: {name}"),
            }
        }
        if options.iter().any(|option| option == "--cvs-exclude") {
            rules.cvs_exclude()?;
        }
        let folder = self.source();
        let root = if source == Source::Content { &*folder } else { folder.parent().unwrap() };
        let mut scope = rules.scope(root.as_os_str().as_bytes());
        for above in folder.parent().unwrap().ancestors().collect::<Vec<_>>().into_iter().rev() {
            scope = scope.enter_above(above.as_os_str().as_bytes(), &mut |name| optional(&above.join(text(name))))?;
        }
        let mut chosen = BTreeSet::new();
        if source == Source::Folder {
            if scope.verdict(b"src", EntryKind::Directory) == Verdict::Excluded {
                return Ok(chosen);
            }
            chosen.insert("src/".to_owned());
        }
        walk(&scope, root, if source == Source::Content { "" } else { "src" }, &mut chosen)?;
        Ok(chosen)
    }
}

/// How the folder is named: what names are relative to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Content,
    Folder,
}

impl Source {
    fn argument(self) -> &'static str {
        match self {
            Self::Content => "src/",
            Self::Folder => "src",
        }
    }
}

fn walk(above: &Scope, root: &Path, path: &str, chosen: &mut BTreeSet<String>) -> Result<(), FilterError> {
    let folder = root.join(path);
    let scope = above.enter(path.as_bytes(), &mut |name| optional(&folder.join(text(name))))?;
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        let is_folder = entry.file_type().unwrap().is_dir();
        let kind = if is_folder { EntryKind::Directory } else { EntryKind::Other };
        match scope.verdict(path.as_bytes(), kind) {
            Verdict::Excluded => {}
            Verdict::Included if is_folder => {
                chosen.insert(format!("{path}/"));
                walk(&scope, root, &path, chosen)?;
            }
            Verdict::Included => _ = chosen.insert(path),
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        other => other.map(Some),
    }
}

fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|&part| part.to_owned()).collect()
}

/// Says where both differ. `hint` makes the case be found again.
fn compare(place: &Place, options: &[String], source: Source, hint: &str) {
    let theirs = place.chosen_by_rsync(options, source);
    let ours = place.chosen_by_us(options, source);
    match (&ours, &theirs) {
        (Err(FilterError::Unsupported { .. }), _) => {}
        (Err(_), None) => {}
        (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs, "ours and rsync's with {options:?} of {source:?}, {hint}"),
        _ => panic!("ours {ours:?}, rsync's {theirs:?} with {options:?} of {source:?}, {hint}"),
    }
}

/// Between white space, as the patterns.
const TREE: &str = r"
foo bar/foo bar/baz/foo bar/xfoo bar/baz/q a/b a/x/b a/x/y/b d/a/b fo[o a\b a\c/x a*c abc xbar/baz/foo a- a]
a[ a^ a! a: .x x/.x äx AB
";

/// To be tried on it.
const PATTERNS: &str = r"
foo /foo bar/foo /bar/foo baz/foo bar/ bar/baz/ foo/ a/**/b a/** **/b a**b /a**b b** **foo **/foo /**/foo
/**foo ** * /* */ ?oo [f]oo a[/]b a[^x]b a?b */foo /*/foo */*/foo bar/*** baz/*** /bar/*** /a/**/b **/baz/foo
ba*/foo **/baz/ **baz/ fo[o fo\[o a\b a\\b a\\* a\c/ a\*c a*c [!f]oo [a-g]oo [[:alpha:]]oo []f]oo [f [f- fo\o
fo\? / //foo bar//foo ./foo x/*** *** bar*** bar/**/ /bar/*/ a/***/b **/ /** /*** foo** a[]-] a[!]-] a[\]b]
a[a-] a[^^] a[[:foo:]] a[[:] a[[:alpha] a[z-a] a[a-b-] a[\[-^] a[--:] ?x ??x .* [[:upper:]]* a[b *\ a[[-]]
**/*** /**/*** **/**/foo */** **/* x**/ a/x/*** foo/***
";

#[test]
fn patterns_match_what_they_match_for_rsync() {
    let entries = TREE.split_ascii_whitespace().chain([" s "]).map(str::to_owned).collect::<Vec<_>>();
    let place = Place::new(&entries);
    let with_spaces = ["* *", " s "];
    for (n, pattern) in PATTERNS.split_ascii_whitespace().chain(with_spaces).enumerate() {
        compare(&place, &[format!("--filter=- {pattern}")], Source::Content, "");
        compare(&place, &[format!("--filter=+ {pattern}"), "--exclude=*".to_owned()], Source::Folder, "");
        let prefix = ["-!", "-s", "-r", "-sr", "-p", "-x", "H", "P"][n % 8];
        compare(&place, &[format!("--filter={prefix} {pattern}")], Source::Content, "");
    }
}

#[test]
fn files_of_folders_hold_where_they_hold_for_rsync() {
    let tree = ["x", "a/x", "a/b/x", "a/b/c/x", "y", "a/y", "a/b/y", "a/b/c/y", "d/x", "core"];
    let cases: [(&[&str], &[&str]); 45] = [
        (&["a/.f=- x\n"], &[": .f"]),
        (&["a/.f=- x\n"], &[":n .f"]),
        (&["a/.f=- /x\n- /b/y\n"], &[": .f"]),
        (&["a/.f=- b/x\n"], &[": .f"]),
        (&[".f=- x\n", "a/b/.f=+ x\n"], &[": .f"]),
        (&[".f=+ x\n", "a/b/.f=- x\n"], &[": .f"]),
        (&[".f=- x\n", "a/b/.f=!\n"], &[": .f"]),
        (&[".f=- x\n", "a/b/.f=- y\n!\n+ y\n"], &[": .f"]),
        (&[".f=!\n"], &[": .f", "- x"]),
        (&[".f=- x\n"], &["+ /a/x", ": .f"]),
        (&[".f=+ /a/x\n"], &[": .f", "- x"]),
        (&[".f=: .g\n", "a/.g=- x\n"], &[": .f"]),
        (&["a/.f=: .g\n", "a/.g=- x\n", "d/.g=- x\n", "a/b/.g=- y\n", ".g=- y"], &[": .f"]),
        (&[".f=+ x\n: .g\n- y\n", "a/.g=- x\n+ y\n"], &[": .f"]),
        (&["a/.f=: .g\n", "a/.g=- x\n", "a/b/.g=- y"], &[":n .f"]),
        (&["a/.f=: .g\n", "a/.g=- x\n"], &[":r .f"]),
        (&["a/.f=: .g\n", "a/b/.f=: .g\n", "a/b/.g=- x\n"], &[": .f"]),
        (&["a/.f=: .g\n", "a/b/.f=: .g\n", "a/b/.g=- x\n"], &[":n .f"]),
        (&["a/.f=: .f\n- x"], &[": .f"]),
        (&[".f=- x\n", "a/.f="], &[":e .f"]),
        (&["a/.f=- x\n"], &[":s .f", ":- .f"]),
        (&["a/.f=x\n"], &[":- .f", ": .f"]),
        (&["a/.cvsignore=x y\n"], &[":C"]),
        (&["a/.cvsignore=x ! y\n"], &[":C"]),
        (&[".f=# c\n\nx\n!y\n/a/b/\n"], &[":- .f"]),
        (&[".f=x\n!\ny"], &[":- .f"]),
        (&[".f=- x \n"], &[": .f"]),
        (&[".f=- x\r\n- y\r\n"], &[": .f"]),
        (&[".f=  - x"], &[": .f"]),
        (&[".f=  x"], &[":- .f"]),
        (&[".f=-_x\t-_y"], &[":w .f"]),
        (&[".f=#x\n;y x"], &[":w- .f"]),
        (&[".f=-C\n- x"], &[": .f"]),
        (&[".f=- x"], &[":r .f"]),
        (&[".f=- x"], &[":s .f"]),
        (&["a/.f=P x\nH y\n-/ src/a/x\n"], &[": .f"]),
        (&["a/.f=- src/a/x\n- /y\n"], &[":/ .f"]),
        (&[".f=- /a/x\n- /src/a/y\n"], &[": .f"]),
        (&[".f/z", "a/.f=- x"], &[": .f"]),
        (&[".f=H x"], &[":s .f"]),
        (&["a/b/.f=- a/b/x\n- b/y\n"], &[": .f"]),
        (&["a[b]/x", "a[b]/.f=- /x\n- x"], &[": .f", "+ a?b?/x"]),
        (&["a[b]/x", "a[b]/.f=- /x\n"], &[": .f"]),
        (&["a*b/xx", "a*b/.f=- /x*\n"], &[": .f"]),
        (&["a\\b/x", "a\\b/xx", "a\\b/.f=- /x\n- /x?\n"], &[": .f"]),
    ];
    for (files, rules) in cases {
        let place = Place::new(&strings(&[&tree, files].concat()));
        let options: Vec<String> = rules.iter().map(|rule| format!("--filter={rule}")).collect();
        compare(&place, &options, Source::Content, &format!("{files:?}"));
        compare(&place, &options, Source::Folder, &format!("{files:?}"));
    }
}

#[test]
fn files_above_the_transfer_hold_too_if_asked_for() {
    let place = Place::new(&strings(&["x", "a/x", "a/b/x", "y", "a/y", "a/.above=+ /x"]));
    fs::write(place.0.path().join(".above"), "- /src/a/x\n- /x\n- y\n- /a/b/x\n- src/a/b/x\n").unwrap();
    for rule in [": /.above", ":n /.above", ": .above", ":- /.above", ":e /.above"] {
        for source in [Source::Content, Source::Folder] {
            compare(&place, &[format!("--filter={rule}")], source, "");
        }
    }
}

#[test]
fn files_of_patterns_are_read_as_rsync_does() {
    let place = Place::new(&strings(&["one", "two", "three", "-four", " five", "#six", ";", "a/one", "a/two"]));
    fs::write(place.0.path().join("list"), "# c\n; d\none\n+ two\n\n!\r\n- three\n-four\n five\n/a/one\n").unwrap();
    for options in [
        ["--exclude-from=list", "--exclude=two"],
        ["--include-from=list", "--exclude=*"],
        ["--filter=. list", "--exclude=two"],
        ["--filter=.- list", "--exclude=two"],
        ["--filter=.w- list", "--exclude=two"],
        ["--filter=.C list", "--exclude=two"],
        ["--filter=.+ list", "--exclude=*"],
        ["--filter=. nofile", "--exclude=*"],
        ["--exclude=- one", "--include=- two"],
        ["--exclude=one", "--exclude=!"],
    ] {
        compare(&place, &strings(&options), Source::Content, "");
    }
}

#[test]
fn what_cvs_ignores_is_what_it_is_for_rsync() {
    let tree = [
        "x.o",
        "variable",
        "home",
        "rooted",
        "a/rooted",
        "a/home",
        "a/listed",
        "a/b/listed",
        "#",
        "-",
        "kept",
        "a/kept",
    ];
    let place = Place::new(&strings(&[&tree[..], &["a/.cvsignore=listed\n", "a/b/.f=-C\n"]].concat()));
    fs::write(place.0.path().join(".cvsignore"), "home /x\n# -\n").unwrap();
    for options in [
        &["--cvs-exclude"][..],
        &["--cvs-exclude", "--exclude=kept"],
        &["--cvs-exclude", "--include=home", "--filter=+ /a/listed"],
        &["--filter=-C"],
        &["--filter=-C", "--cvs-exclude"],
        &["--filter=:C"],
        &["--filter=-sC", "--include=variable"],
        &["--filter=-rC"],
        &["--filter=-!C"],
        &["--filter=: .f"],
    ] {
        for source in [Source::Content, Source::Folder] {
            compare(&place, &strings(options), source, "");
        }
    }
}

/// A source of choices that is the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn many(&mut self, choices: &[&str], from: usize, below: usize) -> String {
        (0..from + self.below(below - from)).map(|_| self.one_of(choices)).collect()
    }

    fn pattern(&mut self) -> String {
        const PIECES: [&str; 22] = [
            "a", "b", "ab", "c", "*", "**", "***", "?", "/", "/", "/", "[ab]", "[!a]", "[a-b]", "[^b", "\\", "\\*",
            "a/b", ".", "/**", "/***", "b/",
        ];
        self.many(&PIECES, 1, 5)
    }

    fn rule(&mut self) -> String {
        let pattern = self.pattern();
        match self.below(12) {
            0 => "!".to_owned(),
            1 => format!(
                "{} {}",
                self.one_of(&[":", ":n", ":-", ":e", ":C", ":w-", ":s", ":r", ":+"]),
                self.one_of(&[".f", ".g"])
            ),
            _ => format!(
                "{} {pattern}",
                self.one_of(&["-", "-", "-", "+", "+", "-!", "+!", "-s", "-r", "-p", "H", "S", "-/"])
            ),
        }
    }
}

#[test]
fn any_rules_choose_what_they_choose_for_rsync() {
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut entries: Vec<String> = Vec::new();
        for _ in 0..25 {
            let depth = 1 + chance.below(4);
            let names: Vec<_> = (0..depth).map(|_| chance.many(&["a", "b", "c", ".", "ab", "*"], 1, 3)).collect();
            let path = names.join("/");
            // A name that is both a file and a folder, or none at all, cannot be made.
            let clashes = |other: &String| {
                other == &path || other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
            };
            if !entries.iter().any(clashes) && !names.iter().any(|name| matches!(&**name, "." | "..")) {
                entries.push(path);
            }
        }
        let folders: Vec<String> =
            entries.iter().filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned())).collect();
        let mut files = Vec::new();
        for folder in folders.iter().map(|folder| format!("{folder}/")).chain([String::new()]) {
            let name = chance.one_of(&[".f", ".g"]);
            let lines: Vec<_> = (0..chance.below(4)).map(|_| chance.rule()).collect();
            let file = format!("{folder}{name}={}", lines.join("\n"));
            if chance.below(2) == 0
                && !files.iter().any(|other: &String| other.split('=').next() == file.split('=').next())
            {
                files.push(file);
            }
        }
        entries.extend(files);
        let place = Place::new(&entries);
        for round in 0..8 {
            let options: Vec<_> = (0..1 + chance.below(5)).map(|_| format!("--filter={}", chance.rule())).collect();
            let source = if chance.below(2) == 0 { Source::Content } else { Source::Folder };
            compare(&place, &options, source, &format!("seed {seed}, round {round}, tree {entries:?}"));
        }
    }
}
