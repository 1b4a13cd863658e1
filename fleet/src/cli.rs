//! The flags of `fleet`, and what of the environment it reads.
//!
//! Must not know what the subcommands do.

mod hosts;
mod partition;
mod svc;
mod template;
mod wait;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fleet_sandbox::{Fault, Roles, SIMULATED_COMMANDS};

pub(crate) use self::hosts::{ClassifyArgs, FormArgs, HostsArgs};
pub(crate) use self::partition::{PartitionArgs, PartitionForm};
pub(crate) use self::svc::{SvcCommand, SvcSettings};
pub(crate) use self::template::TemplateArgs;
pub(crate) use self::wait::WaitArgs;
use crate::{classify, config, demo, doctor, history, init, provider, sandbox, trust};

/// Control a fleet of hosts
#[derive(Debug, Parser)]
#[command(name = "fleet", version, subcommand_required = true, arg_required_else_help = true)]
struct FleetArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run SSH hosts on this machine to try things on
    ///
    /// All hosts are served by one process on loopback, each with a home folder of its own. They run real commands as
    /// the user who started them, and accept only a key that is made for them.
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// List the runs that are recorded, show one, compare two
    ///
    /// Every run is recorded from before the first host is contacted; the last 50 are kept. RUN is an id, its start or
    /// its last part, or "last". Times are UTC.
    History(HistoryArgs),
    /// Look at what runs depend on, here and on the chosen hosts, and say what to do
    ///
    /// Nothing is changed anywhere. Without hosts only this machine is looked at. With --quiet, what is fine is left out;
    /// flags about commands and their output do nothing here.
    Doctor(Box<DoctorArgs>),
    /// List the hosts that a tool would take, and contact none of them
    ///
    /// Hosts are chosen as for the other tools; without any, the default ones, else all known ones. On a terminal the list is
    /// a table, in a pipe the names, one a line. What ssh_config says of hosts is not shown.
    Hosts(Box<HostsArgs>),
    /// Give chosen hosts roles, which are groups for all tools from then on
    ///
    /// Contacts no host. The same hosts get the same roles in whatever order they are listed: by launch index, then id, then
    /// name. Each host is in one role at most. The roles replace those of the last partition, whole or not at all, and are
    /// kept for this user: `psh -g ROLE` works in every shell.
    Partition(Box<PartitionArgs>),
    /// Start commands that go on without us on chosen hosts, see whether they run, read their logs, stop them
    ///
    /// Needs nothing on the hosts but a POSIX shell. A service belongs to the user who logs in there, or with --sudo to that
    /// one, and has a name on all hosts. Stopped with it are all its processes, and where that cannot be confirmed it is said.
    #[command(subcommand)]
    Svc(SvcCommand),
    /// Wait until something holds on the chosen hosts: a port is open, a page is there, a file, a command ends well
    ///
    /// All hosts are asked at once, over their sessions, and again until all checks have held on each, one after the other in
    /// the order typed. Hosts that cannot be connected to are tried again, too. Who is not ready in time is named with the
    /// check and the last answer, and the exit code is 3. With -v it is said what each host waits for.
    Wait(Box<WaitArgs>),
    /// Put a file on chosen hosts that is made for each of them from a template
    ///
    /// The template is text in the syntax of Jinja; {{ self.addr }} is the address of the host, {{ roles.web }} the hosts of a role.
    /// All texts are made before any host is contacted, and a name that stands for nothing is an error. On each host the file
    /// arrives whole, or the old one stays.
    Template(Box<TemplateArgs>),
    /// Answer Puppet's question what a host is for, as an External Node Classifier
    ///
    /// Prints YAML: classes are the host's roles and the names of its security groups, parameters are its tags, both with names
    /// that Puppet can use, and the environment is its tag fleet:environment. The exit code is 1 when nobody knows the host.
    Classify(ClassifyArgs),
    /// Make the host keys of chosen hosts known that their provider vouches for
    ///
    /// A provider may know them; else they are read from what the host printed on its console at its first boot. Where only
    /// fingerprints are there, the host is asked for its key, and nobody logs in. Keys are added to known_hosts under the
    /// id of the host, never under an address; what is known already is never replaced. Flags about commands and
    /// their output do nothing here.
    Trust(Box<TrustArgs>),
    /// Try out a program that tells the tools of hosts
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Show every setting in force, where it comes from, and which files were looked for
    Config(ConfigArgs),
    /// Write a fleet.toml that explains every setting and sets none
    Init(InitArgs),
    /// Show the suite at work on SSH hosts of its own, which are gone afterwards
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Start the hosts and print the line that makes the tools use them
    ///
    /// Only that line goes to stdout: eval "$(fleet sandbox start)"
    Start(StartArgs),
    /// Say whether a sandbox is running, and with which hosts
    ///
    /// The exit code is 0 when one is running and 1 when none is.
    Status(FolderArgs),
    /// Stop the hosts and remove all their files, homes included
    Stop(FolderArgs),
    /// Run a local command with FLEET_CONFIG set to the sandbox's settings
    Exec(ExecArgs),
    /// Tell the tools of the hosts, as a provider: command = ["fleet", "sandbox", "provide"] in [provider.sandbox]
    ///
    /// Reads a request from stdin and answers on stdout; docs/provider.md describes both.
    Provide(FolderArgs),
    /// Serve in this process: what `start` runs in the background
    #[command(hide = true)]
    Serve(StartArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Ask a provider everything that it could be asked, and say what holds and what does not
    ///
    /// It is run a dozen times, also with requests that it has to refuse. The exit code is 0 when all holds and 1 when
    /// something does not. docs/provider.md describes what a provider is.
    Check(ProviderCheckArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ProviderCheckArgs {
    /// Its settings as a JSON object, as [provider.NAME] of fleet.toml has them
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = parse_settings)]
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
    /// Kill it when it has not answered after TIME
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = fleet_core::settings::parse_duration)]
    pub(crate) timeout: Duration,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Exit codes as the report needs them; the others are those of all tools.
const DOCTOR_EXIT_CODES: &str = "\
Exit codes:
  0  no problem was found; there may be warnings
  1  our own failure, such as a report that cannot be written
  2  usage: nothing was looked at
  3  interrupted: the report has what was seen until then
  4  some host was never reached
  5  some other problem was found
Of several, 3 comes before 4 before 5.";

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = DOCTOR_EXIT_CODES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    fleet: fleet_tool::cli::FleetArgs,
}

/// Exit codes as the report needs them.
const TRUST_EXIT_CODES: &str = "\
Exit codes:
  0  all hosts are trusted, or would be with --dry-run
  1  some host was refused: what is known or offered is not what its provider says; or our own failure
  2  usage, settings or inventory, or a provider that fails: nothing was written
  3  interrupted: the report has what was done until then
  4  the keys of some host could not be told: no console output yet, or the host does not answer
Of several, 1 comes before 3 before 4.";

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = TRUST_EXIT_CODES)]
pub(crate) struct TrustArgs {
    #[command(flatten)]
    pub(crate) fleet: fleet_tool::cli::FleetArgs,
    /// Add the keys to FILE [default: the first UserKnownHostsFile of ssh_config]
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// Say what would be done, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(subcommand)]
    pub(crate) command: Option<HistoryCommand>,
    /// Print JSON objects, one a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Show who ran what, and what became of every host
    Show {
        /// Which run
        #[arg(default_value = "last")]
        run: String,
        /// Print what the hosts said, if the run kept it (--record-output)
        #[arg(long)]
        output: bool,
    },
    /// Show the hosts that ended otherwise, or said something else, in another run
    Diff {
        /// The run to start from
        #[arg(value_name = "RUN")]
        before: String,
        /// The run to compare it with
        #[arg(value_name = "OTHER", default_value = "last")]
        after: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct InitArgs {
    /// Write this file, or fleet.toml in this folder; one that is there already stays as it is
    #[arg(value_name = "PATH", default_value = "fleet.toml")]
    pub(crate) path: PathBuf,
    /// Print it instead
    #[arg(long, conflicts_with = "path")]
    pub(crate) stdout: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StartArgs {
    /// Start this many hosts (10 when there are no roles either)
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(crate) hosts: Option<usize>,
    /// Give hosts roles, which are groups for the tools: server=1,web=5,loadgen=rest
    #[arg(long)]
    pub(crate) roles: Option<Roles>,
    /// Let hosts misbehave: names or roles, a colon and a fault, as in web01,web02:latency=50ms (repeatable)
    #[arg(long = "fault", value_name = "HOSTS:FAULT", value_parser = parse_fault, long_help = fault_help())]
    pub(crate) faults: Vec<HostFault>,
    /// Answer a few commands without running any, so that thousands of hosts fit on one machine
    #[arg(long, long_help = simulate_help())]
    pub(crate) simulate: bool,
    /// Serve in this process until Ctrl-C
    #[arg(long)]
    pub(crate) foreground: bool,
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FolderArgs {
    /// Keep the sandbox's files here [default: $XDG_STATE_HOME or ~/.local/state, then fleet-sandbox]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// One `--fault`: which hosts, and what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostFault {
    /// Names of hosts or roles.
    pub(crate) hosts: Vec<String>,
    pub(crate) fault: Fault,
}

impl FolderArgs {
    /// The folder as an absolute path; `None` when it was not given and the user has no home.
    pub(crate) fn resolve(&self) -> Option<PathBuf> {
        let from_variable = |name, below: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then(|| path.join(below))
        };
        let dir = self.dir.clone();
        let dir = dir.or_else(|| from_variable("XDG_STATE_HOME", "fleet-sandbox"));
        let dir = dir.or_else(|| from_variable("HOME", ".local/state/fleet-sandbox"))?;
        std::path::absolute(dir).ok()
    }
}

/// Runs `fleet` with `arguments`, the first of which is its own name.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = OsString>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let arguments = match FleetArgs::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors too, with code 0 and stdout. A closed terminal leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(sandbox::USAGE));
        }
    };
    match arguments.command {
        Command::Sandbox(command) => sandbox::run(command, stdout, stderr),
        Command::History(args) => history::run(&args, stdout, stderr),
        Command::Doctor(arguments) => doctor::run(arguments.fleet, stdout, stderr),
        Command::Hosts(args) => crate::hosts::run(*args, stdout, stderr),
        Command::Partition(args) => crate::partition::run(*args, stdout, stderr),
        Command::Svc(command) => crate::svc::run(command, stderr),
        Command::Wait(args) => crate::wait::run(*args, stderr),
        Command::Template(args) => crate::template::run(*args, stdout, stderr),
        Command::Classify(args) => classify::run(&args, stdout, stderr),
        Command::Trust(arguments) => trust::run(*arguments, stdout, stderr),
        Command::Provider(ProviderCommand::Check(arguments)) => provider::run(&arguments, stdout, stderr),
        Command::Config(args) => config::run(&args, stdout, stderr),
        Command::Init(args) => init::run(&args, stdout, stderr),
        Command::Demo => demo::run(stdout, stderr),
    }
}

fn parse_fault(text: &str) -> Result<HostFault, String> {
    let parts = text.split_once(':').filter(|(hosts, _)| !hosts.is_empty());
    let (hosts, fault) = parts.ok_or("expected HOSTS:FAULT, as in web01:refuse")?;
    let fault = fault.parse().map_err(|error: fleet_sandbox::FaultError| error.to_string())?;
    Ok(HostFault { hosts: hosts.split(',').map(str::to_owned).collect(), fault })
}

fn parse_settings(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

fn fault_help() -> String {
    let faults = Fault::names().join(", ");
    format!(
        "Let hosts misbehave: names or roles, a colon and a fault, as in web01,web02:latency=50ms (repeatable)\n\n\
         Faults: {faults}"
    )
}

fn simulate_help() -> String {
    format!(
        "Answer a few commands without running any, so that thousands of hosts fit on one machine\n\n\
         Connections, logins, channels, faults and files are as ever. Commands: {SIMULATED_COMMANDS}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_sound() {
        use clap::CommandFactory as _;
        FleetArgs::command().debug_assert();
    }

    #[test]
    fn faults_name_hosts_and_what_they_do() {
        let fault = parse_fault("web01,db:latency=5ms").unwrap();
        assert_eq!(fault.hosts, ["web01", "db"]);
        assert_eq!(fault.fault, Fault::Latency(std::time::Duration::from_millis(5)));
        for wrong in ["refuse", ":refuse", "web01:", "web01:explode"] {
            assert!(parse_fault(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn usage_errors_end_with_code_2() {
        for arguments in
            [&["fleet", "sandbox", "start", "--roles", "web"][..], &["fleet", "sandbox", "exec"], &["fleet"]]
        {
            let error = FleetArgs::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(sandbox::USAGE), "{arguments:?}");
        }
    }
}
