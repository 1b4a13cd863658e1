//! Asks providers and the OpenSSH configuration for what a choice of hosts needs.
//!
//! Must not know what is chosen, nor what a provider is.

use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::cloud_hosts::Told;
use super::own_addresses::OwnAddresses;
use super::{Failure, Interruption};
use fleet_core::inventory::{Inventory, Rank, Reach, Source, Wanted, did_you_mean, nearest};
use fleet_core::provider::protocol::{Query, Record};
use fleet_core::provider::{Described, Description, Provider, ProviderError, ProviderSettings, Surroundings, Watch};
use fleet_core::render::sanitized_line;
use fleet_core::settings::Settings;
use fleet_ssh::config::SshConfig;

/// The providers that are looked for although nothing is set about them.
const LOOKED_FOR: [&str; 1] = ["ec2"];

/// How long a provider may take to say what else there is.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// Who is asked what.
pub(super) struct Question {
    pub(super) provider: Provider,
    pub(super) description: Description,
    pub(super) need: Need,
}

/// What becomes of a choice of hosts when a provider does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It fails.
    Needed,
    /// It goes on, and says without whom.
    Wanted,
    /// It goes on: whoever has set up another provider may have nothing to do with one that is merely installed.
    Incidental,
}

/// What was learned from those who were asked.
pub(super) struct Asked {
    /// What providers told.
    pub(super) told: Vec<Told>,
    /// The OpenSSH configuration, if that was asked.
    pub(super) ssh_config: Option<SshConfig>,
}

/// Asks whoever may know what is wanted, and adds what they tell to `inventory`. Remarks go to standard error.
pub(super) fn ask(
    program: &str,
    settings: &Settings,
    wanted: &Wanted,
    inventory: &mut Inventory,
) -> Result<Asked, Failure> {
    let ssh_config = if wanted.ssh { Some(super::load_config(settings)?) } else { None };
    if let Some(config) = &ssh_config {
        inventory.add_source(&Source::of_ssh(config.host_names()?));
    }
    Ok(Asked { told: ask_providers(program, settings, wanted, inventory)?, ssh_config })
}

/// Asks them all at once. Returns what was told by whom.
fn ask_providers(
    program: &str,
    settings: &Settings,
    wanted: &Wanted,
    inventory: &mut Inventory,
) -> Result<Vec<Told>, Failure> {
    let questions = questions(program, settings, wanted, inventory)?;
    if questions.is_empty() && wanted.needs_provider {
        return Err(if wanted.is_empty() { nothing_to_filter() } else { no_provider("the choice of hosts") });
    }
    inventory.call_roles_as_before(wanted);
    let told = put(program, settings, questions, inventory)?;
    inventory.define(&wanted.groups)?;
    for remark in inventory.gone_from_roles(wanted) {
        let _ = writeln!(io::stderr(), "{program}: {}", sanitized_line(&remark));
    }
    Ok(told)
}

/// Puts all questions at once, and adds the answers to `inventory`. Returns what was told by whom.
pub(super) fn put(
    program: &str,
    settings: &Settings,
    questions: Vec<Question>,
    inventory: &mut Inventory,
) -> Result<Vec<Told>, Failure> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let say = |line: &str| {
        let _ = writeln!(io::stderr(), "{line}");
    };
    let interruption = Interruption::watch();
    let watch = Watch { said: &say, interrupted: interruption.flag() };
    let answers: Vec<Result<Described, ProviderError>> = thread::scope(|scope| {
        let ask = |question: &Question| question.provider.describe(&question.description, settings.asking.cache, watch);
        // Nearly always there is one, which needs no thread.
        let Some((first, others)) = questions.split_first() else { return Vec::new() };
        let threads: Vec<_> = others.iter().map(|question| scope.spawn(move || ask(question))).collect();
        let first = ask(first);
        let others = threads.into_iter().map(|thread| thread.join());
        let others = others.map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        iter::once(first).chain(others).collect()
    });
    let (reach, own) = (reach(settings), OwnAddresses::of_interfaces());
    let mut told = Vec::new();
    for (question, answer) in questions.into_iter().zip(answers) {
        let name = &question.provider.settings().name;
        match answer {
            Ok(described) => {
                described.warnings.iter().for_each(|warning| say(&format!("{program}: {name}: {warning}")));
                let age = described.age(std::time::SystemTime::now());
                let (hosts, cached) = (described.records.len(), described.from_cache);
                tracing::info!(provider = name, hosts, cached, age_seconds = age.as_secs(), "told of hosts");
                let records: Vec<Arc<Record>> = described.records.into_iter().map(|record| own.mark(record)).collect();
                for remark in inventory.add_records((name, rank(&question.provider)), &records, reach) {
                    say(&format!("{program}: {name}: {remark}"));
                }
                let Question { provider, description, .. } = question;
                told.push(Told { provider, description, records, from_cache: cached });
            }
            Err(error) if question.need == Need::Needed || interruption.flag().load(Ordering::SeqCst) => {
                return Err(error.into());
            }
            Err(error) if question.need == Need::Incidental => {
                tracing::info!(provider = name, %error, "going on without a provider that is not set up");
            }
            Err(error) => {
                let failure = Failure::from(error);
                say(&format!("{program}: going on without {name}: {}", failure.text()));
                failure.advice().iter().for_each(|advice| say(&format!("hint: {advice}")));
            }
        }
    }
    Ok(told)
}

/// Adds all hosts that providers tell of, also those that do not run, for words about what there is instead. Nothing is said of
/// those that do not tell soon.
pub(super) fn look_around(program: &str, settings: &Settings, inventory: &mut Inventory) {
    let Ok(questions) = questions(program, settings, &Wanted::everything(), inventory) else { return };
    let interruption = Interruption::watch();
    let watch = Watch { said: &|_| (), interrupted: interruption.flag() };
    for Question { provider, mut description, .. } in questions {
        let provider = provider.within(LOOK_AROUND);
        description.native_filters.clear();
        let told = provider.describe(&description, settings.asking.cache, watch);
        if let Ok(described) = told {
            let name = &provider.settings().name;
            inventory.add_records((name, rank(&provider)), &described.records, reach(settings));
        }
    }
}

fn rank(provider: &Provider) -> Rank {
    if provider.settings().configured { Rank::Own } else { Rank::Found }
}

fn reach(settings: &Settings) -> Reach<'_> {
    Reach {
        addresses: &settings.address.value,
        address_tag: &settings.address_tag.value,
        port_tag: &settings.port_tag.value,
    }
}

/// The providers of which `--filter` alone chooses hosts: those that are set up, else those that are found.
pub(super) fn filtering(settings: &Settings) -> Result<Vec<String>, Failure> {
    let enabled = settings.providers.iter().filter(|table| table.value.enabled);
    let mut names: Vec<String> = enabled.map(|table| table.value.settings.name.clone()).collect();
    if names.is_empty() {
        let surroundings = surroundings();
        let found =
            |name: &&str| settings.provider(name).is_some_and(|about| Provider::find(about, &surroundings).is_ok());
        names.extend(LOOKED_FOR.iter().filter(|name| found(name)).map(|name| (*name).to_owned()));
    }
    match names.is_empty() {
        true => Err(no_provider("--filter")),
        false => Ok(names),
    }
}

pub(super) fn surroundings() -> Surroundings {
    Surroundings::new(std::env::current_exe().ok().as_deref(), std::env::vars_os())
}

fn no_provider(who: &str) -> Failure {
    Failure::usage_text(format!("{who} asks for what only providers know, and there is none"))
        .hint("set one up as [provider.NAME] in fleet.toml, or put fleet-ec2 beside this program or into PATH")
}

fn nothing_to_filter() -> Failure {
    Failure::usage_text(
        "--filter narrows the hosts of providers, and no provider is asked for the hosts that are named",
    )
    .hint("choose hosts of providers by -g; --filter alone chooses all that pass it")
}

fn questions(
    program: &str,
    settings: &Settings,
    wanted: &Wanted,
    inventory: &Inventory,
) -> Result<Vec<Question>, Failure> {
    let filters = &settings.asking.filters;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let surroundings = surroundings();
    let mut known: Vec<ProviderSettings> = Vec::new();
    let enabled = settings.providers.iter().filter(|table| table.value.enabled);
    known.extend(enabled.map(|table| table.value.settings.clone()));
    // Whoever has set up a provider may have nothing to do with one that is merely installed.
    let has_own = !known.is_empty();
    let is_set = |name: &str| settings.providers.iter().any(|table| table.value.settings.name == name);
    let named = wanted.of_one.iter().map(|(name, _)| name.as_str());
    for name in named.chain(LOOKED_FOR).filter(|name| !is_set(name)) {
        if !known.iter().any(|known| known.name == name) {
            known.push(settings.asking.laid_over(ProviderSettings::named(name)));
        }
    }
    let mut questions = Vec::new();
    for about in known {
        let mut queries: Vec<Query> =
            wanted.of_one.iter().filter(|(name, _)| *name == about.name).map(|(_, query)| query.clone()).collect();
        let is_named = !queries.is_empty();
        if about.configured || wanted.known.is_none() {
            queries.extend(wanted.of_all.iter().cloned());
        }
        if queries.is_empty() {
            continue;
        }
        // Hosts without any condition are all hosts.
        if queries.iter().any(Vec::is_empty) {
            queries.clear();
        }
        let (name, configured) = (about.name.clone(), about.configured);
        let provider = match Provider::find(about, &surroundings) {
            Ok(provider) => provider.keeping(settings.cache_ttl.value),
            Err(_) if !configured && !is_named => continue,
            Err(_) if !configured => return Err(unknown_source(program, &name, inventory)),
            Err(error) => return Err(error.into()),
        };
        let description = Description { queries, native_filters: filters.clone() };
        let need = match configured {
            _ if is_named => Need::Needed,
            true if wanted.needs_provider || wanted.known != Some(Rank::Own) => Need::Needed,
            false if has_own => Need::Incidental,
            false if wanted.needs_provider => Need::Needed,
            true | false => Need::Wanted,
        };
        questions.push(Question { provider, description, need });
    }
    Ok(questions)
}

/// A source was named that nobody is.
fn unknown_source(program: &str, name: &str, inventory: &Inventory) -> Failure {
    // What was left out may be what is missing.
    for remark in inventory.remarks() {
        let _ = writeln!(io::stderr(), "{program}: {remark}");
    }
    let known: Vec<&str> = inventory.sources().collect();
    let near = did_you_mean(&nearest(name, known.iter().copied())).map_or_else(String::new, |question| question + " ");
    let known = known.join(", ");
    Failure::usage_text(format!("there is no source \"{name}\" of hosts and groups")).hint(format!(
        "{near}known sources: {known}; a provider is a program fleet-{name} beside this one or in PATH, or [provider.{name}] in \
         fleet.toml"
    ))
}
