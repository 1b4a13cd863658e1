//! What every tool shares of its command line: the flags, their help, and what they resolve to.
//!
//! With its submodules the only place of this crate that sees arguments, environment and terminal. Must not contact
//! any host.

mod failure;
mod logging;
mod terminal;

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

pub use self::failure::Failure;
pub use self::terminal::TerminalPrompt;
use crate::inventory::{self, HostFile, Inventory};
use crate::outcome::{ExitRule, ExitStatus};
use crate::render::{self, Color, Layout, Prefix, ProgressLine, RenderSettings};
use crate::select::{Selected, Selection};
use crate::settings::{self, Environment, HostKeyPolicy, Layer, LayerSource, Limit, Settings, SshConfigFile};

/// The exit codes, for the end of every `--help`.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0  all hosts are fine
  1  our own failure, such as a file that cannot be written
  2  usage, settings or inventory: nothing was contacted
  3  some host was killed, timed out or cancelled
  4  some host was never reached or was lost
  5  some command failed
Of several, 3 comes before 4 before 5. With --exit-max: the largest remote exit code.";

/// The flags that all tools have.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    /// Run on HOST: [user@]host[:port], ranges web[01-20], comma lists; repeatable
    #[arg(short = 'H', long = "host", value_name = "HOST", allow_hyphen_values = true, help_heading = "Selection")]
    hosts: Vec<String>,

    /// Run on the hosts of FILE (- is standard input), or with -g on its groups; repeatable
    #[arg(short = 'h', long = "hosts", value_name = "FILE", help_heading = "Selection")]
    host_files: Vec<PathBuf>,

    /// Run on the group NAME, or on the known hosts that match a pattern; repeatable
    #[arg(short = 'g', long = "group", value_name = "NAME", visible_alias = "host-glob", help_heading = "Selection")]
    groups: Vec<String>,

    /// Leave out hosts, patterns or @groups; repeatable
    #[arg(short = 'x', long, value_name = "HOSTS", allow_hyphen_values = true, help_heading = "Selection")]
    exclude: Vec<String>,

    /// Take only the first N hosts
    #[arg(long, value_name = "N", help_heading = "Selection")]
    limit: Option<usize>,

    /// Print the chosen hosts and where each comes from, and stop
    #[arg(long, help_heading = "Selection")]
    list: bool,

    /// Log in as USER, unless the host is named with a user
    #[arg(short = 'l', long, value_name = "USER", help_heading = "Connection")]
    user: Option<String>,

    /// Read this OpenSSH configuration instead of ssh's own; "none" for none
    #[arg(short = 'F', long, value_name = "FILE", help_heading = "Connection")]
    ssh_config: Option<PathBuf>,

    /// Set an option of ssh_config(5), as Key=Value; repeatable
    #[arg(short = 'O', long = "option", value_name = "OPTION", help_heading = "Connection")]
    options: Vec<String>,

    /// Offer this private key and no other; repeatable
    #[arg(long, value_name = "KEY", help_heading = "Connection")]
    identity: Vec<PathBuf>,

    /// Ask once for a password to log in with
    #[arg(short = 'A', long, help_heading = "Connection")]
    askpass: bool,

    /// What to do about unknown host keys: strict, accept-new or off
    #[arg(long, value_name = "POLICY", help_heading = "Connection")]
    host_key: Option<HostKeyPolicy>,

    /// Longest time for each stage of connecting [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Connection")]
    connect_timeout: Option<Limit>,

    /// Work on at most N hosts at once [default: 64]
    #[arg(short = 'p', long, value_name = "N", visible_alias = "par", help_heading = "Running")]
    parallel: Option<usize>,

    /// Stop the command on a host after TIME, such as 90, 90s or 1h30m [default: never]
    #[arg(short = 't', long, value_name = "TIME", help_heading = "Running")]
    timeout: Option<Limit>,

    /// Stop the command on a host that sends no byte for TIME [default: never]
    #[arg(long, value_name = "TIME", help_heading = "Running")]
    stall: Option<Limit>,

    /// Time between TERM and KILL when a command is stopped [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration, help_heading = "Running")]
    grace: Option<std::time::Duration>,

    /// Show each host's output as one block when it is done
    #[arg(short = 'i', long, help_heading = "Output")]
    inline: bool,

    /// Show lines as they come, with the host's name: the default, kept for pssh's users
    #[arg(short = 'P', long, conflicts_with = "inline", help_heading = "Output")]
    print: bool,

    /// Leave out the host's name before each line
    #[arg(long, help_heading = "Output")]
    no_prefix: bool,

    /// Print one JSON object for each event
    #[arg(long, conflicts_with_all = ["inline", "no_prefix"], help_heading = "Output")]
    json: bool,

    /// Show no output of the hosts, and a summary only if some host is not fine
    #[arg(short = 'q', long, conflicts_with_all = ["inline", "no_prefix", "json"], help_heading = "Output")]
    quiet: bool,

    /// Write each host's standard output to a file in DIR
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    outdir: Option<PathBuf>,

    /// Write each host's standard error to a file in DIR
    #[arg(short = 'e', long, value_name = "DIR", help_heading = "Output")]
    errdir: Option<PathBuf>,

    /// Return the largest remote exit code
    #[arg(long, help_heading = "Output")]
    exit_max: bool,

    /// Say more about what happens; twice for debugging
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    /// Print this help
    #[arg(long, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,

    #[command(flatten)]
    refused: RefusedArgs,
}

/// Flags of pssh that have another name here. They are accepted only to say so.
#[derive(Args, Clone, Debug)]
struct RefusedArgs {
    #[arg(short = 'X', long = "extra-arg", visible_alias = "extra-args", hide = true, allow_hyphen_values = true)]
    extra_arg: Option<String>,
    #[arg(long, hide = true)]
    inline_stdout: bool,
    #[arg(long, hide = true)]
    fileappend: bool,
    #[arg(long, hide = true)]
    no_headers: bool,
}

/// The flags, resolved against environment and files: what a run needs to know before it contacts anyone.
#[derive(Debug)]
pub struct Prepared {
    /// The tool's name.
    pub program: &'static str,
    /// Every setting with its origin.
    pub settings: Settings,
    /// The chosen hosts.
    pub selected: Selected,
    /// How the run is shown.
    pub render: RenderSettings,
    /// How the exit status follows from the outcomes.
    pub exit_rule: ExitRule,
    /// Whether a password is to be asked for.
    pub password: Password,
    /// What is done with the hosts.
    pub purpose: Purpose,
    /// Whether remarks about single hosts are shown.
    pub verbosity: u8,
}

/// Whether a password is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    /// Once, before the run.
    Ask,
    /// Keys only.
    None,
}

/// What is done with the chosen hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// They are worked on.
    Run,
    /// They are listed.
    List,
}

/// Who else reads standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdinUse {
    /// Nobody: it may hold a host file.
    Free,
    /// The tool, by the flag named.
    Taken(&'static str),
}

/// A failure to read the command line; asking for help or the version is none, and is answered here.
pub fn usage_failure(program: &str, error: &clap::Error) -> Failure {
    if !error.use_stderr() {
        let _ = error.print();
        return Failure::printed(ExitStatus::Success);
    }
    let _ = write!(io::stderr(), "{program}: {}", error.render());
    Failure::printed(ExitStatus::Usage)
}

impl FleetArgs {
    /// Whether the hosts are only listed.
    #[must_use]
    pub fn lists_only(&self) -> bool {
        self.list
    }

    /// Brings flags, environment, settings files and host files together.
    ///
    /// # Errors
    /// Whatever makes the run impossible, with exit code 2: nothing was contacted.
    pub fn prepare(self, program: &'static str, stdin: StdinUse) -> Result<Prepared, Failure> {
        logging::start(self.verbose);
        self.refused.check()?;
        let environment: Environment = std::env::vars_os().collect();
        let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
        let mut layers = vec![self.layer(), settings::from_environment(&environment)?];
        layers.extend(settings::discover(&environment, &here)?);
        let settings = Settings::resolve(&layers)?;
        let selected = self.select(&settings, stdin)?;
        let plain = environment.get("NO_COLOR").is_some() || environment.get("TERM").is_some_and(|term| term == "dumb");
        let color = if plain { Color::Never } else { Color::Auto };
        Ok(Prepared {
            program,
            render: self.render_settings(program, color, stdin),
            exit_rule: if self.exit_max { ExitRule::LargestRemote } else { ExitRule::WorstClass },
            password: if self.askpass { Password::Ask } else { Password::None },
            purpose: if self.list { Purpose::List } else { Purpose::Run },
            verbosity: self.verbose,
            settings,
            selected,
        })
    }

    fn layer(&self) -> Layer {
        let identity = (!self.identity.is_empty()).then(|| self.identity.clone());
        Layer {
            source: LayerSource::Flags,
            parallel: self.parallel,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            stall: self.stall,
            grace: self.grace,
            user: self.user.clone(),
            ssh_config: self.ssh_config.clone().map(SshConfigFile::from),
            ssh_options: self.options.clone(),
            identity,
            host_key: self.host_key,
            hosts: None,
            groups: Vec::new(),
        }
    }

    fn select(&self, settings: &Settings, stdin: StdinUse) -> Result<Selected, Failure> {
        let mut typed = Vec::new();
        for path in &self.host_files {
            typed.push(read_host_file(path, stdin)?);
        }
        let selection = Selection {
            hosts: self.hosts.clone(),
            files: typed.clone(),
            groups: self.groups.clone(),
            exclude: self.exclude.clone(),
            limit: self.limit,
        };
        let mut sources = typed;
        if self.host_files.is_empty() {
            for path in &settings.hosts.value {
                sources.push(inventory::file::read(path)?);
            }
        }
        let inventory = Inventory::merge(&sources, &settings.groups)?;
        Ok(selection.select(&inventory)?)
    }

    fn render_settings(&self, program: &'static str, color: Color, stdin: StdinUse) -> RenderSettings {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let prefix = if self.no_prefix { Prefix::None } else { Prefix::Name };
        let layout = match self {
            Self { json: true, .. } => Layout::Json,
            Self { quiet: true, .. } => Layout::Quiet,
            Self { inline: true, .. } => Layout::Blocks,
            _ => Layout::Lines(prefix),
        };
        // Whoever asks for our log gets it line by line; whoever types input needs the line.
        let typed = matches!(stdin, StdinUse::Taken(_)) && io::stdin().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = self.json || self.verbose > 0 || typed || dumb;
        RenderSettings {
            layout,
            stdout_folder: self.outdir.clone(),
            stderr_folder: self.errdir.clone(),
            stdout: render::destination(&stdout),
            stderr: render::destination(&stderr),
            color,
            progress: if plain { ProgressLine::Hidden } else { render::progress_line(&stdout) },
            ..RenderSettings::new(program)
        }
    }
}

impl RefusedArgs {
    fn check(&self) -> Result<(), Failure> {
        let Self { extra_arg, inline_stdout, fileappend, no_headers } = self;
        let refused = [
            (
                extra_arg.is_some(),
                "-X",
                "there is no ssh process to give arguments to: set an option with -O Key=Value",
            ),
            (*inline_stdout, "--inline-stdout", "use -i; standard error goes to standard error: 2>/dev/null hides it"),
            (*fileappend, "--fileappend", "files are written anew for each run: give -o another folder"),
            (*no_headers, "--no-headers", "use --no-prefix"),
        ];
        match refused.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, hint)) => {
                Err(Failure::usage_text(format!("{flag} is pssh's and not known here")).hint(hint))
            }
            None => Ok(()),
        }
    }
}

fn read_host_file(path: &Path, stdin: StdinUse) -> Result<HostFile, Failure> {
    if path.as_os_str() != "-" {
        return Ok(inventory::file::read(path)?);
    }
    if let StdinUse::Taken(flag) = stdin {
        return Err(Failure::usage_text(format!("-h - and {flag} both want standard input"))
            .hint("write the host list to a file"));
    }
    let mut bytes = Vec::new();
    if io::stdin().is_terminal() {
        tracing::warn!("reading the host list from the terminal: end it with Ctrl-D");
    }
    io::stdin().read_to_end(&mut bytes).map_err(|error| Failure::usage(&error))?;
    Ok(inventory::file::parse(&bytes, Path::new("standard input"))?)
}
