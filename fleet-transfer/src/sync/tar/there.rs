//! What there is at a destination: the answer of `fleet_ssh::remote::tree_list`.
//!
//! Must not know what is wanted there.

use std::collections::{BTreeMap, HashMap};

use fleet_ssh::remote::{Token, look_mark};
use thiserror::Error;

/// What the host was asked before its tree, and in which order it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// Numbers of users here, each with the name that was asked for.
    pub(super) users: Vec<(u32, Vec<u8>)>,
    /// The same of groups.
    pub(super) groups: Vec<(u32, Vec<u8>)>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Whether the destination itself is there.
    pub(super) exists: bool,
    /// What is in it by its path, the destination itself as `.`.
    pub(super) entries: BTreeMap<Vec<u8>, There>,
    pub(super) receiver: Receiver,
}

/// The user who receives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Receiver {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Those that files of this user may be given.
    pub(super) groups: Vec<u32>,
    /// By our number of a user the host's own, where it knows the name.
    pub(super) users_there: HashMap<u32, u32>,
    /// The same of groups.
    pub(super) groups_there: HashMap<u32, u32>,
}

/// Something at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) kind: ThereKind,
    /// The lower 12 bits of its mode.
    pub(super) permissions: u32,
    /// When its content was changed last, in seconds since 1970.
    pub(super) secs: i64,
    pub(super) owner: u32,
    pub(super) group: u32,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ThereKind {
    /// A file of so many bytes.
    File(u64),
    Folder,
    /// A symlink to this.
    Symlink(Vec<u8>),
    Other,
}

/// Why an answer tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected the host to list what is at the destination, but its answer is not whole")]
pub struct ListingError;

impl Tree {
    /// Reads all that a host said on standard output.
    pub(super) fn read(said: &[u8], mark: &Token, ids: &Ids) -> Result<Self, ListingError> {
        let mark = look_mark(mark);
        let at = said.windows(mark.len()).position(|window| window == mark).ok_or(ListingError)?;
        let mut rest = &said[at + mark.len()..];
        let mut tree = Self::default();
        let head = std::str::from_utf8(line(&mut rest)?).map_err(|_| ListingError)?;
        let mut words = head.split_ascii_whitespace();
        tree.exists = match words.next() {
            Some("folder") => true,
            Some("nothing") => false,
            _ => return Err(ListingError),
        };
        let numbers: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
        let [user, group, groups @ ..] = &numbers[..] else { return Err(ListingError) };
        (tree.receiver.user, tree.receiver.group) = (*user, *group);
        tree.receiver.groups = groups.to_vec();
        tree.receiver.users_there = numbers_there(&mut rest, &ids.users)?;
        tree.receiver.groups_there = numbers_there(&mut rest, &ids.groups)?;
        if line(&mut rest)? != b"\x1e" {
            return Err(ListingError);
        }
        while !rest.is_empty() {
            let (facts, path, target) = (text(&mut rest)?, text(&mut rest)?, text(&mut rest)?);
            let path = if path.is_empty() { b".".to_vec() } else { path.to_vec() };
            tree.entries.insert(path, There::read(facts, target).ok_or(ListingError)?);
        }
        Ok(tree)
    }
}

impl There {
    /// `f 644 12 1700000000.5 0 0`, or `x 81a4 12 1700000000 0 0`
    fn read(facts: &[u8], target: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(facts).ok()?.split(' ');
        let (kind, mode, size, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let mode = u32::from_str_radix(mode, if kind == "x" { 16 } else { 8 }).ok()?;
        let kind = match (kind, mode >> 12) {
            ("f", _) | ("x", 0o10) => ThereKind::File(size.parse().ok()?),
            ("d", _) | ("x", 0o4) => ThereKind::Folder,
            ("l", _) | ("x", 0o12) => ThereKind::Symlink(target.to_vec()),
            _ => ThereKind::Other,
        };
        // Before 1970 the seconds and their fraction have one sign: down to a whole second, as the system has it.
        let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
        let behind = i64::from(whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0'));
        Some(Self {
            kind,
            permissions: mode & 0o7777,
            secs: whole.parse::<i64>().ok()? - behind,
            owner: words.next()?.parse().ok()?,
            group: words.next()?.parse().ok()?,
        })
    }
}

fn numbers_there(rest: &mut &[u8], asked: &[(u32, Vec<u8>)]) -> Result<HashMap<u32, u32>, ListingError> {
    let mut numbers = HashMap::new();
    for (here, _) in asked {
        let there = std::str::from_utf8(line(rest)?).ok().and_then(|number| number.parse().ok());
        numbers.extend(there.map(|there| (*here, there)));
    }
    Ok(numbers)
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ListingError> {
    until(rest, b'\n')
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ListingError> {
    until(rest, 0)
}

fn until<'a>(rest: &mut &'a [u8], end: u8) -> Result<&'a [u8], ListingError> {
    let at = rest.iter().position(|byte| *byte == end).ok_or(ListingError)?;
    let (text, left) = (&rest[..at], &rest[at + 1..]);
    *rest = left;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &str) -> Result<Tree, ListingError> {
        let ids =
            Ids { users: vec![(7, b"www".to_vec()), (8, b"nobody".to_vec())], groups: vec![(7, b"www".to_vec())] };
        Tree::read(said.as_bytes(), &Token::new(0xab), &ids)
    }

    #[test]
    fn an_answer_has_the_receiver_its_numbers_and_the_tree() {
        let said = "motd\n\x1efleet 00000000000000ab folder 1000 1000 1000 27\n33\n\n34\n\x1e\n\
                    d 755 4096 1700000000.5000000000 1000 1000\0\0\0\
                    f 4644 12 -1.5000000000 0 0\0a\nb\0\0l 777 3 -1.0000000000 0 0\0c\0a\nb\0p 644 0 0 0 0\0d\0\0\
                    x 89ed 7 5 0 0\0e\0\0x a1ff 1 6 0 0\0f\0t\0x 41c0 1 7 0 0\0g\0\0";
        let tree = read(said).unwrap();
        assert!(tree.exists);
        assert_eq!((tree.receiver.user, tree.receiver.groups), (1000, vec![1000, 27]));
        assert_eq!(tree.receiver.users_there, HashMap::from([(7, 33)]));
        assert_eq!(tree.receiver.groups_there, HashMap::from([(7, 34)]));
        let there = |kind, permissions, secs| There { kind, permissions, secs, owner: 0, group: 0 };
        let folder = There { owner: 1000, group: 1000, ..there(ThereKind::Folder, 0o755, 1_700_000_000) };
        let expected = [
            (&b"."[..], folder),
            (b"a\nb", there(ThereKind::File(12), 0o4644, -2)),
            (b"c", there(ThereKind::Symlink(b"a\nb".to_vec()), 0o777, -1)),
            (b"d", there(ThereKind::Other, 0o644, 0)),
            (b"e", there(ThereKind::File(7), 0o4755, 5)),
            (b"f", there(ThereKind::Symlink(b"t".to_vec()), 0o777, 6)),
            (b"g", there(ThereKind::Folder, 0o700, 7)),
        ];
        assert_eq!(tree.entries, expected.map(|(path, there)| (path.to_vec(), there)).into());
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        let whole = "\x1efleet 00000000000000ab nothing 0 0 0\n\n\n\n\x1e\n";
        assert!(!read(whole).unwrap().exists);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Err(ListingError), "{end}");
        }
        assert_eq!(read(&format!("{whole}f 644 1 0 0 0\0a\0")), Err(ListingError));
        assert_eq!(read(&format!("{whole}f x 1 0 0 0\0a\0\0")), Err(ListingError));
        assert_eq!(read(&format!("{whole}x")), Err(ListingError));
        assert_eq!(read(&format!("{whole}xx 81a4 1 0 0 0\0a\0\0")), Err(ListingError));
    }
}
