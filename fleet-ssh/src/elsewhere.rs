//! Hosts that are not where they were known to be: whoever told of them is asked again.
//!
//! Must not know who that is, nor try another time itself: an attempt has its place in the run.

use std::borrow::Cow;
use std::sync::Arc;

use super::config::HostConfig;
use super::connector::Connector;
use fleet_core::endpoint::{Endpoint, Finding, Whereabouts};
use fleet_core::host::Host;
use fleet_core::outcome::{FailureClass, HostError, Stage};

impl Connector {
    /// The same connector, which asks `whereabouts` about hosts that do not answer.
    #[must_use]
    pub fn asking(mut self, whereabouts: Arc<dyn Whereabouts>) -> Self {
        self.whereabouts = Some(whereabouts);
        self
    }

    /// Where the host is, if its name does not say it: as was found out in this run, else as was known before it.
    pub(super) fn endpoint(&self, host: &Host) -> Option<Cow<'_, Endpoint>> {
        let found = self.whereabouts.as_ref().and_then(|whereabouts| whereabouts.found(host));
        found.map(Cow::Owned).or_else(|| self.settings.endpoints.get(host).map(Cow::Borrowed))
    }

    /// The failure to connect along `route`, or what is behind it: a host that is gone, or is somewhere else.
    pub(super) async fn or_elsewhere(&self, host: &Host, route: &[HostConfig], error: HostError) -> HostError {
        let Some(whereabouts) = self.whereabouts.as_ref().filter(|_| may_be_elsewhere(&error)) else { return error };
        match whereabouts.find(host).await {
            Finding::Nothing => error,
            Finding::Gone(provider) => {
                let message = format!("no longer in {provider} (terminated?)");
                HostError { class: FailureClass::Gone, message, hint: None, ..error }
            }
            Finding::Found(provider) => match self.route(host) {
                Ok(now) if destination(&now) != destination(route) => {
                    let message = format!("{}; {provider} has it at another address now", error.message);
                    HostError { class: FailureClass::Moved, message, hint: None, ..error }
                }
                _ => error,
            },
        }
    }
}

/// Whether another machine, or none, may be at the address by now. A machine that lets nobody in is there, and has the
/// key of the host.
fn may_be_elsewhere(error: &HostError) -> bool {
    match error.class {
        FailureClass::HostKey => true,
        FailureClass::Local => false,
        _ => error.stage <= Stage::Connect,
    }
}

fn destination(route: &[HostConfig]) -> Option<(&str, u16)> {
    route.last().map(|config| (config.host_name.as_str(), config.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_machine_explains_is_looked_into() {
        use FailureClass as Class;
        for (stage, class, expected) in [
            (Stage::Resolve, Class::Resolve, true),
            (Stage::Connect, Class::Refused, true),
            (Stage::Connect, Class::Unreachable, true),
            (Stage::Connect, Class::Timeout, true),
            (Stage::KeyExchange, Class::HostKey, true),
            (Stage::Resolve, Class::Local, false),
            (Stage::Connect, Class::Local, false),
            (Stage::Banner, Class::Timeout, false),
            (Stage::KeyExchange, Class::KeyExchange, false),
            (Stage::Authenticate, Class::Auth, false),
        ] {
            assert_eq!(may_be_elsewhere(&HostError::new(stage, class, "x")), expected, "{stage} {class:?}");
        }
    }
}
