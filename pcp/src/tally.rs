//! What a copy to a host came to, in words: equal for hosts with an equal result.
//!
//! Must not know hosts.

use fleet_core::size;
use fleet_transfer::manifest::{EntryKind, Manifest, Totals};
use fleet_transfer::push::{Findings, Share, There};
use fleet_transfer::source_cache::Counters;

/// `12 files, 3.4 MB; 2 the same already`
pub(crate) fn copied(manifest: &Manifest, share: &Share) -> String {
    let (sent, same) = (manifest.totals(&share.selection), manifest.totals(&share.same));
    match counts(sent) {
        Some(sent) if same.files > 0 => format!("{sent}; {} the same already", same.files),
        Some(sent) => sent,
        None if same.files > 0 => format!("{} the same already", plural(same.files, "file")),
        None => match sent.folders {
            0 => "nothing to copy".to_owned(),
            folders => plural(folders, "folder"),
        },
    }
}

/// `would copy 3 files, 1.2 MB: 2 new, 1 replaced; 9 the same already`
pub(crate) fn would_copy(manifest: &Manifest, share: &Share, findings: &Findings) -> String {
    let is_folder = |at: &usize| manifest.entries[*at].kind == EntryKind::Folder;
    let count =
        |wanted: There| findings.entries.iter().filter(|(at, there)| *there == wanted && !is_folder(at)).count();
    let (new, replaced, same) = (count(There::Nothing), count(There::Other), count(There::Same));
    let sent = counts(manifest.totals(&share.selection)).unwrap_or_else(|| "nothing".to_owned());
    let ways = [(new, "new"), (replaced, "replaced")].into_iter().filter(|(count, _)| *count > 0);
    let ways: Vec<String> = ways.map(|(count, word)| format!("{count} {word}")).collect();
    let ways = if ways.is_empty() { String::new() } else { format!(": {}", ways.join(", ")) };
    let same = if same > 0 { format!("; {same} the same already") } else { String::new() };
    format!("would copy {sent}{ways}{same}")
}

/// What reading the sources took: `read 1000 bytes of files, sent 3000; 1 host read alone, 1.0 kB were kept at most`
pub(crate) fn read(counters: &Counters) -> String {
    let Counters { read_bytes, delivered_bytes, alone, peak_bytes, .. } = counters;
    let hosts = plural(*alone as u64, "host");
    let peak = size::shown(*peak_bytes as u64);
    format!("read {read_bytes} bytes of files, sent {delivered_bytes}; {hosts} read alone, {peak} were kept at most")
}

/// Files, symlinks and bytes; `None` where there is neither file nor symlink.
fn counts(totals: Totals) -> Option<String> {
    let files = (totals.files > 0).then(|| plural(totals.files, "file"));
    let symlinks = (totals.symlinks > 0).then(|| plural(totals.symlinks, "symlink"));
    let bytes = (totals.files > 0).then(|| size::shown(totals.bytes));
    let words: Vec<String> = files.into_iter().chain(symlinks).chain(bytes).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// `1 file`, `2 files`
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use fleet_transfer::destination::Found;
    use fleet_transfer::manifest::{Entry, Selection};

    use super::*;

    #[test]
    fn a_result_counts_what_was_sent_and_what_was_there() {
        let entry = |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0, mtime: 0, uid: 0, gid: 0 };
        let file = |len| entry(EntryKind::File { len });
        let entries =
            vec![entry(EntryKind::Folder), file(1000), file(500), entry(EntryKind::Symlink { target: "y".into() })];
        let manifest = Manifest { entries, problems: Vec::new() };
        for (sent, same, expected) in [
            (0..4, 0..0, "2 files, 1 symlink, 1.5 kB"),
            (0..2, 2..3, "1 file, 1.0 kB; 1 the same already"),
            (0..1, 1..3, "2 files the same already"),
            (0..1, 0..0, "1 folder"),
            (3..4, 0..0, "1 symlink"),
            (0..0, 0..0, "nothing to copy"),
        ] {
            let share = Share { selection: Selection::of([sent]), same: Selection::of([same]) };
            assert_eq!(copied(&manifest, &share), expected);
        }
    }

    #[test]
    fn a_dry_run_counts_by_what_would_happen() {
        let entry = |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0, mtime: 0, uid: 0, gid: 0 };
        let file = || entry(EntryKind::File { len: 1000 });
        let manifest =
            Manifest { entries: vec![entry(EntryKind::Folder), file(), file(), file()], problems: Vec::new() };
        for (there, sent, expected) in [
            (
                [There::Nothing, There::Other, There::Same],
                1..3,
                "would copy 2 files, 2.0 kB: 1 new, 1 replaced; 1 the same already",
            ),
            ([There::Same; 3], 0..1, "would copy nothing; 3 the same already"),
            ([There::Nothing; 3], 1..4, "would copy 3 files, 3.0 kB: 3 new"),
        ] {
            let entries = [(0, There::Nothing)].into_iter().chain((1..).zip(there)).collect();
            let share = Share { selection: Selection::of([sent]), ..Share::default() };
            let findings = Findings { destination: Found::Folder, entries };
            assert_eq!(would_copy(&manifest, &share, &findings), expected);
        }
    }
}
