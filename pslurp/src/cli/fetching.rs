//! The flags about what is fetched and how.
//!
//! Must not contact any host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgAction, ArgMatches, Args};
use fleet_ssh::remote::Part;
use fleet_tool::cli::{Failure, in_order};
use fleet_transfer::bandwidth::{Limit, Rate};
use fleet_transfer::destination::names_no_host;
use fleet_transfer::filter::Pattern;
use fleet_transfer::throttle::Throttle;

use crate::recipe::Recipe;

#[derive(Args, Debug)]
#[command(next_help_heading = "Fetching")]
pub(super) struct FetchArgs {
    /// Accepted for the sake of habit: folders are fetched with all that is in them
    #[arg(short = 'r', long, hide = true)]
    recursive: bool,

    /// Leave out what matches PATTERN, as rsync does; of --exclude and --include the first that matches decides; repeatable
    #[arg(long = "exclude", value_name = "PATTERN", action = ArgAction::Append)]
    exclude_files: Vec<String>,

    /// Fetch what matches PATTERN, though a later --exclude matches too; repeatable
    #[arg(long = "include", value_name = "PATTERN", action = ArgAction::Append)]
    include_files: Vec<String>,

    /// Fetch what symlinks lead to [default: symlinks are fetched as symlinks]
    #[arg(short = 'L', long)]
    follow: bool,

    /// Keep the whole path of each file here, as in LOCAL/HOST/var/log/syslog
    #[arg(long)]
    parents: bool,

    /// Fetch only files changed since WHEN: 2h, 30m, 7d ago, or a time as 2026-01-31T12:00:00 in UTC
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,

    /// Fetch only the last N lines of each file
    #[arg(long, value_name = "N")]
    tail: Option<u64>,

    /// Leave out files larger than SIZE, as in 100M or 2G
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,

    /// Fetch nothing from a host whose files are larger than SIZE in all
    #[arg(long, value_name = "SIZE")]
    max_total: Option<String>,

    /// Fetch nothing from a host that has more than N files and folders there [default: 250000]
    #[arg(long, value_name = "N")]
    max_files: Option<usize>,

    /// Make one file of all hosts of each that is fetched, with the host in front of each line
    #[arg(long)]
    merge: bool,

    /// Compress what is sent
    #[arg(short = 'C', long)]
    compress: bool,

    /// Fetch no more than RATE from all hosts together: KiB in a second, or with a unit, as in 500K, 2.5M, 100MB
    #[arg(long, value_name = "RATE")]
    bwlimit: Option<String>,

    /// Fetch no more than RATE from each host
    #[arg(long, value_name = "RATE")]
    bwlimit_host: Option<String>,

    /// Compare contents of what is here already by digests [default: length and time]
    #[arg(long)]
    checksum: bool,

    /// Only say what would be fetched, and fetch nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Remove each file on its host that is here, when its digest there is that of what is here
    #[arg(long, conflicts_with_all = ["tail", "dry_run", "follow"])]
    delete_after: bool,

    /// Read the files as root, or as USER, by the host's sudo
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    sudo: Option<String>,

    /// Ask once for a password, and answer the hosts whose sudo asks; implies --sudo
    #[arg(long)]
    ask_sudo: bool,
}

impl FetchArgs {
    /// How fast it may go. Not recorded: it is of the moment.
    pub(super) fn throttle(&self) -> Result<Throttle, Failure> {
        let rate = |flag: &str, text: &Option<String>| -> Result<_, Failure> {
            let limit = text.as_deref().map(str::parse::<Limit>).transpose();
            let limit = limit.map_err(|error| Failure::usage_text(format!("{flag}: {error}")))?;
            Ok(limit.and_then(Limit::rate))
        };
        Ok(Throttle::new(rate("--bwlimit", &self.bwlimit)?, rate("--bwlimit-host", &self.bwlimit_host)?))
    }

    /// What is given, as it is written down.
    pub(super) fn recipe(self, filters: Vec<Pattern>) -> Result<Recipe, Failure> {
        let now = SystemTime::now();
        Ok(Recipe {
            filters,
            follow: self.follow,
            parents: self.parents,
            since: self.since.map(|text| since(&text, now)).transpose()?,
            tail: self.tail,
            max_size: self.max_size.map(|text| bytes("--max-size", &text)).transpose()?,
            max_total: self.max_total.map(|text| bytes("--max-total", &text)).transpose()?,
            max_files: self.max_files,
            merge: self.merge,
            compress: self.compress,
            checksum: self.checksum,
            dry_run: self.dry_run,
            delete_after: self.delete_after,
            sudo: self.sudo,
            ask_sudo: self.ask_sudo,
            ..Recipe::default()
        })
    }
}

/// A size, written as rates are.
fn bytes(flag: &str, text: &str) -> Result<u64, Failure> {
    let bytes = text.parse::<Limit>().ok().and_then(Limit::rate).map(Rate::bytes_per_second);
    bytes.ok_or_else(|| Failure::usage_text(format!("{flag}: found {text:?}; expected a size, as in 500K, 64M or 2G")))
}

/// A time, or how long ago it was; in seconds since 1970.
fn since(text: &str, now: SystemTime) -> Result<i64, Failure> {
    let time = match humantime::parse_duration(text) {
        Ok(ago) => now.checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).or_else(|_| day(text)).ok(),
    };
    let seconds = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_secs());
    seconds.and_then(|seconds| i64::try_from(seconds).ok()).ok_or_else(|| {
        Failure::usage_text(format!(
            "--since: found {text:?}; expected how long ago, as in 90m or 2d, or a time, as in 2026-01-31T12:00:00"
        ))
    })
}

fn day(text: &str) -> Result<SystemTime, humantime::TimestampError> {
    humantime::parse_rfc3339_weak(&format!("{text}T00:00:00"))
}

/// A path on hosts, as the shell there gets it, and what of it is fetched.
pub(super) fn remote(text: &[u8]) -> Result<(Vec<u8>, Part), Failure> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    names_no_host(OsStr::from_bytes(text)).map_err(|error| Failure::usage(&error).hint(error.hint()))?;
    let path = match text.strip_prefix(b"~") {
        // ssh runs commands in the home of the one who logs in, so that is where relative paths start.
        Some(b"") => b"./",
        Some(rest) if rest.starts_with(b"/") => &text[1 + rest.iter().take_while(|b| **b == b'/').count()..],
        Some(_) => {
            let message = format!("\"{}\" names the home of another user; expected a path, or ~/", shown());
            return Err(Failure::usage_text(message).hint("write ./~NAME for a file of that name"));
        }
        None => text,
    };
    if text.is_empty() {
        return Err(Failure::usage_text("a path on the hosts is empty; expected a file or a folder"));
    }
    let absolute = path.starts_with(b"/");
    let parts: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let is_inside = path.is_empty() || path.ends_with(b"/") || path.ends_with(b"/.") || path == b".";
    let root: &[u8] = if absolute { b"/" } else { b"" };
    let pattern = [root, &parts.join(&b'/')].concat();
    let pattern = if pattern.is_empty() { b".".to_vec() } else { pattern };
    Ok((pattern, if is_inside { Part::Inside } else { Part::Itself }))
}

/// The patterns of both flags in the order in which they were given.
pub(super) fn patterns(matches: &ArgMatches) -> Vec<Pattern> {
    in_order(matches, &[("exclude_files", Pattern::Exclude), ("include_files", Pattern::Include)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slash_behind_a_path_means_what_is_in_it() {
        for (text, pattern, part) in [
            ("/var/log/app", "/var/log/app", Part::Itself),
            ("/var/log/app/", "/var/log/app", Part::Inside),
            ("/var//log/./app/.", "/var/log/app", Part::Inside),
            ("logs/*.log", "logs/*.log", Part::Itself),
            ("~/logs", "logs", Part::Itself),
            ("~", ".", Part::Inside),
            ("~/", ".", Part::Inside),
            (".", ".", Part::Inside),
            ("/", "/", Part::Inside),
            ("..", "..", Part::Itself),
        ] {
            let (found, found_part) = remote(text.as_bytes()).unwrap();
            assert_eq!((String::from_utf8(found).unwrap().as_str(), found_part), (pattern, part), "{text}");
        }
        assert!(remote(b"").is_err());
        assert!(remote(b"~root/x").is_err());
        assert!(remote(b"web1:/var/log").is_err());
    }

    #[test]
    fn a_time_is_said_in_two_ways() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (text, expected) in [
            ("1s", Some(999_999)),
            ("2h 30m", Some(991_000)),
            ("1970-01-02T00:00:00", Some(86400)),
            ("1970-01-02T00:00:01Z", Some(86401)),
            ("1970-01-02", Some(86400)),
            ("yesterday", None),
            ("30d", None),
        ] {
            assert_eq!(since(text, now).ok(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("--max-size", "2M").unwrap(), 2 << 20);
        assert!(bytes("--max-size", "0").is_err());
        assert!(bytes("--max-size", "large").is_err());
    }
}
