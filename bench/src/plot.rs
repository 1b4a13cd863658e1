//! Bar charts of what was measured, as SVG.
//!
//! Must not know how it was measured.

use std::fmt::Write as _;

use crate::statistics::Spread;
use crate::table::{Figures, Row};

const NAMES_WIDTH: f64 = 170.0;
const PANEL_WIDTH: f64 = 230.0;
/// Of a panel's width, what is left for the number behind the longest bar.
const NUMBER_WIDTH: f64 = 62.0;
const HEAD_HEIGHT: f64 = 66.0;
const ROW_HEIGHT: f64 = 24.0;
const BAR_HEIGHT: f64 = 14.0;

/// What a panel shows.
struct Panel {
    title: &'static str,
    /// Of a tool's figures and the number of hosts.
    value: fn(&Figures, f64) -> Spread,
}

const PANELS: [Panel; 3] = [
    Panel { title: "client CPU per host, ms", value: |figures, hosts| figures.cpu_secs.scaled(1000.0 / hosts) },
    Panel { title: "wall time, s", value: |figures, _| figures.wall_secs },
    Panel { title: "peak memory, MB", value: |figures, _| figures.memory_mb },
];

/// A bar for each tool in each panel: its length is the median, the line on it the range. Tools without figures have a
/// dash.
pub(crate) fn plot(title: &str, rows: &[Row], hosts: usize) -> String {
    let width = NAMES_WIDTH + PANEL_WIDTH * PANELS.len() as f64 + 10.0;
    let height = HEAD_HEIGHT + ROW_HEIGHT * rows.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#24292f\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        // Backquotes are Markdown's.
        escaped(&title.replace('`', "")),
    );
    for (row, y) in rows.iter().zip(rows_from(HEAD_HEIGHT)) {
        text(&mut svg, NAMES_WIDTH - 10.0, y, "end", row.tool);
    }
    for (number, panel) in PANELS.iter().enumerate() {
        let left = NAMES_WIDTH + PANEL_WIDTH * number as f64;
        text(&mut svg, left, HEAD_HEIGHT - ROW_HEIGHT / 2.0, "start", panel.title);
        let values: Vec<Option<Spread>> =
            rows.iter().map(|row| Some((panel.value)(&Figures::of(&row.result)?, hosts as f64))).collect();
        bars(&mut svg, left, &values);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The middles of rows, from the top.
fn rows_from(top: f64) -> impl Iterator<Item = f64> {
    (0_u32..).map(move |row| top + ROW_HEIGHT * (f64::from(row) + 0.5))
}

fn bars(svg: &mut String, left: f64, values: &[Option<Spread>]) {
    let longest = values.iter().flatten().map(|value| value.max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (PANEL_WIDTH - NUMBER_WIDTH) / longest;
    for (value, y) in values.iter().zip(rows_from(HEAD_HEIGHT)) {
        let Some(value) = value else {
            text(svg, left, y, "start", "-");
            continue;
        };
        let Spread { min, median, max } = value.scaled(scale);
        // psh, to which the others are compared, comes first.
        let colour = if y < HEAD_HEIGHT + ROW_HEIGHT { "#1f6feb" } else { "#afb8c1" };
        let top = y - BAR_HEIGHT / 2.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>\n\
             <path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"#24292f\"/>",
            median.max(1.0),
            left + min,
            left + max,
        );
        text(svg, left + max + 5.0, y, "start", &rounded(value.median));
    }
}

/// With as many digits as mean something.
fn rounded(number: f64) -> String {
    match number {
        10.0.. => format!("{number:.0}"),
        1.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn text(svg: &mut String, x: f64, middle: f64, anchor: &str, text: &str) {
    // Letters stand on their base line.
    let y = middle + 4.0;
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Sample, Usage};
    use crate::processes::Read;
    use crate::table::RowResult;

    fn row(tool: &'static str, cpu_secs: f64) -> Row {
        let usage =
            Usage { cpu_secs, wall_secs: 1.0, peak_memory_bytes: 1_000_000, processes: 1, read: Read::default() };
        Row { tool, result: RowResult::Samples(vec![Sample { usage, correct: 1 }]) }
    }

    fn widths(svg: &str) -> Vec<&str> {
        let bars = svg.lines().filter(|line| line.starts_with("<rect x"));
        bars.map(|line| line.split('"').nth(5).unwrap()).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let svg = plot("title", &[row("psh", 1.0), row("a", 2.0)], 10);
        assert_eq!(widths(&svg), ["84.0", "168.0", "168.0", "168.0", "168.0", "168.0"]);
        assert!(svg.contains(">100</text>") && svg.contains(">200</text>"), "{svg}");
    }

    #[test]
    fn tool_without_figures_has_a_dash_and_no_bar() {
        let stopped = Row { tool: "slow", result: RowResult::Stopped { limit_secs: 1 } };
        let svg = plot("`a` < b", &[row("psh", 1.0), stopped], 1);
        assert_eq!(widths(&svg).len(), PANELS.len());
        assert_eq!(svg.matches(">-</text>").count(), PANELS.len());
        assert!(svg.contains("a &lt; b"));
    }
}
