//! What there is on a host: names and patterns looked up, and folders walked through.
//!
//! Follows no symlink but those in the paths as they were given. Must not know what is wanted of it.

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::super::answer::{Refusal, Status};
use super::super::attributes::{FileAttributes, FileKind};
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::{if_there, join};
use super::glob;

/// Something on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: Vec<u8>,
    /// Where in the path its name begins, as it is to be called elsewhere: `var/log/app/today` is `app/today` when `var/log/app`
    /// was asked for. It holds no empty part, no `.` and no `..`, except that it is empty for a folder like `/` or `..`: what is in
    /// that has its name from there on.
    pub name_start: usize,
    /// What is known of it; of a symlink itself.
    pub attributes: FileAttributes,
    /// What a symlink names.
    pub target: Option<Bytes>,
}

impl Found {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.path[self.name_start..]
    }
}

/// Something that was asked for, or met on the way, and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Where it is, or the pattern that means nothing.
    pub path: Vec<u8>,
    /// Why.
    pub refusal: Refusal,
}

/// All that was found. A folder stands before what is in it; names are in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What is there.
    pub found: Vec<Found>,
    /// What is not.
    pub missed: Vec<Missed>,
}

impl Listing {
    fn miss(&mut self, path: &[u8], error: SftpError) -> Result<(), SftpError> {
        match error {
            SftpError::Refused(refusal) => {
                self.missed.push(Missed { path: path.to_vec(), refusal });
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// Finds what `patterns` mean, and all that is below it. `most` is the number of names that are listened to.
///
/// # Errors
/// When the connection is gone, the server says what cannot be, or there are more names.
pub async fn list(client: &Client, patterns: &[Vec<u8>], most: usize) -> Result<Listing, SftpError> {
    let mut listing = Listing::default();
    for pattern in patterns {
        for path in expand(client, pattern, &mut listing).await? {
            match client.stat_as_named(&path).await {
                Ok(attributes) => {
                    let path = without_last_slashes(path);
                    let name_start = name_start(&path);
                    listing.found.push(Found { path, name_start, attributes, target: None });
                }
                Err(error) => listing.miss(&path, error)?,
            }
        }
    }
    walk(client, &mut listing, most).await?;
    read_links(client, &mut listing).await?;
    listing.found.sort_by(|a, b| a.path.split(|&b| b == b'/').cmp(b.path.split(|&b| b == b'/')));
    listing.found.dedup_by(|a, b| a.path == b.path);
    Ok(listing)
}

impl Client {
    /// As `lstat`, but as `stat` where the path ends in a slash.
    async fn stat_as_named(&self, path: &[u8]) -> Result<FileAttributes, SftpError> {
        if path.ends_with(b"/") { self.stat(path).await } else { self.lstat(path).await }
    }
}

/// Where the last part of a path begins; at its end when that is no name.
fn name_start(path: &[u8]) -> usize {
    let start = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    if matches!(&path[start..], b"" | b"." | b"..") { path.len() } else { start }
}

fn without_last_slashes(mut path: Vec<u8>) -> Vec<u8> {
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    path
}

/// The paths that a pattern means, in order. One that means nothing is missed; one without stars is what it says.
async fn expand(client: &Client, pattern: &[u8], listing: &mut Listing) -> Result<Vec<Vec<u8>>, SftpError> {
    let pattern = pattern.strip_prefix(b"~/").unwrap_or(pattern);
    if !glob::is_pattern(pattern) {
        return Ok(vec![glob::literal(pattern)]);
    }
    let root: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"" };
    let parts: Vec<&[u8]> = pattern.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    let mut paths = vec![root.to_vec()];
    let missed_before = listing.missed.len();
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len() && !pattern.ends_with(b"/");
        let mut next = Vec::new();
        for path in paths {
            if glob::is_pattern(part) {
                next.extend(matching(client, &path, part, is_last, listing).await?);
            } else {
                let path = join(&path, &glob::literal(part));
                if if_there(client.stat_as_named(&path).await).is_ok_and(|found| found.is_some()) {
                    next.push(path);
                }
            }
        }
        paths = next;
    }
    if paths.is_empty() && listing.missed.len() == missed_before {
        let refusal = Refusal::new(Status::NoSuchFile);
        listing.missed.push(Missed { path: pattern.to_vec(), refusal });
    }
    Ok(paths)
}

/// What in a folder is meant by a part of a pattern. Where more parts follow, only what may be a folder.
async fn matching(
    client: &Client,
    folder: &[u8],
    part: &[u8],
    is_last: bool,
    listing: &mut Listing,
) -> Result<Vec<Vec<u8>>, SftpError> {
    let names = match client.list(if folder.is_empty() { b"." } else { folder }).await {
        Ok(names) => names,
        Err(error) if matches!(error.status(), Some(Status::NoSuchFile)) => return Ok(Vec::new()),
        Err(error) => {
            listing.miss(folder, error)?;
            return Ok(Vec::new());
        }
    };
    let may_be = |kind| is_last || matches!(kind, FileKind::Folder | FileKind::Symlink | FileKind::Unknown);
    let names = names.into_iter().filter(|name| glob::matches(part, &name.name) && may_be(name.attributes.kind()));
    let mut paths: Vec<Vec<u8>> = names.map(|name| join(folder, &name.name)).collect();
    paths.sort();
    Ok(paths)
}

/// Adds what is below the folders.
async fn walk(client: &Client, listing: &mut Listing, most: usize) -> Result<(), SftpError> {
    let mut from = 0;
    while from < listing.found.len() {
        let is_folder = |found: &&Found| found.attributes.kind() == FileKind::Folder;
        let folders: Vec<(Vec<u8>, usize)> = listing.found[from..]
            .iter()
            .filter(is_folder)
            .map(|found| (found.path.clone(), found.name_start))
            .collect();
        from = listing.found.len();
        let lists = folders.into_iter().map(|(path, name_start)| async move {
            let names = client.list(&path).await;
            (path, name_start, names)
        });
        let mut lists = stream::iter(lists).buffer_unordered(MAX_ASKED);
        while let Some((folder, name_start, names)) = lists.next().await {
            match names {
                Ok(names) => {
                    for name in names {
                        let path = join(&folder, &name.name);
                        let has_name = name_start < folder.len();
                        let name_start = if has_name { name_start } else { path.len() - name.name.len() };
                        listing.found.push(Found { path, name_start, attributes: name.attributes, target: None });
                    }
                }
                Err(error) => listing.miss(&folder, error)?,
            }
            if listing.found.len() > most {
                return Err(SftpError::Nonsense("more names than are taken from one host"));
            }
        }
    }
    Ok(())
}

async fn read_links(client: &Client, listing: &mut Listing) -> Result<(), SftpError> {
    let Listing { found, missed } = listing;
    let is_symlink = |number: &usize| found[*number].attributes.kind() == FileKind::Symlink;
    let symlinks: Vec<(usize, Vec<u8>)> =
        (0..found.len()).filter(is_symlink).map(|number| (number, found[number].path.clone())).collect();
    let reads = symlinks.into_iter().map(|(number, path)| async move {
        let target = client.read_link(&path).await;
        (number, target)
    });
    let mut reads = stream::iter(reads).buffer_unordered(MAX_ASKED);
    while let Some((number, target)) = reads.next().await {
        match target {
            Ok(target) => found[number].target = Some(target),
            Err(SftpError::Refused(refusal)) => missed.push(Missed { path: found[number].path.clone(), refusal }),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_what_was_asked_for() {
        for (path, name) in [
            ("/var/log", "log"),
            ("log", "log"),
            ("log//", "log"),
            ("/", ""),
            ("..", ""),
            ("a/..", ""),
            ("a/./", ""),
            (".ssh", ".ssh"),
        ] {
            let plain = without_last_slashes(path.into());
            assert_eq!(&plain[name_start(&plain)..], name.as_bytes(), "{path}");
        }
    }
}
