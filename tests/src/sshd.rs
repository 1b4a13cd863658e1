//! OpenSSH's server, `sshd -i`, with a configuration of its own.
//!
//! Must not know what is run on it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::accounts;
use crate::env::TestEnv;
use crate::listener::{Listener, Welcome, WelcomeRule};
use crate::server::Server;
use crate::tools::{program, run_to_end};

/// Where sshd changes its root to before authentication; it refuses to start without, and only boot scripts make it.
const PRIVILEGE_SEPARATION_DIR: &str = "/run/sshd";

/// An OpenSSH server about to be started: one host named `server`, unless told otherwise.
pub struct Sshd<'env> {
    env: &'env TestEnv,
    names: Vec<String>,
    user: String,
    options: String,
    rule: WelcomeRule,
    host_key: Option<PathBuf>,
    trusted: bool,
}

impl<'env> Sshd<'env> {
    /// A server in the network of `env`.
    #[must_use]
    pub fn new(env: &'env TestEnv) -> Self {
        Self {
            env,
            names: vec!["server".to_owned()],
            user: accounts::plain().to_owned(),
            options: String::new(),
            rule: Box::new(|_| Welcome::Serve),
            host_key: None,
            trusted: true,
        }
    }

    /// One host of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.names = vec![name.to_owned()];
        self
    }

    /// `count` hosts, `web01` to `web20` for `("web", 20)`, each at its own address.
    #[must_use]
    pub fn hosts(mut self, stem: &str, count: usize) -> Self {
        let width = count.to_string().len().max(2);
        self.names = (1..=count).map(|number| format!("{stem}{number:0width$}")).collect();
        self
    }

    /// The account that clients log in to unless they say otherwise.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        name.clone_into(&mut self.user);
        self
    }

    /// A line of `sshd_config`; it wins over the harness's own.
    #[must_use]
    pub fn option(mut self, keyword: &str, value: &str) -> Self {
        writeln!(self.options, "{keyword} {value}").expect("writing to a string");
        self
    }

    /// How each connection is received, by its number (0 is the first).
    #[must_use]
    pub fn welcome(mut self, rule: impl Fn(usize) -> Welcome + Send + 'static) -> Self {
        self.rule = Box::new(rule);
        self
    }

    /// The private host key to use, instead of a new one.
    #[must_use]
    pub fn host_key(mut self, private_key: &Path) -> Self {
        self.host_key = Some(private_key.to_owned());
        self
    }

    /// The user has never seen this server: no line in `known_hosts`.
    #[must_use]
    pub fn unknown(mut self) -> Self {
        self.trusted = false;
        self
    }

    /// Starts it, and enters its hosts into the user's `ssh_config` and `known_hosts`.
    ///
    /// # Panics
    /// When sshd is not installed or does not accept the configuration.
    #[must_use]
    pub fn start(self) -> Server {
        let sshd = program("sshd");
        if accounts::is_root() {
            fs::create_dir_all(PRIVILEGE_SEPARATION_DIR).expect("root can make /run/sshd");
        }
        let folder = self.env.server_folder();
        let host_key = self.host_key.clone().unwrap_or_else(|| self.env.generate_key(&folder.join("host_key"), ""));
        let config = folder.join("sshd_config");
        let log = folder.join("log");
        fs::write(&config, self.configuration(&host_key)).expect("write sshd_config");
        run_to_end(Command::new(&sshd).arg("-t").arg("-f").arg(&config));

        let addresses = self.env.addresses(self.names.len());
        let arguments = ["-i".into(), "-f".into(), config.into_os_string(), "-E".into(), log.clone().into_os_string()];
        let server = Box::new(move || {
            let mut command = Command::new(&sshd);
            command.args(&arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stderr(Stdio::null());
            command
        });
        let listener = Listener::start(&addresses, self.rule, server);
        let public = fs::read_to_string(host_key.with_extension("pub")).expect("a public key beside the host key");
        let host_key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let server = Server { names: self.names, addresses, listener, log, host_key };
        self.env.enter(&server, &self.user);
        if self.trusted {
            self.env.trust(&server.known_hosts_lines());
        }
        server
    }

    /// The first value of a keyword wins in `sshd_config`.
    fn configuration(&self, host_key: &Path) -> String {
        let authorized_keys = self.env.authorized_keys();
        format!(
            "{options}\
             HostKey {host_key}\n\
             AuthorizedKeysFile {authorized_keys}\n\
             StrictModes no\n\
             UsePAM no\n\
             PermitRootLogin yes\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PidFile none\n\
             PrintMotd no\n\
             PrintLastLog no\n\
             UseDNS no\n\
             LogLevel VERBOSE\n\
             Subsystem sftp internal-sftp\n",
            options = self.options,
            host_key = host_key.display(),
            authorized_keys = authorized_keys.display(),
        )
    }
}
