//! Which source answers for a name that no source is written with.
//!
//! Must not know where sources come from.

use super::TermError;

/// How early a source is believed where it is not named. A name that two sources of one rank have is ambiguous; those of later
/// ranks are not heard then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The user's own: host files, `fleet.toml`, files of other tools in the user's folders, providers that are set up.
    #[default]
    Own,
    /// What everybody on this machine has: files in `/etc`, which may be examples that came with a package.
    System,
    /// A provider that nobody set up: its program was found.
    Found,
    /// It never answers without being named.
    Named,
}

/// The one of `sources` that is meant by the name of a group that they all have: `home`, else the only one of the first rank.
///
/// # Errors
/// [`TermError::AmbiguousGroup`] when there are several.
pub(super) fn answering<'a>(
    name: &str,
    sources: impl IntoIterator<Item = (&'a str, Rank)>,
    home: Option<&str>,
) -> Result<Option<&'a str>, TermError> {
    let mut sources: Vec<(&str, Rank)> = sources.into_iter().filter(|(_, rank)| *rank != Rank::Named).collect();
    if let Some((own, _)) = sources.iter().find(|(source, _)| Some(*source) == home) {
        return Ok(Some(own));
    }
    let first = sources.iter().map(|(_, rank)| *rank).min();
    sources.retain(|(_, rank)| Some(*rank) == first);
    let mut names: Vec<&str> = Vec::new();
    for (source, _) in sources {
        if !names.contains(&source) {
            names.push(source);
        }
    }
    match names.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let sources = several.iter().map(ToString::to_string).collect();
            Err(TermError::AmbiguousGroup { name: name.to_owned(), sources })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: [(&str, Rank); 7] = [
        ("hosts", Rank::Own),
        ("fleet", Rank::Own),
        ("ec2", Rank::Own),
        ("local", Rank::System),
        ("genders", Rank::System),
        ("gcp", Rank::Found),
        ("ssh", Rank::Named),
    ];

    #[test]
    fn the_first_rank_that_knows_a_name_answers_and_two_of_one_rank_are_ambiguous() {
        for (knowing, home, answer) in [
            ("", None, Ok(None)),
            ("hosts", None, Ok(Some("hosts"))),
            ("local hosts", None, Ok(Some("hosts"))),
            ("local fleet genders", None, Ok(Some("fleet"))),
            ("local ec2", None, Ok(Some("ec2"))),
            ("gcp local", None, Ok(Some("local"))),
            ("hosts gcp", None, Ok(Some("hosts"))),
            ("gcp", None, Ok(Some("gcp"))),
            ("ssh", None, Ok(None)),
            ("ssh hosts", None, Ok(Some("hosts"))),
            ("hosts hosts", None, Ok(Some("hosts"))),
            ("hosts fleet local", None, Err("hosts and in fleet")),
            ("fleet ec2", None, Err("fleet and in ec2")),
            ("local genders gcp", None, Err("local and in genders")),
            ("hosts fleet", Some("hosts"), Ok(Some("hosts"))),
            ("hosts local", Some("local"), Ok(Some("local"))),
            ("hosts", Some("fleet"), Ok(Some("hosts"))),
        ] {
            let sources =
                knowing.split_whitespace().map(|name| SOURCES[SOURCES.iter().position(|s| s.0 == name).unwrap()]);
            let got = answering("web", sources, home).map_err(|error| error.to_string());
            let expected = answer.map_err(|sources| format!("the group \"web\" is defined in {sources}"));
            assert_eq!(got, expected, "{knowing} at {home:?}");
        }
    }
}
