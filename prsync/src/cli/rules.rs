//! The rules of `--filter` and its like, in the order in which they were given.
//!
//! Reads files of rules. Must not know what they are applied to.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::ArgMatches;
use fleet_rsync::filter::{FilterError, Rules};
use fleet_rsync::sources::{LineEnd, listed};
use fleet_tool::cli::Failure;

use super::syncing::SyncArgs;

/// The rules of all flags in the order in which they were given.
pub(super) fn rules(matches: &ArgMatches, args: &SyncArgs) -> Result<Rules, Failure> {
    let places = |flag: &str| matches.indices_of(flag).into_iter().flatten().collect::<Vec<_>>();
    let mut given: Vec<(usize, Given<'_>)> = Vec::new();
    given.extend(places("exclude_files").into_iter().zip(args.exclude_files.iter().map(|text| Given::Exclude(text))));
    given.extend(places("include_files").into_iter().zip(args.include_files.iter().map(|text| Given::Include(text))));
    given.extend(places("rules").into_iter().zip(args.rules.iter().map(|text| Given::Rule(text))));
    let of_folders = |place| folder_rules(args.folder_rules).map(move |rule| (place, rule));
    given.extend(places("folder_rules").into_iter().flat_map(of_folders));
    given.extend(places("exclude_from").into_iter().zip(args.exclude_from.iter().map(Given::ExcludeFrom)));
    given.extend(places("include_from").into_iter().zip(args.include_from.iter().map(Given::IncludeFrom)));
    given.sort_by_key(|(place, _)| *place);
    let mut rules = Rules::new();
    rules.cvs_words(&ignored_at_home(), std::env::var_os("CVSIGNORE").unwrap_or_default().as_bytes());
    for (_, given) in given {
        given.add(&mut rules, args.naming.line_end())?;
    }
    if args.cvs_exclude {
        rules.cvs_exclude().map_err(|error| Failure::usage(&error))?;
    }
    Ok(rules)
}

/// What `-F` stands for, by how often it is given (rsync(1)).
fn folder_rules<'a>(times: u8) -> impl Iterator<Item = Given<'a>> {
    let texts: &[&str] = match times {
        0 => &[],
        1 => &["dir-merge /.rsync-filter"],
        _ => &["dir-merge /.rsync-filter", "exclude .rsync-filter"],
    };
    texts.iter().map(|text| Given::Rule(text))
}

/// A rule, or rules, of the command line.
enum Given<'a> {
    Exclude(&'a str),
    Include(&'a str),
    Rule(&'a str),
    ExcludeFrom(&'a PathBuf),
    IncludeFrom(&'a PathBuf),
}

impl Given<'_> {
    fn add(self, rules: &mut Rules, line_end: LineEnd) -> Result<(), Failure> {
        let content = |path: &PathBuf| {
            read(path.as_os_str().as_bytes())
                .map_err(|error| Failure::usage_text(format!("cannot read {}: {error}", path.display())))
        };
        let added: Result<(), FilterError> = match self {
            Self::Exclude(text) => rules.exclude(text.as_bytes()),
            Self::Include(text) => rules.include(text.as_bytes()),
            Self::Rule(text) => rules.filter(text.as_bytes(), &mut read),
            Self::ExcludeFrom(path) => listed(&content(path)?, line_end).try_for_each(|pattern| rules.exclude(pattern)),
            Self::IncludeFrom(path) => listed(&content(path)?, line_end).try_for_each(|pattern| rules.include(pattern)),
        };
        added.map_err(|error| Failure::usage(&error))
    }
}

/// What the user's own file says that CVS ignores.
fn ignored_at_home() -> Vec<u8> {
    let file = std::env::home_dir().map(|home| home.join(".cvsignore"));
    file.and_then(|file| fs::read(file).ok()).unwrap_or_default()
}

/// Reads a file; `-` is standard input.
pub(super) fn read(path: &[u8]) -> io::Result<Vec<u8>> {
    if path == b"-" {
        let mut content = Vec::new();
        io::stdin().read_to_end(&mut content)?;
        return Ok(content);
    }
    fs::read(std::ffi::OsStr::from_bytes(path))
}
