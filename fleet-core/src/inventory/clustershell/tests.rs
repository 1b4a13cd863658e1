//! What ClusterShell's files mean. The same against the real `nodeset`: the tests crate, `sources.rs`.

use std::fs;

use super::*;

/// The `map` of the `groups.conf` that comes with ClusterShell.
const STOCK: &str =
    r"[ -f $CFGDIR/groups ] && f=$CFGDIR/groups || f=$CFGDIR/groups.d/local.cfg; sed -n 's/^$GROUP:\(.*\)/\1/p' $f";
const PLAIN: &str = r"sed -n 's/^$GROUP:\(.*\)/\1/p'";

/// Reads these files, of which `etc`, `home` and `own` are folders to look in; `{dir}` is the folder that they are in.
fn read_all(files: &[(&str, &str)]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/", folder.path().display());
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = text.replace("{dir}/", &name).replace("{stock}", STOCK).replace("{plain}", PLAIN);
        fs::write(path, text).unwrap();
    }
    let places = Places {
        system: folder.path().join("etc"),
        home: Some(folder.path().join("home")),
        config: Some(folder.path().join("home/.config")),
        clustershell: Some(folder.path().join("own")),
        genders: None,
    };
    let found = read(&places).map_err(|error| error.to_string().replace(&name, ""))?;
    let group = |source: &Source| {
        let groups = source.groups.iter().map(|group| {
            let origin = group.origin.replace(&name, "");
            format!("{}:{}={} ({origin})", source.name, group.name, group.expressions.join("|"))
        });
        groups.collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = found.sources.iter().flat_map(group).collect();
    lines.extend(found.remarks.iter().map(|remark| remark.replace(&name, "")));
    Ok(lines.join("\n"))
}

#[test]
fn a_flat_file_is_read_where_only_its_lines_would_be_printed() {
    let conf = "[Main]\ndefault: local\n[local]\nmap: {stock}\nall: x\n";
    for (files, groups) in [
        (&[][..], ""),
        (&[("etc/clustershell/groups.d/local.cfg", "web: web1\n")], ""),
        (&[("etc/clustershell/groups.conf", conf)], ""),
        (
            &[
                ("etc/clustershell/groups.conf", conf),
                ("etc/clustershell/groups.d/local.cfg", "# all\nweb: web[1-2] web3\n\nempty:\nall: @web\nweb: db1\n"),
            ],
            "local:web= web[1-2] web3| db1 (etc/clustershell/groups.d/local.cfg:2)\n\
             local:empty= (etc/clustershell/groups.d/local.cfg:4)\n\
             local:all= @web (etc/clustershell/groups.d/local.cfg:5)",
        ),
        (
            &[("own/groups.conf", conf), ("own/groups.d/local.cfg", "web: web1\n"), ("own/groups", "web: web2\n")],
            "local:web= web2 (own/groups:1)",
        ),
        (
            &[("own/groups.conf", "[a,b]\nmap = {plain} '$CFGDIR/g'\n"), ("own/g", "x: y\n")],
            "a:x= y (own/g:1)\nb:x= y (own/g:1)",
        ),
    ] {
        assert_eq!(read_all(files).unwrap(), groups, "{files:?}");
    }
}

#[test]
fn a_later_folder_replaces_what_an_earlier_one_says() {
    let conf = "[Main]\nautodir: $CFGDIR/a\n[x]\nmap: {plain} {dir}/first\n";
    let files = [
        ("etc/clustershell/groups.conf", conf),
        ("etc/clustershell/a/1.yaml", "one: {a: b}"),
        ("home/.local/etc/clustershell/a/1.yaml", "two: {a: b}"),
        ("home/.config/clustershell/a/1.yaml", "three: {a: b}"),
        ("own/a/1.yaml", "four: {a: b}"),
        ("first", "f: f1"),
        ("second", "s: s1"),
        ("home/.local/etc/clustershell/groups.conf", "[x]\nmap: {plain} {dir}/second"),
        ("home/.config/clustershell/groups.conf", "[Main]\ndefault: x"),
        ("own/groups.conf", ""),
    ];
    for (count, groups) in [
        (7, "one:a=b (etc/clustershell/a/1.yaml:1)\nx:f= f1 (first:1)"),
        (8, "two:a=b (home/.local/etc/clustershell/a/1.yaml:1)\nx:s= s1 (second:1)"),
        (9, "x:s= s1 (second:1)\nthree:a=b (home/.config/clustershell/a/1.yaml:1)"),
        (10, "x:s= s1 (second:1)\nfour:a=b (own/a/1.yaml:1)"),
    ] {
        assert_eq!(read_all(&files[..count]).unwrap(), groups, "{count}");
    }
}

#[test]
fn yaml_files_are_read_from_each_folder_once() {
    let yaml = "# all\nracks:\n  r1: 'n[1-4]'\n  old: \"@r1!n2\"\n  r2:\n    - 'n5'  # five\n    - n6,n7\n  none:\n  nil: ~\n  7: 8\ncpu: {ivy: '@racks:r[1-2]'}\n";
    let files = [
        ("own/groups.conf", "[Main]\nautodir: '{dir}/own/with blank' $CFGDIR/g\n  {dir}/own/g none\nconfdir: c\n"),
        ("own/g/2.yaml", "b: {x: y}\n"),
        ("own/g/1.yaml", yaml),
        ("own/g/.h.yaml", "["),
        ("own/g/x.yaml.example", "["),
        ("own/g/empty.yaml", "# nothing\n"),
        ("own/with blank/z.yaml", "---\na: {x: y}\n...\n"),
    ];
    assert_eq!(
        read_all(&files).unwrap(),
        "a:x=y (own/with blank/z.yaml:2)\n\
         racks:r1=n[1-4] (own/g/1.yaml:3)\n\
         racks:old=@r1!n2 (own/g/1.yaml:4)\n\
         racks:r2=n5|n6,n7 (own/g/1.yaml:5)\n\
         racks:none= (own/g/1.yaml:8)\n\
         racks:nil= (own/g/1.yaml:9)\n\
         racks:7=8 (own/g/1.yaml:10)\n\
         cpu:ivy=@racks:r[1-2] (own/g/1.yaml:11)\n\
         b:x=y (own/g/2.yaml:1)"
    );
}

#[test]
fn commands_are_not_run_but_remarked_on() {
    let files = [
        ("own/groups.conf", "[Main]\nconfdir: c\n[slurm,bob]\nmap: touch {dir}/ran\nlist: touch {dir}/ran\n"),
        ("own/c/genders.conf", "[genders]\nmap: nodeattr -n $GROUP\n"),
        ("own/c/x.conf", "[x]\nmap: {plain} $(touch {dir}/ran)\n[y]\nmap: {stock} | sort\n"),
        ("own/c/odd.conf", "[odd]\nmap: {plain} $CFGDIR/odd\n"),
        ("own/c/odd", "a b: n1\nc/d: n2\n"),
    ];
    let way_out = "come from commands, which are not run here: write a provider (docs/provider.md)";
    assert_eq!(
        read_all(&files).unwrap(),
        format!(
            "odd:c/d= n2 (own/c/odd:2)\n\
             own/c/odd:1: the group \"a b\" is left out; expected {}\n\
             own/c/x.conf:1: the groups of \"x\" {way_out}\n\
             own/c/x.conf:3: the groups of \"y\" {way_out}\n\
             own/groups.conf:3: the groups of \"slurm\" {way_out}\n\
             own/groups.conf:3: the groups of \"bob\" {way_out}",
            super::super::GROUP_NAME_ELSEWHERE
        )
    );
}

#[test]
fn a_broken_file_is_named_with_what_was_found_and_expected() {
    let auto = "[Main]\nautodir: g\n";
    for (files, message) in [
        (&[("own/groups.conf", "x: y")][..], "own/groups.conf:1: found \"x: y\"; expected [section], key: value"),
        (&[("own/groups.conf", "[x]\ny\n")], "own/groups.conf:2: found \"y\"; expected"),
        (&[("own/groups.conf", "[x]\nlist: y")], "own/groups.conf:1: [x] has no map; expected a command as map"),
        (
            &[("own/groups.conf", "[Main]\nautodir: 'x")],
            "own/groups.conf:2: autodir is \"'x\"; expected a closing quote",
        ),
        (&[("own/groups.conf", auto), ("own/g", "")], "cannot read own/g"),
        (
            &[("own/groups.conf", "[local]\nmap: {stock}"), ("own/groups", "a: b\nc\n")],
            "own/groups:2: found \"c\"; expected group: nodes",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a: {b: c}\nd: e")],
            "own/g/1.yaml:2: found \"e\"; expected the groups of a source",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "- a")],
            "own/g/1.yaml:1: found a list; expected source: {group",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a:\n  b: {c: d}")],
            "own/g/1.yaml:2: found a mapping; expected nodes as a text",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a:\n  b: &x c\n  d: *x")],
            "own/g/1.yaml:3: found an alias; expected nodes",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a:\n  b: [c, [d]]")],
            "own/g/1.yaml:2: found a list; expected nodes",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a:\n  b: c\n  b: d")],
            "own/g/1.yaml:3: the group \"b\" is defined above",
        ),
        (&[("own/groups.conf", auto), ("own/g/1.yaml", "a:\n  b: 'c\n")], "this is no YAML"),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a: {b: c}\n---\nd: {e: f}")],
            "own/g/1.yaml:3: found a mapping; expected one document",
        ),
        (
            &[("own/groups.conf", auto), ("own/g/1.yaml", "a: {b: c}"), ("own/g/2.yaml", "d: {}\na: {}")],
            "own/g/2.yaml:2: the source \"a\" is defined in own/g/1.yaml:1 too",
        ),
    ] {
        let error = read_all(files).unwrap_err();
        assert!(error.contains(message), "{files:?}: {error}");
    }
}
