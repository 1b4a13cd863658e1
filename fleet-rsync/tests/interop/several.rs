//! Several sources, and those that keep their paths: the list is that of one walk through all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use fleet_rsync::flist::{Encoder, Fields, FileList, Folder, IoErrors};
use fleet_rsync::session::Delete;
use fleet_rsync::sources::{Child, LineEnd, Named, Way, listed, union};
use fleet_rsync::wire::greeting::WireClass;

use crate::push::Push;
use crate::tree::{Naming, Root, differences, fill, fill_plainly, os, push};
use crate::{Place, as_class};

/// Sources in the order in which they were named.
pub(crate) struct Several {
    named: Vec<Named>,
    /// Where the entries of the list are.
    found: RefCell<HashMap<Vec<u8>, PathBuf>>,
}

/// What a source has to do with a folder of the list.
#[derive(Clone)]
enum Part {
    /// All that is in this one.
    All(PathBuf),
    /// What the source of this number is named, behind so many bytes.
    Way(usize, usize),
}

impl Several {
    fn new(place: &Path, named: Vec<Named>) -> Self {
        let at = |named: Named| Named { base: place.join(os(&named.base)).into_os_string().into_vec(), ..named };
        Self { named: named.into_iter().map(at).collect(), found: RefCell::default() }
    }

    pub(crate) fn list(&self, class: WireClass, fields: Fields, errors: IoErrors) -> FileList {
        let mut encoder = Encoder::new(class, fields);
        if let Some(first) = self.roots().next() {
            let all = self.roots().any(|named| named.path.is_empty());
            let folder = if all { Folder::Source } else { Folder::Alone };
            push(&mut encoder, fields, Path::new(os(&first.base)), b".", folder);
        }
        let parts = self.named.iter().enumerate().map(|(number, named)| match &named.path[..] {
            b"" => Part::All(os(&named.base).into()),
            _ => Part::Way(number, 0),
        });
        self.walk(&mut encoder, fields, &parts.collect::<Vec<_>>(), b"");
        encoder.finish(&Root, errors)
    }

    /// The sources that have the destination itself in the list.
    fn roots(&self) -> impl Iterator<Item = &Named> {
        self.named.iter().filter(|named| named.path.is_empty() || named.way == Way::PathAndRoot)
    }

    fn walk(&self, encoder: &mut Encoder, fields: Fields, parts: &[Part], below: &[u8]) {
        for one in union(parts.iter().flat_map(|part| self.children(part))) {
            let path = [below, &one.name].concat();
            push(encoder, fields, &one.first.0, &path, one.folder.unwrap_or(Folder::Below));
            self.found.borrow_mut().insert(path.clone(), one.first.0);
            if one.folder.is_some() {
                let parts: Vec<Part> =
                    [one.first.1].into_iter().chain(one.others.into_iter().map(|(_, part)| part)).collect();
                self.walk(encoder, fields, &parts, &[&path[..], b"/"].concat());
            }
        }
    }

    fn children(&self, part: &Part) -> Vec<Child<(PathBuf, Part)>> {
        let is_folder = |path: &Path| path.symlink_metadata().unwrap().is_dir();
        match part {
            Part::All(folder) => {
                let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
                let child = |name: OsString| {
                    let path = folder.join(&name);
                    let folder = is_folder(&path).then_some(Folder::Below);
                    Child { name: name.into_vec(), folder, of: (path.clone(), Part::All(path)) }
                };
                names.map(child).collect()
            }
            Part::Way(number, start) => {
                let named = &self.named[*number];
                let rest = &named.path[*start..];
                let end = rest.iter().position(|byte| *byte == b'/');
                let name = &rest[..end.unwrap_or(rest.len())];
                let path = Path::new(os(&named.base)).join(os(&named.path[..start + name.len()]));
                let (folder, part) = match end {
                    Some(end) => (Some(Folder::Alone), Part::Way(*number, start + end + 1)),
                    None => (is_folder(&path).then_some(Folder::Source), Part::All(path.clone())),
                };
                vec![Child { name: name.to_vec(), folder, of: (path, part) }]
            }
        }
    }

    pub(crate) fn read(&self, path: &[u8]) -> Vec<u8> {
        fs::read(&self.found.borrow()[path]).unwrap()
    }
}

/// Pushes as `rsync` does with these words in front of the destination, and compares what is there then.
fn compare(place: &Place, class: WireClass, words: &[&str], named: Vec<Named>) {
    let folder = place.folder.path();
    let [stock, ours] = [folder.join("stock"), place.destination()];
    let output = Command::new("rsync") // With lists in parts, it can refuse its own hard links between sources.
        .args(["-aHI", "--delete", "--no-inc-recursive"])
        .args(words)
        .arg(&stock)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?} {output:?}");
    let several = Several::new(folder, named);
    let mut push = Push::new(folder, &ours);
    (push.arguments.capabilities, push.server) = as_class(class);
    push.several = Some(&several);
    push.arguments.fields.hard_links = true;
    push.arguments.relative = words.iter().any(|word| *word == "-R" || word.starts_with("--files-from"));
    push.arguments.delete = Some(Delete::During);
    push.arguments.forwarded = vec![b"-I".to_vec()];
    let pushed = push.run();
    assert!(pushed.status.success() && pushed.ended, "{words:?} {pushed:?}");
    if several.roots().next().is_none() {
        // Its time is that of the last change in it, for rsync as for us.
        for folder in [&stock, &ours] {
            fs::File::open(folder).unwrap().set_modified(UNIX_EPOCH).unwrap();
        }
    }
    assert_eq!(differences(&stock, Naming::Contents, &ours), "", "{words:?} {pushed:?}");
}

#[test]
fn several_sources_are_put_together_as_rsync_does() {
    for seed in 0..24 {
        let place = Place::new();
        let folder = place.folder.path();
        for (name, age) in [("one", 1), ("two", 2), ("three", 3), ("destination", 4), ("stock", 4)] {
            fill(&folder.join(name), seed, age);
        }
        let words: &[&str] =
            [&["one/", "two/"][..], &["two/", "three/", "one/"], &["two", "one/"]][(seed % 3) as usize];
        let named = words.iter().map(|word| Named::plain(word.as_bytes()).unwrap()).collect();
        compare(&place, WireClass::ALL[(seed % 4) as usize], words, named);
    }
}

/// Three trees of plain names, and what was at the destination.
fn plain(seed: u64) -> Place {
    let place = Place::new();
    for (name, seed) in [("source", seed), ("more", seed + 50), ("destination", seed + 90)] {
        let folder = place.folder.path().join(name);
        fs::create_dir_all(folder.join("a/c/deep")).unwrap();
        fs::create_dir_all(folder.join("tmp")).unwrap();
        fs::write(folder.join("a/file"), seed.to_string()).unwrap();
        fill_plainly(&folder, seed);
    }
    let copied = Command::new("cp").args(["-a", "destination", "stock"]).current_dir(place.folder.path()).status();
    assert!(copied.unwrap().success());
    place
}

#[test]
fn paths_that_are_kept_lead_to_what_they_lead_to_for_rsync() {
    let cases: [&[&str]; 15] = [
        &["source/a/c"],
        &["source/./a/c", "more/./a"],
        &["more/./a", "source/./a/c"],
        &["source/a/c", "source"],
        &["source/./", "more/./a/c/deep"],
        &["source/./a/c/deep", "more/./"],
        &["./source/a"],
        &["source/a/c/."],
        &["source/a/./c/deep/"],
        &["source/./a/file", "more/./a/file"],
        &["source/./tmp", "more/./tmp", "source/./a/file"],
        &["source//.//a/c"],
        &["source/a/c/./"],
        &["source/a", "more/a", "./more/tmp"],
        &["source/./a/c/deep", "more/./a/c"],
    ];
    for (number, sources) in cases.into_iter().enumerate() {
        let place = plain(number as u64);
        let words = [&["-R"], sources].concat();
        let named = sources.iter().map(|source| Named::relative(source.as_bytes()).unwrap()).collect();
        compare(&place, WireClass::ALL[number % 4], &words, named);
    }
}

#[test]
fn files_of_names_mean_what_they_mean_for_rsync() {
    let cases = [
        "a/c\na/file\n",
        "# no\n; no\n\na/c/\r\ntmp",
        "/a/file\n../a/c/deep\n",
        ".//a//file\n",
        "a/./c/deep\ntmp/\n",
        "a/c/../c\na\n",
        ".\n",
        "./tmp\na/.\n",
    ];
    for (number, content) in cases.into_iter().enumerate() {
        let place = plain(number as u64);
        fs::write(place.folder.path().join("names"), content).unwrap();
        let named = listed(content.as_bytes(), LineEnd::Line).map(|line| Named::listed(b"source", line).unwrap());
        compare(&place, WireClass::ALL[number % 4], &["-r", "--files-from=names", "source"], named.collect());
    }
}
