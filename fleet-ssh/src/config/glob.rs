//! The files that an `Include` pattern names, as glob(3) finds them.
//!
//! Must not know what is in the files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use fleet_core::wildcard::Wildcard;

/// The existing files that match the absolute `pattern`, in byte order. Folders that cannot be listed match nothing.
///
/// Within a name `*`, `?` and `[a-z]` (or `[!a-z]`) are special and a backslash takes that from them. As in a shell,
/// only a pattern that starts with a dot matches a name that does.
pub(super) fn find(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        // A bracket that is not closed stands for itself.
        let wildcard = part.contains(['*', '?', '[']).then(|| Wildcard::parse(part).ok()).flatten();
        found = if let Some(wildcard) = wildcard {
            let names_in = |folder: &PathBuf| matching_names(folder, part, &wildcard);
            found.iter().flat_map(names_in).collect()
        } else {
            let name = part.replace('\\', "");
            found.into_iter().map(|folder| folder.join(&name)).collect()
        };
    }
    found.retain(|path| path.exists());
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    found
}

fn matching_names(folder: &Path, pattern: &str, wildcard: &Wildcard) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let fits = |name: &OsStr| {
        (pattern.starts_with('.') || !name.as_encoded_bytes().starts_with(b"."))
            && wildcard.matches(&name.to_string_lossy())
    };
    entries.flatten().filter(|entry| fits(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_through_folders_in_order_and_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        for file in ["b/2.conf", "b/1.conf", "a/3.conf", "a/.4.conf", "a/5.txt", "[a/3.conf"] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), "").unwrap();
        }
        let root = root.path().to_str().unwrap();
        let expected: Vec<PathBuf> =
            ["[a/3.conf", "a/3.conf", "b/1.conf", "b/2.conf"].iter().map(|file| Path::new(root).join(file)).collect();
        assert_eq!(find(&format!("{root}/*/*.conf")), expected);
        assert_eq!(find(&format!("{root}/[a/3.conf")), [Path::new(root).join("[a/3.conf")]);
        assert_eq!(find(&format!("{root}/none")), Vec::<PathBuf>::new());
        assert_eq!(find(&format!("{root}/a/5.txt")), [Path::new(root).join("a/5.txt")]);
    }
}
