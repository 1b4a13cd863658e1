//! The flags of `fleet svc`, and what they resolve to.
//!
//! Must not contact any host.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use fleet_core::settings::parse_duration;
use fleet_ssh::remote::{Follow, JobShell, LaunchBy, ServiceName, Services, SudoUser, login_shell_word};
use fleet_tool::cli::{EXIT_CODES_HELP, Failure, FleetArgs, SudoPassword, SudoRequest, variable};

use crate::svc::{Replace, Start, Work};

#[derive(Debug, Subcommand)]
pub(crate) enum SvcCommand {
    /// Start a command that goes on without us, under a name
    ///
    /// It has no input; its output goes to a log on the host. One that ends within the time of --settle is a failure, and
    /// its last lines are shown. Where a service of that name runs, nothing is started without --replace.
    Start(Box<SvcStartArgs>),
    /// Say whether a service runs: the exit code is 0 if it does on all hosts
    Status(Box<SvcStatusArgs>),
    /// Print the last lines of the log of a service
    Logs(Box<SvcLogsArgs>),
    /// Stop a service, or all of them, with all their processes: TERM, then after --grace KILL
    ///
    /// A service that has ended is none to be stopped, but what it has left behind is. Its log stays.
    Stop(Box<SvcStopArgs>),
    /// List the services of the hosts: name, state, command
    Ls(Box<SvcLsArgs>),
    /// Forget a service that does not run, with its log
    Rm(Box<SvcRmArgs>),
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc start server -g server -- ./server --port 8080",
    "fleet svc start web -g web --replace --settle 3s \"exec nginx -c $PWD/nginx.conf -g 'daemon off;'\"",
    "fleet svc start sampler -g all --env RATE=5 --cwd /srv 'exec vmstat \"$RATE\"'",
]))]
pub(crate) struct SvcStartArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
    /// What it is called from then on: letters, digits and ._-
    name: String,
    /// Stop a service of that name that runs, and start it anew
    #[arg(long, help_heading = "Service")]
    replace: bool,
    /// How long it has to run to count as started; 0 is not at all
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_settle, help_heading = "Service")]
    settle: Duration,
    /// Set a variable for it, as NAME=VALUE, which others on the host may see; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = "Service")]
    variables: Vec<OsString>,
    /// Run it in the folder DIR of the host [default: that of the login]
    #[arg(long, value_name = "DIR", help_heading = "Service")]
    cwd: Option<OsString>,
    /// Run the words exactly as given, without a shell's reading of them
    #[arg(long, help_heading = "Service")]
    argv: bool,
    /// What starts it: systemd, where it can be used by this user (auto), or a session of its own
    #[arg(long, value_enum, default_value_t = SvcBy::Auto, help_heading = "Service")]
    by: SvcBy,
    /// What to run: one word is a shell command, several are joined as ssh(1) does
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What starts a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SvcBy {
    /// systemd where it can be used, else setsid
    Auto,
    /// setsid(1), or nohup(1) where there is none
    Setsid,
    /// A transient unit fleet-NAME: the system's for root, else the user's, who has to linger
    Systemd,
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc status server -g server",
    "fleet svc status web -g web -d --dedup-ignore pid,time",
]))]
pub(crate) struct SvcStatusArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
    /// Which service
    name: String,
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc logs server -g server -n 100",
    "fleet svc logs web -g web -f | grep -i error",
]))]
pub(crate) struct SvcLogsArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
    /// Which service
    name: String,
    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20, help_heading = "Service")]
    lines: u64,
    /// Print what is added as well, until Ctrl-C
    #[arg(short = 'f', long, help_heading = "Service")]
    follow: bool,
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc stop server -g server",
    "fleet svc stop --all -g all --grace 10s",
]))]
pub(crate) struct SvcStopArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
    /// Which service
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// All services of the user on the hosts, also what is left of those that have ended
    #[arg(long, conflicts_with = "name", help_heading = "Service")]
    all: bool,
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc ls -g all",
    "fleet svc ls -g all --sudo",
]))]
pub(crate) struct SvcLsArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
}

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = help(&[
    "fleet svc stop server -g server && fleet svc rm server -g server",
]))]
pub(crate) struct SvcRmArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    sudo: SvcSudoArgs,
    /// Which service
    name: String,
}

/// Whose services they are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Service")]
struct SvcSudoArgs {
    /// Services of root, or of USER, by the host's sudo
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    sudo: Option<String>,
    /// Ask once for a password, and answer the hosts whose sudo asks; implies --sudo
    #[arg(long)]
    ask_sudo: bool,
}

/// What is to be done, and on which hosts.
#[derive(Debug)]
pub(crate) struct SvcSettings {
    pub(crate) fleet: FleetArgs,
    pub(crate) sudo: Option<SudoUser>,
    pub(crate) sudo_password: SudoPassword,
    pub(crate) work: Work,
    /// How the work is written down.
    pub(crate) text: String,
    /// How many of the last words of the command line are a command.
    pub(crate) command_words: usize,
}

impl SvcCommand {
    /// What the flags say.
    ///
    /// # Errors
    /// When a name, a variable or a user is none.
    pub(crate) fn resolve(self) -> Result<SvcSettings, Failure> {
        match self {
            Self::Start(args) => args.resolve(),
            Self::Status(args) => {
                let SvcStatusArgs { fleet, sudo, name } = *args;
                sudo.settings(fleet, format!("svc status {name}"), Work::Status(service_name(&name)?))
            }
            Self::Logs(args) => {
                let SvcLogsArgs { fleet, sudo, name, lines, follow } = *args;
                let follow = if follow { Follow::Yes } else { Follow::No };
                let work = Work::Logs { name: service_name(&name)?, lines, follow };
                sudo.settings(fleet, format!("svc logs {name}"), work)
            }
            Self::Stop(args) => {
                let SvcStopArgs { fleet, sudo, name, all: _ } = *args;
                let services = match &name {
                    Some(name) => Services::One(service_name(name)?),
                    None => Services::All,
                };
                let text = format!("svc stop {}", name.as_deref().unwrap_or("--all"));
                sudo.settings(fleet, text, Work::Stop(services))
            }
            Self::Ls(args) => {
                let SvcLsArgs { fleet, sudo } = *args;
                sudo.settings(fleet, "svc ls".to_owned(), Work::List)
            }
            Self::Rm(args) => {
                let SvcRmArgs { fleet, sudo, name } = *args;
                sudo.settings(fleet, format!("svc rm {name}"), Work::Remove(service_name(&name)?))
            }
        }
    }
}

impl SvcStartArgs {
    fn resolve(self) -> Result<SvcSettings, Failure> {
        let Self { fleet, sudo, name, replace, settle, variables, cwd, argv, by, command } = self;
        let word = |word: &OsString| match argv {
            true => login_shell_word(word.as_bytes()),
            false => word.as_bytes().to_vec(),
        };
        let line = command.iter().map(word).collect::<Vec<_>>().join(&b' ');
        if line.trim_ascii().is_empty() {
            return Err(Failure::usage_text("there is no command to run")
                .hint("fleet svc start NAME -g GROUP -- ./server --port 8080 runs one"));
        }
        let text = format!("svc start {name} -- {}", String::from_utf8_lossy(&line));
        let start = Start {
            name: service_name(&name)?,
            command: line,
            variables: variables.into_iter().map(variable).collect::<Result<_, _>>()?,
            folder: cwd.map(OsString::into_vec),
            shell: if sudo.request().is_made() { JobShell::Posix } else { JobShell::Login },
            by: match by {
                SvcBy::Auto => LaunchBy::Auto,
                SvcBy::Setsid => LaunchBy::Setsid,
                SvcBy::Systemd => LaunchBy::Systemd,
            },
            replace: if replace { Replace::Yes } else { Replace::No },
            settle,
        };
        let settings = sudo.settings(fleet, text, Work::Start(start.into()))?;
        Ok(SvcSettings { command_words: command.len(), ..settings })
    }
}

impl SvcSudoArgs {
    fn request(&self) -> SudoRequest<'_> {
        SudoRequest { user: self.sudo.as_deref(), asks: self.ask_sudo }
    }

    fn settings(&self, fleet: FleetArgs, text: String, work: Work) -> Result<SvcSettings, Failure> {
        let (sudo, sudo_password) = (self.request().user()?, self.request().password());
        Ok(SvcSettings { fleet, sudo, sudo_password, work, text, command_words: 0 })
    }
}

fn service_name(text: &str) -> Result<ServiceName, Failure> {
    ServiceName::parse(text).map_err(|error| Failure::usage(&error))
}

/// A duration, or 0.
fn parse_settle(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_duration(text).map_err(|error| error.to_string()) }
}

/// What ends the help of a subcommand.
fn help(examples: &[&str]) -> String {
    format!("Examples:\n  {}\n\n{EXIT_CODES_HELP}", examples.join("\n  "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(subcommand)]
        command: SvcCommand,
    }

    fn resolved(words: &[&str]) -> Result<SvcSettings, Failure> {
        Typed::try_parse_from([&["svc"], words].concat()).expect("words that clap takes").command.resolve()
    }

    fn start_of(words: &[&str]) -> Start {
        match resolved(words).expect("words that are fine").work {
            Work::Start(start) => *start,
            work => panic!("{work:?}"),
        }
    }

    #[test]
    fn the_words_behind_the_dashes_are_the_command() {
        let start = start_of(&["start", "web", "-g", "web", "--replace", "--", "nginx", "-c", "a  b", "--replace"]);
        assert_eq!((&start.command[..], start.replace), (&b"nginx -c a  b --replace"[..], Replace::Yes));
        assert_eq!(start.settle, Duration::from_secs(1));
        let start = start_of(&["start", "web", "--settle", "0", "--sudo", "-g", "web", "--", "a | b"]);
        assert_eq!((&start.command[..], start.settle, start.shell), (&b"a | b"[..], Duration::ZERO, JobShell::Posix));
        let start = start_of(&["start", "web", "--argv", "-H", "a", "--", "sh", "-c", "echo $HOME; date"]);
        assert_eq!(&start.command[..], b"sh -c 'echo $HOME; date'");
        let settings = resolved(&["start", "web", "-H", "a", "--env", "A=b", "--", "true", "x"]).expect("fine words");
        assert_eq!((settings.command_words, &*settings.text), (2, "svc start web -- true x"));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for words in [
            &["start", "../x", "-H", "a", "--", "true"][..],
            &["start", "x", "-H", "a", "--env", "1=2", "--", "true"],
            &["start", "x", "-H", "a", "--", " "],
            &["stop", "-x", "a/b", "/"],
            &["status", "."],
        ] {
            assert!(resolved(words).is_err(), "{words:?}");
        }
        for words in [
            &["start", "x", "-H", "a"][..],
            &["stop", "-H", "a"],
            &["stop", "x", "--all", "-H", "a"],
            &["logs", "x", "-n", "-1", "-H", "a"],
            &["start", "x", "--settle", "soon", "-H", "a", "--", "true"],
        ] {
            assert!(Typed::try_parse_from([&["svc"], words].concat()).is_err(), "{words:?}");
        }
    }
}
