//! Files here and on hosts, which are all this machine: each host has a folder of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fleet_tests::{Finished, Run, Server, Sshd, TestEnv, accounts};
use rustix::fs::{Gid, Uid, chown};

/// A world with hosts `web01`, `web02`, ..., and for each a folder of that name that belongs to the account logged in to.
pub(crate) struct World {
    pub(crate) env: TestEnv,
    pub(crate) servers: Vec<Server>,
}

/// What is in a folder: for each name what it is.
pub(crate) type Tree = BTreeMap<String, String>;

impl World {
    /// With so many hosts.
    pub(crate) fn new(hosts: usize) -> Self {
        Self::with(hosts, |sshd| sshd)
    }

    /// With an sshd that has these options.
    pub(crate) fn with(hosts: usize, options: impl FnOnce(Sshd<'_>) -> Sshd<'_>) -> Self {
        let env = TestEnv::new();
        let server = options(Sshd::new(&env).hosts("web", hosts)).start();
        let world = Self { env, servers: vec![server] };
        (1..=hosts).for_each(|host| world.add_folder(&format!("web{host:02}")));
        world
    }

    /// In which other servers are started.
    pub(crate) fn of(env: TestEnv, server: Server, name: &str) -> Self {
        let world = Self { env, servers: vec![server] };
        world.add_folder(name);
        world
    }

    fn add_folder(&self, host: &str) {
        let folder = self.on(host);
        fs::create_dir(&folder).unwrap();
        own(&folder);
    }

    /// The folder of a host.
    pub(crate) fn on(&self, host: &str) -> PathBuf {
        self.env.shared().join(host)
    }

    /// The same for all hosts, as the destination of a copy.
    pub(crate) fn each(&self, path: &str) -> String {
        format!("{}/{{host}}/{path}", self.env.shared().display())
    }

    /// `pcp` to all hosts.
    pub(crate) fn pcp<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.env.pcp(["-H", &self.servers[0].names().join(",")]).args(arguments)
    }

    /// `pcp` that succeeds.
    pub(crate) fn copied<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        self.pcp(arguments).finish().expect_code(0)
    }

    /// Writes a file in the folder that the tools are run in.
    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.env.work().join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Makes a symlink there.
    pub(crate) fn link(&self, name: &str, target: &str) {
        symlink(target, self.env.work().join(name)).unwrap();
    }

    /// What is on a host.
    pub(crate) fn tree(&self, host: &str) -> Tree {
        tree(&self.on(host))
    }

    /// Writes a file on a host.
    pub(crate) fn file_on(&self, host: &str, name: &str, content: &str) -> PathBuf {
        let path = self.on(host).join(name);
        let parent = path.parent().unwrap();
        if !parent.exists() {
            fs::create_dir_all(parent).unwrap();
            own(parent);
        }
        fs::write(&path, content).unwrap();
        own(&path);
        path
    }
}

/// Gives a path to the account that is logged in to.
pub(crate) fn own(path: &Path) {
    if accounts::is_root() {
        let (uid, gid) = ids(accounts::plain());
        chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).unwrap();
    }
}

/// The numbers of an account and of its group.
pub(crate) fn ids(name: &str) -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// What is in a folder: files with mode and content, folders with mode, symlinks with target; names as text.
pub(crate) fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode() & 0o7777;
            let told = if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {mode:o}")
            } else if meta.is_symlink() {
                format!("symlink {}", fs::read_link(&path).unwrap().display())
            } else if !meta.is_file() {
                // To read a pipe that a copy has left would take for ever.
                "something else".to_owned()
            } else {
                format!("file {mode:o} {}", fs::read(&path).unwrap().escape_ascii())
            };
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            tree.insert(name.escape_ascii().to_string(), told);
        }
    }
    tree
}

/// A tree as it is expected: names, and what they are.
pub(crate) fn expected<const N: usize>(entries: [(&str, &str); N]) -> Tree {
    entries.map(|(name, told)| (name.to_owned(), told.to_owned())).into()
}
