//! The tools that are compared, and how each is told to do the same.
//!
//! Must not know what they are told to run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BenchError;

/// A tool of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Psh,
    ParallelSsh,
    Pdsh,
    Clush,
    Xargs,
}

/// One task for any tool.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// For ssh(1) and for psh; names the user, the port, the key and `known_hosts`.
    pub(crate) ssh_config: &'a Path,
    /// One host per line.
    pub(crate) host_file: &'a Path,
    /// pdsh passes ssh a user of its own choice unless it is told.
    pub(crate) user: &'a str,
    pub(crate) parallel: u16,
    /// For the remote shell.
    pub(crate) command: &'a str,
}

impl Tool {
    pub(crate) const ALL: [Self; 5] = [Self::Psh, Self::ParallelSsh, Self::Pdsh, Self::Clush, Self::Xargs];

    /// As in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Psh => "psh",
            Self::ParallelSsh => "parallel-ssh -P",
            Self::Pdsh => "pdsh -R ssh",
            Self::Clush => "clush",
            Self::Xargs => "xargs -P ssh",
        }
    }

    /// The file name of its program.
    fn program(self) -> &'static str {
        match self {
            Self::Psh => "psh",
            // Debian's name; pssh there is PuTTY's.
            Self::ParallelSsh => "parallel-ssh",
            Self::Pdsh => "pdsh",
            Self::Clush => "clush",
            Self::Xargs => "xargs",
        }
    }

    /// Streams the output as the tool does by default; parallel-ssh shows none by default, and kills after 60 s.
    fn arguments(self, job: &Job<'_>) -> Vec<String> {
        let config = job.ssh_config.display();
        let hosts = job.host_file.display();
        let (parallel, command) = (job.parallel, job.command);
        let words: Vec<String> = match self {
            Self::Psh => vec![format!("-F{config}"), format!("-h{hosts}"), format!("-p{parallel}"), "--".into()],
            Self::ParallelSsh => {
                vec!["-P".into(), "-t0".into(), format!("-p{parallel}"), format!("-x-F {config}"), format!("-h{hosts}")]
            }
            Self::Pdsh => {
                vec!["-Rssh".into(), format!("-l{}", job.user), format!("-f{parallel}"), format!("-w^{hosts}")]
            }
            Self::Clush => {
                vec!["-n".into(), format!("-f{parallel}"), format!("-o-F {config}"), format!("--hostfile={hosts}")]
            }
            Self::Xargs => vec![
                format!("-a{hosts}"),
                format!("-P{parallel}"),
                "-I{}".into(),
                "ssh".into(),
                "-n".into(),
                format!("-F{config}"),
                "{}".into(),
            ],
        };
        words.into_iter().chain([command.to_owned()]).collect()
    }
}

/// A tool that is there.
#[derive(Debug, Clone)]
pub(crate) struct InstalledTool {
    pub(crate) tool: Tool,
    path: PathBuf,
}

impl InstalledTool {
    /// psh is at `psh`, the others are looked up.
    pub(crate) fn find(tool: Tool, psh: &Path) -> Option<Self> {
        let path = match tool {
            Tool::Psh => Some(psh.to_owned()).filter(|path| path.is_file()),
            _ => find_program(tool.program()),
        }?;
        Some(Self { tool, path })
    }

    /// The command line of `job`, in an environment with nothing of the user's, whose home is `home`.
    pub(crate) fn command(&self, job: &Job<'_>, home: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.tool.arguments(job));
        command.env("HOME", home).env("LANG", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if self.tool == Tool::Pdsh {
            command.env("PDSH_SSH_ARGS_APPEND", format!("-F {}", job.ssh_config.display()));
        }
        command
    }

    /// The first line that it says about its version.
    pub(crate) fn version(&self) -> String {
        let flag = if self.tool == Tool::Pdsh { "-V" } else { "--version" };
        version_line(Command::new(&self.path).arg(flag), self.tool.program())
    }
}

/// The first line of a program's version, after the program's name.
pub(crate) fn version_line(command: &mut Command, name: &str) -> String {
    let output = command.stdin(Stdio::null()).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or("of unknown version").trim();
    if line.contains(name) { line.to_owned() } else { format!("{name} {line}") }
}

/// Where a program is, in `PATH` or among the programs of the system.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs a short program to its end, and returns what it wrote to stdout.
pub(crate) fn run_to_end(command: &mut Command) -> Result<String, BenchError> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BenchError::Spawn { program: program.clone(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(BenchError::Failed { program, status: output.status, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_gets_the_same_job() {
        let job = Job {
            ssh_config: Path::new("/b/config"),
            host_file: Path::new("/b/hosts"),
            user: "someone",
            parallel: 7,
            command: "echo hi $USER",
        };
        for tool in Tool::ALL {
            let words = InstalledTool { tool, path: tool.program().into() }.command(&job, Path::new("/b"));
            let shown = format!("{:?} {:?}", words.get_args(), words.get_envs());
            for part in ["-F", "/b/config", "/b/hosts", "7"] {
                assert!(shown.contains(part), "{part} in {shown}");
            }
            assert_eq!(words.get_args().last(), Some(job.command.as_ref()), "{tool:?}");
        }
    }
}
