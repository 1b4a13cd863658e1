//! Our reading of ssh_config(5) against that of the ssh(1) on this machine: the same files, the same hosts, `ssh -G`.
//!
//! Must not know how either of them works. Cases stay within what OpenSSH 9.2 and later agree on.
#![expect(clippy::unwrap_used, reason = "a broken helper fails its test")]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleet_core::host::Host;
use fleet_ssh::config::{
    AddressFamily, AlgorithmList, ConfigError, ConfigSource, ConfigSources, ForwardAgent, HostConfig, LocalContext,
    Proxy, SshConfig, StrictHostKey,
};

/// A configuration and the hosts that it is asked for. `{dir}` in a text stands for the folder of the files.
struct Case {
    behaviour: &'static str,
    /// The file given to `-F`; `None` makes none.
    config: Option<&'static str>,
    /// Other files; a name that ends in `!` makes one that everybody can write.
    files: &'static [(&'static str, &'static str)],
    options: &'static [&'static str],
    hosts: &'static [&'static str],
}

const fn alone(behaviour: &'static str, hosts: &'static [&'static str], config: &'static str) -> Case {
    Case { behaviour, config: Some(config), files: &[], options: &[], hosts }
}

const fn with_files(
    behaviour: &'static str,
    hosts: &'static [&'static str],
    config: &'static str,
    files: &'static [(&'static str, &'static str)],
) -> Case {
    Case { behaviour, config: Some(config), files, options: &[], hosts }
}

/// What both must read alike.
const AGREED: &[Case] = &[
    alone("an empty file leaves the defaults", &["web", "me@web", "WEB.Example.COM", "10.0.0.1", "::0001"], ""),
    alone("options before the first Host apply to all", &["web"], "Port 2022\nUser deploy\nHost db\nPort 1\n"),
    alone(
        "the keyword may be joined to its value by =",
        &["web"],
        "Port=2022\nUser =deploy\nHostName= w.example\nConnectTimeout = 5\n",
    ),
    alone("= may stand before a quoted value", &["web"], "User = \"deploy\"\nIdentityFile=\"/keys/a b\"\n"),
    alone("tabs separate and indent", &["web"], "Host\tweb\n\tPort\t2022\n\t \tUser\tdeploy\t\n"),
    alone("lines may end as on Windows", &["web"], "Host web\r\n  Port 2022\r\n  User deploy\r\n"),
    alone("a form feed may end a line", &["web"], "Port 2022\x0c\nUser deploy \x0c \n"),
    alone("the case of keywords does not count", &["web"], "hOST web\nPORT 2022\nuSER deploy\n"),
    alone("a keyword may be quoted", &["web"], "\"Port\" 2022\n"),
    alone(
        "comments and blank lines say nothing",
        &["web"],
        "# Port 1\n\n   # Port 2\n\t\nPort 2022 # Port 3\nUser a#b\n",
    ),
    alone("the first value wins within a block", &["web"], "Host web\nPort 2022\nPort 2023\nUser a\nUser b\n"),
    alone(
        "the first value wins across blocks",
        &["web"],
        "Host w*\nPort 2022\nHost web\nPort 2023\nUser b\nHost *\nUser c\nPort 9\n",
    ),
    alone("the last line needs no newline", &["web"], "Host web\nPort 2022"),
    alone(
        "single and double quotes group",
        &["web"],
        "IdentityFile \"/a b\"\nIdentityFile '/c d'\nIdentityFile /e\" \"f\n",
    ),
    alone(
        "backslashes take the meaning from quotes",
        &["web"],
        "IdentityFile \"/a\\\"b\"\nIdentityFile /c\\ d\nIdentityFile /e\\f\nIdentityFile /g\\\\h\n",
    ),
    alone(
        "patterns of Host",
        &["web01", "web1", "db", "db.example.com", "example.com", "WEB01"],
        "Host web??\nPort 1\nHost web?\nPort 2\nHost *.example.com\nPort 3\nHost d*\nPort 4\n",
    ),
    alone("several patterns of Host", &["a", "b", "c"], "Host a b\nPort 2022\nHost \"c\"\nPort 2023\n"),
    alone("a comma is no separator for Host", &["a", "b"], "Host a,b\nPort 2022\n"),
    alone("a negated pattern of Host excludes", &["web", "db"], "Host * !web\nPort 2022\nHost !db *\nUser u\n"),
    alone("negated patterns of Host alone match nothing", &["web", "db"], "Host !web\nPort 2022\n"),
    alone(
        "Host looks at the name as given, not at HostName",
        &["web"],
        "HostName real\nHost real\nPort 1\nHost web\nPort 2022\n",
    ),
    alone(
        "the body of a Match that fails does not leak",
        &["web"],
        "Host web\nPort 2022\nMatch host db\nUser leaked\nIdentityFile /leaked\nProxyCommand leaked\n",
    ),
    alone("Match host sees HostName", &["web", "db"], "Host web\nHostName db\nMatch host db\nPort 2022\n"),
    alone(
        "Match host sees HostName with %h",
        &["web"],
        "HostName %h.example.com\nMatch host web.example.com\nPort 2022\n",
    ),
    alone("Match host does not look at case", &["WEB"], "Match host web\nPort 2022\nMatch originalhost Web\nUser u\n"),
    alone("Match host takes a list", &["a", "b", "c"], "Match host a,b\nPort 2022\nMatch host *,!a\nUser u\n"),
    alone(
        "Match originalhost sees the name as given",
        &["web"],
        "HostName db\nMatch originalhost db\nPort 1\nMatch originalhost web\nPort 2022\n",
    ),
    alone(
        "Match user sees the user so far",
        &["web", "root@web", "db"],
        "Host db\nUser git\nMatch user git\nPort 1\nMatch user root\nPort 2\n",
    ),
    alone(
        "Match localuser sees the local user",
        &["root@web"],
        "Match localuser nobody-at-all\nPort 1\nMatch localuser *\nPort 2022\n",
    ),
    alone("Match all applies to all and ends a block", &["web"], "Host db\nPort 1\nMatch all\nPort 2022\n"),
    alone("Match !all applies to none", &["web"], "Match !all\nPort 1\n"),
    alone(
        "conditions of Match are joined by and",
        &["web", "db"],
        "Match host web user nobody\nPort 1\nMatch host web,db !user nobody\nPort 2022\n",
    ),
    alone(
        "conditions of Match can be negated",
        &["web", "db"],
        "Match !host web\nPort 2022\nMatch !originalhost db\nUser u\n",
    ),
    alone("Match conditions may be written with =", &["web"], "Match host=web\nPort 2022\n"),
    alone("Match conditions do not look at case", &["web"], "Match HOST web\nPort 2022\n"),
    alone(
        "Match exec asks a command",
        &["web"],
        "Match exec true\nPort 2022\nMatch exec false\nUser u\nMatch !exec false\nConnectTimeout 7\n",
    ),
    alone("Match exec goes through a shell", &["web"], "Match exec \"test -d / && exit 0\"\nPort 2022\n"),
    alone(
        "Match exec expands tokens",
        &["web", "db"],
        "HostName %h.example.com\nPort 2022\nMatch exec \"test %h:%n:%p = web.example.com:web:2022\"\nUser found\n",
    ),
    alone(
        "Match exec is not run after a condition that failed",
        &["web"],
        "Match host db exec \"touch {dir}/ran\"\nPort 1\nMatch exec \"test -e {dir}/ran\"\nPort 2\nMatch all\nPort 3\n",
    ),
    alone("Match exec sees the environment", &["web"], "Match exec \"test $FLEET_TEST = here\"\nPort 2022\n"),
    alone(
        "Match final applies in the second pass",
        &["web"],
        "Match final\nPort 2022\nUser late\nMatch all\nPort 2023\n",
    ),
    alone("Match final can have conditions", &["web", "db"], "Match final host web\nPort 2022\n"),
    alone("Match final all is final", &["web"], "Match final all\nPort 2022\n"),
    alone("Match canonical without final does not apply", &["web"], "Match canonical\nPort 1\n"),
    alone("Match canonical applies in the second pass", &["web"], "Match canonical\nPort 2022\nMatch final\nUser u\n"),
    alone("Match !canonical applies in the first pass", &["web"], "Match !canonical\nPort 2022\n"),
    alone(
        "in the second pass Host sees HostName",
        &["web"],
        "Host web\nHostName Real.example\nHost real.example\nPort 2022\nMatch final\nUser u\n",
    ),
    alone(
        "the second pass keeps what the first one found",
        &["web"],
        "Host web\nHostName real\nUser first\nHost real\nUser second\nHostName other\n\
         Match final host real\nPort 2022\n",
    ),
    alone(
        "the second pass adds identity files once",
        &["web"],
        "IdentityFile /a\nMatch final\nIdentityFile /b\nSendEnv A\n",
    ),
    alone(
        "CanonicalizeHostname asks for the second pass",
        &["web"],
        "CanonicalizeHostname yes\nMatch canonical\nPort 2022\n",
    ),
    with_files(
        "an included file stands in place",
        &["web", "db"],
        "Host web\nInclude {dir}/a\nPort 1\n",
        &[("a", "Port 2022\n")],
    ),
    with_files(
        "an included file may have blocks of its own",
        &["web", "db"],
        "Include {dir}/a\nUser u\n",
        &[("a", "Host db\nPort 1\nHost web\nPort 2022\n")],
    ),
    with_files(
        "blocks of an included file end with it",
        &["web", "other"],
        "Include {dir}/a\nPort 3\n",
        &[("a", "Host other\nPort 1\n")],
    ),
    with_files(
        "a file included in a block that fails says nothing",
        &["web", "db"],
        "Host db\nInclude {dir}/a\nHost *\nPort 3\n",
        &[("a", "Host web\nPort 1\nMatch all\nPort 2\n")],
    ),
    with_files(
        "Include works within Match",
        &["web", "db", "x"],
        "Match host web\nInclude {dir}/a\nUser u\nMatch host db\nInclude {dir}/b\n",
        &[("a", "Match host *\nPort 1\n"), ("b", "Port 2\n")],
    ),
    with_files(
        "Include takes patterns, in order",
        &["web"],
        "Include {dir}/d/*.conf {dir}/d/[x]y\n",
        &[
            ("d/2.conf", "Port 2\nUser two\n"),
            ("d/1.conf", "Port 1\n"),
            ("d/.0.conf", "Port 3\n"),
            ("d/xy", "ConnectTimeout 3\n"),
        ],
    ),
    with_files("Include of nothing is fine", &["web"], "Include {dir}/none {dir}/*.none\nPort 2022\n", &[]),
    with_files(
        "Include may be nested",
        &["web", "db"],
        "Include {dir}/a\n",
        &[("a", "Host web\nInclude {dir}/b\n"), ("b", "Match user *\nInclude {dir}/c\nPort 2\n"), ("c", "Port 1\n")],
    ),
    with_files(
        "Include finds several files on a line",
        &["web"],
        "Include \"{dir}/a b\" {dir}/c\n",
        &[("a b", "Port 1\n"), ("c", "Port 2\nUser u\n")],
    ),
    with_files(
        "Match final in an included file counts",
        &["web", "db"],
        "Host web\nInclude {dir}/a\n",
        &[("a", "Match final\nPort 2022\n")],
    ),
    alone("HostName is in lower case", &["web"], "HostName Real.Example.COM\n"),
    alone("HostName expands %h and %%", &["web"], "HostName %h.a%%b\n"),
    alone("an address keeps its usual form", &["web"], "HostName ::0001\n"),
    alone(
        "IdentityFile accumulates without doubles",
        &["web"],
        "IdentityFile /a\nHost web\nIdentityFile ~/.ssh/b\nIdentityFile /a\nHost *\nIdentityFile /c\n",
    ),
    alone("IdentityFile none means none", &["web"], "IdentityFile none\n"),
    alone(
        "IdentityFile expands tokens and variables",
        &["me@web"],
        "HostName real\nIdentityFile ~/%n-%h-%p-%r\nIdentityFile %d/${FLEET_TEST}\n",
    ),
    alone("CertificateFile accumulates", &["web"], "CertificateFile /a\nCertificateFile /b\nCertificateFile /a\n"),
    alone("IdentitiesOnly and IdentityAgent", &["web"], "IdentitiesOnly yes\nIdentityAgent ~/agent-%n\n"),
    alone("IdentityAgent with a variable", &["web"], "IdentityAgent ${FLEET_TEST}/agent\n"),
    alone(
        "known_hosts files: a list, tokens",
        &["web"],
        "UserKnownHostsFile ~/a \"/b c\" /%k/%h/%n/%u/%i\nGlobalKnownHostsFile /g /h\n",
    ),
    alone(
        "known_hosts files: the first line wins as a whole",
        &["web"],
        "UserKnownHostsFile /a\nUserKnownHostsFile /b /c\n",
    ),
    alone("known_hosts files: none", &["web"], "UserKnownHostsFile none\nGlobalKnownHostsFile none\n"),
    alone("%C is a hash of the connection", &["me@web"], "HostName real\nPort 2022\nUserKnownHostsFile /%C\n"),
    alone("%l and %L are names of this machine", &["web"], "UserKnownHostsFile /%l/%L/%d\n"),
    alone("HostKeyAlias is in lower case, also as %k", &["web"], "HostKeyAlias The-Alias\nUserKnownHostsFile /%k\n"),
    alone(
        "StrictHostKeyChecking",
        &["a", "b", "c", "d", "e", "f"],
        "Host a\nStrictHostKeyChecking yes\nHost b\nStrictHostKeyChecking no\nHost c\n\
         StrictHostKeyChecking accept-new\nHost d\nStrictHostKeyChecking OFF\nHost e\nStrictHostKeyChecking ask\n",
    ),
    alone(
        "ProxyJump, plain and with user and port",
        &["a", "b", "c"],
        "Host a\nProxyJump gate\nHost b\nProxyJump me@gate:2022\nHost c\nProxyJump ssh://me@gate:2022\n",
    ),
    alone("ProxyJump chains", &["web"], "ProxyJump me@one:1,two,three@[::1]:3\n"),
    alone("ProxyJump none", &["web", "db"], "Host web\nProxyJump none\nHost *\nProxyJump gate\n"),
    alone(
        "ProxyCommand is the rest of the line",
        &["me@web"],
        "HostName real\nProxyCommand nc -X 5 \"%h\" %p %r %n %% # all\n",
    ),
    alone("ProxyCommand none", &["web", "db"], "Host web\nProxyCommand none\nHost *\nProxyCommand nc %h %p\n"),
    alone("ProxyJump before ProxyCommand wins", &["web"], "ProxyJump gate\nProxyCommand nc %h %p\n"),
    alone("ProxyCommand before ProxyJump wins", &["web"], "ProxyCommand nc %h %p\nProxyJump gate\n"),
    alone(
        "ProxyJump none is no word about ProxyCommand",
        &["web"],
        "ProxyJump none\nProxyCommand nc %h %p\nProxyJump gate\n",
    ),
    alone("ProxyCommand none before ProxyJump wins", &["web"], "ProxyCommand none\nProxyJump gate\n"),
    alone("ProxyCommand may follow =", &["web"], "ProxyCommand = nc -x=1 %h %p\n"),
    alone(
        "times",
        &["a", "b", "c", "d", "e"],
        "Host a\nConnectTimeout 1m\nHost b\nConnectTimeout 1h30m5\nHost c\nConnectTimeout none\n\
         Host d\nConnectTimeout 0\nHost *\nServerAliveInterval 2M\n",
    ),
    alone("a time of none leaves the next line its turn", &["web"], "ConnectTimeout none\nConnectTimeout 5\n"),
    alone("numbers", &["web"], "ConnectionAttempts 4\nServerAliveCountMax 0\nNumberOfPasswordPrompts 1\n"),
    alone(
        "SendEnv accumulates and takes back",
        &["web"],
        "SendEnv LANG LC_*\nSendEnv A B\nHost web\nSendEnv -LC_* -L*\nSendEnv C\n",
    ),
    alone("the first SetEnv line wins as a whole", &["web"], "SetEnv A=1 B=\"two words\" A=3\nSetEnv C=4\n"),
    alone("SetEnv quotes", &["web"], "SetEnv \"A=one two\" B=x=y C=\n"),
    alone(
        "flags in every form",
        &["web"],
        "Compression YES\nBatchMode true\nServerAliveInterval 9\nHashKnownHosts yes\n\
         TCPKeepAlive no\nPasswordAuthentication false\n",
    ),
    alone(
        "authentication",
        &["web"],
        "PubkeyAuthentication no\nKbdInteractiveAuthentication no\nPreferredAuthentications publickey,password\n",
    ),
    alone(
        "older names of keywords",
        &["web"],
        "ChallengeResponseAuthentication no\nPubkeyAcceptedKeyTypes ssh-ed25519\nKeepAlive no\n",
    ),
    alone("address family and local address", &["web"], "AddressFamily inet6\nBindAddress 127.0.0.9\n"),
    alone("agent forwarding", &["a", "b"], "Host a\nForwardAgent yes\nHost *\nForwardAgent no\n"),
    alone(
        "algorithms, a list",
        &["web"],
        "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n\
         HostKeyAlgorithms ssh-ed25519\n",
    ),
    alone("algorithms, appended", &["web"], "Ciphers +aes128-cbc\nPubkeyAcceptedAlgorithms +ssh-rsa\n"),
    alone("algorithms, removed", &["web"], "Ciphers -aes*-ctr\nMACs -*sha1*,umac-64*\nKexAlgorithms -diffie-*\n"),
    alone(
        "algorithms, put first",
        &["web"],
        "Ciphers ^aes256-gcm@openssh.com\nHostKeyAlgorithms ^ssh-ed25519\nCASignatureAlgorithms ^rsa-sha2-512\n",
    ),
    alone("LogLevel", &["web"], "LogLevel error\n"),
    alone("IgnoreUnknown", &["web"], "IgnoreUnknown Use*,foo\nUseKeychain yes\nFoo bar\nPort 2022\n"),
    Case {
        behaviour: "an option comes before the file",
        config: Some("Port 2022\nUser file\nIdentityFile /file\n"),
        files: &[],
        options: &["Port=2023", "User cli", "IdentityFile = /cli", "ProxyCommand=nc %h %p"],
        hosts: &["web"],
    },
    Case {
        behaviour: "an option can be seen by Match",
        config: Some("Match user cli\nPort 2022\n"),
        files: &[],
        options: &["User=cli"],
        hosts: &["web"],
    },
    Case {
        behaviour: "the user and port of the host come before the file",
        config: Some("Port 2022\nUser file\nMatch user given\nConnectTimeout 3\n"),
        files: &[],
        options: &[],
        hosts: &["given@web:2024"],
    },
];

/// What both must refuse.
const REFUSED: &[Case] = &[
    alone("a keyword without a value", &["web"], "Port\n"),
    alone("a keyword with = alone", &["web"], "Port =\n"),
    alone("an empty value", &["web"], "User \"\"\n"),
    alone("a bad port", &["web"], "Port 99999\n"),
    alone("port 0", &["web"], "Port 0\n"),
    alone("a bad port in a block of another host", &["web"], "Host db\nPort twenty\n"),
    alone("a quote that never ends", &["web"], "User \"me\n"),
    alone("a quote that never ends in a command", &["web"], "ProxyCommand nc \"%h\n"),
    alone("a flag that is none", &["web"], "BatchMode maybe\n"),
    alone("compression of true", &["web"], "Compression true\n"),
    alone("a bad time", &["web"], "ConnectTimeout 5x\n"),
    alone("a bad number", &["web"], "ServerAliveCountMax many\n"),
    alone("no attempts", &["web"], "ConnectionAttempts 0\n"),
    alone("words after the value", &["web"], "Port 22 23\n"),
    alone("a bad address family", &["web"], "AddressFamily ipv6\n"),
    alone("a bad host key policy", &["web"], "StrictHostKeyChecking sometimes\n"),
    alone("a bad jump host", &["web"], "ProxyJump a:b:c:\n"),
    alone("a bad port of a jump host", &["web"], "Host db\nProxyJump a:99999\n"),
    alone("a jump host that is the host", &["web"], "ProxyJump web\n"),
    alone("none among known_hosts files", &["web"], "UserKnownHostsFile /a none\n"),
    alone("a value in SendEnv", &["web"], "SendEnv A=1\n"),
    alone("a name without value in SetEnv", &["web"], "SetEnv A\n"),
    alone("Host without patterns", &["web"], "Host\n"),
    alone("Host with an empty pattern", &["web"], "Host \"\" web\n"),
    alone("Match without conditions", &["web"], "Match\n"),
    alone("Match with an unknown condition", &["web"], "Match hostname web\n"),
    alone("Match with a condition without value", &["web"], "Match host\n"),
    alone("Match all before other conditions", &["web"], "Match all host web\n"),
    alone("Include without files", &["web"], "Include\n"),
    alone("a token that HostName does not know", &["web"], "HostName %n\n"),
    alone("a token that does not exist", &["web"], "UserKnownHostsFile /%Z\n"),
    alone("a percent sign at the end", &["web"], "UserKnownHostsFile /%\n"),
    alone("a variable that is not set", &["web"], "IdentityAgent ${FLEET_TEST_UNSET}\n"),
    alone("a user that does not exist", &["web"], "UserKnownHostsFile ~fleet-no-such-user/a\n"),
    alone("Match exec that ends by a signal", &["web"], "Match exec \"kill -9 $$\"\nPort 1\n"),
    with_files("a file that includes itself", &["web"], "Include {dir}/a\n", &[("a", "Host db\nInclude {dir}/a\n")]),
    with_files(
        "a bad line in an included file of another host",
        &["web"],
        "Host db\nInclude {dir}/a\n",
        &[("a", "Port x\n")],
    ),
    with_files("an included file that everybody can write", &["web"], "Include {dir}/a\n", &[("a!", "Port 1\n")]),
    Case { behaviour: "Host as an option", config: Some(""), files: &[], options: &["Host=web"], hosts: &["web"] },
    Case { behaviour: "a bad option", config: Some(""), files: &[], options: &["Port=x"], hosts: &["web"] },
    Case { behaviour: "a file that is not there", config: None, files: &[], options: &[], hosts: &["web"] },
];

#[test]
fn every_agreed_configuration_means_what_ssh_says() {
    let oracle = Oracle::new();
    let mut differences = Vec::new();
    for case in AGREED {
        let folder = oracle.write(case);
        for host in case.hosts {
            let theirs = oracle.ask(folder.path(), case, host);
            let theirs = theirs.unwrap_or_else(|error| panic!("{}: ssh refuses {host}: {error}", case.behaviour));
            let ours = oracle.resolve(folder.path(), case, host);
            let ours = ours.unwrap_or_else(|error| panic!("{}: we refuse {host}: {error}", case.behaviour));
            let (ours, theirs) = (oracle.describe(&ours), oracle.understand(&theirs, host));
            for (key, ours) in &ours {
                let theirs = theirs.get(key).cloned().unwrap_or_default();
                if *ours != theirs {
                    differences.push(format!("{} ({host}): {key}: ssh {theirs:?}, we {ours:?}", case.behaviour));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_broken_configuration_is_refused_by_ssh_and_by_us() {
    let oracle = Oracle::new();
    let mut taken = Vec::new();
    for case in REFUSED {
        let folder = oracle.write(case);
        for host in case.hosts {
            if oracle.ask(folder.path(), case, host).is_ok() {
                taken.push(format!("{}: ssh takes it", case.behaviour));
            }
            if oracle.resolve(folder.path(), case, host).is_ok() {
                taken.push(format!("{}: we take it", case.behaviour));
            }
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

/// Both readers, on the same user, machine and environment.
struct Oracle {
    local: LocalContext,
    /// What ssh offers without a configuration, and what it knows, by the keyword of `ssh -G`.
    names: HashMap<&'static str, (String, String)>,
}

impl Oracle {
    fn new() -> Self {
        let mut local = LocalContext::current().unwrap();
        // Where ssh looks: it knows the home folder of the password file only.
        local.home = local.homes.get(&local.user).cloned().unwrap_or(local.home);
        let path = std::env::var("PATH").unwrap();
        local.env = HashMap::from([
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), text(&local.home)),
            ("FLEET_TEST".to_owned(), "here".to_owned()),
        ]);
        let plain = Self::ssh(&local, &["-G", "-F", "none", "host"]).unwrap();
        let names = |key: &'static str| {
            let defaults = plain.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
            (key, (defaults, Self::ssh(&local, &["-Q", key]).unwrap()))
        };
        let names = HashMap::from(ALGORITHMS.map(names));
        Self { local, names }
    }

    /// What ssh prints, or what it complains about.
    fn ssh(local: &LocalContext, arguments: &[&str]) -> Result<String, String> {
        let mut ssh = Command::new("ssh");
        ssh.args(arguments).env_clear().envs(&local.env).stdin(Stdio::null());
        let output = ssh.output().expect("ssh should be installed (Debian: openssh-client)");
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(lossy(&output.stdout)) } else { Err(lossy(&output.stderr)) }
    }

    fn write(&self, case: &Case) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let config = case.config.map(|contents| ("config", contents));
        for (name, contents) in config.iter().chain(case.files) {
            let path = folder.path().join(name.trim_end_matches('!'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, contents.replace("{dir}", folder.path().to_str().unwrap())).unwrap();
            let mode = if name.ends_with('!') { 0o666 } else { 0o600 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        folder
    }

    /// The lines of `ssh -G`, or what it complains about.
    fn ask(&self, folder: &Path, case: &Case, host: &str) -> Result<String, String> {
        let host: Host = host.parse().unwrap();
        let (file, port) = (folder.join("config"), host.port().map(|port| port.to_string()));
        let mut arguments = vec!["-G", "-F", file.to_str().unwrap()];
        arguments.extend(case.options.iter().flat_map(|option| ["-o", option]));
        arguments.extend(port.iter().flat_map(|port| ["-p", port]));
        arguments.extend(host.user().iter().flat_map(|user| ["-l", user]));
        arguments.push(host.name());
        Self::ssh(&self.local, &arguments)
    }

    fn resolve(&self, folder: &Path, case: &Case, host: &str) -> Result<HostConfig, ConfigError> {
        let sources = ConfigSources {
            options: case.options.iter().map(|&option| option.to_owned()).collect(),
            file: ConfigSource::Path(folder.join("config")),
        };
        SshConfig::load(&sources, self.local.clone())?.resolve(&host.parse().unwrap(), None)
    }

    /// Brings the lines of `ssh -G` into the form of [`Oracle::describe`].
    ///
    /// It prints some values as they are in the file (`~`, tokens), writes `true` for some flags, names key files that
    /// we do not try, and doubles `SendEnv` in the second pass.
    fn understand(&self, lines: &str, host: &str) -> BTreeMap<&'static str, String> {
        let mut values: HashMap<&str, Vec<&str>> = HashMap::new();
        for (key, value) in lines.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))) {
            values.entry(key).or_default().push(value);
        }
        let single = |key: &str| values.get(key).map_or("", |found| found[0]);
        let original: Host = host.parse().unwrap();
        let raw = |text: &str| {
            let home = text.strip_prefix('~').map_or(text.to_owned(), |rest| self.home() + rest);
            let expanded = [
                ("%h", single("hostname")),
                ("%n", original.name()),
                ("%p", single("port")),
                ("%r", single("user")),
                ("%d", &self.home()),
                ("${FLEET_TEST}", "here"),
                ("%%", "%"),
            ];
            expanded.iter().fold(home, |text, (token, value)| text.replace(token, value))
        };
        let untried = ["id_xmss", "id_dsa", "id_mldsa44-ed25519", "id_mldsa44_ed25519"];
        KEYS.iter()
            .map(|&key| {
                let mut found: Vec<String> = values.get(key).into_iter().flatten().map(|value| raw(value)).collect();
                match key {
                    "identityfile" => {
                        found.retain(|path| path != "none" && !untried.iter().any(|name| path.ends_with(name)));
                    }
                    "sendenv" => {
                        let mut seen = Vec::new();
                        found.retain(|name| {
                            !seen.contains(name) && {
                                seen.push(name.clone());
                                true
                            }
                        });
                    }
                    "proxyjump" => found.iter_mut().for_each(|hops| *hops = hops.replace(['[', ']'], "")),
                    "userknownhostsfile" | "globalknownhostsfile" if found == ["none"] || found == [""] => {
                        found.clear()
                    }
                    key if ALGORITHMS.contains(&key) => {}
                    _ => found.iter_mut().for_each(|value| match value.as_str() {
                        "true" => *value = "yes".to_owned(),
                        "false" => *value = "no".to_owned(),
                        _ => {}
                    }),
                }
                (key, found.join("\n"))
            })
            .collect()
    }

    fn home(&self) -> String {
        text(&self.local.home)
    }

    /// Our values as `ssh -G` would print them, one per line.
    fn describe(&self, config: &HostConfig) -> BTreeMap<&'static str, String> {
        let flag = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        let paths =
            |paths: &[PathBuf], between: &str| paths.iter().map(|path| text(path)).collect::<Vec<_>>().join(between);
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let (jump, command) = match &config.proxy {
            Proxy::Direct => (String::new(), String::new()),
            Proxy::Command(command) => (String::new(), command.clone()),
            Proxy::Jump(hops) => {
                let hops: Vec<String> = hops.iter().map(|hop| hop.to_string().replace(['[', ']'], "")).collect();
                (hops.join(","), String::new())
            }
        };
        let set_env: Vec<String> = config.set_env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        BTreeMap::from([
            ("hostname", config.host_name.clone()),
            ("user", config.user.clone()),
            ("port", config.port.to_string()),
            ("addressfamily", family(config.address_family).to_owned()),
            ("bindaddress", optional(&config.bind_address)),
            ("proxyjump", jump),
            ("proxycommand", command),
            ("connecttimeout", config.connect_timeout.map_or("none".to_owned(), |time| time.as_secs().to_string())),
            ("connectionattempts", config.connection_attempts.to_string()),
            ("tcpkeepalive", flag(config.tcp_keep_alive)),
            ("serveraliveinterval", config.server_alive_interval.unwrap_or_default().as_secs().to_string()),
            ("serveralivecountmax", config.server_alive_count_max.to_string()),
            ("compression", flag(config.compression)),
            ("hostkeyalias", optional(&config.host_key_alias)),
            ("stricthostkeychecking", policy(config.host_key_policy).to_owned()),
            ("hashknownhosts", flag(config.hash_known_hosts)),
            ("userknownhostsfile", paths(&config.user_known_hosts, " ")),
            ("globalknownhostsfile", paths(&config.global_known_hosts, " ")),
            ("identityfile", paths(config.identity_files.paths(), "\n")),
            ("certificatefile", paths(&config.certificate_files, "\n")),
            ("identitiesonly", flag(config.identities_only)),
            ("identityagent", config.agent.as_deref().map(text).unwrap_or_default()),
            ("forwardagent", flag(config.forward_agent == ForwardAgent::Same)),
            ("preferredauthentications", config.preferred_authentications.clone().unwrap_or_default().join(",")),
            ("pubkeyauthentication", flag(config.pubkey_authentication)),
            ("passwordauthentication", flag(config.password_authentication)),
            ("kbdinteractiveauthentication", flag(config.kbd_interactive_authentication)),
            ("batchmode", flag(config.batch_mode)),
            ("sendenv", config.send_env.join("\n")),
            ("setenv", set_env.join("\n")),
            ("ciphers", self.algorithms(config.ciphers.as_ref(), "ciphers")),
            ("macs", self.algorithms(config.macs.as_ref(), "macs")),
            ("kexalgorithms", self.algorithms(config.kex_algorithms.as_ref(), "kexalgorithms")),
        ])
    }

    /// The names that `list` leaves of those that ssh offers without a configuration, among those that it knows.
    fn algorithms(&self, list: Option<&AlgorithmList>, key: &str) -> String {
        let (defaults, known) = &self.names[key];
        let (defaults, known): (Vec<_>, Vec<_>) = (defaults.split(',').collect(), known.lines().collect());
        list.map_or(defaults.join(","), |list| list.apply(&defaults, &known).join(","))
    }
}

const ALGORITHMS: [&str; 3] = ["ciphers", "macs", "kexalgorithms"];

const KEYS: [&str; 33] = [
    "hostname",
    "user",
    "port",
    "addressfamily",
    "bindaddress",
    "proxyjump",
    "proxycommand",
    "connecttimeout",
    "connectionattempts",
    "tcpkeepalive",
    "serveraliveinterval",
    "serveralivecountmax",
    "compression",
    "hostkeyalias",
    "stricthostkeychecking",
    "hashknownhosts",
    "userknownhostsfile",
    "globalknownhostsfile",
    "identityfile",
    "certificatefile",
    "identitiesonly",
    "identityagent",
    "forwardagent",
    "preferredauthentications",
    "pubkeyauthentication",
    "passwordauthentication",
    "kbdinteractiveauthentication",
    "batchmode",
    "sendenv",
    "setenv",
    "ciphers",
    "macs",
    "kexalgorithms",
];

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn family(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    }
}

fn policy(policy: StrictHostKey) -> &'static str {
    match policy {
        StrictHostKey::Yes => "yes",
        StrictHostKey::Ask => "ask",
        StrictHostKey::AcceptNew => "accept-new",
        StrictHostKey::Off => "no",
    }
}
