//! Where the copies go on each host.
//!
//! Must not know what is copied.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fleet_ssh::remote::Landing;
use fleet_tool::cli::Failure;
use fleet_transfer::destination::{Destination, Found, PathTemplate, Place, Sent, names_no_host, warnings};
use fleet_transfer::scan::HostSources;

/// The destination, as typed.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathTemplate,
    form: Form,
}

/// What the destination may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A folder, or the new name of a file.
    Any,
    /// The name of a file, as what is copied has none.
    File,
    /// A folder.
    Folder,
}

/// The destinations of all hosts.
#[derive(Debug)]
pub(crate) struct Destinations {
    /// One for each host.
    hosts: Vec<Destination>,
    form: Form,
    /// What is done as typed, and perhaps not meant.
    pub(crate) warnings: Vec<String>,
}

impl Target {
    /// Reads what is typed.
    ///
    /// # Errors
    /// When it can be no destination.
    pub(crate) fn read(text: &OsStr, form: Form) -> Result<Self, Failure> {
        names_no_host(text).map_err(|error| Failure::usage(&error).hint(error.hint()))?;
        if form == Form::File && text.as_bytes().ends_with(b"/") {
            let text = format!("standard input has no name, and {} is a folder's", text.display());
            return Err(Failure::usage_text(text).hint("give the name of the file: pcp - /etc/app/app.conf"));
        }
        let path = PathTemplate::parse(text).map_err(|error| Failure::usage(&error))?;
        Ok(Self { path, form })
    }

    /// Whether the address of a host is in it.
    pub(crate) fn needs_address(&self) -> bool {
        self.path.needs_address()
    }

    /// The destinations of the hosts at `places`, which are sent `sources`.
    ///
    /// # Errors
    /// When it cannot be made for one of them.
    pub(crate) fn fill(self, places: &[Place<'_>], sources: &[HostSources]) -> Result<Destinations, Failure> {
        let mut hosts = Vec::with_capacity(places.len());
        let mut said: Vec<String> = Vec::new();
        for (place, sources) in places.iter().zip(sources) {
            let at_host = |error: String| Failure::usage_text(format!("{}: {error}", place.host));
            let path = self.path.fill(place).map_err(|error| at_host(error.to_string()))?;
            let sent = if self.form == Form::Folder { Sent::IntoFolder } else { sources.sent };
            let destination = Destination::new(&path, sent).map_err(|error| Failure::usage(&error))?;
            if self.form == Form::File && matches!(destination, Destination::Folder(_)) {
                let text = format!("standard input has no name, and {} is a folder's", path.display());
                return Err(Failure::usage_text(text).hint("give the name of the file: pcp - /etc/app/app.conf"));
            }
            let warnings = warnings(sources.folders.iter().map(|folder| folder.as_path()), &destination);
            for warning in warnings.iter().map(ToString::to_string) {
                if !said.contains(&warning) {
                    said.push(warning);
                }
            }
            hosts.push(destination);
        }
        Ok(Destinations { hosts, form: self.form, warnings: said })
    }
}

impl Destinations {
    /// The name that an entry has on a host in the end.
    pub(crate) fn final_path(&self, host: usize, entry: &Path, found: Found) -> PathBuf {
        self.hosts[host].final_path(entry, found)
    }

    /// Where the copies go on a host.
    pub(crate) fn landing(&self, host: usize) -> Landing<'_> {
        let destination = &self.hosts[host];
        let path = destination.path().as_os_str().as_bytes();
        match destination {
            Destination::Folder(_) => Landing::Folder(path),
            Destination::FileOrFolder(_) if self.form == Form::File => Landing::File(path),
            Destination::FileOrFolder(_) => Landing::Name(path),
        }
    }
}
