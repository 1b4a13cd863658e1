//! What is said of a login that failed: what was tried, what could not be and why, and what to do next.
//!
//! Words only. Must not try anything.

use std::path::{Path, PathBuf};

use super::keys::KeyFileError;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// Why something that might have proved who we are was not offered. `Display` is for the list of such things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unused {
    #[error("key {0}")]
    KeyFile(KeyFileError),
    #[error("key {}: a public key whose private half the agent does not hold", .0.display())]
    PublicKey(PathBuf),
    #[error("certificate of {}: its private key is neither in a file nor in the agent", .0.display())]
    Certificate(PathBuf),
    #[error("{0}: not among PubkeyAcceptedAlgorithms")]
    Algorithm(String),
    #[error("no default key file in ~/.ssh")]
    NoDefaultKey,
    #[error("agent {}: {reason}", .socket.display())]
    Agent { socket: PathBuf, reason: String },
    #[error("agent {}: it holds no keys", .0.display())]
    EmptyAgent(PathBuf),
    #[error("{0} more in the agent, which --identity or IdentitiesOnly leaves out")]
    LeftInAgent(usize),
    #[error("no agent")]
    NoAgent,
    #[error("no password given")]
    NoPassword,
    #[error("{0}: the configuration does not allow it")]
    Method(&'static str),
}

/// What one login has tried so far.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    tried: Vec<String>,
    unused: Vec<Unused>,
}

impl Attempts {
    /// Takes note of something that the server did not accept, or that failed.
    pub(super) fn tried(&mut self, label: String) {
        self.tried.push(label);
    }

    /// Takes note of something that was not offered; once, as every factor of a login looks through all keys.
    pub(super) fn unused(&mut self, reason: Unused) {
        if !self.unused.contains(&reason) {
            self.unused.push(reason);
        }
    }

    /// The server let `user` not in; it accepts the methods `accepted`.
    pub(super) fn refused(&self, user: &str, accepted: &[&str]) -> HostError {
        let accepts =
            if accepted.is_empty() { String::new() } else { format!("; the server accepts {}", accepted.join(", ")) };
        let message = format!("permission denied for user {user} ({}{accepts})", self.summary(accepted));
        let error = HostError::new(Stage::Authenticate, FailureClass::Auth, message);
        match self.hint(accepted) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The server hung up in the middle, with these last words.
    pub(super) fn hung_up(&self, said: &str) -> HostError {
        let hint = if said.contains("Too many authentication failures") {
            "the server takes only so many tries (MaxAuthTries): name the right key with --identity, or set IdentitiesOnly yes"
        } else {
            "the login was neither accepted nor refused: the log of the server says why"
        };
        let message = format!("{said} ({})", self.summary(&[]));
        HostError::new(Stage::Authenticate, FailureClass::Auth, message).with_hint(hint)
    }

    /// That no password was given is worth a word only where one would be `accepted`.
    fn summary(&self, accepted: &[&str]) -> String {
        let matters = |reason: &&Unused| **reason != Unused::NoPassword || takes_password(accepted);
        let unused: Vec<String> = self.unused.iter().filter(matters).map(ToString::to_string).collect();
        match (self.tried.as_slice(), unused.as_slice()) {
            ([], []) => "no method could be tried".to_owned(),
            (tried, []) => format!("tried {}", tried.join(", ")),
            ([], unused) => format!("nothing to offer: {}", unused.join(", ")),
            (tried, unused) => format!("tried {}; not usable: {}", tried.join(", "), unused.join(", ")),
        }
    }

    /// What to do next, unless the hint of the class says it all.
    fn hint(&self, accepted: &[&str]) -> Option<String> {
        if self.tried.iter().any(|tried| tried.contains("passphrase")) {
            return Some("load the key into an agent (ssh-add), or run this at a terminal".to_owned());
        }
        if let Some(hint) = self.unused.iter().find_map(agent_hint) {
            return Some(hint);
        }
        if self.unused.contains(&Unused::NoPassword) && takes_password(accepted) {
            let key = if accepted.contains(&"publickey") { "name another key (--identity), or " } else { "" };
            return Some(format!("{key}give a password with -A; check the user (-l)"));
        }
        self.unused.iter().find_map(key_hint).map(str::to_owned)
    }
}

/// The login took longer than it may, and it was the agent at `socket` that did not sign.
pub(super) fn unsigned(timeout: HostError, socket: &Path) -> HostError {
    let socket = socket.display();
    HostError { message: format!("{}: agent {socket} has not signed", timeout.message), ..timeout }.with_hint(format!(
        "the agent may wait for you (a touch, a confirmation), or hang: SSH_AUTH_SOCK={socket} ssh-add -l; else raise --connect-timeout"
    ))
}

fn takes_password(accepted: &[&str]) -> bool {
    accepted.contains(&"password") || accepted.contains(&"keyboard-interactive")
}

fn agent_hint(unused: &Unused) -> Option<String> {
    match unused {
        Unused::Agent { socket, .. } => Some(format!(
            "see whether the agent answers (SSH_AUTH_SOCK={} ssh-add -l), or do without it: --identity KEY -O IdentityAgent=none",
            socket.display()
        )),
        Unused::EmptyAgent(_) => {
            Some("load the key into the agent (ssh-add), or name its file (--identity); check the user (-l)".to_owned())
        }
        _ => None,
    }
}

fn key_hint(unused: &Unused) -> Option<&'static str> {
    match unused {
        Unused::KeyFile(_) => Some("put the key file right, or name another with --identity"),
        Unused::PublicKey(_) => {
            Some("name the private key (--identity, without .pub), or load it into an agent (ssh-add)")
        }
        Unused::NoAgent | Unused::NoDefaultKey => {
            Some("name a key file (--identity), or load one into an agent (ssh-add)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was tried, what was not used, what the server accepts, and what is said of it.
    type Case<'a, T> = (&'a [&'a str], &'a [Unused], &'a [&'a str], T);

    fn attempts(tried: &[&str], unused: &[Unused]) -> Attempts {
        Attempts { tried: tried.iter().map(|&label| label.to_owned()).collect(), unused: unused.to_vec() }
    }

    #[test]
    fn a_refusal_says_what_was_tried_and_why_the_rest_was_not() {
        let missing = Unused::KeyFile(KeyFileError::Missing("/k".into()));
        let keys: &[&str] = &["publickey"];
        let both: &[&str] = &["publickey", "password"];
        let cases: [Case<'_, &str>; 9] = [
            (&["key /k"], &[], keys, "tried key /k; the server accepts publickey"),
            (&["key /k"], &[Unused::NoPassword], keys, "tried key /k; the server accepts publickey"),
            (
                &["key /k"],
                &[Unused::NoPassword],
                both,
                "tried key /k; not usable: no password given; the server accepts publickey, password",
            ),
            (&[], &[missing], &[], "nothing to offer: key /k: no such file"),
            (
                &[],
                &[Unused::NoAgent, Unused::NoDefaultKey],
                &[],
                "nothing to offer: no agent, no default key file in ~/.ssh",
            ),
            (&[], &[Unused::EmptyAgent("/a".into())], &[], "nothing to offer: agent /a: it holds no keys"),
            (
                &[],
                &[Unused::LeftInAgent(2)],
                &[],
                "nothing to offer: 2 more in the agent, which --identity or IdentitiesOnly leaves out",
            ),
            (
                &[],
                &[Unused::Method("publickey")],
                keys,
                "nothing to offer: publickey: the configuration does not allow it; the server accepts publickey",
            ),
            (&[], &[], &[], "no method could be tried"),
        ];
        for (tried, unused, accepted, expected) in cases {
            let error = attempts(tried, unused).refused("bob", accepted);
            assert_eq!(error.message, format!("permission denied for user bob ({expected})"));
        }
    }

    #[test]
    fn the_hint_follows_what_is_missing() {
        let hung = Unused::Agent { socket: "/a".into(), reason: "it does not answer".into() };
        let loose = Unused::KeyFile(KeyFileError::LoosePermissions { path: "/k".into(), mode: 0o644 });
        let keys: &[&str] = &["publickey"];
        let cases: [Case<'_, Option<&str>>; 9] = [
            (&["key /k"], &[], keys, None),
            (&["key /k (it needs a passphrase: x)"], &[], keys, Some("ssh-add")),
            (&["key /k"], &[hung], keys, Some("SSH_AUTH_SOCK=/a ssh-add -l")),
            (&["key /k"], &[Unused::EmptyAgent("/a".into())], keys, Some("load the key into the agent")),
            (&["key /k"], &[Unused::NoPassword], &["publickey", "password"], Some("or give a password with -A")),
            (&[], &[Unused::NoPassword], &["keyboard-interactive"], Some("give a password with -A; check the user")),
            (&[], &[loose], keys, Some("put the key file right")),
            (&[], &[Unused::PublicKey("/k.pub".into())], keys, Some("without .pub")),
            (&[], &[Unused::NoAgent], keys, Some("name a key file")),
        ];
        for (tried, unused, accepted, expected) in cases {
            let hint = attempts(tried, unused).refused("bob", accepted).hint;
            let fits = match expected {
                None => hint.is_none(),
                Some(expected) => hint.as_deref().is_some_and(|hint| hint.contains(expected)),
            };
            assert!(fits, "{tried:?}, {unused:?}: {hint:?}");
        }
    }

    #[test]
    fn what_every_factor_meets_is_said_once() {
        let mut attempts = Attempts::default();
        attempts.unused(Unused::NoAgent);
        attempts.unused(Unused::NoAgent);
        assert_eq!(attempts.hung_up("bye").message, "bye (nothing to offer: no agent)");
    }
}
