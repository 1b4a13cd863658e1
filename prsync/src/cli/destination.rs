//! Where the sources go on the hosts.
//!
//! Must not contact any host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::Failure;
use fleet_tool::places::HostPlaces;
use fleet_transfer::destination::{PathTemplate, Place, names_no_host};

/// What is typed as destination, and as a path.
pub(super) fn read(text: &OsStr) -> Result<(PathTemplate, PathBuf), Failure> {
    names_no_host(text).map_err(|error| Failure::usage(&error).hint(error.hint()))?;
    let text = match text.as_bytes() {
        b"" => return Err(Failure::usage_text("the destination is empty; expected a path on the hosts")),
        b"~" | b"~/" => OsStr::new("."),
        [b'~', b'/', rest @ ..] => OsStr::from_bytes(rest),
        [b'~', ..] => {
            return Err(Failure::usage_text(format!("{}: expected a path, or one below ~/", text.display()))
                .hint(format!("./{} is a path of that name", text.display())));
        }
        _ => text,
    };
    let template = PathTemplate::parse(text).map_err(|error| Failure::usage(&error))?;
    Ok((template, PathBuf::from(text)))
}

/// The destination of each host.
pub(super) fn fill(
    template: &PathTemplate,
    connector: &Connector,
    hosts: &[SelectedHost],
    places: &HostPlaces,
) -> Result<Vec<Vec<u8>>, Failure> {
    let destination = |(index, host): (usize, &SelectedHost)| {
        let end = if template.needs_address() { connector.route(&host.host)?.pop() } else { None };
        let (addr, user, port) = end.map_or_else(Default::default, |end| (end.host_name, end.user, end.port));
        let group = host.group.as_deref().unwrap_or_default();
        let role = places.role(index);
        let (index, count) = places.number(index);
        let place = Place { host: host.host.name(), addr: &addr, group, role, index, count, user: &user, port };
        let path = template.fill(&place).map_err(|error| Failure::usage_text(format!("{}: {error}", host.host)))?;
        Ok(path.into_os_string().as_bytes().to_vec())
    };
    hosts.iter().enumerate().map(destination).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn destinations_are_paths_on_the_hosts() {
        for (text, path) in [
            ("/opt", Some("/opt")),
            ("~/x", Some("x")),
            ("~", Some(".")),
            ("~me/x", None),
            ("web1:opt", None),
            ("", None),
        ] {
            let read = read(OsStr::new(text)).ok().map(|(_, path)| path);
            assert_eq!(read.as_deref(), path.map(Path::new), "{text}");
        }
    }
}
