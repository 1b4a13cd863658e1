//! Texts with placeholders: `{name}` is replaced, `{{` and `}}` are braces.
//!
//! Bytes to bytes. Must not know what the names stand for, nor how a value is quoted where it is put.

use std::fmt;

/// A text with placeholders, read once and filled for each host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Placeholder(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing has such a name.
    #[error("{{{name}}} is not a placeholder: expected one of {}", Listed(known))]
    Unknown {
        /// What stands in the braces.
        name: String,
        /// What could stand there.
        known: Vec<String>,
    },
    /// A brace without the other.
    #[error("\"{brace}\" without its other half at byte {at}: a brace is written {brace}{brace}")]
    Unpaired {
        /// `{` or `}`.
        brace: char,
        /// Its place, from 1.
        at: usize,
    },
}

impl Template {
    /// Reads `text`, in which only the placeholders `known` may stand.
    ///
    /// # Errors
    /// When another stands there, or a brace alone.
    pub fn parse(text: &[u8], known: &[&str]) -> Result<Self, TemplateError> {
        Self::parse_open(text, known, |name| known.contains(&name))
    }

    /// The same where more may stand than can be listed: `is_known` decides, `known` is what an error names.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_open(text: &[u8], known: &[&str], is_known: impl Fn(&str) -> bool) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.iter().position(|b| b"{}".contains(b)) {
            template.push_text(&rest[..at]);
            let (brace, behind) = (rest[at], &rest[at + 1..]);
            let unpaired = || TemplateError::Unpaired { brace: brace.into(), at: text.len() - behind.len() };
            if behind.first() == Some(&brace) {
                template.push_text(&[brace]);
                rest = &behind[1..];
                continue;
            }
            let end = behind.iter().position(|&b| b == b'}').filter(|_| brace == b'{').ok_or_else(unpaired)?;
            let name = String::from_utf8_lossy(&behind[..end]).into_owned();
            if !is_known(&name) {
                return Err(TemplateError::Unknown { name, known: known.iter().map(ToString::to_string).collect() });
            }
            template.parts.push(Part::Placeholder(name));
            rest = &behind[end + 1..];
        }
        template.push_text(rest);
        Ok(template)
    }

    /// A text without placeholders: braces are only braces.
    #[must_use]
    pub fn verbatim(text: impl Into<Vec<u8>>) -> Self {
        Self { parts: vec![Part::Text(text.into())] }
    }

    /// The text with each placeholder replaced by what `value` gives for its name and all the text before it.
    ///
    /// # Errors
    /// The first that `value` returns.
    pub fn fill<E>(&self, mut value: impl FnMut(&str, &[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let mut filled = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.extend_from_slice(text),
                Part::Placeholder(name) => {
                    let bytes = value(name, &filled)?;
                    filled.extend_from_slice(&bytes);
                }
            }
        }
        Ok(filled)
    }

    /// The names of its placeholders, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// What stands in it besides placeholders, in order.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_slice()),
            Part::Placeholder(_) => None,
        })
    }

    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| *part == Part::Text(Vec::new()))
    }

    fn push_text(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.extend_from_slice(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_vec())),
        }
    }
}

/// `{a}, {b}, {c}`.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}{{{name}}}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 2] = ["host", "tag:Name"];

    fn filled(text: &str) -> Result<String, TemplateError> {
        let template = Template::parse(text.as_bytes(), &KNOWN)?;
        let Ok(filled) = template.fill(|name, before| Ok::<_, Infallible>(format!("<{name}@{}>", before.len()).into()));
        Ok(String::from_utf8(filled).unwrap())
    }

    #[test]
    fn placeholders_are_replaced_and_double_braces_are_braces() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{host}", "<host@0>"),
            ("a{host}b{tag:Name}", "a<host@1>b<tag:Name@10>"),
            ("${{HOME}} {{host}} {{{host}}}", "${HOME} {host} {<host@16>}"),
            ("}}{{", "}{"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_refused_with_those_that_are() {
        for (text, message) in [
            ("x {nmae}", "{nmae} is not a placeholder: expected one of {host}, {tag:Name}"),
            ("${}", "{} is not a placeholder: expected one of {host}, {tag:Name}"),
            ("{host", "\"{\" without its other half at byte 1: a brace is written {{"),
            ("abc}", "\"}\" without its other half at byte 4: a brace is written }}"),
            ("{{}", "\"}\" without its other half at byte 3: a brace is written }}"),
        ] {
            assert_eq!(filled(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn an_open_template_takes_what_its_rule_takes_and_names_what_is_listed() {
        let parse = |text: &str| Template::parse_open(text.as_bytes(), &["tag.KEY"], |name| name.starts_with("tag."));
        assert_eq!(parse("{tag.a}-{tag.b c}").unwrap().names().collect::<Vec<_>>(), ["tag.a", "tag.b c"]);
        let refused = parse("{tag}").unwrap_err().to_string();
        assert_eq!(refused, "{tag} is not a placeholder: expected one of {tag.KEY}");
    }

    #[test]
    fn a_verbatim_text_has_no_placeholders() {
        let template = Template::verbatim("{host} {{");
        assert_eq!(template.fill(|_, _| Err(())), Ok(b"{host} {{".to_vec()));
        assert!(!template.is_empty() && Template::verbatim("").is_empty() && Template { parts: Vec::new() }.is_empty());
    }

    proptest! {
        #[test]
        fn doubled_braces_give_back_any_text(text in "[{}a\u{fc}]{0,20}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(filled(&doubled), Ok(text));
        }
    }
}
