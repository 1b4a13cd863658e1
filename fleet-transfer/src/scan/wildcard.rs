//! Patterns that no shell has expanded, as behind `--` in a file of arguments, or in quotes.
//!
//! As shells do it: `*`, `?` and `[a-c]` match no slash, and no name that begins with a dot unless the pattern does.
//! Must not know what becomes of the matches.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{Candidate, GlobBuilder, GlobMatcher};

use super::{ScanError, last_is_slash};

/// What `pattern` matches, ordered by bytes; `None` when it is a name and no pattern.
///
/// # Errors
/// When nothing matches, or it is malformed.
pub(super) fn expand(pattern: &Path) -> Result<Option<Vec<PathBuf>>, ScanError> {
    if !has_wildcard(pattern.as_os_str()) || fs::symlink_metadata(pattern).is_ok() {
        return Ok(None);
    }
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        if !matches!(component, Component::Normal(_)) || !has_wildcard(name) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let matcher = matcher(name, pattern)?;
        found = found.iter().flat_map(|folder| matches_in(folder, &matcher, name)).collect();
    }
    // A slash at the end asks for folders, and for what is in them.
    if last_is_slash(pattern) {
        found.iter_mut().for_each(|path| path.as_mut_os_string().push("/"));
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    if found.is_empty() {
        return Err(ScanError::NoMatch { pattern: pattern.to_owned() });
    }
    Ok(Some(found))
}

fn has_wildcard(text: &OsStr) -> bool {
    text.as_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// Braces are for the shell and for placeholders: here they are only braces.
fn matcher(name: &OsStr, pattern: &Path) -> Result<GlobMatcher, ScanError> {
    let refused = |problem: String| ScanError::Pattern { pattern: pattern.to_owned(), problem };
    let text = name.to_str().ok_or_else(|| refused("a byte that is no text".to_owned()))?;
    let text = text.replace('{', "[{]").replace('}', "[}]").replace("**", "*");
    let glob = GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build();
    Ok(glob.map_err(|error| refused(error.kind().to_string()))?.compile_matcher())
}

/// A folder that cannot be read holds no match, as for shells.
fn matches_in(folder: &Path, matcher: &GlobMatcher, pattern: &OsStr) -> Vec<PathBuf> {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let wants_hidden = pattern.as_bytes().starts_with(b".");
    let is_match = |name: &OsString| {
        (wants_hidden || !name.as_bytes().starts_with(b"."))
            && matcher.is_match_candidate(&Candidate::from_bytes(name.as_bytes()))
    };
    let found = fs::read_dir(shown).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = found.map(|entry| entry.file_name()).filter(is_match).collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}
