//! `%` tokens and `${VARIABLES}` in values (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).
//!
//! Must not know how a configuration is read.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use super::local::LocalContext;

/// Why a value cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A token that does not exist, or not for this keyword.
    #[error("%{token} has no meaning here: expected one of {allowed}, or %% for a percent sign")]
    Token {
        /// The character after the percent sign.
        token: char,
        /// The tokens that the keyword knows.
        allowed: String,
    },
    /// A percent sign at the end.
    #[error("the value ends in a percent sign: expected a token, or %% for a percent sign")]
    TrailingPercent,
    /// `${` without its `}`, or nothing between them.
    #[error("expected ${{NAME}}")]
    BadVariable,
    /// A variable that is not in the environment.
    #[error("expected the environment variable {0} to be set")]
    Unset(String),
    /// `~name` for a user that is not there.
    #[error("expected a user after the tilde, found \"{0}\"")]
    NoUser(String),
    /// A jump host that is none after expansion.
    #[error("{0}")]
    Jump(fleet_core::host::HostSyntaxError),
}

/// Which tokens a keyword knows, and whether it knows `${}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax {
    tokens: &'static str,
    variables: Variables,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variables {
    Expanded,
    Literal,
}

/// Paths, `SetEnv` and `Include`.
pub(super) const PATH: Syntax = Syntax { tokens: "CLdhijklnpru", variables: Variables::Expanded };
/// `Match exec`.
pub(super) const EXEC: Syntax = Syntax { tokens: "CLdhijklnpru", variables: Variables::Literal };
/// `User`, which can be no part of itself.
pub(super) const USER: Syntax = Syntax { tokens: "Ldhijklnpu", variables: Variables::Expanded };
/// `HostName`.
pub(super) const HOST_NAME: Syntax = Syntax { tokens: "h", variables: Variables::Literal };
/// `ProxyCommand` and `ProxyJump`.
pub(super) const PROXY: Syntax = Syntax { tokens: "hknpr", variables: Variables::Literal };

/// What the tokens stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    pub(super) local: &'a LocalContext,
    /// `%h`: the name or address to connect to, as far as it is known.
    pub(super) host: &'a str,
    /// `%n`: the name as given.
    pub(super) original: &'a str,
    /// `%p`
    pub(super) port: u16,
    /// `%r`
    pub(super) user: &'a str,
    /// `%k`
    pub(super) key_alias: &'a str,
    /// `%j`: the last jump host, or nothing.
    pub(super) jump: &'a str,
}

impl Tokens<'_> {
    fn value(&self, token: char) -> Option<Cow<'_, str>> {
        let hostname = self.local.hostname.as_str();
        Some(match token {
            'C' => self.connection_hash().into(),
            'L' => hostname.split('.').next().unwrap_or_default().into(),
            'd' => self.local.home.to_string_lossy(),
            'h' => self.host.into(),
            'i' => self.local.uid.to_string().into(),
            'j' => self.jump.into(),
            'k' => self.key_alias.into(),
            'l' => hostname.into(),
            'n' => self.original.into(),
            'p' => self.port.to_string().into(),
            'r' => self.user.into(),
            'u' => self.local.user.as_str().into(),
            _ => return None,
        })
    }

    /// `%C`: SHA-1 of `%l%h%p%r%j`, in hexadecimal.
    fn connection_hash(&self) -> String {
        let mut hash = Sha1::new();
        for part in [&self.local.hostname, self.host, &self.port.to_string(), self.user, self.jump] {
            hash.update(part);
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Replaces what `syntax` allows in `text`.
pub(super) fn expand(text: &str, syntax: Syntax, tokens: &Tokens<'_>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(variable) = rest.strip_prefix("${").filter(|_| syntax.variables == Variables::Expanded) {
            let (name, tail) = variable.split_once('}').ok_or(ExpandError::BadVariable)?;
            expanded.push_str(variable_value(name, tokens.local)?);
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
        } else {
            let token = rest[1..].chars().next().ok_or(ExpandError::TrailingPercent)?;
            expanded.push_str(&token_value(token, syntax, tokens)?);
            rest = &rest[1 + token.len_utf8()..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable_value<'a>(name: &str, local: &'a LocalContext) -> Result<&'a str, ExpandError> {
    match local.env.get(name) {
        _ if name.is_empty() => Err(ExpandError::BadVariable),
        Some(value) => Ok(value),
        None => Err(ExpandError::Unset(name.to_owned())),
    }
}

fn token_value<'a>(token: char, syntax: Syntax, tokens: &'a Tokens<'_>) -> Result<Cow<'a, str>, ExpandError> {
    if token == '%' {
        return Ok("%".into());
    }
    let value = tokens.value(token).filter(|_| syntax.tokens.contains(token));
    value.ok_or_else(|| {
        let allowed: Vec<String> = syntax.tokens.chars().map(|token| format!("%{token}")).collect();
        ExpandError::Token { token, allowed: allowed.join(" ") }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::local;
    use super::*;

    fn expanded(text: &str, syntax: Syntax) -> Result<String, ExpandError> {
        let tokens = Tokens {
            local: &local(),
            host: "10.0.0.1",
            original: "web",
            port: 2222,
            user: "deploy",
            key_alias: "alias",
            jump: "gate",
        };
        expand(text, syntax, &tokens)
    }

    #[test]
    fn every_token_and_variable_has_its_value() {
        for (text, value) in [
            ("plain", "plain"),
            ("%%h", "%h"),
            ("%h %n %p %r %k %j", "10.0.0.1 web 2222 deploy alias gate"),
            ("%u %i %d %l %L", "me 1000 /home/me box.example.com box"),
            // printf box.example.com10.0.0.12222deploygate | sha1sum
            ("%C", "819ae58edfb73a446bd07c3e27cbb183de000dab"),
            ("${NAME}/$x/$", "value/$x/$"),
            ("é%hé", "é10.0.0.1é"),
        ] {
            assert_eq!(expanded(text, PATH).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_expanded_says_what_was_expected() {
        for (text, syntax, part) in [
            ("%n", HOST_NAME, "%n has no meaning here: expected one of %h"),
            ("%C", USER, "%C"),
            ("%T", PATH, "%T"),
            ("100%", PATH, "ends in a percent sign"),
            ("${NONE}", PATH, "NONE to be set"),
            ("${NAME", PATH, "${NAME}"),
            ("${}", PATH, "${NAME}"),
        ] {
            let error = expanded(text, syntax).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(expanded("${NAME} %p", PROXY).unwrap(), "${NAME} 2222");
    }
}
