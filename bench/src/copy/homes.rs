//! What is in the homes of the hosts, and what has arrived there and here.
//!
//! Must not know the tools.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::copy::payload::{Kind, Payload};
use crate::copy::tools::{ARRIVED, Direction, THERE};
use crate::error::BenchError;
use crate::session_home;

/// The homes of hosts, and the folder here for what comes back.
#[derive(Debug)]
pub(crate) struct Homes {
    folder: PathBuf,
    back: PathBuf,
    addresses: Vec<Ipv4Addr>,
}

impl Homes {
    /// Makes them, with all that is to be fetched.
    pub(crate) fn make(folder: &Path, addresses: &[Ipv4Addr], payloads: &[Payload]) -> Result<Self, BenchError> {
        let homes = Self { folder: folder.to_owned(), back: folder.join("back"), addresses: addresses.to_vec() };
        for address in addresses {
            let there = homes.home(*address).join(THERE);
            fs::create_dir_all(&there).map_err(BenchError::file(&there))?;
            payloads.iter().try_for_each(|payload| payload.link_into(&there)).map_err(BenchError::file(&there))?;
        }
        homes.clear()?;
        Ok(homes)
    }

    fn home(&self, address: Ipv4Addr) -> PathBuf {
        session_home::home(&self.folder, address)
    }

    /// Where what is fetched arrives here.
    pub(crate) fn back(&self) -> &Path {
        &self.back
    }

    /// Removes all that has arrived anywhere.
    pub(crate) fn clear(&self) -> Result<(), BenchError> {
        let arrived = self.addresses.iter().map(|address| self.home(*address).join(ARRIVED));
        for folder in arrived.chain([self.back.clone()]) {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BenchError::file(folder)(error));
                }
                _ => {}
            }
            fs::create_dir(&folder).map_err(BenchError::file(&folder))?;
            // The account that is logged in to writes there.
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(&folder, open).map_err(BenchError::file(&folder))?;
        }
        Ok(())
    }

    /// How many files of the first `hosts` hosts arrived as they should.
    pub(crate) fn count_right(&self, payload: &Payload, direction: Direction, hosts: usize) -> usize {
        let name = payload.kind.name();
        let back = self.back();
        let places = self.addresses.iter().take(hosts).filter_map(|address| match direction {
            Direction::To => Some(self.home(*address).join(ARRIVED).join(name)),
            Direction::Back => place_of(*address, back, name),
        });
        places.map(|place| payload.count_right(&place)).sum()
    }
}

/// Where the file or folder `name` of a host is below `back`. Tools put it into a folder that has the host's address in its
/// name, or under a name that has it.
fn place_of(address: Ipv4Addr, back: &Path, name: &str) -> Option<PathBuf> {
    let address = address.to_string();
    let is_host = |entry: &fs::DirEntry| {
        let text = entry.file_name().to_string_lossy().into_owned();
        text.split(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .any(|part| part.trim_matches('.') == address)
    };
    let place = fs::read_dir(back).ok()?.filter_map(Result::ok).find(is_host)?.path();
    let within = place.join(name);
    Some(if within.exists() { within } else { place })
}

/// What the sources need of a disk, and the copies of all hosts, one workload at a time.
pub(crate) fn room_bytes(kinds: &[Kind], hosts: usize) -> u64 {
    let sources: u64 = kinds.iter().map(|kind| kind.room_bytes()).sum();
    let copies = kinds.iter().map(|kind| kind.room_bytes() * hosts as u64).max().unwrap_or(0);
    sources + copies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_host_are_found_where_any_tool_puts_them_and_never_those_of_another() {
        let address = Ipv4Addr::new(127, 1, 0, 1);
        let cases = [
            ("127.1.0.1/tree", Some("127.1.0.1/tree")),
            ("127.1.0.1:None/tree", Some("127.1.0.1:None/tree")),
            ("me@127.1.0.1:22/0000", Some("me@127.1.0.1:22")),
            ("tree.127.1.0.1/0000", Some("tree.127.1.0.1")),
            ("tree_127.1.0.1/0000", Some("tree_127.1.0.1")),
            ("127.1.0.11/tree", None),
            ("27.127.1.0.1/tree", None),
        ];
        for (made, found) in cases {
            let back = tempfile::tempdir().unwrap();
            fs::create_dir_all(back.path().join(made)).unwrap();
            let expected = found.map(|found| back.path().join(found));
            assert_eq!(place_of(address, back.path(), "tree"), expected, "{made}");
        }
    }

    #[test]
    fn copies_need_room_for_every_host() {
        let kinds = [Kind::File { mib: 100 }, Kind::Tree { files: 10 }];
        assert_eq!(room_bytes(&kinds, 4), kinds[0].room_bytes() * 5 + kinds[1].room_bytes());
    }
}
