//! The scripts by which a host without rsync is synced: what there is, and what a stream of files cannot do.
//!
//! Must not know what is wanted there.

use std::sync::LazyLock;

use super::copy_in::{Landing, landing_place};
use super::{Token, WrapError, push_all, refuse_nul, sh_quote, without_comments};

static LIST: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("tree_list.sh")));
static SETTLE: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("tree_settle.sh")));

/// The beginning of a script that says what there is at a destination. Calls follow it, as `tree_list.sh` has them; its
/// answer begins behind [`look_mark`](super::look_mark). With [`MissingParents::Refused`] no more than the last folder may be missing.
///
/// # Errors
/// When a NUL is in the name of the folder.
pub fn tree_list(folder: &[u8], parents: MissingParents, mark: &Token) -> Result<Vec<u8>, WrapError> {
    let mkpath: &[u8] = if parents == MissingParents::Made { b"mkpath=yes\n" } else { b"mkpath=\n" };
    Ok([&variables(folder, mark)?[..], mkpath, LIST.as_bytes()].concat())
}

/// The beginning of a script that removes, and sets attributes. Calls follow it, as `tree_settle.sh` has them.
///
/// # Errors
/// When a NUL is in the name of the folder.
pub fn tree_settle(folder: &[u8], mark: &Token) -> Result<Vec<u8>, WrapError> {
    Ok([&variables(folder, mark)?[..], SETTLE.as_bytes()].concat())
}

/// Whether folders above the destination may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingParents {
    /// No.
    Refused,
    /// They are made: `--mkpath`.
    Made,
}

fn variables(folder: &[u8], mark: &Token) -> Result<Vec<u8>, WrapError> {
    refuse_nul(folder, || "the destination".to_owned())?;
    let (folder, _) = landing_place(Landing::Folder(folder));
    let mut variables = Vec::new();
    push_all(
        &mut variables,
        &[b"token=", &sh_quote(mark.as_str().as_bytes()), b"\nfolder=", &sh_quote(&folder), b"\n"],
    );
    Ok(variables)
}
