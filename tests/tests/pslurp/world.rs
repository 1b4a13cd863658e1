//! Hosts and the files on them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use fleet_tests::{Finished, Server, Sshd, TestEnv, program};

pub(crate) fn world(hosts: usize) -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", hosts).start();
    (env, server)
}

/// What is in a folder: for each name what it is.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let told = if meta.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
            } else {
                fs::read(&path).unwrap().escape_ascii().to_string()
            };
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            tree.insert(name, told);
        }
    }
    tree
}

pub(crate) fn told(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, told)| ((*name).to_owned(), (*told).to_owned())).collect()
}

/// A file on the hosts, which is on this machine too.
pub(crate) fn put(env: &TestEnv, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> PathBuf {
    let path = env.shared().join(path.as_ref());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    open_up(&env.shared());
    path
}

/// Lets the account of the hosts read all of it.
fn open_up(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            open_up(&entry.path());
        }
    }
}

pub(crate) fn set_mtime(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// Of a symlink itself.
pub(crate) fn set_link_mtime(path: &Path, seconds: u64) {
    let time = format!("@{seconds}");
    fleet_tests::run_to_end(Command::new("touch").args(["-h", "-d", &time]).arg(path));
}

pub(crate) fn slurp(env: &TestEnv, arguments: &[&str]) -> Finished {
    env.pslurp([&["-H", "web[01-02]"], arguments].concat()).finish()
}

/// Hosts on which some programs are others: `NAME=PROGRAM`, or `NAME` for that of busybox.
pub(crate) fn with_tools(env: &TestEnv, hosts: usize, tools: &[&str]) -> Server {
    let bin = env.shared().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for tool in tools {
        let (name, target) = tool.split_once('=').unwrap_or((tool, "busybox"));
        symlink(program(target), bin.join(name)).unwrap();
    }
    start(env, hosts)
}

/// Hosts on which the program `name` is the shell script `text`.
pub(crate) fn with_script(env: &TestEnv, hosts: usize, name: &str, text: &str) -> Server {
    script(env, name, text);
    start(env, hosts)
}

/// Makes the program `name` of hosts the shell script `text`.
pub(crate) fn script(env: &TestEnv, name: &str, text: &str) {
    let path = put(env, Path::new("bin").join(name), format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn start(env: &TestEnv, hosts: usize) -> Server {
    open_up(&env.shared());
    let path = format!("PATH={}:/usr/local/bin:/usr/bin:/bin", env.shared().join("bin").display());
    Sshd::new(env).hosts("web", hosts).option("SetEnv", &path).start()
}
