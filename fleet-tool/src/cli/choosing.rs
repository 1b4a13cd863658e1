//! The flags for a tool that only tells of hosts: who is chosen, which groups there are, who is known.
//!
//! Must not know how they are shown.

use std::io::{self, Write};

use clap::{ArgAction, Args};

use super::selection::{self, Chosen, NamedArgs, Unnamed};
use super::{Failure, SourceArgs, StdinUse, asking, load_config, logging};
use fleet_core::inventory::{Inventory, KnownGroup};
use fleet_core::select::{Selected, SelectedHost};
use fleet_core::settings::{self, Environment, Layer, LayerSource, Origin, Settings};

/// The flags that choose hosts, without any about what is done with them.
#[derive(Args, Clone, Debug)]
pub struct ChooseArgs {
    #[command(flatten)]
    named: NamedArgs,
    #[command(flatten)]
    sources: SourceArgs,

    /// Say more about what happens; twice for debugging
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = None::<&'static str>)]
    verbose: u8,

    /// Print this help
    #[arg(long, action = ArgAction::Help, help_heading = None::<&'static str>)]
    help: Option<bool>,
}

/// Hosts that are chosen, and what was read to choose them.
#[derive(Debug)]
pub struct Addressed {
    /// The hosts.
    pub selected: Selected,
    /// The address or name at which each of them is reached, by what is known of it and ssh_config.
    pub addresses: Vec<String>,
    /// All that is known.
    pub inventory: Inventory,
}

impl ChooseArgs {
    /// The hosts that the flags choose, and `hosts`, which are more values of `-H`. Without any, the default ones, else all
    /// known ones. A host's user is the one that a tool would log in as, if that is known without ssh_config.
    ///
    /// # Errors
    /// Whatever makes the choice impossible; nothing was contacted but providers.
    pub fn choose(self, program: &'static str, hosts: Vec<String>) -> Result<Selected, Failure> {
        let (Chosen { selected, .. }, inventory, _) = self.chosen(program, hosts, Unnamed::Everybody)?;
        selection::free_aside(inventory);
        Ok(selected)
    }

    /// The same with where they are reached, for who acts on them: without any named, the default ones, else none.
    ///
    /// # Errors
    /// As [`ChooseArgs::choose`], and when ssh_config cannot be read.
    pub fn choose_with_addresses(self, program: &'static str) -> Result<Addressed, Failure> {
        let (Chosen { selected, ssh_config, .. }, inventory, settings) =
            self.chosen(program, Vec::new(), Unnamed::Nobody)?;
        let config = ssh_config.map_or_else(|| load_config(&settings), Ok)?;
        let address = |host: &SelectedHost| Ok(config.resolve(&host.host, host.endpoint.as_ref())?.host_name);
        let addresses = selected.hosts.iter().map(address).collect::<Result<_, Failure>>()?;
        Ok(Addressed { selected, addresses, inventory })
    }

    fn chosen(
        self,
        program: &'static str,
        hosts: Vec<String>,
        unnamed: Unnamed,
    ) -> Result<(Chosen, Inventory, Settings), Failure> {
        logging::start(self.verbose)?;
        let settings = in_force(program, &self.sources)?;
        let named = self.named.with_hosts(hosts);
        let (mut chosen, inventory) = named.select(program, &settings, StdinUse::Free, None, unnamed)?;
        chosen.selected.hosts.iter_mut().for_each(|host| log_in(host, &settings));
        Ok((chosen, inventory, settings))
    }

    /// All groups, of files and of providers.
    ///
    /// # Errors
    /// As [`ChooseArgs::choose`].
    pub fn known_groups(self, program: &'static str) -> Result<Vec<KnownGroup>, Failure> {
        logging::start(self.verbose)?;
        let settings = in_force(program, &self.sources)?;
        let mut inventory = selection::inventory(program, &settings, self.named.read_files(StdinUse::Free)?)?;
        asking::ask(program, &settings, &inventory.wanted_by_groups(), &mut inventory)?;
        Ok(inventory.known_groups())
    }
}

impl SourceArgs {
    /// All hosts, of files and of providers, in whatever state.
    ///
    /// # Errors
    /// As [`ChooseArgs::choose`].
    pub fn known_hosts(&self, program: &'static str) -> Result<Inventory, Failure> {
        logging::start(0)?;
        let settings = in_force(program, self)?;
        let mut inventory = selection::inventory(program, &settings, Vec::new())?;
        asking::ask(program, &settings, &inventory.wanted_by_hosts(), &mut inventory)?;
        Ok(inventory)
    }
}

/// The settings by flags, environment and files.
fn in_force(program: &str, flags: &SourceArgs) -> Result<Settings, Failure> {
    let environment: Environment = std::env::vars_os().collect();
    for remark in settings::mistyped_variables(&environment) {
        let _ = writeln!(io::stderr(), "{program}: {remark}");
    }
    let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
    let flags = flags.layer(Layer { source: LayerSource::Flags, ..Layer::default() });
    let mut layers = vec![flags, settings::from_environment(&environment)?];
    layers.extend(settings::discover(&environment, &here)?.layers);
    Ok(Settings::resolve(&layers)?)
}

/// Lets the user in force be the one that the host is known with. As for a run, that of a settings file is for hosts of
/// which nobody says who logs in.
fn log_in(selected: &mut SelectedHost, settings: &Settings) {
    let Some(user) = &settings.user.value else { return };
    let in_file = matches!(settings.user.origin, Origin::Layer(LayerSource::File(_), _));
    if !(in_file && selected.user().is_some()) {
        selected.endpoint.get_or_insert_default().user = Some(user.as_str().into());
    }
}
