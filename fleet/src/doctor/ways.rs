//! The ways to the hosts: jump hosts, and how many logins a run makes at one server at once.
//!
//! Pure. Must not connect.

use std::collections::{BTreeMap, HashMap};

use fleet_ssh::config::{HostConfig, Proxy};

use super::finding::{Check, Finding};
use super::probe::Answers;

/// sshd's own, where nothing is configured (sshd_config(5)).
const DEFAULT_BEGIN: usize = 10;

/// A host and the servers on the way to it, itself last.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// As it was chosen.
    pub(super) name: String,
    pub(super) route: Vec<HostConfig>,
}

/// A server that others are reached through.
#[derive(Clone, Debug)]
pub(super) struct JumpHost {
    pub(super) name: String,
    /// To it, itself last.
    pub(super) route: Vec<HostConfig>,
    /// How many of the chosen hosts are behind it.
    pub(super) behind: usize,
}

/// `MaxStartups` of an sshd: how many connections may be open that have not logged in yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaxStartups {
    /// Connections beyond the first number are dropped by chance, beyond the second one surely.
    Known { begin: usize, full: usize },
    /// It cannot be read by the login user.
    Unknown,
}

/// The jump hosts of all ways, each once, in the order in which they are met.
pub(super) fn jump_hosts(ways: &[Way]) -> Vec<JumpHost> {
    let mut met: Vec<JumpHost> = Vec::new();
    let mut places = HashMap::new();
    for way in ways {
        for last in 1..way.route.len() {
            let route = &way.route[..last];
            let ends: Vec<_> = route.iter().map(|config| (&config.user, &config.host_name, config.port)).collect();
            let place = *places.entry(ends).or_insert_with(|| {
                let name = route[last - 1].original.clone();
                met.push(JumpHost { name, route: route.to_vec(), behind: 0 });
                met.len() - 1
            });
            met[place].behind += 1;
        }
    }
    met
}

/// The servers that several chosen hosts are the same as, by address and port: the names of those hosts.
pub(super) fn shared_servers(ways: &[Way]) -> Vec<Vec<&str>> {
    let mut servers: BTreeMap<(&str, u16), Vec<&str>> = BTreeMap::new();
    for way in ways {
        if let [config] = &way.route[..]
            && config.proxy == Proxy::Direct
        {
            servers.entry((&config.host_name, config.port)).or_default().push(&way.name);
        }
    }
    servers.into_values().filter(|names| names.len() > 1).collect()
}

impl MaxStartups {
    /// What the probe has found out on the server.
    pub(super) fn of(answers: &Answers) -> Self {
        let parsed = answers.first("startups").or_else(|| answers.first("configured")).and_then(Self::parse);
        match (parsed, answers.first("sshd_config")) {
            (Some(known), _) => known,
            (None, Some(_)) => Self::Known { begin: DEFAULT_BEGIN, full: 100 },
            (None, None) => Self::Unknown,
        }
    }

    /// `10:30:100`, or one number for all.
    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<usize> =
            text.trim_matches('"').split(':').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?;
        match numbers[..] {
            [begin, _, full] => Some(Self::Known { begin, full }),
            [all] => Some(Self::Known { begin: all, full: all }),
            _ => None,
        }
    }
}

/// Whether `hosts` of a run, `parallel` at once, are too many for the one server that they are.
pub(super) fn shared_server(hosts: &[&str], parallel: usize, max_startups: MaxStartups) -> Vec<Finding> {
    let at_once = hosts.len().min(parallel);
    let (begin, known) = match max_startups {
        MaxStartups::Known { begin, full } => (begin, format!("{begin} to {full}")),
        MaxStartups::Unknown => (DEFAULT_BEGIN, "not readable, by default 10 to 100".to_owned()),
    };
    let finding = if at_once <= begin {
        Finding::fine(Check::Connections, "few enough at once")
    } else {
        let text =
            format!("these are one server, which {at_once} logins at once may be too many for (MaxStartups: {known})");
        Finding::warning(Check::Connections, text).advice(format!(
            "raise MaxStartups there, or run with -p {begin}; dropped logins are tried again, which takes time"
        ))
    };
    hosts.iter().map(|host| finding.clone().of(*host)).collect()
}

/// A jump host is connected to once, so that its MaxStartups does not matter.
pub(super) fn jump_host(jump: &JumpHost, max_startups: Option<MaxStartups>) -> Finding {
    let limit = match max_startups {
        Some(MaxStartups::Known { begin, full }) => format!(", MaxStartups {begin} to {full}"),
        Some(MaxStartups::Unknown) | None => ", MaxStartups unknown".to_owned(),
    };
    let hosts = if jump.behind == 1 { "1 host".to_owned() } else { format!("{} hosts", jump.behind) };
    Finding::fine(Check::JumpHosts, format!("one connection for {hosts} behind it{limit}")).of(&*jump.name)
}

/// Hosts whose `ProxyCommand` makes a login of its own for each of them.
pub(super) fn proxy_commands(ways: &[Way], parallel: usize) -> Vec<Finding> {
    let through_ssh: Vec<&Way> = ways.iter().filter(|way| way.route.first().is_some_and(logs_in)).collect();
    if through_ssh.len().min(parallel) <= DEFAULT_BEGIN {
        return Vec::new();
    }
    let finding = Finding::warning(
        Check::Connections,
        "ProxyCommand starts an ssh, and so a login at the jump host, for each of them",
    )
    .advice(
        "write ProxyJump instead, which is one connection for all; else the jump host may drop logins (MaxStartups)",
    );
    through_ssh.iter().map(|way| finding.clone().of(&*way.name)).collect()
}

fn logs_in(config: &HostConfig) -> bool {
    let Proxy::Command(command) = &config.proxy else { return false };
    let program = command.split_whitespace().find(|word| *word != "exec").unwrap_or_default();
    program == "ssh" || program.ends_with("/ssh")
}

#[cfg(test)]
mod tests {
    use fleet_core::host::Host;
    use fleet_ssh::config::{ConfigSources, LocalContext, SshConfig};

    use super::super::finding::Level;
    use super::*;

    /// The ways to `hosts` as this configuration has them.
    fn ways(config: &str, hosts: &[&str]) -> Vec<Way> {
        let local = LocalContext {
            system_folder: "/nowhere".into(),
            home: "/nowhere".into(),
            ..LocalContext::current().unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, config).unwrap();
        let file = fleet_ssh::config::ConfigSource::Path(path);
        let config = SshConfig::load(&ConfigSources { options: Vec::new(), file }, local).unwrap();
        let way = |name: &&str| Way {
            name: (*name).to_owned(),
            route: config.route(&name.parse::<Host>().unwrap(), None, &Default::default()).unwrap(),
        };
        hosts.iter().map(way).collect()
    }

    #[test]
    fn jump_hosts_are_counted_by_the_hosts_behind_them() {
        let ways = ways(
            "Host web*\n ProxyJump inner\nHost db\n ProxyJump outer\nHost inner\n ProxyJump outer\n",
            &["web1", "web2", "db", "alone"],
        );
        let jumps: Vec<_> = jump_hosts(&ways).into_iter().map(|jump| (jump.name, jump.behind)).collect();
        assert_eq!(jumps, [("outer".to_owned(), 3), ("inner".to_owned(), 2)]);
    }

    #[test]
    fn names_of_one_server_are_found_by_address_and_port() {
        let ways = ways(
            "Host a b d e\n Port 22\nHost c\n Port 23\nHost d\n ProxyJump x\nHost e\n ProxyCommand nc %h %p\n\
             Host a b c d e\n HostName 127.0.0.1\n",
            &["a", "b", "c", "d", "e"],
        );
        assert_eq!(shared_servers(&ways), [["a", "b"]]);
    }

    #[test]
    fn more_logins_at_once_than_max_startups_are_warned_of() {
        let names = vec!["web"; 64];
        let known = |begin| MaxStartups::Known { begin, full: 100 };
        for (hosts, parallel, max_startups, level) in [
            (11, 64, known(10), Level::Warning),
            (10, 64, known(10), Level::Fine),
            (64, 10, known(10), Level::Fine),
            (64, 64, known(64), Level::Fine),
            (11, 64, MaxStartups::Unknown, Level::Warning),
            (10, 64, MaxStartups::Unknown, Level::Fine),
        ] {
            let found = shared_server(&names[..hosts], parallel, max_startups);
            assert_eq!(found.len(), hosts);
            assert_eq!(found[0].level, level, "{hosts} {parallel} {max_startups:?}");
        }
    }

    #[test]
    fn max_startups_is_what_sshd_says_else_its_file_else_its_default_else_unknown() {
        for (answers, expected) in [
            ("startups 7:30:9\nconfigured 1:2:3\n", MaxStartups::Known { begin: 7, full: 9 }),
            ("sshd_config readable\nconfigured 20\n", MaxStartups::Known { begin: 20, full: 20 }),
            ("sshd_config readable\n", MaxStartups::Known { begin: 10, full: 100 }),
            ("startups much\n", MaxStartups::Unknown),
            ("", MaxStartups::Unknown),
        ] {
            let answers = Answers::parse(format!("fleet-doctor-begin\n{answers}fleet-doctor-end\n").as_bytes(), b"");
            assert_eq!(MaxStartups::of(&answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn a_proxy_command_that_is_an_ssh_logs_in_for_each_host() {
        let names: Vec<String> = (0..20).map(|n| format!("web{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (command, hosts, parallel, warned) in [
            ("ssh -W %h:%p jump", 20, 64, 20),
            ("exec /usr/bin/ssh jump nc %h %p", 20, 64, 20),
            ("nc %h %p", 20, 64, 0),
            ("sshuttle %h", 20, 64, 0),
            ("ssh -W %h:%p jump", 10, 64, 0),
            ("ssh -W %h:%p jump", 20, 10, 0),
        ] {
            let ways = ways(&format!("ProxyCommand {command}\n"), &names[..hosts]);
            assert_eq!(proxy_commands(&ways, parallel).len(), warned, "{command} {hosts} {parallel}");
        }
    }
}
