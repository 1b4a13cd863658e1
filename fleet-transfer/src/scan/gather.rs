//! All sources of all hosts, put together: each is scanned once, and each host gets its selection.
//!
//! Must not know how a source is scanned.

use std::collections::HashMap;
use std::collections::hash_map;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{ScanError, ScanSettings, Shape, scan};
use crate::destination::Sent;
use crate::manifest::{Entry, EntryKind, Manifest, Selection};

/// One source, as typed, with its placeholders filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The same for all hosts.
    Same(PathBuf),
    /// One for each host, in their order.
    Each(Vec<PathBuf>),
}

/// What all hosts are sent.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Everything that some host is sent, in the order of the sources.
    pub manifest: Manifest,
    /// What each host is sent, in their order.
    pub hosts: Vec<HostSources>,
}

/// What one host is sent.
#[derive(Clone, Debug)]
pub struct HostSources {
    /// Its entries.
    pub selection: Selection,
    /// What they are together.
    pub sent: Sent,
    /// The sources that are folders and come with their names: a destination of the same name is worth a warning.
    pub folders: Vec<PathBuf>,
}

/// A source that was scanned, and where in the manifest it is.
#[derive(Clone, Debug)]
struct Part {
    source: PathBuf,
    range: Range<usize>,
    shape: Shape,
}

/// Scans `sources` for `hosts` hosts. Folders of the same name become one, with all that is in them.
///
/// # Errors
/// When a source cannot be copied at all, or two things other than folders would have the same name on a host.
pub fn gather(sources: &[Source], hosts: usize, settings: &ScanSettings) -> Result<Gathered, ScanError> {
    let mut manifest = Manifest::default();
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); hosts];
    for source in sources {
        match source {
            Source::Same(source) => {
                let part = add(&mut manifest, source, settings)?;
                parts.iter_mut().for_each(|host| host.push(part.clone()));
            }
            Source::Each(sources) => {
                let mut known: HashMap<&Path, Part> = HashMap::new();
                for (host, source) in parts.iter_mut().zip(sources) {
                    let part = match known.entry(source) {
                        hash_map::Entry::Occupied(part) => part.get().clone(),
                        hash_map::Entry::Vacant(place) => place.insert(add(&mut manifest, source, settings)?).clone(),
                    };
                    host.push(part);
                }
            }
        }
    }
    let mut selector = Selector::new(&manifest.entries, sources, &parts)?;
    let hosts = parts.into_iter().map(|parts| selector.host(sources, &parts)).collect::<Result<_, _>>()?;
    Ok(Gathered { manifest, hosts })
}

fn add(manifest: &mut Manifest, source: &Path, settings: &ScanSettings) -> Result<Part, ScanError> {
    let scanned = scan(source, settings)?;
    let start = manifest.entries.len();
    manifest.entries.extend(scanned.entries);
    manifest.problems.extend(scanned.problems);
    Ok(Part { source: source.to_owned(), range: start..manifest.entries.len(), shape: scanned.shape })
}

/// Makes the selections. What is the same for all hosts is compared once, however many they are.
struct Selector<'a> {
    entries: &'a [Entry],
    /// The names that all hosts get; not needed where there is one source, as no folder has two things of one name.
    shared: HashMap<&'a Path, usize>,
    /// Folders that came a second time.
    merged: Vec<usize>,
    /// What was made so far, by where the parts begin: hosts of one role get the same.
    made: HashMap<Vec<usize>, Selection>,
}

impl<'a> Selector<'a> {
    fn new(entries: &'a [Entry], sources: &[Source], parts: &[Vec<Part>]) -> Result<Self, ScanError> {
        let mut selector = Self { entries, shared: HashMap::new(), merged: Vec::new(), made: HashMap::new() };
        let Some(first) = parts.first() else { return Ok(selector) };
        let shared = || first.iter().zip(sources).filter(|(_, source)| matches!(source, Source::Same(_)));
        let is_pattern = |part: &Part| part.shape == Shape::Matches;
        if sources.len() > 1 || first.iter().any(is_pattern) {
            for entry in shared().flat_map(|(part, _)| part.range.clone()) {
                let (names, merged) = (&mut selector.shared, &mut selector.merged);
                place(entries, entry, names.entry(&entries[entry].path), merged)?;
            }
        }
        Ok(selector)
    }

    fn host(&mut self, sources: &[Source], parts: &[Part]) -> Result<HostSources, ScanError> {
        let key: Vec<usize> = parts.iter().map(|part| part.range.start).collect();
        let selection = match self.made.get(&key) {
            Some(made) => made.clone(),
            None => self.own(sources, parts)?,
        };
        self.made.insert(key, selection.clone());
        let sent = match parts {
            [only] if only.shape == Shape::File => Sent::OneFile,
            _ => Sent::IntoFolder,
        };
        let folders = parts.iter().filter(|part| part.shape == Shape::Folder).map(|part| part.source.clone());
        Ok(HostSources { selection, sent, folders: folders.collect() })
    }

    fn own(&self, sources: &[Source], parts: &[Part]) -> Result<Selection, ScanError> {
        let mut names: HashMap<&Path, usize> = HashMap::new();
        let mut merged = self.merged.clone();
        let own = parts.iter().zip(sources).filter(|(_, source)| matches!(source, Source::Each(_)));
        for entry in own.flat_map(|(part, _)| part.range.clone()) {
            let path = self.entries[entry].path.as_path();
            let mut place_of = names.entry(path);
            if let (hash_map::Entry::Vacant(_), Some(shared)) = (&place_of, self.shared.get(path)) {
                place_of = hash_map::Entry::Occupied(place_of.insert_entry(*shared));
            }
            place(self.entries, entry, place_of, &mut merged)?;
        }
        let all = Selection::of(parts.iter().map(|part| part.range.clone()));
        Ok(all.without(merged))
    }
}

/// Puts an entry to its name. Of two folders the later one goes: what is in it comes behind both.
fn place(
    entries: &[Entry],
    entry: usize,
    place: hash_map::Entry<'_, &Path, usize>,
    merged: &mut Vec<usize>,
) -> Result<(), ScanError> {
    let mut taken = match place {
        hash_map::Entry::Vacant(free) => {
            free.insert(entry);
            return Ok(());
        }
        hash_map::Entry::Occupied(taken) => taken,
    };
    let (one, other) = (entry.min(*taken.get()), entry.max(*taken.get()));
    let (first, second) = (&entries[one], &entries[other]);
    let are_folders = first.kind == EntryKind::Folder && second.kind == EntryKind::Folder;
    if !are_folders && first.source != second.source {
        let (first, second) = (first.source.clone(), second.source.clone());
        return Err(ScanError::Collision { path: entries[entry].path.clone(), first, second });
    }
    if one != other {
        merged.push(other);
        taken.insert(one);
    }
    Ok(())
}
