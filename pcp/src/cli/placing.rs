//! The flags about how files get to their place on the hosts, for every tool that puts files there.
//!
//! Must not know where the files come from.

use clap::Args;

use crate::recipe::Recipe;

/// How files get to their place.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Copying")]
pub struct PlacingArgs {
    /// Give files the mode MODE, in octal, and folders the same with the right to enter them for whoever may read
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// Give all that is copied to this user, or user and group, or only group, by names or numbers of the hosts
    #[arg(long, value_name = "[USER][:GROUP]")]
    owner: Option<String>,

    /// Copy as root, or as USER, by the host's sudo
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    sudo: Option<String>,

    /// Ask once for a password, and answer the hosts whose sudo asks; implies --sudo
    #[arg(long)]
    ask_sudo: bool,

    /// Make the folder DEST, and those above it, where they are missing
    #[arg(long)]
    mkdirs: bool,

    /// Keep each file that is replaced, as NAME~
    #[arg(long)]
    backup: bool,

    /// Compare contents first, and send only what is not the same on the host
    #[arg(long)]
    checksum: bool,

    /// Only say what would be copied: what is new, what is replaced; changes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Run the command CMD on each host after its copy has succeeded
    #[arg(long, value_name = "CMD", conflicts_with = "dry_run")]
    then: Option<String>,
}

impl PlacingArgs {
    /// What is given, as it is written down.
    pub(crate) fn recipe(&self) -> Recipe {
        Recipe {
            mode: self.mode.clone(),
            owner: self.owner.clone(),
            sudo: self.sudo.clone(),
            ask_sudo: self.ask_sudo,
            mkdirs: self.mkdirs,
            backup: self.backup,
            checksum: self.checksum,
            dry_run: self.dry_run,
            then: self.then.clone(),
            ..Recipe::default()
        }
    }
}
