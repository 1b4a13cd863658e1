//! `fleet hosts`: the hosts that a tool would take, in the form that people and other programs want.
//!
//! Must not know how hosts are chosen, nor contact any.

mod ansible;
mod etc_hosts;
mod listing;
mod ssh_config;
mod table;
mod template;

use std::io::{self, Write};
use std::process::ExitCode;

use fleet_core::hostset;
use fleet_core::render::{self, Destination, copy_sanitized, sanitized_line};
use fleet_core::select::{Selected, SelectedHost};
use fleet_tool::cli::Failure;

use self::listing::Listing;
use crate::cli::{FormArgs, HostsArgs};

const PROGRAM: &str = "fleet";

/// Who reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A person at a terminal, who obeys no control characters either.
    Person,
    /// A program.
    Program,
}

/// Runs `fleet hosts` and tells of its failure.
pub(crate) fn run(args: HostsArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let reader = match render::destination(&io::stdout()) {
        Destination::Terminal { .. } => Reader::Person,
        Destination::Stream => Reader::Program,
    };
    let failure = match list(args, reader) {
        Ok(listing) => {
            for remark in &listing.remarks {
                let _ = writeln!(stderr, "{PROGRAM}: {}", sanitized_line(remark));
            }
            match print(&listing.text, reader, stdout) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(error) => Failure::ours(&error),
            }
        }
        Err(failure) => failure,
    };
    failure.print(PROGRAM, stderr);
    ExitCode::from(failure.status().code())
}

fn print(text: &[u8], reader: Reader, mut out: &mut dyn Write) -> io::Result<()> {
    match reader {
        Reader::Person => copy_sanitized(text, &mut out)?,
        Reader::Program => out.write_all(text)?,
    }
    out.flush()
}

fn list(args: HostsArgs, reader: Reader) -> Result<Listing, Failure> {
    let HostsArgs { choose, expressions, form } = args;
    if form.all_groups {
        let groups = choose.known_groups(PROGRAM)?;
        return Ok(Listing::from(match (form.json, form.long, reader) {
            (true, ..) => render::known_groups(&groups),
            (false, true, _) => table::groups(&groups, table::Members::Shown).into_bytes(),
            (false, false, Reader::Person) => table::groups(&groups, table::Members::Hidden).into_bytes(),
            (false, false, Reader::Program) => table::group_lines(&groups).into_bytes(),
        }));
    }
    if let Some(format) = &form.format {
        check_format(format)?;
    }
    let selected = choose.choose(PROGRAM, expressions)?;
    let mut listing = show(&selected, &form, reader)?;
    listing.remarks.splice(..0, selected.remarks());
    Ok(listing)
}

fn show(selected: &Selected, form: &FormArgs, reader: Reader) -> Result<Listing, Failure> {
    let hosts = selected.hosts.as_slice();
    let named = || hosts.iter().map(|selected| selected.host.to_string());
    let text = match form {
        FormArgs { format: Some(format), .. } if format != "json" => return formatted(format, hosts),
        FormArgs { json: true, .. } | FormArgs { format: Some(_), .. } => {
            let excluded = if form.why { render::excluded(&selected.excluded) } else { Vec::new() };
            return Ok(Listing::from([render::listed(hosts), excluded].concat()));
        }
        FormArgs { why: true, .. } => table::why(selected),
        FormArgs { fold: true, .. } => hostset::fold(&named().collect::<Vec<_>>()) + "\n",
        FormArgs { count: true, .. } => format!("{}\n", hosts.len()),
        FormArgs { expand: true, .. } => named().map(|name| name + "\n").collect(),
        _ if form.long || reader == Reader::Person => table::hosts(hosts),
        _ => named().map(|name| name + "\n").collect(),
    };
    Ok(Listing::from(text.into_bytes()))
}

/// Refuses what is neither the name of a format nor a template, before anybody is asked for hosts.
fn check_format(format: &str) -> Result<(), Failure> {
    match format {
        "json" | "ssh-config" | "ansible" | "hosts" => Ok(()),
        template if template.contains('{') => Ok(()),
        _ => Err(Failure::usage_text(format!(
            "--format: found {format:?}; expected json, ssh-config, ansible, hosts or a template such as '{{name}} {{addr}}'"
        ))),
    }
}

fn formatted(format: &str, hosts: &[SelectedHost]) -> Result<Listing, Failure> {
    match format {
        "ssh-config" => Ok(ssh_config::write(hosts)),
        "ansible" => ansible::write(hosts).map_err(|error| Failure::ours(&error)),
        "hosts" => Ok(etc_hosts::write(hosts)),
        template => template::write(template, hosts).map_err(|error| {
            let failure = Failure::usage_text(format!("--format: {error}"));
            failure.hint("fleet hosts --help lists the placeholders; --json shows all that is known of the hosts")
        }),
    }
}
