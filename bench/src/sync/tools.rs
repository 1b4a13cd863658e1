//! The tools that sync, and how each is told to do the same.
//!
//! Must not know what has changed, nor whether it arrived.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::site::{Site, SiteFiles};
use crate::tools::{Programs, find_program, in_clean_environment, version_line};

/// A tool of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncTool {
    Prsync,
    ParallelRsync,
    Rsync,
    Ansible,
}

/// Whether what is sent is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Off,
    On,
}

/// One sync for any tool, with all of rsync's `-a`.
#[derive(Debug)]
pub(crate) struct SyncJob<'a> {
    pub(crate) site: &'a Site,
    pub(crate) files: &'a SiteFiles,
    /// The folder here.
    pub(crate) source: &'a Path,
    /// The folder on the hosts, below their home, which is to have the same in it.
    pub(crate) destination: &'a str,
    pub(crate) compression: Compression,
    /// The tool's home and working folder.
    pub(crate) folder: &'a Path,
}

impl SyncTool {
    pub(crate) const ALL: [Self; 4] = [Self::Prsync, Self::ParallelRsync, Self::Rsync, Self::Ansible];

    /// As in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prsync => "prsync",
            Self::ParallelRsync => "parallel-rsync",
            Self::Rsync => "xargs -P rsync",
            Self::Ansible => "ansible synchronize",
        }
    }

    fn path(self, programs: &Programs) -> Option<PathBuf> {
        match self {
            Self::Prsync => Some(programs.psh.with_file_name("prsync")).filter(|path| path.is_file()),
            Self::ParallelRsync => find_program("rsync").and_then(|_| find_program("parallel-rsync")),
            Self::Rsync => find_program("rsync").and_then(|_| find_program("xargs")),
            Self::Ansible => find_program("rsync").and_then(|_| find_program("ansible")),
        }
    }

    fn arguments(self, job: &SyncJob<'_>) -> Vec<String> {
        let (config, hosts, parallel) = (job.files.ssh_config.display(), job.files.hosts.display(), job.files.count);
        let (source, destination) = (format!("{}/", job.source.display()), format!("{}/", job.destination));
        let compress = (job.compression == Compression::On).then(|| "-z".to_owned());
        match self {
            Self::Prsync => {
                let shared = [format!("--ssh-config={config}"), format!("-h{hosts}"), format!("--parallel={parallel}")];
                shared.into_iter().chain(compress).chain([source, destination]).collect()
            }
            Self::ParallelRsync => {
                // It adds the user of its hosts' file, and else its own: -l is the servers'.
                let shared = ["-a".to_owned(), "-t0".to_owned(), format!("-p{parallel}"), format!("-h{hosts}")];
                let login = [format!("-l{}", job.site.user), format!("-S-F {config}")];
                shared.into_iter().chain(login).chain(compress).chain([source, destination]).collect()
            }
            Self::Rsync => {
                let xargs = [format!("-a{hosts}"), format!("-P{parallel}"), "-I{}".to_owned()];
                let rsync = ["rsync".to_owned(), "-a".to_owned(), format!("-essh -F {config}")];
                let paths = [source, format!("{{}}:{destination}")];
                xargs.into_iter().chain(rsync).chain(compress).chain(paths).collect()
            }
            Self::Ansible => {
                let compress = if compress.is_some() { "yes" } else { "no" };
                let what = format!("src={source} dest={destination} use_ssh_args=yes compress={compress}");
                let shared = [format!("-i{hosts}"), format!("-f{parallel}"), format!("-u{}", job.site.user)];
                let module = ["-mansible.posix.synchronize".to_owned(), format!("-a{what}"), "all".to_owned()];
                shared.into_iter().chain(module).collect()
            }
        }
    }
}

/// A tool that is there.
#[derive(Debug, Clone)]
pub(crate) struct InstalledSyncTool {
    pub(crate) tool: SyncTool,
    path: PathBuf,
}

impl InstalledSyncTool {
    /// `None` if it is not installed.
    pub(crate) fn find(tool: SyncTool, programs: &Programs) -> Option<Self> {
        Some(Self { tool, path: tool.path(programs)? })
    }

    /// The command line of `job`, in an environment with nothing of the user's.
    pub(crate) fn command(&self, job: &SyncJob<'_>) -> Command {
        let mut command = in_clean_environment(&self.path, job.folder);
        command.args(self.tool.arguments(job));
        if self.tool == SyncTool::Ansible {
            command.env("ANSIBLE_SSH_ARGS", format!("-F {}", job.files.ssh_config.display()));
        }
        command
    }

    /// The first line that it says about its version.
    pub(crate) fn version(&self) -> Option<String> {
        match self.tool {
            SyncTool::Rsync => Some(version_line(Command::new("rsync").arg("--version"), "rsync")),
            tool => Some(version_line(Command::new(&self.path).arg("--version"), tool.name().split(' ').next()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn every_tool_is_told_the_login_the_hosts_and_both_places() {
        let site = Site {
            addresses: vec![Ipv4Addr::new(127, 9, 9, 9)],
            port: 2200,
            user: "someone".to_owned(),
            key: "/b/key".into(),
            known_hosts: "/b/known".into(),
        };
        let files = SiteFiles { ssh_config: "/b/config".into(), hosts: "/b/hosts".into(), count: 7 };
        let (source, folder) = (Path::new("/b/source/tree"), Path::new("/b"));
        for (compression, is_on) in [(Compression::Off, false), (Compression::On, true)] {
            let job = SyncJob { site: &site, files: &files, source, destination: "tree", compression, folder };
            for tool in SyncTool::ALL {
                let command = InstalledSyncTool { tool, path: "tool".into() }.command(&job);
                let words = format!("{:?} {:?}", command.get_args(), command.get_envs());
                for part in ["/b/config", "/b/hosts", "/b/source/tree/", "tree/\"", "7"] {
                    assert!(
                        words.contains(part) || tool == SyncTool::Ansible && part == "tree/\"",
                        "{part} in {words}"
                    );
                }
                assert_eq!(words.contains("\"-z\"") || words.contains("compress=yes"), is_on, "{words}");
            }
        }
    }
}
