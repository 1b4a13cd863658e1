//! Which of the known hosts a command is for: `-H`, `-h`, `-g`, `-x` and `--limit`.
//!
//! Values in, values out. Must not know how flags are parsed, nor where the inventory comes from.

mod choosing;
mod error;
mod excluding;
mod remarks;

use std::collections::HashMap;
use std::sync::Arc;

use self::choosing::{Choosing, Mention, Mentions, Numbers};
pub use self::error::{Empty, SelectError};
use self::excluding::Excluding;
pub use self::excluding::IdleExclude;
use crate::endpoint::{Endpoint, Instance};
use crate::host::Host;
use crate::hostset::Expression;
use crate::inventory::{
    FILES, FormerHost, HostFile, Inventory, KnownHost, Meaning, Reading, States, Wanted, states_of,
};
use crate::provider::protocol::{NativeFilter, Record};
use crate::quick_hash::QuickSet;

/// How many terms of a choice of nobody are explained.
const MISSES: usize = 3;

/// What was asked for, as typed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `-H`: expressions whose words are hosts.
    pub hosts: Vec<String>,
    /// `-h`: parsed host files. The inventory is to be merged from them too, in place of those of the settings.
    pub files: Vec<HostFile>,
    /// `-g`: expressions whose words are groups.
    pub groups: Vec<String>,
    /// `-x`: expressions whose words are hosts among the chosen ones.
    pub exclude: Vec<String>,
    /// `--limit`: no more than the first so many.
    pub limit: Option<usize>,
    /// Whether the machine that asks may be among them.
    pub own_machine: OwnMachine,
    /// `--filter`: what providers narrow their hosts by.
    pub filters: Vec<NativeFilter>,
    /// `--filter` where nobody is named: the providers of which all hosts are chosen that pass the filters.
    pub filtered: Vec<String>,
    /// `--failed` and its like: nobody else is chosen, and `-H`, `-h` and `-g` narrow these.
    pub former: Option<FormerHosts>,
}

/// What becomes of the machine that asks, where it is not named by `-H`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnMachine {
    /// It is left out.
    #[default]
    LeftOut,
    /// It is a host as any other (`--include-self`).
    Included,
}

/// Hosts of a former run.
#[derive(Clone, Debug)]
pub struct FormerHosts {
    /// Which run: `run 20261122-0324-7f3a`.
    pub origin: String,
    /// Each host as it was chosen then.
    pub hosts: Vec<FormerHost>,
}

/// A host that the command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedHost {
    /// The host, with the user and port it was typed with or is known by.
    pub host: Host,
    /// The group it was chosen by, else the first it belongs to.
    pub group: Option<Arc<str>>,
    /// All groups it belongs to, in the order they were met.
    pub groups: Vec<Arc<str>>,
    /// The sources that know it: `hosts`, `fleet`, the name of a provider.
    pub sources: Vec<Arc<str>>,
    /// What was typed that means it: `-H web[1-3]`, `-g tag:Role=web`.
    pub rules: Vec<Arc<str>>,
    /// The places that name it: `-H`, `hosts.txt:3`, `fleet.toml [groups] web`.
    pub origins: Vec<Arc<str>>,
    /// Where it is reached, if its name does not say it.
    pub endpoint: Option<Endpoint>,
    /// What its provider said of it.
    pub record: Option<Arc<Record>>,
    /// What its provider calls it, if it has one.
    pub instance: Option<Instance>,
}

impl SelectedHost {
    /// The name or the address to connect to.
    #[must_use]
    pub fn address(&self) -> &str {
        let known = self.endpoint.as_ref().and_then(|endpoint| endpoint.address.as_deref());
        known.unwrap_or(self.host.name())
    }

    /// The port it was named with, else the one it is known by.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.host.port().or(self.endpoint.as_ref().and_then(|endpoint| endpoint.port))
    }

    /// The user it was named with, else the one it is known by.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.host.user().or(self.endpoint.as_ref().and_then(|endpoint| endpoint.user.as_deref()))
    }
}

/// A host that was named and is not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// The host.
    pub host: Host,
    /// What was typed that means it, as in [`SelectedHost::rules`].
    pub rules: Vec<Arc<str>>,
    /// What takes it out again: `-x web[1-3]`, `-H @web!web2`, `--limit 3`, or `include_self = false`.
    pub reasons: Vec<Arc<str>>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// In the order typed: first `-H`, then `-h`, then `-g`; without them those of `--filter`.
    pub hosts: Vec<SelectedHost>,
    /// Those named more than once by `-H` and `-h`, or within one group. Being in two of the chosen groups is no
    /// duplicate.
    pub duplicates: Vec<Duplicate>,
    /// Excludes without effect: often a name mistyped.
    pub idle_excludes: Vec<IdleExclude>,
    /// Random slices with the seeds drawn for them: what to type for the same hosts again.
    pub drawn: Vec<String>,
    /// The machine that asks, if it was left out.
    pub left_out: Option<Host>,
    /// Where the other known hosts are reached, as they may be jump hosts.
    pub others: Vec<(Host, Endpoint)>,
    /// Those that were named and are not chosen, in the order in which they dropped out.
    pub excluded: Vec<Excluded>,
}

/// What was asked for, understood.
#[derive(Clone, Debug)]
pub struct ParsedSelection {
    typed: Selection,
    hosts: Vec<Expression>,
    groups: Vec<Expression>,
    exclude: Vec<Expression>,
    filtered: Vec<Expression>,
}

impl Selection {
    /// Reads the expressions.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn parse(self) -> Result<ParsedSelection, SelectError> {
        if self.limit == Some(0) {
            return Err(SelectError::ZeroLimit);
        }
        if let Some(value) = self.exclude.iter().find(|value| value.trim_start().starts_with('-')) {
            return Err(SelectError::SshArguments { value: value.clone() });
        }
        let read = |flag: &'static str, texts: &[String]| -> Result<Vec<Expression>, SelectError> {
            let read = |text: &String| {
                let refused = |problem| SelectError::Expression { flag, problem };
                Expression::parse(text, &mut rand::random).map_err(refused)
            };
            texts.iter().map(read).collect()
        };
        Ok(ParsedSelection {
            hosts: read("-H", &self.hosts)?,
            groups: read("-g", &self.groups)?,
            exclude: read("-x", &self.exclude)?,
            filtered: read("--filter", &self.filtered.iter().map(|name| format!("@{name}:*")).collect::<Vec<_>>())?,
            typed: self,
        })
    }
}

impl ParsedSelection {
    /// What providers must be asked before [`select`](Self::select).
    #[must_use]
    pub fn wanted(&self, inventory: &Inventory) -> Wanted {
        let by_host: Vec<&Expression> = self.hosts.iter().chain(&self.exclude).collect();
        let by_group: Vec<&Expression> = self.groups.iter().chain(&self.filtered).collect();
        let mut wanted = inventory.wanted(&by_host, &by_group, self.states(&[]));
        wanted.needs_provider |= !self.typed.filters.is_empty() && self.typed.former.is_none();
        wanted
    }

    /// Which states the hosts of `expressions` may have: a filter that speaks of states is the provider's own affair.
    fn states(&self, expressions: &[Expression]) -> States {
        match self.typed.filters.iter().any(|filter| filter.name.contains("state")) {
            true => States::Any,
            false => states_of(expressions),
        }
    }

    /// Chooses hosts: those of `-H`, then all of `-h` unless there is a `-g`, then those of `-g`; without those of
    /// `-x`; the first `--limit`.
    ///
    /// # Errors
    /// When something asked for is unknown, and when no host is left.
    pub fn select(&self, inventory: &Inventory) -> Result<Selected, SelectError> {
        let (mut chosen, mut mentions, numbers) = self.choose(inventory)?;
        let left_out = self.leave_out_own_machine(&numbers, &mut chosen);
        mentions.drop_out(left_out.as_slice(), "include_self = false");
        let asked = chosen.len();
        let idle_excludes = self.exclude(&numbers, &mut chosen, &mut mentions)?;
        if chosen.is_empty() {
            return Err(self.empty(inventory, asked));
        }
        if let Some(limit) = self.typed.limit.filter(|limit| *limit < chosen.len()) {
            mentions.drop_out(&chosen.split_off(limit), &format!("--limit {limit}"));
        }
        let all = self.hosts.iter().chain(&self.groups).chain(&self.exclude);
        let former: HashMap<&Host, &FormerHost> =
            self.typed.former.iter().flat_map(|former| &former.hosts).map(|former| (&former.host, former)).collect();
        let chosen_numbers: QuickSet<usize> = chosen.iter().copied().collect();
        let others = inventory.hosts().iter().enumerate().filter(|(place, _)| !chosen_numbers.contains(place));
        let others = others.filter_map(|(_, known)| Some((known.host.clone(), known.endpoint.clone()?))).collect();
        let (duplicates, excluded) =
            (mentions.duplicates(&numbers, &chosen), mentions.excluded(&numbers, &chosen_numbers));
        let select = |number| self.selected(&numbers, number, mentions.take(number), &former);
        Ok(Selected {
            others,
            duplicates,
            excluded,
            hosts: chosen.into_iter().map(select).collect(),
            idle_excludes,
            drawn: all.flat_map(Expression::drawn).map(ToString::to_string).collect(),
            left_out: left_out.map(|number| numbers.host(number).clone()),
        })
    }

    /// The numbers of the hosts, how these were named, and what the numbers mean.
    fn choose<'a>(&self, inventory: &'a Inventory) -> Result<(Vec<usize>, Mentions, Numbers<'a>), SelectError> {
        let mut choosing = Choosing::new(inventory);
        let reading = Reading { meaning: Meaning::Host, states: self.states(&self.hosts), home: None, among: None };
        for expression in &self.hosts {
            choosing.add("-H", expression, reading)?;
        }
        if self.groups.is_empty() {
            self.typed.files.iter().for_each(|file| choosing.add_file(file));
        }
        let among = (!self.typed.files.is_empty()).then_some(FILES);
        let states = self.states(&self.groups);
        let reading = Reading { meaning: Meaning::Group, states, home: among, among };
        for expression in &self.groups {
            choosing.add("-g", expression, reading)?;
        }
        for expression in &self.filtered {
            choosing.add("--filter", expression, reading)?;
        }
        let (chosen, mentions, mut numbers) = choosing.into_parts();
        Ok(match &self.typed.former {
            Some(former) => (self.narrowed(former, &chosen, &mut numbers), mentions, numbers),
            None => (chosen, mentions, numbers),
        })
    }

    /// The hosts of a former run, and where hosts are named those of them only.
    fn narrowed(&self, former: &FormerHosts, chosen: &[usize], numbers: &mut Numbers<'_>) -> Vec<usize> {
        let typed = &self.typed;
        let all = typed.hosts.is_empty() && typed.files.is_empty() && typed.groups.is_empty();
        let chosen: QuickSet<&usize> = chosen.iter().collect();
        let meant = former.hosts.iter().map(|former| numbers.of(&former.host));
        meant.filter(|number| all || chosen.contains(number)).collect()
    }

    /// Takes out the machine that asks, unless it is named by `-H` or wanted.
    fn leave_out_own_machine(&self, numbers: &Numbers<'_>, chosen: &mut Vec<usize>) -> Option<usize> {
        if self.typed.own_machine == OwnMachine::Included || !self.hosts.is_empty() {
            return None;
        }
        let is_own = |&number: &usize| {
            let record = numbers.known(number).and_then(|known| known.record.as_ref());
            record.is_some_and(|record| record.is_self)
        };
        let place = chosen.iter().position(is_own)?;
        Some(chosen.remove(place))
    }

    /// Takes out what `-x` names, and tells which values of it name nobody.
    fn exclude(
        &self,
        numbers: &Numbers<'_>,
        chosen: &mut Vec<usize>,
        mentions: &mut Mentions,
    ) -> Result<Vec<IdleExclude>, SelectError> {
        let inventory = numbers.inventory;
        let among: Vec<Host> = match self.exclude.is_empty() {
            true => Vec::new(),
            false => chosen.iter().map(|&number| numbers.host(number).clone()).collect(),
        };
        let mut idle = Vec::new();
        let mut excluded: QuickSet<usize> = QuickSet::default();
        for (expression, value) in self.exclude.iter().zip(&self.typed.exclude) {
            let named: QuickSet<Host> =
                expression.evaluate(&mut Excluding { inventory, chosen: &among })?.into_iter().collect();
            let taken: Vec<usize> =
                chosen.iter().copied().filter(|&number| named.contains(numbers.host(number))).collect();
            mentions.drop_out(&taken, &format!("-x {value}"));
            if taken.is_empty() {
                let is_group = inventory.group_names().any(|name| name == value);
                idle.push(IdleExclude { value: value.clone(), group: is_group.then(|| format!("@{value}")) });
            }
            excluded.extend(taken);
        }
        chosen.retain(|number| !excluded.contains(number));
        Ok(idle)
    }

    fn selected(
        &self,
        numbers: &Numbers<'_>,
        number: usize,
        mention: Mention,
        former: &HashMap<&Host, &FormerHost>,
    ) -> SelectedHost {
        let (host, known) = (numbers.host(number), numbers.known(number));
        let before = former.get(host);
        let (mut origins, mut group) = match &self.typed.former {
            None => (mention.origins, mention.group),
            Some(former) => {
                let group = before.and_then(|before| before.group.as_deref().map(Arc::from));
                (vec![former.origin.as_str().into()], group)
            }
        };
        if let Some(known) = known {
            group = group.or_else(|| known.groups.first().cloned());
            let own = origins.len();
            origins.reserve_exact(known.origins.len());
            for origin in &known.origins {
                if !origins[..own].contains(origin) {
                    origins.push(Arc::clone(origin));
                }
            }
        }
        SelectedHost {
            group,
            groups: known.map_or_else(Vec::new, |known| known.groups.clone()),
            sources: known.map_or_else(Vec::new, |known| known.sources.clone()),
            rules: mention.rules,
            origins,
            endpoint: known.and_then(|known| known.endpoint.clone()),
            record: known.and_then(|known| known.record.clone()),
            instance: known.and_then(KnownHost::instance).or_else(|| before.and_then(|before| before.instance.clone())),
            host: host.clone(),
        }
    }

    fn empty(&self, inventory: &Inventory, excluded: usize) -> SelectError {
        let typed = &self.typed;
        let mut asked: Vec<String> = typed.former.iter().map(|former| former.origin.clone()).collect();
        asked.extend(typed.hosts.iter().map(|set| format!("-H {set}")));
        asked.extend(typed.files.iter().map(|file| format!("-h {}", file.path.display())));
        asked.extend(typed.groups.iter().map(|group| format!("-g {group}")));
        asked.extend(typed.filters.iter().map(|filter| format!("--filter {filter}")));
        let groups = inventory.group_names().map(str::to_owned).collect();
        let terms = self.groups.iter().chain(&self.hosts).flat_map(Expression::terms).filter(|_| excluded == 0);
        let misses = terms.filter_map(|term| inventory.miss(term)).take(MISSES).collect();
        SelectError::Empty(Empty { asked, excluded, known: inventory.hosts().len(), groups, misses })
    }
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
        Inventory::merge(&[host_file(FLEET)], &[], &[all]).unwrap()
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

    fn select(selection: Selection, inventory: &Inventory) -> Result<Selected, SelectError> {
        selection.parse()?.select(inventory)
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
            assert_eq!(hosts(&select(selection(typed), &fleet()).unwrap()), expected, "{typed}");
        }
    }

    #[test]
    fn what_takes_a_host_out_is_told_with_what_brought_it_in() {
        for (typed, expected) in [
            ("-g web", ""),
            ("-g web -x web[2-3],db1 -x web3", "web2 (-g web) -x web[2-3],db1; web3 (-g web) -x web[2-3],db1, -x web3"),
            ("-H @web!web3", "web3 (-H @web, -H web3) -H @web!web3"),
            (
                "-g @web&@db --limit 1",
                "web2 (-g @web) -g @web&@db; web3 (-g @web) -g @web&@db; db1 (-g @db) -g @web&@db",
            ),
            ("-H @web!web3 -H web3", ""),
            ("-g web --limit 2", "web4 (-g web) --limit 2"),
            ("-H web9,web8 -x web8 --limit 1", "web8 (-H web8) -x web8"),
        ] {
            let selected = select(selection(typed), &fleet()).unwrap();
            let told = |excluded: &Excluded| {
                format!("{} ({}) {}", excluded.host, excluded.rules.join(", "), excluded.reasons.join(", "))
            };
            assert_eq!(selected.excluded.iter().map(told).collect::<Vec<_>>().join("; "), expected, "{typed}");
        }
    }

    #[test]
    fn a_chosen_host_tells_its_groups_and_sources_and_how_it_is_reached() {
        let selected = select(selection("-H web4,me@web1,new:22"), &fleet()).unwrap();
        let told = |host: &SelectedHost| {
            format!(
                "{} {:?} {:?} {} {:?} {:?}",
                host.host,
                host.groups,
                host.sources,
                host.address(),
                host.port(),
                host.user()
            )
        };
        let told: Vec<String> = selected.hosts.iter().map(told).collect();
        assert_eq!(
            told,
            [
                r#"web4 ["db", "web", "all"] ["hosts", "fleet"] web4 None None"#,
                r#"me@web1:2222 ["all"] ["hosts", "fleet"] web1 Some(2222) Some("me")"#,
                r#"new:22 [] [] new Some(22) None"#,
            ]
        );
    }

    #[test]
    fn hosts_of_a_former_run_stay_as_they_were_and_flags_narrow_them() {
        let host = |text: &str, group: Option<&str>| FormerHost {
            host: text.parse().unwrap(),
            group: group.map(str::to_owned),
            endpoint: None,
            instance: None,
        };
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
            assert_eq!(hosts(&select(selection, &fleet()).unwrap()), expected, "{typed}");
        }
        let selection = Selection { former: Some(former), ..selection("-g web -x web4") };
        let error = select(selection, &fleet()).unwrap_err();
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
            let selected = select(selection(typed), &fleet()).unwrap();
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
            let selected = select(selection(typed), &fleet()).unwrap();
            let shown: Vec<String> = selected.duplicates.iter().map(|d| format!("{}*{}", d.host, d.times)).collect();
            assert_eq!(shown.join(" "), duplicates, "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_selected_is_an_error_with_a_hint() {
        for (typed, message, hint) in [
            (
                "-g wbe",
                "-g: there is no group \"wbe\"",
                "did you mean web (3 hosts)? known groups: all, db, empty, web",
            ),
            (
                "-g web -x @dbs",
                "-x: there is no group \"dbs\"",
                "did you mean db (2 hosts)? known groups: all, db, empty, web",
            ),
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
                "-x: found \",\" at character 3; expected a host, a @group or a query such as tag:KEY=VALUE behind \",\"",
                "",
            ),
            (
                "-H a,,b",
                "-H: found \",\" at character 3; expected a host, a @group or a query such as tag:KEY=VALUE behind \",\"",
                "",
            ),
            ("-H a;b", "-H: ';' cannot be part of a host name (in \"a;b\")", ""),
            ("-H cache*", "-H: no known host matches \"cache*\"", "6 hosts are known; -g '*' --list shows them"),
            (
                "-H web1,",
                "-H: found the end at character 6; expected a host, a @group or a query such as tag:KEY=VALUE behind \",\"",
                "",
            ),
            ("-g web --limit 0", "--limit: found 0; expected the number of hosts to run on, 1 or more", ""),
        ] {
            let error = select(selection(typed), &fleet()).unwrap_err();
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
            let error = select(selection(typed), &fleet()).unwrap_err();
            assert!(matches!(error, SelectError::Empty(_)), "{typed}");
            assert_eq!((error.to_string().as_str(), error.hint().unwrap().as_str()), (message, hint), "{typed}");
        }
        let error = select(Selection::default(), &Inventory::default()).unwrap_err();
        assert!(
            error.hint().unwrap().ends_with("no hosts are known from host files or fleet.toml; no groups are known")
        );
    }

    #[test]
    fn a_host_with_several_meanings_has_to_be_typed_in_full() {
        let inventory = Inventory::merge(&[host_file("l:2201\nl:2202\n")], &[], &[]).unwrap();
        let error = select(selection("-H l"), &inventory).unwrap_err();
        assert_eq!(error.to_string(), "-H: \"l\" could be l:2201 or l:2202");
        assert_eq!(hosts(&select(selection("-H l:2202"), &inventory).unwrap()), "l:2202");
    }

    #[test]
    fn a_long_list_of_groups_is_cut() {
        let headings: String = (10..40).map(|i| format!("[group{i}]\n")).collect();
        let inventory = Inventory::merge(&[host_file(&headings)], &[], &[]).unwrap();
        let hint = select(selection("-g xyz"), &inventory).unwrap_err().hint().unwrap();
        assert!(hint.starts_with("known groups: group10, "), "{hint}");
        assert!(hint.ends_with(", group17 and 22 more; fleet hosts --groups lists them"), "{hint}");
        let hint = select(selection("-g grup12"), &inventory).unwrap_err().hint().unwrap();
        assert!(
            hint.starts_with("did you mean group12 (0 hosts) or group10 (0 hosts) or group11 (0 hosts)? known"),
            "{hint}"
        );
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
            match select(selection, &Inventory::default()) {
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
