//! The flags about who runs the command on the hosts.
//!
//! Must not know the command.

use clap::Args;
use fleet_ssh::remote::SudoUser;
use fleet_tool::cli::{Failure, SudoPassword};

use crate::recipe::Recipe;

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

impl SudoArgs {
    /// The user that is named.
    pub(super) fn name(&self) -> Option<&str> {
        self.sudo.as_deref()
    }

    /// Whether a password is asked for.
    pub(super) fn asks(&self) -> bool {
        self.ask_sudo
    }
}

/// Who runs the command, unless the user who logs in does.
pub(super) fn user(recipe: &Recipe) -> Result<Option<SudoUser>, Failure> {
    match &recipe.sudo {
        Some(name) => SudoUser::new(name).map(Some).map_err(|error| Failure::usage_text(format!("--sudo: {error}"))),
        None => Ok(recipe.has_sudo().then(SudoUser::root)),
    }
}

/// Whether a password is asked for.
pub(super) fn password(recipe: &Recipe) -> SudoPassword {
    if recipe.ask_sudo { SudoPassword::Ask } else { SudoPassword::None }
}
