//! Which of the known hosts a command is for: `-H`, `-h`, `-g`, `-x` and `--limit`.
//!
//! Values in, values out. Must not know how flags are parsed, nor where the inventory comes from.

mod error;
mod excluded;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::error::{Empty, SelectError};
use self::excluded::Excluded;
pub use self::excluded::IdleExclude;
use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::hostset::{self, HostSetError};
use crate::inventory::{HostFile, Inventory, Patterns, has_wildcard, nearest};
use crate::provider::protocol::Record;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `-H`: host sets.
    pub hosts: Vec<String>,
    /// `-h`: parsed host files. The inventory is to be merged from them too, in place of those of the settings.
    pub files: Vec<HostFile>,
    /// `-g`: names of groups, or patterns over the names of known hosts.
    pub groups: Vec<String>,
    /// `-x`: host sets, patterns and `@group`.
    pub exclude: Vec<String>,
    /// `--limit`: no more than the first so many.
    pub limit: Option<usize>,
    /// `--failed` and its like: nobody else is chosen, and `-H`, `-h` and `-g` narrow these.
    pub former: Option<FormerHosts>,
}

/// Hosts of a former run.
#[derive(Clone, Debug)]
pub struct FormerHosts {
    /// Which run: `run 20261122-0324-7f3a`.
    pub origin: String,
    /// Each host as it was chosen then, with the group it was chosen by.
    pub hosts: Vec<(Host, Option<String>)>,
}

/// A host that the command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedHost {
    /// The host, with the user and port it was typed with or is known by.
    pub host: Host,
    /// The group it was chosen by, else the first it belongs to.
    pub group: Option<String>,
    /// The places that name it: `-H`, `hosts.txt:3`, `fleet.toml [groups] web`.
    pub origins: Vec<String>,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
}

/// A host that was named more than once, and will run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The host.
    pub host: Host,
    /// How often it was named.
    pub times: usize,
}

/// The hosts that the command is for: at least one, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// In the order typed: first `-H`, then `-h`, then `-g`.
    pub hosts: Vec<SelectedHost>,
    /// Those named more than once by `-H` and `-h`, or within one group. Being in two of the chosen groups is no
    /// duplicate.
    pub duplicates: Vec<Duplicate>,
    /// Excludes without effect: often a name mistyped.
    pub idle_excludes: Vec<IdleExclude>,
}

impl Selection {
    /// Chooses hosts: those of `-H`, then all of `-h` unless there is a `-g`, then those of `-g`; without those of
    /// `-x`; the first `--limit`.
    ///
    /// # Errors
    /// When something asked for is malformed or unknown, and when no host is left.
    pub fn select(&self, inventory: &Inventory) -> Result<Selected, SelectError> {
        if self.limit == Some(0) {
            return Err(SelectError::ZeroLimit);
        }
        let mut choice = Choice { inventory, hosts: Vec::new(), places: HashMap::new() };
        for set in &self.hosts {
            choice.add_host_set(set)?;
        }
        if self.groups.is_empty() {
            self.files.iter().for_each(|file| choice.add_file(file));
        }
        for text in &self.groups {
            choice.add_groups(text, &self.files)?;
        }
        let mut chosen = match &self.former {
            Some(former) => self.narrowed(former, &choice),
            None => choice.hosts,
        };
        let excluded = Excluded::parse(&self.exclude, inventory)?;
        let idle_excludes = self.idle_excludes(inventory, &chosen)?;
        let asked = chosen.len();
        chosen.retain(|chosen| !excluded.contains(&chosen.host));
        if chosen.is_empty() {
            return Err(self.empty(inventory, asked));
        }
        chosen.truncate(self.limit.unwrap_or(usize::MAX));
        let times = |chosen: &Chosen| chosen.named.max(chosen.grouped);
        let repeated = chosen.iter().filter(|chosen| times(chosen) > 1);
        let duplicates = repeated.map(|chosen| Duplicate { host: chosen.host.clone(), times: times(chosen) }).collect();
        let hosts = chosen.into_iter().map(|chosen| chosen.into_selected(inventory)).collect();
        Ok(Selected { hosts, duplicates, idle_excludes })
    }

    /// The hosts of a former run, and where hosts are named those of them only.
    fn narrowed(&self, former: &FormerHosts, choice: &Choice<'_>) -> Vec<Chosen> {
        let all = self.hosts.is_empty() && self.files.is_empty() && self.groups.is_empty();
        let meant = former.hosts.iter().filter(|(host, _)| all || choice.places.contains_key(host));
        let chosen = meant.map(|(host, group)| Chosen {
            host: host.clone(),
            group: group.clone(),
            origins: vec![former.origin.clone()],
            named: 1,
            grouped: 0,
        });
        chosen.collect()
    }

    /// The values of `-x` that leave out nobody.
    fn idle_excludes(&self, inventory: &Inventory, chosen: &[Chosen]) -> Result<Vec<IdleExclude>, SelectError> {
        let mut idle = Vec::new();
        for value in &self.exclude {
            let excluded = Excluded::parse(std::slice::from_ref(value), inventory)?;
            if !chosen.iter().any(|chosen| excluded.contains(&chosen.host)) {
                let is_group = inventory.group(value).is_some();
                idle.push(IdleExclude { value: value.clone(), group: is_group.then(|| format!("@{value}")) });
            }
        }
        Ok(idle)
    }

    fn empty(&self, inventory: &Inventory, excluded: usize) -> SelectError {
        let mut asked: Vec<String> = self.former.iter().map(|former| former.origin.clone()).collect();
        asked.extend(self.hosts.iter().map(|set| format!("-H {set}")));
        asked.extend(self.files.iter().map(|file| format!("-h {}", file.path.display())));
        asked.extend(self.groups.iter().map(|group| format!("-g {group}")));
        let groups = inventory.group_names().map(str::to_owned).collect();
        SelectError::Empty(Empty { asked, excluded, known: inventory.hosts().len(), groups })
    }
}

/// A host that is chosen so far.
struct Chosen {
    host: Host,
    group: Option<String>,
    origins: Vec<String>,
    /// How often `-H` and `-h` name it.
    named: usize,
    /// How often the one group that names it most often does so.
    grouped: usize,
}

impl Chosen {
    fn into_selected(self, inventory: &Inventory) -> SelectedHost {
        let Self { host, mut group, mut origins, .. } = self;
        let known = inventory.get(&host);
        let endpoint = known.and_then(|known| known.endpoint.clone());
        let record = known.and_then(|known| known.record.clone());
        if let Some(known) = known {
            group = group.or_else(|| known.groups.first().cloned());
            let others: Vec<String> = known.origins.iter().filter(|known| !origins.contains(known)).cloned().collect();
            origins.extend(others);
        }
        SelectedHost { host, group, origins, endpoint, record }
    }
}

struct Choice<'a> {
    inventory: &'a Inventory,
    hosts: Vec<Chosen>,
    /// Where each host stands in `hosts`.
    places: HashMap<Host, usize>,
}

impl Choice<'_> {
    fn add(&mut self, host: &Host) -> (usize, &mut Chosen) {
        let place = *self.places.entry(host.clone()).or_insert_with(|| {
            self.hosts.push(Chosen { host: host.clone(), group: None, origins: Vec::new(), named: 0, grouped: 0 });
            self.hosts.len() - 1
        });
        (place, &mut self.hosts[place])
    }

    fn add_host_set(&mut self, set: &str) -> Result<(), SelectError> {
        for name in hostset::expand(set).map_err(SelectError::HostSet)? {
            let typed: Host = name.parse().map_err(SelectError::Host)?;
            let host = self.inventory.complete(typed).map_err(SelectError::Ambiguous)?;
            let (_, chosen) = self.add(&host);
            chosen.named += 1;
            if chosen.origins.is_empty() {
                chosen.origins.push("-H".to_owned());
            }
        }
        Ok(())
    }

    /// Adds all hosts of a file. One that stands under two headings is named once.
    fn add_file(&mut self, file: &HostFile) {
        let mut by_heading: HashMap<(usize, Option<&str>), usize> = HashMap::new();
        let mut named: HashMap<usize, usize> = HashMap::new();
        for line in &file.lines {
            let (place, chosen) = self.add(&line.host);
            chosen.group = chosen.group.take().or_else(|| line.group.clone());
            let origin = file.origin(line);
            if !chosen.origins.contains(&origin) {
                chosen.origins.push(origin);
            }
            let times = by_heading.entry((place, line.group.as_deref())).or_default();
            *times += 1;
            let most = named.entry(place).or_default();
            *most = (*most).max(*times);
        }
        for (place, times) in named {
            self.hosts[place].named += times;
        }
    }

    /// Adds the hosts of a `-g`: a group, several, or patterns.
    fn add_groups(&mut self, text: &str, files: &[HostFile]) -> Result<(), SelectError> {
        let refused = |problem: HostSetError| SelectError::Pattern { flag: "-g", problem: problem.into() };
        for item in hostset::items(text).map_err(refused)? {
            let name = item.strip_prefix('@').unwrap_or(item);
            if has_wildcard(name) {
                self.add_matching(name, files)?;
            } else {
                let members = known_group(self.inventory, name, "-g")?;
                for member in members {
                    let (_, chosen) = self.add(&self.inventory.hosts()[member.host].host);
                    chosen.group.get_or_insert_with(|| name.to_owned());
                    chosen.grouped = chosen.grouped.max(member.times);
                }
            }
        }
        Ok(())
    }

    /// Adds the known hosts that match; where files are named by `-h`, those of the files.
    fn add_matching(&mut self, pattern: &str, files: &[HostFile]) -> Result<(), SelectError> {
        let patterns = Patterns::parse([pattern]).map_err(|problem| SelectError::Pattern { flag: "-g", problem })?;
        let candidates: Vec<&Host> = match files {
            [] => self.inventory.hosts().iter().map(|known| &known.host).collect(),
            files => files.iter().flat_map(|file| &file.lines).map(|line| &line.host).collect(),
        };
        let matching: Vec<&Host> = candidates.iter().copied().filter(|host| patterns.matches(host)).collect();
        if matching.is_empty() {
            return Err(SelectError::NoMatch { pattern: pattern.to_owned(), tried: candidates.len() });
        }
        for host in matching {
            self.add(host);
        }
        Ok(())
    }
}

fn known_group<'a>(
    inventory: &'a Inventory,
    name: &str,
    flag: &'static str,
) -> Result<&'a [crate::inventory::Member], SelectError> {
    inventory.group(name).ok_or_else(|| SelectError::UnknownGroup {
        flag,
        name: name.to_owned(),
        nearest: nearest(name, inventory.group_names()),
        known: inventory.group_names().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::inventory::{GroupDefinition, file};

    const FLEET: &str = "root@web1:2222\n[web]\nweb[2-4]\n[db]\ndb1\nweb4\ndb1\n[empty]\n";

    fn host_file(text: &str) -> HostFile {
        file::parse(text.as_bytes(), Path::new("hosts")).unwrap()
    }

    fn fleet() -> Inventory {
        let all = GroupDefinition {
            name: "all".to_owned(),
            expressions: vec!["@web,@db".to_owned(), "web1,x1".to_owned()],
            origin: "fleet.toml [groups] all".to_owned(),
        };
        Inventory::merge(&[host_file(FLEET)], &[all]).unwrap()
    }

    /// A selection as typed: `-H a -g web --limit 2`; `-h` takes the name of nothing and stands for [`FLEET`].
    fn selection(typed: &str) -> Selection {
        let mut selection = Selection::default();
        let mut words = typed.split_whitespace();
        while let Some(flag) = words.next() {
            let value = words.next().unwrap().to_owned();
            match flag {
                "-H" => selection.hosts.push(value),
                "-h" => selection.files.push(host_file(FLEET)),
                "-g" => selection.groups.push(value),
                "-x" => selection.exclude.push(value),
                "--limit" => selection.limit = Some(value.parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        selection
    }

    fn hosts(selected: &Selected) -> String {
        selected.hosts.iter().map(|selected| selected.host.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn chooses_hosts_in_the_order_typed() {
        for (typed, expected) in [
            ("-H a,b -H c", "a b c"),
            ("-H b,a,b", "b a"),
            ("-H n[1-3]", "n1 n2 n3"),
            ("-H me@[::1]:22", "me@[::1]:22"),
            ("-H web1,web2", "root@web1:2222 web2"),
            ("-H me@web1", "me@web1:2222"),
            ("-h .", "root@web1:2222 web2 web3 web4 db1"),
            ("-h . -g db", "db1 web4"),
            ("-h . -g * -x web1", "web2 web3 web4 db1"),
            ("-g web", "web2 web3 web4"),
            ("-g @web", "web2 web3 web4"),
            ("-g db -g web", "db1 web4 web2 web3"),
            ("-g db,web", "db1 web4 web2 web3"),
            ("-g empty -g db", "db1 web4"),
            ("-g all", "web2 web3 web4 db1 root@web1:2222 x1"),
            ("-g web*", "root@web1:2222 web2 web3 web4"),
            ("-g web[1-2]", "root@web1:2222 web2"),
            ("-g web[!a-z] -g db?", "root@web1:2222 web2 web3 web4 db1"),
            ("-g *", "root@web1:2222 web2 web3 web4 db1 x1"),
            ("-H new -g web --limit 2", "new web2"),
            ("-g web --limit 9", "web2 web3 web4"),
            ("-g web -x web[2-3]", "web4"),
            ("-g web -x web2,nowhere -x web4", "web3"),
            ("-g all -x @db", "web2 web3 root@web1:2222 x1"),
            ("-g all -x web*", "db1 x1"),
            ("-g all -x root@*", "web2 web3 web4 db1 x1"),
            ("-h . -x web1", "web2 web3 web4 db1"),
            ("-g web -x web2 --limit 1", "web3"),
        ] {
            assert_eq!(hosts(&selection(typed).select(&fleet()).unwrap()), expected, "{typed}");
        }
    }

    #[test]
    fn hosts_of_a_former_run_stay_as_they_were_and_flags_narrow_them() {
        let host = |text: &str, group: Option<&str>| (text.parse().unwrap(), group.map(str::to_owned));
        let former = FormerHosts {
            origin: "run 20261122-0324-7f3a".to_owned(),
            hosts: vec![host("root@web1:2222", None), host("web1", None), host("web4", Some("db")), host("db1", None)],
        };
        for (typed, expected) in [
            ("", "root@web1:2222 web1 web4 db1"),
            ("-H web1", "root@web1:2222"),
            ("-H other,db1", "db1"),
            ("-g web", "web4"),
            ("-h .", "root@web1:2222 web4 db1"),
            ("-x web*", "db1"),
            ("-x @db", "root@web1:2222 web1"),
            ("--limit 3 -x web1", "web4 db1"),
            ("-g db --limit 1", "web4"),
        ] {
            let selection = Selection { former: Some(former.clone()), ..selection(typed) };
            assert_eq!(hosts(&selection.select(&fleet()).unwrap()), expected, "{typed}");
        }
        let selection = Selection { former: Some(former), ..selection("-g web -x web4") };
        let error = selection.select(&fleet()).unwrap_err();
        let message = "no hosts are selected: -x removes the only one of run 20261122-0324-7f3a -g web";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn a_host_knows_its_group_and_where_it_comes_from() {
        for (typed, group, origins) in [
            ("-H new", None, "-H"),
            ("-H web2", Some("web"), "-H; hosts:3; fleet.toml [groups] all"),
            ("-H db1 -g all", Some("all"), "-H; hosts:5; hosts:7; fleet.toml [groups] all"),
            ("-h . -x web1", Some("web"), "hosts:3; fleet.toml [groups] all"),
            ("-h .", Some("all"), "hosts:1; fleet.toml [groups] all"),
            ("-g db -x db1", Some("db"), "hosts:3; hosts:6; fleet.toml [groups] all"),
            ("-g web4*", Some("db"), "hosts:3; hosts:6; fleet.toml [groups] all"),
        ] {
            let selected = selection(typed).select(&fleet()).unwrap();
            let first = &selected.hosts[0];
            assert_eq!((first.group.as_deref(), first.origins.join("; ").as_str()), (group, origins), "{typed}");
        }
    }

    #[test]
    fn what_is_named_twice_runs_once_and_is_reported() {
        for (typed, duplicates) in [
            ("-H a,b", ""),
            ("-H a,b,a -H a", "a*3"),
            ("-H a[1-3],a2", "a2*2"),
            ("-H a,me@a,a:22", ""),
            ("-H web1,root@web1:2222", "root@web1:2222*2"),
            ("-h .", "db1*2"),
            ("-h . -h .", "root@web1:2222*2 web2*2 web3*2 web4*2 db1*4"),
            ("-h . -H web2", "web2*2 db1*2"),
            ("-h . -x db1", ""),
            ("-g web -g all", ""),
            ("-g db", "db1*2"),
            ("-g web -g web -H web2", ""),
        ] {
            let selected = selection(typed).select(&fleet()).unwrap();
            let shown: Vec<String> = selected.duplicates.iter().map(|d| format!("{}*{}", d.host, d.times)).collect();
            assert_eq!(shown.join(" "), duplicates, "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_selected_is_an_error_with_a_hint() {
        for (typed, message, hint) in [
            ("-g wbe", "-g: there is no group \"wbe\"", "did you mean web? known groups: all, db, empty, web"),
            ("-g web -x @dbs", "-x: there is no group \"dbs\"", "did you mean db? known groups: all, db, empty, web"),
            ("-g xyz", "-g: there is no group \"xyz\"", "known groups: all, db, empty, web"),
            ("-g cache*", "-g: no known host matches \"cache*\"", "6 hosts are known; -g '*' --list shows them"),
            ("-g web[3-1]", "-g: the range \"3-1\" in \"web[3-1]\" goes down; expected the smaller number first", ""),
            (
                "-g web -x -oUser=me",
                "-x: \"-oUser=me\" is no host; expected hosts to exclude",
                "-x excludes hosts here; ssh options are given by -O Key=Value",
            ),
            (
                "-g web -x a,,b",
                "-x: a host name is missing next to a comma in \"a,,b\"; expected a name on both sides of each comma",
                "",
            ),
            (
                "-H a,,b",
                "-H: a host name is missing next to a comma in \"a,,b\"; expected a name on both sides of each comma",
                "",
            ),
            ("-H a;b", "-H: ';' cannot be part of a host name (in \"a;b\")", ""),
            (
                "-H web*",
                "-H: '*' cannot be part of a host name (in \"web*\")",
                "-g takes a pattern over the names of known hosts",
            ),
            ("-H @web", "-H: \"@web\" names a group; expected a host name", "-g web chooses a group"),
            ("-g web --limit 0", "--limit: found 0; expected the number of hosts to run on, 1 or more", ""),
        ] {
            let error = selection(typed).select(&fleet()).unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.hint().unwrap_or_default().as_str()),
                (message, hint),
                "{typed}"
            );
        }
    }

    #[test]
    fn no_hosts_is_an_error_that_says_what_was_asked_and_what_is_known() {
        let hint = "choose hosts by -H HOST, -h FILE or -g GROUP; 6 hosts are known, -g '*' chooses all; \
                    known groups: all, db, empty, web";
        for (typed, message) in [
            ("", "no hosts are selected"),
            ("-x web1", "no hosts are selected"),
            ("-g empty", "no hosts are selected: -g empty names none"),
            ("-g web -x web*", "no hosts are selected: -x removes all 3 of -g web"),
            ("-H a -x a", "no hosts are selected: -x removes the only one of -H a"),
        ] {
            let error = selection(typed).select(&fleet()).unwrap_err();
            assert!(matches!(error, SelectError::Empty(_)), "{typed}");
            assert_eq!((error.to_string().as_str(), error.hint().unwrap().as_str()), (message, hint), "{typed}");
        }
        let error = Selection::default().select(&Inventory::default()).unwrap_err();
        assert!(
            error.hint().unwrap().ends_with("no hosts are known from host files or fleet.toml; no groups are known")
        );
    }

    #[test]
    fn a_host_with_several_meanings_has_to_be_typed_in_full() {
        let inventory = Inventory::merge(&[host_file("l:2201\nl:2202\n")], &[]).unwrap();
        let error = selection("-H l").select(&inventory).unwrap_err();
        assert_eq!(error.to_string(), "-H: \"l\" could be l:2201 or l:2202");
        assert_eq!(hosts(&selection("-H l:2202").select(&inventory).unwrap()), "l:2202");
    }

    #[test]
    fn a_long_list_of_groups_is_cut() {
        let headings: String = (10..40).map(|i| format!("[group{i}]\n")).collect();
        let inventory = Inventory::merge(&[host_file(&headings)], &[]).unwrap();
        let hint = selection("-g xyz").select(&inventory).unwrap_err().hint().unwrap();
        assert!(hint.starts_with("known groups: group10, ") && hint.ends_with(", group29 and 10 more"), "{hint}");
    }

    proptest! {
        #[test]
        fn each_host_runs_once_and_no_excluded_host_runs(
            typed in proptest::collection::vec("[ab][1-4]", 1..12),
            excluded in proptest::collection::vec("[ab][1-4]", 0..4),
            limit in proptest::option::of(1_usize..9),
        ) {
            let selection = Selection {
                hosts: vec![typed.join(",")],
                exclude: excluded.clone(),
                limit,
                ..Selection::default()
            };
            let mut expected: Vec<&String> = Vec::new();
            for name in typed.iter().filter(|name| !excluded.contains(name)) {
                if !expected.contains(&name) {
                    expected.push(name);
                }
            }
            expected.truncate(limit.unwrap_or(usize::MAX));
            match selection.select(&Inventory::default()) {
                Ok(selected) => {
                    let names: Vec<&str> = selected.hosts.iter().map(|selected| selected.host.name()).collect();
                    prop_assert_eq!(names, expected);
                }
                Err(SelectError::Empty(_)) => prop_assert!(expected.is_empty()),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
