//! `fleet config`: every setting in force, where it comes from, and which files were looked for.
//!
//! Must not know how settings are found, nor what they are used for.

use std::io::{self, Write};
use std::process::ExitCode;

use fleet_core::hostset;
use fleet_core::inventory::Role;
use fleet_core::render::sanitized_line;
use fleet_core::settings::{self, Discovered, Environment, FileState, Listed, Settings, SettingsFile};
use fleet_tool::cli::Failure;
use serde::Serialize;

use crate::cli::ConfigArgs;
use crate::partition;

/// The version of the JSON object.
const VERSION: u32 = 1;
/// The widest value that others are aligned with, in characters.
const VALUE_CHARS: usize = 40;

/// What is shown.
struct Found {
    files: Vec<SettingsFile>,
    settings: Vec<Listed>,
}

/// Runs `fleet config` and tells of its failure.
pub(crate) fn run(args: &ConfigArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let environment: Environment = std::env::vars_os().collect();
    for remark in settings::mistyped_variables(&environment) {
        let _ = writeln!(stderr, "fleet: {remark}");
    }
    let failure = match find(&environment) {
        Ok(found) => match show(&found, args, stdout).and_then(|()| stdout.flush()) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => Failure::ours(&error),
        },
        Err(failure) => failure,
    };
    failure.print("fleet", stderr);
    ExitCode::from(failure.status().code())
}

fn find(environment: &Environment) -> Result<Found, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::usage(&error))?;
    let variables = settings::from_environment(environment)?;
    let Discovered { layers, looked_for } = settings::discover(environment, &here)?;
    let layers: Vec<_> = std::iter::once(variables).chain(layers).collect();
    let mut settings = Settings::resolve(&layers)?.listing();
    settings.extend(roles(environment)?);
    Ok(Found { files: looked_for, settings })
}

/// The groups of the last partition, as if they were written in `[roles]`.
fn roles(environment: &Environment) -> Result<Vec<Listed>, Failure> {
    let Some((path, partition)) = partition::last(environment)? else { return Ok(Vec::new()) };
    let origin = format!("{} (run {})", path.display(), partition.run);
    let listed = |role: &Role| {
        let hosts: Vec<&str> = role.hosts.iter().map(|host| host.host.as_str()).collect();
        let (key, value) = (format!("roles.{}", role.name), hostset::fold(&hosts).into());
        Listed { key, value, origin: origin.clone() }
    };
    Ok(partition.roles.iter().map(listed).collect())
}

fn show(found: &Found, args: &ConfigArgs, out: &mut dyn Write) -> io::Result<()> {
    if args.json { write_json(found, out) } else { write_text(found, out) }
}

fn write_text(found: &Found, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "settings files, the nearest first")?;
    let files = found.files.iter().map(|file| [file.path.display().to_string(), in_words(file.state).to_owned()]);
    write_table(&files.collect::<Vec<_>>(), usize::MAX, out)?;
    writeln!(out, "\nsettings in force; a flag comes before all of these")?;
    let rows = found.settings.iter().map(|listed| [listed.key.clone(), listed.toml(), listed.origin.clone()]);
    write_table(&rows.collect::<Vec<_>>(), VALUE_CHARS, out)
}

fn in_words(state: FileState) -> &'static str {
    match state {
        FileState::Read => "read",
        FileState::Missing => "not there",
        FileState::MissingUpward => "not there, nor in a folder above",
    }
}

/// Writes rows of cells in columns. A cell that is wider than `widest` pushes the rest of its row aside, not its column.
fn write_table<const N: usize>(rows: &[[String; N]], widest: usize, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| sanitized_line(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            let chars = cell.chars().count();
            *width = if chars > widest { *width } else { chars.max(*width) };
        }
    }
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    v: u32,
    files: Vec<File<'a>>,
    settings: Vec<Value<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: std::borrow::Cow<'a, str>,
    state: &'static str,
}

#[derive(Serialize)]
struct Value<'a> {
    key: &'a str,
    value: &'a serde_json::Value,
    origin: &'a str,
}

fn write_json(found: &Found, out: &mut dyn Write) -> io::Result<()> {
    let file = |file: &SettingsFile| match file.state {
        FileState::Read => "read",
        FileState::Missing => "missing",
        FileState::MissingUpward => "missing-upward",
    };
    let report = Report {
        v: VERSION,
        files: found.files.iter().map(|at| File { path: at.path.to_string_lossy(), state: file(at) }).collect(),
        settings: found.settings.iter().map(|Listed { key, value, origin }| Value { key, value, origin }).collect(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_but_for_a_wide_cell() {
        let rows = [["a", "1", "x"], ["bcd", "12345", "y"], ["e", "12", "\u{1b}[31mz"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        write_table(&rows, 4, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[..2], ["  a    1   x", "  bcd  12345  y"]);
        assert!(lines[2].starts_with("  e    12  ") && !lines[2].contains('\u{1b}'), "{shown:?}");
    }
}
