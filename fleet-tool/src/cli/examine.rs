//! The flags for a tool that tells what is wrong: everything that can be prepared is, and each failure is kept.
//!
//! Must not decide how bad a failure is.

use std::path::PathBuf;

use super::record::{self, LastOf};
use super::selection::Chosen;
use super::{Failure, FleetArgs, Password, StdinUse};
use fleet_core::record::{FormerRun, RecordError, Store};
use fleet_core::render::RenderSettings;
use fleet_core::select::Selected;
use fleet_core::settings::{self, Environment, Layer, LayerSource, Settings};
use fleet_ssh::config::SshConfig;

/// What the flags resolve to, as far as that is possible.
#[derive(Debug)]
pub struct Examined {
    /// The settings; where they cannot be resolved, those of the flags alone, else the defaults.
    pub settings: Settings,
    /// The settings files that count and could be read, the nearest first.
    pub settings_files: Vec<PathBuf>,
    /// Where runs are recorded.
    pub store: Result<Store, RecordError>,
    /// The chosen hosts: `None` when none was asked for, or the choice failed.
    pub selected: Option<Selected>,
    /// The OpenSSH configuration, if hosts were chosen out of it.
    pub ssh_config: Option<SshConfig>,
    /// What is wrong with flags, variables and settings files, and remarks on variables.
    pub settings_failures: Vec<Failure>,
    /// What is wrong with the choice of hosts.
    pub selection_failure: Option<Failure>,
    /// Variables that look mistyped.
    pub remarks: Vec<String>,
    /// What the output is shown on, and as what.
    pub render: RenderSettings,
    /// Whether a password is to be asked for.
    pub password: Password,
}

impl FleetArgs {
    /// As [`FleetArgs::prepare`], but nothing that is wrong ends it. The last run is that of any tool: only its hosts matter.
    ///
    /// # Errors
    /// Only for flags that no tool takes, and a `FLEET_LOG` that cannot be read.
    pub fn examine(self, program: &'static str, stdin: StdinUse) -> Result<Examined, Failure> {
        super::logging::start(self.output.verbose)?;
        self.refused.check()?;
        let environment: Environment = std::env::vars_os().collect();
        let mut failures = Vec::new();
        let store = Store::of(&environment);
        let former = self.record.former(LastOf::AnyTool, &store);
        let mut layers = vec![self.layer()];
        layers.extend(former.iter().flatten().map(record::layer_of));
        layers.extend(kept(settings::from_environment(&environment), &mut failures));
        let discovered = std::env::current_dir()
            .map_err(|error| Failure::usage(&error))
            .and_then(|here| Ok(settings::discover(&environment, &here)?));
        layers.extend(kept(discovered, &mut failures).unwrap_or_default().layers);
        let settings = resolved(&layers, &mut failures)?;
        let (chosen, selection_failure) = match self.chosen(program, &settings, stdin, former) {
            Ok(chosen) => (chosen, None),
            Err(failure) => (None, Some(failure)),
        };
        let (selected, ssh_config) = chosen.map(|chosen| (chosen.selected, chosen.ssh_config)).unzip();
        Ok(Examined {
            settings_files: layers.iter().filter_map(file_of).collect(),
            settings,
            selected,
            ssh_config: ssh_config.flatten(),
            settings_failures: failures,
            selection_failure,
            remarks: settings::mistyped_variables(&environment),
            render: self.output.render_settings(program, &environment, stdin),
            password: self.connection.password(),
            store,
        })
    }

    fn chosen(
        &self,
        program: &str,
        settings: &Settings,
        stdin: StdinUse,
        former: Result<Option<FormerRun>, Failure>,
    ) -> Result<Option<Chosen>, Failure> {
        let hosts = former?.map(|run| self.record.hosts_of(&run)).transpose()?;
        match hosts.is_some() || self.selection.chooses() {
            true => self.selection.select(program, settings, stdin, hosts).map(Some),
            false => Ok(None),
        }
    }
}

fn kept<T, E: Into<Failure>>(result: Result<T, E>, failures: &mut Vec<Failure>) -> Option<T> {
    result.map_err(|error| failures.push(error.into())).ok()
}

/// The settings by all layers, or by fewer and fewer of them: the flags come first, and are the user's latest word.
fn resolved(layers: &[Layer], failures: &mut Vec<Failure>) -> Result<Settings, Failure> {
    match Settings::resolve(layers) {
        Ok(settings) => Ok(settings),
        Err(error) => {
            failures.push(error.into());
            Ok(Settings::resolve(&layers[..1]).or_else(|_| Settings::resolve(&[]))?)
        }
    }
}

fn file_of(layer: &Layer) -> Option<PathBuf> {
    match &layer.source {
        LayerSource::File(path) => Some(path.clone()),
        LayerSource::Flags | LayerSource::Environment | LayerSource::Run(_) => None,
    }
}
