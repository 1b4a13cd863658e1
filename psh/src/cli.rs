//! The flags of `psh` and what they resolve to.
//!
//! Must not contact any host.

mod ways;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use clap::{ArgAction, Parser};
use fleet_core::broadcast::Broadcast;
use fleet_core::cli::{EXIT_CODES_HELP, Failure, FleetArgs, Prepared, StdinUse, usage_failure};
use fleet_core::render::Layout;
use fleet_core::ssh::remote::is_variable_name;
use fleet_core::ssh::{CommandLimits, Connector, Wrapping};
use fleet_core::template::Template;

use self::ways::WaysArgs;
use crate::payload::{Form, Payload, template};
use crate::task::{Remarks, RunCommand, Work};

/// Run a command on many hosts at once over SSH
#[derive(Parser, Debug)]
#[command(
    name = "psh",
    version,
    disable_help_flag = true,
    after_help = EXIT_CODES_HELP,
    override_usage = "psh [SELECTION] [OPTIONS] [--] COMMAND..."
)]
struct PshArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Send our standard input to every host [default: end of file at once]
    #[arg(short = 'I', long, help_heading = "Running")]
    send_input: bool,

    /// Set a variable for the command, as NAME=VALUE; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = "Running")]
    variables: Vec<OsString>,

    /// Run the words exactly as given, without a shell's reading of them
    #[arg(long, help_heading = "Running")]
    argv: bool,

    /// Send the command without our shell wrapper, for servers that have no POSIX shell
    #[arg(long, conflicts_with = "variables", help_heading = "Running")]
    raw: bool,

    /// What to run: one word is a shell command, several are joined as ssh(1) does
    #[arg(value_name = "COMMAND", trailing_var_arg = true, action = ArgAction::Append)]
    command: Vec<OsString>,

    #[command(flatten)]
    ways: WaysArgs,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct CommandSettings {
    work: Work,
    input: Input,
    wrapping: Wrapping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    None,
    Ours,
}

/// Whether braces in texts are placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Braces {
    Placeholders,
    Plain,
}

/// Reads the arguments of this process.
pub(crate) fn parse() -> Result<(Prepared, CommandSettings), Failure> {
    let mut args = PshArgs::try_parse().map_err(|error| usage_failure("psh", &error))?;
    let (stdin, lists_only) = (args.stdin_use(), args.fleet.lists_only());
    let input = if args.send_input { Input::Ours } else { Input::None };
    let wrapping = if args.raw { Wrapping::Raw } else { Wrapping::Shell };
    let work = match args.ways.jobs.work()? {
        Some(work) => Work::Jobs(work),
        None => Work::Run(args.payload()?),
    };
    let prepared = args.fleet.prepare("psh", stdin)?;
    if matches!(&work, Work::Run(payload) if payload.form.is_empty()) && !lists_only {
        return Err(Failure::usage_text("there is no command to run")
            .hint("psh -g GROUP 'uptime' runs one; psh -g GROUP --list only shows the hosts"));
    }
    Ok((prepared, CommandSettings { work, input, wrapping }))
}

impl PshArgs {
    fn stdin_use(&self) -> StdinUse {
        match &self.ways.script {
            Some(path) if path.as_os_str() == "-" => StdinUse::Taken("--script -"),
            _ if self.send_input => StdinUse::Taken("-I"),
            _ => StdinUse::Free,
        }
    }

    /// What is to be run, and the only thing that is read for it: the script.
    fn payload(&mut self) -> Result<Payload, Failure> {
        let braces = if self.ways.template { Braces::Placeholders } else { Braces::Plain };
        let words = std::mem::take(&mut self.command);
        let form = match &self.ways.script {
            Some(path) if path.as_os_str() == "-" && self.send_input => {
                return Err(
                    Failure::usage_text("-I and --script - both read standard input").hint("give the script as a file")
                );
            }
            Some(path) => Form::Script(ways::read_script(path)?, braces.read_all(words)?),
            None if self.argv => Form::Words(braces.read_all(words)?),
            None => Form::Shell(braces.read(&joined(&words))?),
        };
        let variables = std::mem::take(&mut self.variables).into_iter().map(variable);
        let variables = variables
            .map(|variable| variable.and_then(|(name, value)| Ok((name, braces.read(&value)?))))
            .collect::<Result<_, _>>()?;
        Ok(Payload { form, variables, job: self.ways.jobs.new_name() })
    }
}

impl Braces {
    fn read(self, text: &[u8]) -> Result<Template, Failure> {
        match self {
            Self::Plain => Ok(Template::verbatim(text)),
            Self::Placeholders => template(text).map_err(|error| {
                Failure::usage(&error).hint("with --template, braces of the shell are doubled: ${{HOME}}, {{ ...; }}")
            }),
        }
    }

    fn read_all(self, words: Vec<OsString>) -> Result<Vec<Template>, Failure> {
        words.iter().map(|word| self.read(word.as_bytes())).collect()
    }
}

impl CommandSettings {
    /// The task that does the work on the chosen hosts.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<RunCommand, Failure> {
        let settings = &prepared.settings;
        let input = match self.input {
            Input::None => None,
            Input::Ours => Some(Broadcast::start(io::stdin()).map_err(|error| Failure::ours(&error))?),
        };
        let task = RunCommand {
            connector,
            hosts: prepared.selected.hosts.clone(),
            work: self.work,
            input,
            wrapping: self.wrapping,
            remarks: if prepared.verbosity > 0 || prepared.render.layout == Layout::Json {
                Remarks::Shown
            } else {
                Remarks::Hidden
            },
            limits: CommandLimits {
                timeout: settings.timeout.value,
                stall: settings.stall.value,
                grace: settings.grace.value,
                channel: None,
            },
        };
        if let Err((host, error)) = task.check() {
            let failure = Failure::usage_text(format!("{}: {error}", host.host));
            return Err(match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
        Ok(task)
    }
}

/// ssh(1)'s way: the words with a blank between, for the remote shell to read.
fn joined(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ')
}

fn variable(text: OsString) -> Result<(String, Vec<u8>), Failure> {
    let bytes = text.into_vec();
    let found = || String::from_utf8_lossy(&bytes).into_owned();
    let refused = || {
        Failure::usage_text(format!("--env takes NAME=VALUE, not \"{}\"", found()))
            .hint("a name has letters, digits and _, and no digit first")
    };
    let at = bytes.iter().position(|&b| b == b'=').ok_or_else(refused)?;
    let name = std::str::from_utf8(&bytes[..at]).map_err(|_| refused())?;
    if !is_variable_name(name) {
        return Err(refused());
    }
    Ok((name.to_owned(), bytes[at + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn command_of(args: &[&str]) -> PshArgs {
        PshArgs::try_parse_from(args).unwrap()
    }

    #[test]
    fn the_definition_of_the_flags_is_sound() {
        PshArgs::command().debug_assert();
    }

    #[test]
    fn options_behind_the_command_belong_to_the_command() {
        let args = command_of(&["psh", "-H", "a", "-p", "5", "ls", "-l", "-p", "--json"]);
        assert_eq!(args.command, words(&["ls", "-l", "-p", "--json"]));
        let args = command_of(&["psh", "-H", "a", "--", "-x"]);
        assert_eq!(args.command, words(&["-x"]));
        assert!(PshArgs::try_parse_from(["psh", "-H", "a", "--no-such-flag", "true"]).is_err());
    }

    #[test]
    fn values_may_be_attached_to_their_short_flags() {
        for (attached, apart) in [
            (&["-p32"][..], &["-p", "32"][..]),
            (&["-hhosts.txt"], &["-h", "hosts.txt"]),
            (&["-h-"], &["-h", "-"]),
            (&["-Hweb1,web2"], &["-H", "web1,web2"]),
            (&["-gweb"], &["-g", "web"]),
            (&["-x@back"], &["-x", "@back"]),
            (&["-lroot"], &["-l", "root"]),
            (&["-t5"], &["-t", "5"]),
            (&["-oout/dir"], &["-o", "out/dir"]),
            (&["-eerr"], &["-e", "err"]),
            (&["-OPort=22"], &["-O", "Port=22"]),
            (&["-Fnone"], &["-F", "none"]),
            (&["-ivp8", "-lme"], &["-i", "-v", "-p", "8", "-l", "me"]),
            (&["-APIt1m30s"], &["-A", "-P", "-I", "-t", "1m30s"]),
        ] {
            let read = |flags: &[&str]| format!("{:?}", command_of(&[&["psh"], flags, &["uptime"]].concat()));
            assert_eq!(read(attached), read(apart), "{attached:?}");
            assert_ne!(read(attached), read(&[]), "{attached:?}");
        }
    }

    #[test]
    fn one_word_is_verbatim_and_several_are_joined() {
        assert_eq!(joined(&words(&["echo  $HOME | wc"])), b"echo  $HOME | wc");
        assert_eq!(joined(&words(&["echo", "a  b", "$X"])), b"echo a  b $X");
    }

    #[test]
    fn variables_need_a_name_and_a_value() {
        assert_eq!(variable("A_1=b=c".into()).unwrap(), ("A_1".to_owned(), b"b=c".to_vec()));
        for text in ["A", "=x", "1A=x", "A-B=x", ""] {
            assert!(variable(text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn help_is_complete() {
        insta::assert_snapshot!(PshArgs::command().term_width(100).render_help().to_string());
    }
}
