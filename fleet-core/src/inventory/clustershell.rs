//! The groups of ClusterShell: `groups.conf`, the files it names, and their sources (groups.conf(5), version 1.9).
//!
//! Commands in these files ("upcalls") are never run: sources that need them are remarked on. Must not know how groups are
//! evaluated.

mod conf;
mod groups;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use self::conf::{MAIN, Section};
use super::discover::{Discovered, Places};
use super::{InventoryError, OUR_SOURCES, Source, shell_words};

/// Reads the sources. That of unqualified names in ClusterShell comes first.
pub(super) fn read(places: &Places) -> Result<Discovered, InventoryError> {
    let mut reader = Reader { places, found: Discovered::default(), defined: HashMap::new() };
    let mut sections = Vec::new();
    let mut folder = None;
    for candidate in folders(places) {
        let path = candidate.join("groups.conf");
        if let Some(text) = reader.found.read(&path)? {
            conf::merge(&mut sections, conf::parse(&text, &path)?);
            folder = Some(candidate);
        }
    }
    let Some(folder) = folder else { return Ok(reader.found) };
    let main = sections.iter().find(|section| section.name == MAIN);
    let named = |key: &str| main.map_or_else(|| Ok(Vec::new()), |main| listed_folders(main, key, &folder));
    let confdirs =
        if main.is_some_and(|main| main.options.contains_key("groupsdir")) { "groupsdir" } else { "confdir" };
    for confdir in named(confdirs)? {
        for path in files(&confdir, "conf")? {
            let Some(text) = reader.found.read(&path)? else { continue };
            conf::parse(&text, &path)?.iter().try_for_each(|section| reader.add_section(section, &confdir))?;
        }
    }
    for autodir in named("autodir")? {
        for path in files(&autodir, "yaml")? {
            let Some(text) = reader.found.read(&path)? else { continue };
            groups::parse_yaml(&text, &path)?.into_iter().try_for_each(|source| reader.add(source))?;
        }
    }
    sections.iter().try_for_each(|section| reader.add_section(section, &folder))?;
    let default = main.and_then(|main| main.options.get("default")).map(|option| option.value.as_str());
    reader.found.sources.sort_by_key(|source| Some(source.name.as_str()) != default);
    Ok(reader.found)
}

/// The folders that may hold a `groups.conf`; what a later one says counts.
fn folders(places: &Places) -> Vec<PathBuf> {
    let system = Some(places.system.join("clustershell"));
    let local = places.home.as_ref().map(|home| home.join(".local/etc/clustershell"));
    let own = places.config.as_ref().map(|config| config.join("clustershell"));
    [system, local, own, places.clustershell.clone()].into_iter().flatten().collect()
}

/// The folders that an option lists, each once.
fn listed_folders(main: &Section, key: &str, folder: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let Some(option) = main.options.get(key) else { return Ok(Vec::new()) };
    let words = shell_words::split(&option.value)
        .map_err(|expected| option.place.error(format!("{key} is \"{}\"", option.value), expected))?;
    let mut seen = HashSet::new();
    let paths = words.iter().map(|word| located(word, folder));
    Ok(paths.filter(|path| seen.insert(path.clone())).collect())
}

/// `written` with `$CFGDIR` as `folder`, which relative paths start from.
fn located(written: &str, folder: &Path) -> PathBuf {
    let name = folder.to_string_lossy();
    folder.join(written.replace("${CFGDIR}", &name).replace("$CFGDIR", &name))
}

/// The files in `folder` with this ending, by name; none if there is no such folder.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, InventoryError> {
    let failed = |source| InventoryError::ReadSource { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.path().extension().is_some_and(|found| found == ending) && !is_hidden {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// A source and where it is defined.
struct Placed {
    source: Source,
    place: conf::Place,
    remarks: Vec<String>,
}

struct Reader<'a> {
    places: &'a Places,
    found: Discovered,
    /// Where each source is defined.
    defined: HashMap<String, conf::Place>,
}

impl Reader<'_> {
    fn add(&mut self, Placed { source, place, remarks }: Placed) -> Result<(), InventoryError> {
        if let Some(other) = self.defined.insert(source.name.clone(), place.clone()) {
            let found = format!("the source \"{}\" is defined in {other} too", source.name);
            return Err(place.error(found, "each source once"));
        }
        if OUR_SOURCES.contains(&source.name.as_str()) {
            let name = &source.name;
            self.found
                .remarks
                .push(format!("{place}: the source \"{name}\" is left out: @{name}:GROUP has a meaning here"));
            return Ok(());
        }
        self.found.sources.push(Source { rank: self.places.rank(&place.path), ..source });
        self.found.remarks.extend(remarks);
        Ok(())
    }

    /// Adds the sources of a section, whose commands would be run in `folder`.
    fn add_section(&mut self, section: &Section, folder: &Path) -> Result<(), InventoryError> {
        if section.name == MAIN {
            return Ok(());
        }
        let Some(map) = section.options.get("map") else {
            return Err(section.place.error(format!("[{}] has no map", section.name), "a command as map"));
        };
        for name in section.name.split(',') {
            match conf::flat_file(&map.value) {
                Some(candidates) => {
                    for path in candidates.iter().map(|path| located(path, folder)) {
                        if let Some(text) = self.found.read(&path)? {
                            self.add(groups::parse_flat(&text, &path, name)?)?;
                            break;
                        }
                    }
                }
                // That file is read as a source of its own.
                None if map.value.starts_with("nodeattr -n ") => {}
                None => self.found.remarks.push(format!(
                    "{}: the groups of \"{name}\" come from commands, which are not run here: write a provider \
                     (docs/provider.md)",
                    section.place
                )),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
