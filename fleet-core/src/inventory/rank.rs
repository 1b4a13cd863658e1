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
    use std::path::Path;

    use super::super::{GroupDefinition, Inventory, Source, file};
    use super::*;
    use crate::select::{SelectError, Selected, Selection};

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

    fn source(name: &str, rank: Rank, groups: &[(&str, &str)]) -> Source {
        let define = |(group, nodes): &(&str, &str)| GroupDefinition {
            name: (*group).to_owned(),
            expressions: vec![(*nodes).to_owned()],
            origin: format!("{name}.cfg"),
        };
        Source { name: name.to_owned(), rank, hosts: Vec::new(), groups: groups.iter().map(define).collect() }
    }

    fn chosen(inventory: &Inventory, group: &str) -> String {
        let selection = Selection { groups: vec![group.to_owned()], ..Selection::default() };
        let names = |selected: Selected| {
            selected.hosts.iter().map(|selected| selected.host.to_string()).collect::<Vec<_>>().join(" ")
        };
        let said = |error: SelectError| format!("{error}; {}", error.hint().unwrap_or_default());
        selection.parse().unwrap().select(inventory).map_or_else(said, names)
    }

    #[test]
    fn groups_patterns_and_all_hosts_are_those_of_the_first_rank_that_knows_them() {
        let groups = [("all", "x1,x2"), ("web", "w8"), ("gpu", "g1,h1")];
        let stock = source("local", Rank::System, &groups);
        let site = source("site", Rank::System, &[("gpu", "g2")]);
        let mine = source("racks", Rank::Own, &[("web", "w9"), ("rack", "@all,r1"), ("ours", "@db"), ("gate", "t1")]);
        let hosts = file::parse(b"h1\n[web]\nw1\n[db]\nd1\n", Path::new("hosts")).unwrap();
        let own = Inventory::merge(&[hosts], &[stock.clone(), site, mine], &[]).unwrap();
        for (group, hosts) in [
            ("all", "x1 x2"),
            ("db", "d1"),
            ("ours", "d1"),
            ("@local:web", "w8"),
            ("web", "-g: the group \"web\" is defined in hosts and in racks; write @hosts:web or @racks:web"),
            ("gpu", "-g: the group \"gpu\" is defined in local and in site; write @local:gpu or @site:gpu"),
            ("rack", "x1 x2 r1"),
            ("@g*", "t1"),
            ("@a*", "x1 x2"),
            ("@local:g*", "g1 h1"),
            ("*", "h1 w1 d1 x1 x2 w9 r1 t1"),
            ("w*", "w1 w9"),
            ("g*", "g1 g2"),
            ("@local:*", "h1 x1 x2 w8 g1"),
        ] {
            assert_eq!(chosen(&own, group), hosts, "{group}");
        }
        let alone = Inventory::merge(&[], &[stock], &[]).unwrap();
        assert_eq!(chosen(&alone, "*"), "x1 x2 w8 g1 h1");
    }

    #[test]
    fn what_is_wrong_with_a_group_of_the_machine_leaves_it_out_and_no_other() {
        let groups =
            [("bad", "a[3-1]"), ("gone", "@nobody"), ("loop", "@loop"), ("fine", "f1"), ("within", "@gone,f2")];
        let merge = |rank| Inventory::merge(&[], &[source("local", rank, &groups)], &[]);
        let inventory = merge(Rank::System).unwrap();
        assert_eq!(inventory.group_names().collect::<Vec<_>>(), ["fine"]);
        let left_out: Vec<_> = inventory.remarks().iter().map(|remark| &remark[..22]).collect();
        assert_eq!(
            left_out,
            ["local.cfg: the range \"", "local.cfg: there is no", "local.cfg: the group i", "local.cfg: there is no"]
        );
        assert!(inventory.remarks()[1].ends_with("there is no group \"nobody\"; the group is left out"));
        assert!(merge(Rank::Own).is_err());
    }
}
