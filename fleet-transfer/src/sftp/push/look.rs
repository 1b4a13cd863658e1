//! What there is on the host of what would be copied: for who only wants to know.
//!
//! No content is compared, as no digest can be asked for: a file that is there counts as another, and a copy replaces it.
//! Must not change anything.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;

use fleet_ssh::remote::{CopyRefusal, Landing, MissingFolder};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::super::attributes::FileKind;
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::{if_there, join};
use super::explain::refusal;
use super::plan::{find_folder, split};
use crate::destination::Found;
use crate::manifest::{EntryKind, Manifest, Selection};
use crate::push::{Findings, There};

/// Looks at the targets of all that is selected.
///
/// # Errors
/// When the host refuses, or the folder of the landing is missing and is not to be made.
pub async fn look(
    client: &Client,
    manifest: &Manifest,
    selection: &Selection,
    landing: Landing<'_>,
    missing: MissingFolder,
) -> Result<Findings, CopyRefusal> {
    let landed = find_folder(client, landing, missing).await?;
    let destination = match landed.name.is_some() || landed.is_missing {
        true => Found::NoFolder,
        false => Found::Folder,
    };
    let mut findings = Findings { destination, entries: Vec::new() };
    let mut depths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for entry in selection.iter() {
        depths.entry(manifest.entries[entry].path.components().count()).or_default().push(entry);
    }
    // Folders of which nothing is asked, as there is nothing in them.
    let mut absent: HashSet<&[u8]> = if landed.is_missing { HashSet::from([&b""[..]]) } else { HashSet::new() };
    for entries in depths.into_values() {
        let looks = entries.into_iter().map(|entry| {
            let kind = &manifest.entries[entry].kind;
            let path = manifest.entries[entry].path.as_os_str().as_bytes();
            let target = join(&landed.folder, landed.name.as_deref().unwrap_or(path));
            let is_absent = absent.contains(split(path).0);
            async move {
                let there = if is_absent { There::Nothing } else { there(client, kind, &target).await? };
                Ok::<_, CopyRefusal>((entry, there))
            }
        });
        let found: Vec<(usize, There)> = stream::iter(looks).buffered(MAX_ASKED).try_collect().await?;
        let gone = found.iter().filter(|(_, there)| matches!(there, There::Nothing | There::InTheWay));
        absent.extend(gone.map(|(entry, _)| manifest.entries[*entry].path.as_os_str().as_bytes()));
        findings.entries.extend(found);
    }
    Ok(findings)
}

async fn there(client: &Client, kind: &EntryKind, target: &[u8]) -> Result<There, CopyRefusal> {
    let failed = |error: SftpError| refusal(target, &error);
    let found = if_there(client.lstat(target).await).map_err(failed)?.map(|found| found.kind());
    Ok(match (kind, found) {
        (_, None) => There::Nothing,
        (EntryKind::Folder, Some(FileKind::Folder)) => There::Same,
        (EntryKind::Folder, Some(FileKind::Symlink)) => {
            let named = if_there(client.stat(target).await).map_err(failed)?;
            if named.is_some_and(|named| named.kind() == FileKind::Folder) { There::Same } else { There::InTheWay }
        }
        (EntryKind::Folder, Some(_)) | (_, Some(FileKind::Folder)) => There::InTheWay,
        _ => There::Other,
    })
}
