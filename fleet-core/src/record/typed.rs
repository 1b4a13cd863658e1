//! The command line as it may be written down: without the values that are secrets.
//!
//! Must not know which flags hold secrets: it is told.

use std::ffi::OsString;

/// What stands for a value that is left out.
const LEFT_OUT: &str = "…";

/// The `words` of a command line as text. In front of the last `command_words`, which are the work itself, the values
/// `NAME=VALUE` of the flags in `secret` keep only their name.
#[must_use]
pub fn redacted(words: &[OsString], command_words: usize, secret: &[&str]) -> Vec<String> {
    let flags = words.len().saturating_sub(command_words);
    let mut typed = Vec::with_capacity(words.len());
    let mut secret_follows = false;
    for (place, word) in words.iter().enumerate() {
        let word = word.to_string_lossy();
        let with_value = secret.iter().find_map(|flag| word.strip_prefix(flag)?.strip_prefix('='));
        if place >= flags {
            typed.push(word.into_owned());
        } else if std::mem::take(&mut secret_follows) {
            typed.push(name_of(&word));
        } else if let Some(value) = with_value {
            let flag = &word[..word.len() - value.len()];
            typed.push(format!("{flag}{}", name_of(value)));
        } else {
            secret_follows = secret.contains(&word.as_ref());
            typed.push(word.into_owned());
        }
    }
    typed
}

fn name_of(value: &str) -> String {
    match value.split_once('=') {
        Some((name, _)) => format!("{name}={LEFT_OUT}"),
        // Malformed: it may be a secret as well.
        None => LEFT_OUT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_values_keep_only_their_names() {
        for (line, command_words, expected) in [
            ("psh -H a uptime", 1, "psh -H a uptime"),
            ("psh --env TOKEN=hunter2 uptime", 1, "psh --env TOKEN=… uptime"),
            ("psh --env=TOKEN=hun=ter2 uptime", 1, "psh --env=TOKEN=… uptime"),
            ("psh --env A=1 --env B=2 -- env", 1, "psh --env A=… --env B=… -- env"),
            ("psh --env hunter2", 0, "psh --env …"),
            ("psh --environment A=1", 0, "psh --environment A=1"),
            ("psh -H a docker run --env A=1 x", 5, "psh -H a docker run --env A=1 x"),
            ("psh --env", 0, "psh --env"),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(redacted(&words, command_words, &["--env"]).join(" "), expected);
        }
    }
}
