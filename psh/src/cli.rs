//! The flags of `psh` and what they resolve to.
//!
//! Must not contact any host.

mod sudo;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use clap::{ArgAction, Parser};
use fleet_core::broadcast::Broadcast;
use fleet_core::cli::{
    EXIT_CODES_HELP, Failure, FleetArgs, Prepared, StdinUse, SudoPassword, our_terminal, usage_failure,
};
use fleet_core::render::Layout;
use fleet_core::ssh::remote::{SudoUser, is_variable_name, sh_quote};
use fleet_core::ssh::{CommandLimits, Connector, Sudo, Terminal, Wrapping};

use self::sudo::SudoArgs;
use crate::task::{Remarks, RunCommand};

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

    /// Set a variable for the command, as NAME=VALUE, which others on the host may see; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = "Running")]
    variables: Vec<OsString>,

    /// Run the words exactly as given, without a shell's reading of them
    #[arg(long, help_heading = "Running")]
    argv: bool,

    /// Send the command without our shell wrapper, for servers that have no POSIX shell
    #[arg(long, conflicts_with_all = ["variables", "sudo", "ask_sudo"], help_heading = "Running")]
    raw: bool,

    #[command(flatten)]
    sudo: SudoArgs,

    /// Run the command on a terminal of its own, which makes one output of its two; -I types there
    #[arg(long, help_heading = "Running")]
    pty: bool,

    /// What to run: one word is a shell command, several are joined as ssh(1) does
    #[arg(value_name = "COMMAND", trailing_var_arg = true, action = ArgAction::Append)]
    command: Vec<OsString>,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct CommandSettings {
    command: Vec<u8>,
    variables: Vec<(String, Vec<u8>)>,
    input: Input,
    wrapping: Wrapping,
    sudo: Option<SudoUser>,
    terminal: Option<Terminal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    None,
    Ours,
}

/// Reads the arguments of this process.
pub(crate) fn parse() -> Result<(Prepared, CommandSettings), Failure> {
    let args = PshArgs::try_parse().map_err(|error| usage_failure("psh", &error))?;
    let PshArgs { fleet, send_input, variables, argv, raw, sudo, pty, command } = args;
    let stdin = if send_input { StdinUse::Taken("-I") } else { StdinUse::Free };
    let variables = variables.into_iter().map(variable).collect::<Result<_, _>>()?;
    let lists_only = fleet.lists_only();
    let sudo = sudo.resolve()?;
    let mut prepared = fleet.prepare("psh", stdin)?;
    prepared.sudo_password = if sudo.asks { SudoPassword::Ask } else { SudoPassword::None };
    let command = if argv { quoted(&command) } else { joined(&command) };
    if command.is_empty() && !lists_only {
        return Err(Failure::usage_text("there is no command to run")
            .hint("psh -g GROUP 'uptime' runs one; psh -g GROUP --list only shows the hosts"));
    }
    let input = if send_input { Input::Ours } else { Input::None };
    let wrapping = if raw { Wrapping::Raw } else { Wrapping::Shell };
    let terminal = pty.then(our_terminal);
    Ok((prepared, CommandSettings { command, variables, input, wrapping, sudo: sudo.user, terminal }))
}

impl CommandSettings {
    /// The task that runs the command on the chosen hosts.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<RunCommand, Failure> {
        let settings = &prepared.settings;
        let input = match self.input {
            Input::None => None,
            Input::Ours => Some(Broadcast::start(io::stdin()).map_err(|error| Failure::ours(&error))?),
        };
        Ok(RunCommand {
            connector,
            hosts: prepared.selected.hosts.clone(),
            command: self.command,
            variables: self.variables,
            input,
            wrapping: self.wrapping,
            sudo: self.sudo.map(|user| Sudo { user, password: prepared.sudo_password.known().cloned() }),
            terminal: self.terminal,
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
        })
    }
}

/// ssh(1)'s way: the words with a blank between, for the remote shell to read.
fn joined(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ')
}

/// Each word quoted, so that the remote program gets exactly these arguments.
fn quoted(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| sh_quote(word.as_bytes())).collect::<Vec<_>>().join(&b' ')
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
        for (flag, sudo) in [("--sudo", "root"), ("--sudo=www-data", "www-data")] {
            let args = command_of(&["psh", "-H", "a", flag, "id", "-u"]);
            assert_eq!((args.command, args.sudo.name()), (words(&["id", "-u"]), Some(sudo)));
        }
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
    fn one_word_is_verbatim_several_are_joined_and_argv_is_exact() {
        assert_eq!(joined(&words(&["echo  $HOME | wc"])), b"echo  $HOME | wc");
        assert_eq!(joined(&words(&["echo", "a  b", "$X"])), b"echo a  b $X");
        assert_eq!(quoted(&words(&["printf", "%s|", "a b", "it's"])), br"printf '%s|' 'a b' 'it'\''s'");
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
