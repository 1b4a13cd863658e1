//! The files that an `Include` pattern names, as glob(3) finds them.
//!
//! Must not know what is in the files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The existing files that match the absolute `pattern`, in byte order. Folders that cannot be listed match nothing.
///
/// Within a name `*`, `?` and `[a-z]` (or `[!a-z]`) are special and a backslash takes that from them. As in a shell,
/// only a pattern that starts with a dot matches a name that does.
pub(super) fn find(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = if part.contains(['*', '?', '[']) {
            found.iter().flat_map(|folder| matching_names(folder, part)).collect()
        } else {
            let name = part.replace('\\', "");
            found.into_iter().map(|folder| folder.join(&name)).collect()
        };
    }
    found.retain(|path| path.exists());
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    found
}

fn matching_names(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let fits = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        (pattern.starts_with('.') || !name.starts_with(b".")) && matches(name, pattern.as_bytes())
    };
    entries.flatten().filter(|entry| fits(&entry.file_name())).map(|entry| entry.path()).collect()
}

fn matches(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, _) => name.is_empty(),
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skipped| matches(&name[skipped..], rest)),
        (Some((b'?', rest)), Some((_, name))) => matches(name, rest),
        (Some((b'[', rest)), Some((&byte, name))) if rest.contains(&b']') => {
            let (fits, rest) = take_set(byte, rest);
            fits && matches(name, rest)
        }
        (Some((b'\\', [escaped, rest @ ..])), Some((byte, name))) => byte == escaped && matches(name, rest),
        (Some((literal, rest)), Some((byte, name))) => byte == literal && matches(name, rest),
        (Some(_), None) => false,
    }
}

/// Whether `byte` is in the set that starts after its `[`, and what follows the set.
fn take_set(byte: u8, set: &[u8]) -> (bool, &[u8]) {
    let (negated, body) = match set {
        [b'!' | b'^', body @ ..] => (true, body),
        _ => (false, set),
    };
    // A bracket at the very start stands for itself.
    let length = body.iter().skip(1).position(|&b| b == b']').map_or(body.len(), |at| at + 1);
    let (mut members, rest) = (&body[..length], body.get(length + 1..).unwrap_or_default());
    let mut contains = false;
    while let Some((&first, tail)) = members.split_first() {
        members = match tail {
            [b'-', last, tail @ ..] => {
                contains |= (first..=*last).contains(&byte);
                tail
            }
            _ => {
                contains |= first == byte;
                tail
            }
        };
    }
    (contains != negated, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (name, pattern, expected) in [
            ("10-a.conf", "*.conf", true),
            ("10-a.conf~", "*.conf", false),
            ("10-a.conf", "[0-9][0-9]-*", true),
            ("x0-a.conf", "[0-9][0-9]-*", false),
            ("b", "[!a]", true),
            ("a", "[!a]", false),
            ("]", "[]]", true),
            ("-", "[a-]", true),
            ("a*", r"a\*", true),
            ("ab", r"a\*", false),
            ("[x", "[x", true),
        ] {
            assert_eq!(matches(name.as_bytes(), pattern.as_bytes()), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn files_are_found_through_folders_in_order_and_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        for file in ["b/2.conf", "b/1.conf", "a/3.conf", "a/.4.conf", "a/5.txt"] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), "").unwrap();
        }
        let root = root.path().to_str().unwrap();
        let expected: Vec<PathBuf> =
            ["a/3.conf", "b/1.conf", "b/2.conf"].iter().map(|file| Path::new(root).join(file)).collect();
        assert_eq!(find(&format!("{root}/*/*.conf")), expected);
        assert_eq!(find(&format!("{root}/none")), Vec::<PathBuf>::new());
        assert_eq!(find(&format!("{root}/a/5.txt")), [Path::new(root).join("a/5.txt")]);
    }
}
