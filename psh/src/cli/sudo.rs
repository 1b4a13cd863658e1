//! The flags about who runs the command on the hosts.
//!
//! Must not know the command.

use clap::Args;
use fleet_core::cli::Failure;
use fleet_core::ssh::remote::SudoUser;

#[derive(Args, Debug)]
pub(super) struct SudoArgs {
    /// Run the command in /bin/sh as root, or as USER, by the host's sudo
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    #[arg(help_heading = "Running")]
    sudo: Option<String>,

    /// Ask once for a password, and answer the hosts whose sudo asks; implies --sudo
    #[arg(long, help_heading = "Running")]
    ask_sudo: bool,
}

/// The flags, resolved.
#[derive(Debug)]
pub(super) struct SudoChoice {
    /// Who runs the command, unless the user who logs in does.
    pub(super) user: Option<SudoUser>,
    /// Whether a password is asked for.
    pub(super) asks: bool,
}

impl SudoArgs {
    #[cfg(test)]
    pub(super) fn name(&self) -> Option<&str> {
        self.sudo.as_deref()
    }

    pub(super) fn resolve(self) -> Result<SudoChoice, Failure> {
        let Self { sudo, ask_sudo } = self;
        let named = sudo.map(|name| SudoUser::new(&name)).transpose();
        let named = named.map_err(|error| Failure::usage_text(format!("--sudo: {error}")))?;
        Ok(SudoChoice { user: named.or_else(|| ask_sudo.then(SudoUser::root)), asks: ask_sudo })
    }
}
