//! `groups.conf` and its like, in the format of Python's `ConfigParser`.
//!
//! Must not know what the options mean, but for `map` commands that only read a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::inventory::{InventoryError, shell_words};

/// The section that is no source.
pub(super) const MAIN: &str = "Main";

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// From 1.
    pub(super) line: usize,
}

impl Place {
    pub(super) fn error(&self, found: String, expected: &'static str) -> InventoryError {
        InventoryError::Line { path: self.path.clone(), line: self.line, found, expected }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// `[name]` and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) place: Place,
    /// By their names in lower case.
    pub(super) options: BTreeMap<String, Setting>,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) place: Place,
}

/// The sections of a file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Section>, InventoryError> {
    const EXPECTED: &str = "[section], key: value below one, or a # comment";
    let mut sections: Vec<Section> = Vec::new();
    let mut key: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let place = Place { path: path.to_owned(), line: index + 1 };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let begun = sections.last_mut().and_then(|section| section.options.get_mut(key.as_ref()?));
        if let (true, Some(option)) = (line.starts_with(char::is_whitespace), begun) {
            option.value = format!("{}\n{trimmed}", option.value);
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|tail| tail.strip_suffix(']')) {
            key = None;
            sections.push(Section { name: name.to_owned(), place, options: BTreeMap::new() });
        } else {
            let Some((section, (name, value))) = sections.last_mut().zip(trimmed.split_once([':', '='])) else {
                return Err(place.error(format!("found \"{trimmed}\""), EXPECTED));
            };
            let name = name.trim_end().to_lowercase();
            section.options.insert(name.clone(), Setting { value: value.trim().to_owned(), place });
            key = Some(name);
        }
    }
    Ok(sections)
}

/// Adds the sections of a file that counts more: its options replace others of their names.
pub(super) fn merge(sections: &mut Vec<Section>, more: Vec<Section>) {
    for new in more {
        match sections.iter_mut().find(|section| section.name == new.name) {
            Some(section) => section.options.extend(new.options),
            None => sections.push(new),
        }
    }
}

/// The files of which a `map` command reads the first that is there; `None` for any other command.
///
/// Those of ClusterShell's own files and manual are known: they print what stands behind `GROUP:` in a file.
pub(super) fn flat_file(map: &str) -> Option<Vec<String>> {
    const PRINT: &str = r"sed -n 's/^$GROUP:\(.*\)/\1/p' ";
    const CHOOSE: &str = "[ -f $CFGDIR/groups ] && f=$CFGDIR/groups || f=$CFGDIR/groups.d/local.cfg; ";
    let (chosen, command) = match map.strip_prefix(CHOOSE) {
        Some(command) => (Some(["$CFGDIR/groups", "$CFGDIR/groups.d/local.cfg"]), command),
        None => (None, map),
    };
    let words = shell_words::split(command.strip_prefix(PRINT)?).ok()?;
    match (words.as_slice(), chosen) {
        ([word], Some(files)) if word == "$f" => Some(files.map(str::to_owned).to_vec()),
        ([word], None) if !word.replace("$CFGDIR", "").contains(['$', '`', '|', ';', '&', '*', '?', '<', '>']) => {
            Some(vec![word.clone()])
        }
        _ => None,
    }
}
