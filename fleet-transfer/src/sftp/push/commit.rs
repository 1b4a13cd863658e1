//! The renames by which a copy comes into place.
//!
//! Until the first of them nothing on the host is changed; from then on all are tried. Must not know how files were written.

use std::sync::atomic::{AtomicBool, Ordering};

use fleet_ssh::remote::{CopyRefusal, RefusalKind, Replaced};
use futures::{StreamExt as _, stream};

use super::super::attributes::FileAttributes;
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::{if_there, join};
use super::explain::{refusal, shown};
use super::plan::{Plan, Unit};
use super::upload::{OWNER_BITS, mode_bits};
use super::{LeftOut, Push};
use crate::manifest::EntryKind;

/// How many names are told of those that are not in place.
const TOLD: usize = 3;

/// Renames all that was written but for what was left out.
pub(super) async fn commit(
    client: &Client,
    push: &Push<'_>,
    plan: &Plan,
    left_out: &LeftOut,
) -> Result<(), CopyRefusal> {
    let units: Vec<&Unit> = plan.units.iter().filter(|unit| !left_out.contains_key(&unit.entry)).collect();
    let broken = AtomicBool::new(false);
    let (units, broken) = (&units[..], &broken);
    // By numbers: a closure over references makes no future that a thread may pass on.
    let moves = (0..units.len()).map(|number| async move {
        let unit = units[number];
        if broken.load(Ordering::Relaxed) {
            return Some((unit, None));
        }
        let error = place(client, push, plan, unit).await.err()?;
        broken.store(true, Ordering::Relaxed);
        Some((unit, Some(error)))
    });
    let not_moved: Vec<(&Unit, Option<SftpError>)> =
        stream::iter(moves).buffered(MAX_ASKED).filter_map(std::future::ready).collect().await;
    if let Some((unit, error)) = not_moved.iter().find_map(|(unit, error)| Some((*unit, error.as_ref()?))) {
        return Err(half_done(units, &not_moved, unit, error));
    }
    restrict(client, push, plan).await
}

fn half_done(units: &[&Unit], not_moved: &[(&Unit, Option<SftpError>)], unit: &Unit, error: &SftpError) -> CopyRefusal {
    let (total, left) = (units.len(), not_moved.len());
    if left == total {
        return refusal(&unit.target, error);
    }
    let names: Vec<String> = not_moved.iter().take(TOLD).map(|(unit, _)| shown(&unit.target)).collect();
    let more = if left > TOLD { format!(" and {} more", left - TOLD) } else { String::new() };
    let names = names.join(" ");
    let text = format!("{} of {total} files are in place, but not {names}{more}: {error}", total - left);
    CopyRefusal::new(RefusalKind::HalfDone, text)
}

/// Renames one over its target.
async fn place(client: &Client, push: &Push<'_>, plan: &Plan, unit: &Unit) -> Result<(), SftpError> {
    let spare = [&unit.staged[..], b".old"].concat();
    if unit.replaces && push.replaced == Replaced::Kept {
        keep(client, unit, &spare).await?;
    }
    debug_assert!(plan.areas.iter().any(|area| unit.staged.starts_with(&area.staging.path)));
    if client.can_replace() {
        return client.replace(&unit.staged, &unit.target).await;
    }
    if if_there(client.lstat(&unit.target).await)?.is_none() {
        return client.rename(&unit.staged, &unit.target).await;
    }
    // Two steps, as the server has no better: the old file is kept until the new one has its place.
    let old = [&unit.staged[..], b".replaced"].concat();
    client.rename(&unit.target, &old).await?;
    match client.rename(&unit.staged, &unit.target).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = client.rename(&old, &unit.target).await;
            Err(error)
        }
    }
}

/// Gives the old file the name of a backup as well. `spare` is a name of ours.
async fn keep(client: &Client, unit: &Unit, spare: &[u8]) -> Result<(), SftpError> {
    let backup = [&unit.target[..], b"~"].concat();
    if client.can_link() && client.can_replace() && client.link(&unit.target, spare).await.is_ok() {
        return client.replace(spare, &backup).await;
    }
    // Not every file system has links: for a moment there is only the backup.
    if if_there(client.lstat(&backup).await)?.is_some() {
        client.remove(&backup).await?;
    }
    client.rename(&unit.target, &backup).await
}

/// Sets the modes of new folders that even their owner cannot work in, the deepest first: what is below cannot be reached
/// then.
async fn restrict(client: &Client, push: &Push<'_>, plan: &Plan) -> Result<(), CopyRefusal> {
    let roots: Vec<&Unit> = plan.units.iter().collect();
    for (&entry, staged) in plan.staged.iter().rev() {
        let known = &push.manifest.entries[entry];
        if known.kind != EntryKind::Folder || known.mode & OWNER_BITS == OWNER_BITS {
            continue;
        }
        let within = |unit: &&&Unit| {
            staged.strip_prefix(&unit.staged[..]).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        let Some(unit) = roots.iter().find(within) else { continue };
        let rest = staged[unit.staged.len()..].strip_prefix(b"/").unwrap_or_default();
        let path = if rest.is_empty() { unit.target.clone() } else { join(&unit.target, rest) };
        let mode = FileAttributes::of_mode(known.mode & mode_bits(push.attributes));
        client.set(&path, mode).await.map_err(|error| refusal(&path, &error))?;
    }
    Ok(())
}
