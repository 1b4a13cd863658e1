//! How hosts receive the files: the same for all.
//!
//! Must not know which files, nor where they go.

use fleet_ssh::remote::{Attributes, CopyIn, Landing, MissingFolder, Packing, Replaced, Verify};

use crate::recipe::Recipe;

/// How hosts receive the files.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// What is done where the folder that they go to is missing.
    pub(crate) missing: MissingFolder,
    pub(crate) packing: Packing,
    /// How hosts verify it that have what that takes.
    pub(crate) verify: Verify,
    pub(crate) attributes: Attributes,
    pub(crate) owner: Option<String>,
    pub(crate) replaced: Replaced,
}

impl Receiving {
    /// As the recipe says, for this owner.
    pub(crate) fn new(recipe: &Recipe, owner: Option<String>) -> Self {
        Self {
            missing: if recipe.mkdirs { MissingFolder::Make } else { MissingFolder::Refuse },
            packing: if recipe.compress { Packing::Gzip } else { Packing::Plain },
            verify: verify(recipe),
            attributes: attributes(recipe),
            owner,
            replaced: if recipe.backup { Replaced::Kept } else { Replaced::Gone },
        }
    }

    /// What one host is asked to receive, of whatever size it is.
    pub(crate) fn copy_in<'a>(&'a self, landing: Landing<'a>) -> CopyIn<'a> {
        CopyIn {
            landing,
            missing: self.missing,
            needed_kib: None,
            packing: self.packing,
            verify: self.verify,
            attributes: self.attributes,
            owner: self.owner.as_deref(),
            replaced: self.replaced,
        }
    }
}

/// By what they are verified. What a store has kept has not come by SSH alone.
pub(crate) fn verify(recipe: &Recipe) -> Verify {
    if recipe.via.is_some() { Verify::Sha256 } else { Verify::Cksum }
}

/// What is kept of files beside names and contents.
pub(crate) fn attributes(recipe: &Recipe) -> Attributes {
    if recipe.preserve { Attributes::All } else { Attributes::Permissions }
}
