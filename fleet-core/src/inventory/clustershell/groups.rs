//! Files of groups: flat ones (`group: nodes`) and YAML ones (`source: {group: nodes}`).
//!
//! Must not know which files count, nor what the node sets mean.

use std::collections::HashSet;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::Placed;
use super::conf::Place;
use crate::inventory::{GROUP_NAME_ELSEWHERE, GroupDefinition, InventoryError, Source, is_group_name_elsewhere};

/// The groups of a source, each once.
struct Groups {
    placed: Placed,
    seen: HashSet<String>,
}

impl Groups {
    fn new(name: &str, place: Place) -> Self {
        let source = Source { name: name.to_owned(), ..Source::default() };
        Self { placed: Placed { source, place, remarks: Vec::new() }, seen: HashSet::new() }
    }

    fn add(&mut self, name: String, nodes: Vec<String>, place: &Place) {
        let Placed { source, remarks, .. } = &mut self.placed;
        if !is_group_name_elsewhere(&name) {
            remarks.push(format!("{place}: the group \"{name}\" is left out; expected {GROUP_NAME_ELSEWHERE}"));
            return;
        }
        let expressions = nodes.into_iter().filter(|nodes| !nodes.trim().is_empty());
        if self.seen.insert(name.clone()) {
            let origin = place.to_string();
            source.groups.push(GroupDefinition { name, expressions: expressions.collect(), origin });
        } else if let Some(group) = source.groups.iter_mut().find(|group| group.name == name) {
            group.expressions.extend(expressions);
        }
    }
}

/// Reads a flat file: all lines of a group count together.
pub(super) fn parse_flat(text: &str, path: &Path, source: &str) -> Result<Placed, InventoryError> {
    let place = |line| Place { path: path.to_owned(), line };
    let mut groups = Groups::new(source, place(1));
    for (index, line) in text.lines().enumerate() {
        let place = place(index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, nodes)) = line.split_once(':') else {
            return Err(place.error(format!("found \"{line}\""), "group: nodes, or a # comment"));
        };
        groups.add(name.to_owned(), vec![nodes.to_owned()], &place);
    }
    Ok(groups.placed)
}

/// Reads a YAML file. Texts need no quotes, whatever else YAML would take them for; aliases are refused.
pub(super) fn parse_yaml(text: &str, path: &Path) -> Result<Vec<Placed>, InventoryError> {
    let mut yaml = Yaml { parser: Parser::new_from_str(text), path };
    let mut sources = Vec::new();
    match yaml.first()? {
        (Event::StreamEnd, _) => return Ok(sources),
        (Event::MappingStart(..), _) => {}
        other => return Err(yaml.unexpected(&other, "source: {group: nodes}")),
    }
    while let Some((name, place)) = yaml.key("the name of a source")? {
        sources.push(yaml.source(&name, place)?.placed);
    }
    match yaml.first()? {
        (Event::StreamEnd, _) => Ok(sources),
        other => Err(yaml.unexpected(&other, "one document only")),
    }
}

/// A YAML text that is being read.
struct Yaml<'a> {
    parser: Parser<'a, StrInput<'a>>,
    path: &'a Path,
}

impl<'a> Yaml<'a> {
    fn place(&self, line: usize) -> Place {
        Place { path: self.path.to_owned(), line }
    }

    /// The next event and its line.
    fn next(&mut self) -> Result<(Event<'a>, usize), InventoryError> {
        match self.parser.next() {
            None => Ok((Event::StreamEnd, 1)),
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                let place = self.place(error.marker().line());
                Err(place.error(format!("this is no YAML: {}", error.info()), "source: {group: nodes}"))
            }
        }
    }

    /// The next event that is not the beginning or the end of a document.
    fn first(&mut self) -> Result<(Event<'a>, usize), InventoryError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                other => return Ok(other),
            }
        }
    }

    fn unexpected(&self, (event, line): &(Event<'_>, usize), expected: &'static str) -> InventoryError {
        let found = match event {
            Event::Alias(_) => "an alias".to_owned(),
            Event::Scalar(text, ..) => format!("\"{text}\""),
            Event::SequenceStart(..) => "a list".to_owned(),
            Event::MappingStart(..) => "a mapping".to_owned(),
            _ => "an end".to_owned(),
        };
        self.place(*line).error(format!("found {found}"), expected)
    }

    /// The next key of a mapping; `None` at its end.
    fn key(&mut self, expected: &'static str) -> Result<Option<(String, Place)>, InventoryError> {
        match self.next()? {
            (Event::MappingEnd, _) => Ok(None),
            (Event::Scalar(text, ..), line) if !text.is_empty() => Ok(Some((text.into_owned(), self.place(line)))),
            other => Err(self.unexpected(&other, expected)),
        }
    }

    fn source(&mut self, name: &str, place: Place) -> Result<Groups, InventoryError> {
        let mut groups = Groups::new(name, place);
        match self.next()? {
            (Event::MappingStart(..), _) => {}
            other => return Err(self.unexpected(&other, "the groups of a source, as group: nodes")),
        }
        while let Some((group, place)) = self.key("the name of a group")? {
            if groups.seen.contains(&group) {
                return Err(place.error(format!("the group \"{group}\" is defined above"), "each group once"));
            }
            let nodes = self.nodes()?;
            groups.add(group, nodes, &place);
        }
        Ok(groups)
    }

    /// A text, a list of texts, or nothing.
    fn nodes(&mut self) -> Result<Vec<String>, InventoryError> {
        const EXPECTED: &str = "nodes as a text, or as a list of texts";
        match self.next()? {
            (Event::Scalar(text, style, ..), _) => Ok(text_of(&text, style).into_iter().collect()),
            (Event::SequenceStart(..), _) => {
                let mut nodes = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(nodes),
                        (Event::Scalar(text, style, ..), _) => nodes.extend(text_of(&text, style)),
                        other => return Err(self.unexpected(&other, EXPECTED)),
                    }
                }
            }
            other => Err(self.unexpected(&other, EXPECTED)),
        }
    }
}

/// `None` for YAML's null.
fn text_of(text: &str, style: ScalarStyle) -> Option<String> {
    let is_null = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null");
    (!is_null).then(|| text.to_owned())
}
