//! One configuration text as blocks of directives, each line checked.
//!
//! Must not know any host: what applies to whom is decided elsewhere.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, Place};
use super::keyword::{Role, Setting, Unsupported, lookup};
use super::line::Line;
use super::matching::{Criterion, read_criteria};
use super::notice::{Notice, NoticeKind, Origin};
use super::value::{BadLine, Mismatch, Value};
use crate::algorithms;
use crate::pattern::PatternList;

/// A file, or the options of the command line.
#[derive(Debug)]
pub(super) struct ConfigFile {
    blocks: Vec<Block>,
    /// Where the blocks are that apply to one name: files with a block for each of thousands of hosts are usual, and
    /// must not be searched for each of them.
    named: HashMap<String, Vec<usize>>,
    /// Where those are that have to be looked at for every host.
    general: Vec<usize>,
}

/// The lines up to the next `Host` or `Match`.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) condition: Condition,
    pub(super) directives: Vec<Directive>,
}

/// Which hosts a block applies to.
#[derive(Debug)]
pub(super) enum Condition {
    /// All: the lines before the first `Host` or `Match`.
    Always,
    /// A host of a name that led to the block, see [`ConfigFile::blocks_for`].
    Named(Place),
    Host(PatternList, Place),
    Match {
        criteria: Vec<Criterion>,
        place: Place,
    },
}

/// A line within a block.
#[derive(Debug)]
pub(super) enum Directive {
    Set(Arc<Assignment>),
    Include(Include),
    Unsupported {
        /// The keyword in lower case: its first line decides, as for settings.
        keyword: &'static str,
        /// Nothing when the value asks for just what happens anyway.
        notice: Option<Box<Notice>>,
    },
    Unknown(Box<Notice>),
}

/// A setting with a value.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) setting: Setting,
    pub(super) value: Value,
    pub(super) place: Place,
    /// What of the value has no effect.
    pub(super) notice: Option<Box<Notice>>,
}

/// The patterns of an `Include` line.
#[derive(Debug)]
pub(super) struct Include {
    pub(super) patterns: Vec<String>,
    pub(super) origin: Origin,
    pub(super) place: Place,
}

impl Block {
    fn new(condition: Condition) -> Self {
        Self { condition, directives: Vec::new() }
    }

    fn includes(&self) -> impl Iterator<Item = &Include> {
        self.directives.iter().filter_map(|directive| match directive {
            Directive::Include(include) => Some(include),
            _ => None,
        })
    }
}

impl ConfigFile {
    fn new() -> Self {
        let mut file = Self { blocks: Vec::new(), named: HashMap::new(), general: Vec::new() };
        file.add_block(Condition::Always);
        file
    }

    /// Begins a block.
    fn add_block(&mut self, condition: Condition) {
        self.general.push(self.blocks.len());
        self.blocks.push(Block::new(condition));
    }

    /// Begins a block that stands behind a `Host` line.
    fn add_host_block(&mut self, patterns: PatternList, place: Place) {
        let Some(names) = patterns.exact_texts() else { return self.add_block(Condition::Host(patterns, place)) };
        for name in names {
            self.named.entry(name.to_owned()).or_default().push(self.blocks.len());
        }
        self.blocks.push(Block::new(Condition::Named(place)));
    }

    /// The blocks that may apply to a host of this name, in order; those that are left out do not.
    pub(super) fn blocks_for(&self, name: &str) -> Vec<&Block> {
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let mut places: Vec<usize> = self.general.iter().chain(named).copied().collect();
        places.sort_unstable();
        // A block that has a name twice.
        places.dedup();
        places.into_iter().map(|at| &self.blocks[at]).collect()
    }

    /// Reads the contents of a file.
    pub(super) fn parse(bytes: &[u8], file: &Arc<Path>, origin: Origin) -> Result<Self, ConfigError> {
        let mut parsed = Self::new();
        for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let place = Place::Line { file: Arc::clone(file), line: index + 1 };
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) if bytes.trim_ascii_start().starts_with(b"#") => continue,
                Err(_) => return Err(ConfigError::Line { place, problem: "expected text in UTF-8" }),
            };
            if index == 0 && text.starts_with('\u{feff}') {
                let problem = "expected a keyword, found a byte order mark (ssh refuses it too)";
                return Err(ConfigError::Line { place, problem });
            }
            parsed.add_line(text, place, origin)?;
        }
        Ok(parsed)
    }

    /// Reads options of the command line, each like one line of a file.
    pub(super) fn parse_options(options: &[String]) -> Result<Self, ConfigError> {
        let mut parsed = Self::new();
        for option in options {
            let place = Place::Option(option.as_str().into());
            if let Some(Role::Host | Role::Match | Role::Include) = keyword_role(option) {
                let problem = "expected a setting: Host, Match and Include work in files only";
                return Err(ConfigError::Line { place, problem });
            }
            parsed.add_line(option, place, Origin::CommandLine)?;
        }
        Ok(parsed)
    }

    fn add_line(&mut self, text: &str, place: Place, origin: Origin) -> Result<(), ConfigError> {
        let line = match Line::read(text) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(problem) => return Err(ConfigError::Line { place, problem }),
        };
        let described = |bad| describe(bad, line, &place);
        let directive = match lookup(line.keyword) {
            Some(Role::Host) => {
                let words = words(line, "patterns of host names").map_err(described)?;
                let patterns = PatternList::from_words(words.iter().map(String::as_str));
                self.add_host_block(patterns, place);
                return Ok(());
            }
            Some(Role::Match) => {
                let criteria = read_criteria(line, &place, origin).map_err(described)?;
                self.add_block(Condition::Match { criteria, place });
                return Ok(());
            }
            Some(Role::Include) => {
                let patterns = words(line, "file names").map_err(described)?;
                Directive::Include(Include { patterns, origin, place })
            }
            Some(Role::Set(setting, kind)) => {
                let value = Value::read(kind, line).map_err(described)?;
                let notice = unknown_algorithms(setting, &value, line.keyword, &place, origin)?;
                Directive::Set(Arc::new(Assignment { setting, value, place, notice }))
            }
            Some(Role::Unsupported(unsupported)) => unsupported_line(unsupported, line, place, origin),
            None => Directive::Unknown(Box::new(Notice {
                keyword: line.keyword.to_owned(),
                kind: NoticeKind::Unknown,
                place,
                origin,
            })),
        };
        if let Some(block) = self.blocks.last_mut() {
            block.directives.push(directive);
        }
        Ok(())
    }

    /// The names that `Host` lines have in full, and the `Include` lines, as they stand in the file.
    pub(super) fn names_and_includes(
        &self,
    ) -> impl Iterator<Item = (Vec<(&str, &Place)>, impl Iterator<Item = &Include>)> {
        let mut exact: Vec<Vec<&str>> = vec![Vec::new(); self.blocks.len()];
        for (name, blocks) in &self.named {
            blocks.iter().for_each(|&at| exact[at].push(name));
        }
        self.blocks.iter().zip(exact).map(|(block, mut exact)| {
            exact.sort_unstable();
            exact.dedup();
            let names = match &block.condition {
                Condition::Named(place) => exact.into_iter().map(|name| (name, place)).collect(),
                Condition::Host(patterns, place) => patterns.plain_texts().map(|name| (name, place)).collect(),
                Condition::Always | Condition::Match { .. } => Vec::new(),
            };
            (names, block.includes())
        })
    }

    /// All `Include` lines.
    pub(super) fn includes(&self) -> impl Iterator<Item = &Include> {
        self.blocks.iter().flat_map(Block::includes)
    }

    /// Whether some block asks for the second pass.
    pub(super) fn wants_final_pass(&self) -> bool {
        self.blocks.iter().any(|block| match &block.condition {
            Condition::Match { criteria, .. } => criteria.iter().any(Criterion::wants_final_pass),
            _ => false,
        })
    }
}

fn keyword_role(text: &str) -> Option<Role> {
    Line::read(text).ok().flatten().and_then(|line| lookup(line.keyword))
}

/// The words of a line that needs at least one, none of them empty.
fn words(line: Line<'_>, expected: &'static str) -> Result<Vec<String>, BadLine> {
    let words = line.words().map_err(BadLine::Quote)?;
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err(BadLine::Value(Mismatch { expected, found: String::new() }));
    }
    Ok(words)
}

fn unsupported_line(unsupported: Unsupported, line: Line<'_>, place: Place, origin: Origin) -> Directive {
    let value = line.words().unwrap_or_default().join(" ").to_ascii_lowercase();
    let nothing_lost = unsupported.nothing_lost.split(',').any(|harmless| harmless == value);
    let kind = NoticeKind::Unsupported(unsupported.reason);
    let notice = Notice { keyword: line.keyword.to_owned(), kind, place, origin };
    Directive::Unsupported { keyword: unsupported.keyword, notice: (!nothing_lost).then(|| Box::new(notice)) }
}

/// Names of algorithms that we do not have are a mistake on the command line. In a file they may be there for ssh(1), and
/// only do nothing.
fn unknown_algorithms(
    setting: Setting,
    value: &Value,
    keyword: &str,
    place: &Place,
    origin: Origin,
) -> Result<Option<Box<Notice>>, ConfigError> {
    let Value::Algorithms(list) = value else { return Ok(None) };
    let known = known_algorithms(setting);
    let unknown = list.unknown(&known).join(",");
    let place = place.clone();
    match origin {
        _ if unknown.is_empty() => Ok(None),
        Origin::CommandLine => Err(ConfigError::Algorithm { place, unknown, known: known.join(",") }),
        Origin::User | Origin::System => {
            let kind = NoticeKind::UnknownAlgorithms(unknown);
            Ok(Some(Box::new(Notice { keyword: keyword.to_owned(), kind, place, origin })))
        }
    }
}

fn known_algorithms(setting: Setting) -> Vec<String> {
    match setting {
        Setting::Ciphers => algorithms::known_ciphers(),
        Setting::Macs => algorithms::known_macs(),
        Setting::KexAlgorithms => algorithms::known_kex(),
        _ => algorithms::known_keys(),
    }
}

fn describe(bad: BadLine, line: Line<'_>, place: &Place) -> ConfigError {
    let place = place.clone();
    match bad {
        BadLine::Quote(problem) => ConfigError::Line { place, problem },
        BadLine::Value(Mismatch { expected, found }) => {
            ConfigError::Syntax { place, keyword: line.keyword.to_owned(), expected, found }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolving N hosts must not look at N blocks each.
    #[test]
    fn only_blocks_that_may_apply_to_a_name_are_looked_at_in_their_order() {
        let text = "Port 1\nHost a b a\nPort 2\nHost *\nPort 3\nHost a\nPort 4\nHost !a b\nPort 5\nMatch all\nPort 6\n";
        let file = ConfigFile::parse(text.as_bytes(), &Arc::from(Path::new("config")), Origin::User).unwrap();
        let ports = |name| {
            let directive = |block: &&Block| match &block.directives[0] {
                Directive::Set(assignment) => format!("{:?}", assignment.value),
                other => panic!("{other:?}"),
            };
            file.blocks_for(name).iter().map(directive).collect::<Vec<_>>().join(" ")
        };
        let expected = |numbers: &str| {
            let value = |number: &str| format!("{:?}", Value::Number(number.parse().unwrap()));
            numbers.split(' ').map(value).collect::<Vec<_>>().join(" ")
        };
        for (name, numbers) in [("a", "1 2 3 4 5 6"), ("b", "1 2 3 5 6"), ("A", "1 3 5 6"), ("", "1 3 5 6")] {
            assert_eq!(ports(name), expected(numbers), "{name}");
        }
    }
}
