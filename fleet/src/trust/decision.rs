//! What becomes of a host's keys: by what its provider says of them, what is known of them, and what the host offers.
//!
//! Pure. Must not write anything.

use fleet_core::outcome::HostError;
use fleet_ssh::known_hosts::{KeyLabel, Location, PublicKey, Verdict};

use super::console::{PrintedFingerprint, Unprinted, Vouched};

/// What a provider says of a host's keys, or why it says nothing.
pub(super) type Word = Result<Vouched, Unprinted>;

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    End(Fate),
    /// These keys are to be made known.
    Add(Vec<PublicKey>),
    /// The host has to be asked for its key, which must have one of these fingerprints.
    Compare(Vec<PrintedFingerprint>),
}

/// How it ended for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its keys are known from now on.
    Trusted(Vec<KeyLabel>),
    /// It was known before by a key that its provider says, too.
    Known { key: KeyLabel, at: Location },
    /// Its provider says nothing of its keys. One may be known from before.
    NoWord { problem: Unprinted, known: Option<Location> },
    /// It was to be asked for its key, and does not answer.
    Unreached(HostError),
    /// What is known, or what the host offers, is not what its provider says.
    Refused { reason: String, advice: String },
}

impl Vouched {
    fn is_of(&self, key: &PublicKey) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().any(|vouched| vouched.key_data() == key.key_data()),
            Self::Fingerprints(printed) => is_among(key, printed),
        }
    }

    /// Whether it is about a key of the same kind.
    fn has_kind_of(&self, key: &PublicKey) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().any(|vouched| kind(vouched) == kind(key)),
            Self::Fingerprints(printed) => printed.iter().any(|printed| printed.kind == kind(key)),
        }
    }
}

/// What follows from the word of the provider and the keys that are known as those of the host.
pub(super) fn decide(word: Word, known: &[(Location, PublicKey)]) -> Step {
    let vouched = match word {
        Ok(vouched) => vouched,
        Err(problem) => return Step::End(without_word(problem, known)),
    };
    let other = known.iter().find(|(_, key)| !vouched.is_of(key) && vouched.has_kind_of(key));
    let same = known.iter().find(|(_, key)| vouched.is_of(key));
    match (other, same, known.first()) {
        (Some((at, key)), _, _) | (None, None, Some((at, key))) => Step::End(another_key(at, &key.into())),
        (None, Some((at, key)), _) => Step::End(Fate::Known { key: key.into(), at: at.clone() }),
        (None, None, None) => match vouched {
            Vouched::Keys(keys) => Step::Add(keys),
            Vouched::Fingerprints(printed) => Step::Compare(printed),
        },
    }
}

fn without_word(problem: Unprinted, known: &[(Location, PublicKey)]) -> Fate {
    match problem {
        Unprinted::Contradiction => Fate::Refused {
            reason: "the keys on its console are not those of the fingerprints there".to_owned(),
            advice: "somebody may have written to its console: compare the key on the host itself".to_owned(),
        },
        _ => Fate::NoWord { problem, known: known.first().map(|(at, _)| at.clone()) },
    }
}

/// What follows from the key that a host offers, of which nothing is known.
pub(super) fn compare(offered: Result<PublicKey, HostError>, printed: &[PrintedFingerprint]) -> Step {
    match offered {
        Err(error) => Step::End(Fate::Unreached(error)),
        Ok(key) if is_among(&key, printed) => Step::Add(vec![key]),
        Ok(key) => Step::End(Fate::Refused {
            reason: format!("it offers the key {}, which is none of those on its console", KeyLabel::from(&key)),
            advice: "someone may be in between, or another machine may have its address: nothing is made known"
                .to_owned(),
        }),
    }
}

/// How it ended where `keys` were to be made known.
pub(super) fn added(keys: &[PublicKey], verdicts: &[Verdict]) -> Fate {
    let refusal = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Trusted(_) | Verdict::Unknown { .. } => None,
        Verdict::Changed { at, known, .. } => Some(another_key(at, known)),
        Verdict::Revoked(at) => Some(Fate::Refused {
            reason: format!("{at} revokes its key"),
            advice: "the host needs a new key".to_owned(),
        }),
    });
    refusal.unwrap_or_else(|| Fate::Trusted(keys.iter().map(KeyLabel::from).collect()))
}

/// The old line is never replaced here: a key of an instance does not change by itself, and whoever has changed it on purpose
/// can say so.
fn another_key(at: &Location, known: &KeyLabel) -> Fate {
    Fate::Refused {
        reason: format!("{at} has another key for it: {known}"),
        advice: format!(
            "someone may be in between; if its key was changed on purpose, remove line {} of {} and run this again",
            at.line,
            at.file.display()
        ),
    }
}

fn is_among(key: &PublicKey, printed: &[PrintedFingerprint]) -> bool {
    printed.iter().any(|printed| printed.fingerprint.is_of(key))
}

/// The kind of a key as ssh-keygen(1) names it behind a fingerprint.
fn kind(key: &PublicKey) -> &'static str {
    match key.algorithm().as_str() {
        "ssh-ed25519" => "ED25519",
        "ssh-dss" => "DSA",
        name if name.starts_with("ecdsa-") => "ECDSA",
        name if name.starts_with("sk-ssh-ed25519") => "ED25519-SK",
        name if name.starts_with("sk-ecdsa") => "ECDSA-SK",
        _ => "RSA",
    }
}

#[cfg(test)]
mod tests {
    use fleet_core::outcome::{FailureClass, Stage};
    use fleet_ssh::known_hosts::read_key;

    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjaE92IolkswGYCjqv9XiEovdbqVFizsBqGXBuYmA5t";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIUmfB8vZcHDd0MHRmcFsfhERr2F+tv/V+k8fmXZlgE+";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKwj8xDG2eJnkotUy6lHWwnnO\
        y9Iyajy+8oQezF9joCIheE0WJvRAzzz1/UHK3HZFlpx8rNDtnNMZR1MG3b8oOI=";
    const SHA256: &str = "SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU";

    fn keys(texts: &[&str]) -> Vec<PublicKey> {
        texts.iter().map(|text| read_key(text).unwrap()).collect()
    }

    fn printed() -> Vec<PrintedFingerprint> {
        vec![PrintedFingerprint { fingerprint: SHA256.parse().unwrap(), kind: "ED25519".to_owned() }]
    }

    fn short(step: &Step) -> String {
        match step {
            Step::Add(keys) => format!("add {}", keys.len()),
            Step::Compare(printed) => format!("compare {}", printed.len()),
            Step::End(Fate::Known { at, .. }) => format!("known {}", at.line),
            Step::End(Fate::Refused { reason, .. }) => {
                reason.split(" has another").next().unwrap_or_default().to_owned()
            }
            Step::End(Fate::NoWord { problem, known }) => format!("no word {problem:?} {}", known.is_some()),
            Step::End(Fate::Unreached(error)) => error.to_string(),
            Step::End(Fate::Trusted(_)) => "trusted".to_owned(),
        }
    }

    #[test]
    fn what_is_known_is_compared_with_what_the_provider_says() {
        let record = |texts: &[&str]| Ok(Vouched::Keys(keys(texts)));
        let console = || Ok(Vouched::Fingerprints(printed()));
        for (word, known, expected) in [
            (record(&[ED25519, ECDSA]), &[][..], "add 2"),
            (console(), &[], "compare 1"),
            (record(&[ED25519, ECDSA]), &[ECDSA], "known 1"),
            (record(&[ED25519]), &[ECDSA, ED25519], "known 2"),
            (record(&[ED25519]), &[ED25519, OTHER], "known_hosts:2"),
            (record(&[ED25519]), &[OTHER], "known_hosts:1"),
            (record(&[ED25519]), &[ECDSA], "known_hosts:1"),
            (console(), &[ED25519], "known 1"),
            (console(), &[OTHER], "known_hosts:1"),
            (console(), &[ECDSA], "known_hosts:1"),
            (Err(Unprinted::Empty), &[ED25519], "no word Empty true"),
            (Err(Unprinted::Cut), &[], "no word Cut false"),
            (Err(Unprinted::Contradiction), &[], "the keys on its console are not those of the fingerprints there"),
        ] {
            let at = |line| Location { file: "known_hosts".into(), line };
            let known: Vec<_> = (1..).map(at).zip(keys(known)).collect();
            assert_eq!(short(&decide(word.clone(), &known)), expected, "{word:?} {known:?}");
        }
    }

    #[test]
    fn a_key_that_is_offered_is_added_only_if_the_console_has_its_fingerprint() {
        let offered = |text: &str| compare(Ok(keys(&[text]).remove(0)), &printed());
        assert_eq!(short(&offered(ED25519)), "add 1");
        for other in [OTHER, ECDSA] {
            assert!(short(&offered(other)).starts_with("it offers the key "), "{other}");
        }
        let error = HostError::new(Stage::Connect, FailureClass::Refused, "connection refused");
        assert_eq!(short(&compare(Err(error), &printed())), "connect: connection refused");
    }

    #[test]
    fn a_key_that_is_revoked_or_another_by_now_is_not_trusted() {
        let at = Location { file: "known_hosts".into(), line: 7 };
        let (keys, label) = (keys(&[ED25519]), KeyLabel::from(&keys(&[OTHER])[0]));
        let changed = Verdict::Changed { at: at.clone(), known: label.clone(), offered: label.clone() };
        let unknown = Verdict::Unknown { offered: label, certificate: None };
        for (verdicts, trusted) in [
            (vec![Verdict::Trusted(at.clone())], true),
            (vec![unknown.clone(), unknown.clone()], true),
            (vec![unknown, Verdict::Revoked(at.clone())], false),
            (vec![changed], false),
        ] {
            assert_eq!(matches!(added(&keys, &verdicts), Fate::Trusted(_)), trusted, "{verdicts:?}");
        }
    }
}
