//! Flags that are rsync's and not ours: refused by name, or with `--engine=rsync` given to the local rsync.
//!
//! Must not know how it is started.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use fleet_tool::cli::{Failure, usage_failure};

use super::flags::Flag;
use super::unsupported;
use crate::engine::Engine;

/// Flags of ours that are seen to here, or mean nothing to rsync.
const OURS: [&str; 7] = ["--engine", "--sudo", "--ask-sudo", "--then", "--memory", "--archive", "--rsync-path"];
/// Flags that are about all hosts together, or about what only our own sender knows.
const NOT_THERE: [&str; 5] = ["--atomic", "--keep", "--rollback", "--bwlimit", "--bwlimit-host"];

/// What a command line was read as.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) matches: ArgMatches,
    /// Flags that are not ours, in their order.
    pub(super) unknown: Vec<OsString>,
}

/// Reads a command line, the name of the program first. With `--engine=rsync` flags that are not known are rsync's: one
/// that is not known to have a value has it behind `=`, as otherwise it would be a path.
///
/// # Errors
/// As clap has it, but that flags of rsync are refused by name.
pub(super) fn read(command: &Command, mut words: Vec<OsString>) -> Result<Read, Failure> {
    let (is_rsync, mut unknown) = (asks_for_rsync(&words), Vec::new());
    loop {
        let error = match command.clone().try_get_matches_from(&words) {
            Ok(matches) => return Ok(Read { matches, unknown }),
            Err(error) => error,
        };
        let flag = match (error.kind(), error.get(ContextKind::InvalidArg)) {
            (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) => flag.split('=').next().unwrap_or(flag),
            _ => return Err(usage_failure("prsync", &error)),
        };
        let known = unsupported::find(flag);
        let taken = match known {
            Some(known) if !is_rsync => {
                return Err(Failure::usage_text(format!("{} is not supported", known.name())).hint(known.hint()));
            }
            _ if !is_rsync => None,
            _ => take(&mut words, flag, known.is_some_and(|known| known.takes_value)),
        };
        unknown.push(taken.ok_or_else(|| usage_failure("prsync", &error))?);
    }
}

fn asks_for_rsync(words: &[OsString]) -> bool {
    let rsync = Engine::Rsync.to_string();
    let joined = OsString::from(format!("--engine={rsync}"));
    words.contains(&joined) || words.windows(2).any(|pair| pair[0] == "--engine" && pair[1] == rsync.as_str())
}

/// Takes a flag out of the words: the word itself, one with its value, or a letter among others.
fn take(words: &mut Vec<OsString>, flag: &str, takes_value: bool) -> Option<OsString> {
    let name = flag.as_bytes();
    let is_it = |word: &OsString| {
        word.as_bytes().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    if let Some(at) = words.iter().position(is_it) {
        let mut word = words.remove(at);
        if takes_value && word == flag && at < words.len() {
            word.push(if flag.starts_with("--") { "=" } else { "" });
            word.push(words.remove(at));
        }
        return Some(word);
    }
    let [b'-', letter] = *name else { return None };
    let is_cluster = |word: &OsString| {
        let bytes = word.as_bytes();
        bytes.starts_with(b"-") && !bytes.starts_with(b"--") && bytes.contains(&letter)
    };
    let at = 1 + words.iter().skip(1).position(is_cluster)?;
    let mut others = words[at].as_bytes().to_vec();
    let behind = others.split_off(others.iter().position(|byte| *byte == letter)?);
    let mut taken = OsString::from(flag);
    match (&behind[1..], takes_value) {
        (rest, false) => others.extend(rest),
        ([], true) if at + 1 < words.len() => taken.push(words.remove(at + 1)),
        (value, true) => taken.push(OsStr::from_bytes(value)),
    }
    words[at] = OsString::from_vec(others);
    Some(taken)
}

/// The words of the local rsync, but for its destination: flags, `--`, sources.
///
/// # Errors
/// When a flag is given that this engine does not have.
pub(super) fn words(
    given: &[Flag],
    unknown: &[OsString],
    program: &str,
    sources: &[PathBuf],
) -> Result<Vec<OsString>, Failure> {
    let mut words = vec!["-a".into(), format!("--rsync-path={program}").into()];
    for flag in given.iter().filter(|flag| !OURS.contains(&flag.name.as_str())) {
        let is_share = |value: &OsString| value.as_bytes().ends_with(b"%");
        if NOT_THERE.contains(&flag.name.as_str()) {
            return Err(refused(&flag.name));
        }
        if flag.name.ends_with("-from") && flag.value.as_deref() == Some(OsStr::new("-")) {
            return Err(refused(&format!("{}=-", flag.name)));
        }
        match flag.name.as_str() {
            "--max-delete" if flag.value.as_ref().is_some_and(is_share) => return Err(refused("--max-delete P%")),
            "--no-devices" => words.push("--no-D".into()),
            _ => words.push(flag.word()),
        }
    }
    if unknown.iter().any(|word| word.as_bytes().starts_with(b"--rsh") || word.as_bytes().starts_with(b"-e")) {
        return Err(refused("--rsh"));
    }
    words.extend(unknown.iter().cloned());
    words.push("--".into());
    words.extend(sources.iter().map(|source| here(source)));
    Ok(words)
}

fn refused(flag: &str) -> Failure {
    Failure::usage_text(format!("--engine=rsync does not have {flag}: each host has an rsync of its own"))
        .hint("leave it out, or use --engine=native")
}

/// A path that rsync does not take for one of another host.
fn here(source: &Path) -> OsString {
    let is_clear = source.is_absolute() || !source.as_os_str().as_bytes().contains(&b':');
    if is_clear { source.into() } else { Path::new(".").join(source).into() }
}

/// The local rsync.
///
/// # Errors
/// When there is none.
pub(super) fn program() -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("rsync")).find(|program| program.is_file());
    found.ok_or_else(|| {
        Failure::usage_text("--engine=rsync starts the rsync of this machine, and there is none in PATH")
            .hint("install rsync here, or use --engine=native")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn passed(words: &[&str]) -> Result<Vec<OsString>, String> {
        let read = read(&super::super::command(), texts(words)).map_err(|error| format!("{error:?}"))?;
        let given = super::super::flags::given(&read.matches);
        super::words(&given, &read.unknown, "rsync", &["a:b".into(), "dist/".into()])
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn all_that_is_not_ours_is_rsyncs_in_any_form() {
        let words = [
            "prsync",
            "--engine=rsync",
            "-g",
            "web",
            "-AXnj",
            "--info=progress2",
            "--delete",
            "--ask-sudo",
            "-v",
            "--no-devices",
            "--open-noatime",
            "dist/",
            "/opt",
        ];
        let expected = [
            "-a",
            "--rsync-path=rsync",
            "-A",
            "-X",
            "--dry-run",
            "--delete",
            "--no-D",
            "-j",
            "--info=progress2",
            "--open-noatime",
            "--",
            "./a:b",
            "dist/",
        ];
        let mut passed = passed(&words).unwrap();
        // Which of our own comes first is the matter of another test.
        passed[2..8].sort();
        let mut expected = texts(&expected);
        expected[2..8].sort();
        assert_eq!(passed, expected);
    }

    #[test]
    fn values_of_rsyncs_flags_go_with_them_wherever_they_stand() {
        for (given, expected) in [
            (&["--info", "stats2"][..], &["--info=stats2"][..]),
            (&["-cM", "--fake-super"], &["--checksum", "-M--fake-super"]),
            (&["-cM--fake-super"], &["--checksum", "-M--fake-super"]),
            (&["-cE", "--iconv", "utf8"], &["--checksum", "-E", "--iconv=utf8"]),
        ] {
            let words = [&["prsync", "--engine=rsync"], given, &["dist/", "/opt"]].concat();
            assert_eq!(passed(&words).unwrap()[2..], texts(&[expected, &["--", "./a:b", "dist/"]].concat()));
        }
    }

    #[test]
    fn without_the_engine_flags_of_rsync_are_refused_by_name_and_unknown_ones_too() {
        let refused = passed(&["prsync", "-aE", "dist/", "/opt"]).unwrap_err();
        assert!(
            refused.contains("--executability is not supported") && refused.contains("--engine=rsync"),
            "{refused}"
        );
        assert!(passed(&["prsync", "--no-such-flag", "dist/", "/opt"]).is_err());
    }

    #[test]
    fn what_is_about_all_hosts_is_refused() {
        for flag in ["--atomic", "--bwlimit=3", "--bwlimit-host=3", "--max-delete=50%", "-essh", "--exclude-from=-"] {
            let refused = passed(&["prsync", "--engine", "rsync", flag, "dist/", "/opt"]).unwrap_err();
            assert!(refused.contains("--engine=rsync does not have"), "{refused}");
        }
        assert!(passed(&["prsync", "--engine=rsync", "--max-delete=5", "dist/", "/opt"]).is_ok());
    }
}
