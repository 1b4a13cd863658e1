//! A line for each host, made as the user says.
//!
//! A value never makes a line of its own: control characters in it are spelt out. Pure. Must not know where the lines go.

use std::convert::Infallible;

use fleet_core::provider::protocol::{Fact, Record};
use fleet_core::render::sanitized_line;
use fleet_core::select::SelectedHost;
use fleet_core::template::{Template, TemplateError};

use super::listing::Listing;

/// What every host has.
const OWN: [&str; 12] =
    ["host", "name", "user", "port", "addr", "id", "state", "index", "group", "groups", "source", "origin"];
/// What providers commonly say, and what may be asked for although none of the hosts has it.
const FACTS: [&str; 10] = ["type", "az", "region", "vpc", "subnet", "image", "sg", "asg", "launched", "account"];
/// What stands before the key of a tag.
const TAG: &str = "tag.";

/// A line for each host.
///
/// # Errors
/// When the template is none, or names what nothing has.
pub(super) fn write(template: &str, hosts: &[SelectedHost]) -> Result<Listing, TemplateError> {
    let mut facts: Vec<&str> = FACTS.to_vec();
    for fact in hosts.iter().filter_map(record).flat_map(|record| record.facts.keys()) {
        if !facts.contains(&&**fact) {
            facts.push(fact);
        }
    }
    let known: Vec<&str> = OWN.iter().copied().chain(facts).chain(["tag.KEY"]).collect();
    let is_known = |name: &str| match name.strip_prefix(TAG) {
        Some(key) => !key.is_empty(),
        None => known.contains(&name),
    };
    let template = Template::parse_open(template.as_bytes(), &known, is_known)?;
    let mut listing = Listing::default();
    for (index, selected) in hosts.iter().enumerate() {
        let Ok(line) =
            template.fill(|name, _| Ok::<_, Infallible>(one_line(&value(name, index, selected)).into_bytes()));
        listing.text.extend(line);
        listing.text.push(b'\n');
    }
    let is_on_none = |key: &&str| !hosts.iter().filter_map(record).any(|record| record.tags.contains_key(key));
    for key in template.names().filter_map(|name| name.strip_prefix(TAG)).filter(is_on_none) {
        listing.remarks.push(format!("no chosen host has the tag {key}"));
    }
    Ok(listing)
}

fn record(selected: &SelectedHost) -> Option<&Record> {
    selected.record.as_deref()
}

/// What `name` stands for; nothing where the host has none.
fn value(name: &str, index: usize, selected: &SelectedHost) -> String {
    let record = record(selected);
    match name {
        "host" => selected.host.to_string(),
        "name" => selected.host.name().to_owned(),
        "user" => selected.user().unwrap_or_default().to_owned(),
        "port" => selected.port().map(|port| port.to_string()).unwrap_or_default(),
        "addr" => selected.address().to_owned(),
        "id" => record.map(|record| &*record.id).unwrap_or_default().to_owned(),
        "state" => record.and_then(|record| record.state.as_deref()).unwrap_or_default().to_owned(),
        "index" => index.to_string(),
        "group" => selected.group.as_deref().unwrap_or_default().to_owned(),
        "groups" => selected.groups.join(","),
        "source" => selected.sources.join(","),
        "origin" => selected.origins.join(","),
        other => match other.strip_prefix(TAG) {
            Some(key) => record.and_then(|record| record.tags.get(key)).map(ToString::to_string).unwrap_or_default(),
            None => record.and_then(|record| record.facts.get(other)).map(fact).unwrap_or_default(),
        },
    }
}

/// One fact as text: several values with commas.
pub(super) fn fact(fact: &Fact) -> String {
    match fact {
        Fact::One(value) => value.to_string(),
        Fact::Many(values) => values.join(","),
    }
}

/// The text in one field of one line.
pub(super) fn one_line(text: &str) -> String {
    sanitized_line(text).replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::super::listing::testing::{cloud, grouped};
    use super::*;

    fn hosts() -> Vec<SelectedHost> {
        let tags = [("Role", "web"), ("a b", "x\ny\t\u{1b}[2J"), ("Empty", "")];
        vec![grouped("me@db1:2222", &["db", "all"]), cloud("web-1", "i-1", "10.0.0.1", &tags)]
    }

    #[test]
    fn placeholders_are_what_is_known_of_each_host_or_nothing() {
        for (template, lines) in [
            ("{host} {name} {user} {port} {addr}", "me@db1:2222 db1 me 2222 db1\nweb-1 web-1 ubuntu  10.0.0.1\n"),
            ("{index}:{id}:{state}", "0::\n1:i-1:running\n"),
            ("{group}|{groups}|{source}|{origin}", "db|db,all|hosts|hosts.txt:1\nweb|web|ec2|ec2 i-1\n"),
            ("{tag.Role}/{type}/{sg}/{az}", "///\nweb/c5.large/sg-1,web sg/\n"),
            ("{{{name}}}", "{db1}\n{web-1}\n"),
            ("[{tag.a b}]", "[]\n[x\\ny\\t\\x1b[2J]\n"),
        ] {
            assert_eq!(String::from_utf8(write(template, &hosts()).unwrap().text).unwrap(), lines, "{template}");
        }
    }

    #[test]
    fn a_name_that_nothing_has_is_refused_with_those_that_exist() {
        for wrong in ["{nmae}", "{tag.}", "{tag}", "{}", "{name"] {
            assert!(write(wrong, &hosts()).is_err(), "{wrong}");
        }
        let refused = write("{nmae}", &hosts()).unwrap_err().to_string();
        assert!(refused.starts_with("{nmae} is not a placeholder: expected one of {host}, {name}, "), "{refused}");
        assert!(refused.ends_with("{account}, {tag.KEY}"), "{refused}");
    }

    #[test]
    fn a_tag_that_no_chosen_host_has_is_remarked_on() {
        assert_eq!(write("{tag.role} {tag.Empty}", &hosts()).unwrap().remarks, ["no chosen host has the tag role"]);
    }
}
