//! The flags about what is copied and how.
//!
//! Must not contact any host, nor read any source.

use clap::{ArgAction, ArgMatches, Args};
use fleet_tool::cli::{Failure, in_order};
use fleet_transfer::bandwidth::{Limit, Rate};
use fleet_transfer::filter::Pattern;

use super::placing::PlacingArgs;
use crate::recipe::Recipe;
use crate::via::Afterwards;

/// What may be kept in memory of what is read for all hosts.
const DEFAULT_MEMORY: &str = "64M";
const DEFAULT_MEMORY_BYTES: usize = 64_000_000;
/// The least: some chunks.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

#[derive(Args, Debug)]
#[command(next_help_heading = "Copying")]
pub(super) struct CopyArgs {
    /// Accepted for the sake of habit: folders are copied with all that is in them
    #[arg(short = 'r', long, hide = true)]
    recursive: bool,

    /// Leave out what matches PATTERN, as rsync does; of --exclude and --include the first that matches decides; repeatable
    #[arg(long = "exclude", value_name = "PATTERN", action = ArgAction::Append)]
    exclude_files: Vec<String>,

    /// Copy what matches PATTERN, though a later --exclude matches too; repeatable
    #[arg(long = "include", value_name = "PATTERN", action = ArgAction::Append)]
    include_files: Vec<String>,

    /// Copy what symlinks lead to [default: symlinks are copied as symlinks]
    #[arg(short = 'L', long)]
    follow: bool,

    /// Keep times, special bits of the mode and, for root, owners by their numbers [default: permissions only]
    #[arg(long)]
    preserve: bool,

    #[command(flatten)]
    placing: PlacingArgs,

    /// Copy what is in archives (tar, also with gz, bz2, xz or zst, and zip) into the folder DEST
    #[arg(long)]
    unpack: bool,

    /// Compress what is sent, once for all hosts
    #[arg(short = 'C', long)]
    compress: bool,

    /// Send no more than RATE to all hosts together: KiB in a second, or with a unit, as in 500K, 2.5M, 100MB
    #[arg(long, value_name = "RATE")]
    bwlimit: Option<String>,

    /// Send no more than RATE to each host
    #[arg(long, value_name = "RATE")]
    bwlimit_host: Option<String>,

    /// Upload once what all hosts are sent, to STORE, s3://BUCKET/PREFIX, by fleet-ec2, and have them fetch it with curl or
    /// wget; those that cannot are sent it as ever
    #[arg(long, value_name = "STORE")]
    via: Option<String>,

    /// Keep what was uploaded for --via, and name it
    #[arg(long, requires = "via")]
    keep: bool,

    /// Keep at most SIZE of what was read for hosts that are behind
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MEMORY)]
    memory: String,
}

/// How much may be taken of the line and of memory. Not recorded: it is of the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) total_rate: Option<Rate>,
    pub(super) host_rate: Option<Rate>,
    pub(super) memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total_rate: None, host_rate: None, memory_bytes: DEFAULT_MEMORY_BYTES }
    }
}

impl CopyArgs {
    /// What is given, as it is written down.
    pub(super) fn recipe(&self, filters: Vec<Pattern>) -> Recipe {
        Recipe {
            filters,
            follow: self.follow,
            preserve: self.preserve,
            unpack: self.unpack,
            compress: self.compress,
            via: self.via.clone(),
            ..self.placing.recipe()
        }
    }

    /// What becomes of the object of `--via`. Not recorded: it is of the moment.
    pub(super) fn afterwards(&self) -> Afterwards {
        if self.keep { Afterwards::Kept } else { Afterwards::Removed }
    }

    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let limits = [("--bwlimit", &self.bwlimit), ("--bwlimit-host", &self.bwlimit_host)];
        if let (Some(_), Some((flag, _))) = (&self.via, limits.iter().find(|(_, limit)| limit.is_some())) {
            return Err(Failure::usage_text(format!("{flag} does not limit what goes by --via")).hint(
                "it is about what goes by SSH: hosts fetch from S3 over their own lines, and the upload is done once",
            ));
        }
        let rate = |flag: &str, text: &Option<String>| -> Result<_, Failure> {
            let limit = text.as_deref().map(str::parse::<Limit>).transpose();
            let limit = limit.map_err(|error| Failure::usage_text(format!("{flag}: {error}")))?;
            Ok(limit.and_then(Limit::rate))
        };
        Ok(Limits {
            total_rate: rate("--bwlimit", &self.bwlimit)?,
            host_rate: rate("--bwlimit-host", &self.bwlimit_host)?,
            memory_bytes: memory(&self.memory)?,
        })
    }
}

/// Written as rates are.
fn memory(text: &str) -> Result<usize, Failure> {
    let bytes = text.parse::<Limit>().ok().and_then(Limit::rate).map(Rate::bytes_per_second);
    let bytes = bytes.filter(|bytes| *bytes >= LEAST_MEMORY_BYTES).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        Failure::usage_text(format!("--memory: found {text:?}; expected a size of at least 1M, as in 64M or 1G"))
    })
}

/// The patterns of both flags in the order in which they were given.
pub(super) fn patterns(matches: &ArgMatches) -> Vec<Pattern> {
    in_order(matches, &[("exclude_files", Pattern::Exclude), ("include_files", Pattern::Include)])
}
