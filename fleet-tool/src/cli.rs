//! What every tool shares of its command line: the flags, their help, and what they resolve to.
//!
//! With its submodules the only place of this crate that sees arguments, environment and terminal. Must not contact
//! any host.

mod again;
mod asking;
mod canary;
mod choosing;
mod cloud_hosts;
mod connection;
mod examine;
mod failure;
mod file_patterns;
mod interruption;
mod keys;
mod logging;
mod openssh;
mod output;
mod own_addresses;
mod recalling;
mod record;
mod refused;
mod rollout;
mod running;
mod selection;
mod sources;
mod storing;
mod sudo;
mod terminal;
mod variable;

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

pub use self::again::Again;
pub use self::canary::CanaryQuestion;
pub use self::choosing::{Addressed, ChooseArgs};
pub use self::cloud_hosts::CloudHosts;
use self::connection::ConnectionArgs;
pub use self::examine::Examined;
pub use self::failure::Failure;
pub use self::file_patterns::{check_excluded, in_order};
pub use self::interruption::Interruption;
pub use self::keys::{Keys, KeysGuard};
pub use self::openssh::load_config;
use self::output::OutputArgs;
pub use self::record::typed;
use self::record::{LastOf, RecordArgs};
use self::refused::RefusedArgs;
use self::rollout::RolloutArgs;
use self::running::RunningArgs;
use self::selection::{Chosen, SelectionArgs};
pub use self::sources::SourceArgs;
pub use self::storing::object_store;
pub use self::sudo::{SudoPassword, SudoRequest};
pub use self::terminal::{TerminalPrompt, our_terminal};
pub use self::variable::variable;
use crate::reporter::Remarks;
use fleet_core::fanout::RolloutSettings;
use fleet_core::inventory::Partition;
use fleet_core::outcome::{ExitRule, ExitStatus};
use fleet_core::record::{Connection, FormerRun, RecordError, Store};
use fleet_core::render::{Layout, RenderSettings};
use fleet_core::select::Selected;
use fleet_core::settings::{self, Environment, Layer, LayerSource, Settings};
use fleet_ssh::config::SshConfig;
use fleet_ssh::remote::SudoUser;
use fleet_ssh::{CommandLimits, Sudo};

/// The exit codes, for the end of every `--help`.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0  all hosts are fine, or as many as --quorum asks for
  1  our own failure, such as a file that cannot be written
  2  usage, settings or inventory: nothing was contacted
  3  some host was killed, timed out or cancelled
  4  some host was never reached or was lost
  5  some command or copy failed
Of several, 3 comes before 4 before 5. With --exit-max: the largest remote exit code.";

/// The flags that all tools have.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    running: RunningArgs,
    #[command(flatten)]
    rollout: RolloutArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    refused: RefusedArgs,
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
    /// Those of them that providers told of.
    pub cloud_hosts: Arc<CloudHosts>,
    /// The OpenSSH configuration, if hosts were chosen out of it: it is read once.
    pub ssh_config: Option<SshConfig>,
    /// The last partition, if there is one.
    pub partition: Option<Arc<Partition>>,
    /// How the run is shown.
    pub render: RenderSettings,
    /// How carefully the run goes on.
    pub rollout: RolloutSettings,
    /// How the exit status follows from the outcomes.
    pub exit_rule: ExitRule,
    /// Whether a password is to be asked for.
    pub password: Password,
    /// The password of the hosts' `sudo`.
    pub sudo_password: SudoPassword,
    /// What is done with the hosts.
    pub purpose: Purpose,
    /// Whether remarks about single hosts are shown.
    pub verbosity: u8,
    /// The former run that the hosts are taken from, if they are.
    pub former: Option<FormerRun>,
    /// What is kept of this run.
    pub recording: Recording,
    /// Where the user's runs are recorded.
    pub store: Result<Store, RecordError>,
    /// What the flags said about how to connect, those of the former run included.
    pub connection: Connection,
    /// Who reads standard input.
    pub stdin: StdinUse,
    /// The person at the terminal, while the run goes on.
    pub prompt: Arc<TerminalPrompt>,
}

impl Prepared {
    /// Whether remarks on single hosts are shown.
    #[must_use]
    pub fn remarks(&self) -> Remarks {
        if self.verbosity > 0 || self.render.layout == Layout::Json { Remarks::Shown } else { Remarks::Hidden }
    }

    /// The limits of each command on a host.
    #[must_use]
    pub fn command_limits(&self) -> CommandLimits {
        CommandLimits {
            timeout: self.settings.timeout.value.duration(),
            stall: self.settings.stall.value,
            grace: self.settings.grace.value,
            channel: None,
        }
    }

    /// The way to `user` on the hosts, with the password that was asked for.
    #[must_use]
    pub fn sudo(&self, user: SudoUser) -> Sudo {
        Sudo { user, password: self.sudo_password.known().cloned() }
    }

    /// For another run on the same hosts right behind this one, as its second half: on all of them at once, without remarks on
    /// the choice and without a record.
    #[must_use]
    pub fn once_more(&self) -> Self {
        let Selected { hosts, others, .. } = self.selected.clone();
        Self {
            program: self.program,
            settings: self.settings.clone(),
            selected: Selected { hosts, others, ..Selected::default() },
            cloud_hosts: Arc::clone(&self.cloud_hosts),
            ssh_config: None,
            partition: self.partition.clone(),
            render: self.render.clone(),
            rollout: RolloutSettings::default(),
            exit_rule: self.exit_rule,
            password: self.password,
            sudo_password: self.sudo_password.clone(),
            purpose: self.purpose,
            verbosity: self.verbosity,
            former: None,
            recording: Recording::Off,
            store: Store::of(&std::env::vars_os().collect()),
            connection: self.connection.clone(),
            stdin: self.stdin,
            prompt: Arc::default(),
        }
    }
}

/// What is kept of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing.
    Off,
    /// What became of the hosts.
    Outcomes,
    /// That, and what they said: the user asked for it.
    Output,
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
        self.selection.list
    }

    /// Brings flags, environment, settings files and host files together.
    ///
    /// # Errors
    /// Whatever makes the run impossible, with exit code 2: nothing was contacted.
    pub fn prepare(self, program: &'static str, stdin: StdinUse) -> Result<Prepared, Failure> {
        self.prepare_after(LastOf::Tool(program), program, stdin)
    }

    /// As [`FleetArgs::prepare`], for a tool to which the last run of any tool is the last one, as to
    /// [`FleetArgs::examine`].
    ///
    /// # Errors
    /// As [`FleetArgs::prepare`].
    pub fn prepare_after_any_tool(self, program: &'static str, stdin: StdinUse) -> Result<Prepared, Failure> {
        self.prepare_after(LastOf::AnyTool, program, stdin)
    }

    fn prepare_after(self, last_of: LastOf, program: &'static str, stdin: StdinUse) -> Result<Prepared, Failure> {
        logging::start(self.output.verbose)?;
        self.refused.check()?;
        self.output.check()?;
        let environment: Environment = std::env::vars_os().collect();
        for remark in settings::mistyped_variables(&environment) {
            let _ = writeln!(io::stderr(), "{program}: {remark}");
        }
        let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
        let store = Store::of(&environment);
        let former = self.record.former(last_of, &store)?;
        let mut layers = vec![self.layer()];
        layers.extend(former.as_ref().map(record::layer_of));
        let connection = record::connection(&layers);
        layers.push(settings::from_environment(&environment)?);
        layers.extend(settings::discover(&environment, &here)?.layers);
        let settings = Settings::resolve(&layers)?;
        let hosts = former.as_ref().map(|run| self.record.hosts_of(run)).transpose()?;
        let Chosen { selected, cloud_hosts, ssh_config, partition } =
            self.selection.select(program, &settings, stdin, hosts)?;
        let purpose = if self.selection.list { Purpose::List } else { Purpose::Run };
        let rollout = match purpose {
            Purpose::Run => self.rollout.settings(selected.hosts.len(), settings.timeout.value.percent_of_median())?,
            Purpose::List => RolloutSettings::default(),
        };
        Ok(Prepared {
            program,
            render: self.output.render_settings(program, &environment, stdin),
            exit_rule: self.output.exit_rule(),
            password: self.connection.password(),
            sudo_password: SudoPassword::None,
            purpose,
            rollout,
            verbosity: self.output.verbose,
            former,
            recording: self.record.recording(settings.record.value),
            store,
            connection,
            stdin,
            settings,
            selected,
            cloud_hosts: Arc::new(cloud_hosts),
            ssh_config,
            partition,
            prompt: Arc::default(),
        })
    }

    fn layer(&self) -> Layer {
        let layer = Layer { source: LayerSource::Flags, ..Layer::default() };
        self.selection.layer(self.running.layer(self.connection.layer(layer)))
    }
}
