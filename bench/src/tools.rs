//! The tools that are compared, and how each is told to do the same.
//!
//! Must not know what they are told to run.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::{KeyExchange, ProgramArgs};
use crate::error::BenchError;
use crate::output::Shape;
use crate::site::{Site, SiteFiles};
use crate::workload::OutputSize;

/// The drivers of the Python libraries, behind what they share.
const PARALLEL_SSH_LIBRARY: &str =
    concat!(include_str!("../peers/arguments.py"), include_str!("../peers/parallel_ssh.py"));
const ASYNCSSH: &str = concat!(include_str!("../peers/arguments.py"), include_str!("../peers/asyncssh_run.py"));

/// Linux takes words of up to 128 KiB.
const HOSTS_PER_WORD: usize = 1000;

/// A tool of the comparison, or a way to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Psh,
    PshBlocks,
    PshFiles,
    PshJson,
    PshDedup,
    Bssh,
    ParallelSshLibrary,
    Asyncssh,
    ParallelSsh,
    Pdsh,
    Clush,
    Xargs,
}

/// One task for any tool.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) site: &'a Site,
    pub(crate) files: &'a SiteFiles,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) parallel: u16,
    /// For the remote shell.
    pub(crate) command: &'a str,
    /// The tool's home and working folder.
    pub(crate) folder: &'a Path,
}

impl Tool {
    pub(crate) const ALL: [Self; 12] = [
        Self::Psh,
        Self::PshBlocks,
        Self::PshFiles,
        Self::PshJson,
        Self::PshDedup,
        Self::Bssh,
        Self::ParallelSshLibrary,
        Self::Asyncssh,
        Self::ParallelSsh,
        Self::Pdsh,
        Self::Clush,
        Self::Xargs,
    ];

    /// As in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Psh => "psh",
            Self::PshBlocks => "psh -i",
            Self::PshFiles => "psh -o",
            Self::PshJson => "psh --json",
            Self::PshDedup => "psh -d",
            Self::Bssh => "bssh",
            Self::ParallelSshLibrary => "parallel-ssh (library)",
            Self::Asyncssh => "asyncssh",
            Self::ParallelSsh => "pssh -P",
            Self::Pdsh => "pdsh -R ssh",
            Self::Clush => "clush",
            Self::Xargs => "xargs -P ssh",
        }
    }

    /// Whether the tool is of use for such output: other ways to show it than the usual only for much of it.
    pub(crate) fn is_for(self, output: OutputSize) -> bool {
        output == OutputSize::Much || self == Self::Psh || !self.is_psh()
    }

    /// Where the output is, and how it looks.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::PshFiles => Shape::Files,
            Self::PshJson => Shape::Json,
            _ => Shape::Lines,
        }
    }

    fn is_psh(self) -> bool {
        self.psh_flag().is_some()
    }

    /// The flag that chooses the way to show output, for psh.
    fn psh_flag(self) -> Option<&'static str> {
        match self {
            Self::Psh => Some(""),
            Self::PshBlocks => Some("-i"),
            Self::PshFiles => Some("-oout"),
            Self::PshJson => Some("--json"),
            Self::PshDedup => Some("--dedup"),
            _ => None,
        }
    }

    /// The script that uses the library, for tools that are one.
    fn driver(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ParallelSshLibrary => Some(("pssh", PARALLEL_SSH_LIBRARY)),
            Self::Asyncssh => Some(("asyncssh", ASYNCSSH)),
            _ => None,
        }
    }

    /// Streams the output as the tool does by default; pssh shows none by default, and kills after 60 s; bssh shows blocks.
    fn arguments(self, job: &Job<'_>) -> Vec<String> {
        let config = job.files.ssh_config.display();
        let hosts = job.files.hosts.display();
        let (user, parallel) = (&job.site.user, job.parallel);
        let words: Vec<String> = match self {
            Self::Psh | Self::PshBlocks | Self::PshFiles | Self::PshJson | Self::PshDedup => {
                let flag = self.psh_flag().filter(|flag| !flag.is_empty()).map(str::to_owned);
                let shared = [format!("-F{config}"), format!("-h{hosts}"), format!("-p{parallel}"), "--".into()];
                flag.into_iter().chain(shared).collect()
            }
            Self::Bssh => return bssh_arguments(job),
            Self::ParallelSshLibrary | Self::Asyncssh => library_arguments(job),
            Self::ParallelSsh => {
                vec!["-P".into(), "-t0".into(), format!("-p{parallel}"), format!("-x-F {config}"), format!("-h{hosts}")]
            }
            Self::Pdsh => vec!["-Rssh".into(), format!("-l{user}"), format!("-f{parallel}"), format!("-w^{hosts}")],
            Self::Clush => {
                vec!["-n".into(), format!("-f{parallel}"), format!("-o-F {config}"), format!("--hostfile={hosts}")]
            }
            Self::Xargs => {
                let ssh = ["-I{}", "ssh", "-n"].map(str::to_owned);
                let shared = [format!("-a{hosts}"), format!("-P{parallel}")];
                shared.into_iter().chain(ssh).chain([format!("-F{config}"), "{}".into()]).collect()
            }
        };
        words.into_iter().chain([job.command.to_owned()]).collect()
    }
}

/// bssh 3.1 takes no file of hosts (`-H^FILE` is refused as a host), and refuses a command in one word that no host could be
/// called: it looks at the first word as one, also behind `-H`.
fn bssh_arguments(job: &Job<'_>) -> Vec<String> {
    let hosts = &job.site.addresses[..job.files.count];
    let list = |hosts: &[Ipv4Addr]| hosts.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(",");
    let lists = hosts.chunks(HOSTS_PER_WORD).map(|hosts| format!("-H{}", list(hosts)));
    let shared = [
        format!("-l{}", job.site.user),
        format!("-p{}", job.site.port),
        format!("-i{}", job.site.key.display()),
        format!("-F{}", job.files.ssh_config.display()),
        format!("--parallel={}", job.parallel),
        "--strict-host-key-checking=yes".to_owned(),
        "--stream".to_owned(),
    ];
    lists.chain(shared).chain(job.command.splitn(2, ' ').map(str::to_owned)).collect()
}

fn library_arguments(job: &Job<'_>) -> Vec<String> {
    let exchange = job.key_exchange.only().map(|name| format!("--kex={name}"));
    let shared = [
        format!("--hosts={}", job.files.hosts.display()),
        format!("--user={}", job.site.user),
        format!("--port={}", job.site.port),
        format!("--key={}", job.site.key.display()),
        format!("--known-hosts={}", job.site.known_hosts.display()),
        format!("--parallel={}", job.parallel),
    ];
    exchange.into_iter().chain(shared).chain(["--command".to_owned()]).collect()
}

/// Where tools are looked for.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) psh: PathBuf,
    pub(crate) fleet: PathBuf,
    pub(crate) peers: PathBuf,
}

impl Programs {
    /// Where the arguments say, or beside this program.
    pub(crate) fn find(args: &ProgramArgs) -> Result<Self, BenchError> {
        let own = std::env::current_exe().map_err(BenchError::Runtime)?;
        let beside = |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| own.with_file_name(name));
        let psh = beside(&args.psh, "psh");
        // The tools run in a folder of their own.
        let psh = std::fs::canonicalize(&psh).map_err(|_| BenchError::NoPsh(psh))?;
        let peers = args.peers.clone().unwrap_or_else(|| own.with_file_name("../bench-peers"));
        let peers = std::path::absolute(peers).map_err(BenchError::Runtime)?;
        Ok(Self { psh, fleet: beside(&args.fleet, "fleet"), peers })
    }

    /// The file to run for a tool, if it is installed.
    fn path_of(&self, tool: Tool) -> Option<PathBuf> {
        let there = |path: PathBuf| path.is_file().then_some(path);
        match tool {
            Tool::PshDedup => there(self.psh.clone()).filter(|psh| says(Command::new(psh).arg("--help"), "--dedup")),
            _ if tool.is_psh() => there(self.psh.clone()),
            Tool::Bssh => there(self.peers.join("bin/bssh")).or_else(|| find_program("bssh")),
            Tool::ParallelSshLibrary | Tool::Asyncssh => {
                let (module, _) = tool.driver()?;
                let imports = |python: &PathBuf| says(Command::new(python).arg("-c").arg(version_of(module)), "");
                there(self.peers.join("venv/bin/python")).or_else(|| find_program("python3")).filter(imports)
            }
            // Debian's name; pssh there is PuTTY's.
            Tool::ParallelSsh => find_program("parallel-ssh"),
            Tool::Pdsh => find_program("pdsh"),
            Tool::Clush => find_program("clush"),
            _ => find_program("xargs"),
        }
    }
}

/// A tool that is there.
#[derive(Debug, Clone)]
pub(crate) struct InstalledTool {
    pub(crate) tool: Tool,
    path: PathBuf,
}

impl InstalledTool {
    pub(crate) fn find(tool: Tool, programs: &Programs) -> Option<Self> {
        Some(Self { tool, path: programs.path_of(tool)? })
    }

    /// The command line of `job`, in an environment with nothing of the user's.
    pub(crate) fn command(&self, job: &Job<'_>) -> Command {
        let mut command = in_clean_environment(&self.path, job.folder);
        if let Some((_, script)) = self.tool.driver() {
            command.args(["-c", script]);
        }
        command.args(self.tool.arguments(job));
        if self.tool == Tool::Pdsh {
            command.env("PDSH_SSH_ARGS_APPEND", format!("-F {}", job.files.ssh_config.display()));
        }
        command
    }

    /// The first line that it says about its version; none for other ways to use the same tool.
    pub(crate) fn version(&self) -> Option<String> {
        let mut command = Command::new(&self.path);
        match self.tool {
            Tool::PshBlocks | Tool::PshFiles | Tool::PshJson | Tool::PshDedup => return None,
            Tool::Pdsh => command.arg("-V"),
            tool => match tool.driver() {
                Some((module, _)) => command.arg("-c").arg(version_of(module)),
                None => command.arg("--version"),
            },
        };
        Some(version_line(&mut command, self.tool.name().split(' ').next().unwrap_or_default()))
    }
}

/// A program in an environment with nothing of the user's; `folder` is its home, and where it starts.
pub(crate) fn in_clean_environment(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command.env("HOME", folder).env("LANG", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Python that says the version of a module's package, or fails.
pub(crate) fn version_of(module: &str) -> String {
    // Their modules do not both know it.
    let package = if module == "pssh" { "parallel-ssh" } else { module };
    format!("import {module}, importlib.metadata as m; print(m.version('{package}'))")
}

/// Whether a command succeeds and says this.
pub(crate) fn says(command: &mut Command, text: &str) -> bool {
    run_to_end(command).is_ok_and(|said| said.contains(text))
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
        let site = Site {
            addresses: vec![Ipv4Addr::new(127, 9, 9, 9), Ipv4Addr::LOCALHOST],
            port: 2200,
            user: "someone".to_owned(),
            key: "/b/key".into(),
            known_hosts: "/b/known".into(),
        };
        let files = SiteFiles { ssh_config: "/b/config".into(), hosts: "/b/hosts".into(), count: 1 };
        let job = Job {
            site: &site,
            files: &files,
            key_exchange: KeyExchange::Curve25519,
            parallel: 7,
            command: "echo hi $USER",
            folder: Path::new("/b"),
        };
        for tool in Tool::ALL {
            let words = InstalledTool { tool, path: "tool".into() }.command(&job);
            let shown = format!("{:?} {:?}", words.get_args(), words.get_envs());
            let login: &[&str] = match tool.driver() {
                Some(_) => &["someone", "2200", "/b/key", "curve25519-sha256"],
                None => &["-F", "/b/config"],
            };
            let hosts = if tool == Tool::Bssh { "\"-H127.9.9.9\"" } else { "/b/hosts" };
            for part in login.iter().chain(&[hosts, "7"]) {
                assert!(shown.contains(part), "{part} in {shown}");
            }
            let words: Vec<_> = words.get_args().map(|word| word.to_string_lossy()).collect();
            assert!(words.join(" ").ends_with(&format!(" {}", job.command)), "{tool:?}");
        }
    }

    #[test]
    fn other_ways_to_show_output_are_measured_only_where_there_is_much() {
        let short: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| tool.is_for(OutputSize::Short)).collect();
        assert_eq!(short.iter().filter(|tool| tool.is_psh()).count(), 1);
        assert_eq!(short.len(), 8);
        assert!(Tool::ALL.into_iter().all(|tool| tool.is_for(OutputSize::Much)));
    }
}
