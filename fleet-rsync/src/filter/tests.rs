use super::*;

/// Rules of `--filter`, one a line.
fn rules(lines: &str) -> Result<Rules, FilterError> {
    let mut rules = Rules::new();
    let mut read = |name: &[u8]| match name {
        b"words" => Ok(b"one two\nthree".to_vec()),
        b"rules" => Ok(b"# comment\n- one\r\n;\n\n+,r two\nhide_three".to_vec()),
        b"both" => Ok(b"- one\n+ two".to_vec()),
        b"bad" => Ok(b"- one\nnonsense".to_vec()),
        b"loop" => Ok(b". loop".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    lines.lines().try_for_each(|line| rules.filter(line.as_bytes(), &mut read))?;
    Ok(rules)
}

fn wire(rules: &Rules, excluded: Excluded) -> Vec<String> {
    rules.on_the_wire(excluded).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
}

#[test]
fn the_server_is_sent_the_rules_of_its_side() {
    // As recorded from rsync 3.5.0.
    let cases: [(&str, &[&str], &[&str]); 21] = [
        ("- foo", &["- foo"], &[]),
        ("-s foo\nH foo\nS foo\nhide,p foo\nH! a", &[], &[]),
        ("-r foo\nP foo\nR foo", &["-r foo", "-r foo", "+r foo"], &["-r foo", "-r foo", "+r foo"]),
        ("-sr foo", &["-sr foo"], &["-sr foo"]),
        ("-p foo\n-! foo\n-/ /foo\n+/! a/", &["-p foo", "-! foo", "-/ /foo", "+/! a/"], &[]),
        ("-!/xrp q\nprotect,! foo", &["-/!xrp q", "-!r foo"], &["-/!xrp q", "-!r foo"]),
        ("-_foo\nexclude_a\nexclude, a\nexclude,/_a", &["- foo", "- a", "- a", "-/ a"], &[]),
        ("-  foo \n- !x", &["-  foo ", "- !x"], &[]),
        ("- foo\n!\n- bar", &["- bar"], &[]),
        ("- foo\nclear", &[], &[]),
        (": .f\n:- .g\n:C", &[": .f", ":- .g", ":C .cvsignore"], &[": .f", ":- .g", ":C .cvsignore"]),
        (": .f\n:- .f", &[": .f"], &[": .f"]),
        (":en- .f", &["- .f", ":n- .f"], &[":n- .f"]),
        (":xs .f\n:r .g", &[":r .g"], &[":r .g"]),
        (":nw-xrp .f", &[":nw-xrp .f"], &[":nw-xrp .f"]),
        (": /.f\n:/ .g", &[": /.f", ":/ .g"], &[": /.f", ":/ .g"]),
        (". rules", &["- one", "+r two"], &["+r two"]),
        (".- rules", &["- - one", "- +,r two", "- hide_three"], &[]),
        (".er both", &["- both", "-r one", "+r two"], &["-r one", "+r two"]),
        (".w- words", &["- one", "- two", "- three"], &[]),
        (".+sr words", &["+sr one two", "+sr three"], &["+sr one two", "+sr three"]),
    ];
    for (lines, kept, deleted) in cases {
        let rules = rules(lines).unwrap();
        assert_eq!(wire(&rules, Excluded::Kept), kept, "{lines}");
        assert_eq!(wire(&rules, Excluded::Deleted), deleted, "{lines}");
    }
    let cvs = wire(&rules("-C").unwrap(), Excluded::Kept);
    assert_eq!((cvs.len(), &*cvs[0], &*cvs[35]), (36, "-p RCS", "-p .bzr/"));
    let mut rules = rules("- one").unwrap();
    rules.cvs_words(b"two ! three\n#", b"/four");
    rules.cvs_exclude().unwrap();
    assert_eq!(wire(&rules, Excluded::Kept), ["- one", ":C .cvsignore", "- three", "- #", "- /four"]);
}

#[test]
fn a_wrong_rule_is_told() {
    let cases = [
        (" - foo", "expected a filter rule such as '- PATTERN', got ' - foo'"),
        ("excludefoo", "expected a filter rule such as '- PATTERN', got 'excludefoo'"),
        ("-", "expected a pattern or a file behind the filter rule '-'"),
        ("exclude ", "expected a pattern or a file behind the filter rule 'exclude '"),
        (": ", "expected a pattern or a file behind the filter rule ': '"),
        ("-foo", "expected a modifier of the rule, got 'f' in '-foo'"),
        ("P,r foo", "expected a modifier of the rule, got 'r' in 'P,r foo'"),
        ("-n x", "expected a modifier of the rule, got 'n' in '-n x'"),
        (":! x", "expected a modifier of the rule, got '!' in ':! x'"),
        (":-+ x", "expected a modifier of the rule, got '+' in ':-+ x'"),
        (":C- x", "expected a modifier of the rule, got '-' in ':C- x'"),
        ("!x", "expected nothing behind '!' in a filter rule, got '!x'"),
        ("! ", "expected nothing behind '!' in a filter rule, got '! '"),
        ("clear x", "expected nothing behind '!' in a filter rule, got 'clear x'"),
        (": a/b", "a path as the name of a dir-merge file is not supported, in the filter rule ': a/b'"),
        (". nofile", "cannot read the merge file nofile: entity not found"),
        (". bad", "the merge file bad is wrong: expected a filter rule such as '- PATTERN', got 'nonsense'"),
        (
            ".r rules",
            "the merge file rules is wrong: expected rules for both sides in a merge file for one side, got '+,r two'",
        ),
    ];
    for (line, expected) in cases {
        let error = rules(line).unwrap_err();
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        assert_eq!(format!("{error}{source}"), expected, "{line:?}");
    }
    assert!(rules(". loop").is_err(), "a file that names itself ends");
}

#[test]
fn patterns_of_options_may_have_a_sign() {
    let mut rules = Rules::new();
    for pattern in ["gone", "!", "one", "- two", "+ three", "-four", "-_five", " six ", ""] {
        rules.exclude(pattern.as_bytes()).unwrap();
    }
    rules.include(b"seven").unwrap();
    for pattern in [&b"+ eight"[..], b"  nine"] {
        rules.exclude(pattern).unwrap();
    }
    for pattern in [&b"ten"[..], b"- eleven"] {
        rules.include(pattern).unwrap();
    }
    let expected = "- one,- two,+ three,- -four,- -_five,-  six ,+ seven,+ eight,-   nine,+ ten,- eleven";
    assert_eq!(wire(&rules, Excluded::Kept).join(","), expected);
    assert!(matches!(rules.exclude(b"- "), Err(FilterError::Empty { .. })));
}

#[test]
fn the_root_of_a_transfer_is_always_sent() {
    let scope = rules("- *\n-! foo").unwrap().scope(b"/src");
    assert_eq!(scope.verdict(b".", EntryKind::Directory), Verdict::Included);
    assert_eq!(scope.verdict(b"a", EntryKind::Directory), Verdict::Excluded);
}

#[test]
fn files_of_folders_are_read_only_where_a_rule_wants_them() {
    let mut asked = Vec::new();
    let mut read = |name: &[u8]| {
        asked.push(String::from_utf8(name.to_vec()).unwrap());
        Ok((name == b".f").then(|| b": .g\n- x".to_vec()))
    };
    let none = rules("- foo").unwrap().scope(b"/src");
    assert!(!none.wants_files());
    none.enter(b"", &mut read).unwrap();
    let scope = rules(": .f\n: /.h").unwrap().scope(b"/home/src");
    assert!(scope.wants_files());
    let above = scope.enter_above(b"/home", &mut read).unwrap();
    above.enter(b"", &mut read).unwrap();
    assert_eq!(asked, [".h", ".f", ".h", ".g"]);
}

#[test]
fn an_error_in_a_folder_names_the_file() {
    let scope = rules(": .f").unwrap().scope(b"/src");
    let error = scope.enter(b"a", &mut |_| Ok(Some(b"nonsense".to_vec()))).unwrap_err();
    assert_eq!(error.to_string(), "the merge file .f is wrong");
    let error = scope.enter(b"a", &mut |_| Err(io::Error::from(io::ErrorKind::PermissionDenied))).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the merge file .f");
    let error = scope.enter(b"a", &mut |_| Ok(Some(b". x".to_vec()))).unwrap_err();
    assert!(format!("{error:?}").contains("Unsupported"));
}
