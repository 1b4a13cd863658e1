//! An instance of the fake: its attributes by the names that EC2's filters give them.

use std::fmt::Write as _;

use crate::ec2::ACCOUNT;

/// The filters that the fake understands, beside `tag:KEY`.
const FILTERS: [&str; 16] = [
    "architecture",
    "availability-zone",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "key-name",
    "owner-id",
    "private-ip-address",
    "subnet-id",
    "tag-key",
    "vpc-id",
];

/// One instance, running unless it is told otherwise.
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) console: String,
    pub(crate) hidden_calls: usize,
}

impl Instance {
    /// An instance that runs, and has neither name nor address.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let instance = Self { attributes: Vec::new(), console: String::new(), hidden_calls: 0 };
        instance
            .with("instance-id", id)
            .with("instance-state-name", "running")
            .with("instance-type", "c5.large")
            .with("image-id", "ami-1")
            .with("owner-id", ACCOUNT)
            .with("launch-time", "2026-01-02T03:04:05.000Z")
    }

    /// Sets an attribute, by the name of its filter: `private-ip-address`, `vpc-id`, `tag:Role`. Further attributes that
    /// are no filters: `ipv6-address`, `reservation-id`, and `hypervisor`, where `xen` has no console but that of the boot.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the tag `Name`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.with("tag:Name", name)
    }

    /// Adds a security group.
    #[must_use]
    pub fn in_group(mut self, id: &str, name: &str) -> Self {
        for (attribute, value) in [("instance.group-id", id), ("instance.group-name", name)] {
            self.attributes.push((attribute.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets what the console says.
    #[must_use]
    pub fn saying(mut self, console: impl Into<String>) -> Self {
        self.console = console.into();
        self
    }

    /// Leaves the instance out of the first answers, as EC2 does for a while after a launch.
    #[must_use]
    pub fn hidden_for(mut self, calls: usize) -> Self {
        self.hidden_calls = calls;
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().filter_map(|(name, value)| Some((name.strip_prefix("tag:")?, value.as_str())))
    }

    /// Whether one of the values of a filter fits.
    pub(crate) fn fits(&self, filter: &str, values: &[String]) -> bool {
        let fits = |actual: &str| values.iter().any(|pattern| matches(pattern, actual));
        if filter == "tag-key" { self.tags().any(|(key, _)| fits(key)) } else { self.all(filter).any(fits) }
    }

    /// The item of `instancesSet`.
    pub(crate) fn xml(&self) -> String {
        let mut xml = String::new();
        let mut element = |name: &str, attribute: &str| {
            // EC2 writes an empty element for some of what an instance does not have.
            let _ = write!(xml, "<{name}>{}</{name}>", escape(self.get(attribute).unwrap_or_default()));
        };
        element("instanceId", "instance-id");
        element("imageId", "image-id");
        element("privateDnsName", "private-dns-name");
        element("dnsName", "dns-name");
        element("instanceType", "instance-type");
        element("launchTime", "launch-time");
        for (name, attribute) in [
            ("amiLaunchIndex", "launch-index"),
            ("subnetId", "subnet-id"),
            ("vpcId", "vpc-id"),
            ("privateIpAddress", "private-ip-address"),
            ("ipAddress", "ip-address"),
            ("ipv6Address", "ipv6-address"),
        ] {
            if self.get(attribute).is_some() {
                element(name, attribute);
            }
        }
        let state = self.get("instance-state-name").unwrap_or_default();
        let zone = escape(self.get("availability-zone").unwrap_or_default());
        let _ = write!(xml, "<instanceState><code>{}</code><name>{state}</name></instanceState>", state_code(state));
        let _ = write!(xml, "<placement><availabilityZone>{zone}</availabilityZone></placement>");
        let groups = self.all("instance.group-id").zip(self.all("instance.group-name"));
        let groups = groups.map(|(id, name)| format!("<groupId>{id}</groupId><groupName>{}</groupName>", escape(name)));
        let tags =
            self.tags().map(|(key, value)| format!("<key>{}</key><value>{}</value>", escape(key), escape(value)));
        format!("<item>{xml}<groupSet>{}</groupSet><tagSet>{}</tagSet></item>", items(groups), items(tags))
    }
}

/// Whether the fake understands a filter.
pub(crate) fn is_filter(name: &str) -> bool {
    name.starts_with("tag:") || FILTERS.contains(&name)
}

pub(crate) fn items(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("<item>{item}</item>")).collect()
}

/// Text as XML writes it, with control characters as references.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut xml, c| {
        let _ = match c {
            '<' => write!(xml, "&lt;"),
            '>' => write!(xml, "&gt;"),
            '&' => write!(xml, "&amp;"),
            c if c.is_control() => write!(xml, "&#x{:x};", u32::from(c)),
            c => write!(xml, "{c}"),
        };
        xml
    })
}

fn state_code(name: &str) -> u16 {
    match name {
        "pending" => 0,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        "stopped" => 80,
        _ => 16,
    }
}

/// EC2's wildcards: `*`, `?`, and a backslash before what is meant literally.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    let mut text_chars = text.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || matches(rest, "")
        }
        Some('?') => text_chars.next().is_some() && matches(pattern_chars.as_str(), text_chars.as_str()),
        Some(c) => {
            let literal = if c == '\\' { pattern_chars.next().unwrap_or(c) } else { c };
            text_chars.next() == Some(literal) && matches(pattern_chars.as_str(), text_chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_ec2() {
        for (pattern, text, fits) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("web", "web1", false),
            ("web*", "web", true),
            ("*b*", "web-1", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("", "", true),
            ("*", "", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\b", r"a\b", true),
            ("é?", "éü", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn an_instance_with_several_groups_is_found_by_each() {
        let instance = Instance::new("i-1").in_group("sg-1", "web").in_group("sg-2", "db").with("tag:Role", "x");
        assert!(instance.fits("instance.group-name", &["db".to_owned()]));
        assert!(instance.fits("tag-key", &["Ro*".to_owned()]));
        assert!(!instance.fits("vpc-id", &["*".to_owned()]));
    }
}
