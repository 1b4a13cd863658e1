//! The flags of `psh` and what they resolve to.
//!
//! Must not contact any host.

mod sudo;
mod ways;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use clap::{ArgAction, Args, Parser};
use fleet_core::broadcast::Broadcast;
use fleet_core::inventory::nearest;
use fleet_core::record::{self, Places};
use fleet_core::template::{Template, TemplateError};
use fleet_ssh::remote::{JobName, JobShell, SudoUser, Token, sh_quote};
use fleet_ssh::{Connector, Terminal, Wrapping};
use fleet_tool::cli::{
    EXIT_CODES_HELP, Failure, FleetArgs, Prepared, StdinUse, our_terminal, typed, usage_failure, variable,
};

use self::sudo::SudoArgs;
use self::ways::WaysArgs;
use crate::payload::{Form, Job, Payload, template};
use crate::recipe::Recipe;
use crate::task::{RunCommand, Work};

/// The flags whose values `NAME=VALUE` are not written down.
const SECRET_FLAGS: [&str; 1] = ["--env"];

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

    #[command(flatten)]
    run: CommandArgs,
}

/// What to run, and how.
#[derive(Args, Debug)]
struct CommandArgs {
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

    #[command(flatten)]
    ways: WaysArgs,
}

/// The command line apart from hosts and connections.
#[derive(Debug)]
pub(crate) struct CommandSettings {
    work: Work,
    input: Input,
    wrapping: Wrapping,
    places: Option<Places>,
    sudo: Option<SudoUser>,
    terminal: Option<Terminal>,
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
pub(crate) fn parse() -> Result<(Prepared, record::Work, CommandSettings), Failure> {
    let PshArgs { fleet, run } = PshArgs::try_parse().map_err(|error| usage_failure("psh", &error))?;
    let stdin = run.stdin_use()?;
    let jobs = run.ways.jobs.work()?;
    let variables = run.variables.iter().cloned().map(variable).collect::<Result<Vec<_>, _>>()?;
    let given = run.recipe(&variables);
    let lists_only = fleet.lists_only();
    let mut prepared = fleet.prepare("psh", stdin)?;
    let recipe = match &prepared.former {
        Some(former) if run.is_empty() && jobs.is_none() && !lists_only => {
            given.completed_from(former, &prepared.selected.hosts)?
        }
        _ => given,
    };
    let mut recorded = record::Work { typed: typed(run.command.len(), &SECRET_FLAGS), ..record::Work::default() };
    let work = if let Some((jobs, text)) = jobs {
        recorded.text = text;
        Work::Jobs(jobs)
    } else {
        // What is not text is no recipe either.
        let words = if recipe.words.is_empty() { run.command.clone() } else { recipe.words() };
        recorded.text = String::from_utf8_lossy(&shown(&recipe, &words)).into_owned();
        recorded.again = serde_json::to_value(&recipe).unwrap_or_default();
        Work::Run(run.payload(&recipe, &words, variables)?.into())
    };
    if matches!(&work, Work::Run(payload) if payload.form.is_empty()) && !lists_only {
        return Err(Failure::usage_text("there is no command to run")
            .hint("psh -g GROUP 'uptime' runs one; psh -g GROUP --list only shows the hosts"));
    }
    prepared.sudo_password = recipe.sudo_request().password();
    let settings = CommandSettings {
        work,
        input: if run.send_input { Input::Ours } else { Input::None },
        wrapping: if recipe.raw { Wrapping::Raw } else { Wrapping::Shell },
        sudo: recipe.sudo_request().user()?,
        terminal: recipe.pty.then(our_terminal),
        places: recipe.places,
    };
    Ok((prepared, recorded, settings))
}

impl CommandArgs {
    fn stdin_use(&self) -> Result<StdinUse, Failure> {
        match &self.ways.script {
            Some(path) if path.as_os_str() == "-" && self.send_input => {
                Err(Failure::usage_text("-I and --script - both read standard input").hint("give the script as a file"))
            }
            Some(path) if path.as_os_str() == "-" => Ok(StdinUse::Taken("--script -")),
            _ if self.send_input => Ok(StdinUse::Taken("-I")),
            _ => Ok(StdinUse::Free),
        }
    }

    /// Whether no command is given.
    fn is_empty(&self) -> bool {
        self.command.is_empty() && self.ways.script.is_none()
    }

    /// What is given, as it is written down.
    fn recipe(&self, variables: &[(String, Vec<u8>)]) -> Recipe {
        Recipe {
            words: text_of(&self.command),
            argv: self.argv,
            raw: self.raw,
            script: self.ways.script.as_ref().map(|path| path.to_string_lossy().into_owned()),
            template: self.ways.template,
            background: self.ways.jobs.background,
            sudo: self.sudo.name().map(str::to_owned),
            ask_sudo: self.sudo.asks(),
            pty: self.pty,
            env: variables.iter().map(|(name, _)| name.clone()).collect(),
            input: self.send_input,
            places: None,
        }
    }

    /// What is to be run, and the only thing that is read for it: the script.
    fn payload(
        &self,
        recipe: &Recipe,
        words: &[OsString],
        variables: Vec<(String, Vec<u8>)>,
    ) -> Result<Payload, Failure> {
        let braces = if recipe.template { Braces::Placeholders } else { Braces::Plain };
        let form = match &self.ways.script {
            Some(path) => Form::Script(ways::read_script(path)?, braces.read_all(words)?),
            None if recipe.argv => Form::Words(braces.read_all(words)?),
            None => Form::Shell(braces.read(&joined(words))?),
        };
        let variables = variables.into_iter().map(|(name, value)| Ok((name, braces.read(&value)?)));
        let shell = if recipe.sudo_request().is_made() { JobShell::Posix } else { JobShell::Login };
        let has_input = recipe.input || self.ways.script.is_some();
        let job = recipe.background.then(|| Job {
            name: JobName::random(SystemTime::now()),
            shell,
            input_end: has_input.then(Token::random),
        });
        let payload = Payload { form, variables: variables.collect::<Result<_, Failure>>()?, job };
        match payload.facts().first() {
            Some(fact) if recipe.raw => Err(Failure::usage_text(format!(
                "{{{}}} is asked of the host's POSIX shell, which --raw does without",
                fact.name()
            ))
            .hint("leave out --raw, or the placeholder")),
            _ => Ok(payload),
        }
    }
}

impl Braces {
    fn read(self, text: &[u8]) -> Result<Template, Failure> {
        match self {
            Self::Plain => Ok(Template::verbatim(text)),
            Self::Placeholders => template(text).map_err(|error| Failure::usage(&error).hint(hint_at_braces(&error))),
        }
    }

    fn read_all(self, words: &[OsString]) -> Result<Vec<Template>, Failure> {
        words.iter().map(|word| self.read(word.as_bytes())).collect()
    }
}

fn hint_at_braces(error: &TemplateError) -> String {
    let doubled = "with --template, braces of the shell are doubled: ${{HOME}}, {{ ...; }}";
    let alike = match error {
        TemplateError::Unknown { name, known } => nearest(name, known.iter().map(String::as_str)),
        TemplateError::Unpaired { .. } => Vec::new(),
    };
    if alike.is_empty() {
        return doubled.to_owned();
    }
    format!("did you mean {{{}}}? {doubled}", alike.join("} or {"))
}

/// The command as people read it.
fn shown(recipe: &Recipe, words: &[OsString]) -> Vec<u8> {
    match &recipe.script {
        Some(script) => {
            let words = [&["--script".into(), script.into()], words].concat();
            quoted(&words)
        }
        None if recipe.argv => quoted(words),
        None => joined(words),
    }
}

impl CommandSettings {
    /// The task that does the work on the chosen hosts.
    pub(crate) fn into_task(self, connector: Arc<Connector>, prepared: &Prepared) -> Result<RunCommand, Failure> {
        let input = match self.input {
            Input::None => None,
            Input::Ours => Some(Broadcast::start(io::stdin()).map_err(|error| Failure::ours(&error))?),
        };
        let places = match &self.work {
            Work::Run(payload) => prepared.places_for(self.places.as_ref(), payload.texts())?,
            Work::Jobs(_) => prepared.places(None),
        };
        let task = RunCommand {
            connector,
            hosts: prepared.selected.hosts.clone(),
            work: self.work,
            input,
            wrapping: self.wrapping,
            places,
            sudo: self.sudo.map(|user| prepared.sudo(user)),
            terminal: self.terminal,
            remarks: prepared.remarks(),
            limits: prepared.command_limits(),
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

/// The words, if all of them are text.
fn text_of(words: &[OsString]) -> Vec<String> {
    words.iter().map(|word| word.to_str().map(str::to_owned)).collect::<Option<_>>().unwrap_or_default()
}

/// ssh(1)'s way: the words with a blank between, for the remote shell to read.
fn joined(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ')
}

/// Each word quoted, so that a shell reads exactly these.
fn quoted(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| sh_quote(word.as_bytes())).collect::<Vec<_>>().join(&b' ')
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
        assert_eq!(args.run.command, words(&["ls", "-l", "-p", "--json"]));
        let args = command_of(&["psh", "-H", "a", "--", "-x"]);
        assert_eq!(args.run.command, words(&["-x"]));
        assert!(PshArgs::try_parse_from(["psh", "-H", "a", "--no-such-flag", "true"]).is_err());
        for (flag, sudo) in [("--sudo", "root"), ("--sudo=www-data", "www-data")] {
            let args = command_of(&["psh", "-H", "a", flag, "id", "-u"]);
            assert_eq!((args.run.command, args.run.sudo.name()), (words(&["id", "-u"]), Some(sudo)));
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
    fn one_word_is_verbatim_and_several_are_joined() {
        assert_eq!(joined(&words(&["echo  $HOME | wc"])), b"echo  $HOME | wc");
        assert_eq!(joined(&words(&["echo", "a  b", "$X"])), b"echo a  b $X");
    }

    #[test]
    fn help_is_complete() {
        insta::assert_snapshot!(PshArgs::command().term_width(100).render_help().to_string());
    }
}
