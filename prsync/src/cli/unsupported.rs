//! Flags of rsync that are refused by name, before any host is contacted.
//!
//! Must not know those that are taken.

use self::Why::{Batches, Connecting, Daemon, Engine, Family, Kept, Listing, Reached, Shown};

/// A flag that rsync 3.4 has and this does not.
#[derive(Debug)]
pub(super) struct Unsupported {
    /// With their dashes, the usual one first.
    names: &'static [&'static str],
    pub(super) takes_value: bool,
    why: Why,
}

/// Why a flag is not there.
#[derive(Clone, Copy, Debug)]
enum Why {
    /// What only the rsync of this machine does.
    Engine,
    /// Connections are our own.
    Reached,
    Family,
    Connecting,
    /// Other hosts need the sources.
    Kept,
    /// What a run tells has a form of its own.
    Shown,
    Listing,
    Batches,
    Daemon,
}

impl Unsupported {
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.why {
            Engine => "--engine=rsync does it: it starts the rsync of this machine for each host",
            Reached => {
                "prsync has connections of its own: --ssh-config FILE and --option KEY=VALUE say how hosts are reached"
            }
            Family => "prsync has connections of its own: --option AddressFamily=inet (or inet6) says so for all hosts",
            Connecting => "--connect-timeout bounds each stage of connecting",
            Kept => "other hosts may still need them: remove them when prsync has succeeded",
            Shown => "-i shows changes, -v says more, --stats counts, --json tells all; --engine=rsync has rsync's own",
            Listing => "-n -i shows what would change",
            Batches => "hosts that have the same are sent the same, computed once: no file is needed for it",
            Daemon => "it is about rsync's daemon: prsync reaches hosts by SSH alone",
        }
    }
}

/// The flag of a name with its dashes, unless rsync has none.
pub(super) fn find(name: &str) -> Option<&'static Unsupported> {
    FLAGS.iter().find(|flag| flag.names.contains(&name))
}

const fn flag(names: &'static [&'static str], why: Why) -> Unsupported {
    Unsupported { names, takes_value: false, why }
}

const fn with_value(names: &'static [&'static str], why: Why) -> Unsupported {
    Unsupported { names, takes_value: true, why }
}

const FLAGS: [Unsupported; 60] = [
    flag(&["--acls", "-A"], Engine),
    flag(&["--xattrs", "-X"], Engine),
    flag(&["--atimes", "-U"], Engine),
    flag(&["--crtimes", "-N"], Engine),
    flag(&["--executability", "-E"], Engine),
    flag(&["--append"], Engine),
    flag(&["--append-verify"], Engine),
    flag(&["--dirs"], Engine),
    flag(&["--old-dirs", "--old-d"], Engine),
    flag(&["--inc-recursive", "--i-r"], Engine),
    flag(&["--no-recursive", "--no-r"], Engine),
    flag(&["--no-implied-dirs"], Engine),
    flag(&["--copy-dirlinks", "-k"], Engine),
    flag(&["--copy-unsafe-links"], Engine),
    flag(&["--safe-links"], Engine),
    flag(&["--munge-links"], Engine),
    flag(&["--copy-devices"], Engine),
    flag(&["--write-devices"], Engine),
    flag(&["--no-specials"], Engine),
    flag(&["--open-noatime"], Engine),
    flag(&["--fake-super"], Engine),
    flag(&["--ignore-missing-args"], Engine),
    flag(&["--delete-missing-args"], Engine),
    flag(&["--ignore-errors"], Engine),
    flag(&["--old-args"], Engine),
    flag(&["--trust-sender"], Engine),
    flag(&["--no-compress", "--no-z"], Engine),
    with_value(&["--iconv"], Engine),
    with_value(&["--checksum-choice", "--cc"], Engine),
    with_value(&["--checksum-seed"], Engine),
    with_value(&["--compress-threads", "--zt"], Engine),
    with_value(&["--skip-compress"], Engine),
    with_value(&["--max-alloc"], Engine),
    with_value(&["--copy-as"], Engine),
    with_value(&["--remote-option", "-M"], Engine),
    with_value(&["--protocol"], Engine),
    with_value(&["--stop-after", "--time-limit"], Engine),
    with_value(&["--stop-at"], Engine),
    with_value(&["--rsh", "-e"], Reached),
    flag(&["--blocking-io"], Reached),
    flag(&["--ipv4", "-4"], Family),
    flag(&["--ipv6", "-6"], Family),
    with_value(&["--contimeout"], Connecting),
    flag(&["--remove-source-files"], Kept),
    with_value(&["--info"], Shown),
    with_value(&["--debug"], Shown),
    with_value(&["--stderr"], Shown),
    flag(&["--8-bit-output", "-8"], Shown),
    with_value(&["--outbuf"], Shown),
    with_value(&["--out-format", "--log-format"], Shown),
    with_value(&["--log-file"], Shown),
    with_value(&["--log-file-format"], Shown),
    flag(&["--list-only"], Listing),
    with_value(&["--write-batch"], Batches),
    with_value(&["--only-write-batch"], Batches),
    with_value(&["--read-batch"], Batches),
    flag(&["--no-motd"], Daemon),
    with_value(&["--port"], Daemon),
    with_value(&["--sockopts"], Daemon),
    with_value(&["--password-file"], Daemon),
];
