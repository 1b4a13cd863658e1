//! The OpenSSH configuration that the settings ask for.
//!
//! Must not know what it is wanted for.

use fleet_core::settings::{Settings, SshConfigFile};
use fleet_ssh::config::{ConfigError, ConfigSource, ConfigSources, LocalContext, SshConfig};

/// Reads the OpenSSH configuration that the settings ask for, for this user on this machine.
///
/// # Errors
/// When a file cannot be read, or is malformed.
pub fn load_config(settings: &Settings) -> Result<SshConfig, ConfigError> {
    SshConfig::load(&sources(settings), LocalContext::current()?)
}

fn sources(settings: &Settings) -> ConfigSources {
    ConfigSources {
        options: settings.ssh_options.iter().map(|option| option.value.clone()).collect(),
        file: match &settings.ssh_config.value {
            None => ConfigSource::Default,
            Some(SshConfigFile::None) => ConfigSource::None,
            Some(SshConfigFile::Path(path)) => ConfigSource::Path(path.clone()),
        },
    }
}
