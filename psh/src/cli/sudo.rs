//! The flags about who runs the command on the hosts.
//!
//! Must not know the command.

use clap::Args;

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
