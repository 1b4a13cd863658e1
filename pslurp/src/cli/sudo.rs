//! Who reads the files on the hosts.
//!
//! Must not know the files.

use fleet_ssh::remote::SudoUser;
use fleet_tool::cli::{Failure, SudoPassword};

use crate::recipe::Recipe;

/// Who reads the files, unless the user who logs in does.
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
