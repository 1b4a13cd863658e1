//! What was asked for and a stream of files cannot do: a host is refused for it, rather than done by half.
//!
//! Must not know hosts.

use crate::sync::SyncPlan;

/// Options of the receiver that are seen to, or change nothing here.
const KEPT: [&str; 4] = ["--mkpath", "--force", "--delete-excluded", "--max-delete"];

/// What the sources have of what not every stream can hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Files with more than one name, where these are kept.
    pub(super) hard_links: bool,
    /// Devices, fifos and sockets, where these are kept.
    pub(super) devices: bool,
}

/// By their flags; none where all is kept.
pub(super) fn unkept(plan: &SyncPlan, contents: Contents) -> Vec<String> {
    let deletes = plan.delete.is_some();
    let flags = [
        ("--hard-links", contents.hard_links),
        ("devices, fifos and sockets (--no-devices leaves them out)", contents.devices),
        ("--checksum", plan.checksum),
        ("--no-perms", !plan.permissions),
        ("--no-times", !plan.times),
        ("--inplace", plan.in_place),
        ("--prune-empty-dirs", plan.prune),
        ("--relative with --delete", plan.relative && deletes),
        ("--files-from without --recursive, with --delete", !plan.recursive && deletes),
        ("--one-file-system with --delete", plan.one_file_system && deletes),
        ("rules in files of folders with --delete", deletes && plan.rules.of_receiver(plan.excluded).is_none()),
    ];
    let flags = flags.into_iter().filter(|(_, is_unkept)| *is_unkept).map(|(flag, _)| flag.to_owned());
    let forwarded = plan.forwarded.iter().map(|word| {
        let word = String::from_utf8_lossy(word);
        word.split('=').next().unwrap_or_default().to_owned()
    });
    let letters = plan.forwarded_letters.chars().map(|letter| format!("-{letter}"));
    flags.chain(letters).chain(forwarded.filter(|flag| !KEPT.contains(&flag.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use fleet_rsync::filter::Rules;
    use fleet_rsync::session::Delete;

    use super::*;

    #[test]
    fn what_no_stream_keeps_is_named_and_all_else_is_not() {
        let archive = SyncPlan::archive(Vec::new());
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let kept = words(&["--mkpath", "--force", "--delete-excluded", "--max-delete=3"]);
        let all = SyncPlan { delete: Some(Delete::After), forwarded: kept, ..archive.clone() };
        assert_eq!(unkept(&all, Contents::default()), Vec::<String>::new());
        let mut rules = Rules::new();
        rules.filter(b":- .gitignore", &mut |_| unreachable!("no file is read")).unwrap();
        assert_eq!(unkept(&SyncPlan { rules: rules.clone(), ..archive.clone() }, Contents::default()), [""; 0]);
        let much = SyncPlan {
            rules,
            checksum: true,
            times: false,
            in_place: true,
            forwarded_letters: "u".to_owned(),
            forwarded: words(&["--update", "--link-dest=../x"]),
            ..all
        };
        let expected = [
            "--hard-links",
            "--checksum",
            "--no-times",
            "--inplace",
            "rules in files of folders with --delete",
            "-u",
            "--update",
            "--link-dest",
        ];
        assert_eq!(unkept(&much, Contents { hard_links: true, devices: false }), expected);
    }
}
