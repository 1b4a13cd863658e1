//! What whole configurations mean for hosts. The same against ssh(1) itself: the tests crate, `ssh_config.rs`.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use super::*;

/// A made-up user on a made-up machine.
pub(super) fn local() -> LocalContext {
    LocalContext {
        user: "me".into(),
        uid: 1000,
        home: PathBuf::from("/home/me"),
        homes: HashMap::from([("bob".into(), PathBuf::from("/home/bob"))]),
        hostname: "box.example.com".into(),
        system_folder: PathBuf::from("/none"),
        env: HashMap::from([("NAME".into(), "value".into())]),
    }
}

/// A home folder and a system folder with files in them.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            machine.write(name, text);
        }
        machine
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("{dir}", self.folder.path().to_str().unwrap())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn local(&self) -> LocalContext {
        let uid = fs::metadata(self.folder.path()).unwrap().uid();
        let mut local = LocalContext { uid, home: self.path("home"), system_folder: self.path("etc"), ..local() };
        local.env.insert("PATH".into(), std::env::var("PATH").unwrap());
        local
    }

    fn load(&self, file: ConfigSource, options: &[&str]) -> Result<SshConfig, ConfigError> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        SshConfig::load(&ConfigSources { options, file }, self.local())
    }
}

/// A configuration of one file.
fn config(text: &str) -> SshConfig {
    let machine = Machine::new(&[("config", text)]);
    machine.load(ConfigSource::Path(machine.path("config")), &[]).unwrap()
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn resolve(text: &str, name: &str) -> HostConfig {
    config(text).resolve(&host(name), None).unwrap()
}

fn keywords(config: &SshConfig) -> Vec<String> {
    config.take_notices().into_iter().map(|notice| notice.keyword).collect()
}

#[test]
fn the_users_file_comes_before_the_systems() {
    let machine = Machine::new(&[
        ("home/.ssh/config", "Include extra/*\nUser mine\n"),
        ("home/.ssh/extra/one", "Port 2022\n"),
        ("etc/ssh_config", "Include ssh_config.d/*.conf\nUser theirs\nConnectTimeout 3\nControlMaster auto\n"),
        ("etc/ssh_config.d/10.conf", "ServerAliveInterval 5\n"),
    ]);
    let config = machine.load(ConfigSource::Default, &[]).unwrap();
    let web = config.resolve(&host("web"), None).unwrap();
    assert_eq!((web.port, web.user.as_str()), (2022, "mine"));
    assert_eq!(web.connect_timeout.unwrap().as_secs(), 3);
    assert_eq!(web.server_alive_interval.unwrap().as_secs(), 5);
    assert_eq!(config.take_notices()[0].origin, Origin::System);

    let none = machine.load(ConfigSource::None, &[]).unwrap().resolve(&host("web"), None).unwrap();
    assert_eq!((none.port, none.user.as_str()), (22, "me"));
    assert_eq!(none.identity_files.paths()[3], machine.path("home/.ssh/id_ed25519"));
    assert_eq!(none.global_known_hosts[0], machine.path("etc/ssh_known_hosts"));
}

#[test]
fn files_that_are_not_there_say_nothing() {
    let machine = Machine::new(&[]);
    assert_eq!(machine.load(ConfigSource::Default, &[]).unwrap().resolve(&host("web"), None).unwrap().port, 22);
    assert!(matches!(
        machine.load(ConfigSource::Path(machine.path("none")), &[]),
        Err(ConfigError::Read { path, .. }) if path == machine.path("none")
    ));
}

#[test]
fn a_users_file_that_others_can_write_is_refused_unless_it_is_named() {
    for mode in [0o664, 0o646] {
        let machine = Machine::new(&[("home/.ssh/config", "Port 2022\n")]);
        let path = machine.path("home/.ssh/config");
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = machine.load(ConfigSource::Default, &[]).unwrap_err();
        assert!(matches!(&error, ConfigError::Permissions { path: bad } if *bad == path), "{error}");
        assert!(machine.load(ConfigSource::Path(path), &[]).is_ok());
    }
}

#[test]
fn a_users_file_of_somebody_else_is_refused() {
    let machine = Machine::new(&[("home/.ssh/config", "Port 2022\n")]);
    let owner = fs::metadata(machine.path("home")).unwrap().uid();
    let local = LocalContext { uid: owner + 1, ..machine.local() };
    let loaded = SshConfig::load(&ConfigSources::default(), local);
    // What is root's own is good for everybody.
    assert_eq!(loaded.is_ok(), owner == 0);
}

#[test]
fn a_broken_line_names_its_file_and_number() {
    for (text, line, part) in [
        ("Port x\n", 1, "Port: expected a port from 1 to 65535, found \"x\""),
        ("\n\n  port\n", 3, "port: expected a port from 1 to 65535, found nothing"),
        ("Host web\nUser \"me\n", 2, "expected a closing quote"),
        ("# a\nBatchMode maybe\n", 2, "BatchMode: expected yes or no, found \"maybe\""),
        ("Match hst web\n", 1, "Match: expected conditions: all, final"),
        ("Include ~nobody-there/x\n", 1, "expected a user after the tilde"),
        ("\u{feff}Host web\n", 1, "byte order mark"),
    ] {
        let machine = Machine::new(&[("config", text)]);
        let path = machine.path("config");
        let error = machine.load(ConfigSource::Path(path.clone()), &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:{line}: ", path.display())), "{error}");
        assert!(error.contains(part), "{error}");
    }
    let error = Machine::new(&[]).load(ConfigSource::None, &["Port=x"]).unwrap_err().to_string();
    assert!(error.starts_with("option \"Port=x\": Port: expected a port"), "{error}");
}

#[test]
fn bytes_that_are_no_text_are_fine_in_comments_only() {
    let machine = Machine::new(&[]);
    let path = machine.path("config");
    fs::write(&path, b"# caf\xe9\nPort 2022\n").unwrap();
    assert!(machine.load(ConfigSource::Path(path.clone()), &[]).is_ok());
    fs::write(&path, b"User caf\xe9\n").unwrap();
    let error = machine.load(ConfigSource::Path(path), &[]).unwrap_err().to_string();
    assert!(error.ends_with("config:1: expected text in UTF-8"), "{error}");
}

#[test]
fn files_are_read_once_for_all_hosts() {
    let machine = Machine::new(&[("config", "Include {dir}/*.conf\n"), ("a.conf", "Port 2022\n")]);
    let config = machine.load(ConfigSource::Path(machine.path("config")), &[]).unwrap();
    for file in ["config", "a.conf"] {
        fs::remove_file(machine.path(file)).unwrap();
    }
    assert_eq!(config.resolve(&host("web"), None).unwrap().port, 2022);
}

#[test]
fn include_expands_tokens_per_host_and_reads_each_file_once() {
    let machine = Machine::new(&[
        ("config", "Include {dir}/%n.conf {dir}/${NAME}\n"),
        ("web.conf", "Port 2022\n"),
        ("db.conf", "Match final\nPort 2023\n"),
        ("value", "User found\n"),
    ]);
    let config = machine.load(ConfigSource::Path(machine.path("config")), &[]).unwrap();
    let port = |name| config.resolve(&host(name), None).unwrap().port;
    assert_eq!((port("web"), port("db"), port("other")), (2022, 2023, 22));
    assert_eq!(config.resolve(&host("other"), None).unwrap().user, "found");
    fs::remove_file(machine.path("web.conf")).unwrap();
    assert_eq!(port("web"), 2022);
}

#[test]
fn includes_that_lead_to_each_other_are_refused() {
    for (a, b) in [("Include {dir}/b\n", "Host x\nInclude {dir}/a\n"), ("Include {dir}/%u\n", "")] {
        let machine = Machine::new(&[("a", a), ("b", b), ("me", "Include {dir}/%u\n")]);
        let loaded = machine.load(ConfigSource::Path(machine.path("a")), &[]);
        let error = loaded.and_then(|config| config.resolve(&host("web"), None)).unwrap_err();
        assert!(matches!(error, ConfigError::IncludeDepth { limit: 16, .. }), "{error}");
    }
}

#[test]
fn each_unsupported_keyword_is_named_once_and_only_where_it_applies() {
    let config = config(
        "Host web\nControlPath /a\ncontrolpath /b\nLocalForward 1 a:1\n\
         Host db\nControlPath /c\nVisualHostKey yes\nForwardX11 no\nHost other\nTunnel yes\n",
    );
    config.resolve(&host("web"), None).unwrap();
    assert_eq!(keywords(&config), ["ControlPath", "LocalForward"]);
    config.resolve(&host("web"), None).unwrap();
    config.resolve(&host("db"), None).unwrap();
    let notices = config.take_notices();
    assert_eq!(notices.len(), 1);
    let notice = notices[0].to_string();
    assert!(notice.contains("config:7: VisualHostKey has no effect: "), "{notice}");
}

#[test]
fn the_first_line_of_an_unsupported_keyword_decides_whether_it_is_named() {
    let config = config("GSSAPIAuthentication no\nGSSAPIAuthentication yes\n");
    config.resolve(&host("web"), None).unwrap();
    assert_eq!(keywords(&config), Vec::<String>::new());
}

#[test]
fn an_unknown_keyword_is_named_with_its_line_unless_it_is_ignored() {
    let text = "Prot 22\nUseKeychain yes\nIgnoreUnknown use*,FOO\nUseKeychain\nFoo \"\n";
    let config = config(text);
    config.resolve(&host("web"), None).unwrap();
    let notices: Vec<String> = config.take_notices().iter().map(Notice::to_string).collect();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].ends_with("config:1: Prot has no effect: it is not an ssh_config option"), "{notices:?}");
    assert!(notices[1].contains("config:2: UseKeychain"), "{notices:?}");
}

#[test]
fn a_block_with_an_unsupported_condition_applies_to_no_host_and_is_named() {
    let config = config("Match !localnetwork 10.0.0.0/8\nPort 1\nMatch host db version 10*\nPort 2\n");
    assert_eq!(config.resolve(&host("web"), None).unwrap().port, 22);
    assert_eq!(keywords(&config), ["localnetwork"]);
    assert_eq!(config.resolve(&host("db"), None).unwrap().port, 22);
    assert_eq!(keywords(&config), ["version"]);
}

#[test]
fn tags_are_matched() {
    let text = "Host web\nTag blue\nTag red\nMatch tagged b*\nPort 1\nMatch tagged \"\"\nPort 2\n\
                Match !tagged red\nUser u\n";
    assert_eq!(resolve(text, "web").port, 1);
    assert_eq!(resolve(text, "db").port, 2);
    assert_eq!(resolve(text, "web").user, "u");
}

#[test]
fn refuse_connection_refuses_the_hosts_it_applies_to() {
    let config = config("Host db\nRefuseConnection \"ask first\"\n");
    assert!(config.resolve(&host("web"), None).is_ok());
    let error = config.resolve(&host("db"), None).unwrap_err().to_string();
    assert!(error.ends_with("config:2: the configuration refuses the connection: ask first"), "{error}");
}

#[test]
fn user_and_set_env_expand_tokens_but_a_given_user_does_not() {
    let text = "User %u-%n\nSetEnv WHO=%r AT=${NAME}\n";
    let web = resolve(text, "web");
    assert_eq!(web.user, "me-web");
    assert_eq!(web.set_env, [("WHO".into(), "me-web".into()), ("AT".into(), "value".into())]);
    assert_eq!(resolve(text, "a%b@web").user, "a%b");
}

#[test]
fn a_match_exec_runs_once_for_equal_commands() {
    let machine = Machine::new(&[(
        "config",
        "Match exec \"echo %r >> {dir}/runs\"\nPort 2022\nMatch exec \"echo %r >> {dir}/runs\"\nMatch final\n",
    )]);
    let config = machine.load(ConfigSource::Path(machine.path("config")), &[]).unwrap();
    for name in ["a@web", "a@db", "b@web", "a@web"] {
        assert_eq!(config.resolve(&host(name), None).unwrap().port, 2022);
    }
    assert_eq!(fs::read_to_string(machine.path("runs")).unwrap(), "a\nb\n");
}

#[test]
fn a_match_exec_without_a_shell_names_the_line() {
    let machine = Machine::new(&[("config", "\nMatch exec true\n")]);
    let mut local = machine.local();
    local.env.insert("SHELL".into(), "/none/sh".into());
    let sources = ConfigSources { file: ConfigSource::Path(machine.path("config")), ..Default::default() };
    let error = SshConfig::load(&sources, local).unwrap().resolve(&host("web"), None).unwrap_err().to_string();
    assert!(error.contains("config:2: Match exec \"true\": cannot run the shell /none/sh: "), "{error}");
}

#[test]
fn a_route_is_the_chain_of_jump_hosts_with_settings_of_their_own() {
    let machine = Machine::new(&[(
        "config",
        "Host outer\nPort 1\nProxyCommand nc %h %p\nHost gate\nProxyJump ops@outer\nUser g\n\
         Host inner\nProxyJump ignored\nHostName inner.example\nHost web\nProxyJump gate,inner:7\nUser w\n",
    )]);
    let config = machine.load(ConfigSource::Path(machine.path("config")), &["Port=9", "User=cli"]).unwrap();
    let route = config.route(&host("web"), None, &Endpoints::default()).unwrap();
    let servers: Vec<_> =
        route.iter().map(|server| format!("{}@{}:{}", server.user, server.host_name, server.port)).collect();
    assert_eq!(servers, ["ops@outer:1", "g@gate:22", "me@inner.example:7", "cli@web:9"]);
    assert_eq!(route[0].proxy, Proxy::Command("nc outer 1".into()));
    assert_eq!(route[1].proxy, Proxy::Jump(vec![host("ops@outer")]));
    assert_eq!(route[2].proxy, Proxy::Jump(vec![host("gate")]));
    assert_eq!(route[3].proxy, Proxy::Jump(vec![host("gate"), host("inner:7")]));
}

#[test]
fn what_is_known_of_a_host_comes_before_the_files_and_patterns_match_its_name_or_address() {
    let endpoint = Endpoint {
        address: Some("10.1.2.3".into()),
        port: Some(2200),
        user: Some("ubuntu".into()),
        host_key_alias: Some("i-0abc".into()),
    };
    let server = |text: &str, name: &str| {
        let route = config(text).route(&host(name), Some(&endpoint), &Endpoints::default()).unwrap();
        let alias = route.last().unwrap().host_key_alias.clone().unwrap_or_default();
        let servers = route.iter().map(|server| format!("{}@{}:{}", server.user, server.host_name, server.port));
        format!("{} {alias}", servers.collect::<Vec<_>>().join(" "))
    };
    for (text, name, expected) in [
        ("", "web", "ubuntu@10.1.2.3:2200 i-0abc"),
        ("", "me@web:22", "me@10.1.2.3:22 i-0abc"),
        ("Host web\nUser x\nPort 1\nHostName y\n", "web", "ubuntu@10.1.2.3:2200 i-0abc"),
        ("Host web\nProxyJump n@gate\nHost 10.1.*\nProxyJump a@gate\n", "web", "n@gate:22 ubuntu@10.1.2.3:2200 i-0abc"),
        ("Host 10.1.*\nProxyJump a@gate\n", "web", "a@gate:22 ubuntu@10.1.2.3:2200 i-0abc"),
        ("Host 10.2.*\nProxyJump a@gate\n", "web", "ubuntu@10.1.2.3:2200 i-0abc"),
        ("Match host 10.1.2.3\nHostKeyAlias mine\n", "web", "ubuntu@10.1.2.3:2200 mine"),
        ("Match originalhost web\nHostKeyAlias mine\n", "web", "ubuntu@10.1.2.3:2200 mine"),
    ] {
        assert_eq!(server(text, name), expected, "{text}");
    }
    let machine = Machine::new(&[]);
    let options = machine.load(ConfigSource::None, &["HostName=there", "User=cli"]).unwrap();
    let config = options.resolve(&host("web"), Some(&endpoint)).unwrap();
    assert_eq!((config.host_name.as_str(), config.user.as_str()), ("there", "cli"));
}

#[test]
fn jump_hosts_that_lead_to_each_other_are_refused() {
    for text in ["Host *\nProxyJump gate\n", "Host gate\nProxyJump web\nHost web\nProxyJump gate\n"] {
        let error = config(text).route(&host("web"), None, &Endpoints::default()).unwrap_err().to_string();
        assert!(error.contains("jump host loop via "), "{error}");
    }
    assert_eq!(
        config("Host !gate *\nProxyJump gate\n").route(&host("web"), None, &Endpoints::default()).unwrap().len(),
        2
    );
}

#[test]
fn jump_hosts_expand_tokens() {
    assert_eq!(resolve("ProxyJump %r@gate-%n:2\n", "deploy@web").proxy, Proxy::Jump(vec![host("deploy@gate-web:2")]));
}

#[test]
fn agents_are_found_by_path_variable_or_the_usual_way() {
    for (text, agent) in [
        ("", Some("/run/agent")),
        ("IdentityAgent none\n", None),
        ("IdentityAgent SSH_AUTH_SOCK\n", Some("/run/agent")),
        ("IdentityAgent /other\n", Some("/other")),
        ("IdentityAgent $OTHER\n", Some("/variable")),
        ("IdentityAgent ${OTHER}/x\n", Some("/variable/x")),
        ("IdentityAgent $UNSET\n", None),
    ] {
        let machine = Machine::new(&[("config", text)]);
        let mut local = machine.local();
        local.env.insert("SSH_AUTH_SOCK".into(), "/run/agent".into());
        local.env.insert("OTHER".into(), "/variable".into());
        let sources = ConfigSources { file: ConfigSource::Path(machine.path("config")), ..Default::default() };
        let config = SshConfig::load(&sources, local).unwrap();
        assert_eq!(config.resolve(&host("web"), None).unwrap().agent, agent.map(PathBuf::from), "{text}");
    }
}

#[test]
fn agent_forwarding_is_off_the_same_agent_or_a_socket() {
    for (text, expected) in [
        ("", ForwardAgent::No),
        ("ForwardAgent no\nForwardAgent /a\n", ForwardAgent::No),
        ("ForwardAgent Yes\n", ForwardAgent::Same),
        ("ForwardAgent /a/%n\n", ForwardAgent::Socket(Some("/a/web".into()))),
        ("ForwardAgent $NAME\n", ForwardAgent::Socket(Some("value".into()))),
        ("ForwardAgent $UNSET\n", ForwardAgent::Socket(None)),
    ] {
        assert_eq!(resolve(text, "web").forward_agent, expected, "{text}");
    }
}

#[test]
fn the_environment_to_send_is_what_matches_and_what_is_set() {
    let env = HashMap::from(["LANG", "LC_ALL", "HOME"].map(|name| (name.to_owned(), name.to_lowercase())));
    let web = resolve("SendEnv LANG LC_*\nSetEnv LANG=C FOO=1\n", "web");
    let expected = [("FOO", "1"), ("LANG", "C"), ("LC_ALL", "lc_all")];
    assert_eq!(web.environment(&env), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn named_and_default_identity_files_are_told_apart() {
    assert!(matches!(resolve("", "web").identity_files, IdentityFiles::Default(paths) if paths.len() == 5));
    assert_eq!(resolve("IdentityFile none\n", "web").identity_files, IdentityFiles::Named(Vec::new()));
    assert_eq!(
        resolve("IdentityFile ~bob/k\n", "web").identity_files,
        IdentityFiles::Named(vec!["/home/bob/k".into()])
    );
}

#[test]
fn what_cannot_be_expanded_fails_for_the_host_and_names_the_line() {
    let config = config("Host web\nIdentityFile ${UNSET}/key\n");
    assert!(config.resolve(&host("db"), None).is_ok());
    let error = config.resolve(&host("web"), None).unwrap_err().to_string();
    assert!(error.contains("config:2: expected the environment variable UNSET to be set"), "{error}");
}

#[test]
fn the_hosts_are_those_that_host_lines_name_in_full() {
    let machine = Machine::new(&[
        (
            "home/.ssh/config",
            "Include more/*\nHost b a 10.0.0.1\nHost web* c !d\n  Include inner\nMatch host e\nHost a f\n",
        ),
        ("home/.ssh/more/1", "Host g\n"),
        ("home/.ssh/inner", "Host h ?\n"),
        ("etc/ssh_config", "Host i\nInclude %h\n"),
    ]);
    let names = machine.load(ConfigSource::Default, &["Port=1"]).unwrap().host_names().unwrap();
    let shown = |(name, place): &(String, String)| {
        let place = place.rsplit('/').next().unwrap_or_default();
        format!("{name}={place}")
    };
    assert_eq!(
        names.iter().map(shown).collect::<Vec<_>>().join(" "),
        "g=1:1 10.0.0.1=config:2 a=config:2 b=config:2 c=config:3 h=inner:1 f=config:6 i=ssh_config:1"
    );
}

#[test]
fn a_jump_host_that_somebody_knows_is_reached_where_it_is() {
    let endpoint = Endpoint {
        address: Some("10.0.0.9".into()),
        port: Some(2200),
        user: Some("ubuntu".into()),
        host_key_alias: Some("i-9".into()),
    };
    let known: Endpoints = [(host("gate"), endpoint)].into_iter().collect();
    for (text, reached) in [
        ("Host web\nProxyJump gate\n", "ubuntu@10.0.0.9:2200 i-9"),
        ("Host web\nProxyJump me@gate:22\n", "me@10.0.0.9:22 i-9"),
        ("Host web\nProxyJump other,gate\n", "ubuntu@10.0.0.9:2200 i-9"),
    ] {
        let route = config(text).route(&host("web"), None, &known).unwrap();
        let gate = &route[route.len() - 2];
        let alias = gate.host_key_alias.clone().unwrap_or_default();
        assert_eq!(format!("{}@{}:{} {alias}", gate.user, gate.host_name, gate.port), reached, "{text}");
    }
    let route = config("Host web\nProxyJump other\n").route(&host("web"), None, &known).unwrap();
    assert_eq!(route[0].host_name, "other");
}
