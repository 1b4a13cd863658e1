//! Flags of rsync that are refused by name, before any host is contacted.
//!
//! Must not know those that are taken.

use clap::Args;

/// What rsync has and this does not.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of rsync, each for itself")]
pub(super) struct UnsupportedArgs {
    #[arg(short = 'A', long, hide = true)]
    acls: bool,
    #[arg(short = 'X', long, hide = true)]
    xattrs: bool,
    #[arg(long, hide = true)]
    append: bool,
    #[arg(long, hide = true)]
    append_verify: bool,
    #[arg(long, hide = true)]
    remove_source_files: bool,
    #[arg(long, hide = true, value_name = "CONVERT")]
    iconv: Option<String>,
    #[arg(short = 'U', long, hide = true)]
    atimes: bool,
    #[arg(short = 'N', long, hide = true)]
    crtimes: bool,
    #[arg(long, hide = true)]
    dirs: bool,
    #[arg(long, hide = true)]
    no_implied_dirs: bool,
    #[arg(short = 'k', long, hide = true)]
    copy_dirlinks: bool,
    #[arg(long, hide = true)]
    copy_unsafe_links: bool,
    #[arg(long, hide = true)]
    safe_links: bool,
    #[arg(short = 'e', long, hide = true, value_name = "COMMAND")]
    rsh: Option<String>,
}

/// What is said of one of them.
pub(super) struct Refused {
    pub(super) flag: &'static str,
    pub(super) hint: &'static str,
}

const ENGINE: &str = "--engine=rsync does it: it starts the rsync of this machine for each host";
const REACHED: &str =
    "prsync has connections of its own: --ssh-config FILE and --option KEY=VALUE say how hosts are reached";
const KEPT: &str = "other hosts may still need them: remove them when prsync has succeeded";

impl UnsupportedArgs {
    /// The first of them that is given.
    pub(super) fn first(&self) -> Option<Refused> {
        let flags = [
            ("--acls", self.acls, ENGINE),
            ("--xattrs", self.xattrs, ENGINE),
            ("--append", self.append || self.append_verify, ENGINE),
            ("--remove-source-files", self.remove_source_files, KEPT),
            ("--iconv", self.iconv.is_some(), ENGINE),
            ("--atimes", self.atimes, ENGINE),
            ("--crtimes", self.crtimes, ENGINE),
            ("--dirs", self.dirs, ENGINE),
            ("--no-implied-dirs", self.no_implied_dirs, ENGINE),
            ("--copy-dirlinks", self.copy_dirlinks, ENGINE),
            ("--copy-unsafe-links", self.copy_unsafe_links, ENGINE),
            ("--safe-links", self.safe_links, ENGINE),
            ("--rsh", self.rsh.is_some(), REACHED),
        ];
        flags.into_iter().find_map(|(flag, is_set, hint)| is_set.then_some(Refused { flag, hint }))
    }
}
