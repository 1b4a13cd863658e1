//! What there is to say about this machine: settings, configuration, keys, limits, folders.
//!
//! Looks and changes nothing. Must not contact the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleet_core::descriptors::{Headroom, headroom};
use fleet_core::inventory;
use fleet_ssh::config::{ConfigError, Notice, Origin};
use fleet_ssh::{AgentKey, Connector, KeyFileState};
use fleet_tool::cli::{Examined, Failure};
use rustix::fs::{Access, access};

use super::finding::{Check, Finding, Level};

/// `MaxAuthTries` of sshd, unless configured: the keys that one login may try.
const KEYS_PER_LOGIN: usize = 6;

/// What is wrong, and what to do about it.
pub(super) fn failed(check: Check, failure: &Failure) -> Finding {
    let finding = Finding::problem(check, failure.text());
    match failure.advice() {
        Some(advice) => finding.advice(advice),
        None => finding,
    }
}

/// Settings files and variables.
pub(super) fn settings(examined: &Examined) -> Vec<Finding> {
    let failures = examined.settings_failures.iter().map(|failure| failed(Check::Settings, failure));
    let mut findings: Vec<_> = failures.collect();
    let remarks = examined.remarks.iter().map(|remark| Finding::warning(Check::Settings, remark));
    findings.extend(remarks.map(|finding| finding.advice("correct the variable, or unset it")));
    let files: Vec<String> = examined.settings_files.iter().map(|path| path.display().to_string()).collect();
    if findings.is_empty() {
        let text = if files.is_empty() { "no fleet.toml".to_owned() } else { files.join(", ") };
        findings.push(Finding::fine(Check::Settings, text));
    }
    findings
}

/// Host files and the choice of hosts.
pub(super) fn hosts(examined: &Examined) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(examined.selection_failure.as_ref().map(|failure| failed(Check::Hosts, failure)));
    for path in &examined.settings.hosts.value {
        match inventory::file::read(path) {
            Ok(file) => {
                let text = format!("{} ({} hosts)", path.display(), file.lines.len());
                findings.push(Finding::fine(Check::Hosts, text));
            }
            Err(error) => findings.push(failed(Check::Hosts, &Failure::from(error))),
        }
    }
    let Some(selected) = &examined.selected else {
        if examined.selection_failure.is_none() {
            findings.push(Finding::fine(Check::Hosts, "none chosen (-g, -H or -h): only this machine is looked at"));
        }
        return findings;
    };
    let twice: Vec<String> = selected.duplicates.iter().map(|duplicate| duplicate.host.to_string()).collect();
    if !twice.is_empty() {
        let text = format!("named more than once, run once: {}", fleet_core::hostset::fold(&twice));
        findings.push(Finding::warning(Check::Hosts, text));
    }
    for idle in &selected.idle_excludes {
        let advice = idle.group.as_ref().map(|group| format!("the group is excluded by -x {group}"));
        let finding = Finding::warning(Check::Hosts, format!("-x {} leaves out nobody", idle.value));
        findings.push(finding.advice(advice.unwrap_or_else(|| "look for a mistyped name".to_owned())));
    }
    findings
}

/// A configuration that cannot be used.
pub(super) fn broken_config(error: ConfigError) -> Finding {
    failed(Check::SshConfig, &Failure::from(error))
        .advice("put it right: until then nothing is contacted (ssh refuses it too)")
}

/// Lines of ssh_config that do nothing here. What the distribution has put there is a fact, not a fault.
pub(super) fn notices(notices: &[Notice]) -> Vec<Finding> {
    let finding = |notice: &Notice| match notice.origin {
        Origin::System => Finding::fine(Check::SshConfig, notice.to_string()),
        Origin::User | Origin::CommandLine => Finding::warning(Check::SshConfig, notice.to_string())
            .advice("the line counts for ssh only: see that nothing depends on it here"),
    };
    match notices {
        [] => vec![Finding::fine(Check::SshConfig, "every option counts")],
        _ => notices.iter().map(finding).collect(),
    }
}

/// Lines of known_hosts that nobody understands.
pub(super) fn skipped_host_keys(connector: &Connector) -> Vec<Finding> {
    let skipped = connector.skipped_host_keys().into_iter();
    let finding = |(at, problem, _)| {
        Finding::warning(Check::KnownHosts, format!("{at}: the line is skipped: {problem}"))
            .advice("remove the line, or write it anew with ssh-keyscan")
    };
    skipped.map(finding).collect()
}

/// The answers of the agents, by their sockets.
pub(super) type Agents = BTreeMap<PathBuf, Result<Vec<AgentKey>, String>>;

pub(super) fn agents(agents: &Agents) -> Vec<Finding> {
    if agents.is_empty() {
        return vec![Finding::fine(Check::Agent, "none (SSH_AUTH_SOCK is not set)")];
    }
    agents.iter().map(|(socket, keys)| agent(socket, keys)).collect()
}

fn agent(socket: &Path, keys: &Result<Vec<AgentKey>, String>) -> Finding {
    match keys {
        Err(reason) => Finding::warning(Check::Agent, format!("{}: {reason}", socket.display()))
            .advice("start one (eval \"$(ssh-agent)\"; ssh-add), or unset SSH_AUTH_SOCK"),
        Ok(keys) if keys.is_empty() => {
            Finding::warning(Check::Agent, "it holds no key").advice("ssh-add adds your keys to it")
        }
        Ok(keys) => {
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            for key in keys {
                *kinds.entry(&key.algorithm).or_default() += 1;
            }
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let text = format!("it holds {}", kinds.join(", "));
            if keys.len() < KEYS_PER_LOGIN {
                return Finding::fine(Check::Agent, text);
            }
            Finding::warning(
                Check::Agent,
                format!("{text}: servers give up after some (MaxAuthTries {KEYS_PER_LOGIN})"),
            )
            .advice("name the key with IdentityFile and set IdentitiesOnly yes, or with --identity")
        }
    }
}

/// Whether somebody named the key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Named,
    /// It is one of the usual places.
    Default,
}

/// Key files, each with how it lies there, and what the agents hold beside them.
pub(super) fn keys(files: &BTreeMap<PathBuf, (Naming, KeyFileState)>, agents: &Agents) -> Vec<Finding> {
    let held: BTreeSet<&str> = agents.values().flatten().flatten().map(|key| key.fingerprint.as_str()).collect();
    files.iter().filter_map(|(path, (naming, state))| key(path, *naming, state, &held)).collect()
}

/// Whether there is any key to log in with.
pub(super) fn has_key(files: &BTreeMap<PathBuf, (Naming, KeyFileState)>, agents: &Agents) -> bool {
    let is_usable = |state: &KeyFileState| matches!(state, KeyFileState::Open(_) | KeyFileState::Encrypted(_));
    files.values().any(|(_, state)| is_usable(state)) || agents.values().flatten().any(|keys| !keys.is_empty())
}

pub(super) fn no_key() -> Finding {
    Finding::problem(Check::Keys, "there is no key to log in with")
        .advice("make one with ssh-keygen -t ed25519, name one with --identity, or log in with a password (-A)")
}

fn key(path: &Path, naming: Naming, state: &KeyFileState, held: &BTreeSet<&str>) -> Option<Finding> {
    let shown = path.display();
    Some(match state {
        KeyFileState::Missing if naming == Naming::Default => return None,
        KeyFileState::Missing => Finding::warning(Check::Keys, format!("{shown}: no such file"))
            .advice("correct IdentityFile in ssh_config, or --identity"),
        KeyFileState::Unusable(reason) => {
            Finding::problem(Check::Keys, reason).advice("put it right, or name another key with --identity")
        }
        KeyFileState::Open(_) => Finding::fine(Check::Keys, format!("{shown} has no passphrase")),
        KeyFileState::Encrypted(fingerprint) | KeyFileState::PublicOnly(fingerprint)
            if held.contains(fingerprint.as_str()) =>
        {
            Finding::fine(Check::Keys, format!("{shown} is in the agent"))
        }
        KeyFileState::Encrypted(_) => Finding::warning(Check::Keys, format!("{shown} needs a passphrase"))
            .advice("you are asked once in each run; ssh-add keeps it in the agent, which unattended runs need"),
        KeyFileState::PublicOnly(_) => Finding::warning(
            Check::Keys,
            format!("{shown}: only the public half is here, and no agent holds the other"),
        )
        .advice("start the agent that holds it, or copy the private key"),
    })
}

/// Whether the limit of open files allows `wanted` hosts at once, each at one of `prices`.
pub(super) fn open_files(wanted: usize, prices: Vec<u64>) -> Finding {
    judge_headroom(wanted, headroom(wanted, prices))
}

fn judge_headroom(wanted: usize, Headroom { soft, hard, sessions }: Headroom) -> Finding {
    let shown = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    let limits = format!("soft limit {}, hard limit {}", shown(soft), shown(hard));
    if sessions >= wanted {
        return Finding::fine(Check::OpenFiles, format!("enough for {wanted} hosts at once ({limits})"));
    }
    Finding::warning(Check::OpenFiles, format!("enough for {sessions} hosts at once, not for {wanted} ({limits})"))
        .advice("raise it: ulimit -Hn, nofile in /etc/security/limits.conf, or LimitNOFILE of the service")
}

/// Whether what is kept between runs, and output that waits, can be written.
pub(super) fn folders(examined: &Examined) -> Vec<Finding> {
    let records = match &examined.store {
        Ok(store) => folder(store.folder(), "the records of runs are kept there"),
        Err(_) => Finding::warning(Check::Folders, "neither HOME nor XDG_STATE_HOME is set")
            .advice("set one: the records of runs are kept below it"),
    };
    vec![records, folder(&std::env::temp_dir(), "output that nobody takes yet waits there (TMPDIR)")]
}

/// A folder that need not be there yet, as long as it can be made.
fn folder(path: &Path, purpose: &str) -> Finding {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let writable = existing.is_dir() && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if writable {
        return Finding::fine(Check::Folders, format!("{} can be written", path.display()));
    }
    Finding::new(Check::Folders, Level::Warning, format!("{} cannot be written", path.display()))
        .advice(format!("make {} a folder of yours: {purpose}", existing.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn agent_key(fingerprint: &str) -> AgentKey {
        AgentKey { algorithm: "ssh-ed25519".into(), fingerprint: fingerprint.into() }
    }

    fn agent_of(keys: Result<Vec<AgentKey>, String>) -> Agents {
        Agents::from([(PathBuf::from("/agent"), keys)])
    }

    #[test]
    fn an_agent_is_warned_of_when_it_is_dead_empty_or_too_full() {
        for (keys, level, text) in [
            (Err("no such socket".to_owned()), Level::Warning, "/agent: no such socket"),
            (Ok(vec![]), Level::Warning, "it holds no key"),
            (Ok(vec![agent_key("a"), agent_key("b")]), Level::Fine, "it holds 2 ssh-ed25519"),
            (Ok(vec![agent_key("a"); 6]), Level::Warning, "it holds 6 ssh-ed25519: servers give up"),
        ] {
            let found = agents(&agent_of(keys.clone()));
            assert_eq!(found[0].level, level, "{keys:?}");
            assert!(found[0].text.starts_with(text), "{found:?}");
        }
        assert_eq!(agents(&Agents::new())[0].level, Level::Fine);
    }

    #[test]
    fn each_key_file_is_judged_by_what_is_in_it_and_in_the_agent() {
        use KeyFileState::{Encrypted, Missing, Open, PublicOnly, Unusable};
        let fingerprint = |text: &str| text.to_owned();
        for (naming, state, level) in [
            (Naming::Named, Missing, Some(Level::Warning)),
            (Naming::Default, Missing, None),
            (Naming::Default, Unusable("id: mode 0644".into()), Some(Level::Problem)),
            (Naming::Default, Open(fingerprint("x")), Some(Level::Fine)),
            (Naming::Default, Encrypted(fingerprint("held")), Some(Level::Fine)),
            (Naming::Default, Encrypted(fingerprint("x")), Some(Level::Warning)),
            (Naming::Named, PublicOnly(fingerprint("held")), Some(Level::Fine)),
            (Naming::Named, PublicOnly(fingerprint("x")), Some(Level::Warning)),
        ] {
            let files = BTreeMap::from([(PathBuf::from("id"), (naming, state.clone()))]);
            let found = keys(&files, &agent_of(Ok(vec![agent_key("held")])));
            assert_eq!(found.first().map(|finding| finding.level), level, "{naming:?} {state:?}");
        }
    }

    #[test]
    fn without_any_key_no_login_is_possible() {
        for (state, agents, is_problem) in [
            (KeyFileState::Missing, Agents::new(), true),
            (KeyFileState::Missing, agent_of(Err("dead".into())), true),
            (KeyFileState::Missing, agent_of(Ok(vec![agent_key("a")])), false),
            (KeyFileState::Encrypted("x".into()), Agents::new(), false),
        ] {
            let files = BTreeMap::from([(PathBuf::from("id"), (Naming::Default, state.clone()))]);
            assert_eq!(!has_key(&files, &agents), is_problem, "{state:?} {agents:?}");
        }
    }

    #[test]
    fn a_low_limit_of_open_files_is_told_in_hosts() {
        let headroom = |sessions| Headroom { soft: Some(256), hard: None, sessions };
        let low = judge_headroom(200, headroom(80));
        assert_eq!(low.level, Level::Warning);
        assert_eq!(low.text, "enough for 80 hosts at once, not for 200 (soft limit 256, hard limit unlimited)");
        assert_eq!(judge_headroom(200, headroom(200)).level, Level::Fine);
    }

    #[test]
    fn a_folder_may_be_missing_but_not_impossible() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        // All that the folder check asks for but one: it is no folder.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(folder(&place.path().join("a/b"), "").level, Level::Fine);
        assert_eq!(folder(&file.join("a"), "").level, Level::Warning);
        assert!(!place.path().join("a").exists(), "nothing is made");
    }
}
