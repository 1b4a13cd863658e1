//! The tools that copy, and how each is told to do the same.
//!
//! Must not know what is copied, nor whether it arrived.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::copy::payload::Kind;
use crate::site::{Site, SiteFiles};
use crate::tools::{Programs, find_program, in_clean_environment, says, version_line, version_of};

/// The driver of the Python library, behind what it shares with others.
const LIBRARY: &str =
    concat!(include_str!("../../peers/arguments.py"), include_str!("../../peers/parallel_ssh_copy.py"));

/// Where copies arrive, below the home of a host.
pub(crate) const ARRIVED: &str = "arrived";
/// Where copies are fetched from, below the home of a host.
pub(crate) const THERE: &str = "there";

/// A tool of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyTool {
    /// `pcp` and `pslurp`.
    Ours,
    ParallelScp,
    Clush,
    Bssh,
    ParallelSshLibrary,
    Scp,
    CatSsh,
    TarSsh,
    Mscp,
}

/// From here to the hosts, or from the hosts to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    To,
    Back,
}

/// One copy for any tool.
#[derive(Debug)]
pub(crate) struct CopyJob<'a> {
    pub(crate) site: &'a Site,
    pub(crate) files: &'a SiteFiles,
    pub(crate) direction: Direction,
    /// The file or folder here, which every host has too, under its name in [`THERE`].
    pub(crate) source: &'a Path,
    /// Where the copies of the hosts arrive here.
    pub(crate) back: &'a Path,
    /// The tool's home and working folder.
    pub(crate) folder: &'a Path,
}

impl CopyJob<'_> {
    fn name(&self) -> String {
        self.source.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn parallel(&self) -> usize {
        self.files.count
    }
}

impl CopyTool {
    pub(crate) const ALL: [Self; 9] = [
        Self::Ours,
        Self::ParallelScp,
        Self::Clush,
        Self::Bssh,
        Self::ParallelSshLibrary,
        Self::Scp,
        Self::CatSsh,
        Self::TarSsh,
        Self::Mscp,
    ];

    /// Whether it can copy that.
    pub(crate) fn copies(self, kind: Kind) -> bool {
        self != Self::CatSsh || matches!(kind, Kind::File { .. })
    }

    /// As in the tables.
    pub(crate) fn name(self, direction: Direction) -> &'static str {
        let (to, back) = match self {
            Self::Ours => ("pcp", "pslurp"),
            Self::ParallelScp => ("parallel-scp", "parallel-slurp"),
            Self::Clush => ("clush --copy", "clush --rcopy"),
            Self::Bssh => ("bssh upload", "bssh download"),
            Self::ParallelSshLibrary => ("parallel-ssh (library)", "parallel-ssh (library)"),
            Self::Scp => ("xargs -P scp", "xargs -P scp"),
            Self::CatSsh => ("ssh 'cat > file'", "ssh 'cat file'"),
            Self::TarSsh => ("tar | ssh", "ssh | tar"),
            Self::Mscp => ("xargs -P mscp", "xargs -P mscp"),
        };
        if direction == Direction::To { to } else { back }
    }

    fn path(self, direction: Direction, programs: &Programs) -> Option<PathBuf> {
        let there = |path: PathBuf| path.is_file().then_some(path);
        match self {
            Self::Ours => there(programs.psh.with_file_name(self.name(direction))),
            Self::ParallelScp => find_program(self.name(direction)),
            Self::Clush => find_program("clush"),
            Self::Bssh => there(programs.peers.join("bin/bssh")).or_else(|| find_program("bssh")),
            Self::ParallelSshLibrary => {
                let imports = |python: &PathBuf| says(Command::new(python).arg("-c").arg(version_of("pssh")), "");
                there(programs.peers.join("venv/bin/python")).or_else(|| find_program("python3")).filter(imports)
            }
            Self::Scp => find_program("scp").and_then(|_| find_program("xargs")),
            Self::CatSsh => find_program("xargs"),
            Self::TarSsh => find_program("tar").and_then(|_| find_program("xargs")),
            Self::Mscp => find_program("mscp").and_then(|_| find_program("xargs")),
        }
    }

    fn arguments(self, job: &CopyJob<'_>) -> Vec<String> {
        let (config, hosts, parallel) = (job.files.ssh_config.display(), job.files.hosts.display(), job.parallel());
        let (source, back, name) = (job.source.display(), job.back.display(), job.name());
        let to = job.direction == Direction::To;
        let there = format!("{THERE}/{name}");
        match self {
            Self::Ours => {
                let (from, into) =
                    if to { (source.to_string(), format!("{ARRIVED}/")) } else { (there, back.to_string()) };
                vec![format!("-F{config}"), format!("-h{hosts}"), format!("-p{parallel}"), from, into]
            }
            Self::ParallelScp => {
                let shared = ["-r", "-t0"].map(str::to_owned);
                let own = [format!("-p{parallel}"), format!("-x-F {config}"), format!("-h{hosts}")];
                let paths = if to {
                    vec![source.to_string(), format!("{ARRIVED}/")]
                } else {
                    vec![format!("-L{back}"), there, name]
                };
                shared.into_iter().chain(own).chain(paths).collect()
            }
            Self::Clush => {
                let shared = [format!("-f{parallel}"), format!("-o-F {config}"), format!("--hostfile={hosts}")];
                let paths = if to {
                    ["--copy".to_owned(), source.to_string(), format!("--dest={ARRIVED}/")]
                } else {
                    ["--rcopy".to_owned(), there, format!("--dest={back}")]
                };
                ["-n".to_owned()].into_iter().chain(shared).chain(paths).collect()
            }
            Self::Bssh => bssh_arguments(job),
            Self::ParallelSshLibrary => library_arguments(job),
            Self::Scp | Self::CatSsh | Self::TarSsh | Self::Mscp => self.arguments_of_each(job),
        }
    }

    /// Of those that know one host only.
    fn arguments_of_each(self, job: &CopyJob<'_>) -> Vec<String> {
        let (config, back, name) = (job.files.ssh_config.display(), job.back.display(), job.name());
        let (from, into) = match job.direction {
            Direction::To => (job.source.display().to_string(), format!("{{}}:{ARRIVED}/")),
            Direction::Back => (format!("{{}}:{THERE}/{name}"), format!("{back}/{{}}")),
        };
        if self == Self::Scp {
            return for_each_host(job, ["scp", "-q", "-r", &format!("-F{config}"), &from, &into]);
        }
        if self == Self::Mscp {
            let login = [
                format!("-l{}", job.site.user),
                format!("-P{}", job.site.port),
                format!("-i{}", job.site.key.display()),
            ];
            let [user, port, key] = &login;
            return for_each_host(job, ["mscp", "-q", &format!("-F{config}"), user, port, key, &from, &into]);
        }
        let (source, parent) = (job.source.display(), job.source.parent().unwrap_or(job.source).display());
        let script = match job.direction {
            Direction::To if self == Self::CatSsh => {
                format!("ssh -F{config} {{}} 'cat > {ARRIVED}/{name}' < {source}")
            }
            Direction::Back if self == Self::CatSsh => {
                format!("ssh -n -F{config} {{}} 'cat {THERE}/{name}' > {back}/{{}}")
            }
            Direction::To => format!("tar -C {parent} -cf - {name} | ssh -F{config} {{}} 'tar -C {ARRIVED} -xf -'"),
            Direction::Back => format!(
                "mkdir {back}/{{}} && ssh -n -F{config} {{}} 'tar -C {THERE} -cf - {name}' | tar -C {back}/{{}} -xf -"
            ),
        };
        for_each_host(job, ["sh", "-c", &script])
    }
}

/// One process for each host, all at once.
fn for_each_host<const WORDS: usize>(job: &CopyJob<'_>, words: [&str; WORDS]) -> Vec<String> {
    let xargs = [format!("-a{}", job.files.hosts.display()), format!("-P{}", job.parallel()), "-I{}".to_owned()];
    xargs.into_iter().chain(words.map(str::to_owned)).collect()
}

/// See also how `bssh` is told to run commands. It copies what is in a folder, not the folder.
fn bssh_arguments(job: &CopyJob<'_>) -> Vec<String> {
    let hosts: Vec<String> = job.site.addresses[..job.files.count].iter().map(Ipv4Addr::to_string).collect();
    let name = job.name();
    let is_folder = job.source.is_dir();
    let paths = match job.direction {
        Direction::To => {
            let into = if is_folder { format!("{ARRIVED}/{name}/") } else { format!("{ARRIVED}/{name}") };
            ["upload".to_owned(), job.source.display().to_string(), into]
        }
        Direction::Back => ["download".to_owned(), format!("{THERE}/{name}"), job.back.display().to_string()],
    };
    let shared = [
        format!("-H{}", hosts.join(",")),
        format!("-l{}", job.site.user),
        format!("-p{}", job.site.port),
        format!("-i{}", job.site.key.display()),
        format!("-F{}", job.files.ssh_config.display()),
        format!("--parallel={}", job.parallel()),
        "--strict-host-key-checking=yes".to_owned(),
    ];
    shared.into_iter().chain(paths).chain(is_folder.then(|| "-r".to_owned())).collect()
}

fn library_arguments(job: &CopyJob<'_>) -> Vec<String> {
    let name = job.name();
    let command = match job.direction {
        Direction::To => format!("to {} {ARRIVED}/{name}", job.source.display()),
        Direction::Back => format!("from {THERE}/{name} {}/{name}", job.back.display()),
    };
    vec![
        "-c".to_owned(),
        LIBRARY.to_owned(),
        format!("--hosts={}", job.files.hosts.display()),
        format!("--user={}", job.site.user),
        format!("--port={}", job.site.port),
        format!("--key={}", job.site.key.display()),
        format!("--known-hosts={}", job.site.known_hosts.display()),
        format!("--parallel={}", job.parallel()),
        format!("--command={command}"),
    ]
}

/// A tool that is there.
#[derive(Debug, Clone)]
pub(crate) struct InstalledCopyTool {
    pub(crate) tool: CopyTool,
    path: PathBuf,
}

impl InstalledCopyTool {
    /// `None` if it is not installed.
    pub(crate) fn find(tool: CopyTool, direction: Direction, programs: &Programs) -> Option<Self> {
        Some(Self { tool, path: tool.path(direction, programs)? })
    }

    /// The command line of `job`, in an environment with nothing of the user's.
    pub(crate) fn command(&self, job: &CopyJob<'_>) -> Command {
        let mut command = in_clean_environment(&self.path, job.folder);
        command.args(self.tool.arguments(job));
        command
    }

    /// The first line that it says about its version; none for OpenSSH, which stands with the servers.
    pub(crate) fn version(&self, direction: Direction) -> Option<String> {
        let name = self.tool.name(direction).split(' ').next().unwrap_or_default();
        let line = match self.tool {
            CopyTool::Scp | CopyTool::CatSsh => return None,
            CopyTool::ParallelSshLibrary => {
                version_line(Command::new(&self.path).arg("-c").arg(version_of("pssh")), name)
            }
            CopyTool::TarSsh => version_line(Command::new("tar").arg("--version"), "tar"),
            CopyTool::Mscp => version_line(Command::new("mscp").arg("-h"), "mscp"),
            _ => version_line(Command::new(&self.path).arg("--version"), name),
        };
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_told_the_login_the_hosts_and_both_places() {
        let site = Site {
            addresses: vec![Ipv4Addr::new(127, 9, 9, 9), Ipv4Addr::LOCALHOST],
            port: 2200,
            user: "someone".to_owned(),
            key: "/b/key".into(),
            known_hosts: "/b/known".into(),
        };
        let files = SiteFiles { ssh_config: "/b/config".into(), hosts: "/b/hosts".into(), count: 1 };
        for direction in [Direction::To, Direction::Back] {
            let (source, back, folder) = (Path::new("/b/source/tree"), Path::new("/b/back"), Path::new("/b"));
            let job = CopyJob { site: &site, files: &files, direction, source, back, folder };
            let places = match direction {
                Direction::To => ["/b/source", ARRIVED],
                Direction::Back => [THERE, "/b/back"],
            };
            for tool in CopyTool::ALL {
                let words = tool.arguments(&job).join(" ");
                let login = if tool == CopyTool::ParallelSshLibrary { "/b/key" } else { "/b/config" };
                let hosts = if tool == CopyTool::Bssh { "-H127.9.9.9 " } else { "/b/hosts" };
                for part in [login, hosts, "tree", places[0], places[1]] {
                    assert!(words.contains(part), "{part} in {words}");
                }
            }
        }
    }
}
