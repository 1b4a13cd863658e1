//! Host files: one host, or range of hosts, to a line, in pssh's formats, under `[group]` headings.
//!
//! Must not know which other files there are.

use std::path::{Path, PathBuf};

use super::{GROUP_NAME, GroupDefinition, InventoryError, is_group_name};
use crate::endpoint::Endpoint;
use crate::host::{Host, HostSyntaxError};
use crate::hostset;

/// What a line may be, in words.
const LINE: &str = "[user@]host[:port], host[:port] user, a [group] heading or a # comment";

/// A parsed host file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// As the user named it.
    pub path: PathBuf,
    /// One for each host, in order: a line with a range makes several.
    pub lines: Vec<HostLine>,
    /// The headings, also those without hosts.
    pub groups: Vec<String>,
    /// Groups that consist of others.
    pub definitions: Vec<GroupDefinition>,
}

/// A host and the line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// The host.
    pub host: Host,
    /// The heading above it.
    pub group: Option<String>,
    /// From 1.
    pub line: usize,
    /// Where it is reached, if the line says it.
    pub endpoint: Option<Endpoint>,
}

impl HostFile {
    /// `file:line` of one of its lines.
    #[must_use]
    pub fn origin(&self, line: &HostLine) -> String {
        format!("{}:{}", self.path.display(), line.line)
    }
}

/// Reads and parses the host file at `path`.
///
/// # Errors
/// When it cannot be read, or [`parse`] refuses it.
pub fn read(path: &Path) -> Result<HostFile, InventoryError> {
    let bytes = std::fs::read(path).map_err(|source| InventoryError::Read { path: path.to_owned(), source })?;
    parse(&bytes, path)
}

/// Parses the content of a host file; `path` is only its name.
///
/// A line is `[user@]host[:port]`, or `host[:port] user` as older versions of pssh wrote it; a host may be a host set
/// such as `web[01-20]`. A heading `[group]` puts the hosts below it into a group. A `#` starts a comment. Lines may end
/// in CR LF, and the file may start with a byte order mark.
///
/// # Errors
/// [`InventoryError::Line`] for the first line that is none of these.
pub fn parse(bytes: &[u8], path: &Path) -> Result<HostFile, InventoryError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut file = HostFile { path: path.to_owned(), lines: Vec::new(), groups: Vec::new(), definitions: Vec::new() };
    let mut group = None;
    for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = index + 1;
        match parse_line(bytes) {
            Ok(Line::Blank) => {}
            Ok(Line::Heading(name)) => {
                if !file.groups.contains(&name) {
                    file.groups.push(name.clone());
                }
                group = Some(name);
            }
            Ok(Line::Hosts(hosts)) => {
                file.lines.extend(hosts.into_iter().map(|host| HostLine {
                    host,
                    group: group.clone(),
                    line,
                    endpoint: None,
                }));
            }
            Err(Unexpected { found, expected }) => {
                return Err(InventoryError::Line { path: path.to_owned(), line, found, expected });
            }
        }
    }
    Ok(file)
}

enum Line {
    Blank,
    Heading(String),
    Hosts(Vec<Host>),
}

struct Unexpected {
    found: String,
    expected: &'static str,
}

fn parse_line(bytes: &[u8]) -> Result<Line, Unexpected> {
    let unexpected = |found: String| Unexpected { found, expected: LINE };
    let text = std::str::from_utf8(bytes).map_err(|_| Unexpected {
        found: format!("\"{}\" is not UTF-8", String::from_utf8_lossy(bytes).trim().escape_debug()),
        expected: "a text file in UTF-8",
    })?;
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(Line::Blank);
    }
    if let Some(name) = heading(text) {
        return match is_group_name(name) {
            true => Ok(Line::Heading(name.to_owned())),
            false => Err(Unexpected { found: format!("the heading is \"[{name}]\""), expected: GROUP_NAME }),
        };
    }
    let words = hostset::words(text).map_err(|error| unexpected(error.to_string()))?;
    let (set, user) = match *words.as_slice() {
        [set] => (set, None),
        [set, user] => (set, Some(user)),
        _ => return Err(unexpected(format!("\"{text}\" has {} words", words.len()))),
    };
    let names = hostset::expand(set).map_err(|error| unexpected(error.to_string()))?;
    let hosts = names.iter().map(|name| parse_host(name, user));
    Ok(Line::Hosts(hosts.collect::<Result<_, _>>().map_err(unexpected)?))
}

/// The inside of a line that is nothing but one pair of brackets, unless that is an IPv6 address.
fn heading(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?.strip_suffix(']')?;
    let is_address = name.split('%').next()?.parse::<std::net::Ipv6Addr>().is_ok();
    (!is_address && !name.contains(['[', ']'])).then(|| name.trim())
}

/// Reads a host, and the user that stood in a word of its own.
fn parse_host(name: &str, user: Option<&str>) -> Result<Host, String> {
    match user {
        None => name.parse(),
        Some(_) if name.contains('@') => return Err(format!("\"{name}\" already has a user")),
        Some(variable) if variable.contains('=') => return Err(format!("\"{variable}\" is no user")),
        Some(user) => format!("{user}@{name}").parse(),
    }
    .map_err(|error: HostSyntaxError| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: impl AsRef<[u8]>) -> String {
        let file = parse(text.as_ref(), Path::new("hosts")).unwrap();
        let line = |line: &HostLine| format!("{}={}/{}", line.line, line.host, line.group.as_deref().unwrap_or(""));
        file.lines.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_every_form_of_a_line() {
        for (text, hosts) in [
            ("", ""),
            ("web1", "1=web1/"),
            ("me@web1:22\n", "1=me@web1:22/"),
            ("web1:22 me\n", "1=me@web1:22/"),
            ("web1\tme", "1=me@web1/"),
            ("  web1  \n\n\t\nweb2", "1=web1/ 4=web2/"),
            ("# all\nweb1 # first\n#web2\nweb3#x", "2=web1/ 4=web3/"),
            ("\u{feff}web1\r\nweb2\r\n", "1=web1/ 2=web2/"),
            ("db\n[web]\nweb1\n[ db ] # x\ndb1\n", "1=db/ 3=web1/web 5=db1/db"),
            ("web[01-02]\nweb[1, 2] me", "1=web01/ 1=web02/ 2=me@web1/ 2=me@web2/"),
            ("a,b me", "1=me@a/ 1=me@b/"),
            ("[::1]\n[::1]:22\n[fe80::1%eth0] me\n::1", "1=::1/ 2=[::1]:22/ 3=me@fe80::1%eth0/ 4=::1/"),
            ("[1-2].example.com", "1=1.example.com/ 1=2.example.com/"),
        ] {
            assert_eq!(shown(text), hosts, "{text:?}");
        }
    }

    #[test]
    fn headings_are_kept_also_without_hosts() {
        let file = parse(b"[web]\n[db-1.x_y]\n[web]\n", Path::new("hosts")).unwrap();
        assert_eq!(file.groups, ["web", "db-1.x_y"]);
    }

    #[test]
    fn a_broken_line_is_named_with_what_was_found_and_expected() {
        for (text, message) in [
            ("web1\nweb2 me you", "hosts:2: \"web2 me you\" has 3 words; expected [user@]host[:port], "),
            ("web1\n\nweb;1", "hosts:3: ';' cannot be part of a host name (in \"web;1\"); expected [user@]"),
            ("web1 ansible_port=22", "hosts:1: \"ansible_port=22\" is no user; expected"),
            ("me@web1 you", "\"me@web1\" already has a user"),
            ("web1:ssh", "the port \"ssh\""),
            ("web[1-", "brackets in \"web[1-\""),
            ("web[3-1]", "goes down"),
            ("web1, web2", "next to a comma"),
            ("@web", "names a group"),
            ("-oProxyCommand=x", "cannot start with \"-\""),
            ("[]", "the heading is \"[]\"; expected a group name"),
            ("[web:children]", "the heading is \"[web:children]\"; expected a group name"),
            ("[-x]", "the heading is"),
            ("[web] me", "hosts:1: "),
            ("[web", "brackets in \"[web\""),
        ] {
            let error = parse(text.as_bytes(), Path::new("hosts")).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
        let error = parse(b"web1\nw\xffb\n", Path::new("hosts")).unwrap_err().to_string();
        assert!(error.starts_with("hosts:2: \"w\u{fffd}b\" is not UTF-8; expected"), "{error}");
    }

    #[test]
    fn an_unreadable_file_is_named_with_a_hint() {
        let error = read(Path::new("/nonexistent/hosts")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the host file /nonexistent/hosts");
        assert!(error.hint().unwrap().contains("check the path"));
    }

    proptest! {
        #[test]
        fn displayed_hosts_are_read_back(hosts in proptest::collection::vec(
            "([a-z]{1,3}@)?[a-z]{1,3}[0-9]?(:[1-9][0-9])?|::[1-9]|\\[::[1-9]\\]:22", 0..9))
        {
            let file = parse(hosts.join("\n").as_bytes(), Path::new("hosts")).unwrap();
            let read: Vec<String> = file.lines.iter().map(|line| line.host.to_string()).collect();
            prop_assert_eq!(read, hosts);
        }

        #[test]
        fn no_content_stops_the_reader(bytes: Vec<u8>, lines in "([]\\[@:,# a1-]{0,6}\n){0,5}") {
            let _ = parse(&bytes, Path::new("hosts"));
            let _ = parse(lines.as_bytes(), Path::new("hosts"));
        }
    }
}
