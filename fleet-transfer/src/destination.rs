//! Where on a host things go: texts with placeholders, and the rule of the trailing slash.
//!
//! The rule is rsync's: `conf` is the folder itself, `conf/` what is in it. Pure: must not know what there is on hosts; what
//! depends on that (is the destination a folder there?) is left to who can see it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use fleet_core::template::{Template, TemplateError};

/// What a path may hold in braces.
pub const PLACEHOLDERS: [&str; 8] = ["host", "addr", "group", "role", "index", "count", "user", "port"];

/// What is known of a host before it is contacted.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its name.
    pub host: &'a str,
    /// The address or name that is connected to.
    pub addr: &'a str,
    /// The group it was chosen by; may be empty.
    pub group: &'a str,
    /// Its role in the last partition, else its group; may be empty.
    pub role: &'a str,
    /// Its number in the run.
    pub index: usize,
    /// How many hosts the run has.
    pub count: usize,
    /// Who logs in.
    pub user: &'a str,
    /// At which port.
    pub port: u16,
}

/// A path with placeholders, here or on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(Template);

/// Why a path cannot be made for some host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// What is left out of a path makes it another one: `/opt/{role}` would be `/opt/`.
    #[error("{{{name}}} is empty here, and a path cannot go without it")]
    Empty {
        /// The placeholder.
        name: String,
    },
    /// It would be more or less than a part of a name.
    #[error("{{{name}}} is \"{value}\" here, which cannot be part of a name")]
    Unnameable {
        /// The placeholder.
        name: String,
        /// What it stands for.
        value: String,
    },
}

/// What is copied, as far as it decides where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// One file or symlink, named by itself: the destination may be its new name.
    OneFile,
    /// One folder, what is in one, several sources, or a pattern: the destination is a folder.
    IntoFolder,
}

/// Where the entries go, on one host. Relative paths start at the folder of login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into this folder.
    Folder(PathBuf),
    /// The one file gets this name, unless that is a folder: then it goes into it.
    FileOrFolder(PathBuf),
}

/// What there is at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A folder, or a symlink to one.
    Folder,
    /// Nothing, or something else.
    NoFolder,
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Nothing.
    #[error("the destination is empty; expected a path on the hosts, or \".\" for the folder of login")]
    Empty,
    /// `~user`, which only a shell knows.
    #[error("\"{text}\" names the home of another user; expected a path, or ~/ for the home of the one who logs in")]
    OtherHome {
        /// As typed.
        text: String,
    },
}

/// Something that is done as typed, and is perhaps not what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// `pcp conf /opt/conf`.
    #[error(
        "{folder} goes into {destination}, as {destination}/{name}; write {folder}/ to copy what is in it into {destination}",
        folder = folder.display(), destination = destination.display(), name = name.display()
    )]
    Doubled {
        /// The folder that is copied.
        folder: PathBuf,
        /// Where to.
        destination: PathBuf,
        /// The last component of both.
        name: OsString,
    },
}

/// A path of the form `HOST:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} names a host; expected a path on the hosts")]
pub struct NamesHost {
    text: String,
    host: String,
    path: String,
}

impl Place<'_> {
    fn value(&self, name: &str) -> String {
        match name {
            "host" => self.host.to_owned(),
            "addr" => self.addr.to_owned(),
            "group" => self.group.to_owned(),
            "role" => self.role.to_owned(),
            "index" => self.index.to_string(),
            "count" => self.count.to_string(),
            "user" => self.user.to_owned(),
            "port" => self.port.to_string(),
            _ => unreachable!("a template of paths holds no other placeholder"),
        }
    }
}

impl PathTemplate {
    /// Reads a path in which [`PLACEHOLDERS`] may stand.
    ///
    /// # Errors
    /// When another stands there, or a brace alone.
    pub fn parse(text: &OsStr) -> Result<Self, TemplateError> {
        Ok(Self(Template::parse(text.as_bytes(), &PLACEHOLDERS)?))
    }

    /// A path in which braces are only braces.
    #[must_use]
    pub fn verbatim(path: &Path) -> Self {
        Self(Template::verbatim(path.as_os_str().as_bytes()))
    }

    /// The path for the host at `place`.
    ///
    /// # Errors
    /// When a placeholder stands for nothing, or for what is no part of a name (`..`, or with a slash in it).
    pub fn fill(&self, place: &Place<'_>) -> Result<PathBuf, FillError> {
        let filled = self.0.fill(|name, _| {
            let value = place.value(name);
            if value.is_empty() {
                return Err(FillError::Empty { name: name.to_owned() });
            }
            if value.contains(['/', '\0']) || value == "." || value == ".." {
                return Err(FillError::Unnameable { name: name.to_owned(), value });
            }
            Ok(value.into_bytes())
        })?;
        Ok(OsString::from_vec(filled).into())
    }

    /// Whether it differs from host to host.
    #[must_use]
    pub fn is_made_for_each(&self) -> bool {
        self.0.names().next().is_some()
    }

    /// Whether `addr`, `user` or `port` of a [`Place`] is looked at.
    #[must_use]
    pub fn needs_address(&self) -> bool {
        self.0.names().any(|name| ["addr", "user", "port"].contains(&name))
    }
}

impl Destination {
    /// Reads a destination whose placeholders are filled.
    ///
    /// # Errors
    /// When it is empty, or begins with `~user`.
    pub fn new(text: &Path, sent: Sent) -> Result<Self, DestinationError> {
        let bytes = text.as_os_str().as_bytes();
        let bytes = match bytes.strip_prefix(b"~") {
            // ssh runs commands in the home of the one who logs in, so that is where relative paths start.
            Some(b"") => b".",
            Some(rest) if rest.starts_with(b"/") => {
                let first = rest.iter().position(|b| *b != b'/').unwrap_or(rest.len());
                if first == rest.len() { b"./" } else { &rest[first..] }
            }
            Some(_) => return Err(DestinationError::OtherHome { text: text.display().to_string() }),
            None => bytes,
        };
        if bytes.is_empty() {
            return Err(DestinationError::Empty);
        }
        let path = without_trailing_slashes(bytes);
        let names_folder = path.len() < bytes.len() || last_name(path).is_none();
        let path = PathBuf::from(OsStr::from_bytes(path));
        Ok(match sent {
            Sent::OneFile if !names_folder => Self::FileOrFolder(path),
            Sent::OneFile | Sent::IntoFolder => Self::Folder(path),
        })
    }

    /// The path without its trailing slashes.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::FileOrFolder(path) => path,
        }
    }

    /// The name that an entry has in the end.
    #[must_use]
    pub fn final_path(&self, entry: &Path, found: Found) -> PathBuf {
        match (self, found) {
            (Self::FileOrFolder(name), Found::NoFolder) => name.clone(),
            (Self::Folder(folder) | Self::FileOrFolder(folder), _) if folder == Path::new(".") => entry.to_owned(),
            (Self::Folder(folder) | Self::FileOrFolder(folder), _) => folder.join(entry),
        }
    }
}

/// What is perhaps not meant: a folder that goes into one of its own name. `folders` are the sources that are folders and
/// have no trailing slash, as typed.
pub fn warnings<'a>(folders: impl IntoIterator<Item = &'a Path>, destination: &Destination) -> Vec<Warning> {
    let path = destination.path();
    let doubled = |source: &&Path| last_name(path.as_os_str().as_bytes()).is_some_and(|name| source.ends_with(name));
    let warning = |source: &Path| Warning::Doubled {
        folder: source.to_owned(),
        destination: path.to_owned(),
        name: path.file_name().unwrap_or_default().to_owned(),
    };
    folders.into_iter().filter(doubled).map(warning).collect()
}

/// The last component of a path, when it is a name: not `.`, `..`, or the root. A trailing slash is passed over.
pub(super) fn last_name(path: &[u8]) -> Option<&OsStr> {
    let path = without_trailing_slashes(path);
    let last = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    match Path::new(OsStr::from_bytes(last)).components().next() {
        Some(Component::Normal(name)) => Some(name),
        _ => None,
    }
}

/// At least one byte is left of `/`.
/// Refuses `web1:/opt`, which scp(1) and rsync(1) take for a path on another host: a colon comes before any slash. What has
/// a placeholder or a pattern before the colon is a path.
///
/// # Errors
/// When it names a host.
pub fn names_no_host(text: &OsStr) -> Result<(), NamesHost> {
    let Some((host, path)) = text.to_str().and_then(|text| text.split_once(':')) else { return Ok(()) };
    if host.is_empty() || host.contains(['/', '{', '[', '*', '?']) {
        return Ok(());
    }
    let path = if path.is_empty() { "." } else { path };
    Err(NamesHost { host: host.to_owned(), path: path.to_owned(), text: text.display().to_string() })
}

impl NamesHost {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self { text, host, path } = self;
        format!("-H {host} chooses the host, {path} is the path; ./{text} is a path of that name")
    }
}

fn without_trailing_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(1, |last| last + 1);
    &path[..end.min(path.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB1: Place<'_> = Place {
        host: "web1",
        addr: "10.0.0.1",
        group: "web",
        role: "front",
        index: 3,
        count: 12,
        user: "me",
        port: 22,
    };

    fn filled(text: &str, place: &Place<'_>) -> Result<PathBuf, FillError> {
        PathTemplate::parse(OsStr::new(text)).unwrap().fill(place)
    }

    #[test]
    fn a_path_is_filled_for_each_host() {
        for (text, path) in [
            ("/opt/app", "/opt/app"),
            ("keys/{host}.pem", "keys/web1.pem"),
            ("{role}/{group}/{index}of{count}", "front/web/3of12"),
            ("/home/{user}/{addr}:{port}/", "/home/me/10.0.0.1:22/"),
            ("{{x}}", "{x}"),
        ] {
            assert_eq!(filled(text, &WEB1), Ok(path.into()), "{text}");
        }
        let raw = PathTemplate::parse(OsStr::from_bytes(b"\xff{host}")).unwrap();
        assert_eq!(raw.fill(&WEB1).unwrap().as_os_str().as_bytes(), b"\xffweb1");
        let needs = |text: &str| {
            let template = PathTemplate::parse(OsStr::new(text)).unwrap();
            (template.is_made_for_each(), template.needs_address())
        };
        assert_eq!(
            ["a", "{host}", "{addr}", "{user}x", "{port}"].map(needs),
            [(false, false), (true, false), (true, true), (true, true), (true, true)]
        );
    }

    #[test]
    fn a_value_that_is_no_part_of_a_name_is_refused() {
        let nameless = Place { role: "", ..WEB1 };
        assert_eq!(
            filled("/opt/{role}", &nameless).unwrap_err().to_string(),
            "{role} is empty here, and a path cannot go without it"
        );
        for group in ["..", ".", "a/b", "/"] {
            let error = filled("/opt/{group}/x", &Place { group, ..WEB1 }).unwrap_err();
            assert_eq!(error.to_string(), format!("{{group}} is \"{group}\" here, which cannot be part of a name"));
        }
        let unknown = PathTemplate::parse(OsStr::new("{hots}")).unwrap_err();
        assert!(unknown.to_string().starts_with("{hots} is not a placeholder"), "{unknown}");
    }

    /// For each destination: what a single file `a` becomes where there is no such folder and where there is, and what `a`
    /// becomes as one of several.
    #[test]
    fn a_trailing_slash_says_that_the_destination_is_a_folder() {
        for (text, no_folder, folder, several) in [
            ("/opt/x", "/opt/x", "/opt/x/a", "/opt/x/a"),
            ("/opt/x/", "/opt/x/a", "/opt/x/a", "/opt/x/a"),
            ("/opt/x//", "/opt/x/a", "/opt/x/a", "/opt/x/a"),
            ("x", "x", "x/a", "x/a"),
            ("/", "/a", "/a", "/a"),
            ("//", "/a", "/a", "/a"),
            (".", "a", "a", "a"),
            ("./", "a", "a", "a"),
            ("..", "../a", "../a", "../a"),
            ("/opt/.", "/opt/./a", "/opt/./a", "/opt/./a"),
            ("~", "a", "a", "a"),
            ("~/", "a", "a", "a"),
            ("~//x", "x", "x/a", "x/a"),
            ("~/x/", "x/a", "x/a", "x/a"),
            ("./~me", "./~me", "./~me/a", "./~me/a"),
        ] {
            let entry = Path::new("a");
            let new = |sent| Destination::new(Path::new(text), sent).unwrap();
            for (sent, found, expected) in [
                (Sent::OneFile, Found::NoFolder, no_folder),
                (Sent::OneFile, Found::Folder, folder),
                (Sent::IntoFolder, Found::NoFolder, several),
                (Sent::IntoFolder, Found::Folder, several),
            ] {
                let path = new(sent).final_path(entry, found);
                assert_eq!(path.as_os_str(), expected, "{text} {sent:?} {found:?}");
            }
        }
    }

    #[test]
    fn a_destination_on_another_host_is_noticed() {
        for (text, noticed) in [
            ("web1:/opt", true),
            ("me@web1:~/x", true),
            ("web1:opt", true),
            ("web1:", true),
            ("/opt/a:/b", false),
            ("./web1:/opt", false),
            ("{host}:/x", false),
            ("[[:digit:]]*", false),
            (":/x", false),
        ] {
            assert_eq!(names_no_host(OsStr::new(text)).is_err(), noticed, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        let error = |text: &str| Destination::new(Path::new(text), Sent::OneFile).unwrap_err().to_string();
        assert_eq!(
            error(""),
            "the destination is empty; expected a path on the hosts, or \".\" for the folder of login"
        );
        assert_eq!(
            error("~root/x"),
            "\"~root/x\" names the home of another user; expected a path, or ~/ for the home of the one who logs in"
        );
    }

    #[test]
    fn a_folder_that_goes_into_one_of_its_own_name_is_noticed() {
        for (source, destination, noticed) in [
            ("conf", "/opt/conf", true),
            ("conf", "/opt/conf/", true),
            ("a/conf", "conf", true),
            ("/conf", "~/conf", true),
            ("conf", "/opt", false),
            ("conf", "/opt/conf2", false),
            ("myconf", "/opt/conf", false),
            ("conf", "/conf/x", false),
            ("conf", ".", false),
            ("..", "/opt/..", false),
        ] {
            let destination = Destination::new(Path::new(destination), Sent::IntoFolder).unwrap();
            let warnings = warnings([Path::new(source)], &destination);
            assert_eq!(!warnings.is_empty(), noticed, "{source} {destination:?}");
        }
        let destination = Destination::new(Path::new("/opt/conf/"), Sent::IntoFolder).unwrap();
        assert_eq!(
            warnings([Path::new("etc/conf")], &destination)[0].to_string(),
            "etc/conf goes into /opt/conf, as /opt/conf/conf; write etc/conf/ to copy what is in it into /opt/conf"
        );
    }
}
