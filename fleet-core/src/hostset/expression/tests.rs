//! What expressions ask for, and what is said of texts that are none.

use proptest::prelude::*;

use super::*;

/// A world of ten hosts and two groups in two sources.
struct World;

const KNOWN: [&str; 10] = ["web1", "web2", "web3", "web4", "web5", "web6", "web7", "db1", "db2", "first"];

impl Universe for World {
    type Item = String;
    type Error = String;

    fn resolve(&mut self, term: &Term) -> Result<Vec<String>, String> {
        let known = |part: &str| KNOWN.iter().filter(|name| name.contains(part)).map(ToString::to_string).collect();
        match term {
            Term::Names(word) => Ok(word.expand()),
            Term::Pattern(word) => Ok(word.expand().iter().flat_map(|glob| known(glob.trim_matches('*'))).collect()),
            Term::Group { name, .. } if name == "*" => Ok(known("")),
            Term::Group { name, .. } if name == "twice" => Ok(["web2", "web1", "web2"].map(str::to_owned).to_vec()),
            Term::Group { name, .. } if name == "none" => Ok(Vec::new()),
            Term::Group { name, .. } if name == "web" || name == "db" => Ok(known(name)),
            Term::Tag { value: Some(value), .. } => Ok(known(value)),
            other => Err(format!("nobody knows {other}")),
        }
    }
}

fn parse(text: &str) -> Result<Expression, ExpressionError> {
    let mut seed = 40;
    Expression::parse(text, &mut || {
        seed += 1;
        seed
    })
}

fn hosts(text: &str) -> Result<String, String> {
    let expression = parse(text).map_err(|error| error.to_string())?;
    expression.evaluate(&mut World).map(|hosts| hosts.join(" "))
}

#[test]
fn operators_work_from_left_to_right_and_keep_the_order_of_first_mention() {
    for (text, expected) in [
        ("b,a", "b a"),
        ("b a", "b a"),
        (" b\t,a\nc ", "b a c"),
        ("a,b,a", "a b"),
        ("a,b!a", "b"),
        ("a b!a", "b"),
        ("a ! a", ""),
        ("a,b&b,c", "b c"),
        ("c,b,a&a,b", "a b"),
        ("a,b^b,c", "a c"),
        ("a,b^b^b", "a b"),
        ("a,b!a,a", "b a"),
        ("web[1-3]^web[2-4]", "web1 web4"),
        ("r[1-2]-n[1-2]!r1-n[2-9]", "r1-n1 r2-n1 r2-n2"),
        ("web[1, 3]", "web1 web3"),
        ("me@web[1-2]:22", "me@web1:22 me@web2:22"),
        ("[fe80::1%eth0]:[22-23],::1", "[fe80::1%eth0]:22 [fe80::1%eth0]:23 ::1"),
        ("[1-2]", "1 2"),
        ("@web!@twice", "web3 web4 web5 web6 web7"),
        ("@twice,@db", "web2 web1 db1 db2"),
        ("web*&@twice", "web1 web2"),
        ("tag:Name=\"web\"!web[1-5]", "web6 web7"),
        ("\"a,b\"'!'c,d", "a,b!c d"),
        ("@none&first", ""),
    ] {
        assert_eq!(hosts(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn slices_are_parts_of_what_stands_left_or_of_one_term() {
    for (text, expected) in [
        ("@web&[0..1]", "web1 web2"),
        ("@web&[5..]", "web6 web7"),
        ("@web&[..1]", "web1 web2"),
        ("@web&[6..20]", "web7"),
        ("@web&[7..]", ""),
        ("@web!%25", "web3 web4 web5 web6 web7"),
        ("@web&%1", "web1"),
        ("@web&%100&[6..6]", "web7"),
        ("@web & first", "web1"),
        ("@web!first!first", "web3 web4 web5 web6 web7"),
        ("@web^first", "web2 web3 web4 web5 web6 web7"),
        ("db1,first", "db1 first"),
        ("db1,first&\"first\"", "first"),
        ("db1 first&first", "db1"),
        ("db1,@web[0..1]", "db1 web1 web2"),
        ("db1,@web%25", "db1 web1 web2"),
        ("@web[1..4]%50", "web2 web3"),
        ("web[1-7][2..3]", "web3 web4"),
        ("web*[2..3]", "web3 web4"),
        ("tag:Name=web%25", "web1 web2"),
        ("@twice[0..1]", "web2 web1"),
        ("[::1%25]", "[::1%25]"),
    ] {
        assert_eq!(hosts(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn terms_are_listed_in_the_order_in_which_they_are_asked_for() {
    for (text, terms) in [
        ("web[1-2],db1!@ec2:web&first", "web[1-2]|db1|@ec2:web"),
        ("@rack[1-2],@*,@ec2:*", "@rack1|@rack2|@*|@ec2:*"),
        ("@\"my group\"", "@\"my group\""),
        ("tag:Name=\"a,b & c\"[0..1]", "tag:Name=\"a,b & c\""),
        ("tag:Role,tag:a:b=c=d,tag:\"x=y\"=z,tag:empty=", "tag:Role|tag:\"a:b\"=\"c=d\"|tag:\"x=y\"=z|tag:empty="),
        ("asg:workers-*,id:i-[1-2]", "asg:workers-*|id:i-1|id:i-2"),
        ("state:22,web:22,\"state\":22,[state]:22", "state:22|web:22|\"state\":22|[state]:22"),
        ("tag:Load=50%b,tag:Load='50%2'", "tag:Load=\"50%b\"|tag:Load=\"50%2\""),
        ("me@tag:22", "me@tag:22"),
        ("tag:q='\"'\"'\"", "tag:q='\"'\"'\""),
    ] {
        let expression = parse(text).unwrap();
        let listed: Vec<String> = expression.terms().map(ToString::to_string).collect();
        assert_eq!(listed.join("|"), terms, "{text}");
        for term in expression.terms() {
            let again = parse(&term.to_string()).unwrap();
            assert_eq!(again.terms().collect::<Vec<_>>(), [term], "{text}");
        }
    }
}

#[test]
fn names_with_wildcards_are_patterns_and_brackets_are_ranges_where_they_can_be() {
    for (text, is_pattern, expanded) in [
        ("web[1-2]", false, "web1 web2"),
        ("web[1-2]*", true, "web1* web2*"),
        ("web[ab]?[1-2]", true, "web[ab]?1 web[ab]?2"),
        ("web[!1,2]", true, "web[!1,2]"),
        ("web?", true, "web?"),
        ("'web[1-2]'", false, "web[1-2]"),
    ] {
        let expression = parse(text).unwrap();
        let (pattern, word) = match expression.terms().next() {
            Some(Term::Names(word)) => (false, word),
            Some(Term::Pattern(word)) => (true, word),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!((pattern, word.expand().join(" ").as_str()), (is_pattern, expanded), "{text}");
    }
}

#[test]
fn a_seed_that_is_not_given_is_drawn_and_told() {
    let expression = parse("@web&random:3!random:1:7^random:1").unwrap();
    let drawn: Vec<String> = expression.drawn().iter().map(ToString::to_string).collect();
    assert_eq!(drawn, ["random:3:41", "random:1:42"]);
    assert_eq!(expression.to_string(), "@web&random:3:41!random:1:7^random:1:42");
    let again = parse(&expression.to_string()).unwrap();
    assert!(again.drawn().is_empty());
    assert_eq!(again.evaluate(&mut World), expression.evaluate(&mut World));
}

#[test]
fn what_is_no_expression_is_refused_by_what_was_found_and_expected() {
    for (text, message) in [
        ("", "no host name is given"),
        (" \n", "no host name is given"),
        (",a", "found \",\" at character 1; expected a host, a @group or a query such as tag:KEY=VALUE before \",\""),
        ("a,", "found the end at character 3; expected a host, a @group or a query such as tag:KEY=VALUE behind \",\""),
        ("é, !b", "found \"!\" at character 4; expected a host"),
        ("a \"\"", "found \"\"\"\" at character 3; expected a host"),
        ("ab,'c", "the quote ' at character 4 is not closed"),
        ("a,web[1-3", "the brackets in \"web[1-3\" do not match"),
        ("a,web1-3]!b", "the brackets in \"web1-3]\" do not match"),
        ("web[1-[2]]", "do not match"),
        ("web[1-]", "\"1-\" in \"web[1-]\" is no range"),
        ("web[]", "\"\" in \"web[]\" is no range"),
        ("@rack[2-1]", "goes down"),
        ("web[01-100]", "padded differently; expected as many digits in both"),
        ("a[1-600000],b[1-600000]", "\"b[1-600000]\" makes more than 1000000"),
        ("@", "found \"@\" at character 1; expected @group or @source:group"),
        ("a,@ec2:", "found \"@ec2:\" at character 3; expected @group"),
        ("@:web", "expected @group or @source:group"),
        ("tag:", "found \"tag:\" at character 1; expected tag:KEY or tag:KEY=VALUE"),
        ("tag:=x", "expected tag:KEY"),
        ("a&sg:", "found \"sg:\" at character 3; expected a value behind the colon"),
        ("%25", "found \"%25\" at character 1; expected a slice only right of !, & or ^"),
        ("@web,[0..9]", "found \"[0..9]\" at character 6; expected a slice only right"),
        ("@web random:3", "found \"random:3\" at character 6; expected a slice only right"),
        ("@web&%0", "found \"%0\" at character 6; expected a percentage from %1 to %100"),
        ("@web%101", "found \"%101\" at character 5; expected a percentage"),
        ("@web&%", "expected a percentage"),
        ("@web&%+5", "expected a percentage"),
        ("@web[9..1]", "found \"[9..1]\" at character 5; expected [first..last], [first..] or [..last]"),
        ("@web&[..]", "expected [first..last]"),
        ("@web[0..1]x,b", "found \"[0..1]x\" at character 5; expected nothing but an operator or another slice"),
        ("@web&random:", "found \"random:\" at character 6; expected random:COUNT or random:COUNT:SEED"),
        ("@web&random:0", "expected random:COUNT"),
        ("@web&random:1:x", "expected random:COUNT"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn the_first_error_of_the_universe_is_passed_on() {
    assert_eq!(hosts("web1,@nobody,@else"), Err("nobody knows @nobody".to_owned()));
}

thread_local! {
    /// How many items this thread hashed: the work of evaluating.
    static HASHES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[derive(Clone, PartialEq, Eq)]
struct Counted(usize);

impl Hash for Counted {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        HASHES.set(HASHES.get() + 1);
        self.0.hash(state);
    }
}

/// A world in which every term means so many hosts.
struct Many(usize);

impl Universe for Many {
    type Item = Counted;
    type Error = String;

    fn resolve(&mut self, _: &Term) -> Result<Vec<Counted>, String> {
        Ok((0..self.0).map(Counted).collect())
    }
}

#[test]
fn each_operand_hashes_each_of_its_hosts_once_and_each_operator_few_times_more() {
    // A union makes room first, for which what is there is hashed again.
    for (text, times) in [("@a", 1), ("@a&@b", 3), ("@a!@b", 3), ("@a,@b", 4)] {
        let before = HASHES.get();
        parse(text).unwrap().evaluate(&mut Many(1000)).unwrap();
        assert_eq!(HASHES.get() - before, times * 1000, "{text}");
    }
}

fn expressions() -> impl Strategy<Value = String> {
    let term = "(me@)?web\\[[1-3]-[4-6]\\](:22)?|db[1-3]|w[*?]|@(ec2:)?(web|'a b')|@rack\\[1,2\\]|(sg|id):(x|\"y,z\")|tag:a(=b)?"
        .prop_flat_map(|term| {
            let slices = if term.starts_with(['@', 's', 'i', 't']) { "(%50|\\[1\\.\\.\\]){0,2}" } else { "(\\[0\\.\\.3\\])?" };
            slices.prop_map(move |slices| format!("{term}{slices}"))
        });
    let sliced = "[!&^](first|%[1-9]|\\[2\\.\\.(4)?\\]|random:[1-3](:[0-9])?)";
    let step = prop_oneof![("(,|!|&|\\^| | , )", term.clone()).prop_map(|(operator, term)| operator + &term), sliced];
    (term, proptest::collection::vec(step, 0..6)).prop_map(|(first, steps)| first + &steps.concat())
}

proptest! {
    #[test]
    fn an_expression_displays_as_one_that_means_the_same(text in expressions()) {
        let expression = parse(&text).unwrap();
        let again = parse(&expression.to_string()).unwrap();
        prop_assert_eq!(&again.first, &expression.first);
        prop_assert_eq!(&again.rest, &expression.rest);
        prop_assert!(again.drawn.is_empty());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-c1-3@:!&^,%.\\[\\]\"' *=é-]{0,20}") {
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()).unwrap().rest, expression.rest);
        }
    }

    #[test]
    fn a_term_of_any_characters_displays_as_itself(key in "\\PC{1,8}", value in "\\PC{0,8}") {
        let term = Term::Tag { key, value: Some(value) };
        let expression = parse(&term.to_string()).unwrap();
        prop_assert_eq!(expression.terms().collect::<Vec<_>>(), [&term]);
    }
}
