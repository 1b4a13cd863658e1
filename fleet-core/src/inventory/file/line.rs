//! One line of a host file: what stands on it.
//!
//! Must not know the lines around it, but for the kind of heading they stand under.

use std::path::Path;

use super::range;
use crate::host::{Host, HostSyntaxError};
use crate::inventory::{GROUP_NAME, InventoryError, is_group_name, shell_words};

/// What a line may be, in words.
pub(in crate::inventory) const HOST_LINE: &str =
    "[user@]host[:port], host[:port] user, host[:port] variable=value ..., a [group] heading or a # comment";

/// What is wrong with a line.
pub(super) struct Unexpected {
    found: String,
    expected: &'static str,
}

impl Unexpected {
    fn line(found: String) -> Self {
        Self { found, expected: HOST_LINE }
    }

    pub(super) fn new(found: String, expected: &'static str) -> Self {
        Self { found, expected }
    }

    pub(super) fn at(self, path: &Path, line: usize) -> InventoryError {
        InventoryError::Line { path: path.to_owned(), line, found: self.found, expected: self.expected }
    }
}

/// `[name]`, `[name:children]` or `[name:vars]`.
pub(super) enum Heading {
    Hosts(String),
    Children(String),
    Variables(String),
}

/// The hosts of a line and the variables behind them; none on a blank line.
#[derive(Default)]
pub(super) struct Hosts {
    pub(super) hosts: Vec<Host>,
    pub(super) variables: Vec<(String, String)>,
}

/// The text of a line, without the blanks around it; nothing for a line that is a comment.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Unexpected> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unexpected {
        found: format!("\"{}\" is not UTF-8", String::from_utf8_lossy(bytes).trim().escape_debug()),
        expected: "a text file in UTF-8",
    })?;
    let text = text.trim();
    Ok(if text.starts_with(['#', ';']) { "" } else { text })
}

/// Reads a line that is nothing but one pair of brackets, unless that is an IPv6 address.
pub(super) fn heading(text: &str) -> Result<Option<Heading>, Unexpected> {
    let text = text.split('#').next().unwrap_or_default().trim();
    let Some(inside) = text.strip_prefix('[').and_then(|tail| tail.strip_suffix(']')) else { return Ok(None) };
    let is_address = inside.split('%').next().is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    if is_address || inside.contains(['[', ']']) {
        return Ok(None);
    }
    let inside = inside.trim();
    let (name, heading): (&str, fn(String) -> Heading) = match inside.split_once(':') {
        None => (inside, Heading::Hosts),
        Some((name, "children")) => (name, Heading::Children),
        Some((name, "vars")) => (name, Heading::Variables),
        Some(_) => {
            let expected = "[group], [group:children] or [group:vars]";
            return Err(Unexpected::new(format!("the heading is \"[{inside}]\""), expected));
        }
    };
    match is_group_name(name) {
        true => Ok(Some(heading(name.to_owned()))),
        false => Err(Unexpected::new(format!("the heading is \"[{inside}]\""), GROUP_NAME)),
    }
}

/// Reads a line of hosts.
pub(super) fn hosts(text: &str) -> Result<Hosts, Unexpected> {
    let text = shell_words::without_comment(text).trim();
    if text.is_empty() {
        return Ok(Hosts::default());
    }
    let (set, rest) = split_first_word(text);
    let (user, variables) = match rest {
        "" => (None, Vec::new()),
        _ if rest.contains('=') => (None, variables(rest)?),
        _ if rest.contains(char::is_whitespace) => {
            let count = 1 + rest.split_whitespace().count();
            return Err(Unexpected::line(format!("\"{text}\" has {count} words")));
        }
        user => (Some(user), Vec::new()),
    };
    let names = range::expand(set).map_err(|error| Unexpected::line(error.to_string()))?;
    let hosts = names.iter().map(|name| parse_host(name, user)).collect::<Result<_, _>>();
    Ok(Hosts { hosts: hosts.map_err(Unexpected::line)?, variables })
}

/// The text up to the first blank outside brackets, and what stands behind it.
fn split_first_word(text: &str) -> (&str, &str) {
    let mut inside = false;
    let ends = |c: char| {
        inside = if inside { c != ']' } else { c == '[' };
        !inside && c.is_whitespace()
    };
    let (word, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
    (word, rest.trim_start())
}

fn variables(text: &str) -> Result<Vec<(String, String)>, Unexpected> {
    let words = shell_words::split(text)
        .map_err(|expected| Unexpected::new(format!("the variables end too early: \"{text}\""), expected))?;
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Unexpected::line(format!("\"{word}\" stands among variables"))),
    };
    words.iter().map(pair).collect()
}

/// Reads a host, and the user that stood in a word of its own.
fn parse_host(name: &str, user: Option<&str>) -> Result<Host, String> {
    match user {
        None => name.parse(),
        Some(_) if name.contains('@') => return Err(format!("\"{name}\" already has a user")),
        Some(user) => format!("{user}@{name}").parse(),
    }
    .map_err(|error: HostSyntaxError| error.to_string())
}

/// Reads a line below `[group:children]`: the name of a group, or nothing.
pub(super) fn child(text: &str) -> Result<Option<&str>, Unexpected> {
    match text.split('#').next().unwrap_or_default().trim() {
        "" => Ok(None),
        name if is_group_name(name) => Ok(Some(name)),
        name => Err(Unexpected::new(format!("\"{name}\" is no group"), GROUP_NAME)),
    }
}

/// Reads a line below `[group:vars]`. All behind the `=` is the value, as it is in Ansible: a comment has a line of its own.
pub(super) fn variable(text: &str) -> Result<Option<(&str, &str)>, Unexpected> {
    if text.is_empty() {
        return Ok(None);
    }
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), unquoted(value.trim())));
    let expected = "variable=value below [group:vars]";
    pair.map(Some).ok_or_else(|| Unexpected::new(format!("\"{text}\" has no \"=\""), expected))
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}
