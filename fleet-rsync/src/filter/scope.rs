//! The rules that are in force in a folder.
//!
//! A scope is made on the way down and shared by what is below. Going back up is forgetting it. What the file of one
//! folder says is held once, however many folders below it follow it.
//!
//! Knows neither how rules are read, nor the disk: contents of files come from the caller.

use super::parse::Parser;
use super::rule::{Above, Action, Against, DirMerge, Item, Namespace, Reach, Rule, Sense};
use super::{FilterError, ReadFolderFile, shown};
use std::borrow::Cow;
use std::sync::Arc;

/// What rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A directory. A symlink to one is none.
    Directory,
    /// All else.
    Other,
}

/// Whether an entry is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is.
    Included,
    /// It is not, nor anything below it.
    Excluded,
}

/// The rules in force for the entries of one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scope(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The absolute path of the transfer, without a `/` at its begin or end.
    root: Arc<[u8]>,
    items: Arc<[Item]>,
    /// What the user has CVS ignore.
    cvs: Arc<[u8]>,
    /// What the files of folders said, the files in the order in which they are looked for.
    files: Vec<(Arc<DirMerge>, Option<Arc<Frame>>)>,
}

/// What the file of one folder said.
#[derive(Debug)]
struct Frame {
    /// What goes before paths: the way to the transfer from a folder above it.
    above: Box<[u8]>,
    items: Vec<Item>,
    /// The same file of a folder above, whose rules come behind these.
    outer: Option<Arc<Frame>>,
}

/// A folder, as seen from the transfer: the way down from one to the other, with a `/` at its end, or empty.
#[derive(Clone, Debug)]
enum Folder {
    /// From the transfer's root to the folder, which is in it.
    Within(Vec<u8>),
    /// From the folder to the transfer's root.
    Above(Vec<u8>),
}

fn named(items: &[Item]) -> impl Iterator<Item = &Arc<DirMerge>> {
    items.iter().filter_map(|item| match item {
        Item::DirMerge(merge) => Some(merge),
        Item::Rule(_) => None,
    })
}

impl Scope {
    pub(super) fn new(items: &[Item], root: &[u8], cvs: Arc<[u8]>) -> Self {
        let files = named(items).map(|merge| (merge.clone(), None)).collect();
        Self(Arc::new(Inner { root: root.trim_ascii_slashes().into(), items: items.into(), cvs, files }))
    }

    /// The scope of the entries in the folder `path`, which is relative to the transfer, empty or `.` for its root. It has
    /// to be entered from the scope of the folder that it is in.
    ///
    /// `read` is given the name of a file, and gives what that file in this folder holds, or nothing if there is no such
    /// file. It is not called if no rule asks for files of folders.
    pub fn enter(&self, path: &[u8], read: ReadFolderFile<'_>) -> Result<Self, FilterError> {
        let way = if matches!(path, b"" | b".") { Vec::new() } else { [path, b"/"].concat() };
        self.descend(&Folder::Within(way), read)
    }

    /// The same for a folder above the transfer, by its absolute path: only files are asked for that a rule wants from
    /// there (`dir-merge /NAME`). Such folders come first, from the outermost to the one that the transfer's names are
    /// relative to; that one comes here only if no source is this folder itself.
    pub fn enter_above(&self, path: &[u8], read: ReadFolderFile<'_>) -> Result<Self, FilterError> {
        let rest = self.0.root.strip_prefix(path.trim_ascii_slashes()).unwrap_or_default().trim_ascii_slashes();
        let way = if rest.is_empty() { Vec::new() } else { [rest, b"/"].concat() };
        self.descend(&Folder::Above(way), read)
    }

    /// Whether files of folders are asked for, so that [`Self::enter`] is worth looking for any.
    pub fn wants_files(&self) -> bool {
        !self.0.files.is_empty()
    }

    /// Whether the entry at `path`, relative to the transfer, is sent. The transfer's root always is.
    pub fn verdict(&self, path: &[u8], kind: EntryKind) -> Verdict {
        let entry = Entry { root: &self.0.root, path, kind };
        match self.first(&self.0.items, b"", &entry) {
            Some(Action::Exclude) if !matches!(path, b"" | b".") => Verdict::Excluded,
            _ => Verdict::Included,
        }
    }

    fn descend(&self, folder: &Folder, read: ReadFolderFile<'_>) -> Result<Self, FilterError> {
        if self.0.files.is_empty() {
            return Ok(self.clone());
        }
        let (above, within) = match folder {
            Folder::Within(way) => (&[][..], &**way),
            Folder::Above(way) => (&**way, &[][..]),
        };
        // Once looked for, a file is looked for all the way down: a rule that names it again changes nothing.
        let mut merges: Vec<Arc<DirMerge>> = self.0.files.iter().map(|(merge, _)| merge.clone()).collect();
        let mut files = Vec::with_capacity(merges.len());
        while let Some(merge) = merges.get(files.len()).cloned() {
            let outer = self.frame(&merge).filter(|_| merge.file.reach == Reach::Below).cloned();
            let is_read = matches!(folder, Folder::Within(_)) || merge.above == Above::Read;
            let content = if is_read { read(&merge.name) } else { Ok(None) };
            let content = content.map_err(|source| FilterError::File { file: shown(&merge.name), source })?;
            let frame = match content {
                None => outer,
                Some(content) => {
                    let (items, cleared) = Parser::folder(&content, &merge, &merges, within, &self.0.cvs)
                        .map_err(|source| FilterError::Within { file: shown(&merge.name), source: Box::new(source) })?;
                    merges.extend(named(&items).cloned());
                    let outer = outer.filter(|_| !cleared);
                    Some(Arc::new(Frame { above: above.into(), items, outer }))
                }
            };
            files.push((merge, frame));
        }
        let Inner { root, items, cvs, .. } = &*self.0;
        Ok(Self(Arc::new(Inner { root: root.clone(), items: items.clone(), cvs: cvs.clone(), files })))
    }

    /// What the files of this name said.
    fn frame(&self, merge: &Arc<DirMerge>) -> Option<&Arc<Frame>> {
        self.0.files.iter().find(|(own, _)| Arc::ptr_eq(own, merge)).and_then(|(_, frame)| frame.as_ref())
    }

    /// What the first rule among `items` does that matches.
    fn first(&self, items: &[Item], above: &[u8], entry: &Entry<'_>) -> Option<Action> {
        items.iter().find_map(|item| match item {
            Item::Rule(rule) => entry.is_of(rule, above).then_some(rule.action),
            Item::DirMerge(merge) => {
                let frames = std::iter::successors(self.frame(merge), |frame| frame.outer.as_ref());
                frames.into_iter().find_map(|frame| self.first(&frame.items, &frame.above, entry))
            }
        })
    }
}

/// What is asked about.
struct Entry<'a> {
    root: &'a [u8],
    path: &'a [u8],
    kind: EntryKind,
}

impl Entry<'_> {
    /// Whether `rule` is about it. From the folder in whose file the rule stands, `above` leads to the transfer.
    fn is_of(&self, rule: &Rule, above: &[u8]) -> bool {
        if !rule.traits.sides.sender() || rule.traits.namespace == Namespace::Attributes {
            return false;
        }
        let before = match rule.traits.against {
            Against::Absolute if self.root.is_empty() => Vec::new(),
            Against::Absolute => [self.root, b"/"].concat(),
            Against::Name if rule.pattern.is_anchored() => above.to_vec(),
            Against::Name => Vec::new(),
        };
        let path: Cow<'_, [u8]> =
            if before.is_empty() { self.path.into() } else { [&before, self.path].concat().into() };
        rule.pattern.matches(&path, self.kind) == (rule.sense == Sense::Matching)
    }
}

trait Slashes {
    /// Without the `/` at both ends.
    fn trim_ascii_slashes(&self) -> &[u8];
}

impl Slashes for [u8] {
    fn trim_ascii_slashes(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != b'/').unwrap_or(self.len());
        let end = self.iter().rposition(|&byte| byte != b'/').map_or(start, |last| last + 1);
        &self[start..end]
    }
}
