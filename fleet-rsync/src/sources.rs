//! What is pushed: how sources are named at the destination, and how several of them become one tree.
//!
//! | option | source | at the destination |
//! | --- | --- | --- |
//! | | `a/b` | `b` |
//! | | `a/b/`, `a/b/.`, `a/b/..` | what is in the folder |
//! | `-R` | `a/b`, `/a/b` | `a/b`, and `a` as the way to it |
//! | `-R` | `x/./a/b` | the same, from the folder `x` |
//! | `-R` | `./a` | the same, and the destination itself as the way to it |
//! | `--files-from` | `a/../b` | `b` from the folder that is the one source; no `..` leads out of it |
//!
//! The folders on the way are in the list as [`Folder::Alone`]; nothing is deleted in them, unless they are named too.
//!
//! In each folder, what several sources have there is one folder ([`union`]): of things with one name a folder goes before
//! all else, and then the earlier source before the later ones. What is in folders of one name is put together, and their
//! permissions, owners and times are those of the first. So a walk that goes through the sources at once, folder by folder,
//! meets the entries of the list in its order, and need not keep them.
//!
//! Source: the manual page rsync(1), and where it is silent, what rsync 3.5.0 does.
//!
//! Must not know file systems: whether a source is a folder, its caller has to see.

use thiserror::Error;

use crate::flist::Folder;

/// Where a source is, and what it is called at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The folder that names are relative to; empty for the current one. It may be `/`.
    pub base: Vec<u8>,
    /// The path below `base`, and below the destination; empty for the folder itself.
    pub path: Vec<u8>,
    /// How much of `path` is only the way to the source.
    pub way: Way,
    /// What was named, if it is a folder.
    pub content: Content,
}

/// Which folders above a source are in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// None: the path is a single name, or empty.
    None,
    /// Those in the path.
    Path,
    /// Those in the path, and the destination itself.
    PathAndRoot,
}

/// What is asked of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The folder: without `-r` itself alone.
    Itself,
    /// What is in it: also without `-r`, then as far as its own entries.
    Within,
}

/// Why a source has no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// `-R` with a part that leads nowhere at the destination.
    #[error("expected no `..` in the path of a source with -R, got {}", .0.escape_ascii())]
    Parent(Vec<u8>),
    /// Nothing, or a path that no file has.
    #[error("expected a path as source, got '{}'", .0.escape_ascii())]
    Path(Vec<u8>),
}

impl Named {
    /// A source as it is without `-R`.
    ///
    /// # Errors
    /// If it is no path.
    pub fn plain(source: &[u8]) -> Result<Self, NameError> {
        check(source)?;
        let trimmed = trimmed(source);
        let last = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let way = Way::None;
        if source.ends_with(b"/") || matches!(last, b"." | b"..") {
            let base = if trimmed.is_empty() { b"/" } else { trimmed };
            return Ok(Self { base: base.to_vec(), path: Vec::new(), way, content: Content::Within });
        }
        let above = &trimmed[..trimmed.len() - last.len()];
        let base =
            if above.iter().all(|byte| *byte == b'/') { &above[..above.len().min(1)] } else { self::trimmed(above) };
        Ok(Self { base: base.to_vec(), path: last.to_vec(), way, content: Content::Itself })
    }

    /// A source as it is with `-R`.
    ///
    /// # Errors
    /// If it is no path, or the part of it that is kept has `..` in it.
    pub fn relative(source: &[u8]) -> Result<Self, NameError> {
        check(source)?;
        let is_absolute = source.starts_with(b"/");
        let parts: Vec<&[u8]> = source.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        // The first dot with something before it, and (were it only a slash) something behind it, cuts the path.
        let cut = parts.iter().enumerate().position(|(at, part)| *part == b"." && (at > 0 || is_absolute));
        let cut = cut.filter(|cut| cut + 1 < parts.len() || source.ends_with(b"/"));
        let (base, kept) = match cut {
            Some(cut) => (joined(&parts[..cut], is_absolute), &parts[cut + 1..]),
            None => (joined(&[], is_absolute), &parts[..]),
        };
        if kept.contains(&&b".."[..]) {
            return Err(NameError::Parent(source.to_vec()));
        }
        Ok(Self::below(base, kept, source))
    }

    /// The name of a line of `--files-from`, with `-R`, which it implies. Without, it is as [`plain`](Self::plain) behind
    /// `base`.
    ///
    /// # Errors
    /// If it is no path.
    pub fn listed(base: &[u8], line: &[u8]) -> Result<Self, NameError> {
        check(line)?;
        let mut inside: Vec<&[u8]> = Vec::new();
        for (at, part) in line.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).enumerate() {
            match part {
                b".." => _ = inside.pop(),
                // Those that only name the folder before them cut nothing.
                b"." if at > 0 && inside.last() == Some(&&b"."[..]) => {}
                part => inside.push(part),
            }
        }
        let path = inside.join(&b'/');
        let slash: &[u8] = if line.ends_with(b"/") { b"/" } else { b"" };
        if inside.is_empty() {
            return Self::relative(&[base, b"/./"].concat());
        }
        let mut named = Self::relative(&[&path, slash].concat())?;
        let below = std::mem::take(&mut named.base);
        named.base = if below.is_empty() { base.to_vec() } else { [base, b"/", &below].concat() };
        Ok(named)
    }

    fn below(base: Vec<u8>, kept: &[&[u8]], source: &[u8]) -> Self {
        let names: Vec<&[u8]> = kept.iter().copied().filter(|part| *part != b".").collect();
        let way = match (kept.first(), names.len()) {
            (Some(&b"."), 1..) => Way::PathAndRoot,
            (_, 2..) => Way::Path,
            _ => Way::None,
        };
        let within = names.is_empty() || source.ends_with(b"/") || kept.last() == Some(&&b"."[..]);
        let content = if within { Content::Within } else { Content::Itself };
        Self { base, path: names.join(&b'/'), way, content }
    }

    /// The folders above it that are in the list, from the outermost; `.` is the destination itself.
    pub fn folders(&self) -> impl Iterator<Item = &[u8]> {
        let root = (self.way == Way::PathAndRoot).then_some(&b"."[..]);
        let slashes = self.path.iter().enumerate().filter(|(_, byte)| **byte == b'/' && self.way != Way::None);
        root.into_iter().chain(slashes.map(|(at, _)| &self.path[..at]))
    }
}

fn check(source: &[u8]) -> Result<(), NameError> {
    if source.is_empty() || source.contains(&0) { Err(NameError::Path(source.to_vec())) } else { Ok(()) }
}

fn trimmed(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)]
}

fn joined(parts: &[&[u8]], is_absolute: bool) -> Vec<u8> {
    let path = parts.join(&b'/');
    if is_absolute { [b"/", &path[..]].concat() } else { path }
}

/// What ends a line in a file of `--files-from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// A line feed or a carriage return.
    Line,
    /// A NUL: `--from0`.
    Nul,
}

/// The paths in a file of `--files-from`: all lines but empty ones and those that begin with `#` or `;`.
pub fn listed(content: &[u8], end: LineEnd) -> impl Iterator<Item = &[u8]> {
    let ends = move |byte: &u8| match end {
        LineEnd::Line => matches!(byte, b'\n' | b'\r'),
        LineEnd::Nul => *byte == 0,
    };
    content.split(ends).filter(|line| !matches!(line.first(), None | Some(b'#' | b';')))
}

/// Something in a folder of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child<T> {
    /// Its name.
    pub name: Vec<u8>,
    /// How much of it is in the list, if it is a folder.
    pub folder: Option<Folder>,
    /// What the caller knows of it, such as from which source it is.
    pub of: T,
}

/// Something in a folder of all sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct United<T> {
    /// Its name.
    pub name: Vec<u8>,
    /// How much of it is in the list, if it is a folder.
    pub folder: Option<Folder>,
    /// What it is.
    pub first: T,
    /// Further folders, whose content is in it as well.
    pub others: Vec<T>,
}

/// What several sources have in a folder, in the order of lists. `children` come in the order of the sources.
pub fn union<T>(children: impl IntoIterator<Item = Child<T>>) -> Vec<United<T>> {
    let (mut folders, mut files): (Vec<_>, Vec<_>) = children.into_iter().partition(|child| child.folder.is_some());
    // In the order of lists a folder's name has a slash behind it. The earlier source stays before the later one.
    folders.sort_by(|one, other| slashed(&one.name).cmp(slashed(&other.name)));
    files.retain(|file| folders.binary_search_by(|folder| slashed(&folder.name).cmp(slashed(&file.name))).is_err());
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let mut united: Vec<United<T>> = Vec::with_capacity(files.len() + folders.len());
    for Child { name, folder, of } in files.into_iter().chain(folders) {
        match united.last_mut().filter(|last| last.name == name) {
            None => united.push(United { name, folder, first: of, others: Vec::new() }),
            Some(last) => {
                last.folder = last.folder.zip(folder).map(|(one, other)| more(one, other));
                last.others.extend(folder.map(|_| of));
            }
        }
    }
    united
}

fn slashed(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().copied().chain([b'/'])
}

/// What a folder is that is in the list for two reasons.
fn more(one: Folder, other: Folder) -> Folder {
    match (one, other) {
        (Folder::Source, _) | (_, Folder::Source) => Folder::Source,
        (Folder::Below, _) | (_, Folder::Below) => Folder::Below,
        (Folder::Alone, Folder::Alone) => Folder::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(named: Result<Named, NameError>) -> String {
        let named = match named {
            Ok(named) => named,
            Err(error) => return error.to_string(),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let within = if named.content == Content::Within { "/" } else { "" };
        let folders: Vec<String> = named.folders().map(text).collect();
        format!("{}|{}{within}|{}", text(&named.base), text(&named.path), folders.join(" "))
    }

    #[test]
    fn a_source_is_called_what_rsync_calls_it() {
        for (source, expected) in [
            ("a", "|a|"),
            ("x/a", "x|a|"),
            ("/a", "/|a|"),
            ("//a", "/|a|"),
            ("x//a", "x|a|"),
            ("/x/a", "/x|a|"),
            ("x/a/", "x/a|/|"),
            ("x/a//", "x/a|/|"),
            ("x/.", "x/.|/|"),
            ("x/..", "x/..|/|"),
            (".", ".|/|"),
            ("/", "/|/|"),
            ("..//x/a", "..//x|a|"),
            ("", "expected a path as source, got ''"),
        ] {
            assert_eq!(shown(Named::plain(source.as_bytes())), expected, "{source}");
        }
    }

    #[test]
    fn a_relative_source_keeps_its_path() {
        for (source, expected) in [
            ("a", "|a|"),
            ("a/b/c", "|a/b/c|a a/b"),
            ("a//b/", "|a/b/|a"),
            ("/a/b", "/|a/b|a"),
            ("x/./a/b", "x|a/b|a"),
            ("/x/y/./a", "/x/y|a|"),
            ("/./a/b", "/|a/b|a"),
            ("x//.//a/b", "x|a/b|a"),
            ("../x/./a", "../x|a|"),
            ("x/./a/./b", "x|a/b|a"),
            ("x/./", "x|/|"),
            ("x/y/.", "|x/y/|x"),
            ("./a/b", "|a/b|. a"),
            (".", "|/|"),
            ("./", "|/|"),
            ("../a", "expected no `..` in the path of a source with -R, got ../a"),
            ("x/./a/..", "expected no `..` in the path of a source with -R, got x/./a/.."),
            ("a\0b", "expected a path as source, got 'a\\x00b'"),
        ] {
            assert_eq!(shown(Named::relative(source.as_bytes())), expected, "{source:?}");
        }
    }

    #[test]
    fn a_listed_source_stays_within_its_folder() {
        for (line, expected) in [
            ("a/b", "base|a/b|a"),
            ("/a/b", "base|a/b|a"),
            ("a/b/", "base|a/b/|a"),
            ("a/../a/b", "base|a/b|a"),
            ("../a/b", "base|a/b|a"),
            ("x/./a", "base/x|a|"),
            (".//a//b", "base|a/b|. a"),
            (".", "base|/|"),
            ("./", "base|/|"),
            ("..", "base|/|"),
        ] {
            assert_eq!(shown(Named::listed(b"base", line.as_bytes())), expected, "{line}");
        }
    }

    #[test]
    fn lines_of_a_list_are_all_that_is_no_remark() {
        let list = b"a/b\n#c\n;d\n\n e \r\nf\0g";
        assert_eq!(listed(list, LineEnd::Line).collect::<Vec<_>>(), [&b"a/b"[..], b" e ", b"f\0g"]);
        assert_eq!(listed(b"a\nb\0#c\0\0d", LineEnd::Nul).collect::<Vec<_>>(), [&b"a\nb"[..], b"d"]);
    }

    #[test]
    fn several_sources_are_one_tree() {
        let child = |name: &str, folder, of| Child { name: name.into(), folder, of };
        let (source, below, alone) = (Some(Folder::Source), Some(Folder::Below), Some(Folder::Alone));
        let united = union([
            child("b", None, 1),
            child("a", alone, 1),
            child("a-", below, 1),
            child("c", None, 1),
            child("b", None, 2),
            child("a", below, 2),
            child("c", below, 2),
            child("a", source, 3),
            child("c", None, 3),
            child("a", alone, 4),
            child("d", alone, 3),
            child("d", alone, 4),
        ]);
        let united: Vec<_> = united
            .iter()
            .map(|one| (str::from_utf8(&one.name).unwrap(), one.folder, one.first, &one.others[..]))
            .collect();
        let expected: [(_, _, _, &[i32]); 5] = [
            ("b", None, 1, &[]),
            ("a-", below, 1, &[]),
            ("a", source, 1, &[2, 3, 4]),
            ("c", below, 2, &[]),
            ("d", alone, 3, &[4]),
        ];
        assert_eq!(united, expected);
    }
}
