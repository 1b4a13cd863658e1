//! The flags that concern the hosts' rsync alone.
//!
//! Must not know what they do.

use clap::{ArgAction, Args};

/// What concerns the receiver alone: the hosts' rsync is told as it is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Receiving (see rsync(1))")]
#[expect(clippy::struct_excessive_bools, reason = "flags of rsync, each for itself")]
pub(super) struct ReceiverArgs {
    #[arg(long, value_name = "[USER][:GROUP]")]
    chown: Option<String>,
    #[arg(long, value_name = "MAP")]
    usermap: Option<String>,
    #[arg(long, value_name = "MAP")]
    groupmap: Option<String>,
    #[arg(long)]
    partial: bool,
    /// The same: how far the run is stands at terminals anyway
    #[arg(short = 'P')]
    partial_progress: bool,
    #[arg(long, value_name = "DIR")]
    partial_dir: Option<String>,
    #[arg(short = 'b', long)]
    backup: bool,
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<String>,
    #[arg(long, value_name = "SUFFIX")]
    suffix: Option<String>,
    #[arg(long)]
    delay_updates: bool,
    #[arg(short = 'T', long, value_name = "DIR")]
    temp_dir: Option<String>,
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    link_dest: Vec<String>,
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    copy_dest: Vec<String>,
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    compare_dest: Vec<String>,
    #[arg(short = 'y', long)]
    fuzzy: bool,
    #[arg(short = 'u', long)]
    update: bool,
    #[arg(long, alias = "ignore-non-existing")]
    existing: bool,
    #[arg(long)]
    ignore_existing: bool,
    #[arg(long)]
    size_only: bool,
    #[arg(short = 'I', long)]
    ignore_times: bool,
    #[arg(long, value_name = "SECS", allow_hyphen_values = true)]
    modify_window: Option<i32>,
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    #[arg(long, value_name = "SIZE")]
    min_size: Option<String>,
    #[arg(short = 'S', long)]
    sparse: bool,
    #[arg(long)]
    preallocate: bool,
    #[arg(long)]
    fsync: bool,
    #[arg(long)]
    mkpath: bool,
    #[arg(short = 'K', long)]
    keep_dirlinks: bool,
    #[arg(short = 'O', long)]
    omit_dir_times: bool,
    #[arg(short = 'J', long)]
    omit_link_times: bool,
    #[arg(long = "super")]
    super_user: bool,
    #[arg(short = 'B', long, value_name = "SIZE")]
    block_size: Option<u32>,
}

impl ReceiverArgs {
    /// Those that the server takes as letters. rsync itself sends no other form of them, so restricted shells know none.
    pub(super) fn letters(&self) -> String {
        let letters = [
            (self.backup, 'b'),
            (self.update, 'u'),
            (self.sparse, 'S'),
            (self.keep_dirlinks, 'K'),
            (self.omit_dir_times, 'O'),
            (self.omit_link_times, 'J'),
        ];
        letters.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect()
    }

    /// The others, as the server takes them.
    pub(super) fn words(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<String> = Vec::new();
        for (flag, is_set) in [
            ("--partial", self.partial || self.partial_progress),
            ("--delay-updates", self.delay_updates),
            ("--fuzzy", self.fuzzy),
            ("--existing", self.existing),
            ("--ignore-existing", self.ignore_existing),
            ("--size-only", self.size_only),
            ("--ignore-times", self.ignore_times),
            ("--preallocate", self.preallocate),
            ("--fsync", self.fsync),
            ("--mkpath", self.mkpath),
            ("--super", self.super_user),
        ] {
            words.extend(is_set.then(|| flag.to_owned()));
        }
        let numbers = [
            ("--modify-window", self.modify_window.map(|secs| secs.to_string())),
            ("--block-size", self.block_size.map(|size| size.to_string())),
        ];
        let texts = [
            ("--chown", &self.chown),
            ("--usermap", &self.usermap),
            ("--groupmap", &self.groupmap),
            ("--partial-dir", &self.partial_dir),
            ("--backup-dir", &self.backup_dir),
            ("--suffix", &self.suffix),
            ("--temp-dir", &self.temp_dir),
            ("--max-size", &self.max_size),
            ("--min-size", &self.min_size),
        ];
        let texts = texts.into_iter().filter_map(|(flag, text)| text.clone().map(|text| (flag, text)));
        let numbers = numbers.into_iter().filter_map(|(flag, text)| text.map(|text| (flag, text)));
        let many = [
            ("--link-dest", &self.link_dest),
            ("--copy-dest", &self.copy_dest),
            ("--compare-dest", &self.compare_dest),
        ];
        let many = many.into_iter().flat_map(|(flag, texts)| texts.iter().map(move |text| (flag, text.clone())));
        words.extend(texts.chain(numbers).chain(many).map(|(flag, text)| format!("{flag}={text}")));
        words.into_iter().map(String::into_bytes).collect()
    }
}
