//! `fleet template`: a file for each host, made of one text and what is known of the hosts.
//!
//! | module | what it is |
//! | --- | --- |
//! | `names` | what a text may name: the hosts, the roles, values of the user's |
//! | `rendering` | the text for each host, or why there is none |
//!
//! All texts are made before any host is contacted. Must not know how files get to hosts: that is `pcp`'s.

mod names;
mod rendering;

use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use fleet_core::hostset;
use fleet_core::outcome::ExitStatus;
use fleet_core::record::{Places, Work};
use fleet_core::sanitize::sanitized;
use fleet_core::select::SelectedHost;
use fleet_ssh::Connector;
use fleet_tool::cli::{self, Failure, Prepared, Purpose, StdinUse, typed};
use fleet_tool::run;
use pcp::{Made, Put};

use self::names::{Context, Names};
use self::rendering::Source;
use crate::cli::TemplateArgs;

const PROGRAM: &str = "fleet template";
/// The ends of names that say that a file is a template.
const SUFFIXES: [&str; 3] = [".j2", ".jinja", ".jinja2"];

/// Runs `fleet template` and tells of its failure.
pub(crate) fn run(args: TemplateArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let status = act(args, stdout).unwrap_or_else(|failure| {
        failure.print(PROGRAM, stderr);
        failure.status()
    });
    ExitCode::from(status.code())
}

fn act(args: TemplateArgs, stdout: &mut dyn Write) -> Result<ExitStatus, Failure> {
    let TemplateArgs { fleet, values, show, placing, source, destination } = args;
    let prepared = fleet.prepare(PROGRAM, StdinUse::Free)?;
    if prepared.purpose == Purpose::List {
        return run::list(&prepared);
    }
    let template = read(&source)?;
    let names = Names::new(values)?;
    let places = former_places(&prepared);
    let host_places = prepared.places(places.as_ref());
    let make = |connector: &Connector, prepared: &Prepared| {
        let context = names.context(connector, prepared, &host_places)?;
        made(&template, &context, &prepared.selected.hosts)
    };
    let Some(destination) = destination.filter(|_| !show) else {
        let mut prepared = prepared;
        let connector = connector(&mut prepared)?;
        let text = shown(&make(&connector, &prepared)?, &prepared.selected.hosts);
        // What a provider tells may be in it.
        let text = if io::stdout().is_terminal() { sanitized(&text) } else { text };
        return match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::ours(&error)),
            _ => Ok(ExitStatus::Success),
        };
    };
    let text = format!("{} {}", source.display(), destination.display());
    let again = serde_json::json!({ "places": places });
    let work = Work { text, typed: typed(0, &[]), again };
    pcp::put(prepared, work, Put { placing: &placing, destination: &destination, places }, make)
}

/// The places that the hosts had in the run that they are taken from, if they are.
fn former_places(prepared: &Prepared) -> Option<Places> {
    let run = prepared.former.as_ref()?;
    let before: Option<Places> = serde_json::from_value(run.header.again["places"].clone()).ok();
    Some(Places::of(&prepared.selected.hosts, run, before.as_ref()))
}

/// A template as it lies here.
struct Template {
    source: Source,
    /// The name of the file without what says that it is a template.
    name: String,
    mode: u32,
}

fn read(path: &Path) -> Result<Template, Failure> {
    let unreadable = |error: io::Error| Failure::usage_text(format!("cannot read {}: {error}", path.display()));
    let bytes = fs::read(path).map_err(unreadable)?;
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Failure::usage_text(format!("{}:{}: expected text in UTF-8", path.display(), line + 1))
            .hint("pcp copies files that are no templates")
    })?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let plain = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|plain| !plain.is_empty());
    let name = plain.map(str::to_owned).unwrap_or(name);
    Ok(Template { source: Source { path: path.display().to_string(), text }, name, mode })
}

/// The text of each host.
fn made(template: &Template, context: &Context, hosts: &[SelectedHost]) -> Result<Made, Failure> {
    let (texts, of_hosts) = rendering::render(&template.source, context, |host| hosts[host].host.to_string())?;
    let texts = texts.into_iter().map(String::into_bytes).collect();
    Ok(Made { name: template.name.clone().into(), mode: template.mode, texts, of_hosts })
}

/// What knows where hosts are reached, without reaching any.
fn connector(prepared: &mut Prepared) -> Result<Connector, Failure> {
    let config = match prepared.ssh_config.take() {
        Some(config) => config,
        None => cli::load_config(&prepared.settings)?,
    };
    let settings = run::connect_settings(&prepared.settings, &prepared.selected, config, None);
    Ok(Connector::new(settings, Arc::clone(&prepared.prompt) as _))
}

/// Each text once, under the hosts that get it.
fn shown(made: &Made, hosts: &[SelectedHost]) -> String {
    let mut shown = String::new();
    for (number, text) in made.texts.iter().enumerate() {
        let of_text = made.of_hosts.iter().zip(hosts).filter(|(of_host, _)| **of_host == number);
        let names: Vec<String> = of_text.map(|(_, host)| host.host.to_string()).collect();
        let text = String::from_utf8_lossy(text);
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        shown += &format!("---- {} ({})\n{text}{end}", hostset::fold(&names), names.len());
    }
    shown
}
