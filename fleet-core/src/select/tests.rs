//! Hosts by every way that names them, of a file with groups and of sources made for the purpose.

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
        ("-g @web&@db --limit 1", "web2 (-g @web) -g @web&@db; web3 (-g @web) -g @web&@db; db1 (-g @db) -g @web&@db"),
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
        ("-g wbe", "-g: there is no group \"wbe\"", "did you mean web (3 hosts)? known groups: all, db, empty, web"),
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
        assert_eq!((error.to_string().as_str(), error.hint().unwrap_or_default().as_str()), (message, hint), "{typed}");
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
    assert!(error.hint().unwrap().ends_with("no hosts are known from host files or fleet.toml; no groups are known"));
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
