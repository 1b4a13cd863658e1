//! What ssh_config(5) says about each host of a run: our own reading of the user's and the system's files.
//!
//! The rules are those of OpenSSH 10: the first line that applies wins, `Host` and `Match` blocks, `Include`, tokens. A
//! line that ssh(1) refuses is an error here too, except that an unknown or unsupported option is only a [`Notice`].
//! Canonicalization of names is not supported. Files are read once for all hosts; resolving one touches no file, but a
//! `Match exec` runs its command (each text once) and blocks until it has ended.
//!
//! Must not know how connections are made.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet_core::endpoint::{Endpoint, Endpoints};
use fleet_core::host::Host;

mod algorithms;
mod build;
mod commands;
mod error;
mod evaluate;
mod expand;
mod file;
mod glob;
mod host_config;
mod keyword;
mod library;
mod line;
mod local;
mod matching;
mod notice;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use algorithms::AlgorithmList;
pub use error::{ConfigError, Place};
pub use expand::ExpandError;
pub use host_config::{ForwardAgent, HostConfig, IdentityFiles, Proxy};
pub use local::LocalContext;
pub use notice::{Notice, NoticeKind, Origin};
pub use value::{AddressFamily, StrictHostKey};

use build::Builder;
use commands::Commands;
use evaluate::{CommandLine, Evaluation};
use file::{ConfigFile, Include};
use library::{Library, Ownership};
use notice::Notices;

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigSources {
    /// Lines that come before all files, such as `Port=2222` or `Port 2222`.
    pub options: Vec<String>,
    /// Which files.
    pub file: ConfigSource,
}

/// Which files to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigSource {
    /// `~/.ssh/config` and then the system's `ssh_config`, where they exist.
    #[default]
    Default,
    /// None.
    None,
    /// This one only. Whoever names it answers for its owner and mode.
    Path(PathBuf),
}

/// A configuration, read and checked, that can be asked for any number of hosts, from any thread.
#[derive(Debug)]
pub struct SshConfig {
    local: LocalContext,
    options: ConfigFile,
    files: Vec<Arc<ConfigFile>>,
    wants_final_pass: bool,
    library: Mutex<Library>,
    commands: Commands,
    notices: Mutex<Notices>,
}

impl SshConfig {
    /// Reads the files of `sources`, for the user and machine of `local`.
    ///
    /// # Errors
    /// When a file that is there cannot be read or could have been written by others, and for the first line that
    /// cannot be understood.
    pub fn load(sources: &ConfigSources, local: LocalContext) -> Result<Self, ConfigError> {
        let mut library = Library::default();
        let files = match &sources.file {
            ConfigSource::None => Vec::new(),
            ConfigSource::Path(path) => match library.open(path, Origin::User, Ownership::Trusted, &local)? {
                Some(file) => vec![file],
                None => {
                    let source = std::io::ErrorKind::NotFound.into();
                    return Err(ConfigError::Read { path: path.clone(), source });
                }
            },
            ConfigSource::Default => {
                let (user, system) = (local.home.join(".ssh/config"), local.system_folder.join("ssh_config"));
                let user = library.open(&user, Origin::User, Ownership::Checked, &local)?;
                let system = library.open(&system, Origin::System, Ownership::Trusted, &local)?;
                user.into_iter().chain(system).collect()
            }
        };
        let mut wants_final_pass = false;
        for file in &files {
            wants_final_pass |= library.read_ahead(file, 0, &local)?;
        }
        Ok(Self {
            options: ConfigFile::parse_options(&sources.options)?,
            local,
            files,
            wants_final_pass,
            library: Mutex::new(library),
            commands: Commands::default(),
            notices: Mutex::default(),
        })
    }

    /// The settings for `host`. Its own user and port come after the options of the command line, then those of its
    /// `endpoint`, then the files.
    ///
    /// # Errors
    /// When a value cannot be expanded, a `Match exec` cannot be run, or the configuration refuses the host.
    pub fn resolve(&self, host: &Host, endpoint: Option<&Endpoint>) -> Result<HostConfig, ConfigError> {
        self.resolve_as(host, endpoint, CommandLine::Counts)
    }

    /// The servers to connect to, one through the other, to reach `host`: jump hosts first, `host` itself last.
    ///
    /// As ssh(1) does it, jump hosts have their own settings from the files, without the options of the command line;
    /// the first one may itself be behind others. Each `proxy` is [`Proxy::Jump`] with all hosts before it, but for the
    /// first one's. Jump hosts that are called as one of `known` are reached where that is.
    ///
    /// # Errors
    /// As for [`SshConfig::resolve`], and when the hosts lead to each other.
    pub fn route(
        &self,
        host: &Host,
        endpoint: Option<&Endpoint>,
        known: &Endpoints,
    ) -> Result<Vec<HostConfig>, ConfigError> {
        const LONGEST_ROUTE: usize = 16;
        let mut route = vec![self.resolve(host, endpoint)?];
        let mut before = Self::hops(&route[0]);
        while let Some(hop) = before.pop() {
            let endpoint = known.of_jump_host(&hop);
            let user = hop.user().or(endpoint.and_then(|endpoint| endpoint.user.as_deref())).map(str::to_owned);
            let mut config = self.resolve_as(&hop.clone().with_user(user), endpoint, CommandLine::LeftOut)?;
            if before.is_empty() {
                before = Self::hops(&config);
            } else {
                config.proxy = Proxy::Jump(before.clone());
            }
            route.push(config);
            if route.len() > LONGEST_ROUTE {
                let place = Place::Option(format!("host {host}").into());
                return Err(ConfigError::JumpLoop { place, host: hop.to_string() });
            }
        }
        route.reverse();
        Ok(route)
    }

    /// The lines without effect that were met since the last call, each keyword once for the run.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Notice> {
        lock(&self.notices).take()
    }

    /// The hosts that `Host` lines name in full, each once, with the first place that does: not those that only a pattern
    /// with wildcards means, nor those of files whose names depend on the host.
    ///
    /// # Errors
    /// When an included file cannot be read.
    pub fn host_names(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut names = HostNames::default();
        self.files.iter().try_for_each(|file| self.collect_names(file, &mut names))?;
        Ok(names.named)
    }

    fn collect_names(&self, file: &ConfigFile, names: &mut HostNames) -> Result<(), ConfigError> {
        for (here, includes) in file.names_and_includes() {
            here.into_iter().for_each(|(name, place)| names.add(name, place));
            for include in includes {
                for pattern in include.patterns.iter().filter(|pattern| library::is_fixed(pattern)) {
                    let files = self.included(pattern, include)?;
                    files.iter().try_for_each(|file| self.collect_names(file, names))?;
                }
            }
        }
        Ok(())
    }

    /// The user and machine that the configuration was read for.
    #[must_use]
    pub fn local(&self) -> &LocalContext {
        &self.local
    }

    fn resolve_as(
        &self,
        host: &Host,
        endpoint: Option<&Endpoint>,
        command_line: CommandLine,
    ) -> Result<HostConfig, ConfigError> {
        let (evaluation, host_name) = Evaluation::run(self, host, endpoint, command_line)?;
        Builder::new(&evaluation, host_name, &self.local)?.build()
    }

    fn hops(config: &HostConfig) -> Vec<Host> {
        match &config.proxy {
            Proxy::Jump(hops) => hops.clone(),
            Proxy::Direct | Proxy::Command(_) => Vec::new(),
        }
    }

    fn included(&self, pattern: &str, include: &Include) -> Result<Arc<[Arc<ConfigFile>]>, ConfigError> {
        lock(&self.library).included(pattern, include, &self.local)
    }

    fn note(&self, notice: &Notice) {
        lock(&self.notices).add(notice);
    }
}

/// Names that were met, and where.
#[derive(Default)]
struct HostNames {
    seen: HashSet<String>,
    named: Vec<(String, String)>,
}

impl HostNames {
    fn add(&mut self, name: &str, place: &Place) {
        if self.seen.insert(name.to_owned()) {
            self.named.push((name.to_owned(), place.to_string()));
        }
    }
}

/// What is behind these locks is whole after every step: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
