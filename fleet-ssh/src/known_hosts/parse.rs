//! One line of a `known_hosts` file: `[@marker] names key-type base64-key [comment]` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! Pure: bytes in, a line or its problem out. Must not know files, nor what a line is worth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};

use super::matching::Names;

/// What the key of a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The key of the host itself.
    HostKey,
    /// `@cert-authority`: a key whose signature makes host certificates good.
    CertAuthority,
    /// `@revoked`: a key that must never be accepted, be it a host's or an authority's.
    Revoked,
}

/// What a line says.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) names: Names,
    pub(super) key: KeyData,
}

/// Why a line is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// A word with `@` that is no marker, or a second marker.
    #[error("\"{0}\" is not a marker; expected @cert-authority or @revoked, once")]
    Marker(String),
    /// `@cert-authority`, then a tab, in a line that has spaces further on.
    #[error("ssh(1) ignores a @cert-authority that is followed by a tab; put a space there")]
    MarkerTab,
    /// Fewer than three fields.
    #[error("the line ends early; expected: names, key type, key")]
    Truncated,
    /// A names field that starts with `|` and is not `|1|salt|hash`.
    #[error("the hashed name is damaged; expected |1|salt|hash")]
    HashedName,
    /// A type that cannot be the key of a host, or is newer than this program.
    #[error("\"{0}\" is not a known key type")]
    KeyType(String),
    /// The key is not base64, not a key, or not of the type that is named.
    #[error("the {0} key is damaged")]
    Key(String),
}

/// Reads one line, given without its line feed; `None` for a blank line or a comment.
pub(super) fn parse_line(bytes: &[u8]) -> Result<Option<Line>, LineProblem> {
    // Bytes that are not UTF-8 can only be in a comment, or in a name that nobody asks for.
    let text = String::from_utf8_lossy(bytes);
    let Some(text) = content(&text) else { return Ok(None) };
    let (marker, text) = split_marker(text)?;
    let (names, text) = split_field(text);
    let (key_type, text) = split_field(text);
    let (key, _comment) = split_field(text);
    if key.is_empty() || key_type.starts_with('#') {
        return Err(LineProblem::Truncated);
    }
    let names = Names::parse(names).ok_or(LineProblem::HashedName)?;
    Ok(Some(Line { marker, names, key: parse_key(key_type, key)? }))
}

/// Reads a line that is only a key, `key-type base64-key [comment]`, as in a file of revoked keys; `None` for a blank
/// line or a comment.
pub(super) fn parse_key_line(bytes: &[u8]) -> Result<Option<KeyData>, LineProblem> {
    let text = String::from_utf8_lossy(bytes);
    let Some(text) = content(&text) else { return Ok(None) };
    let (key_type, text) = split_field(text);
    let (key, _comment) = split_field(text);
    parse_key(key_type, key).map(Some)
}

/// The line from its first word on; `None` for a blank line or a comment. A carriage return at the end is a Windows
/// editor's.
fn content(text: &str) -> Option<&str> {
    let text = text.strip_suffix('\r').unwrap_or(text).trim_start_matches(BLANKS);
    (!text.is_empty() && !text.starts_with('#')).then_some(text)
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The text up to the first blank, and what comes after the blanks.
fn split_field(text: &str) -> (&str, &str) {
    let (field, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (field, rest.trim_start_matches(BLANKS))
}

fn split_marker(text: &str) -> Result<(Marker, &str), LineProblem> {
    if !text.starts_with('@') {
        return Ok((Marker::HostKey, text));
    }
    let (word, rest) = split_field(text);
    let marker = match word {
        "@cert-authority" => Marker::CertAuthority,
        "@revoked" => Marker::Revoked,
        _ => return Err(LineProblem::Marker(word.to_owned())),
    };
    if rest.starts_with('@') {
        return Err(LineProblem::Marker(split_field(rest).0.to_owned()));
    }
    // OpenSSH ends a marker at the first space, and at the first tab only in a line without spaces, so it does not
    // see the marker here. We must not trust an authority that it does not; a revoked key is safer revoked.
    let tab_follows = text[word.len()..].starts_with('\t') && text.contains(' ');
    if marker == Marker::CertAuthority && tab_follows {
        return Err(LineProblem::MarkerTab);
    }
    Ok((marker, rest))
}

fn parse_key(key_type: &str, base64: &str) -> Result<KeyData, LineProblem> {
    let algorithm = match Algorithm::new(key_type) {
        Ok(Algorithm::Other(_)) | Err(_) => return Err(LineProblem::KeyType(key_type.to_owned())),
        Ok(algorithm) => algorithm,
    };
    let damaged = || LineProblem::Key(key_type.to_owned());
    let blob = BASE64.decode(base64).map_err(|_| damaged())?;
    let key = PublicKey::from_bytes(&blob).map_err(|_| damaged())?;
    // rsa-sha2-256 and rsa-sha2-512 name a signature; the key is an ssh-rsa key, and OpenSSH takes either name.
    let same_type = key.algorithm() == algorithm || (key.algorithm().is_rsa() && algorithm.is_rsa());
    if same_type { Ok(key.into()) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ED25519, ED25519_OTHER, RSA};
    use super::*;

    fn parse(text: &str) -> Result<Option<Line>, LineProblem> {
        parse_line(text.as_bytes())
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        for text in ["", " ", "\t", "\r", "# web ssh-ed25519 AAAA", " \t# comment"] {
            assert!(parse(text).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn fields_may_have_any_blanks_around_them() {
        let key: KeyData = PublicKey::from_openssh(ED25519).unwrap().into();
        let (kind, base64) = ED25519.split_once(' ').unwrap();
        for (text, marker) in [
            (format!("web {kind} {base64}"), Marker::HostKey),
            (format!(" \tweb\t \t{kind}  {base64}  a comment"), Marker::HostKey),
            (format!("web {kind} {base64} \r"), Marker::HostKey),
            (format!("web {kind} {base64}\r"), Marker::HostKey),
            (format!("@revoked web {kind} {base64}"), Marker::Revoked),
            (format!("@revoked\tweb {kind} {base64}"), Marker::Revoked),
            (format!(" @cert-authority  \tweb {kind} {base64}"), Marker::CertAuthority),
            (format!("@cert-authority\tweb\t{kind}\t{base64}"), Marker::CertAuthority),
        ] {
            let line = parse(&text).unwrap().unwrap();
            assert_eq!((line.marker, &line.key), (marker, &key), "{text:?}");
        }
    }

    #[test]
    fn a_comment_need_not_be_utf_8() {
        let line = [b"web ", ED25519.as_bytes(), b" caf\xe9"].concat();
        assert!(parse_line(&line).unwrap().is_some());
    }

    #[test]
    fn an_rsa_key_may_be_named_after_its_signature() {
        assert!(parse(&format!("web {}", RSA.replacen("ssh-rsa", "rsa-sha2-512", 1))).unwrap().is_some());
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        let (kind, base64) = ED25519.split_once(' ').unwrap();
        let key_type = |name: &str| LineProblem::KeyType(name.to_owned());
        let key = |name: &str| LineProblem::Key(name.to_owned());
        for (text, problem) in [
            (format!("@revoke web {ED25519}"), LineProblem::Marker("@revoke".into())),
            (format!("@revoked @cert-authority web {ED25519}"), LineProblem::Marker("@cert-authority".into())),
            (format!("@cert-authority\tweb {ED25519}"), LineProblem::MarkerTab),
            ("web".into(), LineProblem::Truncated),
            ("@revoked".into(), LineProblem::Truncated),
            (format!("web {kind}"), LineProblem::Truncated),
            (format!("web # {base64}"), LineProblem::Truncated),
            (format!("|1|x|y {ED25519}"), LineProblem::HashedName),
            (format!("web ssh-new {base64}"), key_type("ssh-new")),
            (format!("web ssh-ed25519-cert-v01@openssh.com {base64}"), key_type("ssh-ed25519-cert-v01@openssh.com")),
            (format!("web {kind} {base64}#"), key(kind)),
            (format!("web {kind} {}", &base64[..base64.len() - 4]), key(kind)),
            (format!("web {kind} {base64}AAAA"), key(kind)),
            (format!("web ssh-rsa {base64}"), key("ssh-rsa")),
            (format!("1024 35 123 {ED25519_OTHER}"), key_type("35")),
        ] {
            assert_eq!(parse(&text).map(|line| line.is_some()), Err(problem), "{text:?}");
        }
    }
}
