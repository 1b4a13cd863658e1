//! What was brought to a host, in words: equal for hosts with an equal result.
//!
//! Must not know hosts.

use fleet_core::size;
use fleet_transfer::sync::{ScanSummary, SyncEnd, SyncStats, TarStats};

use crate::engine::Engine;
use crate::task::Purpose;

/// `12 files sent, 3.4 MB; 2 deleted`, `the same already`, `would change 3, delete 1`; and by what, unless by the host's rsync.
pub(crate) fn brought(end: &SyncEnd, purpose: Purpose, engine: Engine) -> String {
    let told = told(end, purpose);
    if engine == Engine::Native { told } else { format!("{told}; engine={engine}") }
}

fn told(end: &SyncEnd, purpose: Purpose) -> String {
    if purpose == Purpose::DryRun {
        return match (end.changed, end.deleted) {
            (0, 0) => "the same already".to_owned(),
            (changed, 0) => format!("would change {changed}"),
            (0, deleted) => format!("would delete {deleted}"),
            (changed, deleted) => format!("would change {changed}, delete {deleted}"),
        };
    }
    let content = end.literal_bytes + end.matched_bytes;
    let sent =
        (end.files_sent > 0).then(|| format!("{} sent, {}", plural(end.files_sent, "file"), size::shown(content)));
    let matched = (end.matched_bytes > 0).then(|| format!("{} of it new", size::shown(end.literal_bytes)));
    let others = end.changed.saturating_sub(end.files_sent);
    let others = (others > 0 && end.files_sent == 0).then(|| format!("{others} changed"));
    let deleted = (end.deleted > 0).then(|| format!("{} deleted", end.deleted));
    let words: Vec<String> = sent.into_iter().chain(matched).chain(others).chain(deleted).collect();
    if words.is_empty() { "the same already".to_owned() } else { words.join("; ") }
}

/// What the sender did for all hosts together: `--stats`.
pub(crate) fn stats(summary: &ScanSummary, stats: &SyncStats) -> Vec<String> {
    let SyncStats { lists, deltas, deltas_reused, segments, segments_reused, source_bytes, peak_bytes } = *stats;
    vec![
        format!(
            "sources: {}, {}, {}; read once for {} of {}",
            plural(summary.files, "file"),
            plural(summary.folders, "folder"),
            size::shown(summary.bytes),
            plural(lists, "list"),
            size::shown(summary.list_bytes),
        ),
        format!(
            "deltas: {deltas} computed, {deltas_reused} used again; segments: {segments} made, {segments_reused} used again"
        ),
        format!("source bytes read: {source_bytes}; kept for other hosts at most: {}", size::shown(peak_bytes)),
    ]
}

/// What was done for the hosts without rsync: `--stats`.
pub(crate) fn tar_stats(stats: &TarStats) -> String {
    let TarStats { hosts, source_bytes, delivered_bytes } = *stats;
    format!("engine=tar: {}; source bytes read: {source_bytes}; streamed: {delivered_bytes}", plural(hosts, "host"))
}

/// `1 file`, `2 files`
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_was_sent_and_what_of_it_was_new() {
        let end = |changed, files_sent, literal_bytes, matched_bytes, deleted| SyncEnd {
            changed,
            files_sent,
            literal_bytes,
            matched_bytes,
            deleted,
            ..SyncEnd::default()
        };
        for (end, changed, would) in [
            (end(0, 0, 0, 0, 0), "the same already", "the same already"),
            (end(3, 2, 1000, 0, 0), "2 files sent, 1.0 kB", "would change 3"),
            (end(1, 1, 500, 500, 2), "1 file sent, 1.0 kB; 500 B of it new; 2 deleted", "would change 1, delete 2"),
            (end(4, 0, 0, 0, 0), "4 changed", "would change 4"),
            (end(0, 0, 0, 0, 1), "1 deleted", "would delete 1"),
        ] {
            assert_eq!(brought(&end, Purpose::Change, Engine::Native), changed);
            assert_eq!(brought(&end, Purpose::DryRun, Engine::Tar), format!("{would}; engine=tar"));
        }
    }
}
