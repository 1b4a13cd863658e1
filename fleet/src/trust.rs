//! `fleet trust`: makes host keys known that a provider vouches for, so that nothing has to be trusted on first use.
//!
//! First everybody is asked - the providers for records and consoles, known_hosts, the hosts for their keys where a console
//! has only fingerprints - then is decided, then written. Must not know what a console looks like, nor how known_hosts is
//! written.

mod console;
mod decision;
mod offers;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use fleet_core::fanout::Floor;
use fleet_core::host::Host;
use fleet_core::hostset;
use fleet_core::outcome::HostError;
use fleet_core::provider::protocol::Record;
use fleet_core::provider::{Provider, Watch};
use fleet_core::render::Layout;
use fleet_ssh::config::HostConfig;
use fleet_ssh::known_hosts::{PublicKey, Verdict, read_key};
use fleet_ssh::{Connector, ConnectorError};
use fleet_tool::cli::{self, Failure, Interruption, Prepared, Purpose, StdinUse, TerminalPrompt};
use fleet_tool::run;
use tokio::task::{JoinError, spawn_blocking};

use self::console::{Unprinted, Vouched};
use self::decision::{Step, Word};
use self::offers::Target;
use self::report::{Line, Writing};
use crate::cli::TrustArgs;

const PROGRAM: &str = "fleet";
/// How many consoles a provider is asked for at once: each request has its deadline, and each console may be 64 KiB.
const CONSOLES_OF_A_REQUEST: usize = 100;

/// A host, and what its provider says of its keys.
struct Subject {
    host: Host,
    id: String,
    word: Word,
}

/// A host on its way to its fate.
struct Case {
    subject: Subject,
    route: Vec<HostConfig>,
    step: Step,
}

/// Makes keys known, and tells of it.
pub(crate) fn run(args: TrustArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    try_run(args, stdout).map_or_else(
        |failure| {
            failure.print(PROGRAM, stderr);
            ExitCode::from(failure.status().code())
        },
        ExitCode::from,
    )
}

fn try_run(args: TrustArgs, stdout: &mut dyn Write) -> Result<u8, Failure> {
    let TrustArgs { fleet, known_hosts, dry_run } = args;
    let prepared = fleet.prepare_after_any_tool(PROGRAM, StdinUse::Free)?;
    if prepared.purpose == Purpose::List {
        return run::list(&prepared).map(fleet_core::outcome::ExitStatus::code);
    }
    let writing = if dry_run { Writing::Withheld } else { Writing::Done };
    let subjects = subjects(&prepared)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::ours(&error))?;
    let lines = runtime.block_on(vouch(&prepared, subjects, known_hosts, writing));
    // A name lookup that hangs must not hold the process.
    runtime.shutdown_background();
    let lines = lines?;
    let written = match prepared.render.layout {
        Layout::Json => report::write_json(&lines, writing, stdout),
        _ => report::write_text(&lines, writing, stdout),
    };
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::ours(&error)),
        _ => Ok(report::exit_status(&lines)),
    }
}

/// The chosen hosts with the words of their providers.
fn subjects(prepared: &Prepared) -> Result<Vec<Subject>, Failure> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for selected in &prepared.selected.hosts {
        match (prepared.cloud_hosts.provider(&selected.host), &selected.record) {
            (Some(provider), Some(record)) => known.push((&selected.host, provider, Arc::clone(record))),
            _ => unknown.push(selected.host.to_string()),
        }
    }
    if !unknown.is_empty() {
        let hosts = hostset::fold(&unknown);
        return Err(Failure::usage_text(format!(
            "no provider tells of {hosts}: there is nobody who vouches for a key"
        ))
        .hint("for such hosts compare the key by hand, or take the first that comes: psh --host-key accept-new"));
    }
    let silent = known.iter().filter(|(_, _, record)| keys_of(record).is_empty());
    let mut words = words_of_consoles(silent.map(|(_, provider, record)| (*provider, &*record.id)))?;
    let subject = |(host, provider, record): (&Host, &Provider, Arc<Record>)| {
        let keys = keys_of(&record);
        let word = match keys.is_empty() {
            false => Ok(Vouched::Keys(keys)),
            true => {
                let place = (provider.settings().name.clone(), record.id.to_string());
                words.remove(&place).unwrap_or(Err(Unprinted::Empty))
            }
        };
        Subject { host: host.clone(), id: record.id.to_string(), word }
    };
    Ok(known.into_iter().map(subject).collect())
}

fn keys_of(record: &Record) -> Vec<PublicKey> {
    record.host_keys.iter().filter_map(|key| read_key(key).ok()).collect()
}

/// What the consoles of hosts say of their keys, by provider and id. Their texts are not kept: there may be thousands.
fn words_of_consoles<'a>(
    hosts: impl Iterator<Item = (&'a Provider, &'a str)>,
) -> Result<HashMap<(String, String), Word>, Failure> {
    let mut wanted: BTreeMap<&str, (&Provider, Vec<String>)> = BTreeMap::new();
    for (provider, id) in hosts {
        wanted.entry(&provider.settings().name).or_insert((provider, Vec::new())).1.push(id.to_owned());
    }
    let interruption = Interruption::watch();
    let said = |line: &str| {
        // Nobody is left to tell.
        let _ = writeln!(io::stderr(), "{line}");
    };
    let watch = Watch { said: &said, interrupted: interruption.flag() };
    let mut found = HashMap::new();
    for (name, (provider, ids)) in wanted {
        for ids in ids.chunks(CONSOLES_OF_A_REQUEST) {
            for printed in provider.console(ids, watch)? {
                found.insert((name.to_owned(), printed.id), console::host_keys(&printed.text));
            }
        }
    }
    Ok(found)
}

async fn vouch(
    prepared: &Prepared,
    subjects: Vec<Subject>,
    known_hosts: Option<PathBuf>,
    writing: Writing,
) -> Result<Vec<Line>, Failure> {
    let floor = Floor::default();
    let prompt = Arc::new(TerminalPrompt::new(floor.clone()));
    let password = run::ask_password(prepared.password, &prompt).await?;
    let config = cli::load_config(&prepared.settings)?;
    let settings = run::connect_settings(&prepared.settings, &prepared.selected, config, password);
    let connector = Arc::new(Connector::new(settings, Arc::clone(&prompt) as _));
    let looker = Arc::clone(&connector);
    // A `Match exec` runs a command of the user's, and waits.
    let cases = spawn_blocking(move || {
        subjects.into_iter().map(|subject| look_up(&looker, subject, known_hosts.as_ref())).collect::<Result<_, _>>()
    });
    let mut cases: Vec<Case> = cases.await.map_err(failed_task)??;
    let targets = cases.iter().enumerate().filter_map(|(place, case)| {
        let name = case.subject.host.to_string();
        matches!(case.step, Step::Compare(_)).then(|| Target { place, name, route: case.route.clone() })
    });
    let offers = offers::take(&connector, targets.collect(), prepared.settings.parallel.value, floor).await?;
    prompt.close();
    for (place, offered) in offers {
        compare(&mut cases[place], offered);
    }
    let end = move || cases.into_iter().map(|case| end(&connector, case, writing)).collect::<Result<_, _>>();
    spawn_blocking(end).await.map_err(failed_task)?
}

fn look_up(connector: &Connector, subject: Subject, file: Option<&PathBuf>) -> Result<Case, ConnectorError> {
    let mut route = connector.route(&subject.host)?;
    let config = route.last_mut().expect("a route ends at its host");
    if let Some(file) = file {
        config.user_known_hosts = vec![file.clone()];
    }
    let known = connector.known_host_keys(config)?;
    let step = decision::decide(subject.word.clone(), &known);
    Ok(Case { subject, route, step })
}

fn compare(case: &mut Case, offered: Result<PublicKey, HostError>) {
    if let Step::Compare(printed) = &case.step {
        case.step = decision::compare(offered, printed);
    }
}

/// Makes known what is to be. Blocks on files.
fn end(connector: &Connector, case: Case, writing: Writing) -> Result<Line, Failure> {
    let Case { subject: Subject { host, id, .. }, route, step } = case;
    let fate = match step {
        Step::End(fate) => Some(fate),
        Step::Compare(_) => None,
        Step::Add(keys) => {
            let verdicts = verdicts(connector, route.last().expect("a route ends at its host"), &keys, writing);
            Some(decision::added(&keys, &verdicts.map_err(|error| Failure::ours(&error))?))
        }
    };
    Ok(Line { host: host.to_string(), id, fate })
}

fn verdicts(
    connector: &Connector,
    config: &HostConfig,
    keys: &[PublicKey],
    writing: Writing,
) -> Result<Vec<Verdict>, fleet_ssh::known_hosts::KnownHostsError> {
    match writing {
        Writing::Done => connector.remember_host_keys(config, keys),
        Writing::Withheld => keys.iter().map(|key| connector.host_key_verdict(config, key)).collect(),
    }
}

fn failed_task(error: JoinError) -> Failure {
    Failure::ours(&error)
}
