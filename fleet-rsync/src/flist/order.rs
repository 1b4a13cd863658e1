//! The order of a list, which gives every file its index.
//!
//! `.` is first. In each folder all that is no folder comes first, by its bytes; then the folders, by the bytes of their
//! names with `/` behind them, and behind each of them what is in it. So `a-b/` is before `a/`: `-` is less than `/`.
//!
//! A walk that reads each folder sorted, files before folders, meets its entries in this order.
//!
//! Must not know what entries are, but for their paths and whether they are folders.

use std::cmp::Ordering;

/// Which of two entries is first in a list.
#[must_use]
pub fn compare(one: Place<'_>, other: Place<'_>) -> Ordering {
    let is_root = |place: Place<'_>| place.path == b".";
    match (is_root(one), is_root(other)) {
        (false, false) => {}
        (one, other) => return other.cmp(&one),
    }
    let same = one.path.iter().zip(other.path).take_while(|(one, other)| one == other).count();
    // The first names that differ begin behind the last slash that both have.
    let start = one.path[..same].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (one, other) = (Name::at(one, start), Name::at(other, start));
    match (one.directory, other.directory) {
        (true, true) => slashed(one.bytes).cmp(slashed(other.bytes)).then(one.path_length.cmp(&other.path_length)),
        (false, false) => one.bytes.cmp(other.bytes),
        (one, other) => one.cmp(&other),
    }
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// Whether it is a folder.
    pub directory: bool,
}

/// A part of a path: of an entry, or of a folder above it.
struct Name<'a> {
    bytes: &'a [u8],
    directory: bool,
    path_length: usize,
}

impl<'a> Name<'a> {
    fn at(place: Place<'a>, start: usize) -> Self {
        // The shorter path may end just before the slash of the longer one.
        let rest = &place.path[start..];
        let end = rest.iter().position(|byte| *byte == b'/');
        let directory = place.directory || end.is_some();
        Name { bytes: &rest[..end.unwrap_or(rest.len())], directory, path_length: place.path.len() }
    }
}

fn slashed(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().copied().chain([b'/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<'a>(paths: &'a [&'a str]) -> impl Iterator<Item = Place<'a>> {
        paths.iter().map(|path| {
            let directory = path.ends_with('/') || *path == ".";
            Place { path: path.strip_suffix('/').unwrap_or(path).as_bytes(), directory }
        })
    }

    #[test]
    fn files_are_before_folders_and_each_folder_before_what_is_in_it() {
        let sorted = [
            ".", "\x01", "-", "a", "a b", "a-b", "a0", "b", "\u{fc}", "a b/", "a-b/", "a-b/z", "a/", "a/z", "a/zz",
            "a/z/", "a/z/a", "a0/", "a0/b/", "a0/b/c",
        ];
        // A folder and a file of the same path cannot both be; here they only have a place.
        for (one_at, one) in places(&sorted).enumerate() {
            for (other_at, other) in places(&sorted).enumerate() {
                assert_eq!(compare(one, other), one_at.cmp(&other_at), "{one:?} {other:?}");
            }
        }
    }
}
