//! The flags of this tool as words again, in the order in which they were given.
//!
//! Must not know what they mean.

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, ArgMatches, Args as _, Command};

use super::syncing::SyncArgs;

/// A flag that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// With its dashes: `--exclude`, `-FF`.
    pub(crate) name: String,
    pub(crate) value: Option<OsString>,
}

impl Flag {
    /// `--exclude=*.o`
    pub(crate) fn word(&self) -> OsString {
        let mut word = OsString::from(&self.name);
        if let Some(value) = &self.value {
            word.push("=");
            word.push(value);
        }
        word
    }
}

/// Those that are about syncing; which hosts are chosen, and how they are reached, is not among them.
pub(super) fn given(matches: &ArgMatches) -> Vec<Flag> {
    let own = SyncArgs::augment_args(Command::new("flags"));
    let mut flags: Vec<(usize, Flag)> = Vec::new();
    for argument in own.get_arguments() {
        let id = argument.get_id().as_str();
        if matches.value_source(id) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        let name = match (argument.get_long(), argument.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(letter)) => {
                let times = if matches!(argument.get_action(), ArgAction::Count) { matches.get_count(id) } else { 1 };
                format!("-{}", String::from(letter).repeat(times.into()))
            }
            (None, None) => continue,
        };
        let takes_values = argument.get_action().takes_values();
        let values = matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned);
        for (place, value) in matches.indices_of(id).into_iter().flatten().zip(values) {
            flags.push((place, Flag { name: name.clone(), value: takes_values.then_some(value) }));
        }
    }
    flags.sort_by_key(|(place, _)| *place);
    flags.into_iter().map(|(_, flag)| flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_keep_their_order_and_values_and_those_about_hosts_are_not_among_them() {
        let words = [
            "prsync",
            "-Hweb[1-3]",
            "-azni",
            "--exclude",
            "*.o",
            "--filter=- x y",
            "--include=z",
            "-v",
            "--exclude=b",
            "--sudo",
            "-FFD",
            "--timeout=3",
            "dist/",
            "/opt",
        ];
        let matches = super::super::command().try_get_matches_from(words).unwrap();
        let given: Vec<OsString> = given(&matches).iter().map(Flag::word).collect();
        let expected = [
            "--archive",
            "--compress",
            "--dry-run",
            "--itemize-changes",
            "--exclude=*.o",
            "--filter=- x y",
            "--include=z",
            "--exclude=b",
            "--sudo=root",
            "-FF",
            "--devices",
        ];
        assert_eq!(given, expected);
    }

    #[test]
    fn a_flag_may_be_given_again() {
        let words = ["prsync", "-aa", "--bwlimit=1", "--bwlimit=2", "--exclude=a", "--exclude=b", "dist/", "/opt"];
        let matches = super::super::command().try_get_matches_from(words).unwrap();
        let given: Vec<OsString> = given(&matches).iter().map(Flag::word).collect();
        assert_eq!(given, ["--archive", "--bwlimit=2", "--exclude=a", "--exclude=b"]);
    }
}
