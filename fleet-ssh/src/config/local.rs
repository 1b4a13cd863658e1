//! What the configuration may ask about this machine and its user.
//!
//! Must not know what it is asked for. The values are read once, at the edge; tests write their own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ConfigError;

/// The user, the machine and the environment that a configuration is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalContext {
    /// The login name (`%u`).
    pub user: String,
    /// The user's number (`%i`). Configuration files must belong to it or to root.
    pub uid: u32,
    /// The home folder (`%d`, `~`).
    pub home: PathBuf,
    /// The home folders of users by name (`~name`).
    pub homes: HashMap<String, PathBuf>,
    /// The name of the machine, with its domain if it has one (`%l`; `%L` up to the first dot).
    pub hostname: String,
    /// The folder of `ssh_config` and of the system's known hosts.
    pub system_folder: PathBuf,
    /// The environment: `${NAME}` in values, `SSH_AUTH_SOCK`, and the whole of it for `Match exec`.
    pub env: HashMap<String, String>,
}

impl LocalContext {
    /// The context of this process.
    ///
    /// The home folder is `HOME` and only without it the one of the password file, where ssh(1) looks at the password
    /// file alone: a caller that sets `HOME` means it.
    ///
    /// # Errors
    /// When neither `/etc/passwd` nor the environment names the user and the home folder.
    pub fn current() -> Result<Self, ConfigError> {
        let uid = rustix::process::getuid().as_raw();
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env: HashMap<_, _> = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let passwd = Passwd::parse(&fs::read_to_string("/etc/passwd").unwrap_or_default());
        let entry = passwd.entries.iter().find(|entry| entry.uid == uid);
        let user = entry.map(|entry| &entry.name).or_else(|| env.get("LOGNAME")).or_else(|| env.get("USER"));
        let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let home = home.or_else(|| entry.map(|entry| entry.home.clone()));
        let (Some(user), Some(home)) = (user.cloned(), home) else { return Err(ConfigError::NoUser { uid }) };
        let homes = passwd.entries.into_iter().map(|entry| (entry.name, entry.home)).collect();
        Ok(Self { user, uid, home, homes, hostname: hostname(), system_folder: PathBuf::from("/etc/ssh"), env })
    }

    /// The user's shell, for `Match exec` and `ProxyCommand`: `SHELL`, or `/bin/sh`.
    #[must_use]
    pub fn shell(&self) -> &str {
        self.env.get("SHELL").filter(|shell| !shell.is_empty()).map_or("/bin/sh", String::as_str)
    }

    /// `path` with a leading `~` or `~name` replaced by the home folder; an error text when there is no such user.
    pub(super) fn expand_tilde(&self, path: &str) -> Result<String, String> {
        let Some(rest) = path.strip_prefix('~') else { return Ok(path.to_owned()) };
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let home: &Path = match name {
            "" => &self.home,
            name => self.homes.get(name).ok_or_else(|| name.to_owned())?,
        };
        let home = home.to_string_lossy();
        Ok(format!("{}/{}", home.trim_end_matches('/'), rest.trim_start_matches('/')))
    }
}

/// What gethostname(3) says, without C: the kernel's file on Linux, the POSIX command elsewhere.
fn hostname() -> String {
    let from_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let from_command = || {
        let output = Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let name = from_kernel.or_else(from_command).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

struct Passwd {
    entries: Vec<PasswdEntry>,
}

struct PasswdEntry {
    name: String,
    uid: u32,
    home: PathBuf,
}

impl Passwd {
    /// Reads the lines `name:password:uid:gid:comment:home:shell` of passwd(5); others are left out.
    fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, _, _, home, ..] = fields[..] else { return None };
            Some(PasswdEntry { name: name.to_owned(), uid: uid.parse().ok()?, home: PathBuf::from(home) })
        };
        Self { entries: text.lines().filter_map(entry).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::local;

    #[test]
    fn a_tilde_is_a_home_folder_only_at_the_start() {
        let local = local();
        for (path, expected) in [
            ("~", Ok("/home/me/")),
            ("~/.ssh/id", Ok("/home/me/.ssh/id")),
            ("~//.ssh", Ok("/home/me/.ssh")),
            ("~bob/.ssh", Ok("/home/bob/.ssh")),
            ("~eve/.ssh", Err("eve")),
            ("/a/~", Ok("/a/~")),
            ("", Ok("")),
        ] {
            assert_eq!(local.expand_tilde(path), expected.map(str::to_owned).map_err(str::to_owned), "{path}");
        }
    }
}
