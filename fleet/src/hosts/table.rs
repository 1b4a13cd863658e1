//! Tables of hosts and groups for people, and lines of groups for programs.
//!
//! Pure. Must not know where they go.

use fleet_core::hostset;
use fleet_core::inventory::KnownGroup;
use fleet_core::select::{Excluded, Selected, SelectedHost};

use super::template::{fact, one_line};

/// Whether the hosts of groups are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    Shown,
    Hidden,
}

/// What is in a column: its heading, and the cell of each host.
type Column = (&'static str, fn(&SelectedHost) -> String);

const COLUMNS: [Column; 10] = [
    ("NAME", |selected| selected.host.name().to_owned()),
    ("ADDRESS", |selected| Some(selected.address()).filter(|it| *it != selected.host.name()).unwrap_or("").to_owned()),
    ("PORT", |selected| selected.port().map(|port| port.to_string()).unwrap_or_default()),
    ("USER", |selected| selected.user().unwrap_or_default().to_owned()),
    ("GROUPS", |selected| selected.groups.join(",")),
    ("STATE", state),
    ("ID", id),
    ("TYPE", |selected| fact_of(selected, "type")),
    ("ZONE", |selected| fact_of(selected, "az")),
    ("SOURCE", |selected| selected.sources.join(",")),
];

/// A line for each host under a line of headings. Columns in which no host has anything are left out.
pub(super) fn hosts(hosts: &[SelectedHost]) -> String {
    let columns = COLUMNS.iter().map(|(heading, cell)| {
        let cells: Vec<String> = hosts.iter().map(cell).collect();
        (*heading, cells)
    });
    aligned(columns.filter(|(heading, cells)| *heading == "NAME" || cells.iter().any(|cell| !cell.is_empty())))
}

/// What chose each host and where it is known from; then what left others out.
pub(super) fn why(selected: &Selected) -> String {
    let chosen = |cell: fn(&SelectedHost) -> String| selected.hosts.iter().map(cell).collect::<Vec<_>>();
    let mut text = aligned([
        ("HOST", chosen(|host| host.host.to_string())),
        ("CHOSEN BY", chosen(|host| host.rules.join("; "))),
        ("KNOWN FROM", chosen(|host| host.origins.join("; "))),
    ]);
    if !selected.excluded.is_empty() {
        let left = |cell: fn(&Excluded) -> String| selected.excluded.iter().map(cell).collect::<Vec<_>>();
        text.push('\n');
        text += &aligned([
            ("LEFT OUT", left(|host| host.host.to_string())),
            ("NAMED BY", left(|host| host.rules.join("; "))),
            ("TAKEN OUT BY", left(|host| host.reasons.join("; "))),
        ]);
    }
    text
}

/// A line for each group under a line of headings.
pub(super) fn groups(groups: &[KnownGroup], members: Members) -> String {
    let cells = |cell: fn(&KnownGroup) -> String| groups.iter().map(cell).collect::<Vec<_>>();
    let columns = [
        ("GROUP", cells(|group| group.name.clone())),
        ("SOURCE", cells(|group| group.source.clone())),
        ("HOSTS", cells(|group| group.hosts.len().to_string())),
    ];
    let folded = ("MEMBERS", cells(|group| hostset::fold(&names(group))));
    aligned(columns.into_iter().chain((members == Members::Shown).then_some(folded)))
}

/// A line for each group: name, source and size with tabs between them.
pub(super) fn group_lines(groups: &[KnownGroup]) -> String {
    let line =
        |group: &KnownGroup| format!("{}\t{}\t{}\n", one_line(&group.name), one_line(&group.source), group.hosts.len());
    groups.iter().map(line).collect()
}

fn names(group: &KnownGroup) -> Vec<String> {
    group.hosts.iter().map(ToString::to_string).collect()
}

/// The id where it is not the name already.
fn id(selected: &SelectedHost) -> String {
    let id = selected.record.as_ref().map(|record| &*record.id);
    id.filter(|id| *id != selected.host.name()).unwrap_or_default().to_owned()
}

fn state(selected: &SelectedHost) -> String {
    let state = selected.record.as_ref().and_then(|record| record.state.as_deref());
    state.unwrap_or_default().to_owned()
}

fn fact_of(selected: &SelectedHost, name: &str) -> String {
    selected.record.as_ref().and_then(|record| record.facts.get(name)).map(fact).unwrap_or_default()
}

/// Columns of cells as text, two blanks apart; `-` is where a cell is empty.
fn aligned(columns: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (heading, cells) in columns {
        let shown = |cell: String| if cell.is_empty() { "-".to_owned() } else { one_line(&cell) };
        let cells: Vec<String> = std::iter::once(heading.to_owned()).chain(cells.into_iter().map(shown)).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
        lines.resize(cells.len(), String::new());
        for (line, cell) in lines.iter_mut().zip(cells) {
            let gap = if line.is_empty() { "" } else { "  " };
            *line += &format!("{gap}{cell:width$}");
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use fleet_core::host::Host;

    use super::super::listing::testing::{cloud, grouped, host};
    use super::*;

    #[test]
    fn columns_without_content_are_left_out_and_cells_stay_on_their_line() {
        assert_eq!(hosts(&[host("web1"), host("db")]), "NAME  SOURCE\nweb1  hosts\ndb    hosts\n");
        let mixed =
            [grouped("me@db1:22", &["db"]), cloud("web-1", "i-1", "10.0.0.1", &[]), grouped("x", &["a\nb\u{1b}"])];
        assert_eq!(
            hosts(&mixed),
            "NAME   ADDRESS   PORT  USER    GROUPS    STATE    ID   TYPE      SOURCE\n\
             db1    -         22    me      db        -        -    -         hosts\n\
             web-1  10.0.0.1  -     ubuntu  web       running  i-1  c5.large  ec2\n\
             x      -         -     -       a\\nb\\x1b  -        -    -         hosts\n"
        );
    }

    #[test]
    fn every_host_has_what_chose_it_and_what_took_it_out() {
        let texts = |text: &str| vec![text.into()];
        let chosen = SelectedHost { rules: vec!["-g web".into(), "-H web1".into()], ..host("web1") };
        let excluded = Excluded { host: Host::new("web2").unwrap(), rules: texts("-g web"), reasons: texts("-x web2") };
        let mut selected = Selected {
            others: Vec::new(),
            hosts: vec![chosen],
            duplicates: vec![],
            idle_excludes: vec![],
            drawn: vec![],
            left_out: None,
            excluded: vec![excluded],
        };
        let chosen = "HOST  CHOSEN BY        KNOWN FROM\nweb1  -g web; -H web1  hosts.txt:1\n";
        let left_out = "\nLEFT OUT  NAMED BY  TAKEN OUT BY\nweb2      -g web    -x web2\n";
        assert_eq!(why(&selected), format!("{chosen}{left_out}"));
        selected.excluded.clear();
        assert_eq!(why(&selected), chosen);
    }

    #[test]
    fn groups_have_their_source_and_size_and_if_wanted_their_members() {
        let group = |name: &str, hosts: &[&str]| KnownGroup {
            source: "hosts".to_owned(),
            name: name.to_owned(),
            hosts: hosts.iter().map(|name| Host::new(name).unwrap()).collect(),
        };
        let known = [group("web", &["web2", "web1"]), group("a\tb", &[])];
        assert_eq!(groups(&known, Members::Hidden), "GROUP  SOURCE  HOSTS\nweb    hosts   2\na\\tb   hosts   0\n");
        assert_eq!(
            groups(&known, Members::Shown),
            "GROUP  SOURCE  HOSTS  MEMBERS\nweb    hosts   2      web[1-2]\na\\tb   hosts   0      -\n"
        );
        assert_eq!(group_lines(&known), "web\thosts\t2\na\\tb\thosts\t0\n");
    }
}
