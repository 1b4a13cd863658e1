//! Which records are asked for: the filters of a request, applied again here, as a provider may pass them over.
//!
//! Pure. Must not know which provider a record is from.

use std::sync::Arc;

use super::protocol::{Fact, Filter, Query, Record};

/// The state of hosts that are meant where nobody speaks of states, and of records that tell none.
const DEFAULT_STATE: &str = "running";
/// The tag that says which cluster a host was started for.
const CLUSTER_TAG: &str = "fleet:cluster";

/// Whether `record` is asked for by one of the queries; by none means by "all that run".
#[must_use]
pub fn matches(record: &Record, queries: &[Query]) -> bool {
    if queries.is_empty() { matches_all(record, &[]) } else { queries.iter().any(|query| matches_all(record, query)) }
}

/// Whether `record` passes all filters. Where none of them is about a state or an id, it has to be running.
fn matches_all(record: &Record, query: &[Filter]) -> bool {
    let names_state = query.iter().any(|filter| filter.filter == "state" || filter.filter == "id");
    (names_state || state(record) == DEFAULT_STATE) && query.iter().all(|filter| passes(record, filter))
}

fn passes(record: &Record, filter: &Filter) -> bool {
    let is_wanted = |value: &str| filter.values.iter().any(|pattern| is_like(value, pattern));
    let wanted = |value: &Arc<str>| is_wanted(value);
    if let Some(key) = filter.filter.strip_prefix("tag:") {
        return record.tags.get(key).is_some_and(wanted);
    }
    match filter.filter.as_str() {
        "tag-key" => record.tags.keys().any(wanted),
        "cluster" => record.tags.get(CLUSTER_TAG).is_some_and(wanted),
        "name" => record.name.as_ref().is_some_and(wanted),
        "id" => wanted(&record.id),
        "state" => is_wanted(state(record)),
        "group" => record.groups.iter().any(wanted),
        // sg, asg, vpc, subnet, az, type, image: each is the fact of its name.
        fact => match record.facts.get(fact) {
            Some(Fact::One(value)) => wanted(value),
            Some(Fact::Many(values)) => values.iter().any(wanted),
            None => false,
        },
    }
}

fn state(record: &Record) -> &str {
    record.state.as_deref().unwrap_or(DEFAULT_STATE)
}

/// Whether `value` is what `pattern` describes: `*` is any text, `?` any character, and what stands behind a backslash
/// is itself; upper and lower case differ.
pub(super) fn is_like(value: &str, pattern: &str) -> bool {
    if !pattern.contains(['*', '?', '\\']) {
        return value == pattern;
    }
    // Where to go on after a mismatch: behind the last `*`, with one more character taken by it.
    let mut retry: Option<(&str, &str)> = None;
    let (mut text, mut rest) = (value, pattern);
    loop {
        if let Some(behind) = rest.strip_prefix('*') {
            retry = Some((text, behind));
            rest = behind;
            continue;
        }
        if let Some((text_left, pattern_left)) = one_character(text, rest) {
            (text, rest) = (text_left, pattern_left);
            continue;
        }
        if text.is_empty() && rest.is_empty() {
            return true;
        }
        let Some((from, behind)) = retry else { return false };
        let mut shorter = from.chars();
        if shorter.next().is_none() {
            return false;
        }
        retry = Some((shorter.as_str(), behind));
        (text, rest) = (shorter.as_str(), behind);
    }
}

/// What is left of both when the first character of `text` is what `pattern` begins with.
fn one_character<'a>(text: &'a str, pattern: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    let character = text.next()?;
    let agrees = match pattern.next()? {
        '?' => true,
        '\\' => pattern.next().unwrap_or('\\') == character,
        plain => plain == character,
    };
    agrees.then_some((text.as_str(), pattern.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn wildcards_stand_for_any_text_and_any_character() {
        for (pattern, alike, others) in [
            ("web", &["web"][..], &["Web", "web1", "", "we"][..]),
            ("web*", &["web", "web1", "web*"], &["we", "aweb"]),
            ("*", &["", "anything at all"], &[]),
            ("w?b", &["web", "wöb", "w?b"], &["wb", "weeb"]),
            ("*-prod-*", &["a-prod-b", "-prod-", "-prod-prod-"], &["-prod", "a-prodb"]),
            ("a*b*c", &["abc", "aXbYbc", "abcbc"], &["acb", "abcd", "ab"]),
            (r"a\*", &["a*"], &["ab", r"a\*"]),
            (r"a\?\\", &[r"a?\"], &[r"ab\"]),
            (r"a\", &[r"a\"], &["a"]),
            ("[ab]{c}", &["[ab]{c}"], &["a"]),
            ("", &[""], &["a"]),
        ] {
            for value in alike {
                assert!(is_like(value, pattern), "{pattern} {value}");
            }
            for value in others {
                assert!(!is_like(value, pattern), "{pattern} {value}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_agrees_with_its_regular_expression(pattern in "[ab*?]{0,8}", value in "[abé]{0,10}") {
            let expression = pattern.replace('*', ".*").replace('?', ".");
            let expected = regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&value);
            prop_assert_eq!(is_like(&value, &pattern), expected);
        }
    }

    fn record(state: Option<&str>) -> Record {
        let mut record: Record = from_value(json!({
            "id": "i-1", "name": "web-1",
            "tags": {"Role": "web", "Note": "a,b = c", "Empty": "", "fleet:cluster": "blue"},
            "groups": ["front", "canary"],
            "facts": {"az": "eu-west-1a", "vpc": "vpc-1", "subnet": "subnet-1", "type": "c5.large", "image": "ami-1",
                      "sg": ["sg-1", "web-sg"], "asg": "workers"},
        }))
        .unwrap();
        record.state = state.map(Arc::from);
        record
    }

    fn filters(filters: &[(&str, &[&str])]) -> Query {
        let filter = |(name, values): &(&str, &[&str])| Filter {
            filter: (*name).to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        filters.iter().map(filter).collect()
    }

    #[test]
    fn every_filter_looks_at_its_own_property() {
        for (name, value, other) in [
            ("tag:Role", "w*", "db"),
            ("tag:Note", "a,b = c", "a,b"),
            ("tag:Empty", "*", "x"),
            ("tag-key", "Rol?", "role"),
            ("name", "web-?", "Web-1"),
            ("id", "i-1", "i-2"),
            ("state", "running", "stopped"),
            ("sg", "web-*", "web"),
            ("sg", "sg-1", "sg-2"),
            ("asg", "workers", "worker"),
            ("vpc", "vpc-1", "vpc-2"),
            ("subnet", "subnet-1", "subnet-"),
            ("az", "eu-west-1?", "eu-west-1"),
            ("type", "c5.*", "c6.*"),
            ("image", "ami-1", "ami-2"),
            ("cluster", "blue", "green"),
            ("group", "canary", "can"),
        ] {
            let record = record(Some("running"));
            assert!(matches(&record, &[filters(&[(name, &[value])])]), "{name} {value}");
            assert!(matches(&record, &[filters(&[(name, &[other, value])])]), "{name}: one of several");
            assert!(!matches(&record, &[filters(&[(name, &[other])])]), "{name} {other}");
            assert!(!matches(&record, &[filters(&[(name, &[])])]), "{name}: of none");
        }
        for name in ["tag:role", "tag:", "rack", "Az"] {
            assert!(!matches(&record(None), &[filters(&[(name, &["*"])])]), "{name}");
        }
        assert!(!matches(&Record::default(), &[filters(&[("name", &["*"])])]));
    }

    #[test]
    fn a_query_is_a_conjunction_and_several_are_a_union() {
        let (web, db) = (("tag:Role", &["web"][..]), ("tag:Role", &["db"][..]));
        let az = ("az", &["eu-west-1a"][..]);
        for (queries, expected) in [
            (&[filters(&[web, az])][..], true),
            (&[filters(&[web, db])], false),
            (&[filters(&[db]), filters(&[az])], true),
            (&[filters(&[db]), filters(&[db, az])], false),
        ] {
            assert_eq!(matches(&record(None), queries), expected, "{queries:?}");
        }
    }

    #[test]
    fn hosts_that_do_not_run_are_meant_only_by_state_or_id() {
        for (state, query, expected) in [
            (None, &[][..], true),
            (Some("running"), &[], true),
            (Some("stopped"), &[], false),
            (Some("stopped"), &[("tag:Role", &["web"][..])], false),
            (Some("stopped"), &[("tag:Role", &["web"][..]), ("state", &["stop*"][..])], true),
            (Some("stopped"), &[("id", &["i-1"][..])], true),
            (Some("running"), &[("state", &["stopped"][..])], false),
            (None, &[("state", &["running"][..])], true),
        ] {
            let query = filters(query);
            let queries = if query.is_empty() { vec![] } else { vec![query] };
            assert_eq!(matches(&record(state), &queries), expected, "{state:?} {queries:?}");
        }
        assert!(matches(&record(None), &[vec![]]), "an empty query is about all that run");
        assert!(!matches(&record(Some("stopped")), &[vec![]]));
    }
}
