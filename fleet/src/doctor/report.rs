//! The report: problems first with what to do, then warnings, then in few lines what is fine.
//!
//! Text in, text out; nothing is written here. Must not know how anything was found out.

use fleet_core::hostset;
use fleet_core::outcome::ExitStatus;
use fleet_core::render::sanitized_line;
use serde_json::{Map, Value, json};

use super::finding::{Check, Folded, Level};

/// The version of the format of `--json`.
const FORMAT: u8 = 1;
/// How many details are shown before the rest is only counted.
const SHOWN_DETAILS: usize = 3;
/// How long a host set may become on a terminal, in characters.
const SHOWN_HOSTS: usize = 60;

/// What was found, and on how many hosts.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) findings: Vec<Folded>,
    /// How many hosts were chosen.
    pub(super) hosts: usize,
    /// How many of them could be logged in to.
    pub(super) reached: usize,
    pub(super) status: ExitStatus,
}

/// Who reads the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person at a terminal.
    Terminal(Colors),
    /// A pipe or a file: everything is written out.
    Stream,
}

/// Whether the terminal shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colors {
    On,
    Off,
}

impl Report {
    /// The report for people.
    pub(super) fn text(&self, reader: Reader) -> String {
        let mut text = String::new();
        for (level, title, color) in [(Level::Problem, "problems", 31), (Level::Warning, "warnings", 33)] {
            let mut of_level = self.findings.iter().filter(|finding| finding.level == level).peekable();
            if of_level.peek().is_some() {
                text += &format!("{}\n", reader.painted(title, color));
            }
            for finding in of_level {
                text += &reader.finding(finding);
            }
        }
        let fine = self.fine(reader);
        if !fine.is_empty() {
            text += &format!("{}\n{fine}", reader.painted("fine", 32));
        }
        text += &self.last_line();
        text
    }

    /// One JSON object a line: every finding, then a summary.
    pub(super) fn json(&self) -> String {
        let mut lines: String = self.findings.iter().map(|finding| format!("{}\n", object(finding))).collect();
        let mut counts = Map::new();
        for level in [Level::Problem, Level::Warning, Level::Fine] {
            counts.insert(level.name().to_owned(), self.count(level).into());
        }
        let summary = json!({
            "v": FORMAT, "event": "summary", "hosts": self.hosts, "reached": self.reached, "counts": counts,
            "exit_status": self.status.code(),
        });
        lines += &format!("{summary}\n");
        lines
    }

    /// A line for this machine, one for what all hosts have in common, one for each check in which they differ.
    fn fine(&self, reader: Reader) -> String {
        let mut groups = [("this machine".to_owned(), Items::default())].to_vec();
        groups.push((format!("all {} hosts", self.hosts), Items::default()));
        groups.push((format!("all {} reached", self.reached), Items::default()));
        let mut differing = Items::default();
        for finding in self.findings.iter().filter(|finding| finding.level == Level::Fine) {
            let text = reader.harmless(&finding.text);
            match finding.hosts.len() {
                0 => groups[0].1.push(finding.check, text),
                count if count == self.hosts && count > 1 => groups[1].1.push(finding.check, text),
                count if count == self.reached && count > 1 => groups[2].1.push(finding.check, text),
                _ => differing.push(finding.check, format!("{}: {text}", reader.hosts(finding))),
            }
        }
        groups.retain(|(_, items)| !items.0.is_empty());
        let mut text: String =
            groups.iter().map(|(who, items)| format!("  {who}: {}\n", items.listed(", ").join("; "))).collect();
        text.extend(differing.listed("; ").iter().map(|line| format!("  {line}\n")));
        text
    }

    fn last_line(&self) -> String {
        let counted = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let found = format!(
            "{}, {}",
            counted(self.count(Level::Problem), "problem"),
            counted(self.count(Level::Warning), "warning")
        );
        match self.hosts {
            0 => format!("this machine: {found}\n"),
            hosts => format!("{}, {} reached: {found}\n", counted(hosts, "host"), self.reached),
        }
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// What is fine, check by check.
#[derive(Clone, Debug, Default)]
struct Items(Vec<(Check, Vec<String>)>);

impl Items {
    fn push(&mut self, check: Check, text: String) {
        match self.0.last_mut().filter(|(last, _)| *last == check) {
            Some((_, texts)) => texts.push(text),
            None => self.0.push((check, vec![text])),
        }
    }

    /// An item for each check, with its texts separated by `separator`.
    fn listed(&self, separator: &str) -> Vec<String> {
        self.0.iter().map(|(check, texts)| format!("{}: {}", check.name(), texts.join(separator))).collect()
    }
}

impl Reader {
    fn finding(self, finding: &Folded) -> String {
        let who = if finding.hosts.is_empty() { "this machine".to_owned() } else { self.hosts(finding) };
        let mut text = format!("  {who}: {}: {}", finding.check.name(), self.harmless(&finding.text));
        if let Some(details) = self.details(finding) {
            text += &format!(" ({details})");
        }
        text.push('\n');
        if let Some(advice) = &finding.advice {
            text += &format!("    {}\n", self.harmless(advice));
        }
        text
    }

    fn hosts(self, finding: &Folded) -> String {
        let names: Vec<&str> = finding.hosts.iter().map(|(name, _)| name.as_str()).collect();
        match self {
            Self::Terminal(_) => hostset::fold_limited(&names, SHOWN_HOSTS),
            Self::Stream => hostset::fold(&names),
        }
    }

    /// The details, each with its host where there are several.
    fn details(self, finding: &Folded) -> Option<String> {
        let detailed: Vec<(&str, &str)> =
            finding.hosts.iter().filter_map(|(host, detail)| Some((host.as_str(), detail.as_deref()?))).collect();
        let (_, first) = detailed.first()?;
        if detailed.iter().all(|(_, detail)| detail == first) {
            return Some(self.harmless(first));
        }
        let shown = if self == Self::Stream { detailed.len() } else { SHOWN_DETAILS.min(detailed.len()) };
        let mut items: Vec<String> =
            detailed[..shown].iter().map(|(host, detail)| format!("{host}: {}", self.harmless(detail))).collect();
        if shown < detailed.len() {
            items.push(format!("and {} more", detailed.len() - shown));
        }
        Some(items.join("; "))
    }

    /// What hosts said must not move a terminal's cursor, and in a file it must stay on its line.
    fn harmless(self, text: &str) -> String {
        sanitized_line(text)
    }

    fn painted(self, title: &str, color: u8) -> String {
        match self {
            Self::Terminal(Colors::On) => format!("\x1b[1;{color}m{title}\x1b[0m"),
            _ => title.to_owned(),
        }
    }
}

fn object(finding: &Folded) -> Value {
    let Folded { check, level, hosts, text, advice } = finding;
    let mut object = json!({
        "v": FORMAT, "event": "finding", "level": level.name(), "check": check.name(), "text": text,
    });
    let fields = object.as_object_mut().expect("an object was made");
    if !hosts.is_empty() {
        fields.insert("hosts".into(), hosts.iter().map(|(host, _)| host.as_str()).collect());
        let details: Map<String, Value> =
            hosts.iter().filter_map(|(host, detail)| Some((host.clone(), detail.clone()?.into()))).collect();
        if !details.is_empty() {
            fields.insert("details".into(), details.into());
        }
    }
    if let Some(advice) = advice {
        fields.insert("advice".into(), advice.as_str().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Finding, fold};
    use super::*;

    fn report() -> Report {
        let on = |host: &str, finding: Finding| finding.of(host);
        let mut findings = vec![
            Finding::problem(Check::Login, "connect: connection refused").advice("check sshd").of("web4"),
            Finding::fine(Check::Settings, "no fleet.toml"),
            Finding::fine(Check::Rsync, "3.2.7").of("web1"),
            Finding::fine(Check::Rsync, "3.2.7").of("web2"),
            Finding::fine(Check::Rsync, "3.1.0\x1b[2J").of("web3"),
        ];
        for (host, detail) in [("web1", "2 s"), ("web2", "3 s"), ("web3", "4 s")] {
            findings.push(on(host, Finding::warning(Check::Clock, "off").detail(detail).advice("set it")));
            findings.push(on(host, Finding::fine(Check::Login, "works")));
        }
        Report { findings: fold(findings), hosts: 4, reached: 3, status: ExitStatus::NotReached }
    }

    #[test]
    fn problems_come_first_and_what_is_fine_takes_few_lines() {
        assert_eq!(
            report().text(Reader::Stream),
            "problems\n  web4: login: connect: connection refused\n    check sshd\n\
             warnings\n  web[1-3]: clock: off (web1: 2 s; web2: 3 s; web3: 4 s)\n    set it\n\
             fine\n  this machine: settings: no fleet.toml\n  all 3 reached: login: works\n  \
             rsync: web[1-2]: 3.2.7; web3: 3.1.0\\x1b[2J\n\
             4 hosts, 3 reached: 1 problem, 1 warning\n"
        );
    }

    #[test]
    fn a_terminal_gets_colours_and_short_lists() {
        let mut report = report();
        let many = (1..=500)
            .map(|n| Finding::warning(Check::Disk, "low").detail(format!("{n} MB")).of(format!("h{}x{n}", n * n)));
        report.findings = fold(many.collect());
        let text = report.text(Reader::Terminal(Colors::On));
        assert!(text.starts_with("\x1b[1;33mwarnings\x1b[0m\n"), "{text}");
        assert!(text.contains("h4x2: 2 MB; h9x3: 3 MB; and 497 more)"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 160), "{text}");
        let plain = report.text(Reader::Terminal(Colors::Off));
        assert!(!plain.contains('\x1b'), "{plain}");
    }

    #[test]
    fn json_has_every_finding_and_then_the_summary() {
        let json = report().json();
        let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [problem, clock, .., summary] = &objects[..] else { panic!("{json}") };
        assert_eq!(
            *problem,
            json!({"v": 1, "event": "finding", "level": "problem", "check": "login", "hosts": ["web4"],
                   "text": "connect: connection refused", "advice": "check sshd"})
        );
        assert_eq!(clock["details"], json!({"web1": "2 s", "web2": "3 s", "web3": "4 s"}));
        assert_eq!(
            *summary,
            json!({"v": 1, "event": "summary", "hosts": 4, "reached": 3, "exit_status": 4,
                   "counts": {"problem": 1, "warning": 1, "fine": 4}})
        );
        assert!(objects.iter().any(|object| object["check"] == "settings" && object.get("hosts").is_none()));
    }
}
