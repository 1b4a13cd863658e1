//! Which files of a listing are fetched, and where each goes: decided before the first byte of them comes.
//!
//! Pure. Here the names of a host become names below a folder of ours, or nothing: no `..`, no empty part, no two alike,
//! nothing below what is no folder. Must not know what there is in that folder.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fleet_core::size;

use super::listing::{Listed, ListedKind, Listing, Seen};
use super::part_file::PART_PREFIX;
use super::problem::{Matter, Problem, shown};
use super::resume::Tail;
use crate::filter::{Action, Filter, Named};

/// A longer path no system opens.
const LONGEST_PATH: usize = 4096;

/// What is wanted of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What of paths is kept.
    pub paths: Paths,
    /// Files and symlinks must have been changed at this time or later, in seconds since 1970.
    pub since: Option<i64>,
    /// Larger files are left out.
    pub max_size: Option<u64>,
    /// Chooses by name.
    pub filter: Option<&'a Filter>,
    /// Whether the file system here tells names apart that differ only in case.
    pub folding: Folding,
}

/// What of a path on the host is kept here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// What is below the folder that was asked for, and its own name unless it ended in a slash.
    #[default]
    Short,
    /// All of it.
    Whole,
}

/// How a file system compares names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folding {
    /// By their bytes.
    #[default]
    None,
    /// `A` is `a`.
    Case,
}

/// A file, folder or symlink that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its absolute path on the host.
    pub remote: Vec<u8>,
    /// Its path here, below the host's folder: parts that are names, with single slashes between them.
    pub local: Box<[u8]>,
    /// What was seen of it; its length is that of what is fetched.
    pub seen: Seen,
    /// Where on the host that begins.
    pub from: u64,
}

/// How much of files is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All.
    #[default]
    All,
    /// Their last lines.
    Tails,
}

/// What is fetched from a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Folders come before what is in them.
    pub items: Vec<Item>,
    /// What is not fetched, though it was asked for.
    pub problems: Vec<Problem>,
    /// How much of the files is fetched.
    pub extent: Extent,
}

/// Why nothing is fetched from a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two files would become one.
    #[error("{one} and {other} would both be {local} here")]
    Collision {
        /// Its path on the host.
        one: String,
        /// That of the other.
        other: String,
        /// The path of both.
        local: String,
    },
    /// There is more than is wanted.
    #[error("the files have {}, and --max-total allows {}", size::shown(*total), size::shown(*limit))]
    TooMuch {
        /// Bytes of all files.
        total: u64,
        /// How many are allowed.
        limit: u64,
    },
}

impl PlanError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Collision { .. } => "--parents keeps the whole path of each",
            Self::TooMuch { .. } => "raise --max-total, or ask for less: --since, --tail, --max-size, --exclude",
        }
    }
}

impl Plan {
    /// Decides what of `listing` is fetched.
    ///
    /// # Errors
    /// When two would have one name.
    pub fn of(listing: &Listing, wanted: &Wanted<'_>) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        let missing = listing.missing.iter().map(|path| Problem { path: path.clone(), matter: Matter::Missing });
        plan.problems.extend(missing);
        for entry in &listing.entries {
            plan.take(listing, entry, wanted);
        }
        plan.items.sort_by(|one, other| one.local.cmp(&other.local));
        plan.refuse_collisions(wanted.folding)?;
        Ok(plan)
    }

    /// Whether the files have as few bytes as they may.
    ///
    /// # Errors
    /// When they have more.
    pub fn limit_total(&self, limit: u64) -> Result<(), PlanError> {
        let total = self.total();
        if total > limit { Err(PlanError::TooMuch { total, limit }) } else { Ok(()) }
    }

    /// Cuts files to their last lines. A file of which these are not known is not fetched.
    pub fn cut_to_tails(&mut self, tails: &HashMap<Vec<u8>, Tail>) {
        self.extent = Extent::Tails;
        let problems = &mut self.problems;
        self.items.retain_mut(|item| {
            if item.seen.kind != ListedKind::File {
                return true;
            }
            let Some(tail) = tails.get(&item.remote) else {
                problems.push(Problem { path: item.remote.clone(), matter: Matter::NotSent });
                return false;
            };
            item.from = tail.of - tail.len;
            (item.seen.len, item.seen.mtime) = (tail.len, tail.mtime);
            true
        });
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total(&self) -> u64 {
        let files = self.items.iter().filter(|item| item.seen.kind == ListedKind::File);
        files.fold(0, |sum, item| sum.saturating_add(item.seen.len))
    }

    fn take(&mut self, listing: &Listing, entry: &Listed, wanted: &Wanted<'_>) {
        let remote = listing.path(entry);
        let local = local_path(&remote, entry, wanted.paths);
        // The folder whose content was asked for is there already.
        if local.is_empty() || !is_chosen(&local, entry, wanted) {
            return;
        }
        let unreadable = listing.unreadable.contains(&(entry.folder, entry.path.clone()));
        let readable = if unreadable { Readable::No } else { Readable::Yes };
        let verdict = if is_name(&local) { verdict(entry, readable, wanted) } else { Verdict::Left(Matter::Name) };
        let item = || Item { remote: remote.clone(), local: (*local).into(), seen: entry.seen, from: 0 };
        match verdict {
            Verdict::Fetched => self.items.push(item()),
            Verdict::Unwanted => {}
            Verdict::Left(matter) => {
                // What is in it may still come, such as with another pattern.
                if matter == Matter::Unreadable && entry.seen.kind == ListedKind::Folder {
                    self.items.push(item());
                }
                self.problems.push(Problem { path: remote.clone(), matter });
            }
        }
    }

    /// Nothing has the name of another or lies below what is no folder. Items are in order.
    fn refuse_collisions(&mut self, folding: Folding) -> Result<(), PlanError> {
        let mut names: HashMap<Cow<'_, [u8]>, &Item> = HashMap::with_capacity(self.items.len());
        for item in &self.items {
            let is_folder = |item: &Item| item.seen.kind == ListedKind::Folder;
            if let Some(other) = names.insert(folded(&item.local, folding), item)
                && !(is_folder(other) && is_folder(item) && other.local == item.local)
            {
                return Err(collision(other, item));
            }
        }
        for item in &self.items {
            let slashes = item.local.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            for (at, _) in slashes {
                if let Some(above) = names.get(&folded(&item.local[..at], folding))
                    && (above.seen.kind != ListedKind::Folder || *above.local != item.local[..at])
                {
                    return Err(collision(above, item));
                }
            }
        }
        // Folders that several patterns have found.
        self.items.dedup_by(|later, earlier| later.local == earlier.local);
        Ok(())
    }
}

fn collision(one: &Item, other: &Item) -> PlanError {
    PlanError::Collision { one: shown(&one.remote), other: shown(&other.remote), local: shown(&one.local) }
}

/// Whether the host lets us read something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readable {
    Yes,
    No,
}

/// What becomes of an entry.
enum Verdict {
    Fetched,
    Unwanted,
    /// It is left out, and named.
    Left(Matter),
}

fn verdict(entry: &Listed, readable: Readable, wanted: &Wanted<'_>) -> Verdict {
    let Seen { kind, len, mtime, .. } = entry.seen;
    let is_old = wanted.since.is_some_and(|since| mtime < since);
    match kind {
        ListedKind::Other => Verdict::Left(Matter::NoFile),
        ListedKind::File | ListedKind::Symlink if is_old => Verdict::Unwanted,
        ListedKind::File if wanted.max_size.is_some_and(|most| len > most) => Verdict::Left(Matter::TooLarge { len }),
        _ if readable == Readable::No => Verdict::Left(Matter::Unreadable),
        // Those that something is in are made with it.
        ListedKind::Folder if wanted.since.is_some() => Verdict::Unwanted,
        _ => Verdict::Fetched,
    }
}

/// Whether the filter lets it and all folders above it through.
fn is_chosen(local: &[u8], entry: &Listed, wanted: &Wanted<'_>) -> bool {
    let Some(filter) = wanted.filter else { return true };
    let let_through = |path: &[u8], named| filter.verdict(Path::new(OsStr::from_bytes(path)), named) == Action::Include;
    let itself = if entry.seen.kind == ListedKind::Folder { Named::Folder } else { Named::Other };
    let mut slashes = local.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.all(|(at, _)| let_through(&local[..at], Named::Folder)) && let_through(local, itself)
}

fn local_path<'a>(remote: &'a [u8], entry: &'a Listed, paths: Paths) -> Cow<'a, [u8]> {
    match paths {
        Paths::Short => (&*entry.path).into(),
        Paths::Whole => remote.strip_prefix(b"/").or(remote.strip_prefix(b"./")).unwrap_or(remote).into(),
    }
}

/// Whether a file here may have this path.
fn is_name(path: &[u8]) -> bool {
    let part_is_name = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.starts_with(PART_PREFIX);
    path.len() <= LONGEST_PATH && !path.contains(&0) && path.split(|&b| b == b'/').all(part_is_name)
}

fn folded(path: &[u8], folding: Folding) -> Cow<'_, [u8]> {
    match folding {
        Folding::None => path.into(),
        Folding::Case => String::from_utf8_lossy(path).to_lowercase().into_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted<'_> =
        Wanted { paths: Paths::Short, since: None, max_size: None, filter: None, folding: Folding::None };

    fn listing(entries: &[(&str, ListedKind)]) -> Listing {
        let listed = |&(path, kind): &(&str, ListedKind)| Listed {
            pattern: 0,
            folder: 0,
            path: path.as_bytes().into(),
            seen: Seen { kind, mode: 0o644, len: 10, disk_bytes: 4096, mtime: 100 },
        };
        Listing {
            folders: vec![b"/var/log".to_vec()],
            entries: entries.iter().map(listed).collect(),
            ..Listing::default()
        }
    }

    fn locals(plan: &Plan) -> Vec<String> {
        plan.items.iter().map(|item| String::from_utf8_lossy(&item.local).into_owned()).collect()
    }

    use ListedKind::{File, Folder, Other, Symlink};

    #[test]
    fn what_is_in_a_folder_comes_behind_it_and_only_names_come() {
        let entries = listing(&[
            ("", Folder),
            ("b/x", File),
            ("b", Folder),
            ("a", Symlink),
            ("../x", File),
            ("b/../x", File),
            ("b//x", File),
            ("/x", File),
            ("b/.", Folder),
            ("..", Folder),
            (".fleet-part-x", File),
            ("pipe", Other),
        ]);
        let plan = Plan::of(&entries, &ALL).unwrap();
        assert_eq!(locals(&plan), ["a", "b", "b/x"]);
        assert_eq!(plan.items[2].remote, b"/var/log/b/x");
        let (names, others): (Vec<_>, Vec<_>) =
            plan.problems.iter().partition(|problem| problem.matter == Matter::Name);
        assert_eq!((names.len(), others.len(), &others[0].matter), (7, 1, &Matter::NoFile));
        let whole = Plan::of(&listing(&[("b/x", File)]), &Wanted { paths: Paths::Whole, ..ALL }).unwrap();
        assert_eq!(locals(&whole), ["var/log/b/x"]);
        let long = "d/".repeat(3000) + "x";
        assert_eq!(locals(&Plan::of(&listing(&[(&long, File)]), &ALL).unwrap()), [""; 0]);
    }

    #[test]
    fn nothing_has_the_name_of_another_or_lies_below_a_file() {
        let case = Wanted { folding: Folding::Case, ..ALL };
        for (entries, exact, folded) in [
            (&[("a", File), ("a", File)][..], false, false),
            (&[("a", Folder), ("a", Folder)], true, true),
            (&[("a", Folder), ("a", File)], false, false),
            (&[("a", Symlink), ("a/x", File)], false, false),
            (&[("a", File), ("a/b/c", File)], false, false),
            (&[("a", File), ("A", File)], true, false),
            (&[("a", Folder), ("A", Folder)], true, false),
            (&[("a", Symlink), ("A/x", File)], true, false),
            (&[("a", Folder), ("A/x", File)], true, false),
            (&[("\u{e4}", File), ("\u{c4}", File)], true, false),
            (&[("a", File), ("a.b", File), ("ab", File)], true, true),
        ] {
            let listing = listing(entries);
            let fine = |wanted| Plan::of(&listing, wanted).is_ok();
            assert_eq!((fine(&ALL), fine(&case)), (exact, folded), "{entries:?}");
        }
        assert_eq!(Plan::of(&listing(&[("a", Folder), ("a", Folder)]), &ALL).unwrap().items.len(), 1);
    }

    #[test]
    fn what_is_not_wanted_is_left_out() {
        let entries = [("a", File), ("d", Folder), ("d/x", File), ("l", Symlink)];
        let filter = Filter::new([(Action::Exclude, "d/")]).unwrap();
        for (wanted, expected, problems) in [
            (Wanted { since: Some(100), ..ALL }, &["a", "d/x", "l"][..], 0),
            (Wanted { since: Some(101), ..ALL }, &[], 0),
            (Wanted { max_size: Some(9), ..ALL }, &["d", "l"], 2),
            (Wanted { max_size: Some(10), ..ALL }, &["a", "d", "d/x", "l"], 0),
            (Wanted { filter: Some(&filter), ..ALL }, &["a", "l"], 0),
        ] {
            let plan = Plan::of(&listing(&entries), &wanted).unwrap();
            assert_eq!(
                (&locals(&plan)[..], plan.problems.len()),
                (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], problems)
            );
        }
        let plan = Plan::of(&listing(&entries), &ALL).unwrap();
        assert_eq!((plan.total(), plan.limit_total(20).is_ok(), plan.limit_total(19).is_ok()), (20, true, false));
    }

    #[test]
    fn what_cannot_be_read_is_not_asked_for() {
        let mut entries = listing(&[("a", File), ("d", Folder)]);
        entries.unreadable.extend([(0, (*b"a").into()), (0, (*b"d").into())]);
        entries.missing.push(b"none*".to_vec());
        let plan = Plan::of(&entries, &ALL).unwrap();
        assert_eq!(locals(&plan), ["d"]);
        let matters: Vec<&Matter> = plan.problems.iter().map(|problem| &problem.matter).collect();
        assert_eq!(matters, [&Matter::Missing, &Matter::Unreadable, &Matter::Unreadable]);
    }
}
