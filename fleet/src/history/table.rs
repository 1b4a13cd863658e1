//! The table of runs.
//!
//! Must not know where runs come from.

use std::io::{self, Write};

use fleet_core::record::FormerRun;
use fleet_core::render::sanitized_line;

use super::{ending, outcomes};

/// The longest command shown, in characters.
const COMMAND_CHARS: usize = 60;
const HEADINGS: [&str; 7] = ["RUN", "STARTED (UTC)", "TOOL", "HOSTS", "EXIT", "OUTCOMES", "COMMAND"];

/// Writes a line for each run under a line of headings; nothing at all of no runs.
pub(super) fn write(runs: &[FormerRun], out: &mut dyn Write) -> io::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(runs.iter().map(row));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(run: &FormerRun) -> [String; HEADINGS.len()] {
    let row = [
        run.id.to_string(),
        // RFC 3339: 2026-11-22T03:24:32.570Z
        run.header.start.chars().take(19).collect::<String>().replace('T', " "),
        run.header.tool.clone(),
        run.hosts.len().to_string(),
        ending(run),
        outcomes(run),
        shortened(&run.header.command),
    ];
    row.map(|cell| sanitized_line(&cell))
}

/// The first line, and a mark where something is left out.
fn shortened(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(COMMAND_CHARS).collect();
    if cut.len() < command.trim_end().len() { cut + "…" } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_where_it_does_not_fit_or_breaks_the_line() {
        let long = "x".repeat(61);
        for (command, shown) in [
            ("uptime", "uptime"),
            ("uptime\n", "uptime"),
            ("a\nb", "a…"),
            (&long[1..], &long[1..]),
            (&long[..], &format!("{}…", &long[1..])),
            ("", ""),
        ] {
            assert_eq!(shortened(command), shown);
        }
    }
}
