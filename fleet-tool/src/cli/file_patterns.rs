//! `--exclude` and `--include` where they are about files.
//!
//! Must not know what a pattern matches.

use clap::ArgMatches;
use fleet_core::hostset;
use fleet_core::select::SelectedHost;

use super::Failure;

/// The id of a flag, and what is made of each of its values.
type Values<'a, T> = (&'a str, fn(String) -> T);

/// The values of some flags, in the order in which they were given among them all.
pub fn in_order<T>(matches: &ArgMatches, flags: &[Values<'_, T>]) -> Vec<T> {
    let of = |(id, make): &Values<'_, T>| {
        let places = matches.indices_of(id).into_iter().flatten();
        let values = matches.get_many::<String>(id).into_iter().flatten().cloned().map(*make);
        places.zip(values).collect::<Vec<_>>()
    };
    let mut values: Vec<(usize, T)> = flags.iter().flat_map(of).collect();
    values.sort_by_key(|(place, _)| *place);
    values.into_iter().map(|(_, value)| value).collect()
}

/// Finds out that `--exclude`, which leaves out hosts in tools that copy nothing, was meant so for files, too.
///
/// # Errors
/// When an excluded pattern is the name of a chosen host, or a set with one in it.
pub fn check_excluded<'a>(patterns: impl IntoIterator<Item = &'a str>, hosts: &[SelectedHost]) -> Result<(), Failure> {
    for text in patterns {
        let names = hostset::expand(text).unwrap_or_default();
        if hosts.iter().any(|host| names.iter().any(|name| name == host.host.name())) {
            return Err(Failure::usage_text(format!("--exclude is about files here, and {text} is a chosen host"))
                .hint(format!("-x {text} leaves out the host; --exclude '**/{text}' leaves out files of that name")));
        }
    }
    Ok(())
}
