//! Markdown tables of what was measured.
//!
//! Must not know how it was measured.

use crate::check::Expected;
use crate::measure::Sample;
use crate::statistics::Spread;
use crate::workload::Workload;

const HEADING: &str = "\
| tool | client CPU, s | x psh | CPU per host, ms | wall, s | x psh | memory, MB (in processes) | per host at once, KB | correct bytes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// All runs of one tool in one workload.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) tool: &'static str,
    pub(crate) result: RowResult,
}

/// How they went.
#[derive(Debug, Clone)]
pub(crate) enum RowResult {
    /// At least one run, each to its end.
    Samples(Vec<Sample>),
    /// A run was stopped after this many seconds.
    Stopped { limit_secs: u64 },
}

/// Medians and ranges of each tool, and the ratio of its medians to those of the tool named `reference`: unless that one
/// lost lines, which may have cost it little.
pub(crate) fn table(rows: &[Row], reference: &str, workload: &Workload) -> String {
    let reference = rows.iter().find(|row| row.tool == reference).and_then(|row| Figures::of(&row.result));
    let reference = reference.filter(|figures| figures.correct == workload.expected.lines());
    let lines = rows.iter().map(|row| match (Figures::of(&row.result), &row.result) {
        (Some(figures), _) => line(row.tool, &figures, reference.as_ref(), workload),
        (None, RowResult::Stopped { limit_secs }) => {
            format!("| {} | - | - | - | stopped after {limit_secs} | - | - | - | - |\n", row.tool)
        }
        (None, RowResult::Samples(_)) => format!("| {} | - | - | - | - | - | - | - | - |\n", row.tool),
    });
    HEADING.to_owned() + &lines.collect::<String>()
}

/// The figures of one tool.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) cpu_secs: Spread,
    pub(crate) wall_secs: Spread,
    pub(crate) memory_mb: Spread,
    /// From disks, whatever was read.
    pub(crate) disk_read_mb: Spread,
    /// By system calls, from files, pipes and sockets.
    pub(crate) called_read_mb: Spread,
    /// The most of all runs.
    processes: usize,
    /// The fewest of all runs.
    pub(crate) correct: usize,
}

impl Figures {
    /// `None` without a run that came to its end.
    pub(crate) fn of(result: &RowResult) -> Option<Self> {
        let RowResult::Samples(samples) = result else { return None };
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        Some(Self {
            cpu_secs: spread(|sample| sample.usage.cpu_secs)?,
            wall_secs: spread(|sample| sample.usage.wall_secs)?,
            memory_mb: spread(|sample| sample.usage.peak_memory_bytes as f64 / 1e6)?,
            disk_read_mb: spread(|sample| sample.usage.read.disk_bytes as f64 / 1e6)?,
            called_read_mb: spread(|sample| sample.usage.read.called_bytes as f64 / 1e6)?,
            processes: samples.iter().map(|sample| sample.usage.processes).max()?,
            correct: samples.iter().map(|sample| sample.correct).min()?,
        })
    }
}

fn line(tool: &str, figures: &Figures, reference: Option<&Figures>, workload: &Workload) -> String {
    let ratio = |own: Spread, other: Option<Spread>| match other {
        Some(other) if other.median > 0.0 => format!("{:.1}", own.median / other.median),
        _ => "-".to_owned(),
    };
    let at_once = workload.hosts.min(usize::from(workload.parallel));
    format!(
        "| {tool} | {cpu} | {cpu_ratio} | {per_host:.1} | {wall} | {wall_ratio} | {memory} | {memory_per_host:.0} | {correct} |\n",
        cpu = cell(figures.cpu_secs),
        cpu_ratio = ratio(figures.cpu_secs, reference.map(|figures| figures.cpu_secs)),
        per_host = figures.cpu_secs.scaled(1000.0 / workload.hosts as f64).median,
        wall = cell(figures.wall_secs),
        wall_ratio = ratio(figures.wall_secs, reference.map(|figures| figures.wall_secs)),
        memory = memory(figures),
        memory_per_host = figures.memory_mb.scaled(1000.0 / at_once as f64).median,
        correct = correct_bytes(&workload.expected, figures.correct),
    )
}

/// Of several processes with how many there were at once, as it is the sum that was seen and no peak that the kernel knows.
pub(crate) fn memory(figures: &Figures) -> String {
    match figures.processes {
        ..=1 => format!("{:.0}", figures.memory_mb.median),
        several => format!("{:.0} in {several}", figures.memory_mb.median),
    }
}

/// Those of whole lines; bold where some are missing.
fn correct_bytes(expected: &Expected, lines: usize) -> String {
    let (arrived, all) = (expected.bytes_of(lines), expected.bytes_of(expected.lines()));
    if arrived == all { format!("{all}") } else { format!("**{arrived} of {all}**") }
}

pub(crate) fn cell(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.min, spread.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::KeyExchange;
    use crate::measure::Usage;
    use crate::processes::Read;
    use crate::workload::{HostKind, OutputSize};

    fn sample(cpu_secs: f64, wall_secs: f64, correct: usize) -> Sample {
        let usage = Usage { cpu_secs, wall_secs, peak_memory_bytes: 12_300_000, processes: 1, read: Read::default() };
        Sample { usage, correct }
    }

    fn row(tool: &'static str, samples: &[Sample]) -> Row {
        Row { tool, result: RowResult::Samples(samples.to_vec()) }
    }

    /// Ten hosts, five at once, and ten lines of 100 bytes.
    fn body(rows: &[Row]) -> Vec<String> {
        let workload = Workload {
            name: String::new(),
            title: String::new(),
            key_exchange: KeyExchange::Default,
            kind: HostKind::Real,
            hosts: 10,
            parallel: 5,
            command: String::new(),
            output: OutputSize::Short,
            expected: Expected::Sequence { lines: 10 },
        };
        table(rows, "psh", &workload).lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn row_has_median_range_and_ratio() {
        let psh = row("psh", &[sample(0.5, 1.0, 10), sample(0.4, 2.0, 10), sample(0.6, 3.0, 10)]);
        let peer = row("peer", &[sample(2.0, 5.0, 10)]);
        assert_eq!(
            body(&[psh, peer]),
            [
                "| psh | 0.50 (0.40-0.60) | 1.0 | 50.0 | 2.00 (1.00-3.00) | 1.0 | 12 | 2460 | 1000 |",
                "| peer | 2.00 (2.00-2.00) | 4.0 | 200.0 | 5.00 (5.00-5.00) | 2.5 | 12 | 2460 | 1000 |",
            ]
        );
    }

    #[test]
    fn memory_of_several_processes_says_of_how_many() {
        let mut samples = [sample(2.0, 5.0, 10), sample(2.0, 5.0, 10), sample(2.0, 5.0, 10)];
        samples[1].usage.processes = 65;
        let line = "| peer | 2.00 (2.00-2.00) | - | 200.0 | 5.00 (5.00-5.00) | - | 12 in 65 | 2460 | 1000 |";
        assert_eq!(body(&[row("peer", &samples)]), [line]);
    }

    #[test]
    fn tool_that_lost_a_line_in_any_run_is_marked_and_gives_no_ratio() {
        let psh = row("psh", &[sample(1.0, 1.0, 10), sample(1.0, 1.0, 9), sample(1.0, 1.0, 10)]);
        let line = "| psh | 1.00 (1.00-1.00) | - | 100.0 | 1.00 (1.00-1.00) | - | 12 | 2460 | **900 of 1000** |";
        assert_eq!(body(&[psh]), [line]);
    }

    #[test]
    fn stopped_tool_has_no_figures_and_gives_no_ratio() {
        let psh = Row { tool: "psh", result: RowResult::Stopped { limit_secs: 9 } };
        let peer = row("peer", &[sample(2.0, 5.0, 10)]);
        assert_eq!(
            body(&[psh, peer]),
            [
                "| psh | - | - | - | stopped after 9 | - | - | - | - |",
                "| peer | 2.00 (2.00-2.00) | - | 200.0 | 5.00 (5.00-5.00) | - | 12 | 2460 | 1000 |",
            ]
        );
    }
}
