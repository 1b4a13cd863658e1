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
    #[arg(long, hide = true)]
    xattrs: bool,
    #[arg(long, hide = true)]
    inplace: bool,
    #[arg(long, hide = true)]
    append: bool,
    #[arg(long, hide = true)]
    append_verify: bool,
    #[arg(long, hide = true)]
    remove_source_files: bool,
    #[arg(short = 'R', long, hide = true)]
    relative: bool,
    #[arg(long, hide = true, value_name = "FILE")]
    files_from: Option<String>,
    #[arg(long, hide = true, value_name = "CONVERT")]
    iconv: Option<String>,
    #[arg(short = 'm', long, hide = true)]
    prune_empty_dirs: bool,
    #[arg(short = 'U', long, hide = true)]
    atimes: bool,
    #[arg(short = 'N', long, hide = true)]
    crtimes: bool,
    #[arg(long, hide = true)]
    dirs: bool,
    #[arg(short = 'k', long, hide = true)]
    copy_dirlinks: bool,
    #[arg(long, hide = true)]
    copy_unsafe_links: bool,
    #[arg(long, hide = true)]
    safe_links: bool,
    #[arg(short = 'C', long, hide = true)]
    cvs_exclude: bool,
    #[arg(short = 'e', long, hide = true, value_name = "COMMAND")]
    rsh: Option<String>,
}

impl UnsupportedArgs {
    /// The first of them that is given.
    pub(super) fn first(&self) -> Option<&'static str> {
        let flags = [
            ("--acls", self.acls),
            ("--xattrs", self.xattrs),
            ("--inplace", self.inplace),
            ("--append", self.append || self.append_verify),
            ("--remove-source-files", self.remove_source_files),
            ("--relative", self.relative),
            ("--files-from", self.files_from.is_some()),
            ("--iconv", self.iconv.is_some()),
            ("--prune-empty-dirs", self.prune_empty_dirs),
            ("--atimes", self.atimes),
            ("--crtimes", self.crtimes),
            ("--dirs", self.dirs),
            ("--copy-dirlinks", self.copy_dirlinks),
            ("--copy-unsafe-links", self.copy_unsafe_links),
            ("--safe-links", self.safe_links),
            ("--cvs-exclude", self.cvs_exclude),
            ("--rsh", self.rsh.is_some()),
        ];
        flags.into_iter().find_map(|(flag, is_set)| is_set.then_some(flag))
    }
}
