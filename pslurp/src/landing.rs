//! Where the files of each host go here: no two hosts into one folder.
//!
//! Pure. Must not know what is fetched.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::Failure;
use fleet_tool::places::HostPlaces;
use fleet_transfer::destination::{PathTemplate, Place};

/// The place here, as typed.
#[derive(Debug)]
pub(crate) struct Landing(PathTemplate);

impl Landing {
    /// Reads the place: a path in which placeholders may stand. Without any, each host has a folder of its name there.
    ///
    /// # Errors
    /// When it is no such text.
    pub(crate) fn read(local: &Path) -> Result<Self, Failure> {
        let parse = |text: &OsStr| {
            PathTemplate::parse(text)
                .map_err(|error| Failure::usage(&error).hint("write {{ and }} for braces that are meant as such"))
        };
        if local.as_os_str().is_empty() {
            return Err(Failure::usage_text("the place here is empty; expected a folder, as in results/"));
        }
        let template = parse(local.as_os_str())?;
        if template.is_made_for_each() {
            return Ok(Self(template));
        }
        Ok(Self(parse(local.join("{host}").as_os_str())?))
    }

    /// Whether a placeholder stands in it.
    pub(crate) fn is_made_for_each(local: &Path) -> bool {
        PathTemplate::parse(local.as_os_str()).is_ok_and(|template| template.is_made_for_each())
    }

    /// The folder of each host, which are at `places`.
    ///
    /// # Errors
    /// When two hosts would have one, or one lies in that of another.
    pub(crate) fn folders(
        &self,
        connector: &Connector,
        hosts: &[SelectedHost],
        places: &HostPlaces,
    ) -> Result<Vec<PathBuf>, Failure> {
        let folder = |(index, host): (usize, &SelectedHost)| {
            let end = match self.0.needs_address() {
                true => connector.route(&host.host)?.pop(),
                false => None,
            };
            let (addr, user, port) = end.as_ref().map_or(("", "", 0), |end| (&*end.host_name, &*end.user, end.port));
            let group = host.group.as_deref().unwrap_or_default();
            let role = places.role(index);
            let (index, count) = places.number(index);
            let place = Place { host: host.host.name(), addr, group, role, index, count, user, port };
            let named = |error| Failure::usage_text(format!("{}: {error}", host.host));
            self.0.fill(&place).map_err(named)
        };
        let folders = hosts.iter().enumerate().map(folder).collect::<Result<Vec<_>, Failure>>()?;
        match overlap(&folders) {
            None => Ok(folders),
            Some((one, other)) => {
                let text = format!(
                    "the files of {} and of {} would both go into {}",
                    hosts[one].host,
                    hosts[other].host,
                    folders[one].display()
                );
                Err(Failure::usage_text(text).hint("tell them apart in the place here, as in results/{host}-{index}"))
            }
        }
    }
}

/// Two folders of which one is the other or lies in it. File systems may take names that differ in case for one.
fn overlap(folders: &[PathBuf]) -> Option<(usize, usize)> {
    let folded = |path: &Path| PathBuf::from(path.components().collect::<PathBuf>().to_string_lossy().to_lowercase());
    let mut seen = HashMap::with_capacity(folders.len());
    for (index, folder) in folders.iter().enumerate() {
        if let Some(other) = seen.insert(folded(folder), index) {
            return Some((other, index));
        }
    }
    let above = |index: usize| {
        let folder = folded(&folders[index]);
        folder.ancestors().skip(1).find_map(|above| seen.get(above).map(|&other| (other, index)))
    };
    (0..folders.len()).find_map(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_whose_files_would_meet_are_found() {
        for (folders, expected) in [
            (&["r/a", "r/b"][..], None),
            (&["r/a", "r/ab", "r/a-b"], None),
            (&["r/a", "r/./a"], Some((0, 1))),
            (&["r/a", "r/b", "r/A"], Some((0, 2))),
            (&["r/a/b", "r/a"], Some((1, 0))),
            (&["r", "r"], Some((0, 1))),
        ] {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            assert_eq!(overlap(&folders), expected, "{folders:?}");
        }
    }
}
