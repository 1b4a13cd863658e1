//! The hosts of a run that providers told of, and who can be asked about them again.
//!
//! Must not know why it is asked.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, ready};

use super::own_addresses::OwnAddresses;
use fleet_core::endpoint::{AddressChoice, Endpoint, Finding, Whereabouts};
use fleet_core::host::Host;
use fleet_core::inventory::{self, Reach};
use fleet_core::provider::protocol::Record;
use fleet_core::provider::{CacheUse, Description, Provider, ProviderError, Watch};
use fleet_core::select::SelectedHost;
use fleet_core::settings::Settings;

/// How long the end of a run waits for a provider that is to end, too: it is killed at once.
const END_LIMIT: Duration = Duration::from_secs(2);

/// What a provider told before a run.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) provider: Provider,
    pub(super) description: Description,
    /// Its hosts as they are in the inventory.
    pub(super) records: Vec<Arc<Record>>,
    /// Whether that was kept from another run.
    pub(super) from_cache: bool,
}

/// The hosts of a run that providers told of.
#[derive(Default)]
pub struct CloudHosts {
    told: Vec<Arc<Answer>>,
    /// By whom each host was told of.
    hosts: HashMap<Host, Place>,
    reach: OwnReach,
    interrupted: Arc<AtomicBool>,
}

/// Where each host of an answer is reached, if it is reached anywhere.
type ById = HashMap<Arc<str>, Option<Endpoint>>;

/// An answer, and the one to the same question asked anew.
struct Answer {
    told: Told,
    asking: Mutex<Option<Shared<BoxFuture<'static, ()>>>>,
    anew: OnceLock<Result<ById, ProviderError>>,
}

/// Where a host was told of.
struct Place {
    answer: usize,
    id: Arc<str>,
    /// The user that was found for it, also by rules.
    user: Option<Arc<str>>,
}

#[derive(Clone, Default)]
struct OwnReach {
    addresses: Vec<AddressChoice>,
    address_tag: String,
    port_tag: String,
}

impl CloudHosts {
    /// Those of `hosts` that are reached as one of the providers `told`.
    pub(super) fn new(told: Vec<Told>, hosts: &[SelectedHost], settings: &Settings) -> Self {
        let records = told.iter().map(|told| told.records.len()).sum();
        let mut answers: HashMap<*const Record, usize> = HashMap::with_capacity(records);
        for (answer, told) in told.iter().enumerate() {
            answers.extend(told.records.iter().map(|record| (Arc::as_ptr(record), answer)));
        }
        let place = |selected: &SelectedHost| {
            let (record, endpoint) = (selected.record.as_ref()?, selected.endpoint.as_ref()?);
            let answer = *answers.get(&Arc::as_ptr(record))?;
            // A host file may say another way, which comes first.
            let is_meant = endpoint.host_key_alias.as_ref() == Some(&record.id);
            let place = Place { answer, id: record.id.clone(), user: endpoint.user.clone() };
            is_meant.then(|| (selected.host.clone(), place))
        };
        Self {
            hosts: hosts.iter().filter_map(place).collect(),
            told: told.into_iter().map(|told| Arc::new(Answer::new(told))).collect(),
            reach: OwnReach {
                addresses: settings.address.value.clone(),
                address_tag: settings.address_tag.value.clone(),
                port_tag: settings.port_tag.value.clone(),
            },
            interrupted: Arc::default(),
        }
    }

    /// The provider that told of `host`.
    #[must_use]
    pub fn provider(&self, host: &Host) -> Option<&Provider> {
        let place = self.hosts.get(host)?;
        Some(&self.told[place.answer].told.provider)
    }

    /// Ends what is asked now. What went wrong with it before, in a line for each provider.
    pub(crate) async fn end(&self) -> Vec<String> {
        self.interrupted.store(true, Ordering::SeqCst);
        let mut remarks = Vec::new();
        for answer in &self.told {
            let asking = answer.asking.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(asking) = asking else { continue };
            let is_late = asking.peek().is_none();
            let _ = tokio::time::timeout(END_LIMIT, asking).await;
            if let Some(Err(error)) = answer.anew.get().filter(|_| !is_late) {
                let name = &answer.told.provider.settings().name;
                remarks.push(format!("{name} was asked again, as hosts did not answer: {error}"));
            }
        }
        remarks
    }
}

impl Whereabouts for CloudHosts {
    fn found(&self, host: &Host) -> Option<Endpoint> {
        let place = self.hosts.get(host)?;
        let anew = self.told[place.answer].anew.get()?.as_ref().ok()?;
        let endpoint = anew.get(&place.id)?.clone()?;
        Some(Endpoint { user: place.user.clone(), ..endpoint })
    }

    fn find<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Finding> {
        let Some(place) = self.hosts.get(host) else { return ready(Finding::Nothing).boxed() };
        let answer = &self.told[place.answer];
        if !answer.told.from_cache {
            return ready(Finding::Nothing).boxed();
        }
        let asking = answer.asking(&self.reach, &self.interrupted);
        let find = async move {
            asking.await;
            let name = || answer.told.provider.settings().name.clone();
            match answer.anew.get() {
                Some(Ok(hosts)) if hosts.contains_key(&place.id) => Finding::Found(name()),
                Some(Ok(_)) => Finding::Gone(name()),
                Some(Err(_)) | None => Finding::Nothing,
            }
        };
        find.boxed()
    }
}

impl Answer {
    fn new(told: Told) -> Self {
        Self { told, asking: Mutex::default(), anew: OnceLock::new() }
    }

    /// Done when the provider was asked anew. It goes on whoever stops waiting for it.
    fn asking(self: &Arc<Self>, reach: &OwnReach, interrupted: &Arc<AtomicBool>) -> Shared<BoxFuture<'static, ()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let (answer, reach, interrupted) = (Arc::clone(self), reach.clone(), Arc::clone(interrupted));
            let asking = tokio::task::spawn_blocking(move || answer.ask(&reach, &interrupted));
            asking.map(|_| ()).boxed().shared()
        };
        asking.get_or_insert_with(start).clone()
    }

    fn ask(&self, reach: &OwnReach, interrupted: &AtomicBool) {
        let OwnReach { addresses, address_tag, port_tag } = reach;
        let provider = &self.told.provider;
        let name = &provider.settings().name;
        tracing::info!(provider = name, "asked again, as a host that was known does not answer");
        // The run has the terminal.
        let watch = Watch { said: &|line| tracing::info!("{line}"), interrupted };
        let described = provider.describe(&self.told.description, CacheUse::Refresh, watch);
        let anew = described.map(|described| {
            let own = OwnAddresses::of_interfaces();
            let records: Vec<_> = described.records.into_iter().map(|record| own.mark(record)).collect();
            inventory::endpoints(&records, Reach { addresses, address_tag, port_tag })
        });
        let _ = self.anew.set(anew);
    }
}

impl fmt::Debug for CloudHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudHosts").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}
