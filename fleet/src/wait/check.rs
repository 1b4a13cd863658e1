//! Checks as they are typed: `tcp:8080`, `http://{addr}:8080/health`, `file:/run/ready`, `cmd:pgrep nginx`.
//!
//! Pure. Must not know how a host is asked.

use std::convert::Infallible;
use std::fmt;

use fleet_core::template::{Template, TemplateError};

/// What may stand in braces in the names and paths of `tcp:` and `http:`.
const PLACEHOLDERS: [&str; 4] = ["addr", "host", "role", "index"];
/// What a check begins with.
const KINDS: [&str; 5] = ["tcp:", "http://", "https://", "file:", "cmd:"];
/// The port of `http:` (RFC 9110 section 4.2.1).
const HTTP_PORT: u16 = 80;

/// Something that has to hold on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    typed: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Tcp(Target),
    Http(Target, Template),
    File(String),
    Command(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: Template,
    port: u16,
}

/// What is known of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The address at which other hosts reach it.
    pub(super) addr: &'a str,
    pub(super) host: &'a str,
    pub(super) role: &'a str,
    pub(super) index: usize,
}

/// What one host is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether it can connect there.
    Tcp { name: String, port: u16 },
    /// Whether a server there answers well.
    Http { name: String, port: u16, path: String },
    /// Whether there is such a file.
    File(String),
    /// Whether this ends well.
    Command(String),
}

/// Why a text is no check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    /// It begins with nothing known.
    #[error(
        "\"{0}\" is not a check; expected tcp:PORT, tcp:HOST:PORT, http://HOST[:PORT]/PATH, file:PATH or cmd:COMMAND"
    )]
    Unknown(String),
    /// Nothing is behind that.
    #[error("\"{0}\" does not say what to look for")]
    Empty(String),
    /// The port.
    #[error("\"{typed}\": \"{port}\" is not a port; expected a number from 1 to 65535")]
    Port {
        /// The check.
        typed: String,
        /// What stands for it.
        port: String,
    },
    /// Certificates are not looked at here.
    #[error("\"{0}\": https is not spoken here")]
    Https(String),
    /// Braces.
    #[error("\"{typed}\": {error}")]
    Template {
        /// The check.
        typed: String,
        /// What is wrong with them.
        error: TemplateError,
    },
}

impl CheckError {
    /// What to do instead.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Https(url) => Some(format!("ask a program on the host: --for \"cmd:curl -fsS {url}\"")),
            _ => None,
        }
    }
}

impl Check {
    /// Reads checks, several of which may stand in one text: a comma divides them where another kind follows.
    ///
    /// # Errors
    /// For the first that is none.
    pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Self>, CheckError> {
        texts.iter().flat_map(|text| divided(text)).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, CheckError> {
        let kind = KINDS.into_iter().find(|kind| text.starts_with(kind));
        let (kind, rest) =
            kind.map(|kind| text.split_at(kind.len())).ok_or_else(|| CheckError::Unknown(text.to_owned()))?;
        if rest.trim().is_empty() {
            return Err(CheckError::Empty(text.to_owned()));
        }
        let kind = match kind {
            "tcp:" => match rest.rsplit_once(':') {
                Some((name, port)) => Kind::Tcp(target(text, name, port)?),
                None => Kind::Tcp(target(text, "{addr}", rest)?),
            },
            "http://" => {
                let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
                // The colon of an address of version 6 is no port's.
                let (name, port) = match authority.rsplit_once(':') {
                    Some((name, port)) if !port.ends_with(']') => (name, port),
                    _ => (authority, ""),
                };
                let target = match port {
                    "" => Target { name: template(text, bare(name))?, port: HTTP_PORT },
                    port => target(text, name, port)?,
                };
                Kind::Http(target, template(text, path)?)
            }
            "https://" => return Err(CheckError::Https(text.to_owned())),
            "file:" => Kind::File(rest.to_owned()),
            _ => Kind::Command(rest.to_owned()),
        };
        Ok(Self { typed: text.to_owned(), kind })
    }

    /// The texts of commands.
    pub(super) fn command(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Command(command) => Some(command.as_bytes()),
            _ => None,
        }
    }

    /// What the host at `place` is asked.
    pub(super) fn at(&self, place: &Place<'_>) -> Question {
        let filled = |template: &Template| {
            let value = |name: &str, _: &[u8]| {
                Ok::<_, Infallible>(match name {
                    "addr" => place.addr.as_bytes().to_vec(),
                    "host" => place.host.as_bytes().to_vec(),
                    "role" => place.role.as_bytes().to_vec(),
                    _ => place.index.to_string().into_bytes(),
                })
            };
            let Ok(filled) = template.fill(value);
            String::from_utf8_lossy(&filled).into_owned()
        };
        match &self.kind {
            Kind::Tcp(target) => Question::Tcp { name: filled(&target.name), port: target.port },
            Kind::Http(target, path) => {
                Question::Http { name: filled(&target.name), port: target.port, path: filled(path) }
            }
            Kind::File(path) => Question::File(path.clone()),
            Kind::Command(command) => Question::Command(command.clone()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// The parts of a text, divided by commas in front of kinds.
fn divided(text: &str) -> Vec<&str> {
    let is_end = |at: &usize| KINDS.into_iter().any(|kind| text[at + 1..].trim_start().starts_with(kind));
    let ends = text.match_indices(',').map(|(at, _)| at).filter(is_end).chain([text.len()]);
    let mut start = 0;
    ends.map(|end| {
        let part = &text[start..end];
        start = end + 1;
        part.trim_start()
    })
    .collect()
}

fn target(typed: &str, name: &str, port: &str) -> Result<Target, CheckError> {
    let number = port.parse().ok().filter(|port| *port > 0);
    let port = number.ok_or_else(|| CheckError::Port { typed: typed.to_owned(), port: port.to_owned() })?;
    Ok(Target { name: template(typed, bare(name))?, port })
}

/// An address of version 6 without its brackets.
fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn template(typed: &str, text: &str) -> Result<Template, CheckError> {
    if text.is_empty() {
        return Err(CheckError::Empty(typed.to_owned()));
    }
    Template::parse(text.as_bytes(), &PLACEHOLDERS)
        .map_err(|error| CheckError::Template { typed: typed.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { addr: "10.0.0.7", host: "web7", role: "web", index: 6 };

    fn questions(texts: &[&str]) -> Result<Vec<Question>, String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let checks = Check::parse_all(&texts).map_err(|error| error.to_string())?;
        Ok(checks.iter().map(|check| check.at(&PLACE)).collect())
    }

    fn tcp(name: &str, port: u16) -> Question {
        Question::Tcp { name: name.to_owned(), port }
    }

    fn http(name: &str, port: u16, path: &str) -> Question {
        Question::Http { name: name.to_owned(), port, path: path.to_owned() }
    }

    #[test]
    fn each_kind_is_read_and_filled_for_its_host() {
        for (text, expected) in [
            ("tcp:8080", tcp("10.0.0.7", 8080)),
            ("tcp:localhost:80", tcp("localhost", 80)),
            ("tcp:[::1]:80", tcp("::1", 80)),
            ("tcp:{host}.example:1", tcp("web7.example", 1)),
            ("http://{addr}:8080/health", http("10.0.0.7", 8080, "/health")),
            ("http://{addr}", http("10.0.0.7", 80, "/")),
            ("http://[::1]/x", http("::1", 80, "/x")),
            ("http://[::1]:81/{role}?i={index}", http("::1", 81, "/web?i=6")),
            ("file:/run/{ready}", Question::File("/run/{ready}".to_owned())),
            ("cmd:awk '{print}' f", Question::Command("awk '{print}' f".to_owned())),
        ] {
            assert_eq!(questions(&[text]), Ok(vec![expected]), "{text}");
        }
    }

    #[test]
    fn a_comma_divides_checks_only_in_front_of_another() {
        let all = questions(&["tcp:1, file:a,b,cmd:echo a,b, c,tcp:2", "tcp:3"]).unwrap();
        let command = Question::Command("echo a,b, c".to_owned());
        assert_eq!(
            all,
            [tcp("10.0.0.7", 1), Question::File("a,b".to_owned()), command, tcp("10.0.0.7", 2), tcp("10.0.0.7", 3)]
        );
    }

    #[test]
    fn what_is_no_check_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("8080", "\"8080\" is not a check; expected tcp:PORT"),
            ("udp:53", "is not a check"),
            ("tcp:", "does not say what to look for"),
            ("cmd: ", "does not say what to look for"),
            ("http:///x", "does not say what to look for"),
            ("tcp:http", "\"http\" is not a port; expected a number from 1 to 65535"),
            ("tcp:0", "\"0\" is not a port"),
            ("tcp:a:65536", "\"65536\" is not a port"),
            ("http://a:b/", "\"b\" is not a port"),
            ("https://a/", "https is not spoken here"),
            ("tcp:{address}:1", "{address} is not a placeholder: expected one of {addr}"),
            ("tcp:1,", "\"1,\" is not a port"),
        ] {
            let error = questions(&[text]).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
