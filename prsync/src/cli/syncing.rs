//! The flags about what is brought and how, by rsync's names.
//!
//! Must not contact any host, nor read any source.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use fleet_rsync::codec::Codec;
use fleet_rsync::filter::{Excluded, Rules};
use fleet_rsync::flist::Fields;
use fleet_rsync::session::Delete;
use fleet_rsync::sources::Named;
use fleet_rsync::wire::greeting::Compression;
use fleet_ssh::remote::SudoUser;
use fleet_tool::cli::Failure;
use fleet_transfer::bandwidth::{Limit, Rate};
use fleet_transfer::sync::{Chmod, SyncPlan};

use super::naming::NamingArgs;
use super::receiver::ReceiverArgs;
use super::releasing::ReleaseArgs;
use crate::engine::Engine;
use crate::safety::{Deleting, Force, MostDeleted};

#[derive(Args, Debug)]
#[command(next_help_heading = "Syncing")]
#[expect(clippy::struct_excessive_bools, reason = "flags of rsync, each for itself")]
pub(super) struct SyncArgs {
    /// Accepted for the sake of habit: folders with all that is in them, symlinks, permissions, times, groups, owners and
    /// devices are kept unless a --no-... is given
    #[arg(short = 'a', long)]
    archive: bool,

    #[arg(short = 'r', long, hide = true)]
    recursive: bool,
    #[arg(short = 'l', long, hide = true)]
    links: bool,
    #[arg(short = 'p', long, hide = true)]
    perms: bool,
    #[arg(short = 't', long, hide = true)]
    times: bool,
    #[arg(short = 'o', long, hide = true)]
    owner: bool,
    #[arg(short = 'D', long, alias = "specials", hide = true)]
    devices: bool,
    // What is so anyway.
    #[arg(long, alias = "human-readable", hide = true)]
    progress: bool,
    #[arg(short = 's', long, alias = "secluded-args", hide = true)]
    protect_args: bool,
    #[arg(long, alias = "no-i-r", hide = true)]
    no_inc_recursive: bool,
    #[arg(long, alias = "no-W", hide = true, overrides_with = "whole_file")]
    no_whole_file: bool,

    /// Leave out symlinks
    #[arg(long, alias = "no-l")]
    no_links: bool,
    /// Let the hosts decide about permissions
    #[arg(long, alias = "no-p")]
    no_perms: bool,
    /// Do not keep times
    #[arg(long, alias = "no-t")]
    no_times: bool,
    /// Do not keep owners
    #[arg(long, alias = "no-o")]
    no_owner: bool,
    /// Do not keep groups
    #[arg(long, alias = "no-g")]
    no_group: bool,
    /// Leave out devices, fifos and sockets
    #[arg(long, alias = "no-D")]
    no_devices: bool,

    /// Keep hard links (rsync's -H chooses hosts here)
    #[arg(long)]
    hard_links: bool,

    /// Compress what is sent, once for all hosts
    #[arg(short = 'z', long)]
    compress: bool,
    /// Compress with zstd, zlibx, zlib, or not (none) [default: the best that the host knows]
    #[arg(long, value_name = "CODEC", visible_alias = "zc")]
    compress_choice: Option<String>,
    /// How hard to compress
    #[arg(long, value_name = "LEVEL", visible_alias = "zl", allow_hyphen_values = true)]
    compress_level: Option<i32>,

    /// Only say what would change; changes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Show each change in rsync's letters, once for all hosts with the same changes
    #[arg(short = 'i', long)]
    pub(super) itemize_changes: bool,
    /// Compare contents rather than size and time
    #[arg(short = 'c', long)]
    checksum: bool,
    /// Send whole files
    #[arg(short = 'W', long)]
    whole_file: bool,
    /// Have the hosts change their copies themselves, rather than make new ones beside them: less room, but whoever reads
    /// them meanwhile reads neither the old nor the new
    #[arg(long, conflicts_with_all = ["partial_dir", "delay_updates"])]
    inplace: bool,

    /// Delete what is not in the sources
    #[arg(long, visible_alias = "del", alias = "delete-during")]
    delete: bool,
    /// Delete before all else
    #[arg(long, conflicts_with_all = ["delete_delay", "delete_after"])]
    delete_before: bool,
    /// Find on the way what is to be deleted, and delete it at the end
    #[arg(long, conflicts_with = "delete_after")]
    delete_delay: bool,
    /// Delete at the end
    #[arg(long)]
    delete_after: bool,
    /// Delete what is excluded, too
    #[arg(long)]
    delete_excluded: bool,
    /// Delete no more than N on each host; or, where more than P% of what a destination has would be deleted, ask at the
    /// terminal before anything is changed there, and refuse the host in scripts [default: 50% at a terminal, else no limit]
    #[arg(long, value_name = "N|P%")]
    max_delete: Option<String>,
    /// Do what is refused as hardly meant, and replace folders by files
    #[arg(long)]
    force: bool,

    /// Leave out what matches PATTERN; of all rules the first that matches decides; repeatable
    #[arg(long = "exclude", value_name = "PATTERN", action = ArgAction::Append)]
    pub(super) exclude_files: Vec<String>,
    /// Bring what matches PATTERN, though a later rule leaves it out; repeatable
    #[arg(long = "include", value_name = "PATTERN", action = ArgAction::Append)]
    pub(super) include_files: Vec<String>,
    /// Leave out what matches the patterns in FILE (- is standard input); repeatable
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(super) exclude_from: Vec<PathBuf>,
    /// Bring what matches the patterns in FILE; repeatable
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(super) include_from: Vec<PathBuf>,
    /// Take the filter rules in .rsync-filter of each folder; twice: and leave these files out
    #[arg(short = 'F', action = ArgAction::Count)]
    pub(super) folder_rules: u8,
    /// Add a filter rule, such as '- *.o' or ':- .gitignore'; repeatable
    #[arg(short = 'f', long = "filter", value_name = "RULE", action = ArgAction::Append, allow_hyphen_values = true)]
    pub(super) rules: Vec<String>,
    /// Leave out what CVS ignores: its own names, those in ~/.cvsignore and CVSIGNORE, and of each folder those in its
    /// .cvsignore
    #[arg(short = 'C', long)]
    pub(super) cvs_exclude: bool,

    /// Leave out folders without any file below them
    #[arg(short = 'm', long)]
    prune_empty_dirs: bool,

    #[command(flatten)]
    pub(super) naming: NamingArgs,

    /// Bring what symlinks lead to
    #[arg(short = 'L', long)]
    copy_links: bool,
    /// Stay in the file systems of the sources (rsync's -x leaves out hosts here)
    #[arg(long)]
    one_file_system: bool,
    /// Change permissions on the way, such as Dg+s,ug+w,Fo-w,+X; repeatable
    #[arg(long, value_name = "CHANGES", action = ArgAction::Append)]
    chmod: Vec<String>,
    /// Owners and groups by number, not by name
    #[arg(long)]
    numeric_ids: bool,

    /// Send no more than RATE to all hosts together: KiB in a second, or with a unit, as in 500K, 2.5M, 100MB
    #[arg(long, value_name = "RATE")]
    bwlimit: Option<String>,
    /// Send no more than RATE to each host
    #[arg(long, value_name = "RATE")]
    bwlimit_host: Option<String>,
    /// Keep at most SIZE of what was computed for other hosts
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    memory: String,

    /// Say at the end what was computed, and what was used again
    #[arg(long)]
    pub(super) stats: bool,
    /// By what hosts are synced: native (their rsync receives), tar (what differs goes there as a tar stream), auto: native,
    /// and tar for hosts without rsync; or rsync: the rsync of this machine for each host, at most 8 at once unless
    /// --parallel says so, with all flags that are not known here (values behind =)
    #[arg(long, value_name = "ENGINE", default_value = "auto", value_parser = Engine::parse)]
    pub(super) engine: Engine,
    /// The hosts' rsync: a program, or words of a shell
    #[arg(long, value_name = "PROGRAM", default_value = "rsync")]
    pub(super) rsync_path: String,
    /// Receive as root, or as USER, by the host's sudo
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root")]
    sudo: Option<String>,
    /// Ask once for a password, and answer the hosts whose sudo asks; implies --sudo
    #[arg(long)]
    pub(super) ask_sudo: bool,
    /// Run the command CMD on each host after success
    #[arg(long, value_name = "CMD", conflicts_with = "dry_run")]
    pub(super) then: Option<String>,

    #[command(flatten)]
    pub(super) releases: ReleaseArgs,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

impl SyncArgs {
    pub(super) fn deleting(&self) -> Deleting {
        if self.delete_form().is_some() { Deleting::Yes } else { Deleting::No }
    }

    pub(super) fn force(&self) -> Force {
        if self.force { Force::Given } else { Force::NotGiven }
    }

    fn delete_form(&self) -> Option<Delete> {
        match self {
            Self { delete_before: true, .. } => Some(Delete::Before),
            Self { delete_delay: true, .. } => Some(Delete::Delay),
            Self { delete_after: true, .. } => Some(Delete::After),
            Self { delete, delete_excluded, .. } => (*delete || *delete_excluded).then_some(Delete::During),
        }
    }

    /// The share of a destination that may be deleted.
    pub(super) fn most_deleted(&self) -> Result<Option<MostDeleted>, Failure> {
        if self.delete_form().is_none() || self.dry_run || self.force {
            return Ok(None);
        }
        match &self.max_delete {
            Some(text) => Ok(Self::share(text)?.ok()),
            None => Ok(io::stdin().is_terminal().then_some(MostDeleted(50))),
        }
    }

    /// `--max-delete` as a share, or as a number.
    fn share(text: &str) -> Result<Result<MostDeleted, u32>, Failure> {
        let percent = text.strip_suffix('%').and_then(|percent| percent.parse().ok()).filter(|percent| *percent <= 100);
        match (percent, text.parse()) {
            (Some(percent), _) => Ok(Ok(MostDeleted(percent))),
            (None, Ok(number)) => Ok(Err(number)),
            (None, Err(_)) => {
                Err(Failure::usage_text(format!("--max-delete: expected a number, or 0% to 100%, got {text}")))
            }
        }
    }

    /// Who receives, unless the user who logs in does.
    pub(super) fn sudo_user(&self) -> Result<Option<SudoUser>, Failure> {
        match &self.sudo {
            Some(name) => {
                SudoUser::new(name).map(Some).map_err(|error| Failure::usage_text(format!("--sudo: {error}")))
            }
            None => Ok(self.ask_sudo.then(SudoUser::root)),
        }
    }

    /// What is brought, and how.
    pub(super) fn plan(&self, sources: Vec<Named>, rules: Rules) -> Result<SyncPlan, Failure> {
        let rate = |flag: &str, text: &Option<String>| -> Result<Option<Rate>, Failure> {
            match text.as_deref().map(str::parse::<Limit>) {
                None | Some(Ok(Limit::Unlimited)) => Ok(None),
                Some(Ok(Limit::At(rate))) => Ok(Some(rate)),
                Some(Err(error)) => Err(Failure::usage_text(format!("{flag}: {error}"))),
            }
        };
        Ok(SyncPlan {
            sources_are_listed: self.naming.is_list(),
            relative: self.naming.keeps_paths(),
            // As with rsync, -a does not mean -r with a list.
            recursive: self.recursive || !self.naming.is_list(),
            rules,
            excluded: if self.delete_excluded { Excluded::Deleted } else { Excluded::Kept },
            fields: Fields {
                owner: !self.no_owner,
                group: !self.no_group,
                devices: !self.no_devices,
                symlinks: !self.no_links,
                hard_links: self.hard_links,
                numeric_ids: self.numeric_ids,
                digest: None,
            },
            permissions: !self.no_perms,
            times: !self.no_times,
            dry_run: self.dry_run,
            checksum: self.checksum,
            whole_file: self.whole_file,
            itemize: self.itemize_changes,
            copy_links: self.copy_links,
            one_file_system: self.one_file_system,
            chmod: self.chmod()?,
            delete: self.delete_form(),
            compression: self.compression()?,
            level: self.compress_level,
            prune: self.prune_empty_dirs,
            in_place: self.inplace,
            forwarded: self.forwarded()?,
            forwarded_letters: self.receiver.letters(),
            memory_bytes: memory(&self.memory)?,
            total_rate: rate("--bwlimit", &self.bwlimit)?,
            host_rate: rate("--bwlimit-host", &self.bwlimit_host)?,
            ..SyncPlan::archive(sources)
        })
    }

    fn chmod(&self) -> Result<Option<Chmod>, Failure> {
        let umask = umask();
        let mut chmod = Chmod::default();
        for text in &self.chmod {
            chmod.add(text, umask).map_err(|error| Failure::usage_text(format!("--chmod: {error}")))?;
        }
        Ok((!self.chmod.is_empty()).then_some(chmod))
    }

    fn compression(&self) -> Result<Compression, Failure> {
        let Some(name) = &self.compress_choice else {
            return Ok(if self.compress { Compression::Negotiated } else { Compression::Off });
        };
        match Codec::from_name(name.as_bytes()) {
            Some(Codec::Plain) => Ok(Compression::Off),
            Some(codec) => Ok(Compression::Fixed(codec)),
            None => {
                Err(Failure::usage_text(format!("--compress-choice: expected zstd, zlibx, zlib or none, got {name}")))
            }
        }
    }

    fn forwarded(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut words = self.receiver.words();
        words.extend(self.force.then(|| b"--force".to_vec()));
        words.extend(self.delete_excluded.then(|| b"--delete-excluded".to_vec()));
        if let Some(Err(most)) = self.max_delete.as_deref().map(Self::share).transpose()? {
            words.push(format!("--max-delete={most}").into_bytes());
        }
        Ok(words)
    }
}

/// What this process takes of the permissions of new files.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    told.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or_else(|| {
        // Elsewhere it can only be read by setting it.
        let umask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(umask);
        umask.bits()
    })
}

/// Written as rates are.
fn memory(text: &str) -> Result<usize, Failure> {
    match text.parse::<Limit>() {
        Ok(Limit::At(rate)) => usize::try_from(rate.bytes_per_second()).ok(),
        _ => None,
    }
    .ok_or_else(|| Failure::usage_text(format!("--memory: found {text:?}; expected a size, as in 64M or 1G")))
}
