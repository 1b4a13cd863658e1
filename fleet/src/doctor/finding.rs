//! What the doctor finds, and how equal findings of many hosts become one.
//!
//! Pure. Must not know how anything was found out, nor how it is shown.

use std::collections::HashMap;

/// How bad a finding is. The worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    /// Runs fail because of it.
    Problem,
    /// Some run may fail, be slow, or do something else than is meant.
    Warning,
    /// As it should be, or a fact worth knowing.
    Fine,
}

impl Level {
    /// The name in `--json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Fine => "fine",
        }
    }
}

/// What was looked at, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Check {
    Settings,
    Hosts,
    SshConfig,
    KnownHosts,
    Agent,
    Keys,
    OpenFiles,
    Folders,
    Names,
    JumpHosts,
    Connections,
    Login,
    Shell,
    StartupFiles,
    Clock,
    Disk,
    Inodes,
    Load,
    Sftp,
    Rsync,
    Sudo,
    Tools,
    System,
}

impl Check {
    /// The name in the report and in `--json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Hosts => "hosts",
            Self::SshConfig => "ssh_config",
            Self::KnownHosts => "known_hosts",
            Self::Agent => "agent",
            Self::Keys => "keys",
            Self::OpenFiles => "open files",
            Self::Folders => "folders",
            Self::Names => "names",
            Self::JumpHosts => "jump hosts",
            Self::Connections => "connections",
            Self::Login => "login",
            Self::Shell => "shell",
            Self::StartupFiles => "start-up files",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Inodes => "inodes",
            Self::Load => "load",
            Self::Sftp => "sftp",
            Self::Rsync => "rsync",
            Self::Sudo => "sudo",
            Self::Tools => "tools",
            Self::System => "system",
        }
    }
}

/// One finding, about this machine or about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) level: Level,
    /// The host; `None` is this machine.
    pub(super) host: Option<String>,
    /// What is found: equal for hosts that shall be told together.
    pub(super) text: String,
    /// What differs from host to host, such as a number.
    pub(super) detail: Option<String>,
    /// What to do.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn new(check: Check, level: Level, text: impl Into<String>) -> Self {
        Self { check, level, host: None, text: text.into(), detail: None, advice: None }
    }

    pub(super) fn problem(check: Check, text: impl Into<String>) -> Self {
        Self::new(check, Level::Problem, text)
    }

    pub(super) fn warning(check: Check, text: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, text)
    }

    pub(super) fn fine(check: Check, text: impl Into<String>) -> Self {
        Self::new(check, Level::Fine, text)
    }

    pub(super) fn of(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Equal findings of some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) check: Check,
    pub(super) level: Level,
    /// The hosts in the order of the run, each with its detail; none is this machine.
    pub(super) hosts: Vec<(String, Option<String>)>,
    pub(super) text: String,
    pub(super) advice: Option<String>,
}

/// Equal findings made one: the worst first, then in the order of the checks, then those of most hosts.
pub(super) fn fold(findings: Vec<Finding>) -> Vec<Folded> {
    let mut folded: Vec<Folded> = Vec::new();
    let mut places = HashMap::new();
    for Finding { check, level, host, text, detail, advice } in findings {
        let key = (check, level, host.is_none(), text.clone(), advice.clone());
        let place = *places.entry(key).or_insert_with(|| {
            // A detail of this machine is no list: it stands behind the text.
            let text = match (&host, &detail) {
                (None, Some(detail)) => format!("{text}: {detail}"),
                _ => text,
            };
            folded.push(Folded { check, level, hosts: Vec::new(), text, advice });
            folded.len() - 1
        });
        folded[place].hosts.extend(host.map(|host| (host, detail)));
    }
    folded.sort_by_key(|finding| (finding.level, finding.check, std::cmp::Reverse(finding.hosts.len())));
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_findings_become_one_whatever_their_details() {
        let slow =
            |host: &str, detail: &str| Finding::warning(Check::Clock, "ahead").detail(detail).advice("set it").of(host);
        let folded = fold(vec![
            slow("web1", "2 s"),
            Finding::fine(Check::Login, "works").of("web1"),
            slow("web2", "3 s"),
            Finding::fine(Check::Login, "works").of("web2"),
        ]);
        let [clock, login] = &folded[..] else { panic!("{folded:?}") };
        assert_eq!(clock.hosts, [("web1".into(), Some("2 s".into())), ("web2".into(), Some("3 s".into()))]);
        assert_eq!(login.hosts, [("web1".into(), None), ("web2".into(), None)]);
    }

    #[test]
    fn findings_that_differ_in_anything_else_stay_apart() {
        let base = Finding::warning(Check::Disk, "low").of("web1");
        for other in [
            Finding { level: Level::Problem, ..base.clone() },
            Finding { check: Check::Inodes, ..base.clone() },
            Finding { text: "lower".into(), ..base.clone() },
            Finding { advice: Some("buy".into()), ..base.clone() },
            Finding { host: None, ..base.clone() },
        ] {
            assert_eq!(fold(vec![base.clone(), other.clone()]).len(), 2, "{other:?}");
        }
        assert_eq!(fold(vec![base.clone(), base]).len(), 1);
    }

    #[test]
    fn the_worst_comes_first_and_then_what_most_hosts_have() {
        let folded = fold(vec![
            Finding::fine(Check::Settings, "a"),
            Finding::warning(Check::Rsync, "none").of("web1"),
            Finding::warning(Check::Rsync, "old").of("web2"),
            Finding::warning(Check::Rsync, "old").of("web3"),
            Finding::warning(Check::Clock, "ahead").of("web1"),
            Finding::problem(Check::System, "x").of("web1"),
        ]);
        let order: Vec<_> = folded.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(order, ["x", "ahead", "old", "none", "a"]);
    }
}
