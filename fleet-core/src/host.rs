//! One host as its user names it: `[user@]name[:port]`.
//!
//! Must not know where a host came from, nor what its address is.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

/// A host as named on the command line, in a file or by a group.
///
/// Displays as `[user@]name[:port]` and parses back to the same value; an IPv6 address with a port, or with
/// anything else that would make it ambiguous, is written in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    // Shared, as each host is in many places.
    name: Arc<str>,
    user: Option<Arc<str>>,
    port: Option<u16>,
}

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostSyntaxError {
    /// Nothing where the name should be.
    #[error("the host name is empty in \"{0}\"")]
    EmptyName(String),
    /// Nothing before the `@`.
    #[error("the user name is empty in \"{0}\"")]
    EmptyUser(String),
    /// Not a number from 1 to 65535 after the colon.
    #[error("the port \"{port}\" in \"{text}\" is not a number from 1 to 65535")]
    Port {
        /// The whole text.
        text: String,
        /// What stood after the last colon.
        port: String,
    },
    /// A `[` without its `]`, or text between `]` and the port.
    #[error("the brackets in \"{0}\" do not enclose an IPv6 address, as in [::1]:22")]
    Brackets(String),
    /// More than one colon, and no IPv6 address.
    #[error("\"{0}\" has several colons and is no IPv6 address; expected host:port or [address]:port")]
    Colons(String),
    /// A character that no host name has: it would be an option or a shell word somewhere.
    #[error("{character:?} cannot be part of a host name (in \"{text}\")")]
    Character {
        /// The whole text.
        text: String,
        /// The first character refused.
        character: char,
    },
    /// A name that a program would read as an option.
    #[error("a host name cannot start with \"-\" (\"{0}\")")]
    LeadingDash(String),
}

impl Host {
    /// A host with neither user nor port of its own.
    ///
    /// # Errors
    /// When `name` is empty, starts with `-`, or holds a blank, control, quoting or shell character.
    pub fn new(name: &str) -> Result<Self, HostSyntaxError> {
        Self::shared(name.into())
    }

    /// The same of a name that is shared with others.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub fn shared(name: Arc<str>) -> Result<Self, HostSyntaxError> {
        check_name(&name, &name)?;
        Ok(Self { name, user: None, port: None })
    }

    /// The same host, to be logged in to as `user`.
    #[must_use]
    pub fn with_user(mut self, user: Option<String>) -> Self {
        self.user = user.map(Arc::from);
        self
    }

    /// The same host on `port`.
    #[must_use]
    pub fn with_port(mut self, port: Option<u16>) -> Self {
        self.port = port;
        self
    }

    /// The name as typed, without user and port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The user named with the host, if any.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The port named with the host, if any.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Host {
    type Err = HostSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, rest) = match text.rsplit_once('@') {
            Some(("", _)) => return Err(HostSyntaxError::EmptyUser(text.to_owned())),
            Some((user, rest)) => {
                check_user(user, text)?;
                (Some(Arc::from(user)), rest)
            }
            None => (None, text),
        };
        let (name, port) = split_port(rest, text)?;
        check_name(name, text)?;
        Ok(Self { name: name.into(), user, port })
    }
}

/// Splits `name[:port]`, where more than one colon outside brackets means an IPv6 address without a port.
fn split_port<'a>(rest: &'a str, text: &str) -> Result<(&'a str, Option<u16>), HostSyntaxError> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (name, tail) = inner.split_once(']').ok_or_else(|| HostSyntaxError::Brackets(text.to_owned()))?;
        if !name.contains(':') {
            return Err(HostSyntaxError::Brackets(text.to_owned()));
        }
        return match tail.strip_prefix(':') {
            Some(port) => Ok((name, Some(parse_port(port, text)?))),
            None if tail.is_empty() => Ok((name, None)),
            None => Err(HostSyntaxError::Brackets(text.to_owned())),
        };
    }
    match rest.split_once(':') {
        Some((_, tail)) if tail.contains(':') => match rest.split('%').next().map(str::parse::<Ipv6Addr>) {
            Some(Ok(_)) => Ok((rest, None)),
            _ => Err(HostSyntaxError::Colons(text.to_owned())),
        },
        Some((name, port)) => Ok((name, Some(parse_port(port, text)?))),
        None => Ok((rest, None)),
    }
}

fn parse_port(port: &str, text: &str) -> Result<u16, HostSyntaxError> {
    let digits_only = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits_only && number > 0 => Ok(number),
        _ => Err(HostSyntaxError::Port { text: text.to_owned(), port: port.to_owned() }),
    }
}

fn check_user(user: &str, text: &str) -> Result<(), HostSyntaxError> {
    refuse_character(user, text, |c| c.is_control() || c.is_whitespace() || "\"'`$;&|<>(){}\\,/:".contains(c))
}

fn check_name(name: &str, text: &str) -> Result<(), HostSyntaxError> {
    if name.is_empty() {
        return Err(HostSyntaxError::EmptyName(text.to_owned()));
    }
    if name.starts_with('-') {
        return Err(HostSyntaxError::LeadingDash(text.to_owned()));
    }
    refuse_character(name, text, |c| c.is_control() || c.is_whitespace() || "\"'`$;&|<>(){}[]\\,/@#!*?^~=".contains(c))
}

fn refuse_character(part: &str, text: &str, refused: impl Fn(char) -> bool) -> Result<(), HostSyntaxError> {
    // Most names have nothing else, and there may be ten thousand of them.
    if part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.') {
        return Ok(());
    }
    match part.chars().find(|&c| refused(c)) {
        Some(character) => Err(HostSyntaxError::Character { text: text.to_owned(), character }),
        None => Ok(()),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (self.name.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.name),
            (true, None) if self.name.matches(':').count() < 2 => write!(f, "[{}]", self.name),
            (_, None) => f.write_str(&self.name),
            (false, Some(port)) => write!(f, "{}:{port}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(name: &str, user: Option<&str>, port: Option<u16>) -> Host {
        Host { name: name.into(), user: user.map(Into::into), port }
    }

    #[test]
    fn reads_every_form_of_a_host() {
        for (text, expected) in [
            ("web01", host("web01", None, None)),
            ("web01:2222", host("web01", None, Some(2222))),
            ("root@web01", host("web01", Some("root"), None)),
            ("a@b@web01:22", host("web01", Some("a@b"), Some(22))),
            ("::1", host("::1", None, None)),
            ("[::1]", host("::1", None, None)),
            ("[fe80::1%eth0]:22", host("fe80::1%eth0", None, Some(22))),
            ("me@[2001:db8::5]:2200", host("2001:db8::5", Some("me"), Some(2200))),
        ] {
            assert_eq!(text.parse::<Host>(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for (text, part) in [
            ("", "empty"),
            ("@web", "user name is empty"),
            ("web:", "port"),
            ("web:0", "port"),
            ("web:+22", "port"),
            ("web:65536", "port"),
            ("[::1", "brackets"),
            ("[::1]22", "brackets"),
            ("[web]:22", "brackets"),
            ("-oProxyCommand=x", "-"),
            ("web;reboot", "';'"),
            ("a b", "' '"),
            ("host:22:33", "several colons"),
            ("ssh://root@host", "':'"),
        ] {
            let error = text.parse::<Host>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_back(
            name in "[a-z0-9][a-z0-9.-]{0,20}|[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}",
            user in proptest::option::of("[a-z_][a-z0-9@.-]{0,8}"),
            port in proptest::option::of(1u16..),
        ) {
            let host = Host { name: name.into(), user: user.map(Arc::from), port };
            prop_assert_eq!(host.to_string().parse::<Host>(), Ok(host));
        }
    }
}
