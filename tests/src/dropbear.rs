//! Dropbear's server, `dropbear -i`, in account files of its own.
//!
//! Dropbear reads `authorized_keys` only from the account's home, so `libnss_wrapper` gives it account files in which
//! that home is in the folder of the test; no real home is touched, whoever runs the tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::accounts;
use crate::env::TestEnv;
use crate::listener::{Listener, Welcome};
use crate::server::Server;
use crate::tools::{program, run_to_end};

/// A Dropbear server about to be started: one host named `server`, unless told otherwise.
pub struct Dropbear<'env> {
    env: &'env TestEnv,
    name: String,
}

impl<'env> Dropbear<'env> {
    /// A server in the network of `env`.
    #[must_use]
    pub fn new(env: &'env TestEnv) -> Self {
        Self { env, name: "server".to_owned() }
    }

    /// One host of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Starts it, and enters its host into the user's `ssh_config` and `known_hosts`.
    ///
    /// # Panics
    /// When dropbear or libnss_wrapper is not installed.
    #[must_use]
    pub fn start(self) -> Server {
        let dropbear = program("dropbear");
        let folder = self.env.server_folder();
        let host_key = folder.join("host_key");
        let mut keygen = Command::new(program("dropbearkey"));
        let shown = run_to_end(keygen.args(["-t", "ed25519", "-f"]).arg(&host_key));
        let public = shown.lines().find(|line| line.starts_with("ssh-")).expect("dropbearkey shows the public key");
        let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");

        let user = accounts::plain();
        self.make_account(&folder, user);
        let wrapped = [("NSS_WRAPPER_PASSWD", folder.join("passwd")), ("NSS_WRAPPER_GROUP", folder.join("group"))];
        let addresses = self.env.addresses(1);
        let server = Box::new(move || {
            let mut command = Command::new(&dropbear);
            command.arg("-i").arg("-r").arg(&host_key).env_clear().stderr(Stdio::null());
            command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LD_PRELOAD", "libnss_wrapper.so");
            command.envs(wrapped.iter().map(|(name, path)| (name, path)));
            command
        });
        let listener = Listener::start(&addresses, Box::new(|_| Welcome::Serve), server);
        let log = folder.join("log");
        let server = Server { names: vec![self.name], addresses, listener, log, host_key: public };
        self.env.enter(&server, user);
        self.env.trust(&server.known_hosts_lines());
        server
    }

    /// The account files and the home that they name.
    fn make_account(&self, folder: &Path, user: &str) {
        let number = |option: &str| run_to_end(Command::new(program("id")).args([option, user])).trim().to_owned();
        let (uid, gid) = (number("-u"), number("-g"));
        let home = folder.join("home");
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh).expect("make the account's home");
        fs::copy(self.env.authorized_keys(), ssh.join("authorized_keys")).expect("copy authorized_keys");
        for path in [&home, &ssh, &ssh.join("authorized_keys")] {
            let (uid, gid) = (uid.parse().expect("a uid"), gid.parse().expect("a gid"));
            chown(path, Some(uid), Some(gid)).expect("give the home to its account");
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .expect("dropbear refuses a home open to others");
        }
        let passwd = format!("{user}:*:{uid}:{gid}::{}:/bin/sh\n", home.display());
        fs::write(folder.join("passwd"), passwd).expect("write the account file");
        fs::write(folder.join("group"), format!("{user}:x:{gid}:\n")).expect("write the group file");
    }
}
