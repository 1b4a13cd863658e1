//! Queries in fleet's words as the filters of `DescribeInstances`.
//!
//! The tools filter again, so an answer may hold more than was asked for, never less: a condition that EC2 cannot express
//! is left out, and one that EC2 expresses by either of two filters becomes two calls.

use crate::failure::{Code, Failure};
use crate::protocol::{Filter, NativeFilter};

/// EC2's filters for one call: all of them hold, each by one of its values.
pub(crate) type Conjunction = Vec<NativeFilter>;

/// EC2 takes no more values in one call:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html>.
const VALUES_MAX: usize = 200;

/// The calls whose answers together hold every instance that a query asks for.
pub(crate) fn conjunctions(queries: &[Vec<Filter>], native: &[NativeFilter]) -> Result<Vec<Conjunction>, Failure> {
    let everything = [Vec::new()];
    let queries = if queries.is_empty() { &everything[..] } else { queries };
    let mut calls: Vec<Conjunction> = Vec::new();
    for query in queries {
        if let Some(filter) = query.iter().find(|filter| filter.values.is_empty()) {
            let message = format!("the filter {} has no values; expected at least one", filter.filter);
            return Err(Failure::new(Code::BadRequest, message));
        }
        for call in conjunction(query, native).into_iter().flat_map(split_values) {
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
    }
    Ok(calls)
}

/// The calls for one query: none when it asks for what EC2 does not have.
fn conjunction(query: &[Filter], native: &[NativeFilter]) -> Vec<Conjunction> {
    let mut calls = vec![Conjunction::new()];
    for filter in query {
        let ways = ways(filter);
        calls = calls.iter().flat_map(|call| ways.iter().map(move |way| [call.as_slice(), way].concat())).collect();
    }
    let any_state = query.iter().any(|filter| matches!(filter.filter.as_str(), "state" | "id"))
        || native.iter().any(|filter| matches!(filter.name.as_str(), "instance-state-name" | "instance-state-code"));
    for call in &mut calls {
        // Once each: the tools filter by ours again, and know nothing of native ones.
        call.retain(|filter| native.iter().all(|native| native.name != filter.name));
        call.extend_from_slice(native);
        if !any_state {
            call.push(NativeFilter { name: "instance-state-name".to_owned(), values: vec!["running".to_owned()] });
        }
    }
    calls
}

/// How EC2 expresses one condition: by any of several lists of filters.
fn ways(filter: &Filter) -> Vec<Conjunction> {
    let name = match filter.filter.as_str() {
        tag if tag.starts_with("tag:") => tag,
        "tag-key" => "tag-key",
        "name" => "tag:Name",
        "id" => "instance-id",
        "state" => "instance-state-name",
        "sg" => return security_group(&filter.values),
        "asg" => "tag:aws:autoscaling:groupName",
        "vpc" => "vpc-id",
        "subnet" => "subnet-id",
        "az" => "availability-zone",
        "type" => "instance-type",
        "image" => "image-id",
        "cluster" => "tag:fleet:cluster",
        // EC2 knows tags, and no groups of hosts.
        "group" => return Vec::new(),
        _ => return vec![Conjunction::new()],
    };
    vec![vec![native(name, &filter.values)]]
}

/// A security group is meant by its id or by its name, which never begins as an id does.
fn security_group(values: &[String]) -> Vec<Conjunction> {
    let pick = |name: &str, wanted: fn(&str) -> bool| {
        let values: Vec<_> = values.iter().filter(|value| wanted(value)).cloned().collect();
        (!values.is_empty()).then(|| vec![native(name, &values)])
    };
    let id = pick("instance.group-id", |value| {
        let literal = value.split(['*', '?']).next().unwrap_or_default();
        value.starts_with("sg-") || (literal.len() < value.len() && "sg-".starts_with(literal))
    });
    let name = pick("instance.group-name", |value| !value.starts_with("sg-"));
    id.into_iter().chain(name).collect()
}

fn native(name: &str, values: &[String]) -> NativeFilter {
    NativeFilter { name: name.to_owned(), values: values.iter().map(|value| escaped(value)).collect() }
}

/// A value with no backslash but before `*`, `?` and `\`, where EC2 takes it as fleet does:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>.
fn escaped(value: &str) -> String {
    let mut characters = value.chars();
    let mut escaped = String::with_capacity(value.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().unwrap_or('\\') {
                special @ ('*' | '?' | '\\') => escaped.extend(['\\', special]),
                plain => escaped.push(plain),
            },
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Several calls in place of one with too many values: by parts of its longest list.
fn split_values(call: Conjunction) -> Vec<Conjunction> {
    let total: usize = call.iter().map(|filter| filter.values.len()).sum();
    let Some(longest) = (0..call.len()).max_by_key(|&index| call[index].values.len()) else { return vec![call] };
    let room = VALUES_MAX.saturating_sub(total - call[longest].values.len());
    if total <= VALUES_MAX || room == 0 {
        return vec![call];
    }
    let part = |values: &[String]| {
        let mut part = call.clone();
        part[longest].values = values.to_vec();
        part
    };
    call[longest].values.chunks(room).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Vec<Filter> {
        let filter = |part: &str| {
            let (name, values) = part.split_once('=').unwrap();
            Filter { filter: name.to_owned(), values: values.split('|').map(str::to_owned).collect() }
        };
        text.split_whitespace().map(filter).collect()
    }

    fn shown(calls: &[Conjunction]) -> Vec<String> {
        let filter = |filter: &NativeFilter| format!("{}={}", filter.name, filter.values.join("|"));
        calls.iter().map(|call| call.iter().map(filter).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn queries_become_filters_of_ec2() {
        for (asked, calls) in [
            ("", &["instance-state-name=running"][..]),
            ("tag:Role=web|db", &["tag:Role=web|db instance-state-name=running"]),
            ("tag-key=Role", &["tag-key=Role instance-state-name=running"]),
            ("name=web-*", &["tag:Name=web-* instance-state-name=running"]),
            ("id=i-1", &["instance-id=i-1"]),
            ("state=stopped tag:a=b", &["instance-state-name=stopped tag:a=b"]),
            ("asg=workers", &["tag:aws:autoscaling:groupName=workers instance-state-name=running"]),
            ("cluster=c", &["tag:fleet:cluster=c instance-state-name=running"]),
            (
                "vpc=v subnet=s az=a type=t image=i",
                &["vpc-id=v subnet-id=s availability-zone=a instance-type=t image-id=i instance-state-name=running"],
            ),
            (r"tag:a=\*\?\\*", &[r"tag:a=\*\?\\* instance-state-name=running"]),
            (r"tag:a=x\yz\", &[r"tag:a=xyz\\ instance-state-name=running"]),
            ("group=web", &[]),
            ("later=x tag:a=b", &["tag:a=b instance-state-name=running"]),
        ] {
            assert_eq!(shown(&conjunctions(&[query(asked)], &[]).unwrap()), calls, "{asked}");
        }
    }

    #[test]
    fn security_groups_are_asked_for_by_id_and_by_name_as_their_values_allow() {
        for (value, names) in [
            ("sg-1", &["instance.group-id"][..]),
            ("sg-*", &["instance.group-id"]),
            ("web", &["instance.group-name"]),
            ("web*", &["instance.group-name"]),
            ("s*", &["instance.group-id", "instance.group-name"]),
            (r"s\**", &["instance.group-name"]),
            (r"\*", &["instance.group-name"]),
            (r"sg-\*", &["instance.group-id"]),
            ("*", &["instance.group-id", "instance.group-name"]),
            ("s", &["instance.group-name"]),
            ("sg-1|web", &["instance.group-id", "instance.group-name"]),
        ] {
            let calls = conjunctions(&[query(&format!("sg={value}"))], &[]).unwrap();
            assert_eq!(calls.iter().map(|call| call[0].name.as_str()).collect::<Vec<_>>(), names, "{value}");
        }
    }

    #[test]
    fn native_filters_hold_for_every_query_and_may_choose_the_state() {
        let spot = [native("instance-lifecycle", &["spot".to_owned()])];
        let calls = conjunctions(&[query("id=i-1"), query("tag:a=b")], &spot).unwrap();
        assert_eq!(
            shown(&calls),
            ["instance-id=i-1 instance-lifecycle=spot", "tag:a=b instance-lifecycle=spot instance-state-name=running"]
        );
        let stopped = [native("instance-state-name", &["stopped".to_owned()])];
        for asked in ["", "state=running|stopped"] {
            let calls = conjunctions(&[query(asked)], &stopped).unwrap();
            assert_eq!(shown(&calls), ["instance-state-name=stopped"], "{asked}");
        }
    }

    #[test]
    fn equal_calls_are_made_once_and_empty_filters_are_refused() {
        assert_eq!(conjunctions(&[query("name=a"), query("tag:Name=a")], &[]).unwrap().len(), 1);
        let empty = Filter { filter: "id".to_owned(), values: Vec::new() };
        assert_eq!(conjunctions(&[vec![empty]], &[]).unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn more_values_than_a_call_may_have_are_spread_over_several() {
        let ids: Vec<_> = (0..450).map(|number| format!("i-{number}")).collect();
        let calls = conjunctions(&[query(&format!("id={} type=t|u", ids.join("|")))], &[]).unwrap();
        let sizes: Vec<_> = calls.iter().map(|call| (call[0].values.len(), call[1].values.len())).collect();
        assert_eq!(sizes, [(198, 2), (198, 2), (54, 2)]);
        let together: Vec<_> = calls.iter().flat_map(|call| call[0].values.clone()).collect();
        assert_eq!(together, ids);
    }
}
