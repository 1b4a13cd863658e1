//! The Markdown table of a workload that brings bytes.
//!
//! Must not know how it was measured.

use crate::table::{Figures, Row, RowResult, cell, memory};

/// What a workload brings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Of one host.
    pub(crate) files: usize,
    /// Of one host.
    pub(crate) bytes: u64,
    pub(crate) hosts: usize,
    pub(crate) unit: Unit,
}

/// What CPU time is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Host,
    HostAndGibibyte,
}

impl Amount {
    /// On all hosts.
    pub(crate) fn right_files(&self) -> usize {
        self.files * self.hosts
    }

    fn units(&self) -> f64 {
        let gibibytes = self.bytes as f64 / f64::from(1 << 30);
        self.hosts as f64 * if self.unit == Unit::Host { 1.0 } else { gibibytes }
    }
}

fn heading(unit: Unit) -> String {
    let unit = if unit == Unit::Host { "host" } else { "host and GiB" };
    format!(
        "| tool | client CPU, s | x ours | CPU per {unit}, s | wall, s | x ours | memory, MB (in processes) | from disk, MB | read in all, MB | source read, times | right files |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
}

/// The figures of each tool, and their ratio to those of the one named `ours`. `reads` are the bytes that each has read of the source, where
/// that was counted.
pub(crate) fn table(rows: &[Row], ours: &str, reads: &[Option<u64>], amount: &Amount) -> String {
    // What did not bring everything may have been fast for that reason.
    let ours = rows
        .iter()
        .find(|row| row.tool == ours)
        .and_then(|row| Figures::of(&row.result))
        .filter(|figures| figures.correct == amount.right_files());
    let counted = reads.iter().copied().chain(std::iter::repeat(None));
    let lines = rows.iter().zip(counted).map(|(row, reads)| match (Figures::of(&row.result), &row.result) {
        (Some(figures), _) => line(row.tool, &figures, ours.as_ref(), reads, amount),
        (None, RowResult::Stopped { limit_secs }) => {
            format!("| {} | - | - | - | stopped after {limit_secs} | - | - | - | - | - | - |\n", cell_of(row.tool))
        }
        (None, RowResult::Samples(_)) => format!("| {} | - | - | - | - | - | - | - | - | - | - |\n", cell_of(row.tool)),
    });
    heading(amount.unit) + &lines.collect::<String>()
}

/// A name such as `tar | ssh` in a table.
fn cell_of(tool: &str) -> String {
    tool.replace('|', "\\|")
}

fn line(tool: &str, own: &Figures, ours: Option<&Figures>, reads: Option<u64>, amount: &Amount) -> String {
    let ratio = |own: f64, ours: Option<f64>| match ours {
        Some(ours) if ours > 0.0 => format!("{:.1}", own / ours),
        _ => "-".to_owned(),
    };
    let all = amount.right_files();
    let times = reads.map_or("-".to_owned(), |bytes| format!("{:.1}", bytes as f64 / amount.bytes as f64));
    let tool = cell_of(tool);
    let right = if own.correct == all { format!("{all}") } else { format!("**{} of {all}**", own.correct) };
    format!(
        "| {tool} | {cpu} | {cpu_ratio} | {per_host:.2} | {wall} | {wall_ratio} | {memory} | {disk:.0} | {called:.0} | {times} | {right} |\n",
        cpu = cell(own.cpu_secs),
        cpu_ratio = ratio(own.cpu_secs.median, ours.map(|ours| ours.cpu_secs.median)),
        per_host = own.cpu_secs.median / amount.units(),
        wall = cell(own.wall_secs),
        wall_ratio = ratio(own.wall_secs.median, ours.map(|ours| ours.wall_secs.median)),
        memory = memory(own),
        disk = own.disk_read_mb.median,
        called = own.called_read_mb.median,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Sample, Usage};
    use crate::processes::Read;

    const AMOUNT: Amount = Amount { files: 1, bytes: 512 << 20, hosts: 2, unit: Unit::HostAndGibibyte };

    fn row(tool: &'static str, cpu_secs: f64, correct: usize) -> Row {
        let read = Read { called_bytes: 9_000_000, disk_bytes: 2_000_000 };
        let usage = Usage { cpu_secs, wall_secs: 1.0, peak_memory_bytes: 12_000_000, processes: 1, read };
        Row { tool, result: RowResult::Samples(vec![Sample { usage, correct }]) }
    }

    #[test]
    fn row_tells_cpu_per_gibibyte_reads_and_what_is_missing() {
        let rows = [
            row("pcp", 1.0, 2),
            row("tar | ssh", 3.0, 1),
            Row { tool: "slow", result: RowResult::Stopped { limit_secs: 9 } },
        ];
        let table = table(&rows, "pcp", &[Some(512 << 20), None], &AMOUNT);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        let expected = [
            "| pcp | 1.00 (1.00-1.00) | 1.0 | 1.00 | 1.00 (1.00-1.00) | 1.0 | 12 | 2 | 9 | 1.0 | 2 |",
            r"| tar \| ssh | 3.00 (3.00-3.00) | 3.0 | 3.00 | 1.00 (1.00-1.00) | 1.0 | 12 | 2 | 9 | - | **1 of 2** |",
            "| slow | - | - | - | stopped after 9 | - | - | - | - | - | - |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn without_ours_there_is_no_ratio() {
        let table = table(&[row("scp", 3.0, 2)], "pcp", &[], &AMOUNT);
        assert!(table.lines().skip(2).all(|line| line.contains(") | - | ")), "{table}");
    }

    #[test]
    fn ours_gives_no_ratio_where_it_lost_a_file() {
        let table = table(&[row("pcp", 1.0, 1), row("scp", 3.0, 2)], "pcp", &[], &AMOUNT);
        assert!(table.lines().skip(2).all(|line| line.contains(") | - | ")), "{table}");
    }
}
