//! What is at a destination and not in the list: whether it is deleted.
//!
//! As rsync has it: only below folders of the list, and not what a rule keeps. Must not know how.

use fleet_rsync::filter::{EntryKind, Verdict};
use fleet_rsync::flist::Folder;

use super::{Comparison, Deletion, InTheWay, parent};
use crate::sync::tar::there::ThereKind;

/// Something that is deleted.
#[derive(Clone, Copy)]
pub(super) struct Doomed {
    pub(super) is_folder: bool,
    /// Whether something is to take its place, or that of a folder above it.
    pub(super) is_in_the_way: bool,
}

impl Comparison<'_> {
    /// Finds what is deleted: parents come before what is in them.
    pub(super) fn surplus(&mut self) -> Result<(), InTheWay> {
        for (path, there) in &self.tree.entries {
            let Some(above) = parent(path) else { continue };
            if self.folders.contains_key(path) || self.others.contains(path) {
                continue;
            }
            let is_surplus = match self.doomed.get(above) {
                Some(doomed) => Some(doomed.is_in_the_way),
                None => matches!(self.folders.get(above), Some((_, Folder::Source | Folder::Below)))
                    .then_some(false)
                    .filter(|_| self.wanted.deletion == Deletion::Surplus),
            };
            let Some(is_in_the_way) = is_surplus else { continue };
            let is_folder = there.kind == ThereKind::Folder;
            let kind = if is_folder { EntryKind::Directory } else { EntryKind::Other };
            let is_kept = self.wanted.kept.verdict(path, kind) == Verdict::Excluded;
            if is_in_the_way && (is_kept || self.wanted.deletion == Deletion::Nothing) {
                return Err(InTheWay(above.to_vec()));
            }
            if is_kept {
                self.spare(above);
            } else {
                self.doomed.insert(path.clone(), Doomed { is_folder, is_in_the_way });
            }
        }
        Ok(())
    }

    /// Keeps the folders above something that is kept.
    fn spare(&mut self, folder: &[u8]) {
        let mut folder = Some(folder);
        while let Some(path) = folder.filter(|path| self.doomed.contains_key(*path)) {
            self.doomed.remove(path);
            self.spared(path);
            folder = parent(path);
        }
    }

    /// What is in a spared folder is still deleted, though it is not in the list.
    fn spared(&mut self, path: &[u8]) {
        self.folders.insert(path.to_vec(), (u32::MAX, Folder::Below));
    }
}
