//! Markdown tables of what was measured.
//!
//! Must not know how it was measured.

use crate::measure::Sample;
use crate::statistics::Spread;

const HEADING: &str = "\
| tool | client CPU, s | x psh | CPU per host, ms | wall, s | x psh | memory, MB | correct lines |
| --- | --- | --- | --- | --- | --- | --- | --- |
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
pub(crate) fn table(rows: &[Row], reference: &str, hosts: usize, expected_lines: usize) -> String {
    let reference = rows.iter().find(|row| row.tool == reference).and_then(Figures::of);
    let reference = reference.filter(|figures| figures.correct_lines == expected_lines);
    let lines = rows.iter().map(|row| match (Figures::of(row), &row.result) {
        (Some(figures), _) => figures.line(row.tool, reference.as_ref(), hosts, expected_lines),
        (None, RowResult::Stopped { limit_secs }) => {
            format!("| {} | - | - | - | stopped after {limit_secs} | - | - | - |\n", row.tool)
        }
        (None, RowResult::Samples(_)) => format!("| {} | - | - | - | - | - | - | - |\n", row.tool),
    });
    HEADING.to_owned() + &lines.collect::<String>()
}

struct Figures {
    cpu_secs: Spread,
    wall_secs: Spread,
    memory_mb: Spread,
    correct_lines: usize,
}

impl Figures {
    fn of(row: &Row) -> Option<Self> {
        let RowResult::Samples(samples) = &row.result else { return None };
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        Some(Self {
            cpu_secs: spread(|sample| sample.usage.cpu_secs)?,
            wall_secs: spread(|sample| sample.usage.wall_secs)?,
            memory_mb: spread(|sample| sample.usage.max_rss_bytes as f64 / 1e6)?,
            correct_lines: samples.iter().map(|sample| sample.correct_lines).min()?,
        })
    }

    fn line(&self, tool: &str, reference: Option<&Self>, hosts: usize, expected_lines: usize) -> String {
        let ratio = |own: Spread, other: Option<Spread>| match other {
            Some(other) if other.median > 0.0 => format!("{:.1}", own.median / other.median),
            _ => "-".to_owned(),
        };
        let lines = match self.correct_lines {
            correct if correct == expected_lines => format!("{correct}"),
            correct => format!("**{correct} of {expected_lines}**"),
        };
        format!(
            "| {tool} | {cpu} | {cpu_ratio} | {per_host:.1} | {wall} | {wall_ratio} | {memory:.0} | {lines} |\n",
            cpu = cell(self.cpu_secs),
            cpu_ratio = ratio(self.cpu_secs, reference.map(|figures| figures.cpu_secs)),
            per_host = self.cpu_secs.scaled(1000.0 / hosts as f64).median,
            wall = cell(self.wall_secs),
            wall_ratio = ratio(self.wall_secs, reference.map(|figures| figures.wall_secs)),
            memory = self.memory_mb.median,
        )
    }
}

fn cell(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.min, spread.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Usage;

    fn sample(cpu_secs: f64, wall_secs: f64, correct_lines: usize) -> Sample {
        Sample { usage: Usage { cpu_secs, wall_secs, max_rss_bytes: 12_300_000 }, correct_lines }
    }

    fn row(tool: &'static str, samples: &[Sample]) -> Row {
        Row { tool, result: RowResult::Samples(samples.to_vec()) }
    }

    fn body(rows: &[Row]) -> Vec<String> {
        table(rows, "psh", 10, 10).lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn row_has_median_range_and_ratio() {
        let psh = row("psh", &[sample(0.5, 1.0, 10), sample(0.4, 2.0, 10), sample(0.6, 3.0, 10)]);
        let peer = row("peer", &[sample(2.0, 5.0, 10)]);
        assert_eq!(
            body(&[psh, peer]),
            [
                "| psh | 0.50 (0.40-0.60) | 1.0 | 50.0 | 2.00 (1.00-3.00) | 1.0 | 12 | 10 |",
                "| peer | 2.00 (2.00-2.00) | 4.0 | 200.0 | 5.00 (5.00-5.00) | 2.5 | 12 | 10 |",
            ]
        );
    }

    #[test]
    fn tool_that_lost_a_line_in_any_run_is_marked_and_gives_no_ratio() {
        let psh = row("psh", &[sample(1.0, 1.0, 10), sample(1.0, 1.0, 9), sample(1.0, 1.0, 10)]);
        let line = "| psh | 1.00 (1.00-1.00) | - | 100.0 | 1.00 (1.00-1.00) | - | 12 | **9 of 10** |";
        assert_eq!(body(&[psh]), [line]);
    }

    #[test]
    fn stopped_tool_has_no_figures_and_gives_no_ratio() {
        let psh = Row { tool: "psh", result: RowResult::Stopped { limit_secs: 9 } };
        let peer = row("peer", &[sample(2.0, 5.0, 10)]);
        assert_eq!(
            body(&[psh, peer]),
            [
                "| psh | - | - | - | stopped after 9 | - | - | - |",
                "| peer | 2.00 (2.00-2.00) | - | 200.0 | 5.00 (5.00-5.00) | - | 12 | 10 |",
            ]
        );
    }
}
