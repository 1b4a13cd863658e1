//! What is there on the host, and so what goes where: looked at before anything is written.
//!
//! Must not know how files are written or renamed.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use fleet_ssh::remote::{CopyRefusal, Landing, MissingFolder, RefusalKind, Replaced, landing_place};
use futures::future::select_all;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::super::attributes::{FileAttributes, FileKind};
use super::super::client::{Client, MAX_ASKED, SftpError};
use super::super::files::{if_there, join};
use super::super::staging::Staging;
use super::Push;
use super::explain::{refusal, refusal_in, shown};
use crate::manifest::EntryKind;

/// A folder of the host on a file system of its own: what goes there has to be written beside, as no rename crosses over.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) folder: Vec<u8>,
    pub(super) staging: Staging,
    file_system: Option<u64>,
}

/// Something that is renamed: a file, a symlink, or a folder that is missing on the host with all that is in it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) entry: usize,
    pub(super) target: Vec<u8>,
    pub(super) staged: Vec<u8>,
    /// Whether it replaces something.
    pub(super) replaces: bool,
}

/// Where all goes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    folder: Vec<u8>,
    /// The folders that were missing above the copies, the outermost first.
    made: Vec<Vec<u8>>,
    /// The folders of ours, from before they are made.
    stagings: Vec<Vec<u8>>,
    pub(super) areas: Vec<Area>,
    pub(super) units: Vec<Unit>,
    /// Where each entry is written; folders that are there are not.
    pub(super) staged: BTreeMap<usize, Vec<u8>>,
}

/// What becomes of a folder.
#[derive(Clone, Debug)]
enum Below {
    /// It is there, in the area of this number.
    Present(usize, Write),
    /// It is missing, and written here.
    Staged(Vec<u8>),
}

/// An entry in a folder that is there.
struct Place {
    entry: usize,
    path: Vec<u8>,
    target: Vec<u8>,
    area: usize,
    /// Of the folder.
    write: Write,
}

/// Whether something can be put into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Allowed,
    Denied,
}

/// What is at the target of an entry.
enum There {
    Nothing,
    /// A file, or anything else that a rename replaces.
    Something,
    Folder(Option<u64>, FileAttributes),
}

impl Plan {
    /// Looks at the host, makes the folders to write in, and says what goes where.
    pub(super) async fn survey(&mut self, client: &Client, push: &Push<'_>) -> Result<(), CopyRefusal> {
        let name = self.land(client, push).await?;
        let folder = self.folder.clone();
        let room = client.room(&folder).await.map_err(|error| refusal(&folder, &error))?;
        if room.is_some_and(|room| room.read_only) {
            return Err(CopyRefusal::new(RefusalKind::ReadOnly, shown(&folder)));
        }
        self.add_area(client, push, &folder, room.map(|room| room.file_system)).await?;
        // What a former copy has left is gone by now.
        let room = client.room(&folder).await.map_err(|error| refusal(&folder, &error))?;
        if let Some((needed, room)) = push.needed_kib.zip(room).filter(|(needed, room)| room.free_kib < *needed) {
            return Err(CopyRefusal::no_room(needed, room.free_kib));
        }
        self.place(client, push, name.as_deref()).await
    }

    /// Says that somebody works there for as long as it is polled; returns when that fails.
    pub(super) async fn keep_alive(&self, client: &Client) -> CopyRefusal {
        let each = self.areas.iter().map(|area| {
            let alive = async {
                let error = area.staging.keep_alive(client).await;
                refusal(&area.folder, &error)
            };
            alive.boxed()
        });
        select_all(each).await.0
    }

    /// Removes what is ours. Folders that were made stay when something was copied into them.
    pub(super) async fn clean_up(&self, client: &Client, copied: bool) {
        for path in &self.stagings {
            Staging::remove(client, path).await;
        }
        if !copied {
            for folder in self.made.iter().rev() {
                let _ = client.remove_folder(folder).await;
            }
        }
    }

    /// Finds the folder where the copies go; returns the name that a single one has there.
    async fn land(&mut self, client: &Client, push: &Push<'_>) -> Result<Option<Vec<u8>>, CopyRefusal> {
        let (mut folder, mut name) = landing_place(push.landing);
        if let (Some(own), Landing::Name(_)) = (&name, push.landing) {
            let path = join(&folder, own);
            let found = if_there(client.stat(&path).await).map_err(|error| refusal(&path, &error))?;
            if found.is_some_and(|found| found.kind() == FileKind::Folder) {
                (folder, name) = (path, None);
            }
        }
        self.folder = folder;
        let folder = &self.folder;
        match if_there(client.stat(folder).await).map_err(|error| refusal(folder, &error))? {
            Some(found) if found.kind() == FileKind::Folder => {}
            Some(_) => return Err(conflict(folder, "is no folder")),
            None if push.missing == MissingFolder::Make => self.make_folders(client).await?,
            None => return Err(CopyRefusal::new(RefusalKind::NoFolder, format!("{} is missing", shown(folder)))),
        }
        Ok(name)
    }

    async fn make_folders(&mut self, client: &Client) -> Result<(), CopyRefusal> {
        let mut missing = vec![self.folder.clone()];
        while let Some(slash) = missing.last().and_then(|path| path.iter().rposition(|b| *b == b'/')) {
            let above = missing[missing.len() - 1][..slash].to_vec();
            if above.is_empty() {
                break;
            }
            if if_there(client.stat(&above).await).map_err(|error| refusal(&above, &error))?.is_some() {
                break;
            }
            missing.push(above);
        }
        for folder in missing.into_iter().rev() {
            self.made.push(folder.clone());
            // Its umask is the server's.
            if let Err(error) = client.make_folder(&folder, 0o777).await {
                self.made.pop();
                return Err(refusal(&folder, &error));
            }
        }
        Ok(())
    }

    async fn add_area(
        &mut self,
        client: &Client,
        push: &Push<'_>,
        folder: &[u8],
        file_system: Option<u64>,
    ) -> Result<(), CopyRefusal> {
        self.stagings.push(Staging::path_in(folder, push.mark));
        match Staging::make(client, folder, push.mark).await {
            Ok(staging) => {
                self.areas.push(Area { folder: folder.to_vec(), staging, file_system });
                Ok(())
            }
            Err(error) => Err(refusal_in(client, folder, push.needed_kib, folder, &error).await),
        }
    }

    /// Finds a place for each entry: folder by folder, as what is in a folder depends on whether that is there.
    async fn place(&mut self, client: &Client, push: &Push<'_>, name: Option<&[u8]>) -> Result<(), CopyRefusal> {
        let mut below = HashMap::from([(Vec::new(), Below::Present(0, Write::Allowed))]);
        let mut depths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for entry in push.selection.iter() {
            depths.entry(push.manifest.entries[entry].path.components().count()).or_default().push(entry);
        }
        for entries in depths.into_values() {
            let mut asked = Vec::new();
            for entry in entries {
                let path = name.unwrap_or(push.manifest.entries[entry].path.as_os_str().as_bytes());
                let (parent, own) = split(path);
                match below.get(parent) {
                    Some(Below::Present(area, write)) => {
                        let target = join(&self.folder, path);
                        asked.push(Place { entry, path: path.to_vec(), target, area: *area, write: *write });
                    }
                    Some(Below::Staged(folder)) => {
                        let staged = join(folder, own);
                        self.stage(push, &mut below, entry, path, staged);
                    }
                    None => {
                        let text = format!("{} has no folder", shown(path));
                        return Err(CopyRefusal::new(RefusalKind::Failed, text));
                    }
                }
            }
            self.place_beside(client, push, &mut below, asked).await?;
        }
        Ok(())
    }

    /// Finds a place for entries in folders that are there.
    async fn place_beside(
        &mut self,
        client: &Client,
        push: &Push<'_>,
        below: &mut HashMap<Vec<u8>, Below>,
        places: Vec<Place>,
    ) -> Result<(), CopyRefusal> {
        let looks = places.into_iter().map(|place| async move {
            let there = look(client, push, place.entry, &place.target).await?;
            Ok::<_, CopyRefusal>((place, there))
        });
        let looked: Vec<_> = stream::iter(looks).buffered(MAX_ASKED).try_collect().await?;
        for (place, there) in looked {
            if let There::Folder(file_system, known) = there {
                let area = self.area_of(client, push, place.area, &place.target, file_system).await?;
                below.insert(place.path, Below::Present(area, self.write_to(&known)));
                continue;
            }
            if place.write == Write::Denied {
                let text = format!("{} cannot be written to", shown(split(&place.target).0));
                return Err(CopyRefusal::new(RefusalKind::Denied, text));
            }
            let Place { entry, path, target, area, .. } = place;
            let staged = join(&self.areas[area].staging.path, entry.to_string().as_bytes());
            self.stage(push, below, entry, &path, staged.clone());
            self.units.push(Unit { entry, target, staged, replaces: matches!(there, There::Something) });
        }
        Ok(())
    }

    /// An entry is written at `staged`.
    fn stage(
        &mut self,
        push: &Push<'_>,
        below: &mut HashMap<Vec<u8>, Below>,
        entry: usize,
        path: &[u8],
        staged: Vec<u8>,
    ) {
        if push.manifest.entries[entry].kind == EntryKind::Folder {
            below.insert(path.to_vec(), Below::Staged(staged.clone()));
        }
        self.staged.insert(entry, staged);
    }

    /// Whether a folder can be written to, if it is ours. Of others' folders only the system knows.
    fn write_to(&self, known: &FileAttributes) -> Write {
        const OWNER_WRITES: u32 = 0o200;
        let us = self.areas.iter().find_map(|area| area.staging.owners).map(|(user, _)| user);
        let is_ours = known.owners.is_some_and(|(user, _)| user != 0 && Some(user) == us);
        match known.mode {
            Some(mode) if is_ours && mode & OWNER_WRITES == 0 => Write::Denied,
            _ => Write::Allowed,
        }
    }

    /// The area of a folder that is there, and stands in `area`.
    async fn area_of(
        &mut self,
        client: &Client,
        push: &Push<'_>,
        area: usize,
        folder: &[u8],
        file_system: Option<u64>,
    ) -> Result<usize, CopyRefusal> {
        if file_system == self.areas[area].file_system {
            return Ok(area);
        }
        self.add_area(client, push, folder, file_system).await?;
        Ok(self.areas.len() - 1)
    }
}

/// Looks at the target of an entry, and refuses what is in the way.
async fn look(client: &Client, push: &Push<'_>, entry: usize, target: &[u8]) -> Result<There, CopyRefusal> {
    let failed = |error: SftpError| refusal(target, &error);
    let there = if_there(client.lstat(target).await).map_err(failed)?;
    let kind = there.as_ref().map(FileAttributes::kind);
    if push.manifest.entries[entry].kind != EntryKind::Folder {
        if kind == Some(FileKind::Folder) {
            return Err(conflict(target, "is a folder on the host, and a file would take its place"));
        }
        if there.is_some() && push.replaced == Replaced::Kept {
            let backup = [target, b"~"].concat();
            let kept = if_there(client.lstat(&backup).await).map_err(failed)?;
            if kept.is_some_and(|kept| kept.kind() == FileKind::Folder) {
                return Err(conflict(&backup, "is a folder on the host, and a file would take its place"));
            }
        }
        return Ok(if there.is_some() { There::Something } else { There::Nothing });
    }
    let folder = match kind {
        None => return Ok(There::Nothing),
        Some(FileKind::Symlink) => if_there(client.stat(target).await).map_err(failed)?,
        Some(_) => there,
    };
    let Some(folder) = folder.filter(|found| found.kind() == FileKind::Folder) else {
        return Err(conflict(target, "is no folder on the host, and a folder would take its place"));
    };
    let room = client.room(target).await.map_err(failed)?;
    Ok(There::Folder(room.map(|room| room.file_system), folder))
}

/// What stands before the last slash, and behind it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn conflict(path: &[u8], what: &str) -> CopyRefusal {
    CopyRefusal::new(RefusalKind::Conflict, format!("{} {what}", shown(path)))
}
